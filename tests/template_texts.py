"""A small template for tests, and ways to change it."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, Final

from agreement_texts import a_document, changed

from agreements.templates.model import Template
from agreements.templates.reading import read_template
from agreements.templates.writing import to_yaml
from schemas.catalogue import shipped

TRUSTS: Final = ("east-trust", "west-trust")
VALUES: Final[Mapping[str, Any]] = {
    "agreement": "https://sharing.example.gov.uk/agreements/local",
    "council": "oldtown-council",
    "trusts": TRUSTS,
    "area": "E08000018",
    "notice": "https://oldtown.example.gov.uk/privacy",
}

_PLACES: Final = {
    "agreement": {"kind": "uri", "text": "Address", "example": "https://a.example.gov.uk/x"},
    "council": {"kind": "party", "text": "The council", "example": "example-council"},
    "trusts": {
        "kind": "party",
        "text": "Trusts",
        "example": ["first-trust", "second-trust"],
        "many": True,
    },
    "area": {"kind": "gss", "text": "The area", "example": "E08000999"},
    "notice": {"kind": "uri", "text": "Notice", "example": "https://www.example.gov.uk/privacy"},
}


def an_agreement_with_places() -> dict[str, Any]:
    """Return the agreement of the template: a council tells some trusts of its area."""
    return changed(
        a_document(title="Children of <council>"),
        {
            "id": "<agreement>",
            "owner": "<council>",
            "parties": [
                {"id": "<council>", "role": "controller", "direction": "provides"},
                {"id": "<trusts>", "role": "controller", "direction": "receives"},
            ],
            "flows[0].from": ["<council>"],
            "flows[0].to": ["<trusts>"],
            "flows[0].when": [{"item": "localAuthority", "equals": "<area>", "otherwise": "deny"}],
            "retention": [
                {"party": "<trusts>", "period": "P8Y", "trigger": "Receipt", "disposal": "Deleted"}
            ],
            "transparency": {"privacy_notice": "<notice>"},
        },
    )


def template_data(**changes: Any) -> dict[str, Any]:
    """Return the data of a valid template, with fields of its header replaced."""
    data = {
        "format": 1,
        "uri": "urn:concordat:templates:test",
        "version": 1,
        "title": "Test template",
        "summary": "For tests.",
        "author": "A. Author",
        "licence": "OGL-UK-3.0",
        "to_confirm": [{"flow": "placements", "text": "The bases."}],
        "places": deepcopy(_PLACES),
        "agreement": an_agreement_with_places(),
    }
    return {**data, **changes}


def a_template(data: Mapping[str, Any] | None = None) -> Template:
    """Read a template, the usual one unless another is given."""
    text = to_yaml(dict(data or template_data()))
    return read_template(text, name="test.yaml", catalogue=shipped())

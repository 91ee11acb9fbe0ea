"""A template made of a local agreement: nothing local is left, nothing national is lost."""

from collections.abc import Iterator
from importlib import resources
from typing import Any

import pytest
from agreement_texts import a_document, changed
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from agreements.canonical import to_document
from agreements.model import Agreement, Condition
from agreements.reading import from_document, read_agreement
from agreements.templates.departing import compared
from agreements.templates.filling import adopt, bind
from agreements.templates.model import Template
from agreements.templates.proposing import FATES, OUT, Header, proposed
from schemas.catalogue import shipped

HEADER = Header("urn:concordat:templates:new", "A. Author", None)
DEMO = resources.files("broker.demo") / "agreements"
FILES = sorted(entry.name for entry in DEMO.iterdir() if entry.name.endswith(".yaml"))

LOCAL: dict[str, Any] = {
    "id": "https://sharing.quorley.gov.uk/agreements/9",
    "title": "Placements in Quorley and of Quorley's children",
    "summary": "Ask ig@quorley.gov.uk or ring 01977 960123; we are at QY7 4AB, in E08000777.",
    "owner": "quorley-council",
    "framework": "Quorley Charter",
    "contact": "Jo Mbeki, Quorley",
    "document": {"uri": "https://quorley.gov.uk/d.pdf", "sha256": "a" * 64},
    "identifier": {"value": "Q-1", "system": "https://quorley.gov.uk/ids"},
    "template": {"uri": "urn:quorley:templates:x", "version": 4},
    "facilitator": "quorley-board",
    "effective": {"starts_at": "2027-02-03", "ends_at": "2029-02-03", "review_by": "2028-02-03"},
    "signing": {"due": "2027-01-09"},
    "change_log": [{"version": 1, "on": "2027-01-02", "text": "By Jo Mbeki"}],
    "parties": [
        {
            "id": "quorley-council",
            "role": "controller",
            "direction": "provides",
            "name": "Quorley Metropolitan Borough",
            "contact": {"post": "Quorley lead", "email": "lead@quorley.gov.uk"},
            "contacts": {
                "dpo": {"post": "DPO", "email": "dpo@quorley.gov.uk", "telephone": "01977 960124"},
                "breach_24x7": {"post": "Duty officer", "telephone": "01977 960125"},
            },
            "identifiers": [{"system": "gss", "value": "E08000777"}],
            "catalogue_ids": ["quorley-api"],
            "joined_on": "2027-02-04",
        },
        {
            "id": "zennith-nhs-trust",
            "role": "controller",
            "direction": "receives",
            "name": "Zennith NHS Trust",
            "acting_for": "The Zennith system",
        },
    ],
    "retention": [
        {
            "party": "zennith-nhs-trust",
            "period": "P8Y",
            "trigger": "Receipt at Zennith",
            "disposal": "Deleted",
        }
    ],
    "dpia": {
        "ref": "QDPIA-7", "version": "Q3", "status": "approved", "approved_by": "Jo Mbeki",
        "approved_on": "2027-01-05", "review_by": "2028-01-05",
    },
    "rights": {"sar_lead": "quorley-council", "complaints": "See https://quorley.gov.uk/complain"},
    "breach": {"ico_lead": "quorley-council"},
    "transparency": {"privacy_notice": "https://quorley.gov.uk/privacy"},
    "review": {"every": "P1Y", "to": {"post": "Jo Mbeki"}},
    "security": {"handling": "In the Quorley vault only"},
}  # fmt: skip
LOCAL_FLOW: dict[str, Any] = {
    "flows[0].id": "quorley-placements",
    "flows[0].from": ["quorley-council"],
    "flows[0].to": ["zennith-nhs-trust"],
    "flows[0].text": "From Quorley to Zennith",
    "flows[0].when": [
        {"item": "localAuthority", "in": ["E08000777", "E08000778"], "otherwise": "deny"},
        {"item": "urn", "not_in": ["SC456789", "1234567"]},
        {"item": "placementType", "not_in": ["A3", "A4"], "otherwise": "review"},
    ],
    "flows[0].legal.provider.appropriate_policy_document": "Quorley APD 2",
    "flows[0].items[1].justification": "Quorley's own",
}
LEFTOVERS = (
    "quorley", "zennith", "mbeki", "qdpia", "e0800077", "01977", "qy7", "2027-", "2028-0", "2029-0",
    "sc456789", "1234567", "q-1", "aaaa",
)  # fmt: skip


def a_local_agreement() -> Agreement:
    """Return an agreement with something local in every field that can have it."""
    return from_document(changed({**a_document(), **LOCAL}, LOCAL_FLOW))


def of_local(agreement: Agreement) -> Template:
    """Propose it."""
    return proposed(agreement, HEADER, shipped())


def test_nothing_local_is_left() -> None:
    """Not in the text, not in the examples, not in the names of places."""
    text = of_local(a_local_agreement()).text.lower()
    for leftover in LEFTOVERS:
        assert leftover not in text, leftover


def test_what_was_local_is_now_a_place_and_the_rest_is_as_it_was() -> None:
    """Codes of the event type stay, codes of areas and homes do not."""
    document = of_local(a_local_agreement()).document
    flow = document.agreement["flows"][0]
    assert document.agreement["title"] == "Placements in <area> and of <area> children"
    assert flow["id"] == "placements"
    assert flow["from"] == ["<council>"]
    assert flow["when"][0]["in"] == ["<local-authority>", "<local-authority-2>"]
    assert flow["when"][2]["not_in"] == ["A3", "A4"]
    assert flow["legal"]["provider"]["gateways"] == [
        "https://www.legislation.gov.uk/ukpga/2004/31/section/10"
    ]
    assert document.places["local-authority"].kind == "gss"
    assert document.places["nhs-trust-name"].kind == "title"
    assert document.agreement["version"] == 1


def test_parties_are_called_by_the_part_that_is_given() -> None:
    """Where their ids say too little."""
    template = proposed(
        a_local_agreement(), HEADER, shipped(), {"zennith-nhs-trust": "acute-trust"}
    )
    assert template.document.agreement["flows"][0]["to"] == ["<acute-trust>"]


@pytest.mark.parametrize("name", FILES)
def test_a_demo_agreement_departs_in_nothing_from_the_template_made_of_it(name: str) -> None:
    """With its own values in the places it is the same agreement again."""
    agreement = read_agreement((DEMO / name).read_bytes(), name=name)
    template = of_local(agreement)
    for leftover in ("anytown", "anyshire", "e08000999", "sharing.example"):
        assert leftover not in template.text.lower()
    found = compared(template, to_document(agreement))
    assert found.unfilled == ()
    assert [one for one in found.departures if one.path not in {"flows", "purposes"}] == []


WORDS = st.text("bcdfgklmprtvz", min_size=5, max_size=9)


@given(word=WORDS, other=WORDS, digits=st.integers(100_000, 999_999))
@settings(max_examples=30, deadline=None)
def test_no_word_of_an_area_survives_in_prose(word: str, other: str, digits: int) -> None:
    """In whatever field and whatever case it is written."""
    prose = f"{word.title()}'s own: {word.upper()}, {other}-council and 01977{digits}."
    agreement = from_document(
        changed(
            {**a_document(), **LOCAL},
            {
                **LOCAL_FLOW,
                "parties[0].id": f"{other}-council",
                "parties[1].id": f"{word}-trust",
                "owner": f"{other}-council",
                "facilitator": f"{word}-trust",
                "rights": {"sar_lead": f"{word}-trust", "objection": prose},
                "breach": {"ico_lead": f"{word}-trust", "containment": prose},
                "retention": [],
                "flows[0].from": [f"{other}-council"],
                "flows[0].to": [f"{word}-trust"],
                "flows[0].text": prose,
                "purposes[0].text": prose,
                "title": prose,
            },
        )
    )
    text = of_local(agreement).text.lower()
    assert word not in text
    assert f"{other}-council" not in text
    assert str(digits) not in text


def _paths(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        path = f"{prefix}{field.alias or name}"
        if path in FATES:
            yield path
            continue
        inner = list(_models(field.annotation))
        if not inner:
            yield path
        for one in inner:
            yield from _paths(one, f"{path}.")


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
        return
    for argument in getattr(annotation, "__args__", ()):
        yield from _models(argument)


def test_every_field_of_an_agreement_has_a_fate() -> None:
    """A field that is added to the model is decided on here, or it is left out with a failure."""
    assert {path for path in _paths(Agreement) if path not in FATES} == set()
    assert set(FATES) - set(_paths(Agreement)) <= {"flows.items.transform.generalise"}
    assert FATES["version"] == OUT
    assert Condition.model_fields["in_"].alias == "in"


def test_a_proposed_template_can_be_adopted_elsewhere() -> None:
    """That is what it is for."""
    template = of_local(a_local_agreement())
    values = bind(template, {**template.examples, "council": "newtown-council"})
    agreement = from_document(adopt(template, values))
    assert agreement.flows[0].from_ == ("newtown-council",)
    assert agreement.template is not None
    assert agreement.template.uri == HEADER.uri

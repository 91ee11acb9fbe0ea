"""Agreements as data for tests: a small one without any problem, and ways to change it."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, Final

from agreements.model import Agreement
from agreements.reading import from_document
from agreements.source import parse_path

REMOVED: Final = object()
"""As a value in `changed`: take the field out."""

_BASIS: Final = {
    "regime": "uk-gdpr",
    "art6": "e",
    "gateways": ["https://www.legislation.gov.uk/ukpga/2004/31/section/10"],
}


def a_document(**changes: Any) -> dict[str, Any]:
    """Return a valid agreement of one flow, with top-level fields replaced."""
    document: dict[str, Any] = {
        "format": 1,
        "id": "https://sharing.example.gov.uk/agreements/test",
        "version": 1,
        "title": "Test agreement",
        "owner": "childrens",
        "effective": {
            "starts_at": "2026-04-01",
            "ends_at": "2028-04-01",
            "review_by": "2027-04-01",
        },
        "purposes": [{"code": "care", "text": "To care.", "necessity": "Less would not do."}],
        "parties": [
            {"id": "childrens", "role": "controller", "direction": "provides"},
            {"id": "trust", "role": "controller", "direction": "receives"},
        ],
        "flows": [
            {
                "id": "placements",
                "events": ["uk.gov.csc.cla-placement.v1"],
                "from": ["childrens"],
                "to": ["trust"],
                "purpose": "care",
                "legal": {"provider": deepcopy(_BASIS), "recipient": deepcopy(_BASIS)},
                "items": [{"path": "childId"}, {"path": "localAuthority"}],
            }
        ],
        "dpia": {"ref": "DPIA-1", "status": "approved", "approved_on": "2026-03-01"},
        "retention": [
            {"party": "trust", "period": "P8Y", "trigger": "Receipt", "disposal": "Deletion"}
        ],
        "transparency": {"privacy_notice": "https://www.example.gov.uk/privacy"},
    }
    return {**document, **changes}


def changed(document: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy with values at paths such as ``flows[0].legal.provider.art9`` replaced.

    An index one past the end appends; `REMOVED` takes a field out.
    """
    copy = deepcopy(dict(document))
    for path, value in changes.items():
        *steps, last = parse_path(path)
        holder: Any = copy
        for step in steps:
            holder = holder[step]
        if value is REMOVED:
            del holder[last]
        elif isinstance(holder, list) and last == len(holder):
            holder.append(deepcopy(value))
        else:
            holder[last] = deepcopy(value)
    return copy


def an_agreement(changes: Mapping[str, Any] | None = None) -> Agreement:
    """Return the agreement of `a_document` with changes by path."""
    return from_document(changed(a_document(), changes or {}))

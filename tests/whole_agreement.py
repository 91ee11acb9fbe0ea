"""An agreement in which every field of the model is written, and ways to change any of them."""

from collections.abc import Iterator
from contextlib import suppress
from copy import deepcopy
from datetime import date, timedelta
from functools import cache
from typing import Any, Final, get_args

from pydantic import BaseModel

from agreements.codes import all_lists
from agreements.model import Agreement
from agreements.problems import AgreementInvalid
from agreements.reading import from_document
from agreements.source import Path

Document = dict[str, Any]

_BASIS: Final[Document] = {
    "regime": "uk-gdpr",
    "art6": "ea",
    "annex1": "emergency",
    "art9": ["h", "g"],
    "sch1": [2, 18],
    "art10": "official-authority",
    "gateways": ["https://www.legislation.gov.uk/ukpga/2004/31/section/10", "urn:law:other"],
    "confidentiality": "public-interest-override",
    "confidentiality_reference": "Decided by the Caldicott Guardian on 3 March",
    "appropriate_policy_document": "APD-1",
    "part3": {
        "s35": "task",
        "sch8": ["4", "1"],
        "authorised_by": ["https://www.legislation.gov.uk/ukpga/1998/37/section/115"],
    },
}


def _contact(name: str) -> Document:
    return {"post": f"Post {name}", "email": f"{name}@example.gov.uk", "telephone": f"01 {name}"}


def everything() -> Document:
    """Return an agreement with every field written; the law may say no to it."""
    return {
        "format": 1,
        "id": "https://sharing.example.gov.uk/agreements/whole",
        "version": 3,
        "title": "Whole agreement",
        "owner": "childrens",
        "kind": "isp",
        "identifier": {"value": "ISA-7", "system": "https://register.example.gov.uk"},
        "document": {"uri": "https://example.gov.uk/whole.pdf", "sha256": "ab" * 32},
        "contact": "The owner's desk",
        "facilitator": "council",
        "framework": "The Accord",
        "summary": "A summary.",
        "template": {"uri": "https://templates.example.gov.uk/one", "version": 4},
        "supersedes": {"uri": "https://sharing.example.gov.uk/agreements/before", "version": 2},
        "effective": {
            "starts_at": "2026-04-01T09:30:00.250Z",
            "ends_at": "2028-04-01",
            "review_by": "2027-04-01",
        },
        "classification": "OFFICIAL",
        "purposes": [
            {
                "code": "care",
                "text": "To care.",
                "necessity": "Less would not do.",
                "benefit": "Care comes sooner.",
                "beyond_individual_care": True,
                "compatible_with": "The purpose it was collected for.",
                "concepts": ["https://w3id.org/dpv#ServiceProvision"],
            }
        ],
        "parties": [
            {
                "id": "childrens",
                "role": "controller",
                "direction": "both",
                "name": "Children's Services",
                "acting_for": "The council.",
                "contact": _contact("a"),
                "contacts": {
                    name: _contact(name) for name in ("dpo", "sar", "breach_24x7", "single_point")
                },
                "identifiers": [{"system": "gss", "value": "E08000018"}],
                "catalogue_ids": ["API-1"],
                "capacities": ["SIRO", "DCS"],
                "joined_on": "2026-05-01",
                "left_on": "2027-05-01",
            },
            {"id": "trust", "role": "processor", "direction": "receives"},
            {"id": "council", "role": "controller", "direction": "receives"},
        ],
        "flows": [
            {
                "id": "placements",
                "events": ["uk.gov.csc.cla-placement.v1", "uk.gov.csc.missing-episode.v1"],
                "schemas": {"min": 1, "max": 5},
                "from": ["childrens"],
                "to": ["trust", "council"],
                "purpose": "care",
                "legal": {"provider": deepcopy(_BASIS), "recipient": {"regime": "uk-gdpr"}},
                "when": [
                    {"item": "localAuthority", "equals": "E08000018", "otherwise": "review"},
                    {"item": "rec", "in": ["E11", "E12"]},
                    {"item": "rec", "not_in": ["E13", 5, True]},
                    {"item": "dec", "present": False},
                    {"item": "decom", "before": "2027-01-01"},
                    {"item": "decom", "after": "2026-01-01"},
                ],
                "max_age": "P2DT4H",
                "items": [
                    {
                        "path": "childId",
                        "transform": "pseudonym",
                        "required": True,
                        "free_text": True,
                        "justification": "To know which child.",
                    },
                    {"path": "birthDate", "transform": {"generalise": "year"}},
                ],
                "delivery": "reference",
                "trigger": "request",
                "requires": ["dspt", "iso-27001"],
                "subjects": ["Children in care", "Their carers"],
                "feedback": "uk.gov.csc.missing-episode.v1",
                "needs_consent": True,
                "text": "What this flow is about.",
            }
        ],
        "dpia": {
            "ref": "DPIA-1",
            "version": "2",
            "status": "approved",
            "residual_risk": "low",
            "approved_by": "The SIRO",
            "approved_on": "2026-03-01",
            "review_by": "2027-03-01",
            "reason": "It is a new flow.",
        },
        "retention": [
            {
                "party": "trust",
                "items": ["childId", "birthDate"],
                "period": "P8Y6M",
                "trigger": "Receipt",
                "disposal": "Deletion",
            }
        ],
        "evidence": {"records": "P7Y"},
        "rights": {
            "sar_lead": "childrens",
            "rectification": "Corrections reach all.",
            "objection": "Objections reach all.",
            "erasure": "Erasure where the law says so.",
            "complaints": "Answered in a month.",
        },
        "breach": {"partner_notice_hours": 12, "ico_lead": "trust", "containment": "Suspend."},
        "transparency": {
            "privacy_notice": "https://www.example.gov.uk/privacy",
            "inform_subject": "no-art-14-5",
            "explanation": "They know.",
        },
        "security": {
            "handling": "Case system only.",
            "uk_only": False,
            "onward_sharing": "with-approval",
            "allowed_roles": ["Social workers", "Nurses"],
            "measures": ["Encryption", "Training"],
        },
        "use": {
            name: [f"{name} one", f"{name} two"]
            for name in ("data", "permitted", "prohibited", "duties", "compliance")
        },
        "signing": {"due": "2026-03-15"},
        "suspension": {"hold_for": "P7D", "then": "deny"},
        "review": {
            "every": "P1Y",
            "escalate_after": "P20D",
            "to": _contact("r"),
            "triggers": ["A breach", "A new law"],
        },
        "change_log": [{"version": 2, "on": "2026-02-01", "text": "More was shared."}],
    }


def unwritten(document: Document) -> set[str]:
    """Return the fields of the model, by class and name, that a document does not write."""
    written: set[str] = set()
    known: set[str] = set()

    def walk(model: type[BaseModel], given: list[Any]) -> None:
        for name, field in model.model_fields.items():
            place = f"{model.__name__}.{name}"
            known.add(place)
            values = [one[field.alias or name] for one in given if (field.alias or name) in one]
            if values:
                written.add(place)
            flat = [v for value in values for v in (value if isinstance(value, list) else [value])]
            for inner in _models_in(field.annotation):
                walk(inner, [value for value in flat if isinstance(value, dict)])

    walk(Agreement, [document])
    return known - written


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models_in(inner)


# -- changing any of it -----------------------------------------------------------------


def places(value: Any, path: Path = ()) -> Iterator[Path]:
    """Yield the place of every value in JSON data, inner ones after outer ones."""
    if path:
        yield path
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from places(inner, (*path, name))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from places(inner, (*path, number))


def changes(document: Document, path: Path) -> Iterator[tuple[str, Agreement]]:
    """Yield the agreement with the value at ``path`` left out, and with others in its place.

    Only what is an agreement still, and another one; the law is not asked.
    """
    whole = from_document(document)
    for name, changed in _attempts(document, path):
        with suppress(AgreementInvalid):
            if (agreement := from_document(changed)) != whole:
                yield name, agreement


def _attempts(document: Document, path: Path) -> Iterator[tuple[str, Document]]:
    copy, holder = _at(document, path)
    del holder[path[-1]]
    yield "left out", copy
    for value in _others(_at(document, path)[1][path[-1]]):
        copy, holder = _at(document, path)
        holder[path[-1]] = value
        yield f"{value!r}", copy


def _at(document: Document, path: Path) -> tuple[Document, Any]:
    copy: Any = deepcopy(document)
    holder = copy
    for step in path[:-1]:
        holder = holder[step]
    return copy, holder


def _others(value: Any) -> Iterator[Any]:
    if isinstance(value, bool):
        yield not value
        yield int(value)
    elif isinstance(value, int):
        yield from (value + 1, value - 1)
    elif isinstance(value, list) and len(value) > 1:
        yield value[::-1]
    elif isinstance(value, str):
        yield from _other_texts(value)


@cache
def _words() -> tuple[str, ...]:
    """Return every word that the model allows somewhere."""
    found = []
    pending: list[Any] = [Agreement]
    seen = set()
    while pending:
        one = pending.pop()
        if isinstance(one, str):
            found.append(one)
        elif isinstance(one, type) and issubclass(one, BaseModel):
            if one not in seen:
                seen.add(one)
                pending += [field.annotation for field in one.model_fields.values()]
        else:
            pending += get_args(one)
    return tuple(dict.fromkeys(found))


def _other_texts(value: str) -> Iterator[Any]:
    """Yield texts that may stand in a place: those of any list, and forms of the old one."""
    with_codes = (code for codes in all_lists() for code in codes if code != value)
    words = (word for word in _words() if word != value)
    dates: tuple[str, ...] = ()
    if value[:4].isdigit() and value[4:5] == "-":
        moved = date.fromisoformat(value[:10]) + timedelta(days=1)
        dates = (moved.isoformat() + value[10:],)
    lengths = (value.replace("P", "P9", 1), value + "9") if value.startswith("P") else ()
    yield from (*dates, *lengths, f"{value}x", f"x{value}", f"{value[:-1]}2")
    yield from words
    yield from with_codes

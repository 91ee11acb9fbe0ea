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


def a_whole_document() -> dict[str, Any]:
    """Return a valid agreement that uses every field there is."""
    contact = {"post": "Information governance", "email": "ig@example.gov.uk"}
    telephone = {**contact, "telephone": "0300 000 0000"}
    changes: dict[str, Any] = {
        "version": 2,
        "kind": "dda",
        "identifier": {"value": "ISA-17", "system": "https://register.example.gov.uk"},
        "document": {"uri": "https://www.example.gov.uk/isa-17.pdf", "sha256": "0" * 64},
        "contact": "Information governance, Anytown Council",
        "facilitator": "school",
        "framework": "Local charter",
        "summary": "Who looks after whom.",
        "template": {"uri": "https://sharing.example.gov.uk/templates/placements", "version": 4},
        "supersedes": {"uri": "https://sharing.example.gov.uk/agreements/test", "version": 1},
        "classification": "OFFICIAL",
        "purposes[0].benefit": "Care without a gap.",
        "purposes[0].beyond_individual_care": False,
        "purposes[0].compatible_with": "The duties of a corporate parent.",
        "purposes[0].concepts": ["https://w3id.org/dpv#PublicBenefit"],
        "parties[0].name": "Anytown Council, children's services",
        "parties[0].acting_for": "Anytown Council",
        "parties[0].contact": contact,
        "parties[0].contacts": {
            "dpo": contact,
            "sar": contact,
            "breach_24x7": telephone,
            "single_point": contact,
        },
        "parties[0].identifiers": [{"system": "gss", "value": "E08000018"}],
        "parties[0].catalogue_ids": ["anytown-api"],
        "parties[0].capacities": ["DCS", "SIRO"],
        "parties[0].joined_on": "2026-04-01",
        "parties[0].left_on": "2028-01-01",
        "flows[0].schemas": {"min": 1},
        "flows[0].when": [{"item": "addressConfidential", "equals": False, "otherwise": "review"}],
        "flows[0].max_age": "P2D",
        "flows[0].delivery": "payload",
        "flows[0].trigger": "event",
        "flows[0].requires": ["dspt"],
        "flows[0].subjects": ["Looked-after children"],
        "flows[0].feedback": "uk.gov.csc.missing-episode.v1",
        "flows[0].needs_consent": False,
        "flows[0].text": "Each placement.",
        "dpia": {
            "ref": "DPIA-1",
            "version": "1.2",
            "status": "approved",
            "residual_risk": "low",
            "approved_by": "SIRO",
            "approved_on": "2026-03-01",
            "review_by": "2027-03-01",
            "reason": "Children.",
        },
        "rights": {
            "sar_lead": "childrens",
            "rectification": "A correction is sent to each recipient.",
            "objection": "To the sender.",
            "erasure": "Not where the law asks for the record.",
            "complaints": "To either party, answered within 30 days.",
        },
        "breach": {"partner_notice_hours": 24, "ico_lead": "childrens", "containment": "Suspend."},
        "transparency": {
            "privacy_notice": "https://www.example.gov.uk/privacy",
            "inform_subject": "yes",
            "explanation": "At the first visit.",
        },
        "security": {
            "handling": "Named staff only.",
            "uk_only": True,
            "onward_sharing": "none",
            "allowed_roles": ["Nurse"],
            "measures": ["Encrypted at rest"],
        },
        "use": {
            "data": ["Placements"],
            "permitted": ["odrl:read"],
            "prohibited": ["odrl:sell"],
            "duties": ["odrl:delete"],
            "compliance": ["UK GDPR"],
        },
        "signing": {"due": "2026-03-31"},
        "suspension": {"hold_for": "P7D", "then": "deny"},
        "review": {
            "every": "P1Y",
            "escalate_after": "P30D",
            "to": contact,
            "triggers": ["A breach"],
        },
        "change_log": [{"version": 2, "on": "2026-03-01", "text": "Names the facilitator."}],
    }
    return changed(a_document(), changes)


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

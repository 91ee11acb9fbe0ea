"""From an agreement, or a draft of one, to an ODRL 2.2 agreement in JSON-LD with DPV purposes.

Each flow is a permission from its providers to its recipients: its events are the target,
its items the target's refinement, its purpose, dates and conditions the constraints.
What is lost is found by reading the result back.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from typing import Any, Final

from agreements.exchange.odrl_in import draft_of
from agreements.exchange.odrl_terms import (
    CONTEXT,
    EVENT,
    OPERATORS,
    PARTY,
    PREFIXES,
    PROFILE,
    ROLES,
    duration,
    is_action,
    typed,
)
from agreements.exchange.results import Document, Exported, lost_on_the_way

_NOT_SAID: Final = "ODRL with DPV purposes has no word for it"


def export_odrl(document: Document) -> Exported:
    """Return the ODRL agreement, and what of the agreement it does not say."""
    policy = _policy(document)
    text = json.dumps(policy, indent=2, ensure_ascii=False) + "\n"
    lost = lost_on_the_way(document, draft_of(policy), why=_NOT_SAID)
    denied = {
        f"flows[{n}].when[{at}].otherwise"
        for n, flow in enumerate(_list(document, "flows"))
        for at, condition in enumerate(_list(flow, "when"))
        if condition.get("otherwise") == "deny"  # what a constraint that fails means in ODRL
    }
    return Exported(text, tuple(one for one in lost if one.path not in denied))


def _policy(document: Document) -> dict[str, Any]:
    uid = document.get("id", "")
    policy = {
        "@context": [CONTEXT, dict(PREFIXES)],
        "@type": "Agreement",
        "uid": uid,
        "profile": PROFILE,
        "dct:title": document.get("title"),
        "dct:description": document.get("summary"),
        "owl:versionInfo": document.get("version"),
        "dct:creator": _uid(PARTY, document.get("owner")),
        "dct:contributor": [_party(party) for party in _list(document, "parties")],
        "dpv:hasPurpose": [_purpose(uid, purpose) for purpose in _list(document, "purposes")],
        "permission": [_permission(document, uid, flow) for flow in _list(document, "flows")],
        "prohibition": [
            {"uid": f"{uid}#prohibition-{n}", "action": action, **_all_of(document)}
            for n, action in enumerate(_actions(document, "prohibited"), 1)
        ],
        "obligation": [*_duties(document, uid), *_retention(document, uid)],
    }
    return {key: value for key, value in policy.items() if value not in (None, [])}


def _purpose(uid: str, purpose: Document) -> dict[str, Any]:
    node = {
        "@id": _purpose_id(uid, purpose.get("code")),
        "@type": "dpv:Purpose",
        "dct:identifier": purpose.get("code"),
        "dct:description": purpose.get("text"),
        "dpv:hasJustification": purpose.get("necessity"),
        "skos:broader": [{"@id": concept} for concept in purpose.get("concepts", ())],
    }
    return {key: value for key, value in node.items() if value not in (None, [])}


def _permission(document: Document, uid: str, flow: Document) -> dict[str, Any]:
    items = [_item(item) for item in _list(flow, "items") if item.get("transform") != "drop"]
    asked = {"leftOperand": "concordat:items", "operator": "isAnyOf", "rightOperand": items}
    permission = {
        "uid": f"{uid}#flow-{flow.get('id')}",
        "dct:description": flow.get("text"),
        "assigner": [f"{PARTY}{party}" for party in flow.get("from", ())],
        "assignee": [f"{PARTY}{party}" for party in flow.get("to", ())],
        "target": [
            {"@type": "AssetCollection", "uid": f"{EVENT}{event}", "refinement": [asked]}
            for event in flow.get("events", ())
        ],
        "action": _actions(document, "permitted") or ["use"],
        "constraint": list(_constraints(document, uid, flow)),
        "duty": [{"action": "obtainConsent"}] if flow.get("needs_consent") else [],
    }
    return {key: value for key, value in permission.items() if value not in (None, [])}


def _item(item: Document) -> str:
    form = item.get("transform")
    if isinstance(form, Mapping):
        form = f"generalise:{form.get('generalise')}"
    return f"{item.get('path')} as {form}" if form else str(item.get("path"))


def _constraints(document: Document, uid: str, flow: Document) -> Iterator[dict[str, Any]]:
    purpose = {"@id": _purpose_id(uid, flow.get("purpose"))}
    yield _constraint("purpose", "eq", purpose)
    for known in _list(document, "purposes"):
        if known.get("code") == flow.get("purpose"):
            for concept in known.get("concepts", ()):
                yield _constraint("purpose", "isA", {"@id": concept})
    effective = document.get("effective", {})
    for field, operator in (("starts_at", "gteq"), ("ends_at", "lt")):
        if isinstance(moment := effective.get(field), str):
            yield _constraint("dateTime", operator, typed(_date_time(moment), "dateTime"))
    for condition in _list(flow, "when"):
        yield from _condition(condition)
    if "max_age" in flow:
        yield _constraint("concordat:age", "lteq", duration(flow["max_age"]))
    if flow.get("requires"):
        yield _constraint("concordat:assurance", "isAllOf", list(flow["requires"]))


def _condition(condition: Document) -> Iterator[dict[str, Any]]:
    path = condition.get("item")
    if condition.get("present") is not None:
        yield _constraint(f"concordat:present/{path}", "eq", condition["present"])
    for operator, theirs in OPERATORS.items():
        value = condition.get(operator)
        if value is not None:
            if operator in ("before", "after"):
                value = typed(value, "date")
            yield _constraint(f"concordat:item/{path}", theirs, value)


def _constraint(left: str, operator: str, right: Any) -> dict[str, Any]:
    return {"leftOperand": left, "operator": operator, "rightOperand": right}


def _duties(document: Document, uid: str) -> Iterator[dict[str, Any]]:
    for n, action in enumerate(_actions(document, "duties"), 1):
        yield {"uid": f"{uid}#duty-{n}", "action": action, **_all_of(document)}


def _retention(document: Document, uid: str) -> Iterator[dict[str, Any]]:
    """Keeping for a period is the duty to delete once that much time has passed."""
    for n, kept in enumerate(_list(document, "retention"), 1):
        passed = _constraint("elapsedTime", "eq", duration(kept.get("period", "")))
        duty = {
            "uid": f"{uid}#retention-{n}",
            "assignee": [f"{PARTY}{kept.get('party')}"],
            "action": [{"rdf:value": {"@id": "odrl:delete"}, "refinement": [passed]}],
            "dct:description": kept.get("disposal"),
            "concordat:trigger": kept.get("trigger"),
        }
        yield {key: value for key, value in duty.items() if value is not None}


def _all_of(document: Document) -> dict[str, Any]:
    """The recipients and the events of all flows."""
    flows = _list(document, "flows")
    recipients = dict.fromkeys(party for flow in flows for party in flow.get("to", ()))
    events = dict.fromkeys(event for flow in flows for event in flow.get("events", ()))
    named = {
        "assignee": [f"{PARTY}{party}" for party in recipients],
        "target": [f"{EVENT}{event}" for event in events],
    }
    return {key: value for key, value in named.items() if value}


def _party(party: Document) -> dict[str, Any]:
    role = ROLES.get(party.get("role", ""))
    node = {
        "@type": ["Party", *([role] if role else [])],
        "uid": f"{PARTY}{party.get('id')}",
        "dct:title": party.get("name"),
    }
    return {key: value for key, value in node.items() if value is not None}


def _actions(document: Document, field: str) -> list[str]:
    return [
        action.removeprefix("odrl:")
        for action in document.get("use", {}).get(field, ())
        if is_action(action)
    ]


def _purpose_id(uid: str, code: Any) -> str:
    return f"{uid}#purpose-{code}"


def _uid(prefix: str, name: Any) -> dict[str, str] | None:
    return None if name is None else {"@id": f"{prefix}{name}"}


def _date_time(text: str) -> str:
    """Return a time of ours as xsd:dateTime; a day is its first moment."""
    try:
        date.fromisoformat(text)
    except ValueError:
        return text
    return datetime.fromisoformat(text).strftime("%Y-%m-%dT%H:%M:%SZ")


def _list(document: Document, field: str) -> list[Any]:
    return list(document.get(field) or ())

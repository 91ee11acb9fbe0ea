"""From an agreement, or a draft of one, to a MAIS ``SharingPolicy``.

It has no place for flows, items, legal bases and all else that runs. What is lost is
found by reading the policy back: whatever importing it again would not give.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from agreements.exchange.mais_in import draft_of
from agreements.exchange.policy_fields import (
    FIELDS,
    LISTS,
    REQUIRED,
    TEXTS,
    TIMES,
    URI_NAMES,
    Place,
    end_out,
    missing,
)
from agreements.exchange.results import Document, Exported, lost_on_the_way

_NOT_SAID: Final = "a SharingPolicy has no place for it"


def export_policy(document: Document) -> Exported:
    """Return the SharingPolicy (JSON) of an agreement or a draft, and what it leaves behind."""
    policy = dict(_fields(document))
    text = json.dumps(policy, indent=2, ensure_ascii=False) + "\n"
    return Exported(
        text,
        lost_on_the_way(document, draft_of(policy), why=_NOT_SAID),
        tuple(missing(field) for field in REQUIRED if not policy.get(field)),
    )


def _fields(document: Document) -> Iterator[tuple[str, Any]]:
    """Yield the policy's fields in the order of the standard."""
    for field in FIELDS:
        value: Any
        if field == "Identifier":
            value = _identifier(document)
        elif field == "Party":
            value = [_party_out(party) for party in document.get("parties", ())]
        elif field == "Purpose":
            purposes = map(_purpose_out, document.get("purposes", ()))
            value = [purpose for purpose in purposes if purpose is not None]
        else:
            value = _at(document, {**TEXTS, **LISTS, **TIMES}[field])
            # A draft may be wrong here: then the standard's field is left out, and that told.
            if field not in LISTS and not isinstance(value, str):
                value = None
        if field == "Data" and value is None:
            value = list(dict.fromkeys(_events(document)))
        if field == "EndDate":
            value = end_out(value)
        if value is not None:
            yield field, value


def _identifier(document: Document) -> dict[str, Any] | None:
    given = document.get("identifier")
    if given is not None:
        named = {"value": given.get("value"), "System": given.get("system")}
        return {key: value for key, value in named.items() if value is not None}
    uri = document.get("id")
    return None if uri is None else {"value": uri, "System": URI_NAMES}


def _party_out(party: Document) -> dict[str, Any]:
    named = {
        "Name": party.get("name", party.get("id")),
        "CatalogueID": party.get("catalogue_ids"),
    }
    return {key: value for key, value in named.items() if value is not None}


def _purpose_out(purpose: Document) -> Any:
    concepts = purpose.get("concepts") or ()
    return concepts[0] if concepts else purpose.get("text", purpose.get("code"))


def _events(document: Document) -> Iterator[str]:
    for flow in document.get("flows", ()):
        yield from flow.get("events", ())


def _at(document: Any, path: Place) -> Any:
    for step in path:
        document = document.get(step) if isinstance(document, Mapping) else None
    return document

"""Disclosures made by hand, and the demo's agreements, for tests of the auditor's papers."""

from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from typing import Any

from agreements.canonical import digest
from agreements.model import Agreement
from agreements.reading import read_agreement
from broker.audit.disclosures import Disclosure
from broker.audit.forms import Asked
from broker.audit.terms import Terms
from broker.demo.agreements import texts
from broker.demo.families import PARTIES, POLICE
from broker.legal import to_evidence
from broker.record_parts import NOTICES
from broker.recording import RETRACTED
from schemas.catalogue import shipped
from schemas.control import Party

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
ASKED = Asked("dpo@anytown", "SAR 2026/17", datetime(2026, 11, 20, 9, 30, tzinfo=UTC), 7, "ab" * 32)


@cache
def agreements() -> dict[str, Agreement]:
    """Return the demo's agreements by the last part of their address."""
    read = (read_agreement(text, name=name) for name, text in texts().items())
    return {one.id.rpartition("/")[2]: one for one in read}


@cache
def the_terms() -> Terms:
    """Return what Anytown's scheme says."""
    found = {(one.id, digest(one)): one for one in agreements().values()}
    parties = {
        party: Party(
            id=party,
            name=name,
            regime="dpa-part-3" if party == POLICE else "uk-gdpr",
            roles=("publisher", "recipient"),
        )
        for party, name in PARTIES.items()
    }
    return Terms(found, parties, shipped())


def a_disclosure(
    under: str = "looked-after-placements", flow: str = "to-health", **changes: Any
) -> Disclosure:
    """Return a permit under one of the demo's flows, with all items that it lists."""
    agreement = agreements()[under]
    rule = agreement.flow(flow)
    one = Disclosure(
        index=0,
        event_id="019a0000-0000-7000-8000-000000000001",
        event_type=rule.events[0],
        publisher=rule.from_[0],
        recipient=rule.to[0],
        decided_at=NOON,
        occurred_at=NOON,
        outcome="permit",
        reason="",
        detail="",
        agreement=agreement.id,
        version=agreement.version,
        hash=digest(agreement),
        flow=flow,
        purpose=rule.purpose,
        provider=to_evidence(rule.legal.provider),
        receiver=to_evidence(rule.legal.recipient),
        items=tuple(item.path for item in rule.items),
        transforms={},
        withheld={},
        sealed=bytes(32),
        subjects=(b"\x01" * 32,),
        settles=None,
    )
    return replace(one, **changes)


def notice(one: Disclosure, event_id: str = "later", **changes: Any) -> Disclosure:
    """Return the notice to who had a disclosure that this event took it back."""
    said = {"reason": RETRACTED, "detail": one.event_id, "settles": NOTICES} | changes
    return replace(one, event_id=event_id, items=(), transforms={}, withheld={}, **said)


def refused(one: Disclosure, outcome: str = "deny", reason: str = "suspended") -> Disclosure:
    """Return the same event as it was not shared."""
    return replace(one, outcome=outcome, reason=reason, items=(), sealed=b"")

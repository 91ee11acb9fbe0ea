"""Explain a decision: every check in order, with clause and law, and whether it still comes out.

The decision is made again from the evidence: the sealed event where it lies,
the control documents that the router knew then, and the time it decided at.
What comes out is compared with the decision record, field by field.
"""

import contextlib
from collections.abc import Mapping
from typing import Any, ClassVar

from agreements.deciding import checks
from agreements.gateways import gateway
from broker.control import ControlState, Snapshot
from broker.delivering import clause_of
from broker.legal import in_words
from broker.recording import read_decision
from broker.routing import DECISIONS, Accepted, Router
from broker.scheme import SchemeFolder
from connectors.streams import Batch, Record, Streams
from schemas.errors import RejectedInput


class NoDecision(RejectedInput):
    """There is no decision record of the event."""

    code: ClassVar[str] = "no-decision"


async def explain(
    scheme: SchemeFolder, streams: Streams, event_id: str, *, recipient: str | None = None
) -> dict[str, Any]:
    """Return what was decided about an event and why, and whether deciding again agrees.

    Raises:
        NoDecision: no decision record names the event, or none with that recipient.

    """
    record = await find_decision(streams, event_id)
    told = [
        candidate
        for candidate in record["candidates"]
        if recipient is None or candidate["recipient"] == recipient
    ]
    if recipient is not None and not told:
        raise NoDecision(f"the decision on {event_id} names no recipient {recipient}")
    control = scheme.control()
    await control.load(streams, before=record["rules"])
    event = await _event(streams, record)
    again = _Again(scheme.router(streams), control, record, event)
    return {
        "event_id": event_id,
        "event_type": record["eventType"],
        "publisher": record["publisher"],
        "occurred_at": record["occurredAt"].isoformat(),
        "decided_at": record["decidedAt"].isoformat(),
        "agrees": again.agrees,
        "event_held": event is not None,
        "decisions": [again.explained(candidate) for candidate in told],
    }


async def find_decision(streams: Streams, event_id: str) -> dict[str, Any]:
    """Return the decision record of an event.

    Raises:
        NoDecision: there is none.

    """
    needle = event_id.encode()
    async for record in streams.read(DECISIONS):
        if record.value is not None and needle in record.value:
            decision = read_decision(record.value)
            if decision["eventId"] == event_id:
                return decision
    raise NoDecision(
        f"no decision on event {event_id}: it is not routed yet (`concordat run --until-idle`),"
        " in quarantine, or the id is mistyped"
    )


async def _event(streams: Streams, record: Mapping[str, Any]) -> Record | None:
    """Return the sealed event that a decision was made on; None when it is no longer held."""
    async for found in streams.read(
        record["topic"], partition=record["partition"], start=record["offset"]
    ):
        return found if found.offset == record["offset"] else None
    return None


class _Again:
    """One decision, made again under the rules and the time of its record."""

    def __init__(
        self,
        router: Router,
        control: ControlState,
        record: Mapping[str, Any],
        event: Record | None,
    ) -> None:
        rules = control.snapshot().rules
        at_ms = int(record["decidedAt"].timestamp() * 1000 + 0.5)
        self._at_us = at_ms * 1000
        self._accepted: Accepted | None = None
        self.agrees: bool | None = None
        """Whether the whole record comes out as it is; None when the event is not held."""
        if event is not None:
            made = _made_again(router, Snapshot(rules, record["rules"]), event, at_ms=at_ms)
            self.agrees = made is not None and _comparable(made) == _comparable(record)
            with contextlib.suppress(RejectedInput):
                self._accepted = router.open(event, at_us=self._at_us)
        found = rules.candidates(record["publisher"], record["eventType"], at=self._at_us)
        self._candidates = {_name(clause_of(candidate)): candidate for candidate in found}

    def explained(self, told: dict[str, Any]) -> dict[str, Any]:
        """Return one candidate's decision for a reader."""
        candidate = self._candidates.get(_name_of(told))
        result: dict[str, Any] = {
            "recipient": told["recipient"],
            "outcome": told["outcome"],
            "reason": told["reason"],
            "detail": told["detail"],
            "agreement": told["agreement"],
            "version": told["version"],
            "sha256": told["hash"].hex(),
            "flow": told["flow"],
            "purpose": told["purpose"],
            "items": told["items"],
            "transforms": told["transforms"],
            "withheld": told["withheld"],
            "legal": {},
            "checks": [],
        }
        if told["recipient"]:
            result["legal"] = {
                "provider": _basis(told["provider"]),
                "recipient": _basis(told["receiver"]),
            }
        if candidate is not None and self._accepted is not None:
            result["checks"] = [
                {
                    "check": check.code,
                    "question": check.question,
                    "state": check.state,
                    "text": check.text,
                    "figures": check.figures,
                }
                for check in checks(self._accepted.opened, candidate, self._at_us)
            ]
        return result


def _made_again(
    router: Router, snapshot: Snapshot, event: Record, *, at_ms: int
) -> dict[str, Any] | None:
    """Route the event as it was routed then; None when no decision comes of it."""
    batch = Batch(event.topic, event.partition, [event], event.offset + 1, 0)
    routed = router.route(batch, snapshot, at_ms=at_ms, partitions=None)
    made = [out.value for out in routed.outgoing if out.topic == DECISIONS and out.value]
    return read_decision(made[0]) if made else None


def _comparable(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the record without the seals' digests: sealed again, the bytes are other ones."""
    candidates = [
        {name: value for name, value in candidate.items() if name != "sealed"}
        for candidate in record["candidates"]
    ]
    return {**record, "candidates": candidates}


def _name(clause: Any) -> tuple[str, str, int, str, bytes]:
    return (clause.recipient, clause.agreement, clause.version, clause.flow, clause.hash)


def _name_of(told: Mapping[str, Any]) -> tuple[str, str, int, str, bytes]:
    return (told["recipient"], told["agreement"], told["version"], told["flow"], told["hash"])


def _basis(told: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "regime": told["regime"],
        "conditions": [
            {"code": condition, "title": in_words(condition)} for condition in told["conditions"]
        ],
        "gateways": [
            {"address": address, "title": gateway(address).title} for address in told["gateways"]
        ],
    }

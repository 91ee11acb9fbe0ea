"""Explain one decision record: what it says, whether it comes out again, and by which checks.

It is made again from the evidence (`broker.made_again`): the sealed event or the copy where
it lies, the control documents that the router knew then, and the time it decided at. For the
record of who was told that an event was taken back, these are the copy on ``retractions``
and the records of both events that lie before it.
"""

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from agreements.deciding import checks
from agreements.gateways import gateway
from broker.acts import is_act
from broker.control import ControlState, Snapshot
from broker.delivering import clause_of
from broker.evidence.notices import tells_of_notices
from broker.holding import HELD
from broker.legal import in_words
from broker.made_again import Decision, is_same, routed_again, settled_again, told_again
from broker.recording import read_decision
from broker.retraction import RETRACTIONS
from broker.routing import DECISIONS, Accepted, Router
from broker.scheme import SchemeFolder
from connectors.streams import Record, Streams
from schemas.errors import RejectedInput


class Found(NamedTuple):
    """A decision record, and where it lies on ``decisions``."""

    offset: int
    decision: Decision


async def find_decisions(streams: Streams, *event_ids: str) -> list[Found]:
    """Return the records of events: the first decisions, then what settled them or tells more."""
    needles = [event_id.encode() for event_id in event_ids]
    found = []
    async for record in streams.read(DECISIONS):
        value = record.value
        if value is not None and not is_act(value) and any(one in value for one in needles):
            decision = read_decision(value)
            if decision["eventId"] in event_ids:
                found.append(Found(record.offset, decision))
    return sorted(found, key=_in_order)


def _in_order(found: Found) -> tuple[bool, Any]:
    return found.decision["settles"] is not None, found.decision["decidedAt"]


async def explained(
    scheme: SchemeFolder, streams: Streams, found: Found, recipient: str | None
) -> dict[str, Any]:
    """Return what a decision record tells, of all or one recipient, and whether it agrees.

    ``agrees`` is None when what it was made of is no longer kept.
    """
    record = found.decision
    control = scheme.control()
    await control.load(streams, before=record["rules"])
    told = [one for one in record["candidates"] if recipient in {None, one["recipient"]}]
    again = _notices_again if tells_of_notices(record) else _decided_again
    return {
        "decided_at": record["decidedAt"].isoformat(),
        "control_is_whole": control.chain.end == record["rules"],
        **await again(scheme, streams, found, control, told),
    }


async def _decided_again(
    scheme: SchemeFolder,
    streams: Streams,
    found: Found,
    control: ControlState,
    told: Sequence[Decision],
) -> dict[str, Any]:
    """Return whether a decision or a settlement comes out again, with the checks of each."""
    record, settles = found.decision, found.decision["settles"]
    event = await _record_at(streams, record)
    copy = None if settles is None else await _record_at(streams, {"topic": HELD, **settles})
    # Under the audit key in use, or under a former one where that is what it was made with.
    tried = [
        _Again(router, control, record, event=event, copy=copy)
        for router in scheme.routers_since(streams)
    ]
    again = next((one for one in tried if one.agrees is not False), tried[0])
    return {
        "agrees": again.agrees,
        "event_held": event is not None,
        "decisions": [again.explained(candidate) for candidate in told],
    }


async def _notices_again(
    scheme: SchemeFolder,
    streams: Streams,
    found: Found,
    control: ControlState,
    told: Sequence[Decision],
) -> dict[str, Any]:
    """Return whether a record of notices comes out again; no check decides on a notice."""
    copy = await _record_at(streams, {"topic": RETRACTIONS, **found.decision["settles"]})
    agrees = None if copy is None else await _agree(scheme, streams, found, control, copy)
    return {
        "agrees": agrees,
        "event_held": copy is not None,
        "decisions": [_told(candidate) for candidate in told],
    }


async def _agree(
    scheme: SchemeFolder, streams: Streams, found: Found, control: ControlState, copy: Record
) -> bool | None:
    """Return whether a record of notices comes out again; None where its event's are gone."""
    record = found.decision
    try:
        retraction = scheme.router(streams).retractions.open(copy)
        every = await find_decisions(streams, retraction.retracts, retraction.event_id)
        earlier = [one.decision for one in every if one.offset < found.offset]
        if not any(one["eventId"] == retraction.retracts for one in earlier):
            return None
        snapshot = Snapshot(control.snapshot().rules, record["rules"])
        at_ms = _to_ms(record)
        return is_same(
            told_again(scheme.retractor, snapshot, retraction, earlier, at_ms=at_ms), record
        )
    except RejectedInput:
        return False


async def _record_at(streams: Streams, place: Mapping[str, Any]) -> Record | None:
    """Return the record at a place; None when it is no longer kept."""
    async for found in streams.read(
        place["topic"], partition=place["partition"], start=place["offset"]
    ):
        return found if found.offset == place["offset"] else None
    return None


class _Again:
    """One decision, made again under the rules and the time of its record."""

    def __init__(
        self,
        router: Router,
        control: ControlState,
        record: Mapping[str, Any],
        *,
        event: Record | None,
        copy: Record | None,
    ) -> None:
        rules = control.snapshot().rules
        at_ms = _to_ms(record)
        self._at_us = at_ms * 1000
        self._accepted: Accepted | None = None
        self.agrees: bool | None = None
        """Whether the whole record comes out as it is; None when what it was made of is gone."""
        snapshot = Snapshot(rules, record["rules"])
        settles = record["settles"]
        if settles is None and event is not None:
            self.agrees = is_same(routed_again(router, snapshot, event, at_ms=at_ms), record)
        if settles is not None and copy is not None:
            suspension = settles["suspension"]
            made = settled_again(router, snapshot, copy, suspension, at_ms=at_ms)
            self.agrees = is_same(made, record)
        if event is not None:
            with contextlib.suppress(RejectedInput):
                self._accepted = router.open(event, at_us=self._at_us)
        found = rules.candidates(record["publisher"], record["eventType"], at=self._at_us)
        self._candidates = {_name(clause_of(candidate)): candidate for candidate in found}

    def explained(self, told: Decision) -> dict[str, Any]:
        """Return one candidate's decision for a reader."""
        result = _told(told)
        candidate = self._candidates.get(_name_of(told))
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


def _told(told: Decision) -> dict[str, Any]:
    """Return what a record says of one candidate, for a reader."""
    legal = {}
    if told["recipient"]:
        legal = {"provider": _basis(told["provider"]), "recipient": _basis(told["receiver"])}
    return {
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
        "legal": legal,
        "checks": [],
    }


def _to_ms(record: Decision) -> int:
    return int(record["decidedAt"].timestamp() * 1000 + 0.5)


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

"""Explain a decision: every check in order, with clause and law, and whether it still comes out.

The decision is made again from the evidence: the sealed event where it lies,
the control documents that the router knew then, and the time it decided at.
What comes out is compared with the decision record, field by field.
"""

import contextlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar, Final

from agreements.deciding import checks
from agreements.gateways import gateway
from broker.acts import is_act, record_reading
from broker.control import ControlState, Snapshot
from broker.delivering import clause_of
from broker.holding import HELD
from broker.legal import in_words
from broker.recording import read_decision
from broker.routing import DECISIONS, Accepted, Router
from broker.scheme import SchemeFolder
from broker.settling import Settler
from broker.status import rules_of
from connectors.streams import Batch, Record, Streams
from schemas.errors import RejectedInput


class NoDecision(RejectedInput):
    """There is no decision record of the event."""

    code: ClassVar[str] = "no-decision"


async def explain(
    scheme: SchemeFolder, streams: Streams, event_id: str, *, recipient: str | None = None
) -> dict[str, Any]:
    """Return what was decided about an event and why, and whether deciding again agrees.

    What was held and later settled has a record for each: those that settle are told
    under ``settled``, in order. ``control_is_whole`` is whether every document that the
    router knew is still there.

    Raises:
        NoDecision: no decision record names the event, or none with that recipient.

    """
    records = await find_decisions(streams, event_id)
    if not records:
        raise NoDecision(await _why_none(scheme, streams, event_id))
    told = [await _explained(scheme, streams, record, recipient) for record in records]
    if recipient is not None and not told[0]["decisions"]:
        raise NoDecision(f"the decision on {event_id} names no recipient {recipient}")
    first = records[0]
    every = [one["agrees"] for one in told]
    return {
        "event_id": event_id,
        "event_type": first["eventType"],
        "publisher": first["publisher"],
        "occurred_at": first["occurredAt"].isoformat(),
        **told[0],
        "agrees": False if False in every else None if None in every else True,
        "settled": [
            {"suspension": record["settles"]["suspension"], **one}
            for record, one in zip(records[1:], told[1:], strict=True)
            if one["decisions"]
        ],
    }


async def explain_on_record(  # noqa: PLR0913  what is asked, and who asks why
    scheme: SchemeFolder,
    streams: Streams,
    event_id: str,
    *,
    by: str,
    reason: str,
    recipient: str | None = None,
) -> dict[str, Any]:
    """Explain as `explain` does, and record that somebody asked before it is answered.

    Raises:
        NoDecision: as `explain`; that nothing was found is recorded as well.
        BadAct: who or why cannot be recorded.

    """
    told, found, refused = {}, 0, None
    try:
        told = await explain(scheme, streams, event_id, recipient=recipient)
        found = sum(len(one["decisions"]) for one in (told, *told["settled"]))
    except NoDecision as error:
        refused = error
    # What was asked for and is not there may be anything that somebody has typed.
    about = f"explain {event_id}" if found else "explain an event of which no decision is there"
    await record_reading(
        streams, by=by, reason=reason, about=about, results=found, at=datetime.now(UTC)
    )
    if refused is not None:
        raise refused
    return told


async def find_decisions(streams: Streams, event_id: str) -> list[dict[str, Any]]:
    """Return the decision records of an event: the first decision, then what settled it."""
    needle = event_id.encode()
    found = []
    async for record in streams.read(DECISIONS):
        value = record.value
        if value is not None and needle in value and not is_act(value):
            decision = read_decision(value)
            if decision["eventId"] == event_id:
                found.append(decision)
    return sorted(found, key=lambda one: (one["settles"] is not None, one["decidedAt"]))


async def find_decision(streams: Streams, event_id: str) -> dict[str, Any]:
    """Return the first decision record of an event.

    Raises:
        NoDecision: there is none.

    """
    found = await find_decisions(streams, event_id)
    if not found:
        raise NoDecision(_NO_DECISION.format(event_id=event_id))
    return found[0]


_NO_DECISION: Final = (
    "no decision on event {event_id}: it is not routed yet (`concordat run --until-idle`),"
    " in quarantine, its record has left the stream since (`concordat audit event` asks the"
    " log's store), or the id is mistyped"
)


async def _why_none(scheme: SchemeFolder, streams: Streams, event_id: str) -> str:
    """Say that there is no decision; also that there cannot be one while rules are too old."""
    control = scheme.control()
    await control.load(streams)
    rules = await rules_of(scheme, streams, control)
    why = _NO_DECISION.format(event_id=event_id)
    return why if rules["standing"] == "fresh" else f"{why}; {rules['sentence']}"


async def _explained(
    scheme: SchemeFolder, streams: Streams, record: dict[str, Any], recipient: str | None
) -> dict[str, Any]:
    """Return what one decision record tells, made again where that is possible."""
    control = scheme.control()
    await control.load(streams, before=record["rules"])
    settles = record["settles"]
    event = await _record_at(streams, record)
    copy = None if settles is None else await _record_at(streams, {"topic": HELD, **settles})
    # Under the audit key in use, or under a former one where that is what it was made with.
    tried = [
        _Again(router, control, record, event=event, copy=copy)
        for router in scheme.routers_since(streams)
    ]
    again = next((one for one in tried if one.agrees is not False), tried[0])
    return {
        "decided_at": record["decidedAt"].isoformat(),
        "agrees": again.agrees,
        "control_is_whole": control.chain.end == record["rules"],
        "event_held": event is not None,
        "decisions": [
            again.explained(candidate)
            for candidate in record["candidates"]
            if recipient is None or candidate["recipient"] == recipient
        ],
    }


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
        at_ms = int(record["decidedAt"].timestamp() * 1000 + 0.5)
        self._at_us = at_ms * 1000
        self._accepted: Accepted | None = None
        self.agrees: bool | None = None
        """Whether the whole record comes out as it is; None when what it was made of is gone."""
        snapshot = Snapshot(rules, record["rules"])
        settles = record["settles"]
        source = event if settles is None else copy
        if source is not None:
            suspension = None if settles is None else settles["suspension"]
            made = _made_again(router, snapshot, source, suspension, at_ms=at_ms)
            self.agrees = made is not None and _comparable(made) == _comparable(record)
        if event is not None:
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
    router: Router, snapshot: Snapshot, source: Record, suspension: str | None, *, at_ms: int
) -> dict[str, Any] | None:
    """Route an event, or settle a held copy, as it was done then; None when nothing comes of it."""
    batch = Batch(source.topic, source.partition, [source], source.offset + 1, 0)
    if suspension is None:
        routed = router.route(batch, snapshot, at_ms=at_ms, partitions=None)
    else:
        settler = Settler(router)
        routed = settler.settle(batch, suspension, snapshot, at_ms=at_ms, partitions=None)
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

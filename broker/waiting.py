"""Tell what waits on ``held``: for which suspension, how much, since when and until when."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from agreements.candidates import Suspended, from_us
from broker.control import ControlState
from broker.holding import HELD, Copies, Waiting, waits_for
from connectors.streams import Record, Streams
from schemas.errors import RejectedInput
from schemas.times import format_time, parse_time


@dataclass(slots=True)
class _Waits:
    """What waits for one suspension, up to one limit."""

    agreement: str
    since_us: int
    recipients: Counter[str] = field(default_factory=Counter)


async def what_waits(
    streams: Streams, control: ControlState, copies: Copies, *, at_us: int
) -> list[dict[str, Any]]:
    """Return what waits at a time (µs), by suspension; what has ended first, then by limit.

    Reads the whole topic twice: what is settled is known by marks that come later.
    """
    suspensions = control.snapshot().rules.suspensions()
    waiting = Waiting(copies)
    async for record in streams.read(HELD):
        waiting.add(record)
    found: dict[tuple[str, int], _Waits] = {}
    async for record in streams.read(HELD):
        waits = waits_for(record)
        if waits and record.offset >= waiting.settled_before(waits[0], record.partition):
            _count(found, waits, record)
    told = [
        _told(key, waits, suspensions.get(key[0]), at_us) for key, waits in sorted(found.items())
    ]
    return sorted(told, key=lambda one: (one["becomes"] is None, one["until"]))


def _count(found: dict[tuple[str, int], _Waits], waits: tuple[str, int], record: Record) -> None:
    said = {name: (value or b"").decode(errors="replace") for name, value in record.headers}
    try:
        since_us = parse_time(said.get("decided", "").encode())
    except RejectedInput:
        since_us = record.timestamp_ms * 1000
    one = found.setdefault(waits, _Waits(said.get("agreement", ""), since_us))
    one.since_us = min(one.since_us, since_us)
    one.recipients[said.get("recipient", "")] += 1


def _told(
    key: tuple[str, int], waits: _Waits, suspended: Suspended | None, at_us: int
) -> dict[str, Any]:
    suspension, until_us = key
    return {
        "suspension": suspension,
        "agreement": waits.agreement,
        "party": None if suspended is None else suspended.party,
        "since": format_time(from_us(waits.since_us)).decode(),
        "until": format_time(from_us(until_us)).decode(),
        "then": None if suspended is None else suspended.then,
        "becomes": None if suspended is None else _becomes(suspended, until_us, at_us),
        "held": waits.recipients.total(),
        "recipients": dict(sorted(waits.recipients.items())),
    }


def _becomes(suspended: Suspended, until_us: int, at_us: int) -> str | None:
    """Return what it is being settled as; None as long as it waits."""
    if suspended.until_us <= at_us and suspended.until_us < until_us:
        return suspended.held
    return suspended.then if until_us <= at_us else None

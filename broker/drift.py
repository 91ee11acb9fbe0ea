"""Report where traffic departs from the agreements: from decision records and ``control``.

No event is opened and nothing is written: what decision records say is counted
(`agreements.drift.traffic`) and held against what is in force.
"""

from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta

from agreements.candidates import to_us
from agreements.drift import Finding, Traffic, findings
from broker.control import ControlState
from broker.past import Told, decided
from broker.periods import Period
from connectors.streams import Streams


@dataclass(frozen=True, slots=True)
class Drift:
    """What was found, and on how many decision records it rests; the first in milliseconds.

    ``unreadable`` is what lies among the decisions and is none.
    """

    decisions: int
    unreadable: int
    first_ms: int | None
    findings: tuple[Finding, ...]


async def report_drift(
    streams: Streams,
    control: ControlState,
    *,
    period: Period,
    unused: timedelta,
    told: Told | None = None,
) -> Drift:
    """Look at the decisions of a period, which must have an end, as things stand at that end.

    ``control`` is an empty state, which is loaded here; what it says now is what is held
    against. A flow that permitted nothing for ``unused`` is told of.
    """
    if period.until is None:
        raise ValueError("expected a period with an end: a report is of a moment")
    await control.load(streams)
    traffic, unreadable = Traffic(), 0

    def count_unreadable() -> None:
        nonlocal unreadable
        unreadable += 1

    reading = decided(streams, period, told=told, on_unreadable=count_unreadable)
    async with aclosing(reading) as decisions:
        async for one in decisions:
            traffic.add(
                one.event_id,
                publisher=one.publisher,
                event_type=one.event_type,
                decided_at_ms=one.decided_at_ms,
                candidates=one.candidates,
                settles=one.settles,
            )
    traffic.settle()
    found = findings(
        traffic,
        control.snapshot().rules,
        at_us=to_us(period.until),
        since_us=0 if period.since is None else to_us(period.since),
        unused=unused,
    )
    return Drift(traffic.decisions, unreadable, traffic.first_ms, tuple(found))

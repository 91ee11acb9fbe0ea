"""Flows that nothing runs through, and flows that run far more than they did."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from agreements.candidates import Candidate, from_us
from agreements.drift.finding import (
    LEAST_EVENTS,
    Finding,
    finding_on,
    in_words,
    says,
    way_of,
)
from agreements.drift.traffic import Traffic
from agreements.words import day

_SURGE: Final = 3.0
_SURGE_DAYS: Final = 7
_DAY: Final = timedelta(days=1)
_DAY_US: Final = _DAY // timedelta(microseconds=1)


def unused_flow(
    candidate: Candidate, traffic: Traffic, *, at_us: int, since_us: int, unused: timedelta
) -> Iterator[Finding]:
    """Tell if a flow has permitted nothing for so long, and why not if events came."""
    limit_us = at_us - unused // timedelta(microseconds=1)
    in_force_us = max(candidate.signed_from_us, candidate.starts_at_us)
    if max(in_force_us, since_us) > limit_us:
        return  # it has not been so long yet, or we do not look so far back
    ways = [found for (way, _), found in traffic.ways.items() if way == way_of(candidate)]
    last_ms = max((one.last_permit_ms or 0 for one in ways), default=0)
    if last_ms * 1000 > limit_us:
        return
    refused = [
        (why, told)
        for one in ways
        for why, told in one.refused.items()
        if told.last_ms * 1000 > limit_us
    ]
    since = (
        f"since {day(from_us(last_ms * 1000))}" if last_ms else f"for {unused // _DAY} days or more"
    )
    if not refused:
        yield finding_on(
            candidate,
            "flow-unused",
            f"{says(candidate)}; nothing has flowed {since}: no such event came.",
            f"ask {candidate.publisher} whether its case system still publishes them; if nobody"
            " needs the flow, take it out in the next version",
        )
        return
    why, told = max(refused, key=lambda pair: pair[1].events.events)
    yield finding_on(
        candidate,
        "flow-unused",
        f"{says(candidate)}; nothing has flowed {since}: what came was kept back, most often by"
        f" {in_words(candidate, why)}.",
        "mend what keeps them back, or take the flow out in the next version",
        events=told.events.events,
        examples=tuple(told.events.ids),
    )


def surge(candidate: Candidate, traffic: Traffic, *, at_us: int) -> Iterator[Finding]:
    """Compare the last week with the time before; who looked at the scale then should look now."""
    today = at_us // _DAY_US
    days = [
        (number, events)
        for (way, _), one in traffic.ways.items()
        if way == way_of(candidate)
        for number, events in one.by_day.items()
    ]
    if not days:
        return
    first = min(number for number, _ in days)
    before_days = today - _SURGE_DAYS - first + 1
    if before_days < _SURGE_DAYS:
        return
    late = sum(events for number, events in days if number > today - _SURGE_DAYS)
    early = sum(events for _, events in days) - late
    if late < LEAST_EVENTS or late / _SURGE_DAYS <= _SURGE * early / before_days:
        return
    yield finding_on(
        candidate,
        "flow-surge",
        f"{says(candidate)}; in the last {_SURGE_DAYS} days {late / _SURGE_DAYS:.1f} a day did,"
        f" before that {early / before_days:.1f}.",
        "ask both sides what has changed, and whether the impact assessment still fits the scale",
        events=late,
    )

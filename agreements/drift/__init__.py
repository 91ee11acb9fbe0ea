"""Where traffic departs from what the agreements say: each in a sentence, with what to do.

``The agreement says X, traffic does Y``: flows that nothing runs through, items that no
event has, conditions that never hold, refusals that suggest that an agreement is missing
or out of date. No clock: the caller says at which moment it looks.
"""

from collections.abc import Iterator
from datetime import timedelta

from agreements.candidates import Candidate
from agreements.drift.finding import Finding, way_of
from agreements.drift.flows import surge, unused_flow
from agreements.drift.items import unmet_conditions, useless_items
from agreements.drift.refusals import refusals, uncovered
from agreements.drift.traffic import Traffic, WayTraffic
from agreements.rules import Rules

__all__ = ["Finding", "Traffic", "findings"]


def findings(
    traffic: Traffic, rules: Rules, *, at_us: int, since_us: int, unused: timedelta
) -> list[Finding]:
    """Return where traffic departs from the agreements that are in force at ``at_us``.

    ``traffic`` is that from ``since_us`` up to then; both in microseconds since the epoch.
    A flow is unused when it permitted nothing for ``unused``.
    """
    found: list[Finding] = []
    live = {way_of(candidate): candidate for candidate in _live(rules, at_us)}
    for candidate in live.values():
        own = traffic.ways.get((way_of(candidate), candidate.version), WayTraffic())
        found += unused_flow(candidate, traffic, at_us=at_us, since_us=since_us, unused=unused)
        found += useless_items(candidate, own)
        found += unmet_conditions(candidate, own)
        found += surge(candidate, traffic, at_us=at_us)
    found += refusals(traffic, live)
    found += uncovered(traffic)
    return sorted(found, key=lambda one: (one.agreement, one.flow, one.recipient, one.code))


def _live(rules: Rules, at_us: int) -> Iterator[Candidate]:
    """Return the flows that may permit something at a moment."""
    for publisher, event_type in sorted({(c.publisher, c.event_type) for c in rules}):
        for candidate in rules.candidates(publisher, event_type, at=at_us):
            if (
                candidate.signed_from_us <= at_us < candidate.revoked_from_us
                and candidate.starts_at_us <= at_us < candidate.ends_at_us
            ):
                yield candidate

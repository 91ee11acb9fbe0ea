"""What went through each flow: counted once over the disclosures, of however many there are.

In memory is one tally for each way that data took, never a disclosure.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from broker.audit.disclosures import Disclosure


class Way(NamedTuple):
    """From whom to whom, under which flow of which text (``hash`` in hexadecimal)."""

    agreement: str
    hash: str
    flow: str
    publisher: str
    recipient: str


@dataclass(slots=True)
class Tally:
    """What was decided on one way. ``items`` counts how often each was disclosed."""

    outcomes: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    items: Counter[str] = field(default_factory=Counter)
    event_types: set[str] = field(default_factory=set)
    first: datetime | None = None
    last: datetime | None = None

    @property
    def shared(self) -> int:
        """How many disclosures there were."""
        return self.outcomes["permit"]

    def add(self, one: Disclosure) -> None:
        """Count one; ``first`` and ``last`` are of what was shared."""
        self.outcomes[one.outcome] += 1
        self.event_types.add(one.event_type)
        if not one.is_shared:
            self.reasons[one.reason] += 1
            return
        self.items.update(one.items)
        if self.first is None or one.decided_at < self.first:
            self.first = one.decided_at
        if self.last is None or one.decided_at > self.last:
            self.last = one.decided_at

    def to_json(self) -> dict[str, Any]:
        """Return the counts."""
        return {
            "shared": self.shared,
            "outcomes": dict(sorted(self.outcomes.items())),
            "reasons": dict(sorted(self.reasons.items())),
            "first": None if self.first is None else self.first.isoformat(),
            "last": None if self.last is None else self.last.isoformat(),
            "items": dict(sorted(self.items.items())),
        }


Traffic = dict[Way, Tally]


def counted(disclosures: Iterable[Disclosure]) -> Traffic:
    """Return what went each way; what no agreement named a recipient for is left out.

    So are notices, of which nothing went and which are due under agreements that have ended.
    """
    found: Traffic = {}
    for one in disclosures:
        if one.recipient and not one.is_notice:
            way = Way(one.agreement, one.hash, one.flow, one.publisher, one.recipient)
            tally = found.get(way)
            if tally is None:
                tally = found[way] = Tally()
            tally.add(one)
    return found

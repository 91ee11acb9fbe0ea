"""What the decision records of a time say of each flow, item, condition and type of event.

The figures that a report on drift is made of (`agreements.drifting`). Counts, codes,
paths and event ids as examples; never a value.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from agreements.gain_figures import PERMIT, Examples, Happened

_DAY_MS: Final = 86_400_000
_KEPT_KINDS: Final = 8192


class Way(NamedTuple):
    """One flow of an agreement, whatever its version, from a publisher to a recipient."""

    agreement: str
    flow: str
    publisher: str
    event_type: str
    recipient: str


class Why(NamedTuple):
    """Why nothing was shared: reason code and detail, as evidence has them."""

    outcome: str
    reason: str
    detail: str


@dataclass(slots=True)
class Refused:
    """Events that one reason kept back, and the last time (milliseconds) that it did."""

    events: Examples = field(default_factory=Examples)
    last_ms: int = 0


@dataclass(slots=True)
class WayTraffic:
    """What happened to events on one way under one version. Times in milliseconds.

    ``by_day`` counts permits by day since the epoch, UTC.
    """

    decided: int = 0
    permits: int = 0
    last_ms: int = 0
    last_permit_ms: int | None = None
    by_day: Counter[int] = field(default_factory=Counter)
    refused: dict[Why, Refused] = field(default_factory=dict)
    disclosed: Counter[str] = field(default_factory=Counter)
    withheld: dict[str, Counter[str]] = field(default_factory=dict)

    def add(self, one: Happened, alike: "_Alike") -> None:
        """Count events alike."""
        events = alike.events.events
        self.decided += events
        self.last_ms = max(self.last_ms, alike.last_ms)
        for path, reason in one.withheld:
            self.withheld.setdefault(path, Counter())[reason] += events
        if one.outcome == PERMIT:
            self.permits += events
            self.last_permit_ms = max(self.last_permit_ms or 0, alike.last_ms)
            self.by_day[alike.last_ms // _DAY_MS] += events
            self.disclosed.update(dict.fromkeys(one.items, events))
            return
        refused = self.refused.setdefault(Why(one.outcome, one.reason, one.detail), Refused())
        refused.events.add(alike.events)
        refused.last_ms = max(refused.last_ms, alike.last_ms)


@dataclass(slots=True)
class TypeTraffic:
    """Events of one publisher and type; ``nobody`` those that no agreement has a flow for."""

    events: int = 0
    last_ms: int = 0
    nobody: Refused = field(default_factory=Refused)


@dataclass(slots=True)
class _Alike:
    """Events of one day to which the same happened."""

    happened: Sequence[Happened]
    events: Examples = field(default_factory=Examples)
    last_ms: int = 0


class Traffic:
    """Adds up decision records; complete after `settle`."""

    def __init__(self) -> None:
        self.decisions = 0
        self.first_ms: int | None = None
        self.ways: dict[tuple[Way, int], WayTraffic] = {}
        """By way and version."""
        self.types: dict[tuple[str, str], TypeTraffic] = {}
        """By publisher and event type."""
        self._alike: dict[tuple[object, ...], _Alike] = {}

    def add(  # noqa: PLR0913  what a decision record says, by name
        self,
        event_id: str,
        *,
        publisher: str,
        event_type: str,
        decided_at_ms: int,
        candidates: Sequence[Happened],
        settles: bool,
    ) -> None:
        """Count one decision record."""
        # As in `agreements.gains`: events are only told apart here, by identity.
        key = (
            publisher, event_type, settles, decided_at_ms // _DAY_MS, *map(id, candidates),
        )  # fmt: skip
        alike = self._alike.get(key)
        if alike is None:
            if len(self._alike) >= _KEPT_KINDS:
                self.settle()
            alike = self._alike[key] = _Alike(tuple(candidates))
        alike.events.add_one(event_id)
        alike.last_ms = max(alike.last_ms, decided_at_ms)
        self.first_ms = min(self.first_ms or decided_at_ms, decided_at_ms)

    def settle(self) -> None:
        """Bring the figures up to date."""
        for (publisher, event_type, settles, *_), alike in self._alike.items():
            self._count(str(publisher), str(event_type), alike, settles=bool(settles))
        self._alike.clear()

    def _count(self, publisher: str, event_type: str, alike: _Alike, *, settles: bool) -> None:
        events = alike.events.events
        self.decisions += events
        for one in alike.happened:
            if one.recipient:
                way = Way(one.agreement, one.flow, publisher, event_type, one.recipient)
                self.ways.setdefault((way, one.version), WayTraffic()).add(one, alike)
        if settles:
            return  # a later word on events that were counted before
        kind = self.types.setdefault((publisher, event_type), TypeTraffic())
        kind.events += events
        kind.last_ms = max(kind.last_ms, alike.last_ms)
        if not any(one.recipient for one in alike.happened):
            kind.nobody.events.add(alike.events)
            kind.nobody.last_ms = max(kind.nobody.last_ms, alike.last_ms)

"""The figures of what a draft would change: of a flow, of a recipient, of a type of event.

Counts, paths, codes and event ids as examples; never a value. `agreements.gains` says
what is held against what.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from agreements.cutting import ABSENT
from agreements.deciding import Decision, Deny, Permit, Refusal
from agreements.trying import Obstacle, Tried
from agreements.views import Disclosure

EXAMPLES: Final = 5
"""Event ids kept of each thing that is told."""
_KEPT_PAIRS: Final = 512
PERMIT: Final = "permit"
HOLD: Final = "hold"
_DROP: Final = "drop"
UNTOLD: Final = str(Refusal.NO_AGREEMENT)
"""What happened to an event where the agreement had no flow for it."""

Items = tuple[str, ...]
Transforms = tuple[tuple[str, str], ...]


class Happened(NamedTuple):
    """What the decision record of an event says of one flow to one recipient."""

    agreement: str
    version: int
    flow: str
    recipient: str
    outcome: str
    reason: str
    detail: str
    items: Items
    transforms: Transforms
    withheld: Transforms


class Outcome(NamedTuple):
    """What the draft says of an event: one flow to one recipient.

    ``if_mended`` is the decision that would be, were the flow's obstacles gone.
    """

    tried: Tried
    decision: Decision
    if_mended: Decision | None


class Was(NamedTuple):
    """What a recipient really got under a flow: paths, and transforms by path."""

    items: Items
    transforms: Transforms


@dataclass(slots=True)
class Examples:
    """A number, and the first events that make it up."""

    events: int = 0
    ids: list[str] = field(default_factory=list)

    def add(self, event_id: str) -> None:
        """Count one event."""
        self.events += 1
        if len(self.ids) < EXAMPLES:
            self.ids.append(event_id)


@dataclass(slots=True)
class ItemFigures:
    """What became of one item, in deliveries under one flow to one recipient."""

    disclosed: int = 0
    new: int = 0
    gone: int = 0
    withheld: Counter[str] = field(default_factory=Counter)
    changed: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(transform as it was, transform as it would be), where both disclose the item."""


@dataclass(slots=True)
class FlowGains:
    """One flow to one recipient: how often it permitted, and would.

    ``views`` is how many deliveries the figures of ``items`` rest on. Reasons are keyed
    by reason code and detail.
    """

    flow: str
    recipient: str
    obstacles: tuple[Obstacle, ...] = ()
    permitted: int = 0
    would_permit: int = 0
    permits_if_mended: int = 0
    held: int = 0
    settled: int = 0
    gained: Examples = field(default_factory=Examples)
    lost: Examples = field(default_factory=Examples)
    gained_from: Counter[str] = field(default_factory=Counter)
    lost_to: Counter[str] = field(default_factory=Counter)
    refused: dict[tuple[str, str], Examples] = field(default_factory=dict)
    review: dict[tuple[str, str], Examples] = field(default_factory=dict)
    views: int = 0
    items: dict[str, ItemFigures] = field(default_factory=dict)
    _pairs: Counter[tuple[Was | None, Disclosure | None]] = field(default_factory=Counter)

    def add(self, event_id: str, happened: Happened | None, outcome: Outcome | None) -> None:
        """Count what happened to an event and what the draft says of it."""
        was = None
        if happened is not None and happened.outcome == PERMIT:
            was = Was(happened.items, happened.transforms)
            self.permitted += 1
        disclosure = None if outcome is None else self._take(event_id, outcome)
        if was is None and disclosure is not None:
            self.gained.add(event_id)
            self.gained_from[UNTOLD if happened is None else happened.reason] += 1
        elif was is not None and disclosure is None:
            self.lost.add(event_id)
            decision = None if outcome is None else outcome.decision
            self.lost_to[getattr(decision, "reason", UNTOLD)] += 1
        if was is not None or disclosure is not None:
            self._pairs[was, disclosure] += 1
            if len(self._pairs) >= _KEPT_PAIRS:
                self.settle()

    def _take(self, event_id: str, outcome: Outcome) -> Disclosure | None:
        self.obstacles = outcome.tried.obstacles
        if isinstance(outcome.if_mended, Permit):
            self.permits_if_mended += 1
        decision = outcome.decision
        if isinstance(decision, Permit):
            self.would_permit += 1
            return decision.cut.disclosure
        kept = self.refused if isinstance(decision, Deny) else self.review
        why = (str(decision.reason), decision.detail)
        kept.setdefault(why, Examples()).add(event_id)
        return None

    def settle(self) -> None:
        """Bring the figures of ``items`` up to date: those of like deliveries are made once."""
        for (was, disclosure), events in self._pairs.items():
            self._settle(was, disclosure, events)
        self._pairs.clear()

    def _settle(self, was: Was | None, disclosure: Disclosure | None, events: int) -> None:
        before = dict.fromkeys(was.items, "") | dict(was.transforms) if was else {}
        after: dict[str, str] = {}
        if disclosure is not None:
            self.views += events
            after = dict.fromkeys(disclosure.items, "") | dict(disclosure.transforms)
            for path, reason in disclosure.withheld:
                self._item(path).withheld[reason] += events
        after = {path: how for path, how in after.items() if how != _DROP}
        before = {path: how for path, how in before.items() if how != _DROP}
        for path, how in after.items():
            item = self._item(path)
            item.disclosed += events
            if path not in before:
                item.new += events
            elif before[path] != how:
                item.changed[before[path], how] += events
        for path in before.keys() - after.keys():
            self._item(path).gone += events

    def _item(self, path: str) -> ItemFigures:
        return self.items.setdefault(path, ItemFigures())

    @property
    def still_held(self) -> int:
        """Events that were held and of which it is not known what became."""
        return max(0, self.held - self.settled)

    @property
    def never_present(self) -> list[str]:
        """The items that no event had, of those that the flow lists; by path."""
        return sorted(
            path
            for path, item in self.items.items()
            if self.views and not item.disclosed and set(item.withheld) == {ABSENT}
        )


@dataclass(slots=True)
class RecipientGains:
    """What would change for one recipient, whatever the flow.

    ``first`` counts events of which it gets something and got nothing, under any
    agreement; ``last`` those of which it would get nothing any longer. ``new_items``
    counts the events of which it would come to know an item by no matter what agreement.
    """

    gained: int = 0
    lost: int = 0
    kept: int = 0
    first: Examples = field(default_factory=Examples)
    last: Examples = field(default_factory=Examples)
    new_items: Counter[str] = field(default_factory=Counter)
    gone_items: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class TypeGains:
    """The events of one publisher and type: who has a flow for them at all."""

    events: int = 0
    nobody: Examples = field(default_factory=Examples)
    """No agreement names a recipient, and the draft names none either."""
    newly_covered: int = 0
    no_longer_covered: int = 0

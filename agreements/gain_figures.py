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
PERMIT: Final = "permit"
HOLD: Final = "hold"
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


@dataclass(slots=True)
class Examples:
    """A number of events, and the ids of the first of them."""

    events: int = 0
    ids: list[str] = field(default_factory=list)

    def add(self, others: "Examples") -> None:
        """Count others with these."""
        self.events += others.events
        self.ids += others.ids[: EXAMPLES - len(self.ids)]

    def add_one(self, event_id: str) -> None:
        """Count one more."""
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

    ``views`` is how many deliveries the figures of ``items`` rest on: where obstacles keep
    all back, those that would be made without them tell what would be withheld. Reasons are keyed
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

    def add(self, alike: Examples, happened: Happened | None, outcome: Outcome | None) -> None:
        """Count events alike: what happened to them, and what the draft says of them."""
        events = alike.events
        was = happened if happened is not None and happened.outcome == PERMIT else None
        self.permitted += events if was is not None else 0
        disclosure = None if outcome is None else self._take(alike, outcome)
        if was is None and disclosure is not None:
            self.gained.add(alike)
            self.gained_from[UNTOLD if happened is None else happened.reason] += events
        elif was is not None and disclosure is None:
            self.lost.add(alike)
            decision = None if outcome is None else outcome.decision
            self.lost_to[getattr(decision, "reason", UNTOLD)] += events
        self._count_items(was, disclosure, events)

    def _take(self, alike: Examples, outcome: Outcome) -> Disclosure | None:
        self.obstacles = outcome.tried.obstacles
        decision, if_mended = outcome.decision, outcome.if_mended
        if isinstance(if_mended, Permit):
            self.permits_if_mended += alike.events
            self._count_withheld(if_mended.cut.disclosure, alike.events)
        if isinstance(decision, Permit):
            self.would_permit += alike.events
            return decision.cut.disclosure
        kept = self.refused if isinstance(decision, Deny) else self.review
        why = (str(decision.reason), decision.detail)
        kept.setdefault(why, Examples()).add(alike)
        return None

    def _count_items(
        self, was: Happened | None, disclosure: Disclosure | None, events: int
    ) -> None:
        before = {} if was is None else _shown(was.items, was.transforms)
        after: dict[str, str] = {}
        if disclosure is not None:
            self._count_withheld(disclosure, events)
            after = _shown(disclosure.items, disclosure.transforms)
        for path, how in after.items():
            item = self._item(path)
            item.disclosed += events
            if path not in before:
                item.new += events
            elif before[path] != how:
                item.changed[before[path], how] += events
        for path in before.keys() - after.keys():
            self._item(path).gone += events

    def _count_withheld(self, disclosure: Disclosure, events: int) -> None:
        self.views += events
        for path, reason in disclosure.withheld:
            self._item(path).withheld[reason] += events

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
            path for path, item in self.items.items() if item.withheld[ABSENT] == self.views > 0
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


def _shown(items: Items, transforms: Transforms) -> dict[str, str]:
    """Return each item that was disclosed with its transform, empty for none."""
    how = dict(transforms)
    return {path: how.get(path, "") for path in items}

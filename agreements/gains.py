"""What a draft would change: its decisions on past events beside what really happened.

The unit is that of a decision: one flow to one recipient. A draft is held against what
the same agreement did (or the one that it supersedes); what reaches a recipient under
other agreements stays as it is, and tells only what would be new to the recipient.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from agreements.deciding import Permit
from agreements.gain_figures import (
    HOLD,
    PERMIT,
    Examples,
    FlowGains,
    Happened,
    Outcome,
    RecipientGains,
    TypeGains,
)
from agreements.model import Agreement

_KEPT_KINDS: Final = 4096

_Place = tuple[str, str]
"""Publisher and event type."""
_Way = tuple[str, str]
"""Flow and recipient."""


@dataclass(frozen=True, slots=True)
class _Alike:
    """Events to which the same happened and of which the draft says the same."""

    place: _Place
    happened: Sequence[Happened]
    outcomes: Sequence[Outcome]
    settles: bool
    events: Examples = field(default_factory=Examples)


class Gains:
    """Adds up what a draft would change; the figures are complete after `settle`."""

    def __init__(self, draft: Agreement) -> None:
        supersedes = {draft.supersedes.uri} if draft.supersedes is not None else set()
        self.compared_with: Final = frozenset({draft.id} | supersedes)
        self.versions: Counter[tuple[str, int]] = Counter()
        self.events = 0
        self.flows: dict[_Way, FlowGains] = {
            (flow.id, recipient): FlowGains(flow.id, recipient)
            for flow in draft.flows
            for recipient in flow.to
            if set(flow.from_) - {recipient}
        }
        self.recipients: dict[str, RecipientGains] = {}
        self.types: dict[_Place, TypeGains] = {}
        self._alike: dict[tuple[object, ...], _Alike] = {}

    def add(
        self,
        event_id: str,
        place: _Place,
        happened: Sequence[Happened],
        outcomes: Sequence[Outcome],
        *,
        settles: bool = False,
    ) -> None:
        """Count one event of a publisher and type.

        What was held is compared when it is settled: ``settles`` says that this is the
        later record of an event that was counted before, about what was held alone.
        """
        # Hot path: what happens to events is much alike, so they are only told apart here.
        # By identity, which is safe: what is kept keeps every object that the key is of.
        key = (place, settles, *map(id, happened), *map(_mark, outcomes))
        alike = self._alike.get(key)
        if alike is None:
            if len(self._alike) >= _KEPT_KINDS:
                self.settle()
            alike = self._alike[key] = _Alike(place, tuple(happened), tuple(outcomes), settles)
        alike.events.add_one(event_id)

    def replaces(self, happened: Sequence[Happened]) -> bool:
        """Whether the draft would take the place of something that happened."""
        return any(one.agreement in self.compared_with for one in happened)

    def settle(self) -> None:
        """Bring the figures up to date."""
        for alike in self._alike.values():
            self._count(alike)
        self._alike.clear()

    def _count(self, alike: _Alike) -> None:
        events = alike.events.events
        was: dict[_Way, Happened] = {}
        for one in alike.happened:
            if one.agreement in self.compared_with:
                self.versions[one.agreement, one.version] += events
                way = (one.flow, one.recipient)
                if way not in was or one.outcome == PERMIT:
                    was[way] = one
        would = {
            (one.tried.candidate.flow.id, one.tried.candidate.recipient): one
            for one in alike.outcomes
        }
        if alike.settles:
            would = {way: one for way, one in would.items() if way in was}
            for way in was:
                self._flow(way).settled += events
        else:
            self.events += events
            self._count_type(alike, would)
        changed = {
            way[1]
            for way in dict.fromkeys((*was, *would))
            if self._count_flow(alike.events, was.get(way), would.get(way), way)
        }
        for recipient in sorted(changed):
            self._count_recipient(alike, recipient, would.values())

    def _count_flow(
        self, alike: Examples, happened: Happened | None, outcome: Outcome | None, way: _Way
    ) -> bool:
        """Count one flow to one recipient; return whether the recipient gets something else."""
        flow = self._flow(way)
        if happened is not None and happened.outcome == HOLD:
            flow.held += alike.events
            return False
        flow.add(alike, happened, outcome)
        got = happened is not None and happened.outcome == PERMIT
        decision = None if outcome is None else outcome.decision
        gets = isinstance(decision, Permit)
        if not got and not gets:
            return False
        recipient = self._recipient(way[1])
        if got and isinstance(decision, Permit):
            recipient.kept += alike.events
            return happened is not None and happened.items != decision.items
        recipient.gained += alike.events if gets else 0
        recipient.lost += alike.events if got else 0
        return True

    def _count_recipient(self, alike: _Alike, recipient: str, outcomes: Iterable[Outcome]) -> None:
        """Count what is new to a recipient or no longer known to it, all agreements together."""
        before: set[str] = set()
        after: set[str] = set()
        got = gets = False
        for one in alike.happened:
            if one.recipient == recipient and one.outcome == PERMIT:
                got = True
                before.update(one.items)
                if one.agreement not in self.compared_with:
                    gets = True
                    after.update(one.items)
        for outcome in outcomes:
            decision = outcome.decision
            if isinstance(decision, Permit) and decision.candidate.recipient == recipient:
                gets = True
                after.update(decision.items)
        told, events = self._recipient(recipient), alike.events.events
        told.new_items.update(dict.fromkeys(after - before, events))
        told.gone_items.update(dict.fromkeys(before - after, events))
        if gets and not got:
            told.first.add(alike.events)
        if got and not gets:
            told.last.add(alike.events)

    def _count_type(self, alike: _Alike, would: Mapping[_Way, Outcome]) -> None:
        kind = self.types.setdefault(alike.place, TypeGains())
        events, named = alike.events.events, [one for one in alike.happened if one.recipient]
        kind.events += events
        is_covered = bool(would) or any(one.agreement not in self.compared_with for one in named)
        if not named and not is_covered:
            kind.nobody.add(alike.events)
        kind.newly_covered += 0 if named or not is_covered else events
        kind.no_longer_covered += events if named and not is_covered else 0

    def _flow(self, way: _Way) -> FlowGains:
        return self.flows.setdefault(way, FlowGains(*way))

    def _recipient(self, recipient: str) -> RecipientGains:
        return self.recipients.setdefault(recipient, RecipientGains())


def _mark(outcome: Outcome) -> tuple[object, ...]:
    """Return what two outcomes must have in common to be counted as one."""
    return (
        id(outcome.tried),
        *(
            id(decision.cut.disclosure) if isinstance(decision, Permit) else decision
            for decision in (outcome.decision, outcome.if_mended)
        ),
    )

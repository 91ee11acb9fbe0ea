"""What a draft would change: its decisions on past events beside what really happened.

The unit is that of a decision: one flow to one recipient. A draft is held against what
the same agreement did (or the one that it supersedes); what reaches a recipient under
other agreements stays as it is, and tells only what would be new to the recipient.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from agreements.deciding import Permit
from agreements.gain_figures import (
    HOLD,
    PERMIT,
    FlowGains,
    Happened,
    Outcome,
    RecipientGains,
    TypeGains,
)
from agreements.model import Agreement


class Gains:
    """Adds up what a draft would change."""

    def __init__(self, draft: Agreement) -> None:
        supersedes = {draft.supersedes.uri} if draft.supersedes is not None else set()
        self.compared_with: Final = frozenset({draft.id} | supersedes)
        self.versions: Counter[tuple[str, int]] = Counter()
        self.events = 0
        self.flows: dict[tuple[str, str], FlowGains] = {
            (flow.id, recipient): FlowGains(flow.id, recipient)
            for flow in draft.flows
            for recipient in flow.to
            if set(flow.from_) - {recipient}
        }
        self.recipients: dict[str, RecipientGains] = {}
        self.types: dict[tuple[str, str], TypeGains] = {}

    def add(
        self,
        event_id: str,
        place: tuple[str, str],
        happened: Sequence[Happened],
        outcomes: Iterable[Outcome],
        *,
        settles: bool = False,
    ) -> None:
        """Count one event of a publisher and type.

        What was held is compared when it is settled: ``settles`` says that this is the
        later record of an event that was counted before, about what was held alone.
        """
        was: dict[tuple[str, str], Happened] = {}
        for one in happened:
            if one.agreement in self.compared_with:
                self.versions[one.agreement, one.version] += 1
                key = (one.flow, one.recipient)
                if key not in was or one.outcome == PERMIT:
                    was[key] = one
        would = {
            (one.tried.candidate.flow.id, one.tried.candidate.recipient): one for one in outcomes
        }
        keys = dict.fromkeys((*was, *would))
        if settles:
            keys = dict.fromkeys(was)
            for key in keys:
                self._flow(key).settled += 1
        else:
            self.events += 1
            self._count_type(event_id, place, happened, would)
        changed: set[str] = set()
        for key in keys:
            if self._count_flow(event_id, was.get(key), would.get(key), key):
                changed.add(key[1])
        for recipient in changed:
            self._count_recipient(event_id, recipient, happened, would.values())

    def _count_flow(
        self,
        event_id: str,
        happened: Happened | None,
        outcome: Outcome | None,
        key: tuple[str, str],
    ) -> bool:
        """Count one flow to one recipient; return whether the recipient gets something else."""
        flow = self._flow(key)
        if happened is not None and happened.outcome == HOLD:
            flow.held += 1
            return False
        flow.add(event_id, happened, outcome)
        got = happened is not None and happened.outcome == PERMIT
        decision = None if outcome is None else outcome.decision
        gets = isinstance(decision, Permit)
        if not got and not gets:
            return False
        recipient = self._recipient(key[1])
        if got and isinstance(decision, Permit):
            recipient.kept += 1
            return happened is not None and happened.items != decision.items
        recipient.gained += gets
        recipient.lost += got
        return True

    def _count_recipient(
        self,
        event_id: str,
        recipient: str,
        happened: Sequence[Happened],
        outcomes: Iterable[Outcome],
    ) -> None:
        """Count what is new to a recipient or no longer known to it, all agreements together."""
        before: set[str] = set()
        after: set[str] = set()
        got = gets = False
        for one in happened:
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
        told = self._recipient(recipient)
        told.new_items.update(after - before)
        told.gone_items.update(before - after)
        if gets and not got:
            told.first.add(event_id)
        if got and not gets:
            told.last.add(event_id)

    def _count_type(
        self,
        event_id: str,
        place: tuple[str, str],
        happened: Sequence[Happened],
        would: dict[tuple[str, str], Outcome],
    ) -> None:
        kind = self.types.setdefault(place, TypeGains())
        kind.events += 1
        was_covered = any(one.recipient for one in happened)
        others = any(one.recipient and one.agreement not in self.compared_with for one in happened)
        is_covered = others or bool(would)
        if not is_covered and not was_covered:
            kind.nobody.add(event_id)
        kind.newly_covered += is_covered and not was_covered
        kind.no_longer_covered += was_covered and not is_covered

    def _flow(self, key: tuple[str, str]) -> FlowGains:
        return self.flows.setdefault(key, FlowGains(*key))

    def _recipient(self, recipient: str) -> RecipientGains:
        return self.recipients.setdefault(recipient, RecipientGains())

"""Settle what a suspension held: what becomes of it once the suspension has ended.

* lifted with ``release``: decided now, under today's rules, as if it came today;
* lifted with ``purge``: denied;
* not lifted before its limit: as the agreement says, denied or put before a person.

As in `routing`, no I/O and no clock: copies and a snapshot of the rules in, outgoing
records out, each with a decision record that names the held copy. Nothing is left out:
what does not open goes to quarantine, what has to wait longer goes back on ``held``.
"""

from collections.abc import Callable
from functools import partial
from typing import Final

from agreements.candidates import Candidate, Suspended
from agreements.deciding import NO_CANDIDATE, Decision, Deny, Refusal, Review, decide
from agreements.opened import OpenedEvent
from agreements.rules import Rules
from broker.accepted import AcceptedIds, record_of, short_id
from broker.control import Snapshot
from broker.holding import HELD, Held, waits_for
from broker.opening import InHand, code_of
from broker.recording import names_only, settles_part
from broker.routing import Context, Replayed, Routed, Router
from connectors.streams import Batch, Outgoing, Record


class Settler:
    """Settles batches of ``held``, one suspension at a time.

    Keeps which copies have been settled, so that one that was copied settles once.
    """

    def __init__(self, router: Router) -> None:
        self.accepted = AcceptedIds()
        self.copies: Final = router.copies
        self._router = router

    def settle(  # noqa: PLR0913  what is settled, by which rules and when
        self,
        batch: Batch,
        suspension: str,
        snapshot: Snapshot,
        *,
        at_ms: int,
        partitions: int | None,
        settled_before: int = 0,
    ) -> Routed:
        """Settle what a batch has of a suspension that has ended; pass over what is another's.

        ``at_ms`` in milliseconds since the epoch, UTC; ``partitions`` is how many ``held``
        has, None to settle again what was settled (as `Router.route` has it). What lies
        before ``settled_before`` is settled.
        """
        self._router.take(snapshot.rules)
        settled = Routed()
        last: Record | None = None
        for record in batch.records:
            waits = waits_for(record)
            if waits is None or waits[0] != suspension or record.offset < settled_before:
                continue
            last = record
            try:
                self._settle(record, snapshot, settled, at_ms=at_ms, partitions=partitions)
            except Exception as error:  # noqa: BLE001  whatever a record triggers, the stream goes on
                code = code_of(error)
                settled.outgoing.append(self._router.quarantine(record, code))
                settled.tally[f"quarantine:{code}"] += 1
        if settled.accepted:
            settled.outgoing.append(record_of(batch.topic, batch.partition, settled.accepted))
        if last is not None:
            mark = self.copies.mark(suspension, last, before=batch.next_offset)
            settled.outgoing.append(mark)
        return settled

    def _settle(
        self,
        record: Record,
        snapshot: Snapshot,
        settled: Routed,
        *,
        at_ms: int,
        partitions: int | None,
    ) -> None:
        held = self.copies.open(record, partitions=partitions)
        at_us = at_ms * 1000
        suspended = snapshot.rules.suspensions().get(held.suspension)
        settle = _settlement(suspended, held, at_us)
        if settle is None:
            # By another version's limit it waits longer than what is settled with it.
            settled.outgoing.append(Outgoing(HELD, record.key, record.value, record.headers))
            settled.tally["held"] += 1
            return
        event = InHand(held.event)
        event.envelope, event.verified, event.opened = self._router.open(held.event, at_us=at_us)
        candidate = _candidate(snapshot.rules, held, event.opened, at_us)
        event.decisions = [settle(event.opened, candidate, at_us)]
        self._router.conclude(
            event,
            Context.of(held.event.topic, held.event.partition, snapshot, at_ms=at_ms),
            settles=settles_part(
                held.suspension,
                decided_at_ms=held.decided_at_us // 1000,
                partition=record.partition,
                offset=record.offset,
            ),
            nobody=names_only(held.recipient, held.agreement, held.version, held.flow),
        )
        short = short_id(event.opened.publisher, held.identity)
        if not self.accepted.claim(short):
            raise Replayed("expected a held event that was not settled before")
        settled.outgoing += event.outgoing
        settled.accepted.append(short)
        settled.tally["settled"] += 1
        for outcome in event.outcomes:
            settled.tally[outcome] += 1


_Settlement = Callable[[OpenedEvent, Candidate | None, int], Decision]


def _settlement(suspended: Suspended | None, held: Held, at_us: int) -> _Settlement | None:
    """Return how to decide on what was held; None as long as it has to wait.

    What comes first counts: being lifted, or the limit.
    """
    if suspended is not None and suspended.until_us <= at_us:
        if suspended.until_us < held.until_us:
            return _release if suspended.held == "release" else partial(_purge, held)
    elif at_us < held.until_us:
        return None
    return partial(_after_limit, held, "review" if suspended is None else suspended.then)


def _release(event: OpenedEvent, candidate: Candidate | None, at_us: int) -> Decision:
    return NO_CANDIDATE if candidate is None else decide(event, candidate, at=at_us)


def _purge(held: Held, _event: OpenedEvent, candidate: Candidate | None, _at_us: int) -> Decision:
    return Deny(candidate, Refusal.PURGED, held.suspension)


def _after_limit(
    held: Held, then: str, event: OpenedEvent, candidate: Candidate | None, at_us: int
) -> Decision:
    """Decide as the agreement says of what nobody released; a refusal of today goes first."""
    if candidate is None:
        return NO_CANDIDATE
    today = decide(event, candidate, at=at_us)
    if isinstance(today, Deny):
        return today
    kind = Review if then == "review" else Deny
    return kind(candidate, Refusal.SUSPENDED, held.suspension)


def _candidate(rules: Rules, held: Held, event: OpenedEvent, at_us: int) -> Candidate | None:
    """Return the flow that the event was held for, in the version that the pair runs under now.

    Where a later version has no such flow any more it is the version of then, which is
    refused as superseded.
    """
    place = (event.publisher, event.type.name)
    today = [one for one in rules.candidates(*place, at=at_us) if _is_of(one, held)]
    former = [one for one in rules.candidates(*place) if _is_of(one, held)]
    same = [one for one in former if one.version == held.version]
    return next(iter((*today, *same, *former)), None)


def _is_of(candidate: Candidate, held: Held) -> bool:
    return (candidate.recipient, candidate.agreement_id, candidate.flow.id) == (
        held.recipient,
        held.agreement,
        held.flow,
    )

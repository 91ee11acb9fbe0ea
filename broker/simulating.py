"""Run a draft over past events, and hold what it would have shared against what was shared.

The decision records lead: each names its event, the time it was decided at and how much
of ``control`` was known then. The sealed event is read from where it lies, opened and
verified by the router's own code, and decided by the engine under the draft
(`agreements.trying`), at that time and with what was known then. Nothing is written
anywhere and no group's offsets move; of an event, its id and counts leave this module.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final

from agreements.deciding import decide
from agreements.gain_figures import Outcome
from agreements.gains import Gains
from agreements.opened import OpenedEvent
from agreements.rules import Rules
from agreements.trying import Trial, Tried, bears_on_a_draft
from broker.control import TOPIC as CONTROL
from broker.opening import EVENTS, Opening
from broker.past import Decided, EventReader, Told, decided
from broker.periods import Period
from broker.routing import QUARANTINE
from connectors.streams import Record, Streams

_AT_ONCE: Final = 64
"""Events that are fetched before they are opened: what opens them stays in the caches."""

Documents = Sequence[tuple[int, bytes, bytes]]
"""Offset on ``control``, key and value."""


@dataclass(slots=True)
class Simulation:
    """What came of it: ``gains`` has the comparison, the rest is what could not be compared.

    ``unopenable`` counts events that were decided and no longer open, by reason;
    ``quarantined`` those that the router did not accept, by reason; ``not_held`` those
    that the streams hold no longer; ``waiting`` those that are not decided yet;
    ``unreadable`` is what lies among the decisions and is none. Times are those of the
    first and the last decision, in milliseconds.
    """

    gains: Gains
    not_in_scheme: tuple[str, ...] = ()
    unopenable: Counter[str] = field(default_factory=Counter)
    quarantined: Counter[str] = field(default_factory=Counter)
    not_held: int = 0
    waiting: int = 0
    unreadable: int = 0
    first_ms: int | None = None
    last_ms: int | None = None


async def simulate(  # noqa: PLR0913  where, what, with which code, when, and who is told
    streams: Streams,
    new_trial: Callable[[], Trial],
    opening: Opening,
    *,
    period: Period,
    group: str,
    told: Told | None = None,
) -> Simulation:
    """Simulate the draft of ``new_trial`` on its publishers' events, and what it would replace.

    ``opening`` is one as a router has; ``group`` the group of the routers in service, to
    tell how much they have still to decide.
    """
    documents = await _documents(streams)
    known = _Known(documents, new_trial)
    trial = known.at(_ALL)
    publishers = {party for flow in trial.draft.flows for party in flow.from_}
    topics = sorted({EVENTS + party for party in publishers} & (await streams.topics()).keys())
    simulation = Simulation(Gains(trial.draft), _strangers(trial))
    run = _Run(simulation, known, opening, EventReader(streams))
    # What it would take the place of may have had other publishers than the draft has.
    naming = [*topics, *simulation.gains.compared_with]
    reading = decided(streams, period, naming=naming, told=told, on_unreadable=run.count_unreadable)
    try:
        async with aclosing(reading) as decisions:
            async for decision in decisions:
                if decision.topic in topics or simulation.gains.replaces(decision.candidates):
                    await run.take(decision)
        run.decide()
        simulation.gains.settle()
    finally:
        await run.events.close()
    simulation.quarantined = await _quarantined(streams, topics, period)
    simulation.waiting = await streams.lag(group, topics) if topics else 0
    return simulation


class _Run:
    """Takes decisions as they come, and simulates a few dozen together."""

    def __init__(
        self, simulation: Simulation, known: "_Known", opening: Opening, events: EventReader
    ) -> None:
        self.events = events
        self._simulation = simulation
        self._known = known
        self._opening = opening
        self._rules: Rules | None = None
        self._waiting: list[tuple[Decided, Record]] = []

    def count_unreadable(self) -> None:
        """Count what lies among the decisions and is none."""
        self._simulation.unreadable += 1

    async def take(self, decision: Decided) -> None:
        """Count what the draft has no part in; fetch the event of any other decision.

        When there are enough of those, or the next is of another time, they are decided.
        """
        if not self._known.concerns(decision):
            self._count(decision, ())
            return
        event = await self.events.at(decision.topic, decision.partition, decision.offset)
        if event is None:
            self._simulation.not_held += 1
            return
        waiting = self._waiting
        # Objections count at once for all that has not been decided, so rules end a lot too.
        if waiting and (len(waiting) >= _AT_ONCE or _batch(waiting[0][0]) != _batch(decision)):
            self.decide()
        waiting.append((decision, event))

    def decide(self) -> None:
        """Simulate what has been taken: events of one topic, all decided at one time."""
        if not self._waiting:
            return
        first = self._waiting[0][0]
        trial, at_us = self._known.at(first.rules), first.decided_at_ms * 1000
        if trial.rules is not self._rules:
            self._rules = trial.rules
            self._opening.take(trial.rules)
        records = [event for _, event in self._waiting]
        opened = self._opening.open_all(records, topic=first.topic, at_us=at_us)
        for (decision, _), found in zip(self._waiting, opened, strict=True):
            if found.code:
                self._simulation.unopenable[found.code] += 1
                continue
            if found.envelope.id != decision.event_id:
                self._simulation.not_held += 1  # the topic was made anew: its places are others
                continue
            tried = trial.candidates(found.opened.publisher, found.opened.type.name)
            self._count(decision, _outcomes(found.opened, tried, at_us=at_us))
        self._waiting.clear()

    def _count(self, decision: Decided, outcomes: Sequence[Outcome]) -> None:
        simulation, at_ms = self._simulation, decision.decided_at_ms
        if simulation.first_ms is None or simulation.last_ms is None:
            simulation.first_ms = simulation.last_ms = at_ms
        simulation.first_ms = min(simulation.first_ms, at_ms)
        simulation.last_ms = max(simulation.last_ms, at_ms)
        simulation.gains.add(
            decision.event_id,
            (decision.publisher, decision.event_type),
            decision.candidates,
            outcomes,
            settles=decision.settles,
        )


def _batch(decision: Decided) -> tuple[str, int, int]:
    return decision.topic, decision.decided_at_ms, decision.rules


def _outcomes(opened: OpenedEvent, found: Sequence[Tried], *, at_us: int) -> list[Outcome]:
    return [
        Outcome(
            tried,
            decide(opened, tried.candidate, at=at_us),
            None if tried.mended is None else decide(opened, tried.mended, at=at_us),
        )
        for tried in found
    ]


class _Known:
    """What was known of parties and objections, from one decision to the next.

    Decisions of a partition follow one another in time, so it is mostly a step onwards;
    where it is not, it begins anew.
    """

    def __init__(self, documents: Documents, new_trial: Callable[[], Trial]) -> None:
        self._documents = documents
        self._new_trial = new_trial
        self._trial = new_trial()
        self._next = 0
        self._from = self._before = 0
        self._places = {
            (publisher, event_type)
            for flow in self._trial.draft.flows
            for publisher in flow.from_
            for event_type in flow.events
        }

    def concerns(self, decision: Decided) -> bool:
        """Whether the draft has a flow for an event of this publisher and type."""
        return (decision.publisher, decision.event_type) in self._places

    def at(self, position: int) -> Trial:
        """Return the draft among what ``control`` said before a position."""
        if self._from <= position <= self._before:
            return self._trial
        if position < self._from:
            self._trial, self._next = self._new_trial(), 0
        documents = self._documents
        # One after another: several may go by one key, and each must be seen.
        while self._next < len(documents) and documents[self._next][0] < position:
            _, key, value = documents[self._next]
            self._trial.apply({key: value})
            self._next += 1
        self._from = documents[self._next - 1][0] + 1 if self._next else 0
        self._before = documents[self._next][0] if self._next < len(documents) else _ALL
        return self._trial


_ALL: Final = 2**62
"""Past every position on ``control``."""


async def _documents(streams: Streams) -> Documents:
    return [
        (record.offset, record.key, record.value)
        async for record in streams.read(CONTROL)
        if record.key is not None and record.value is not None and bears_on_a_draft(record.key)
    ]


def _strangers(trial: Trial) -> tuple[str, ...]:
    """Return the draft's parties that the scheme does not know."""
    return tuple(sorted({p.id for p in trial.draft.parties} - trial.rules.parties.keys()))


async def _quarantined(streams: Streams, topics: Sequence[str], period: Period) -> Counter[str]:
    """Count what could not be accepted from these topics, by reason."""
    found: Counter[str] = Counter()
    first_ms, end_ms = period.to_ms()
    async for record in streams.read(QUARANTINE):
        headers = dict(record.headers)
        topic = headers.get("place", b"").decode(errors="replace").rsplit("/", 2)[0]
        if topic in topics and first_ms <= record.timestamp_ms < end_ms:
            found[headers.get("reason", b"").decode(errors="replace")] += 1
    return found

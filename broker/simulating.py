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
from agreements.trying import Trial, Tried, bears_on_a_draft
from broker.control import TOPIC as CONTROL
from broker.past import Decided, EventReader, Told, decided
from broker.periods import Period
from broker.routing import EVENTS, QUARANTINE, Router
from connectors.streams import Record, Streams
from schemas.errors import RejectedInput

_AT_ONCE: Final = 64
"""Events that are fetched before they are opened: what opens them stays in the caches."""

Documents = Sequence[tuple[int, bytes, bytes]]
"""Offset on ``control``, key and value."""


@dataclass(slots=True)
class Simulation:
    """What came of it: ``gains`` has the comparison, the rest is what could not be compared.

    ``unopenable`` counts events that were decided and no longer open, by reason;
    ``quarantined`` those that the router did not accept, by reason; ``not_held`` those
    that the streams hold no longer; ``waiting`` those that are not decided yet. Times
    are those of the first and the last decision, in milliseconds.
    """

    gains: Gains
    not_in_scheme: tuple[str, ...] = ()
    unopenable: Counter[str] = field(default_factory=Counter)
    quarantined: Counter[str] = field(default_factory=Counter)
    not_held: int = 0
    waiting: int = 0
    first_ms: int | None = None
    last_ms: int | None = None


async def simulate(  # noqa: PLR0913  where, what, with which code, when, and who is told
    streams: Streams,
    new_trial: Callable[[], Trial],
    router: Router,
    *,
    period: Period,
    group: str,
    told: Told | None = None,
) -> Simulation:
    """Simulate the draft of ``new_trial`` on the events of its publishers.

    ``router`` opens events and routes nothing; ``group`` is the group of the routers in
    service, to tell how much they have still to decide.
    """
    documents = await _documents(streams)
    known = _Known(documents, new_trial)
    trial = known.at(_ALL)
    publishers = {party for flow in trial.draft.flows for party in flow.from_}
    topics = sorted({EVENTS + party for party in publishers} & (await streams.topics()).keys())
    simulation = Simulation(Gains(trial.draft), _strangers(trial))
    run = _Run(simulation, known, router, EventReader(streams))
    try:
        async with aclosing(decided(streams, period, topics=topics, told=told)) as decisions:
            async for decision in decisions:
                await run.take(decision)
        run.decide()
    finally:
        await run.events.close()
    simulation.quarantined = await _quarantined(streams, topics, period)
    simulation.waiting = await streams.lag(group, topics) if topics else 0
    return simulation


class _Run:
    """Takes decisions as they come, and simulates a few dozen together."""

    def __init__(
        self, simulation: Simulation, known: "_Known", router: Router, events: EventReader
    ) -> None:
        self.events = events
        self._simulation = simulation
        self._known = known
        self._router = router
        self._taken: list[tuple[Decided, Record | None]] = []

    async def take(self, decision: Decided) -> None:
        """Fetch the event of a decision, if the draft concerns it."""
        event = None
        if self._known.concerns(decision):
            if not self._known.is_at(decision.rules):
                self.decide()  # objections count at once, also for events that wait here
            event = await self.events.at(decision.topic, decision.partition, decision.offset)
            if event is None:
                self._simulation.not_held += 1
                return
            self._known.at(decision.rules)
        self._taken.append((decision, event))
        if len(self._taken) >= _AT_ONCE:
            self.decide()

    def decide(self) -> None:
        """Simulate what has been taken."""
        simulation = self._simulation
        opened = [self._open(decision, event) for decision, event in self._taken]
        for (decision, event), found in zip(self._taken, opened, strict=True):
            if event is not None and found is None:
                continue
            at_ms = decision.decided_at_ms
            simulation.first_ms = min(simulation.first_ms or at_ms, at_ms)
            simulation.last_ms = max(simulation.last_ms or at_ms, at_ms)
            outcomes = () if found is None else _outcomes(*found, at_us=at_ms * 1000)
            simulation.gains.add(
                decision.event_id,
                (decision.publisher, decision.event_type),
                decision.candidates,
                outcomes,
                settles=decision.settles,
            )
        self._taken.clear()

    def _open(
        self, decision: Decided, event: Record | None
    ) -> tuple[OpenedEvent, Sequence[Tried]] | None:
        """Open an event with what was known when it was decided; None when it does not open."""
        if event is None:
            return None
        trial = self._known.at(decision.rules)
        self._router.take(trial.rules)
        try:
            opened = self._router.open(event, at_us=decision.decided_at_ms * 1000).opened
        except RejectedInput as error:
            self._simulation.unopenable[error.code] += 1
            return None
        return opened, trial.candidates(opened.publisher, opened.type.name)


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

    def is_at(self, position: int) -> bool:
        """Whether nothing has to be taken in, or forgotten, for this position."""
        return self._from <= position <= self._before

    def at(self, position: int) -> Trial:
        """Return the draft among what ``control`` said before a position."""
        if self.is_at(position):
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

"""Run a router: read batches, route them, commit each with its offsets in one transaction.

The loop owns the transactions and the clock; what an event becomes is decided
in `routing`, which knows neither. Batches of different partitions are in hand
together, so that one commits while the next is routed.
"""

import asyncio
import contextlib
import gc
import time
from collections import Counter
from collections.abc import Callable, Mapping

import structlog

from broker.accepted import TOPIC as ACCEPTED
from broker.control import ControlState, Snapshot
from broker.routing import DELIVERIES, EVENTS, Routed, Router
from broker.schemas_on_control import missing_schemas
from connectors.streams import Batch, Group, NotCommitted, Streams, StreamsUnavailable
from schemas.errors import ConfigurationError

IDLE_SECONDS = 0.25
"""How long a read waits before the loop looks at the parties and at the stop signal."""

_COLLECTING = (50_000, 20, 100)
"""How many new objects, and then younger collections, before Python looks for cycles."""

_TOPICS_OF = {"publisher": EVENTS, "recipient": DELIVERIES}
"""What the name of a party's topic begins with, by its role."""

log = structlog.get_logger()

Progress = Callable[[Counter[str]], None]


class RouterService:
    """One member of the router group, on whichever streams."""

    def __init__(  # noqa: PLR0913  the parts that a service is made of, by name
        self,
        streams: Streams,
        router: Router,
        control: ControlState,
        *,
        group: str = "router",
        max_records: int = 2000,
        session_seconds: float = 10.0,
        partitions: int = 4,
        progress: Progress | None = None,
    ) -> None:
        self._streams = streams
        self._router = router
        self._control = control
        self._group_name = group
        self._max_records = max_records
        self._session_seconds = session_seconds
        self._partitions = partitions
        self._progress = progress
        self._counts: Mapping[str, int] = {}
        self._seen: Snapshot | None = None
        self._needed: frozenset[tuple[str, str]] = frozenset()
        self._prepared: frozenset[tuple[str, str]] = frozenset()
        self._stopping = asyncio.Event()
        self._commits: set[asyncio.Task[None]] = set()
        self._latest: dict[tuple[str, int], asyncio.Task[None]] = {}
        self._failure: BaseException | None = None
        self.tally: Counter[str] = Counter()

    def stop(self) -> None:
        """End after the batches in hand are committed."""
        self._stopping.set()

    async def run(self, *, until_idle: bool = False) -> None:
        """Route until stopped or, with ``until_idle``, until nothing is left to route.

        Raises:
            ConfigurationError: ``control`` could not be followed any longer.

        """
        async with self._control.following(self._streams) as follower:
            calm_the_collector()
            await self._publish_schemas()
            log.info("router at work", group=self._group_name)
            while not self._stopping.is_set():
                topics = await self._prepare()
                if topics:
                    await self._route_topics(topics, follower, until_idle=until_idle)
                    return
                if until_idle:
                    return
                await self._pause(follower)

    async def _route_topics(
        self, topics: list[str], follower: asyncio.Task[None], *, until_idle: bool
    ) -> None:
        """Route until stopped; topics of parties that join are taken on."""
        async with self._streams.group(
            self._group_name,
            topics,
            max_records=self._max_records,
            on_assigned=self._on_assigned,
            session_timeout=self._session_seconds,
        ) as group:
            log.info("routing", topics=len(topics))
            while not self._stopping.is_set():
                batch = await group.next(IDLE_SECONDS)
                self._check(follower)
                if batch is not None:
                    await self._route(group, batch)
                elif until_idle and await self._is_idle(topics):
                    break
                if self._parties() != self._prepared:
                    topics = await self._take_on(group, topics)
            await self._settle()

    async def _take_on(self, group: Group, topics: list[str]) -> list[str]:
        """Hear the publishers that have joined; while the streams are away, at the next turn."""
        try:
            joined = await self._prepare()
            await group.subscribe(joined)
        except StreamsUnavailable as error:
            self._prepared = frozenset()
            log.warning("a party has to wait", code=error.code)
            return topics
        return joined

    async def _route(self, group: Group, batch: Batch) -> None:
        place = (batch.topic, batch.partition)
        earlier = self._latest.get(place)
        if earlier is not None and not earlier.done():
            # The partition moved away and came back, perhaps with the same records: what
            # the earlier holding claimed of them is given back when its commit is refused.
            await asyncio.wait({earlier})
        routed = self._router.route(
            batch,
            self._control.snapshot(),
            at_ms=time.time_ns() // 1_000_000,
            partitions=self._counts[batch.topic],
        )
        task = asyncio.create_task(self._commit(group, batch, routed))
        self._commits.add(task)
        self._latest[place] = task
        task.add_done_callback(self._committed)

    def _committed(self, task: asyncio.Task[None]) -> None:
        self._commits.discard(task)
        if not task.cancelled():
            self._failure = self._failure or task.exception()

    async def _commit(self, group: Group, batch: Batch, routed: Routed) -> None:
        try:
            await group.commit(batch, routed.outgoing)
        except NotCommitted as error:
            self._router.accepted.release(routed.accepted)
            log.warning("batch dropped", code=error.code, topic=batch.topic)
            await self._look_again(batch)
            return
        self._router.accepted.forget_oldest()
        self.tally.update(routed.tally)
        log.info("batch", topic=batch.topic, partition=batch.partition, **_counts(routed.tally))
        if self._progress is not None:
            self._progress(self.tally)

    async def _look_again(self, batch: Batch) -> None:
        """Read back what the streams may have taken although their answer was lost.

        They may be away, which may be why it was. A router that is to stop need not wait.
        """
        while not self._stopping.is_set():
            with contextlib.suppress(StreamsUnavailable):
                await self._on_assigned(batch.topic, batch.partition)
                return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), IDLE_SECONDS)

    async def _is_idle(self, topics: list[str]) -> bool:
        await self._settle()
        return await self._streams.lag(self._group_name, topics) == 0

    async def _settle(self) -> None:
        """Wait for the commits in hand."""
        while self._commits:
            await asyncio.wait(self._commits)
        if self._failure is not None:
            raise self._failure

    async def _on_assigned(self, topic: str, partition: int) -> None:
        # A topic keeps its partitions as long as routers run; a new one among them tells
        # that it did not.
        if partition >= self._counts.get(topic, 0):
            self._counts = await self._streams.topics()
        await self._router.accepted.load(
            self._streams, topic, partition, partitions=self._counts[ACCEPTED]
        )

    def _parties(self) -> frozenset[tuple[str, str]]:
        """What each party on ``control`` needs a topic for."""
        snapshot = self._control.snapshot()
        if snapshot is not self._seen:
            self._seen = snapshot
            self._needed = frozenset(
                (prefix, party.id)
                for party in snapshot.rules.parties.values()
                for role, prefix in _TOPICS_OF.items()
                if role in party.roles
            )
        return self._needed

    async def _prepare(self) -> list[str]:
        """See that every party's topics exist, and return those of the publishers.

        One party whose topic was forgotten would else stop the routing of all.
        """
        self._prepared = self._parties()
        await self._streams.create_topics(
            {prefix + party: self._partitions for prefix, party in self._prepared}
        )
        return sorted(prefix + party for prefix, party in self._prepared if prefix == EVENTS)

    async def _publish_schemas(self) -> None:
        """Put schemas of views on ``control`` that are not there, such as after an upgrade."""
        views = self._control.snapshot().rules.compile_views()
        await self._streams.append(missing_schemas(views, self._control.documents))

    async def _pause(self, follower: asyncio.Task[None]) -> None:
        stopping = asyncio.create_task(self._stopping.wait())
        await asyncio.wait(
            {stopping, follower}, timeout=IDLE_SECONDS, return_when=asyncio.FIRST_COMPLETED
        )
        stopping.cancel()
        self._check(follower)

    def _check(self, follower: asyncio.Task[None]) -> None:
        """Go no further after a failed commit, or on rules that are no longer kept up to date."""
        if self._failure is not None:
            raise self._failure
        if follower.done():
            raise ConfigurationError(
                "control can no longer be followed, so no event may be decided: restart the router"
            ) from follower.exception()


def calm_the_collector() -> None:
    """Let the garbage collector look less often, and not at what stays as long as we run.

    A batch is some ten thousand objects that reference counting frees by itself. With
    Python's own thresholds the collector walks over them, and over all modules and rules,
    again and again and finds nothing: measured, a tenth of a router's time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECTING)


def _counts(tally: Counter[str]) -> dict[str, int]:
    return dict(sorted(tally.items()))

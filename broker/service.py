"""Run a router: read batches, route them, commit each with its offsets in one transaction.

The loop owns the transactions and the clock; what an event becomes is decided
in `routing`, which knows neither. Batches of different partitions are in hand
together, so that one commits while the next is routed.

INVARIANT: a batch is routed only under rules that the scheme has said are up to date
(`freshness`). A router whose rules are older than the limit gives its partitions up,
says so, and takes them back by itself when it hears from the scheme again.
"""

import asyncio
import contextlib
import gc
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from datetime import timedelta
from typing import Any

import structlog

from broker.accepted import TOPIC as ACCEPTED
from broker.acts import with_acts
from broker.control import ControlState, Snapshot
from broker.freshness import Freshness, StaleRules, to_json
from broker.holding import HELD
from broker.issuing import Issuer, hearing, pause_seconds, prepare_topic
from broker.keeping import kept
from broker.notices import EVERY_SECONDS, Notices, Telling
from broker.retraction import RETRACTIONS
from broker.routing import DELIVERIES, EVENTS, Routed, Router
from broker.schemas_on_control import missing_schemas
from broker.settlement import Settlement
from broker.settling import Settler
from connectors.streams import Batch, Group, NotCommitted, Streams, StreamsUnavailable
from schemas.control import BROKER
from schemas.errors import ConcordatError, ConfigurationError
from schemas.times import EPOCH

IDLE_SECONDS = 0.25
"""How long a read waits before the loop looks at the parties and at the stop signal."""

_STOP_SECONDS = 5.0
"""What goes on beside routing may take so long to end by itself."""

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
        freshness: Freshness,
        issuer: Issuer | None = None,
        group: str = "router",
        max_records: int = 2000,
        session_seconds: float = 10.0,
        partitions: int = 4,
        progress: Progress | None = None,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        telling: Telling | None = None,
    ) -> None:
        self._streams = streams
        self._router = router
        self._control = control
        self._freshness = freshness
        self._issuer = issuer
        self._is_stale = False
        self._now_ms = now_ms
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
        self._followers: tuple[asyncio.Task[None], ...] = ()
        self.tally: Counter[str] = Counter()
        self._settlement = Settlement(
            streams,
            Settler(router),
            control,
            is_fresh=self._is_fresh,
            tally=self.tally,
            now_ms=now_ms,
            max_records=max_records,
            session_seconds=session_seconds,
        )
        self._notices = (
            None
            if telling is None
            else Notices(
                streams,
                router,
                control,
                telling,
                is_fresh=self._is_fresh,
                tally=self.tally,
                now_ms=now_ms,
                session_seconds=session_seconds,
            )
        )

    def stop(self) -> None:
        """End after the batches in hand are committed."""
        self._stopping.set()

    async def run(self, *, until_idle: bool = False) -> None:
        """Route until stopped or, with ``until_idle``, until nothing is left to route.

        Raises:
            ConfigurationError: ``control`` could not be followed any longer.
            EvidenceError: with ``until_idle``: the rules are too old to go by.

        """
        async with contextlib.AsyncExitStack() as stack:
            following = await stack.enter_async_context(self._control.following(self._streams))
            await prepare_topic(self._streams)
            await self._streams.create_topics({HELD: self._partitions}, kept=frozenset({HELD}))
            await self._streams.create_topics({RETRACTIONS: 1}, kept=frozenset({RETRACTIONS}))
            if self._issuer is not None and until_idle:
                await self._issuer.issue(self._streams)
            elif self._issuer is not None:
                await stack.enter_async_context(self._beside(self._issue(self._issuer)))
            heard = await stack.enter_async_context(hearing(self._streams, self._freshness))
            self._followers = (following, heard)
            calm_the_collector()
            await self._publish_schemas()
            log.info("router at work", group=self._group_name)
            if until_idle:
                await self._work(until_idle=True)
                await self._settlement.settle()
                await self._tell_of_retractions()
            else:
                if self._notices is not None:
                    await stack.enter_async_context(
                        kept("telling of retractions", self._notices.keep_on, every=EVERY_SECONDS)
                    )
                async with self._beside(self._settlement.keep_on(self._stopping)):
                    await self._work(until_idle=False)

    async def _tell_of_retractions(self) -> None:
        """Tell all there is to tell now; without the query store it stays for the next run."""
        if self._notices is None:
            return
        try:
            await self._notices.tell_all()
        except ConcordatError as error:
            log.error("retractions have to wait", code=error.code, why=str(error))  # noqa: TRY400  the sentence says it

    async def _work(self, *, until_idle: bool) -> None:
        while not self._stopping.is_set():
            if not self._is_fresh():
                if until_idle:
                    raise StaleRules(self._stale())
                await self._pause()
                continue
            topics = await self._prepare()
            if topics:
                is_done = await self._route_topics(topics, until_idle=until_idle)
            else:
                is_done = until_idle
                await self._pause()
            if is_done:
                return

    async def _route_topics(self, topics: list[str], *, until_idle: bool) -> bool:
        """Route until stopped or idle (true), or until the rules are too old (false).

        Topics of parties that join are taken on.
        """
        is_idle = False
        async with self._streams.group(
            self._group_name,
            topics,
            max_records=self._max_records,
            on_assigned=self._on_assigned,
            session_timeout=self._session_seconds,
        ) as group:
            log.info("routing", topics=len(topics))
            while not (is_idle or self._stopping.is_set()):
                batch = await group.next(IDLE_SECONDS)
                self._check()
                if not self._is_fresh():
                    break  # the batch, if there is one, is given again
                if batch is not None:
                    await self._route(group, batch)
                elif until_idle:
                    is_idle = await self._is_idle(topics)
                if self._parties() != self._prepared:
                    topics = await self._take_on(group, topics)
            await self._settle()
        return is_idle

    def _is_fresh(self) -> bool:
        """Whether events may be decided now; says so when that has changed."""
        is_stale = self._freshness.standing(self._now_ms()) != "fresh"
        if is_stale and not self._is_stale:
            log.error("rules too old, no event is routed", **self._told())
        elif self._is_stale and not is_stale:
            log.info("rules up to date again")
        self._is_stale = is_stale
        return not is_stale

    def _stale(self) -> str:
        told = self._told()
        return (
            f"the rules may be out of date ({told['standing']}; age {told['age_seconds']} s,"
            f" limit {told['limit_seconds']} s), so no event was routed: see that"
            " `concordat run` runs where the scheme's key is, and `concordat status`"
        )

    def _told(self) -> dict[str, Any]:
        return to_json(self._freshness, self._now_ms())

    async def _issue(self, issuer: Issuer) -> None:
        every = pause_seconds(self._freshness.max_age_ms)
        await issuer.keep_on(self._streams, self._stopping, every=every)

    @contextlib.asynccontextmanager
    async def _beside(self, work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
        """Do something beside routing, until that ends; if it fails, routing fails."""
        task = asyncio.create_task(work)
        task.add_done_callback(self._ended)
        try:
            yield
        finally:
            self._stopping.set()
            await asyncio.wait({task}, timeout=_STOP_SECONDS)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

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
            at_ms=self._now_ms(),
            partitions=self._counts[batch.topic],
        )
        task = asyncio.create_task(self._commit(group, batch, routed))
        self._commits.add(task)
        self._latest[place] = task
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
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
        try:
            await self._router.accepted.load(
                self._streams, topic, partition, partitions=self._counts[ACCEPTED]
            )
        except StreamsUnavailable as error:
            log.warning(
                "a partition has to wait",
                topic=topic, partition=partition, code=error.code, why=str(error),
            )  # fmt: skip
            raise

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
        missing = missing_schemas(views, self._control.documents)
        at = EPOCH + timedelta(milliseconds=self._now_ms())
        await self._streams.append(with_acts(missing, by=BROKER, at=at))

    async def _pause(self) -> None:
        stopping = asyncio.create_task(self._stopping.wait())
        await asyncio.wait(
            {stopping, *self._followers},
            timeout=IDLE_SECONDS,
            return_when=asyncio.FIRST_COMPLETED,
        )
        stopping.cancel()
        self._check()

    def _check(self) -> None:
        """Go no further after a failed commit, or on rules that are no longer kept up to date."""
        if self._failure is not None:
            raise self._failure
        for follower in self._followers:
            if follower.done():
                raise ConfigurationError(
                    "control can no longer be followed, so no event may be decided:"
                    " restart the router"
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

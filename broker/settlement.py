"""Settle what was held once its suspension has ended: the loop around `settling`.

Every router process follows ``held`` and keeps, for each suspension, only how far its
records lie and how far they are settled. When one has ended and has more than that, the
process joins the group ``settle.<suspension id>`` and settles: the group's offset moves
in the transaction that holds what came of the records and the mark that they are
settled, so each is settled exactly once, whoever dies meanwhile. A record that a slower
router appends after a resume lies behind the mark, so it is found and settled too.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final

import structlog

from agreements.candidates import Suspended
from broker.accepted import TOPIC as ACCEPTED
from broker.control import ControlState
from broker.holding import HELD, Waiting
from broker.settling import Settler
from connectors.streams import Batch, Group, NotCommitted, Streams, StreamsUnavailable

LOOK_SECONDS: Final = 0.25
"""How often it is looked whether a suspension has ended."""
_RETRY_SECONDS: Final = 1.0
_MOST_RECORDS: Final = 500
"""Of one transaction: routing has its turn between two."""

log = structlog.get_logger()


def group_of(suspension: str) -> str:
    """Return the group that settles what a suspension held."""
    return f"settle.{suspension}"


class Settlement:
    """One process's part in settling what is held, on whichever streams."""

    def __init__(  # noqa: PLR0913  the parts it is made of, by name
        self,
        streams: Streams,
        settler: Settler,
        control: ControlState,
        *,
        is_fresh: Callable[[], bool],
        tally: Counter[str],
        now_ms: Callable[[], int],
        max_records: int = _MOST_RECORDS,
        session_seconds: float = 10.0,
    ) -> None:
        self._streams = streams
        self._settler = settler
        self._control = control
        self._is_fresh = is_fresh
        self._max_records = min(max_records, _MOST_RECORDS)
        self._session_seconds = session_seconds
        self._waiting = Waiting(settler.copies)
        self._counts: Mapping[str, int] = {}
        self._tally = tally
        self._now_ms = now_ms

    async def keep_on(self, stopping: asyncio.Event) -> None:
        """Settle whatever ends until stopped; while the streams are away, wait for them."""
        positions = await self._load()
        following = asyncio.gather(*(self._follow(*place) for place in positions.items()))
        try:
            while not stopping.is_set():
                pause = LOOK_SECONDS
                try:
                    await self._settle_due(stopping)
                except StreamsUnavailable as error:
                    log.warning("what is held has to wait", code=error.code)
                    pause = _RETRY_SECONDS
                if following.done():
                    following.result()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stopping.wait(), pause)
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)

    async def settle(self) -> None:
        """Settle all that has ended by now, and return when it is done."""
        await self._load()
        await self._settle_due(asyncio.Event())

    async def _load(self) -> dict[int, int]:
        """Read all that lies on ``held``; returns for each partition where to go on.

        All of it before anything is settled: the marks come after what they are about.
        """
        positions = dict.fromkeys(await self._streams.end(HELD), 0)
        async for record in self._streams.read(HELD):
            positions[record.partition] = record.offset + 1
            self._waiting.add(record)
        return positions

    async def _follow(self, partition: int, start: int) -> None:
        async for record in self._streams.read(HELD, partition=partition, start=start, follow=True):
            self._waiting.add(record)

    async def _settle_due(self, stopping: asyncio.Event) -> None:
        for suspension in sorted(self._due()):
            if stopping.is_set() or not self._is_fresh():
                return
            await self._settle(suspension, stopping)

    def _due(self) -> frozenset[str]:
        lifted = {name: one.until_us for name, one in self._suspensions().items()}
        return self._waiting.due(lifted, self._now_ms() * 1000)

    def _suspensions(self) -> Mapping[str, Suspended]:
        return self._control.snapshot().rules.suspensions()

    async def _settle(self, suspension: str, stopping: asyncio.Event) -> None:
        log.info("settling what was held", suspension=suspension)
        self._counts = await self._streams.topics()
        async with self._streams.group(
            group_of(suspension),
            [HELD],
            max_records=self._max_records,
            on_assigned=self._on_assigned,
            session_timeout=self._session_seconds,
        ) as group:
            while not stopping.is_set() and self._is_fresh():
                batch = await group.next(LOOK_SECONDS)
                if batch is not None:
                    await self._settle_batch(group, batch, suspension)
                if suspension not in self._due():
                    return

    async def _settle_batch(self, group: Group, batch: Batch, suspension: str) -> None:
        settled = self._settler.settle(
            batch,
            suspension,
            self._control.snapshot(),
            at_ms=self._now_ms(),
            partitions=self._counts[HELD],
            settled_before=self._waiting.settled_before(suspension, batch.partition),
        )
        try:
            await group.commit(batch, settled.outgoing)
        except NotCommitted as error:
            self._settler.accepted.release(settled.accepted)
            log.warning("batch dropped", code=error.code, topic=batch.topic)
            # Its answer may have been lost only: what was taken after all is read back.
            await self._on_assigned(batch.topic, batch.partition)
            return
        except BaseException:
            self._settler.accepted.release(settled.accepted)
            raise
        self._waiting.settle(suspension, batch.partition, before=batch.next_offset)
        self._settler.accepted.forget_oldest()
        self._tally.update(settled.tally)
        if settled.tally:
            counts = dict(sorted(settled.tally.items()))
            log.info("settled", suspension=suspension, partition=batch.partition, **counts)

    async def _on_assigned(self, topic: str, partition: int) -> None:
        await self._settler.accepted.load(
            self._streams, topic, partition, partitions=self._counts[ACCEPTED]
        )

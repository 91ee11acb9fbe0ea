"""The partitions that a group member holds on Kafka, and how it comes to hold them.

aiokafka sends no group generation with a transaction's offsets (its issue 844), so
Kafka cannot tell by itself that a commit comes from a member whose partitions have
moved. Hence a transactional producer for each partition, whose id is made of group,
topic and partition. The order on assignment is what keeps a stale member out:

1. start the producer: Kafka fences the former one and ends its open transaction;
2. only then read the committed offset, which can no longer move without us;
3. seek to it, and only then hand out records.

A partition that was lost and won again is a new assignment with a new producer.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from aiokafka import TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import IllegalStateError, KafkaError

from connectors.streams import Batch, StreamsUnavailable
from connectors.streams.kafka_transactions import Transactions

_REVOKE_SECONDS = 5.0
"""How long a rebalance waits for a commit that is under way."""

_RETRY_SECONDS = 0.5

_OWN_SECONDS = 30.0
"""How long a producer, a committed offset and a place to read from are waited for."""

_assignments = count(1)


@dataclass(slots=True, eq=False)
class Held:
    """A partition that this member holds since one assignment."""

    tp: TopicPartition
    assignment: int = field(default_factory=lambda: next(_assignments))
    transactions: Transactions | None = None
    is_ready: bool = False
    is_open: bool = False
    waiting: deque[Batch] = field(default_factory=deque)
    """Read already, to be given out before more is read."""
    records: int = 0
    """How many records are open or waiting."""
    committing: "asyncio.Future[None] | None" = None
    patience: asyncio.Timeout | None = None
    """How long the commit that is under way may still take."""
    preparing: "asyncio.Task[None] | None" = None


class Holding(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """What a member holds, kept up to date by the consumer that it listens to."""

    def __init__(
        self,
        start_transactions: Callable[[TopicPartition], Awaitable[Transactions]],
        on_ready: Callable[[TopicPartition], Awaitable[None]],
    ) -> None:
        self.changed = asyncio.Event()
        self.failure: BaseException | None = None
        self._start_transactions = start_transactions
        self._on_ready = on_ready
        self._held: dict[TopicPartition, Held] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def listen_to(self, consumer: Any) -> None:
        """Name the consumer whose partitions these are."""
        self._consumer = consumer

    def __iter__(self) -> Iterator[Held]:
        return iter(self._held.values())

    def get(self, tp: TopicPartition) -> Held | None:
        """Return how a partition is held, if it is."""
        return self._held.get(tp)

    def defer(self, held: Held) -> None:
        """Put a partition that was just served behind the others."""
        self._held[held.tp] = self._held.pop(held.tp)

    def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        """Begin to prepare partitions that Kafka has just given to this member."""
        for tp in assigned:
            # aiokafka would begin at the offset that it knows, which the former owner
            # may still be moving.
            self._consumer.pause(tp)
            self._start(Held(tp))

    async def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:
        """Give partitions up: wait for commits that are under way, drop the rest."""
        lost = [held for tp in revoked if (held := self._held.pop(tp, None)) is not None]
        for held in lost:
            held.is_ready = False
            if held.preparing is not None:
                held.preparing.cancel()
        under_way = [held.committing for held in lost if held.committing is not None]
        if under_way:
            await asyncio.wait(under_way, timeout=_REVOKE_SECONDS)
        for held in lost:
            self._dispose(held)
        self.changed.set()

    def restart(self, held: Held, *, after: float = 0.0) -> None:
        """Begin anew with a partition whose transaction went wrong, if it is still held."""
        if self._holds(held):
            with contextlib.suppress(IllegalStateError):
                self._consumer.pause(held.tp)
            self._start(Held(held.tp), after=after)
        self._dispose(held)

    async def close(self) -> None:
        """Give everything up, and wait until it is."""
        await self.on_partitions_revoked(list(self._held))

    async def finish(self) -> None:
        """Wait for what goes on in the background."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start(self, held: Held, *, after: float = 0.0) -> None:
        self._held[held.tp] = held
        held.preparing = self._background(self._prepare(held, after))

    def _dispose(self, held: Held) -> None:
        if held.patience is not None:
            held.patience.reschedule(asyncio.get_running_loop().time())
        if held.transactions is not None:
            self._background(held.transactions.close())
            held.transactions = None

    def _background(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _prepare(self, held: Held, after: float) -> None:
        """Make a partition readable, however long the brokers take to answer."""
        try:
            await asyncio.sleep(after)
            # INVARIANT: whoever no longer holds a partition starts no producer for it, which
            # would fence the one who does. Its cancellation may come amid aiokafka's.
            while self._holds(held):
                try:
                    # An answer that an outage has swallowed would be waited for in vain.
                    async with asyncio.timeout(_OWN_SECONDS):
                        await self._own(held)
                    # It reads from the same brokers, so it too may find them away. Then all
                    # begins anew: what it reads counts only once the former owner is fenced.
                    await self._on_ready(held.tp)
                    if self._holds(held):
                        self._consumer.resume(held.tp)
                        held.is_ready = True
                    break
                except (KafkaError, StreamsUnavailable, TimeoutError):
                    # Or it was taken away in this moment: then the listener is about to
                    # say so, and cancels this.
                    self._dispose(held)
                    await asyncio.sleep(_RETRY_SECONDS)
        except Exception as error:  # noqa: BLE001  told to whoever asks for the next batch
            self.failure = error
        if not self._holds(held):
            self._dispose(held)
        self.changed.set()

    def _holds(self, held: Held) -> bool:
        return self._held.get(held.tp) is held

    async def _own(self, held: Held) -> None:
        """Take the three steps that the module tells of, in their order."""
        tp = held.tp
        held.transactions = await self._start_transactions(tp)
        committed = await self._consumer.committed(tp)
        if not self._holds(held):
            return
        if committed is None:
            await self._consumer.seek_to_beginning(tp)
        else:
            self._consumer.seek(tp, committed)

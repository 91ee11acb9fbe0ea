"""A member of a group on Kafka.

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
from collections.abc import AsyncIterator, Coroutine, Sequence
from dataclasses import dataclass, field
from itertools import count
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import (
    ConsumerStoppedError,
    IllegalOperation,
    IllegalStateError,
    KafkaError,
    ProducerFenced,
)

from connectors.streams import (
    OPEN_BATCHES,
    Batch,
    Fenced,
    NotCommitted,
    OnAssigned,
    Outgoing,
    Record,
    StreamsUnavailable,
)
from connectors.streams.kafka_transactions import TRANSACTION_TIMEOUT_MS, Transactions

if TYPE_CHECKING:
    from connectors.streams.kafka import KafkaStreams

_COMMIT_SECONDS = TRANSACTION_TIMEOUT_MS / 1000 + 20
"""After the transaction's own timeout the broker has given it up, whatever we think."""

_REVOKE_SECONDS = 5.0
"""How long a rebalance waits for a commit that is under way."""

_RETRY_SECONDS = 0.5
_FETCH_WAIT_MS = 100
"""aiokafka has one fetch in flight for a broker, so a fetch that waits for idle
partitions keeps a busy one waiting: not longer than this."""

_FETCH_BYTES = 16 * 1024 * 1024
"""Of all partitions together in one answer, whatever their number."""

_assignments = count(1)


@dataclass(slots=True, eq=False)
class _Held:
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
    preparing: "asyncio.Task[None] | None" = None


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    def __init__(self, group: "KafkaGroup") -> None:
        self._group = group

    async def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:
        await self._group.lose(revoked)

    def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        self._group.gain(assigned)


class KafkaGroup:
    """One member of a group; see the port."""

    def __init__(  # noqa: PLR0913  the port's knobs
        self,
        streams: "KafkaStreams",
        name: str,
        topics: Sequence[str],
        *,
        max_records: int,
        max_bytes: int,
        on_assigned: OnAssigned | None,
        session_timeout: float,
    ) -> None:
        self.name = name
        self._streams = streams
        self._topics = list(topics)
        self._max_records = max_records
        self._max_bytes = max_bytes
        self._most_records = OPEN_BATCHES * max_records
        self._on_assigned = on_assigned
        self._session_timeout = session_timeout
        self._held: dict[TopicPartition, _Held] = {}
        self._changed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False
        self._failure: BaseException | None = None

    async def __aenter__(self) -> Self:
        await self._streams.partitions_of(self._topics)
        self._consumer = AIOKafkaConsumer(
            **self._streams.client,
            group_id=self.name,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            session_timeout_ms=int(self._session_timeout * 1000),
            heartbeat_interval_ms=max(100, int(self._session_timeout * 100)),
            # Compressed bytes, which become twice as many and then Python objects.
            max_partition_fetch_bytes=max(1, self._max_bytes // 2),
            fetch_max_bytes=_FETCH_BYTES,
            fetch_max_wait_ms=_FETCH_WAIT_MS,
        )
        self._consumer.subscribe(self._topics, listener=_Listener(self))
        try:
            await self._consumer.start()
        except BaseException as error:
            await self._consumer.stop()
            if isinstance(error, KafkaError):
                raise StreamsUnavailable(f"Kafka did not let a consumer start: {error}") from error
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closed = True
        self._changed.set()
        await self.lose(list(self._held))
        await self._consumer.stop()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def __aiter__(self) -> AsyncIterator[Batch]:
        """See the port."""
        while not self._closed:
            batch = await self.next()
            if batch is not None:
                yield batch

    async def subscribe(self, topics: Sequence[str]) -> None:
        """See the port."""
        await self._streams.partitions_of(topics)
        self._topics = list(topics)
        self._consumer.subscribe(self._topics, listener=_Listener(self))

    def assignment(self) -> frozenset[tuple[str, int]]:
        """See the port."""
        return frozenset(
            (held.tp.topic, held.tp.partition) for held in self._held.values() if held.is_ready
        )

    async def next(self, timeout: float | None = None) -> Batch | None:  # noqa: ASYNC109  a wait that may end with nothing
        """See the port."""
        loop = asyncio.get_running_loop()
        deadline = None if timeout is None else loop.time() + timeout
        while not self._closed:
            if self._failure is not None:
                raise self._failure
            batch = self._take()
            if batch is not None:
                return batch
            self._changed.clear()
            left = None if deadline is None else deadline - loop.time()
            if left is not None and left <= 0:
                return None
            await self._poll(left)
        return None

    async def commit(self, batch: Batch, outgoing: Sequence[Outgoing] = ()) -> None:
        """See the port."""
        held = self._held_for(batch)
        partitions = await self._streams.partitions_of({record.topic for record in outgoing})
        held = self._held_for(batch)
        transactions = held.transactions
        if transactions is None or held.committing is not None:
            raise self._fenced(batch)
        built = transactions.build(outgoing, partitions)
        held.committing = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(_COMMIT_SECONDS):
                await transactions.commit(
                    built, group=self.name, offsets={held.tp: batch.next_offset}
                )
        except ProducerFenced as error:
            # Kafka gave us up, most likely because another member has the partition and
            # we do not know it yet. To start a producer at once would fence that member.
            self._restart(held, after=self._session_timeout / 2)
            raise self._fenced(batch) from error
        except (KafkaError, TimeoutError, IllegalOperation, AssertionError) as error:
            self._restart(held, after=_RETRY_SECONDS)
            raise NotCommitted(f"Kafka did not commit: {type(error).__name__}") from error
        except BaseException:
            self._restart(held)
            raise
        else:
            held.is_open = False
            held.records -= len(batch.records)
            self._changed.set()
        finally:
            held.committing.set_result(None)
            held.committing = None

    async def abort(self, batch: Batch) -> None:
        """See the port."""
        with contextlib.suppress(Fenced):
            held = self._held_for(batch)
            held.is_open = False
            held.waiting.appendleft(batch)
            self._changed.set()

    def gain(self, assigned: Sequence[TopicPartition]) -> None:
        """Begin to prepare partitions that Kafka has just given to this member."""
        for tp in assigned:
            # aiokafka would begin at the offset that it knows, which the former owner
            # may still be moving.
            self._consumer.pause(tp)
            self._start(_Held(tp))

    async def lose(self, revoked: Sequence[TopicPartition]) -> None:
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
        self._changed.set()

    def _take(self) -> Batch | None:
        for held in self._held.values():
            if held.is_ready and not held.is_open and held.waiting:
                batch = held.waiting.popleft()
                held.is_open = True
                # In turn: a partition that was just served goes to the end.
                self._held[held.tp] = self._held.pop(held.tp)
                return batch
        return None

    async def _poll(self, timeout: float | None) -> None:  # noqa: ASYNC109  may end with nothing
        """Read what there is for partitions that have nothing open, or wait for a change."""
        room = self._most_records - sum(held.records for held in self._held.values())
        eligible = [
            held.tp
            for held in self._held.values()
            if room > 0 and held.is_ready and not held.is_open
        ]
        waiting: set[asyncio.Task[Any]] = {asyncio.ensure_future(self._changed.wait())}
        fetching = None
        if eligible:
            wait_ms = 60_000 if timeout is None else max(1, int(timeout * 1000))
            fetching = asyncio.ensure_future(
                self._consumer.getmany(*eligible, timeout_ms=wait_ms, max_records=room)
            )
            waiting.add(fetching)
        try:
            await asyncio.wait(waiting, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            if fetching is not None and fetching.done():
                self._keep(self._result(fetching))
        finally:
            for task in waiting:
                # Cancelling a fetch loses nothing: records leave aiokafka's buffer in
                # the same step in which the task ends.
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    def _result(self, fetching: "asyncio.Task[Any]") -> dict[TopicPartition, list[Any]]:
        try:
            result: dict[TopicPartition, list[Any]] = fetching.result()
        except KafkaError as error:
            raise StreamsUnavailable(f"Kafka did not answer: {error}") from error
        except ConsumerStoppedError:
            return {}
        return result

    def _keep(self, fetched: dict[TopicPartition, list[Any]]) -> None:
        """Cut what was fetched into batches within the limits."""
        for tp, messages in fetched.items():
            held = self._held.get(tp)
            if held is None or not messages:
                continue
            held.records += len(messages)
            records: list[Record] = []
            size = 0
            for m in messages:
                size += m.serialized_key_size + m.serialized_value_size
                if records and (len(records) >= self._max_records or size > self._max_bytes):
                    held.waiting.append(self._batch(held, records, records[-1].offset + 1))
                    records, size = [], 0
                records.append(
                    Record(m.topic, m.partition, m.offset, m.timestamp, m.key, m.value, m.headers)
                )
            held.waiting.append(self._batch(held, records, records[-1].offset + 1))

    @staticmethod
    def _batch(held: _Held, records: list[Record], next_offset: int) -> Batch:
        return Batch(held.tp.topic, held.tp.partition, records, next_offset, held.assignment)

    def _held_for(self, batch: Batch) -> _Held:
        held = self._held.get(TopicPartition(batch.topic, batch.partition))
        if held is None or held.assignment != batch.assignment or not held.is_open:
            raise self._fenced(batch)
        return held

    def _fenced(self, batch: Batch) -> Fenced:
        return Fenced(
            f"partition {batch.partition} of {batch.topic} is no longer held"
            f" by this member of {self.name}"
        )

    def _start(self, held: _Held, *, after: float = 0.0) -> None:
        self._held[held.tp] = held
        held.preparing = self._background(self._prepare(held, after))

    def _background(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _restart(self, held: _Held, *, after: float = 0.0) -> None:
        """Begin anew with a partition whose transaction went wrong, if we still hold it."""
        if self._held.get(held.tp) is held:
            with contextlib.suppress(IllegalStateError):
                self._consumer.pause(held.tp)
            self._start(_Held(held.tp), after=after)
        self._dispose(held)

    def _dispose(self, held: _Held) -> None:
        if held.transactions is not None:
            self._background(held.transactions.close())
            held.transactions = None

    async def _prepare(self, held: _Held, after: float) -> None:
        """Make a partition readable, however long the brokers take to answer."""
        try:
            await asyncio.sleep(after)
            while True:
                try:
                    await self._own(held)
                    break
                except (KafkaError, StreamsUnavailable):
                    self._dispose(held)
                    await asyncio.sleep(_RETRY_SECONDS)
            if self._on_assigned is not None:
                await self._on_assigned(held.tp.topic, held.tp.partition)
            self._consumer.resume(held.tp)
            held.is_ready = True
        except IllegalStateError:
            # It was taken away in this moment; the listener is about to say so.
            self._dispose(held)
        except Exception as error:  # noqa: BLE001  told to whoever asks for the next batch
            self._failure = error
        self._changed.set()

    async def _own(self, held: _Held) -> None:
        """Take the three steps that the module tells of, in their order."""
        tp = held.tp
        held.transactions = await Transactions.start(
            self._streams.client,
            f"concordat-{self.name}-{tp.topic}-{tp.partition}",
            max_record_bytes=self._streams.max_record_bytes,
        )
        committed = await self._consumer.committed(tp)
        if committed is None:
            await self._consumer.seek_to_beginning(tp)
        else:
            self._consumer.seek(tp, committed)

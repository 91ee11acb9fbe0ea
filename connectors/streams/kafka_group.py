"""A member of a group on Kafka: reading, and committing what came of it.

Which partitions it holds, and how a stale member is kept out, is in ``kafka_holding``.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import ConsumerStoppedError, IllegalOperation, KafkaError, ProducerFenced

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
from connectors.streams.kafka_holding import Held, Holding
from connectors.streams.kafka_reading import stop
from connectors.streams.kafka_transactions import TRANSACTION_TIMEOUT_MS, Transactions
from connectors.streams.kafka_unreadable import as_read

if TYPE_CHECKING:
    from connectors.streams.kafka import KafkaStreams

_COMMIT_SECONDS = TRANSACTION_TIMEOUT_MS / 1000 + 20
"""After the transaction's own timeout the broker has given it up, whatever we think."""

_RETRY_SECONDS = 0.5
_FETCH_WAIT_MS = 100
"""aiokafka has one fetch in flight for a broker, so a fetch that waits for idle
partitions keeps a busy one waiting: not longer than this."""

_TURNS = 4
"""Of the event loop before a batch is given out: about as many as a transaction has
round trips to make."""

_FETCH_BYTES = 16 * 1024 * 1024
"""Of all partitions together in one answer, whatever their number."""


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
        self._holding = Holding(self._start_transactions, self._announce)
        self._closed = False

    async def __aenter__(self) -> Self:
        await self._streams.topics_of(self._topics)
        self._consumer = AIOKafkaConsumer(
            **self._streams.client,
            group_id=self._streams.outward(self.name),
            key_deserializer=as_read,
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
        self._holding.listen_to(self._consumer)
        self._follow(self._topics)
        try:
            await self._consumer.start()
            # aiokafka fetches nothing from a broker as long as it keeps records of any of
            # its partitions, but for so many seconds. With none it fetches for partitions
            # that it has given out already, while those of others are still worked on.
            self._consumer._fetcher._prefetch_backoff = 0.0  # noqa: SLF001  it has no setting
        except BaseException as error:
            await stop(self._consumer)
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
        await self._holding.close()
        await stop(self._consumer)
        await self._holding.finish()

    async def __aiter__(self) -> AsyncIterator[Batch]:
        """See the port."""
        while not self._closed:
            batch = await self.next()
            if batch is not None:
                yield batch

    async def subscribe(self, topics: Sequence[str]) -> None:
        """See the port."""
        await self._streams.topics_of(topics)
        self._follow(topics)

    def assignment(self) -> frozenset[tuple[str, int]]:
        """See the port."""
        return frozenset(
            (self._streams.inward(held.tp.topic), held.tp.partition)
            for held in self._holding
            if held.is_ready
        )

    async def next(self, timeout: float | None = None) -> Batch | None:  # noqa: ASYNC109  a wait that may end with nothing
        """See the port."""
        loop = asyncio.get_running_loop()
        deadline = None if timeout is None else loop.time() + timeout
        for _ in range(_TURNS):
            # A caller that always finds a batch would else never let commits go on.
            await asyncio.sleep(0)
        while not self._closed:
            if self._holding.failure is not None:
                raise self._holding.failure
            batch = self._take()
            if batch is not None:
                return batch
            self._holding.changed.clear()
            left = None if deadline is None else deadline - loop.time()
            if left is not None and left <= 0:
                return None
            await self._poll(left)
        return None

    async def commit(self, batch: Batch, outgoing: Sequence[Outgoing] = ()) -> None:
        """See the port."""
        held = self._held_for(batch)
        try:
            topics = await self._streams.topics_of({record.topic for record in outgoing})
        except StreamsUnavailable as error:
            self._holding.restart(held, after=_RETRY_SECONDS)
            raise NotCommitted("Kafka did not say what the topics are") from error
        held = self._held_for(batch)
        transactions = held.transactions
        if transactions is None or held.committing is not None:
            raise self._fenced(batch)
        built = transactions.build(outgoing, topics)
        held.committing = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(_COMMIT_SECONDS) as patience:
                held.patience = patience
                try:
                    await transactions.commit(
                        built,
                        group=self._streams.outward(self.name),
                        offsets={held.tp: batch.next_offset},
                    )
                finally:
                    held.patience = None
        except ProducerFenced as error:
            # Kafka gave us up, most likely because another member has the partition and
            # we do not know it yet. To start a producer at once would fence that member.
            self._holding.restart(held, after=self._session_timeout / 2)
            raise self._fenced(batch) from error
        except (KafkaError, TimeoutError, IllegalOperation, AssertionError) as error:
            self._holding.restart(held, after=_RETRY_SECONDS)
            raise NotCommitted(f"Kafka did not commit: {type(error).__name__}") from error
        except BaseException:
            self._holding.restart(held)
            raise
        else:
            held.is_open = False
            held.records -= len(batch.records)
            self._holding.changed.set()
        finally:
            held.committing.set_result(None)
            held.committing = None

    async def abort(self, batch: Batch) -> None:
        """See the port."""
        with contextlib.suppress(Fenced):
            held = self._held_for(batch)
            held.is_open = False
            held.waiting.appendleft(batch)
            self._holding.changed.set()

    def _take(self) -> Batch | None:
        for held in self._holding:
            if held.is_ready and not held.is_open and held.waiting:
                batch = held.waiting.popleft()
                held.is_open = True
                # In turn: a partition that was just served goes to the end.
                self._holding.defer(held)
                return batch
        return None

    async def _poll(self, timeout: float | None) -> None:  # noqa: ASYNC109  may end with nothing
        """Read what there is for a partition that has nothing open, or wait for a change."""
        room = self._most_records - sum(held.records for held in self._holding)
        eligible = [
            held.tp for held in self._holding if room > 0 and held.is_ready and not held.is_open
        ]
        most = min(room, self._max_records)
        for tp in eligible:
            # One partition at a time, so that none takes the room of the others. Without
            # a time to wait this only looks into aiokafka's buffer.
            if await self._fetch([tp], most, wait_ms=0):
                return
        waiting: set[asyncio.Task[Any]] = {asyncio.ensure_future(self._holding.changed.wait())}
        if eligible:
            wait_ms = 60_000 if timeout is None else max(1, int(timeout * 1000))
            waiting.add(asyncio.ensure_future(self._fetch(eligible, most, wait_ms=wait_ms)))
        try:
            done, _ = await asyncio.wait(
                waiting, timeout=timeout, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                task.result()
        finally:
            for task in waiting:
                # Cancelling a fetch loses nothing: records leave aiokafka's buffer in
                # the same step in which they are kept.
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    async def _fetch(self, wanted: Sequence[TopicPartition], most: int, *, wait_ms: int) -> bool:
        """Keep up to ``most`` records of these partitions; tell whether there were any."""
        try:
            fetched = await self._consumer.getmany(*wanted, timeout_ms=wait_ms, max_records=most)
        except KafkaError as error:
            raise StreamsUnavailable(f"Kafka did not answer: {error}") from error
        except ConsumerStoppedError:
            return False
        self._keep(fetched)
        return bool(fetched)

    def _keep(self, fetched: dict[TopicPartition, list[Any]]) -> None:
        """Cut what was fetched into batches within the limits."""
        for tp, messages in fetched.items():
            held = self._holding.get(tp)
            if held is None or not messages:
                continue
            held.records += len(messages)
            topic, partition = self._streams.inward(tp.topic), tp.partition
            records: list[Record] = []
            size = 0
            for m in messages:
                key, value = m.key, m.value
                size += len(key or b"") + len(value or b"")
                if records and (len(records) >= self._max_records or size > self._max_bytes):
                    held.waiting.append(_batch(held, records))
                    records, size = [], 0
                records.append(
                    Record(topic, partition, m.offset, m.timestamp, key, value, m.headers)
                )
            held.waiting.append(_batch(held, records))

    def _held_for(self, batch: Batch) -> Held:
        name = self._streams.outward(batch.topic)
        held = self._holding.get(TopicPartition(name, batch.partition))
        if held is None or held.assignment != batch.assignment or not held.is_open:
            raise self._fenced(batch)
        return held

    def _fenced(self, batch: Batch) -> Fenced:
        return Fenced(
            f"partition {batch.partition} of {batch.topic} is no longer held"
            f" by this member of {self.name}"
        )

    def _follow(self, topics: Sequence[str]) -> None:
        names = [self._streams.outward(topic) for topic in topics]
        self._consumer.subscribe(names, listener=self._holding)

    async def _announce(self, tp: TopicPartition) -> None:
        if self._on_assigned is not None:
            await self._on_assigned(self._streams.inward(tp.topic), tp.partition)

    async def _start_transactions(self, tp: TopicPartition) -> Transactions:
        return await Transactions.start(
            self._streams.client,
            f"concordat-{self._streams.outward(self.name)}-{tp.topic}-{tp.partition}",
            max_record_bytes=self._streams.max_record_bytes,
        )


def _batch(held: Held, records: Sequence[Record]) -> Batch:
    last = records[-1]
    return Batch(last.topic, last.partition, records, last.offset + 1, held.assignment)

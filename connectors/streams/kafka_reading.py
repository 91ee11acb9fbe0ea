"""Reading a topic of Kafka without a group: for state, for evidence, for a look."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from connectors.streams import Record, StreamsUnavailable
from connectors.streams.kafka_unreadable import as_read

_FETCH_BYTES = 1024 * 1024
_TAIL_WAIT_MS = 20
_FOLLOW_WAIT_MS = 1_000
_STANDSTILL_SECONDS = 30.0
"""Longer than a transaction of ours stays open: what has not come by then does not come."""


def new_reader(client: Mapping[str, Any], *, isolation_level: str = "read_committed") -> Any:
    """Return a consumer without a group, not yet started."""
    return AIOKafkaConsumer(
        **client,
        group_id=None,
        key_deserializer=as_read,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level=isolation_level,
        max_partition_fetch_bytes=_FETCH_BYTES,
        fetch_max_bytes=8 * _FETCH_BYTES,
    )


async def stop(consumer: Any) -> None:
    """Stop a consumer, whether a broker answers or not."""
    try:
        await consumer.stop()
    except asyncio.CancelledError:
        # aiokafka cancels its own fetches, and lets that out of one that waits to try a
        # broker again. To the rest of the program it would look as if we were cancelled.
        await consumer._client.close()  # noqa: SLF001  what the stop had left to do
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise


async def ends_of(consumer: Any, topic: str, numbers: Collection[int]) -> dict[int, int]:
    """Return where each partition ends for such a consumer.

    To a ``read_uncommitted`` one that is past everything whose append was answered: the
    broker answers a commit before it has told the partitions, so a ``read_committed`` one
    would for a moment not see what its own process has just written.
    """
    try:
        ends = await consumer.end_offsets([TopicPartition(topic, n) for n in numbers])
    except KafkaError as error:
        raise StreamsUnavailable(f"Kafka did not answer: {error}") from error
    return {tp.partition: offset for tp, offset in sorted(ends.items())}


async def begins_of(consumer: Any, topic: str, numbers: Collection[int]) -> dict[int, int]:
    """Return the first offset that each partition still keeps."""
    try:
        begins = await consumer.beginning_offsets([TopicPartition(topic, n) for n in numbers])
    except KafkaError as error:
        raise StreamsUnavailable(f"Kafka did not answer: {error}") from error
    return {tp.partition: offset for tp, offset in sorted(begins.items())}


async def read_spans(
    client: Mapping[str, Any], topic: str, spans: Mapping[int, tuple[int, int]]
) -> AsyncIterator[Record]:
    """Yield what is committed from a start (inclusive) to an end (exclusive) of partitions.

    An end amid open transactions is waited for: until they are committed or aborted.

    Raises:
        StreamsUnavailable: no broker answered, or nothing came for as long as nothing
            stays open: whoever asks again begins with a new connection and a new end.
    """
    left = {TopicPartition(topic, number): end for number, (_, end) in spans.items()}
    starts = {number: start for number, (start, _) in spans.items()}
    if not left:
        return
    clock = asyncio.get_running_loop().time
    positions: dict[TopicPartition, int] = {}
    moved = clock()
    async with _assigned(client, topic, starts) as consumer:
        while left:
            fetched = await _fetch(consumer, left, _TAIL_WAIT_MS)
            for tp, messages in fetched.items():
                for m in messages:
                    if m.offset >= left[tp]:
                        break
                    yield _record(tp, m)
            # The position also passes what no reader sees: the markers of transactions,
            # and records of aborted ones.
            reached = {tp: await _position(consumer, tp) for tp in left}
            if reached != positions:
                positions, moved = reached, clock()
            elif clock() - moved > _STANDSTILL_SECONDS:
                raise StreamsUnavailable(_standstill(positions, left))
            left = {tp: end for tp, end in left.items() if reached[tp] < end}


async def read_on(
    client: Mapping[str, Any], topic: str, starts: Mapping[int, int]
) -> AsyncIterator[Record]:
    """Yield what is committed from the starts of partitions, and then as it comes."""
    async with _assigned(client, topic, starts) as consumer:
        while True:
            fetched = await _fetch(consumer, (), _FOLLOW_WAIT_MS)
            for tp, messages in fetched.items():
                for m in messages:
                    yield _record(tp, m)


class _assigned:  # noqa: N801  used like a function
    """A started reader of these partitions, stopped at the end in any case."""

    def __init__(self, client: Mapping[str, Any], topic: str, starts: Mapping[int, int]) -> None:
        self._consumer = new_reader(client)
        self._starts = {TopicPartition(topic, n): start for n, start in starts.items()}

    async def __aenter__(self) -> Any:
        try:
            await self._consumer.start()
            self._consumer.assign(list(self._starts))
            for tp, start in self._starts.items():
                self._consumer.seek(tp, start)
        except BaseException as error:
            await stop(self._consumer)
            if isinstance(error, KafkaError):
                raise StreamsUnavailable(f"Kafka did not answer: {error}") from error
            raise
        return self._consumer

    async def __aexit__(self, *_: object) -> None:
        await stop(self._consumer)


async def _fetch(
    consumer: Any, wanted: Collection[TopicPartition], wait_ms: int
) -> Mapping[TopicPartition, list[Any]]:
    try:
        fetched: Mapping[TopicPartition, list[Any]] = await consumer.getmany(
            *wanted, timeout_ms=wait_ms
        )
    except KafkaError as error:
        raise StreamsUnavailable(f"Kafka did not answer: {error}") from error
    return fetched


async def _position(consumer: Any, tp: TopicPartition) -> int:
    try:
        return int(await consumer.position(tp))
    except KafkaError as error:
        raise StreamsUnavailable(f"Kafka did not answer: {error}") from error


def _standstill(positions: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int]) -> str:
    tp, position = min(positions.items())
    return (
        f"expected partition {tp.partition} of {tp.topic} to be readable up to {ends[tp]};"
        f" nothing came after {position} for {_STANDSTILL_SECONDS:.0f} seconds: a transaction"
        " is still open there, or the topic was cut"
    )


def _record(tp: TopicPartition, m: Any) -> Record:
    return Record(tp.topic, tp.partition, m.offset, m.timestamp, m.key, m.value, m.headers)

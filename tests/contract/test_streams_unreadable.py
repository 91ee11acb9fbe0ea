"""A record that the Kafka client cannot read stops nobody."""

from collections.abc import Callable
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy

from connectors.streams import Outgoing, Record, Streams, open_streams

pytestmark = pytest.mark.kafka


class NotUtf8(str):
    """A header's name that goes out as bytes which are no UTF-8."""

    __slots__ = ()

    def encode(self, *_: Any, **__: Any) -> bytes:
        """Return bytes that cannot be decoded."""
        return b"\xff\xfe"


async def put_unreadable(address: str, topic: str) -> None:
    """Append one batch of three records of which the second cannot be read."""
    producer = AIOKafkaProducer(bootstrap_servers=address)
    await producer.start()
    try:
        batch = producer.create_batch()
        batch._builder = _DefaultRecordBatchBuilderPy(
            magic=2, compression_type=0, is_transactional=0, producer_id=-1, producer_epoch=-1,
            base_sequence=-1, batch_size=16_384,
        )  # fmt: skip
        for value, name in ((b"first", "h"), (b"second", NotUtf8("h")), (b"third", "h")):
            batch.append(key=b"key", value=value, timestamp=1, headers=[(name, b"x")])
        batch.close()
        await (await producer.send_batch(batch, topic, partition=0))
    finally:
        await producer.stop()


def values(records: list[Record]) -> list[bytes | None]:
    """Return what the records hold."""
    return [record.value for record in records]


async def taken(streams: Streams, topic: str, count: int) -> list[Record]:
    """Return what a group member is given, up to ``count`` records."""
    records: list[Record] = []
    async with streams.group(f"group-of-{topic}", [topic]) as group:
        while len(records) < count:
            batch = await group.next(30)
            assert batch is not None
            records += batch.records
            await group.commit(batch)
    return records


async def test_the_records_around_an_unreadable_one_are_read(
    kafka_url: str, unique: Callable[[str], str]
) -> None:
    """Issue: the stream never stops; what cannot be read is told by its place.

    What lies behind it in its own batch cannot be reached and is told alike.
    """
    topic = unique("events")
    async with open_streams(kafka_url) as streams:
        await streams.create_topics({topic: 1})
        await streams.append([Outgoing(topic, b"key", b"before")])
        await put_unreadable(kafka_url.removeprefix("kafka://"), topic)
        await streams.append([Outgoing(topic, b"key", b"after")])
        expected = [b"before", b"first", None, None, b"after"]
        read = [record async for record in streams.read(topic)]
        assert values(read) == expected
        assert [record.headers for record in read if record.value is None] == [(), ()]
        given = await taken(streams, topic, len(expected))
        assert values(given) == expected
        assert [record.offset for record in given] == [record.offset for record in read]

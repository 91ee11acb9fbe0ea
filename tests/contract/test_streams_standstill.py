"""A reader that cannot come to the end of a topic says so, and does not wait for ever."""

from collections.abc import Callable

import pytest
from aiokafka import AIOKafkaProducer

from connectors.streams import Outgoing, StreamsUnavailable, kafka_reading, open_streams

pytestmark = pytest.mark.kafka


async def test_a_reader_says_where_a_transaction_was_left_open(
    kafka_url: str, unique: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The place is named, and what lies before it is read; once it has ended, so is the rest."""
    monkeypatch.setattr(kafka_reading, "_STANDSTILL_SECONDS", 0.5)
    topic = unique("topic")
    producer = AIOKafkaProducer(
        bootstrap_servers=kafka_url.removeprefix("kafka://"), transactional_id=unique("open")
    )
    async with open_streams(kafka_url) as streams:
        await streams.create_topics({topic: 1})
        await streams.append([Outgoing(topic, b"key", b"before")])
        await producer.start()
        try:
            await producer.begin_transaction()
            await producer.send_and_wait(topic, b"open", key=b"key", partition=0)
            reading = streams.read(topic)
            assert (await anext(reading)).value == b"before"
            with pytest.raises(StreamsUnavailable, match=rf"partition 0 of {topic} .* after 2 "):
                await anext(reading)
            await producer.abort_transaction()
            assert [record.value async for record in streams.read(topic)] == [b"before"]
        finally:
            await producer.stop()

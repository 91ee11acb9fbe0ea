"""What every adapter of the streams port keeps: topics, appending and reading."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.partitioner import murmur2
from hypothesis import given
from hypothesis import strategies as st

from connectors.streams import (
    Outgoing,
    Record,
    RecordTooLarge,
    Streams,
    UnknownStreams,
    UnknownTopic,
    open_streams,
)
from connectors.streams.partitioning import key_hash

Named = Callable[[str], str]


async def all_of(records: AsyncIterator[Record]) -> list[Record]:
    """Return what is read, as a list."""
    return [record async for record in records]


async def a_topic(streams: Streams, name: str, partitions: int = 3) -> str:
    """Create a topic and return its name."""
    await streams.create_topics({name: partitions})
    return name


async def test_a_record_comes_back_as_it_was_appended(streams: Streams, unique: Named) -> None:
    """Key, value and headers are bytes for bytes the same, and the time is milliseconds."""
    topic = await a_topic(streams, unique("plain"), 1)
    headers = [("name", b"\x00\xff"), ("name", b""), ("naïve", b"1")]
    await streams.append(
        [
            Outgoing(topic, b"key", b"value", headers),
            Outgoing(topic, None, b"", ()),
            Outgoing(topic, b"gone", None, ()),
        ]
    )
    first, second, third = await all_of(streams.read(topic))
    assert (first.topic, first.partition, first.offset) == (topic, 0, 0)
    assert (first.key, first.value, list(first.headers)) == (b"key", b"value", headers)
    assert (second.key, second.value, list(second.headers)) == (None, b"", [])
    assert (third.key, third.value) == (b"gone", None)
    assert 1_700_000_000_000 < first.timestamp_ms < 10_000_000_000_000


async def test_records_of_a_key_keep_their_order(streams: Streams, unique: Named) -> None:
    """One person's events stay in order, across appends and within each."""
    topic = await a_topic(streams, unique("ordered"))
    for start in range(0, 300, 50):
        await streams.append(
            [
                Outgoing(topic, b"k%d" % (number % 7), b"%d" % number)
                for number in range(start, start + 50)
            ]
        )
    records = await all_of(streams.read(topic))
    assert len(records) == 300
    for key in range(7):
        mine = [record for record in records if record.key == b"k%d" % key]
        assert len({record.partition for record in mine}) == 1
        numbers = [int(record.value or b"") for record in mine]
        assert numbers == sorted(numbers)


async def test_records_without_a_key_are_spread(streams: Streams, unique: Named) -> None:
    """Without a key the partitions take turns."""
    topic = await a_topic(streams, unique("spread"))
    await streams.append([Outgoing(topic, None, b"x")] * 30)
    assert {record.partition for record in await all_of(streams.read(topic))} == {0, 1, 2}


async def test_a_record_that_is_too_large_stops_its_whole_append(
    streams: Streams, unique: Named
) -> None:
    """Nothing is written, and the error names topic, size and limit."""
    topic = await a_topic(streams, unique("large"))
    size = streams.max_record_bytes
    with pytest.raises(RecordTooLarge) as refused:
        await streams.append(
            [Outgoing(topic, b"small", b"x"), Outgoing(topic, b"large", b"x" * size)]
        )
    assert (refused.value.topic, refused.value.limit_bytes) == (topic, size)
    assert size < refused.value.size_bytes < size + 200
    assert refused.value.code == "record-too-large"
    assert topic in str(refused.value)
    assert await all_of(streams.read(topic)) == []


async def test_a_record_just_below_the_limit_is_taken(streams: Streams, unique: Named) -> None:
    """The limit is a limit for records, not for what an adapter makes of them."""
    topic = await a_topic(streams, unique("limit"))
    value = bytes(streams.max_record_bytes - 200)
    await streams.append([Outgoing(topic, b"a", value), Outgoing(topic, b"b", value)])
    assert [len(r.value or b"") for r in await all_of(streams.read(topic))] == [len(value)] * 2


async def test_large_headers_count_too(streams: Streams, unique: Named) -> None:
    """A record can also be too large by its headers."""
    topic = await a_topic(streams, unique("headers"))
    with pytest.raises(RecordTooLarge):
        await streams.append(
            [Outgoing(topic, b"k", b"v", [("h", bytes(streams.max_record_bytes))])]
        )


async def test_an_unknown_topic_stops_the_whole_append(streams: Streams, unique: Named) -> None:
    """A topic is created on purpose or not at all."""
    topic = await a_topic(streams, unique("known"))
    with pytest.raises(UnknownTopic):
        await streams.append([Outgoing(topic, b"k", b"v"), Outgoing(unique("not"), b"k", b"v")])
    assert await all_of(streams.read(topic)) == []
    assert unique("not") not in await streams.topics()


async def test_reading_an_unknown_topic_is_refused(streams: Streams, unique: Named) -> None:
    """A misspelt topic is not an empty one."""
    with pytest.raises(UnknownTopic):
        await all_of(streams.read(unique("misspelt")))
    with pytest.raises(UnknownTopic):
        await streams.end(unique("misspelt"))
    with pytest.raises(UnknownTopic):
        async with streams.group(unique("group"), [unique("misspelt")]):
            pass


async def test_reading_begins_where_it_is_told(streams: Streams, unique: Named) -> None:
    """From the start by default, from an offset, and of one partition alone."""
    topic = await a_topic(streams, unique("from"), 2)
    await streams.append([Outgoing(topic, b"%d" % n, b"%d" % n) for n in range(40)])
    everything = await all_of(streams.read(topic))
    one = await all_of(streams.read(topic, partition=1))
    assert one == [record for record in everything if record.partition == 1]
    assert await all_of(streams.read(topic, partition=1, start=3)) == one[3:]
    later = await all_of(streams.read(topic, start=3))
    assert len(later) == len(everything) - 6


async def test_the_end_is_where_the_next_record_will_be(streams: Streams, unique: Named) -> None:
    """A reader that starts at the end sees what comes after, and nothing before."""
    topic = await a_topic(streams, unique("end"), 1)
    assert await streams.end(topic) == {0: 0}
    await streams.append([Outgoing(topic, b"k", b"before")])
    end = await streams.end(topic)
    assert await all_of(streams.read(topic, start=end[0])) == []
    await streams.append([Outgoing(topic, b"k", b"after")])
    (record,) = await all_of(streams.read(topic, start=end[0]))
    assert record.value == b"after"


async def test_following_goes_on_as_records_arrive(streams: Streams, unique: Named) -> None:
    """What was there is read first, then whatever is appended, in order."""
    topic = await a_topic(streams, unique("follow"), 1)
    await streams.append([Outgoing(topic, b"k", b"0")])
    following = streams.read(topic, follow=True)
    seen = [(await anext(following)).value]
    for number in (b"1", b"2", b"3"):
        waiting = asyncio.ensure_future(anext(following))
        await streams.append([Outgoing(topic, b"k", number)])
        seen.append((await asyncio.wait_for(waiting, 10)).value)
    await following.aclose()  # type: ignore[attr-defined]
    assert seen == [b"0", b"1", b"2", b"3"]


async def test_a_topic_that_exists_stays_as_it_is(streams: Streams, unique: Named) -> None:
    """Creating again changes neither its partitions nor its records."""
    topic = await a_topic(streams, unique("again"), 2)
    await streams.append([Outgoing(topic, b"k", b"v")])
    await streams.create_topics({topic: 5, unique("other"): 1})
    known = await streams.topics()
    assert (known[topic], known[unique("other")]) == (2, 1)
    assert len(await all_of(streams.read(topic))) == 1


async def test_a_compacted_topic_tells_the_last_of_each_key(
    streams: Streams, unique: Named
) -> None:
    """State can be built from a compacted topic alone, removals included."""
    topic = unique("compacted")
    await streams.create_topics({topic: 1}, compacted=frozenset({topic}))
    for value in (b"1", b"2", b"3"):
        await streams.append([Outgoing(topic, b"a", value), Outgoing(topic, b"b" + value, value)])
    await streams.append([Outgoing(topic, b"b1", None)])
    state = {record.key: record.value for record in await all_of(streams.read(topic))}
    assert {key: value for key, value in state.items() if value is not None} == {
        b"a": b"3",
        b"b2": b"2",
        b"b3": b"3",
    }


async def test_a_topic_that_is_kept_tells_every_record_of_each_key(
    streams: Streams, unique: Named
) -> None:
    """Nothing that lies there is taken away by writing over it or by a tombstone."""
    topic = unique("kept")
    written = [b"1", b"2", None, b"3"]
    await streams.create_topics({topic: 1}, compacted=frozenset({topic}), kept=frozenset({topic}))
    for value in written:
        await streams.append([Outgoing(topic, b"a", value)])
    assert [record.value for record in await all_of(streams.read(topic))] == written


async def test_appending_nothing_is_nothing(streams: Streams) -> None:
    """An empty append needs no transaction."""
    await streams.append([])


async def test_appends_at_once_do_not_mix(streams: Streams, unique: Named) -> None:
    """Concurrent appends each keep their records together, and none is lost."""
    topic = await a_topic(streams, unique("concurrent"), 1)
    await asyncio.gather(
        *(streams.append([Outgoing(topic, b"k", b"%d" % writer)] * 20) for writer in range(10))
    )
    values = [record.value for record in await all_of(streams.read(topic))]
    runs = [values[start : start + 20] for start in range(0, 200, 20)]
    assert sorted(run[0] or b"" for run in runs) == [b"%d" % writer for writer in range(10)]
    assert all(len(set(run)) == 1 for run in runs)


@given(st.binary(max_size=40))
def test_a_key_has_the_partition_that_kafka_gives_it(key: bytes) -> None:
    """Clients in other languages send a subject's events to the same partition."""
    assert key_hash(key) == murmur2(key) & 0x7FFFFFFF


@pytest.mark.parametrize(
    "url", ["", "sqlite:", "kafka:", "kafka://", "redis://localhost", "streams.db"]
)
def test_an_address_of_no_known_kind_is_refused(url: str) -> None:
    """A mistake in the settings is found at start-up."""
    with pytest.raises(UnknownStreams):
        open_streams(url)


@pytest.mark.kafka
async def test_names_of_one_namespace_are_not_seen_in_another(
    kafka_url: str, unique: Named
) -> None:
    """Schemes that share a cluster have topics and groups of the same names."""
    for space in ("one", "two"):
        async with open_streams(kafka_url, namespace=unique(space)) as streams:
            await streams.create_topics({"events": 1, "out": 1})
            assert await streams.topics() == {"events": 1, "out": 1}
            await streams.append([Outgoing("events", b"k", space.encode())])
            async with streams.group("group", ["events"]) as group:
                batch = await group.next(20)
                assert batch is not None
                assert (batch.topic, batch.records[0].topic) == ("events", "events")
                assert group.assignment() == {("events", 0)}
                await group.commit(batch, [Outgoing("out", b"k", space.encode())])
            assert await streams.lag("group", ["events"]) == 0
            (record,) = await all_of(streams.read("out"))
            assert (record.topic, record.value) == ("out", space.encode())


@pytest.mark.kafka
async def test_a_topic_with_a_limit_of_its_own_keeps_it(kafka_url: str, unique: Named) -> None:
    """Batches are made small enough for it, and a record that cannot be is refused."""
    topic = unique("narrow")
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_url.removeprefix("kafka://"))
    await admin.start()
    limit = {"max.message.bytes": "5000"}
    await admin.create_topics([NewTopic(topic, 1, 1, topic_configs=limit)])
    await admin.close()
    async with open_streams(kafka_url) as streams:
        await streams.create_topics({topic: 1})
        await streams.append([Outgoing(topic, b"k", os.urandom(1_000))] * 20)
        with pytest.raises(RecordTooLarge) as refused:
            await streams.append([Outgoing(topic, b"k", os.urandom(6_000))])
        assert (refused.value.topic, refused.value.limit_bytes) == (topic, 5_000)
        assert len(await all_of(streams.read(topic))) == 20

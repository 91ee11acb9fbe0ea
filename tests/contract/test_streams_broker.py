"""What the Kafka adapter keeps when the broker itself goes away and comes back."""

import asyncio
from collections import Counter
from collections.abc import Callable

import pytest
from services.local_kafka import LocalKafka

from connectors.streams import (
    DeliveryError,
    Group,
    NotCommitted,
    Outgoing,
    Streams,
    StreamsUnavailable,
    open_streams,
)

pytestmark = [pytest.mark.kafka, pytest.mark.fault]

Named = Callable[[str], str]
TOTAL = 6_000
WAIT = 150.0


async def pass_through(group: Group, streams: Streams) -> None:
    """Pass records from ``in`` to ``out`` until all are there, whatever happens."""
    done = 0
    while done < TOTAL:
        batch = await group.next(0.5)
        if batch is None:
            try:
                done = TOTAL - await streams.lag(group.name, ["in"])
            except DeliveryError:
                continue
        else:
            outgoing = [Outgoing("out", record.key, record.value) for record in batch.records]
            try:
                await group.commit(batch, outgoing)
            except NotCommitted:
                continue


@pytest.mark.parametrize("kill", [False, True], ids=["stopped", "killed"])
async def test_a_broker_that_comes_back_finds_the_work_where_it_was(
    own_kafka: LocalKafka, *, kill: bool
) -> None:
    """Stopped or killed in the middle of the work and started again: each record once."""
    async with open_streams(f"kafka://{own_kafka.address}") as streams:
        await streams.create_topics({"in": 2, "out": 2})
        for start in range(0, TOTAL, 1_000):
            await streams.append(
                [Outgoing("in", b"%d" % n, b"%d" % n) for n in range(start, start + 1_000)]
            )
        async with (
            asyncio.timeout(WAIT),
            streams.group("group", ["in"], max_records=25) as group,
        ):
            working = asyncio.ensure_future(pass_through(group, streams))
            while not sum((await streams.end("out")).values()):  # noqa: ASYNC110  others work
                await asyncio.sleep(0.02)
            await asyncio.to_thread(own_kafka.stop, kill=kill)
            assert not working.done()
            await asyncio.to_thread(own_kafka.start)
            await working
        counts = Counter([int(record.value or b"") async for record in streams.read("out")])
    assert counts == Counter(range(TOTAL))


async def test_a_batch_for_a_topic_that_cannot_be_looked_up_is_given_again(
    own_kafka: LocalKafka,
) -> None:
    """The broker goes before the first commit to a topic: not committed, and then it is."""
    async with open_streams(f"kafka://{own_kafka.address}") as streams, asyncio.timeout(WAIT):
        await streams.create_topics({"in": 1, "out": 1})
        await streams.append([Outgoing("in", b"k", b"1")])
        async with streams.group("group", ["in"]) as group:
            batch = await group.next()
            assert batch is not None
            await asyncio.to_thread(own_kafka.stop)
            with pytest.raises(NotCommitted):
                await group.commit(batch, [Outgoing("out", b"k", b"1")])
            await asyncio.to_thread(own_kafka.start)
            again = await group.next()
            assert again is not None
            assert again.records == batch.records
            await group.commit(again, [Outgoing("out", b"k", b"1")])
        values = [record.value async for record in streams.read("out")]
    assert values == [b"1"]


async def test_a_member_leaves_in_good_order_while_the_broker_is_away(
    own_kafka: LocalKafka,
) -> None:
    """Leaving raises nothing, least of all a cancellation that nobody asked for."""
    async with open_streams(f"kafka://{own_kafka.address}") as streams, asyncio.timeout(WAIT):
        await streams.create_topics({"in": 1})
        await streams.append([Outgoing("in", b"k", b"1")])
        async with streams.group("group", ["in"]) as group:
            assert await group.next() is not None
            await asyncio.to_thread(own_kafka.stop)
            assert await group.next(1.0) is None


async def test_a_broker_that_is_away_is_told_as_such(own_kafka: LocalKafka) -> None:
    """Opening streams that do not answer is a delivery error, which may be tried again."""
    await asyncio.to_thread(own_kafka.stop)
    with pytest.raises(StreamsUnavailable):
        async with open_streams(f"kafka://{own_kafka.address}"):
            pass


async def test_an_append_waits_for_a_broker_that_comes_back(own_kafka: LocalKafka) -> None:
    """A publisher need not know that the broker was away for a moment."""
    async with open_streams(f"kafka://{own_kafka.address}") as streams, asyncio.timeout(WAIT):
        await streams.create_topics({"in": 1})
        await streams.append([Outgoing("in", b"k", b"0")])
        await asyncio.to_thread(own_kafka.stop)
        appending = asyncio.ensure_future(streams.append([Outgoing("in", b"k", b"1")]))
        await asyncio.to_thread(own_kafka.start)
        await appending
        values = [record.value async for record in streams.read("in")]
    assert values == [b"0", b"1"]

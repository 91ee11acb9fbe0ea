"""What every adapter of the streams port keeps: groups, batches and transactions."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable

import pytest

from connectors.streams import (
    OPEN_BATCHES,
    Batch,
    Fenced,
    Group,
    Outgoing,
    Record,
    RecordTooLarge,
    Streams,
    StreamsUnavailable,
    UnknownTopic,
    open_streams,
)

Named = Callable[[str], str]
WAIT = 20.0
"""Seconds that no test needs; a failure is told sooner than pytest's own limit."""


async def all_of(records: AsyncIterator[Record]) -> list[Record]:
    """Return what is read, as a list."""
    return [record async for record in records]


async def a_backlog(streams: Streams, name: str, *, partitions: int = 1, records: int = 10) -> str:
    """Create a topic with numbered records and return its name."""
    await streams.create_topics({name: partitions, f"{name}.out": 2})
    await streams.append([Outgoing(name, b"%d" % n, b"%d" % n) for n in range(records)])
    return name


async def a_batch(group: Group) -> Batch:
    """Return the next batch, which must come."""
    batch = await group.next(WAIT)
    assert batch is not None
    return batch


def copied(batch: Batch) -> list[Outgoing]:
    """Return the batch's records for the topic's output."""
    return [
        Outgoing(f"{batch.topic}.out", record.key, record.value, record.headers)
        for record in batch.records
    ]


async def written(streams: Streams, topic: str) -> list[int]:
    """Return the numbers in the topic's output, sorted."""
    return sorted(int(r.value or b"") for r in await all_of(streams.read(f"{topic}.out")))


async def test_a_commit_writes_the_records_and_moves_the_offset(
    streams: Streams, unique: Named
) -> None:
    """Both happen, and the next member goes on after it."""
    topic = await a_backlog(streams, unique("in"))
    assert await streams.lag(unique("group"), [topic]) == 10
    async with streams.group(unique("group"), [topic]) as group:
        batch = await a_batch(group)
        assert [int(r.value or b"") for r in batch.records] == list(range(10))
        await group.commit(batch, copied(batch))
    assert await written(streams, topic) == list(range(10))
    assert await streams.lag(unique("group"), [topic]) == 0
    await streams.append([Outgoing(topic, b"10", b"10")])
    async with streams.group(unique("group"), [topic]) as group:
        batch = await a_batch(group)
        assert [record.value for record in batch.records] == [b"10"]


async def test_an_aborted_batch_leaves_nothing_and_is_given_again(
    streams: Streams, unique: Named
) -> None:
    """Giving a batch back is as if it had never been taken."""
    topic = await a_backlog(streams, unique("in"))
    async with streams.group(unique("group"), [topic]) as group:
        batch = await a_batch(group)
        await group.abort(batch)
        again = await a_batch(group)
        assert again.records == batch.records
        await group.abort(again)
    assert await written(streams, topic) == []
    assert await streams.lag(unique("group"), [topic]) == 10


async def test_a_batch_that_was_not_committed_goes_to_the_next_member(
    streams: Streams, unique: Named
) -> None:
    """A member that leaves with an open batch loses nothing for the group."""
    topic = await a_backlog(streams, unique("in"))
    async with streams.group(unique("group"), [topic]) as group:
        first = await a_batch(group)
    async with streams.group(unique("group"), [topic]) as group:
        assert (await a_batch(group)).records == first.records


async def test_a_batch_cannot_be_committed_twice(streams: Streams, unique: Named) -> None:
    """The second commit is fenced, and its records are not written."""
    topic = await a_backlog(streams, unique("in"))
    async with streams.group(unique("group"), [topic]) as group:
        batch = await a_batch(group)
        await group.commit(batch, copied(batch))
        with pytest.raises(Fenced):
            await group.commit(batch, copied(batch))
    assert await written(streams, topic) == list(range(10))


async def test_a_batch_of_a_member_that_has_left_cannot_be_committed(
    streams: Streams, unique: Named
) -> None:
    """Leaving gives up what was open."""
    topic = await a_backlog(streams, unique("in"))
    async with streams.group(unique("group"), [topic]) as group:
        batch = await a_batch(group)
    with pytest.raises(Fenced):
        await group.commit(batch, copied(batch))
    assert await written(streams, topic) == []


async def test_one_batch_of_a_partition_is_open_at_a_time(streams: Streams, unique: Named) -> None:
    """The next one comes once the first is answered, so order is kept."""
    topic = await a_backlog(streams, unique("in"))
    async with streams.group(unique("group"), [topic], max_records=4) as group:
        batch = await a_batch(group)
        assert await group.next(0.3) is None
        await group.commit(batch, copied(batch))
        second = await a_batch(group)
        assert second.records[0].offset == batch.next_offset


async def test_batches_of_several_partitions_are_open_together(
    streams: Streams, unique: Named
) -> None:
    """Their commits may overlap."""
    topic = await a_backlog(streams, unique("in"), partitions=3, records=60)
    async with streams.group(unique("group"), [topic]) as group:
        batches = [await a_batch(group) for _ in range(3)]
        assert {batch.partition for batch in batches} == {0, 1, 2}
        await asyncio.gather(*(group.commit(batch, copied(batch)) for batch in batches))
    assert await written(streams, topic) == list(range(60))


async def test_one_partition_does_not_take_the_room_of_the_others(
    streams: Streams, unique: Named
) -> None:
    """A long backlog in one partition leaves the others their turn."""
    topic = await a_backlog(streams, unique("in"), partitions=3, records=300)
    async with streams.group(unique("group"), [topic], max_records=10) as group:
        batches = [await a_batch(group) for _ in range(3)]
        assert {batch.partition for batch in batches} == {0, 1, 2}


async def test_what_is_open_at_once_is_bounded(streams: Streams, unique: Named) -> None:
    """Memory does not grow with the number of partitions."""
    topic = await a_backlog(streams, unique("in"), partitions=6, records=600)
    async with streams.group(unique("group"), [topic], max_records=10) as group:
        batches = [await a_batch(group) for _ in range(OPEN_BATCHES)]
        assert await group.next(0.3) is None
        await group.commit(batches[0], copied(batches[0]))
        assert await group.next(WAIT) is not None


async def test_a_batch_has_no_more_records_than_asked_for(streams: Streams, unique: Named) -> None:
    """Memory is bounded by the number of records, whatever the backlog."""
    topic = await a_backlog(streams, unique("in"), records=25)
    sizes = []
    async with streams.group(unique("group"), [topic], max_records=10) as group:
        while sum(sizes) < 25:
            batch = await a_batch(group)
            sizes.append(len(batch.records))
            await group.commit(batch, copied(batch))
    assert sizes == [10, 10, 5]
    assert await written(streams, topic) == list(range(25))


async def test_a_batch_has_no_more_bytes_than_asked_for(streams: Streams, unique: Named) -> None:
    """Memory is bounded by bytes too, but one record is always given."""
    topic = await a_backlog(streams, unique("in"), records=0)
    for _ in range(4):
        await streams.append([Outgoing(topic, b"k", bytes(30_000))])
    read = 0
    async with streams.group(unique("group"), [topic], max_bytes=70_000) as group:
        while read < 4:
            batch = await a_batch(group)
            assert sum(len(record.value or b"") for record in batch.records) <= 70_000
            read += len(batch.records)
            await group.commit(batch)
    async with streams.group(unique("other"), [topic], max_bytes=1_000) as group:
        assert len((await a_batch(group)).records) == 1


async def test_a_refused_record_leaves_the_batch_open(streams: Streams, unique: Named) -> None:
    """Nothing was written, and the batch can still be committed with something else."""
    topic = await a_backlog(streams, unique("in"))
    async with streams.group(unique("group"), [topic]) as group:
        batch = await a_batch(group)
        large = Outgoing(f"{topic}.out", b"k", bytes(streams.max_record_bytes))
        with pytest.raises(RecordTooLarge):
            await group.commit(batch, [*copied(batch), large])
        with pytest.raises(UnknownTopic):
            await group.commit(batch, [*copied(batch), Outgoing(unique("not"), b"k", b"v")])
        assert await written(streams, topic) == []
        await group.commit(batch, copied(batch))
    assert await written(streams, topic) == list(range(10))


async def test_waiting_ends_when_told_and_when_something_comes(
    streams: Streams, unique: Named
) -> None:
    """A caller can stop when nothing is left, and is woken when something is."""
    topic = await a_backlog(streams, unique("in"), records=0)
    async with streams.group(unique("group"), [topic]) as group:
        assert await group.next(0.2) is None
        waiting = asyncio.ensure_future(group.next(WAIT))
        await streams.append([Outgoing(topic, b"k", b"7")])
        batch = await asyncio.wait_for(waiting, WAIT)
        assert batch is not None
        assert batch.records[0].value == b"7"


async def test_iterating_gives_every_batch(streams: Streams, unique: Named) -> None:
    """The usual way to work is a loop over the group."""
    topic = await a_backlog(streams, unique("in"), partitions=2, records=30)
    seen = 0
    async with streams.group(unique("group"), [topic], max_records=7) as group:
        async for batch in group:
            await group.commit(batch, copied(batch))
            seen += len(batch.records)
            if seen == 30:
                break
    assert await written(streams, topic) == list(range(30))


async def test_a_partition_is_announced_before_it_is_read(streams: Streams, unique: Named) -> None:
    """A caller can load what it keeps for a partition before the first batch."""
    topic = await a_backlog(streams, unique("in"), partitions=2, records=20)
    told: list[tuple[str, int]] = []

    async def announced(name: str, partition: int) -> None:
        await asyncio.sleep(0)
        told.append((name, partition))

    async with streams.group(unique("group"), [topic], on_assigned=announced) as group:
        batch = await a_batch(group)
        assert (batch.topic, batch.partition) in told
        await group.commit(batch)
        assert (await a_batch(group)).partition != batch.partition
        assert group.assignment() == frozenset(told) == {(topic, 0), (topic, 1)}


async def test_an_error_while_preparing_is_told_to_the_reader(
    streams: Streams, unique: Named
) -> None:
    """What goes wrong in a callback is not lost in a background task."""
    topic = await a_backlog(streams, unique("in"))

    async def broken(_name: str, _partition: int) -> None:
        raise LookupError("the test's own")

    async with streams.group(unique("group"), [topic], on_assigned=broken) as group:
        with pytest.raises(LookupError):
            await group.next(WAIT)


async def test_a_partition_is_prepared_again_while_the_streams_are_away(
    streams: Streams, unique: Named
) -> None:
    """A callback that reads may find them away, which is no reason for a member to end."""
    topic = await a_backlog(streams, unique("in"))
    told: list[tuple[str, int]] = []

    async def away_twice(name: str, partition: int) -> None:
        told.append((name, partition))
        if len(told) < 3:
            raise StreamsUnavailable("the test's own")

    async with streams.group(unique("group"), [topic], on_assigned=away_twice) as group:
        batch = await a_batch(group)
        await group.commit(batch, copied(batch))
    assert told == [(topic, 0)] * 3
    assert await written(streams, topic) == list(range(10))


async def test_groups_do_not_disturb_each_other(streams: Streams, unique: Named) -> None:
    """Each group reads everything."""
    topic = await a_backlog(streams, unique("in"))
    for name in ("one", "two"):
        async with streams.group(unique(name), [topic]) as group:
            batch = await a_batch(group)
            assert len(batch.records) == 10
            await group.commit(batch)


async def test_a_group_may_take_on_further_topics(streams: Streams, unique: Named) -> None:
    """A publisher that joins while routers run is read without a restart."""
    topic = await a_backlog(streams, unique("in"))
    async with streams.group(unique("group"), [topic]) as group:
        await group.commit(await a_batch(group))
        later = await a_backlog(streams, unique("later"))
        await group.subscribe([topic, later])
        batch = await a_batch(group)
        assert (batch.topic, len(batch.records)) == (later, 10)


async def drain(group: Group, enough: asyncio.Event) -> None:
    """Copy batches until told to stop; a fenced one is somebody else's to copy."""
    while not enough.is_set():
        batch = await group.next(0.1)
        if batch is not None:
            try:
                await group.commit(batch, copied(batch))
            except Fenced:
                continue


async def test_members_that_come_and_go_copy_each_record_once(
    streams: Streams, streams_url: str, unique: Named
) -> None:
    """Rebalances in the middle of the work neither lose nor repeat a record."""
    total = 4_000
    topic = await a_backlog(streams, unique("in"), partitions=4, records=total)
    enough = asyncio.Event()

    async def member(*, batches: int | None = None) -> None:
        async with (
            open_streams(streams_url) as own,
            own.group(unique("group"), [topic], max_records=10) as group,
        ):
            if batches is None:
                await drain(group, enough)
                return
            for _ in range(batches):
                batch = await group.next(0.3)
                if batch is not None:
                    try:
                        await group.commit(batch, copied(batch))
                    except Fenced:
                        continue
            # Leaves with a batch open.
            await group.next(0.2)

    async with asyncio.timeout(120), asyncio.TaskGroup() as tasks:
        tasks.create_task(member())
        for _ in range(2):
            await tasks.create_task(member(batches=5))
        tasks.create_task(member())
        while await streams.lag(unique("group"), [topic]):  # noqa: ASYNC110  others work
            await asyncio.sleep(0.05)
        enough.set()
    counts = Counter(await written(streams, topic))
    assert set(counts) == set(range(total))
    assert set(counts.values()) == {1}


async def test_members_share_the_partitions_out(
    streams: Streams, streams_url: str, unique: Named
) -> None:
    """Two members of a group of four partitions come to hold two each."""
    topic = await a_backlog(streams, unique("in"), partitions=4, records=0)
    async with (
        open_streams(streams_url) as other,
        streams.group(unique("group"), [topic]) as first,
        other.group(unique("group"), [topic]) as second,
        asyncio.timeout(WAIT),
    ):
        while not (len(first.assignment()) == len(second.assignment()) == 2):
            await first.next(0.05)
            await second.next(0.05)
        assert not first.assignment() & second.assignment()

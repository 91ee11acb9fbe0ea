"""What every adapter of the streams port keeps when the beginning of a topic is removed."""

from collections.abc import Callable
from pathlib import Path

import pytest

from connectors.streams import Outgoing, Streams, UnknownTopic

Named = Callable[[str], str]


async def values(streams: Streams, topic: str, start: int = 0) -> list[tuple[int, bytes | None]]:
    """Return the offset and the value of what is left."""
    return [(record.offset, record.value) async for record in streams.read(topic, start=start)]


async def a_topic(streams: Streams, name: str, records: int) -> str:
    """Create a topic of one partition with so many records, in appends of ten."""
    await streams.create_topics({name: 1}, kept=frozenset({name}))
    for start in range(0, records, 10):
        some = range(start, min(start + 10, records))
        await streams.append([Outgoing(name, b"key", b"value %d" % n) for n in some])
    return name


async def test_what_is_removed_is_gone_and_the_rest_keeps_its_place(
    streams: Streams, unique: Named
) -> None:
    """Readers begin at the first record that is left; new records go on at the end."""
    topic = await a_topic(streams, unique("removed"), 40)
    before = await values(streams, topic)
    assert await streams.begin(topic) == {0: 0}
    at = before[25][0]
    await streams.remove_before(topic, 0, at)
    assert await streams.begin(topic) == {0: at}
    assert await values(streams, topic) == before[25:]
    assert await values(streams, topic, start=before[30][0]) == before[30:]
    end = (await streams.end(topic))[0]
    await streams.append([Outgoing(topic, b"key", b"later")])
    assert (await values(streams, topic))[-1] == (end, b"later")


async def test_removing_again_or_beyond_the_end_changes_nothing(
    streams: Streams, unique: Named
) -> None:
    """So a removal that was cut off is simply asked for again."""
    topic = await a_topic(streams, unique("again"), 20)
    records = await values(streams, topic)
    for at in (records[10][0], records[10][0], records[3][0], 10_000):
        await streams.remove_before(topic, 0, at)
        assert await values(streams, topic) == records[min(10, len(records)) :]


async def test_everything_can_be_removed(streams: Streams, unique: Named) -> None:
    """Then the topic begins where it ends, and goes on from there."""
    topic = await a_topic(streams, unique("all"), 20)
    end = (await streams.end(topic))[0]
    await streams.remove_before(topic, 0, end)
    assert await streams.begin(topic) == {0: end}
    assert await values(streams, topic) == []
    await streams.append([Outgoing(topic, b"key", b"first")])
    assert await values(streams, topic) == [(end, b"first")]


async def test_a_topic_that_does_not_exist_has_no_beginning(
    streams: Streams, unique: Named
) -> None:
    """As with its end."""
    with pytest.raises(UnknownTopic):
        await streams.begin(unique("none"))


async def test_removed_bytes_are_not_left_in_the_embedded_file(
    streams: Streams, streams_url: str, unique: Named
) -> None:
    """SQLite would only mark the pages as free."""
    if not streams_url.startswith("sqlite:"):
        pytest.skip("Kafka deletes its segments' files in its own time")
    topic = unique("secret")
    await streams.create_topics({topic: 1})
    words = b"a word that nobody is to find" * 2_000  # also over many pages
    await streams.append([Outgoing(topic, b"key", words), Outgoing(topic, b"key", words[:60])])
    await streams.remove_before(topic, 0, 2)
    file = Path(streams_url.removeprefix("sqlite:"))
    for path in (file, file.with_name(f"{file.name}-wal")):
        assert b"nobody is to find" not in path.read_bytes()

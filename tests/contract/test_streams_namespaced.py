"""Two schemes on one cluster do not meet."""

import uuid

import pytest

from connectors.streams import Outgoing, Streams, open_streams


async def drained(streams: Streams, group: str, topic: str) -> list[bytes | None]:
    """Return the values that a group member is given of a topic with one partition."""
    values: list[bytes | None] = []
    async with streams.group(group, [topic]) as member:
        while (batch := await member.next(10 if not values else 0.5)) is not None:
            assert {record.topic for record in batch.records} == {topic} == {batch.topic}
            values += [record.value for record in batch.records]
            await member.commit(
                batch, [Outgoing("copies", record.key, b"copy") for record in batch.records]
            )
    return values


@pytest.mark.kafka
async def test_the_same_names_in_two_namespaces_are_two_sets_of_topics_and_groups(
    kafka_url: str,
) -> None:
    """Issue: schemes share a cluster by a namespace, and callers see names without it."""
    one, other = (f"one-{uuid.uuid4().hex[:8]}", f"other-{uuid.uuid4().hex[:8]}")
    async with (
        open_streams(kafka_url, namespace=one) as first,
        open_streams(kafka_url, namespace=other) as second,
    ):
        for streams, value in ((first, b"first"), (second, b"second")):
            await streams.create_topics({"events": 1, "copies": 1})
            await streams.append([Outgoing("events", b"key", value)])
        assert await first.topics() == {"events": 1, "copies": 1}
        assert await drained(first, "group", "events") == [b"first"]
        assert await drained(second, "group", "events") == [b"second"]
        assert [(r.topic, r.value) async for r in first.read("copies")] == [("copies", b"copy")]
        assert await first.lag("group", ["events"]) == 0

"""One event, one place: what is copied anywhere else on a topic is not decided again."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from routing_world import SUBJECT_KEY, TOPIC, RoutingWorld

from broker.accepted import TOPIC as ACCEPTED
from broker.accepted import AcceptedIds, record_of
from broker.routing import QUARANTINE
from connectors.streams import Record, Streams, open_streams
from connectors.streams.partitioning import key_hash

PARTITIONS = 4
PLACE = key_hash(SUBJECT_KEY) % PARTITIONS
ELSEWHERE = tuple(place for place in range(PARTITIONS) if place != PLACE)


@pytest.fixture(scope="module")
def world() -> RoutingWorld:
    """Return one world for all."""
    return RoutingWorld()


@pytest.mark.parametrize("partition", ELSEWHERE)
def test_a_copy_in_another_partition_is_refused_by_the_router_that_has_it(
    world: RoutingWorld, partition: int
) -> None:
    """That router does not know what the first accepted, so it must not decide at all."""
    record = world.record()._replace(partition=PLACE)
    assert world.route(record, partitions=PARTITIONS).tally == {"accepted": 1, "permit": 1}
    world.router = world.a_router()
    routed = world.route(record._replace(partition=partition), partitions=PARTITIONS)
    assert routed.tally == {"accepted": 0, "quarantine:misplaced": 1}
    assert [out.topic for out in routed.outgoing] == [QUARANTINE]


@pytest.mark.parametrize("partition", ELSEWHERE)
def test_a_copy_under_another_key_is_refused_by_the_router_that_has_it(
    world: RoutingWorld, partition: int
) -> None:
    """In the partition of its new key, but the publisher signed another one."""
    record = world.record()._replace(partition=PLACE)
    assert world.route(record, partitions=PARTITIONS).tally == {"accepted": 1, "permit": 1}
    world.router = world.a_router()
    keys = (b"%016d" % number for number in range(1000))
    key = next(key for key in keys if key_hash(key) % PARTITIONS == partition)
    routed = world.route(record._replace(key=key, partition=partition), partitions=PARTITIONS)
    assert routed.tally == {"accepted": 0, "quarantine:bad-signature": 1}


@given(st.binary(min_size=16, max_size=16), st.integers(1, 12), st.integers(0, 11))
def test_an_event_is_accepted_in_the_one_partition_that_its_key_gives(
    world: RoutingWorld, key: bytes, partitions: int, partition: int
) -> None:
    """Whatever the key and however many partitions there are."""
    partition %= partitions
    record = world.record(key=key)._replace(partition=partition)
    tally = world.route(record, partitions=partitions).tally
    is_there = key_hash(key) % partitions == partition
    assert (tally["accepted"], tally["quarantine:misplaced"]) == (is_there, not is_there)


class Watching:
    """Streams that note from which partitions somebody reads."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams
        self.read_from: list[int | None] = []

    def read(self, topic: str, *, partition: int | None = None) -> AsyncIterator[Record]:
        """Read, and note it."""
        self.read_from.append(partition)
        return self._streams.read(topic, partition=partition)


async def test_accepted_ids_are_read_from_the_partition_that_holds_them(tmp_path: Path) -> None:
    """A router that takes a partition over does not read what all partitions accepted."""
    async with open_streams(f"sqlite:{tmp_path / 'streams.db'}") as streams:
        await streams.create_topics({ACCEPTED: PARTITIONS})
        for partition in range(PARTITIONS):
            await streams.append([record_of(TOPIC, partition, [b"%016d" % partition])])
            watching, accepted = Watching(streams), AcceptedIds()
            await accepted.load(watching, TOPIC, partition, partitions=PARTITIONS)  # type: ignore[arg-type]  # reads only
            assert not accepted.claim(b"%016d" % partition)
            assert watching.read_from != [None]
            assert len(watching.read_from) == 1

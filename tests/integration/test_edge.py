"""From a source to a recipient's file, on real streams: everything once, over crashes.

The broker in between is the one of ``edge_world``, which hands everything on:
what is tested here is the edge on both of its sides.
"""

import asyncio
import json
import os
import signal
import sys
import uuid
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from edge_world import World, a_world, an_access, found

from broker.demo.families import TRUST, generate
from connectors.folder import FolderSink
from connectors.received import Received
from connectors.ssda903 import Row, read_return
from connectors.streams import Streams

SAMPLE = Path(__file__).parents[3] / "shared" / "samples" / "ssda903"
IDLE_SECONDS = 2.0
NOW = datetime(2026, 11, 23, 14, 0, tzinfo=UTC)


@pytest_asyncio.fixture(name="world")
async def the_world(streams: Streams) -> World:
    """Found a scheme in small on streams of each kind, its parties this test's own."""
    suffix = uuid.uuid4().hex[:8]
    return await found(streams, trust=f"trust-{suffix}", social_care=f"care-{suffix}")


def lines(sink: FolderSink) -> list[dict[str, Any]]:
    """Read what a sink has written."""
    return [json.loads(line) for line in sink.path.read_text(encoding="utf-8").splitlines()]


async def test_what_a_hospital_tells_arrives_in_social_cares_file(
    world: World, tmp_path: Path
) -> None:
    """Every event of the story comes out once, with the record that went in."""
    events = [event for party, event in generate(7, 60, NOW) if party == TRUST]
    published = await world.publisher().publish(events)
    await world.deliver(await world.published())
    with FolderSink(tmp_path, world.social_care) as sink:
        counts = await world.subscriber().deliver_to(sink, idle_seconds=IDLE_SECONDS)
    assert (counts.received, counts.unopened) == (len(events), 0)
    by_id = {line["event_id"]: line for line in lines(sink)}
    assert set(by_id) == set(published.ids)
    for event, event_id in zip(events, published.ids, strict=True):
        line = by_id[event_id]
        assert line["event_type"] == event.event_type
        assert line["record"].items() >= _plain(event.record).items()


def _plain(record: Any) -> dict[str, Any]:
    """Return the leaves of a record that JSON has a form for, as they stand in the file."""
    return {
        name: value.isoformat() if type(value) is date else value
        for name, value in record.items()
        if isinstance(value, (str, bool)) or type(value) is date
    }


async def test_a_crash_between_writing_and_committing_repeats_nothing(
    world: World, tmp_path: Path
) -> None:
    """The batch comes again, and the file has each delivery once."""
    await world.publisher().publish(an_access(number) for number in range(30))
    await world.deliver(await world.published())

    class Crash(Exception):
        """The process ends right after it has written."""

    class Crashing(FolderSink):
        def write(self, deliveries: Iterable[Received]) -> int:
            super().write(deliveries)
            raise Crash

    for _ in range(3):
        with Crashing(tmp_path, world.social_care) as sink, pytest.raises(Crash):
            await world.subscriber(max_records=10).deliver_to(sink, idle_seconds=IDLE_SECONDS)
    with FolderSink(tmp_path, world.social_care) as sink:
        await world.subscriber(max_records=10).deliver_to(sink, idle_seconds=IDLE_SECONDS)
    counts = Counter(line["event_id"] for line in lines(sink))
    assert len(counts) == 30
    assert set(counts.values()) == {1}


async def test_two_subscribers_of_a_group_share_the_deliveries(
    world: World, tmp_path: Path
) -> None:
    """Together they have everything once, in one file, whoever has which partition when."""
    await world.publisher().publish(
        an_access(number, nhsNumber=f"999000{number:04d}") for number in range(200)
    )
    await world.deliver(await world.published())
    with (
        FolderSink(tmp_path, world.social_care) as one,
        FolderSink(tmp_path, world.social_care) as other,
    ):
        await asyncio.gather(
            world.subscriber(max_records=7).deliver_to(one, idle_seconds=IDLE_SECONDS),
            world.subscriber(max_records=7).deliver_to(other, idle_seconds=IDLE_SECONDS),
        )
    counts = Counter(line["event_id"] for line in lines(one))
    assert len(counts) == 200
    assert set(counts.values()) == {1}


async def test_a_source_published_twice_has_the_same_ids_on_the_topic(world: World) -> None:
    """A router can tell that it has decided them: nothing but the seal differs."""
    publisher = world.publisher()
    for _ in range(2):
        await publisher.publish(an_access(number) for number in range(10))
    ids = Counter(dict(record.headers)["ce_id"] for record in await world.published())
    assert set(ids.values()) == {2}


@pytest.mark.samples
@pytest.mark.skipif(not SAMPLE.is_dir(), reason="the public samples are not beside the project")
async def test_a_statutory_return_is_published_and_received_whole(
    world: World, tmp_path: Path
) -> None:
    """Every placement and missing episode of the sample arrives, its bad UPNs and postcodes too."""
    rows = list(read_return(SAMPLE, local_authority="E08000999", today=NOW.date()))
    events = [row.event for row in rows if isinstance(row, Row)]
    published = await world.publisher().publish(events)
    assert len(set(published.ids)) == len(rows) == 5093
    await world.deliver(await world.published())
    with FolderSink(tmp_path, world.social_care) as sink:
        counts = await world.subscriber().deliver_to(sink, idle_seconds=IDLE_SECONDS)
    assert counts.received == 5093
    assert len(lines(sink)) == 5093


KILLED = """
import asyncio, pathlib, sys
from connectors.folder import FolderSink
from connectors.streams import open_streams
from connectors.subscriber import Subscriber
from schemas.keys import SealingKey, Suite, VerifyingKey

async def receive(folder, recipient, scheme_key, sealing_key):
    key = SealingKey(Suite.X25519, bytes.fromhex(sealing_key))
    async with open_streams(f"sqlite:{folder}/streams.db") as streams:
        subscriber = Subscriber(
            recipient, sealing_keys=[key], scheme_key=VerifyingKey(bytes.fromhex(scheme_key)),
            streams=streams, max_records=5, session_seconds=1.0,
        )
        with FolderSink(pathlib.Path(folder), recipient) as sink:
            async for deliveries in subscriber.batches(idle_seconds=float(sys.argv[5])):
                sink.write(deliveries.received)
                print("written", flush=True)

asyncio.run(receive(*sys.argv[1:5]))
"""


@pytest.mark.fault
async def test_a_subscriber_killed_again_and_again_has_everything_once(tmp_path: Path) -> None:
    """SIGKILL after each few batches: no line is lost, none is there twice, none is cut off."""
    async with a_world(tmp_path) as world:
        await world.publisher().publish(
            an_access(number, nhsNumber=f"999000{number:04d}") for number in range(300)
        )
        await world.deliver(await world.published())
    recipient = world.social_care
    secret = world.recipient_key._secret.hex()
    arguments = [str(tmp_path), recipient, world.scheme.public.raw.hex(), secret]
    for batches in (1, 3, 2, 5, 1, 4, 0):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", KILLED, *arguments, "0.2",
            stdout=asyncio.subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        )  # fmt: skip
        assert process.stdout is not None
        if batches == 0:
            await process.communicate()
            continue
        for _ in range(batches):
            assert await process.stdout.readline() == b"written\n"
        os.kill(process.pid, signal.SIGKILL)
        await process.wait()
    with FolderSink(tmp_path, recipient) as sink:
        counts = Counter(line["event_id"] for line in lines(sink))
    assert len(counts) == 300
    assert set(counts.values()) == {1}

"""Every event is decided once and every delivery made once, whatever dies meanwhile.

Routers are real processes (``concordat run``), killed without warning (SIGKILL) at
moments that follow from how far the work has come. Afterwards everything committed is
read back, and must be as if nothing had happened.
"""

import asyncio
import hashlib
import random
from collections import Counter
from pathlib import Path

import pytest
from deciding_world import COUNCIL, HEALTH, SCHOOL
from decision_records import decision_records
from fault_world import (
    EVERY_BAD,
    a_scheme,
    decided,
    finish,
    last_words,
    placements,
    routers,
)
from services.local_kafka import LocalKafka

from broker.edge import publisher_of
from broker.recording import read_decision
from broker.routing import DELIVERIES, QUARANTINE
from broker.scheme import SchemeFolder
from connectors.streams import Streams

pytestmark = pytest.mark.fault

EVENTS = 20_000
KILLS = 20

AWAY_SECONDS = 15.0
"""How long a broker is away: longer than a member's session and than a transaction."""


# -- what must hold afterwards -----------------------------------------------------------


async def assert_exactly_once(streams: Streams, published: tuple[str, ...]) -> None:
    """Hold everything that was committed against what was published."""
    bad = {event_id for number, event_id in enumerate(published) if number % EVERY_BAD == 0}
    decisions = [read_decision(record.value or b"") for record in await decision_records(streams)]
    # Every event that can be decided is decided once, and no other.
    assert Counter(one["eventId"] for one in decisions) == Counter(set(published) - bad)
    # What cannot be is in quarantine once, for its own reason: nothing was taken for a replay.
    kept = [dict(record.headers) async for record in streams.read(QUARANTINE)]
    assert Counter(one["reason"] for one in kept) == {b"invalid-subject": len(bad)}
    assert len({one["place"] for one in kept}) == len(bad)
    # Every delivery has its decision record, and every permit its delivery: event,
    # recipient, flow and the very bytes.
    told = Counter(
        (one["eventId"], candidate["recipient"], candidate["flow"], candidate["sealed"])
        for one in decisions
        for candidate in one["candidates"]
        if candidate["outcome"] == "permit"
    )
    made: Counter[tuple[str, str, str, bytes]] = Counter()
    for recipient in (HEALTH, SCHOOL):
        async for record in streams.read(DELIVERIES + recipient):
            headers = dict(record.headers)
            digest = hashlib.sha256(record.value or b"").digest()
            made[headers["ce_id"].decode(), recipient, headers["ce_flowid"].decode(), digest] += 1
    assert made == told
    # None lost, none twice.
    assert set(made.values()) == {1}
    by_recipient = Counter(recipient for _, recipient, _, _ in made)
    odd = sum(1 for number in range(len(published)) if number % 2)
    assert by_recipient == {HEALTH: len(published) - len(bad), SCHOOL: odd}


async def assert_nothing_is_decided_again(scheme: SchemeFolder, ids: tuple[str, ...]) -> None:
    """Publish some of the events again: a router that never saw them knows them all."""
    count = 4 * EVERY_BAD
    async with scheme.streams() as streams:
        publisher = await publisher_of(scheme, streams, COUNCIL)
        again = await publisher.publish(placements(count))
        assert again.ids == ids[:count]
    await finish(scheme)
    async with scheme.streams() as streams:
        decided_ids = [
            read_decision(record.value or b"")["eventId"]
            for record in await decision_records(streams)
        ]
        reasons = Counter(
            [dict(record.headers)["reason"] async for record in streams.read(QUARANTINE)]
        )
    assert max(Counter(decided_ids).values()) == 1
    assert reasons[b"replayed"] == count - 4


# -- the tests ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "count", "events"),
    [
        ("embedded", 1, EVENTS),
        ("embedded", 2, EVENTS // 2),
        pytest.param("kafka", 2, EVENTS, marks=pytest.mark.kafka),
    ],
)
async def test_routers_killed_again_and_again_do_everything_once(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str, count: int, events: int
) -> None:
    """Twenty times SIGKILL at work, alone or with another that takes over and back."""
    is_kafka = kind == "kafka"
    url = str(request.getfixturevalue("kafka_url")) if is_kafka else "sqlite:streams.db"
    scheme = await a_scheme(tmp_path / "scheme", url)
    moments = random.Random(count)  # noqa: S311  repeatable
    target = moments.randrange(50, 500)
    async with scheme.streams() as streams:
        publisher = await publisher_of(scheme, streams, COUNCIL)
        published = await publisher.publish(placements(events))
        with routers(scheme, count) as routing:
            async for done in decided(streams, routing, events):
                if done >= target and routing.killed < KILLS:
                    routing.kill_one()
                    # From right away to as far off as lets the other kills have their share.
                    left = (events - events // 20 - done) / (KILLS - routing.killed + 1)
                    target = done + moments.randrange(1, max(2, int(left * 1.6)))
    await finish(scheme)
    assert routing.killed >= KILLS, routing.ended
    assert routing.ended == [], last_words(routing)
    async with scheme.streams() as streams:
        await assert_exactly_once(streams, published.ids)
    await assert_nothing_is_decided_again(scheme, published.ids)


@pytest.mark.kafka
async def test_a_kafka_broker_that_goes_and_comes_back_loses_nothing(
    own_kafka: LocalKafka, tmp_path: Path
) -> None:
    """Stopped for longer than sessions last, then killed, while routers work: all go on."""
    events = 6_000
    scheme = await a_scheme(tmp_path / "scheme", f"kafka://{own_kafka.address}")
    async with scheme.streams() as streams:
        publisher = await publisher_of(scheme, streams, COUNCIL)
        published = await publisher.publish(placements(events))
    with routers(scheme, 2) as routing:
        for target, kill, away_seconds in ((1_000, False, AWAY_SECONDS), (3_000, True, 0.0)):
            async with scheme.streams() as streams:
                async for done in decided(streams, routing, target):
                    if done >= target:
                        break
            await asyncio.to_thread(own_kafka.stop, kill=kill)
            await asyncio.sleep(away_seconds)
            await asyncio.to_thread(own_kafka.start)
        async with scheme.streams() as streams:
            async for _ in decided(streams, routing, events):
                pass
        routing.replace()
        assert routing.ended == [], last_words(routing)
    await finish(scheme)
    async with scheme.streams() as streams:
        await assert_exactly_once(streams, published.ids)

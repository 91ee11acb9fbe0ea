"""What was held is settled once, whatever dies while it is settled.

As in `test_exactly_once`: real processes, SIGKILL, and everything committed read back.
"""

import hashlib
import random
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
from deciding_world import COUNCIL, HEALTH, SCHOOL, SIGNATORY
from decision_records import decision_records
from fault_world import (
    EVERY_BAD,
    a_scheme,
    decided,
    finish,
    last_words,
    placements,
    routers,
    the_agreement,
)

from agreements.signatures import SignatureType
from broker.edge import publisher_of
from broker.holding import HELD
from broker.recording import read_decision
from broker.routing import DELIVERIES, QUARANTINE
from broker.saying import Saying
from broker.scheme import SchemeFolder
from broker.submitting import submit
from connectors.streams import Streams

pytestmark = pytest.mark.fault

EVENTS = 1_000
BAD = EVENTS // EVERY_BAD
KILLS = 4


async def say(scheme: SchemeFolder, streams: Streams, kind: str, **said: str) -> str:
    """Have health say something of the agreement; returns the statement's id."""
    at = datetime.now(UTC).replace(microsecond=0)
    saying = Saying(SignatureType(kind), HEALTH, SIGNATORY, at, reason="A reason.", **said)  # type: ignore[arg-type]  # which fields, the caller says
    token = saying.sign(the_agreement(), scheme.party_keys(HEALTH).signing[0])
    return (await submit(scheme, streams, token)).id


async def assert_settled_once(streams: Streams, held: int) -> None:
    """Hold what was settled against what was held."""
    records = [read_decision(record.value or b"") for record in await decision_records(streams)]
    first = [one for one in records if one["settles"] is None]
    later = [one for one in records if one["settles"] is not None]
    waited = Counter(
        (one["eventId"], candidate["recipient"])
        for one in first
        for candidate in one["candidates"]
        if candidate["outcome"] == "hold"
    )
    assert waited.total() == held
    settled = Counter((one["eventId"], one["candidates"][0]["recipient"]) for one in later)
    # Whatever was held has one record that settles it, and nothing else has any.
    assert settled == waited
    assert set(settled.values()) == {1}
    assert len({(one["settles"]["partition"], one["settles"]["offset"]) for one in later}) == held
    # Every permit has its delivery, and every delivery its permit: the very bytes.
    told = Counter(
        (candidate["recipient"], candidate["sealed"])
        for one in later
        for candidate in one["candidates"]
        if candidate["outcome"] == "permit"
    )
    made = Counter(
        [
            (recipient, hashlib.sha256(record.value or b"").digest())
            for recipient in (HEALTH, SCHOOL)
            async for record in streams.read(DELIVERIES + recipient)
        ]
    )
    assert made == told
    # Health gets every event, the school every second: the rest is denied by its condition.
    assert Counter(recipient for recipient, _ in made) == {
        HEALTH: EVENTS - BAD,
        SCHOOL: EVENTS // 2,
    }


async def test_what_was_held_is_settled_once_whoever_is_killed(tmp_path: Path) -> None:
    """SIGKILL again and again while two routers settle: each copy has one settlement."""
    scheme = await a_scheme(tmp_path / "scheme", "sqlite:streams.db")
    async with scheme.streams() as streams:
        suspension = await say(scheme, streams, "suspend")
        await (await publisher_of(scheme, streams, COUNCIL)).publish(placements(EVENTS))
    await finish(scheme)
    dice = random.Random(4)  # noqa: S311  repeatable
    async with scheme.streams() as streams:
        assert not [record async for record in streams.read(DELIVERIES + HEALTH)]
        held = len([record async for record in streams.read(HELD)])
        await say(scheme, streams, "resume", lifts=suspension, held="release")
        with routers(scheme, 2) as routing:
            target = EVENTS + dice.randrange(10, 200)
            async for done in decided(streams, routing, EVENTS + held):
                if done >= target and routing.killed < KILLS:
                    routing.kill_one()
                    left = EVENTS + held - held // 10 - done
                    target = done + dice.randrange(1, max(2, left // (KILLS - routing.killed + 1)))
    assert routing.killed >= KILLS, last_words(routing)
    assert routing.ended == [], last_words(routing)
    await finish(scheme)
    async with scheme.streams() as streams:
        await assert_settled_once(streams, held)
        reasons = Counter(
            [dict(record.headers)["reason"] async for record in streams.read(QUARANTINE)]
        )
        assert reasons == {b"invalid-subject": BAD}

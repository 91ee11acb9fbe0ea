"""Who had an event is told once that it was taken back, whatever dies meanwhile.

As in `test_exactly_once`: real processes, SIGKILL, and everything committed read back.
"""

import dataclasses
import hashlib
import random
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
from deciding_world import COUNCIL, HEALTH, SIGNATORY
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
from broker.administration import sign_agreement
from broker.edge import publisher_of
from broker.recording import read_decision
from broker.routing import DELIVERIES
from connectors.streams import Streams

pytestmark = pytest.mark.fault

EVENTS = 400
GOOD = EVENTS - EVENTS // EVERY_BAD
KILLS = 5


async def assert_told_once(streams: Streams, had: dict[str, str]) -> None:
    """Hold notices and records against what was ``had``: a retraction's id to the event's."""
    records = [read_decision(record.value or b"") for record in await decision_records(streams)]
    notices = [one for one in records if one["settles"] is not None]
    assert Counter(one["eventId"] for one in notices) == Counter(had.keys())
    told = {}
    for one in notices:
        (candidate,) = one["candidates"]
        said = (candidate["outcome"], candidate["recipient"], candidate["detail"])
        assert said == ("permit", HEALTH, had[one["eventId"]])
        told[one["eventId"]] = candidate["sealed"]
    found = [record async for record in streams.read(DELIVERIES + HEALTH)]
    made = {
        dict(record.headers)["ce_id"].decode(): hashlib.sha256(record.value or b"").digest()
        for record in found
        if "ce_retractsid" in dict(record.headers)
    }
    assert made == told
    assert len(found) == GOOD + len(told)


async def test_who_had_an_event_is_told_once_whoever_is_killed(tmp_path: Path) -> None:
    """SIGKILL again and again while two services tell: each retraction has one notice."""
    scheme = await a_scheme(tmp_path / "scheme", "sqlite:streams.db")
    events = list(placements(EVENTS))
    async with scheme.streams() as streams:
        ids = (await (await publisher_of(scheme, streams, COUNCIL)).publish(events)).ids
    await finish(scheme)
    async with scheme.streams() as streams:
        await sign_agreement(
            scheme, streams, the_agreement(), party=HEALTH, signatory=SIGNATORY,
            at=datetime.now(UTC).replace(microsecond=0), kind=SignatureType.REVOKE,
            reason="A reason.",
        )  # fmt: skip
        retractions = [dataclasses.replace(event, retracts=event) for event in events]
        publisher = await publisher_of(scheme, streams, COUNCIL)
        taking_back = (await publisher.publish(retractions)).ids
    had = {
        new: old for n, (new, old) in enumerate(zip(taking_back, ids, strict=True)) if n % EVERY_BAD
    }
    dice = random.Random(6)  # noqa: S311  repeatable
    async with scheme.streams() as streams:
        with routers(scheme, 2) as routing:
            first, enough = 2 * EVENTS, 2 * EVENTS + len(had)
            target = first + dice.randrange(5, 40)
            async for done in decided(streams, routing, enough):
                if done >= target and routing.killed < KILLS:
                    routing.kill_one()
                    left = enough - len(had) // 10 - done
                    target = done + dice.randrange(1, max(2, left // (KILLS - routing.killed + 1)))
    assert routing.killed >= KILLS, last_words(routing)
    assert routing.ended == [], last_words(routing)
    async with scheme.streams() as streams:
        await assert_told_once(streams, had)

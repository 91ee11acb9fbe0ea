"""Whoever had an event learns that it was taken back, on both kinds of streams."""

import asyncio
import dataclasses
import json
import sqlite3
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from decision_records import decision_records
from town import COUNCIL, SCHOOL, Town, a_placement, found_town, the_agreement, version_two

from agreements.signatures import SignatureType
from broker.acts import is_act
from broker.edge import publisher_of
from broker.notices import Notices
from broker.recording import read_decision
from broker.retraction import GROUP, RETRACTIONS
from broker.routing import DECISIONS, QUARANTINE
from connectors.prepared import PreparedEvent
from connectors.streams import Outgoing

EMBEDDED = pytest.mark.parametrize("streams_url", ["sqlite:streams.db"])
"""Where Kafka would show nothing more."""


@pytest_asyncio.fixture(name="town")
async def a_town(tmp_path: Path, streams_url: str) -> AsyncIterator[Town]:
    """A scheme whose council shares placements with a school."""
    async with found_town(tmp_path / "town", streams=streams_url) as town:
        await town.agree(the_agreement())
        yield town


async def publish(town: Town, event: PreparedEvent) -> str:
    """Publish one event for the council; returns its id."""
    publisher = await publisher_of(town.scheme, town.streams, COUNCIL)
    (event_id,) = (await publisher.publish([event])).ids
    return event_id


def taking_back(event: PreparedEvent) -> PreparedEvent:
    """Return the event that takes one back, of the same child and type."""
    return dataclasses.replace(event, retracts=event)


async def route(town: Town) -> dict[str, int]:
    """Route and tell of retractions until nothing is left; returns what was counted."""
    with town.scheme.telling(town.streams) as telling:
        service = town.scheme.service(town.streams, telling=telling)
        await service.run(until_idle=True)
    return dict(service.tally)


async def received(town: Town) -> list[dict[str, Any]]:
    """Return all that the school has received and could open."""
    opened, unopened = await town.receive()
    assert unopened == 0
    folder = town.scheme.path / "received"
    lines = (folder / f"{SCHOOL}.jsonl").read_text().splitlines() if opened else []
    return [json.loads(line) for line in lines]


async def decided(town: Town) -> list[dict[str, Any]]:
    """Return every decision record."""
    return [read_decision(one.value or b"") for one in await decision_records(town.streams)]


async def test_who_had_an_event_is_told_although_the_agreement_has_ended(town: Town) -> None:
    """Once, without any item, and evidence says who was told under what."""
    event = a_placement(1)
    taken_back = await publish(town, event)
    assert await route(town) == {"accepted": 1, "permit": 1}
    await town.sign(the_agreement(), SCHOOL, SignatureType.REVOKE)
    retraction = await publish(town, taking_back(event))
    assert await route(town) == {"accepted": 1, "deny:revoked": 1, "retracted": 1, "permit": 1}
    first, notice = await received(town)
    assert first["event_id"] == taken_back
    assert (notice["event_id"], notice["retracts_id"]) == (retraction, taken_back)
    assert notice["record"] == {}
    under = ("event_type", "publisher", "agreement", "version", "flow", "purpose")
    assert [notice[name] for name in under] == [first[name] for name in under]
    _, own, told = await decided(town)
    assert (own["settles"], own["candidates"][0]["outcome"]) == (None, "deny")
    assert told["settles"]["suspension"] == ""
    assert (told["eventId"], told["digest"]) == (retraction, own["digest"])
    (candidate,) = told["candidates"]
    assert (candidate["outcome"], candidate["reason"]) == ("permit", "retracted")
    assert candidate["detail"] == taken_back
    assert (candidate["recipient"], candidate["items"]) == (SCHOOL, [])
    assert candidate["sealed"].hex() == notice["delivery"]
    assert await route(town) == {}


@EMBEDDED
async def test_who_receives_the_retraction_itself_gets_no_notice_beside_it(town: Town) -> None:
    """Its own flow has told it, under a later version as well."""
    event = a_placement(1)
    taken_back = await publish(town, event)
    await route(town)
    await town.agree(version_two())
    await publish(town, taking_back(event))
    assert await route(town) == {"accepted": 1, "permit": 1}
    assert [one["retracts_id"] for one in await received(town)] == [None, taken_back]
    assert await town.streams.lag(GROUP, [RETRACTIONS]) == 0


@EMBEDDED
async def test_nobody_is_told_of_what_nobody_had(town: Town) -> None:
    """Nor of another publisher's event: its id is its own."""
    event = a_placement(1)
    theirs = "5f0c7a52-6a0e-5d3c-9a64-0d1f2b3c4d5e"
    await publish(town, dataclasses.replace(event, retracts=theirs))
    assert await route(town) == {"accepted": 1, "permit": 1}
    assert len(await decided(town)) == 1


@EMBEDDED
async def test_nobody_is_told_again_when_the_streams_have_forgotten_how_far_it_was(
    town: Town,
) -> None:
    """As Kafka does with a group that has had no member for a week. Evidence knows."""
    event = a_placement(1)
    await publish(town, event)
    await route(town)
    await town.sign(the_agreement(), SCHOOL, SignatureType.REVOKE)
    retraction = taking_back(event)
    await publish(town, retraction)
    await route(town)
    with sqlite3.connect(town.scheme.path / "streams.db") as connection:
        assert connection.execute("DELETE FROM positions WHERE grp = ?", (GROUP,)).rowcount
    connection.close()
    assert await town.streams.lag(GROUP, [RETRACTIONS]) == 1
    assert await route(town) == {}
    # Nor is anybody told that the retraction was taken back: nobody had it but as a notice.
    await publish(town, dataclasses.replace(event, retracts=retraction))
    assert await route(town) == {"accepted": 1, "deny:revoked": 1}
    assert len(await received(town)) == 2


@EMBEDDED
async def test_nothing_is_told_while_the_rules_may_be_out_of_date(town: Town) -> None:
    """A recipient's key may have been stolen since: what is to be told waits."""
    event = a_placement(1)
    await publish(town, event)
    await route(town)
    await town.sign(the_agreement(), SCHOOL, SignatureType.REVOKE)
    await publish(town, taking_back(event))
    await town.route()
    control = town.scheme.control()
    await control.load(town.streams)
    fresh = False
    tally: Counter[str] = Counter()
    with town.scheme.telling(town.streams) as telling:
        notices = Notices(
            town.streams,
            town.scheme.router(town.streams),
            control,
            telling,
            is_fresh=lambda: fresh,
            tally=tally,
            now_ms=lambda: time.time_ns() // 1_000_000,
        )
        await notices.keep_on(asyncio.Event())  # which ends: there is something that has to wait
        await notices.tell_all()
        assert await town.streams.lag(GROUP, [RETRACTIONS]) == 1
        fresh = True
        await notices.tell_all()
    assert tally == {"retracted": 1, "permit": 1}


@EMBEDDED
async def test_a_copy_that_somebody_else_wrote_takes_nothing_back(town: Town) -> None:
    """Moved, altered or invented, it goes to quarantine, and the next is answered."""
    event = a_placement(1)
    taken_back = await publish(town, event)
    other = await publish(town, a_placement(2))
    await route(town)
    await town.sign(the_agreement(), SCHOOL, SignatureType.REVOKE)
    await publish(town, taking_back(event))
    await town.route()
    (copy,) = [one async for one in town.streams.read(RETRACTIONS)]
    assert copy.value is not None
    about_other = [copy.headers[0], ("retracts", other.encode())]
    await town.streams.append(
        [
            Outgoing(RETRACTIONS, copy.key, b"invented", copy.headers),
            Outgoing(RETRACTIONS, copy.key, copy.value, about_other),
            Outgoing(RETRACTIONS, copy.key, None, []),
            Outgoing(RETRACTIONS, copy.key, copy.value, copy.headers),
        ]
    )
    assert await route(town) == {"retracted": 1, "permit": 1}
    spoilt = [dict(one.headers)["reason"] async for one in town.streams.read(QUARANTINE)]
    assert len(spoilt) == 3
    told = [one["retracts_id"] for one in await received(town)]
    assert sorted(told, key=str) == sorted([None, None, taken_back], key=str)


async def test_a_running_service_tells_of_a_retraction_once_the_query_store_is_back(
    town: Town,
) -> None:
    """Routing goes on meanwhile, and nothing is lost."""
    event = a_placement(1)
    taken_back = await publish(town, event)
    await route(town)
    await town.sign(the_agreement(), SCHOOL, SignatureType.REVOKE)
    await publish(town, taking_back(event))
    store = town.scheme.path / "audit.db"
    store.mkdir()  # where its file is to be
    with town.scheme.telling(town.streams) as telling:
        service = town.scheme.service(town.streams, telling=telling)
        running = asyncio.create_task(service.run())
        async with asyncio.timeout(60):
            async for _ in town.streams.read(RETRACTIONS, follow=True):
                break
            other = await publish(town, a_placement(2))
            async for record in town.streams.read(DECISIONS, follow=True):
                if not is_act(record.value) and other.encode() in (record.value or b""):
                    break
            assert service.tally["retracted"] == 0
            store.rmdir()
            async for record in town.streams.read(f"deliveries.{SCHOOL}", follow=True):
                if ("ce_retractsid", taken_back.encode()) in list(record.headers):
                    break
        service.stop()
        await running
    assert service.tally["retracted"] == 1

"""An agreement is suspended and resumed while routers run, on both kinds of streams."""

import asyncio
import contextlib
import sqlite3
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from deciding_world import (
    A_PLACEMENT,
    COUNCIL,
    HEALTH,
    PLACEMENT,
    PURPOSE,
    SIGNATORY,
    an_agreement,
)
from decision_records import decision_records

from agreements.reading import from_document
from agreements.signatures import SignatureType
from broker.administration import (
    PartyDraft,
    add_party,
    found_scheme,
    prepare_streams,
    put_agreement,
    sign_agreement,
)
from broker.edge import publisher_of
from broker.explaining import explain
from broker.holding import HELD
from broker.recording import read_decision
from broker.routing import DELIVERIES, QUARANTINE
from broker.saying import Saying
from broker.scheme import SchemeFolder
from broker.service import RouterService
from broker.settlement import Settlement
from broker.settling import Settler
from broker.submitting import submit
from broker.waiting import what_waits
from connectors.prepared import PreparedEvent
from connectors.streams import Batch, Streams

PATIENCE_SECONDS = 30.0
EMBEDDED = pytest.mark.parametrize("streams_url", ["sqlite:streams.db"])
"""Where Kafka would show nothing more."""
DELIVERED = DELIVERIES + HEALTH


@dataclass
class Town:
    """A council that tells a health provider of placements, and who speaks for both."""

    scheme: SchemeFolder
    streams: Streams
    agreement: Any = field(default_factory=lambda: from_document(an_agreement()))
    numbers: int = 0

    async def publish(self, count: int) -> tuple[str, ...]:
        """Publish placements that nobody has published before."""
        publisher = await publisher_of(self.scheme, self.streams, COUNCIL)
        first, self.numbers = self.numbers, self.numbers + count
        told = [
            PreparedEvent(
                PLACEMENT, f"placement/{n}", {**A_PLACEMENT, "childId": f"C{n:04d}"}, now()
            )
            for n in range(first, self.numbers)
        ]
        return (await publisher.publish(told)).ids

    async def say(self, kind: str, **said: Any) -> str:
        """Have health say something of the agreement; returns the statement's id."""
        saying = Saying(SignatureType(kind), HEALTH, SIGNATORY, now(), reason="A reason.", **said)
        token = saying.sign(self.agreement, self.scheme.party_keys(HEALTH).signing[0])
        return (await submit(self.scheme, self.streams, token)).id

    async def route(self) -> Counter[str]:
        """Route and settle until nothing is left; returns what was counted."""
        service = self.scheme.service(self.streams)
        await service.run(until_idle=True)
        return service.tally

    async def count(self, topic: str) -> int:
        """Return how many records a topic has."""
        found = [record async for record in self.streams.read(topic)]
        return len([record for record in found if record.headers[0][0] != "settled"])

    async def decisions(self) -> list[dict[str, Any]]:
        """Return every decision record."""
        return [read_decision(r.value or b"") for r in await decision_records(self.streams)]

    async def waits(self) -> int:
        """Return how much is held and not settled."""
        control = self.scheme.control()
        await control.load(self.streams)
        at_us = time.time_ns() // 1000
        found = await what_waits(self.streams, control, self.scheme.copies, at_us=at_us)
        return sum(one["held"] for one in found)


def now() -> datetime:
    """Return the time, to the millisecond that a signature carries."""
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


@pytest_asyncio.fixture(name="town")
async def a_town(tmp_path: Path, streams_url: str) -> AsyncIterator[Town]:
    """Found a scheme in which everything flows."""
    scheme = found_scheme(
        tmp_path / "town", name="Anytown", streams=streams_url, has_own_namespace=True
    )
    async with scheme.streams() as streams:
        await prepare_streams(scheme, streams)
        for party in (COUNCIL, HEALTH):
            await add_party(scheme, streams, PartyDraft(party, party, purposes=(PURPOSE,)))
        town = Town(scheme, streams)
        await put_agreement(scheme, streams, town.agreement, name="placements")
        for party in (COUNCIL, HEALTH):
            await sign_agreement(
                scheme, streams, town.agreement, party=party, signatory=SIGNATORY, at=now()
            )
        yield town


@contextlib.asynccontextmanager
async def running(service: RouterService) -> AsyncIterator[None]:
    """Run a service until the block ends."""
    task = asyncio.create_task(service.run())
    try:
        yield
    finally:
        service.stop()
        await task


async def seen(streams: Streams, topic: str, count: int) -> None:
    """Wait until a topic has so many records."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        async for _ in streams.read(topic, follow=True):
            count -= 1
            if not count:
                return


async def test_what_is_held_is_released_once_when_the_party_resumes(town: Town) -> None:
    """While a router runs: held, then delivered once each, with a record that names the hold."""
    async with running(town.scheme.service(town.streams)):
        suspension = await town.say("suspend")
        ids = await town.publish(20)
        await seen(town.streams, HELD, len(ids))
        assert await town.count(DELIVERED) == 0
        assert await town.waits() == len(ids)
        await town.say("resume", lifts=suspension, held="release")
        await seen(town.streams, DELIVERED, len(ids))
    assert await town.waits() == 0
    told = Counter(
        (one["eventId"], one["settles"] is None, one["candidates"][0]["outcome"])
        for one in await town.decisions()
    )
    assert told == Counter(
        {key: 1 for one in ids for key in ((one, True, "hold"), (one, False, "permit"))}
    )
    # Another router finds nothing left, and what came of it can be explained.
    assert not await town.route()
    assert await town.count(QUARANTINE) == 0
    explained = await explain(town.scheme, town.streams, ids[0])
    assert explained["agrees"] is True
    assert [one["outcome"] for one in explained["decisions"]] == ["hold"]
    (settled,) = explained["settled"]
    assert (settled["suspension"], settled["agrees"]) == (suspension, True)
    assert settled["decisions"][0]["outcome"] == "permit"


@EMBEDDED
async def test_what_a_slower_router_holds_after_the_resume_is_settled_too(town: Town) -> None:
    """Its rules were of before the resume when it decided: the copies come late, and go out."""
    suspension = await town.say("suspend")
    await town.publish(3)
    assert await town.route() == {"accepted": 3, "hold:suspended": 3}
    old = town.scheme.control()
    await old.load(town.streams)
    await town.say("resume", lifts=suspension, held="release")
    assert await town.route() == {"settled": 3, "permit": 3}
    await town.publish(2)
    router = town.scheme.router(town.streams)
    topic = f"events.{COUNCIL}"
    group = town.scheme.settings.router.group
    async with town.streams.group(group, [topic]) as slow:
        while await town.streams.lag(group, [topic]):
            batch = await slow.next(1.0)
            if batch is not None:
                await slow.commit(batch, _routed(router, batch, old, town))
    assert await town.waits() == 2
    assert await town.route() == {"settled": 2, "permit": 2}
    assert await town.count(DELIVERED) == 5


def _routed(router: Any, batch: Batch, old: Any, town: Town) -> Any:
    at_ms = time.time_ns() // 1_000_000
    partitions = town.scheme.settings.partitions
    return router.route(batch, old.snapshot(), at_ms=at_ms, partitions=partitions).outgoing


@EMBEDDED
async def test_nothing_is_settled_while_the_rules_may_be_out_of_date(town: Town) -> None:
    """A router that may have missed a second suspension does not release for the first."""
    suspension = await town.say("suspend")
    await town.publish(2)
    await town.route()
    await town.say("resume", lifts=suspension, held="release")
    control = town.scheme.control()
    await control.load(town.streams)
    fresh = False
    settlement = Settlement(
        town.streams,
        Settler(town.scheme.router(town.streams)),
        control,
        is_fresh=lambda: fresh,
        tally=Counter(),
        now_ms=lambda: time.time_ns() // 1_000_000,
    )
    await settlement.settle()
    assert (await town.waits(), await town.count(DELIVERED)) == (2, 0)
    fresh = True
    await settlement.settle()
    assert (await town.waits(), await town.count(DELIVERED)) == (0, 2)


@EMBEDDED
async def test_suspensions_settle_each_by_itself(town: Town) -> None:
    """One is purged while the next still stands: what waits for that goes on waiting."""
    first = await town.say("suspend")
    await town.publish(3)
    await town.route()
    await town.say("resume", lifts=first, held="purge")
    second = await town.say("suspend")
    await town.publish(2)
    assert await town.route() == {
        "accepted": 2, "hold:suspended": 2, "settled": 3, "deny:purged": 3,
    }  # fmt: skip
    assert await town.waits() == 2
    await town.say("resume", lifts=second, held="release")
    assert await town.route() == {"settled": 2, "permit": 2}
    # As Kafka does with a group that has had no member for a week.
    with sqlite3.connect(town.scheme.path / "streams.db") as connection:
        assert connection.execute("DELETE FROM positions WHERE grp LIKE 'settle.%'").rowcount
    connection.close()
    assert not await town.route()
    assert (await town.waits(), await town.count(DELIVERED)) == (0, 2)
    assert await town.count(QUARANTINE) == 0

"""Every event is decided once and every delivery made once, whatever dies meanwhile.

Routers are real processes (``concordat run``), killed without warning (SIGKILL) at
moments that follow from how far the work has come. Afterwards everything committed is
read back, and must be as if nothing had happened.
"""

import asyncio
import contextlib
import hashlib
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from commands import CONCORDAT, clean_environment
from deciding_world import (
    A_PLACEMENT,
    COUNCIL,
    HEALTH,
    PLACEMENT,
    PURPOSE,
    SCHOOL,
    SIGNATORY,
    a_flow,
    an_agreement,
)
from services.local_kafka import LocalKafka

from agreements.reading import from_document
from broker.administration import (
    PartyDraft,
    add_party,
    found_scheme,
    prepare_streams,
    put_agreement,
    sign_agreement,
)
from broker.edge import publisher_of
from broker.recording import read_decision
from broker.routing import DECISIONS, DELIVERIES, QUARANTINE
from broker.scheme import SchemeFolder
from connectors.prepared import PreparedEvent
from connectors.streams import Streams

pytestmark = pytest.mark.fault

EVENTS = 20_000
KILLS = 20
EVERY_BAD = 200
"""Every so many events one has a subject that is none, and must be in quarantine once."""

AWAY_SECONDS = 15.0
"""How long a broker is away: longer than a member's session and than a transaction."""

WAIT_SECONDS = 120.0
"""After how long without progress a test gives up."""


# -- the scheme and its events -----------------------------------------------------------


async def a_scheme(folder: Path, streams_url: str) -> SchemeFolder:
    """Found a scheme: every placement reaches health, every second one the school."""
    scheme = found_scheme(folder, name="Faults", streams=streams_url, has_own_namespace=True)
    to_school = a_flow(
        id="to-school",
        to=[SCHOOL],
        items=[{"path": "childId"}, {"path": "upn"}],
        when=[{"item": "rne", "equals": "S", "otherwise": "deny"}],
    )
    agreement = from_document(an_agreement(a_flow(), to_school))
    async with scheme.streams() as streams:
        await prepare_streams(scheme, streams)
        for party in (COUNCIL, HEALTH, SCHOOL):
            await add_party(scheme, streams, PartyDraft(party, party, purposes=(PURPOSE,)))
        await put_agreement(scheme, streams, agreement, name="faults")
        for party in (COUNCIL, HEALTH, SCHOOL):
            await sign_agreement(
                scheme, streams, agreement, party=party, signatory=SIGNATORY,
                at=datetime.now(UTC).replace(microsecond=0),
            )  # fmt: skip
    return scheme


def placements(count: int, *, start: int = 0) -> Iterator[PreparedEvent]:
    """Tell of so many children, each placed once."""
    now = datetime.now(UTC)
    for number in range(start, start + count):
        child = "" if number % EVERY_BAD == 0 else f"C{number:06d}"
        changes = {"childId": child, "rne": "S" if number % 2 else "P"}
        yield PreparedEvent(PLACEMENT, f"placement/{number}", {**A_PLACEMENT, **changes}, now)


# -- routers -----------------------------------------------------------------------------


@dataclass
class Routers:
    """Processes that route, as many as are wanted at once: who dies is replaced."""

    scheme: SchemeFolder
    wanted: int
    session_seconds: float
    max_records: int = 50
    dice: random.Random = field(default_factory=lambda: random.Random(8))  # noqa: S311  repeatable
    running: list["subprocess.Popen[bytes]"] = field(default_factory=list)
    killed: int = 0
    ended: list[int] = field(default_factory=list)
    """The status of those that ended by themselves."""

    def replace(self) -> None:
        """Start as many as are missing."""
        for process in [one for one in self.running if one.poll() is not None]:
            self.running.remove(process)
            self.ended.append(process.returncode)
        while len(self.running) < self.wanted:
            self.running.append(self._start())

    def kill_one(self) -> None:
        """Kill one of them at once, whatever it is doing, and start another in its place."""
        process = self.dice.choice(self.running)
        process.kill()
        self.running.remove(process)
        assert process.wait() == -signal.SIGKILL, "it had ended before it was killed"
        self.killed += 1
        self.replace()

    def kill_all(self) -> None:
        """Kill what runs; nothing is left behind when a test ends."""
        while self.running:
            process = self.running.pop()
            process.kill()
            process.wait()

    def _start(self) -> "subprocess.Popen[bytes]":
        changes = {
            "CONCORDAT_ROUTER__MAX_RECORDS": str(self.max_records),
            "CONCORDAT_ROUTER__SESSION_SECONDS": str(self.session_seconds),
            "CONCORDAT_LOGS__LEVEL": "warning",
        }
        with (self.scheme.path / "routers.log").open("ab") as log:
            return subprocess.Popen(
                [str(CONCORDAT), "run", "--dir", str(self.scheme.path)],
                env=clean_environment(changes),
                stdout=log,
                stderr=log,
            )


@contextlib.contextmanager
def routers(scheme: SchemeFolder, wanted: int) -> Iterator[Routers]:
    """Keep so many routers running."""
    # A busy Kafka may take a second to hear of somebody who lives.
    is_kafka = scheme.settings.streams.startswith("kafka")
    group = Routers(scheme, wanted, session_seconds=3.0 if is_kafka else 1.0)
    try:
        group.replace()
        yield group
    finally:
        group.kill_all()


async def decided(streams: Streams, routing: Routers, enough: int) -> AsyncIterator[int]:
    """Yield how many events are done with, each time more are, until enough are."""
    done = 0
    changed = asyncio.Event()

    async def follow(topic: str) -> None:
        nonlocal done
        async for _ in streams.read(topic, follow=True):
            done += 1
            changed.set()

    following = [asyncio.create_task(follow(topic)) for topic in (DECISIONS, QUARANTINE)]
    waiting_since = time.monotonic()
    try:
        while done < enough:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), 1.0)
            for task in following:
                if task.done():
                    task.result()
            if changed.is_set():
                waiting_since = time.monotonic()
                changed.clear()
                yield done
            routing.replace()
            assert time.monotonic() - waiting_since < WAIT_SECONDS, _last_words(routing)
    finally:
        for task in following:
            task.cancel()
        await asyncio.gather(*following, return_exceptions=True)


def _last_words(routing: Routers) -> str:
    log = (routing.scheme.path / "routers.log").read_text(errors="replace")
    return f"no progress; ended: {routing.ended}; {log[-3000:]}"


# -- what must hold afterwards -----------------------------------------------------------


async def assert_exactly_once(streams: Streams, published: tuple[str, ...]) -> None:
    """Hold everything that was committed against what was published."""
    bad = {event_id for number, event_id in enumerate(published) if number % EVERY_BAD == 0}
    decisions = [read_decision(record.value or b"") async for record in streams.read(DECISIONS)]
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


async def finish(scheme: SchemeFolder) -> None:
    """Let one router route what is left, if there is any, and end by itself."""
    async with scheme.streams() as streams:
        await scheme.service(streams).run(until_idle=True)


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
            async for record in streams.read(DECISIONS)
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
    assert routing.ended == [], _last_words(routing)
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
        assert routing.ended == [], _last_words(routing)
    await finish(scheme)
    async with scheme.streams() as streams:
        await assert_exactly_once(streams, published.ids)

"""Routers as real processes (``concordat run``) that are killed without warning (SIGKILL).

A scheme whose placements reach health, every second one the school; events for it; and
a group of processes of which each that dies is replaced.
"""

import asyncio
import contextlib
import random
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

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

from agreements.model import Agreement
from agreements.reading import from_document
from broker.acts import is_act
from broker.administration import (
    PartyDraft,
    add_party,
    found_scheme,
    prepare_streams,
    put_agreement,
    sign_agreement,
)
from broker.routing import DECISIONS, QUARANTINE
from broker.scheme import SchemeFolder
from connectors.prepared import PreparedEvent
from connectors.streams import Streams

EVERY_BAD = 200
"""Every so many events one has a subject that is none, and must be in quarantine once."""

WAIT_SECONDS = 120.0
"""After how long without progress a test gives up."""


# -- the scheme and its events -----------------------------------------------------------


def the_agreement() -> Agreement:
    """Return the agreement that the scheme runs under."""
    to_school = a_flow(
        id="to-school",
        to=[SCHOOL],
        items=[{"path": "childId"}, {"path": "upn"}],
        when=[{"item": "rne", "equals": "S", "otherwise": "deny"}],
    )
    return from_document(an_agreement(a_flow(), to_school))


async def a_scheme(folder: Path, streams_url: str) -> SchemeFolder:
    """Found a scheme: every placement reaches health, every second one the school."""
    scheme = found_scheme(folder, name="Faults", streams=streams_url, has_own_namespace=True)
    agreement = the_agreement()
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
        async for record in streams.read(topic, follow=True):
            if not is_act(record.value):
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
            assert time.monotonic() - waiting_since < WAIT_SECONDS, last_words(routing)
    finally:
        for task in following:
            task.cancel()
        await asyncio.gather(*following, return_exceptions=True)


def last_words(routing: Routers) -> str:
    """Tell what the routers said last, for a test that gives up."""
    log = (routing.scheme.path / "routers.log").read_text(errors="replace")
    return f"no progress; ended: {routing.ended}; {log[-3000:]}"


async def finish(scheme: SchemeFolder) -> None:
    """Let one router route what is left, if there is any, and end by itself."""
    async with scheme.streams() as streams:
        await scheme.service(streams).run(until_idle=True)

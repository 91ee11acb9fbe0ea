"""How long sharing goes on after an agreement is suspended or revoked.

The product as it is run: a scheme in a folder, routers as processes (``concordat run``),
events published all the time, and an officer in a process of his own who submits
statements by the function that the command line calls. A try is a stop; it is over when
every partition of the events has had a decision under rules that know of it, so that no
delivery can come any more, and its latency is that of the last delivery that a
subscriber saw under the agreement.

Suspended in turns with revoked: after the one the party resumes, after the other the
parties sign the next version. Neither is measured.
"""

import asyncio
import contextlib
import multiprocessing
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from agreements.model import Agreement
from agreements.signatures import Signatory, SignatureType
from broker.acts import is_act
from broker.administration import (
    PartyDraft,
    add_party,
    found_scheme,
    prepare_streams,
    put_agreement,
)
from broker.bench.world import PUBLISHER, TOPIC, placements, stories
from broker.control import TOPIC as CONTROL
from broker.edge import publisher_of
from broker.recording import read_decision
from broker.routing import DECISIONS, DELIVERIES
from broker.saying import Saying
from broker.scheme import SchemeFolder
from broker.settings import read_settings
from broker.submitting import submit
from connectors.streams import Outgoing, Streams
from schemas.errors import ConcordatError

EVENTS_PER_SECOND: Final = 400
"""About a tenth of what one router does, so that events wait for nothing but their turn."""
_TRIES_PER_SECOND: Final = 60
"""For each second that is asked for: a try takes about one on a machine of two cores."""
_LONGEST_OF_SECONDS: Final = 45
_PUBLISHED_PER_SECOND: Final = 20
_QUIET_SECONDS: Final = 0.1
"""A delivery may be seen that much later than a decision that was committed after it."""
_LONGEST_SECONDS: Final = 60.0
_SIGNATORY: Final = Signatory(name="The SIRO", post="SIRO", capacity="SIRO")

T = TypeVar("T")
Told = Callable[[str], None]


class NotStopped(ConcordatError):
    """What was to be measured did not come about."""

    code = "not-stopped"


@dataclass(frozen=True, slots=True)
class Stopping:
    """Seconds from a stop to the last delivery under it, one for each try.

    ``from_append``: from when its append to ``control`` begins. ``from_submit``: from when
    it is given in, before it is checked and put into the register.
    """

    routers: int
    events_per_s: float
    from_append: dict[str, list[float]]
    from_submit: dict[str, list[float]]

    def to_json(self) -> dict[str, Any]:
        """Return the figures under the names that stay, in milliseconds."""
        return {
            "routers": self.routers,
            "events_per_s": round(self.events_per_s),
            "tries": sum(map(len, self.from_append.values())),
            **_figures(self.from_append),
            "from_submit": _figures(self.from_submit),
        }


def _figures(found: dict[str, list[float]]) -> dict[str, Any]:
    every = sorted(one for seconds in found.values() for one in seconds)
    told: dict[str, Any] = {"p50_ms": _at(every, 0.5), "p99_ms": _at(every, 0.99)}
    told["max_ms"] = round(every[-1] * 1000)
    for kind, seconds in found.items():
        ordered = sorted(seconds)
        told[kind] = {"p50_ms": _at(ordered, 0.5), "p99_ms": _at(ordered, 0.99)}
    return told


def _at(ordered: Sequence[float], share: float) -> int:
    """Return the value (ms) that so much of them does not exceed: the nearest rank."""
    return round(ordered[max(0, -(-int(share * 1000) * len(ordered) // 1000) - 1)] * 1000)


async def measure_stopping(
    url: str, folder: Path, told: Told, *, seconds: float, routers: int
) -> Stopping:
    """Stop sharing again and again on the streams at ``url``, which so many processes route.

    As many times as ``seconds`` stands for, but no longer than that times 45.
    """
    scheme = found_scheme(folder, name="Bench", streams=url, has_own_namespace=True)
    async with scheme.streams() as streams:
        agreements = await _prepare(scheme, streams)
        partitions = (await streams.topics())[TOPIC]
        spawn = multiprocessing.get_context("spawn")
        with (
            ProcessPoolExecutor(1, mp_context=spawn) as process,
            _running(scheme, routers),
        ):
            async with _watching(scheme, streams) as watch:
                officer = _Officer(scheme.path, watch, partitions, process, list(agreements))
                return await _measure(officer, told, seconds=seconds, routers=routers)


def _parts() -> tuple[Agreement, Agreement]:
    """Return two agreements on the same events, one to be suspended and one to be revoked."""
    whole = placements(2)
    found = []
    for name, flow in zip(("suspend", "revoke"), whole.flows, strict=True):
        purposes = tuple(one for one in whole.purposes if one.code == flow.purpose)
        identity = f"{whole.id}-{name}"
        found.append(
            whole.model_copy(update={"id": identity, "flows": (flow,), "purposes": purposes})
        )
    return found[0], found[1]


async def _prepare(scheme: SchemeFolder, streams: Streams) -> tuple[Agreement, Agreement]:
    await prepare_streams(scheme, streams)
    agreements = _parts()
    for party in agreements[0].parties:
        purposes = tuple(
            flow.purpose for one in agreements for flow in one.flows if party.id in flow.to
        )
        await add_party(scheme, streams, PartyDraft(party.id, party.id, purposes=purposes))
    for agreement in agreements:
        await _agree(scheme, streams, agreement)
    return agreements


async def _agree(scheme: SchemeFolder, streams: Streams, agreement: Agreement) -> None:
    """Have both sides of the flow accept."""
    await put_agreement(scheme, streams, agreement, name="bench")
    for party in (PUBLISHER, *agreement.flows[0].to):
        await submit(scheme, streams, _said(scheme, agreement, party, SignatureType.ACCEPT))


def _said(
    scheme: SchemeFolder, agreement: Agreement, party: str, kind: SignatureType, **more: Any
) -> str:
    now = datetime.now(UTC)
    now = now.replace(microsecond=now.microsecond // 1000 * 1000)
    reason = None if kind is SignatureType.ACCEPT else "A measurement"
    saying = Saying(kind, party, _SIGNATORY, now, reason=reason, **more)
    return saying.sign(agreement, scheme.party_keys(party).signing[0])


@contextlib.contextmanager
def _running(scheme: SchemeFolder, routers: int) -> Iterator[None]:
    """Run routers as processes."""
    command = "from broker.cli.program import main; main()"
    environment = os.environ | {"CONCORDAT_LOGS__LEVEL": "error"}
    environment.pop("CONCORDAT_STREAMS", None)
    processes = [
        subprocess.Popen(  # noqa: S603  ourselves
            [sys.executable, "-c", command, "run", "--dir", str(scheme.path), "--only", "router"],
            env=environment,
            stdout=subprocess.DEVNULL,
        )
        for _ in range(routers)
    ]
    try:
        yield
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@dataclass
class _Watch:
    """What comes out, as subscribers and an auditor see it."""

    delivered: dict[tuple[str, int], float] = field(default_factory=dict)
    """When the last delivery under an agreement and version was seen."""
    rules: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    """The position on ``control`` that each partition's last decision was made at."""
    published: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def follow_deliveries(self, streams: Streams, recipient: str) -> None:
        async for record in streams.read(DELIVERIES + recipient, follow=True):
            said = dict(record.headers)
            place = (said["ce_agreementid"].decode(), int(said["ce_agreementversion"]))
            self.delivered[place] = time.time()
            self.changed.set()

    async def follow_decisions(self, streams: Streams) -> None:
        async for record in streams.read(DECISIONS, follow=True):
            if is_act(record.value):
                continue
            decision = read_decision(record.value or b"")
            if decision["settles"] is None:
                partition = decision["partition"]
                self.rules[partition] = max(self.rules[partition], decision["rules"])
            self.changed.set()

    async def publish(self, scheme: SchemeFolder, streams: Streams) -> None:
        """Publish events evenly, without end."""
        publisher = await publisher_of(scheme, streams, PUBLISHER)
        told = stories(7)
        number = EVENTS_PER_SECOND // _PUBLISHED_PER_SECOND
        due = time.monotonic()
        while True:
            await publisher.publish([next(told) for _ in range(number)])
            self.published += number
            # Without catching up: a pause of the machine is not to become a rush.
            due = max(due + 1 / _PUBLISHED_PER_SECOND, time.monotonic())
            await asyncio.sleep(due - time.monotonic())

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds of what was seen."""
        async with asyncio.timeout(_LONGEST_SECONDS):
            while not holds():
                self.changed.clear()
                await self.changed.wait()


@contextlib.asynccontextmanager
async def _watching(scheme: SchemeFolder, streams: Streams) -> AsyncIterator[_Watch]:
    """Publish, and follow all that comes of it."""
    watch = _Watch()
    work = [watch.follow_decisions(streams)]
    work += [watch.follow_deliveries(streams, one.flows[0].to[0]) for one in _parts()]
    tasks = [asyncio.create_task(one) for one in (*work, watch.publish(scheme, streams))]
    try:
        yield watch
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Noting:
    """Streams that note when something is appended to ``control``."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams
        self.appended_at = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._streams, name)

    async def append(self, outgoing: Sequence[Outgoing]) -> None:
        if any(one.topic == CONTROL for one in outgoing):
            self.appended_at = time.time()
        await self._streams.append(outgoing)


class _Stop(NamedTuple):
    """A statement that was taken in: seconds since the epoch, and where it lies on control."""

    submitted_at: float
    appended_at: float
    offset: int
    id: str


@cache
def _scheme_in(folder: Path) -> SchemeFolder:
    """Return the scheme, its keys opened once."""
    return SchemeFolder(read_settings(folder, {}))


def _stop(folder: Path, agreement: Agreement, kind: SignatureType) -> _Stop:
    """Say stop, in the officer's process.

    Raises:
        NotStopped: the streams did not take it.

    """

    async def work() -> _Stop:
        scheme = _scheme_in(folder)
        async with scheme.streams() as streams:
            noting: Any = _Noting(streams)
            token = _said(scheme, agreement, PUBLISHER, kind)
            submitted_at = time.time()
            made = await submit(scheme, noting, token)
            if made.offset is None:
                raise NotStopped("the streams did not take the statement")
            return _Stop(submitted_at, noting.appended_at, made.offset, made.id)

    return asyncio.run(work())


def _resume(folder: Path, agreement: Agreement, suspension: str) -> None:
    """Resume, in the officer's process."""

    async def work() -> None:
        scheme = _scheme_in(folder)
        async with scheme.streams() as streams:
            token = _said(
                scheme, agreement, PUBLISHER, SignatureType.RESUME, lifts=suspension, held="purge"
            )
            await submit(scheme, streams, token)

    asyncio.run(work())


def _sign_next(folder: Path, agreement: Agreement) -> None:
    """Put a version and sign it for both, in the officer's process."""

    async def work() -> None:
        scheme = _scheme_in(folder)
        async with scheme.streams() as streams:
            await _agree(scheme, streams, agreement)

    asyncio.run(work())


@dataclass
class _Officer:
    """Who stops what, and starts it again."""

    folder: Path
    watch: _Watch
    partitions: int
    process: ProcessPoolExecutor
    agreements: list[Agreement]

    async def suspend(self) -> tuple[float, float]:
        """Suspend, and then resume; returns the latencies of the stop."""
        agreement = self.agreements[0]
        found, suspension = await self._stop(agreement, SignatureType.SUSPEND)
        await self._ask(_resume, agreement, suspension)
        return found

    async def revoke(self) -> tuple[float, float]:
        """Revoke, and then sign the next version; returns the latencies of the stop."""
        agreement = self.agreements[1]
        found, _ = await self._stop(agreement, SignatureType.REVOKE)
        self.agreements[1] = agreement.model_copy(update={"version": agreement.version + 1})
        await self._ask(_sign_next, self.agreements[1])
        return found

    async def flows(self) -> None:
        """Wait until both agreements have deliveries again."""
        since = time.time()
        places = [(one.id, one.version) for one in self.agreements]
        await self.watch.until(
            lambda: all(self.watch.delivered.get(place, 0.0) > since for place in places)
        )

    async def _stop(
        self, agreement: Agreement, kind: SignatureType
    ) -> tuple[tuple[float, float], str]:
        watch = self.watch
        made = await self._ask(_stop, agreement, kind)
        await watch.until(
            lambda: sum(rules > made.offset for rules in watch.rules.values()) == self.partitions
        )
        await asyncio.sleep(_QUIET_SECONDS)
        last = watch.delivered.get((agreement.id, agreement.version), 0.0)
        return (max(0.0, last - made.appended_at), max(0.0, last - made.submitted_at)), made.id

    async def _ask(self, work: Callable[..., T], *arguments: Any) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.process, work, self.folder, *arguments)


async def _measure(officer: _Officer, told: Told, *, seconds: float, routers: int) -> Stopping:
    tries = max(2, int(_TRIES_PER_SECOND * seconds))
    from_append: dict[str, list[float]] = {"suspend": [], "revoke": []}
    from_submit: dict[str, list[float]] = {"suspend": [], "revoke": []}
    await officer.flows()
    began, published = time.monotonic(), officer.watch.published
    for number in range(tries):
        kind = ("suspend", "revoke")[number % 2]
        told(f"stop {number + 1} of {tries}")
        appended, submitted = await (officer.suspend, officer.revoke)[number % 2]()
        from_append[kind].append(appended)
        from_submit[kind].append(submitted)
        await officer.flows()
        if number and time.monotonic() - began > _LONGEST_OF_SECONDS * seconds:
            break
    rate = (officer.watch.published - published) / (time.monotonic() - began)
    return Stopping(routers, rate, from_append, from_submit)

"""Rates on the streams: the bare pass-through, and the whole path as a ratio of it.

Everything runs in this process, one after the other, in turns: a pass-through, the
path to one recipient, the path to three, and again. A ratio is taken within a turn,
so what else the machine does meanwhile touches both its sides; the medians are told.
Publishing the backlog is no part of a measurement.
"""

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from statistics import median
from typing import Final

from broker.accepted import TOPIC as ACCEPTED
from broker.accepted import AcceptedIds
from broker.bench.passing import pass_through_kafka, pass_through_port
from broker.bench.world import TOPIC, World, placements
from broker.control import TOPIC as CONTROL
from broker.control import ControlState
from broker.routing import DECISIONS, DELIVERIES, QUARANTINE, REVIEW, Router
from broker.service import RouterService
from connectors.streams import Batch, Group, Outgoing, Streams, open_streams
from schemas.errors import ConcordatError

PARTITIONS: Final = 4
RECORD_BYTES: Final = 1000
PASSED: Final = "bench-passed"
BARE: Final = "bench-bare"
_LONGEST_SECONDS: Final = 120.0
_LEAST_PER_SECOND: Final = 300
"""Slower than this, something is wrong rather than busy."""
_TAKEN: Final = 64
"""More than a world has documents."""
RECIPIENTS: Final = (1, 3)

Told = Callable[[str], None]
"""Called with what is being done, for who watches."""


class NotAllRouted(ConcordatError):
    """The path did not do to every event what was to be measured."""

    code = "not-all-routed"


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured: records of the pass-through, events of the path, turns."""

    bare: int
    events: int
    turns: int


@dataclass(frozen=True, slots=True)
class Rates:
    """Records or events a second, medians over the turns; ratios are medians of pairs."""

    passthrough_per_s: float
    path_per_s: dict[int, float]
    path_ratio: dict[int, float]

    def to_json(self) -> dict[str, float]:
        """Return the figures under the names that stay."""
        told = {"passthrough_per_s": round(self.passthrough_per_s)}
        told |= {
            f"path_{n}_recipient{'s'[: n > 1]}_per_s": round(r) for n, r in self.path_per_s.items()
        }
        return told | {f"path_{n}_ratio": round(r, 3) for n, r in self.path_ratio.items()}


async def measure(url: str, size: Size, told: Told, *, namespace: str = "") -> Rates:
    """Measure on the streams at ``url``; their topics are made, and filled, here."""
    world = World.of(placements(max(RECIPIENTS)))
    controls = {n: world.control(placements(n)) for n in RECIPIENTS}
    async with open_streams(url, namespace=namespace) as streams:
        await prepare(streams, world)
        told("publishing the backlog")
        await fill(streams, size.bare)
        for batch in world.sealed(size.events):
            await streams.append(batch)
        if url.startswith("kafka:"):
            servers = url.removeprefix("kafka://")
            prefix = f"{namespace}." if namespace else ""

            def bare(group: str) -> Awaitable[float]:
                return pass_through_kafka(
                    servers, prefix + group, prefix + BARE, prefix + PASSED, records=size.bare
                )
        else:

            def bare(group: str) -> Awaitable[float]:
                return pass_through_port(streams, group, BARE, PASSED, records=size.bare)

        passed: list[float] = []
        path: dict[int, list[float]] = {n: [] for n in RECIPIENTS}
        for turn in range(size.turns + 1):
            told(f"turn {turn} of {size.turns}" if turn else "warming up")
            group = f"bench-{secrets.token_hex(4)}"
            found = await bare(f"{group}-bare")
            routed = {
                n: await route_all(streams, world, controls[n], f"{group}-{n}", events=size.events)
                for n in RECIPIENTS
            }
            if turn:  # the first only warms up what is made once
                passed.append(found)
                for n, rate in routed.items():
                    path[n].append(rate)
    return Rates(
        median(passed),
        {n: median(rates) for n, rates in path.items()},
        {
            n: median(rate / bare for rate, bare in zip(rates, passed, strict=True))
            for n, rates in path.items()
        },
    )


async def prepare(streams: Streams, world: World) -> None:
    """Create the topics, those of a scheme with as many partitions as one has them."""
    names = [REVIEW, QUARANTINE, ACCEPTED, TOPIC, BARE, PASSED]
    names += [DELIVERIES + party for party in world.recipients]
    await streams.create_topics(
        {CONTROL: 1, DECISIONS: 1, **dict.fromkeys(names, PARTITIONS)}, kept=frozenset({CONTROL})
    )
    # The worlds' documents are in memory: their places on the topic have to be taken, or
    # Kafka would begin again at the start where a router reads on after them.
    await streams.append([Outgoing(CONTROL, b"taken", b"")] * _TAKEN)


async def fill(streams: Streams, records: int) -> None:
    """Append the records of the bare pass-through."""
    for start in range(0, records, 2000):
        numbers = range(start, min(start + 2000, records))
        # Each another one: what is sealed does not compress, so neither may this.
        await streams.append(
            [Outgoing(BARE, b"%016d" % n, secrets.token_bytes(RECORD_BYTES)) for n in numbers]
        )


async def publish_events(url: str, world: World, events: int, *, namespace: str) -> None:
    """Make the topics of a scheme and publish that many events."""
    async with open_streams(url, namespace=namespace) as streams:
        await prepare(streams, world)
        for batch in world.sealed(events):
            await streams.append(batch)


class _Measured(RouterService):
    """Knows when it got its first batch, and routes what an earlier turn has routed already."""

    started_at: float | None = None

    async def _route(self, group: Group, batch: Batch) -> None:
        if self.started_at is None:
            self.started_at = time.perf_counter()
        await super()._route(group, batch)

    async def _on_assigned(self, topic: str, partition: int) -> None:  # noqa: ARG002  as above
        # Nothing of what was accepted is read back: every turn routes the same events.
        self._counts = await self._streams.topics()


async def route_all(  # noqa: PLR0913  what is routed, where, under which rules
    streams: Streams,
    world: World,
    control: ControlState,
    group: str,
    *,
    events: int,
    accepted: Iterable[bytes] = (),
) -> float:
    """Route the whole backlog as a new group; return events a second.

    From the first batch's arrival to the last commit. ``accepted`` are short ids that
    the router is to have in mind from before.

    Raises:
        NotAllRouted: an event was not accepted and permitted.
    """
    ids = AcceptedIds()
    for short in accepted:
        ids.claim(short)
    router = Router(
        world.broker,
        world.catalogue,
        max_record_bytes=streams.max_record_bytes,
        accepted=ids,
    )
    ended_at = 0.0

    def progress(tally: Counter[str]) -> None:
        nonlocal ended_at
        ended_at = time.perf_counter()
        left = tally["accepted"] + sum(n for what, n in tally.items() if what.startswith("q"))
        if left >= events:
            service.stop()

    service = _Measured(
        streams,
        router,
        control,
        freshness=world.freshness(control),
        group=group,
        progress=progress,
    )
    async with asyncio.timeout(max(_LONGEST_SECONDS, events / _LEAST_PER_SECOND)):
        await service.run()
    wanted = len(tuple(control.snapshot().rules)) * events
    if service.tally["accepted"] != events or service.tally["permit"] != wanted:
        raise NotAllRouted(f"expected {wanted} permits of {events} events: {dict(service.tally)}")
    return events / (ended_at - (service.started_at or 0.0))

"""Whether the log and the query store keep up with a router: their rates beside its own.

In turns, in this process: a router routes a backlog to one recipient, the log's worker reads
decision records from the same kind of streams and signs them, and the query store's worker
reads the same into an empty store of each kind. A ratio is taken within a turn. The decision
records are those of placements that were routed, each about another event and other people.
"""

import secrets
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple, Self
from uuid import uuid4

from broker.audit.following import AuditWorker
from broker.audit.keys import AuditKeys
from broker.audit.store import AuditStore
from broker.bench.rates import prepare as prepare_routing
from broker.bench.rates import route_all
from broker.bench.stages import records_of, route_us
from broker.bench.world import World, placements
from broker.evidence.following import CHECKPOINTS, EvidenceWorker
from broker.evidence.keys import LogKeys
from broker.evidence.writing import writing
from broker.record_parts import PartsReader
from broker.routing import DECISIONS
from broker.storage import open_audit_store
from broker.storage.audit_filling import empty
from connectors.streams import Batch, Outgoing, Streams, open_streams

Told = Callable[[str], None]

_TURNS: Final = 3
_TEMPLATES: Final = 500
_APPENDED: Final = 2_000
_ORIGIN: Final = "concordat/bench"
_KEYS: Final = AuditKeys((bytes(32),))


class Took(NamedTuple):
    """Seconds that passed, and those of them that this process had a processor."""

    seconds: float
    cpu_seconds: float

    @classmethod
    def now(cls) -> Self:
        """Return what both clocks say."""
        return cls(time.perf_counter(), time.process_time())

    def after(self, began: Self) -> "Took":
        """Return what passed since."""
        return Took(self.seconds - began.seconds, self.cpu_seconds - began.cpu_seconds)


@dataclass(frozen=True, slots=True)
class Pace:
    """A worker's rate, what it is of the router's, and the CPU time it takes."""

    per_s: float
    ratio: float
    cpu_us: float

    def to_json(self) -> dict[str, float]:
        """Return the figures under the names that stay."""
        return {
            "per_s": round(self.per_s),
            "of_router": round(self.ratio, 2),
            "cpu_us": round(self.cpu_us, 1),
        }


@dataclass(frozen=True, slots=True)
class Followed:
    """Medians over the turns; ``route_per_s`` is `Router.route` alone, without any streams."""

    router_per_s: float
    route_per_s: float
    workers: Mapping[str, Pace]

    def to_json(self) -> dict[str, object]:
        """Return the figures under the names that stay."""
        return {
            "router_per_s": round(self.router_per_s),
            "route_per_s": round(self.route_per_s),
            **{name: pace.to_json() for name, pace in self.workers.items()},
        }


async def measure_following(  # noqa: PLR0913  where, how much, and who watches
    url: str,
    told: Told,
    *,
    events: int,
    decisions: int,
    postgres: str | None = None,
    namespace: str = "",
) -> Followed:
    """Measure on the streams at ``url``, whose topics are made here.

    ``postgres`` is an empty database, and is left empty.
    """
    world = World.of(placements(1))
    control = world.control(placements(1))
    routers: list[float] = []
    paces: dict[str, list[Took]] = {}
    with tempfile.TemporaryDirectory(prefix="concordat-bench-") as scratch:
        routed, read = _places(url, namespace, Path(scratch))
        async with (
            open_streams(routed[0], namespace=routed[1]) as routing,
            open_streams(read[0], namespace=read[1]) as streams,
        ):
            told("publishing the backlog")
            await prepare_routing(routing, world)
            for batch in world.sealed(events):
                await routing.append(batch)
            await append_decisions(streams, decisions)
            for turn in range(_TURNS + 1):
                told(f"turn {turn} of {_TURNS}" if turn else "warming up")
                folder = Path(scratch) / f"turn-{turn}"
                folder.mkdir()
                group = f"bench-{secrets.token_hex(4)}"
                router = await route_all(routing, world, control, group, events=events)
                stores = {"sqlite": f"sqlite:{folder / 'audit.db'}", "postgresql": postgres}
                found = {"log": await follow_into_log(streams, folder)} | {
                    name: await follow_into_store(streams, setting)
                    for name, setting in stores.items()
                    if setting is not None
                }
                if postgres is not None:
                    _empty(postgres)
                if turn:  # the first only warms up what is made once
                    routers.append(router)
                    for name, pace in found.items():
                        paces.setdefault(name, []).append(pace)
    records = records_of([one for batch in world.sealed(events) for one in batch])
    return Followed(
        median(routers),
        1_000_000 / route_us(world, control.snapshot(), records),
        {
            name: Pace(
                median(decisions / one.seconds for one in took),
                median(
                    decisions / one.seconds / router
                    for one, router in zip(took, routers, strict=True)
                ),
                median(one.cpu_seconds for one in took) / decisions * 1_000_000,
            )
            for name, took in paces.items()
        },
    )


async def follow_into_log(streams: Streams, folder: Path) -> Took:
    """Write a log of all decisions into a folder; return what it took."""
    with writing(folder / "evidence", LogKeys.generate(), origin=_ORIGIN) as writer:
        began = Took.now()
        await EvidenceWorker(streams, writer).catch_up()
        return Took.now().after(began)


async def follow_into_store(streams: Streams, setting: str) -> Took:
    """Put all decisions into an empty query store; return what it took."""
    with closing(AuditStore(open_audit_store(setting), _KEYS)) as store:
        began = Took.now()
        await AuditWorker(streams, store, None).catch_up()
        return Took.now().after(began)


async def append_decisions(streams: Streams, number: int) -> None:
    """Append decision records, to topics that are made for them."""
    await streams.create_topics({DECISIONS: 1, CHECKPOINTS: 1}, kept=frozenset({DECISIONS}))
    some: list[Outgoing] = []
    for value in decision_records(number):
        some.append(Outgoing(DECISIONS, b"key", value))
        if len(some) == _APPENDED:
            await streams.append(some)
            some.clear()
    await streams.append(some)


def decision_records(number: int) -> Iterator[bytes]:
    """Give records as a router writes them, each about another event and other people."""
    reader = PartsReader()
    templates = [(value, reader.read(value)) for value in _routed(min(number, _TEMPLATES))]
    for place in range(number):
        value, parts = templates[place % len(templates)]
        value = value.replace(parts.event_id, str(uuid4()).encode())
        for subject in parts.subjects:
            value = value.replace(subject, secrets.token_bytes(len(subject)))
        yield value


def _routed(events: int) -> list[bytes]:
    world = World.of(placements(1))
    records = records_of([one for batch in world.sealed(events) for one in batch])
    batch = Batch(records[0].topic, 0, records, len(records), 1)
    snapshot, at_ms = world.control(placements(1)).snapshot(), int(time.time() * 1000)
    routed = world.router().route(batch, snapshot, at_ms=at_ms, partitions=1)
    return [one.value for one in routed.outgoing if one.topic == DECISIONS and one.value]


def _places(url: str, namespace: str, scratch: Path) -> tuple[tuple[str, str], tuple[str, str]]:
    """Return where is routed and where is read: a log has one order, so one partition."""
    if url.startswith("kafka:"):
        return (url, f"{namespace}-routed"), (url, f"{namespace}-read")
    return (f"sqlite:{scratch / 'routed.db'}", ""), (f"sqlite:{scratch / 'read.db'}", "")


def _empty(setting: str) -> None:
    with closing(open_audit_store(setting)) as tables:
        empty(tables)

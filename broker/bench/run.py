"""Measure the parts that are asked for and put the figures together."""

import asyncio
import contextlib
import platform
import secrets
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from broker import routing
from broker.bench import auditing, deciding, stages
from broker.bench.following import measure_following
from broker.bench.following_memory import following_peaks_mb
from broker.bench.memory import router_peak_mb
from broker.bench.rates import Size, measure, publish_events
from broker.bench.simulating import EVENTS_PER_SECOND, measure_simulating
from broker.bench.stopping import measure_stopping
from broker.bench.world import World, placements

PARTS: Final = (
    "embedded", "kafka", "decide", "cedarpy", "seal", "memory", "profile", "simulate",
    "stopping", "audit",
)  # fmt: skip

Told = Callable[[str], None]
"""Called with what is being measured, for who watches."""

_TURNS: Final = 5
# What a machine of two cores does in a second, so that a turn takes about as long as asked.
_EMBEDDED_PER_SECOND: Final = (15_000, 4_000)
_KAFKA_PER_SECOND: Final = (80_000, 10_000)
_PROFILED_PER_SECOND: Final = 2_000
_BACKLOG_PER_SECOND: Final = 20_000
_DECISIONS_PER_SECOND: Final = 100_000
_FOLLOWED_PER_SECOND: Final = 30_000
_REMEMBERED_PER_SECOND: Final = (10_000, 200_000)


@dataclass(frozen=True, slots=True)
class Asked:
    """What to measure: parts, about how many seconds for each measurement, and on which Kafka."""

    parts: Sequence[str] = PARTS
    seconds: float = 2.0
    kafka: str | None = None
    """``kafka://HOST:PORT``. What is written there is under a namespace of its own."""
    namespace: str = ""
    decisions: int = 0
    """How many the query stores hold that are asked; with 0 as the seconds have it."""
    postgres: str = ""
    """``postgresql://…`` of an empty database; without it a server of a wheel, if it is there."""


def run(asked: Asked, told: Told) -> dict[str, Any]:
    """Measure and return the figures; parts that were not asked for are not in them."""
    result: dict[str, Any] = {"python": interpreter(), "streams": {}}
    if "embedded" in asked.parts:
        with _scratch() as folder:
            size = _size(asked.seconds, _EMBEDDED_PER_SECOND)
            told("embedded streams")
            rates = asyncio.run(
                measure(f"sqlite:{folder}/streams.db", size, _under(told, "embedded streams"))
            )
            result["streams"]["embedded"] = rates.to_json()
    if "kafka" in asked.parts and asked.kafka:
        size = _size(asked.seconds, _KAFKA_PER_SECOND)
        told("Kafka")
        rates = asyncio.run(
            measure(asked.kafka, size, _under(told, "Kafka"), namespace=asked.namespace)
        )
        result["streams"]["kafka"] = rates.to_json()
    if "decide" in asked.parts:
        costs = deciding.decide_us(told=told)
        result["decide_us"] = {str(number): round(us, 2) for number, us in costs.items()}
    if "cedarpy" in asked.parts and deciding.cedar_is_there():
        told("cedarpy")
        found = deciding.cedarpy_us()
        result["cedarpy_us"] = {str(number): round(us, 1) for number, us in found}
    if "seal" in asked.parts:
        told("sealing and opening")
        result |= {name: round(us, 2) for name, us in stages.seal_and_open_us().items()}
    if "memory" in asked.parts:
        told("memory of a router")
        result["router_peak_mb"] = _memory(asked)
    if "profile" in asked.parts:
        told("where the time goes")
        result["profile"] = profile(int(_PROFILED_PER_SECOND * asked.seconds))
    for part, measure_part in (("simulate", _simulate), ("stopping", _stop), ("audit", _audit)):
        if part in asked.parts:
            result[part] = asyncio.run(measure_part(asked, _under(told, part)))
    return result


def interpreter() -> dict[str, str | bool]:
    """Return what runs the code; ``compiled``: with the modules of ``make compiled``."""
    return {
        "version": platform.python_version(),
        "compiled": not str(routing.__file__).endswith(".py"),
    }


async def _audit(asked: Asked, told: Told) -> dict[str, Any]:
    """Follow streams into the log and query stores, then fill and ask a store of each kind."""
    decisions = asked.decisions or max(100, int(_DECISIONS_PER_SECOND * asked.seconds))
    result: dict[str, Any] = {}
    with _scratch() as folder, auditing.postgres(asked.postgres) as address:
        result["following"] = await _follow(asked, address, told)
        told("memory of what follows")
        sizes = tuple(max(100, int(rate * asked.seconds)) for rate in _REMEMBERED_PER_SECOND)
        result["following_peak_mb"] = await following_peaks_mb(sizes, folder)
        settings = {"sqlite": f"sqlite:{folder / 'audit.db'}", "postgresql": address}
        for name, setting in settings.items():
            if setting is not None:
                found = auditing.measure_asking(setting, decisions, _under(told, name))
                result[name] = found.to_json()
    return result


async def _follow(asked: Asked, postgres: str | None, told: Told) -> dict[str, dict[str, object]]:
    """Measure on the embedded streams and, if Kafka is among the parts, there."""
    events = max(100, int(_EMBEDDED_PER_SECOND[1] * asked.seconds))
    decisions = max(100, int(_FOLLOWED_PER_SECOND * asked.seconds))
    found = {}
    for name, url in (("embedded", "sqlite:"), ("kafka", asked.kafka)):
        if url is not None and (name == "embedded" or name in asked.parts):
            followed = await measure_following(
                url,
                _under(told, f"following, {name}"),
                events=events,
                decisions=decisions,
                postgres=postgres,
                namespace=f"bench-{secrets.token_hex(4)}",
            )
            found[name] = followed.to_json()
    return found


async def _stop(asked: Asked, told: Told) -> dict[str, dict[str, Any]]:
    """Measure with one router on the embedded streams and, where Kafka is asked for, two there."""
    found = {}
    for name, url, routers in (("embedded", "sqlite:streams.db", 1), ("kafka", asked.kafka, 2)):
        if url is not None and (name == "embedded" or name in asked.parts):
            with _scratch() as folder:
                stopping = await measure_stopping(
                    url, folder / "scheme", told, seconds=asked.seconds, routers=routers
                )
            found[name] = stopping.to_json()
    return found


async def _simulate(asked: Asked, told: Told) -> dict[str, dict[str, float]]:
    """Measure on the embedded streams and, if Kafka is among the parts, there."""
    events = max(100, int(EVENTS_PER_SECOND * asked.seconds))
    with _scratch() as folder:
        found = await measure_simulating(f"sqlite:{folder}/streams.db", events, told)
    result = {"embedded": found.to_json()}
    if asked.kafka and "kafka" in asked.parts:
        namespace = f"bench-{secrets.token_hex(4)}"
        found = await measure_simulating(asked.kafka, events, told, namespace=namespace)
        result["kafka"] = found.to_json()
    return result


def profile(events: int) -> dict[str, dict[str, float]]:
    """Return CPU microseconds of each stage of an event, by number of recipients."""
    found = {}
    for recipients in (1, 3):
        world = World.of(placements(3))
        snapshot = world.control(placements(recipients)).snapshot()
        records = stages.records_of([o for batch in world.sealed(events) for o in batch])
        told = stages.stage_us(world, snapshot, records)
        told["routed"] = stages.route_us(world, snapshot, records)
        found[str(recipients)] = {stage: round(us, 2) for stage, us in told.items()}
    return found


def _memory(asked: Asked) -> float:
    events = max(100, int(_BACKLOG_PER_SECOND * asked.seconds))
    peaks = []
    with _scratch() as folder:
        for url in (f"sqlite:{folder}/backlog.db", asked.kafka):
            if url is not None and ("kafka" in asked.parts or url is not asked.kafka):
                world = World.of(placements(3))
                namespace = f"bench-{secrets.token_hex(4)}" if url is asked.kafka else ""
                asyncio.run(publish_events(url, world, events, namespace=namespace))
                peaks.append(router_peak_mb(url, world, folder, events=events, namespace=namespace))
    return round(max(peaks), 1)


def _size(seconds: float, per_second: tuple[int, int]) -> Size:
    bare, events = (max(50, int(seconds * rate)) for rate in per_second)
    return Size(bare, events, _TURNS)


def _under(told: Told, title: str) -> Told:
    return lambda text: told(f"{title}: {text}")


@contextlib.contextmanager
def _scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="concordat-bench-") as folder:
        yield Path(folder)

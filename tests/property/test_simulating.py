"""What a simulation says is what routing under that text would really have done.

Drafts at random are tried on a past, then put in force in a copy of the rules and the
same events are routed again by the real router, at the same times.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from agreement_strategies import FLOWS, varied
from deciding_world import AGREEMENT, HEALTH, NOON, SCHOOL, a_flow
from hypothesis import HealthCheck, given, settings
from routing_world import a_scheme_of
from simulating_world import Past, a_text

from agreements.reading import from_document
from broker.recording import read_decision
from broker.routing import DECISIONS
from connectors.streams import Streams, open_streams

NOW = int(time.time() * 1000)


def hows() -> list[dict[str, Any]]:
    """Return events that differ in what drafts ask for, each value with each other once."""
    return [varied(number) | {"key": b"%016d" % (number % 5)} for number in range(24)]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Let a past happen, under a version 1 that has two flows; return where it lies."""
    path = tmp_path_factory.mktemp("past") / "streams.db"

    async def happen() -> None:
        async with a_past(path) as past:
            await past.begin()
            events = hows()
            for start in range(0, len(events), 8):
                await past.happen(*events[start : start + 8], at_ms=NOW + start)

    asyncio.run(happen())
    return path


@asynccontextmanager
async def a_past(path: Path) -> AsyncIterator[Past]:
    """Open the streams at a path with the scheme of these tests."""
    async with open_streams(f"sqlite:{path}") as streams:
        past = Past(streams, documents=a_scheme_of(version_1()))
        past.prepare()
        yield past


def version_1() -> dict[str, Any]:
    """Build the text that was in force."""
    to_health = a_flow(when=[{"item": "legalStatus", "equals": "C2", "otherwise": "review"}])
    to_school = a_flow(
        id="to-school",
        to=[SCHOOL],
        items=[{"path": "childId"}, {"path": "upn", "required": True}, {"path": "sex"}],
    )
    return a_text(to_health, to_school)


@given(flows=FLOWS)
@settings(
    max_examples=20,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_a_simulation_says_what_routing_would_have_done(
    place: Path, flows: list[Mapping[str, Any]]
) -> None:
    """Permits gained and lost, reasons and items, for every flow to every recipient."""
    text = a_text(*flows, version=2)
    told, was, would = asyncio.run(both(place, text))
    assert told == {way: expected(way, was, would) for way in told}
    assert told.keys() >= ways(was, 1) | ways(would, 2)


Records = list[dict[str, Any]]


async def both(place: Path, text: dict[str, Any]) -> tuple[dict[Any, Any], Records, Records]:
    """Return the simulation's figures, what happened, and what really would have."""
    async with a_past(place) as past:
        simulation = await past.simulate(from_document(text))
        was = await happened(past.streams)
        would = await past.really(text, at=NOON - timedelta(days=10))
    figures = {way: vars_of(flow) for way, flow in simulation.gains.flows.items()}
    return figures, was, would


async def happened(streams: Streams) -> Records:
    """Return the decision records."""
    return [read_decision(record.value or b"") async for record in streams.read(DECISIONS)]


def ways(records: Records, version: int) -> set[tuple[str, str]]:
    """Return flow and recipient of every candidate of a version, of parties of both."""
    return {
        (one["flow"], one["recipient"])
        for record in records
        for one in record["candidates"]
        if one["agreement"] == AGREEMENT and one["version"] == version
        and one["recipient"] in {HEALTH, SCHOOL}
    }  # fmt: skip


def vars_of(flow: Any) -> dict[str, Any]:
    """Return a flow's figures as `expected` has them."""
    return {
        "permitted": flow.permitted,
        "would": flow.would_permit,
        "gained": flow.gained.events,
        "lost": flow.lost.events,
        "reasons": Counter(
            {why: examples.events for why, examples in (flow.refused | flow.review).items()}
        ),
        "disclosed": Counter({p: i.disclosed for p, i in flow.items.items() if i.disclosed}),
        "new": Counter({p: i.new for p, i in flow.items.items() if i.new}),
        "gone": Counter({p: i.gone for p, i in flow.items.items() if i.gone}),
        "withheld": Counter(
            # Behind obstacles it is told what would be withheld without them.
            {(p, why): n for p, i in flow.items.items() for why, n in i.withheld.items()}
            if not flow.obstacles
            else {}
        ),
    }


def expected(way: tuple[str, str], was: Records, would: Records) -> dict[str, Any]:
    """Count the same from decision records alone."""
    found: dict[str, Any] = dict.fromkeys(("permitted", "would", "gained", "lost"), 0)
    counters = ("reasons", "disclosed", "new", "gone", "withheld")
    found |= {name: Counter() for name in counters}
    for before, after in zip(was, would, strict=True):
        assert before["eventId"] == after["eventId"]
        old, new = candidate(before, way, 1), candidate(after, way, 2)
        got, gets = (one is not None and one["outcome"] == "permit" for one in (old, new))
        found["permitted"] += got
        found["would"] += gets
        found["gained"] += gets and not got
        found["lost"] += got and not gets
        old_items = set(old["items"]) if old and got else set()
        new_items = set(new["items"]) if new and gets else set()
        found["disclosed"].update(new_items)
        found["new"].update(new_items - old_items)
        found["gone"].update(old_items - new_items)
        if new and gets:
            found["withheld"].update(new["withheld"].items())
        elif new:
            found["reasons"][new["reason"], new["detail"]] += 1
    return found


def candidate(record: dict[str, Any], way: tuple[str, str], version: int) -> Any:
    """Return what a record says of a flow to a recipient under a version."""
    for one in record["candidates"]:
        if (one["agreement"], one["version"]) == (AGREEMENT, version) and (
            one["flow"],
            one["recipient"],
        ) == way:
            return one
    return None


async def test_a_party_that_is_left_out_loses_what_it_had(place: Path) -> None:
    """The others' signatures narrow what it gets to nothing, in the simulation as in routing."""
    told, was, would = await both(place, a_text(a_flow(), version=2))
    way = ("to-school", SCHOOL)
    assert told[way] == expected(way, was, would)
    assert told[way]["lost"] == told[way]["permitted"] > 0
    assert not ways(would, 1)

"""What a simulation keeps of the events that it went through is bounded."""

import time
import tracemalloc
from itertools import product
from pathlib import Path

import pytest
from deciding_world import HEALTH, a_flow
from simulating_world import Past, a_draft, a_text

from agreements import gains
from broker import past as reading
from broker import record_parts
from broker.past import DecisionReader, EventReader, decided
from broker.periods import Period
from broker.recording import read_decision
from broker.routing import DECISIONS
from connectors.streams import open_streams

OPTIONAL = ("nhsNumber", "upn", "sex", "homePostcode", "placementPostcode")
NOW = int(time.time() * 1000)
KEPT = 4


def wide() -> dict[str, object]:
    """Build a flow that withholds another set of items from each event."""
    items = [{"path": path, "justification": "A test's."} for path in ("childId", *OPTIONAL)]
    return a_flow(items=items)


async def test_more_kinds_of_events_than_places_are_counted_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hostile publisher can make every event another kind; none is lost, few are kept."""
    monkeypatch.setattr(gains, "_KEPT_KINDS", KEPT)
    monkeypatch.setattr(record_parts, "_KEPT_PARTS", KEPT)
    monkeypatch.setattr(reading, "_KEPT", KEPT)
    patterns = [
        {path: None for path, is_absent in zip(OPTIONAL, absent, strict=True) if is_absent}
        for absent in product((False, True), repeat=len(OPTIONAL))
    ]
    async with open_streams(f"sqlite:{tmp_path / 'streams.db'}") as streams:
        past = Past(streams)
        past.documents.agree(a_text(wide(), version=2))
        await past.begin()
        made = await past.happen(*patterns, *patterns, at_ms=NOW)
        found = (await past.simulate(a_draft(wide(), version=3))).gains
        flow = found.flows["placement", HEALTH]
        assert (flow.permitted, flow.would_permit, flow.gained.events) == (64, 64, 0)
        assert flow.items["upn"].withheld == {"absent": 32}
        assert not found._alike
        reader = DecisionReader()
        values = [record.value or b"" async for record in streams.read(DECISIONS)]
        told = [reader.read(value).candidates[0].withheld for value in values]
        slow = [read_decision(value)["candidates"][0]["withheld"] for value in values]
        assert list(map(dict, told)) == slow
        assert {len(known) for known in reader._reader._known.values()} == {KEPT}
        assert len(reader._known) <= KEPT
    assert len(made) == 64


async def test_partitions_are_read_on_with_few_of_them_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A consumer for each of a thousand partitions would be too many."""
    monkeypatch.setattr(reading, "_OPEN_AT_ONCE", 2)
    async with open_streams(f"sqlite:{tmp_path / 'streams.db'}") as streams:
        await streams.create_topics({DECISIONS: 1})
        past = Past(streams, partitions=5)
        await past.begin()
        for second in range(2):
            hows = [{"key": b"%016d" % number} for number in range(12)]
            await past.happen(*hows, at_ms=NOW + second)
        events, found = EventReader(streams), set()
        async for decision in decided(streams, Period()):
            event = await events.at(decision.topic, decision.partition, decision.offset)
            assert event is not None
            assert len(events._reading) <= 2
            found.add((event.partition, event.offset))
        await events.close()
        assert len(found) == 24
        assert len({partition for partition, _ in found}) == 5


async def test_twice_the_events_take_no_more_memory(tmp_path: Path) -> None:
    """What is in memory is a page of records of each kind, not the backlog."""
    async with open_streams(f"sqlite:{tmp_path / 'streams.db'}") as streams:
        past = Past(streams, partitions=1)
        await past.begin()
        peaks = []
        for _ in range(2):
            await past.happen(*[{"sex": str(number % 2)} for number in range(1500)], at_ms=NOW)
            tracemalloc.start()
            found = await past.simulate(a_draft(version=2))
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
        assert found.gains.events == 3000
        assert peaks[1] < 1.15 * peaks[0]

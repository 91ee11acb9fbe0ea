"""The life of evidence on a real Kafka: witnessed, exported, receipted, reconciled, shredded."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from commands import concordat_here
from town import COUNCIL, SCHOOL, Town, found_town, the_agreement

from broker.acts import is_act
from broker.recording import read_decision
from broker.routing import DECISIONS

pytestmark = pytest.mark.kafka

EVENTS = 60
RULE = "retention P0D of the scheme"


@pytest_asyncio.fixture(name="town")
async def a_town(tmp_path: Path, kafka_url: str) -> AsyncIterator[Town]:
    """A scheme on Kafka whose council has shared placements, which the school has received."""
    async with found_town(tmp_path / "town", streams=kafka_url) as town:
        await town.agree(the_agreement())
        await share(town)
        yield town


async def share(town: Town) -> None:
    """Publish, decide, receive, and take the decisions into the log."""
    await town.publish(EVENTS)
    tally = await town.route()
    assert tally == {"accepted": EVENTS, "permit": EVENTS}
    assert await town.receive() == (EVENTS, 0)
    await answer("evidence", "update", folder=town.scheme.path)


async def answer(*arguments: object, folder: Path | None = None) -> Any:
    """Run a command that must succeed; returns its answer."""
    done = await asyncio.to_thread(concordat_here, *arguments, "--json", folder=folder)
    assert done.returncode == 0, done.stderr or done.stdout
    return json.loads(done.stdout)


async def an_event(town: Town) -> str:
    """Return the id of the first event that was decided."""
    async for record in town.streams.read(DECISIONS):
        if not is_act(record.value):
            return str(read_decision(record.value or b"")["eventId"])
    raise AssertionError("nothing was decided")


async def test_evidence_lives_on_kafka_as_it_does_embedded(town: Town, tmp_path: Path) -> None:
    """From the first checkpoint to the last shredded record, and every proof in between."""
    folder, log = town.scheme.path, town.scheme.log_path
    key = (await answer("evidence", "status", folder=folder))["key"]
    witness, covered = await cosigned_twice(town, tmp_path, key)

    first = await exported(town, tmp_path / "first", key, witness)
    assert (first["problems"], first["shredded"]) == ([], 0)
    assert first["decided_again"] == first["events"] == first["deliveries"] == 3 * EVENTS
    assert (first["events_not_held"], first["deliveries_not_held"]) == (0, 0)
    assert first["witnesses"] == {"trust.example/w": covered}
    check = await receipted(town, tmp_path / "r.tlog-proof", key, witness)
    await reconciled(town)

    await shred(town)
    second = await exported(town, tmp_path / "second", key, witness)
    assert (second["problems"], second["shredded_under"]) == ([], {RULE: 3 * EVENTS})
    assert (second["decided_again"], second["deliveries_of_shredded"]) == (0, 3 * EVENTS)
    assert (await answer(*check))["problems"] == [], "a receipt outlives its record"

    # It is made again from its own files and what Kafka still has, to the same roots.
    await answer("evidence", "update", folder=folder)
    before = await answer("verify", log, "--key", key, "--witness", witness)
    await answer("evidence", "rebuild", folder=folder)
    assert await answer("verify", log, "--key", key, "--witness", witness) == before
    assert before["shredded_under"] == {RULE: 3 * EVENTS}


async def cosigned_twice(town: Town, tmp_path: Path, key: str) -> tuple[str, int]:
    """Have a witness cosign what is there, and what has come since; its key, and how far."""
    folder, log, trust = town.scheme.path, town.scheme.log_path, tmp_path / "trust"
    founded = ("witness", "init", trust, "--name", "trust.example/w", "--log", key)
    witness = (await answer(*founded))["key"]
    await answer("witness", "trust", witness, folder=folder)
    sizes = [0]
    for _ in range(2):
        await share(town)
        note = tmp_path / "cosigned.note"
        cosigned = await answer("witness", "cosign", log, "--dir", trust, "--out", note)
        added = await answer("witness", "add", note, folder=folder)
        assert added == {"entries": cosigned["entries"], "witnesses": ["trust.example/w"]}
        sizes.append(cosigned["entries"])
    assert sizes == sorted(set(sizes))
    compared = await answer("witness", "compare", log, "--told-in", folder, "--dir", trust)
    assert compared["compared"] >= 3
    assert compared["contradictions"] == []
    return witness, sizes[-1]


async def exported(town: Town, to: Path, key: str, witness: str) -> Any:
    """Export the log as an operator does, and verify it as an auditor."""
    await answer("evidence", "export", "--to", to, folder=town.scheme.path)
    return await answer("verify", to, "--key", key, "--witness", witness)


async def receipted(town: Town, file: Path, key: str, witness: str) -> tuple[object, ...]:
    """Give the school a receipt of what it received; returns how it is checked."""
    asked = ("receipt", await an_event(town), "--recipient", SCHOOL, "--out", file)
    given = await answer(*asked, folder=town.scheme.path)
    check: tuple[object, ...] = ("receipt", "--check", file, "--key", key, "--witness", witness)
    check += ("--log", town.scheme.log_path)
    received = town.scheme.path / "received" / f"{SCHOOL}.jsonl"
    checked = await answer(*check, "--received", received)
    assert (checked["entry"], checked["problems"]) == (given["entry"], [])
    return check


async def reconciled(town: Town) -> None:
    """Have publisher and recipient state what they counted, and hold the log against it."""
    stated = await answer("counts", "sign", folder=town.scheme.path)
    assert stated["stated"] == {COUNCIL: 1, SCHOOL: 1}
    asked = ("audit", "reconcile", "--reason", "AUD-2026-07")
    found = await answer(*asked, folder=town.scheme.path)
    assert [(one["counted"], one["logged"]) for one in found["counts"]] == [(3 * EVENTS,) * 2] * 2


async def shred(town: Town) -> None:
    """Shred everything, in the log and off Kafka."""
    folder = town.scheme.path
    with (folder / "concordat.toml").open("a") as file:
        file.write('\n[evidence]\nkeep = "P0D"\n')
    # Time is counted to the newest record of the log: to be due, the last batch needs a later
    # one, which are the acts of what was asked since.
    await answer("evidence", "update", folder=folder)
    done = await answer("evidence", "shred", folder=folder)
    assert (done["shredded"], done["carried_out"]) == ({RULE: 3 * EVENTS}, True)
    assert (await town.streams.begin(DECISIONS))[0] == done["stream_begins"] > 0
    left = [record.value async for record in town.streams.read(DECISIONS)]
    assert left
    assert all(map(is_act, left)), "no decision is on Kafka any more"
    await answer("evidence", "update", folder=folder)

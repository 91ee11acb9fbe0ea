"""A log whose past months are archived answers like any other, and says what is away."""

import asyncio
import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from commands import concordat_here
from town import SCHOOL, found_town, the_agreement

from broker.acts import is_act
from broker.evidence.entries import record_from
from broker.evidence.following import EvidenceWorker
from broker.evidence.reading import LogFiles
from broker.evidence.writing import writing
from broker.recording import read_decision
from broker.routing import DECISIONS
from broker.scheme import SchemeFolder
from broker.settings import read_settings
from connectors.streams.embedded_log import OFFSET_BITS
from schemas.tiles import WIDTH

_DAY_MS = 24 * 3600 * 1000
WAVES = ((100, 300), (60, 300), (0, 60))
"""How many days ago something was decided, and how much."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A town whose log goes back over some months, with records that may go at any time."""
    folder = tmp_path_factory.mktemp("made") / "town"

    async def live() -> None:
        async with found_town(folder) as town:
            await town.agree(the_agreement())
            for _, count in WAVES:
                await town.publish(count)
                await town.route()

    asyncio.run(live())
    _age(folder / "streams.db")
    asyncio.run(_follow(SchemeFolder(read_settings(folder, {}))))
    with (folder / "concordat.toml").open("a") as file:
        file.write('\n[evidence]\nkeep = "P0D"\n')
    return folder


def _age(streams: Path) -> None:
    """Have the decisions of each wave, and everything delivered, appended days ago."""
    with sqlite3.connect(streams) as database:
        logs = database.execute("SELECT id, topic FROM logs").fetchall()
        age = "UPDATE records SET timestamp_ms = timestamp_ms - ? WHERE id BETWEEN ? AND ?"
        for log, topic in logs:
            first, last = log << OFFSET_BITS, (log + 1 << OFFSET_BITS) - 1
            if topic.startswith("deliveries."):
                database.execute(age, [WAVES[0][0] * _DAY_MS, first, last])
            if topic == DECISIONS:
                within = [(first, last)]
                find = "SELECT id FROM records WHERE id BETWEEN ? AND ? ORDER BY id"
                ids = [one for (one,) in database.execute(find, within[0])]
                end = len(ids)
                for days, count in reversed(WAVES[1:]):
                    span = (ids[end - count], ids[end - 1])
                    database.execute(age, [days * _DAY_MS, *span])
                    end -= count
                database.execute(age, [WAVES[0][0] * _DAY_MS, first, ids[end - 1]])


async def _follow(scheme: SchemeFolder) -> None:
    async with scheme.streams() as streams:
        with writing(scheme.log_path, scheme.log_keys, origin=scheme.log_origin) as writer:
            await EvidenceWorker(streams, writer).catch_up()


@pytest.fixture
def town(made: Path, tmp_path: Path) -> Path:
    """The same, of this test's own, with two months archived."""
    folder = Path(shutil.copytree(made, tmp_path / "town"))
    archived = answer("evidence", "archive", folder=folder)["archived"]
    assert [one["records"] for one in archived] == [WIDTH, WIDTH]
    assert [file.name for file in (folder / "evidence/records").iterdir()] == ["002"]
    return folder


def answer(*arguments: object, folder: Path | None = None) -> Any:
    """Run a command that must succeed; returns its answer."""
    done = concordat_here(*arguments, "--json", folder=folder)
    assert done.returncode == 0, done.stderr or done.stdout
    return json.loads(done.stdout)


def refusal(*arguments: object, folder: Path) -> str:
    """Run a command that must fail; returns what it says."""
    done = concordat_here(*arguments, folder=folder)
    assert done.returncode == 1, done.stdout
    return done.stderr


def key_of(folder: Path) -> str:
    """Return the log's key."""
    return str(answer("evidence", "status", folder=folder)["key"])


def verified(folder: Path, path: Path | None = None) -> Any:
    """Verify a town's log, or an export of it; see that the exit status says the same."""
    where, key = path or folder / "evidence", key_of(folder)
    done = concordat_here("verify", where, "--key", key, "--json")
    found = json.loads(done.stdout)
    assert done.returncode == (0 if found["verified"] else 1)
    return found


def archives(folder: Path) -> list[Path]:
    """Return the archives in order."""
    return sorted((folder / "evidence" / "archive").iterdir())


def decision_at(folder: Path, index: int) -> dict[str, Any]:
    """Return a decision record by its entry."""
    kept = LogFiles(folder / "evidence").records(index // WIDTH)[index % WIDTH]
    record = record_from(kept.content, topic=DECISIONS, partition=0, offset=kept.offset)
    assert not is_act(record.value)
    return read_decision(record.value or b"")


def test_an_archived_log_is_exported_whole_and_for_a_period(
    made: Path, town: Path, tmp_path: Path
) -> None:
    """The same records as before, verified offline; a period that lies in an archive, too."""
    before = verified(made)
    answer("evidence", "export", "--to", tmp_path / "whole", folder=town)
    whole = verified(town, tmp_path / "whole")
    assert (whole["problems"], whole["records"]) == ([], before["records"])
    assert whole["decided_again"] == sum(count for _, count in WAVES)
    first, after = (decision_at(made, index)["decidedAt"] for index in (100, 450))
    period = ("--since", first.isoformat(), "--until", after.isoformat())
    told = answer("evidence", "export", "--to", tmp_path / "part", *period, folder=town)
    part = verified(town, tmp_path / "part")
    assert part["problems"] == []
    assert 0 < told["records"] == part["records"] - part["left_out"] < whole["records"]


def test_records_that_are_archived_have_receipts(town: Path, tmp_path: Path) -> None:
    """Proved to the recipient, and held against the log by an auditor."""
    event = decision_at(town, 300)["eventId"]
    file = tmp_path / "r.tlog-proof"
    given = answer("receipt", event, "--recipient", SCHOOL, "--out", file, folder=town)
    assert given["entry"] == 300
    check = ("receipt", "--check", file, "--key", key_of(town), "--log", town / "evidence")
    assert answer(*check)["event"] == event
    shutil.rmtree(town / "evidence" / "archive")
    done = concordat_here(*check)
    assert done.returncode == 1
    assert "the record of entry 300 is away" in done.stderr


def test_an_archived_log_is_shredded_made_again_and_archived_again(
    town: Path, tmp_path: Path
) -> None:
    """In the archives, and for good; what is made again goes into archives of its own."""
    gone = decision_at(town, 20)["eventId"].encode()
    due = answer("evidence", "shred", folder=town)
    assert (due["carried_out"], due["away"]) == (True, 0)
    answer("evidence", "update", folder=town)
    shredded = verified(town)
    assert (shredded["problems"], shredded["shredded"]) == ([], sum(due["shredded"].values()))
    assert not any(gone in file.read_bytes() for file in archives(town))
    rebuilt = answer("evidence", "rebuild", folder=town)
    assert verified(town) == shredded
    assert Path(rebuilt["former"], "archive").is_dir(), "the former one keeps its own"
    answer("evidence", "archive", folder=town)
    answer("evidence", "update", folder=town)
    again = verified(town)
    assert (again["problems"], again["shredded"]) == ([], shredded["shredded"])
    answer("evidence", "export", "--to", tmp_path / "out", folder=town)
    found = verified(town, tmp_path / "out")
    assert (found["problems"], found["shredded"]) == ([], shredded["shredded"])


def test_what_is_away_is_said_by_each_command(town: Path, tmp_path: Path) -> None:
    """Nobody takes a log for whole, or a receipt for refused, because a disk is not there."""
    event = decision_at(town, 300)["eventId"]
    away = archives(town)[1]
    shutil.move(away, tmp_path / away.name)
    (problem,) = verified(town)["problems"]
    assert (problem["code"], problem["record"]) == ("missing-record", 256)
    assert "the records of the entries 256 to 511" in problem["message"]
    said = refusal("evidence", "export", "--to", tmp_path / "out", folder=town)
    assert "the records of the entries 256 to 511 are neither in" in said
    assert "put the archive back" in said
    assert not list(tmp_path.glob("out*")), "no half of an export is left"
    ask = ("receipt", event, "--recipient", SCHOOL, "--out", tmp_path / "r")
    assert "put the archives back and ask again" in refusal(*ask, folder=town)
    assert answer("evidence", "shred", "--dry-run", folder=town)["away"] == WIDTH
    shutil.move(tmp_path / away.name, away)
    assert verified(town)["problems"] == []
    answer(*ask, folder=town)
    answer("evidence", "shred", folder=town)
    shutil.move(away, tmp_path / away.name)
    assert "put back archives that are away" in refusal("evidence", "rebuild", folder=town)
    shutil.move(tmp_path / away.name, away)
    answer("evidence", "rebuild", folder=town)
    assert verified(town)["problems"] == []


@pytest.mark.parametrize(
    ("at", "code", "said"),
    [
        (512 + 100, "altered-record", "(it lies in archive/"),
        (100, "altered-archive", "put a good copy in its place"),
    ],
)
def test_a_byte_that_is_altered_in_an_archive_is_found_and_named(
    town: Path, at: int, code: str, said: str
) -> None:
    """By its record, or by the archive's name where that cannot be read any more."""
    altered = archives(town)[1]
    data = bytearray(altered.read_bytes())
    data[at] ^= 1
    altered.write_bytes(data)
    problems = verified(town)["problems"]
    assert {one["code"] for one in problems} == {code}
    assert said in problems[0]["message"]
    assert altered.name in problems[0]["message"]
    if code == "altered-record":
        assert [one["record"] for one in problems] == [256]

"""Retention as an operator meets it: what is due, what is held, what is left, what verifies."""

import asyncio
import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from commands import answer_here as answer
from commands import concordat_here as concordat

from broker.acts import is_act
from broker.evidence.archives import write_archive
from broker.evidence.entries import record_from
from broker.evidence.following import log_kept
from broker.evidence.reading import LogFiles
from broker.evidence.retaining import retention_kept
from broker.evidence.writing import locked
from broker.recording import read_decision
from broker.routing import DECISIONS
from broker.scheme import SchemeFolder
from broker.settings import read_settings
from connectors.streams.embedded_log import OFFSET_BITS

RULE = "retention P0D of the scheme"


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that a small demo leaves, where records may go as soon as they are signed."""
    folder = tmp_path_factory.mktemp("retention") / "town"
    answer("demo", "--dir", folder)
    answer("evidence", "update", "--dir", folder)
    with (folder / "concordat.toml").open("a") as file:
        file.write('\n[evidence]\nkeep = "P0D"\n')
    return folder


@pytest.fixture
def folder(town: Path, tmp_path: Path) -> Path:
    """The same, of this test's own."""
    return Path(shutil.copytree(town, tmp_path / "town"))


def verify(folder: Path) -> dict[str, Any]:
    """Verify the log as an auditor does."""
    key = answer("evidence", "status", folder=folder)["key"]
    done = concordat("verify", folder / "evidence", "--key", key, "--json")
    found: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == (0 if found["verified"] else 1)
    return found


def test_what_is_due_is_told_and_then_shredded(folder: Path) -> None:
    """A dry run changes nothing; after the real one nothing but the commitments is left."""
    told = answer("evidence", "shred", "--dry-run", folder=folder)
    due = told["shredded"][RULE]
    assert (told["carried_out"], told["stream_begins"], told["held"]) == (False, 0, {})
    assert verify(folder)["shredded"] == 0
    with sqlite3.connect(folder / "streams.db") as database:
        ids = database.execute("SELECT id FROM logs WHERE topic = 'decisions'").fetchone()
        span = (ids[0] << OFFSET_BITS, ids[0] + 1 << OFFSET_BITS)
        find = "SELECT count(*) FROM records WHERE id >= ? AND id < ?"
        (before,) = database.execute(find, span).fetchone()
    reference = ("--by", "A. Officer", "--reference", "ticket 12")
    done = answer("evidence", "shred", *reference, folder=folder)
    assert done["shredded"] == {RULE: due}
    assert done["carried_out"]
    answer("evidence", "update", folder=folder)
    found = verify(folder)
    assert (found["verified"], found["shredded"]) == (True, due)
    assert found["shredded_under"] == {RULE: due}
    with sqlite3.connect(folder / "streams.db") as database:
        (left,) = database.execute(find, span).fetchone()
    assert left < before - due + 10
    assert answer("evidence", "shred", "--dry-run", folder=folder)["shredded"] == {}


def test_what_was_shredded_is_found_by_nobody_and_an_export_still_verifies(folder: Path) -> None:
    """The query store forgets the same entries; deliveries that have lost theirs are known."""
    kept = LogFiles(folder / "evidence").records(1)
    records = [
        record_from(one.content, topic=DECISIONS, partition=0, offset=one.offset) for one in kept
    ]
    event = next(
        read_decision(one.value or b"")["eventId"] for one in records if not is_act(one.value)
    )
    ask = ("audit", "event", event, "--reason", "SAR-2026-014")
    before = answer(*ask, folder=folder)
    assert before["disclosures"] or before["refused"]
    answer("evidence", "shred", folder=folder)
    after = answer(*ask, folder=folder)
    assert (after["disclosures"], after["refused"]) == ([], [])
    answer("evidence", "export", "--to", folder / "export", folder=folder)
    found = json.loads(concordat("verify", folder / "export", "--json").stdout)
    assert (found["verified"], found["problems"]) == (True, [])
    assert found["shredded"] > 0


def test_a_legal_hold_keeps_records_until_it_is_lifted(folder: Path) -> None:
    """Those of a party here; the hold and its end are acts in the log."""
    due = answer("evidence", "shred", "--dry-run", folder=folder)["shredded"][RULE]
    party = _a_party_of(folder)
    hold = answer(
        "evidence", "legal-hold", "add", "--party", party, "--reason", "claim 7", folder=folder
    )
    told = answer("evidence", "shred", folder=folder)
    held = told["held"][hold["id"]]
    assert 0 < held < due
    assert told["shredded"] == {RULE: due - held}
    assert verify(folder)["verified"]
    holds = answer("evidence", "legal-hold", "list", folder=folder)["holds"]
    assert [(one["id"], one["reason"], one["lifted_at"]) for one in holds] == [
        (hold["id"], "claim 7", None)
    ]
    answer("evidence", "legal-hold", "lift", hold["id"], "--reason", "settled", folder=folder)
    assert answer("evidence", "shred", folder=folder)["shredded"] == {RULE: held}
    found = verify(folder)
    assert (found["verified"], found["shredded"]) == (True, due)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--party", "nobody-here"], "there is no party nobody-here in the scheme"),
        (["--agreement", "urn:none"], "there is no agreement urn:none in the scheme"),
        ([], "expected what the hold is about, or --everything"),
        (["--everything", "--since", "2026-01-01"], "expected what the hold is about"),
        (["--identifier", "nhs-number:1234567890"], "is not a valid one"),
        (["--identifier", "9434765919"], "expected TYPE:VALUE"),
    ],
)
def test_a_hold_that_would_hold_nothing_is_refused(
    town: Path, options: list[str], said: str
) -> None:
    """Somebody would rely on it; no value of an identifier is repeated."""
    done = concordat("evidence", "legal-hold", "add", *options, "--reason", "claim 7", folder=town)
    assert done.returncode == 1
    assert said in done.stderr
    assert "1234567890" not in done.stderr
    assert "9434765919" not in done.stderr
    assert answer("evidence", "legal-hold", "list", folder=town)["holds"] == []


def test_a_hold_on_a_person_names_nobody(folder: Path) -> None:
    """It is kept as the records have it: blinded."""
    number = "943 476 5919"
    hold = answer(
        "evidence", "legal-hold", "add", "--identifier", f"nhs-number:{number}", "--reason",
        "inquest", folder=folder,
    )  # fmt: skip
    assert len(hold["scope"]["subjects"]) == 1
    told = json.dumps(hold)
    assert number not in told
    assert "9434765919" not in told
    for file in (folder / "streams.db", folder / "streams.db-wal"):
        if file.exists():
            assert b"9434765919" not in file.read_bytes()


def test_who_writes_the_log_is_waited_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The acts are on the stream; the process that has the log carries them out."""
    monkeypatch.setattr("broker.evidence.retaining._WAIT_SECONDS", 0.1)
    with locked(folder / "evidence"):
        told = answer("evidence", "shred", folder=folder)
    assert (told["carried_out"], told["stream_begins"]) == (False, 0)
    assert verify(folder)["shredded"] == 0
    answer("evidence", "update", folder=folder)
    found = verify(folder)
    assert (found["verified"], found["shredded"]) == (True, told["shredded"][RULE])
    assert answer("evidence", "shred", folder=folder)["stream_begins"] > 0


def test_the_service_shreds_by_itself(folder: Path) -> None:
    """Beside the log that it keeps, and off the stream; nobody has to remember it."""
    scheme = SchemeFolder(read_settings(folder, {}))

    async def serve() -> None:
        async with (
            scheme.streams() as streams,
            log_kept(scheme.log_path, scheme.log_keys, streams, origin=scheme.log_origin),
            retention_kept(scheme, streams),
            asyncio.timeout(120),
        ):
            while (await streams.begin(DECISIONS))[0] == 0:  # noqa: ASYNC110  nobody tells of it
                await asyncio.sleep(0.05)

    asyncio.run(serve())
    found = verify(folder)
    assert (found["verified"], list(found["shredded_under"])) == (True, [RULE])


def test_a_shredded_log_is_made_again_and_archived(folder: Path) -> None:
    """From the old log and the stream; archives are read by `verify` like the rest."""
    answer("evidence", "shred", folder=folder)
    answer("evidence", "update", folder=folder)
    before = LogFiles(folder / "evidence").records_bytes(1)
    rebuilt = answer("evidence", "rebuild", folder=folder)
    assert LogFiles(folder / "evidence").records_bytes(1) == before
    shutil.move(rebuilt["former"], folder / "copy")
    shutil.rmtree(folder / "evidence")
    done = concordat("evidence", "rebuild", folder=folder)
    assert done.returncode == 1
    assert "name a newer copy with --from" in done.stderr
    answer("evidence", "rebuild", "--from", folder / "copy", folder=folder)
    assert verify(folder)["verified"]
    told = concordat("evidence", "archive", "--before", "2020-01-01", folder=folder)
    assert told.stdout == "0 archives were written.\n"


def test_a_former_log_is_named_until_it_is_let_go(folder: Path) -> None:
    """It keeps what was shredded since; that it goes is on record, and not without a whole log."""
    former = Path(answer("evidence", "rebuild", folder=folder)["former"])
    assert answer("evidence", "status", folder=folder)["former"] == [
        {"folder": str(former), "shredded_since": 0}
    ]
    done = answer("evidence", "shred", folder=folder)
    due = done["shredded"][RULE]
    kept = {"folder": str(former), "shredded_since": due}
    assert done["former"] == [kept]
    assert answer("evidence", "former", folder=folder) == {"former": [kept], "removed": False}
    told = concordat("evidence", "shred", "--dry-run", folder=folder)
    assert f"{former} still has records that were shredded ({due})" in told.stdout
    record = folder / "evidence" / "records" / "000"
    good = record.read_bytes()
    record.unlink()
    refused = concordat("evidence", "former", "--remove", folder=folder)
    assert refused.returncode == 1
    assert "does not verify, so no former one is removed" in refused.stderr
    assert former.is_dir()
    record.write_bytes(good)
    with locked(former):
        refused = concordat("evidence", "former", "--remove", folder=folder)
    assert "another process writes the log" in refused.stderr
    asked = ("--by", "A. Officer", "--reason", "looked at")
    assert answer("evidence", "former", "--remove", *asked, folder=folder)["removed"]
    assert not former.exists()
    assert answer("evidence", "status", folder=folder)["former"] == []
    acts = answer(
        "audit", "acts", "--kind", "administration", "--reason", "yearly look", folder=folder
    )["acts"]
    removed = [one["by"] for one in acts if one["about"] == f"former log {former.name} removed"]
    assert removed == ["A. Officer"]


def test_archives_behind_a_link_go_with_their_log_alone(folder: Path, tmp_path: Path) -> None:
    """Those on another disk that are the log's own again stay."""
    log, disk = folder / "evidence", tmp_path / "disk"
    disk.mkdir()
    tar = disk / "2020-01.tar"
    write_archive(tar, [(9, b"")])
    (log / "archive").symlink_to(disk)
    former = Path(answer("evidence", "rebuild", folder=folder)["former"])
    (log / "archive").symlink_to(disk)
    answer("evidence", "former", "--remove", folder=folder)
    assert (tar.exists(), former.exists()) == (True, False)
    former = Path(answer("evidence", "rebuild", folder=folder)["former"])
    answer("evidence", "former", "--remove", folder=folder)
    assert (tar.exists(), former.exists()) == (False, False)


def _a_party_of(folder: Path) -> str:
    """Return a party that some decisions are about, and not all."""
    listed = answer("party", "list", folder=folder)
    return next(one["party"] for one in listed["parties"] if "trust" in one["party"])

"""The auditor's questions of a scheme, as commands, on what a demo leaves."""

import asyncio
import json
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from commands import answer, concordat, concordat_here

from broker.audit.proving import NotProved, proved_record
from broker.evidence.entries import record_from
from broker.recording import read_decision
from broker.routing import DECISIONS
from broker.scheme import SchemeFolder
from broker.settings import read_settings
from connectors.streams import Outgoing
from schemas.notes import BadNote, NoteKey

CASE = ("--reason", "SAR-2026-014", "--by", "dpo")


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that a small demo leaves, its log up to date."""
    folder = tmp_path_factory.mktemp("audit") / "town"
    answer("demo", "--dir", folder)
    return folder


@pytest.fixture
def copy(town: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may change."""
    folder = tmp_path / "town"
    shutil.copytree(town, folder)
    return folder


def a_child(folder: Path) -> tuple[str, dict[str, Any]]:
    """Return an identifier that the school received, and the delivery."""
    line = (folder / "received" / "anytown-virtual-school.jsonl").read_text().splitlines()[0]
    delivery: dict[str, Any] = json.loads(line)
    return f"upn:{delivery['record']['upn']}", delivery


def asked(folder: Path, *arguments: object) -> Any:
    """Ask with ``--json`` what must be answered."""
    done = concordat_here("audit", *arguments, *CASE, "--json", folder=folder)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_everything_that_was_disclosed_about_a_child_is_told_with_proofs(copy: Path) -> None:
    """What a recipient has is among it; each proof holds with the log's public key alone."""
    child, delivery = a_child(copy)
    told = asked(copy, "subject", "--identifier", child)
    (one,) = (
        each
        for each in told["disclosures"]
        if each["recipient"] == "anytown-virtual-school"
        and each["event_id"] == delivery["event_id"]
    )
    assert set(one["items"]) == set(delivery["record"])
    assert (one["flow"], one["purpose"]) == (delivery["flow"], delivery["purpose"])
    assert one["legal"]["provider"]["conditions"]
    assert one["legal"]["recipient"]["conditions"]
    scheme = SchemeFolder(read_settings(copy, {}))
    key = scheme.log_keys.public(scheme.log_origin)
    for each in (*told["disclosures"], *told["refused"]):
        kept = proved_record(each["proof"], key)
        value = record_from(kept.content, topic=DECISIONS, partition=0, offset=0).value
        assert value is not None
        assert read_decision(value)["eventId"] == each["event_id"]
    with pytest.raises(BadNote):
        proved_record(one["proof"], NoteKey("another", key.key))
    with pytest.raises((BadNote, NotProved)):
        proved_record(one["proof"].replace("index ", "index 1"), key)


def test_a_question_is_on_record_with_who_why_and_how_much_was_found(copy: Path) -> None:
    """Kinds of identifiers, never their values; the next question finds it in the log."""
    child, _ = a_child(copy)
    told = asked(copy, "subject", "--identifier", child)
    found = asked(copy, "subject", "--identifier", child)
    assert found["entries"] == told["entries"] + 1
    acts = (copy / "streams.db").read_bytes()
    assert b"audit subject: upn" in acts
    value = child.partition(":")[2].encode()
    for file in ("audit.db", "audit.db-wal"):
        if (copy / file).exists():
            assert value not in (copy / file).read_bytes()


def test_a_question_without_a_reason_or_with_a_wrong_number_is_refused(town: Path) -> None:
    """The number is not repeated, nor is one given as a reason."""
    done = concordat_here("audit", "subject", "--identifier", "upn:Z928000219502", folder=town)
    assert done.returncode == 2
    for told in ("upn:Z928000219503", "Z928000219502", "crn-of-amy:X", "la-child-id:1"):
        done = concordat_here("audit", "subject", "--identifier", told, *CASE, folder=town)
        assert done.returncode == 2
        assert done.stdout == ""
        assert "expected" in done.stderr or "not a valid one" in done.stderr
        assert "Z9280002" not in done.stderr
        assert "amy" not in done.stderr
    done = concordat_here(
        "audit", "subject", "--identifier", a_child(town)[0], "--reason", "943 476 5919",
        folder=town,
    )  # fmt: skip
    assert done.returncode == 1
    assert "943" not in done.stderr


def test_what_is_logged_meanwhile_does_not_stand_in_the_answer(copy: Path) -> None:
    """Something on the stream is no record of ours: that is told on standard error."""
    scheme = SchemeFolder(read_settings(copy, {}))

    async def write_rubbish() -> None:
        async with scheme.streams() as streams:
            await streams.append([Outgoing(DECISIONS, b"key", b"rubbish")])

    asyncio.run(write_rubbish())
    child = a_child(copy)[0]
    done = concordat("audit", "subject", "--identifier", child, *CASE, "--json", folder=copy)
    assert json.loads(done.stdout)["disclosures"]
    assert "an entry is not ours" in done.stderr


def test_identifiers_are_read_from_standard_input(town: Path) -> None:
    """Where they are in no list of processes."""
    child, _ = a_child(town)
    command = [str(Path(sys.executable).with_name("concordat")), "audit", "subject"]
    command += ["--identifier", "-", *CASE, "--json", "--dir", str(town)]
    done = subprocess.run(command, input=f"{child}\n", capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["disclosures"]


def test_a_rotated_key_finds_what_was_blinded_under_the_former_one(copy: Path) -> None:
    """And `explain` still agrees with decisions that were made under it."""
    child, delivery = a_child(copy)
    before = asked(copy, "subject", "--identifier", child)
    old = (copy / "audit.db").read_bytes()
    done = concordat_here("audit", "rotate-key", "--reason", "yearly", "--json", folder=copy)
    assert done.returncode == 0, done.stderr
    after = asked(copy, "subject", "--identifier", child)
    assert _told(after) == _told(before)
    assert (copy / "audit.db").read_bytes() != old
    done = concordat_here(
        "explain", delivery["event_id"], "--reason", "case 1", "--json", folder=copy
    )
    assert json.loads(done.stdout)["agrees"] is True
    event = asked(copy, "event", delivery["event_id"])
    assert {one["event_id"] for one in event["disclosures"]} == {delivery["event_id"]}


def _told(answered: Any) -> list[Any]:
    drop = {"proof"}
    rows = [*answered["disclosures"], *answered["refused"]]
    return [{name: value for name, value in row.items() if name not in drop} for row in rows]


def test_a_worker_that_is_killed_again_and_again_leaves_the_same_store(copy: Path) -> None:
    """SIGKILL at three moments; nothing is there twice, nothing is missing."""
    child, _ = a_child(copy)
    wanted = asked(copy, "subject", "--identifier", child)
    chance = random.Random(5)  # noqa: S311  the same in every run
    subprocess.run([sys.executable, "-c", _EAGER, copy, "begin"], check=True)
    for _ in range(3):
        worker = subprocess.Popen([sys.executable, "-c", _EAGER, copy], stdout=subprocess.PIPE)
        assert worker.stdout is not None
        for _ in range(chance.randint(1, 3)):
            worker.stdout.readline()
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        worker.stdout.close()
    told = asked(copy, "subject", "--identifier", child)
    assert _told(told) == _told(wanted)
    done = concordat_here("evidence", "status", "--json", folder=copy)
    status = json.loads(done.stdout)["query_store"]
    assert status["entries"] == told["entries"]
    assert status["behind"] == 1  # the question itself


_EAGER = """
import asyncio, sys
from pathlib import Path
from broker.audit import following
from broker.scheme import SchemeFolder
from broker.settings import read_settings
following.MOST_AT_ONCE = 37
scheme = SchemeFolder(read_settings(Path(sys.argv[1]), {}))
async def work():
    async with scheme.streams() as streams:
        store = scheme.open_audit_store()
        if "begin" in sys.argv:
            store.begin()
            return
        told = lambda size: print(size, flush=True)
        await following.AuditWorker(streams, store, scheme.signed_log, progress=told).catch_up()
asyncio.run(work())
"""


def test_the_service_keeps_the_store_up_to_date(copy: Path) -> None:
    """What a run has decided is found when it ends, with nobody having asked before."""
    (copy / "audit.db").unlink(missing_ok=True)
    done = concordat("run", "--until-idle", folder=copy)
    assert done.returncode == 0, done.stderr
    assert answer("evidence", "status", folder=copy)["query_store"]["behind"] == 0

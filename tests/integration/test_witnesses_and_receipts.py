"""Partners hold the log to its word: witnesses cosign it, recipients have receipts."""

import asyncio
import itertools
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from commands import answer, concordat_here
from hypothesis import given, settings
from hypothesis import strategies as st
from town import COUNCIL, SCHOOL, Town, found_town, the_agreement

from broker.evidence.following import EvidenceWorker
from broker.evidence.reading import LogFiles
from broker.evidence.receipts import ReceiptRefused, check_receipt
from broker.evidence.writing import writing
from broker.scheme import SchemeFolder
from broker.settings import read_settings
from schemas.checkpoints import Proof
from schemas.keys import SigningKey
from schemas.notes import Note, NoteKey, sign_note

_NUMBERS = itertools.count(step=100)


def decide(folder: Path, count: int = 3) -> None:
    """Share placements with the school and take the decisions into the log."""

    async def work() -> None:
        scheme = SchemeFolder(read_settings(folder, {}))
        async with scheme.streams() as streams:
            town = Town(scheme, streams, numbers=next(_NUMBERS))
            await town.publish(count)
            await town.route()
            with writing(scheme.log_path, scheme.log_keys, origin=scheme.log_origin) as writer:
                await EvidenceWorker(streams, writer).catch_up()

    asyncio.run(work())


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scheme that has shared three placements; the school received them."""
    folder = tmp_path_factory.mktemp("made") / "town"

    async def prepare() -> None:
        async with found_town(folder) as found:
            await found.agree(the_agreement())

    asyncio.run(prepare())
    decide(folder)
    done = concordat_here("receive", "--as", SCHOOL, folder=folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def town(made: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return shutil.copytree(made, tmp_path / "town")


def the_answer(*arguments: object, **how: Any) -> Any:
    """Run a command here that must succeed; returns its answer."""
    done = concordat_here(*arguments, "--json", **how)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def the_key(folder: Path) -> str:
    """Return the log's verifier key."""
    scheme = SchemeFolder(read_settings(folder, {}))
    return scheme.log_keys.public(scheme.log_origin).to_vkey()


def test_a_partner_body_witnesses_the_log(town: Path, tmp_path: Path) -> None:
    """Init, trust, cosign from the folder, add; on by a request; a lie is refused and proved."""
    log, key = town / "evidence", the_key(town)
    trust = tmp_path / "trust"
    made = the_answer("witness", "init", trust, "--name", "trust.example/w", "--log", key)
    assert the_answer("witness", "trust", made["key"], folder=town)["new"]
    assert not the_answer("witness", "trust", made["key"], folder=town)["new"]
    first = the_answer("witness", "cosign", log, "--out", tmp_path / "1.note", "--dir", trust)
    added = the_answer("witness", "add", tmp_path / "1.note", folder=town)
    assert added == {"entries": first["entries"], "witnesses": ["trust.example/w"]}
    assert "— trust.example/w" in (log / "checkpoint").read_text()
    decide(town)
    assert "— trust.example/w" not in (log / "checkpoint").read_text()
    request = tmp_path / "request"
    concordat_here("witness", "request", "trust.example/w", "--out", request, folder=town)
    assert request.read_text().startswith(f"old {first['entries']}\n")
    second = the_answer("witness", "cosign", request, "--dir", trust)
    assert second["entries"] > first["entries"]
    compared = the_answer(
        "witness", "compare", log, tmp_path / "1.note", "--told-in", town, "--dir", trust
    )
    assert compared["compared"] >= 3
    assert compared["contradictions"] == []


def test_a_cosignature_may_be_taken_again_by_the_clock(town: Path, tmp_path: Path) -> None:
    """Nothing is kept twice; a later one of the same checkpoint is news."""
    key, trust, note = the_key(town), tmp_path / "trust", tmp_path / "n"
    vkey = the_answer("witness", "init", trust, "--name", "trust.example/w", "--log", key)["key"]
    the_answer("witness", "trust", vkey, folder=town)
    decide(town)
    kept = town / "evidence" / "cosigned.jsonl"
    lines = []
    for _ in range(2):
        the_answer("witness", "cosign", town / "evidence", "--dir", trust, "--out", note)
        for _ in range(2):
            the_answer("witness", "add", note, folder=town)
        lines.append(len(set(kept.read_text().splitlines())))
        assert lines[-1] == len(kept.read_text().splitlines())
    assert lines in ([1, 1], [1, 2]), "within one second it is the same"
    assert sorted(file.name for file in tmp_path.glob("n*")) == ["n"]


def test_a_split_view_is_refused_kept_and_proved_on_the_command_line(
    town: Path, tmp_path: Path
) -> None:
    """Exit status 1, a sentence that says where the proof is, and `convict` for anybody."""
    key, trust = the_key(town), tmp_path / "trust"
    other = shutil.copytree(town, tmp_path / "other")
    decide(town)
    decide(other, 2)
    the_answer("witness", "init", trust, "--name", "trust.example/w", "--log", key)
    the_answer("witness", "cosign", town / "evidence", "--dir", trust)
    decide(other, 4)
    refused = concordat_here("witness", "cosign", other / "evidence", "--dir", trust)
    assert refused.returncode == 1
    proof = trust / "refused" / "001.json"
    assert f"{proof} proves it" in refused.stderr
    assert the_answer("witness", "convict", proof, "--log", key) == {"proved": True}
    compared = concordat_here(
        "witness", "compare", other / "evidence", other / "evidence/checkpoint", "--dir", trust
    )
    assert compared.returncode == 1
    assert "proves a split view" in compared.stdout
    stranger = NoteKey(NoteKey.from_vkey(key).name, SigningKey.generate().public).to_vkey()
    assert concordat_here("witness", "convict", proof, "--log", stranger).returncode == 1


def _received(town: Path) -> list[dict[str, Any]]:
    lines = (town / "received" / f"{SCHOOL}.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_a_recipient_has_a_receipt_of_what_it_received(town: Path, tmp_path: Path) -> None:
    """For every delivery, checked with the log's key alone; that it was asked is recorded."""
    for line in _received(town):
        file = tmp_path / f"{line['event_id']}.tlog-proof"
        asked = ("receipt", line["event_id"], "--recipient", SCHOOL, "--out", file)
        entry = the_answer(*asked, folder=town)["entry"]
        checked = the_answer(
            *("receipt", "--check", file, "--key", the_key(town)),
            *("--received", town / "received" / f"{SCHOOL}.jsonl", "--log", town / "evidence"),
        )
        assert (checked["entry"], checked["event"]) == (entry, line["event_id"])
        assert [one["delivery"] for one in checked["deliveries"]] == [line["delivery"]]
        assert checked["problems"] == []
        assert COUNCIL.encode() not in Proof.read(file.read_bytes()).extra
    refused = concordat_here(
        *("receipt", line["event_id"], "--recipient", COUNCIL, "--out", tmp_path / "no"),
        folder=town,
    )
    assert refused.returncode == 1
    assert "no record under a checkpoint" in refused.stderr


def test_a_receipt_bears_the_cosignatures_that_cover_it(town: Path, tmp_path: Path) -> None:
    """A witness that is asked for must be on it; a log that is made again keeps them."""
    key, trust, file = the_key(town), tmp_path / "trust", tmp_path / "r.tlog-proof"
    witness = the_answer("witness", "init", trust, "--name", "trust.example/w", "--log", key)["key"]
    the_answer("witness", "trust", witness, folder=town)
    event = _received(town)[0]["event_id"]
    ask = ("receipt", event, "--recipient", SCHOOL, "--out", file)
    check = ("receipt", "--check", file, "--key", key, "--witness", witness)
    the_answer(*ask, folder=town)
    refused = concordat_here(*check)
    assert refused.returncode == 1
    assert "no cosignature of trust.example/w" in refused.stderr
    the_answer("witness", "cosign", town / "evidence", "--out", tmp_path / "note", "--dir", trust)
    the_answer("witness", "add", tmp_path / "note", folder=town)
    decide(town)
    the_answer(*ask, folder=town)
    assert the_answer(*check)["witnesses"] == ["trust.example/w"]
    the_answer("evidence", "rebuild", folder=town)
    verified = the_answer("verify", town / "evidence", "--key", key, "--witness", witness)
    assert 0 < verified["witnesses"]["trust.example/w"] < verified["records"]
    the_answer("witness", "add", tmp_path / "note", folder=town)


def test_a_receipt_that_the_log_contradicts_convicts_it(town: Path, tmp_path: Path) -> None:
    """Who keeps the log cannot state one thing to a recipient and have another in the log."""
    event, key = _received(town)[0]["event_id"], the_key(town)
    file = tmp_path / "r.tlog-proof"
    the_answer("receipt", event, "--recipient", SCHOOL, "--out", file, folder=town)
    proof = Proof.read(file.read_bytes())
    scheme = SchemeFolder(read_settings(town, {}))
    text = Note.read(proof.extra).text.replace('"version":1', '"version":2')
    lie = Note(text, (sign_note(text, scheme.log_origin, scheme.log_keys.signing),))
    false = Proof(proof.index, proof.siblings, proof.checkpoint, lie.to_text().encode())
    file.write_text(false.to_text())
    check = ("receipt", "--check", file, "--key", key)
    assert the_answer(*check)["deliveries"][0]["version"] == 2
    refused = concordat_here(*check, "--log", town / "evidence")
    assert refused.returncode == 1
    assert "says something else" in refused.stderr


@pytest.fixture(scope="module")
def issued(made: Path) -> tuple[bytes, NoteKey]:
    """A receipt of the school's, and the key to check it with."""
    file = made / "r.tlog-proof"
    event = _received(made)[0]["event_id"]
    the_answer("receipt", event, "--recipient", SCHOOL, "--out", file, folder=made)
    return file.read_bytes(), NoteKey.from_vkey(the_key(made))


@settings(max_examples=300, deadline=None)
@given(at=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
def test_no_altered_receipt_says_anything_else(
    issued: tuple[bytes, NoteKey], at: float, flip: int
) -> None:
    """One byte is enough: it is refused, or says what it said before."""
    good, key = issued
    altered = bytearray(good)
    altered[int(at * len(good))] ^= flip
    try:
        checked = check_receipt(bytes(altered), key)
    except ReceiptRefused:
        return
    assert checked == check_receipt(good, key)


@given(data=st.binary(max_size=300))
def test_what_is_no_receipt_is_refused(data: bytes) -> None:
    """Hostile bytes raise our error and no other."""
    key = NoteKey("log", SigningKey.generate().public)
    proof = b"c2sp.org/tlog-proof@v1\nindex 0\n\n" + data
    for one in (data, proof):
        with pytest.raises(ReceiptRefused):
            check_receipt(one, key)


def test_the_witness_commands_run_as_programs(tmp_path: Path) -> None:
    """As a partner starts them, outside of any scheme."""
    key = NoteKey("anytown.example/log", SigningKey.generate().public).to_vkey()
    made = answer("witness", "init", tmp_path / "w", "--name", "trust.example/w", "--log", key)
    assert NoteKey.from_vkey(made["key"]).name == "trust.example/w"
    assert LogFiles(tmp_path).latest(NoteKey.from_vkey(key)) is None

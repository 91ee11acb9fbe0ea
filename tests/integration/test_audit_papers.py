"""The officers' papers by command: from a real scheme, on record, in every form."""

import asyncio
import csv
import io
import json
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
from commands import answer_here, concordat_here
from pypdf import PdfReader
from town import COUNCIL, SCHOOL, share_placements

from broker import keystore
from broker.acts import Act, ActKind, is_act, read_act
from broker.audit.proving import proved_record
from broker.routing import DECISIONS
from broker.scheme import SchemeFolder
from broker.settings import read_settings
from connectors.streams import StreamsUnavailable
from schemas.notes import NoteKey

UPN = "G330200112001"
SAR = ("audit", "sar", "--identifier", f"upn:{UPN}", "--received", "2026-11-02")
WHY = ("--reason", "SAR-2026-014", "--by", "dpo@anytown")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a scheme in which three placements were shared with the school."""
    folder = tmp_path_factory.mktemp("papers") / "scheme"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keystore, "_ITERATIONS", 1000)
        asyncio.run(share_placements(folder, 3))
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """Return a copy of the folder that a test may write to."""
    return Path(shutil.copytree(made, tmp_path / "scheme"))


def _readings(folder: Path) -> list[Act]:
    async def read() -> list[Act]:
        async with SchemeFolder(read_settings(folder, {})).streams() as streams:
            values = [one.value or b"" async for one in streams.read(DECISIONS)]
        return [act for act in map(read_act, filter(is_act, values)) if act.kind is ActKind.READING]

    return asyncio.run(read())


def test_each_paper_comes_in_each_form_and_each_reading_is_on_record(
    folder: Path, tmp_path: Path
) -> None:
    """Who asked, why, what and how many results: one record for each paper that was let out."""
    papers = {
        "sar": (*SAR, *WHY),
        "ropa": ("audit", "ropa", *WHY),
        "breach": ("audit", "breach", "--recipient", SCHOOL, *WHY),
        "log": ("audit", "log", "--party", SCHOOL, *WHY),
    }
    for name, command in papers.items():
        for form in ("html", "pdf", "csv", "json"):
            out = tmp_path / f"{name}.{form}"
            done = concordat_here(*command, "--format", form, "--out", out, folder=folder)
            assert done.returncode == 0, done.stderr
        assert "<h1>" in (tmp_path / f"{name}.html").read_text("utf-8")
        assert PdfReader(tmp_path / f"{name}.pdf").pages
        assert len((tmp_path / f"{name}.csv").read_text("utf-8-sig").splitlines()) > 1
        assert json.loads((tmp_path / f"{name}.json").read_text("utf-8"))["paper"]
        assert UPN not in "".join(
            (tmp_path / f"{name}.{form}").read_text("utf-8") for form in ("html", "csv", "json")
        )
    readings = _readings(folder)
    assert len(readings) == 16
    assert {(one.by, one.reason) for one in readings} == {("dpo@anytown", "SAR-2026-014")}
    assert readings[0].about == "audit sar by upn"
    assert [one.results for one in readings[:13:4]] == [3, 3, 3, 15]


def test_the_schedule_tells_the_persons_disclosures_as_json(folder: Path) -> None:
    """`audit sar --json` is the machine's form, on standard output."""
    told = answer_here(*SAR, *WHY, folder=folder)
    assert [one["recipient"] for one in told["disclosures"]] == [SCHOOL] * 3
    assert told["clock"]["one_month"] == "2026-12-02"
    assert told["found_by"] == ["upn"]


def test_the_breach_files_command_stops_the_flow(folder: Path) -> None:
    """The command in the file is run as it stands, and the agreement is suspended."""
    command = ("audit", "breach", "--recipient", SCHOOL, "--flow", "to-school", *WHY)
    told = answer_here(*command, folder=folder)
    assert (told["subjects"], told["records"]) == (1, 3)
    (stop,) = told["suspend"]
    done = concordat_here(*shlex.split(stop)[1:], "--wait", "0", folder=folder)
    assert done.returncode == 0, done.stderr
    standing = answer_here("agreement", "status", folder=folder)
    assert standing["agreements"][0]["state"] == "suspended"


def test_a_pack_is_a_folder_whose_proofs_hold_against_its_checkpoint(
    folder: Path, tmp_path: Path
) -> None:
    """The auditor needs nothing but the folder and the log's key."""
    assert concordat_here("evidence", "update", folder=folder).returncode == 0
    to = tmp_path / "pack"
    told = answer_here("audit", "pack", "--partner", SCHOOL, "--to", to, *WHY, folder=folder)
    assert (told["disclosures"], told["sample"]) == (3, 3)
    log = NoteKey.from_vkey((to / "log.vkey").read_text("utf-8").strip())
    proofs = sorted((to / "proofs").iterdir())
    assert len(proofs) == 3
    for proof in proofs:
        assert proved_record(proof.read_text("utf-8"), log)
    assert {file.name for file in to.iterdir()} == {
        "pack.html", "pack.pdf", "pack.json", "traffic.csv", "sample.csv", "agreements",
        "proofs", "checkpoint", "log.vkey", "SHA256SUMS",
    }  # fmt: skip
    again = concordat_here("audit", "pack", "--partner", SCHOOL, "--to", to, *WHY, folder=folder)
    assert again.returncode == 1
    assert "is there already" in again.stderr


@pytest.mark.parametrize(
    ("command", "status", "says"),
    [
        (("audit", "breach", "--recipient", "nobody"), 1, f"it has {COUNCIL}, {SCHOOL}"),
        (("audit", "breach", "--recipient", SCHOOL, "--flow", "to-moon"), 1, "is to-school"),
        (("audit", "breach", "--recipient", SCHOOL, "--agreement", "x"), 1, "there is https://"),
        (("audit", "log", "--party", "nobody"), 1, "is not a party"),
        (("audit", "ropa", "--party", "nobody"), 1, "is not a party"),
        (("audit", "ropa", "--since", "yesterday"), 2, "neither a date nor a time"),
        (("audit", "ropa", "--format", "pdf"), 2, "needs a file"),
        (("audit", "sar", "--identifier", "upn:G330200112001", "--received", "soon"), 2, "a day"),
        (("audit", "sar", "--identifier", "upn:X1", "--received", "2026-11-02"), 2, "upn"),
        (("audit", "breach", "--recipient", SCHOOL, "--aware", "2999-01-01"), 2, "to come"),
    ],
)
def test_wrong_use_says_what_is_expected_and_leaves_no_record(
    folder: Path, command: tuple[str, ...], status: int, says: str
) -> None:
    """Place, expectation, remedy; and nothing that was not answered is counted as read."""
    done = concordat_here(*command, *WHY, folder=folder)
    assert done.returncode == status, done.stderr
    assert says in " ".join(done.stderr.replace("│", " ").split())
    assert not done.stdout
    assert _readings(folder) == []


def test_without_a_reason_or_with_a_person_in_it_nothing_is_let_out(folder: Path) -> None:
    """The reason is kept for ever: an NHS number in it is refused before anything is read."""
    assert concordat_here(*SAR, folder=folder).returncode == 2
    for reason in ("", "about 943 476 5919"):
        done = concordat_here(*SAR, "--reason", reason, folder=folder)
        assert done.returncode == 1
        assert "943" not in done.stderr
        assert not done.stdout
    assert _readings(folder) == []


def test_a_paper_that_cannot_be_put_on_record_is_not_let_out(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No record, no paper: not even a part of it."""

    async def away(*_: Any, **__: Any) -> None:
        raise StreamsUnavailable("the streams are away")

    monkeypatch.setattr("broker.audit.desk.record_reading", away)
    out = tmp_path / "sar.html"
    done = concordat_here(*SAR, *WHY, "--out", out, folder=folder)
    assert done.returncode == 1
    assert not out.exists()
    assert not concordat_here(*SAR, *WHY, folder=folder).stdout
    to = tmp_path / "pack"
    command = ("audit", "pack", "--partner", SCHOOL, "--to", to)
    assert concordat_here(*command, *WHY, folder=folder).returncode == 1
    assert list(tmp_path.iterdir()) == [folder]


def test_the_csv_on_standard_output_is_one_that_a_spreadsheet_takes(folder: Path) -> None:
    """The byte-order mark and the line ends survive the pipe."""
    done = concordat_here(*SAR, *WHY, "--format", "csv", folder=folder)
    assert done.stdout.startswith("\ufeff")
    rows = list(csv.DictReader(io.StringIO(done.stdout.removeprefix("\ufeff"), newline="")))
    assert {row["to"] for row in rows} == {SCHOOL}

"""Old decisions are taken out of the query store, and no answer keeps quiet about it."""

import asyncio
import json
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from commands import answer_here, concordat_here
from pypdf import PdfReader
from town import SCHOOL, share_placements

from broker import keystore
from broker.acts import ActKind
from broker.audit.forgetting import NotPast, forget_before
from broker.scheme import SchemeFolder
from broker.settings import read_settings
from broker.storage import AuditTables

UPN = "G330200112001"
SAR = ("audit", "sar", "--identifier", f"upn:{UPN}", "--received", "2026-11-02")
WHY = ("--reason", "SAR-2026-014", "--by", "dpo@anytown")
PAPERS: dict[str, Sequence[str]] = {
    "sar": SAR,
    "ropa": ("audit", "ropa"),
    "breach": ("audit", "breach", "--recipient", SCHOOL),
    "log": ("audit", "log", "--party", SCHOOL),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a scheme in which three placements were shared with the school."""
    folder = tmp_path_factory.mktemp("forgetting") / "scheme"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keystore, "_ITERATIONS", 1000)
        asyncio.run(share_placements(folder, 3))
        concordat_here("evidence", "update", folder=folder)
        answer_here(*SAR, *WHY, folder=folder)
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of the folder; a segment of its query store has one entry."""
    monkeypatch.setattr(AuditTables, "segment_bits", 0)
    folder = Path(shutil.copytree(made, tmp_path / "scheme"))
    answer_here("audit", "reindex", folder=folder)
    return folder


def forget(folder: Path, before: datetime) -> dict[str, Any]:
    """Take out what was decided before a time, as the command does of a day."""

    async def work() -> dict[str, Any]:
        scheme = SchemeFolder(read_settings(folder, {}))
        async with scheme.streams() as streams:
            now = datetime.now(UTC)
            return await forget_before(
                scheme, streams, before=before, by="ann", reason="CHG-7", at=now
            )

    return asyncio.run(work())


def test_every_answer_says_from_when_on_it_is_complete(folder: Path, tmp_path: Path) -> None:
    """Questions and papers, for people and for machines; until the store is made again."""
    before = answer_here(*SAR, *WHY, folder=folder)
    assert before["asked"]["answers_from"] is None
    assert len(before["disclosures"]) == 3
    told = forget(folder, datetime.now(UTC))
    assert told["forgotten"] == 3
    gap = told["gap"]
    assert "is in this answer" in gap
    for question in (("subject", "--identifier", f"upn:{UPN}"), ("event", "one-that-was")):
        found = answer_here("audit", *question, *WHY, folder=folder)
        assert (found["gap"], found["answers_from"]) == (gap, told["answers_from"])
        assert found["disclosures"] == []
        done = concordat_here("audit", *question, *WHY, folder=folder)
        assert gap in done.stdout
    for name, command in PAPERS.items():
        assert answer_here(*command, *WHY, folder=folder)["asked"]["gap"] == gap, name
        for form in ("html", "pdf", "csv"):
            file = tmp_path / f"{name}.{form}"
            done = concordat_here(*command, *WHY, "--format", form, "--out", file, folder=folder)
            assert done.returncode == 0, done.stderr
            assert gap in " ".join(done.stderr.split()), name
        text = (tmp_path / f"{name}.html").read_text("utf-8")
        assert "old decisions were taken out of the query store" in text, name
        pdf = PdfReader(tmp_path / f"{name}.pdf").pages[0].extract_text()
        assert "taken out of the query store" in " ".join(pdf.split()), name
    pack = tmp_path / "pack"
    command = ("audit", "pack", "--partner", SCHOOL, "--to", pack)
    assert answer_here(*command, *WHY, folder=folder)["gap"] == gap
    assert json.loads((pack / "pack.json").read_text("utf-8"))["asked"]["gap"] == gap
    assert answer_here("evidence", "status", folder=folder)["query_store"]["gap"] == gap
    answer_here("audit", "reindex", folder=folder)
    again = answer_here(*SAR, *WHY, folder=folder)
    assert again["disclosures"] == before["disclosures"]
    assert again["asked"]["gap"] is None


def test_that_decisions_were_taken_out_is_on_record(folder: Path) -> None:
    """Who, why, which entries and how many; where nothing goes, nothing is recorded."""
    assert forget(folder, datetime(2020, 1, 1, tzinfo=UTC)) == {
        "forgotten": 0,
        "answers_from": None,
        "gap": None,
    }
    forget(folder, datetime.now(UTC))
    acts = answer_here("audit", "acts", "--kind", "administration", *WHY, folder=folder)["acts"]
    (act,) = (one for one in acts if "query store" in one["about"])
    assert (act["kind"], act["by"], act["reason"]) == (ActKind.ADMINISTRATION, "ann", "CHG-7")
    assert act["about"].startswith("entries 0-")
    assert act["results"] == 3


def test_what_is_to_come_cannot_be_forgotten(folder: Path) -> None:
    """A year typed wrong would take out everything."""
    with pytest.raises(NotPast, match="expected a day that has come"):
        forget(folder, datetime.now(UTC) + timedelta(days=1))
    done = concordat_here("audit", "forget", "--before", "2999-01-01", *WHY, folder=folder)
    assert done.returncode == 1
    assert "a day that has come" in done.stderr
    told = answer_here("audit", "forget", "--before", "2020-01-01", *WHY, folder=folder)
    assert told["forgotten"] == 0
    done = concordat_here("audit", "forget", "--before", "2020-01-01", *WHY, folder=folder)
    assert "0 decisions were taken out" in done.stdout

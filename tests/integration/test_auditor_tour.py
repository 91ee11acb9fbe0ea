"""The tour of `docs/using/auditor.md`, from a question about a child to a breach file."""

import re
from pathlib import Path

import pytest
from commands import follow_tour

PAGE = Path(__file__).parents[2] / "docs/using/auditor.md"


@pytest.fixture(scope="module")
def tour(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Follow the tour as it stands; returns the folder that it was followed in and its output."""
    folder = tmp_path_factory.mktemp("audit")
    return folder, follow_tour(PAGE, folder)


def test_the_child_is_found_under_every_recipient(tour: tuple[Path, str]) -> None:
    """Also where the identifier that was asked for never went."""
    _, said = tour
    for recipient in ("anytown-virtual-school", "anytown-nhs-trust", "anytown-housing"):
        assert re.search(rf"\d  {recipient} received ", said)


def test_the_copy_verifies_and_one_altered_byte_is_named(tour: tuple[Path, str]) -> None:
    """The very record is named, and nothing beside it is doubted."""
    _, said = tour
    assert "copy verifies: " in said
    assert len(re.findall(r"^altered-record: the record of entry \d+ ", said, re.MULTILINE)) == 1
    assert "altered does not verify: " in said


def test_only_what_lies_in_quarantine_is_missing_from_the_log(tour: tuple[Path, str]) -> None:
    """The parties' own counts agree with the log but for events that name nobody."""
    _, said = tour
    differing = re.findall(r"is not in the log: (.*)|in the log alone: (.*)", said)
    assert {why for why, _ in differing} == {"quarantined: invalid-subject"}
    assert len(differing) == 5
    assert "the decision on" in said


def test_papers_are_written_and_every_question_is_on_record(tour: tuple[Path, str]) -> None:
    """The schedule and the breach file, and who asked for them."""
    folder, said = tour
    assert "<html" in (folder / "schedule.html").read_text(encoding="utf-8")
    breach = (folder / "breach.html").read_text(encoding="utf-8")
    assert "concordat agreement suspend" in breach
    acts = said[said.rindex("decisions were made again") :]
    for question in ("audit subject", "audit sar", "evidence export", "audit reconcile"):
        assert f"{question}" in acts
    assert "SAR-2026-014" in acts


def test_no_output_names_the_child(tour: tuple[Path, str]) -> None:
    """Neither the answers nor the papers hold the identifier that was asked for."""
    folder, said = tour
    received = (folder / "town/received/anytown-virtual-school.jsonl").read_text(encoding="utf-8")
    found = re.search(r'"upn":"([^"]+)"', received)
    assert found is not None
    for text in (said, (folder / "schedule.html").read_text(encoding="utf-8")):
        assert found[1] not in text

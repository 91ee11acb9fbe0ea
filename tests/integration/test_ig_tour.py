"""The tour of `docs/using/ig-officer.md`, from a template to a revocation."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from commands import follow_tour

PROJECT = Path(__file__).parents[2]
ID = "https://sharing.example.gov.uk/agreements/discharge"


@pytest.fixture(scope="module")
def tour(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Follow the tour as it stands; returns the folder that it was followed in and its output."""
    folder = tmp_path_factory.mktemp("ig")
    shutil.copytree(PROJECT / "docs/using/ig-tour", folder / "docs/using/ig-tour")
    return folder, follow_tour(PROJECT / "docs/using/ig-officer.md", folder)


@pytest.fixture(scope="module")
def received(tour: tuple[Path, str]) -> list[dict[str, Any]]:
    """What adult social care received under the tour's agreement, in that order."""
    file = tour[0] / "town" / "received" / "anytown-adult-social-care.jsonl"
    rows = [json.loads(row) for row in file.read_text(encoding="utf-8").splitlines()]
    return [row for row in rows if row["agreement"] == ID]


def test_notices_flow_under_what_both_have_signed(received: list[dict[str, Any]]) -> None:
    """Four of five: the widened text only after both signatures, the held one after the resume."""
    assert [row["version"] for row in received] == [1, 1, 2, 2]
    assert ["leadClinician" in row["record"] for row in received] == [False, False, True, True]


def test_the_tour_says_what_its_page_says(tour: tuple[Path, str]) -> None:
    """The figures and words that the page leads its reader to expect."""
    _, said = tour
    for words in (
        "discharge.yaml is valid",
        "218 gained, 0 lost",
        "waits for anytown-adult-social-care",
        "the recipient also receives leadClinician",
        "it widens",
        "1 hold:suspended",
        "1 settled",
        "2 deny:revoked",
    ):
        assert words in said


def test_the_printed_agreement_is_there(tour: tuple[Path, str]) -> None:
    """A PDF that a signatory can hold in their hands."""
    assert (tour[0] / "discharge.pdf").read_bytes().startswith(b"%PDF-")

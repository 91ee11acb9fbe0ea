"""`concordat agreement read` and `diff`, and the page that tells of them."""

import json
from pathlib import Path

import pytest
from commands import concordat_here

ROOT = Path(__file__).parents[3]
TOUR = ROOT / "docs/using/tour/placements.yaml"
SECOND = ROOT / "docs/using/comparing/placements-2.yaml"
PAGE = ROOT / "docs/using/reading-and-comparing.md"


@pytest.mark.parametrize(
    ("form", "begins"),
    [("md", b"# Looked-after pupils"), ("html", b"<!DOCTYPE html>"), ("pdf", b"%PDF-")],
)
def test_an_agreement_is_written_in_each_form(tmp_path: Path, form: str, begins: bytes) -> None:
    """The file is what was asked for, and the command says which text it is."""
    out = tmp_path / f"agreement.{form}"
    done = concordat_here("agreement", "read", TOUR, "--format", form, "--out", out)
    assert done.returncode == 0, done.stderr
    assert out.read_bytes().startswith(begins)
    assert "SHA-256" in done.stdout


def test_markdown_is_what_a_terminal_gets() -> None:
    """Without more words the paper is printed, to be read at once."""
    done = concordat_here("agreement", "read", TOUR)
    assert done.returncode == 0
    assert done.stdout.startswith("# Looked-after pupils, to the virtual school\n")


def test_the_answer_in_json_names_the_text(tmp_path: Path) -> None:
    """A program that made a paper knows the fingerprint that is to be signed."""
    out = tmp_path / "a.html"
    done = concordat_here("agreement", "read", TOUR, "--format", "html", "--out", out, "--json")
    answer = json.loads(done.stdout)
    assert answer["sha256"] in out.read_text("utf-8")
    assert (answer["format"], answer["version"]) == ("html", 1)


def test_a_pdf_needs_a_file() -> None:
    """Bytes are not printed on a terminal: that is wrong use, and says what to add."""
    done = concordat_here("agreement", "read", TOUR, "--format", "pdf")
    assert done.returncode == 2
    assert "--out" in done.stderr


def test_what_is_no_agreement_is_not_read(tmp_path: Path) -> None:
    """A broken file gives a sentence with the place, and nothing is written."""
    broken, out = tmp_path / "broken.yaml", tmp_path / "out.md"
    broken.write_text(TOUR.read_text("utf-8").replace("role: controller", "role: boss", 1), "utf-8")
    done = concordat_here("agreement", "read", broken, "--out", out)
    assert done.returncode == 1
    assert "line" in done.stderr
    assert not out.exists()
    assert concordat_here("agreement", "diff", TOUR, broken).returncode == 1


def test_a_reader_is_told_when_it_would_be_signed_in_vain(tmp_path: Path) -> None:
    """An agreement that the law does not let run is put into words, and the errors are counted."""
    file = tmp_path / "a.yaml"
    file.write_text(TOUR.read_text("utf-8").replace("        art6: e\n", "", 1), "utf-8")
    done = concordat_here("agreement", "read", file)
    assert done.stdout.startswith("# ")
    assert "must be mended before anybody signs" in done.stderr
    assert not concordat_here("agreement", "read", TOUR).stderr


def test_a_comparison_answers_no_when_something_widens() -> None:
    """Exit status 1 tells a script that signatures are needed; 0 that they are not."""
    assert concordat_here("agreement", "diff", TOUR, SECOND).returncode == 1
    same = concordat_here("agreement", "diff", TOUR, TOUR)
    assert (same.returncode, same.stdout) == (0, "Nothing changes.\n")


def test_a_comparison_in_json_has_its_three_lists() -> None:
    """Each change has its code, its place, its sentence and whom it concerns."""
    done = concordat_here("agreement", "diff", TOUR, SECOND, "--json")
    answer = json.loads(done.stdout)
    assert list(answer) == ["widens", "narrows", "rewords"]
    assert [change["kind"] for change in answer["widens"]] == ["transform-weakened", "item-added"]
    assert answer["widens"][0]["recipient"] == "anytown-virtual-school"


def test_the_page_shows_what_the_command_says() -> None:
    """The example in the documentation is the answer of today."""
    done = concordat_here("agreement", "diff", TOUR, SECOND)
    assert f"placements-2.yaml\n{done.stdout}```" in PAGE.read_text("utf-8")

"""CSV that a spreadsheet takes for text, whatever is in it."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.audit.sheets import Sheet, listed, safe

_SIGNS = "=+-@|\uff1d\uff0b\uff0d\uff20"
_HOSTILE = [
    '=HYPERLINK("http://evil.example","x")',
    "+1+1",
    "-2+3+cmd|' /C calc'!A0",
    "@SUM(A1)",
    "\t=1+1",
    "\r=1+1",
    "  =1+1",
    "\n@x",
    "\u00a0=1",
    "\uff1d1+1",
]


def _read(sheet: Sheet) -> list[list[str]]:
    data = b"".join(sheet.to_csv())
    assert data.startswith(b"\xef\xbb\xbf")
    return list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")))


@pytest.mark.parametrize("text", _HOSTILE)
def test_what_a_spreadsheet_would_run_gets_an_apostrophe(text: str) -> None:
    """OWASP, CSV Injection: such a cell begins with a character that starts no formula."""
    assert safe(text) == f"'{text}"


def test_text_that_runs_nothing_and_numbers_stay_as_they_are() -> None:
    """An event id or a date is not changed, and a negative number is a number."""
    kept: list[str | int] = ["2026-11-02T09:30:00+00:00", "childId; upn", "a=b", "", -3, 42]
    assert [safe(cell) for cell in kept] == kept


def test_separators_quotes_and_lines_in_a_cell_stay_in_it() -> None:
    """Text is in quotes, also for a spreadsheet that separates by semicolons."""
    row = ("a,b", 'c"d', "e;=1+1;f", "g\nh", 7)
    data = b"".join(Sheet(("1", "2", "3", "4", "5"), [row]).to_csv()).decode("utf-8-sig")
    assert '"e;=1+1;f"' in data
    assert _read(Sheet(("1", "2", "3", "4", "5"), [row]))[1] == [str(cell) for cell in row]


@given(st.lists(st.lists(st.text(max_size=30), min_size=2, max_size=2), max_size=5))
def test_whatever_the_text_every_cell_comes_back_and_none_begins_a_formula(
    rows: list[list[str]],
) -> None:
    """No text of an author or a party can break out of its cell."""
    written = _read(Sheet(("a", "b"), [tuple(row) for row in rows]))[1:]
    for row, read in zip(rows, written, strict=True):
        for cell, found in zip(row, read, strict=True):
            assert found in {cell, f"'{cell}"}
            assert not found.lstrip().startswith(tuple(_SIGNS))


def test_a_long_sheet_comes_in_pieces() -> None:
    """A million rows are never in memory at once."""
    rows = ((number, "x") for number in range(1200))
    pieces = list(Sheet(("n", "x"), rows).to_csv())
    assert len(pieces) == 4
    assert max(map(len, pieces)) < 5000


def test_several_values_are_one_cell() -> None:
    """Items are listed in one cell, in their order."""
    assert listed(["upn", "sex"]) == "upn; sex"

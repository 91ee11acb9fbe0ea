"""Read CSV files from case systems a row at a time, whatever is in them.

One physical line is one row, so that an unclosed quotation mark spoils its own
row and not those after it; what no line of a return may hold is then a bad row
with its number, and the rows around it are read. Memory is that of one line.
Quoting is RFC 4180's; a byte order mark and any line ending are accepted.
"""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TextIO

from schemas.errors import RejectedInput

# A line of a statutory return has some 200 characters; Excel's own limit for a cell is 32,767.
LINE_LIMIT_CHARACTERS = 65_536


class FileRejected(RejectedInput):
    """A whole file cannot be read: it is missing, or is not the file that it should be."""

    code = "file-rejected"


class BadLine(StrEnum):
    """Why a line is not a row. The values are in reports: never reuse one."""

    TOO_LONG = "line-too-long"
    NOT_UTF8 = "not-utf-8"
    NOT_CSV = "not-csv"
    WRONG_NUMBER_OF_FIELDS = "wrong-number-of-fields"


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the file, numbered from 1 with the header row; ``bad`` tells why it has no row."""

    number: int
    values: tuple[str, ...]
    bad: BadLine | None = None


def read_rows(path: Path, columns: Sequence[str]) -> Iterator[Line]:
    """Yield every line after the header row that is not empty, its values in ``columns`` order.

    The file may have its columns in any order, in any case, and further ones.
    Values come without the spaces around them.

    Raises:
        FileRejected: the file cannot be opened, or its first row does not have
            each of ``columns`` exactly once.
    """
    try:
        file = path.open(encoding="utf-8-sig", errors="surrogateescape", newline=None)
    except OSError as error:
        raise FileRejected(f"{path.name}: cannot be opened ({error.strerror})") from error
    with file:
        lines = _lines(file)
        width, places = _header(path.name, next(lines, None), columns)
        for number, text in lines:
            if text is None or text.strip():
                yield _row(number, text, width, places)


def _lines(file: TextIO) -> Iterator[tuple[int, str | None]]:
    """Number the lines; one over the limit is read past in pieces and comes as None."""
    number = 0
    while text := file.readline(LINE_LIMIT_CHARACTERS + 1):
        number += 1
        if len(text) <= LINE_LIMIT_CHARACTERS or text.endswith("\n"):
            yield number, text.removesuffix("\n")
            continue
        while text and not text.endswith("\n"):
            text = file.readline(LINE_LIMIT_CHARACTERS + 1)
        yield number, None


def _header(
    name: str, first: tuple[int, str | None] | None, columns: Sequence[str]
) -> tuple[int, tuple[int, ...]]:
    """Return the width of the table and where each of ``columns`` stands in it."""
    if first is None:
        raise FileRejected(f"{name}: expected a header row, the file is empty")
    found = [value.upper() for value in _split(first[1]) or ()]
    for column in columns:
        if found.count(column) != 1:
            problem = "is missing" if column not in found else "is there more than once"
            raise FileRejected(
                f"{name}: expected a header row with {','.join(columns)} in UTF-8, "
                f"separated by commas; {column} {problem}"
            )
    return len(found), tuple(found.index(column) for column in columns)


def _row(number: int, text: str | None, width: int, places: tuple[int, ...]) -> Line:
    if text is None:
        return Line(number, (), BadLine.TOO_LONG)
    if not text.isascii() and any("\udc80" <= character <= "\udcff" for character in text):
        return Line(number, (), BadLine.NOT_UTF8)
    values = _split(text)
    if values is None:
        return Line(number, (), BadLine.NOT_CSV)
    if len(values) != width:
        return Line(number, (), BadLine.WRONG_NUMBER_OF_FIELDS)
    return Line(number, tuple(values[place] for place in places))


def _split(text: str | None) -> list[str] | None:
    try:
        rows = list(csv.reader([text], strict=True)) if text is not None else []
    except csv.Error:
        return None
    return [value.strip() for value in rows[0]] if rows else None

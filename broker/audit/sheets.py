"""A table for machines and spreadsheets: CSV that cannot run anything where it is opened.

A cell that a spreadsheet would take for a formula gets an apostrophe before it (OWASP, "CSV
Injection"). RFC 4180, UTF-8 with a byte-order mark, without which Excel takes it for another
encoding.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

Cell = str | int

_FORMULA: Final = re.compile(r"[\s\x00-\x1f]*[=+\-@\t\r\n|\uff1d\uff0b\uff0d\uff20]")
"""What begins a formula: the signs, in full width too, also behind spaces and controls."""
_ROWS_AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True)
class Sheet:
    """Rows under headings. ``rows`` may be read once only, so that a long one is not kept."""

    header: tuple[str, ...]
    rows: Iterable[tuple[Cell, ...]]

    def to_csv(self) -> Iterator[bytes]:
        """Give the file in pieces."""
        yield b"\xef\xbb\xbf"
        buffer = io.StringIO(newline="")
        # All text in quotes: where lists are separated by semicolons, Excel splits at those.
        writer = csv.writer(buffer, lineterminator="\r\n", quoting=csv.QUOTE_NONNUMERIC)
        writer.writerow(self.header)
        for number, row in enumerate(self.rows, 1):
            writer.writerow([safe(cell) for cell in row])
            if number % _ROWS_AT_ONCE == 0:
                yield _taken(buffer)
        yield _taken(buffer)


def safe(cell: Cell) -> Cell:
    """Return a cell that is text wherever it is opened; numbers stay numbers."""
    return f"'{cell}" if isinstance(cell, str) and _FORMULA.match(cell) else cell


def listed(parts: Iterable[str]) -> str:
    """Return several values as one cell."""
    return "; ".join(parts)


def _taken(buffer: io.StringIO) -> bytes:
    text = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return text.encode()

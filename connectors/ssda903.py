"""Read an SSDA903 return: what a council tells the DfE about the children it looks after.

Placement episodes become ``uk.gov.csc.cla-placement.v1`` (each joined with the
child's row in ``header.csv``), missing episodes ``uk.gov.csc.missing-episode.v1``.
Every row of ``episodes.csv`` and ``missing.csv`` comes out once: as an event,
or as a rejection that says where and why without repeating what it read.

Only what makes a row unreadable as a 903 row is rejected here: no value, not a
date, not a code of the list. A UPN or a postcode that does not validate
travels, and the router withholds it where a flow would have disclosed it; so
it is in evidence that it was bad.

The episodes are streamed. What is kept is the header, which the join needs,
and the keys of the rows seen, so that a row given twice is not two events.
"""

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from enum import StrEnum
from itertools import pairwise
from pathlib import Path
from typing import Any

from connectors import ssda903_codes as codes
from connectors.prepared import PreparedEvent, Rejection, Row
from connectors.rows import BadLine, FileRejected, Line, read_rows

__all__ = ["MISSING", "PLACEMENT", "Reason", "Rejection", "Row", "read_return"]

PLACEMENT = "uk.gov.csc.cla-placement.v1"
MISSING = "uk.gov.csc.missing-episode.v1"

EPISODE_COLUMNS = (
    "CHILD",
    "DECOM",
    "RNE",
    "LS",
    "CIN",
    "PLACE",
    "PLACE_PROVIDER",
    "DEC",
    "REC",
    "REASON_PLACE_CHANGE",
    "HOME_POST",
    "PL_POST",
    "URN",
)
HEADER_COLUMNS = ("CHILD", "SEX", "DOB", "ETHNIC", "UPN")
MISSING_COLUMNS = ("CHILD", "DOB", "MISSING", "MIS_START", "MIS_END")

# Nobody in a return was born before the oldest could still be a care leaver, and then some.
EARLIEST = date(1950, 1, 1)
_DATE = re.compile(r"([0-9]{2})/([0-9]{2})/([0-9]{4})")


class Reason(StrEnum):
    """Why a row is not an event. The values are in reports: never reuse one."""

    MISSING_VALUE = "missing-value"
    NOT_A_DATE = "not-a-date"
    DATE_OUT_OF_RANGE = "date-out-of-range"
    DATES_OUT_OF_ORDER = "dates-out-of-order"
    UNKNOWN_CODE = "unknown-code"
    NO_SUCH_CHILD = "no-such-child"
    HEADER_ROW_REJECTED = "header-row-rejected"
    DISAGREES_WITH_HEADER = "disagrees-with-header"
    REPEATED_ROW = "repeated-row"


class _Bad(Exception):
    """One column of a row is not acceptable."""

    def __init__(self, column: str, reason: Reason, expected: str) -> None:
        super().__init__(expected)
        self.column, self.reason, self.expected = column, reason, expected


@dataclass(frozen=True, slots=True)
class _Child:
    sex: str
    birth_date: date
    ethnicity: str
    upn: str


@dataclass(slots=True)
class _Header:
    """The children of the return, and where the rows stand that do not tell of one."""

    children: dict[str, _Child] = field(default_factory=dict)
    rejected: dict[str, str] = field(default_factory=dict)

    def add(self, child_id: str, child: _Child) -> None:
        if child_id in self.children or child_id in self.rejected:
            raise _Bad("CHILD", Reason.REPEATED_ROW, "expected one row for a child")
        self.children[child_id] = child

    def child(self, child_id: str) -> _Child:
        if not child_id:
            raise _Bad("CHILD", Reason.MISSING_VALUE, "expected the child's identifier")
        if child_id in self.rejected:
            raise _Bad("CHILD", Reason.HEADER_ROW_REJECTED, self.rejected[child_id])
        if child_id not in self.children:
            raise _Bad("CHILD", Reason.NO_SUCH_CHILD, "expected a child with a row in header.csv")
        return self.children[child_id]


def read_return(
    folder: Path,
    *,
    local_authority: str,
    today: date | None = None,
    confidential: Collection[str] = frozenset(),
) -> Iterator[Row | Rejection]:
    """Yield an outcome for each row of ``episodes.csv``, then of ``missing.csv`` if there is one.

    ``local_authority`` is the GSS code of the council that makes the return,
    ``today`` the last day that a date may have (default: the machine's), and
    ``confidential`` the CHILD codes of those whose address is known to be
    confidential, since a return cannot say so.

    Raises:
        FileRejected: a file cannot be opened or has not the columns of its list.
    """
    last = today or datetime.now(UTC).date()
    header = _read_header(_file(folder, "header.csv"), last)

    def placement(values: tuple[str, ...]) -> PreparedEvent:
        return _placement(values, header, local_authority, last, confidential)

    def missing(values: tuple[str, ...]) -> PreparedEvent:
        return _missing(values, header, local_authority, last)

    yield from _outcomes(_file(folder, "episodes.csv"), EPISODE_COLUMNS, placement)
    missing_path = _file(folder, "missing.csv", required=False)
    if missing_path.exists():
        yield from _outcomes(missing_path, MISSING_COLUMNS, missing)


def _file(folder: Path, name: str, *, required: bool = True) -> Path:
    """Find a file of the return whatever the case of its name."""
    if not folder.is_dir():
        raise FileRejected("expected a folder with episodes.csv and header.csv, found none")
    for path in sorted(folder.iterdir()):
        if path.name.lower() == name:
            return path
    if required:
        raise FileRejected(f"{name}: expected in the folder of the return, not found")
    return folder / name


def _outcomes(
    path: Path, columns: Sequence[str], to_event: Callable[[tuple[str, ...]], PreparedEvent]
) -> Iterator[Row | Rejection]:
    seen: set[str] = set()
    for line in read_rows(path, columns):
        if line.bad is not None:
            yield _bad_line(path.name, line, line.bad)
            continue
        try:
            event = _once(to_event(line.values), seen)
        except _Bad as bad:
            message = _message(path.name, line.number, bad.column, bad.expected)
            yield Rejection(path.name, line.number, bad.column, bad.reason, message)
        else:
            yield Row(path.name, line.number, event)


def _once(event: PreparedEvent, seen: set[str]) -> PreparedEvent:
    if event.natural_key in seen:
        raise _Bad("", Reason.REPEATED_ROW, "expected one row for a child and a start date")
    seen.add(event.natural_key)
    return event


def _read_header(path: Path, last: date) -> _Header:
    header = _Header()
    for line in read_rows(path, HEADER_COLUMNS):
        if line.bad is not None:
            continue  # its child is not known, so its episodes are "no-such-child"
        child_id, sex, birth_date, ethnicity, upn = line.values
        try:
            header.add(
                child_id,
                _Child(
                    sex=_code("SEX", sex, codes.SEX),
                    birth_date=_date("DOB", birth_date, last),
                    ethnicity=_code("ETHNIC", ethnicity, codes.ETHNICITY),
                    upn=upn,
                ),
            )
        except _Bad as bad:
            # Two rows for one child: neither is believed, rather than the first or the last.
            header.children.pop(child_id, None)
            header.rejected[child_id] = _message(path.name, line.number, bad.column, bad.expected)
    return header


def _placement(
    values: tuple[str, ...],
    header: _Header,
    local_authority: str,
    last: date,
    confidential: Collection[str],
) -> PreparedEvent:
    (child_id, decom, rne, legal, need, place, provider, dec, rec, change, home, placed, urn) = (
        values
    )
    child = header.child(child_id)
    started = _date("DECOM", decom, last)
    ceased = _date("DEC", dec, last) if dec else None
    _in_order(("DOB", child.birth_date), ("DECOM", started), ("DEC", ceased))
    record: dict[str, Any] = {
        "childId": child_id,
        "upn": child.upn or None,
        "birthDate": child.birth_date,
        "sex": child.sex,
        "ethnicity": child.ethnicity,
        "decom": started,
        "rne": _code("RNE", rne, codes.REASON_FOR_NEW_EPISODE),
        "legalStatus": _code("LS", legal, codes.LEGAL_STATUS),
        "cin": _code("CIN", need, codes.CATEGORY_OF_NEED),
        "placementType": _code("PLACE", place, codes.PLACEMENT),
        "placementProvider": _optional("PLACE_PROVIDER", provider, codes.PLACEMENT_PROVIDER),
        "dec": ceased,
        "rec": _optional("REC", rec, codes.REASON_EPISODE_CEASED),
        "reasonPlaceChange": _optional("REASON_PLACE_CHANGE", change, codes.REASON_PLACE_CHANGE),
        "homePostcode": home or None,
        "placementPostcode": placed or None,
        "urn": urn or None,
        "localAuthority": local_authority,
        "addressConfidential": child_id in confidential,
    }
    key = f"{local_authority}/{child_id}/{started}"
    return PreparedEvent(PLACEMENT, key, record, _start_of(ceased or started))


def _missing(
    values: tuple[str, ...], header: _Header, local_authority: str, last: date
) -> PreparedEvent:
    child_id, birth_date, missing_type, start, end = values
    child = header.child(child_id)
    if _date("DOB", birth_date, last) != child.birth_date:
        raise _Bad("DOB", Reason.DISAGREES_WITH_HEADER, "expected the date of birth of header.csv")
    started = _date("MIS_START", start, last)
    ended = _date("MIS_END", end, last) if end else None
    _in_order(("DOB", child.birth_date), ("MIS_START", started), ("MIS_END", ended))
    record: dict[str, Any] = {
        "childId": child_id,
        "birthDate": child.birth_date,
        "sex": child.sex,
        "ethnicity": child.ethnicity,
        "missingType": _code("MISSING", missing_type, codes.MISSING),
        "misStart": started,
        "misEnd": ended,
        "localAuthority": local_authority,
    }
    key = f"{local_authority}/{child_id}/{started}"
    return PreparedEvent(MISSING, key, record, _start_of(ended or started))


def _date(column: str, text: str, last: date) -> date:
    """Read dd/mm/yyyy and nothing like it."""
    if not text:
        raise _Bad(column, Reason.MISSING_VALUE, "expected a date, found nothing")
    match = _DATE.fullmatch(text)
    try:
        day, month, year = map(int, match.groups() if match else ())
        value = date(year, month, day)
    except ValueError:
        raise _Bad(column, Reason.NOT_A_DATE, "expected a date as dd/mm/yyyy") from None
    if not EARLIEST <= value <= last:
        raise _Bad(column, Reason.DATE_OUT_OF_RANGE, f"expected a date from {EARLIEST} to {last}")
    return value


def _in_order(*dates: tuple[str, date | None]) -> None:
    for (before, earlier), (column, later) in pairwise(dates):
        if earlier is not None and later is not None and later < earlier:
            raise _Bad(column, Reason.DATES_OUT_OF_ORDER, f"expected a date not before {before}")


def _code(column: str, text: str, known: frozenset[str]) -> str:
    if not text:
        raise _Bad(column, Reason.MISSING_VALUE, "expected a code, found nothing")
    if text not in known:
        raise _Bad(column, Reason.UNKNOWN_CODE, "expected a code of the 2024 list")
    return text


def _optional(column: str, text: str, known: frozenset[str]) -> str | None:
    return _code(column, text, known) if text else None


def _start_of(day: date) -> datetime:
    """Turn a date into the instant at which it begins: a return knows no times of day."""
    return datetime.combine(day, time.min, UTC)


_BAD_LINES = {
    BadLine.TOO_LONG: "expected a line of a return, found one over the limit",
    BadLine.NOT_UTF8: "expected text in UTF-8",
    BadLine.NOT_CSV: "expected comma-separated values with balanced quotation marks",
    BadLine.WRONG_NUMBER_OF_FIELDS: "expected as many values as the header row has columns",
}


def _bad_line(file: str, line: Line, bad: BadLine) -> Rejection:
    return Rejection(file, line.number, "", bad, _message(file, line.number, "", _BAD_LINES[bad]))


def _message(file: str, line: int, column: str, expected: str) -> str:
    place = f", column {column}" if column else ""
    return f"{file}, line {line}{place}: {expected}"

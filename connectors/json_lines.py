"""Read events from a JSON Lines file: the simplest way for any system to publish.

One object a line::

    {"type": "uk.gov.csc.missing-episode.v1", "key": "…", "occurred_at": "…", "record": {…}}

``key`` is what the case system itself calls the fact; ``record`` has the fields of
the event type, dates and times as ISO 8601 text. Every line is an event or a
rejection that says where and why without repeating what it read.
"""

import json
from collections.abc import Iterator
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from connectors.prepared import PreparedEvent, Rejection, Row

LINE_LIMIT_BYTES: Final = 1_000_000
"""No event of that size could be published."""

_FIELDS: Final = {"type": str, "key": str, "occurred_at": str, "record": dict}
_OPTIONAL: Final = {
    "correlation_id": str,
    "causation_id": str,
    "retracts": str,
    "classification": str,
    "sequence": str,
}


class Reason(StrEnum):
    """Why a line is not an event. The values are in reports: never reuse one."""

    TOO_LONG = "line-too-long"
    NOT_JSON = "not-json"
    MISSING_FIELD = "missing-field"
    UNKNOWN_FIELD = "unknown-field"
    WRONG_TYPE = "wrong-type"
    NOT_A_TIME = "not-a-time"


class _Bad(Exception):
    def __init__(self, column: str, reason: Reason, expected: str) -> None:
        super().__init__(expected)
        self.column, self.reason, self.expected = column, reason, expected


def read_json_lines(path: Path) -> Iterator[Row | Rejection]:
    """Yield an outcome for each line that is not empty; memory is that of one line."""
    with path.open("rb") as file:
        number = 0
        while line := file.readline(LINE_LIMIT_BYTES + 1):
            number += 1
            if len(line) > LINE_LIMIT_BYTES and not line.endswith(b"\n"):
                while line and not line.endswith(b"\n"):
                    line = file.readline(LINE_LIMIT_BYTES)
                bad = _Bad("", Reason.TOO_LONG, f"expected at most {LINE_LIMIT_BYTES} bytes")
                yield _rejection(path.name, number, bad)
            elif line.strip():
                try:
                    yield Row(path.name, number, _event(line))
                except _Bad as bad:
                    yield _rejection(path.name, number, bad)


def _event(line: bytes) -> PreparedEvent:
    try:
        found: Any = json.loads(line)
    except (ValueError, RecursionError):
        raise _Bad("", Reason.NOT_JSON, "expected one JSON object in UTF-8") from None
    if not isinstance(found, dict):
        raise _Bad("", Reason.NOT_JSON, "expected one JSON object in UTF-8")
    for name, kind in _FIELDS.items():
        if name not in found:
            raise _Bad(name, Reason.MISSING_FIELD, f"expected the field {name}")
        _check_type(found, name, kind)
    for name in found:
        if name in _OPTIONAL:
            _check_type(found, name, _OPTIONAL[name])
        elif name not in _FIELDS:
            known = ", ".join((*_FIELDS, *_OPTIONAL))
            # The unknown name is the sender's text and may hold anything: it is not repeated.
            raise _Bad("", Reason.UNKNOWN_FIELD, f"expected no field but {known}")
    options = {name: found[name] for name in _OPTIONAL if name in found}
    return PreparedEvent(
        found["type"], found["key"], found["record"], _time(found["occurred_at"]), **options
    )


def _check_type(found: dict[str, Any], name: str, kind: type) -> None:
    if not isinstance(found[name], kind):
        expected = "an object" if kind is dict else "text"
        raise _Bad(name, Reason.WRONG_TYPE, f"expected {expected}")


def _time(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise _Bad("occurred_at", Reason.NOT_A_TIME, "expected a time such as 2026-11-02T09:30:00Z")
    return moment


def _rejection(file: str, line: int, bad: _Bad) -> Rejection:
    where = f"{file}, line {line}" + (f", {bad.column}" if bad.column else "")
    return Rejection(file, line, bad.column, bad.reason, f"{where}: {bad.expected}")

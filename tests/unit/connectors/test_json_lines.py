"""A JSON Lines file: every line is an event or a rejection that repeats nothing."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from connectors.json_lines import LINE_LIMIT_BYTES, Reason, read_json_lines
from connectors.prepared import Rejection, Row

MARK = "Ophelia-Marked"


def a_line(**changes: Any) -> dict[str, Any]:
    """Return an event as a line has it, with changes; None takes a field out."""
    line = {
        "type": "uk.gov.csc.missing-episode.v1",
        "key": "C-1/1",
        "occurred_at": "2026-11-02T09:30:00Z",
        "record": {"childId": "C-1"},
    } | changes
    return {name: value for name, value in line.items() if value is not None}


def outcomes(tmp_path: Path, *lines: str | bytes) -> list[Row | Rejection]:
    """Write lines into a file and read it."""
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"\n".join(x.encode() if isinstance(x, str) else x for x in lines))
    return list(read_json_lines(path))


def test_a_line_becomes_an_event_with_its_options(tmp_path: Path) -> None:
    """A line's fields are the prepared event's, times aware."""
    line = a_line(correlation_id="11111111-1111-4111-8111-111111111111", sequence="7")
    [row] = outcomes(tmp_path, json.dumps(line))
    assert isinstance(row, Row)
    assert row.event.natural_key == "C-1/1"
    assert row.event.occurred_at == datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
    assert (row.event.correlation_id, row.event.sequence) == (line["correlation_id"], "7")


@pytest.mark.parametrize(
    ("line", "reason", "column"),
    [
        ("{", Reason.NOT_JSON, ""),
        ("[]", Reason.NOT_JSON, ""),
        (b"\xff\xfe", Reason.NOT_JSON, ""),
        ("[" * 100_000, Reason.NOT_JSON, ""),
        (json.dumps(a_line(type=None)), Reason.MISSING_FIELD, "type"),
        (json.dumps(a_line(record=[MARK])), Reason.WRONG_TYPE, "record"),
        (json.dumps(a_line(sequence=7)), Reason.WRONG_TYPE, "sequence"),
        (json.dumps(a_line() | {MARK: 1}), Reason.UNKNOWN_FIELD, ""),
        (json.dumps(a_line(occurred_at=MARK)), Reason.NOT_A_TIME, "occurred_at"),
        (json.dumps(a_line(occurred_at="2026-11-02T09:30:00")), Reason.NOT_A_TIME, "occurred_at"),
        ("x" * (LINE_LIMIT_BYTES + 10), Reason.TOO_LONG, ""),
    ],
    ids=lambda value: value if isinstance(value, Reason) else "",
)
def test_a_bad_line_is_rejected_by_place_and_the_next_is_read(
    tmp_path: Path, line: str | bytes, reason: Reason, column: str
) -> None:
    """Each rejection names file, line and field, and never repeats the text."""
    bad, good = outcomes(tmp_path, line, json.dumps(a_line()))
    assert isinstance(bad, Rejection)
    assert (bad.file, bad.line, bad.column, bad.reason) == ("events.jsonl", 1, column, reason)
    assert MARK not in bad.message
    assert isinstance(good, Row)
    assert good.line == 2


def test_empty_lines_are_passed_over_and_counted(tmp_path: Path) -> None:
    """Line numbers are those of an editor."""
    [row] = outcomes(tmp_path, "", "   ", json.dumps(a_line()))
    assert isinstance(row, Row)
    assert row.line == 3

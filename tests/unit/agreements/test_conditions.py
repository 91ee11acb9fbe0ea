"""Conditions on every type of item, present and absent, deep and shallow."""

import json
from typing import Any

import pytest
from deciding_world import a_flow, encode

from agreements.conditions import compile_conditions
from agreements.model import Flow
from schemas.catalogue import EventType

GRADE = {"type": "enum", "name": "Grade", "symbols": ["LOW", "MIDDLE", "HIGH"]}
DATE = {"type": "int", "logicalType": "date"}
MILLIS = {"type": "long", "logicalType": "timestamp-millis"}
MICROS = {"type": "long", "logicalType": "timestamp-micros"}
INNER = {
    "type": "record",
    "name": "Inner",
    "fields": [
        {"name": "grade", "type": "x.Grade"},
        {"name": "flag", "type": "boolean"},
        {"name": "text", "type": "string"},
        {"name": "day", "type": DATE},
        {"name": "maybe", "type": ["string", "null"]},
    ],
}
OUTER = {"type": "record", "name": "Outer", "fields": [{"name": "day", "type": DATE}]}
FIELDS = [
    {"name": "id", "type": "string", "identifier": "ods", "subject": "primary"},
    {"name": "flag", "type": "boolean"},
    {"name": "maybeFlag", "type": ["null", "boolean"]},
    {"name": "count", "type": "int"},
    {"name": "maybeCount", "type": ["null", "long"]},
    {"name": "grade", "type": GRADE},
    {"name": "maybeGrade", "type": ["null", "x.Grade"]},
    {"name": "otherGrade", "type": ["x.Grade", "null"]},
    {"name": "text", "type": "string"},
    {"name": "otherText", "type": ["string", "null"]},
    {"name": "day", "type": DATE},
    {"name": "maybeDay", "type": ["null", DATE]},
    {"name": "millis", "type": MILLIS},
    {"name": "micros", "type": ["null", MICROS]},
    {"name": "raw", "type": "bytes"},
    {"name": "table", "type": {"type": "map", "values": "int"}},
    {"name": "rows", "type": ["null", {"type": "array", "items": "string"}]},
    {"name": "real", "type": "double"},
    {"name": "inner", "type": ["null", INNER]},
    {"name": "outer", "type": ["null", OUTER]},
    {"name": "end", "type": "int"},
]
THING = EventType.of(
    json.dumps(
        {"type": "record", "name": "x.T", "eventType": "uk.x.v1", "revision": 1, "fields": FIELDS}
    )
)
DAY = 86_400_000
RECORD: dict[str, Any] = {
    "id": "X",
    "flag": True,
    "maybeFlag": False,
    "count": 300,
    "maybeCount": -1,
    "grade": "MIDDLE",
    "maybeGrade": "LOW",
    "otherGrade": "HIGH",
    "text": "",
    "otherText": "yes",
    "day": 10,
    "maybeDay": 10,
    "millis": 10 * DAY,
    "micros": 10 * DAY * 1000,
    "raw": b"",
    "table": {},
    "rows": [],
    "real": 1.0,
    "inner": {"grade": "LOW", "flag": False, "text": "t", "day": 10, "maybe": "m"},
    "outer": None,
    "end": 20,
}
NULL = {field["name"]: None for field in FIELDS if "null" in field["type"]}


def _holds(condition: dict[str, Any], record: dict[str, Any]) -> bool:
    flow = Flow.model_validate(a_flow(when=[condition]))
    (clause,) = compile_conditions(flow, THING.scanner)
    data = encode(THING.schema, record)
    return clause.holds(data, THING.scanner.scan(data, 0))


@pytest.mark.parametrize(
    ("item", "equal", "unequal"),
    [
        ("flag", True, False),
        ("maybeFlag", False, True),
        ("count", 300, 301),
        ("maybeCount", -1, 1),
        ("grade", "MIDDLE", "LOW"),
        ("maybeGrade", "LOW", "HIGH"),
        ("otherGrade", "HIGH", "MIDDLE"),
        ("text", "", "x"),
        ("otherText", "yes", "no"),
        ("day", "1970-01-11", "1970-01-12"),
        ("maybeDay", "1970-01-11", "1970-01-10"),
        ("inner.grade", "LOW", "HIGH"),
        ("inner.flag", False, True),
        ("inner.text", "t", ""),
        ("inner.maybe", "m", ""),
        ("inner.day", "1970-01-11", "1970-01-01"),
    ],
)
def test_equal_values_are_equal_and_others_are_not(item: str, equal: Any, unequal: Any) -> None:
    """For every type that can be compared; lists of one and of two come out alike."""
    assert _holds({"item": item, "equals": equal}, RECORD)
    assert not _holds({"item": item, "equals": unequal}, RECORD)
    assert _holds({"item": item, "in": [unequal, equal]}, RECORD)
    assert not _holds({"item": item, "in": [unequal]}, RECORD)
    assert _holds({"item": item, "not_in": [unequal]}, RECORD)
    assert not _holds({"item": item, "not_in": [unequal, equal]}, RECORD)


@pytest.mark.parametrize(
    "item", [*NULL, "outer.day", *(f"inner.{f['name']}" for f in INNER["fields"])]
)
def test_an_absent_item_holds_only_for_exclusions_and_absence(item: str) -> None:
    """Null, and a field of a record that is not there."""
    record = RECORD | NULL
    for operand in (True, False, 1, 0, "LOW", "", "1970-01-11", "UNKNOWN"):
        assert not _holds({"item": item, "equals": operand}, record)
    for operator in ("before", "after"):
        assert not _holds({"item": item, operator: "1970-01-11"}, record)
    assert not _holds({"item": item, "present": True}, record)
    assert _holds({"item": item, "present": False}, record)


@pytest.mark.parametrize(
    ("item", "is_there"),
    [
        ("flag", True),
        ("count", True),
        ("grade", True),
        ("maybeFlag", True),
        ("text", False),
        ("otherText", True),
        ("raw", False),
        ("table", False),
        ("rows", False),
        ("inner", True),
        ("inner.text", True),
        ("inner.flag", True),
    ],
)
def test_an_item_is_present_when_it_is_there_and_not_empty(item: str, *, is_there: bool) -> None:
    """Zero and false are values; an empty text, list or map is not."""
    assert _holds({"item": item, "present": True}, RECORD) is is_there
    assert _holds({"item": item, "present": False}, RECORD) is not is_there
    filled = RECORD | {"text": "x", "raw": b"\0", "table": {"a": 0}, "rows": [""], "count": 0}
    assert _holds({"item": item, "present": True}, filled)


@pytest.mark.parametrize("item", ["day", "maybeDay", "millis", "micros", "inner.day"])
def test_days_are_compared_with_dates_and_times(item: str) -> None:
    """Before is exclusive, after inclusive."""
    assert _holds({"item": item, "before": "1970-01-12"}, RECORD)
    assert not _holds({"item": item, "before": "1970-01-11"}, RECORD)
    assert _holds({"item": item, "after": "1970-01-11"}, RECORD)
    assert not _holds({"item": item, "after": "1970-01-12"}, RECORD)
    early = RECORD | {"day": -10, "maybeDay": -10, "millis": -10 * DAY, "micros": -10 * DAY * 1000}
    early["inner"] = RECORD["inner"] | {"day": -10}
    assert _holds({"item": item, "before": "1969-12-23"}, early)
    assert not _holds({"item": item, "before": "1969-12-22"}, early)


@pytest.mark.parametrize("item", ["millis", "micros"])
def test_a_time_inside_a_day_is_after_its_midnight(item: str) -> None:
    """A day is the midnight, UTC, that it begins with."""
    late = RECORD | {"millis": 11 * DAY - 1, "micros": 11 * DAY * 1000 - 1}
    assert _holds({"item": item, "before": "1970-01-12"}, late)
    assert _holds({"item": item, "after": "1970-01-11"}, late)


@pytest.mark.parametrize(
    ("item", "operand"),
    [
        ("flag", "true"),
        ("flag", 1),
        ("count", True),
        ("count", "300"),
        ("grade", 1),
        ("grade", True),
        ("text", 1),
        ("text", True),
        ("day", 10),
        ("day", "soon"),
        ("millis", 10 * DAY),
        ("millis", "1970-01-11"),
        ("real", 1),
        ("raw", ""),
        ("rows", "x"),
        ("table", "x"),
        ("inner", "x"),
        ("nothing", "x"),
        ("inner.nothing", "x"),
        ("rows.x", "x"),
    ],
)
def test_what_cannot_be_compared_never_holds(item: str, operand: Any) -> None:
    """Neither as a value that is wanted nor as one that is excluded."""
    for operator, given in (("equals", operand), ("in", [operand]), ("not_in", [operand])):
        assert not _holds({"item": item, operator: given}, RECORD)


@pytest.mark.parametrize("item", ["text", "flag", "count", "grade", "inner", "nothing", "real"])
def test_what_is_no_date_is_neither_before_nor_after(item: str) -> None:
    """There is no order to put it in."""
    assert not _holds({"item": item, "before": "9999-01-01"}, RECORD)
    assert not _holds({"item": item, "after": "0001-01-01"}, RECORD)


@pytest.mark.parametrize("item", ["grade", "maybeGrade", "otherGrade", "inner.grade"])
@pytest.mark.parametrize("record", [RECORD, RECORD | NULL])
def test_a_symbol_that_the_schema_does_not_have_is_nobody_s(
    item: str, record: dict[str, Any]
) -> None:
    """It may be one of a later revision: nothing equals it, everything is outside it."""
    assert not _holds({"item": item, "equals": "UNKNOWN"}, record)
    assert not _holds({"item": item, "in": ["UNKNOWN", "NEITHER"]}, record)
    assert _holds({"item": item, "not_in": ["UNKNOWN"]}, record)


@pytest.mark.parametrize(
    ("condition", "text"),
    [
        ({"equals": "X"}, "a.b equals X"),
        ({"in": ["X", "Y"]}, "a.b in X, Y"),
        ({"not_in": ["X"]}, "a.b not in X"),
        ({"present": True}, "a.b is present"),
        ({"present": False}, "a.b is absent"),
        ({"before": "2026-01-02"}, "a.b before 2026-01-02"),
        ({"after": "2026-01-02"}, "a.b after 2026-01-02"),
    ],
)
def test_a_condition_reads_as_a_sentence(condition: dict[str, Any], text: str) -> None:
    """As the agreement has it, with its place in the flow."""
    when = [{"item": "x", "present": True}, {"item": "a.b"} | condition]
    clauses = compile_conditions(Flow.model_validate(a_flow(when=when)), THING.scanner)
    assert (clauses[1].place, clauses[1].text) == ("when[1]", text)

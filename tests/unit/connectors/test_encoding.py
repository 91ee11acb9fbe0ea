"""Encoding a record: what fits is what fastavro writes, what does not is named by its path."""

import io
import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.encoding import InvalidRecord, RecordEncoder
from schemas import avro

SCHEMA = {
    "type": "record",
    "name": "example.Thing",
    "fields": [
        {"name": "text", "type": "string"},
        {"name": "count", "type": "int", "default": 0},
        {"name": "big", "type": "long", "default": 0},
        {"name": "flag", "type": "boolean", "default": False},
        {"name": "score", "type": "double", "default": 0.0},
        {"name": "raw", "type": "bytes", "default": ""},
        {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["M", "A"]}},
        {"name": "born", "type": ["null", {"type": "int", "logicalType": "date"}], "default": None},
        {
            "name": "at",
            "type": ["null", {"type": "long", "logicalType": "timestamp-millis"}],
            "default": None,
        },
        {"name": "either", "type": ["null", "int", "string"], "default": None},
        {"name": "codes", "type": {"type": "map", "values": "int"}, "default": {}},
        {
            "name": "person",
            "type": [
                "null",
                {
                    "type": "record",
                    "name": "Person",
                    "fields": [
                        {"name": "name", "type": "string"},
                        {"name": "sex", "type": ["null", "string"], "default": None},
                    ],
                },
            ],
            "default": None,
        },
        {"name": "members", "type": {"type": "array", "items": "Person"}, "default": []},
    ],
}
PARSED = avro.parse(SCHEMA)
ENCODER = RecordEncoder(PARSED)
LEAST = {"text": "a", "kind": "M"}


def decoded(data: bytes) -> Any:
    """Read with fastavro, the oracle."""
    return fastavro.schemaless_reader(io.BytesIO(data), PARSED, None)


def test_a_record_is_written_as_fastavro_reads_it() -> None:
    """Values come back, and what was not given has its default."""
    noon = datetime(2026, 4, 1, 12, tzinfo=UTC)
    record = {
        **LEAST,
        "born": date(2010, 3, 27),
        "at": noon,
        "either": "x",
        "codes": {"a": 1},
        "person": {"name": "n"},
        "members": [{"name": "m", "sex": "1"}],
    }
    found = decoded(ENCODER.encode(record))
    assert found["born"] == date(2010, 3, 27)
    assert found["at"] == noon
    assert found["either"] == "x"
    assert found["person"] == {"name": "n", "sex": None}
    assert found["members"] == [{"name": "m", "sex": "1"}]
    assert (found["count"], found["flag"]) == (0, False)


def test_dates_and_times_may_be_text_as_json_has_them() -> None:
    """A record read from JSON is encoded as the same bytes."""
    typed = {**LEAST, "born": date(2010, 3, 27), "at": datetime(2026, 4, 1, 12, tzinfo=UTC)}
    texts = {**LEAST, "born": "2010-03-27", "at": "2026-04-01T13:00:00+01:00"}
    assert ENCODER.encode(json.loads(json.dumps(texts))) == ENCODER.encode(typed)


MARK = "zq-secret"


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"text": 5}, "text"),
        ({"text": None}, "text"),
        ({"text": MARK + "\ud800"}, "text"),
        ({"count": True}, "count"),
        ({"count": "1"}, "count"),
        ({"count": 1.0}, "count"),
        ({"count": 2**31}, "count"),
        ({"big": 2**63}, "big"),
        ({"flag": 1}, "flag"),
        ({"score": MARK}, "score"),
        ({"raw": MARK}, "raw"),
        ({"kind": MARK}, "kind"),
        ({"kind": ["M"]}, "kind"),
        ({"born": MARK}, "born"),
        ({"born": datetime(2026, 4, 1, tzinfo=UTC)}, "born"),
        ({"born": True}, "born"),
        ({"at": datetime(2026, 4, 1)}, "at"),  # noqa: DTZ001  naive on purpose
        ({"at": "2026-04-01T12:00:00"}, "at"),
        ({"at": date(2026, 4, 1)}, "at"),
        ({"either": 1.5}, "either"),
        ({"codes": {MARK: "x"}}, "codes{}"),
        ({"codes": {5: 1}}, "codes"),
        ({"codes": [1]}, "codes"),
        ({"person": MARK}, "person"),
        ({"person": {}}, "person.name"),
        ({"person": {"name": "n", MARK: 1}}, "person"),
        ({"members": MARK}, "members"),
        ({"members": [{"name": "m"}, {"name": 5}]}, "members[1].name"),
        ({MARK: 1}, ""),
    ],
)
def test_what_does_not_fit_is_named_by_its_path_and_never_quoted(
    change: dict[Any, Any], path: str
) -> None:
    """The error says where and what was expected; the value stays out of it."""
    with pytest.raises(InvalidRecord) as caught:
        ENCODER.encode({**LEAST, **change})
    assert caught.value.path == path
    assert caught.value.code == "invalid-record"
    assert MARK not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("name", ["text", "kind"])
def test_a_field_without_default_must_be_there(name: str) -> None:
    """What is missing is named."""
    with pytest.raises(InvalidRecord) as caught:
        ENCODER.encode({key: value for key, value in LEAST.items() if key != name})
    assert caught.value.path == name


@pytest.mark.parametrize("record", [None, [], "text", 5])
def test_a_record_is_an_object(record: Any) -> None:
    """Anything else is refused as a whole."""
    with pytest.raises(InvalidRecord):
        ENCODER.encode(record)


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.dates()
    | st.datetimes(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(
    record=st.fixed_dictionaries(
        {"text": st.text() | ANYTHING, "kind": st.sampled_from("MA") | ANYTHING},
        optional={
            field["name"]: ANYTHING
            for field in SCHEMA["fields"]
            if field["name"] not in LEAST  # type: ignore[index]
        },
    )
)
def test_whatever_comes_it_is_encoded_or_refused(record: dict[str, Any]) -> None:
    """There is no third way: no other exception, and no bytes that do not read back."""
    try:
        data = ENCODER.encode(record)
    except InvalidRecord:
        return
    found = decoded(data)
    for name in record.keys() & {"text", "count", "big", "flag", "kind", "raw"}:
        assert found[name] == record[name]


@given(at=st.datetimes(min_value=datetime(1900, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_a_time_comes_back_to_the_millisecond(at: datetime) -> None:
    """Nothing of a time is lost but what is finer than its field."""
    found = decoded(ENCODER.encode({**LEAST, "at": at}))["at"]
    assert timedelta(0) <= at - found < timedelta(milliseconds=1)


def test_a_record_that_lies_inside_itself_is_checked_all_the_way_down() -> None:
    """A schema may refer to a record from within it; the path tells every step."""
    schema = avro.parse(
        {
            "type": "record",
            "name": "Node",
            "fields": [
                {"name": "value", "type": "int"},
                {"name": "next", "type": ["null", "Node"], "default": None},
            ],
        }
    )
    encoder = RecordEncoder(schema)
    encoder.encode({"value": 1, "next": {"value": 2, "next": {"value": 3}}})
    with pytest.raises(InvalidRecord) as caught:
        encoder.encode({"value": 1, "next": {"value": 2, "next": {"value": "x"}}})
    assert caught.value.path == "next.next.value"

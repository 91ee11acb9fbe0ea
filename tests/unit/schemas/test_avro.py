"""Schemas that libraries could understand differently are refused, by place."""

from typing import Any

import fastavro
import pytest

from schemas.avro import BadSchema, collapsed, expanded, minimum_bytes, named_types, parse


def a_record(*fields: Any) -> dict[str, Any]:
    """A record with these fields: names a, b, … unless they are whole fields."""
    named = [
        field if isinstance(field, dict) and "name" in field and "fields" not in field
        and field.get("type") not in {"enum", "fixed"}
        else {"name": "abcdef"[number], "type": field}
        for number, field in enumerate(fields)
    ]  # fmt: skip
    return {"type": "record", "name": "t.Root", "fields": named}


MAP = {"type": "map", "values": "int"}


def a_charge() -> dict[str, Any]:
    """The record that Hackney's schema defines five times."""
    return {
        "type": "record",
        "name": "charge",
        "fields": [{"name": "Type", "type": "string"}, {"name": "Amount", "type": "double"}],
    }


# The three constructs of Hackney's mtfh-reporting-data-listener schema.json.
HACKNEY_ENUM = {
    "type": "record",
    "name": "TenureInformation",
    "namespace": "mmh",
    "fields": [
        {"name": "Id", "type": "string"},
        {
            "name": "HouseholdMembers",
            "type": {
                "type": "array",
                "items": {
                    "type": "record",
                    "name": "HouseholdMember",
                    "fields": [
                        {"name": "Type", "type": "enum", "symbols": ["Person", "Organisation"]}
                    ],
                },
            },
        },
    ],
}
HACKNEY_REDEFINED = {
    "type": "record",
    "name": "TenureInformation",
    "namespace": "mmh",
    "fields": [
        {"name": "RentCharge", "type": a_charge()},
        {"name": "ServiceCharge", "type": ["null", a_charge()]},
    ],
}
HACKNEY_LOGICAL = {
    "type": "record",
    "name": "TenureInformation",
    "namespace": "mmh",
    "fields": [{"name": "StartOfTenureDate", "type": "int", "logicalType": "date"}],
}


def refusal(schema: Any) -> str:
    """Return the message with which a schema is refused."""
    with pytest.raises(BadSchema) as refused:
        parse(schema)
    assert refused.value.code == "bad-schema"
    return str(refused.value)


def test_an_enum_that_is_not_nested_is_refused_at_its_field() -> None:
    """As in Hackney's schema: "type": "enum" with its symbols beside it."""
    message = refusal(HACKNEY_ENUM)
    assert message.startswith("schema.HouseholdMembers.items.Type: ")
    assert '"type": {"type": "enum"' in message


def test_a_type_defined_twice_is_refused_at_the_second_place() -> None:
    """As in Hackney's schema: the record charge five times over."""
    message = refusal(HACKNEY_REDEFINED)
    assert message.startswith("schema.ServiceCharge[1]: ")
    assert '"mmh.charge" is already defined at schema.RentCharge' in message


def test_a_logical_type_beside_its_type_is_refused() -> None:
    """As in Hackney's schema: it would have no effect, and dates would be numbers."""
    message = refusal(HACKNEY_LOGICAL)
    assert message.startswith('schema.StartOfTenureDate: "logicalType" stands beside the type')


@pytest.mark.parametrize(
    ("schema", "place", "about"),
    [
        (a_record("strng"), "schema.a", "not defined"),
        (a_record("t.F", {"type": "fixed", "name": "t.F", "size": 1}), "schema.a", "not defined"),
        (a_record([]), "schema.a", "at least one branch"),
        (a_record(["null", ["int"]]), "schema.a[1]", "inside a union"),
        (a_record(["int", "int"]), "schema.a[1]", "twice"),
        (a_record([MAP, {**MAP, "values": "long"}]), "schema.a[1]", "twice"),
        (a_record({"type": "array"}), "schema.a", "items"),
        (a_record({"type": "map"}), "schema.a", "values"),
        (a_record({"type": "enum", "name": "E", "symbols": []}), "schema.a", "symbols"),
        (a_record({"type": "enum", "name": "E", "symbols": ["1"]}), "schema.a", "symbol"),
        (a_record({"type": "enum", "name": "E", "symbols": ["A", "A"]}), "schema.a", "twice"),
        (a_record({"type": "fixed", "name": "F"}), "schema.a", "size"),
        (a_record({"type": "fixed", "name": "F", "size": -1}), "schema.a", "size"),
        (a_record({"type": "fixed", "name": "F", "size": True}), "schema.a", "size"),
        (a_record({"type": "enum", "symbols": ["A"]}), "schema.a", "name"),
        (a_record({"type": "enum", "name": "a b", "symbols": ["A"]}), "schema.a", "Avro name"),
        (a_record({"type": {"type": "string"}}), "schema.a", "primitive or complex"),
        (a_record({"type": "int", "logicalType": "duration"}), "schema.a", "logicalType"),
        (a_record({"type": "string", "logicalType": "date"}), "schema.a", "does not fit"),
        (a_record(7), "schema.a", "expected a type"),
        (a_record({"name": "a"}), "schema.a", 'without a "type"'),
        (a_record({"name": "1", "type": "int"}), "schema.fields[0]", "Avro name"),
        (a_record({"name": "a", "type": "int"}, {"name": "a", "type": "int"}), "schema.a", "twice"),
        ({"type": "record", "name": "t.R"}, "schema", "fields"),
        ({"type": "error", "name": "t.R", "fields": []}, "schema", "primitive or complex"),
        (None, "schema", "expected a type"),
    ],
)  # fmt: skip
def test_what_is_not_plain_avro_is_refused_at_its_place(
    schema: Any, place: str, about: str
) -> None:
    """The author finds the place without reading the whole."""
    message = refusal(schema)
    assert message.startswith(f"{place}: ")
    assert about in message


def test_a_default_of_another_type_is_refused() -> None:
    """Fastavro's own checks still hold."""
    assert "fastavro" in refusal(a_record({"name": "a", "type": "int", "default": "x"}))


def test_nesting_and_size_are_bounded() -> None:
    """A schema can come from outside, so it cannot be a bomb."""
    deep: Any = "int"
    for _ in range(20):
        deep = {"type": "array", "items": deep}
    assert "nested deeper" in refusal(a_record(deep))
    wide = [{"name": f"f{n}", "type": "int"} for n in range(1001)]
    assert "more than 1000 fields" in refusal({"type": "record", "name": "t.R", "fields": wide})


def test_names_take_the_namespace_around_them() -> None:
    """References are found by full name or by the name in their namespace."""
    inner = {"type": "enum", "name": "E", "symbols": ["A"]}
    parsed = parse(a_record(inner, "E", "t.E"))
    assert set(named_types(parsed)) == {"t.Root", "t.E"}


def test_parsing_leaves_no_trace_in_the_library() -> None:
    """Two schemas with the same names do not disturb each other."""
    parse(a_record({"type": "enum", "name": "E", "symbols": ["A"]}))
    parse(a_record({"type": "enum", "name": "E", "symbols": ["B"]}))


def test_expanding_and_collapsing_are_opposites() -> None:
    """A part of a schema can be taken out complete, and parts be put together again."""
    enum = {"type": "enum", "name": "t.E", "symbols": ["A"]}
    parsed = parse(a_record(enum, ["null", "t.E"], {"type": "map", "values": "t.E"}))
    whole = expanded(parsed, named_types(parsed))
    assert whole["fields"][2]["type"]["values"]["symbols"] == ["A"]
    assert collapsed(whole) == parsed
    fastavro.parse_schema(collapsed(whole), named_schemas={})


def test_expanding_ends_at_a_type_inside_itself() -> None:
    """The inner reference stays a name."""
    parsed = parse(a_record(["null", "t.Root"]))
    assert expanded(parsed, named_types(parsed)) == parsed


@pytest.mark.parametrize(
    ("schema", "least"),
    [
        ("null", 0),
        ("string", 1),
        ("double", 8),
        ("float", 4),
        ({"type": "fixed", "name": "F", "size": 3}, 3),
        (["null", "double"], 1),
        ({"type": "array", "items": "double"}, 1),
        (a_record("int", "double", "null"), 9),
        (a_record(["null", "t.Root"]), 1),
    ],
)
def test_the_least_size_of_a_value_is_known(schema: Any, least: int) -> None:
    """It bounds how many items a number of bytes can hold."""
    parsed = parse(schema)
    assert minimum_bytes(parsed, named_types(parsed)) == least

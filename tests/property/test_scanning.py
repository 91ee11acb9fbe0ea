"""The scanner against fastavro: what one accepts, the other decodes to the same values."""

import io
import json
from functools import cache
from typing import Any

import fastavro
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from property.avro_strategies import record_schemas, values

from schemas.avro import collapsed, named_types, parse
from schemas.catalogue import EventType, shipped
from schemas.scanning import MalformedAvro, Scanner

slow = settings(deadline=None, suppress_health_check=list(HealthCheck))
thorough = settings(slow, max_examples=200)
brief = settings(slow, max_examples=25)


def encoded(schema: Any, value: Any) -> bytes:
    """Encode with fastavro."""
    out = io.BytesIO()
    fastavro.schemaless_writer(out, schema, value)
    return out.getvalue()


def decoded(schema: Any, data: bytes) -> Any:
    """Decode with fastavro, which must take every byte."""
    source = io.BytesIO(data)
    value = fastavro.schemaless_reader(source, schema, None)
    assert source.read() == b""
    return value


@st.composite
def written(draw: st.DrawFn, *, flat: bool = False) -> tuple[Any, bytes]:
    """A schema and the bytes that fastavro writes for some value of it."""
    schema = draw(record_schemas(flat=flat))
    parsed = parse(schema)
    value = draw(values(parsed, named_types(parsed)))
    return schema, encoded(parsed, value)


@cache
def slot_schema(text: str) -> Any:
    """Parse a slot's schema, once."""
    return fastavro.parse_schema(collapsed(json.loads(text)), named_schemas={})


def check_slots(
    scanner: Scanner, data: bytes, start: int, boundaries: list[int], whole: Any
) -> None:
    """Compare every slot, decoded by itself, with the record decoded as a whole."""
    assert boundaries[0] == start
    assert boundaries == sorted(boundaries)
    for slot in scanner.slots:
        piece = data[boundaries[slot.index] : boundaries[slot.index + 1]]
        parent_null = any(
            data[boundaries[parent] : boundaries[parent + 1]] == scanner.slots[parent].null
            for parent in slot.parents
        )
        if parent_null:
            assert piece == b""
            continue
        value = whole
        for name in slot.path.split("."):
            value = value[name]
        if slot.kind == "branch":
            assert (piece == slot.null) == (value is None)
            assert piece in {slot.null, slot.present}
            continue
        assert repr(decoded(slot_schema(json.dumps(slot.schema)), piece)) == repr(value)
        if slot.kind == "string" and slot.logical is None:
            assert slot.text(data, boundaries[slot.index], boundaries[slot.index + 1]) == value
        if slot.element is not None:
            check_elements(slot, data, boundaries[slot.index], value)


def check_elements(slot: Any, data: bytes, start: int, value: Any) -> None:
    """Compare every element of an array of records with what fastavro decoded."""
    elements = slot.elements(data, start)
    assert (elements is None) == (value is None)
    for element, one in zip(elements or [], value or [], strict=True):
        check_slots(slot.element, data, element[0], element, one)


@slow
@given(written(), st.binary(max_size=12))
def test_each_slot_holds_exactly_its_fields_bytes(pair: tuple[Any, bytes], before: bytes) -> None:
    """Slices at the boundaries decode to the values of the whole, wherever the record begins."""
    schema, data = pair
    scanner = Scanner(schema)
    boundaries = scanner.scan(before + data, len(before))
    assert boundaries[-1] == len(before) + len(data)
    check_slots(scanner, before + data, len(before), boundaries, decoded(parse(schema), data))


@st.composite
def mutated(draw: st.DrawFn, *, flat: bool = False) -> tuple[Any, bytes, bytes]:
    """A schema, bytes that fastavro wrote, and the same with a few bytes changed."""
    schema, data = draw(written(flat=flat))
    changed = bytearray(data)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(changed)))
        match draw(st.sampled_from(["set", "insert", "delete", "cut"])):
            case "set" if at < len(changed):
                changed[at] = draw(st.sampled_from([0, 1, 2, 3, 127, 128, 255, changed[at] ^ 128]))
            case "insert":
                changed[at:at] = draw(st.binary(min_size=1, max_size=3))
            case "delete":
                del changed[at : at + draw(st.integers(1, 3))]
            case "cut":
                del changed[at:]
    return schema, data, bytes(changed)


@thorough
@given(mutated())
def test_changed_bytes_are_rejected_or_read_the_same_by_fastavro(
    case: tuple[Any, bytes, bytes],
) -> None:
    """What is accepted, fastavro decodes to the last byte, to the same values."""
    schema, _, data = case
    scanner = Scanner(schema)
    try:
        boundaries = scanner.scan(data, 0)
    except MalformedAvro:
        return
    check_slots(scanner, data, 0, boundaries, decoded(parse(schema), data))


@pytest.mark.parametrize("one", tuple(shipped()), ids=lambda one: one.name)
@brief
@given(st.data())
def test_the_shipped_types_are_cut_as_they_are_decoded(one: EventType, data: st.DataObject) -> None:
    """Records of every event type: as written, and with a byte changed."""
    record = data.draw(values(one.schema, named_types(one.schema)))
    written = encoded(one.schema, record)
    check_slots(one.scanner, written, 0, one.scanner.scan(written), decoded(one.schema, written))
    changed = bytearray(written)
    changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    try:
        boundaries = one.scanner.scan(bytes(changed))
    except MalformedAvro:
        return
    check_slots(one.scanner, bytes(changed), 0, boundaries, decoded(one.schema, bytes(changed)))


@slow
@given(record_schemas(), st.binary(max_size=60))
def test_any_bytes_are_rejected_or_read_the_same_by_fastavro(schema: Any, data: bytes) -> None:
    """The same for bytes that nobody wrote for this schema."""
    scanner = Scanner(schema)
    try:
        boundaries = scanner.scan(data, 0)
    except MalformedAvro:
        return
    check_slots(scanner, data, 0, boundaries, decoded(parse(schema), data))


@thorough
@given(mutated(flat=True))
def test_accepted_bytes_are_the_only_way_to_write_their_values(
    case: tuple[Any, bytes, bytes],
) -> None:
    """Writing the decoded values again gives the same bytes: equal bytes are equal values."""
    schema, _, data = case
    try:
        Scanner(schema).scan(data, 0)
    except MalformedAvro:
        return
    parsed = parse(schema)
    value = decoded(parsed, data)
    if "nan" in repr(value):  # there are many NaNs, and Python keeps one
        return
    assert encoded(parsed, value) == data


@thorough
@given(written(flat=True), st.data())
def test_what_is_strided_over_the_scanner_accepts_alike(
    made: tuple[Any, bytes], chance: st.DataObject
) -> None:
    """The quick walk gives the scanner's boundaries or none, also of bytes that were changed."""
    schema, data = made
    scanner = Scanner(schema)
    place = chance.draw(st.integers(0, len(data)))
    changed = data[:place] + chance.draw(st.binary(max_size=2)) + data[place + 1 :]

    for some in (data, changed, data[:place]):
        found = None if scanner.strider is None else scanner.strider.stride(b"xy" + some, 2)
        assert found is None or found == scanner.compiled(b"xy" + some, 2)


def test_placements_are_strided_over() -> None:
    """Of a record of the shipped types the quick walk finds every boundary."""
    scanner = shipped().latest("uk.gov.csc.cla-placement.v1").scanner
    data = encoded(parse(scanner.schema), an_example(scanner))

    assert scanner.strider is not None
    assert scanner.strider.stride(data, 0) == scanner.compiled(data, 0)


def an_example(scanner: Scanner) -> dict[str, Any]:
    """Return a record with the simplest value of each field."""
    simple = {"string": "A1", "boolean": False, "int": 20_000, "long": 1, "enum": None}
    return {slot.path: None if slot.nullable else simple[slot.kind] for slot in scanner.slots}

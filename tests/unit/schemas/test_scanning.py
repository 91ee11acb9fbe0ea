"""What the scanner finds, and the hostile bytes that it refuses."""

import io
import tracemalloc
from itertools import pairwise
from typing import Any

import fastavro
import pytest

from schemas.avro import BadSchema
from schemas.scanning import MalformedAvro, Scanner
from schemas.walking import MAX_VALUE_DEPTH

DATE = {"type": "int", "logicalType": "date"}
INSTANT = {"type": "long", "logicalType": "timestamp-millis"}


def a_record(**fields: Any) -> dict[str, Any]:
    """A record schema with these fields, in order."""
    return {
        "type": "record",
        "name": "t.Root",
        "fields": [{"name": name, "type": schema} for name, schema in fields.items()],
    }


def encoded(schema: dict[str, Any], value: dict[str, Any]) -> bytes:
    """Encode with fastavro."""
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema, named_schemas={}), value)
    return out.getvalue()


def number(value: int) -> bytes:
    """Encode a long."""
    value = (value << 1) ^ (value >> 63)
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def refusal(schema: dict[str, Any], data: bytes) -> str:
    """Return the message with which the scanner refuses these bytes."""
    with pytest.raises(MalformedAvro) as refused:
        Scanner(schema).scan(data)
    assert refused.value.code == "malformed-avro"
    return str(refused.value)


PERSON = {
    "type": "record",
    "name": "t.Person",
    "fields": [
        {"name": "name", "type": "string"},
        {"name": "born", "type": ["null", DATE]},
    ],
}
MEMBERS = a_record(
    id="string",
    person=["null", PERSON],
    members={"type": "array", "items": "t.Person"},
    seen=INSTANT,
)


def test_slots_are_the_leaves_with_records_inlined() -> None:
    """A nested record's fields are slots of their own; an optional one has a branch slot."""
    scanner = Scanner(MEMBERS)
    assert [slot.path for slot in scanner.slots] == [
        "id", "person", "person.name", "person.born", "members", "seen",
    ]  # fmt: skip
    assert [slot.kind for slot in scanner.slots] == [
        "string", "branch", "string", "int", "array", "long",
    ]  # fmt: skip
    assert scanner.index["person.born"] == 3
    assert scanner.slots[3].parents == (1,)
    assert scanner.spans["person"] == (1, 4)
    assert scanner.slots[3].nullable
    assert not scanner.slots[2].nullable


def test_boundaries_cut_each_field() -> None:
    """Slot i is the bytes between boundaries i and i + 1, after the framing."""
    data = encoded(
        MEMBERS,
        {
            "id": "a",
            "person": {"name": "b", "born": 20_000},
            "members": [{"name": "c", "born": None}],
            "seen": 1_790_000_000_000,
        },
    )
    scanner = Scanner(MEMBERS)
    cuts = scanner.scan(b"0123456789" + data, 10)
    pieces = [(b"0123456789" + data)[a:b] for a, b in pairwise(cuts)]
    assert pieces[:4] == [b"\x02a", b"\x02", b"\x02b", b"\x02" + number(20_000)]
    assert pieces[4] == b"\x02\x02c\x00\x00"
    assert pieces[5] == number(1_790_000_000_000)


def test_slots_under_a_null_record_are_empty() -> None:
    """When an optional record is null its inner slots have no bytes and no text."""
    data = encoded(MEMBERS, {"id": "a", "person": None, "members": [], "seen": 0})
    scanner = Scanner(MEMBERS)
    cuts = scanner.scan(data)
    assert cuts == [0, 2, 3, 3, 3, 4, 5]
    assert scanner.slots[2].text(data, cuts[2], cuts[3]) is None


def test_elements_of_an_array_of_records_can_be_recut() -> None:
    """An array's slot gives the boundaries inside each of its elements, over all blocks."""
    scanner = Scanner(MEMBERS)
    first, second = b"\x02c\x00", b"\x02d\x02" + number(1)
    blocks = number(1) + first + number(-1) + number(len(second)) + second + b"\x00"
    data = b"\x02a" + b"\x00" + blocks + b"\x00"
    cuts = scanner.scan(data)
    slot = scanner.slots[scanner.index["members"]]
    elements = slot.elements(data, cuts[slot.index])
    assert elements is not None
    assert [data[e[0] : e[-1]] for e in elements] == [first, second]
    assert slot.element is not None
    assert [s.path for s in slot.element.slots] == ["name", "born"]


def test_only_an_array_of_records_has_elements() -> None:
    """Asking another slot for elements is a programming error."""
    with pytest.raises(TypeError):
        Scanner(MEMBERS).slots[0].elements(b"", 0)


@pytest.mark.parametrize(
    ("text", "first"),
    [("", 0), ("x" * 63, 126), ("x" * 64, 128), ("é" * 31, 124), ("x" * 9000, 0xD0)],
)
def test_texts_of_every_length_are_walked(text: str, first: int) -> None:
    """Lengths of one byte and of more lead to the same boundaries, ASCII or not."""
    schema = a_record(a="string", b=["null", "string"], c="boolean")
    data = encoded(schema, {"a": text, "b": text, "c": True})
    scanner = Scanner(schema)
    cuts = scanner.scan(data)
    assert data[0] == first
    assert scanner.slots[0].text(data, cuts[0], cuts[1]) == text
    assert scanner.slots[1].text(data, cuts[1], cuts[2]) == text


def test_every_byte_cut_from_the_end_is_noticed() -> None:
    """A record that ends early is refused, wherever it ends."""
    data = encoded(
        MEMBERS,
        {
            "id": "abc",
            "person": {"name": "b" * 70, "born": 20_000},
            "members": [{"name": "c", "born": 3}] * 3,
            "seen": 1_790_000_000_000,
        },
    )
    scanner = Scanner(MEMBERS)
    scanner.scan(data)
    for end in range(len(data)):
        with pytest.raises(MalformedAvro):
            scanner.scan(data[:end])


def test_a_byte_too_many_is_noticed() -> None:
    """The record must end exactly where the bytes do."""
    assert "ends before the bytes" in refusal(a_record(a="string"), b"\x02ab")


@pytest.mark.parametrize("length", [-1, -(1 << 63)])
def test_a_negative_length_is_refused(length: int) -> None:
    """A length below zero would walk backwards."""
    assert refusal(a_record(a="string"), number(length) + b"abc") == "a length is negative"
    assert refusal(a_record(a="bytes"), number(length) + b"abc") == "a length is negative"


@pytest.mark.parametrize("length", [4, 64, 1 << 31, (1 << 63) - 1])
def test_a_length_past_the_end_is_refused(length: int) -> None:
    """However far past: nothing of that size is made."""
    refusal(a_record(a="string"), number(length) + b"abc")
    refusal(a_record(a="bytes", b="long"), number(length) + b"abc")


@pytest.mark.parametrize(
    "kind", ["int", "long", "string", DATE, INSTANT, {"type": "array", "items": "int"}]
)
def test_a_number_in_a_longer_form_is_refused(kind: Any) -> None:
    """Every value has one form only, so that bytes can be compared in place of values."""
    longer = {"int": b"\x82\x00", "long": b"\x82\x00", "string": b"\x82\x00a"}
    data = longer.get(kind) if isinstance(kind, str) else None
    if data is None:
        data = {"int": b"\x80\x80\x00", "long": b"\x80\x80\x80\x80\x80\x00", "array": b"\x80\x00"}[
            kind["type"]
        ]
    assert refusal(a_record(a=kind), data) == "a number is not in its shortest form"


def test_a_number_of_more_bits_than_its_type_is_refused() -> None:
    """An int has 32 bits and a long 64, in at most ten bytes."""
    assert refusal(a_record(a="int"), number(1 << 31)) == "an int is out of range"
    assert refusal(a_record(a="int"), number(-(1 << 31) - 1)) == "an int is out of range"
    assert refusal(a_record(a="long"), b"\xff" * 9 + b"\x02") == "a number is longer than 64 bits"
    assert refusal(a_record(a="long"), b"\xff" * 40) == "a number is longer than 64 bits"
    Scanner(a_record(a="int", b="int")).scan(number((1 << 31) - 1) + number(-(1 << 31)))
    Scanner(a_record(a="long", b="long")).scan(number((1 << 63) - 1) + number(-(1 << 63)))


@pytest.mark.parametrize(
    ("schema", "data"),
    [
        (["null", "string"], b"\x04"),
        (["null", "string"], b"\x01"),
        (["null", PERSON], b"\x04"),
        (["null", "string", "long"], b"\x06"),
        (["null", "string", "long"], b"\x01"),
        ({"type": "enum", "name": "t.E", "symbols": ["A", "B"]}, b"\x04"),
        ({"type": "enum", "name": "t.E", "symbols": ["A", "B"]}, b"\x01"),
        ({"type": "enum", "name": "t.E", "symbols": [f"S{n}" for n in range(70)]}, number(70)),
        ("boolean", b"\x02"),
        (["null", "boolean"], b"\x02\xff"),
        ({"type": "array", "items": "boolean"}, b"\x02\x02\x00"),
        (["long", "boolean"], b"\x02\x02"),
    ],
)  # fmt: skip
def test_a_choice_that_does_not_exist_is_refused(schema: Any, data: bytes) -> None:
    """Branches, enum indexes and booleans; the message names the field and not the value."""
    assert refusal(a_record(field=schema), data).startswith("field: ")


@pytest.mark.parametrize(
    "text",
    [b"\xff", b"\xc3", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"a\x80"],
    ids=["no such byte", "cut", "overlong", "surrogate", "past U+10FFFF", "stray"],
)  # fmt: skip
def test_text_that_is_not_utf8_is_refused(text: bytes) -> None:
    """Wherever text can stand: alone, optional, long, in an array, as a map's key or value."""
    short, long = number(len(text)) + text, number(100 + len(text)) + b"x" * 100 + text
    texts = {"type": "array", "items": "string"}
    for data in (short, long):
        assert refusal(a_record(a="string", b="string"), data + b"\x02a") == "a is not UTF-8"
        assert refusal(a_record(a="string", b=["null", "string"]), b"\x02a\x02" + data)
        assert refusal(a_record(a=texts), b"\x02" + data + b"\x00") == "a text is not UTF-8"
        assert refusal(a_record(a={"type": "map", "values": "int"}), b"\x02" + data + b"\x02\x00")
        assert refusal(
            a_record(a={"type": "map", "values": "string"}), b"\x02\x02k" + data + b"\x00"
        )
        assert refusal(MEMBERS, b"\x02a\x00\x02" + data + b"\x00\x00\x00")


def test_a_character_torn_over_two_fields_is_refused() -> None:
    """Halves that are UTF-8 only when joined are two bad texts."""
    assert refusal(a_record(a="string", b="string"), b"\x02\xc3\x02\xa9") == "a is not UTF-8"


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        (DATE, [-719_162, 0, 2_932_896], [-719_163, 2_932_897, 1 << 30]),
        (
            INSTANT,
            [-62_135_596_800_000, 0, 253_402_300_799_999],
            [-62_135_596_800_001, 253_402_300_800_000, -(1 << 63)],
        ),
        ({"type": "int", "logicalType": "time-millis"}, [0, 86_399_999], [-1, 86_400_000]),
    ],
)  # fmt: skip
def test_a_time_that_no_calendar_has_is_refused(
    schema: Any, good: list[int], bad: list[int]
) -> None:
    """A recipient's library could not read it, however well it is formed."""
    scanner = Scanner(a_record(a=schema))
    for value in good:
        assert scanner.scan(number(value)) == [0, len(number(value))]
    for value in bad:
        with pytest.raises(MalformedAvro, match="out of range"):
            scanner.scan(number(value))


@pytest.mark.parametrize("items", ["string", "int", "boolean", ["null", "string"], PERSON])
@pytest.mark.parametrize("count", [5, 1 << 20, (1 << 63) - 1, -5, -(1 << 63)])
def test_a_count_of_more_than_fits_is_refused_at_once(items: Any, count: int) -> None:
    """Neither time nor memory follows a number that the sender made up."""
    scanner = Scanner(a_record(a={"type": "array", "items": items}))
    size = number(4) if count < 0 else b""
    tracemalloc.start()
    with pytest.raises(MalformedAvro):
        scanner.scan(number(count) + size + b"\x00\x00\x00\x00")
    assert tracemalloc.get_traced_memory()[1] < 100_000
    tracemalloc.stop()


@pytest.mark.parametrize(
    "items",
    [
        "null",
        {"type": "record", "name": "t.Empty", "fields": []},
        {"type": "fixed", "name": "t.F", "size": 0},
    ],
)  # fmt: skip
def test_an_array_of_items_without_bytes_has_no_scanner(items: Any) -> None:
    """A few bytes could claim any number of them, so the schema itself is refused."""
    with pytest.raises(BadSchema, match="items that take no bytes"):
        Scanner(a_record(a={"type": "array", "items": items}))


def test_a_block_must_be_as_long_as_it_says() -> None:
    """A reader that skips by the block's size must land where a reader of items does."""
    array = a_record(a={"type": "array", "items": "int"})
    Scanner(array).scan(number(-2) + number(2) + b"\x02\x02" + b"\x00")
    for size in (-2, 0, 1, 3):
        assert refusal(array, number(-2) + number(size) + b"\x02\x02" + b"\x00")


TREE = a_record(value="int", children={"type": "array", "items": "t.Root"})
LIST = a_record(value="int", rest=["null", "t.Root"])


def test_recursion_is_followed_to_a_limit() -> None:
    """A record inside itself is one slot, and its depth is bounded."""
    scanner = Scanner(LIST)
    assert [slot.kind for slot in scanner.slots] == ["int", "record"]
    below = MAX_VALUE_DEPTH
    scanner.scan(b"\x02" + b"\x02\x02" * below + b"\x00")
    assert "deeper" in refusal(LIST, b"\x02" + b"\x02\x02" * (below + 1) + b"\x00")
    assert "deeper" in refusal(LIST, b"\x02" + b"\x02\x02" * 100_000)
    assert "deeper" in refusal(TREE, b"\x02\x02" * 100_000)


def test_memory_follows_the_schema_and_not_the_bytes() -> None:
    """Scanning a megabyte makes no copy that is larger than its longest text."""
    schema = a_record(a="bytes", b={"type": "array", "items": "string"}, c="string")
    data = encoded(schema, {"a": b"\xff" * 500_000, "b": ["x"] * 250_000, "c": "é" * 10})
    scanner = Scanner(schema)
    tracemalloc.start()
    assert len(scanner.scan(data)) == 4
    assert tracemalloc.get_traced_memory()[1] < 2_000_000
    tracemalloc.stop()


def test_a_named_type_is_scanned_wherever_it_is_used_again() -> None:
    """A slot's schema is complete by itself, also where the event's schema only refers."""
    enum = {"type": "enum", "name": "t.E", "symbols": ["A", "B"]}
    scanner = Scanner(a_record(a=enum, b=["null", "t.E"]))
    assert scanner.slots[1].kind == "enum"
    assert scanner.slots[1].schema[1]["symbols"] == ["A", "B"]


def test_only_records_are_scanned() -> None:
    """An event is a record."""
    with pytest.raises(BadSchema, match="only a record"):
        Scanner("string")


def test_an_error_names_the_place_and_never_the_value() -> None:
    """Messages go to logs and to quarantine in clear."""
    message = refusal(a_record(secretive="string"), b"\x0cSMITH\xff")
    assert message == "secretive is not UTF-8"

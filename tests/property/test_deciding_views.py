"""A view holds what its items list and nothing else, on schemas and records at random.

fastavro is the oracle: it decodes the whole record with the publisher's schema and
the view with the view's schema, and a plain walk over the decoded record, written
without a look at the engine, says what the view should have been.
"""

import hashlib
import hmac
import io
import math
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import fastavro
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from property.avro_strategies import record_schemas, values

from agreements.model import Item
from agreements.opened import OpenedEvent
from agreements.views import View
from schemas.avro import fingerprint, named_types, parse
from schemas.identifiers import canonical, check
from schemas.scanning import Scanner

KEY = b"k" * 32
OCCURRED = datetime(2026, 6, 1, 12, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
KINDS = ("ods", "gss", "postcode", "urn")
GONE = object()
"""Stands for an item in a record that is not there."""
_MANY = settings(max_examples=150, deadline=None)


@st.composite
def schemas(draw: st.DrawFn) -> Any:
    """Draw a record schema in which some texts are identifiers."""
    schema = draw(record_schemas())
    for field in _fields(schema):
        kind = field["type"]
        plain = kind[1 - kind.index("null")] if _optional(kind) else kind
        if plain == "string" and draw(st.booleans()):
            field["identifier"] = draw(st.sampled_from(KINDS))
    return schema


def _optional(kind: Any) -> bool:
    return isinstance(kind, list) and len(kind) == 2 and "null" in kind


def _fields(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, list):
        for branch in schema:
            yield from _fields(branch)
    elif isinstance(schema, dict):
        for field in schema.get("fields", ()):
            yield field
            yield from _fields(field["type"])
        yield from _fields(schema.get("items"))
        yield from _fields(schema.get("values"))


def _leaves(scanner: Scanner, base: str = "") -> Iterator[tuple[str, Any]]:
    """Every path that can be an item, with its slot."""
    for slot in scanner.slots:
        if slot.element is not None:
            yield from _leaves(slot.element, f"{base}{slot.path}.")
        elif slot.kind != "branch":
            yield base + slot.path, slot


def _transforms(slot: Any) -> list[Any]:
    found: list[Any] = [None, None, None, "drop", "mask", "pseudonym"]
    if slot.kind == "string":
        found += [{"generalise": "postcode-sector"}, {"generalise": "postcode-district"}]
    if slot.logical in {"date", "timestamp-millis", "timestamp-micros"}:
        found += [{"generalise": g} for g in ("year", "month", "age-band")]
    return found


@st.composite
def views(draw: st.DrawFn) -> tuple[Any, list[Item], dict[str, Any]]:
    """Draw a schema, items of it and a record."""
    schema = draw(schemas())
    parsed = parse(schema)
    leaves = list(_leaves(Scanner(schema)))
    assume(leaves)
    chosen = draw(st.lists(st.sampled_from(leaves), unique_by=lambda leaf: leaf[0], max_size=8))
    items = [
        Item.model_validate({"path": path, "transform": draw(st.sampled_from(_transforms(slot)))})
        for path, slot in chosen
    ]
    record = draw(values(parsed, named_types(parsed)))
    return schema, items, _with_identifiers(draw, parsed, record)


def _with_identifiers(draw: st.DrawFn, schema: Any, record: dict[str, Any]) -> dict[str, Any]:
    """Give identifiers of the record's own fields a fair chance to be valid."""
    for field in schema["fields"]:
        if "identifier" in field and isinstance(record[field["name"]], str):
            record[field["name"]] = draw(
                st.sampled_from(["E08000018", "S60 1AE", "sw1a1aa", "123456", "???", "RFR", ""])
            )
    return record


def _open(schema: Any, record: Mapping[str, Any]) -> tuple[OpenedEvent, dict[str, Any]]:
    buffer = io.BytesIO()
    parsed = fastavro.parse_schema(schema, named_schemas={})
    fastavro.schemaless_writer(buffer, parsed, record)
    scanner = Scanner(schema)
    data = buffer.getvalue()
    event = OpenedEvent(
        publisher="p",
        type=SimpleNamespace(scanner=scanner),  # type: ignore[arg-type]  all that a view asks for
        data=data,
        offsets=scanner.scan(data, 0),
        occurred_at_us=int(OCCURRED.timestamp()) * 1_000_000,
        received_at_us=0,
    )
    return event, _decode(schema, data)


def _decode(schema: Any, data: bytes) -> Any:
    buffer = io.BytesIO(data)
    decoded = fastavro.schemaless_reader(
        buffer, fastavro.parse_schema(schema, named_schemas={}), None, return_record_name=False
    )
    assert buffer.read() == b"", "the view ends where its bytes end"
    return decoded


# -- what a view should be ---------------------------------------------------------------


def _expected(fields: Any, record: Any, wanted: Mapping[str, Item], types: Any, base: str) -> Any:
    """The view of one record; `GONE` when nothing of it is wanted."""
    view = {}
    for field in fields:
        path, value, kind = base + field["name"], record[field["name"]], field["type"]
        if path in wanted and wanted[path].transform == "drop":
            continue
        if path in wanted and _is_leaf(kind, types):
            view[field["name"]] = _shaped(wanted[path], value, field)
        elif any(other.startswith(path + ".") for other in wanted):
            inner = _inside(kind, value, wanted, types, path + ".")
            if inner is not GONE:
                view[field["name"]] = inner
    return view or GONE


def _resolved(kind: Any, types: Any) -> Any:
    if _optional(kind):
        kind = kind[1 - kind.index("null")]
    return types.get(kind, kind) if isinstance(kind, str) else kind


def _is_leaf(kind: Any, types: Any) -> bool:
    """Whether no record is anywhere in a type."""
    if isinstance(kind, list):
        return all(_is_leaf(branch, types) for branch in kind)
    kind = types.get(kind, kind) if isinstance(kind, str) else kind
    if isinstance(kind, str):
        return True
    return "fields" not in kind and all(
        _is_leaf(kind[inner], types) for inner in ("items", "values") if inner in kind
    )


def _inside(kind: Any, value: Any, wanted: Mapping[str, Item], types: Any, base: str) -> Any:
    inner = _resolved(kind, types)
    if inner["type"] == "array":
        inner = _resolved(inner["items"], types)
        if not _keeps(inner["fields"], wanted, types, base):
            return GONE
        if value is None:
            return None
        return [_expected(inner["fields"], one, wanted, types, base) for one in value]
    if not _keeps(inner["fields"], wanted, types, base):
        return GONE
    return None if value is None else _expected(inner["fields"], value, wanted, types, base)


def _keeps(fields: Any, wanted: Mapping[str, Item], types: Any, base: str) -> bool:
    """Whether anything under a record is in the view, whatever the values."""
    for field in fields:
        path = base + field["name"]
        if path in wanted and wanted[path].transform != "drop" and _is_leaf(field["type"], types):
            return True
        inner = _resolved(field["type"], types)
        if isinstance(inner, dict) and inner["type"] == "array":
            inner = _resolved(inner["items"], types)
        if (
            isinstance(inner, dict)
            and "fields" in inner
            and any(other.startswith(path + ".") for other in wanted)
            and _keeps(inner["fields"], wanted, types, path + ".")
        ):
            return True
    return False


def _shaped(item: Item, value: Any, field: Mapping[str, Any]) -> Any:  # noqa: PLR0911  one for each form
    if value is None and (_optional(field["type"]) or item.transform is None):
        return None  # null among several types is a value like the others: masked, it is hidden
    kind, how = field.get("identifier"), item.transform
    if kind is not None and check(kind, value) is not None:
        return None
    if how is None:
        return value
    if how == "mask":
        return "***"
    if how == "pseudonym":
        return PSEUDONYM
    coarser = how.generalise
    if coarser.startswith("postcode"):
        if check("postcode", str(value)) is not None:  # str: a UUID is text too
            return None
        outward, inward = canonical("postcode", value).split(" ")
        return outward if coarser == "postcode-district" else f"{outward} {inward[0]}"
    return _dated(coarser, value.date() if isinstance(value, datetime) else value)


def _dated(coarser: str, day: date) -> Any:
    if coarser == "year":
        return day.year
    if coarser == "month":
        return f"{day.year:04d}-{day.month:02d}"
    birthdays = sum(
        1 for year in range(day.year + 1, 2027) if _birthday(day, year) <= date(2026, 6, 1)
    )
    if day > date(2026, 6, 1):
        return None
    start = min(birthdays // 5 * 5, 90)
    return "90+" if start == 90 else f"{start}-{start + 4}"


def _birthday(day: date, year: int) -> date:
    # Born on 29 February: older on 1 March in a year without one.
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if (day.month, day.day) == (2, 29) and not leap:
        return date(year, 3, 1)
    return day.replace(year=year)


class _Pseudonym:
    """Equal to what a pseudonym looks like; which one it is has a test of its own."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and len(other) == 32 and set(other) <= set("0123456789abcdef")

    __hash__ = None  # type: ignore[assignment]


PSEUDONYM = _Pseudonym()


def _same(expected: Any, found: Any) -> bool:
    if isinstance(expected, dict):
        return (
            isinstance(found, dict)
            and expected.keys() == found.keys()
            and all(_same(value, found[name]) for name, value in expected.items())
        )
    if isinstance(expected, list):
        return len(expected) == len(found) and all(
            _same(one, other) for one, other in zip(expected, found, strict=True)
        )
    if isinstance(expected, float) and math.isnan(expected):
        return isinstance(found, float) and math.isnan(found)
    return bool(expected == found)


@given(drawn=views())
@_MANY
def test_no_recipient_gets_an_item_that_is_not_listed(
    drawn: tuple[Any, list[Item], dict[str, Any]],
) -> None:
    """What fastavro reads from a view is the listed items of what it reads from the event."""
    schema, items, record = drawn
    event, whole = _open(schema, record)
    view = View.of(event.type, items, pseudonym_key=KEY)
    cut = view.cut(event)
    assert cut.framed[:10] == b"\xc3\x01" + fingerprint(view.schema)
    found = _decode(view.schema, cut.framed[10:])
    parsed = parse(schema)
    wanted = {item.path: item for item in items}
    expected = _expected(parsed["fields"], whole, wanted, named_types(parsed), "")
    assert _same({} if expected is GONE else expected, found)
    disclosure = cut.disclosure
    assert set(disclosure.items) <= set(wanted)
    assert {path for path, _ in disclosure.withheld} <= set(wanted)
    assert set(wanted) == (
        set(disclosure.items)
        | {path for path, _ in disclosure.withheld}
        | {item.path for item in items if item.transform == "drop"}
    )


@given(drawn=views())
@_MANY
def test_the_bytes_of_a_view_are_the_ones_that_fastavro_would_write(
    drawn: tuple[Any, list[Item], dict[str, Any]],
) -> None:
    """A view is in its shortest form: a scanner of its schema takes it, and finds its end."""
    schema, items, record = drawn
    event, _ = _open(schema, record)
    view = View.of(event.type, items, pseudonym_key=KEY)
    body = view.cut(event).framed[10:]
    if view.schema["fields"]:
        assert Scanner(view.schema).scan(body, 0)[-1] == len(body)
    else:
        assert body == b""


@given(drawn=views())
@settings(max_examples=100, deadline=None)
def test_a_view_schema_is_the_same_whenever_it_is_derived(
    drawn: tuple[Any, list[Item], dict[str, Any]],
) -> None:
    """The fingerprint is stable, and does not depend on the order of the items or the key."""
    schema, items, _ = drawn
    event_type: Any = SimpleNamespace(scanner=Scanner(schema))
    first = View.of(event_type, items, pseudonym_key=KEY)
    second = View.of(event_type, items[::-1], pseudonym_key=KEY[::-1])
    assert first.fingerprint == second.fingerprint
    assert first.schema_json() == second.schema_json()


@given(text=st.text(max_size=100), key=st.binary(min_size=32, max_size=100))
@settings(max_examples=100, deadline=None)
def test_a_pseudonym_is_the_hmac_of_what_it_stands_for(text: str, key: bytes) -> None:
    """HMAC-SHA256 under the recipient's key, as the standard library computes it."""
    schema = {"type": "record", "name": "t.R", "fields": [{"name": "name", "type": "string"}]}
    event, _ = _open(schema, {"name": text})
    item = Item.model_validate({"path": "name", "transform": "pseudonym"})
    view = View.of(event.type, [item], pseudonym_key=key)
    message = b"name\0" + event.data
    digest = hmac.new(key, message, hashlib.sha256).hexdigest()
    assert _decode(view.schema, view.cut(event).framed[10:]) == {"name": digest[:32]}
    assert timedelta(microseconds=event.occurred_at_us) == OCCURRED - EPOCH

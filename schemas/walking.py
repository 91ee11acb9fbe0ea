"""The careful walk over Avro bytes that the compiled scanners fall back on.

One function for each type: given the data and where a value begins, it returns
where the value ends, or raises. Running past the end raises ``IndexError`` at
the next byte that is looked at, which the scanner reports.
"""

import re
from collections.abc import Callable
from typing import Any, Final

from schemas.avro import BadSchema, Schema, kind_of, logical_of, minimum_bytes, resolve
from schemas.errors import RejectedInput

Walk = Callable[[bytes, int, int], int]
"""(data, start, depth) -> end."""
ElementWalk = Callable[[bytes, int], list[int]]
"""(data, start) -> boundaries, compiled."""

MAX_VALUE_DEPTH: Final = 64
"""Records, arrays and maps inside each other in one slot's value."""

_CONTINUES: Final = 128  # the bit that says that a number goes on
SHORT_LENGTH: Final = tuple(
    1 + first // 2 if first < _CONTINUES and first % 2 == 0 else 0 for first in range(256)
)
"""By first byte of a text: length byte and text together, or 0 when it needs a closer look."""

_DAYS: Final = (-719_162, 2_932_896)  # 0001-01-01 to 9999-12-31
_SECONDS: Final = (_DAYS[0] * 86_400, (_DAYS[1] + 1) * 86_400)
_INT: Final = (-(1 << 31), (1 << 31) - 1)
_LONG_BYTES: Final = 10
_UUID: Final = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


class MalformedAvro(RejectedInput):
    """The bytes are not one value of the schema in its shortest form."""

    code = "malformed-avro"


def read_long(data: bytes, at: int) -> tuple[int, int]:
    """Return the number that begins at ``at`` and where it ends (zigzag, shortest form)."""
    value = shift = 0
    start = at
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < _CONTINUES:
            break
        shift += 7
        if at - start >= _LONG_BYTES:
            raise MalformedAvro("a number is longer than 64 bits")
    if byte == 0 and at - start > 1:
        raise MalformedAvro("a number is not in its shortest form")
    if value >> 64:
        raise MalformedAvro("a number is longer than 64 bits")
    return (value >> 1) ^ -(value & 1), at


def _length(data: bytes, at: int) -> int:
    """Return where a text or bytes value that begins at ``at`` ends."""
    length, at = read_long(data, at)
    if length < 0:
        raise MalformedAvro("a length is negative")
    if length > len(data) - at:
        raise MalformedAvro("a length runs past the end of the bytes")
    return at + length


def _within(low: int, high: int, what: str) -> Callable[[bytes, int], int]:
    def walk(data: bytes, at: int) -> int:
        value, end = read_long(data, at)
        if not low <= value <= high:
            raise MalformedAvro(f"{what} is out of range")
        return end

    return walk


def _long(data: bytes, at: int) -> int:
    return read_long(data, at)[1]


def _text(data: bytes, at: int) -> int:
    end = _length(data, at)
    _check_utf8(data[at:end], "a text")
    return end


def _check_utf8(text: bytes, what: str) -> None:
    """Check a length-prefixed text; the prefix is skipped here."""
    skip = 0
    while text[skip] >= _CONTINUES:
        skip += 1
    try:
        text[skip + 1 :].decode()
    except UnicodeDecodeError:
        raise MalformedAvro(f"{what} is not UTF-8") from None


def check_text_slot(
    data: bytes,
    start: int,
    end: int,
    nullable: bool,  # noqa: FBT001  called by generated code
    path: str,
) -> None:
    """Check that a string slot, already walked, holds UTF-8."""
    if nullable:
        start += 1
    if start < end:
        _check_utf8(data[start:end], path)


def _uuid(data: bytes, at: int) -> int:
    end = _length(data, at)
    if not _UUID.fullmatch(data, at + 1, end):
        raise MalformedAvro("a text is not a UUID in lower case")
    return end


_date = _within(*_DAYS, "a date")
_int = _within(*_INT, "an int")
_stamp_millis = _within(_SECONDS[0] * 1000, _SECONDS[1] * 1000 - 1, "a timestamp")
_stamp_micros = _within(_SECONDS[0] * 10**6, _SECONDS[1] * 10**6 - 1, "a timestamp")
_time_millis = _within(0, 86_400 * 1000 - 1, "a time of day")
_time_micros = _within(0, 86_400 * 10**6 - 1, "a time of day")

CALLED: Final[dict[str, Any]] = {
    "S": SHORT_LENGTH,
    "length": _length,
    "int_": _int,
    "long_": _long,
    "date": _date,
    "timestamp_millis": _stamp_millis,
    "text": check_text_slot,
    "MalformedAvro": MalformedAvro,
}
"""The names that generated code uses."""

_PLAIN: Final = {"int": _int, "long": _long, "string": _text, "bytes": _length}
_BY_LOGICAL: Final[dict[str, Callable[[bytes, int], int]]] = {
    "date": _date,
    "time-millis": _time_millis,
    "time-micros": _time_micros,
    "timestamp-millis": _stamp_millis,
    "timestamp-micros": _stamp_micros,
    "local-timestamp-millis": _stamp_millis,
    "local-timestamp-micros": _stamp_micros,
    "uuid": _uuid,
}


def walk_of(
    schema: Schema, names: dict[str, Schema], path: str, element: ElementWalk | None = None
) -> Walk:
    """Return the walk of any schema; ``element`` is the compiled walk of its items, if any."""
    return _Walks(names, path).of(schema, element)


class _Walks:
    """Builds walks, sharing those of named types so that recursion ends."""

    def __init__(self, names: dict[str, Schema], path: str) -> None:
        self.names = names
        self.path = path
        self.records: dict[str, list[Walk]] = {}

    def of(self, schema: Schema, element: ElementWalk | None = None) -> Walk:
        schema = resolve(schema, self.names)
        kind = kind_of(schema)
        logical = logical_of(schema)
        if logical is not None or kind in _PLAIN:
            return _ignoring_depth(_PLAIN[kind] if logical is None else _BY_LOGICAL[logical])
        if kind == "array":
            return self._array(schema, element)
        return {
            "union": self._union,
            "record": self._record,
            "map": self._map,
            "enum": self._enum,
            "boolean": self._boolean,
        }.get(kind, self._sized)(schema)

    def _boolean(self, _schema: Schema) -> Walk:
        def walk(data: bytes, at: int, _depth: int) -> int:
            if data[at] > 1:
                raise MalformedAvro(f"{path}: not a valid boolean")
            return at + 1

        path = self.path
        return walk

    def _enum(self, schema: Schema) -> Walk:
        last = len(schema["symbols"]) - 1
        return _ignoring_depth(_within(0, last, f"{self.path}: an enum index"))

    def _sized(self, schema: Schema) -> Walk:
        return _sized(minimum_bytes(schema, self.names))

    def _union(self, schema: Schema) -> Walk:
        branches = [self.of(branch) for branch in schema]
        path = self.path

        def walk(data: bytes, at: int, depth: int) -> int:
            branch, at = read_long(data, at)
            if not 0 <= branch < len(branches):
                raise MalformedAvro(f"{path}: no such branch")
            return branches[branch](data, at, depth)

        return walk

    def _record(self, schema: Schema) -> Walk:
        known = schema["name"] in self.records
        fields = self.records.setdefault(schema["name"], [])
        if not known:
            fields.extend([self.of(field["type"]) for field in schema["fields"]])
        path = self.path

        def walk(data: bytes, at: int, depth: int) -> int:
            depth = _deeper(depth, path)
            for field in fields:
                at = field(data, at, depth)
            return at

        return walk

    def _array(self, schema: Schema, element: ElementWalk | None) -> Walk:
        smallest = minimum_bytes(schema["items"], self.names)
        if smallest == 0:
            # A few bytes could claim any number of them.
            raise BadSchema(f"{self.path}: an array of items that take no bytes")
        if kind_of(resolve(schema["items"], self.names)) == "string" and not logical_of(
            schema["items"]
        ):
            return _texts(_blocks(_ignoring_depth(_text), smallest, self.path))
        item = self.of(schema["items"]) if element is None else _compiled(element)
        return _blocks(item, smallest, self.path)

    def _map(self, schema: Schema) -> Walk:
        value = self.of(schema["values"])

        def entry(data: bytes, at: int, depth: int) -> int:
            return value(data, _text(data, at), depth)

        return _blocks(entry, 1, self.path)


def _deeper(depth: int, path: str) -> int:
    if depth >= MAX_VALUE_DEPTH:
        raise MalformedAvro(f"{path}: nested deeper than {MAX_VALUE_DEPTH} levels")
    return depth + 1


def _ignoring_depth(walk: Callable[[bytes, int], int]) -> Walk:
    def wrapped(data: bytes, at: int, _depth: int) -> int:
        return walk(data, at)

    return wrapped


def _texts(careful: Walk) -> Walk:
    """Return the walk of an array of texts: quick for few short ASCII ones, else ``careful``."""

    def walk(data: bytes, at: int, depth: int) -> int:
        start = at
        count = data[at]
        if count < _CONTINUES and not count & 1:  # one byte, not negative
            at += 1
            for _ in range(count >> 1):
                step = SHORT_LENGTH[data[at]]
                if not step:
                    break
                at += step
            else:
                if not count:
                    return at
                if data[at] == 0 and data[start:at].isascii():
                    return at + 1
        return careful(data, start, depth)

    return walk


def _compiled(scan: ElementWalk) -> Walk:
    def walk(data: bytes, at: int, _depth: int) -> int:
        return scan(data, at)[-1]

    return walk


def _sized(size: int) -> Walk:
    def walk(data: bytes, at: int, _depth: int) -> int:
        if size > len(data) - at:
            raise MalformedAvro("a value runs past the end of the bytes")
        return at + size

    return walk


def _blocks(item: Walk, smallest: int, path: str) -> Walk:
    """Return the walk of an array's or a map's blocks."""

    def walk(data: bytes, at: int, depth: int) -> int:
        depth = _deeper(depth, path)
        while True:
            count, at, stop = read_block(data, at)
            if count == 0:
                return at
            if count * smallest > len(data) - at:
                raise MalformedAvro(f"{path}: more items than the bytes can hold")
            for _ in range(count):
                at = item(data, at, depth)
            if stop is not None and at != stop:
                raise MalformedAvro(f"{path}: a block is not as long as it says")

    return walk


def read_block(data: bytes, at: int) -> tuple[int, int, int | None]:
    """Return a block's count, where its items begin, and where it says that they end."""
    count, at = read_long(data, at)
    if count >= 0:
        return count, at, None
    size, at = read_long(data, at)
    return -count, at, at + size


def array_elements(data: bytes, at: int, scan: ElementWalk) -> list[list[int]]:
    """Return the boundaries of every element of a scanned array of records."""
    found: list[list[int]] = []
    while True:
        count, at, _ = read_block(data, at)
        if count == 0:
            return found
        for _ in range(count):
            boundaries = scan(data, at)
            at = boundaries[-1]
            found.append(boundaries)

"""Encode a record under an event type's schema, and say precisely what does not fit.

fastavro writes the bytes. Before it does, each value is held against its place
in the schema here, because a library forgives what would be a wrong fact on
the wire (``True`` for 1, a time without a zone, a number too large for its
field) and its errors quote the value. Ours give the path and never the value.

So that records can come from JSON, dates and times may also be text in ISO 8601.
"""

import io
from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import fastavro

from schemas import avro
from schemas.errors import RejectedInput

_INTEGERS: Final = {"int": range(-(2**31), 2**31), "long": range(-(2**63), 2**63)}


class InvalidRecord(RejectedInput):
    """A record does not fit its schema; ``path`` says where (empty: the record as a whole)."""

    code = "invalid-record"

    def __init__(self, path: str, expected: str) -> None:
        super().__init__(f"{path or 'the record'}: expected {expected}")
        self.path = path


class RecordEncoder:
    """Writes records of one schema, given as :mod:`schemas.avro` parses it."""

    def __init__(self, schema: avro.Schema) -> None:
        self._schema = schema
        self._names = avro.named_types(schema)

    def encode(self, record: Mapping[str, Any]) -> bytes:
        """Return the Avro value, without framing.

        Raises:
            InvalidRecord: a field is missing, not in the schema, or not of its type.
        """
        checked = self._checked(self._schema, record, "")
        out = io.BytesIO()
        try:
            fastavro.schemaless_writer(out, self._schema, checked, strict_allow_default=True)
        except Exception:  # noqa: BLE001  a library quotes values in its errors: none goes on
            raise InvalidRecord("", "a record that fits its schema") from None
        return out.getvalue()

    def _checked(self, schema: avro.Schema, value: Any, path: str) -> Any:
        schema = avro.resolve(schema, self._names)
        kind = avro.kind_of(schema)
        if kind == "union":
            return self._branch(schema, value, path)
        if kind == "record":
            return self._record(schema, value, path)
        if kind == "array":
            if not isinstance(value, (list, tuple)):
                raise InvalidRecord(path, "a list")
            items = schema["items"]
            return [self._checked(items, item, f"{path}[{i}]") for i, item in enumerate(value)]
        if kind == "map":
            if not isinstance(value, Mapping) or not all(map(_is_text, value)):
                raise InvalidRecord(path, "an object")
            # A key of a map is data: it does not go into the path.
            inner = schema["values"]
            return {key: self._checked(inner, item, f"{path}{{}}") for key, item in value.items()}
        return _leaf(schema, kind, value, path)

    def _record(self, schema: avro.Schema, value: Any, path: str) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise InvalidRecord(path, "an object")
        found: dict[str, Any] = {}
        for field in schema["fields"]:
            name = field["name"]
            place = f"{path}.{name}" if path else name
            if name in value:
                found[name] = self._checked(field["type"], value[name], place)
            elif "default" not in field:
                raise InvalidRecord(place, "a value, found none")
        if len(found) != len(value):
            raise InvalidRecord(path, "no field that the schema does not have")
        return found

    def _branch(self, schema: avro.Schema, value: Any, path: str) -> Any:
        if value is None and "null" in schema:
            return None
        branches = [branch for branch in schema if branch != "null"]
        if len(branches) == 1:
            return self._checked(branches[0], value, path)
        for branch in branches:
            try:
                return self._checked(branch, value, path)
            except InvalidRecord:
                continue
        raise InvalidRecord(path, "a value of one of its types")


def _leaf(schema: avro.Schema, kind: str, value: Any, path: str) -> Any:
    logical = avro.logical_of(schema)
    if logical is not None and (kind == "string" or not _is_integer(value)):
        return _logical(logical, value, path)
    if kind in _INTEGERS:
        if not _is_integer(value) or value not in _INTEGERS[kind]:
            raise InvalidRecord(path, f"a whole number that fits {kind}")
    elif kind == "string":
        if not _is_text(value):
            raise InvalidRecord(path, "text")
    elif not _FITS[kind](schema, value):
        raise InvalidRecord(path, f"a value of type {kind}")
    return value


def _logical(logical: str, value: Any, path: str) -> Any:
    """Return the value as fastavro takes it: a date, a time, an aware datetime, a UUID."""
    expected, read, fits = _LOGICAL[logical]
    try:
        converted = read(value) if isinstance(value, str) else value
    except ValueError:
        raise InvalidRecord(path, expected) from None
    if not fits(converted):
        raise InvalidRecord(path, expected)
    return converted


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_text(value: Any) -> bool:
    """Tell whether it is text that has a UTF-8 form: half of a surrogate pair has none."""
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_aware(value: Any) -> bool:
    return isinstance(value, datetime) and value.tzinfo is not None


def _is_naive(value: Any) -> bool:
    return isinstance(value, datetime) and value.tzinfo is None


_FITS: Final[Mapping[str, Callable[[avro.Schema, Any], bool]]] = {
    "null": lambda _, value: value is None,
    "boolean": lambda _, value: isinstance(value, bool),
    "float": lambda _, value: isinstance(value, (float, Decimal)) or _is_integer(value),
    "double": lambda _, value: isinstance(value, (float, Decimal)) or _is_integer(value),
    "bytes": lambda _, value: isinstance(value, bytes),
    "fixed": lambda schema, value: isinstance(value, bytes) and len(value) == schema["size"],
    "enum": lambda schema, value: value in schema["symbols"],
}

_Logical = tuple[str, Callable[[str], Any], Callable[[Any], bool]]
_AWARE: Final[_Logical] = ("a time with its offset from UTC", datetime.fromisoformat, _is_aware)
_NAIVE: Final[_Logical] = ("a local time without an offset", datetime.fromisoformat, _is_naive)
_TIME: Final[_Logical] = (
    "a time of day",
    time.fromisoformat,
    lambda value: isinstance(value, time),
)
_LOGICAL: Final[Mapping[str, _Logical]] = {
    "date": (
        "a date",
        date.fromisoformat,
        lambda value: isinstance(value, date) and not isinstance(value, datetime),
    ),
    "time-millis": _TIME,
    "time-micros": _TIME,
    "timestamp-millis": _AWARE,
    "timestamp-micros": _AWARE,
    "local-timestamp-millis": _NAIVE,
    "local-timestamp-micros": _NAIVE,
    "uuid": ("a UUID", UUID, lambda value: isinstance(value, UUID)),
}

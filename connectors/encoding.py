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

_Check = Callable[[Any], Any]
"""Takes a value and returns it as fastavro takes it; raises :class:`_Misfit`."""


class InvalidRecord(RejectedInput):
    """A record does not fit its schema; ``path`` says where (empty: the record as a whole)."""

    code = "invalid-record"

    def __init__(self, path: str, expected: str) -> None:
        super().__init__(f"{path or 'the record'}: expected {expected}")
        self.path = path


class _Misfit(Exception):
    """A value does not fit; the places are put in front on the way out."""

    def __init__(self, expected: str) -> None:
        super().__init__(expected)
        self.expected = expected
        self.path = ""

    def within(self, place: str) -> None:
        between = "." if self.path and not self.path.startswith(("[", "{")) else ""
        self.path = place + between + self.path


class RecordEncoder:
    """Writes records of one schema, given as :mod:`schemas.avro` parses it."""

    def __init__(self, schema: avro.Schema) -> None:
        self._schema = schema
        self._check = _Checks(schema).of(schema)

    def encode(self, record: Mapping[str, Any]) -> bytes:
        """Return the Avro value, without framing.

        Raises:
            InvalidRecord: a field is missing, not in the schema, or not of its type.
        """
        out = io.BytesIO()
        try:
            fastavro.schemaless_writer(out, self._schema, self._check(record), strict=True)
        except _Misfit as misfit:
            raise InvalidRecord(misfit.path, misfit.expected) from None
        except Exception:  # noqa: BLE001  a library quotes values in its errors: none goes on
            raise InvalidRecord("", "a record that fits its schema") from None
        return out.getvalue()


class _Checks:
    """Makes the check of each part of a schema once, so that a record costs only calls."""

    def __init__(self, schema: avro.Schema) -> None:
        self._names = avro.named_types(schema)
        self._records: dict[str, _Check] = {}

    def of(self, schema: avro.Schema) -> _Check:
        schema = avro.resolve(schema, self._names)
        match avro.kind_of(schema):
            case "union":
                return self._union(schema)
            case "record":
                return self._record(schema)
            case "array":
                return _array(self.of(schema["items"]))
            case "map":
                return _map(self.of(schema["values"]))
            case kind:
                return _leaf(schema, kind)

    def _record(self, schema: avro.Schema) -> _Check:
        name = schema["name"]
        if name not in self._records:
            # A record may lie inside itself: what is inside finds it by name when it is called.
            self._records[name] = lambda value: self._records[name](value)  # noqa: PLW0108
            fields = [
                (field["name"], self.of(field["type"]), "default" in field, _default(field))
                for field in schema["fields"]
            ]
            self._records[name] = _record(fields)
        return self._records[name]

    def _union(self, branches: avro.Schema) -> _Check:
        checks = [self.of(branch) for branch in branches if branch != "null"]
        nullable = len(checks) < len(branches)
        if len(checks) == 1:
            return _optional(checks[0]) if nullable else checks[0]
        return _any_of(checks, nullable=nullable)


def _record(fields: list[tuple[str, _Check, bool, Any]]) -> _Check:
    def check(value: Any) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise _Misfit("an object")
        found: dict[str, Any] = {}
        given = len(value)
        for name, inner, has_default, default in fields:
            try:
                if name in value:
                    found[name] = inner(value[name])
                elif has_default:
                    found[name] = default
                    given += 1
                else:
                    raise _Misfit("a value, found none")  # noqa: TRY301  the place is added below
            except _Misfit as misfit:
                misfit.within(name)
                raise
        if len(found) != given:
            raise _Misfit("no field that the schema does not have")
        return found

    return check


def _optional(inner: _Check) -> _Check:
    return lambda value: None if value is None else inner(value)


def _any_of(checks: list[_Check], *, nullable: bool) -> _Check:
    def check(value: Any) -> Any:
        if value is None and nullable:
            return None
        for inner in checks:
            try:
                return inner(value)
            except _Misfit:
                continue
        raise _Misfit("a value of one of its types")

    return check


def _array(inner: _Check) -> _Check:
    def check(value: Any) -> list[Any]:
        if not isinstance(value, (list, tuple)):
            raise _Misfit("a list")
        found: list[Any] = []
        try:
            found.extend(map(inner, value))
        except _Misfit as misfit:
            misfit.within(f"[{len(found)}]")
            raise
        return found

    return check


def _map(inner: _Check) -> _Check:
    def check(value: Any) -> dict[str, Any]:
        if not isinstance(value, Mapping) or not all(map(_is_text, value)):
            raise _Misfit("an object")
        try:
            return {key: inner(item) for key, item in value.items()}
        except _Misfit as misfit:
            misfit.within("{}")  # a key of a map is data: it does not go into the path
            raise

    return check


def _leaf(schema: avro.Schema, kind: str) -> _Check:
    logical = avro.logical_of(schema)
    if logical is not None:
        return _logical(logical, _integer(kind) if kind in _INTEGERS else None)
    if kind in _INTEGERS:
        return _integer(kind)
    if kind == "string":
        return _text
    fits = _FITS[kind]

    def check(value: Any) -> Any:
        if not fits(schema, value):
            raise _Misfit(f"a value of type {kind}")
        return value

    return check


def _logical(logical: str, number: _Check | None) -> _Check:
    """Check for a date, a time, a datetime or a UUID, or for the number that stands for it."""
    expected, read, fits = _LOGICAL[logical]

    def check(value: Any) -> Any:
        if number is not None and type(value) is int:
            return number(value)
        try:
            converted = read(value) if isinstance(value, str) else value
        except ValueError:
            raise _Misfit(expected) from None
        if not fits(converted):
            raise _Misfit(expected)
        return converted

    return check


def _integer(kind: str) -> _Check:
    allowed = _INTEGERS[kind]

    def check(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or value not in allowed:
            raise _Misfit(f"a whole number that fits {kind}")
        return value

    return check


def _text(value: Any) -> str:
    if not _is_text(value):
        raise _Misfit("text")
    return str(value)


def _is_text(value: Any) -> bool:
    """Tell whether it is text that has a UTF-8 form: half of a surrogate pair has none."""
    if not isinstance(value, str):
        return False
    if value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _default(field: Mapping[str, Any]) -> Any:
    """Return a field's default; JSON gives bytes as text of the same code points (Avro 1.12)."""
    default = field.get("default")
    first = field["type"][0] if isinstance(field["type"], list) else field["type"]
    is_bytes = not isinstance(first, list) and avro.kind_of(first) in {"bytes", "fixed"}
    return default.encode("iso-8859-1") if is_bytes and isinstance(default, str) else default


def _is_number(_: avro.Schema, value: Any) -> bool:
    return isinstance(value, (float, int, Decimal)) and not isinstance(value, bool)


_FITS: Final[Mapping[str, Callable[[avro.Schema, Any], bool]]] = {
    "null": lambda _, value: value is None,
    "boolean": lambda _, value: isinstance(value, bool),
    "float": _is_number,
    "double": _is_number,
    "bytes": lambda _, value: isinstance(value, bytes),
    "fixed": lambda schema, value: isinstance(value, bytes) and len(value) == schema["size"],
    "enum": lambda schema, value: value in schema["symbols"],
}

_Logical = tuple[str, Callable[[str], Any], Callable[[Any], bool]]
_AWARE: Final[_Logical] = (
    "a time with its offset from UTC",
    datetime.fromisoformat,
    lambda value: isinstance(value, datetime) and value.tzinfo is not None,
)
_NAIVE: Final[_Logical] = (
    "a local time without an offset",
    datetime.fromisoformat,
    lambda value: isinstance(value, datetime) and value.tzinfo is None,
)
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

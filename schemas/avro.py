"""Avro schemas as documents: strict reading, names, fingerprints.

fastavro stays the reader and writer of data. What is here makes sure that a
schema says what its author thinks it says before anything is compiled from it:
libraries differ on how much they forgive, and a construct that one ignores and
another refuses is a disagreement about what is on the wire.

Sources: Apache Avro 1.12 specification, *Schema Declaration*, *Names* and
*Parsing Canonical Form for Schemas*.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

import fastavro

from schemas.errors import ConfigurationError

Schema = Any
"""A schema as JSON gives it: a string, a list (union) or an object."""

PRIMITIVES: Final = frozenset(
    {"null", "boolean", "int", "long", "float", "double", "bytes", "string"}
)
COMPLEX: Final = frozenset({"record", "enum", "array", "map", "fixed"})
NAMED: Final = frozenset({"record", "enum", "fixed"})

LOGICAL: Final[Mapping[str, frozenset[str]]] = {
    "date": frozenset({"int"}),
    "time-millis": frozenset({"int"}),
    "time-micros": frozenset({"long"}),
    "timestamp-millis": frozenset({"long"}),
    "timestamp-micros": frozenset({"long"}),
    "local-timestamp-millis": frozenset({"long"}),
    "local-timestamp-micros": frozenset({"long"}),
    "uuid": frozenset({"string"}),
}
"""The logical types we read, with the types they may stand on. Any other is refused."""

MAX_DEPTH: Final = 16
"""Levels of schema inside schema."""
MAX_FIELDS: Final = 1000
"""Fields in one schema, nested ones included."""

_LEAST_BYTES: Final = {"null": 0, "float": 4, "double": 8}
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class BadSchema(ConfigurationError):
    """A schema that is not plain Avro; the message starts with the place in it."""

    code = "bad-schema"


def parse(schema: Schema) -> Schema:
    """Check ``schema`` strictly and return it with full names, as fastavro parses it.

    Raises:
        BadSchema: anything that another Avro library could understand differently.
    """
    _Strict().check(schema, "schema", "", 0)
    try:
        return fastavro.parse_schema(schema, named_schemas={}, _write_hint=False)
    except Exception as problem:
        raise BadSchema(f"schema: not accepted by fastavro ({type(problem).__name__})") from problem


def named_types(schema: Schema) -> dict[str, Schema]:
    """Every record, enum and fixed defined in a parsed schema, by full name."""
    found: dict[str, Schema] = {}
    _collect(schema, found)
    return found


def fingerprint(schema: Schema) -> bytes:
    """CRC-64-AVRO of the parsing canonical form, 8 bytes in the order of ``C3 01`` framing.

    Avro specification, *Schema Fingerprints* and *Single-object encoding* (little-endian).
    """
    canonical = fastavro.schema.to_parsing_canonical_form(schema)
    return bytes.fromhex(fastavro.schema.fingerprint(canonical, "CRC-64-AVRO"))


def expanded(schema: Schema, names: Mapping[str, Schema]) -> Schema:
    """Return the schema with each reference replaced by its definition.

    A definition may then appear twice: :func:`collapsed` undoes that for a
    library. A reference to a type inside itself stays a name.
    """
    return _expand(schema, names, frozenset())


def collapsed(schema: Schema) -> Schema:
    """Return the schema with every definition after the first replaced by its name."""
    return _collapse(schema, set())


def resolve(schema: Schema, names: Mapping[str, Schema]) -> Schema:
    """Follow a reference to its definition, and ``{"type": "string"}`` stays as it is."""
    return names.get(schema, schema) if isinstance(schema, str) else schema


def kind_of(schema: Schema) -> str:
    """``union``, a primitive or a complex type's name; the schema must be resolved."""
    if isinstance(schema, list):
        return "union"
    return str(schema) if isinstance(schema, str) else str(schema["type"])


def logical_of(schema: Schema) -> str | None:
    """Return the logical type, if the schema has one."""
    return schema.get("logicalType") if isinstance(schema, dict) else None


def minimum_bytes(schema: Schema, names: Mapping[str, Schema]) -> int:
    """Return the fewest bytes that a value can take; 0 means that every value takes none."""
    return _minimum(schema, names, frozenset())


def _minimum(schema: Schema, names: Mapping[str, Schema], inside: frozenset[str]) -> int:
    schema = resolve(schema, names)
    kind = kind_of(schema)
    if kind == "fixed":
        return int(schema["size"])
    if kind != "record":
        return _LEAST_BYTES.get(kind, 1)
    if schema["name"] in inside:
        return 1  # it can only end through a union or an array, which take a byte
    inside |= {schema["name"]}
    return sum(_minimum(field["type"], names, inside) for field in schema["fields"])


def _collect(schema: Schema, found: dict[str, Schema]) -> None:
    if isinstance(schema, list):
        for branch in schema:
            _collect(branch, found)
    elif isinstance(schema, dict):
        if schema["type"] in NAMED:
            found[schema["name"]] = schema
        for field in schema.get("fields", ()):
            _collect(field["type"], found)
        _collect(schema.get("items"), found)
        _collect(schema.get("values"), found)


def _expand(schema: Schema, names: Mapping[str, Schema], inside: frozenset[str]) -> Schema:
    if isinstance(schema, list):
        return [_expand(branch, names, inside) for branch in schema]
    if isinstance(schema, str):
        if schema in inside or schema not in names:
            return schema
        schema = names[schema]
    if schema["type"] in NAMED:
        inside |= {schema["name"]}
    return _rebuilt(schema, lambda inner: _expand(inner, names, inside))


def _collapse(schema: Schema, seen: set[str]) -> Schema:
    if isinstance(schema, list):
        return [_collapse(branch, seen) for branch in schema]
    if isinstance(schema, str):
        return schema
    if schema["type"] in NAMED:
        if schema["name"] in seen:
            return schema["name"]
        seen.add(schema["name"])
    return _rebuilt(schema, lambda inner: _collapse(inner, seen))


def _rebuilt(schema: dict[str, Any], change: Any) -> dict[str, Any]:
    copy = dict(schema)
    if "fields" in copy:
        copy["fields"] = [{**field, "type": change(field["type"])} for field in copy["fields"]]
    for inner in ("items", "values"):
        if inner in copy:
            copy[inner] = change(copy[inner])
    return copy


class _Strict:
    """One walk over a schema that refuses what is not plain Avro, naming the place."""

    def __init__(self) -> None:
        self.defined: dict[str, str] = {}
        self.fields = 0

    def check(self, schema: Schema, where: str, namespace: str, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise BadSchema(f"{where}: nested deeper than {MAX_DEPTH} levels")
        if isinstance(schema, list):
            self._union(schema, where, namespace, depth)
        elif isinstance(schema, str):
            self._reference(schema, where, namespace)
        elif isinstance(schema, dict):
            self._object(schema, where, namespace, depth)
        else:
            raise BadSchema(f"{where}: expected a type name, a list or an object")

    def _reference(self, name: str, where: str, namespace: str) -> None:
        if name in PRIMITIVES:
            return
        if name in COMPLEX:
            raise BadSchema(
                f'{where}: "type": "{name}" must be an object of its own inside the field\'s '
                f'"type", as in "type": {{"type": "{name}", …}}'
            )
        if _full_name(name, namespace) not in self.defined:
            raise BadSchema(f'{where}: type "{name}" is not defined before this place')

    def _union(self, branches: list[Schema], where: str, namespace: str, depth: int) -> None:
        if not branches:
            raise BadSchema(f"{where}: a union needs at least one branch")
        seen = set()
        for number, branch in enumerate(branches):
            place = f"{where}[{number}]"
            if isinstance(branch, list):
                raise BadSchema(f"{place}: a union may not stand directly inside a union")
            self.check(branch, place, namespace, depth + 1)
            identity = _branch_identity(branch, namespace)
            if identity in seen:
                raise BadSchema(f'{place}: the union has "{identity}" twice')
            seen.add(identity)

    def _object(self, schema: dict[str, Any], where: str, namespace: str, depth: int) -> None:
        kind = schema.get("type")
        if not isinstance(kind, str) or kind not in PRIMITIVES | COMPLEX:
            raise BadSchema(
                f'{where}: "type" of an object must be one of the primitive or complex types'
            )
        _check_logical(schema, kind, where)
        if kind in NAMED:
            namespace = self._define(schema, where, namespace)
        match kind:
            case "array" | "map":
                inner = "items" if kind == "array" else "values"
                if inner not in schema:
                    raise BadSchema(f'{where}: {kind} without "{inner}"')
                self.check(schema[inner], f"{where}.{inner}", namespace, depth + 1)
            case "record":
                self._fields(schema, where, namespace, depth)
            case "enum":
                _check_symbols(schema, where)
            case "fixed":
                size = schema.get("size")
                if not isinstance(size, int) or isinstance(size, bool) or size < 0:
                    raise BadSchema(f'{where}: fixed needs a "size" of 0 or more')

    def _define(self, schema: dict[str, Any], where: str, namespace: str) -> str:
        name = schema.get("name")
        own = schema.get("namespace", namespace)
        if not isinstance(name, str) or not isinstance(own, str):
            raise BadSchema(f'{where}: {schema["type"]} needs a "name"')
        full = _full_name(name, own)
        if not all(_NAME.fullmatch(part) for part in full.split(".")):
            raise BadSchema(f"{where}: its name is not an Avro name")
        if full in self.defined:
            raise BadSchema(
                f'{where}: "{full}" is already defined at {self.defined[full]}; '
                "define it once and refer to it by name"
            )
        self.defined[full] = where
        return full.rpartition(".")[0]

    def _fields(self, schema: dict[str, Any], where: str, namespace: str, depth: int) -> None:
        fields = schema.get("fields")
        if not isinstance(fields, list):
            raise BadSchema(f'{where}: record without a list of "fields"')
        seen: set[str] = set()
        for number, field in enumerate(fields):
            name = field.get("name") if isinstance(field, dict) else None
            if not isinstance(name, str) or not _NAME.fullmatch(name):
                raise BadSchema(f"{where}.fields[{number}]: a field needs an Avro name")
            place = f"{where}.{name}"
            if name in seen:
                raise BadSchema(f"{place}: the record has this field twice")
            seen.add(name)
            self.fields += 1
            if self.fields > MAX_FIELDS:
                raise BadSchema(f"{place}: more than {MAX_FIELDS} fields")
            self._field(field, place, namespace, depth)

    def _field(self, field: dict[str, Any], place: str, namespace: str, depth: int) -> None:
        if "type" not in field:
            raise BadSchema(f'{place}: field without a "type"')
        if "logicalType" in field:
            raise BadSchema(
                f'{place}: "logicalType" stands beside the type, where it has no effect; '
                'put it inside, as in "type": {"type": …, "logicalType": …}'
            )
        self.check(field["type"], place, namespace, depth + 1)


def _check_logical(schema: dict[str, Any], kind: str, where: str) -> None:
    logical = schema.get("logicalType")
    if logical is None:
        return
    if not isinstance(logical, str) or logical not in LOGICAL:
        raise BadSchema(f"{where}: logicalType is not one of {', '.join(sorted(LOGICAL))}")
    if kind not in LOGICAL[logical]:
        raise BadSchema(f'{where}: logicalType "{logical}" does not fit on "{kind}"')


def _check_symbols(schema: dict[str, Any], where: str) -> None:
    symbols = schema.get("symbols")
    if not isinstance(symbols, list) or not symbols:
        raise BadSchema(f'{where}: enum needs a list of "symbols"')
    if not all(isinstance(symbol, str) and _NAME.fullmatch(symbol) for symbol in symbols):
        raise BadSchema(f"{where}: every symbol must be an Avro name")
    if len(set(symbols)) != len(symbols):
        raise BadSchema(f"{where}: a symbol appears twice")


def _branch_identity(branch: Schema, namespace: str) -> str:
    if isinstance(branch, str):
        return branch if branch in PRIMITIVES else _full_name(branch, namespace)
    if branch["type"] in NAMED:
        return _full_name(branch["name"], branch.get("namespace", namespace))
    return str(branch["type"])


def _full_name(name: str, namespace: str) -> str:
    return name if "." in name or not namespace else f"{namespace}.{name}"

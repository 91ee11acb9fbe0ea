"""Avro schemas at random, and values for them: what the scanner's properties are tried on."""

from typing import Any

from hypothesis import strategies as st

_PRIMITIVES = ["boolean", "int", "long", "float", "double", "bytes", "string"]
_LOGICAL = [
    {"type": "int", "logicalType": "date"},
    {"type": "long", "logicalType": "timestamp-millis"},
    {"type": "long", "logicalType": "timestamp-micros"},
    {"type": "int", "logicalType": "time-millis"},
    {"type": "long", "logicalType": "local-timestamp-millis"},
    {"type": "string", "logicalType": "uuid"},
]
_RANGES = {
    "date": (-719_162, 2_932_896),
    "timestamp-millis": (-62_135_596_800_000, 253_402_300_799_999),
    "timestamp-micros": (-62_135_596_800_000_000, 253_402_300_799_999_999),
    "time-millis": (0, 86_399_999),
    "local-timestamp-millis": (-62_135_596_800_000, 253_402_300_799_999),
}


class _Names:
    """Type names that do not repeat within one schema, and those that may be referred to."""

    def __init__(self) -> None:
        self.count = 0
        self.done: list[str] = []

    def new(self, letter: str) -> str:
        self.count += 1
        return f"{letter}{self.count}"


@st.composite
def record_schemas(draw: st.DrawFn, *, flat: bool = False) -> dict[str, Any]:
    """Draw a record schema: nested, optional, repeated and recursive parts unless ``flat``."""
    return _record(draw, _Names(), 0 if flat else 3, "t.Root")


def _record(draw: st.DrawFn, names: _Names, depth: int, name: str) -> dict[str, Any]:
    count = draw(st.integers(1, 6))
    fields = []
    for number in range(count):
        field = {"name": f"f{number}", "type": _type(draw, names, depth, name)}
        if draw(st.integers(0, 9)) == 0:
            field["freeText"] = True
        fields.append(field)
    names.done.append(name)
    return {"type": "record", "name": name, "fields": fields}


def _type(  # noqa: C901, PLR0911  one case for each kind of type
    draw: st.DrawFn, names: _Names, depth: int, inside: str
) -> Any:
    choices = ["primitive", "primitive", "primitive", "logical", "enum", "fixed", "optional"]
    if depth:
        choices += ["record", "array", "map", "union", "optional", "optional", "again"]
    kind = draw(st.sampled_from(choices))
    match kind:
        case "logical":
            return dict(draw(st.sampled_from(_LOGICAL)))
        case "enum":
            symbols = [f"S{n}" for n in range(draw(st.sampled_from([1, 2, 5, 64, 70])))]
            return {"type": "enum", "name": names.new("E"), "symbols": symbols}
        case "fixed":
            return {"type": "fixed", "name": names.new("F"), "size": draw(st.integers(1, 5))}
        case "optional":
            inner = _type(draw, names, depth - 1 if depth else 0, inside)
            if isinstance(inner, list) or inner == "null":
                return inner
            return draw(st.sampled_from([["null", inner], [inner, "null"]]))
        case "record":
            return _record(draw, names, depth - 1, names.new("t.R"))
        case "array":
            return {"type": "array", "items": _type(draw, names, depth - 1, inside)}
        case "map":
            return {"type": "map", "values": _type(draw, names, depth - 1, inside)}
        case "union":
            branches = draw(
                st.lists(
                    st.sampled_from(["null", "boolean", "long", "string", "bytes"]),
                    min_size=1,
                    max_size=4,
                    unique=True,
                )
            )
            return [*branches, {"type": "array", "items": "int"}]
        case "again":
            if names.done and draw(st.booleans()):
                return names.done[-1]
            return ["null", inside]  # a record that may hold itself
    return draw(st.sampled_from(_PRIMITIVES))


def values(  # noqa: PLR0911  one case for each kind of type
    schema: Any, types: dict[str, Any], *, room: int = 4
) -> st.SearchStrategy[Any]:
    """Return values of a parsed schema, as fastavro takes them. ``room`` ends recursion."""
    if isinstance(schema, list):
        branches = [one for one in schema if one == "null" or room > 0] or schema
        return st.one_of([values(branch, types, room=room - 1) for branch in branches])
    if isinstance(schema, str):
        schema = types.get(schema, schema)
    kind = schema if isinstance(schema, str) else schema["type"]
    logical = None if isinstance(schema, str) else schema.get("logicalType")
    if logical in _RANGES:
        return st.integers(*_RANGES[logical])
    if logical == "uuid":
        return st.uuids().map(str)
    match kind:
        case "record":
            return st.fixed_dictionaries(
                {f["name"]: values(f["type"], types, room=room - 1) for f in schema["fields"]}
            )
        case "array":
            return st.lists(values(schema["items"], types, room=room - 1), max_size=max(room, 0))
        case "map":
            return st.dictionaries(
                st.text(max_size=5),
                values(schema["values"], types, room=room - 1),
                max_size=max(room, 0),
            )
        case "enum":
            return st.sampled_from(schema["symbols"])
        case "fixed":
            return st.binary(min_size=schema["size"], max_size=schema["size"])
    return _primitive(kind)


def _primitive(kind: str) -> st.SearchStrategy[Any]:
    long = st.integers(-(1 << 63), (1 << 63) - 1)
    return {
        "null": st.none(),
        "boolean": st.booleans(),
        "int": st.one_of(st.integers(-70, 70), st.integers(-(1 << 31), (1 << 31) - 1)),
        "long": st.one_of(st.integers(-70, 70), long),
        "float": st.floats(width=32),
        "double": st.floats(),
        "bytes": st.binary(max_size=80),
        "string": st.one_of(st.text(max_size=10), st.text(min_size=60, max_size=140)),
    }[kind]

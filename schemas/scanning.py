"""Find where each field of an Avro record begins, without decoding it.

Avro is positional, so a recipient's view can be cut from the publisher's bytes
once the boundaries are known. A scanner is compiled once for each schema into
straight-line Python: clarity gives way to speed here because every event passes
(a scan is several times cheaper than decoding). It is also where hostile bytes
arrive, so every value is checked while it is walked:

1. the record ends exactly where the bytes end;
2. numbers are written in their shortest form, so equal values are equal bytes;
3. lengths are neither negative nor past the end, counts no more than could fit;
4. branches, enum indexes and booleans are ones that exist;
5. text is UTF-8, dates and times are ones that a calendar has;
6. recursion ends (``MAX_VALUE_DEPTH``).

Source: Apache Avro 1.12 specification, *Binary encoding*. fastavro is the
oracle in the tests: what is accepted here decodes there, to the same values.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from schemas import walking
from schemas.avro import Schema, expanded, kind_of, logical_of, named_types, parse, resolve
from schemas.walking import MalformedAvro, Walk

__all__ = ["MalformedAvro", "Scanner", "Slot", "text_of"]

_ENUM_SINGLE_BYTE: Final = 64  # indexes 0 to 63 take one byte
_PLAIN: Final = frozenset({"string", "enum", "boolean", "int", "branch"})
"""Kinds whose bytes are usually ASCII throughout, so that one check serves a run of them."""


@dataclass(frozen=True, slots=True)
class Slot:
    """One stretch of the record's bytes.

    ``schema`` is self-contained (references expanded). ``null`` and ``present``
    are the encoded branches of an optional slot, else ``None`` and ``b""``.
    ``kind`` is the Avro type under the option, ``branch`` for the slot that
    tells whether an optional record is there, or ``union``. ``parents`` are the
    indexes of the branch slots it lies under. ``element`` scans one element of
    an array of records.
    """

    index: int
    path: str
    schema: Schema
    kind: str
    logical: str | None
    null: bytes | None
    present: bytes
    parents: tuple[int, ...]
    element: "Scanner | None" = None

    @property
    def nullable(self) -> bool:
        """Whether the value may be null."""
        return self.null is not None

    def text(self, data: bytes, start: int, end: int) -> str | None:
        """Return the text of a string slot that was scanned; ``None`` when it is null."""
        return text_of(data, start, end, nullable=self.null is not None)

    def elements(self, data: bytes, start: int) -> list[list[int]] | None:
        """Return the boundaries of each element of an array of records, already scanned.

        Offsets are in ``data``. ``None`` when the array itself is null.
        """
        if self.element is None:
            raise TypeError(f"{self.path} is not an array of records")
        if self.null is not None:
            if data[start] == self.null[0]:
                return None
            start += 1
        return walking.array_elements(data, start, self.element.walk)


def text_of(data: bytes, start: int, end: int, *, nullable: bool) -> str | None:
    """Return the text of a scanned string slot; ``None`` when it is null or not there.

    ``nullable``: the slot is a union of null and string.
    """
    if nullable:
        start += 1
    if start >= end:
        return None
    while data[start] > 127:  # noqa: PLR2004  the continuation bit of the length
        start += 1
    return data[start + 1 : end].decode()


class Scanner:
    """The compiled walk of one schema.

    ``slots`` are the leaves in the order of the bytes, records inlined;
    ``index`` gives a slot's number by dotted path (an optional record's path is
    that of its branch slot); ``spans`` gives first and past-last slot of every
    path, records included.
    """

    __slots__ = ("_scan", "index", "schema", "slots", "source", "spans", "walk")

    def __init__(self, schema: Schema) -> None:
        parsed = parse(schema)
        self._compile(parsed, named_types(parsed), frozenset())

    @classmethod
    def _of_element(
        cls, schema: Schema, names: dict[str, Schema], inside: frozenset[str]
    ) -> "Scanner":
        scanner = cls.__new__(cls)
        scanner._compile(schema, names, inside)
        return scanner

    def _compile(self, schema: Schema, names: dict[str, Schema], inside: frozenset[str]) -> None:
        if kind_of(schema) != "record":
            raise walking.unscannable("schema", "only a record can be scanned")
        writer = _Writer(names)
        writer.record(schema, "", (), inside)
        self.schema = schema
        self.slots = tuple(writer.slots)
        self.index = {slot.path: slot.index for slot in self.slots}
        self.spans = writer.spans
        self.source = writer.source()
        namespace: dict[str, Any] = dict(writer.names_used)
        exec(compile(self.source, "<scanner>", "exec"), namespace)  # noqa: S102  our own source, no names from data
        self.walk: Callable[[bytes, int], list[int]] = namespace["walk"]
        self._scan: Callable[[bytes, int], list[int]] = namespace["scan"]

    def scan(self, data: bytes, start: int = 0) -> list[int]:
        """Return ``len(slots) + 1`` boundaries: slot ``i`` is ``data[b[i]:b[i+1]]``.

        The last boundary is ``len(data)``. The hot path takes :attr:`compiled`,
        which saves a call.

        Raises:
            MalformedAvro: the bytes are not one value of the schema, shortest form.
        """
        return self._scan(data, start)

    @property
    def compiled(self) -> Callable[[bytes, int], list[int]]:
        """The generated function behind :meth:`scan`."""
        return self._scan


class _Writer:
    """Writes the walk of one record as Python. ``d`` is the data, ``b<i>`` a boundary."""

    def __init__(self, types: dict[str, Schema]) -> None:
        self.types = types
        self.slots: list[Slot] = []
        self.spans: dict[str, tuple[int, int]] = {}
        self.lines: list[str] = []
        self.indent = 1
        self.names_used: dict[str, Any] = dict(walking.PRIMITIVE_WALKS)
        self.names_used["S"] = walking.SHORT_LENGTH
        self.names_used["from_bytes"] = int.from_bytes
        self.names_used["MalformedAvro"] = MalformedAvro
        self.names_used["fail"] = self._fail
        self.names_used["text"] = walking.check_text_slot

    def _fail(self, index: int) -> None:
        slot = self.slots[index]
        raise MalformedAvro(f"{slot.path}: not a valid {slot.kind}")

    def line(self, text: str) -> None:
        self.lines.append("    " * self.indent + text)

    # -- what to write for each part of the schema ------------------------------

    def record(
        self, schema: Schema, path: str, parents: tuple[int, ...], inside: frozenset[str]
    ) -> None:
        first = len(self.slots)
        inside |= {schema["name"]}
        for field in schema["fields"]:
            place = f"{path}.{field['name']}" if path else field["name"]
            self.field(field, place, parents, inside)
        if path and path not in self.spans:
            self.spans[path] = (first, len(self.slots))

    def field(
        self, field: dict[str, Any], path: str, parents: tuple[int, ...], inside: frozenset[str]
    ) -> None:
        schema = resolve(field["type"], self.types)
        null, inner = self._option(schema)
        if kind_of(inner) == "record" and inner["name"] not in inside:
            if null is None:
                self.record(inner, path, parents, inside)
            else:
                self.optional_record(schema, inner, null, path, parents, inside)
            return
        start = len(self.slots)
        kind = kind_of(inner)
        element = self._element(inner, inside)
        slot = self._add(path, field["type"], kind, logical_of(inner), null, parents, element)
        self.spans[path] = (start, start + 1)
        self._leaf(slot, inner, field)

    def optional_record(  # noqa: PLR0913, PLR0917  the walk's whole state, once
        self,
        schema: Schema,
        inner: Schema,
        null: int,
        path: str,
        parents: tuple[int, ...],
        inside: frozenset[str],
    ) -> None:
        branch = self._add(path, schema, "branch", None, null, parents, None)
        i = branch.index
        self.line(f"b{i + 1} = b{i} + 1")
        self.line(f"if d[b{i}] == {branch.present[0]}:")
        self.indent += 1
        self.line("pass")
        self.record(inner, path, (*parents, i), inside)
        self.indent -= 1
        last = len(self.slots)
        self.spans[path] = (i, last)
        assert branch.null is not None  # noqa: S101  for the type checker: it is optional
        self.line(f"elif d[b{i}] == {branch.null[0]}:")
        targets = "".join(f"b{n} = " for n in range(i + 2, last + 1))
        self.line(f"    {targets}b{i + 1}" if targets else "    pass")
        self.line(f"else: fail({i})")

    def _add(  # noqa: PLR0913, PLR0917  the fields of a slot
        self,
        path: str,
        schema: Schema,
        kind: str,
        logical: str | None,
        null: int | None,
        parents: tuple[int, ...],
        element: Scanner | None,
    ) -> Slot:
        slot = Slot(
            index=len(self.slots),
            path=path,
            schema=expanded(schema, self.types),
            kind=kind,
            logical=logical,
            null=None if null is None else bytes([2 * null]),
            present=b"" if null is None else bytes([2 * (1 - null)]),
            parents=parents,
            element=element,
        )
        self.slots.append(slot)
        return slot

    def _option(self, schema: Schema) -> tuple[int | None, Schema]:
        """For a union of null and one other type: null's branch and the other, resolved."""
        if isinstance(schema, list) and len(schema) == 2 and "null" in schema:  # noqa: PLR2004
            null = schema.index("null")
            return null, resolve(schema[1 - null], self.types)
        return None, schema

    def _element(self, schema: Schema, inside: frozenset[str]) -> Scanner | None:
        if kind_of(schema) != "array":
            return None
        items = resolve(schema["items"], self.types)
        if kind_of(items) != "record" or items["name"] in inside:
            return None
        return Scanner._of_element(items, self.types, inside)  # noqa: SLF001  this module's own

    # -- the bytes of one leaf ----------------------------------------------------

    def _leaf(self, slot: Slot, schema: Schema, field: dict[str, Any]) -> None:
        i = slot.index
        if slot.null is None:
            self._value(slot, schema, f"b{i}", "", field)
            return
        self.line(f"if d[b{i}] == {slot.present[0]}:")
        self.indent += 1
        self._value(slot, schema, f"b{i}", " + 1", field)
        self.indent -= 1
        self.line(f"elif d[b{i}] == {slot.null[0]}: b{i + 1} = b{i} + 1")
        self.line(f"else: fail({i})")

    def _value(
        self, slot: Slot, schema: Schema, base: str, plus: str, field: dict[str, Any]
    ) -> None:
        i, end, at = slot.index, f"b{slot.index + 1}", base + plus
        fixed = {"null": 0, "float": 4, "double": 8}
        match slot.kind, slot.logical:
            case ("string", None) | ("bytes", _):
                self.line(f"n = S[d[{at}]]")
                self.line(f"{end} = {at} + n if n else past_length(d, {at})")
            case "enum", _ if len(schema["symbols"]) <= _ENUM_SINGLE_BYTE:
                self.line(f"n = d[{at}]")
                self.line(f"if n & 1 or n >= {2 * len(schema['symbols'])}: fail({i})")
                self.line(f"{end} = {at} + 1")
            case "boolean", _:
                self.line(f"if d[{at}] > 1: fail({i})")
                self.line(f"{end} = {at} + 1")
            case (("int" | "long"), None):
                self.line(f"{end} = {at} + 1 if d[{at}] < 128 else {slot.kind}_(d, {at})")
            case "int", "date":
                # Three bytes hold every date from 1970 to 3921: the third byte of an
                # impossible one (before year 1) is 87 or more.
                three = f"d[{at}] > 127 and d[{at} + 1] > 127 and 0 < d[{at} + 2] < 87"
                self.line(f"{end} = {at} + 3 if {three} else date_(d, {at})")
            case "long", "timestamp-millis":
                # Six bytes hold every instant from 2004 (1935, negative) to 2039.
                self.line(f"n = from_bytes(d[{at}:{at} + 6], 'little')")
                six = "n & 0x808080808080 == 0x8080808080 and n > 0xffffffffff"
                self.line(f"{end} = {at} + 6 if {six} else timestamp_millis(d, {at})")
            case kind, _ if kind in fixed:
                self.line(f"{end} = {at} + {fixed[kind]}")
            case "fixed", _:
                self.line(f"{end} = {at} + {int(schema['size'])}")
            case _:
                walk: Walk = walking.walk_of(schema, self.types, slot.path, slot.element)
                self.names_used[f"walk_{i}"] = walk
                self.line(f"{end} = walk_{i}(d, {at}, 0)")
        _ = field

    # -- the whole function -------------------------------------------------------

    def source(self) -> str:
        body = [*self.lines]
        count = len(self.slots)
        boundaries = ", ".join(f"b{n}" for n in range(count + 1))
        texts = self._text_checks()
        return "\n".join(
            [
                "def walk(d, b0):",
                *body,
                *texts,
                f"    return [{boundaries}]",
                "def scan(d, b0):",
                "  try:",
                *body,
                f"    if b{count} != len(d): raise MalformedAvro(",
                "        'the record does not end where the bytes end')",
                *texts,
                f"    return [{boundaries}]",
                "  except IndexError:",
                "    raise MalformedAvro('the bytes end before the record does') from None",
                "",
            ]
        )

    def _text_checks(self) -> list[str]:
        """One ASCII check for each run of slots that usually are, else text by text.

        INVARIANT: every string slot is in one run or checked alone. Short
        lengths, branches, enum indexes and booleans are ASCII bytes themselves.
        """
        lines = []
        run: list[Slot] = []
        for slot in [*self.slots, None]:
            if slot is not None and slot.kind in _PLAIN and slot.logical is None:
                run.append(slot)
                continue
            strings = [one for one in run if one.kind == "string"]
            if strings:
                first, last = strings[0].index, strings[-1].index + 1
                lines.append(f"    if not d[b{first}:b{last}].isascii():")
                lines += [
                    f"        text(d, b{s.index}, b{s.index + 1}, {s.nullable}, {s.path!r})"
                    for s in strings
                ]
            run = []
        return lines

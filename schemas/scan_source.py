"""Write the Python of a scanner: straight lines, one short step for each field.

Clarity gives way to speed in what is written here, because every event passes:
``d`` is the data, ``b0`` … ``bn`` the boundaries, ``S`` the table of short
lengths. The common case of each type is inlined; anything else (long lengths,
odd numbers, errors) goes to the careful function of :mod:`schemas.walking`.
Looking past the end raises ``IndexError``; a boundary past the end is found by
the last comparison with ``len(d)``.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, NoReturn

from schemas import walking
from schemas.avro import Schema, expanded, kind_of, logical_of, resolve
from schemas.slots import Slot
from schemas.walking import MalformedAvro

if TYPE_CHECKING:
    from schemas.scanning import Scanner

_SINGLE_BYTE_SYMBOLS: Final = 64  # enum indexes 0 to 63 take one byte
_FIXED_BYTES: Final = {"null": 0, "float": 4, "double": 8}
_ASCII_KINDS: Final = frozenset({"string", "enum", "boolean", "int", "branch"})
"""Kinds whose bytes are usually all ASCII, so that one check serves a run of them."""

ScannerOf = Callable[[Schema, dict[str, Schema], frozenset[str]], "Scanner"]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the writing is: the dotted path, the branch slots and the records around it."""

    path: str
    parents: tuple[int, ...]
    inside: frozenset[str]

    def field(self, name: str) -> "_Place":
        return replace(self, path=f"{self.path}.{name}" if self.path else name)


class Writer:
    """Writes the walk of one record; ``slots``, ``spans`` and ``names_used`` go with it."""

    def __init__(self, types: dict[str, Schema], scanner_of: ScannerOf) -> None:
        self.types = types
        self.scanner_of = scanner_of
        self.slots: list[Slot] = []
        self.spans: dict[str, tuple[int, int]] = {}
        self.names_used: dict[str, Any] = {
            **walking.CALLED,
            "fail": self._fail,
            "from_bytes": int.from_bytes,
        }
        self._lines: list[str] = []
        self._indent = 1

    def record(self, schema: Schema, inside: frozenset[str]) -> None:
        """Write the walk of a record; ``inside`` are the names of the records around it."""
        self._record(schema, _Place("", (), inside))

    def source(self) -> str:
        """Return ``walk`` (ends anywhere) and ``scan`` (ends where the bytes end)."""
        last = f"b{len(self.slots)}"
        boundaries = ", ".join(f"b{n}" for n in range(len(self.slots) + 1))
        checks = self._text_checks()
        lines = [
            "def walk(d, b0):",
            *self._lines,
            *checks,
            f"    return [{boundaries}]",
            "def scan(d, b0):",
            "  try:",
            *self._lines,
            f"    if {last} != len(d): raise MalformedAvro('the record ends before the bytes')",
            *checks,
            f"    return [{boundaries}]",
            "  except IndexError:",
            "    raise MalformedAvro('the bytes end before the record') from None",
        ]
        return "\n".join([*lines, ""])

    def _fail(self, index: int) -> NoReturn:
        slot = self.slots[index]
        raise MalformedAvro(f"{slot.path}: not a valid {slot.kind}")

    def _line(self, text: str) -> None:
        self._lines.append("    " * self._indent + text)

    def _record(self, schema: Schema, place: _Place) -> None:
        first = len(self.slots)
        place = replace(place, inside=place.inside | {schema["name"]})
        for field in schema["fields"]:
            self._field(field, place.field(field["name"]))
        if place.path:
            self.spans[place.path] = (first, len(self.slots))

    def _field(self, field: dict[str, Any], place: _Place) -> None:
        schema = resolve(field["type"], self.types)
        null, inner = self._option(schema)
        # A record inside itself cannot be inlined: it stays one slot.
        if kind_of(inner) == "record" and inner["name"] not in place.inside:
            if null is None:
                self._record(inner, place)
            else:
                self._optional_record(schema, inner, null, place)
            return
        slot = self._slot(
            place,
            field["type"],
            null,
            kind=kind_of(inner),
            logical=logical_of(inner),
            free_text=field.get("freeText") is True,
            element=self._element(inner, place.inside),
        )
        self.spans[place.path] = (slot.index, slot.index + 1)
        self._leaf(slot, inner)

    def _optional_record(self, schema: Schema, inner: Schema, null: int, place: _Place) -> None:
        branch = self._slot(place, schema, null, kind="branch")
        i = branch.index
        self._line(f"b{i + 1} = b{i} + 1")
        self._line(f"if d[b{i}] == {2 * (1 - null)}:")
        self._indent += 1
        written = len(self._lines)
        self._record(inner, replace(place, parents=(*place.parents, i)))
        if len(self._lines) == written:
            self._line("pass")
        self._indent -= 1
        last = len(self.slots)
        self.spans[place.path] = (i, last)
        targets = "".join(f"b{n} = " for n in range(i + 2, last + 1))
        self._line(f"elif d[b{i}] == {2 * null}: {f'{targets}b{i + 1}' if targets else 'pass'}")
        self._line(f"else: fail({i})")

    def _slot(self, place: _Place, schema: Schema, null: int | None, **rest: Any) -> Slot:
        slot = Slot(
            index=len(self.slots),
            path=place.path,
            schema=expanded(schema, self.types),
            null=None if null is None else bytes([2 * null]),
            present=b"" if null is None else bytes([2 * (1 - null)]),
            parents=place.parents,
            **{"logical": None, **rest},
        )
        self.slots.append(slot)
        return slot

    def _option(self, schema: Schema) -> tuple[int | None, Schema]:
        """For a union of null and one other type: null's branch, and the other, resolved."""
        if isinstance(schema, list) and len(schema) == 2 and "null" in schema:  # noqa: PLR2004
            null = schema.index("null")
            return null, resolve(schema[1 - null], self.types)
        return None, schema

    def _element(self, schema: Schema, inside: frozenset[str]) -> "Scanner | None":
        if kind_of(schema) != "array":
            return None
        items = resolve(schema["items"], self.types)
        if kind_of(items) != "record" or items["name"] in inside:
            return None
        return self.scanner_of(items, self.types, inside)

    def _leaf(self, slot: Slot, schema: Schema) -> None:
        i = slot.index
        if slot.null is None:
            self._value(slot, schema, f"b{i}")
            return
        self._line(f"if d[b{i}] == {slot.present[0]}:")
        self._indent += 1
        self._value(slot, schema, f"b{i} + 1")
        self._indent -= 1
        self._line(f"elif d[b{i}] == {slot.null[0]}: b{i + 1} = b{i} + 1")
        self._line(f"else: fail({i})")

    def _value(self, slot: Slot, schema: Schema, at: str) -> None:
        i, end = slot.index, f"b{slot.index + 1}"
        match slot.kind, slot.logical:
            case (("string" | "bytes"), None):
                self._line(f"n = S[d[{at}]]")
                self._line(f"{end} = {at} + n if n else length(d, {at})")
            case "enum", None if len(schema["symbols"]) <= _SINGLE_BYTE_SYMBOLS:
                self._line(f"n = d[{at}]")
                self._line(f"if n & 1 or n >= {2 * len(schema['symbols'])}: fail({i})")
                self._line(f"{end} = {at} + 1")
            case "boolean", None:
                self._line(f"if d[{at}] > 1: fail({i})")
                self._line(f"{end} = {at} + 1")
            case ("int" | "long") as number, None:
                self._line(f"{end} = {at} + 1 if d[{at}] < 128 else {number}_(d, {at})")
            case "int", "date":
                # Three bytes hold the dates of 1794 to 3921. A third byte of 87 or more
                # may be one before year 1, and is looked at closely.
                three = f"d[{at}] > 127 and d[{at} + 1] > 127 and 0 < d[{at} + 2] < 87"
                self._line(f"{end} = {at} + 3 if {three} else date(d, {at})")
            case "long", "timestamp-millis":
                # Six bytes hold the times of 2004 to 2039.
                self._line(f"n = from_bytes(d[{at}:{at} + 6], 'little')")
                six = "n & 0x808080808080 == 0x8080808080 and n > 0xffffffffff"
                self._line(f"{end} = {at} + 6 if {six} else timestamp_millis(d, {at})")
            case ("null" | "float" | "double") as fixed, None:
                self._line(f"{end} = {at} + {_FIXED_BYTES[fixed]}")
            case "fixed", None:
                self._line(f"{end} = {at} + {int(schema['size'])}")
            case _:
                name = f"walk_{i}"
                self.names_used[name] = walking.walk_of(
                    schema,
                    self.types,
                    slot.path,
                    None if slot.element is None else slot.element.walk,
                )
                self._line(f"{end} = {name}(d, {at}, 0)")

    def _text_checks(self) -> list[str]:
        """One ASCII check for each run of slots that usually are, else text by text.

        INVARIANT: every string slot is checked, in one run or alone. Short
        lengths, branches, enum indexes, booleans and small numbers are ASCII
        bytes themselves. Free text is long, and so a run of its own.
        """
        return [line for run in self.runs() for line in _run_check(run)]

    def runs(self) -> list[list[Slot]]:
        """Return the runs of slots whose bytes are usually all ASCII, each from text to text."""
        runs: list[list[Slot]] = []
        run: list[Slot] = []
        for slot in self.slots:
            joins = slot.kind in _ASCII_KINDS and slot.logical is None
            if run and (slot.free_text or run[-1].free_text or not joins):
                runs.append(run)
                run = []
            if joins:
                run.append(slot)
        runs.append(run)
        texts = [[n for n, slot in enumerate(run) if slot.kind == "string"] for run in runs]
        return [run[at[0] : at[-1] + 1] for run, at in zip(runs, texts, strict=True) if at]


def _run_check(run: list[Slot]) -> list[str]:
    first, past = run[0].index, run[-1].index + 1
    return [
        f"    if not d[b{first}:b{past}].isascii():",
        *(
            f"        text(d, b{s.index}, b{s.index + 1}, {s.nullable}, {s.path!r})"
            for s in run
            if s.kind == "string"
        ),
    ]

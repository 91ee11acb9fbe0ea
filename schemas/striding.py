"""Take long strides over the bytes of a record that is as most are; leave the rest alone.

For the compiled form only (`schemas.compiled`), where a loop over a table costs a tenth
of the scanner's straight lines; interpreted, those are faster. INVARIANT: what is accepted
here the scanner accepts too, with the same boundaries: each step makes the check of the
common case that `schemas.scan_source` writes for its type, and anything else is not
refused but left to the scanner.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from schemas.slots import Slot

if TYPE_CHECKING:
    from mypy_extensions import i64

IS_COMPILED: Final = not __file__.endswith(".py")

_TEXT: Final = 0
_ENUM: Final = 1
_BELOW: Final = 2
_DATE: Final = 3
_STAMP: Final = 4
_SIZED: Final = 5
_NULL_FIRST: Final = 1
_NULL_LAST: Final = 2
_MOST_SYMBOLS: Final = 64
_SIZES: Final = {"null": 0, "float": 4, "double": 8}
_MOST_BYTES: Final = 255


class Strider:
    """Strides over records of one schema that has nothing nested in it."""

    __slots__ = ("_kinds", "_limits", "_options", "_runs")

    def __init__(
        self, steps: Sequence[tuple[int, int, int]], runs: Sequence[Sequence[Slot]]
    ) -> None:
        """Take the steps as `strider_of` has them, and the runs of slots that are ASCII."""
        self._kinds = bytes([kind for kind, _, _ in steps])
        self._options = bytes([option for _, option, _ in steps])
        self._limits = bytes([limit for _, _, limit in steps])
        self._runs: list[tuple[int, int]] = [(run[0].index, run[-1].index + 1) for run in runs]

    def stride(self, data: bytes, start: int) -> list[int] | None:  # noqa: C901, PLR0911, PLR0912  a table's steps
        """Return the boundaries as `schemas.scanning.Scanner.scan` does; None: it shall look."""
        kinds, options, limits = self._kinds, self._options, self._limits
        size: i64 = len(data)
        steps: i64 = len(kinds)
        at: i64 = start
        step: i64 = 0
        found: list[int] = [start]
        while step < steps:
            if at >= size:
                return None
            byte: i64 = data[at]
            option: i64 = options[step]
            if option != 0:
                at += 1
                if byte & 0xFD:  # neither of the two branches
                    return None
                if (byte == 0) == (option == _NULL_FIRST):
                    found.append(at)
                    step += 1
                    continue
                if at >= size:
                    return None
                byte = data[at]
            kind: i64 = kinds[step]
            limit: i64 = limits[step]
            if kind == _TEXT:
                if byte & 0x81:
                    return None
                at += 1 + (byte >> 1)
            elif kind == _ENUM:
                if byte & 1 or byte >= limit:
                    return None
                at += 1
            elif kind == _BELOW:
                if byte >= limit:
                    return None
                at += 1
            elif kind == _DATE:
                if at + 2 >= size or byte < 0x80 or data[at + 1] < 0x80:  # noqa: PLR2004  goes on
                    return None
                third: i64 = data[at + 2]
                if third == 0 or third >= limit:
                    return None
                at += 3
            elif kind == _STAMP:
                if at + 5 >= size or byte < 0x80 or data[at + 1] < 0x80:  # noqa: PLR2004  goes on
                    return None
                if data[at + 2] < 0x80 or data[at + 3] < 0x80 or data[at + 4] < 0x80:  # noqa: PLR2004  as above
                    return None
                sixth: i64 = data[at + 5]
                if sixth == 0 or sixth >= limit:
                    return None
                at += 6
            else:
                at += limit
            if at > size:
                return None
            found.append(at)
            step += 1
        if at != size:
            return None
        for first, past in self._runs:
            if not data[found[first] : found[past]].isascii():
                return None
        return found


def strider_of(slots: Sequence[Slot], runs: Sequence[Sequence[Slot]]) -> Strider | None:
    """Return what strides over records with these slots; None where one of them needs a scanner.

    ``runs`` are the slots that are looked at together for text that is not ASCII.
    """
    steps = []
    for slot in slots:
        step = _step(slot)
        if step is None or slot.parents:
            return None
        option = 0 if slot.null is None else _NULL_FIRST if slot.null == b"\x00" else _NULL_LAST
        steps.append((step[0], option, step[1]))
    return Strider(steps, runs)


def _step(slot: Slot) -> tuple[int, int] | None:  # noqa: PLR0911  one for each type
    """Return the kind of step that a slot takes, and its limit."""
    schema = slot.schema
    if isinstance(schema, list):
        schema = next(branch for branch in schema if branch != "null")
    match slot.kind, slot.logical:
        case (("string" | "bytes"), None):
            return _TEXT, 0
        case "enum", None if len(schema["symbols"]) <= _MOST_SYMBOLS:
            return _ENUM, 2 * len(schema["symbols"])
        case "boolean", None:
            return _BELOW, 2
        case (("int" | "long"), None):
            return _BELOW, 0x80
        case "int", "date":
            return _DATE, 87
        case "long", "timestamp-millis":
            return _STAMP, 0x80
        case "fixed", None if schema["size"] <= _MOST_BYTES:
            return _SIZED, schema["size"]
        case (("null" | "float" | "double"), None):
            return _SIZED, _SIZES[slot.kind]
    return None

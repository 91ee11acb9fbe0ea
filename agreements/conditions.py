"""The conditions of a flow, compiled to comparisons of encoded bytes.

The scanner lets only the shortest encoding through, so equal values are equal
bytes and nothing has to be decoded. A condition that cannot be put to a schema (an
item it does not have, or of a type that the operator has no meaning for) never
holds: what cannot be shown does not permit.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from agreements.model import Condition, Flow
from agreements.transforms import decode_long, encode_long, encode_text
from schemas.scanning import Scanner, Slot

# The data and the offsets of its slots, to whether the condition holds.
Test = Callable[[bytes, list[int]], bool]

_EPOCH: Final = date(1970, 1, 1).toordinal()
_TICKS_PER_DAY: Final = {
    "date": 1,
    "timestamp-millis": 86_400_000,
    "timestamp-micros": 86_400_000_000,
}
_EMPTY: Final = b"\x00"  # the encoding of an empty text, list or map
_CAN_BE_EMPTY: Final = frozenset({"string", "bytes", "array", "map"})


class _NoMeaning(Exception):
    """The operand is not of the item's type."""


@dataclass(frozen=True, slots=True, eq=False)
class Clause:
    """A compiled condition. ``place`` is where it stands in the flow: ``when[0]``."""

    place: str
    condition: Condition
    holds: Test

    @property
    def can_never_hold(self) -> bool:
        """Whether the schema has no such item, or none that the operator has a meaning for."""
        return self.holds is _never

    @property
    def text(self) -> str:
        """The condition in words, as the agreement has it."""
        condition = self.condition
        words = condition.operator.replace("_", " ")
        operand = condition.operand
        if condition.operator == "present":
            return f"{condition.item} is {'present' if operand else 'absent'}"
        if isinstance(operand, tuple):
            return f"{condition.item} {words} {', '.join(map(str, operand))}"
        return f"{condition.item} {words} {operand}"


def compile_conditions(flow: Flow, scanner: Scanner) -> tuple[Clause, ...]:
    """Return the conditions of ``flow`` for one schema, in the order they are written."""
    return tuple(
        Clause(f"when[{number}]", condition, _test(condition, scanner))
        for number, condition in enumerate(flow.when)
    )


def _test(condition: Condition, scanner: Scanner) -> Test:
    index = scanner.index.get(condition.item)
    if index is None:
        return _never
    slot = scanner.slots[index]
    try:
        return _COMPILED[condition.operator](slot, condition.operand)
    except _NoMeaning:
        return _never


def _never(_data: bytes, _offsets: list[int]) -> bool:
    return False


def _encodings(slot: Slot, operands: Iterable[Any]) -> frozenset[bytes]:
    encoded = (_encode(slot, operand) for operand in operands)
    return frozenset(slot.present + value for value in encoded if value is not None)


def _encode(slot: Slot, operand: Any) -> bytes | None:
    """Return the encoding that the item has when it equals ``operand``; None when it cannot."""
    if slot.kind == "boolean" and isinstance(operand, bool):
        return b"\x01" if operand else b"\x00"
    if slot.kind == "string" and isinstance(operand, str):
        return encode_text(operand)
    if slot.kind == "enum" and isinstance(operand, str):
        return _symbol(slot, operand)
    if slot.kind in {"int", "long"}:
        if slot.logical == "date" and isinstance(operand, str):
            return encode_long(_day(operand))
        if slot.logical is None and isinstance(operand, int) and not isinstance(operand, bool):
            return encode_long(operand)
    raise _NoMeaning


def _symbol(slot: Slot, operand: str) -> bytes | None:
    schema = slot.schema
    if isinstance(schema, list):
        schema = next(branch for branch in schema if branch != "null")
    symbols = schema["symbols"]
    # A symbol of a later revision: no value of this schema equals it.
    return encode_long(symbols.index(operand)) if operand in symbols else None


def _day(text: str) -> int:
    try:
        return date.fromisoformat(text).toordinal() - _EPOCH
    except ValueError:
        raise _NoMeaning from None


def _is_one_of(slot: Slot, wanted: frozenset[bytes]) -> Test:
    i = slot.index
    j = i + 1
    if len(wanted) == 1:
        (only,) = wanted
        return lambda data, offsets: data[offsets[i] : offsets[j]] == only
    return lambda data, offsets: data[offsets[i] : offsets[j]] in wanted


def _is_none_of(slot: Slot, unwanted: frozenset[bytes]) -> Test:
    i = slot.index
    j = i + 1
    return lambda data, offsets: data[offsets[i] : offsets[j]] not in unwanted


def _is_present(slot: Slot, *, wanted: bool) -> Test:
    i = slot.index
    j = i + 1
    nothing = {b""} if slot.parents else set()
    if slot.null is not None:
        nothing.add(slot.null)
    if slot.kind in _CAN_BE_EMPTY:
        nothing.add(slot.present + _EMPTY)
    absent = frozenset(nothing)
    return lambda data, offsets: (data[offsets[i] : offsets[j]] not in absent) is wanted


def _ticks(slot: Slot, day: date) -> int:
    if slot.logical not in _TICKS_PER_DAY:
        raise _NoMeaning
    return (day.toordinal() - _EPOCH) * _TICKS_PER_DAY[slot.logical]


def _value(slot: Slot) -> Callable[[bytes, list[int]], int | None]:
    """Return the function that reads a date or a time; None when it is absent."""
    i, null = slot.index, slot.null
    skip = len(slot.present)

    def value(data: bytes, offsets: list[int]) -> int | None:
        start = offsets[i]
        if start == offsets[i + 1] or (null is not None and data[start] == null[0]):
            return None
        return decode_long(data, start + skip)[0]

    return value


def _is_before(slot: Slot, day: date) -> Test:
    limit, value = _ticks(slot, day), _value(slot)
    return lambda data, offsets: (found := value(data, offsets)) is not None and found < limit


def _is_after(slot: Slot, day: date) -> Test:
    limit, value = _ticks(slot, day), _value(slot)
    return lambda data, offsets: (found := value(data, offsets)) is not None and found >= limit


_COMPILED: Final[dict[str, Callable[[Slot, Any], Test]]] = {
    "equals": lambda slot, operand: _is_one_of(slot, _encodings(slot, (operand,))),
    "in": lambda slot, operand: _is_one_of(slot, _encodings(slot, operand)),
    "not_in": lambda slot, operand: _is_none_of(slot, _encodings(slot, operand)),
    "present": lambda slot, operand: _is_present(slot, wanted=operand),
    "before": _is_before,
    "after": _is_after,
}

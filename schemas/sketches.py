"""A few kilobytes that tell in which elements two sets of any size differ.

An invertible Bloom lookup table, as Eppstein, Goodrich, Uyeda and Varghese use it ("What's
the Difference? Efficient Set Reconciliation without Prior Context", SIGCOMM 2011): every
element is added to one cell of each table, a cell holds how many there are, the exclusive
or of them and that of their checks. What both sides have goes out when one sketch is taken
from the other; a cell with one element left shows it, and taking it out may lay others
bare. Up to some eighty differences are found nearly always; of more it can be said only
that there are more. A sketch proves nothing: that two sets are equal is for a digest.
"""

import struct
from collections.abc import Iterable
from hashlib import sha256
from typing import Final, Self

from schemas.errors import RejectedInput

_TABLES: Final = 3
_CELLS: Final = 48
"""Of each table. Some eight in ten cells may be filled before nothing more comes off."""
_CHECK_BYTES: Final = 8
_COUNT: Final = struct.Struct(">i")


class BadSketch(RejectedInput):
    """The bytes are not those of a sketch of such elements."""

    code = "bad-sketch"


class Sketch:
    """A sketch of a set whose elements all have ``width`` bytes."""

    def __init__(self, width: int) -> None:
        self.width = width
        self.counts = [0] * (_TABLES * _CELLS)
        self.elements = [0] * (_TABLES * _CELLS)
        self.checks = [0] * (_TABLES * _CELLS)

    @classmethod
    def of(cls, elements: Iterable[bytes], width: int) -> Self:
        """Return the sketch of a set; none may be given twice."""
        sketch = cls(width)
        for element in elements:
            sketch.put(element, 1)
        return sketch

    def difference(self, other: "Sketch") -> tuple[frozenset[bytes], frozenset[bytes]] | None:
        """Return what only this set has, and what only the other; None when it is too much."""
        left = type(self)(self.width)
        left.counts = [a - b for a, b in zip(self.counts, other.counts, strict=True)]
        left.elements = [a ^ b for a, b in zip(self.elements, other.elements, strict=True)]
        left.checks = [a ^ b for a, b in zip(self.checks, other.checks, strict=True)]
        return _peel(left)

    def to_bytes(self) -> bytes:
        """Return its cells: count (4 bytes), elements, checks (8 bytes) of each."""
        return b"".join(
            _COUNT.pack(count) + element.to_bytes(self.width) + check.to_bytes(_CHECK_BYTES)
            for count, element, check in zip(self.counts, self.elements, self.checks, strict=True)
        )

    @classmethod
    def from_bytes(cls, data: bytes, width: int) -> Self:
        """Read what `to_bytes` wrote. Raises `BadSketch`."""
        size = _COUNT.size + width + _CHECK_BYTES
        if len(data) != _TABLES * _CELLS * size:
            raise BadSketch(f"expected a sketch of {_TABLES * _CELLS} cells of {size} bytes")
        sketch = cls(width)
        for at in range(_TABLES * _CELLS):
            cell = data[at * size : (at + 1) * size]
            (sketch.counts[at],) = _COUNT.unpack_from(cell)
            sketch.elements[at] = int.from_bytes(cell[_COUNT.size : -_CHECK_BYTES])
            sketch.checks[at] = int.from_bytes(cell[-_CHECK_BYTES:])
        return sketch

    def put(self, element: bytes, times: int) -> None:
        """Put an element in, or with -1 take it out."""
        if len(element) != self.width:
            raise BadSketch(f"expected elements of {self.width} bytes")
        number, check = int.from_bytes(element), _check(element)
        for at in _places(element):
            self.counts[at] += times
            self.elements[at] ^= number
            self.checks[at] ^= check


def _peel(left: Sketch) -> tuple[frozenset[bytes], frozenset[bytes]] | None:
    """Take elements out of cells that hold one alone, until all cells are empty."""
    found: dict[int, set[bytes]] = {1: set(), -1: set()}
    waiting = list(range(_TABLES * _CELLS))
    while waiting:
        at = waiting.pop()
        count, element = left.counts[at], left.elements[at].to_bytes(left.width)
        if count in found and _check(element) == left.checks[at]:
            if len(found[1]) + len(found[-1]) == _TABLES * _CELLS:
                return None  # no honest sketch gives more: a hostile one might go on for ever
            found[count].add(element)
            left.put(element, -count)
            waiting.extend(_places(element))
    if any(left.counts) or any(left.elements) or any(left.checks):
        return None
    return frozenset(found[1] - found[-1]), frozenset(found[-1] - found[1])


def _places(element: bytes) -> Iterable[int]:
    digest = sha256(b"place" + element).digest()
    return (
        table * _CELLS + int.from_bytes(digest[table * 8 : table * 8 + 8]) % _CELLS
        for table in range(_TABLES)
    )


def _check(element: bytes) -> int:
    return int.from_bytes(sha256(b"check" + element).digest()[:_CHECK_BYTES])

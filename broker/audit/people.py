"""How many people blinded identifiers stand for: those met in one record are one person's.

A set of each person's identifiers that grows together (union-find, Tarjan 1975). 32 bytes
an identifier are kept, so that a million people take some 200 MB; nobody is named.
"""

from collections.abc import Iterable


class People:
    """Counts people as their identifiers come."""

    __slots__ = ("_count", "_parents")

    def __init__(self) -> None:
        self._parents: dict[bytes, bytes] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, identifiers: Iterable[bytes]) -> None:
        """Take in the identifiers that one record has of its subject."""
        first: bytes | None = None
        for one in identifiers:
            if one not in self._parents:
                self._parents[one] = one
                self._count += 1
            root = self._root(one)
            if first is None:
                first = root
            elif root != first:
                self._parents[root] = first
                self._count -= 1

    def _root(self, one: bytes) -> bytes:
        while (parent := self._parents[one]) != one:
            self._parents[one] = self._parents[parent]  # halve the way for the next time
            one = parent
        return one

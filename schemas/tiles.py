"""A Merkle tree as files: tiles of 256 hashes, and bundles of the entries below them.

C2SP tlog-tiles. A tile of level L holds hashes of height 8·L, each the root over 256
of the level below; the tile at the right edge of a level is partial, and its name says
how wide it is. A full tile never changes, so a log is written by adding files.

No files here: an `Edge` says what is to be written, a `Tree` asks for what it needs.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from schemas.errors import EvidenceError
from schemas.merkle import HASH_BYTES, node_hash, root

WIDTH: Final = 256
HEIGHT: Final = 8
ENTRIES: Final = "entries"
"""Stands where a level stands, in the name of a bundle of entries."""
_LENGTH_BYTES: Final = 2
MOST_ENTRY_BYTES: Final = 2 ** (8 * _LENGTH_BYTES) - 1


class BadTile(EvidenceError):
    """A tile is missing or is not what its name says."""

    code = "bad-tile"


def tile_number(number: int) -> str:
    """Return a number as a path: groups of three digits, ``x`` before all but the last."""
    groups = [f"{number % 1000:03}"]
    while number := number // 1000:
        groups.insert(0, f"x{number % 1000:03}")
    return "/".join(groups)


@dataclass(frozen=True, slots=True)
class TileName:
    """Which tile: its level (or `ENTRIES`), its number in it, and how many it holds."""

    level: int | str
    number: int
    width: int = WIDTH

    @property
    def path(self) -> str:
        """The path below the log's address, such as ``tile/0/x001/x234/067.p/8``."""
        partial = "" if self.width == WIDTH else f".p/{self.width}"
        return f"tile/{self.level}/{tile_number(self.number)}{partial}"

    @classmethod
    def from_path(cls, path: str) -> "TileName | None":
        """Return the name that a path is of; None when it is none."""
        match = _PATH.fullmatch(path)
        if match is None:
            return None
        level: int | str = ENTRIES if match["level"] == ENTRIES else int(match["level"])
        number = int(re.sub(r"[x/]", "", match["number"]))
        name = cls(level, number, int(match["width"] or WIDTH))
        return name if name.path == path else None


_PATH: Final = re.compile(
    r"tile/(?P<level>entries|[0-9]{1,2})/(?P<number>(?:x[0-9]{3}/){0,6}[0-9]{3})"
    r"(?:\.p/(?P<width>[1-9][0-9]{0,2}))?"
)


def pack_entries(entries: Sequence[bytes]) -> bytes:
    """Return a bundle: each entry behind its length in two bytes.

    Raises:
        BadTile: an entry is longer than `MOST_ENTRY_BYTES`.

    """
    if any(len(entry) > MOST_ENTRY_BYTES for entry in entries):
        raise BadTile(f"expected entries of at most {MOST_ENTRY_BYTES} bytes")
    return b"".join(len(entry).to_bytes(_LENGTH_BYTES, "big") + entry for entry in entries)


def unpack_entries(bundle: bytes) -> list[bytes]:
    """Return the entries of a bundle. Raises `BadTile` when it ends in the middle of one."""
    entries, at = [], 0
    while at < len(bundle):
        start = at + _LENGTH_BYTES
        at = start + int.from_bytes(bundle[at:start], "big")
        entries.append(bundle[start:at])
    if at != len(bundle):
        raise BadTile("a bundle of entries ends in the middle of an entry")
    return entries


@dataclass(slots=True)
class Edge:
    """The right edge of a tree: all that is needed to add to it, at most 256 hashes a level."""

    size: int = 0
    rows: list[list[bytes]] = field(default_factory=list)

    def append(self, leaf: bytes) -> list[tuple[TileName, bytes]]:
        """Add a leaf hash; return the tiles that became full by it."""
        self.size += 1
        full: list[tuple[TileName, bytes]] = []
        level, hash_ = 0, leaf
        while True:
            if level == len(self.rows):
                self.rows.append([])
            row = self.rows[level]
            row.append(hash_)
            if len(row) < WIDTH:
                return full
            number = (self.size >> HEIGHT * (level + 1)) - 1
            full.append((TileName(level, number), b"".join(row)))
            level, hash_ = level + 1, root(row)
            row.clear()

    def partial_tiles(self) -> list[tuple[TileName, bytes]]:
        """Return the partial tiles that a checkpoint of this size needs."""
        return [
            (TileName(level, self.size >> HEIGHT * (level + 1), len(row)), b"".join(row))
            for level, row in enumerate(self.rows)
            if row
        ]

    def root(self) -> bytes:
        """Return the root over all leaves (RFC 6962 §2.1)."""
        right: bytes | None = None
        for row in self.rows:
            for peak in reversed(list(_peaks(row))):
                right = peak if right is None else node_hash(peak, right)
        return root([]) if right is None else right


def _peaks(row: Sequence[bytes]) -> Iterator[bytes]:
    """Give the roots of the largest complete trees that a row is made of, left to right."""
    start = 0
    while start < len(row):
        length = 1 << ((len(row) - start).bit_length() - 1)
        yield root(row[start : start + length])
        start += length


ReadTile = Callable[[TileName], bytes | None]
"""Gives the bytes of a tile; None when there is none."""


class Tree:
    """A tree of a known size, whose hashes are read from tiles as they are needed.

    What it returns is as good as the tiles: compare `root` with a checkpoint's.
    """

    def __init__(self, size: int, read: ReadTile) -> None:
        self.size = size
        self._read = read
        self._rows: dict[tuple[int, int], list[bytes]] = {}

    def root(self) -> bytes:
        """Return the root over all entries."""
        return self.root_at(self.size)

    def root_at(self, size: int) -> bytes:
        """Return the root that the tree had when it was of this size."""
        if not 0 <= size <= self.size:
            raise BadTile(f"the log has {self.size} entries, not {size}")
        return self._range(0, size) if size else root([])

    def leaf(self, index: int) -> bytes:
        """Return a leaf hash."""
        return self._node(0, index)

    def inclusion(self, index: int) -> list[bytes]:
        """Return the audit path of an entry, from the leaf upwards (RFC 6962 §2.1.1)."""
        if not 0 <= index < self.size:
            raise BadTile(f"the log has {self.size} entries and none at {index}")
        siblings, low, high = [], 0, self.size
        while high - low > 1:
            middle = low + _split(high - low)
            if index < middle:
                siblings.append(self._range(middle, high))
                high = middle
            else:
                siblings.append(self._range(low, middle))
                low = middle
        return siblings[::-1]

    def consistency(self, size: int) -> list[bytes]:
        """Return the proof that the tree of its first ``size`` entries is part of this one.

        RFC 6962 §2.1.2; empty when they are the same, or when the smaller is empty.
        """
        if not 0 <= size <= self.size:
            raise BadTile(f"the log has {self.size} entries, not {size}")
        return self._subproof(size, 0, self.size, is_whole=True) if size else []

    def _subproof(self, m: int, low: int, high: int, *, is_whole: bool) -> list[bytes]:
        # The names are those of RFC 6962 §2.1.2; b is `is_whole`.
        n = high - low
        if m == n:
            return [] if is_whole else [self._range(low, high)]
        k = _split(n)
        if m <= k:
            proof = self._subproof(m, low, low + k, is_whole=is_whole)
            return [*proof, self._range(low + k, high)]
        proof = self._subproof(m - k, low + k, high, is_whole=False)
        return [*proof, self._range(low, low + k)]

    def _range(self, low: int, high: int) -> bytes:
        """Return the hash over the entries from ``low`` to ``high``, a split of this tree."""
        length = high - low
        if length & (length - 1) == 0:
            return self._node(length.bit_length() - 1, low // length)
        middle = low + _split(length)
        return node_hash(self._range(low, middle), self._range(middle, high))

    def _node(self, height: int, number: int) -> bytes:
        """Return the root of a complete subtree of 2^height entries."""
        level, above = divmod(height, HEIGHT)
        first = number << above
        row = self._row(level, first // WIDTH)
        start = first % WIDTH
        return root(row[start : start + (1 << above)])

    def _row(self, level: int, number: int) -> list[bytes]:
        row = self._rows.get((level, number))
        if row is None:
            row = self._rows[level, number] = self._read_row(level, number)
        return row

    def _read_row(self, level: int, number: int) -> list[bytes]:
        width = min(WIDTH, (self.size >> HEIGHT * level) - number * WIDTH)
        name = TileName(level, number, width)
        # A partial tile may be gone once the full one is there.
        data = self._read(name)
        if data is None and width < WIDTH:
            data = self._read(TileName(level, number))
            data = None if data is None else data[: width * HASH_BYTES]
        if data is None or len(data) != width * HASH_BYTES:
            raise BadTile(f"expected {width} hashes in {name.path}")
        return [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]


def edge_of(size: int, read: ReadTile) -> Edge:
    """Return the right edge of a tree that was written before, to add to it."""
    tree = Tree(size, read)
    rows: list[list[bytes]] = []
    while size >> HEIGHT * len(rows):
        level = len(rows)
        count = size >> HEIGHT * level
        rows.append(
            list(tree._row(level, count // WIDTH)) if count % WIDTH else []  # noqa: SLF001  of this module
        )
    return Edge(size, rows)


def _split(length: int) -> int:
    """Return the largest power of two below a length (RFC 6962 §2.1: k < n ≤ 2k)."""
    return 1 << ((length - 1).bit_length() - 1)

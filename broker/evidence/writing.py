"""Write a log so that no crash makes it sign anything untrue.

The order is what keeps that (each step on disk before the next): records, entries and
tiles; the checkpoint in the history; the checkpoint that others read. What lies beyond
the last signed checkpoint when a writer starts was not signed: it is taken away and made
again from the stream, and is the same again. A full tile is never written over.
"""

import contextlib
import errno
import fcntl
import os
import shutil
from collections.abc import Iterable, Iterator
from itertools import count, islice
from pathlib import Path
from typing import ClassVar, Final

from broker import disk
from broker.evidence.entries import Kept, kept_whole, salting
from broker.evidence.keys import LogKeys
from broker.evidence.reading import LogFiles, framed, framed_bytes, record_places
from broker.evidence.showing import LogDamaged, Shown
from schemas.checkpoints import Checkpoint
from schemas.errors import ConfigurationError, EvidenceError
from schemas.merkle import leaf_hash
from schemas.tiles import (
    ENTRIES,
    HEIGHT,
    WIDTH,
    TileName,
    edge_of,
    pack_entries,
    unpack_entries,
)

_LOCK: Final = "lock"
_NO_ROOM: Final = {errno.ENOSPC, errno.EDQUOT}
_MOST_UNWRITTEN_BYTES: Final = 1 << 20
_LEVELS: Final = 8
"""Of tiles, at most: 2⁶⁴ entries."""


class LogInUse(ConfigurationError):
    """Another process writes this log."""

    code: ClassVar[str] = "log-in-use"


class NoRoom(EvidenceError):
    """The disk is full: nothing is signed until there is room."""

    code: ClassVar[str] = "no-room"


class LogWriter:
    """Adds to a log and signs it. Make one with `writing`, which sees that it is the only one."""

    def __init__(self, path: Path, keys: LogKeys, *, origin: str) -> None:
        self.files = LogFiles(path)
        self.origin = origin
        self._keys = keys
        self._salt_of = salting(keys.salt_key)
        self._dirty: set[Path] = set()
        self._outgrown: list[Path] = []
        self._unwritten: list[bytes] = []
        self._unwritten_bytes = 0
        self._shown = Shown(self.files, keys.public(origin))
        self.signed = self._shown.last
        size = self.signed.size
        self._edge = edge_of(size, self.files.tile)
        if self._edge.root() != self.signed.root:
            raise LogDamaged(
                f"the tiles in {path} do not have the root of the checkpoint that was signed at"
                f" {size}: make the log again with `concordat evidence rebuild`"
            )
        self._entries = self._open_bundle(size)
        self.next_offset = self._offset_after(size)
        self._forget_after(size)

    @property
    def size(self) -> int:
        """How many entries there are, signed or not."""
        return self._edge.size

    @property
    def unsigned(self) -> int:
        """How many entries no checkpoint covers yet."""
        return self._edge.size - self.signed.size

    def append(self, offset: int, content: bytes) -> None:
        """Add what was read at an offset of the stream."""
        kept, entry = kept_whole(offset, self._salt_of(content), content)
        self._append(offset, framed_bytes(kept), entry)

    def append_kept(self, kept: Kept, entry: bytes) -> None:
        """Add an entry, and what is kept beside it: of one that was shredded, the rule."""
        self._append(kept.offset, framed(kept), entry)

    def _append(self, offset: int, record: bytes, entry: bytes) -> None:
        self._unwritten.append(record)
        self._unwritten_bytes += len(record)
        self._entries.append(entry)
        full = self._edge.append(leaf_hash(entry))
        if full:
            self.write_records()
            for name, data in full:
                self._write_tile(name, data)
            number = self._edge.size // WIDTH - 1
            self._write_tile(TileName(ENTRIES, number), pack_entries(self._entries))
            self._entries.clear()
        elif self._unwritten_bytes > _MOST_UNWRITTEN_BYTES:
            self.write_records()
        self.next_offset = offset + 1

    def write_records(self) -> None:
        """Write the records that have come to their file; not yet on disk when this returns."""
        if not self._unwritten:
            return
        path = self.files.records_path((self._edge.size - 1) // WIDTH)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._dirty.add(path)
        with path.open("ab") as file:
            file.write(b"".join(self._unwritten))
        self._unwritten.clear()
        self._unwritten_bytes = 0

    def bundle(self, number: int) -> list[bytes]:
        """Return the entries of a bundle, signed or not. Raises ``BadTile``."""
        if number == self.size // WIDTH:
            return list(self._entries)
        return self.files.entries(number)

    def sign(self) -> Checkpoint:
        """Put everything on disk and sign it.

        When nothing has come, only cosignatures of the last checkpoint are put on it.
        """
        if not self.unsigned:
            self._shown.show_cosignatures()
            return self.signed
        for name, data in self._edge.partial_tiles():
            self._write_tile(name, data)
        if self._entries:
            name = TileName(ENTRIES, self.size // WIDTH, len(self._entries))
            self._write_tile(name, pack_entries(self._entries))
        self.write_records()
        self._sync()
        checkpoint = Checkpoint(self.origin, self.size, self._edge.root())
        self._shown.add(checkpoint.sign(self._keys.signing))
        self.signed = checkpoint
        for folder in self._outgrown:
            shutil.rmtree(folder, ignore_errors=True)
        self._outgrown.clear()
        return checkpoint

    # -- what was there ---------------------------------------------------------------

    def _open_bundle(self, size: int) -> list[bytes]:
        """Return the entries of the bundle that is not full."""
        if size % WIDTH == 0:
            return []
        name = TileName(ENTRIES, size // WIDTH, size % WIDTH)
        bundle = self.files.tile(name)
        entries = unpack_entries(bundle or b"")
        if [leaf_hash(entry) for entry in entries] != self._edge.rows[0]:
            raise LogDamaged(f"the entries in {name.path} are not those of the tile: rebuild")
        return entries

    def _offset_after(self, size: int) -> int:
        if not size:
            return 0
        offset = self.files.offset_of(size - 1)
        if offset is None:
            path = self.files.records_path((size - 1) // WIDTH)
            raise LogDamaged(
                f"neither {path} nor an archive has the record beside entry {size - 1}: put the"
                " archive back, or rebuild the log"
            )
        return offset + 1

    def _forget_after(self, size: int) -> None:
        """Take away what was written and not signed."""
        number = size // WIDTH
        if size % WIDTH:
            path = self.files.records_path(number)
            places = record_places(path.read_bytes())
            os.truncate(path, next(islice(places, size % WIDTH - 1, None))[1])
            number += 1
        _remove(map(self.files.records_path, count(number)))
        names: list[tuple[int | str, int]] = [(ENTRIES, size // WIDTH)]
        names += [(level, size >> HEIGHT * (level + 1)) for level in range(_LEVELS)]
        for level, first in names:
            _remove(self.files.path / TileName(level, at).path for at in count(first))

    # -- writing ----------------------------------------------------------------------

    def _write_tile(self, name: TileName, data: bytes) -> None:
        path = self.files.path / name.path
        # INVARIANT: what was signed is never written over. On a higher level a partial tile
        # stays the same over several checkpoints.
        if self.files.tile(name) != data:
            if path.exists() and name.width == WIDTH:
                raise LogDamaged(f"{path} is not the tile that the records make: rebuild the log")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        self._dirty.add(path)
        if name.width == WIDTH:
            self._outgrown.append(path.with_name(f"{path.name}.p"))

    def _sync(self) -> None:
        for path in self._dirty:
            disk.sync(path)
        # A new file is only there when the folders that lead to it are.
        for folder in {folder for path in self._dirty for folder in path.parents}:
            if folder.is_relative_to(self.files.path):
                disk.sync(folder)
        self._dirty.clear()


@contextlib.contextmanager
def writing(path: Path, keys: LogKeys, *, origin: str) -> Iterator[LogWriter]:
    """Open a log for writing, or begin one.

    Raises:
        LogInUse: another process writes it.
        LogDamaged: its files are not what it has signed.
        NoRoom: the disk is full.

    """
    with locked(path):
        try:
            yield LogWriter(path, keys, origin=origin)
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise
            raise NoRoom(
                f"no room is left on the disk for the log in {path}: nothing more is signed until"
                " some is made; what was decided waits on the stream"
            ) from error


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Be the only process that changes a log. Raises `LogInUse`."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (path / _LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LogInUse(f"another process writes the log in {path}: stop one of them") from None
        yield


def _remove(paths: Iterable[Path]) -> None:
    """Remove files one after the other, to the first that is not there."""
    for path in paths:
        if not path.exists():
            return
        path.unlink()

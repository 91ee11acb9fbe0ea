"""Records of past months in one file each, read from there as if they lay in the log.

    archive/2026-03.tar     the files records/… of the bundles that ended in that month

Any tar unpacks one into the log's folder, and then it is as it was before. What a record
must be is said by the tree, so an archive needs no hash of its own: `verify` reads the
archives with the rest. ``archive`` may be a link to another disk.
"""

import contextlib
import fcntl
import io
import os
import tarfile
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator
from pathlib import Path
from typing import IO, Final, NamedTuple

from broker.disk import replacing
from schemas.errors import EvidenceError
from schemas.tiles import tile_number

FOLDER: Final = "archive"
RECORDS: Final = "records"
_SUFFIX: Final = ".tar"
_LONGEST_END: Final = 1 << 20
"""Bytes of zeros after the last member that a tar of whatever block size may have."""

Change = Callable[[int, bytes], bytes]
"""Gives what a bundle's records become, from its number and what they are."""


class BadArchive(EvidenceError):
    """An archive cannot be read, so nobody knows what is in it."""

    code = "bad-archive"


class NoRecords(EvidenceError):
    """Records are neither in the log's folder nor in an archive."""

    code = "no-records"


class _Place(NamedTuple):
    archive: Path
    inode: int
    start: int
    length: int


class Archives:
    """The archives in the folder of a log."""

    def __init__(self, log: Path) -> None:
        self.path = log / FOLDER
        self._changed_ns = -1
        self._places: dict[str, list[_Place]] = {}

    def names(self) -> list[Path]:
        """Return the archives in order."""
        return sorted(self.path.glob(f"*{_SUFFIX}"))

    def read(self, number: int) -> bytes | None:
        """Return the records of a bundle; None when they are not in any archive.

        Raises:
            BadArchive: an archive cannot be read.

        """
        place = self._place(number)
        while place is not None:
            with contextlib.suppress(FileNotFoundError), place.archive.open("rb") as file:
                if os.fstat(file.fileno()).st_ino == place.inode:
                    file.seek(place.start)
                    return file.read(place.length)
            self._changed_ns = -1  # it has gone, or been replaced, since it was looked at
            place = self._place(number)
        return None

    def state(self, number: int) -> Hashable:
        """Return what is another value once an archive with these records was replaced."""
        return self._place(number)

    def length(self, number: int) -> int | None:
        """Return how many bytes the records of a bundle are; None when they are in no archive."""
        place = self._place(number)
        return None if place is None else place.length

    def holding(self, numbers: Collection[int]) -> list[Path]:
        """Return the archives that have records of these bundles."""
        self._look()
        found = {
            place.archive
            for number in numbers
            for place in self._places.get(member_name(number), ())
        }
        return sorted(found)

    def _place(self, number: int) -> _Place | None:
        self._look()
        places = self._places.get(member_name(number))
        return places[-1] if places else None

    def _look(self) -> None:
        """Find what is where, if an archive has come, gone or been replaced."""
        try:
            changed_ns = self.path.stat().st_mtime_ns
        except FileNotFoundError:
            self._places = {}
            return
        if changed_ns == self._changed_ns:
            return
        self._places = {}
        for archive in self.names():
            for name, place in _members(archive):
                self._places.setdefault(name, []).append(place)
        self._changed_ns = changed_ns


def member_name(number: int) -> str:
    """Return what the records of a bundle are called, in an archive as in the log."""
    return f"{RECORDS}/{tile_number(number)}"


def write_archive(path: Path, bundles: Iterable[tuple[int, bytes]]) -> None:
    """Write an archive of bundles' records; it is there whole, or not at all."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with replacing(path) as file, _writing(file) as tar:
        for number, data in bundles:
            tar.addfile(_header(member_name(number), len(data)), io.BytesIO(data))


def change_archive(path: Path, numbers: Collection[int], change: Change) -> None:
    """Write an archive again with the records of some bundles changed."""
    wanted = {member_name(number): number for number in numbers}
    _members(path)  # else what lies behind a bad header would be left out
    with (
        tarfile.open(path, "r:") as old,
        replacing(path) as file,
        _writing(file) as tar,
    ):
        for member in old:
            data = _bytes_of(old, member)
            if member.name in wanted:
                data = change(wanted[member.name], data)
            tar.addfile(_header(member.name, len(data)), io.BytesIO(data))


def change_records(log: Path, numbers: Collection[int], change: Change) -> None:
    """Change the records of bundles wherever they lie; on disk when this returns.

    Raises:
        NoRecords: those of a bundle are not here; others may be changed.

    """
    archives = Archives(log)
    with changing_records(log):
        for archive in archives.holding(numbers):
            change_archive(archive, numbers, change)
        for number in numbers:
            path = log / member_name(number)
            if path.exists():
                with replacing(path) as file:
                    file.write(change(number, path.read_bytes()))
            elif archives.read(number) is None:
                raise NoRecords(f"{path} is missing, and in no archive: put it back")


@contextlib.contextmanager
def changing_records(log: Path) -> Iterator[None]:
    """Be the only one who moves or rewrites records of a log; wait for another who does."""
    folder = log / RECORDS
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        for stray in (log / FOLDER).glob("*.partial"):  # of a crash; nobody would shred it
            stray.unlink()
        yield
    finally:
        os.close(descriptor)


def _members(archive: Path) -> list[tuple[str, _Place]]:
    try:
        with archive.open("rb") as file, tarfile.open(fileobj=file, mode="r:") as tar:
            inode = os.fstat(file.fileno()).st_ino
            members = [(one.name, _Place(archive, inode, one.offset_data, one.size)) for one in tar]
            _see_whole(file, max((place.start + place.length for _, place in members), default=0))
            return members
    except (tarfile.TarError, OSError) as error:
        raise BadArchive(
            f"{archive} cannot be read ({type(error).__name__}): put a good copy in its place"
        ) from None


def _see_whole(file: IO[bytes], end: int) -> None:
    """See that nothing comes after the last member: tarfile ends in silence at a bad header.

    Two blocks of zeros end an archive (POSIX pax, "ustar Interchange Format").
    """
    file.seek(end)
    rest = file.read(_LONGEST_END + 1)
    if any(rest) or not 2 * tarfile.BLOCKSIZE <= len(rest) <= _LONGEST_END:
        raise tarfile.ReadError


def _bytes_of(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    return b"" if file is None else file.read()


def _writing(file: IO[bytes]) -> tarfile.TarFile:
    return tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT)


def _header(name: str, size: int) -> tarfile.TarInfo:
    # No time, no owner: the same records make the same archive, byte for byte.
    header = tarfile.TarInfo(name)
    header.size, header.mode = size, 0o600
    return header

"""A log's files, for whoever reads: tiles, entries, records, and every checkpoint.

    checkpoint                      the latest, as a signed note (C2SP tlog-checkpoint)
    history.jsonl                   every checkpoint that was ever signed, one a line
    tile/<level>/<number>[.p/<w>]   hashes (C2SP tlog-tiles)
    tile/entries/<number>[.p/<w>]   the commitments that were hashed
    records/<number>                salt and record of each, 256 a file, for those who may
    archive/<month>.tar             the same of past months (`broker.evidence.archives`)
    cosigned.jsonl                  checkpoints with the cosignatures of witnesses

The first, third and fourth are what other people's clients read; they hold no record.
"""

import json
from collections.abc import Hashable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

from broker.evidence.archives import Archives, NoRecords, member_name
from broker.evidence.entries import Kept
from schemas.checkpoints import Checkpoint
from schemas.notes import Note, NoteKey
from schemas.tiles import ENTRIES, WIDTH, BadTile, TileName, unpack_entries

CHECKPOINT: Final = "checkpoint"
HISTORY: Final = "history.jsonl"
COSIGNED: Final = "cosigned.jsonl"
_LENGTH_BYTES: Final = 4


class LogFiles:
    """The files of a log below ``path``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.archives = Archives(path)

    def tile(self, name: TileName) -> bytes | None:
        """Return a tile or a bundle of entries; None when it is not there."""
        try:
            return (self.path / name.path).read_bytes()
        except FileNotFoundError:
            return None

    def records_path(self, number: int) -> Path:
        """Return where the records of a bundle lie."""
        return self.path / member_name(number)

    def records_bytes(self, number: int) -> bytes:
        """Return the records of a bundle as they lie in a file; empty when there are none.

        Raises ``BadArchive``.
        """
        try:
            return self.records_path(number).read_bytes()
        except FileNotFoundError:
            return self.archives.read(number) or b""

    def entries(self, number: int) -> list[bytes]:
        """Return the commitments of a bundle, as many as there are.

        Raises ``BadTile``.
        """
        bundle = self.tile(TileName(ENTRIES, number))
        folder = self.path / f"{TileName(ENTRIES, number).path}.p"
        if bundle is None:
            widths = sorted((int(one.name) for one in folder.glob("*")), reverse=True)
            bundle = self.tile(TileName(ENTRIES, number, widths[0])) if widths else None
        if bundle is None:
            raise BadTile(f"expected entries in {TileName(ENTRIES, number).path}")
        return unpack_entries(bundle)

    def records(self, number: int) -> list[Kept]:
        """Return what is kept beside the entries of a bundle, as far as it was written whole.

        Raises `BadEntry`.
        """
        data = self.records_bytes(number)
        return [Kept.from_bytes(data[start:end]) for start, end in record_places(data)]

    def state(self, number: int) -> Hashable:
        """Return what is another value once the records of a bundle have changed or moved.

        None when they are not here.
        """
        try:
            found = self.records_path(number).stat()
        except FileNotFoundError:
            return self.archives.state(number)
        return found.st_ino, found.st_size, found.st_mtime_ns

    def length(self, number: int) -> int | None:
        """Return how many bytes the records of a bundle are; None when they are not here."""
        try:
            return self.records_path(number).stat().st_size
        except FileNotFoundError:
            return self.archives.length(number)

    def place(self, number: int) -> str:
        """Return the file in which the records of a bundle lie, below the log's folder.

        The one in which they belong, when they are not here.
        """
        path = self.records_path(number)
        holding = [] if path.exists() else self.archives.holding([number])
        return str((holding or [path])[-1].relative_to(self.path))

    def see_whole(self, number: int, records: Sequence[Kept], width: int) -> None:
        """See that as many of a bundle's records are here as there are entries.

        Raises:
            NoRecords: they are not.

        """
        if len(records) < width:
            first = number * WIDTH
            raise NoRecords(
                f"the records of the entries {first + len(records)} to {first + width - 1} are"
                f" neither in {self.records_path(number)} nor in an archive: put the archive back"
                " that has them"
            )

    def offset_of(self, index: int) -> int | None:
        """Return the stream's offset of an entry; None when nothing is kept beside it."""
        number, at = divmod(index, WIDTH)
        data = self.records_bytes(number)
        for start, end in islice(record_places(data), at, at + 1):
            return Kept.from_bytes(data[start:end]).offset
        return None

    def latest(self, log: NoteKey) -> tuple[Checkpoint, Note] | None:
        """Return the latest checkpoint; None when none was signed yet. Raises ``BadNote``."""
        try:
            note = Note.read((self.path / CHECKPOINT).read_bytes())
        except FileNotFoundError:
            return None
        return Checkpoint.trusted(note, log), note

    def history(self) -> Iterator[Note]:
        """Give every checkpoint that was signed, in that order; nothing is verified.

        A last line that was not written whole is not one. Raises ``BadNote``.
        """
        return self._notes(HISTORY)

    def cosigned(self) -> Iterator[Note]:
        """Give the checkpoints that witnesses have cosigned, as they came; nothing is verified.

        One checkpoint may come more than once, each time with other cosignatures. Raises
        ``BadNote``.
        """
        return self._notes(COSIGNED)

    def _notes(self, name: str) -> Iterator[Note]:
        try:
            file = (self.path / name).open("rb")
        except FileNotFoundError:
            return
        with file:
            for line in file:
                if line.endswith(b"\n"):
                    yield _note_in(line, name)


def _note_in(line: bytes, name: str) -> Note:
    try:
        text = json.loads(line)["note"]
    except (ValueError, KeyError, TypeError, RecursionError):
        text = None
    if not isinstance(text, str):
        raise BadTile(f"expected a checkpoint in each line of {name}")
    return Note.read(text.encode())


def framed(record: Kept) -> bytes:
    """Return a record as it lies in a file, behind its length in four bytes."""
    return framed_bytes(record.to_bytes())


def framed_bytes(data: bytes) -> bytes:
    """Return what is kept of a record as it lies in a file."""
    return len(data).to_bytes(_LENGTH_BYTES, "big") + data


def record_places(data: bytes) -> Iterator[tuple[int, int]]:
    """Give where each record of a file begins and ends; one that is cut off is left out."""
    at = 0
    while at + _LENGTH_BYTES <= len(data):
        start = at + _LENGTH_BYTES
        at = start + int.from_bytes(data[at:start], "big")
        if at <= len(data):
            yield start, at

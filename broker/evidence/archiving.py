"""Put the records of past months into one file each; they are read from there as before.

A bundle of 256 records belongs to the month in which its last one was appended. The files
in the log's folder go when the archive is on disk and has been read back. What was put back
from an archive, or made again, goes into the same archive as it is now.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain, count, groupby
from pathlib import Path
from typing import Final

from broker.evidence.archives import (
    FOLDER,
    Archives,
    BadArchive,
    change_archive,
    changing_records,
    member_name,
    write_archive,
)
from broker.evidence.entries import record_from
from broker.evidence.reading import LogFiles
from broker.routing import DECISIONS
from schemas.tiles import WIDTH

_MILLISECONDS: Final = 1000


@dataclass(frozen=True, slots=True)
class Archived:
    """A month that was archived: where, and how many bundles of 256 records it has."""

    month: str
    path: Path
    bundles: int

    def to_json(self) -> dict[str, object]:
        """Return it for a machine."""
        return {"month": self.month, "file": str(self.path), "records": self.bundles * WIDTH}


def archive_months(log: Path, size: int, *, before: datetime) -> list[Archived]:
    """Archive the full, signed bundles of the months that ended by ``before``.

    What is in archives alone stays as it is, so it may be done again at any time.

    Raises:
        BadArchive: what was written does not read back; the log's own files are all there.

    """
    with changing_records(log):
        files = LogFiles(log)
        months = groupby(_months(files, size // WIDTH), key=lambda one: one[0])
        done: list[Archived] = []
        for month, bundles in months:
            if month >= f"{before.astimezone(UTC):%Y-%m}":
                continue
            numbers = [number for _, number in bundles if files.records_path(number).exists()]
            done += _archive(files, month, numbers)
        return done


def _archive(files: LogFiles, month: str, numbers: list[int]) -> Iterator[Archived]:
    """Put bundles into the archives that have them, the others into one of their own."""
    known = {number: files.archives.holding([number]) for number in numbers}
    for path in files.archives.holding(numbers):
        again = [number for number in numbers if path in known[number]]
        change_archive(path, again, lambda number, _: files.records_path(number).read_bytes())
        yield Archived(month, path, len(again))
    _take_away(files, [number for number in numbers if known[number]])
    new = [number for number in numbers if not known[number]]
    if new:
        path = _free_name(files, month)
        write_archive(path, ((number, files.records_path(number).read_bytes()) for number in new))
        try:
            _take_away(files, new)
        except BadArchive:
            path.unlink()
            raise
        yield Archived(month, path, len(new))


def _take_away(files: LogFiles, numbers: list[int]) -> None:
    """Remove from the log's folder what is in archives, if that reads back."""
    written = Archives(files.path)
    for number in numbers:
        if written.read(number) != files.records_path(number).read_bytes():
            raise BadArchive(
                f"{member_name(number)} did not read back from {files.path / FOLDER} as it was"
                " written: nothing was taken out of the log's folder"
            )
    for number in numbers:
        files.records_path(number).unlink()


def _free_name(files: LogFiles, month: str) -> Path:
    # A month may be archived in two parts, when its end was archived before a late bundle.
    names = chain([month], (f"{month}.{part}" for part in count(2)))
    paths = (files.path / FOLDER / f"{name}.tar" for name in names)
    return next(one for one in paths if not one.exists())


def _months(files: LogFiles, bundles: int) -> Iterator[tuple[str, int]]:
    """Give the month of each full bundle; of one that is shredded whole, that of the one before."""
    month = "0000-00"
    for number in range(bundles):
        whole = (one for one in reversed(files.records(number)) if not one.is_shredded)
        last = next(whole, None)
        if last is not None:
            record = record_from(last.content, topic=DECISIONS, partition=0, offset=last.offset)
            month = f"{datetime.fromtimestamp(record.timestamp_ms / _MILLISECONDS, UTC):%Y-%m}"
        yield month, number

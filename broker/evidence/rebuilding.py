"""Make a log again from the streams, when its files were lost or damaged.

Everything is a function of `decisions` and the log's keys, so tiles, entries, records
and checkpoints come out byte for byte as they were. What was signed before is on the
topic ``checkpoints``: the new log must have every root of it, or it does not take the
place of the old one. The old one is kept beside it.

Where the beginning of the stream has been removed (`broker.evidence.disposal`), what was
there is copied: from the old log or another copy of it, whose roots must come out as well.
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import ClassVar, Final

from broker.evidence.cosigning import WITNESSES
from broker.evidence.entries import content_of
from broker.evidence.following import CHECKPOINTS, Progress, check_order
from broker.evidence.keys import LogKeys
from broker.evidence.reading import COSIGNED, LogFiles
from broker.evidence.shredding import carry_out
from broker.evidence.writing import LogWriter, locked, writing
from broker.routing import DECISIONS
from connectors.streams import Streams
from schemas.checkpoints import Checkpoint
from schemas.errors import EvidenceError
from schemas.notes import BadNote, Note, NoteKey
from schemas.tiles import WIDTH

_TOLD_EVERY: Final = 10_000


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """A log that was made again, and where the former one is."""

    size: int
    checkpoints: int
    former: Path


class NotTheSame(EvidenceError):
    """The stream no longer gives what the log has signed."""

    code: ClassVar[str] = "not-the-same"


async def rebuild(  # noqa: PLR0913  what from, what of, and whom to tell
    path: Path,
    keys: LogKeys,
    streams: Streams,
    *,
    origin: str,
    copy: Path | None = None,
    progress: Progress | None = None,
) -> Rebuilt:
    """Make the log at ``path`` again; nothing is replaced unless every root comes out.

    What the stream no longer has is taken from ``copy``, by default from the old log.

    Raises:
        NotTheSame: a root that was signed did not come out.
        LogInUse: a worker writes the log.
        StreamRewritten: the stream has no one order.

    """
    begins = (await streams.begin(DECISIONS)).get(0, 0)
    await check_order(streams, after=begins)
    signed = await _signed_before(streams, keys.public(origin))
    fresh = path.with_name(f"{path.name}.rebuilding")
    with locked(path):
        shutil.rmtree(fresh, ignore_errors=True)
        _carry_over(path, fresh)
        with writing(fresh, keys, origin=origin) as writer:
            copy_beginning(writer, LogFiles(copy or path), begins, signed)
            await _write(writer, streams, signed, progress)
            size, checkpoints = writer.size, len(list(writer.files.history()))
        former = _put_in_place(fresh, path)
    return Rebuilt(size, checkpoints, former)


async def _write(
    writer: LogWriter, streams: Streams, signed: Mapping[int, bytes], progress: Progress | None
) -> None:
    async for record in streams.read(DECISIONS, start=writer.next_offset):
        writer.append(record.offset, content_of(record))
        carry_out(writer, record)
        _sign_again(writer, signed)
        if progress is not None and writer.size % _TOLD_EVERY == 0:
            progress(writer.size)
    writer.sign()
    writer.sign()  # now that nothing is unsigned: what witnesses have said of the last one
    if writer.size < max(signed, default=0):
        raise NotTheSame(
            f"{DECISIONS} has {writer.size} records and {max(signed)} were signed:"
            " nothing was replaced"
        )


def copy_beginning(
    writer: LogWriter, files: LogFiles, before: int, signed: Mapping[int, bytes]
) -> None:
    """Add what another copy of the log has from before an offset of the stream.

    Raises:
        NotTheSame: it does not have it, or not as it was signed.

    """
    for number in count():
        kept = files.records(number) if before else []
        entries = files.entries(number) if kept else []
        for one, entry in zip(kept, entries, strict=False):
            if one.offset >= before:
                return
            if not one.is_shredded and one.commitment != entry:
                raise NotTheSame(
                    f"the record of entry {writer.size} in {files.path} is not what was signed:"
                    " nothing was replaced; name a good copy with --from"
                )
            writer.append_kept(one, entry)
            _sign_again(writer, signed)
        if len(kept) < WIDTH:
            break
    if writer.next_offset < before:
        raise NotTheSame(
            f"{DECISIONS} begins at {before}, and {files.path} has the log up to"
            f" {writer.next_offset}, {writer.size} entries: nothing was replaced; put back archives"
            " that are away, or name a newer copy with --from"
        )


def _sign_again(writer: LogWriter, signed: Mapping[int, bytes]) -> None:
    root = signed.get(writer.size)
    if root is not None and writer.sign().root != root:
        raise NotTheSame(
            f"the first {writer.size} records of {DECISIONS} do not give the root that was"
            " signed: nothing was replaced"
        )


async def _signed_before(streams: Streams, log: NoteKey) -> dict[int, bytes]:
    """Return the root at every size that was signed; what somebody else wrote is passed over."""
    signed = {}
    async for record in streams.read(CHECKPOINTS):
        try:
            found = Checkpoint.trusted(Note.read(record.value or b""), log)
        except BadNote:
            continue
        signed[found.size] = found.root
    return signed


def _carry_over(path: Path, fresh: Path) -> None:
    """Copy what is not made of the streams: what witnesses have said."""
    fresh.mkdir(mode=0o700)
    for name in (WITNESSES, COSIGNED):
        if (path / name).exists():
            shutil.copy2(path / name, fresh / name)


def _put_in_place(fresh: Path, path: Path) -> Path:
    """Return where the former log is kept from now on."""
    names = (path.with_name(f"{path.name}.former-{number}") for number in count(1))
    former = next(name for name in names if not name.exists())
    path.rename(former)
    fresh.rename(path)
    return former

"""Copy the tree of a log: checkpoints, tiles and entries, which say nothing of a record."""

import json
from collections.abc import Iterable
from pathlib import Path

from broker.evidence.reading import CHECKPOINT, COSIGNED, HISTORY, LogFiles
from schemas.checkpoints import Checkpoint
from schemas.notes import Note, NoteKey
from schemas.tiles import ENTRIES, HEIGHT, WIDTH, TileName


def copy_tree(log: LogFiles, latest: tuple[Checkpoint, Note], to: Path, public: NoteKey) -> None:
    """Copy checkpoints, tiles and entries up to a checkpoint, while a worker may go on."""
    size = latest[0].size
    for level in range(-(-size.bit_length() // HEIGHT)):
        _copy_row(log, to, level, size >> HEIGHT * level)
    _copy_row(log, to, ENTRIES, size)
    _copy_notes(log.history(), to / HISTORY, public, size)
    _copy_notes(log.cosigned(), to / COSIGNED, public, size)
    (to / CHECKPOINT).write_text(latest[1].to_text(), encoding="utf-8")


def _copy_notes(notes: Iterable[Note], to: Path, public: NoteKey, size: int) -> None:
    with to.open("w", encoding="utf-8") as copy:
        for note in notes:
            if Checkpoint.trusted(note, public).size <= size:
                copy.write(json.dumps({"note": note.to_text()}, ensure_ascii=False) + "\n")


def _copy_row(log: LogFiles, to: Path, level: int | str, count: int) -> None:
    names = [TileName(level, number) for number in range(count // WIDTH)]
    if count % WIDTH:
        names.append(TileName(level, count // WIDTH, count % WIDTH))
    for name in names:
        data = log.tile(name)
        if data is None and name.width < WIDTH:  # it has become full meanwhile
            name = TileName(level, name.number)  # noqa: PLW2901  the same, as it is named now
            data = log.tile(name)
        if data is not None:  # what is missing is for `verify` to tell
            (to / name.path).parent.mkdir(parents=True, exist_ok=True)
            (to / name.path).write_bytes(data)

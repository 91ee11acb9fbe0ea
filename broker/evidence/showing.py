"""The checkpoints that a log has signed: its history, and the latest, which others read.

The history comes first: what was shown to anybody is in it, whatever happens next.
"""

import json
import os
from typing import ClassVar

from broker import disk
from broker.disk import replacing
from broker.evidence.reading import CHECKPOINT, COSIGNED, HISTORY, LogFiles
from schemas.checkpoints import Checkpoint
from schemas.errors import EvidenceError
from schemas.notes import Note, NoteKey
from schemas.tiles import Edge


class LogDamaged(EvidenceError):
    """The log's files are not what it has signed."""

    code: ClassVar[str] = "log-damaged"


class Shown:
    """The checkpoints of a log on disk, for the one who writes it.

    Raises:
        LogDamaged: the history does not grow.
        BadNote: the log's key has not signed what stands in it.

    """

    def __init__(self, files: LogFiles, log: NoteKey) -> None:
        self._files = files
        self._cosigned_bytes = 0
        self._note: Note | None = None
        self.last = self._read_history(log)
        """The last that was signed; of nothing when none was."""
        if self._note is not None:
            self._publish(self._note)
            self.show_cosignatures()

    def add(self, note: Note) -> None:
        """Put a checkpoint that was signed into the history, and show it; on disk then."""
        line = json.dumps({"note": note.to_text()}, ensure_ascii=False) + "\n"
        with (self._files.path / HISTORY).open("a", encoding="utf-8") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        disk.sync(self._files.path)
        self._publish(note)

    def show_cosignatures(self) -> None:
        """Put what witnesses have said of the last checkpoint on it, if that is news."""
        path, note = self._files.path / COSIGNED, self._note
        if note is None or not path.exists() or path.stat().st_size == self._cosigned_bytes:
            return
        self._cosigned_bytes = path.stat().st_size
        for cosigned in self._files.cosigned():
            if cosigned.text == note.text:
                note = note.signed_by(*cosigned.signatures)
        if note != self._note:
            self._publish(note)

    def _read_history(self, log: NoteKey) -> Checkpoint:
        history = self._files.path / HISTORY
        if history.exists():
            # What a crash has cut off was not shown to anybody.
            os.truncate(history, history.read_bytes().rfind(b"\n") + 1)
        last = Checkpoint(log.name, 0, Edge().root())
        for note in self._files.history():
            found = Checkpoint.trusted(note, log)
            if found.size <= last.size:
                raise LogDamaged(f"the checkpoints in {history} do not grow")
            last, self._note = found, note
        return last

    def _publish(self, note: Note) -> None:
        with replacing(self._files.path / CHECKPOINT) as file:
            file.write(note.to_text().encode())
        self._note = note

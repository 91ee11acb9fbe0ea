"""Checkpoints: what a log says of its whole content, in three lines of a signed note.

C2SP tlog-checkpoint: origin, number of entries, root of the RFC 6962 tree. And the
proof that one entry is in it, as a file that needs nothing else (C2SP tlog-proof), and
what a witness is asked with (C2SP tlog-witness).
"""

import base64
import binascii
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self

from schemas.keys import SigningKey
from schemas.merkle import HASH_BYTES, root_from_path
from schemas.notes import BadNote, Note, NoteKey, NoteSignature, sign_note

_PROOF: Final = "c2sp.org/tlog-proof@v1"
_OLD: Final = "old "
_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,18}")
_LINES: Final = 3
_MOST_SIBLINGS: Final = 63
"""Of a path: a tree has fewer than 2⁶³ entries (RFC 6962 §2.1)."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How many entries the log of ``origin`` had, and the root over them."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """The text that is signed. Extension lines, which nobody could check, are not used."""
        return f"{self.origin}\n{self.size}\n{_encode(self.root)}\n"

    def sign(self, key: SigningKey) -> Note:
        """Return the note, signed by the log under its origin as the key's name."""
        return Note(self.text, (sign_note(self.text, self.origin, key),))

    @classmethod
    def read(cls, text: str) -> Self:
        """Read the text of a note. Raises ``BadNote``."""
        lines = text.split("\n")
        if len(lines) != _LINES + 1 or lines[-1] or not lines[0] or not _NUMBER.fullmatch(lines[1]):
            raise BadNote("expected a checkpoint: origin, size and root, a line each")
        return cls(lines[0], int(lines[1]), _decode(lines[2]))

    @classmethod
    def trusted(cls, note: Note, log: NoteKey) -> Self:
        """Return what a log's own key has signed under its own name. Raises ``BadNote``."""
        found = cls.read(note.text)
        if found.origin != log.name:
            raise BadNote(f"expected a checkpoint of {log.name}, found one of another log")
        note.verified([log])
        return found


@dataclass(frozen=True, slots=True)
class Proof:
    """That the tree of a checkpoint has a certain entry at ``index``.

    ``siblings`` is the audit path from the leaf upwards (RFC 6962 §2.1.1); ``extra`` is
    not part of what is proved.
    """

    index: int
    siblings: tuple[bytes, ...]
    checkpoint: Note
    extra: bytes = b""

    def to_text(self) -> str:
        """Return the file, whose name ends in ``.tlog-proof``."""
        extra = f"extra {_encode(self.extra)}\n" if self.extra else ""
        path = "".join(f"{_encode(sibling)}\n" for sibling in self.siblings)
        return f"{_PROOF}\n{extra}index {self.index}\n{path}\n{self.checkpoint.to_text()}"

    @classmethod
    def read(cls, data: bytes) -> Self:
        """Take such a file apart; nothing is verified. Raises ``BadNote``."""
        head, _, rest = data.partition(b"\n\n")
        try:
            first, *lines = head.decode("ascii").split("\n")
        except UnicodeDecodeError:
            first, lines = "", []
        extra = b""
        if lines and lines[0].startswith("extra "):
            extra = _decode(lines.pop(0).removeprefix("extra "), length=None)
        index = lines.pop(0).removeprefix("index ") if lines else ""
        if first != _PROOF or not _NUMBER.fullmatch(index) or len(lines) > _MOST_SIBLINGS:
            raise BadNote(f"expected a proof: {_PROOF}, index, path, checkpoint")
        return cls(int(index), tuple(map(_decode, lines)), Note.read(rest), extra)

    def verify(
        self, leaf: bytes, log: NoteKey, *, witnesses: Iterable[NoteKey] = ()
    ) -> tuple[Checkpoint, tuple[tuple[NoteKey, NoteSignature], ...]]:
        """Check that the entry with this leaf hash is in the log.

        Returns the checkpoint, and the cosignatures of ``witnesses`` that it bears.

        Raises:
            BadNote: it is not, or the log did not sign that.

        """
        checkpoint = Checkpoint.trusted(self.checkpoint, log)
        root = root_from_path(leaf, self.index, checkpoint.size, self.siblings)
        if root != checkpoint.root:
            raise BadNote(f"the entry is not at {self.index} of the log {checkpoint.origin}")
        keys = tuple(witnesses)
        signed = self.checkpoint.verified((log, *keys))
        return checkpoint, tuple(one for one in signed if one[0] in keys)


@dataclass(frozen=True, slots=True)
class WitnessRequest:
    """That a witness should cosign a checkpoint, which goes on from the ``old_size`` it has seen.

    ``proof`` is the consistency proof between the two (RFC 6962 §2.1.2).
    """

    old_size: int
    proof: tuple[bytes, ...]
    checkpoint: Note

    def to_text(self) -> str:
        """Return the body of a call to ``add-checkpoint``."""
        proof = "".join(f"{_encode(hash_)}\n" for hash_ in self.proof)
        return f"{_OLD}{self.old_size}\n{proof}\n{self.checkpoint.to_text()}"

    @classmethod
    def read(cls, data: bytes) -> Self:
        """Take such a body apart; nothing is verified. Raises ``BadNote``."""
        head, _, rest = data.partition(b"\n\n")
        first, *lines = head.decode("ascii", "replace").split("\n")
        old = first.removeprefix(_OLD)
        if old == first or not _NUMBER.fullmatch(old) or len(lines) > _MOST_SIBLINGS:
            raise BadNote("expected a request to a witness: old size, proof, checkpoint")
        return cls(int(old), tuple(map(_decode, lines)), Note.read(rest))


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _decode(text: str, *, length: int | None = HASH_BYTES) -> bytes:
    """Read base64 in the one way that it is written."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if not data or _encode(data) != text or (length is not None and len(data) != length):
        raise BadNote("expected base64 of a hash")
    return data

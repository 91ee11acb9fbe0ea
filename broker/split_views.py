"""Two things that a log has signed and that cannot both be true, as a file that proves it.

A log shows a split view when it signs, for one name, two trees of which neither goes on
from the other. Both checkpoints bear its signature; what is needed beside them is how
the larger tree begins: a root over as many entries as the smaller has, which is not the
smaller's, with the consistency proof (RFC 6962 §2.1.2) from it to the larger. Whoever
has the log's public key can see that for themselves.
"""

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from schemas.checkpoints import Checkpoint
from schemas.errors import EvidenceError
from schemas.merkle import HASH_BYTES, verify_consistency
from schemas.notes import BadNote, Note, NoteKey
from schemas.tiles import BadTile, Tree


class SplitView(EvidenceError):
    """The log has signed two trees of which neither goes on from the other."""

    code: ClassVar[str] = "split-view"


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Two checkpoints, and how the larger's tree begins.

    Without ``prefix`` it is known only that the log could not show that they are one
    log: a reason to ask, and no proof against it.
    """

    smaller: Note
    larger: Note
    prefix: bytes | None = None
    proof: tuple[bytes, ...] = ()

    def is_proved(self, log: NoteKey) -> bool:
        """Whether the log has signed both, and they cannot be of one tree."""
        try:
            smaller = Checkpoint.trusted(self.smaller, log)
            larger = Checkpoint.trusted(self.larger, log)
        except BadNote:
            return False
        return (
            self.prefix is not None
            and self.prefix != smaller.root
            and verify_consistency(
                smaller.size, self.prefix, larger.size, larger.root, proof=self.proof
            )
        )

    def to_text(self) -> str:
        """Return the file: JSON."""
        document = {
            "smaller": self.smaller.to_text(),
            "larger": self.larger.to_text(),
            "prefix": None if self.prefix is None else base64.b64encode(self.prefix).decode(),
            "proof": [base64.b64encode(one).decode() for one in self.proof],
        }
        return json.dumps(document, ensure_ascii=False, indent=2) + "\n"

    @classmethod
    def read(cls, data: bytes) -> Self:
        """Take such a file apart; nothing is verified. Raises ``BadNote``."""
        try:
            found: Any = json.loads(data)
            smaller, larger = (Note.read(found[name].encode()) for name in ("smaller", "larger"))
            prefix = None if found["prefix"] is None else _hash(found["prefix"])
            return cls(smaller, larger, prefix, tuple(map(_hash, found["proof"])))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise BadNote("expected two checkpoints that contradict each other, as JSON") from None


def contradiction(one: Note, other: Note, tree: Tree) -> Contradiction | None:
    """Hold two checkpoints of a log against each other; None when they are of one tree.

    ``tree`` is the larger's, as the log shows it. Nothing in it is believed: what it is
    asked for must lead to the root that was signed.
    """
    smaller, larger = sorted((one, other), key=lambda note: Checkpoint.read(note.text).size)
    before, after = Checkpoint.read(smaller.text), Checkpoint.read(larger.text)
    if before.size == after.size:  # then the log need show nothing: both roots are signed
        return None if before == after else Contradiction(smaller, larger, after.root)
    try:
        prefix, proof = tree.root_at(before.size), tuple(tree.consistency(before.size))
    except BadTile:
        return Contradiction(smaller, larger)
    if not verify_consistency(before.size, prefix, after.size, after.root, proof=proof):
        return Contradiction(smaller, larger)
    return None if prefix == before.root else Contradiction(smaller, larger, prefix, proof)


def _hash(text: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if len(data) != HASH_BYTES:
        raise BadNote("expected base64 of a hash")
    return data

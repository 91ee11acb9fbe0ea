"""Prove that a record is in the log: for each entry the file that needs nothing else.

C2SP tlog-proof: the path from the entry to a signed checkpoint. Its ``extra`` is what is
kept beside the entry (`broker.evidence.entries.Kept`), from which the entry is made, so
whoever has the proof can read the record and check it with the log's public key alone.
"""

from itertools import islice

from broker.evidence.entries import Kept
from broker.evidence.reading import LogFiles, record_places
from schemas.checkpoints import Checkpoint, Proof
from schemas.errors import EvidenceError
from schemas.merkle import leaf_hash
from schemas.notes import Note, NoteKey
from schemas.tiles import WIDTH, Tree


class NotProved(EvidenceError):
    """The log's files are not what its checkpoint says, or a proof proves something else."""

    code = "not-proved"


class Prover:
    """Makes proofs under the latest checkpoint of a log."""

    def __init__(self, files: LogFiles, latest: tuple[Checkpoint, Note]) -> None:
        self._files = files
        self.checkpoint, self._note = latest
        self._tree = Tree(self.checkpoint.size, files.tile)
        if self._tree.root() != self.checkpoint.root:
            raise NotProved(
                f"the tiles in {files.path} do not have the root that was signed: make the log"
                " again with `concordat evidence rebuild`"
            )

    def proof(self, index: int) -> str | None:
        """Return the text of the proof; None when no checkpoint covers the entry yet."""
        if index >= self.checkpoint.size:
            return None
        kept = self._kept(index)
        if not kept.is_shredded and leaf_hash(kept.commitment) != self._tree.leaf(index):
            raise NotProved(
                f"the record of entry {index} is not what was signed: see `concordat verify`"
            )
        extra = b"" if kept.is_shredded else kept.to_bytes()
        return Proof(index, tuple(self._tree.inclusion(index)), self._note, extra).to_text()

    def _kept(self, index: int) -> Kept:
        number, at = divmod(index, WIDTH)
        data = self._files.records_bytes(number)
        for start, end in islice(record_places(data), at, at + 1):
            return Kept.from_bytes(data[start:end])
        raise NotProved(f"there is no record beside entry {index}: see `concordat verify`")


def proved_record(text: str, log: NoteKey) -> Kept:
    """Check such a proof with the log's key alone, and return the record that it proves.

    Raises:
        BadNote: the log did not sign that, or the entry is not in it.
        NotProved: no record is in the proof.

    """
    proof = Proof.read(text.encode())
    if not proof.extra:
        raise NotProved("there is no record in the proof: it was shredded")
    kept = Kept.from_bytes(proof.extra)
    proof.verify(leaf_hash(kept.commitment), log)
    return kept

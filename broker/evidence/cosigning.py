"""What witnesses say of a log, kept beside it.

    witnesses        the verifier keys whose cosignatures are taken, one a line
    cosigned.jsonl   checkpoints of the history with cosignatures on them, as they came

The latest checkpoint bears the cosignatures that it has (`broker.evidence.writing`). A
log moves on while its witnesses sleep, so what is covered is found in the second file:
under the newest checkpoint there that has enough of them. Who trusts the witnesses has
their keys from them, not from the first.
"""

import fcntl
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Final

from broker.evidence.reading import COSIGNED, LogFiles
from schemas.checkpoints import Checkpoint, WitnessRequest
from schemas.errors import EvidenceError, RejectedInput
from schemas.notes import COSIGNATURE, BadNote, Note, NoteKey, NoteSignature
from schemas.tiles import BadTile, Tree

WITNESSES: Final = "witnesses"


class UnknownWitness(RejectedInput):
    """The key is not of a witness that the log takes cosignatures of."""

    code: ClassVar[str] = "unknown-witness"


class NotOurs(EvidenceError):
    """The log's key has signed a tree that is not this log's."""

    code: ClassVar[str] = "not-ours"


@dataclass(frozen=True, slots=True)
class Cosignatures:
    """A checkpoint and the cosignatures on it that were taken."""

    checkpoint: Checkpoint
    signatures: tuple[tuple[NoteKey, NoteSignature], ...]


def witnesses_of(files: LogFiles) -> list[NoteKey]:
    """Return the witnesses whose cosignatures the log takes. Raises ``BadNote``."""
    try:
        lines = (files.path / WITNESSES).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    return [NoteKey.from_vkey(line) for line in lines]


def is_new_witness(files: LogFiles, witness: NoteKey) -> bool:
    """Whether a witness can be added.

    Raises:
        BadNote: the key is not one for cosignatures, or another has its name.

    """
    if witness.kind != COSIGNATURE:
        raise BadNote("expected the verifier key of a witness, of type 4")
    known = witnesses_of(files)
    if witness in known:
        return False
    if any(one.name == witness.name for one in known):
        raise BadNote(f"there is a witness {witness.name} with another key: give it another name")
    return True


def add_witness(files: LogFiles, witness: NoteKey) -> None:
    """Take cosignatures of a witness from now on. Raises ``BadNote``."""
    if not is_new_witness(files, witness):
        return
    with (files.path / WITNESSES).open("a", encoding="utf-8") as file:
        file.write(witness.to_vkey() + "\n")
        file.flush()
        os.fsync(file.fileno())


def request_to(files: LogFiles, log: NoteKey, witness: str) -> WitnessRequest:
    """Return what to ask a witness with: the latest checkpoint, and that it goes on.

    Raises:
        BadNote: nothing was signed yet.
        UnknownWitness: the log takes no cosignatures of it.

    """
    key = next((one for one in witnesses_of(files) if one.name == witness), None)
    if key is None:
        raise UnknownWitness(f"{witness} is no witness of this log: `concordat witness trust`")
    latest = files.latest(log)
    if latest is None:
        raise BadNote("nothing was signed yet that a witness could cosign")
    checkpoint, note = latest
    old = max((size for size, _ in _sizes(files, key)), default=0)
    proof = Tree(checkpoint.size, files.tile).consistency(old)
    return WitnessRequest(old, tuple(proof), note)


def take_cosignatures(files: LogFiles, log: NoteKey, note: Note) -> Cosignatures:
    """Keep the cosignatures of known witnesses that a checkpoint of this log bears.

    They are on the latest checkpoint when the worker next looks (`LogWriter.sign`).

    Raises:
        BadNote: the log has not signed it, or a known witness's signature does not verify.
        UnknownWitness: none of its signatures is a known witness's.
        NotOurs: the log's key has signed it, and this log is another.

    """
    checkpoint = Checkpoint.trusted(note, log)
    witnesses = witnesses_of(files)
    found = tuple(one for one in note.verified([log, *witnesses]) if one[0] in witnesses)
    if not found:
        raise UnknownWitness("none of its cosignatures is of a witness that this log knows")
    if not _is_ours(files, log, checkpoint):
        raise NotOurs(
            f"the log's key has signed a checkpoint of {checkpoint.size} entries that is not of"
            " this log: keep that file, and find out who uses the key"
        )
    own = Note(note.text, tuple(signature for _, signature in note.verified([log])))
    cosigned = own.signed_by(*(signature for _, signature in found))
    if cosigned not in files.cosigned():  # it may be taken by the clock
        _append(files, cosigned)
    return Cosignatures(checkpoint, found)


def covering(files: LogFiles, log: NoteKey, index: int) -> Note | None:
    """Return the checkpoint that vouches best for an entry; None when none covers it.

    The one with cosignatures of most witnesses, of those the newest; else the latest.
    """
    witnesses = witnesses_of(files)
    best: dict[str, tuple[int, int, Note]] = {}
    for note in files.cosigned():
        size = Checkpoint.trusted(note, log).size
        if size > index:
            known = best.get(note.text, (0, size, Note(note.text)))[2].signed_by(*note.signatures)
            count = sum(key in witnesses for key, _ in known.verified([log, *witnesses]))
            best[note.text] = (count, size, known)
    if best:
        return max(best.values(), key=lambda one: one[:2])[2]
    latest = files.latest(log)
    return latest[1] if latest is not None and latest[0].size > index else None


def _sizes(files: LogFiles, witness: NoteKey) -> Iterable[tuple[int, Note]]:
    """Give the sizes that a witness has cosigned."""
    for note in files.cosigned():
        if any((one.name, one.key_id) == (witness.name, witness.id) for one in note.signatures):
            yield Checkpoint.read(note.text).size, note


def _is_ours(files: LogFiles, log: NoteKey, checkpoint: Checkpoint) -> bool:
    latest = files.latest(log)
    if latest is None or latest[0].size < checkpoint.size:
        return False
    try:
        return Tree(latest[0].size, files.tile).root_at(checkpoint.size) == checkpoint.root
    except BadTile:
        return False


def _append(files: LogFiles, note: Note) -> None:
    """Write a line as one piece, after taking away one that a crash has cut off."""
    line = json.dumps({"note": note.to_text()}, ensure_ascii=False).encode() + b"\n"
    with (files.path / COSIGNED).open("a+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)
        file.write(line)
        file.flush()
        os.fsync(file.fileno())

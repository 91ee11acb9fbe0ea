"""A witness of somebody else's log: it cosigns a checkpoint that goes on from the last it saw.

A partner body runs it, in a folder and under a key of its own. The rules are those of
C2SP tlog-witness; what it says by cosigning is in C2SP tlog-cosignature: that this is
the largest tree of that log which it has seen, and that it has never seen another.

INVARIANT: what was cosigned is on disk before the cosignature is given away, and a
checkpoint is held against it and put in its place under one lock.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import ClassVar, Final, Self

from pydantic import SecretStr

from broker.evidence.reading import LogFiles
from broker.keystore import FileKeyStore
from broker.split_views import Contradiction, SplitView, contradiction
from broker.witness_folder import SETTINGS, NoWitness, WitnessFolder, WitnessSettings
from schemas.checkpoints import Checkpoint, WitnessRequest
from schemas.errors import ConfigurationError, EvidenceError, RejectedInput
from schemas.keys import SigningKey
from schemas.merkle import verify_consistency
from schemas.notes import COSIGNATURE, BadNote, Note, NoteKey, NoteSignature, cosign
from schemas.tiles import BadTile, Tree

OWNER: Final = "witness"


class ClockBehind(ConfigurationError):
    """The clock shows an earlier time than the last cosignature bears."""

    code: ClassVar[str] = "clock-behind"


class UnknownLog(RejectedInput):
    """The checkpoint is of a log that the witness was not told of."""

    code: ClassVar[str] = "unknown-log"


class OldCheckpoint(RejectedInput):
    """The checkpoint is of an earlier size than was cosigned, or the proof begins elsewhere."""

    code: ClassVar[str] = "old-checkpoint"


class NotShown(EvidenceError):
    """The log does not show that its checkpoint goes on from the one that it signed before."""

    code: ClassVar[str] = "not-shown"


@dataclass(frozen=True, slots=True)
class Cosigned:
    """What a witness answers: the checkpoint with its cosignature on it."""

    checkpoint: Checkpoint
    note: Note
    signature: NoteSignature


class Witness:
    """The witness whose folder is ``path``."""

    def __init__(self, path: Path, key: SigningKey, *, name: str, logs: Iterable[NoteKey]) -> None:
        self.path = path
        self._folder = WitnessFolder(path)
        self.public = NoteKey(name, key.public, COSIGNATURE)
        self.logs = {log.name: log for log in logs}
        self._key = key

    @classmethod
    def found(
        cls, path: Path, *, name: str, logs: Iterable[NoteKey], passphrase: SecretStr | None = None
    ) -> Self:
        """Make a witness's folder and key.

        Raises:
            NoWitness: the folder has a witness.

        """
        if (path / SETTINGS).exists():
            raise NoWitness(f"{path / SETTINGS} exists: this folder has a witness already")
        witness = cls(path, SigningKey.generate(), name=name, logs=logs)
        jwks = [witness._key.to_private_jwk()]
        FileKeyStore(witness._folder.keys, passphrase).save(OWNER, jwks)
        known = tuple(witness.logs.values())
        witness._folder.found(WitnessSettings(name, witness.public.to_vkey(), known))
        return witness

    @classmethod
    def load(cls, path: Path, passphrase: SecretStr | None = None) -> Self:
        """Open a witness's folder.

        Raises:
            NoWitness: it is none.
            KeysUnavailable: its key does not open.

        """
        settings = WitnessFolder(path).settings()
        (jwk,) = FileKeyStore(WitnessFolder(path).keys, passphrase).load(OWNER)
        witness = cls(path, SigningKey.from_jwk(jwk), name=settings.name, logs=settings.logs)
        if witness.public.to_vkey() != settings.vkey:
            raise NoWitness(f"the key in {path / 'keys'} is not the one that {SETTINGS} names")
        return witness

    def last(self, origin: str) -> Note | None:
        """Return the checkpoint that was cosigned last; None when there was none yet.

        Raises:
            UnknownLog: this witness was not told of that log.
            NoWitness: what it has seen is lost, so that it cannot tell any more.

        """
        log = self._log(origin)
        path = self._folder.seen_path(log)
        try:
            data = path.read_bytes()
            if not data:
                return None
            note = Note.read(data)
            Checkpoint.trusted(note, log)
            note.verified([self.public])
        except (FileNotFoundError, BadNote):
            raise NoWitness(
                f"{path} does not hold what was cosigned last, so nothing is cosigned: restore it,"
                " or begin a new witness under another key"
            ) from None
        return note

    def cosign_folder(self, files: LogFiles, *, at: datetime) -> Cosigned:
        """Cosign the latest checkpoint of a log's folder, whose tiles must prove it.

        Raises:
            SplitView: the log contradicts what it signed before; the proof of it is kept.
            NotShown: it does not show that it goes on; what it showed is kept.
            OldCheckpoint: it is from before the last one.
            BadNote: it is not signed by the log.
            ClockBehind: the last cosignature is from later than ``at``.

        """
        note = checkpoint_in(files)
        with self._folder.locked():
            shown, last = self._trusted(note), self.last(Checkpoint.read(note.text).origin)
            tree = Tree(shown.size, files.tile)
            if last is not None:
                self._is_not_older(shown, last)
                self._refuse(contradiction(last, note, tree))
            elif not _has_root(tree, shown.root):
                raise NotShown("the tiles do not have the root of the checkpoint: nothing cosigned")
            return self._cosign(note, last, at)

    def cosign_request(self, request: WitnessRequest, *, at: datetime) -> Cosigned:
        """Cosign the checkpoint of a request; raises as :meth:`cosign_folder` does."""
        note = request.checkpoint
        with self._folder.locked():
            shown, last = self._trusted(note), self.last(Checkpoint.read(note.text).origin)
            if last is not None:
                self._is_not_older(shown, last)
                self._refuse(_contradiction_in(request, last))
            elif request.old_size or request.proof:
                raise OldCheckpoint("expected no proof, from 0: nothing was cosigned yet")
            return self._cosign(note, last, at)

    def compare(self, other: Note, files: LogFiles) -> Contradiction | None:
        """Hold a checkpoint that somebody else was shown against the last that was cosigned.

        ``files`` is the log as this witness is shown it. What contradicts is kept.

        Raises:
            UnknownLog, BadNote: it is not of a log that the witness knows.
            NoWitness: nothing was cosigned yet that it could be held against.

        """
        theirs = self._trusted(other)
        mine = self.last(theirs.origin)
        if mine is None:
            raise NoWitness(f"nothing of {theirs.origin} was cosigned yet: cosign first")
        size = max(theirs.size, Checkpoint.read(mine.text).size)
        found = contradiction(mine, other, Tree(size, files.tile))
        if found is not None:
            self._folder.keep_refused(found)
        return found

    # -- the rules --------------------------------------------------------------------

    def _trusted(self, note: Note) -> Checkpoint:
        return Checkpoint.trusted(note, self._log(Checkpoint.read(note.text).origin))

    def _log(self, origin: str) -> NoteKey:
        log = self.logs.get(origin)
        if log is None:
            raise UnknownLog(f"{origin} is not a log that this witness was told of")
        return log

    @staticmethod
    def _is_not_older(shown: Checkpoint, last: Note) -> None:
        size = Checkpoint.read(last.text).size
        if shown.size < size:
            raise OldCheckpoint(
                f"the checkpoint is of {shown.size} entries and {size} were cosigned: ask for"
                " a later one, and keep this one to be compared"
            )

    def _refuse(self, found: Contradiction | None) -> None:
        if found is None:
            return
        path = self._folder.keep_refused(found)
        if found.prefix is None:
            raise NotShown(
                f"the log does not show that it goes on from what it signed before: {path} has"
                " both checkpoints; ask for the proof, and tell the other witnesses"
            )
        raise SplitView(
            f"the log has signed two trees that cannot both be true: {path} proves it to"
            " whoever has the log's public key; tell the other witnesses"
        )

    def _cosign(self, note: Note, last: Note | None, at: datetime) -> Cosigned:
        at_s = int(at.timestamp())
        if last is not None:
            ((_, before),) = last.verified([self.public])
            if at_s < before.cosigned_at:
                raise ClockBehind(
                    "the last cosignature bears a later time than the clock shows: set the clock"
                )
        signature = cosign(note.text, self.public.name, self._key, at_s=at_s)
        log = self._log(Checkpoint.read(note.text).origin)
        # Of other signatures on it nothing is known here: they are not passed on.
        own = Note(note.text, tuple(one for _, one in note.verified([log])))
        cosigned = own.signed_by(signature)
        self._folder.keep_seen(log, cosigned.to_text())
        return Cosigned(Checkpoint.read(note.text), cosigned, signature)


def checkpoint_in(files: LogFiles) -> Note:
    """Return the latest checkpoint of a log's folder; nothing is verified. Raises ``BadNote``."""
    path = files.path / "checkpoint"
    try:
        return Note.read(path.read_bytes())
    except FileNotFoundError:
        raise BadNote(f"{path} is not there: expected a log's folder") from None


def _contradiction_in(request: WitnessRequest, last: Note) -> Contradiction | None:
    """Hold a request against what was cosigned last (C2SP tlog-witness, add-checkpoint)."""
    before, shown = Checkpoint.read(last.text), Checkpoint.read(request.checkpoint.text)
    if shown.size == before.size:  # then no proof is needed
        return contradiction(last, request.checkpoint, Tree(0, lambda _: None))
    if request.old_size != before.size:
        raise OldCheckpoint(
            f"the proof begins at {request.old_size} entries: expected one from {before.size},"
            " which were cosigned last"
        )
    goes_on = verify_consistency(
        before.size, before.root, shown.size, shown.root, proof=request.proof
    )
    return None if goes_on else Contradiction(last, request.checkpoint, None, request.proof)


def _has_root(tree: Tree, root: bytes) -> bool:
    try:
        return tree.root() == root
    except BadTile:
        return False

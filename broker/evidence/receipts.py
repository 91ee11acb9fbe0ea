"""A recipient's receipt: that the decision on what it was sent is in the log.

It is a C2SP tlog-proof file: place, audit path, checkpoint, as many cosignatures as there
are. The record itself names other recipients, so it is not in the file. In its stead the
file has the entry's commitment and what the record says of this recipient alone, as a
note (C2SP signed-note) under the log's key: header, log, place, and canonical JSON
(RFC 8785), a line each. Who has the record can hold the two against each other, so a
receipt that says something else convicts the log.
"""

import base64
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import rfc8785

from broker.acts import is_act
from broker.evidence.cosigning import covering
from broker.evidence.entries import Kept, record_from
from broker.evidence.keys import LogKeys
from broker.evidence.reading import LogFiles
from broker.recording import RETRACTED, read_decision
from broker.routing import DECISIONS
from schemas.checkpoints import Checkpoint, Proof
from schemas.errors import RejectedInput
from schemas.merkle import leaf_hash
from schemas.notes import BadNote, Note, NoteKey, sign_note
from schemas.tiles import WIDTH, Tree

_HEADER: Final = "concordat-receipt/v1"
_LINES: Final = 4


class NoReceipt(RejectedInput):
    """There is nothing that a receipt could be of."""

    code: ClassVar[str] = "no-receipt"


class ReceiptRefused(RejectedInput):
    """A file is no receipt, or what it says is not so."""

    code: ClassVar[str] = "receipt-refused"


@dataclass(frozen=True, slots=True)
class Checked:
    """A receipt that was checked: what the log has said of an entry, and who vouches for it.

    ``said`` has the event, the recipient, the time and, for each delivery, agreement,
    version, hash, flow, purpose and the SHA-256 of what was sent, as in ``delivery`` of a
    received line; for a notice also the event that it ``retracts``.
    """

    index: int
    commitment: bytes
    checkpoint: Checkpoint
    said: dict[str, Any]
    witnesses: tuple[str, ...]

    def covers(self, digest: str) -> bool:
        """Whether it is the receipt of a delivery with this SHA-256, in hexadecimal."""
        return any(one["delivery"] == digest for one in self.said["deliveries"])


def receipt(  # noqa: PLR0913  whose decision on what, in which log
    files: LogFiles,
    keys: LogKeys,
    event_id: str,
    *,
    origin: str,
    recipient: str,
    entry: int | None = None,
) -> Proof:
    """Return a recipient's receipt of an event; ``entry`` chooses where there are several.

    Raises:
        NoReceipt: the log has no record by which the event was shared with it, or several.

    """
    log = keys.public(origin)
    latest = files.latest(log)
    size = 0 if latest is None else latest[0].size
    found = {}
    for index, kept, decision in _decisions_on(files, event_id, size):
        told = _said_of(decision, recipient)
        if told["deliveries"] and entry in {None, index}:
            found[index] = kept, told
    if len(found) != 1:
        raise NoReceipt(
            f"event {event_id} was shared with {recipient} by the entries"
            f" {', '.join(map(str, found))}: choose one with --entry"
            if found
            else f"no record under a checkpoint says that {event_id} was shared with {recipient}"
            + _away(files, size)
        )
    ((index, (kept, said)),) = found.items()
    note = covering(files, log, index)
    assert note is not None  # noqa: S101  the latest covers it
    tree = Tree(Checkpoint.trusted(note, log).size, files.tile)
    said["commitment"] = base64.b64encode(kept.commitment).decode()
    text = f"{_HEADER}\n{origin}\n{index}\n{rfc8785.dumps(said).decode()}\n"
    statement = Note(text, (sign_note(text, origin, keys.signing),))
    return Proof(index, tuple(tree.inclusion(index)), note, statement.to_text().encode())


def check_receipt(data: bytes, log: NoteKey, *, witnesses: Iterable[NoteKey] = ()) -> Checked:
    """Check a receipt with public keys alone; each of ``witnesses`` must have cosigned it.

    Raises:
        ReceiptRefused: it is none, or not so.

    """
    required = tuple(witnesses)
    try:
        proof = Proof.read(data)
        index, said = _statement(Note.read(proof.extra), log)
        commitment = base64.b64decode(said["commitment"], validate=True)
        checkpoint, signed = proof.verify(leaf_hash(commitment), log, witnesses=required)
    except (BadNote, ValueError, TypeError, KeyError) as error:
        why = str(error) if isinstance(error, BadNote) else "what it states is of another shape"
        raise ReceiptRefused(f"not a receipt of {log.name}: {why}") from None
    if index != proof.index:
        raise ReceiptRefused("not a receipt: what it states is of another entry than it proves")
    missing = [key.name for key in required if key not in {key for key, _ in signed}]
    if missing:
        raise ReceiptRefused(f"its checkpoint bears no cosignature of {', '.join(missing)}")
    return Checked(index, commitment, checkpoint, said, tuple(key.name for key, _ in signed))


def contradicts(checked: Checked, kept: Kept) -> bool:
    """Whether the log's record at the entry says something else than the receipt.

    Both are under the log's signature then. Of a record that was shredded nothing is known.
    """
    if kept.is_shredded:
        return False
    if kept.commitment != checked.commitment:
        return True
    decision = _decision_in(kept)
    said = dict(checked.said)
    del said["commitment"]
    return decision is None or _said_of(decision, said["recipient"]) != said


def _statement(note: Note, log: NoteKey) -> tuple[int, dict[str, Any]]:
    note.verified([log])
    lines = note.text.split("\n")
    if len(lines) != _LINES + 1 or lines[0] != _HEADER or lines[1] != log.name:
        raise BadNote("what the log has signed there is no receipt")
    said = json.loads(lines[3])
    if not isinstance(said, dict) or not isinstance(said["deliveries"], list):
        raise BadNote("what the log has signed there is no receipt")
    return int(lines[2]), said


def _decisions_on(
    files: LogFiles, event_id: str, size: int
) -> Iterator[tuple[int, Kept, dict[str, Any]]]:
    """Give the records of decisions on an event: its place in the log, and the record."""
    needle = event_id.encode()
    for number in range(-(-size // WIDTH)):
        if needle not in files.records_bytes(number):  # most of them: nothing is taken apart
            continue
        for index, kept in enumerate(files.records(number), number * WIDTH):
            if index < size and needle in kept.content:
                decision = _decision_in(kept)
                if decision is not None and decision["eventId"] == event_id:
                    yield index, kept, decision


def _away(files: LogFiles, size: int) -> str:
    """Return what is to be added where nothing was found, if some records were not looked at."""
    bundles = range(-(-size // WIDTH))
    away = next((number for number in bundles if files.state(number) is None), None)
    if away is None:
        return ""
    return (
        f"; but not all records are here, {files.records_path(away)} the first that is neither in"
        " its place nor in an archive: put the archives back and ask again"
    )


def _decision_in(kept: Kept) -> dict[str, Any] | None:
    value = record_from(kept.content, topic=DECISIONS, partition=0, offset=kept.offset).value
    return None if value is None or is_act(value) else read_decision(value)


def _said_of(decision: dict[str, Any], recipient: str) -> dict[str, Any]:
    """Return what a record says of one recipient, of whom it alone is to learn."""
    return {
        "event": decision["eventId"],
        "recipient": recipient,
        "decided_at": decision["decidedAt"].isoformat(),
        "deliveries": [
            {
                "agreement": candidate["agreement"],
                "version": candidate["version"],
                "hash": candidate["hash"].hex(),
                "flow": candidate["flow"],
                "purpose": candidate["purpose"],
                "delivery": candidate["sealed"].hex(),
            }
            | ({"retracts": candidate["detail"]} if candidate["reason"] == RETRACTED else {})
            for candidate in decision["candidates"]
            if candidate["recipient"] == recipient and candidate["outcome"] == "permit"
        ],
    }

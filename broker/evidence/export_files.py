"""The files of an export, which say what a log alone does not.

Beside the files of the log (`broker.evidence.reading`) an export has:

    export               what it is, and the SHA-256 of the files below and of the log's
                         checkpoints, as a signed note
    control.jsonl        every document of `control` in order: offset, key, value
    events.jsonl         for each record: where its event lies, and the publisher's signature
    deliveries.jsonl     for each permit: its delivery, by the SHA-256 of the sealed bytes
    freshness.jws        what the scheme last signed of `control` as a whole, if it did
    scheme.jwk           the scheme's public key
    log.vkey             the log's public key

No payload, sealed or not, is in any of them. A file of lines has one JSON object a line.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Self

from broker.evidence.reading import CHECKPOINT, COSIGNED, HISTORY
from schemas.errors import ConcordatError
from schemas.keys import SigningKey
from schemas.notes import BadNote, Note, NoteKey, sign_note

EXPORT: Final = "export"
CONTROL: Final = "control.jsonl"
EVENTS: Final = "events.jsonl"
DELIVERIES: Final = "deliveries.jsonl"
FRESHNESS: Final = "freshness.jws"
SCHEME_KEY: Final = "scheme.jwk"
LOG_KEY: Final = "log.vkey"
OWN: Final = (CONTROL, EVENTS, DELIVERIES, FRESHNESS, SCHEME_KEY, LOG_KEY)
"""The files that a log alone has not."""
LISTED: Final = (*OWN, CHECKPOINT, HISTORY, COSIGNED)
"""The files whose digests are signed: all but the tree and the records, which prove themselves."""

CHECKED_HEADERS: Final = (
    "ce_id", "ce_source", "ce_type", "ce_dataschema",
    "ce_agreementid", "ce_agreementversion", "ce_flowid", "ce_purpose",
)  # fmt: skip
"""Those headers of a delivery that a decision record can be held against; no others are told."""

_TITLE: Final = "concordat-export-v1"
_CHUNK_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an export is: of which log, up to which size, of which period.

    ``left_out`` are the first and the last index of stretches of entries whose records are
    not in it; ``since`` and ``until`` are as `broker.periods.Period` has them. ``gone``
    are the topics whose oldest records the streams no longer held.
    """

    log: str
    size: int
    since: str | None = None
    until: str | None = None
    left_out: tuple[tuple[int, int], ...] = ()
    gone: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)

    def sign(self, key: SigningKey) -> str:
        """Return it as a note that the log's key has signed."""
        text = f"{_TITLE}\n{json.dumps(self._document(), separators=(',', ':'))}\n"
        return Note(text, (sign_note(text, self.log, key),)).to_text()

    @classmethod
    def trusted(cls, data: bytes, log: NoteKey) -> Self:
        """Return what the log's key has signed. Raises ``BadNote``."""
        note = Note.read(data)
        note.verified([log])
        title, _, line = note.text.partition("\n")
        try:
            read = json.loads(line)
            ranges = tuple((int(first), int(last)) for first, last in read["left_out"])
            gone = tuple(map(str, read["gone"]))
            found = cls(**(read | {"left_out": ranges, "gone": gone}))
        except (ValueError, KeyError, TypeError):
            title, found = "", cls("", 0)
        if title != _TITLE or found.log != log.name or not isinstance(found.files, dict):
            raise BadNote("expected what an export of this log is")
        return found

    def _document(self) -> dict[str, Any]:
        return {
            "log": self.log,
            "size": self.size,
            "since": self.since,
            "until": self.until,
            "left_out": [list(one) for one in self.left_out],
            "gone": list(self.gone),
            "files": dict(self.files),
        }


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    digest = sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


class NothingToExport(ConcordatError):
    """There is no checkpoint yet, or the place is taken."""

    code = "nothing-to-export"

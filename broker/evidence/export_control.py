"""What an export says of `control`, and who vouches for it.

The log's name ends in the thumbprint of the scheme's key, so whoever trusts the log's key
knows the scheme's. Parties sign what they say themselves; the scheme signs, again and
again, what `control` is as a whole (`broker.freshness`).
"""

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from broker.evidence.export_files import CONTROL, FRESHNESS, SCHEME_KEY
from broker.evidence.export_lines import BadLine, document_of
from broker.evidence.rules_then import Document
from broker.evidence.verified import Verified
from broker.freshness import Chain, Statement
from schemas.keys import BadSignature, VerifyingKey

ORIGIN: Final = "concordat/"
ORIGIN_CHARACTERS: Final = 16
"""Of the thumbprint of the scheme's key, which a log's name ends in."""


@dataclass(slots=True)
class Control:
    """The documents in order; ``signed`` is up to which offset the scheme has signed them."""

    key: VerifyingKey | None = None
    documents: list[Document] = field(default_factory=list)
    signed: int = 0
    _unrecorded: dict[bytes, list[int]] = field(default_factory=dict)
    _recorded: list[int] = field(default_factory=list)
    _chain: Chain = field(default_factory=Chain)

    def record(self, key: str, digest: bytes) -> bool:
        """Take in that an act put a document there; whether there is one that none put before.

        It has this key, and its value this SHA-256.
        """
        offsets = self._unrecorded.get(_mark(key.encode("utf-8", "surrogateescape"), digest))
        if offsets:
            self._recorded.append(offsets.pop(0))
        return offsets is not None

    def unrecorded(self) -> list[int]:
        """Return the offsets of documents that no act put there, once all acts were taken in.

        Of those between the first and the last that one did: before that there were no acts
        yet, and what follows may be recorded after the last checkpoint.
        """
        if not self._recorded:
            return []
        first, last = min(self._recorded), max(self._recorded)
        left = (offset for offsets in self._unrecorded.values() for offset in offsets)
        return sorted(offset for offset in left if first < offset < last)

    @classmethod
    def read(
        cls, path: Path, lines: Iterable[Mapping[str, Any] | None], log: str, result: Verified
    ) -> "Control":
        """Read what lies in an export; ``lines`` are those of the documents.

        What is wrong with it is found in ``result``.
        """
        control = cls()
        control._take(lines, result)
        control.key = _scheme_key(path, log)
        if control.key is None:
            message = f"{SCHEME_KEY} has not the key of the scheme whose log this is"
            result.find("bad-scheme-key", message)
        elif (path / FRESHNESS).exists():
            control._hold_against(_statement(path, control.key), result)
        return control

    def _take(self, lines: Iterable[Mapping[str, Any] | None], result: Verified) -> None:
        last = -1
        for number, line in enumerate(lines, 1):
            place = f"line {number} of {CONTROL}"
            try:
                offset, key, value = document_of(line)
            except BadLine as error:
                result.find("altered-control", f"{place}: {error}")
                continue
            if offset <= last:
                result.find("altered-control", f"{place} does not come after the one before")
            last = max(last, offset)
            self._chain.extend(key, value, offset)
            self.documents.append((offset, key, value))
            if key is not None and value is not None:
                mark = _mark(key, sha256(value).digest())
                self._unrecorded.setdefault(mark, []).append(offset)

    def _hold_against(self, statement: Statement | None, result: Verified) -> None:
        if statement is None:
            result.find("bad-freshness", f"{FRESHNESS} is not signed by the scheme's key")
        elif self._chain.at(statement.position) != statement.chain:
            result.find(
                "altered-control",
                f"{CONTROL} is not what the scheme has signed up to offset {statement.position}",
            )
        else:
            self.signed = statement.position


def _mark(key: bytes, digest: bytes) -> bytes:
    return sha256(key + b"\0" + digest).digest()


def _scheme_key(path: Path, log: str) -> VerifyingKey | None:
    with suppress(Exception):  # whatever stands there, then it is no key
        key = VerifyingKey.from_jwk(json.loads((path / SCHEME_KEY).read_bytes()))
        if log == ORIGIN + key.kid[:ORIGIN_CHARACTERS]:
            return key
    return None


def _statement(path: Path, key: VerifyingKey) -> Statement | None:
    with suppress(BadSignature, UnicodeDecodeError):
        return Statement.open((path / FRESHNESS).read_text("ascii").removesuffix("\n"), key)
    return None

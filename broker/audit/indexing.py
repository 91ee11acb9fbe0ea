"""What the query store keeps of a decision record; every record of the log passes here."""

import json
from collections.abc import Collection
from functools import lru_cache
from hashlib import sha256
from typing import Final

from broker.keyed_hash import KeyedHash
from broker.record_parts import NOTICES, Parts
from broker.storage.audit_packing import TOKEN_BYTES, Row

_MOST_KEPT: Final = 20_000


class Indexer:
    """Makes rows of records. Of people nothing is kept in mind; names of parties are."""

    __slots__ = ("_tokens",)

    def __init__(self, tokens: KeyedHash) -> None:
        self._tokens = tokens

    def token(self, blind: bytes) -> bytes:
        """Return what the store has in place of a blinded identifier."""
        return self._tokens.of(blind)[:TOKEN_BYTES]

    def row(self, entry: int, parts: Parts) -> Row:
        """Return what is kept of a record at an entry of the log."""
        said = []
        recipients = set()
        for part, seal in parts.candidates:
            said.append((part.body, seal))
            recipients.add(recipient_body(part.recipient))
        tokens = [self._tokens.of(subject)[:TOKEN_BYTES] for subject in parts.subjects]
        return Row(
            entry,
            parts.event_id,
            _sender_body(parts.publisher, parts.event_type),
            parts.decided_ms,
            parts.occurred_ms,
            said=said,
            recipients=recipients,
            tokens=tokens,
            event_tokens=event_tokens(parts.event_id, _details(parts)),
            settles=parts.settles,
        )


def _details(parts: Parts) -> set[str]:
    if parts.settles != NOTICES:
        return _NONE
    return {str(part.says["detail"]) for part, _ in parts.candidates}


@lru_cache(_MOST_KEPT)
def _sender_body(publisher: str, event_type: str) -> bytes:
    return json.dumps([publisher, event_type]).encode()


@lru_cache(_MOST_KEPT)
def recipient_body(recipient: str) -> bytes:
    """Return the phrase that a recipient is."""
    return f"recipient {recipient}".encode()


def event_tokens(event_id: bytes, told_of: Collection[str]) -> list[bytes]:
    """Return what a record is found by: its event, and what its notices say was taken back.

    ``told_of`` are the details of notices, none of any other record.
    """
    found = [event_token(event_id)]
    if told_of:
        found += [event_token(one.encode()) for one in told_of]
    return found


def event_token(event_id: bytes) -> bytes:
    """Return what an event is found by; its id is no secret."""
    return sha256(b"event\0" + event_id).digest()[:TOKEN_BYTES]


_NONE: Final[set[str]] = set()

"""What a publisher commits to for one event: the leaf of a batch's Merkle tree.

The leaf hash is over the deterministic CBOR (RFC 8949 §4.2.1) of::

    ["concordat-event-v1", topic, key, names, values, payload, salt]

The record key is in it because the partition follows from it: a signed record can be
moved to no place where another router would take it for a new one. The header names
are sorted; their values, in that order, are joined by a zero byte, which no value may
contain. With 16 random bytes of salt the hash is a commitment: it tells nothing about
the event to those who do not have the salt.
"""

from functools import lru_cache
from hashlib import sha256
from typing import Final, NamedTuple

from schemas.cbor import BYTES, BYTES_HEADS, TABLED, head, text
from schemas.layouts import MAX_HEADERS, Headers, Laid
from schemas.merkle import LEAF_PREFIX

__all__ = ["MAX_HEADERS", "SALT_BYTES", "SALT_HEAD", "Entry", "Headers", "event_leaf", "leaf_of"]

SALT_BYTES: Final = 16
SALT_HEAD: Final = b"\x50"  # a byte string of 16
_START: Final = LEAF_PREFIX + b"\x87\x72concordat-event-v1"


class Entry(NamedTuple):
    """One record to sign: where it goes, all of its headers, its framed payload, its salt."""

    topic: str
    key: bytes
    headers: Headers
    payload: bytes
    salt: bytes


def event_leaf(entry: Entry) -> bytes:
    """Return the leaf hash of a record.

    Raises ``ValueError`` for headers that cannot be signed: a name twice, a zero byte
    in a value, more than ``MAX_HEADERS``.
    """
    topic, key, headers, payload, salt = entry
    if len(salt) != SALT_BYTES:
        raise ValueError(f"expected a salt of {SALT_BYTES} bytes, got {len(salt)}")
    tail = head(BYTES, len(payload)) + payload + SALT_HEAD + salt
    return leaf_of(topic, key, Laid(headers), tail=tail)


def leaf_of(topic: str, key: bytes, laid: Laid, *, tail: bytes) -> bytes:
    """Return the leaf hash; ``tail`` is payload and salt as they are encoded in the leaf."""
    # The hot path of both signing and verifying.
    layout, values = laid.layout, laid.values
    if not layout.is_signable:
        raise ValueError("the headers of the record cannot be signed")
    joined = b"\x00".join(layout.order(values))
    if joined.count(b"\x00") >= len(values) > 0:
        raise ValueError("a header of the record has a zero byte in it")
    n = len(joined)
    joined_head = BYTES_HEADS[n] if n < TABLED else head(BYTES, n)
    key_head = BYTES_HEADS[len(key)] if len(key) < TABLED else head(BYTES, len(key))
    return sha256(
        b"".join((_start(topic), key_head, key, layout.told, joined_head, joined, tail))
    ).digest()


@lru_cache(maxsize=1024)
def _start(topic: str) -> bytes:
    """Return the leaf up to the key."""
    return _START + text(topic)

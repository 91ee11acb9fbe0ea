"""What a publisher commits to for one event: the leaf of a batch's Merkle tree.

The leaf hash is over the deterministic CBOR (RFC 8949 §4.2.1) of::

    ["concordat-event-v1", topic, key, names, values, payload, salt]

The record key is in it because the partition follows from it: a signed record can be
moved to no place where another router would take it for a new one. The header names
are sorted; their values, in that order, are joined by a zero byte, which no value may
contain. With 16 random bytes of salt the hash is a commitment: it tells nothing about
the event to those who do not have the salt.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from hashlib import sha256
from operator import itemgetter
from typing import Final, NamedTuple

from schemas.cbor import ARRAY, BYTES, BYTES_HEADS, TABLED, head, text
from schemas.merkle import LEAF_PREFIX

SALT_BYTES: Final = 16
SALT_HEAD: Final = b"\x50"  # a byte string of 16
MAX_HEADERS: Final = 64
MAX_NAME: Final = 128  # characters of a header's name

Headers = Sequence[tuple[str, bytes]]

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
    return leaf_of(topic, key, headers, tail=head(BYTES, len(payload)) + payload + SALT_HEAD + salt)


def leaf_of(topic: str, key: bytes, headers: Headers, *, tail: bytes) -> bytes:
    """Return the leaf hash; ``tail`` is payload and salt as they are encoded in the leaf."""
    # The hot path of both signing and verifying. Names repeat from record to record, so
    # everything that follows from them is kept, and the values are joined in one step.
    names, values = zip(*headers) if headers else ((), ())  # noqa: B905  pairs by their type
    start, told_names, order = _plan(topic, names)
    joined = b"\x00".join(order(values))
    if joined.count(0) >= len(names) > 0:
        raise ValueError("a header of the record has a zero byte in it")
    n = len(joined)
    joined_head = BYTES_HEADS[n] if n < TABLED else head(BYTES, n)
    key_head = BYTES_HEADS[len(key)] if len(key) < TABLED else head(BYTES, len(key))
    return sha256(b"".join((start, key_head, key, told_names, joined_head, joined, tail))).digest()


@lru_cache(maxsize=1024)
def _plan(
    topic: str, names: tuple[str, ...]
) -> tuple[bytes, bytes, Callable[[tuple[bytes, ...]], tuple[bytes, ...]]]:
    """Return the leaf up to the key, the names behind it, and what puts values into their order."""
    n = len(names)
    if n > MAX_HEADERS or len(set(names)) != n or any(len(name) > MAX_NAME for name in names):
        raise ValueError("the headers of the record cannot be signed")
    places = sorted(range(n), key=names.__getitem__)
    ordered = [text(names[place]) for place in places]
    told_names = b"".join((head(ARRAY, n), *ordered))
    # itemgetter of one place returns no tuple.
    return _START + text(topic), told_names, itemgetter(*places) if n > 1 else tuple

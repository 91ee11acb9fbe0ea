"""Sign events in batches, and verify each event of a batch by itself.

One Ed25519 signature stands over the Merkle root of a batch; every event carries
that signature and its path to the root. What is signed is the record as a whole:
topic, record key, all headers, payload, and 16 random bytes of salt, so that the leaf
hash is a commitment which may stand in evidence without telling anything about the event.

The plaintext that gets sealed to the broker is one CBOR array::

    [1, kid, signed_at_ms, signature, place, path, payload, salt]

``place`` is eight bytes: the index in the tree and the tree's size, big-endian.
What a batch shares comes first and, like the place, has a fixed width; payload
and salt stand last as they stand in the leaf. Only deterministic encoding
(RFC 8949 §4.2.1) is read, so there is one way to write a record. Hashing and
paths: RFC 6962 §2.1, checked as in RFC 9162 §2.1.3.2.
"""

import secrets
import struct
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from schemas import merkle
from schemas.cbor import BYTES, UNSIGNED, head, read_head, text
from schemas.keys import (
    KID_CHARACTERS,
    SIGNATURE_BYTES,
    BadSignature,
    SigningKey,
    UnknownKey,
    VerifyingKey,
)
from schemas.layouts import Laid
from schemas.leaves import (
    MAX_HEADERS,
    SALT_BYTES,
    SALT_HEAD,
    Entry,
    Headers,
    event_leaf,
    leaf_of,
)

__all__ = [
    "MAX_BATCH",
    "MAX_HEADERS",
    "SALT_BYTES",
    "BadSignature",
    "Entry",
    "Headers",
    "UnknownKey",
    "Verified",
    "Verifier",
    "batch_parts",
    "event_leaf",
    "new_salt",
    "root_message",
    "sign_batch",
]

MAX_BATCH: Final = 65_536  # events under one root; bounds a path to 16 nodes
CACHED_BATCHES: Final = 256

KeyLookup = Callable[[str, str], VerifyingKey | None]
"""(publisher, kid) → the key, or None when that publisher has no such key in use."""

_ROOT_CONTEXT: Final = b"concordat-batch-v1\x00"
_NODE: Final = merkle.NODE_PREFIX
_SHARED_START: Final = b"\x88\x01\x78\x2b"  # array of 8, version 1, text of 43 characters
_KID_END: Final = len(_SHARED_START) + KID_CHARACTERS
_TIME_END: Final = _KID_END + 9
_SHARED_BYTES: Final = _TIME_END + 2 + SIGNATURE_BYTES
_PLACE: Final = struct.Struct(">BII")  # head 48, index, size
_PLACE_HEAD: Final = 0x48
_unpack_place = _PLACE.unpack_from
_TWO_BYTE_LENGTH: Final = BYTES | 25
_ONE_BYTE: Final = 0x100
_PATH_AT: Final = _SHARED_BYTES + _PLACE.size
_TAIL_BYTES: Final = 1 + SALT_BYTES
_MIN_TIME_MS: Final = 1 << 32  # below it the deterministic encoding is shorter: 19 February 1970


class Verified:
    """What a publisher signed. ``leaf`` is the salted commitment to the whole record."""

    __slots__ = ("kid", "leaf", "payload", "salt", "signed_at_ms")

    def __init__(
        self, payload: bytes, leaf: bytes, kid: str, signed_at_ms: int, salt: bytes
    ) -> None:
        self.payload = payload
        self.leaf = leaf
        self.kid = kid
        self.signed_at_ms = signed_at_ms
        self.salt = salt


def new_salt() -> bytes:
    """Return the random part of an event's commitment; a fresh one for every event."""
    return secrets.token_bytes(SALT_BYTES)


def root_message(publisher: str, signed_at_ms: int, tree_size: int, root: bytes) -> bytes:
    """Return the bytes that the signature of a batch is over."""
    return b"".join(
        (
            _ROOT_CONTEXT,
            b"\x84",
            text(publisher),
            head(UNSIGNED, signed_at_ms),
            head(UNSIGNED, tree_size),
            b"\x58\x20",
            root,
        )
    )


def sign_batch(
    key: SigningKey, publisher: str, entries: Sequence[Entry], *, signed_at_ms: int
) -> list[bytes]:
    """Sign all entries at once and return the plaintext to seal for each, in order.

    ``signed_at_ms`` is milliseconds since the epoch. Raises ``ValueError`` for more
    than ``MAX_BATCH`` entries.
    """
    if not entries:
        return []
    if len(entries) > MAX_BATCH:
        raise ValueError(f"expected at most {MAX_BATCH} entries in a batch, got {len(entries)}")
    if not _MIN_TIME_MS <= signed_at_ms < 1 << 63:
        raise ValueError("expected signed_at_ms in milliseconds since the epoch")
    tree = merkle.levels([event_leaf(entry) for entry in entries])
    size = len(entries)
    signature = key.sign(root_message(publisher, signed_at_ms, size, tree[-1][0]))
    shared = b"".join(
        (
            _SHARED_START,
            key.kid.encode(),
            head(UNSIGNED, signed_at_ms),
            head(BYTES, SIGNATURE_BYTES),
            signature,
        )
    )
    signed = []
    for index, entry in enumerate(entries):
        path = b"".join(merkle.path(tree, index))
        payload = entry.payload
        parts = (
            shared,
            _PLACE.pack(_PLACE_HEAD, index, size),
            head(BYTES, len(path)),
            path,
            head(BYTES, len(payload)),
            payload,
            SALT_HEAD,
            entry.salt,
        )
        signed.append(b"".join(parts))
    return signed


@dataclass(slots=True)
class _Batch:
    """A batch whose root signature was verified, and the way up of its last verified record.

    ``nodes[level]`` is that record's ancestor at the level (level 0 is its leaf), and
    ``above[level]`` the rest of its path from there.
    """

    publisher: str
    kid: str
    signed_at_ms: int
    size: int
    index: int
    nodes: list[bytes]
    above: list[bytes]


class Verifier:
    """Verifies signed records, remembering verified roots and nodes of their trees.

    The lookup is asked for every record, so a key taken out of use stops verifying
    at once, remembered or not. What is remembered never changes an answer, only its
    cost: about two hashes an event when a batch's records come one after another.
    At most ``cached_batches`` are remembered, a few hundred bytes to a kilobyte each.
    """

    def __init__(self, keys: KeyLookup, *, cached_batches: int = CACHED_BATCHES) -> None:
        self._keys = keys
        self._cached_batches = cached_batches
        self._batches: OrderedDict[bytes, _Batch] = OrderedDict()

    def verify(
        self, publisher: str, topic: str, *, key: bytes, headers: Headers | Laid, plaintext: bytes
    ) -> Verified:
        """Check that ``publisher`` signed this record for this topic, key and these headers.

        Raises ``UnknownKey`` when the publisher has no such key, ``BadSignature`` for
        anything that was changed or is not written as it must be.
        """
        shared = plaintext[:_SHARED_BYTES]
        batch = self._batches.get(shared)
        # 1. Read. Every length is checked against what there is.
        index, size, path, payload, tail = _read(plaintext)
        # 2. What the publisher committed to.
        try:
            laid = headers if isinstance(headers, Laid) else Laid(headers)
            leaf = leaf_of(topic, key, laid, tail=tail)
        except (ValueError, struct.error):
            raise BadSignature("the record has headers that cannot have been signed") from None
        # 3. A root that the publisher signed, with a key that is in use now, and the way
        #    there: the whole of it for the first record of a batch, then what is new.
        if batch is None or batch.publisher != publisher:
            batch = self._first_of_batch(publisher, shared, leaf, index, size, path)
        elif self._keys(publisher, batch.kid) is None:
            raise UnknownKey("the record names a key that this publisher does not use")
        elif size != batch.size or index >= size or not _meets(batch, leaf, index, path):
            raise BadSignature("the record is not in the batch that was signed")
        return Verified(payload, leaf, batch.kid, batch.signed_at_ms, plaintext[-SALT_BYTES:])

    def _first_of_batch(  # noqa: PLR0913, PLR0917  the read parts of one record, used once
        self, publisher: str, shared: bytes, leaf: bytes, index: int, size: int, path: bytes
    ) -> _Batch:
        """Verify the signature over the root that this record leads to; remember the batch."""
        kid, signed_at_ms, signature = _shared_parts(shared)
        key = self._keys(publisher, kid)
        if key is None:
            raise UnknownKey("the record names a key that this publisher does not use")
        if size > MAX_BATCH or len(path) % merkle.HASH_BYTES:
            raise BadSignature("the record's place in its batch is not possible")
        siblings = [path[at : at + 32] for at in range(0, len(path), 32)]
        root = merkle.root_from_path(leaf, index, size, siblings)
        if root is None:
            raise BadSignature("the path does not fit the place in the batch")
        key.verify(signature, root_message(publisher, signed_at_ms, size, root))
        way_up = _climb(leaf, index, path, last=size - 1, height=(size - 1).bit_length())
        batch = _Batch(publisher, kid, signed_at_ms, size, index, *way_up)
        self._batches[shared] = batch
        if len(self._batches) > self._cached_batches:
            self._batches.popitem(last=False)
        return batch


def _meets(batch: _Batch, leaf: bytes, index: int, path: bytes) -> bool:
    """Whether this record's way up meets that of the batch's last record.

    Below the level where the two ways part nothing is known and must be hashed; at
    that level each one's node must be what the other's path says it is; and above it
    the paths must be the same, so that the answer is the same as for the whole way.
    """
    level = (index ^ batch.index).bit_length() - 1
    if level <= 0:
        # The neighbour in the tree, or the same record again: nothing to hash.
        ours, its, above = leaf + path, batch.nodes[0], batch.above[0]
        if level:
            return ours == its + above
        if ours != above[:32] + its + above[32:]:
            return False
        batch.index, batch.nodes[0], batch.above[0] = index, leaf, path
        return True
    nodes, rests = _climb(leaf, index, path, last=batch.size - 1, height=level)
    above = batch.above[level]
    if nodes[level] + rests[level] != above[:32] + batch.nodes[level] + above[32:]:
        return False
    batch.index = index
    batch.nodes[: level + 1] = nodes
    batch.above[: level + 1] = rests
    return True


def _climb(
    leaf: bytes, index: int, path: bytes, *, last: int, height: int
) -> tuple[list[bytes], list[bytes]]:
    """Hash from the leaf up to ``height``: the node at each level, and the path above each.

    A path that is too short ends in nodes that are nowhere in the tree.
    """
    node = leaf
    nodes, rests = [leaf], [path]
    for level in range(height):
        place = index >> level
        if place & 1:
            node = sha256(_NODE + path[:32] + node).digest()
            path = path[32:]
        elif place < last >> level:
            node = sha256(_NODE + node + path[:32]).digest()
            path = path[32:]
        # Otherwise there is no right neighbour: it goes up as it is.
        nodes.append(node)
        rests.append(path)
    return nodes, rests


def _shared_parts(shared: bytes) -> tuple[str, int, bytes]:
    """Return kid, time and signature from the part that a batch shares."""
    if (
        len(shared) != _SHARED_BYTES
        or not shared.startswith(_SHARED_START)
        or shared[_KID_END : _KID_END + 1] != b"\x1b"
        or shared[_TIME_END : _TIME_END + 2] != b"\x58\x40"
    ):
        raise BadSignature("the record does not start like a signed record of version 1")
    signed_at_ms = int.from_bytes(shared[_KID_END + 1 : _TIME_END])
    if not _MIN_TIME_MS <= signed_at_ms < 1 << 63:
        raise BadSignature("the time of signing is not in its shortest form")
    try:
        kid = shared[len(_SHARED_START) : _KID_END].decode("ascii")
    except UnicodeDecodeError:
        raise BadSignature("the key's name is not a thumbprint") from None
    return kid, signed_at_ms, shared[_TIME_END + 2 :]


def batch_parts(plaintext: bytes) -> tuple[str, int, bytes, int, int, bytes]:
    """Return kid, time, signature, index, size and path of a signed record; nothing is verified.

    Raises ``BadSignature`` when it is not laid out as one.
    """
    kid, signed_at_ms, signature = _shared_parts(plaintext[:_SHARED_BYTES])
    index, size, path, _, _ = _read(plaintext)
    return kid, signed_at_ms, signature, index, size, path


def _read(plaintext: bytes) -> tuple[int, int, bytes, bytes, bytes]:
    """Return index, size, path, payload, and payload and salt as they are encoded."""
    try:
        place_head, index, size = _unpack_place(plaintext, _SHARED_BYTES)
        start, end = _span(plaintext, _PATH_AT)
        payload_at, salt_at = _span(plaintext, end)
    except (IndexError, struct.error):
        raise BadSignature("the signed record is cut off") from None
    if (
        place_head != _PLACE_HEAD
        or salt_at + _TAIL_BYTES != len(plaintext)
        or plaintext[salt_at] != SALT_HEAD[0]
    ):
        raise BadSignature("the signed record is not laid out as version 1")
    return index, size, plaintext[start:end], plaintext[payload_at:salt_at], plaintext[end:]


def _span(data: bytes, at: int) -> tuple[int, int]:
    """Return where a byte string lies, possibly beyond the data; raises ``IndexError`` there."""
    if data[at] == _TWO_BYTE_LENGTH:  # nearly always: written out for speed
        n = data[at + 1] << 8 | data[at + 2]
        if n >= _ONE_BYTE:
            return at + 3, at + 3 + n
    found = read_head(data, at, BYTES)
    if found is None:
        raise BadSignature("the signed record is not deterministic CBOR")
    return found[1], found[1] + found[0]

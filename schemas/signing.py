"""Sign events in batches, and verify each event of a batch by itself.

One Ed25519 signature stands over the Merkle root of a batch; every event carries
that signature and its path to the root. What is signed is the record as a whole:
topic, all headers, payload, and 16 random bytes of salt, so that the leaf hash is
a commitment which may stand in evidence without telling anything about the event.

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
from functools import lru_cache
from hashlib import sha256
from typing import Final, NamedTuple

from schemas import merkle
from schemas.cbor import ARRAY, BYTES, BYTES_HEADS, UNSIGNED, head, read_head, text
from schemas.keys import (
    KID_CHARACTERS,
    SIGNATURE_BYTES,
    BadSignature,
    SigningKey,
    UnknownKey,
    VerifyingKey,
)

__all__ = [
    "MAX_BATCH",
    "SALT_BYTES",
    "BadSignature",
    "Entry",
    "UnknownKey",
    "Verified",
    "Verifier",
    "event_leaf",
    "new_salt",
    "root_message",
    "sign_batch",
]

SALT_BYTES: Final = 16
MAX_BATCH: Final = 65_536  # events under one root; bounds a path to 16 nodes
CACHED_BATCHES: Final = 256
CACHED_NODES: Final = 16_384  # of all batches together, some 400 bytes each

Headers = Sequence[tuple[str, bytes]]
KeyLookup = Callable[[str, str], VerifyingKey | None]
"""(publisher, kid) → the key, or None when that publisher has no such key in use."""

_ROOT_CONTEXT: Final = b"concordat-batch-v1\x00"
_NODE: Final = merkle.NODE_PREFIX
_LEAF_START: Final = merkle.LEAF_PREFIX + b"\x85\x72concordat-event-v1"
_SHARED_START: Final = b"\x88\x01\x78\x2b"  # array of 8, version 1, text of 43 characters
_KID_END: Final = len(_SHARED_START) + KID_CHARACTERS
_TIME_END: Final = _KID_END + 9
_SHARED_BYTES: Final = _TIME_END + 2 + SIGNATURE_BYTES
_PLACE: Final = struct.Struct(">BII")  # head 48, index, size
_PLACE_HEAD: Final = 0x48
_PATH_AT: Final = _SHARED_BYTES + _PLACE.size
_SALT_HEAD: Final = b"\x50"
_TAIL_BYTES: Final = 1 + SALT_BYTES
_MIN_TIME_MS: Final = 1 << 32  # below it the deterministic encoding is shorter: 19 February 1970


class Entry(NamedTuple):
    """One record to sign: where it goes, all of its headers, its framed payload, its salt."""

    topic: str
    headers: Headers
    payload: bytes
    salt: bytes


class Verified(NamedTuple):
    """What a publisher signed. ``leaf`` is the salted commitment to topic, headers and payload."""

    payload: bytes
    leaf: bytes
    kid: str
    signed_at_ms: int
    salt: bytes


def new_salt() -> bytes:
    """Return the random part of an event's commitment; a fresh one for every event."""
    return secrets.token_bytes(SALT_BYTES)


def event_leaf(entry: Entry) -> bytes:
    """Return the leaf hash of a record.

    The hash is over the deterministic CBOR of ``["concordat-event-v1", topic,
    [[name, value], …], payload, salt]``, the pairs sorted by name, then value.
    """
    topic, headers, payload, salt = entry
    if len(salt) != SALT_BYTES:
        raise ValueError(f"expected a salt of {SALT_BYTES} bytes, got {len(salt)}")
    return _leaf(topic, headers, head(BYTES, len(payload)) + payload + _SALT_HEAD + salt)


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
            _SALT_HEAD,
            entry.salt,
        )
        signed.append(b"".join(parts))
    return signed


class _Batch:
    """A batch whose root signature was verified, and the nodes known to lie under that root.

    ``nodes`` maps a position (level and index in one number) to the node's hash with
    its own path to the root behind it: plain bytes, which cost the collector nothing.
    """

    __slots__ = ("kid", "nodes", "publisher", "root", "signed_at_ms", "size")

    def __init__(self, publisher: str, kid: str, signed_at_ms: int, size: int, root: bytes) -> None:
        self.publisher = publisher
        self.kid = kid
        self.signed_at_ms = signed_at_ms
        self.size = size
        self.root = root
        self.nodes: dict[int, bytes] = {}


class Verifier:
    """Verifies signed records, remembering verified roots and nodes of their trees.

    The lookup is asked for every record, so a key taken out of use stops verifying
    at once, cached or not. What is remembered never changes an answer, only its
    cost: about two hashes an event when a batch's records come one after another.
    Both caches are bounded, the oldest batch goes first.
    """

    def __init__(
        self,
        keys: KeyLookup,
        *,
        cached_batches: int = CACHED_BATCHES,
        cached_nodes: int = CACHED_NODES,
    ) -> None:
        self._keys = keys
        self._cached_batches = cached_batches
        self._cached_nodes = cached_nodes
        self._nodes = 0
        self._batches: OrderedDict[bytes, _Batch] = OrderedDict()

    def verify(self, publisher: str, topic: str, headers: Headers, plaintext: bytes) -> Verified:
        """Check that ``publisher`` signed this record for this topic with these headers.

        Raises ``UnknownKey`` when the publisher has no such key, ``BadSignature`` for
        anything that was changed or is not written as it must be.
        """
        # 1. Read. Every length is checked against what there is.
        index, size, path, payload, tail = _read(plaintext)
        # 2. What the publisher committed to.
        leaf = _leaf(topic, headers, tail)
        # 3. The way from there to a root that the publisher signed.
        shared = plaintext[:_SHARED_BYTES]
        batch = self._batches.get(shared)
        if batch is None or batch.publisher != publisher:
            batch = self._open_batch(publisher, shared, leaf, index, size, path)
        elif self._keys(publisher, batch.kid) is None:
            raise UnknownKey("the record names a key that this publisher does not use")
        if size != batch.size or not self._is_under(batch, leaf, index, path):
            raise BadSignature("the record is not in the batch that was signed")
        return Verified(payload, leaf, batch.kid, batch.signed_at_ms, plaintext[-SALT_BYTES:])

    def _open_batch(  # noqa: PLR0913, PLR0917  the read parts of one record, used once
        self, publisher: str, shared: bytes, leaf: bytes, index: int, size: int, path: bytes
    ) -> _Batch:
        """Verify the root that this first record leads to, and remember the batch."""
        kid, signed_at_ms, signature = _shared_parts(shared)
        key = self._keys(publisher, kid)
        if key is None:
            raise UnknownKey("the record names a key that this publisher does not use")
        if size > MAX_BATCH:
            raise BadSignature(f"the batch has more than {MAX_BATCH} events")
        siblings = [path[i : i + 32] for i in range(0, len(path), 32)]
        root = merkle.root_from_path(leaf, index, size, siblings)
        if root is None:
            raise BadSignature("the path does not fit the place in the batch")
        key.verify(signature, root_message(publisher, signed_at_ms, size, root))
        batch = _Batch(publisher, kid, signed_at_ms, size, root)
        self._batches[shared] = batch
        self._forget_the_oldest()
        return batch

    def _is_under(  # noqa: C901  one climb, told step by step
        self, batch: _Batch, leaf: bytes, index: int, path: bytes
    ) -> bool:
        """Climb from the leaf until a node that is known to lie under the root.

        The path above that node must be the known one too, so that the answer is the
        same as for a climb to the root. On the way, each sibling becomes known: the
        siblings of one path divide the rest of the tree among them.
        """
        nodes = batch.nodes
        # Every second record of a batch read in order ends here.
        known = nodes.get(index << 5)
        if known is not None:
            return known == leaf + path
        if index >= batch.size or len(path) % merkle.HASH_BYTES:
            return False
        fn, sn, level, at, r = index, batch.size - 1, 0, 0, leaf
        found = {}
        while True:
            while fn == sn and fn and not fn & 1:  # no right neighbour: goes up as it is
                fn >>= 1
                sn >>= 1
                level += 1
            known = nodes.get(fn << 5 | level)
            if known is not None:
                if known != r + path[at:]:
                    return False
                break
            if sn == 0:
                if at != len(path) or r != batch.root:
                    return False
                break
            p = path[at : at + 32]
            if not p:
                return False
            at += 32
            # The sibling's own way up: our node, then what is above both.
            found[(fn ^ 1) << 5 | level] = p + r + path[at:]
            r = sha256(_NODE + (p + r if fn & 1 else r + p)).digest()
            fn >>= 1
            sn >>= 1
            level += 1
        if found:
            self._remember(nodes, found)
        return True

    def _remember(self, nodes: dict[int, bytes], found: dict[int, bytes]) -> None:
        before = len(nodes)
        nodes.update(found)
        self._nodes += len(nodes) - before
        if self._nodes > self._cached_nodes:
            self._forget_the_oldest()

    def _forget_the_oldest(self) -> None:
        batches = self._batches
        while len(batches) > self._cached_batches or (self._nodes > self._cached_nodes and batches):
            _, batch = batches.popitem(last=False)
            self._nodes -= len(batch.nodes)


def _leaf(topic: str, headers: Headers, tail: bytes) -> bytes:
    # The hot path of both signing and verifying: deterministic CBOR by concatenation.
    parts = [_leaf_start(topic, len(headers))]
    try:
        for name, value in sorted(headers):
            parts += _PAIR_HEADS[name][len(value)], value
    except LookupError:  # a name or a length beyond the usual
        parts = [_leaf_start(topic, len(headers))]
        for name, value in sorted(headers):
            parts += b"\x82", text(name), head(BYTES, len(value)), value
    parts.append(tail)
    return sha256(b"".join(parts)).digest()


@lru_cache(maxsize=1024)
def _leaf_start(topic: str, headers: int) -> bytes:
    return _LEAF_START + text(topic) + head(ARRAY, headers)


# For each usual header, the start of its pair for every length of value: array of
# two, the name as text, the head of the value.
_PAIR_HEADS: Final = {
    name: tuple(b"\x82" + text(name) + value_head for value_head in BYTES_HEADS)
    for name in (
        "ce_specversion",
        "ce_id",
        "ce_source",
        "ce_type",
        "ce_time",
        "ce_dataschema",
        "ce_occurredat",
        "ce_sequence",
        "ce_correlationid",
        "ce_causationid",
        "ce_retractsid",
        "ce_classification",
        "content-type",
    )
}


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


def _read(plaintext: bytes) -> tuple[int, int, bytes, bytes, bytes]:
    """Return index, size, path, payload, and payload and salt as they are encoded."""
    try:
        place_head, index, size = _PLACE.unpack_from(plaintext, _SHARED_BYTES)
    except struct.error:
        raise BadSignature("the signed record is cut off") from None
    path_head = read_head(plaintext, _PATH_AT, BYTES)
    if place_head != _PLACE_HEAD or path_head is None:
        raise BadSignature("the signed record is not laid out as version 1")
    n, start = path_head
    end = start + n
    payload_head = read_head(plaintext, end, BYTES)
    salt_at = len(plaintext) - _TAIL_BYTES
    if (
        payload_head is None
        or payload_head[0] + payload_head[1] != salt_at
        or not plaintext.startswith(_SALT_HEAD, salt_at)
    ):
        raise BadSignature("the signed record does not end where it should")
    payload = plaintext[payload_head[1] : salt_at]
    return index, size, plaintext[start:end], payload, plaintext[end:]

"""Sign events in batches, and verify each event of a batch by itself.

One Ed25519 signature stands over the Merkle root of a batch; every event carries
that signature and its path to the root. What is signed is the record as a whole:
topic, all headers, payload, and 16 random bytes of salt, so that the leaf hash is
a commitment which may stand in evidence without telling anything about the event.

The plaintext that gets sealed to the broker is one CBOR array::

    [1, kid, signed_at_ms, signature, tree_size, index, path, salt, payload]

The parts that a whole batch shares come first, in a fixed number of bytes. Only
deterministic encoding (RFC 8949 §4.2.1) is read, so there is one way to write a
record. Hashing and paths: RFC 6962 §2.1, checked as in RFC 9162 §2.1.3.2.
"""

import secrets
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import lru_cache
from hashlib import sha256
from typing import Final, NamedTuple

from schemas import merkle
from schemas.cbor import ARRAY, BYTES, BYTES_HEADS, SHORT, UNSIGNED, head, read_head, text
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
_LEAF_START: Final = merkle.LEAF_PREFIX + b"\x85\x72concordat-event-v1"
_SHARED_START: Final = b"\x89\x01\x78\x2b"  # array of 9, version 1, text of 43 characters
_KID_END: Final = len(_SHARED_START) + KID_CHARACTERS
_TIME_END: Final = _KID_END + 9
_SHARED_BYTES: Final = _TIME_END + 2 + SIGNATURE_BYTES
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
    return _leaf(topic, headers, payload, salt)


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
            head(UNSIGNED, size),
        )
    )
    signed = []
    for index, entry in enumerate(entries):
        path = b"".join(merkle.path(tree, index))
        payload = entry.payload
        parts = (
            shared,
            head(UNSIGNED, index),
            head(BYTES, len(path)),
            path,
            b"\x50",
            entry.salt,
            head(BYTES, len(payload)),
            payload,
        )
        signed.append(b"".join(parts))
    return signed


class _Batch:
    """A batch whose root signature was verified, and the nodes known to lie under that root.

    ``nodes`` maps a position (level and index in one number) to the node's hash and
    the rest of the path above it.
    """

    __slots__ = ("kid", "nodes", "root", "signed_at_ms", "size")

    def __init__(self, kid: str, signed_at_ms: int, size: int, root: bytes) -> None:
        self.kid = kid
        self.signed_at_ms = signed_at_ms
        self.size = size
        self.root = root
        self.nodes: dict[int, tuple[bytes, bytes]] = {}


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
        self._batches: OrderedDict[tuple[str, bytes], _Batch] = OrderedDict()

    def verify(self, publisher: str, topic: str, headers: Headers, plaintext: bytes) -> Verified:
        """Check that ``publisher`` signed this record for this topic with these headers.

        Raises ``UnknownKey`` when the publisher has no such key, ``BadSignature`` for
        anything that was changed or is not written as it must be.
        """
        # 1. Read. Every length is checked against what there is.
        shared = plaintext[:_SHARED_BYTES]
        size, at = _number(plaintext, _SHARED_BYTES)
        index, at = _number(plaintext, at)
        path, at = _bytes(plaintext, at)
        salt, at = _bytes(plaintext, at)
        payload, at = _bytes(plaintext, at)
        if at != len(plaintext) or len(salt) != SALT_BYTES:
            raise BadSignature("the signed record does not end where it should")
        # 2. What the publisher committed to.
        leaf = _leaf(topic, headers, payload, salt)
        # 3. The way from there to a root that the publisher signed.
        batch = self._batches.get((publisher, shared))
        if batch is None:
            batch = self._open_batch(publisher, shared, leaf, index, size, path)
        elif self._keys(publisher, batch.kid) is None:
            raise UnknownKey(f"no key {batch.kid} of this publisher is in use")
        if size != batch.size or not self._is_under(batch, leaf, index, path):
            raise BadSignature("the record is not in the batch that was signed")
        return Verified(payload, leaf, batch.kid, batch.signed_at_ms, salt)

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
        batch = _Batch(kid, signed_at_ms, size, root)
        self._batches[publisher, shared] = batch
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
        size = batch.size
        if index >= size or len(path) % 32:
            return False
        nodes = batch.nodes
        fn, sn, level, at, r = index, size - 1, 0, 0, leaf
        found: list[tuple[int, tuple[bytes, bytes]]] = []
        while True:
            while fn == sn and fn and not fn & 1:  # no right neighbour: goes up as it is
                fn >>= 1
                sn >>= 1
                level += 1
            known = nodes.get(fn << 5 | level)
            if known is not None:
                if known[0] != r or known[1] != path[at:]:
                    return False
                break
            if sn == 0:
                if at != len(path) or r != batch.root:
                    return False
                break
            p = path[at : at + 32]
            if len(p) != merkle.HASH_BYTES:
                return False
            at += 32
            # The sibling's own way up: our node, then what is above both.
            found.append(((fn ^ 1) << 5 | level, (p, r + path[at:])))
            pair = p + r if fn & 1 else r + p
            r = sha256(merkle.NODE_PREFIX + pair).digest()
            fn >>= 1
            sn >>= 1
            level += 1
        if found:
            before = len(nodes)
            nodes.update(found)
            self._nodes += len(nodes) - before
            if self._nodes > self._cached_nodes:
                self._forget_the_oldest()
        return True

    def _forget_the_oldest(self) -> None:
        batches = self._batches
        while len(batches) > self._cached_batches or (self._nodes > self._cached_nodes and batches):
            _, batch = batches.popitem(last=False)
            self._nodes -= len(batch.nodes)


def _leaf(topic: str, headers: Headers, payload: bytes, salt: bytes) -> bytes:
    # The hot path of both signing and verifying: deterministic CBOR by concatenation.
    parts = [_topic_start(topic), head(ARRAY, len(headers))]
    for name, value in sorted(headers):
        n = len(value)
        parts += (
            _NAMES.get(name) or _name(name),
            BYTES_HEADS[n] if n < SHORT else head(BYTES, n),
            value,
        )
    parts += (head(BYTES, len(payload)), payload, b"\x50", salt)
    return sha256(b"".join(parts)).digest()


@lru_cache(maxsize=1024)
def _topic_start(topic: str) -> bytes:
    return _LEAF_START + text(topic)


@lru_cache(maxsize=256)
def _name(name: str) -> bytes:
    """Return the start of a header pair: array of two, the name as text."""
    return b"\x82" + text(name)


_NAMES: Final = {
    name: _name(name)
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


def _number(data: bytes, at: int) -> tuple[int, int]:
    """Read an unsigned number of at most 32 bits in its shortest form."""
    found = read_head(data, at, UNSIGNED)
    if found is None:
        raise BadSignature("the signed record is cut off or not deterministic CBOR")
    return found


def _bytes(data: bytes, at: int) -> tuple[bytes, int]:
    """Read a byte string that lies wholly in ``data``."""
    found = read_head(data, at, BYTES)
    if found is None or (end := found[0] + found[1]) > len(data):
        raise BadSignature("the signed record is cut off or not deterministic CBOR")
    return data[found[1] : end], end

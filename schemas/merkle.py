"""Merkle tree hashing as in Certificate Transparency.

RFC 6962 §2.1 gives the hashing and the audit path, RFC 9162 §2.1.3.2 the way of
checking a path without knowing the tree. Leaves and nodes are hashed under
different prefixes, so no leaf can be passed off as a node.
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import Final

HASH_BYTES: Final = 32
LEAF_PREFIX: Final = b"\x00"  # RFC 6962 §2.1
NODE_PREFIX: Final = b"\x01"


def leaf_hash(data: bytes) -> bytes:
    """Hash one entry of the tree."""
    return sha256(LEAF_PREFIX + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash two subtrees into their parent."""
    return sha256(NODE_PREFIX + left + right).digest()


def levels(leaves: Sequence[bytes]) -> list[list[bytes]]:
    """Return every level of the tree, the leaf hashes first, the root alone in the last.

    A node without a right neighbour goes up as it is, which gives RFC 6962's
    split at the largest power of two below the size.
    """
    if not leaves:
        return [[sha256(b"").digest()]]
    level = list(leaves)
    tree = [level]
    while len(level) > 1:
        pairs = iter(level)
        parents = [
            sha256(NODE_PREFIX + left + right).digest()
            for left, right in zip(pairs, pairs, strict=False)
        ]
        if len(level) % 2:
            parents.append(level[-1])
        tree.append(parents)
        level = parents
    return tree


def root(leaves: Sequence[bytes]) -> bytes:
    """Return the root over the leaf hashes; of no leaves, the hash of nothing."""
    return levels(leaves)[-1][0]


def path(tree: Sequence[Sequence[bytes]], index: int) -> list[bytes]:
    """Return the audit path of leaf ``index`` in ``levels(…)``, from the leaf upwards."""
    siblings = []
    for level in tree[:-1]:
        sibling = index ^ 1
        if sibling < len(level):
            siblings.append(level[sibling])
        index >>= 1
    return siblings


def root_from_path(leaf: bytes, index: int, size: int, siblings: Sequence[bytes]) -> bytes | None:
    """Return the root that leaf, index, size and path lead to; None when they do not fit.

    RFC 9162 §2.1.3.2, with its variable names.
    """
    if not 0 <= index < size:
        return None
    fn, sn, r = index, size - 1, leaf
    for p in siblings:
        if sn == 0:
            return None
        if fn & 1 or fn == sn:
            r = node_hash(p, r)
            while fn and not fn & 1:
                fn >>= 1
                sn >>= 1
        else:
            r = node_hash(r, p)
        fn >>= 1
        sn >>= 1
    return r if sn == 0 else None


def verify(
    leaf: bytes, index: int, size: int, *, siblings: Sequence[bytes], expected_root: bytes
) -> bool:
    """Whether the leaf hash stands at ``index`` of the tree of ``size`` with that root."""
    return root_from_path(leaf, index, size, siblings) == expected_root

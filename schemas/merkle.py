"""Merkle tree hashing as in Certificate Transparency.

RFC 6962 §2.1 gives the hashing and the audit path, RFC 9162 §2.1.3.2 and §2.1.4.2 the
ways of checking paths and consistency without knowing the tree. Leaves and nodes are hashed under
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


def verify_consistency(
    old_size: int, old_root: bytes, size: int, new_root: bytes, *, proof: Sequence[bytes]
) -> bool:
    """Whether the tree of ``size`` with ``new_root`` goes on from the old one.

    RFC 9162 §2.1.4.2, with its variable names.
    """
    if not 0 <= old_size <= size:
        return False
    if old_size in {0, size}:
        return not proof and (old_root == (new_root if old_size else root([])))
    if not proof:
        return False
    path = list(proof)
    if old_size & (old_size - 1) == 0:
        path.insert(0, old_root)
    fn, sn = old_size - 1, size - 1
    while fn & 1:
        fn >>= 1
        sn >>= 1
    fr = sr = path[0]
    for c in path[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            fr, sr = node_hash(c, fr), node_hash(c, sr)
            while fn and not fn & 1:
                fn >>= 1
                sn >>= 1
        else:
            sr = node_hash(sr, c)
        fn >>= 1
        sn >>= 1
    return (fr, sr, sn) == (old_root, new_root, 0)

"""Merkle trees: the known answers, and what a path does not prove."""

import pytest

from schemas import merkle

# Certificate Transparency's test inputs, and the root over the first n of them
# (google/certificate-transparency, merkletree tests).
INPUTS = [
    bytes.fromhex(text)
    for text in (
        "", "00", "10", "2021", "3031", "40414243", "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]  # fmt: skip
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
LEAVES = [merkle.leaf_hash(data) for data in INPUTS]


@pytest.mark.parametrize("size", range(len(ROOTS)))
def test_the_root_is_the_known_one(size: int) -> None:
    """RFC 6962 section 2.1, by the answers of Certificate Transparency itself."""
    assert merkle.root(LEAVES[:size]).hex() == ROOTS[size]


def test_the_path_is_the_known_one() -> None:
    """The path of the first of eight: its neighbour, then the two subtrees."""
    assert [node.hex() for node in merkle.path(merkle.levels(LEAVES), 0)] == [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ]


def test_a_leaf_is_never_taken_for_a_node() -> None:
    """The same bytes hash apart as a leaf and as two nodes."""
    assert merkle.leaf_hash(LEAVES[0] + LEAVES[1]) != merkle.node_hash(LEAVES[0], LEAVES[1])


@pytest.mark.parametrize("size", range(1, 9))
def test_a_path_proves_one_place_in_one_tree(size: int) -> None:
    """Another index, another size, a changed, longer or shorter path: not proved."""
    tree = merkle.levels(LEAVES[:size])
    root = tree[-1][0]
    for index in range(size):
        siblings = merkle.path(tree, index)

        def proves(index: int, size: int, siblings: list[bytes], leaf: bytes) -> bool:
            return merkle.verify(leaf, index, size, siblings=siblings, expected_root=root)

        leaf = LEAVES[index]
        assert proves(index, size, siblings, leaf)
        assert not any(proves(other, size, siblings, leaf) for other in range(9) if other != index)
        assert not proves(-1, size, siblings, leaf)
        assert not proves(index, size, [*siblings, bytes(32)], leaf)
        assert not proves(index, size, siblings, LEAVES[(index + 1) % 8])
        for at in range(len(siblings)):
            assert not proves(index, size, siblings[:at] + siblings[at + 1 :], leaf)
            assert not proves(index, size, [*siblings[:at], bytes(32), *siblings[at + 1 :]], leaf)

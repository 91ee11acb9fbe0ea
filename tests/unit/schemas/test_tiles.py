"""The tree as files: what an edge writes is what a tree reads, and both are RFC 6962."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas import merkle
from schemas.merkle import verify_consistency
from schemas.tiles import (
    ENTRIES,
    WIDTH,
    BadTile,
    Edge,
    TileName,
    Tree,
    edge_of,
    pack_entries,
    unpack_entries,
)

MOST = 70_000


LEAVES = [merkle.leaf_hash(number.to_bytes(4, "big")) for number in range(MOST)]


class Written:
    """A tree that an edge wrote, with the tiles of every size that it was told to keep."""

    def __init__(self, *sizes: int) -> None:
        self.tiles: dict[TileName, bytes] = {}
        self.edge = Edge()
        self.roots: dict[int, bytes] = {}
        for size in sorted(sizes):
            for leaf in LEAVES[self.edge.size : size]:
                self.tiles |= dict(self.edge.append(leaf))
            self.tiles |= dict(self.edge.partial_tiles())
            self.roots[size] = self.edge.root()

    def tree(self, size: int) -> Tree:
        """Return the tree of that size, read from what was written."""
        return Tree(size, self.tiles.get)


def test_an_empty_tree_has_the_hash_of_nothing() -> None:
    """RFC 6962 §2.1: MTH of the empty list."""
    assert Edge().root() == Tree(0, {}.get).root() == merkle.root([])


def test_the_specification_s_example_has_the_tiles_it_names() -> None:
    """70,000 entries: 273 full and a partial of 112, one full and 17, a partial of 1."""
    tiles = Written(70_000).tiles
    full = [name for name in tiles if name.width == WIDTH]
    assert sum(name.level == 0 for name in full) == 273
    assert [name for name in full if name.level == 1] == [TileName(1, 0)]
    assert {name for name in tiles if name.width != WIDTH} == {
        TileName(0, 273, 112),
        TileName(1, 1, 17),
        TileName(2, 0, 1),
    }
    assert set(Written(256).tiles) == {TileName(0, 0), TileName(1, 0, 1)}


@pytest.mark.parametrize(
    ("name", "path"),
    [
        (TileName(0, 1234067, 8), "tile/0/x001/x234/067.p/8"),
        (TileName(1, 0), "tile/1/000"),
        (TileName(ENTRIES, 999), "tile/entries/999"),
        (TileName(ENTRIES, 1000, 255), "tile/entries/x001/000.p/255"),
    ],
)
def test_a_tile_has_the_path_of_the_specification(name: TileName, path: str) -> None:
    """Names and paths say the same, both ways."""
    assert name.path == path
    assert TileName.from_path(path) == name


@pytest.mark.parametrize(
    "path",
    ["tile/0/067.p/0", "tile/0/x000/067", "tile/00/067", "tile/0/67", "tile/0/067.p/256", "x/0/0"],
)
def test_a_path_of_no_tile_is_none(path: str) -> None:
    """One name, one path: another way of writing it is not read."""
    assert TileName.from_path(path) is None


SIZES = st.one_of(st.integers(1, 600), st.sampled_from([255, 256, 257, 511, 512, 513]))


@given(first=SIZES, second=SIZES, data=st.data())
@example(first=1, second=1, data=None)
@example(first=65_535, second=65_537, data=None)
def test_what_was_written_gives_the_proofs_of_the_whole_tree(
    first: int, second: int, data: st.DataObject | None
) -> None:
    """Roots, audit paths and consistency read from tiles hold against the plain algorithm."""
    old, new = sorted((first, second))
    written = Written(old, new)
    tree, levels = written.tree(new), merkle.levels(LEAVES[:new])
    assert tree.root() == written.roots[new] == levels[-1][0]
    index = 0 if data is None else data.draw(st.integers(0, new - 1))
    path = tree.inclusion(index)
    assert path == merkle.path(levels, index)
    assert tree.leaf(index) == LEAVES[index]
    proof = tree.consistency(old)
    roots = written.roots[old], written.roots[new]
    assert verify_consistency(old, roots[0], new, roots[1], proof=proof)


@given(sizes=st.tuples(st.integers(1, 70), st.integers(1, 70)), data=st.data())
def test_no_other_tree_is_consistent(sizes: tuple[int, int], data: st.DataObject) -> None:
    """A changed root, size or hash of the proof is found; so is one too many or too few."""
    old, new = sorted(sizes)
    written = Written(old, new)
    proof = written.tree(new).consistency(old)
    roots = written.roots[old], written.roots[new]
    other = data.draw(st.binary(min_size=32, max_size=32))
    assert not verify_consistency(old, other, new, roots[1], proof=proof)
    assert not verify_consistency(old, roots[0], new, other, proof=proof)
    assert not verify_consistency(old, roots[0], new, roots[1], proof=[*proof, other])
    assert not verify_consistency(new + 1, roots[0], new, roots[1], proof=proof)
    if proof:
        at = data.draw(st.integers(0, len(proof) - 1))
        changed = [*proof[:at], other, *proof[at + 1 :]]
        assert not verify_consistency(old, roots[0], new, roots[1], proof=changed)
        assert not verify_consistency(old, roots[0], new, roots[1], proof=proof[:-1])


@given(size=SIZES, more=st.integers(0, 300))
def test_a_tree_goes_on_from_what_was_written(size: int, more: int) -> None:
    """An edge read back from tiles gives the roots that one would that never stopped."""
    written = Written(size)
    edge = edge_of(size, written.tiles.get)
    assert edge.root() == written.roots[size]
    end = min(size + more, MOST)
    for leaf in LEAVES[size:end]:
        edge.append(leaf)
    assert edge.root() == merkle.root(LEAVES[:end])
    assert [row for row in edge.rows if row] == [row for row in Written(end).edge.rows if row]


def test_a_partial_tile_may_be_gone_when_it_is_full() -> None:
    """Clients take the full tile in its place, and of it what was there at that size."""
    written = Written(300, 600)
    del written.tiles[TileName(0, 1, 44)]
    assert written.tree(300).root() == written.roots[300]


def test_a_missing_or_cut_tile_is_told_by_its_path() -> None:
    """Nothing is proved from a tile that is not whole."""
    written = Written(600)
    written.tiles[TileName(0, 1)] = written.tiles[TileName(0, 1)][:-1]
    with pytest.raises(BadTile, match="tile/0/001"):
        written.tree(600).inclusion(300)
    del written.tiles[TileName(0, 1)]
    with pytest.raises(BadTile, match="tile/0/001"):
        written.tree(600).inclusion(300)


@given(st.lists(st.binary(max_size=70), max_size=20))
def test_entries_come_out_of_a_bundle_as_they_went_in(entries: list[bytes]) -> None:
    """Length and entry, one behind the other."""
    bundle = pack_entries(entries)
    assert unpack_entries(bundle) == entries
    if bundle and entries[-1]:
        with pytest.raises(BadTile):
            unpack_entries(bundle[:-1])


def test_an_entry_too_long_for_its_length_is_refused() -> None:
    """Two bytes say how long it is."""
    with pytest.raises(BadTile):
        pack_entries([bytes(65_536)])

"""A sketch names what two sets differ in, and never anything else."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.sketches import BadSketch, Sketch

SETS = st.frozensets(st.binary(min_size=16, max_size=16), max_size=20)


@given(both=SETS, one=SETS, other=SETS)
def test_a_sketch_names_what_two_sets_differ_in(
    both: frozenset[bytes], one: frozenset[bytes], other: frozenset[bytes]
) -> None:
    """What only the one has, and what only the other; written and read again."""
    here, there = both | one, both | other
    sketch = Sketch.from_bytes(Sketch.of(here, 16).to_bytes(), 16)
    assert sketch.difference(Sketch.of(there, 16)) == (here - there, there - here)


def test_the_size_of_a_set_does_not_matter_and_that_of_a_difference_does() -> None:
    """Sixty in ten thousand are named nine times in ten at least, of thousands it is said so."""
    chance = random.Random(5)  # noqa: S311  the same in every run
    named = 0
    for _ in range(30):
        whole = {chance.randbytes(32) for _ in range(400)}
        less = set(list(whole)[60:])
        named += Sketch.of(whole, 32).difference(Sketch.of(less, 32)) == (whole - less, set())
    assert named >= 27
    whole = {chance.randbytes(16) for _ in range(5000)}
    assert Sketch.of(whole, 16).difference(Sketch(16)) is None


@settings(max_examples=200)
@given(data=st.data())
def test_hostile_cells_end_and_raise_nothing_else(data: st.DataObject) -> None:
    """Whatever stands in them."""
    good = bytearray(Sketch.of([bytes([n]) * 16 for n in range(60)], 16).to_bytes())
    for _ in range(data.draw(st.integers(1, 20))):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    Sketch.from_bytes(bytes(good), 16).difference(Sketch(16))


def test_bytes_of_another_length_are_no_sketch() -> None:
    """Of a sketch as of an element."""
    with pytest.raises(BadSketch):
        Sketch.from_bytes(Sketch(16).to_bytes(), 32)
    with pytest.raises(BadSketch):
        Sketch.of([b"short"], 16)

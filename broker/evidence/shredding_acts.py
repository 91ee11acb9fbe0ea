"""The acts by which records are shredded: which entries they name, and whether that is true.

An act says the rule, the entries (``entries 0-255,300``), how many they are, and SHA-256
over their commitments. `Shreddings` holds what is shredded in a log against its acts: a
record that no act names was not shredded but removed.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha256
from itertools import pairwise
from typing import Final

from broker.acts import KEY, Act, ActKind, BadAct, is_act, read_act
from broker.evidence.entries import Kept, record_from
from schemas.tiles import WIDTH

_KEY: Final = bytes((0x40 + len(KEY),)) + KEY
"""The key of an act's record, as CBOR has it; the time stands before it."""
_KEY_WITHIN: Final = 16
_ABOUT: Final = "entries "
_RANGES: Final = re.compile(r"(?:0|[1-9][0-9]*)(?:-[1-9][0-9]*)?(?:,[1-9][0-9]*(?:-[1-9][0-9]*)?)*")


def entries_text(runs: Iterable[range]) -> str:
    """Return what such an act is about."""
    return _ABOUT + ",".join(map(_run_text, runs))


def entries_of(act: Act) -> list[range]:
    """Return which entries a shredding act names, in order.

    Raises:
        BadAct: it is not a shredding act, or what it names is not written in the one way.

    """
    text = act.about.removeprefix(_ABOUT)
    if act.kind is not ActKind.SHREDDING or text == act.about or not _RANGES.fullmatch(text):
        raise BadAct("expected a shredding act that names entries such as 0-255,300")
    runs = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        runs.append(range(int(first), int(last or first) + 1))
    is_one_way = all(runs) and all(a.stop < b.start for a, b in pairwise(runs))
    if not is_one_way or act.about != entries_text(runs):
        raise BadAct("expected the runs of entries of a shredding act to be apart, and to grow")
    if act.results != sum(map(len, runs)) or not act.reason.isprintable() or not act.reason:
        raise BadAct("expected a shredding act to say its rule and how many entries it names")
    return runs


def digest_of(bundle: Callable[[int], Sequence[bytes]], runs: Iterable[range]) -> bytes:
    """Return SHA-256 over the commitments of entries; ``bundle`` gives those of a bundle."""
    made = sha256()
    for number, places in by_bundle(runs).items():
        entries = bundle(number)
        for some in places:
            made.update(b"".join(entries[some.start : some.stop]))
    return made.digest()


class Shreddings:
    """Holds the records that were found shredded against the acts that say so.

    An act that `carry_out` would pass over says nothing here either.
    """

    def __init__(self) -> None:
        self._found: dict[str, list[range]] = {}
        self._acts: list[range] = []  # which stay, whatever an act names
        self._said: list[tuple[int, Act, list[range]]] = []

    def see_shredded(self, index: int, rule: str) -> None:
        """Note that the record of an entry is shredded; entries come in order."""
        _extend(self._found.setdefault(rule, []), index)

    def see_record(self, index: int, kept: Kept) -> None:
        """Note the record of an entry, if it is an act."""
        if _KEY not in kept.content[:_KEY_WITHIN]:  # nearly all are decisions
            return
        value = record_from(kept.content, topic="", partition=0, offset=kept.offset).value
        if value is None or not is_act(value):
            return
        _extend(self._acts, index)
        try:
            act = read_act(value)
            runs = entries_of(act) if act.kind is ActKind.SHREDDING else []
        except BadAct:
            return
        if runs and runs[-1].stop <= index:
            self._said.append((index, act, runs))

    def problems(self, bundle: Callable[[int], Sequence[bytes]]) -> Iterator[tuple[str, str, int]]:
        """Give code, sentence and entry of everything that does not fit, once all were seen."""
        named: dict[str, list[range]] = {}
        for index, act, runs in self._said:
            if digest_of(bundle, runs) != act.digest:
                continue
            named.setdefault(act.reason, []).extend(runs)
            gone = [*self._found.get(act.reason, []), *self._acts]
            for first in _uncovered(runs, gone):
                text = f"the record of entry {first} is there, and entry {index} says shredded"
                yield "not-shredded", text, first
        for rule, found in self._found.items():
            for first in _uncovered(found, named.get(rule, [])):
                text = f"the record of entry {first} is gone, and no act says that it was shredded"
                yield "shredded-without-act", text, first


def _extend(runs: list[range], index: int) -> None:
    """Add a number that is larger than all before."""
    if runs and runs[-1].stop == index:
        runs[-1] = range(runs[-1].start, index + 1)
    else:
        runs.append(range(index, index + 1))


def _uncovered(runs: Iterable[range], cover: Iterable[range]) -> Iterator[int]:
    """Give the first number of each run that the cover does not have whole."""
    whole: list[range] = []
    for one in sorted(cover, key=_start):
        if whole and one.start <= whole[-1].stop:
            whole[-1] = range(whole[-1].start, max(whole[-1].stop, one.stop))
        else:
            whole.append(one)
    starts = [one.start for one in whole]
    for run in runs:
        place = bisect_right(starts, run.start) - 1
        reached = whole[place].stop if place >= 0 else 0
        if reached < run.stop:
            yield max(run.start, reached)


def by_bundle(runs: Iterable[range]) -> dict[int, list[range]]:
    """Return the places of entries in each bundle, everything in order."""
    found: dict[int, list[range]] = {}
    for run in runs:
        for number in range(run.start // WIDTH, (run.stop - 1) // WIDTH + 1):
            first = number * WIDTH
            places = range(max(run.start - first, 0), min(run.stop - first, WIDTH))
            found.setdefault(number, []).append(places)
    return found


def to_runs(indexes: Iterable[int]) -> Iterator[range]:
    """Give runs of numbers, which grow."""
    start = stop = -1
    for index in indexes:
        if index != stop:
            if stop > start:
                yield range(start, stop)
            start = index
        stop = index + 1
    if stop > start:
        yield range(start, stop)


def _run_text(run: range) -> str:
    return f"{run.start}" if len(run) == 1 else f"{run.start}-{run.stop - 1}"


def _start(run: range) -> int:
    return run.start

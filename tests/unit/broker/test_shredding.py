"""Shredding: what is due goes, what is not stays, and the log says which, and verifies."""

import random
import tracemalloc
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shredding_world import (
    FIRST_DAY,
    KEYS,
    LONG,
    ORIGIN,
    PERIODS,
    SHORT,
    SILENT,
    a_decision,
    a_hold,
    a_record,
    as_records,
    days,
    files_of,
    follow,
    kept_of,
    shred,
    size_of,
    verified,
    what_is_due,
    write,
)

from broker import disk
from broker.acts import Act, ActKind, BadAct
from broker.evidence.entries import Kept, content_of
from broker.evidence.holds import Scope
from broker.evidence.reading import LogFiles
from broker.evidence.shredding import ClockBehind, acts_of
from broker.evidence.shredding_acts import (
    Shreddings,
    digest_of,
    entries_of,
    entries_text,
    to_runs,
)
from broker.evidence.writing import NoRoom, writing
from connectors.streams import Record

COUNT = 900
RECORDS = days(COUNT, SHORT, LONG, SILENT)
END = RECORDS[-1]
NOW = FIRST_DAY + timedelta(days=COUNT)
RULE = PERIODS[SHORT].rule  # type: ignore[union-attr]
NEWEST = FIRST_DAY + timedelta(days=COUNT - 1)
DUE = [
    number
    for number in range(0, COUNT, 3)
    if (day := FIRST_DAY + timedelta(days=number)).replace(year=day.year + 1) <= NEWEST
]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of all records, to be copied."""
    path = tmp_path_factory.mktemp("base") / "log"
    write(path, RECORDS)
    return path


def test_what_is_due_is_shredded_and_the_rest_is_not(log: Path) -> None:
    """By the time that was agreed, counted to the newest record; the log verifies and tells."""
    made = what_is_due(log, now=NOW)
    assert made.rules == {RULE: DUE}
    shred(log, RECORDS, made, at=NOW)
    assert [index for index, is_kept in enumerate(kept_of(log)) if not is_kept] == DUE
    result = verified(log)
    assert (result.problems, result.shredded) == ([], {RULE: len(DUE)})
    assert what_is_due(log, now=NOW).count == 0


def test_nothing_of_a_shredded_record_is_left_in_the_folder(log: Path) -> None:
    """Neither what it said nor the salt that would confirm a guess."""
    before = LogFiles(log).records(0)[DUE[5]]
    other = LogFiles(log).records(0)[DUE[5] + 1]
    shred(log, RECORDS, what_is_due(log, now=NOW), at=NOW)
    left = b"".join(file.read_bytes() for file in log.rglob("*") if file.is_file())
    assert before.salt not in left
    assert before.content not in left
    assert other.content in left
    assert before.commitment in left, "the commitment stays"


def test_a_log_that_is_made_again_is_shredded_again(tmp_path: Path) -> None:
    """The acts are part of the stream, so records and tiles come out byte for byte."""
    write(tmp_path / "log", RECORDS)
    stream = shred(tmp_path / "log", RECORDS, what_is_due(tmp_path / "log", now=NOW), at=NOW)
    write(tmp_path / "again", stream)
    assert files_of(tmp_path / "again") == files_of(tmp_path / "log")


@pytest.mark.parametrize(
    ("scope", "held"),
    [
        (Scope(), DUE),
        (Scope(agreement=SHORT.hex()[:8]), DUE),
        (Scope(agreement=LONG.hex()[:8]), []),
        (Scope(party="trust"), DUE),
        (Scope(party="council"), DUE),
        (Scope(party="another"), []),
        (Scope(since=FIRST_DAY + timedelta(days=300)), [one for one in DUE if one >= 300]),
        (Scope(until=FIRST_DAY + timedelta(days=300)), [one for one in DUE if one < 300]),
        (Scope(party="trust", until=FIRST_DAY + timedelta(days=3)), [0]),
    ],
)
def test_a_legal_hold_stops_shredding_of_what_it_covers(
    log: Path, scope: Scope, held: list[int]
) -> None:
    """All that the hold names must fit; once it is lifted, the records go."""
    made = what_is_due(log, now=NOW, holds=[a_hold(scope)])
    assert made.rules.get(RULE, []) == [one for one in DUE if one not in held]
    assert made.held == ({"h1": len(held)} if held else {})
    lifted = what_is_due(log, now=NOW, holds=[a_hold(scope, lifted_at=NOW)])
    assert lifted.rules == {RULE: DUE}


def test_a_hold_on_a_person_covers_that_person(tmp_path: Path) -> None:
    """By what identifiers are blinded to, any of them."""
    records = [
        a_record(number, FIRST_DAY, a_decision(FIRST_DAY, SHORT, subject=f"person {number}"))
        for number in range(5)
    ]
    records.append(a_record(5, NOW, a_decision(NOW, SILENT)))
    write(tmp_path, records)
    blind = what_blind("person 3")
    made = what_is_due(tmp_path, now=NOW, holds=[a_hold(Scope(subjects=frozenset({blind})))])
    assert made.rules == {RULE: [0, 1, 2, 4]}


def what_blind(subject: str) -> bytes:
    """Return what the records have in place of a person."""
    return sha256(subject.encode()).digest()


def test_a_clock_that_is_ahead_shreds_nothing_early(log: Path) -> None:
    """Time is counted to the newest record, whatever the clock says."""
    assert what_is_due(log, now=NOW + timedelta(days=365 * 70)).rules == {RULE: DUE}


def test_a_clock_that_jumped_backward_shreds_nothing_at_all(log: Path) -> None:
    """It is told, since nobody can say what time it is."""
    with pytest.raises(ClockBehind, match="set the clock right"):
        what_is_due(log, now=NOW - timedelta(days=30))


def test_acts_are_never_due(tmp_path: Path) -> None:
    """What was done to the log stays in it; decision records alone have a time."""
    act = Act(ActKind.READING, FIRST_DAY, "an auditor", "audit subject", reason="SAR-1")
    stream = [a_record(0, FIRST_DAY, act.to_bytes()), a_record(1, NOW, a_decision(NOW, SILENT))]
    write(tmp_path, stream)
    assert what_is_due(tmp_path, now=NOW).count == 0


# -- acts ------------------------------------------------------------------------------------


@given(st.sets(st.integers(0, 2000), min_size=1))
def test_an_act_names_entries_in_one_way(indexes: set[int]) -> None:
    """What was named is read back, run for run."""
    runs = list(to_runs(sorted(indexes)))
    act = Act(ActKind.SHREDDING, NOW, "me", entries_text(runs), "rule", results=len(indexes))
    assert [index for run in entries_of(act) for index in run] == sorted(indexes)


@pytest.mark.parametrize(
    "about",
    [
        "", "entries ", "entries", "entries 5-3", "entries 3-3", "entries 1,1", "entries 2,1",
        "entries 1-4,4-6", "entries 1-2,3", "entries 01", "entries +1", "entries 1-", "entries -1",
        "entries 1, 2", "entries 1,", "records 1", "entries ٣",
    ],
)  # fmt: skip
def test_an_act_that_names_entries_in_another_way_is_none(about: str) -> None:
    """One way of writing it, so that nothing is read in two."""
    with pytest.raises(BadAct):
        entries_of(Act(ActKind.SHREDDING, NOW, "me", about, "rule", results=1))


def forged(path: Path, **changes: object) -> Act:
    """Return a shredding act over the first ten entries, with changes."""
    runs = [range(10)]
    digest = digest_of(LogFiles(path).entries, runs)
    act = Act(ActKind.SHREDDING, NOW, "me", entries_text(runs), RULE, digest=digest, results=10)
    return replace(act, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "changes",
    [
        {"digest": b"\0" * 32},
        {"digest": b""},
        {"about": "entries 0-899999999"},
        {"about": "entries 0-900", "results": 901},
        {"about": "entries 1-10"},
        {"results": 11},
        {"results": None},
        {"reason": ""},
        {"reason": "two\nlines"},
        {"about": "everything"},
    ],
)
def test_an_act_that_is_not_of_this_log_shreds_nothing(
    log: Path, changes: dict[str, object]
) -> None:
    """Whoever can write on the stream cannot guess commitments of what comes later."""
    write(log, [*RECORDS, *as_records([forged(log, **changes)], after=END)])
    assert all(kept_of(log))
    result = verified(log)
    assert (result.records, result.problems) == (COUNT + 1, [])


@pytest.mark.parametrize("last", [COUNT, COUNT + 1, 5000])
def test_an_act_cannot_name_what_comes_after_it(log: Path, last: int) -> None:
    """Nor itself: it would be read in one way now and in another when the log is made again."""
    runs = [range(COUNT - 4, last + 1)]
    digest = digest_of(LogFiles(log).entries, [range(COUNT - 4, COUNT)])
    act = forged(log, about=entries_text(runs), digest=digest, results=len(runs[0]))
    write(log, [*RECORDS, *as_records([act], after=END)])
    assert all(kept_of(log))
    assert verified(log).problems == []


def test_an_act_cannot_shred_an_act(log: Path) -> None:
    """Else who did what could be made to go, and the log not be made again."""
    reading = Act(ActKind.READING, NOW, "an auditor", "audit subject", reason="SAR-1")
    stream = [*RECORDS, *as_records([reading], after=END)]
    files = write(log, stream)
    runs = [range(COUNT - 2, COUNT + 1)]
    digest = digest_of(files.entries, runs)
    act = forged(log, about=entries_text(runs), digest=digest, results=3)
    write(log, [*stream, *as_records([act], after=stream[-1])])
    assert kept_of(log)[-4:] == [False, False, True, True]
    assert verified(log).problems == []


def test_acts_may_name_the_same_entries_again(log: Path) -> None:
    """The first rule stays; a second look finds nothing wrong."""
    acts = [forged(log), forged(log)]
    write(log, [*RECORDS, *as_records(acts, after=END)])
    result = verified(log)
    assert (result.problems, result.shredded) == ([], {RULE: 10})


@given(
    found=st.sets(st.integers(0, 60)),
    named=st.lists(st.sets(st.integers(0, 60), min_size=1), max_size=4),
)
def test_whatever_was_shredded_without_an_act_is_found(
    found: set[int], named: list[set[int]]
) -> None:
    """Held against sets: every run that an act does not cover is named by its first entry."""
    entries = [bytes([number]) * 32 for number in range(100)]
    check = Shreddings()
    for index in sorted(found):
        check.see_shredded(index, "rule")
    for number, indexes in enumerate(named):
        runs = list(to_runs(sorted(indexes)))
        digest = digest_of(lambda _: entries, runs)
        act = Act(
            ActKind.SHREDDING, NOW, "me", entries_text(runs), "rule", digest=digest,
            results=len(indexes),
        )  # fmt: skip
        record = as_records([act], after=END)[0]
        check.see_record(70 + number, Kept(1, b"", content_of(record)))
    problems = list(check.problems(lambda _: entries))
    all_named = set().union(*named)
    gone = {index for code, _, index in problems if code == "shredded-without-act"}
    there = {index for code, _, index in problems if code == "not-shredded"}
    assert gone <= found - all_named
    assert bool(gone) == bool(found - all_named)
    assert there <= all_named - found
    assert bool(there) == bool(all_named - found)


# -- crashes ---------------------------------------------------------------------------------


class PowerLost(Exception):
    """The machine stopped here."""


def test_a_crash_anywhere_in_a_shredding_changes_nothing_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At every single synchronisation; the act is read again and done again."""
    straight = tmp_path / "straight"
    write(straight, RECORDS)
    stream = shred(straight, RECORDS, what_is_due(straight, now=NOW), at=NOW)
    real, chance = disk.sync, random.Random(4)  # noqa: S311  the same in every run
    log = tmp_path / "log"
    write(log, RECORDS)
    crashes = 0
    while size_of(LogFiles(log)) < len(stream):
        left = [chance.randint(0, 6) + crashes]

        def sync(path: Path, left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise PowerLost
            real(path)

        monkeypatch.setattr(disk, "sync", sync)
        try:
            write(log, stream)
        except PowerLost:
            crashes += 1
        monkeypatch.setattr(disk, "sync", real)
        result = verified(log)
        assert {one.code for one in result.problems} <= {"shredded-without-act"}, "not signed yet"
    assert crashes > 3
    assert files_of(log) == files_of(straight)
    assert verified(log).problems == []


def test_a_checkpoint_is_never_signed_over_an_act_that_is_not_done(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever sees the act under a signature can rely on it."""
    acts = acts_of(what_is_due(log, now=NOW), LogFiles(log), by="me", at=NOW)
    stream: list[Record] = [*RECORDS, *as_records(acts, after=END)]

    def full(_: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(disk, "sync", full)
    with (
        pytest.raises(NoRoom, match="nothing more is signed"),
        writing(log, KEYS, origin=ORIGIN) as writer,
    ):
        follow(writer, stream[COUNT:])
    assert size_of(LogFiles(log)) == COUNT


def test_planning_takes_memory_for_what_is_due_only(tmp_path: Path) -> None:
    """A bundle at a time."""
    write(tmp_path, days(1500, SILENT))
    tracemalloc.start()
    try:
        assert what_is_due(tmp_path, now=FIRST_DAY + timedelta(days=1500)).count == 0
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()

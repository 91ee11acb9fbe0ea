"""What is remembered between two looks changes what a look costs, never what it finds."""

import shutil
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shredding_world import (
    FIRST_DAY,
    KEEPING,
    LONG,
    PERIODS,
    SHORT,
    SILENT,
    a_decision,
    a_hold,
    a_record,
    days,
    shred,
    size_of,
    verified,
    write,
)

from agreements.values import end_of
from broker.evidence.archiving import archive_months
from broker.evidence.entries import record_from
from broker.evidence.holds import Hold, Scope
from broker.evidence.outlook import Outlook
from broker.evidence.reading import LogFiles
from broker.evidence.retention import Keeping, Period
from broker.evidence.shredding import Plan, plan
from broker.recording import read_decision

COUNT = 900
RECORDS = days(COUNT, SHORT, LONG, SILENT)
END = FIRST_DAY + timedelta(days=COUNT)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of three years, to be copied."""
    path = tmp_path_factory.mktemp("base") / "log"
    write(path, RECORDS)
    return path


def look(path: Path, outlook: Outlook, *, keeping: Keeping = KEEPING, size: int = 0) -> Plan:
    """Look at a log once more."""
    files = LogFiles(path)
    size = size or size_of(files)
    return plan(files, size, keeping=keeping, holds=[], now=END, outlook=outlook)


def found_plainly(
    path: Path, size: int, keeping: Keeping, holds: list[Hold]
) -> tuple[dict[str, list[int]], dict[str, int]]:
    """Return what is due and what is held, by reading every record with a general decoder."""
    rules: dict[str, list[int]] = {}
    held: dict[str, int] = {}
    newest = FIRST_DAY + timedelta(days=size - 1)
    kept = [one for number in range(4) for one in LogFiles(path).records(number)][:size]
    for index, one in enumerate(kept):
        record = record_from(one.content, topic="", partition=0, offset=0)
        decision = read_decision(record.value or b"")
        hashes = frozenset(candidate["hash"] for candidate in decision["candidates"])
        due = keeping.due(hashes, decision["decidedAt"])
        if due is not None and due.at <= newest:
            holding = [hold.id for hold in holds if hold.scope.covers(decision)]
            for id_ in holding:
                held[id_] = held.get(id_, 0) + 1
            if not holding:
                rules.setdefault(due.rule, []).append(index)
    return rules, held


_PERIODS = (
    st.none() | st.integers(0, 900).map("P{}D".format) | st.integers(0, 30).map("P{}M".format)
)
_KEEPINGS = st.builds(
    lambda short, long, scheme: Keeping(
        {
            SHORT: short and Period(short, "short"),
            LONG: long and Period(long, "long"),
            SILENT: None,
        },
        scheme,
    ),
    _PERIODS,
    _PERIODS,
    _PERIODS,
)
_HOLDS = st.sampled_from(
    [[], [a_hold(Scope())], [a_hold(Scope(until=FIRST_DAY + timedelta(days=300)))]]
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(1, COUNT), _KEEPINGS, _HOLDS), min_size=2, max_size=4))
def test_a_look_finds_what_a_first_look_would_find(
    base: Path, looks: list[tuple[int, Keeping, list[Hold]]]
) -> None:
    """Whatever agreements, settings, holds and times there were at the looks before."""
    outlook, files = Outlook(), LogFiles(base)
    for size, keeping, holds in looks:
        made = plan(files, size, keeping=keeping, holds=holds, now=END, outlook=outlook)
        rules, held = found_plainly(base, size, keeping, holds)
        assert (made.rules, made.held) == (rules, held)
        assert (made.away, made.last_shredded) == (0, -1)


@given(
    text=st.builds("P{}Y{}M{}D".format, *(st.integers(0, n) for n in (3, 30, 60))),
    first=st.datetimes(datetime(2019, 1, 1), datetime(2030, 1, 1)),  # noqa: DTZ001  zones are nothing to it
    after=st.timedeltas(timedelta(0), timedelta(70)),
)
def test_what_was_decided_later_is_due_a_day_earlier_at_most(
    text: str, first: datetime, after: timedelta
) -> None:
    """So the first record of a bundle stands for all of them."""
    end, end_after = end_of(text, first), end_of(text, first + after)
    assert end is not None
    assert end_after is not None
    assert end_after > end - timedelta(days=1)


def test_what_is_due_before_the_first_of_its_bundle_is_found(tmp_path: Path) -> None:
    """A month after 30 January 10:00 is later than a month after 31 January 9:00."""
    first, second = (
        datetime.fromisoformat("2021-01-30T10:00Z"),
        datetime.fromisoformat("2021-01-31T09:00Z"),
    )
    newest = datetime.fromisoformat("2021-02-28T09:30Z")
    moments = [(first, SHORT), (second, SHORT), (newest, SILENT)]
    write(tmp_path, [a_record(n, at, a_decision(at, *of)) for n, (at, *of) in enumerate(moments)])
    keeping = Keeping({SHORT: Period("P1M", "a month"), SILENT: None}, None)
    assert look(tmp_path, Outlook(), keeping=keeping).rules == {"a month": [1]}


def test_a_second_look_reads_nothing_that_is_not_due(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the newest record, by which time is counted, and bundles in which something is."""
    outlook, read = Outlook(), []
    real = LogFiles.records

    def records(files: LogFiles, number: int) -> object:
        read.append(number)
        return real(files, number)

    monkeypatch.setattr(LogFiles, "records", records)
    far = Keeping({SHORT: Period("P9Y", "later"), LONG: None, SILENT: None}, None)
    for expected in ([3, 0, 1, 2, 3], [3]):
        assert look(log, outlook, keeping=far).count == 0
        assert read == expected
        read.clear()
    near = Keeping({SHORT: Period("P800D", "now"), LONG: None, SILENT: None}, None)
    assert look(log, outlook, keeping=near).rules["now"][0] == 0
    assert read == [3, 0]


def test_what_has_changed_is_looked_at_again(log: Path, tmp_path: Path) -> None:
    """Shredded, archived, away or back: what is remembered is of the files as they were."""
    outlook = Outlook()
    made = look(log, outlook)
    stream = shred(log, RECORDS, made, at=END)
    again = look(log, outlook)
    assert (again.count, again.last_shredded) == (0, made.rules[PERIODS[SHORT].rule][-1])  # type: ignore[union-attr]
    archive_months(log, size_of(LogFiles(log)), before=END)
    assert look(log, outlook).last_shredded == again.last_shredded
    shutil.move(log / "archive", tmp_path / "archive")
    assert look(log, outlook).away == 768
    shutil.move(tmp_path / "archive", log / "archive")
    assert look(log, outlook) == again
    by_scheme = Keeping(PERIODS, "P1D")
    made = look(log, outlook, keeping=by_scheme)
    assert made.count > 200
    shred(log, stream, made, at=END)
    assert look(log, outlook, keeping=by_scheme).count == 0
    assert verified(log).problems == []

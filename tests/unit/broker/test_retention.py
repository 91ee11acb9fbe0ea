"""How long a record is kept: as the agreements say, never shorter than any of them."""

from datetime import UTC, datetime, timedelta

import pytest
from deciding_world import an_agreement
from hypothesis import given
from hypothesis import strategies as st
from shredding_world import FIRST_DAY, KEEPING, LONG, PERIODS, SHORT, SILENT, a_decision

from agreements.canonical import digest
from agreements.reading import from_document
from agreements.signed import Version
from broker.evidence.retention import Due, Keeping
from broker.recording import read_decision

UNKNOWN = b"\x09" * 32
BY_ALL = "retention P3Y of the scheme"
BY_SCHEME = Keeping(PERIODS, "P3Y")


@pytest.mark.parametrize(
    ("keeping", "agreements", "due"),
    [
        (KEEPING, (SHORT,), Due(FIRST_DAY.replace(year=2021), "retention P1Y of short version 1")),
        (KEEPING, (SHORT, LONG), Due(FIRST_DAY.replace(year=2026), PERIODS[LONG].rule)),  # type: ignore[union-attr]
        (KEEPING, (LONG, SHORT), Due(FIRST_DAY.replace(year=2026), PERIODS[LONG].rule)),  # type: ignore[union-attr]
        (KEEPING, (SILENT,), None),
        (KEEPING, (SHORT, SILENT), None),
        (KEEPING, (UNKNOWN, SHORT), None),
        (KEEPING, (), None),
        (BY_SCHEME, (), Due(FIRST_DAY.replace(year=2023), BY_ALL)),
        (BY_SCHEME, (SILENT,), Due(FIRST_DAY.replace(year=2023), BY_ALL)),
        (BY_SCHEME, (SHORT, SILENT), Due(FIRST_DAY.replace(year=2023), BY_ALL)),
        (BY_SCHEME, (UNKNOWN,), None),
    ],
)  # fmt: skip
def test_a_record_is_kept_as_long_as_the_longest_asks(
    keeping: Keeping, agreements: tuple[bytes, ...], due: Due | None
) -> None:
    """What somebody has set no time for, or nobody here knows, is kept."""
    decision = read_decision(a_decision(FIRST_DAY, *agreements))
    assert keeping.due(decision) == due


def test_an_agreement_says_it_under_the_hash_that_was_signed() -> None:
    """The record names the very text, so a later version changes nothing for it."""
    document = {**an_agreement(), "evidence": {"records": "P2Y"}}
    agreement = from_document(document)
    sha256 = digest(agreement)
    keeping = Keeping.of([Version(agreement.version, agreement, sha256, {})], None)
    due = keeping.due(read_decision(a_decision(FIRST_DAY, bytes.fromhex(sha256))))
    assert due is not None
    assert due.at == FIRST_DAY.replace(year=2022)
    assert due.rule == f"retention P2Y of {agreement.id} version {agreement.version}"
    assert sha256 != digest(from_document(an_agreement()))


_PERIODS = st.builds(
    "P{}Y{}M{}D".format, st.integers(0, 20), st.integers(0, 30), st.integers(0, 400)
)
_TIMES = st.datetimes(datetime(2000, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  hypothesis adds the zone


@given(period=_PERIODS, decided_at=_TIMES, after=st.timedeltas(timedelta(0), timedelta(1000)))
def test_what_is_due_is_never_newer_than_the_newest_due(
    period: str, decided_at: datetime, after: timedelta
) -> None:
    """The short cut of the plan passes over nothing that is due."""
    keeping = Keeping({}, period)
    decided_at = decided_at.replace(microsecond=0)
    due = keeping.due(read_decision(a_decision(decided_at)))
    assert due is not None
    newest = keeping.newest_due(due.at + after)
    assert newest is not None
    assert decided_at <= newest


def test_without_any_period_nothing_is_ever_due() -> None:
    """So the records need not even be looked at."""
    assert Keeping({SILENT: None}, None).newest_due(FIRST_DAY) is None

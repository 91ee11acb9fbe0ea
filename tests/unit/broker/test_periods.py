"""What ``--since`` and ``--until`` say."""

from datetime import UTC, datetime

import pytest

from broker.periods import BadPeriod, Period


def test_a_date_is_its_midnight_and_a_time_has_a_zone() -> None:
    """Both in UTC, whatever the zone that was written."""
    period = Period.of("2026-11-01", "2026-11-02T01:30:00+02:00")
    assert period.since == datetime(2026, 11, 1, tzinfo=UTC)
    assert period.until == datetime(2026, 11, 1, 23, 30, tzinfo=UTC)
    assert Period.of("2026-11-01T00:00:00Z", "").since == period.since
    assert Period.of("", "") == Period()


def test_decisions_of_the_first_millisecond_are_in_and_of_the_last_are_not() -> None:
    """A part of a millisecond counts for the next: decisions have none."""
    period = Period.of("1970-01-01T00:00:01.000001Z", "1970-01-01T00:00:02Z")
    assert period.to_ms() == (1001, 2000)
    assert Period().to_ms()[0] == 0


@pytest.mark.parametrize(
    "given", ["soon", "2026-02-30", "2026-11-01T10:00", "01/11/2026", "0001-01-01T00:00+10:00"]
)
def test_what_is_no_time_is_refused_with_an_example(given: str) -> None:
    """In a sentence that says how to write one."""
    with pytest.raises(BadPeriod, match="write 2026-11-01 or"):
        Period.of(given, "")


def test_a_period_that_ends_before_it_begins_is_refused() -> None:
    """Nothing can have been decided in it."""
    with pytest.raises(BadPeriod, match="is not before"):
        Period.of("2026-11-02", "2026-11-01T23:59:59Z")

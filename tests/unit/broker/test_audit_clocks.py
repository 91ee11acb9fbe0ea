"""By when a request is to be answered, and a breach to be told: calendar rules."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.audit.clocks import answer_by, months_later, notice_due, working_day

_DAYS = st.dates(date(2020, 1, 1), date(2035, 12, 31))


@pytest.mark.parametrize(
    ("received", "ends_on", "due"),
    [
        (date(2026, 9, 3), date(2026, 10, 3), date(2026, 10, 5)),  # a Saturday
        (date(2026, 1, 31), date(2026, 2, 28), date(2026, 3, 2)),  # a Saturday, a short month
        (date(2028, 1, 31), date(2028, 2, 29), date(2028, 2, 29)),  # a leap year
        (date(2026, 3, 31), date(2026, 4, 30), date(2026, 4, 30)),
        (date(2026, 12, 1), date(2027, 1, 1), date(2027, 1, 1)),
        (date(2026, 6, 15), date(2026, 7, 15), date(2026, 7, 15)),
    ],
)
def test_a_month_ends_on_the_corresponding_day(received: date, ends_on: date, due: date) -> None:
    """ICO, right of access: the same day, the month's last where there is none, or the Monday."""
    clock = answer_by(received)
    assert (clock.ends_on, clock.due) == (ends_on, due)


def test_more_time_is_two_months_more_and_its_notice_is_due_in_the_first() -> None:
    """UK GDPR Art 12A(3) and (4): three months in all, told within one."""
    clock = answer_by(date(2026, 11, 30), is_extended=True)
    assert clock.ends_on == date(2026, 12, 30)
    assert clock.extended_to == date(2027, 2, 28)
    assert clock.due == date(2027, 3, 1)
    assert clock.days_left(date(2027, 3, 3)) == -2


def test_time_runs_from_the_day_on_which_identity_was_shown() -> None:
    """UK GDPR Art 12A(2): the relevant time is the later of the two."""
    assert answer_by(date(2026, 11, 2), identity_shown=date(2026, 11, 9)).ends_on.day == 9
    assert answer_by(date(2026, 11, 9), identity_shown=date(2026, 11, 2)).ends_on.day == 9


def test_days_of_asking_what_is_meant_do_not_count_and_are_counted_once() -> None:
    """UK GDPR Art 12A(5)(b): both the day of asking and that of the answer are left out."""
    asked = [(date(2026, 11, 5), date(2026, 11, 9)), (date(2026, 11, 8), date(2026, 11, 10))]
    assert answer_by(date(2026, 11, 2), asked=asked).ends_on == date(2026, 12, 8)
    after = [(date(2026, 12, 20), date(2026, 12, 24))]
    assert answer_by(date(2026, 11, 2), asked=after).ends_on == date(2026, 12, 2)
    before = [(date(2026, 10, 1), date(2026, 11, 3))]
    assert answer_by(date(2026, 11, 2), asked=before).ends_on == date(2026, 12, 4)


def test_days_the_wrong_way_round_are_refused() -> None:
    """An answer cannot come before the question."""
    with pytest.raises(ValueError, match="not to be before"):
        answer_by(date(2026, 11, 2), asked=[(date(2026, 11, 9), date(2026, 11, 5))])


def test_a_breach_is_told_within_72_hours_of_awareness_nights_and_weekends_too() -> None:
    """UK GDPR Art 33(1) counts hours."""
    friday = datetime(2026, 11, 6, 17, 40, tzinfo=UTC)
    assert notice_due(friday) == datetime(2026, 11, 9, 17, 40, tzinfo=UTC)
    assert notice_due(friday, 24) - friday == timedelta(hours=24)


@given(_DAYS, st.integers(1, 12))
def test_a_month_later_is_in_that_month_and_never_on_a_later_day(day: date, months: int) -> None:
    """No day of a month is lost or made up."""
    later = months_later(day, months)
    assert (later.year - day.year) * 12 + later.month - day.month == months
    assert later.day == day.day or (later + timedelta(days=1)).day == 1
    assert later.day <= day.day


@given(_DAYS)
def test_a_due_day_is_never_on_a_weekend_and_never_before_its_month_ends(day: date) -> None:
    """Nobody is told to answer on a day on which nobody works."""
    clock = answer_by(day)
    assert clock.due.weekday() < 5
    assert timedelta() <= clock.due - clock.ends_on <= timedelta(days=2)
    assert working_day(clock.due) == clock.due

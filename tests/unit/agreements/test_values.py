"""Values have one spelling, so that what is written is what is kept."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from agreement_texts import an_agreement
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from agreements.values import Day, Moment, end_of, is_day, to_duration

MOMENTS: TypeAdapter[datetime] = TypeAdapter(Moment)
DAYS: TypeAdapter[date] = TypeAdapter(Day)


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("P2D", timedelta(days=2)),
        ("P1W", timedelta(weeks=1)),
        ("PT4H", timedelta(hours=4)),
        ("PT90M", timedelta(minutes=90)),
        ("P1DT12H30M5S", timedelta(days=1, hours=12, minutes=30, seconds=5)),
        ("P5479D", timedelta(days=5479)),
    ],
)
def test_an_exact_duration_is_a_length_of_time(text: str, length: timedelta) -> None:
    """Weeks, days and hours have one length."""
    assert to_duration(text) == length


@pytest.mark.parametrize(
    "text", ["", "P", "PT", "P2", "2D", "P1Y", "P1M", "P-1D", "P1.5D", "P0D", "p2d", "P2D ", "P2DT"]
)
def test_what_is_not_an_exact_duration_is_refused(text: str) -> None:
    """Years and months have none, and nothing is no length."""
    with pytest.raises(ValueError, match="duration"):
        to_duration(text)


def test_a_flow_tells_its_oldest_event() -> None:
    """Without max_age an event may be of any age."""
    assert an_agreement().flows[0].oldest is None
    assert an_agreement({"flows[0].max_age": "P2D"}).flows[0].oldest == timedelta(days=2)


@given(st.datetimes(timezones=st.timezones()))
def test_a_moment_is_written_in_utc_to_the_millisecond_and_read_back(moment: datetime) -> None:
    """The one spelling of a moment leads back to it."""
    try:
        kept = MOMENTS.validate_python(moment)
    except OverflowError:  # a year before 1 or after 9999 in UTC
        return
    assert timedelta(0) <= moment - kept < timedelta(milliseconds=1)
    text = MOMENTS.dump_python(kept, mode="json")
    assert MOMENTS.validate_python(text) == kept


def test_a_date_alone_is_its_first_moment() -> None:
    """The day begins at midnight, UTC."""
    assert MOMENTS.validate_python("2026-04-01") == datetime(2026, 4, 1, tzinfo=UTC)


def test_a_moment_in_another_zone_is_kept_in_utc() -> None:
    """Python callers may pass any aware time."""
    summer = datetime(2026, 4, 1, 1, tzinfo=timezone(timedelta(hours=1)))
    assert MOMENTS.dump_python(MOMENTS.validate_python(summer), mode="json") == "2026-04-01"


@pytest.mark.parametrize(
    "value",
    [
        datetime(2026, 4, 1),  # noqa: DTZ001  naive on purpose
        "2026-04-01T00:00:00Z",
        "2026-04-01T09:30Z",
        "2026-04-01T09:30:00.000Z",
        "2026-04-01T09:30:00",
        "2026-4-1",
        "2026-13-01",
        "٢٠٢٦-٠٤-٠١",  # noqa: RUF001  digits, but not ours
        20260401,
        None,
    ],
)
def test_another_spelling_of_a_moment_is_refused(value: object) -> None:
    """Two spellings would be two hashes of one agreement."""
    with pytest.raises(ValidationError):
        MOMENTS.validate_python(value)


@pytest.mark.parametrize("value", ["2026-02-30", "20260401", "2026-04-01T00:00:00Z", 1, None])
def test_another_spelling_of_a_day_is_refused(value: object) -> None:
    """A day is year, month and day with hyphens."""
    assert not is_day(value)
    with pytest.raises(ValidationError):
        DAYS.validate_python(value)


def test_a_moment_is_not_a_day() -> None:
    """A time has more in it than a date."""
    assert DAYS.validate_python(date(2026, 4, 1)) == date(2026, 4, 1)
    with pytest.raises(ValidationError):
        DAYS.validate_python(datetime(2026, 4, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("start", "period", "end"),
    [
        ("2026-04-01", "P1Y", "2027-04-01"),
        ("2026-04-01", "P18M", "2027-10-01"),
        ("2026-01-31", "P1M", "2026-02-28"),
        ("2024-02-29", "P1Y", "2025-02-28"),
        ("2024-02-29", "P4Y", "2028-02-29"),
        ("2026-12-31", "P2M", "2027-02-28"),
        ("2026-04-01", "P1W2D", "2026-04-10"),
        ("2026-04-01", "P1Y1M1W1D", "2027-05-09"),
    ],
)
def test_a_calendar_duration_ends_on_a_day_of_the_calendar(
    start: str, period: str, end: str
) -> None:
    """A day that its month does not have is that month's last."""
    assert end_of(period, datetime.fromisoformat(start)) == datetime.fromisoformat(end)


@pytest.mark.parametrize("period", ["P9999Y", "P8000Y", "P7973Y12M", "P7973Y11M9999W"])
def test_a_calendar_duration_beyond_the_calendar_has_no_end(period: str) -> None:
    """Nobody will be there to review it."""
    assert end_of(period, datetime(2026, 1, 31, tzinfo=UTC)) is None


@pytest.mark.parametrize("text", ["", "P", "P2", "PT4H", "P1D1W"])
def test_what_is_not_a_calendar_duration_has_no_end(text: str) -> None:
    """Years, then months, then weeks, then days."""
    with pytest.raises(ValueError, match="duration"):
        end_of(text, datetime(2026, 1, 1, tzinfo=UTC))

"""Values in words: nothing reads like another value."""

import json
import unicodedata
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agreements import words
from agreements.model import Condition, Contact, Item


@given(value=st.text(max_size=20) | st.integers() | st.booleans())
def test_a_quoted_value_can_be_read_back(*, value: str | int | bool) -> None:
    """It is JSON, so two values never read the same, and no letter is mistaken for another."""
    quoted = words.quoted(value)
    again = json.loads(quoted)
    assert (type(again), again) == (type(value), value)
    assert "  " not in quoted
    assert all(one.isascii() or unicodedata.name(one, "").startswith("LATIN ") for one in quoted)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("P1Y", "1 year"),
        ("P8Y6M", "8 years and 6 months"),
        ("P2DT4H", "2 days and 4 hours"),
        ("PT1H30M", "1 hour and 30 minutes"),
        ("P1M", "1 month"),
        ("PT1M", "1 minute"),
        ("P2W", "2 weeks"),
        ("PT45S", "45 seconds"),
    ],
)
def test_a_duration_is_said_in_its_units(text: str, said: str) -> None:
    """Months and minutes, which both are M, are told apart."""
    assert words.duration(text) == said


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (datetime(2026, 4, 1, tzinfo=UTC), "1 April 2026"),
        (datetime(2026, 4, 1, 9, 30, tzinfo=UTC), "1 April 2026, 09:30:00 UTC"),
        (datetime(2026, 4, 1, 9, 30, 0, 250_000, tzinfo=UTC), "1 April 2026, 09:30:00.250 UTC"),
    ],
)
def test_a_moment_is_said_as_it_was_written(given: datetime, said: str) -> None:
    """A date alone is the midnight that begins it; milliseconds are not lost."""
    assert words.moment(given) == said


@pytest.mark.parametrize(
    ("test", "said"),
    [
        ({"equals": "Y"}, 'x is "Y"'),
        ({"equals": True}, "x is true"),
        ({"in": ["Y"]}, 'x is one of "Y"'),
        ({"in": ["Y", 1]}, 'x is one of "Y" or 1'),
        ({"not_in": ["Y", "N", "L"]}, 'x is absent, or is none of "Y", "N" or "L"'),
        ({"present": True}, "x is there and not empty"),
        ({"present": False}, "x is absent or empty"),
        ({"before": date(2026, 4, 1)}, "x is a date before 1 April 2026"),
        ({"after": date(2026, 4, 1)}, "x is a date on or after 1 April 2026"),
    ],
)
def test_a_condition_is_said_as_the_engine_takes_it(test: dict[str, object], said: str) -> None:
    """Absent items, both bounds and empty values are in the words."""
    assert words.condition(Condition.model_validate({"item": "x", **test})) == said


def test_each_form_of_an_item_has_its_own_words() -> None:
    """No two transforms read the same."""
    forms = [None, "drop", "mask", "pseudonym"] + [
        {"generalise": form}
        for form in ("year", "month", "age-band", "postcode-sector", "postcode-district")
    ]
    items = [Item.model_validate({"path": "x", "transform": form}) for form in forms]
    assert len({words.form_of(item) for item in items}) == len(forms)


def test_parts_and_unknown_codes_are_said() -> None:
    """What is added whole is told with its fields; a code nobody knows stays as it is."""
    assert words.plain(Contact(post="The desk")) == 'post "The desk"'
    assert words.title_of("article-6", "zz") == "zz"
    assert words.law("urn:law:other") == "urn:law:other"
    assert words.listed(["a"]) == "a"


def test_the_first_day_and_the_last_are_told_once_where_they_are_one() -> None:
    """Whatever the time of the day."""
    morning, evening = datetime(2026, 4, 1, 8, tzinfo=UTC), datetime(2026, 4, 1, 20, tzinfo=UTC)
    assert words.days(morning, evening) == "1 April 2026"
    assert words.days(morning, evening + timedelta(days=1)) == "1 April 2026 to 2 April 2026"

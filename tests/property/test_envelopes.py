"""Envelopes: whatever is written is read back, whatever comes in gets an answer."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.envelopes import CLASSIFICATIONS, BadEnvelope
from schemas.events import Event, format_time, parse_time, read_envelope
from schemas.times import BadTime, microseconds

ids = st.uuids().map(str)
times = st.datetimes(timezones=st.just(UTC)).map(
    lambda time: time.replace(microsecond=time.microsecond // 1000 * 1000)
)
events = st.builds(
    Event.of,
    id=ids,
    publisher=st.from_regex(r"[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?", fullmatch=True),
    type=st.from_regex(r"[a-z][a-z0-9-]{0,9}(\.[a-z0-9][a-z0-9-]{0,9}){1,5}", fullmatch=True),
    time=times,
    fingerprint=st.binary(min_size=8, max_size=8),
    occurredat=st.none() | times,
    sequence=st.none() | st.integers(0, 10**19 - 1).map(str),
    correlationid=st.none() | ids,
    causationid=st.none() | ids,
    retractsid=st.none() | ids,
    classification=st.none() | st.sampled_from(CLASSIFICATIONS),
)


@given(events, st.randoms(use_true_random=False))
def test_an_event_survives_its_headers_in_any_order(event: Event, random: object) -> None:
    """Kafka keeps the order of headers, but nothing depends on it."""
    headers = event.to_headers()
    random.shuffle(headers)  # type: ignore[attr-defined]
    assert Event.from_headers(headers) == event
    envelope = read_envelope(headers)
    assert envelope.time_us == event.time_us
    assert envelope.occurred_at_us == event.occurred_at_us
    assert envelope.publisher == event.publisher


@given(
    events,
    st.lists(
        st.tuples(
            st.sampled_from(["ce_id", "ce_time", "ce_source", "ce_type", "ce_occurredat", "x"])
            | st.text(max_size=8),
            st.binary(max_size=40),
        ),
        min_size=1,
        max_size=4,
    ),
)
def test_any_headers_are_read_or_refused(event: Event, more: list[tuple[str, bytes]]) -> None:
    """Nothing but a refusal comes out of headers that somebody made up."""
    for headers in (
        more,
        [*event.to_headers(), *more],
        list(dict([*event.to_headers(), *more]).items()),
    ):
        try:
            read = Event.from_headers(headers)
        except BadEnvelope:
            continue
        assert dict(read.to_headers()) == dict(headers)


@given(times)
def test_a_time_is_read_as_the_calendar_has_it(time: datetime) -> None:
    """The tables agree with the standard library."""
    assert parse_time(format_time(time)) == microseconds(time)


@given(
    st.binary(max_size=30)
    | st.from_regex(rb"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{12}Z", fullmatch=True)
)
def test_only_times_are_read(text: bytes) -> None:
    """What is read is written the same again; the rest is refused."""
    try:
        read = parse_time(text)
    except BadTime:
        with pytest.raises(ValueError, match=r".*"):
            _standard_form(text)
        return
    assert format_time(_standard_form(text)) == text
    assert microseconds(_standard_form(text)) == read


def _standard_form(text: bytes) -> datetime:
    """Read with the standard library, in our one form."""
    time = datetime.strptime(text.decode("ascii"), "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
    if format_time(time) != text:
        raise ValueError("another form")
    return time

"""Taking decision records apart, against fastavro reading the whole of them."""

from datetime import timedelta

import pytest
from audit_records import NOON, Told, blind
from hypothesis import given
from hypothesis import strategies as st

from broker.record_parts import PartsReader, UnreadableDecision, read_candidate
from broker.recording import read_decision

_NAMES = st.text(min_size=1, max_size=70)
_RECORDS = st.builds(
    Told,
    _NAMES,
    st.lists(st.binary(min_size=32, max_size=32), max_size=70),
    st.lists(st.sampled_from(["school", "police", "", "x" * 70]), max_size=70),
    st.sampled_from(["permit", "deny", "review", "hold"]),
    st.integers(0, 10**9).map(lambda ms: timedelta(milliseconds=ms)),
    st.sampled_from([None, None, "5f"]),
    st.sampled_from(["", "", "e0"]),
    st.sampled_from(["council", "trust"]),
    st.lists(st.tuples(_NAMES, _NAMES), max_size=3).map(tuple),
)


@given(st.lists(_RECORDS, max_size=12))
def test_records_say_in_parts_what_they_say_as_a_whole(records: list[Told]) -> None:
    """Of any length, one after the other, in the same batch or not, settling or not."""
    reader = PartsReader()
    for told in records:
        value = told.to_bytes()
        parts, whole = reader.read(value), read_decision(value)
        for name, field in _SAME.items():
            assert getattr(parts, name) == whole[field], name
        assert parts.event_id.decode() == whole["eventId"]
        assert list(parts.subjects) == whole["subjects"]
        assert NOON + timedelta(milliseconds=parts.decided_ms - _NOON_MS) == whole["decidedAt"]
        assert NOON + timedelta(milliseconds=parts.occurred_ms - _NOON_MS) == whole["occurredAt"]
        assert parts.settles == (whole["settles"] and whole["settles"]["suspension"])
        candidates = [
            {**read_candidate(part.body), "sealed": seal} for part, seal in parts.candidates
        ]
        assert candidates == whole["candidates"]


_SAME = {
    "event_type": "eventType",
    "publisher": "publisher",
    "topic": "topic",
    "partition": "partition",
    "offset": "offset",
    "rules": "rules",
}
_NOON_MS = round(NOON.timestamp() * 1000)


@given(_RECORDS, st.data())
def test_what_is_no_whole_record_is_refused_in_our_words(told: Told, data: st.DataObject) -> None:
    """Cut off anywhere, or with more behind it."""
    value = told.to_bytes()
    reader = PartsReader()
    reader.read(value)
    end = data.draw(st.integers(0, len(value) - 1))
    with pytest.raises(UnreadableDecision):
        reader.read(value[:end])
    with pytest.raises(UnreadableDecision):
        PartsReader().read(value[: min(end, 11)] + b"\xff" * 40)


def test_a_record_with_something_behind_it_is_refused() -> None:
    """It is not what a router writes."""
    with pytest.raises(UnreadableDecision):
        PartsReader().read(Told("e", [blind("amy")]).to_bytes() + b"\0")


def test_a_time_that_nobody_can_name_and_an_id_that_is_no_text_are_refused() -> None:
    """They could be kept, and nothing that meets them could be read any more."""
    value = Told("event", [blind("amy")]).to_bytes()
    with pytest.raises(UnreadableDecision):
        PartsReader().read(value.replace(b"\x0aevent", b"\x0aev\xffnt", 1))
    at = value.index(b"\x0aevent") + 6
    with pytest.raises(UnreadableDecision):
        PartsReader().read(value[:at] + b"\xfe" * 9 + b"\x01" + value[at + 6 :])

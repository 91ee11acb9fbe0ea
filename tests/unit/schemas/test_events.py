"""The envelope as headers: what is written, read and refused."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from schemas.events import (
    BadEnvelope,
    BadTime,
    Event,
    Routing,
    check_times,
    format_time,
    parse_time,
    read_delivery,
    read_envelope,
)

NOON = datetime(2026, 4, 1, 12, 0, 0, 250_000, tzinfo=UTC)
NOON_US = 1_775_044_800_250_000
ID = "6f9619ff-8b86-5011-b42d-00c04fc964ff"
OTHER = "0a0a0a0a-0000-5000-8000-000000000001"


def an_event(**changes: Any) -> Event:
    """An event with all that is required."""
    given = {
        "id": ID,
        "publisher": "rotherham-council",
        "type": "uk.gov.csc.missing-episode.v1",
        "time": NOON,
        "fingerprint": bytes.fromhex("0123456789abcdef"),
    }
    return Event.of(**{**given, **changes})


def headers_with(**changes: bytes | None) -> list[tuple[str, bytes]]:
    """The headers of an event, some replaced, added or (``None``) left out."""
    named = {name.replace("content_type", "content-type"): value for name, value in changes.items()}
    found = {**dict(an_event().to_headers()), **named}
    return [(name, value) for name, value in found.items() if value is not None]


def test_headers_are_cloudevents_in_kafkas_binary_mode() -> None:
    """Names are ce_ and the attribute; the content type is a header of its own."""
    assert an_event().to_headers() == [
        ("ce_specversion", b"1.0"),
        ("ce_id", ID.encode()),
        ("ce_source", b"urn:concordat:party:rotherham-council"),
        ("ce_type", b"uk.gov.csc.missing-episode.v1"),
        ("ce_time", b"2026-04-01T12:00:00.250Z"),
        ("ce_dataschema", b"urn:concordat:schema:0123456789abcdef"),
        ("content-type", b"application/cose"),
    ]


def test_what_is_written_is_read_back() -> None:
    """Every attribute survives the way over the wire."""
    event = an_event(
        occurredat=NOON - timedelta(days=40_000),
        sequence="7",
        correlationid=OTHER,
        causationid=OTHER,
        retractsid=OTHER,
        classification="OFFICIAL-SENSITIVE",
    )
    assert Event.from_headers(event.to_headers()) == event
    assert Event.from_headers(iter(event.to_headers())) == event


def test_the_router_reads_without_datetimes() -> None:
    """The envelope has the party, the fingerprint and the times as they are compared."""
    envelope = read_envelope(an_event().to_headers())
    assert envelope.id == ID
    assert envelope.publisher == "rotherham-council"
    assert envelope.fingerprint == bytes.fromhex("0123456789abcdef")
    assert envelope.time_us == NOON_US
    assert envelope.occurred_at_us == NOON_US
    assert envelope.retractsid is None


def test_an_event_tells_the_same_as_its_envelope() -> None:
    """Both ways of reading agree on what both have."""
    event = an_event(occurredat=NOON - timedelta(days=1), sequence="0012")
    envelope = read_envelope(event.to_headers())
    assert event.publisher == envelope.publisher
    assert event.fingerprint == envelope.fingerprint
    assert event.time_us == envelope.time_us
    assert event.occurred_at_us == envelope.occurred_at_us == NOON_US - 86_400_000_000
    assert event.sequence == envelope.sequence == "0012"


@pytest.mark.parametrize("missing", [name for name, _ in an_event().to_headers()])
def test_a_missing_header_is_named(missing: str) -> None:
    """The publisher is told which one."""
    headers = [pair for pair in an_event().to_headers() if pair[0] != missing]
    with pytest.raises(BadEnvelope, match=f"{missing} is missing"):
        read_envelope(headers)


@pytest.mark.parametrize(
    "name", ["ce_name", "ce_subject", "traceparent", "ce_agreementid", "CE_ID"]
)
def test_an_unknown_header_is_refused_and_not_repeated(name: str) -> None:
    """What is not on the list could hold anything, and its name too."""
    with pytest.raises(BadEnvelope) as refused:
        read_envelope([*an_event().to_headers(), (name, b"x")])
    assert name not in str(refused.value)


def test_a_header_may_not_appear_twice() -> None:
    """Two readers could take a different one of them."""
    headers = an_event().to_headers()
    with pytest.raises(BadEnvelope, match="twice"):
        read_envelope([*headers, headers[1]])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ce_specversion", b"0.3"),
        ("content_type", b"application/json"),
        ("ce_id", b"9434765919"),
        ("ce_id", ID.upper().encode()),
        ("ce_id", ID.encode() + b"\n"),
        ("ce_id", b"\xff" * 36),
        ("ce_source", b"urn:concordat:party:"),
        ("ce_source", b"urn:concordat:party:Rotherham"),
        ("ce_source", b"urn:concordat:party:a/b"),
        ("ce_source", b"https://example.org"),
        ("ce_source", b"urn:concordat:party:" + b"a" * 65),
        ("ce_type", b"missing"),
        ("ce_type", b"uk.gov.CSC.v1"),
        ("ce_type", b"uk.gov.csc v1"),
        ("ce_dataschema", b"urn:concordat:schema:0123"),
        ("ce_dataschema", b"urn:concordat:schema:0123456789ABCDEF"),
        ("ce_time", b"2026-04-01T12:00:00Z"),
        ("ce_time", b"2026-04-01T12:00:00.000+00:00"),
        ("ce_time", b"2026-04-01t12:00:00.000z"),
        ("ce_time", b"2026-02-30T12:00:00.000Z"),
        ("ce_time", b"0000-01-01T12:00:00.000Z"),
        ("ce_time", b"2026-04-01T24:00:00.000Z"),
        ("ce_time", b"2026-04-01T23:59:60.000Z"),
        ("ce_time", b"2026-04-01T12:00:00.000Z "),
        ("ce_time", b""),
        ("ce_occurredat", b"yesterday"),
        ("ce_sequence", b"-1"),
        ("ce_sequence", b""),
        ("ce_sequence", b"1" * 20),
        ("ce_correlationid", b"Jo Smith, 1 High Street"),
        ("ce_causationid", b""),
        ("ce_retractsid", b"x"),
        ("ce_classification", b"SECRET"),
    ],
)
def test_a_value_without_its_form_is_refused_and_not_repeated(name: str, value: bytes) -> None:
    """Every header has a narrow form: none has room for a name or an NHS number."""
    with pytest.raises(BadEnvelope) as refused:
        read_envelope(headers_with(**{name: value}))
    assert refused.value.code == "bad-envelope"
    text = value.decode("latin-1").strip()
    assert not text or text not in str(refused.value)


def test_what_could_not_be_read_is_not_written() -> None:
    """A publisher finds out before the router does."""
    for changes in (
        {"id": "1"},
        {"publisher": "Ours"},
        {"classification": "SECRET"},
        {"type": "x"},
    ):
        with pytest.raises(BadEnvelope):
            an_event(**changes).to_headers()


def test_a_time_needs_its_offset() -> None:
    """A naive time means another instant on every machine."""
    with pytest.raises(BadTime, match="offset"):
        an_event(time=NOON.replace(tzinfo=None)).to_headers()


def test_times_are_written_in_utc_to_the_millisecond() -> None:
    """The offset is taken out; what is finer is cut off, not rounded."""
    summer = datetime(2026, 7, 1, 0, 30, 0, 999_999, tzinfo=timezone(timedelta(hours=1)))
    assert format_time(summer) == b"2026-06-30T23:30:00.999Z"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"1970-01-01T00:00:00.000Z", 0),
        (b"1969-12-31T23:59:59.999Z", -1000),
        (b"2026-04-01T12:00:00.250Z", NOON_US),
        (b"0001-01-01T00:00:00.000Z", -62_135_596_800_000_000),
        (b"2000-02-29T23:59:59.999Z", 951_868_799_999_000),
    ],
)
def test_times_are_microseconds_since_the_epoch(text: bytes, expected: int) -> None:
    """Before 1970 they are negative."""
    assert parse_time(text) == expected


@pytest.mark.parametrize(
    "away", [timedelta(hours=24), timedelta(0), NOON - datetime(1900, 1, 1, tzinfo=UTC)]
)
def test_times_within_reason_are_taken(away: timedelta) -> None:
    """From 1900 to a day ahead, both ends included; now as a datetime or as microseconds."""
    event = an_event(time=NOON + away if away <= timedelta(hours=24) else NOON - away)
    check_times(event, now=NOON)
    check_times(read_envelope(event.to_headers()), now=NOON_US)


@pytest.mark.parametrize("name", ["time", "occurredat"])
@pytest.mark.parametrize(
    "time",
    [NOON + timedelta(hours=24, milliseconds=1), datetime(1899, 12, 31, 23, 59, 59, tzinfo=UTC)],
)
def test_absurd_times_are_refused(name: str, time: datetime) -> None:
    """An event of the last century but one, or of next week, is a mistake or an attack."""
    event = an_event(**{name: time})
    with pytest.raises(BadEnvelope, match=f"ce_{name}"):
        check_times(event, now=NOON)
    with pytest.raises(BadEnvelope, match=f"ce_{name}"):
        check_times(read_envelope(event.to_headers()), now=NOON)


ROUTING = [
    ("ce_agreementid", b"https://sharing.example.gov.uk/agreements/missing-children"),
    ("ce_agreementversion", b"3"),
    ("ce_flowid", b"missing-to-police"),
    ("ce_purpose", b"safeguard-children"),
]


def test_a_delivery_says_by_which_flow_it_came() -> None:
    """The event's headers, and four more."""
    event, routing = read_delivery([*an_event().to_headers(), *ROUTING])
    assert event == an_event()
    assert routing == Routing(
        "https://sharing.example.gov.uk/agreements/missing-children",
        3,
        "missing-to-police",
        "safeguard-children",
    )


@pytest.mark.parametrize("missing", range(4))
def test_a_delivery_without_its_flow_is_refused(missing: int) -> None:
    """All four belong together."""
    routing = [pair for number, pair in enumerate(ROUTING) if number != missing]
    with pytest.raises(BadEnvelope, match=ROUTING[missing][0]):
        read_delivery([*an_event().to_headers(), *routing])


@pytest.mark.parametrize("version", [b"0", b"-1", b"3.0", b"", b"1" * 10])
def test_a_deliverys_version_is_a_positive_number(version: bytes) -> None:
    """As agreements have them."""
    routing = [(n, version if n == "ce_agreementversion" else v) for n, v in ROUTING]
    with pytest.raises(BadEnvelope, match="ce_agreementversion"):
        read_delivery([*an_event().to_headers(), *routing])


def test_made_up_values_do_not_fill_the_memory() -> None:
    """What is remembered of parties, types and days has a bound."""
    from schemas import envelopes

    for number in range(5000):
        read_envelope(headers_with(ce_source=b"urn:concordat:party:p%d" % number))
    assert len(envelopes._PARTIES) <= envelopes._PARTIES.limit
    assert read_envelope(headers_with()).publisher == "rotherham-council"


@pytest.mark.parametrize("read", [read_envelope, read_delivery])
def test_a_header_without_a_value_is_refused(read: Any) -> None:
    """Kafka lets a header be null: that is no way to stop a reader."""
    with pytest.raises(BadEnvelope, match="no value"):
        read([("ce_id", None)])

"""Bad input: each record to quarantine with its reason, sealed, and the stream goes on.

Every test here holds the same promises, in ``assert_quarantined``: exactly one copy, its
reason, the original bytes in it, nothing of it in clear, and the good event that comes
right after it delivered.
"""

from collections.abc import Mapping
from typing import Any

import pytest
from deciding_world import (
    A_PLACEMENT,
    COUNCIL,
    HEALTH,
    PLACEMENT,
    SCHOOL,
    encode,
    key_of,
)
from hypothesis import given
from hypothesis import strategies as st
from routing_world import (
    MARK,
    NOON_MS,
    TOPIC,
    RoutingWorld,
    decisions,
    deliveries,
    in_clear,
    on,
    reason_of,
)

from broker.routing import QUARANTINE, Routed
from connectors.streams import Record
from schemas.catalogue import shipped
from schemas.framing import frame

KIND = shipped().latest(PLACEMENT)
OTHER = "uk.gov.csc.missing-episode.v1"
BODY = encode(KIND.schema, A_PLACEMENT)


@pytest.fixture(scope="module")
def world() -> RoutingWorld:
    """Return one world for all: whatever bad record came before, the router is as it was."""
    return RoutingWorld()


def assert_quarantined(
    world: RoutingWorld, record: Record, reason: str, *, clear: tuple[str | bytes, ...] = (MARK,)
) -> Routed:
    """Route a bad record between two good ones, and hold what comes of it to the promises."""
    before, after = world.record(), world.record()
    routed = world.route(before, record, after)
    (copy,) = on(QUARANTINE, routed)
    assert reason_of(copy) == reason
    assert routed.tally == {"accepted": 2, "permit": 2, f"quarantine:{reason}": 1}
    assert len(deliveries(routed)) == len(decisions(routed)) == 2
    assert [name for name, _ in copy.headers] == ["reason", "place"]
    assert copy.key is not None
    assert len(copy.key) == 16
    if copy.value is not None:
        kept = world.open_copy(copy)
        assert kept == record._replace(headers=list(record.headers))
    assert in_clear(routed, *clear) == []
    return routed


# -- payloads that a publisher signed with its true key ----------------------------------


def long(number: int) -> bytes:
    """Encode an Avro long."""
    from broker.recording import long as encoded

    return encoded(number)


HOSTILE_BODIES: Mapping[str, bytes] = {
    "empty": b"",
    "cut off inside a text": BODY[:4],
    "cut off at the last byte": BODY[:-1],
    "a byte left over": BODY + b"\x00",
    "the record twice": BODY + BODY,
    "a negative length": long(-1) + BODY,
    "the least length there is": long(-(2**63)) + BODY,
    "a length of a terabyte": long(2**40) + BODY,
    "the greatest length there is": long(2**63 - 1) + BODY,
    "a length that is not written shortest": b"\x8e\x00" + BODY[1:],
    "a length without an end": b"\x80" * 4000,
    "a number of more than 64 bits": b"\xff" * 9 + b"\x7f" + BODY,
    "a union branch that is none": BODY.replace(b"\x02\x149434765919", b"\x049434765919\x00"),
    "a negative union branch": BODY.replace(b"\x02\x149434765919", b"\x01"),
    "text that is not UTF-8": BODY.replace(b"LAC0042", b"LAC\xff\xfe42"),
    "text with half a character": BODY.replace(b"LAC0042", b"LAC004\xc3"),
    "text with a surrogate": BODY.replace(b"LAC0042", b"LAC0\xed\xa0\x80"),
    "a boolean that is neither": BODY.replace(b"\x12E08000018\x00", b"\x12E08000018\x02"),
}


@pytest.mark.parametrize("body", HOSTILE_BODIES.values(), ids=HOSTILE_BODIES)
def test_hostile_avro_by_a_true_publisher_is_quarantined(world: RoutingWorld, body: bytes) -> None:
    """A signature says who wrote it, not that it can be read."""
    assert body != BODY
    assert_quarantined(world, world.record(body=body), "malformed-avro")


def test_every_truncation_is_quarantined(world: RoutingWorld) -> None:
    """Cut at any byte: nothing is read beyond the end, nothing is made up."""
    records = [world.record(body=BODY[:end]) for end in range(len(BODY))]
    routed = world.route(*records, world.record())
    assert {reason_of(copy) for copy in on(QUARANTINE, routed)} == {"malformed-avro"}
    assert len(on(QUARANTINE, routed)) == len(BODY)
    assert len(deliveries(routed)) == 1


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xc3",
        b"\xc3\x01",
        b"\xc3\x01\x00",
        b"\xc3\x02" + BODY,
        b"{}",
        b"\x00\x00\x00\x00\x01" + BODY,
    ],
)
def test_a_payload_without_our_framing_is_quarantined(world: RoutingWorld, payload: bytes) -> None:
    """Neither cut short, nor of another kind, nor of a registry that nobody told us of."""
    assert_quarantined(world, world.record(payload=payload), "bad-framing")


def test_a_schema_that_nobody_knows_is_quarantined(world: RoutingWorld) -> None:
    """Headers and payload agree on a fingerprint that is not in the catalogue."""
    unknown = world.record(
        payload=frame(b"\x01" * 8, BODY),
        headers={"ce_dataschema": b"urn:concordat:schema:" + b"01" * 8},
    )
    assert_quarantined(world, unknown, "unknown-schema")


@pytest.mark.parametrize("fingerprint", [shipped().latest(OTHER).fingerprint, b"\x01" * 8])
def test_a_payload_of_another_schema_than_the_headers_say_is_quarantined(
    world: RoutingWorld, fingerprint: bytes
) -> None:
    """The schema is not whichever of the two is convenient, known or not."""
    other = world.record(payload=frame(fingerprint, BODY))
    assert_quarantined(world, other, "headers-disagree")


def test_a_type_of_another_schema_is_quarantined(world: RoutingWorld) -> None:
    """Rules are looked up by the type: it must be the one whose schema is used."""
    other = world.record(headers={"ce_type": OTHER.encode()})
    assert_quarantined(world, other, "headers-disagree")


@pytest.mark.parametrize("child", ["", " ", MARK * 20, "a\x00b", "LAC 00/42<script>"])
def test_an_event_about_nobody_is_quarantined(world: RoutingWorld, child: str) -> None:
    """A subject identifier that does not validate could not be found again by an auditor."""
    assert_quarantined(world, world.record(childId=child), "invalid-subject")


# -- signatures, and who is whose --------------------------------------------------------


def tampered(world: RoutingWorld, how: str) -> Record:
    """Seal, with the publisher's true sealing, a plaintext whose signing was tampered with."""
    ((plaintext, entry, sealer),) = world.signed([{}])
    changed = bytearray(plaintext)
    places = {
        "payload": plaintext.index(entry.payload) + len(entry.payload) // 2,
        "signature": plaintext.index(b"\x58\x40") + 10,
        "salt": len(plaintext) - 1,
        "version": 1,
        "place": plaintext.index(b"\x58\x40") + 2 + 64 + 4,
    }
    changed[places[how]] ^= 0x01
    return world.seal(bytes(changed), entry.topic, entry.headers, sealer=sealer)


@pytest.mark.parametrize("how", ["payload", "signature", "salt", "version", "place"])
def test_a_signature_that_does_not_hold_is_quarantined(world: RoutingWorld, how: str) -> None:
    """Sealing alone proves nothing about what was signed."""
    assert_quarantined(world, tampered(world, how), "bad-signature")


@pytest.mark.parametrize("plaintext", [b"", b"\x88", b"\x00" * 500, MARK.encode() * 30])
def test_a_plaintext_that_is_no_signed_record_is_quarantined(
    world: RoutingWorld, plaintext: bytes
) -> None:
    """Whatever a publisher seals."""
    ((_, entry, sealer),) = world.signed([{}])
    record = world.seal(plaintext, entry.topic, entry.headers, sealer=sealer)
    assert_quarantined(world, record, "bad-signature")


def test_a_record_signed_by_another_partys_key_is_quarantined(world: RoutingWorld) -> None:
    """A party's key is good for its own events only."""
    record = world.record(signer=key_of(HEALTH), sealed_by=key_of(COUNCIL))
    assert_quarantined(world, record, "unknown-key")


def test_a_record_signed_for_another_publisher_is_quarantined(world: RoutingWorld) -> None:
    """The publisher's name is in what is signed."""
    assert_quarantined(world, world.record(signed_as=HEALTH), "bad-signature")


def test_a_record_sealed_by_another_party_is_quarantined(world: RoutingWorld) -> None:
    """Another party cannot put events on this topic, whoever signed them."""
    assert_quarantined(world, world.record(sealed_by=key_of(SCHOOL)), "does-not-open")


def test_a_key_that_nobody_vouches_for_is_quarantined(world: RoutingWorld) -> None:
    """Making a key pair does not make a publisher."""
    assert_quarantined(world, world.record(signer=key_of(COUNCIL, 99)), "does-not-open")


def test_another_partys_event_on_the_topic_is_quarantined(world: RoutingWorld) -> None:
    """A record copied from one publisher's topic to another's is nobody's."""
    other = world.record(publisher=SCHOOL)
    assert_quarantined(world, other._replace(topic=TOPIC), "headers-disagree")


def test_an_event_of_ones_own_that_names_another_source_is_quarantined(
    world: RoutingWorld,
) -> None:
    """Even when it is signed with the topic's publisher's key."""
    record = world.record(headers={"ce_source": f"urn:concordat:party:{HEALTH}".encode()})
    assert_quarantined(world, record, "headers-disagree")


def test_events_of_somebody_unknown_are_quarantined() -> None:
    """A topic of a party that is not in the scheme decides nothing."""
    world = RoutingWorld()
    record = world.record(publisher="a-stranger")
    assert world.quarantined(record) == ["does-not-open"]


def test_a_party_that_may_only_receive_publishes_nothing() -> None:
    """The role is asked for, not only the name."""
    world = RoutingWorld()
    world.documents.party(COUNCIL, roles=["recipient"], revision=2)
    world.snapshot = type(world.snapshot)(world.documents.rules(), 20)
    assert world.quarantined(world.record()) == ["does-not-open"]


# -- changed on the way ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("ce_id", b"0f6f6a58-7f0a-4a3e-9a0c-00000000ffff", "does-not-open"),
        ("ce_type", OTHER.encode(), "does-not-open"),
        ("ce_dataschema", b"urn:concordat:schema:0000000000000000", "does-not-open"),
        ("ce_source", f"urn:concordat:party:{HEALTH}".encode(), "headers-disagree"),
        ("ce_time", b"2026-06-01T11:59:59.999Z", "bad-signature"),
        ("ce_occurredat", b"2026-06-01T11:59:59.999Z", "bad-signature"),
        ("ce_classification", b"OFFICIAL", "bad-signature"),
        ("ce_sequence", b"1", "bad-signature"),
        ("ce_correlationid", b"0f6f6a58-7f0a-4a3e-9a0c-00000000ffff", "bad-signature"),
    ],
)
def test_a_header_that_was_changed_or_added_on_the_way_is_noticed(
    world: RoutingWorld, name: str, value: bytes, reason: str
) -> None:
    """What is bound does not open; what is only signed does not verify."""
    record = world.record()
    changed = list((dict(record.headers) | {name: value}).items())
    assert_quarantined(world, record._replace(headers=changed), reason)


def test_a_header_that_was_taken_out_on_the_way_is_noticed(world: RoutingWorld) -> None:
    """Each of them, required or not."""
    for name in dict(world.record().headers):
        record = world.record()
        rest = [pair for pair in record.headers if pair[0] != name]
        reason = "bad-signature" if name == "ce_occurredat" else "bad-envelope"
        assert_quarantined(world, record._replace(headers=rest), reason)


@pytest.mark.parametrize(
    "extra",
    [
        ("ce_id", b"0f6f6a58-7f0a-4a3e-9a0c-00000000ffff"),
        ("ce_childname", MARK.encode()),
        (MARK, b"x"),
        ("", b""),
        ("ce_classification", MARK.encode()),
        ("ce_sequence", b"\xff\xfe"),
        ("ce_correlationid", MARK.encode()),
        ("x" * 20_000, b"y" * 20_000),
    ],
)
def test_a_header_that_has_no_place_is_quarantined(
    world: RoutingWorld, extra: tuple[str, bytes]
) -> None:
    """Twice, unknown, of another form or not of text: and it is nowhere in clear."""
    record = world.record()
    changed = record._replace(headers=[*record.headers, extra])
    assert_quarantined(world, changed, "bad-envelope")


def test_a_header_without_a_value_is_quarantined(world: RoutingWorld) -> None:
    """Kafka lets a header's value be null."""
    record = world.record()
    headers: Any = [*record.headers, ("ce_sequence", None)]
    routed = world.route(record._replace(headers=headers), world.record())
    (copy,) = on(QUARANTINE, routed)
    assert len(deliveries(routed)) == 1
    assert world.open_copy(copy).headers[-1] == ("ce_sequence", None)


@pytest.mark.parametrize("value", [b"\xff\xfe", "é".encode(), b"", b"1\x00", b" 1.0"])
def test_header_values_that_are_not_of_their_form_are_quarantined(
    world: RoutingWorld, value: bytes
) -> None:
    """In every header there is, whatever bytes stand in it."""
    for name in dict(world.record().headers):
        record = world.record()
        changed = list((dict(record.headers) | {name: value}).items())
        assert_quarantined(world, record._replace(headers=changed), "bad-envelope")


@pytest.mark.parametrize("name", ["ce_time", "ce_occurredat"])
@pytest.mark.parametrize(
    "time",
    [
        b"1899-12-31T23:59:59.999Z",
        b"0001-01-01T00:00:00.000Z",
        b"0000-01-01T00:00:00.000Z",
        b"2026-06-02T12:00:00.001Z",
        b"9999-12-31T23:59:59.999Z",
        b"2026-02-30T00:00:00.000Z",
        b"2026-06-01T24:00:00.000Z",
        b"2026-06-01T12:00:00Z",
        b"2026-06-01T12:00:00.000+01:00",
        b"1780315200000",
    ],
)
def test_absurd_times_are_quarantined(world: RoutingWorld, name: str, time: bytes) -> None:
    """Before 1900, more than a day ahead, on no calendar or in another form; signed or not."""
    assert_quarantined(world, world.record(headers={name: time}), "bad-envelope")


@pytest.mark.parametrize("time", [b"1900-01-01T00:00:00.000Z", b"2026-06-02T12:00:00.000Z"])
def test_times_at_the_bounds_are_not_absurd(world: RoutingWorld, time: bytes) -> None:
    """The bounds themselves are inside."""
    record = world.record(headers={"ce_time": time, "ce_occurredat": time})
    assert world.quarantined(record) == []


@pytest.mark.parametrize("timestamp_ms", [-(2**62), -9_000_000_000_000, 2**53, 2**62])
def test_a_record_whose_own_timestamp_is_absurd_is_quarantined(
    world: RoutingWorld, timestamp_ms: int
) -> None:
    """On Kafka a publisher writes it; a decision record with it could not be read again."""
    record = world.record()._replace(timestamp_ms=timestamp_ms)
    assert_quarantined(world, record, "bad-record")


@given(st.data())
def test_any_changed_byte_of_the_sealed_value_is_noticed(
    world: RoutingWorld, data: st.DataObject
) -> None:
    """Anywhere in it; the router never takes such a record for the one that was sealed."""
    record = world.record()
    value = bytearray(record.value or b"")
    at = data.draw(st.integers(0, len(value) - 1))
    value[at] ^= data.draw(st.integers(1, 255))
    assert_quarantined(world, record._replace(value=bytes(value)), "does-not-open")


# -- sizes -------------------------------------------------------------------------------


def test_a_tombstone_is_quarantined(world: RoutingWorld) -> None:
    """A record without a value is not an event; its key is not copied."""
    record = world.record()._replace(value=None, key=MARK.encode())
    assert_quarantined(world, record, "bad-record")


def test_an_empty_value_is_quarantined(world: RoutingWorld) -> None:
    """Nor is one of no bytes."""
    assert_quarantined(world, world.record()._replace(value=b""), "does-not-open")


@pytest.fixture(scope="module")
def narrow() -> RoutingWorld:
    """Return a world whose streams take records of at most 100 kB."""
    return RoutingWorld(max_record_bytes=100_000)


def test_an_event_that_leaves_no_room_is_quarantined_by_its_place(narrow: RoutingWorld) -> None:
    """A copy of it could be larger than a record may be, so its place is kept alone."""
    record = narrow.record()._replace(value=b"\x00" * 99_000)
    routed = assert_quarantined(narrow, record, "too-large")
    (copy,) = on(QUARANTINE, routed)
    assert copy.value is None
    place = f"{record.topic}/{record.partition}/{record.offset}"
    assert dict(copy.headers)["place"] == place.encode()


@pytest.mark.parametrize("where", ["key", "header"])
def test_a_record_that_is_large_elsewhere_is_quarantined(narrow: RoutingWorld, where: str) -> None:
    """What is copied from it, its key above all, must fit into what goes out."""
    record = narrow.record()
    if where == "key":
        record = record._replace(key=b"k" * 95_000)
    else:
        record = record._replace(headers=[*record.headers, ("ce_sequence", b"1" * 95_000)])
    routed = assert_quarantined(narrow, record, "bad-record" if where == "key" else "bad-envelope")
    assert all(
        len(out.key or b"") + len(out.value or b"") + sum(len(n) + len(v) for n, v in out.headers)
        < 100_000
        for out in routed.outgoing
    )


@pytest.mark.parametrize("key", [b"", MARK.encode(), b"9434765919", b"k" * 17])
def test_a_record_key_that_a_publisher_of_ours_would_not_make_is_quarantined(
    world: RoutingWorld, key: bytes
) -> None:
    """A key in clear could be an identifier, and decisions are kept under it."""
    record = world.record()._replace(key=key)
    assert_quarantined(world, record, "bad-record", clear=(key,) if key else ())


# -- replays -----------------------------------------------------------------------------


def test_a_record_that_comes_twice_is_decided_once(world: RoutingWorld) -> None:
    """In one batch or in another, the second goes to quarantine."""
    record = world.record()
    routed = world.route(record, record._replace(offset=record.offset + 1))
    assert routed.tally == {"accepted": 1, "permit": 1, "quarantine:replayed": 1}
    assert world.quarantined(record._replace(offset=record.offset + 2)) == ["replayed"]


def test_a_batch_that_comes_again_is_decided_once(world: RoutingWorld) -> None:
    """Every record of it, although the batch's signature is as good as before."""
    records = world.records([{} for _ in range(10)])
    world.route(*records)
    again = [record._replace(offset=record.offset + 1000) for record in records]
    routed = world.route(*again, world.record())
    assert routed.tally == {"accepted": 1, "permit": 1, "quarantine:replayed": 10}


def test_another_event_under_a_used_id_is_quarantined(world: RoutingWorld) -> None:
    """An id names one event: what comes under it later is not decided, whatever it says."""
    first = world.record(event_id="0f6f6a58-7f0a-4a3e-9a0c-00000000aaaa")
    second = world.record(event_id="0f6f6a58-7f0a-4a3e-9a0c-00000000aaaa", childId="LAC0099")
    assert world.route(first).tally["accepted"] == 1
    assert_quarantined(world, second, "replayed")


def test_a_bad_event_does_not_use_its_id_up(world: RoutingWorld) -> None:
    """Somebody who cannot sign cannot keep an event out by sending its id first."""
    event_id = "0f6f6a58-7f0a-4a3e-9a0c-00000000bbbb"
    assert world.quarantined(world.record(event_id=event_id, body=b"")) == ["malformed-avro"]
    assert world.route(world.record(event_id=event_id)).tally["accepted"] == 1


def test_an_event_that_was_given_back_is_decided_when_it_comes_again(world: RoutingWorld) -> None:
    """A batch that could not be committed is no replay of itself."""
    record = world.record()
    routed = world.route(record)
    world.router.accepted.release(routed.accepted)
    assert world.route(record).tally == {"accepted": 1, "permit": 1}


def test_copies_name_a_time_and_a_place(world: RoutingWorld) -> None:
    """What is in quarantine can be routed again under today's rules: it opens as it was."""
    record = world.record(body=b"\x00")
    (copy,) = on(QUARANTINE, world.route(record))
    kept = world.open_copy(copy)
    assert (kept.timestamp_ms, kept.topic, kept.partition, kept.offset) == (
        NOON_MS, TOPIC, 0, record.offset,
    )  # fmt: skip
    assert world.quarantined(kept) == ["malformed-avro"]

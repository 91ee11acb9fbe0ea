"""Bytes as hostile as can be thought of, by everybody who can write to a topic.

Three who can: somebody on the way (changes sealed values, headers, keys), a publisher
with a true key and a bad writer (any bytes, truly signed and sealed), and one who is
out to break the router (bytes that are nearly right). Whatever comes:

- routing returns; each record becomes one decision or one copy in quarantine, never
  both and never neither;
- the copy opens with the broker's key and holds the record as it came;
- a good event after it is delivered;
- memory stays bounded.
"""

import tracemalloc
from datetime import UTC, datetime
from functools import cache
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from routing_world import RoutingWorld, decisions, deliveries, on

from broker.demo.families import generate
from broker.routing import QUARANTINE
from connectors.encoding import RecordEncoder
from connectors.streams import Record
from schemas.catalogue import shipped
from schemas.framing import frame

NOW = datetime(2026, 6, 1, 11, tzinfo=UTC)
TYPES = tuple(kind.name for kind in shipped())


@cache
def world() -> RoutingWorld:
    """Return one router for all examples: what came before must not matter."""
    return RoutingWorld()


@cache
def bodies() -> tuple[tuple[str, bytes], ...]:
    """Return good records of every event type there is, encoded: what is then mutated."""
    found: dict[tuple[str, int], bytes] = {}
    for _, event in generate(5, 150, NOW):
        kind = shipped().latest(event.event_type)
        body = RecordEncoder(kind.schema).encode(event.record)
        found.setdefault((event.event_type, len(body) // 40), body)
    return tuple((name, body) for (name, _), body in found.items())


def assert_kept(record: Record) -> None:
    """Route one record before a good one, and hold what comes of both to the promises."""
    it = world()
    routed = it.route(record, it.record())
    copies = on(QUARANTINE, routed)
    assert len(copies) + len(decisions(routed)) == 2
    assert len(deliveries(routed)) >= 1
    for copy in copies:
        assert copy.value is not None
        kept = it.open_copy(copy)
        assert kept == record._replace(headers=list(record.headers))


# -- bytes that are nearly right ---------------------------------------------------------

hostile_numbers = st.sampled_from(
    [
        b"\xff" * 9 + b"\x01",  # the least 64-bit number
        b"\xfe" + b"\xff" * 8 + b"\x01",  # the greatest
        b"\x80\x80\x80\x80\x80\x80\x01",  # an exabyte
        b"\x80\x80\x80\x80\x20",  # 4 GiB
        b"\x80\x80\x80\x01",
        b"\x01",  # -1
        b"\x80\x00",  # zero, one byte too long
        b"\xff" * 20,
        b"\x80" * 11,
        b"",
    ]
)


@st.composite
def mutated(draw: st.DrawFn, original: bytes) -> bytes:
    """Change bytes in the ways that break readers: flips, cuts, repeats, hostile numbers."""
    data = bytearray(original)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        match draw(st.integers(0, 5)):
            case 0 if at < len(data):
                data[at] ^= draw(st.integers(1, 255))
            case 1:
                del data[at:]
            case 2:
                data[at : at + draw(st.integers(0, 4))] = draw(hostile_numbers)
            case 3:
                data[at:at] = draw(st.binary(max_size=30))
            case 4:
                del data[at : at + draw(st.integers(1, 10))]
            case _:
                data[at:at] = data[: draw(st.integers(0, 50))] * draw(st.integers(1, 20))
    return bytes(data)


@settings(max_examples=400)
@given(st.data())
def test_hostile_avro_by_a_true_publisher_never_stops_the_stream(data: st.DataObject) -> None:
    """Mutated records of every event type, truly signed and sealed."""
    event_type, body = data.draw(st.sampled_from(bodies()))
    assert_kept(world().record(event_type=event_type, body=data.draw(mutated(body))))


@given(st.sampled_from(TYPES), st.binary(max_size=300))
def test_any_bytes_as_a_body_never_stop_the_stream(event_type: str, body: bytes) -> None:
    """Bytes that were never a record of the type."""
    assert_kept(world().record(event_type=event_type, body=body))


@given(st.binary(max_size=100) | st.binary(max_size=60).map(lambda b: b"\xc3\x01" + b))
def test_any_payload_never_stops_the_stream(payload: bytes) -> None:
    """Framed or not."""
    assert_kept(world().record(payload=payload))


@settings(max_examples=200)
@given(st.data())
def test_any_plaintext_under_a_true_seal_never_stops_the_stream(data: st.DataObject) -> None:
    """The signed record itself, mutated before it is sealed."""
    ((plaintext, entry, sealer),) = world().signed([{}])
    changed = data.draw(mutated(plaintext))
    assert_kept(world().seal(changed, entry.topic, entry.headers, sealer=sealer))


@settings(max_examples=200)
@given(st.data())
def test_any_sealed_value_never_stops_the_stream(data: st.DataObject) -> None:
    """What somebody on the way does to it."""
    record = world().record()
    assert_kept(record._replace(value=data.draw(mutated(record.value or b""))))


header_names = st.sampled_from(
    ["ce_id", "ce_source", "ce_type", "ce_time", "ce_dataschema", "ce_occurredat", "ce_sequence",
     "ce_classification", "ce_correlationid", "ce_retractsid", "ce_specversion", "content-type"]
) | st.text(st.characters(exclude_categories=("Cs",)), max_size=30)  # fmt: skip
header_values = st.binary(max_size=80) | st.text(max_size=30).map(
    lambda text: text.encode("utf-8", "replace")
)


@given(st.lists(st.tuples(header_names, header_values), max_size=20), st.booleans())
def test_any_headers_never_stop_the_stream(
    extra: list[tuple[str, bytes]],
    replace: bool,  # noqa: FBT001  drawn
) -> None:
    """In place of the record's own or after them."""
    record = world().record()
    headers = extra if replace else [*record.headers, *extra]
    assert_kept(record._replace(headers=headers))


@given(st.dictionaries(header_names, header_values, max_size=6))
def test_any_headers_by_a_true_publisher_never_stop_the_stream(headers: dict[str, bytes]) -> None:
    """Signed as they are, and the seal bound to them."""
    readable = {name: value for name, value in headers.items() if b"\0" not in value}
    assert_kept(world().record(headers=readable))


@given(
    st.none() | st.binary(max_size=40),
    st.integers(-(2**63), 2**63 - 1),
    st.integers(0, 2**31 - 1),
)
def test_any_key_time_and_place_never_stop_the_stream(
    key: bytes | None, timestamp_ms: int, offset: int
) -> None:
    """The rest of what makes a record."""
    record = world().record()
    assert_kept(record._replace(key=key, timestamp_ms=timestamp_ms, offset=offset))


# -- memory ------------------------------------------------------------------------------


def _hostile(random: Random, number: int) -> Record:
    """Make a record that is bad in one of many ways, each time with other names in it."""
    it = world()
    event_type, body = random.choice(bodies())
    at = random.randrange(len(body))
    huge = random.choice([b"\xfe" + b"\xff" * 8 + b"\x01", b"\x80\x80\x80\x80\x20"])
    how: dict[str, Any] = random.choice(
        [
            {"event_type": event_type, "body": body[:at] + huge + body[at:]},
            {"event_type": event_type, "body": body[:at]},
            {"headers": {"ce_type": f"uk.example.type-{number}.v1".encode()}},
            {
                "payload": frame(number.to_bytes(8, "big"), body),
                "headers": {
                    "ce_dataschema": b"urn:concordat:schema:"
                    + number.to_bytes(8, "big").hex().encode()
                },
            },
            {"headers": {f"x-{number}": b"1"}},
            {"body": bytes(random.randbytes(2000))},
            {"childId": "9" * random.randrange(60)},
        ]
    )
    return it.record(**how)


def test_memory_stays_bounded_whatever_comes() -> None:
    """Thousands of hostile records later, the router holds hardly more than before.

    Each has a signature, a type or a schema of its own, so that anything that was kept
    for each of them would show.
    """
    random = Random(11)  # noqa: S311  repeatable
    it = world()
    peak = 0
    grown = []
    for round_number in range(6):
        records = [_hostile(random, round_number * 10_000 + number) for number in range(250)]
        tracemalloc.start()
        it.route(*records)
        after, top = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        del records
        grown.append(after)
        peak = max(peak, top)
    # What a round leaves behind, its short ids and caches that are full after a while.
    assert max(grown[1:]) < 3_000_000
    # Its own copies and decisions, and not what the records claim to hold.
    assert peak < 20_000_000


def test_a_length_that_a_record_claims_is_not_what_is_allocated() -> None:
    """Texts, arrays and maps of gigabytes, in a few bytes."""
    it = world()
    records = []
    for event_type, body in bodies():
        for at in range(0, len(body), 7):
            claimed = body[:at] + b"\xfe\xff\xff\xff\x0f" + body[at:]
            records.append(it.record(event_type=event_type, body=claimed))
    it.route(*records[:50])
    tracemalloc.start()
    routed = it.route(*records[50:])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(on(QUARANTINE, routed)) + len(decisions(routed)) == len(records) - 50
    assert peak < 20_000 * len(records)

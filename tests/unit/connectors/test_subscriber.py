"""The subscriber: everything once, from the broker only, and nothing that stops it."""

import hashlib
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from edge_world import (
    AGREEMENT,
    CPIS,
    NOON,
    SOCIAL_CARE,
    TRUST,
    World,
    a_world,
    an_access,
    view_of,
)

from connectors import subscriber as module
from connectors.received import Received, Unopened
from connectors.streams import Outgoing
from connectors.subscriber import Counts, MalformedView, Subscriber, decode_view
from connectors.trust import NoBroker, read_broker
from schemas import avro
from schemas.control import Kind, document_key
from schemas.keys import SealingKey, SigningKey

IDLE = 0.05
TOPIC = f"deliveries.{SOCIAL_CARE}"


class Kept:
    """A sink that keeps what it is given, and fails where a test wants it to."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.unopened: list[Unopened] = []
        self.fail = False

    def write(self, deliveries: Iterable[Received]) -> int:
        """Keep deliveries."""
        if self.fail:
            raise OSError("the disk is full")
        found = list(deliveries)
        self.received += found
        return len(found)

    def write_unopened(self, deliveries: Iterable[Unopened]) -> int:
        """Keep what did not open."""
        found = list(deliveries)
        self.unopened += found
        return len(found)


@pytest_asyncio.fixture(name="world")
async def the_world(tmp_path: Path) -> AsyncIterator[World]:
    """Open a scheme in small."""
    async with a_world(tmp_path) as world:
        yield world


async def some_deliveries(world: World, count: int = 1) -> list[Outgoing]:
    """Publish accesses to hospital and hand them on."""
    await world.publisher().publish(an_access(number) for number in range(count))
    return await world.deliver(await world.published())


async def everything(subscriber: Subscriber) -> Kept:
    """Receive until nothing comes any more."""
    sink = Kept()
    await subscriber.deliver_to(sink, idle_seconds=IDLE)
    return sink


def with_header(outgoing: Outgoing, name: str, value: bytes) -> Outgoing:
    """Change one header of a delivery."""
    headers = dict(outgoing.headers) | {name: value}
    return outgoing._replace(headers=tuple(headers.items()))


async def test_a_delivery_says_what_it_is_and_under_what_it_was_shared(world: World) -> None:
    """The record comes with event, publisher, agreement, version, flow and purpose."""
    (delivery,) = await some_deliveries(world)
    (received,) = (await everything(world.subscriber())).received
    assert received.delivery == hashlib.sha256(delivery.value or b"").hexdigest()
    assert received.record == {**an_access().record, "dataRef": None}
    assert (received.event_type, received.publisher) == (CPIS, TRUST)
    assert (received.agreement, received.version, received.flow) == (AGREEMENT, 3, "access")
    assert received.purpose == "protect-children"
    assert received.occurred_at == NOON


async def test_a_subscriber_that_comes_back_is_given_what_is_new(world: World) -> None:
    """What was taken is not given again to the same group; another group has all of it."""
    await some_deliveries(world, 5)
    assert len((await everything(world.subscriber())).received) == 5
    assert (await everything(world.subscriber())).received == []
    assert len((await everything(world.subscriber(group="another"))).received) == 5


async def test_what_a_sink_could_not_take_comes_again(world: World) -> None:
    """The sink's error comes out and the batch is not committed."""
    await some_deliveries(world, 5)
    sink = Kept()
    sink.fail = True
    with pytest.raises(OSError, match="disk"):
        await world.subscriber().deliver_to(sink, idle_seconds=IDLE)
    assert len((await everything(world.subscriber())).received) == 5


async def test_deliveries_can_be_read_one_by_one(world: World) -> None:
    """Iterating gives each in the order of its partition."""
    await some_deliveries(world, 5)
    positions = []
    async with aclosing(aiter(world.subscriber(max_records=2))) as deliveries:
        async for received in deliveries:
            positions.append(received.position.offset)
            if len(positions) == 5:
                break
    assert positions == sorted(positions)


async def test_a_caller_that_stops_early_is_given_its_last_batch_again(world: World) -> None:
    """Only batches before the one in hand are committed."""
    await some_deliveries(world, 5)
    async with aclosing(aiter(world.subscriber(max_records=2))) as deliveries:
        seen = [await anext(deliveries) for _ in range(3)]
    assert len(seen) == 3
    assert len((await everything(world.subscriber())).received) == 3


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ce_id", b"00000000-0000-5000-8000-000000000000"),
        ("ce_type", b"uk.nhs.pds.death.v2"),
        ("ce_dataschema", b"urn:concordat:schema:0123456789abcdef"),
        ("ce_agreementid", b"https://sharing.example.gov.uk/agreements/other"),
        ("ce_agreementversion", b"4"),
        ("ce_flowid", b"other"),
        ("ce_purpose", b"other"),
        ("ce_source", b"urn:concordat:party:anytown-housing"),
        ("ce_time", b"2026-04-01T09:30:00.000Z"),
        ("ce_occurredat", b"2026-04-01T09:30:00.000Z"),
        ("ce_retractsid", b"00000000-0000-5000-8000-000000000000"),
        ("ce_invented", b"x"),
        ("ce_agreementversion", b"no number"),
        ("ce_id", b"not an id"),
    ],
)
async def test_a_delivery_whose_headers_were_changed_is_reported_and_passed(
    world: World, name: str, value: Any
) -> None:
    """It is told with place and code; the delivery after it comes all the same."""
    delivery, *_ = await some_deliveries(world)
    await everything(world.subscriber())
    await world.streams.append([with_header(delivery, name, value), delivery])
    told: list[Unopened] = []
    sink = await everything(world.subscriber(on_unopened=told.append))
    assert len(sink.received) == 1
    assert sink.unopened == told
    assert told[0].code in {"does-not-open", "bad-envelope", "unknown-schema"}
    assert told[0].sealed == delivery.value


@pytest.mark.parametrize(
    "change",
    [
        lambda _: b"",
        lambda sealed: sealed[:-1],
        lambda sealed: sealed[:40] + bytes([sealed[40] ^ 1]) + sealed[41:],
        lambda sealed: sealed + b"\x00",
    ],
)
async def test_bytes_that_were_changed_do_not_open(world: World, change: Any) -> None:
    """Nothing comes of them but a report."""
    delivery, *_ = await some_deliveries(world)
    await everything(world.subscriber())
    await world.streams.append([delivery._replace(value=change(delivery.value))])
    sink = await everything(world.subscriber())
    assert sink.received == []
    assert [problem.code for problem in sink.unopened] == ["does-not-open"]


async def test_a_delivery_to_somebody_else_does_not_open(world: World) -> None:
    """Moved to our topic it is only a report, since our key does not fit."""
    await some_deliveries(world)
    sink = await everything(world.subscriber(sealing_keys=[SealingKey.generate()]))
    assert (len(sink.received), len(sink.unopened)) == (0, 1)


async def test_counts_tell_what_was_passed(world: World) -> None:
    """Received and unopened are counted once they are committed."""
    delivery, *_ = await some_deliveries(world, 3)
    await world.streams.append([delivery._replace(value=b"")])
    subscriber = world.subscriber()
    assert await subscriber.deliver_to(Kept(), idle_seconds=IDLE) == Counts(3, 1)


async def test_a_tombstone_on_the_topic_is_reported(world: World) -> None:
    """A record without value or headers stops nothing."""
    await world.streams.append([Outgoing(TOPIC, b"k", None)])
    (problem,) = (await everything(world.subscriber())).unopened
    assert (problem.code, problem.event_id) == ("bad-envelope", None)


async def test_a_view_that_is_announced_late_is_found(world: World) -> None:
    """Control is looked at again before a delivery counts as unreadable."""
    await some_deliveries(world)
    subscriber = world.subscriber()
    await everything(subscriber)
    await world.publisher().publish([an_access(77)])
    *_, record = await world.published()
    await world.deliver([record])
    assert len((await everything(subscriber)).received) == 1


async def test_a_view_that_is_not_announced_is_reported(world: World) -> None:
    """Without its schema nothing can be read, and it is not lost."""
    await world.publisher().publish([an_access()])
    await world.deliver(await world.published(), announce=False)
    (problem,) = (await everything(world.subscriber())).unopened
    assert problem.code == "unknown-schema"


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "record", "name": "Other", "fields": [{"name": "x", "type": "string"}]},
        {"type": "nonsense"},
        [],
        None,
    ],
)
async def test_a_schema_under_a_false_name_is_not_used(world: World, schema: Any) -> None:
    """The fingerprint is worked out from the schema, whatever control says."""
    await world.publisher().publish([an_access()])
    await world.deliver(await world.published(), announce=False)
    fingerprint = avro.fingerprint(avro.parse(view_of(CPIS)))
    key = document_key(Kind.SCHEMA, fingerprint.hex())
    await world.put(key, {"fingerprint": fingerprint.hex(), "schema": schema})
    (problem,) = (await everything(world.subscriber())).unopened
    assert problem.code == "unknown-schema"


_RUBBISH = (b"", b"[]", b"\xff", b'{"schema": "string"}', b"[" * 100_000)


async def test_a_schema_that_is_written_over_still_counts(world: World) -> None:
    """A subscriber that starts reads every record of its key, and the true one is used."""
    await some_deliveries(world)
    (key,) = {r.key async for r in world.streams.read("control") if b"schema|" in (r.key or b"")}
    for rubbish in (*_RUBBISH, None):
        await world.streams.append([Outgoing("control", key, rubbish)])
    assert len((await everything(world.subscriber())).received) == 1


async def test_a_schema_that_comes_after_rubbish_under_its_name_counts(world: World) -> None:
    """Whoever writes first cannot keep a view from being read."""
    fingerprint = avro.fingerprint(avro.parse(view_of(CPIS)))
    key = document_key(Kind.SCHEMA, fingerprint.hex())
    await world.streams.append([Outgoing("control", key, rubbish) for rubbish in _RUBBISH])
    await some_deliveries(world)
    assert len((await everything(world.subscriber())).received) == 1


async def test_rubbish_on_control_stops_nobody(world: World) -> None:
    """What cannot be read there is passed over."""
    for key in (b"", b"schema|", b"schema|zz", b"party|broker|x", b"\xff", b"party|broker|9"):
        await world.streams.append(
            [Outgoing("control", key, b"\xff not json"), Outgoing("control", key, b"[]")]
        )
        await world.streams.append([Outgoing("control", key, b"[" * 100_000)])
        await world.streams.append([Outgoing("control", key, None)])
    await some_deliveries(world)
    assert len((await everything(world.subscriber())).received) == 1


async def test_a_broker_that_the_scheme_did_not_sign_is_not_believed(world: World) -> None:
    """Deliveries from keys that somebody else announced do not open."""
    false_key = SigningKey.generate()
    await world.announce_broker(
        revision=2, signing_key=SigningKey.generate(), signing_keys=(false_key.public.to_jwk(),)
    )
    await world.publisher().publish([an_access()])
    world.broker_signing = false_key
    await world.deliver(await world.published())
    sink = await everything(world.subscriber())
    assert (len(sink.received), len(sink.unopened)) == (0, 1)


async def test_a_key_that_the_broker_gave_up_opens_nothing_for_long(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Control is looked at from time to time, not only when something does not open."""
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.0)
    delivery, *_ = await some_deliveries(world)
    subscriber = world.subscriber()
    await everything(subscriber)
    await world.announce_broker(revision=2, signing_keys=())
    await world.streams.append([delivery])
    assert len((await everything(subscriber)).unopened) == 1


async def test_a_new_key_of_the_brokers_is_taken_up_while_running(world: World) -> None:
    """The highest revision counts; deliveries under the key before it open no more."""
    old, *_ = await some_deliveries(world)
    subscriber = world.subscriber()
    await everything(subscriber)
    world.broker_signing = SigningKey.generate()
    await world.announce_broker(revision=2)
    await world.deliver(await world.published())
    assert len((await everything(subscriber)).received) == 1
    await world.streams.append([old])
    assert len((await everything(subscriber)).unopened) == 1


async def test_an_old_revision_cannot_be_passed_off_as_a_new_one(world: World) -> None:
    """The signed document must be the one that its record key names."""
    await world.announce_broker(revision=2, name="The broker of today")
    records = [record async for record in world.streams.read("control")]
    first = next(record for record in records if record.key == b"party|broker|1")
    await world.put(b"party|broker|3", json.loads(first.value or b""))
    broker = await read_broker(world.streams, world.scheme.public)
    assert (broker.revision, broker.name) == (2, "The broker of today")


async def test_without_a_broker_there_is_nobody_to_publish_to(world: World) -> None:
    """A scheme key that signed nothing finds no broker."""
    with pytest.raises(NoBroker) as caught:
        await read_broker(world.streams, SigningKey.generate().public)
    assert caught.value.code == "no-broker"


def test_a_view_must_be_exactly_one_record() -> None:
    """Bytes left over, bytes missing and a schema that is no record are refused."""
    schema = avro.parse(
        {"type": "record", "name": "View", "fields": [{"name": "x", "type": "string"}]}
    )
    assert decode_view(schema, b"\x02a") == {"x": "a"}
    for data in (b"", b"\x02", b"\x02ab", b"\x02\xff", b"\xff\xff\xff\xff\x0f"):
        with pytest.raises(MalformedView):
            decode_view(schema, data)
    with pytest.raises(MalformedView):
        decode_view(avro.parse("string"), b"\x02a")

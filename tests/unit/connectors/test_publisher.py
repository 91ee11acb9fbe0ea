"""The publisher: what it appends is named, signed and sealed, and tells nothing."""

import dataclasses
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
import pytest_asyncio
from edge_world import NOON, TRUST, World, a_world, an_access

from connectors.encoding import InvalidRecord
from connectors.prepared import PreparedEvent
from connectors.publisher import EventTooLarge, Publisher
from connectors.streams import Record
from connectors.subscriber import decode_view
from schemas.catalogue import shipped
from schemas.errors import RejectedInput
from schemas.events import BadEnvelope, Event
from schemas.framing import UnknownSchema, unframe
from schemas.keys import SigningKey
from schemas.sealing import DoesNotOpen


@pytest_asyncio.fixture(name="world")
async def the_world(tmp_path: Path) -> AsyncIterator[World]:
    """Open a scheme in small."""
    async with a_world(tmp_path) as world:
        yield world


async def test_a_published_event_opens_verifies_and_decodes_at_the_broker(world: World) -> None:
    """The broker finds the record that was given, under the publisher's signature."""
    published = await world.publisher().publish([an_access()])
    (record,) = await world.published()
    event = Event.from_headers(record.headers)
    assert published.ids == (event.id,)
    assert (event.publisher, event.type, event.occurredat) == (TRUST, an_access().event_type, NOON)
    payload = world.open(record).payload
    fingerprint, start = unframe(payload)
    event_type = shipped().by_fingerprint(fingerprint)
    found = decode_view(event_type.schema, payload[start:])
    assert found == {**an_access().record, "dataRef": None}


async def test_only_the_broker_can_open_it(world: World) -> None:
    """Another key does not open what was sealed to the broker."""
    await world.publisher().publish([an_access()])
    (record,) = await world.published()
    stranger = dataclasses.replace(world, broker_sealing=world.recipient_key)
    with pytest.raises(DoesNotOpen):
        stranger.open(record)


async def test_a_source_that_is_read_again_repeats_its_ids(world: World) -> None:
    """The id follows from type, natural key and content, in this process or another."""
    first = await world.publisher().publish([an_access(1), an_access(2)])
    again = await world.publisher().publish([an_access(1), an_access(2)])
    assert first == again
    assert len(set(first.ids)) == 2


async def test_an_id_is_a_uuid_of_version_5(world: World) -> None:
    """It has the form that the envelope wants."""
    assert UUID(world.publisher().event_id(an_access())).version == 5


@pytest.mark.parametrize(
    "other",
    [
        an_access(planType="LAC"),
        an_access(2),
        dataclasses.replace(an_access(), retracts="00000000-0000-5000-8000-000000000000"),
    ],
)
async def test_a_correction_another_fact_and_a_retraction_have_ids_of_their_own(
    world: World, other: PreparedEvent
) -> None:
    """Content, natural key and what is retracted each make another event."""
    publisher = world.publisher()
    assert publisher.event_id(other) != publisher.event_id(an_access())


async def test_ids_and_record_keys_are_secret_to_the_publisher(world: World) -> None:
    """Somebody with other keys cannot make the same names, and so cannot test a guess."""
    await world.publisher().publish([an_access()])
    stranger = world.publisher(signing_key=SigningKey.generate())
    (guess,) = stranger.seal([an_access()])
    (record,) = await world.published()
    assert guess.key != record.key
    assert stranger.event_id(an_access()) != world.publisher().event_id(an_access())


async def test_names_survive_a_change_of_the_signing_key(world: World) -> None:
    """With the secret given, a new signing key gives the same ids."""
    one = world.publisher(identity_secret=b"s" * 32)
    other = world.publisher(identity_secret=b"s" * 32, signing_key=SigningKey.generate())
    assert one.event_id(an_access()) == other.event_id(an_access())


async def test_one_persons_events_have_one_record_key_however_written(world: World) -> None:
    """Spaces in an identifier change nothing; another person has another key."""
    publisher = world.publisher()
    one, spaced, another = publisher.seal(
        [
            an_access(1, nhsNumber="9990000018"),
            an_access(2, nhsNumber="999 000 0018"),
            an_access(3, nhsNumber="9990000026"),
        ]
    )
    assert one.key == spaced.key
    assert one.key != another.key
    assert len(one.key or b"") == 16


async def test_nothing_in_key_or_headers_tells_who_it_is_about(world: World) -> None:
    """No value of the record and nothing of the natural key is in clear."""
    await world.publisher().publish([an_access()])
    (record,) = await world.published()
    clear = (record.key or b"") + b"".join(value for _, value in record.headers)
    for value in ("9990000018", "XAT01", "emergency", "01632", "attendance/1"):
        assert value.encode() not in clear + (record.value or b"")


async def test_a_batch_is_signed_once_and_appended_in_parts_of_its_size(world: World) -> None:
    """Events come in batches of the size asked for, each event verifiable by itself."""
    publisher = world.publisher(batch_events=4)
    sizes = [
        len(ids)
        async for ids in publisher.publish_batches(an_access(number) for number in range(10))
    ]
    assert sizes == [4, 4, 2]
    records = await world.published()
    assert len({world.open(record).leaf for record in records}) == 10


async def test_what_is_published_together_stays_in_order_for_a_person(world: World) -> None:
    """One key is one partition, and its events lie there in the order given."""
    ids = (await world.publisher().publish(an_access(number) for number in range(50))).ids
    assert [_id(record) for record in await world.published()] == list(ids)


def _id(record: Record) -> str:
    return Event.from_headers(record.headers).id


async def test_a_retraction_names_the_event_that_it_takes_back(world: World) -> None:
    """The event itself may be given: its id is worked out again."""
    first = an_access(1)
    taken_back = dataclasses.replace(an_access(1, planType="LAC"), retracts=first)
    await world.publisher().publish([first])
    await world.publisher().publish([taken_back])
    events = [Event.from_headers(record.headers) for record in await world.published()]
    assert events[1].retractsid == events[0].id


@pytest.mark.parametrize(
    ("event", "error"),
    [
        (an_access(planType="XXX"), InvalidRecord),
        (an_access(unknown=1), InvalidRecord),
        (dataclasses.replace(an_access(), event_type="uk.example.none.v1"), UnknownSchema),
        (dataclasses.replace(an_access(), occurred_at=datetime(2026, 4, 1)), RejectedInput),  # noqa: DTZ001
        (dataclasses.replace(an_access(), retracts="not an id"), BadEnvelope),
        (an_access(careSettingType="x" * 2_000_000), EventTooLarge),
    ],
)
async def test_an_event_that_cannot_be_published_is_rejected(
    world: World, event: PreparedEvent, error: type[RejectedInput]
) -> None:
    """It raises what is wrong with it and nothing of it is appended."""
    with pytest.raises(error) as caught:
        await world.publisher().publish([event])
    assert "9990000018" not in str(caught.value)
    assert await world.published() == []


async def test_a_rejected_event_need_not_stop_the_others(world: World) -> None:
    """With a callback, what does not fit is told and the rest is published."""
    rejected: list[tuple[str, str]] = []
    published = await world.publisher().publish(
        [an_access(1), an_access(2, planType="XXX"), an_access(3)],
        on_rejected=lambda event, problem: rejected.append((event.natural_key, problem.code)),
    )
    assert published.count == 2
    assert rejected == [("attendance/2", "invalid-record")]


async def test_publishing_nothing_appends_nothing(world: World) -> None:
    """An empty source is no batch."""
    assert (await world.publisher().publish([])).count == 0
    assert await world.published() == []


async def test_an_event_carries_when_it_happened_and_when_it_was_told(world: World) -> None:
    """``occurredat`` is the source's, ``time`` the publisher's clock, to the millisecond."""
    told = NOON + timedelta(hours=1)
    await world.publisher(clock=lambda: told).publish([an_access()])
    (record,) = await world.published()
    event = Event.from_headers(record.headers)
    assert (event.occurredat, event.time) == (NOON, told)


def test_a_batch_has_at_least_one_event(tmp_path: Path) -> None:
    """A size of nothing is refused when the publisher is made."""
    world = World(streams=None)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="at least one"):
        world.publisher(batch_events=0)
    assert isinstance(world.publisher(), Publisher)
    assert not list(tmp_path.iterdir())

"""What happens to a scheme over time: new versions, rubbish on control, parties that join."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest_asyncio
from town import COUNCIL, PURPOSE, SCHOOL, Town, found_town, the_agreement, version_two

from agreements.candidates import views_of
from agreements.canonical import canonical_form
from agreements.signatures import SignatureType
from broker.administration import (
    PartyDraft,
    add_party,
    find_agreement,
    found_scheme,
    prepare_streams,
    standings,
)
from broker.control import TOPIC as CONTROL
from broker.routing import DELIVERIES
from connectors.streams import Outgoing, StreamsUnavailable
from schemas.control import Kind, document_key


@pytest_asyncio.fixture(name="town")
async def a_town(tmp_path: Path) -> AsyncIterator[Town]:
    """Found a scheme on the embedded streams."""
    async with found_town(tmp_path / "town") as town:
        yield town


async def test_deliveries_under_a_second_version_open(town: Town) -> None:
    """The schema of a view is on control before the first delivery that needs it."""
    await town.agree(the_agreement())
    await town.publish()
    assert await town.route() == {"accepted": 1, "permit": 1}
    await town.agree(version_two())
    await town.publish()
    assert await town.route() == {"accepted": 1, "permit": 1}
    assert await town.receive() == (2, 0)


async def test_a_router_that_starts_puts_missing_schemas_on_control(town: Town) -> None:
    """An upgrade may bring a revision of a schema that no agreement was put with."""
    agreement = the_agreement()
    key = document_key(Kind.AGREEMENT, agreement.id, agreement.version)
    await town.streams.append([Outgoing(CONTROL, key, canonical_form(agreement))])
    for party in (COUNCIL, SCHOOL):
        await town.sign(agreement, party)
    keys = [record.key or b"" async for record in town.streams.read(CONTROL)]
    assert not any(key.startswith(b"schema|") for key in keys)
    # Nor is a key that somebody else wrote first taken for the schema.
    [view] = views_of(agreement, town.scheme.catalogue)
    name = document_key(Kind.SCHEMA, view.fingerprint.hex())
    await town.streams.append([Outgoing(CONTROL, name, b"rubbish")])
    await town.publish()
    assert await town.route() == {"accepted": 1, "permit": 1}
    assert await town.receive() == (1, 0)


async def test_rubbish_on_control_keeps_nobody_from_revoking(town: Town) -> None:
    """What does not hold together is passed over, by officers' commands as by routers."""
    agreement = the_agreement()
    await town.agree(agreement)
    await town.streams.append(
        [
            Outgoing(CONTROL, b"agreement|https://evil.example|1", b"not json"),
            Outgoing(CONTROL, b"\xff\xfe", b"{}"),
            Outgoing(CONTROL, None, b"{}"),
        ]
    )
    [told] = await standings(town.scheme, town.streams)
    assert told["standing"] == {COUNCIL: "accepted", SCHOOL: "accepted"}
    found = await find_agreement(town.scheme, town.streams, agreement.id, None)
    await town.sign(found, SCHOOL, SignatureType.REVOKE)
    await town.publish()
    assert await town.route() == {"accepted": 1, "deny:revoked": 1}
    [told] = await standings(town.scheme, town.streams)
    assert told["standing"] == {COUNCIL: "accepted", SCHOOL: "revoked"}


async def test_a_router_at_work_stops_when_it_is_told(town: Town) -> None:
    """Only the batches in hand are finished; the rest is for whoever comes next."""
    await town.agree(the_agreement())
    await town.publish(500)
    service = town.scheme.service(town.streams)
    service._max_records = 5
    service._progress = lambda _: service.stop()
    await service.run()
    assert 0 < service.tally["accepted"] < 500


async def test_a_party_that_joins_is_heard_while_others_keep_the_router_busy(town: Town) -> None:
    """A new publisher's topic is taken on without waiting for a quiet moment."""
    await town.agree(the_agreement())
    service = town.scheme.service(town.streams)
    running = asyncio.create_task(service.run())
    late = "anytown-late"
    try:
        async with asyncio.timeout(60):
            await town.publish(20)
            await add_party(town.scheme, town.streams, PartyDraft(late, "Late"))
            await town.publish(3, party=late)
            while service.tally["deny:no-agreement"] < 3:
                await town.publish(5)
                await asyncio.sleep(0)
    finally:
        service.stop()
        await running
    assert service.tally["deny:no-agreement"] == 3


async def test_a_party_that_joins_while_the_streams_are_away_is_heard_later(town: Town) -> None:
    """The router does not end because a topic could not be made at that moment."""
    await town.agree(the_agreement())
    service = town.scheme.service(town.streams)
    create, refused = town.streams.create_topics, 0

    async def away(partitions: Any, **how: Any) -> None:
        """Refuse the router's first two tries to make the late party's topics."""
        nonlocal refused
        if refused < 2 and len(partitions) == 6:
            refused += 1
            raise StreamsUnavailable("the test's own")
        await create(partitions, **how)

    town.streams.create_topics = away  # type: ignore[method-assign]
    running = asyncio.create_task(service.run())
    late = "anytown-late"
    try:
        async with asyncio.timeout(60):
            while not service.tally["accepted"]:  # it is at work
                await town.publish(1)
                await asyncio.sleep(0)
            await add_party(town.scheme, town.streams, PartyDraft(late, "Late"))
            await town.publish(3, party=late)
            while service.tally["deny:no-agreement"] < 3:
                assert not running.done()
                await town.publish(1)
                await asyncio.sleep(0)
    finally:
        service.stop()
        await running
    assert refused == 2


async def test_a_topic_that_was_forgotten_does_not_stop_the_router(tmp_path: Path) -> None:
    """What the parties on control need is made by the router that needs it."""
    scheme = found_scheme(tmp_path / "town", name="Anytown", streams="sqlite:streams.db")
    async with scheme.streams() as streams:
        await prepare_streams(scheme, streams)
        create = streams.create_topics

        async def forget(_: Any, **__: Any) -> None:
            """Create nothing."""

        streams.create_topics = forget  # type: ignore[method-assign]
        await add_party(scheme, streams, PartyDraft(COUNCIL, "Council"))
        await add_party(scheme, streams, PartyDraft(SCHOOL, "School", purposes=(PURPOSE,)))
        streams.create_topics = create  # type: ignore[method-assign]
        town = Town(scheme, streams)
        await town.agree(the_agreement())
        assert await town.route() == {}
        assert DELIVERIES + SCHOOL in await streams.topics()
        await town.publish()
        assert await town.route() == {"accepted": 1, "permit": 1}
        assert await town.receive() == (1, 0)

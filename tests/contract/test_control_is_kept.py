"""What lies on ``control`` outlives every process: nobody takes it back by writing over it.

Each test writes, spoils what it wrote, and reads all from the start, as a router does
that was started anew. The topics are made the way a scheme makes them.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from deciding_world import (
    COUNCIL,
    HEALTH,
    NOON,
    PLACEMENT,
    SCHEME,
    World,
    a_world,
    an_agreement,
    an_event,
    pseudonym_key,
)

from agreements.candidates import to_us
from agreements.deciding import Permit, decide
from agreements.rules import Compiler
from broker.accepted import TOPIC as ACCEPTED
from broker.administration import found_scheme, prepare_streams
from broker.control import TOPIC as CONTROL
from broker.control import ControlState
from broker.routing import DECISIONS
from broker.scheme import SchemeFolder
from connectors.streams import Outgoing, Streams
from schemas.catalogue import shipped

AT = to_us(NOON)


@pytest.fixture(name="scheme")
def a_scheme(streams_url: str, tmp_path: Path) -> SchemeFolder:
    """Found a scheme on streams of each kind in turn."""
    return found_scheme(
        tmp_path / "town", name="Anytown", streams=streams_url, has_own_namespace=True
    )


@pytest_asyncio.fixture(name="control")
async def its_streams(scheme: SchemeFolder) -> AsyncIterator[Streams]:
    """Make the topics of the scheme, with a permitted flow on ``control``."""
    async with scheme.streams() as streams:
        await prepare_streams(scheme, streams)
        await put(streams, a_world())
        yield streams


def revoking() -> World:
    """Revoke what the usual world agrees on."""
    world = World()
    world.sign(an_agreement(), HEALTH, type="revoke")
    return world


def suspending() -> World:
    """Suspend a party of it."""
    world = World()
    world.party(HEALTH, revision=2, state="suspended")
    return world


def objecting() -> World:
    """Object to all sharing about its subject."""
    world = World()
    world.objection("1", subject=b"child".hex())
    return world


async def put(streams: Streams, world: World) -> None:
    """Append what a world holds."""
    await streams.append([Outgoing(CONTROL, key, value) for key, value in world.documents.items()])


async def is_shared(streams: Streams, *, before: int | None = None) -> bool:
    """Whether a router would share that starts now and reads ``control``, or a part of it."""
    state = ControlState(Compiler(shipped(), scheme_key=SCHEME.public, pseudonym_key=pseudonym_key))
    await state.load(streams, before=before)
    found = state.snapshot().rules.candidates(COUNCIL, PLACEMENT, at=AT)
    return any(isinstance(decide(an_event(), one, at=AT), Permit) for one in found)


@pytest.mark.parametrize(
    "stopping", [revoking(), suspending(), objecting()], ids=["revoked", "suspended", "objected"]
)
async def test_what_stops_a_flow_still_stands_after_a_restart(
    control: Streams, stopping: World
) -> None:
    """By rubbish, by a true document of another place, or by a tombstone: nothing is undone."""
    agreed = [record.value async for record in control.read(CONTROL)]
    assert await is_shared(control)
    await put(control, stopping)
    assert not await is_shared(control)
    for value in (b'{"jws": "rubbish"}', *agreed, None):
        await control.append([Outgoing(CONTROL, key, value) for key in stopping.documents])
    assert not await is_shared(control)


async def test_rules_of_the_past_can_be_made_again(control: Streams) -> None:
    """What an agreement and its parties were is told after each was written over."""
    before = (await control.end(CONTROL))[0]
    everything = [record.key async for record in control.read(CONTROL)]
    await control.append([Outgoing(CONTROL, key, b"rubbish") for key in everything])
    await control.append([Outgoing(CONTROL, key, None) for key in everything])
    assert await is_shared(control, before=before)
    assert len([record async for record in control.read(CONTROL)]) == 3 * len(everything)


@pytest.mark.kafka
async def test_kafka_keeps_evidence_and_what_it_rests_on_for_ever(
    kafka_url: str, tmp_path: Path
) -> None:
    """Whatever the cluster's own defaults are: as it comes, it deletes after seven days."""
    scheme = found_scheme(
        tmp_path / "town", name="Anytown", streams=kafka_url, has_own_namespace=True
    )
    async with scheme.streams() as streams:
        await prepare_streams(scheme, streams)
    wanted = {"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"}
    for topic in (CONTROL, DECISIONS, ACCEPTED):
        assert await configs_of(kafka_url, f"{scheme.settings.namespace}.{topic}") == wanted


async def configs_of(kafka_url: str, topic: str) -> dict[str, str]:
    """Return how long a topic keeps what it holds, as the brokers say."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_url.removeprefix("kafka://"))
    await admin.start()
    names = dict.fromkeys(("cleanup.policy", "retention.ms", "retention.bytes"))
    asked = ConfigResource(ConfigResourceType.TOPIC, topic, names)
    (answer,) = await admin.describe_configs([asked])
    await admin.close()
    return {entry[0]: entry[1] for resource in answer.resources for entry in resource[4]}

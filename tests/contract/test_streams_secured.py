"""The Kafka adapter by TLS and SASL, on a real broker that lets nobody else in."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from services.local_kafka import Unavailable
from services.secured_kafka import PASSWORD, PROTOCOLS, USERNAME, SecuredKafka

from connectors.streams import Outgoing, StreamsUnavailable, open_streams
from connectors.streams.security import Security

pytestmark = pytest.mark.kafka

Named = Callable[[str], str]


@pytest.fixture(scope="module")
def secured_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredKafka]:
    """Return a broker with a listener for each secured way."""
    try:
        broker = SecuredKafka(tmp_path_factory.mktemp("certificates"))
        broker.start()
    except Unavailable as reason:
        pytest.skip(f"no broker of one's own is to be had: {reason}")
    try:
        yield broker
    finally:
        broker.remove()


def security_for(broker: SecuredKafka, protocol: str) -> Security:
    """Return what a client needs that comes this way."""
    made = broker.certificates
    security = Security(security_protocol=protocol)
    if protocol.startswith("SASL_"):
        security = replace(security, username=USERNAME, password=PASSWORD)
    if protocol.endswith("SSL"):
        security = replace(security, ca_file=made.authority)
    if protocol == "SSL":
        security = replace(security, certificate_file=made.client, key_file=made.client_key)
    return security


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_everything_a_router_does_goes_the_secured_way(
    secured_kafka: SecuredKafka, unique: Named, protocol: str
) -> None:
    """Topics are made, records appended, a batch passed on in a transaction and read."""
    source, target, group_name = unique("in"), unique("out"), unique("group")
    security = security_for(secured_kafka, protocol)
    async with open_streams(secured_kafka.url(protocol), security=security) as streams:
        await streams.create_topics({source: 1, target: 1})
        await streams.append([Outgoing(source, b"k", b"1")])
        async with streams.group(group_name, [source]) as group:
            batch = await group.next(20.0)
            assert batch is not None
            await group.commit(batch, [Outgoing(target, b"k", b"2")])
        assert [record.value async for record in streams.read(target)] == [b"2"]
        assert await streams.lag(group_name, [source]) == 0


async def test_the_other_scram_mechanism_works_too(secured_kafka: SecuredKafka) -> None:
    """Where a cluster has SCRAM-SHA-256 only."""
    security = security_for(secured_kafka, "SASL_SSL")
    security = replace(security, mechanism="SCRAM-SHA-256")
    async with open_streams(secured_kafka.url("SASL_SSL"), security=security) as streams:
        await streams.topics()


@pytest.mark.parametrize(
    ("protocol", "changes"),
    [
        ("SASL_PLAINTEXT", {"password": "another"}),
        ("SASL_SSL", {"username": "another"}),
        ("SASL_SSL", {"ca_file": None}),
        ("SSL", {"certificate_file": None, "key_file": None}),
        ("SASL_SSL", {"security_protocol": "SSL"}),
        ("SASL_SSL", {"security_protocol": "PLAINTEXT"}),
    ],
    ids=["password", "username", "authority", "certificate", "nobody", "clear"],
)
async def test_whoever_lacks_something_is_not_let_in(
    secured_kafka: SecuredKafka, protocol: str, changes: dict[str, str | Path | None]
) -> None:
    """A wrong password or name, brokers vouched for by nobody we trust, no certificate."""
    security = replace(security_for(secured_kafka, protocol), **changes)  # type: ignore[arg-type]
    with pytest.raises(StreamsUnavailable) as raised:
        async with open_streams(secured_kafka.url(protocol), security=security):
            pass
    assert PASSWORD not in str(raised.value)

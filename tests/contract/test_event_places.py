"""An event has one place on its topic, on every kind of streams and with several routers."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest
from deciding_world import A_PLACEMENT, COUNCIL, PLACEMENT
from decision_records import decision_records
from routing_world import TOPIC

from broker.administration import PartyDraft, add_party, found_scheme, prepare_streams
from broker.edge import publisher_of
from broker.routing import QUARANTINE
from connectors.prepared import PreparedEvent
from connectors.streams import Outgoing, embedded_log, kafka_packing
from connectors.streams.partitioning import key_hash


async def test_copies_in_other_partitions_are_not_decided_by_the_routers_that_have_them(
    streams_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody with write access puts every event into the next partition as well."""
    scheme = found_scheme(
        tmp_path / "town", name="Anytown", streams=streams_url, has_own_namespace=True
    )
    now = datetime.now(UTC)
    children = [dict(A_PLACEMENT) | {"childId": f"LAC{1000 + number}"} for number in range(20)]
    async with scheme.streams() as streams:
        await prepare_streams(scheme, streams)
        await add_party(scheme, streams, PartyDraft(COUNCIL, COUNCIL))
        publisher = await publisher_of(scheme, streams, COUNCIL)
        await publisher.publish(
            PreparedEvent(PLACEMENT, f"placement/{number}", child, now)
            for number, child in enumerate(children)
        )
        lying = [record async for record in streams.read(TOPIC)]
        assert len({record.partition for record in lying}) > 1
        with monkeypatch.context() as patch:
            for adapter in (embedded_log, kafka_packing):
                patch.setattr(adapter, "key_hash", lambda key: key_hash(key) + 1)
            await streams.append([Outgoing(TOPIC, r.key, r.value, r.headers) for r in lying])
        routers = [scheme.service(streams) for _ in range(2)]
        await asyncio.gather(*(router.run(until_idle=True) for router in routers))
        decided = await decision_records(streams)
        assert len(decided) == len({record.key for record in decided}) == len(children)
        copies = [record async for record in streams.read(QUARANTINE)]
        assert [dict(copy.headers)["reason"] for copy in copies] == [b"misplaced"] * len(children)

"""A router whose rules may be out of date: it stops, says so, and goes on by itself."""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from deciding_world import (
    A_PLACEMENT,
    COUNCIL,
    HEALTH,
    PLACEMENT,
    PURPOSE,
    SIGNATORY,
    an_agreement,
)
from decision_records import decision_records
from structlog.testing import capture_logs

from agreements.reading import from_document
from agreements.signatures import SignatureType
from broker.acts import is_act
from broker.administration import (
    PartyDraft,
    add_party,
    found_scheme,
    prepare_streams,
    put_agreement,
    sign_agreement,
)
from broker.control import TOPIC as CONTROL
from broker.edge import publisher_of
from broker.explaining import NoDecision, explain
from broker.freshness import ControlRewritten, StaleRules
from broker.issuing import FILE_NAME, Issuer
from broker.recording import read_decision
from broker.routing import DECISIONS
from broker.scheme import SchemeFolder
from broker.service import RouterService
from broker.status import status_of
from connectors.prepared import PreparedEvent
from connectors.streams import Record, Streams

AGREEMENT = from_document(an_agreement())
PATIENCE_SECONDS = 30.0


class Clock:
    """A clock that the test moves on."""

    def __init__(self) -> None:
        self.ahead_ms = 0

    def __call__(self) -> int:
        """Return milliseconds since the epoch."""
        return time.time_ns() // 1_000_000 + self.ahead_ms


class Withholding:
    """Streams of somebody who withholds what comes to ``control`` from now on, until he stops."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams
        self.gives = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._streams, name)

    async def read(self, topic: str, **how: Any) -> AsyncIterator[Record]:
        """Read; of ``control`` only what was there, until he gives the rest."""
        if topic == CONTROL and how.get("follow"):
            await self.gives.wait()
        async for record in self._streams.read(topic, **how):
            yield record


@pytest_asyncio.fixture(name="scheme")
async def a_scheme(tmp_path: Path) -> SchemeFolder:
    """Found a scheme in which everything flows."""
    scheme = found_scheme(tmp_path / "scheme", name="Anytown", streams="sqlite:streams.db")
    async with scheme.streams() as streams:
        await prepare_streams(scheme, streams)
        for party in (COUNCIL, HEALTH):
            await add_party(scheme, streams, PartyDraft(party, party, purposes=(PURPOSE,)))
        await put_agreement(scheme, streams, AGREEMENT, name="placements")
        for party in (COUNCIL, HEALTH):
            await say(scheme, streams, party, SignatureType.ACCEPT)
    return scheme


async def say(scheme: SchemeFolder, streams: Streams, party: str, kind: SignatureType) -> None:
    """Have a party say something of the agreement."""
    at = datetime.now(UTC).replace(microsecond=0)
    await sign_agreement(
        scheme, streams, AGREEMENT, party=party, signatory=SIGNATORY, at=at, kind=kind,
        reason=None if kind is SignatureType.ACCEPT else "A reason.",
    )  # fmt: skip


async def publish(scheme: SchemeFolder, streams: Streams, *numbers: int) -> tuple[str, ...]:
    """Publish placements; returns their ids."""
    publisher = await publisher_of(scheme, streams, COUNCIL)
    now = datetime.now(UTC)
    told = [
        PreparedEvent(PLACEMENT, f"placement/{n}", {**A_PLACEMENT, "childId": f"C{n:04d}"}, now)
        for n in numbers
    ]
    return (await publisher.publish(told)).ids


def a_router(scheme: SchemeFolder, streams: Any, clock: Clock) -> RouterService:
    """Return a router on a machine that has not the scheme's key."""
    control = scheme.control()
    return RouterService(
        streams,
        scheme.router(streams),
        control,
        freshness=scheme.freshness(control),
        now_ms=clock,
    )


async def outcomes(streams: Streams, count: int) -> list[str]:
    """Wait for so many decisions; return what each came to."""
    found: list[str] = []
    async with asyncio.timeout(PATIENCE_SECONDS):
        async for record in streams.read(DECISIONS, follow=True):
            if is_act(record.value):
                continue
            (candidate,) = read_decision(record.value or b"")["candidates"]
            found.append(candidate["reason"] or candidate["outcome"])
            if len(found) == count:
                break
    return found


async def test_a_hidden_revocation_is_not_routed_past_for_longer_than_the_limit(
    scheme: SchemeFolder,
) -> None:
    """Once the limit has passed it routes nothing; when it sees the revocation, it denies."""
    clock = Clock()
    async with scheme.streams() as streams:
        hidden = Withholding(streams)
        service = a_router(scheme, hidden, clock)
        with capture_logs() as logs:
            task = asyncio.create_task(service.run())
            await publish(scheme, streams, 1)
            assert await outcomes(streams, 1) == ["permit"]
            await say(scheme, streams, COUNCIL, SignatureType.REVOKE)
            # Within the limit it cannot know, and routes on as before.
            await publish(scheme, streams, 2)
            assert await outcomes(streams, 2) == ["permit", "permit"]
            clock.ahead_ms = 11 * 60_000
            issuer = Issuer(scheme.scheme_signing_key(), scheme.path / FILE_NAME, now_ms=clock)
            await issuer.issue(streams)
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not any(line["event"].startswith("rules") for line in logs):  # noqa: ASYNC110  a log calls nobody
                    await asyncio.sleep(0.01)
            await publish(scheme, streams, *range(3, 23))
            hidden.gives.set()
            found = await outcomes(streams, 22)
            service.stop()
            await task
    assert found == ["permit", "permit", *["revoked"] * 20]
    told = [line for line in logs if line["event"].startswith("rules")]
    assert [line["event"] for line in told] == [
        "rules too old, no event is routed",
        "rules up to date again",
    ]
    assert (told[0]["log_level"], told[0]["standing"], told[0]["limit_seconds"]) == (
        "error", "behind", 600,
    )  # fmt: skip


async def test_a_router_that_is_to_end_when_idle_says_that_it_may_not_route(
    scheme: SchemeFolder,
) -> None:
    """It does not wait for ever, and nothing is lost; status and explain say why."""
    clock = Clock()
    clock.ahead_ms = 11 * 60_000
    async with scheme.streams() as streams:
        (event_id,) = await publish(scheme, streams, 1)
        with pytest.raises(StaleRules, match="no event was routed"):
            await a_router(scheme, streams, clock).run(until_idle=True)
        status = await status_of(scheme, streams)
        assert (status["rules"]["standing"], status["waiting"]) == ("fresh", 1)
        clock.ahead_ms = 0
        await a_router(scheme, streams, clock).run(until_idle=True)
        assert await outcomes(streams, 1) == ["permit"]
        assert (await explain(scheme, streams, event_id))["control_is_whole"] is True


@pytest.mark.parametrize("has_key", [True, False])
async def test_a_control_that_was_cut_short_is_not_gone_by(
    scheme: SchemeFolder,
    has_key: bool,  # noqa: FBT001  a case
) -> None:
    """A revocation that somebody deleted does not come to nothing: no router decides any more."""
    async with scheme.streams() as streams:
        await say(scheme, streams, COUNCIL, SignatureType.REVOKE)
        (event_id,) = await publish(scheme, streams, 1)
    with sqlite3.connect(scheme.path / "streams.db") as connection:
        cut = connection.execute(
            "DELETE FROM records WHERE CAST(key AS TEXT) LIKE 'signature|%|revoke'"
        )
        assert cut.rowcount == 1
    connection.close()
    scheme = SchemeFolder(scheme.settings)  # as in another process
    async with scheme.streams() as streams:
        service = scheme.service(streams, issues=has_key)
        with pytest.raises(ControlRewritten if has_key else StaleRules):
            await service.run(until_idle=True)
        assert (await status_of(scheme, streams))["rules"]["standing"] == "behind"
        with pytest.raises(NoDecision, match="withholds or has removed"):
            await explain(scheme, streams, event_id)
        assert await decision_records(streams) == []

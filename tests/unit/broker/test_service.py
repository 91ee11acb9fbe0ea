"""The loop around the router, where partitions move while batches are in hand."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import pytest
from decision_records import decision_records

from broker.administration import PartyDraft, add_party, found_scheme, prepare_streams
from broker.edge import publisher_of
from broker.routing import QUARANTINE
from connectors.prepared import PreparedEvent
from connectors.streams import Batch, Fenced, Group, Outgoing, Streams

COUNCIL = "a-council"
CPIS = "uk.nhs.cpis.access.v1"
EVENTS = 7


def accesses(count: int) -> list[PreparedEvent]:
    """Tell of so many visits of one child, so that all are on one partition."""
    now = datetime.now(UTC)
    record = {
        "nhsNumber": "9990000018", "siteOds": "XAT01", "careSettingType": "ward",
        "planType": "CPP", "localAuthority": "E08000999", "contactForFollowUp": "x",
        "sensitiveSetting": False, "attendedAt": now, "dataRef": None,
    }  # fmt: skip
    return [PreparedEvent(CPIS, f"visit/{number}", record, now) for number in range(count)]


class ComesBack:
    """A group whose first batch's partition moves away and comes back during its commit.

    The batch is given again, under a new holding, while the first commit still waits;
    only then does the first one learn that it is fenced.
    """

    def __init__(self, group: Group) -> None:
        self._group = group
        self._first: Batch | None = None
        self._is_again = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._group, name)

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._group.__aexit__(*error)  # type: ignore[arg-type]

    async def next(self, timeout: float | None = None) -> Batch | None:  # noqa: ASYNC109  the port's
        """Give the first batch twice."""
        if self._first is None:
            self._first = await self._group.next(timeout)
            return self._first
        if not self._is_again.is_set():
            self._is_again.set()
            return self._first._replace(assignment=self._first.assignment + 1)
        return await self._group.next(timeout)

    async def commit(self, batch: Batch, outgoing: list[Outgoing]) -> None:
        """Fence the first holding, commit what comes of the second."""
        if batch is self._first:
            await self._is_again.wait()
            await asyncio.sleep(0)  # what was given again is in hand now
            raise Fenced("the partition has moved")
        assert self._first is not None
        if batch.assignment == self._first.assignment + 1:
            batch = self._first
        await self._group.commit(batch, outgoing)


async def test_a_batch_that_comes_back_while_it_is_committed_is_no_replay_of_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the first holding had claimed is given back before the second is routed."""
    scheme = found_scheme(tmp_path / "scheme", name="Test", streams="sqlite:streams.db")
    async with scheme.streams() as streams:
        await prepare_streams(scheme, streams)
        await add_party(scheme, streams, PartyDraft(COUNCIL, "A council"))
        await (await publisher_of(scheme, streams, COUNCIL)).publish(accesses(EVENTS))
        _let_it_come_back(streams, monkeypatch)
        service = scheme.service(streams)
        await service.run(until_idle=True)
        assert [record async for record in streams.read(QUARANTINE)] == []
        assert len(await decision_records(streams)) == EVENTS
    assert service.tally == {"accepted": EVENTS, "deny:no-agreement": EVENTS}


def _let_it_come_back(streams: Streams, monkeypatch: pytest.MonkeyPatch) -> None:
    original = streams.group

    def group(*arguments: Any, **named: Any) -> ComesBack:
        return ComesBack(original(*arguments, **named))

    monkeypatch.setattr(streams, "group", group)

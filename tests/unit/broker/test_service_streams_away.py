"""The router's loop while the streams are away: it waits for them, and does not end."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import pytest
from deciding_world import A_PLACEMENT, COUNCIL, PLACEMENT
from decision_records import decision_records

from broker.accepted import TOPIC as ACCEPTED
from broker.administration import PartyDraft, add_party, found_scheme, prepare_streams
from broker.edge import publisher_of
from broker.scheme import SchemeFolder
from broker.service import RouterService
from connectors.prepared import PreparedEvent
from connectors.streams import Batch, NotCommitted, Outgoing, Record, Streams, StreamsUnavailable

EVENTS = 3


class LosesTheAnswer:
    """A group whose first commit is done although the caller is told that it is not."""

    def __init__(self, group: Any, flaky: "Flaky") -> None:
        self._group = group
        self._flaky = flaky

    def __getattr__(self, name: str) -> Any:
        return getattr(self._group, name)

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        return self

    async def __aexit__(self, *raised: object) -> None:
        await self._group.__aexit__(*raised)

    async def commit(self, batch: Batch, outgoing: Sequence[Outgoing]) -> None:
        """Commit; the first time, the streams are away before they can say so."""
        await self._group.commit(batch, outgoing)
        if not self._flaky.was_lost:
            self._flaky.was_lost = True
            self._flaky.away = 2
            raise NotCommitted("the test's own")


class Flaky:
    """Streams whose ``accepted`` cannot be read so many times."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams
        self.away = 0
        self.was_lost = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._streams, name)

    def group(self, *what: Any, **how: Any) -> LosesTheAnswer:
        """Return a group that loses an answer."""
        return LosesTheAnswer(self._streams.group(*what, **how), self)

    async def read(self, topic: str, **how: Any) -> AsyncIterator[Record]:
        """Read, unless they are away."""
        if topic == ACCEPTED and self.away:
            self.away -= 1
            raise StreamsUnavailable("the test's own")
        async for record in self._streams.read(topic, **how):
            yield record


@pytest.fixture
async def scheme(tmp_path: Path) -> SchemeFolder:
    """Found a scheme in which a council has told of some placements."""
    scheme = found_scheme(tmp_path / "scheme", name="Anytown", streams="sqlite:streams.db")
    now = datetime.now(UTC)
    async with scheme.streams() as streams:
        await prepare_streams(scheme, streams)
        await add_party(scheme, streams, PartyDraft(COUNCIL, COUNCIL))
        publisher = await publisher_of(scheme, streams, COUNCIL)
        await publisher.publish(
            [
                PreparedEvent(PLACEMENT, f"placement/{number}", A_PLACEMENT, now)
                for number in range(EVENTS)
            ]
        )
    return scheme


async def test_a_lost_answer_is_looked_up_once_the_streams_are_back(scheme: SchemeFolder) -> None:
    """The batch was taken: its ids are known again, and no second decision is made."""
    async with scheme.streams() as streams:
        flaky = Flaky(streams)
        router = scheme.router(streams)
        control = scheme.control()
        service = RouterService(
            flaky,  # type: ignore[arg-type]  # delegates
            router,
            control,
            freshness=scheme.freshness(control),
            issuer=scheme.issuer,
        )
        await service.run(until_idle=True)
        assert (flaky.was_lost, flaky.away) == (True, 0)
        assert len(router.accepted) == EVENTS
        assert len(await decision_records(streams)) == EVENTS

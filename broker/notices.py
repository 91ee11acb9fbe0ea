"""Tell who had an event that it was taken back: the loop around `retracting`.

A process that routes and has the query store follows ``retractions``. For each copy it
brings the query store up to date, which then has every decision from before the event was
accepted, asks it who had the earlier event, and commits the notices, their record and how
far it is in one transaction: each copy is answered exactly once, whoever dies meanwhile.
A query store that is away is waited for; nothing is lost, and routing goes on.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Final, NamedTuple, Protocol

import structlog

from broker.acts import with_acts
from broker.control import ControlState
from broker.retracting import Had, Retractor, to_tell
from broker.retraction import GROUP, RETRACTIONS, Retraction
from broker.routing import Routed, Router
from broker.schemas_on_control import missing_schemas
from connectors.streams import Batch, Group, NotCommitted, Streams
from schemas.control import BROKER
from schemas.errors import RejectedInput
from schemas.times import EPOCH

EVERY_SECONDS: Final = 1.0
"""How soon what could not be told is tried again."""

_LOOK_SECONDS: Final = 0.25

log = structlog.get_logger()


class Evidence(Protocol):
    """What knows who had an event."""

    async def had(
        self, publisher: str, original: str, retraction: str
    ) -> tuple[list[Had], list[Had]]:
        """Return who had a publisher's event, and who is on record for its retraction.

        Both are of all that is decided by now.

        Raises:
            DeliveryError: it is away; to be asked again.

        """
        ...


class Telling(NamedTuple):
    """What a router tells former recipients with, where it can."""

    retractor: Retractor
    evidence: Evidence


class Notices:
    """One process's part in telling of retractions, on whichever streams."""

    def __init__(  # noqa: PLR0913  the parts it is made of, by name
        self,
        streams: Streams,
        router: Router,
        control: ControlState,
        telling: Telling,
        *,
        is_fresh: Callable[[], bool],
        tally: Counter[str],
        now_ms: Callable[[], int],
        session_seconds: float = 10.0,
    ) -> None:
        self._streams = streams
        self._router = router
        self._control = control
        self._retractor, self._evidence = telling
        self._is_fresh = is_fresh
        self._tally = tally
        self._now_ms = now_ms
        self._session_seconds = session_seconds

    async def keep_on(self, stopping: asyncio.Event) -> None:
        """Tell of whatever is taken back, until stopped or as long as it can.

        Raises:
            DeliveryError: the query store or the streams are away.

        """
        async with self._group() as group:
            while not stopping.is_set():
                batch = await group.next(_LOOK_SECONDS)
                if batch is not None and not await self._answer(group, batch):
                    return

    async def tell_all(self) -> None:
        """Tell of all that was taken back by now, and return when it is done.

        Or when the rules are too old to go by. Raises as `keep_on` does.
        """
        while self._is_fresh() and await self._streams.lag(GROUP, [RETRACTIONS]):
            async with self._group() as group:
                batch = await group.next(_LOOK_SECONDS)
                while batch is not None and await self._answer(group, batch):
                    batch = await group.next(_LOOK_SECONDS)

    @contextlib.asynccontextmanager
    async def _group(self) -> AsyncIterator[Group]:
        # One at a time: they are few, and each is asked about when all before are answered.
        async with self._streams.group(
            GROUP, [RETRACTIONS], max_records=1, session_timeout=self._session_seconds
        ) as group:
            yield group

    async def _answer(self, group: Group, batch: Batch) -> bool:
        """Answer a copy; false when that has to wait, and it comes again."""
        (copy,) = batch.records
        try:
            made = await self._tell(self._router.retractions.open(copy))
        except RejectedInput as error:
            made = Routed(outgoing=[self._router.quarantine(copy, error.code)])
        if made is None:
            return False
        try:
            await group.commit(batch, made.outgoing)
        except NotCommitted as error:
            log.warning("batch dropped", code=error.code, topic=batch.topic)
            return False
        self._tally.update(made.tally)
        log.info("retraction", offset=copy.offset, **dict(sorted(made.tally.items())))
        return True

    async def _tell(self, retraction: Retraction) -> Routed | None:
        """Return what goes out for a retraction; None while the rules are not up to date."""
        had, got = await self._evidence.had(
            retraction.publisher, retraction.retracts, retraction.event_id
        )
        told = to_tell(had, got)
        if told:
            await self._publish_schema(told[0].event_type)
        snapshot = self._control.snapshot()
        if not self._is_fresh() or snapshot.position < retraction.decision["rules"]:
            return None
        return self._retractor.retract(retraction, told, snapshot, at_ms=self._now_ms())

    async def _publish_schema(self, event_type: str) -> None:
        """See that recipients can decode a notice: before the first, its schema is on control."""
        view = self._retractor.view(event_type)
        missing = missing_schemas([view], self._control.documents)
        if missing:
            at = EPOCH + timedelta(milliseconds=self._now_ms())
            await self._streams.append(with_acts(missing, by=BROKER, at=at))

"""Publish in the background what waits in the store, in the order in which it was committed.

Part of ``concordat run``. What counts as published is what lies on ``control``: the
store's own note of it is not gone by, so that nobody keeps a revocation back by setting
it. Routing does not wait for the store: where it is away, that is said and tried again.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import structlog

from broker.control import TOPIC as CONTROL
from broker.levelling import append_to_control, mark
from broker.scheme import SchemeFolder
from broker.storage import Waiting
from connectors.streams import Streams
from schemas.errors import ConcordatError

PAUSE_SECONDS = 1.0

log = structlog.get_logger()


class Relay:
    """Compares the outbox with ``control`` and appends what is missing there."""

    def __init__(self, scheme: SchemeFolder, streams: Streams) -> None:
        self._scheme = scheme
        self._streams = streams
        self._there: set[bytes] = set()
        self._position = 0
        self._number = 0

    async def turn(self) -> int:
        """Publish what waits; returns how many records it was.

        Raises:
            ConcordatError: the store or the streams are away; nothing is lost.

        """
        if not self._scheme.has_store:
            return 0
        waiting = await asyncio.to_thread(self._waiting)
        if not waiting:
            return 0
        async for record in self._streams.read(CONTROL, start=self._position):
            self._there.add(mark(record))
            self._position = record.offset + 1
        missing = [one for one in waiting if mark(one) not in self._there]
        await append_to_control(self._streams, missing)
        if missing and self._scheme.issuer is not None:
            await self._scheme.issuer.issue(self._streams)
        numbers = [one.number for one in waiting]
        await asyncio.to_thread(self._scheme.store.outbox.mark_published, numbers)
        self._number = numbers[-1]
        return len(missing)

    def _waiting(self) -> list[Waiting]:
        return list(self._scheme.store.outbox.everything(after=self._number))

    async def keep_on(self) -> None:
        """Publish again and again; what keeps from it is told once, and when it is over."""
        trouble = ""
        while True:
            try:
                if published := await self.turn():
                    log.info("published", records=published)
                if trouble:
                    log.info("the store is relayed again")
                trouble = ""
            except ConcordatError as error:
                if error.code != trouble:
                    log.warning("changes wait in the store", code=error.code, why=str(error))
                trouble = error.code
            await asyncio.sleep(PAUSE_SECONDS)


@contextlib.asynccontextmanager
async def relaying(scheme: SchemeFolder, streams: Streams) -> AsyncIterator[None]:
    """Relay in the background, once at once: what waited is there before routing begins."""
    relay = Relay(scheme, streams)
    with contextlib.suppress(ConcordatError):  # told by the task, which tries again
        await relay.turn()
    task = asyncio.create_task(relay.keep_on(), name="relay")
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

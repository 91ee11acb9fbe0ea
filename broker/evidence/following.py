"""Follow `decisions` into the log: every record once, in the stream's order.

The log is a function of the stream, so a crash costs nothing: what was not signed is
read again and comes out the same (`broker.evidence.writing`). That needs one order, so
the topic has one partition.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import ClassVar, Final

import structlog

from broker.evidence.entries import content_of
from broker.evidence.writing import LogWriter
from broker.routing import DECISIONS
from connectors.streams import Outgoing, Streams
from schemas.errors import EvidenceError
from schemas.notes import Note

CHECKPOINTS: Final = "checkpoints"
SIGN_EVERY_SECONDS: Final = 1.0
MOST_UNSIGNED: Final = 10_000
"""Entries that are signed together at most: what a crash would have read again."""

log = structlog.get_logger()

Progress = Callable[[int], None]


class StreamRewritten(EvidenceError):
    """The stream ends before what the log has of it, or has no one order."""

    code: ClassVar[str] = "stream-rewritten"


class EvidenceWorker:
    """Keeps a log up to date with the stream of decisions."""

    def __init__(
        self, streams: Streams, writer: LogWriter, *, progress: Progress | None = None
    ) -> None:
        self._streams = streams
        self._writer = writer
        self._progress = progress

    async def run(self, stopping: asyncio.Event) -> None:
        """Follow until stopped.

        Raises:
            EvidenceError: going on would make the log untrue.

        """
        await self.catch_up()
        async with asyncio.TaskGroup() as tasks:
            follower = tasks.create_task(self._follow())
            while not stopping.is_set():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stopping.wait(), SIGN_EVERY_SECONDS)
                await self.sign()
            follower.cancel()

    async def catch_up(self) -> int:
        """Read to the end of the stream as it is now, sign, and return the log's size."""
        await self._check_order()
        async for _ in self._append(follow=False):
            if self._writer.unsigned >= MOST_UNSIGNED:
                await self.sign()
        await self.sign()
        return self._writer.size

    async def sign(self) -> Note | None:
        """Sign what has come, and tell it on the stream; None when nothing has."""
        note = self._writer.sign()
        if note is not None:
            await self._streams.append(
                [Outgoing(CHECKPOINTS, self._writer.origin.encode(), note.to_text().encode())]
            )
            log.info("checkpoint", size=self._writer.signed.size)
            if self._progress is not None:
                self._progress(self._writer.signed.size)
        return note

    async def _follow(self) -> None:
        async for _ in self._append(follow=True):
            if self._writer.unsigned >= MOST_UNSIGNED:
                await self.sign()

    async def _append(self, *, follow: bool) -> AsyncIterator[int]:
        writer = self._writer
        async for record in self._streams.read(DECISIONS, start=writer.next_offset, follow=follow):
            writer.append(record.offset, content_of(record))
            yield record.offset

    async def _check_order(self) -> None:
        ends = await self._streams.end(DECISIONS)
        if len(ends) != 1:
            raise StreamRewritten(
                f"expected one partition of {DECISIONS}, since the log is in its order;"
                f" there are {len(ends)}"
            )
        if ends[0] < self._writer.next_offset:
            raise StreamRewritten(
                f"{DECISIONS} ends at {ends[0]}, before {self._writer.next_offset}, up to which"
                " the log has it: records were removed, so nothing is signed"
            )

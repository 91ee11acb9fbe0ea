"""Follow `decisions` into the log: every record once, in the stream's order.

The log is a function of the stream, so a crash costs nothing: what was not signed is
read again and comes out the same (`broker.evidence.writing`). That needs one order, so
the topic has one partition.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import ClassVar, Final

import structlog

from broker.acts import is_act
from broker.evidence.entries import content_of
from broker.evidence.keys import LogKeys
from broker.evidence.reading import CHECKPOINT
from broker.evidence.shredding import carry_out
from broker.evidence.writing import LogInUse, LogWriter, NoRoom, writing
from broker.keeping import follow_until, kept
from broker.routing import DECISIONS
from connectors.streams import Outgoing, Streams
from schemas.errors import DeliveryError, EvidenceError
from schemas.tiles import WIDTH

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
        # INVARIANT: nothing is signed while a shredding, in a thread, rewrites files.
        self._changing = asyncio.Lock()

    async def run(self, stopping: asyncio.Event) -> None:
        """Follow until stopped, and then to the end of the stream.

        Raises:
            EvidenceError: going on would make the log untrue.

        """
        await self.catch_up()
        await follow_until(
            stopping, self._follow(follow=True), meanwhile=self.sign, every=SIGN_EVERY_SECONDS
        )
        await self.catch_up()

    async def catch_up(self) -> int:
        """Read to the end of the stream as it is now, sign, and return the log's size."""
        await check_order(self._streams, after=self._writer.next_offset)
        await self._follow(follow=False)
        await self.sign()
        return self._writer.size

    async def sign(self) -> None:
        """Sign what has come, and tell it on the stream.

        A crash may keep one from being told: the next one covers it.
        """
        before = self._writer.signed
        async with self._changing:
            signed = self._writer.sign()
        if signed is before:
            return
        note = (self._writer.files.path / CHECKPOINT).read_bytes()
        await self._streams.append([Outgoing(CHECKPOINTS, self._writer.origin.encode(), note)])
        log.info("checkpoint", size=signed.size)
        if self._progress is not None:
            self._progress(signed.size)

    async def _follow(self, *, follow: bool) -> None:
        writer = self._writer
        async for record in self._streams.read(DECISIONS, start=writer.next_offset, follow=follow):
            writer.append(record.offset, content_of(record))
            if is_act(record.value):
                async with self._changing:
                    await asyncio.to_thread(carry_out, writer, record)
            if writer.unsigned >= MOST_UNSIGNED:
                await self.sign()
            elif not writer.size % WIDTH:
                await asyncio.sleep(0)  # sharing goes on in the same process


async def check_order(streams: Streams, *, after: int = 0) -> None:
    """See that the stream has one order, and is not shorter than what the log has of it.

    Raises:
        StreamRewritten: it has not, or is.

    """
    ends = await streams.end(DECISIONS)
    if len(ends) != 1:
        raise StreamRewritten(
            f"expected one partition of {DECISIONS}, since the log is in its order;"
            f" there are {len(ends)}"
        )
    begins = (await streams.begin(DECISIONS))[0]
    if begins > after:
        raise StreamRewritten(
            f"{DECISIONS} begins at {begins}, after {after}, up to which the log has it: what lies"
            " between was removed, and is in a newer copy of the log's folder; put that back, or"
            " name it with `concordat evidence rebuild --from`"
        )
    if ends[0] < after:
        raise StreamRewritten(
            f"{DECISIONS} ends at {ends[0]}, before {after}, up to which the log has it:"
            " records were removed, so nothing is signed"
        )


@contextlib.asynccontextmanager
async def log_kept(
    path: Path, keys: LogKeys, streams: Streams, *, origin: str
) -> AsyncIterator[None]:
    """Keep a log up to date in the background, to the last decision when this ends.

    Another process that writes it is waited for, and so are streams that are away, and room
    on a disk that is full. Where the log cannot go on, that is told and it stands still:
    sharing goes on, since every decision is on the stream, from which the log can catch up
    or be made again.
    """

    async def keep_on(stopping: asyncio.Event) -> None:
        with writing(path, keys, origin=origin) as writer:
            await EvidenceWorker(streams, writer).run(stopping)

    waits_for = (LogInUse, NoRoom, DeliveryError)
    async with kept("the log", keep_on, every=SIGN_EVERY_SECONDS, waits_for=waits_for):
        yield

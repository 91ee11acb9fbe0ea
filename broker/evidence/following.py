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
from broker.evidence.writing import LogInUse, LogWriter, writing
from broker.routing import DECISIONS
from connectors.streams import Outgoing, Streams
from schemas.errors import ConcordatError, DeliveryError, EvidenceError

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
        waiting = asyncio.create_task(stopping.wait())
        follower = asyncio.create_task(self._follow(), name="follow-decisions")
        try:
            while not (waiting.done() or follower.done()):
                await asyncio.wait(
                    {waiting, follower},
                    timeout=SIGN_EVERY_SECONDS,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                await self.sign()
            if follower.done():
                follower.result()
        finally:
            for task in (waiting, follower):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        await self.catch_up()

    async def catch_up(self) -> int:
        """Read to the end of the stream as it is now, sign, and return the log's size."""
        await check_order(self._streams, after=self._writer.next_offset)
        async for _ in self._append(follow=False):
            if self._writer.unsigned >= MOST_UNSIGNED:
                await self.sign()
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

    async def _follow(self) -> None:
        async for _ in self._append(follow=True):
            if self._writer.unsigned >= MOST_UNSIGNED:
                await self.sign()

    async def _append(self, *, follow: bool) -> AsyncIterator[int]:
        writer = self._writer
        async for record in self._streams.read(DECISIONS, start=writer.next_offset, follow=follow):
            writer.append(record.offset, content_of(record))
            if is_act(record.value):
                async with self._changing:
                    await asyncio.to_thread(carry_out, writer, record)
            yield record.offset


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

    Another process that writes it is waited for, and so are streams that are away. Where
    the log cannot go on, that is told and it stands still: sharing goes on, since every
    decision is on the stream, from which the log can catch up or be made again.
    """
    stopping = asyncio.Event()

    async def keep() -> None:
        waits = ""
        while True:
            try:
                with writing(path, keys, origin=origin) as writer:
                    await EvidenceWorker(streams, writer).run(stopping)
            except (LogInUse, DeliveryError) as error:
                if waits != error.code:
                    log.info("the log waits", code=error.code)
                waits = error.code
            except (ConcordatError, OSError) as error:
                code = error.code if isinstance(error, ConcordatError) else "input-output"
                log.error("the log stands still", code=code, why=str(error))  # noqa: TRY400  the sentence says it
                return
            if stopping.is_set():
                return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), SIGN_EVERY_SECONDS)

    task = asyncio.create_task(keep(), name="keep-log")
    try:
        yield
    finally:
        stopping.set()
        await task

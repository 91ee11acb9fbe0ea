"""Keep the scheme's freshness statements coming, and hear them.

The issuer remembers the last statement outside the streams, in a file of the scheme's
folder: whoever may write to the streams, or to the register's database, cannot have it
sign that ``control`` is shorter or another than it was (`broker.freshness`).
"""

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final

import structlog

from broker.control import TOPIC as CONTROL
from broker.freshness import KEY, TOPIC, Chain, Freshness, Statement, next_statement
from connectors.streams import Outgoing, Streams, StreamsUnavailable
from schemas.errors import EvidenceError
from schemas.keys import BadSignature, SigningKey

FILE_NAME: Final = "freshness.jws"
_LONGEST_PAUSE_SECONDS: Final = 60.0
_STATEMENTS_IN_AGE: Final = 5
"""Statements within the time for which one counts: some may be missed."""

log = structlog.get_logger()


class BadMemory(EvidenceError):
    """What the issuer should remember of ``control`` cannot be believed."""

    code = "bad-freshness-file"


async def prepare_topic(streams: Streams) -> None:
    """Create the topic of the statements, of which the last is all that matters."""
    await streams.create_topics({TOPIC: 1}, compacted=frozenset({TOPIC}))


def pause_seconds(max_age_ms: int) -> float:
    """Return how long to wait between two statements, where each counts for so long."""
    return min(_LONGEST_PAUSE_SECONDS, max_age_ms / 1000 / _STATEMENTS_IN_AGE)


class Issuer:
    """Says what ``control`` is. Use it where the scheme's private key is."""

    def __init__(
        self, key: SigningKey, file: Path, *, now_ms: Callable[[], int] | None = None
    ) -> None:
        self._key = key
        self._file = file
        self._now_ms = now_ms or (lambda: time.time_ns() // 1_000_000)
        self._chain = Chain()
        self._heard = 0
        self._newest: Statement | None = None
        self._turn = asyncio.Lock()

    async def issue(self, streams: Streams) -> Statement:
        """Read ``control`` to its end, and say so if it goes on from what was said before.

        Raises:
            ControlRewritten: it does not; nothing was signed.
            BadMemory: the file was altered; nothing was signed.

        """
        async with self._turn:
            return await self._issue(streams)

    async def _issue(self, streams: Streams) -> Statement:
        # In this order: another issuer may be at work, and what it has said is no longer
        # than what is read after it.
        remembered = self._remembered()
        await self._hear(streams)
        async for record in streams.read(CONTROL, start=self._chain.end):
            self._chain.extend(record.key, record.value, record.offset)
        statement = next_statement(self._chain, remembered, self._newest, at_ms=self._now_ms())
        jws = statement.sign(self._key)
        # First remembered, then said: what was said is never forgotten.
        self._remember(jws)
        await streams.append([Outgoing(TOPIC, KEY, jws.encode())])
        return statement

    async def keep_on(self, streams: Streams, stopping: asyncio.Event, *, every: float) -> None:
        """Issue one every so many seconds until stopped; what keeps from it is told."""
        while not stopping.is_set():
            try:
                await self.issue(streams)
            except EvidenceError as error:
                log.error("no freshness statement", code=error.code, why=str(error))  # noqa: TRY400  the sentence says it
            except StreamsUnavailable as error:
                log.warning("no freshness statement yet", code=error.code)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), every)

    async def _hear(self, streams: Streams) -> None:
        async for record in streams.read(TOPIC, start=self._heard):
            self._heard = record.offset + 1
            with contextlib.suppress(BadSignature, UnicodeDecodeError):
                said = Statement.open((record.value or b"").decode("ascii"), self._key.public)
                if self._newest is None or said.issued_at_ms >= self._newest.issued_at_ms:
                    self._newest = said

    def _remembered(self) -> Statement | None:
        try:
            return Statement.open(self._file.read_text("ascii"), self._key.public)
        except FileNotFoundError:
            return None
        except (BadSignature, UnicodeDecodeError):
            raise BadMemory(
                f"{self._file} is not what the scheme's key signed: put it back from a copy"
            ) from None

    def _remember(self, jws: str) -> None:
        # Whole or not at all; a name of its own, since another process may be doing the same.
        partial = self._file.with_suffix(f".{os.getpid()}")
        with partial.open("w", encoding="ascii") as file:
            file.write(jws)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self._file)


@contextlib.asynccontextmanager
async def hearing(streams: Streams, freshness: Freshness) -> AsyncIterator[asyncio.Task[None]]:
    """Take every statement in, in the background; the task ends only by failing."""
    start = 0
    async for record in streams.read(TOPIC):
        freshness.take(record.value)
        start = record.offset + 1

    async def follow() -> None:
        async for record in streams.read(TOPIC, start=start, follow=True):
            freshness.take(record.value)

    task = asyncio.create_task(follow(), name="follow-freshness")
    try:
        yield task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

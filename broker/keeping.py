"""Keep something up to date with a stream in the background, as the log and the query store are."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any

import structlog

from schemas.errors import ConcordatError, DeliveryError

log = structlog.get_logger()


async def follow_until(
    stopping: asyncio.Event,
    follow: Coroutine[Any, Any, None],
    *,
    meanwhile: Callable[[], Awaitable[None]],
    every: float,
) -> None:
    """Follow until stopped, and do something else every so many seconds.

    Raises what following raised.
    """
    waiting = asyncio.create_task(stopping.wait())
    follower = asyncio.create_task(follow, name="follow-decisions")
    try:
        while not (waiting.done() or follower.done()):
            await asyncio.wait(
                {waiting, follower}, timeout=every, return_when=asyncio.FIRST_COMPLETED
            )
            await meanwhile()
        if follower.done():
            follower.result()
    finally:
        for task in (waiting, follower):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


@contextlib.asynccontextmanager
async def kept(
    what: str,
    keep_on: Callable[[asyncio.Event], Awaitable[None]],
    *,
    every: float,
    waits_for: tuple[type[ConcordatError], ...] = (DeliveryError,),
) -> AsyncIterator[None]:
    """Keep ``what`` up to date beside what is done within, to the last when this ends.

    ``keep_on`` goes on until the event that it is given. What it ``waits_for`` is tried again
    every so many seconds; after any other error of ours that is told and it stands still.
    """
    stopping = asyncio.Event()
    waiting, standing = f"{what} waits", f"{what} stands still"

    async def keep() -> None:
        waits = ""
        while True:
            try:
                await keep_on(stopping)
            except waits_for as error:
                if waits != error.code:
                    log.warning(waiting, code=error.code, why=str(error))
                waits = error.code
            except (ConcordatError, OSError) as error:
                code = error.code if isinstance(error, ConcordatError) else "input-output"
                log.error(standing, code=code, why=str(error))  # noqa: TRY400  the sentence says it
                return
            if stopping.is_set():
                return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), every)

    task = asyncio.create_task(keep(), name=f"keep {what}")
    try:
        yield
    finally:
        stopping.set()
        await task

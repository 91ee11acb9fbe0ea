"""Noticing that the file has changed, by this process or another.

SQLite tells a connection cheaply (``PRAGMA data_version``, a read of shared memory)
whether somebody else has committed, but it cannot call anybody. So while someone
waits, and only then, one task looks every few milliseconds; own commits wake at once.
"""

import asyncio
import sqlite3

_SOONEST_SECONDS = 0.002
_LATEST_SECONDS = 0.025
"""The longest that another process's commit goes unnoticed; 40 looks cost 0.2 % of a core."""


class Changes:
    """A counter that moves when the file does, and a way to wait for it."""

    def __init__(self, reader: sqlite3.Connection) -> None:
        self.version = 0
        self._reader = reader
        self._data_version = self._look()
        self._waiters: set[asyncio.Future[None]] = set()
        self._watch: asyncio.Task[None] | None = None

    def notify(self) -> None:
        """Wake everybody who waits."""
        self.version += 1
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def wait(self, seen: int, timeout: float | None = None) -> None:  # noqa: ASYNC109  may end with nothing
        """Return once the version is no longer ``seen``, or after ``timeout`` seconds."""
        if self.version != seen:
            return
        loop = asyncio.get_running_loop()
        waiter = loop.create_future()
        self._waiters.add(waiter)
        if self._watch is None or self._watch.done():
            self._watch = loop.create_task(self._watch_file())
        try:
            await asyncio.wait((waiter,), timeout=timeout)
        finally:
            self._waiters.discard(waiter)

    async def close(self) -> None:
        """Stop looking."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)

    async def _watch_file(self) -> None:
        pause = _SOONEST_SECONDS
        while self._waiters:
            await asyncio.sleep(pause)
            version = self._look()
            if version == self._data_version:
                pause = min(pause * 1.5, _LATEST_SECONDS)
                continue
            self._data_version = version
            pause = _SOONEST_SECONDS
            self.notify()

    def _look(self) -> int:
        return int(self._reader.execute("PRAGMA data_version").fetchone()[0])

"""The embedded streams: one SQLite file, several processes on one machine.

Nothing but Python is needed. A transaction of the port is a transaction of SQLite
(WAL), so a process killed at any moment leaves either all of it or nothing, and a
commit is on disk before it is answered. There is one writer at a time on the file:
fit for a demo, a laptop and a pilot, thousands of events a second, not for scale-out.

Calls to SQLite are made on the event loop's own thread: they take microseconds, and
with threads each step would hand the interpreter lock back and forth with the
router. Only waiting for another process's write yields to the loop.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from connectors.streams import (
    DEFAULT_MAX_BATCH_BYTES,
    DEFAULT_MAX_RECORD_BYTES,
    DEFAULT_MAX_RECORDS,
    OnAssigned,
    Outgoing,
    Record,
    StreamsUnavailable,
    UnknownTopic,
    UnusableStreams,
)
from connectors.streams.embedded_changes import Changes
from connectors.streams.embedded_group import EmbeddedGroup
from connectors.streams.embedded_log import (
    SCHEMA,
    Log,
    Topic,
    append_records,
    create_topic,
    read_begins,
    read_ends,
    read_page,
    read_topics,
    remove_records,
)
from connectors.streams.embedded_members import read_lag
from connectors.write_ahead import write_ahead

_LOCK_WAIT_SECONDS = 30.0
_LOCK_RETRY_SECONDS = 0.002
_PAGE_RECORDS = 500
_PAGE_BYTES = 1024 * 1024

T = TypeVar("T")


class EmbeddedStreams:
    """Streams in the SQLite file at ``path``, which is created with its folder if need be."""

    def __init__(
        self, path: str | Path, *, max_record_bytes: int = DEFAULT_MAX_RECORD_BYTES
    ) -> None:
        self.max_record_bytes = max_record_bytes
        self._path = Path(path)
        self._topics: dict[str, Topic] = {}
        self._exits = AsyncExitStack()

    async def __aenter__(self) -> Self:
        try:
            await self._open()
        except (OSError, sqlite3.Error) as error:
            await self._exits.aclose()
            raise UnusableStreams(f"the streams' file cannot be used: {error}") from error
        except BaseException:
            await self._exits.aclose()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._exits.aclose()

    async def create_topics(
        self,
        partitions: Mapping[str, int],
        *,
        compacted: frozenset[str] = frozenset(),
        kept: frozenset[str] = frozenset(),
    ) -> None:
        """See the port; here every topic that is not compacted is kept for ever."""

        def create(connection: sqlite3.Connection) -> None:
            for name, number in partitions.items():
                create_topic(connection, name, number, compacted=name in compacted - kept)

        await self.write(create)

    async def topics(self) -> Mapping[str, int]:
        """See the port."""
        return {name: len(topic.logs) for name, topic in read_topics(self.reader).items()}

    async def append(self, outgoing: Sequence[Outgoing]) -> None:
        """See the port."""
        if outgoing:
            await self.write(lambda connection: self.append_within(connection, outgoing))

    def read(
        self, topic: str, *, partition: int | None = None, start: int = 0, follow: bool = False
    ) -> AsyncIterator[Record]:
        """See the port."""
        return self._read(topic, partition=partition, start=start, follow=follow)

    async def end(self, topic: str) -> Mapping[int, int]:
        """See the port."""
        ends = read_ends(self.reader, topic)
        if not ends:
            raise UnknownTopic(f"the topic {topic} does not exist")
        return ends

    async def begin(self, topic: str) -> Mapping[int, int]:
        """See the port."""
        begins = read_begins(self.reader, topic)
        if not begins:
            raise UnknownTopic(f"the topic {topic} does not exist")
        return begins

    async def remove_before(self, topic: str, partition: int, offset: int) -> None:
        """See the port; what was removed is overwritten in the file as well."""
        if offset > (await self.end(topic))[partition]:
            return
        log = Log(read_topics(self.reader)[topic].logs[partition], topic, partition)
        self._writer.execute("PRAGMA secure_delete = ON")  # with zeros
        while await self.write(lambda connection: remove_records(connection, log, offset)):
            pass  # by pages, so that others may write in between
        # The log of SQLite's writes has the removed records until it is begun anew.
        self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def group(  # noqa: PLR0913  the port's knobs
        self,
        name: str,
        topics: Sequence[str],
        *,
        max_records: int = DEFAULT_MAX_RECORDS,
        max_bytes: int = DEFAULT_MAX_BATCH_BYTES,
        on_assigned: OnAssigned | None = None,
        session_timeout: float = 10.0,
    ) -> EmbeddedGroup:
        """See the port."""
        return EmbeddedGroup(
            self,
            name,
            topics,
            max_records=max_records,
            max_bytes=max_bytes,
            on_assigned=on_assigned,
            session_timeout=session_timeout,
        )

    async def lag(self, group: str, topics: Sequence[str]) -> int:
        """See the port."""
        return sum(read_lag(self.reader, group, topic) for topic in topics)

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run ``work`` in a transaction of its own: all of it is kept, or nothing.

        Raises:
            StreamsUnavailable: other processes kept the file locked.
        """
        await self._begin()
        # INVARIANT: no await from here to the end, so one connection serves every task.
        try:
            result = work(self._writer)
            self._writer.execute("COMMIT")
        except BaseException as error:
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
            if isinstance(error, sqlite3.Error):
                raise StreamsUnavailable(f"the streams' file fails: {error}") from error
            raise
        self.changes.notify()
        return result

    def append_within(self, connection: sqlite3.Connection, outgoing: Sequence[Outgoing]) -> None:
        """Append in a transaction that somebody else has begun."""
        if not outgoing:
            return
        if any(name not in self._topics for name in {record.topic for record in outgoing}):
            # Topics are only ever added, so what is known stays true.
            self._topics = read_topics(connection)
        append_records(connection, self._topics, outgoing, max_record_bytes=self.max_record_bytes)

    async def _begin(self) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _LOCK_WAIT_SECONDS
        while True:
            try:
                self._writer.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                # The low byte is the primary code; the rest says which lock it was.
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                    raise StreamsUnavailable(f"the streams' file fails: {error}") from error
                if loop.time() > deadline:
                    raise StreamsUnavailable(
                        f"the streams' file has been locked for {_LOCK_WAIT_SECONDS:.0f} seconds"
                    ) from error
                await asyncio.sleep(_LOCK_RETRY_SECONDS)
            else:
                return

    async def _open(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._writer = self._connect(busy_seconds=0)
        # Readers wait for a lock only while a crashed process's WAL is recovered.
        self.reader = self._connect(busy_seconds=_LOCK_WAIT_SECONDS)
        self.changes = Changes(self.reader)
        self._exits.push_async_callback(self.changes.close)
        version = self.reader.execute("PRAGMA user_version").fetchone()[0]
        if not version:

            def create(connection: sqlite3.Connection) -> None:
                for statement in SCHEMA.split(";"):
                    connection.execute(statement)

            await self.write(create)
        self._topics = read_topics(self.reader)

    def _connect(self, *, busy_seconds: float) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, timeout=busy_seconds)
        self._exits.callback(connection.close)
        # Records have a few kilobytes: a smaller page would hold one and waste the rest.
        connection.execute("PRAGMA page_size = 16384")
        write_ahead(connection)
        # FULL: a commit is on disk when it is answered, so that a publisher that was
        # told "taken" need not send again after a power cut.
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA wal_autocheckpoint = 1000")
        connection.execute("PRAGMA journal_size_limit = 67108864")
        return connection

    async def _read(
        self, topic: str, *, partition: int | None, start: int, follow: bool
    ) -> AsyncIterator[Record]:
        ends = await self.end(topic)
        logs = read_topics(self.reader)[topic].logs
        wanted = range(len(logs)) if partition is None else (partition,)
        positions = {Log(logs[number], topic, number): start for number in wanted}
        while True:
            seen = self.changes.version
            moved = False
            for log in tuple(positions):
                end = None if follow else ends[log.partition]
                while True:
                    page = read_page(
                        self.reader,
                        log,
                        positions[log],
                        end=end,
                        max_records=_PAGE_RECORDS,
                        max_bytes=_PAGE_BYTES,
                    )
                    if not page.records:
                        break
                    moved = True
                    positions[log] = page.next_offset
                    for record in page.records:
                        yield record
                    if follow:
                        break
            if not follow:
                return
            if not moved:
                await self.changes.wait(seen)

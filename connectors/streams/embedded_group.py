"""A member of a group on the embedded streams."""

import asyncio
import contextlib
import sqlite3
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self

from connectors.streams import (
    OPEN_BATCHES,
    Batch,
    Fenced,
    OnAssigned,
    Outgoing,
    StreamsUnavailable,
    UnknownTopic,
)
from connectors.streams import embedded_members as members
from connectors.streams.embedded_log import Log, read_page, read_topics

if TYPE_CHECKING:
    from connectors.streams.embedded import EmbeddedStreams

_SIGNS_OF_LIFE = 4
"""How often a member says that it lives within the time in which it must."""

_RETRY_SECONDS = 0.5


@dataclass(slots=True)
class _Holding:
    """A log that this member holds, and how far it has come with it."""

    log: Log
    epoch: int
    position: int
    is_ready: bool = False
    open_since: float | None = None
    """When the batch that is open now was given out, by the loop's clock."""
    open_records: int = 0
    is_leaving: bool = False
    """Another member ought to hold it: given up as soon as the open batch is answered."""

    def close(self) -> None:
        """Note that the open batch was answered."""
        self.open_since = None
        self.open_records = 0


class EmbeddedGroup:
    """One member of a group; see the port."""

    def __init__(  # noqa: PLR0913  the port's knobs
        self,
        streams: "EmbeddedStreams",
        name: str,
        topics: Sequence[str],
        *,
        max_records: int,
        max_bytes: int,
        on_assigned: OnAssigned | None,
        session_timeout: float,
    ) -> None:
        self.name = name
        self._streams = streams
        self._subscribed = frozenset(topics)
        self._max_records = max_records
        self._most_records = OPEN_BATCHES * max_records
        self._max_bytes = max_bytes
        self._on_assigned = on_assigned
        self._session_timeout = session_timeout
        self._member = uuid.uuid4().hex
        self._holdings: dict[int, _Holding] = {}
        self._turn = 0
        self._closed = False
        self._failure: BaseException | None = None
        self._preparing: set[asyncio.Task[None]] = set()
        self._known: object = None

    async def __aenter__(self) -> Self:
        self._check_topics(self._subscribed)
        await self._balance()
        self._life = asyncio.create_task(self._live())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closed = True
        tasks = (self._life, *self._preparing)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._holdings.clear()
        await self._streams.write(
            lambda connection: members.remove(connection, self.name, self._member)
        )

    async def __aiter__(self) -> AsyncIterator[Batch]:
        """See the port."""
        while not self._closed:
            batch = await self.next()
            if batch is not None:
                yield batch

    async def subscribe(self, topics: Sequence[str]) -> None:
        """See the port."""
        self._check_topics(topics)
        self._subscribed = frozenset(topics)
        await self._balance()

    def assignment(self) -> frozenset[tuple[str, int]]:
        """See the port."""
        return frozenset(
            (holding.log.topic, holding.log.partition)
            for holding in self._holdings.values()
            if holding.is_ready
        )

    async def next(self, timeout: float | None = None) -> Batch | None:  # noqa: ASYNC109  a wait that may end with nothing
        """See the port."""
        loop = asyncio.get_running_loop()
        deadline = None if timeout is None else loop.time() + timeout
        changes = self._streams.changes
        while not self._closed:
            if self._failure is not None:
                raise self._failure
            seen = changes.version
            batch = self._take(loop.time())
            if batch is not None:
                return batch
            left = None if deadline is None else deadline - loop.time()
            if left is not None and left <= 0:
                return None
            await changes.wait(seen, left)
        return None

    async def commit(self, batch: Batch, outgoing: Sequence[Outgoing] = ()) -> None:
        """See the port."""
        holding = self._holding_of(batch)

        def work(connection: sqlite3.Connection) -> None:
            if not members.move(
                connection,
                self.name,
                self._member,
                holding.log.id,
                epoch=holding.epoch,
                next_offset=batch.next_offset,
            ):
                raise self._fenced(batch)
            self._streams.append_within(connection, outgoing)

        try:
            await self._streams.write(work)
        except Fenced:
            self._holdings.pop(holding.log.id, None)
            raise
        holding.position = batch.next_offset
        holding.close()

    async def abort(self, batch: Batch) -> None:
        """See the port."""
        with contextlib.suppress(Fenced):
            self._holding_of(batch).close()
            self._streams.changes.notify()

    def _take(self, now: float) -> Batch | None:
        """Return a batch of the next holding in turn that has one."""
        room = self._most_records - sum(h.open_records for h in self._holdings.values())
        holdings = [
            holding
            for holding in self._holdings.values()
            if room > 0
            and holding.is_ready
            and holding.open_since is None
            and not holding.is_leaving
        ]
        for turn in range(len(holdings)):
            holding = holdings[(self._turn + turn) % len(holdings)]
            page = read_page(
                self._streams.reader,
                holding.log,
                holding.position,
                max_records=min(room, self._max_records),
                max_bytes=self._max_bytes,
            )
            if page.records:
                self._turn += turn + 1
                holding.open_since = now
                holding.open_records = len(page.records)
                _, topic, partition = holding.log
                return Batch(topic, partition, page.records, page.next_offset, holding.epoch)
        return None

    def _holding_of(self, batch: Batch) -> _Holding:
        for holding in self._holdings.values():
            log = holding.log
            if (log.topic, log.partition) == (batch.topic, batch.partition):
                if holding.epoch != batch.assignment or holding.open_since is None:
                    break
                return holding
        raise self._fenced(batch)

    def _fenced(self, batch: Batch) -> Fenced:
        return Fenced(
            f"partition {batch.partition} of {batch.topic} is no longer held"
            f" by this member of {self.name}"
        )

    def _check_topics(self, topics: Sequence[str] | frozenset[str]) -> None:
        unknown = sorted(set(topics) - read_topics(self._streams.reader).keys())
        if unknown:
            raise UnknownTopic(f"the topic {unknown[0]} does not exist")

    async def _live(self) -> None:
        """Renew the lease, and follow every change of the group."""
        changes = self._streams.changes
        pause = self._session_timeout / _SIGNS_OF_LIFE
        loop = asyncio.get_running_loop()
        renewed = loop.time()
        try:
            while True:
                seen = changes.version
                await changes.wait(seen, max(0.0, renewed + pause - loop.time()))
                if (
                    self._known != self._seen_in(self._streams.reader)
                    or loop.time() >= renewed + pause
                    or any(h.is_leaving and h.open_since is None for h in self._holdings.values())
                ):
                    await self._balance()
                    renewed = loop.time()
        except Exception as error:  # noqa: BLE001  told to whoever asks for the next batch
            self._failure = error
            changes.notify()

    def _seen_in(self, connection: sqlite3.Connection) -> object:
        """Return what a rebalance depends on: the members and who holds what."""
        group = (self.name,)
        return (
            connection.execute("SELECT id, topics FROM members WHERE grp = ?", group).fetchall(),
            connection.execute("SELECT log, owner FROM positions WHERE grp = ?", group).fetchall(),
            connection.execute("SELECT count(*) FROM logs").fetchone(),
        )

    async def _balance(self) -> None:
        """Give up what others ought to hold, take what this member ought to and can."""
        now = asyncio.get_running_loop().time()
        gained = await self._streams.write(lambda connection: self._balance_within(connection, now))
        for claimed in gained:
            holding = _Holding(claimed.log, claimed.epoch, claimed.next_offset)
            self._holdings[claimed.log.id] = holding
            task = asyncio.create_task(self._prepare(holding))
            self._preparing.add(task)
            task.add_done_callback(self._preparing.discard)

    async def _prepare(self, holding: _Holding) -> None:
        """Make a log that has just been claimed readable."""
        id_, topic, partition = holding.log
        try:
            while self._on_assigned is not None and self._holdings.get(id_) is holding:
                with contextlib.suppress(StreamsUnavailable):
                    await self._on_assigned(topic, partition)
                    break
                await asyncio.sleep(_RETRY_SECONDS)
        except Exception as error:  # noqa: BLE001  told to whoever asks for the next batch
            self._failure = error
        else:
            holding.is_ready = True
        self._streams.changes.notify()

    def _balance_within(self, connection: sqlite3.Connection, now: float) -> list[members.Held]:
        wall = time.time()
        members.renew(
            connection,
            self.name,
            self._member,
            self._subscribed,
            now=wall,
            deadline=wall + self._session_timeout,
        )
        wanted = {log.id: log for log in members.wanted(connection, self.name, self._member)}
        held = members.held(connection, self.name, self._member)
        for log_id, holding in list(self._holdings.items()):
            if held.get(log_id) != holding.epoch:
                del self._holdings[log_id]
        for log_id in held:
            mine = self._holdings.get(log_id)
            if mine is not None:
                mine.is_leaving = log_id not in wanted
                if not mine.is_leaving or self._must_finish(mine, now):
                    continue
            self._holdings.pop(log_id, None)
            members.release(connection, self.name, self._member, log_id)
        claims = (
            members.claim(connection, self.name, self._member, log)
            for log_id, log in wanted.items()
            if log_id not in self._holdings
        )
        gained = [claimed for claimed in claims if claimed is not None]
        # Within the transaction, so that no change after it is taken for one before.
        self._known = self._seen_in(connection)
        return gained

    def _must_finish(self, holding: _Holding, now: float) -> bool:
        """Whether an open batch is to be waited for before the log is given up."""
        return holding.open_since is not None and now - holding.open_since < self._session_timeout

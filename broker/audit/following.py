"""Follow `decisions` into the query store: every record once, in the log's order.

What was added and how far it went is one transaction of the store, so a crash costs
nothing and two who follow do not add anything twice. What the log has signed is read from
the log's files, where they are: that is faster, and goes on when the beginning of the
stream has been removed. While some is written, in a thread, what comes next is read.

A shredding is carried out when it is one that the log carries out (`broker.evidence.shredding`):
its digest is that of the commitments which it names. Those are in the log's files alone.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain, count
from typing import ClassVar, Final, NamedTuple

import structlog

from broker.acts import Act, ActKind, BadAct, is_act, read_act
from broker.audit.store import AuditStore
from broker.evidence.entries import record_from
from broker.evidence.reading import LogFiles
from broker.evidence.shredding_acts import digest_of, entries_of
from broker.keeping import follow_until, kept
from broker.record_parts import PartsReader, UnreadableDecision
from broker.routing import DECISIONS
from broker.storage import Overtaken, Position, Row
from connectors.streams import Streams
from schemas.errors import DeliveryError, EvidenceError
from schemas.notes import NoteKey
from schemas.tiles import WIDTH, BadTile

MOST_AT_ONCE: Final = 10_000
"""Records in one transaction; as many are read meanwhile."""
EVERY_SECONDS: Final = 1.0
"""How long a decision waits at most until it is found."""

log = structlog.get_logger()

Progress = Callable[[int], None]
"""Called with the number of entries that the store has."""


class BeginningIsGone(EvidenceError):
    """What comes next is neither on the stream any more nor in a log that is here."""

    code: ClassVar[str] = "beginning-is-gone"


class NotJudged(EvidenceError):
    """Whether a shredding is the log's own cannot be seen here."""

    code: ClassVar[str] = "shredding-not-judged"


class NotSignedYet(DeliveryError):
    """A shredding names entries that the log has not signed yet."""

    code: ClassVar[str] = "not-signed-yet"


class _Told(NamedTuple):
    offset: int
    value: bytes | None
    """None for an entry that was shredded."""


@dataclass(slots=True)
class _Taken:
    """What was read and is not in the store yet."""

    after: Position
    next_entry: int
    next_offset: int
    rows: list[Row] = field(default_factory=list)
    shreddings: list[tuple[int, Act]] = field(default_factory=list)

    @classmethod
    def none_yet(cls, position: Position) -> "_Taken":
        """Begin after a position."""
        return cls(position, position.next_entry, position.next_offset)

    @property
    def count(self) -> int:
        """How many entries there are."""
        return self.next_entry - self.after.next_entry


@dataclass(frozen=True, slots=True)
class SignedLog:
    """A log whose files are here, and the key that its checkpoints are signed with."""

    files: LogFiles
    key: NoteKey

    def size(self) -> int:
        """Return how many entries are signed."""
        latest = self.files.latest(self.key)
        return latest[0].size if latest else 0


class AuditWorker:
    """Keeps a query store up to date with the log."""

    def __init__(
        self,
        streams: Streams,
        store: AuditStore,
        signed: SignedLog | None,
        *,
        progress: Progress | None = None,
    ) -> None:
        self._streams = streams
        self._store = store
        self._signed = signed
        self._progress = progress
        self._reader = PartsReader()
        self._handing = asyncio.Lock()
        self._taken: _Taken | None = None
        self._writing: asyncio.Task[None] | None = None

    async def run(self, stopping: asyncio.Event) -> None:
        """Follow until stopped, and then to the end of the stream."""
        await self.catch_up()
        await follow_until(stopping, self._follow(), meanwhile=self._add, every=EVERY_SECONDS)
        await self.catch_up()

    async def catch_up(self) -> int:
        """Read to the end as it is now; return how many entries of the log the store has.

        Raises:
            BeginningIsGone: records that come next are nowhere any more.

        """
        while True:
            try:
                await self._catch_up()
            except Overtaken:
                continue
            return self._store.position.next_entry

    async def _catch_up(self) -> None:
        await self._written()
        self._taken = _Taken.none_yet(self._store.position)
        try:
            await self._take_signed()
            await self._see_beginning()
            await self._take_from(follow=False)
        finally:
            await self._written()
        await self._add()

    async def _follow(self) -> None:
        await self._take_from(follow=True)

    async def _take_from(self, *, follow: bool) -> None:
        start = self._at().next_offset
        async for record in self._streams.read(DECISIONS, start=start, follow=follow):
            self._take(record.offset, record.value)
            if self._at().count >= MOST_AT_ONCE:
                await self._hand_over()

    async def _take_signed(self) -> None:
        if self._signed is None:
            return
        size = self._signed.size()
        first = self._at().next_entry
        if first >= size:
            return
        for offset, value in entries_from(self._signed.files, first, size):
            self._take(offset, value)
            if self._at().count >= MOST_AT_ONCE:
                await self._hand_over()
            if self._at().next_entry % WIDTH == 0:
                await asyncio.sleep(0)  # let others have the processor

    async def _see_beginning(self) -> None:
        begins = (await self._streams.begin(DECISIONS)).get(0, 0)
        wanted = self._at().next_offset
        if begins > wanted:
            raise BeginningIsGone(
                f"{DECISIONS} begins at {begins} and the query store needs it from {wanted}: run"
                " this where the log's files are, since what was removed from the stream is there"
            )

    def _at(self) -> _Taken:
        assert self._taken is not None  # noqa: S101  catching up comes first
        return self._taken

    def _take(self, offset: int, value: bytes | None) -> None:
        taken = self._at()
        if value is not None:
            self._read(taken, value)
        taken.next_entry += 1
        taken.next_offset = offset + 1

    def _read(self, taken: _Taken, value: bytes) -> None:
        try:
            if not is_act(value):
                taken.rows.append(self._store.row(taken.next_entry, self._reader.read(value)))
                return
            act = read_act(value)
            if act.kind is ActKind.SHREDDING:
                taken.shreddings.append((taken.next_entry, act))
        except (UnreadableDecision, BadAct) as error:
            # It has its place in the log; `concordat verify` names it.
            log.warning("an entry is not ours", entry=taken.next_entry, code=error.code)

    async def _add(self) -> None:
        """Put what was taken into the store, beside whatever else the process does.

        Raises:
            Overtaken: somebody else did.

        """
        await self._hand_over()
        await self._written()

    async def _hand_over(self) -> None:
        """Have what was taken written, once all that came before it is."""
        async with self._handing:
            await self._written()
            taken = self._at()
            if taken.count:
                position = Position(taken.next_entry, taken.next_offset, taken.after.key_mark)
                self._taken = _Taken.none_yet(position)
                self._writing = asyncio.create_task(self._write(taken), name="write-rows")

    async def _written(self) -> None:
        """Wait until what was handed over is written. Raises what writing it raised."""
        writing = self._writing
        if writing is None:
            return
        try:
            await asyncio.shield(writing)  # a thread goes on, whatever becomes of who waits
        finally:
            if writing.done() and self._writing is writing:
                self._writing = None

    async def _write(self, taken: _Taken) -> None:
        await asyncio.to_thread(self._write_rows, taken)
        if self._progress is not None:
            self._progress(taken.next_entry)

    def _write_rows(self, taken: _Taken) -> None:
        shredded = [run for entry, act in taken.shreddings for run in self._runs(entry, act)]
        # What was shredded goes first: should the rest not be written, it is read again.
        self._store.forget(chain.from_iterable(shredded))
        here = {
            entry
            for run in shredded
            for entry in range(max(run.start, taken.after.next_entry), run.stop)
        }
        self._store.add(
            [row for row in taken.rows if row.entry not in here] if here else taken.rows,
            after=taken.after,
            next_entry=taken.next_entry,
            next_offset=taken.next_offset,
        )

    def _runs(self, entry: int, act: Act) -> list[range]:
        """Return what an act at an entry of the log shreds, as the log judges it.

        Raises:
            NotJudged: the log is not here.
            NotSignedYet: the log will judge it, and has not yet.

        """
        try:
            return self._checked(entry, act)
        except BadAct as error:
            log.error("a shredding is not carried out", entry=entry, why=str(error))  # noqa: TRY400  the sentence says it
            return []

    def _checked(self, entry: int, act: Act) -> list[range]:
        runs = entries_of(act)
        if runs[-1].stop > entry:
            raise BadAct("it names entries that do not come before it")
        if self._commitments(runs) != act.digest:
            raise BadAct("its digest is not that of the commitments which it names")
        return runs

    def _commitments(self, runs: list[range]) -> bytes:
        if self._signed is None:
            raise NotJudged(
                f"an act on {DECISIONS} shreds records, and whether the log carries it out is seen"
                " in the log's files alone: run this where they are, or wait until `concordat run`"
                " has brought the query store up to date there"
            )
        try:
            if self._signed.size() >= runs[-1].stop:
                return digest_of(self._signed.files.entries, runs)
        except BadTile:
            pass  # the log is being made again
        raise NotSignedYet(
            "a shredding names entries that the log has not signed yet: bring the log up to date"
            " with `concordat evidence update`, then ask again"
        )


def entries_from(files: LogFiles, first: int, size: int) -> Iterator[_Told]:
    """Give what is kept beside the entries from ``first`` to before ``size``.

    Raises:
        BeginningIsGone: the files of one are not here.

    """
    for number in count(first // WIDTH):
        start = number * WIDTH
        if start >= size:
            return
        kept = files.records(number)
        if len(kept) < min(WIDTH, size - start):
            raise BeginningIsGone(
                f"{files.records_path(number)} does not have what was signed: put it back from a"
                " copy, or make the log again with `concordat evidence rebuild`"
            )
        for one in kept[max(0, first - start) : size - start]:
            if one.is_shredded:
                yield _Told(one.offset, None)
            else:
                record = record_from(one.content, topic=DECISIONS, partition=0, offset=one.offset)
                yield _Told(one.offset, record.value)


@contextlib.asynccontextmanager
async def store_kept(
    streams: Streams, open_store: Callable[[], AuditStore], signed: SignedLog | None
) -> AsyncIterator[None]:
    """Keep the query store up to date in the background, to the last decision when this ends.

    A store or streams that are away are waited for. Where it cannot go on, that is told and
    it stands still: sharing and the log go on, and the store can catch up later.
    """

    async def keep_on(stopping: asyncio.Event) -> None:
        with contextlib.closing(open_store()) as store:
            await AuditWorker(streams, store, signed).run(stopping)

    async with kept("the query store", keep_on, every=EVERY_SECONDS):
        yield

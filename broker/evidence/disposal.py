"""Shred what is due, and take what was shredded off the stream.

The stream of decisions would otherwise keep a copy of every record for ever. It can only be
removed from its beginning on, so what is older than the last shredded record is removed with
it; what of that is still to be kept is in the log's files and archives then, and nowhere
else. Before anything is removed those are held against the signed tree. Copies of records
that lie on ``retractions`` go with them.
"""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from broker.acts import Act, ActKind, act_record
from broker.evidence.holds import BadHold, Hold, read_holds
from broker.evidence.outlook import Outlook
from broker.evidence.reading import LogFiles
from broker.evidence.retention import Keeping
from broker.evidence.showing import LogDamaged
from broker.evidence.shredding import Plan, acts_of, plan
from broker.retraction import GROUP as RETRACTIONS_GROUP
from broker.retraction import RETRACTIONS
from broker.routing import DECISIONS
from connectors.streams import Streams
from schemas.merkle import leaf_hash
from schemas.tiles import WIDTH, Tree

_LOCK: Final = "retention.lock"
_RETRY_SECONDS: Final = 0.05


@dataclass(frozen=True, slots=True)
class Retention:
    """What retention goes by: the periods, and how many audit keys there have been."""

    keeping: Keeping
    audit_keys: int


@dataclass(frozen=True, slots=True)
class Disposal:
    """One look at the first ``size`` records of a log, which are signed, and what comes of it."""

    streams: Streams
    files: LogFiles
    size: int
    retention: Retention
    by: str
    outlook: Outlook | None = None

    async def due(self, now: datetime) -> Plan:
        """Return what is to be shredded.

        Raises:
            BadHold: a hold on a person was put before the audit key was changed, so that it
                would not cover what was decided since.
            ClockBehind: the clock is before the newest record.

        """
        holds = [one for one in (await read_holds(self.streams)).values() if not one.lifted_at]
        for hold in holds:
            _see_covers(hold, self.retention.audit_keys)
        keeping = self.retention.keeping
        return await asyncio.to_thread(
            plan,
            self.files,
            self.size,
            keeping=keeping,
            holds=holds,
            now=now,
            outlook=self.outlook,
        )

    async def order(self, made: Plan, *, at: datetime, reference: str = "") -> None:
        """Append the acts; whoever writes the log carries them out."""
        acts = await asyncio.to_thread(
            acts_of, made, self.files, by=self.by, at=at, reference=reference
        )
        for act in acts:  # each may be as large as a record may be
            await self.streams.append([act_record(act)])

    def is_carried_out(self, made: Plan) -> bool:
        """Whether what was ordered has been done."""
        lasts = (indexes[-1] for indexes in made.rules.values())
        return all(self.files.records(at // WIDTH)[at % WIDTH].is_shredded for at in lasts)

    async def take_off_stream(self, made: Plan, *, at: datetime) -> int:
        """Remove the stream up to the last shredded record; return where it begins then.

        Nothing is removed while records of the log are away: they cannot be looked at.

        Raises:
            LogDamaged: the log's files are not what was signed, so the stream is still needed.

        """
        begins = (await self.streams.begin(DECISIONS)).get(0, 0)
        ordered = (indexes[-1] for indexes in made.rules.values())
        last = max((*ordered, made.last_shredded))
        if made.away or last < 0:
            return begins
        before = (self.files.offset_of(last) or 0) + 1
        if before <= begins:
            return begins
        await asyncio.to_thread(check_files, self.files, self.size, begins, before)
        about = (
            f"stream {DECISIONS} removed before offset {before}: entries 0-{last} are in the log"
        )
        await self.streams.append([act_record(Act(ActKind.ADMINISTRATION, at, self.by, about))])
        await self._take_copies_off(before - 1)
        await self.streams.remove_before(DECISIONS, 0, before)
        return before

    async def _take_copies_off(self, last: int) -> None:
        """Remove the copies of records up to an offset that retractions left, all being told of."""
        topics = await self.streams.topics()
        if RETRACTIONS not in topics or await self.streams.lag(RETRACTIONS_GROUP, [RETRACTIONS]):
            return
        until_ms = await self._appended_ms(last)
        before = 0
        async for copy in self.streams.read(RETRACTIONS):
            if copy.timestamp_ms > until_ms:
                break
            before = copy.offset + 1
        if before:
            await self.streams.remove_before(RETRACTIONS, 0, before)

    async def _appended_ms(self, offset: int) -> int:
        async for record in self.streams.read(DECISIONS, start=offset):
            return record.timestamp_ms
        return 0


def check_files(files: LogFiles, size: int, begins: int, before: int) -> None:
    """See that the log has what the stream has between two offsets, as it was signed.

    Raises:
        LogDamaged: it has not.

    """
    tree = Tree(size, files.tile)
    for start in range(_first_bundle(files, size, begins) * WIDTH, size, WIDTH):
        kept, entries = files.records(start // WIDTH), files.entries(start // WIDTH)
        for index, (one, entry) in enumerate(zip(kept, entries, strict=False), start):
            if one.offset >= before:
                return
            is_its = one.is_shredded or one.commitment == entry
            if not is_its or tree.leaf(index) != leaf_hash(entry):
                raise LogDamaged(
                    f"the record of entry {index} is not what was signed, so nothing is removed"
                    " from the stream: run `concordat evidence rebuild`"
                )


def _first_bundle(files: LogFiles, size: int, begins: int) -> int:
    """Return the bundle in which the first record lies that the stream still has."""
    low, high = 0, (size - 1) // WIDTH
    while low < high:
        middle = (low + high + 1) // 2
        if (files.offset_of(middle * WIDTH) or 0) <= begins:
            low = middle
        else:
            high = middle - 1
    return low


@asynccontextmanager
async def retention_locked(folder: Path) -> AsyncIterator[None]:
    """Keep holds from coming while it is decided what is shredded; wait for who has it."""
    descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                break
        yield
    finally:
        os.close(descriptor)


def _see_covers(hold: Hold, audit_keys: int) -> None:
    if hold.scope.subjects and hold.audit_keys != audit_keys:
        raise BadHold(
            f"the audit key was changed after hold {hold.id} was put on a person, so it does not"
            " cover what was decided since: put it again with the identifiers and lift this one;"
            " nothing is shredded before"
        )

"""Export a log, or a period of it, so that it can be verified anywhere, without the broker.

Everything of the tree goes along, since it says nothing of a record; of the records, and
of what belongs to them, those of the period. What the streams hold no longer is told as
that. Nothing of an event or a delivery leaves but what `broker.evidence.export_files` says.
"""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from agreements.candidates import to_us
from broker.acts import Act, ActKind, is_act, read_entry
from broker.delivering import DELIVERIES as DELIVERIES_TOPIC
from broker.evidence import export_files as files
from broker.evidence.copying import copy_tree
from broker.evidence.deliveries_index import DeliveriesIndex
from broker.evidence.entries import BadEntry, Kept, record_from
from broker.evidence.event_proofs import EventProofs
from broker.evidence.export_lines import line_of
from broker.evidence.export_streams import newest_statement, topics_cut, write_control
from broker.evidence.keys import LogKeys
from broker.evidence.reading import LogFiles, framed
from broker.evidence.shredding_acts import Shreddings
from broker.periods import Period
from broker.routing import DECISIONS
from connectors.streams import Record, Streams
from schemas.errors import RejectedInput
from schemas.keys import SealingKey, VerifyingKey
from schemas.notes import NoteKey
from schemas.tiles import WIDTH

Progress = Callable[[int, int], None]
"""Called with how many records were looked at, and how many there are."""

_TRIES: Final = 3
"""Times that an export is begun again because records were shredded meanwhile."""


@dataclass(frozen=True, slots=True)
class Source:
    """What is exported from: a log and its keys, the streams, and who vouches."""

    log: LogFiles
    keys: LogKeys
    origin: str
    streams: Streams
    scheme_key: VerifyingKey
    sealing: Sequence[SealingKey]
    """The broker's keys, to take the publishers' signatures out of sealed events."""


@dataclass(slots=True)
class Exported:
    """What went along; ``not_held`` is what the streams hold no longer, by its kind."""

    size: int = 0
    records: int = 0
    documents: int = 0
    deliveries: int = 0
    not_held: dict[str, int] = field(default_factory=lambda: {"events": 0, "deliveries": 0})
    not_opened: int = 0
    """Events that are sealed to a key which the broker has no longer."""


async def export(
    source: Source, to: Path, *, period: Period, progress: Progress | None = None
) -> Exported:
    """Write an export to ``to``, which must not be there yet; it is there whole or not at all.

    Raises:
        NothingToExport: nothing was signed yet, or ``to`` is taken.
        NoRecords: some are neither in the log's folder nor in an archive.

    """
    public = source.keys.public(source.origin)
    latest = source.log.latest(public)
    if latest is None:
        raise files.NothingToExport(
            "no checkpoint is signed yet: run `concordat evidence update` first"
        )
    with _whole_or_not(to) as partial:
        for _ in range(_TRIES):
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            copy_tree(source.log, latest, partial, public)
            with DeliveriesIndex(partial / "deliveries.db") as index:
                run = _Export(source, partial, latest[0].size, period, index)
                await run.write(progress)
            before, latest = latest, source.log.latest(public) or latest
            if latest[0].size == before[0].size or not run.lost_records():
                break
        run.finish(public)
    return run.result


@contextmanager
def _whole_or_not(to: Path) -> Iterator[Path]:
    """Give the folder that an export is written in, which takes its place when it is whole."""
    if to.exists():
        raise files.NothingToExport(f"{to} is there already: name a folder that is not")
    partial = to.with_name(f"{to.name}.partial")
    try:
        yield partial
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)  # it has records
        raise
    partial.rename(to)


class _Export:
    """One export, from the first record to the last delivery."""

    def __init__(
        self, source: Source, to: Path, size: int, period: Period, index: DeliveriesIndex
    ) -> None:
        self.result = Exported(size)
        self.left_out: list[tuple[int, int]] = []
        self._gone: set[str] = set()
        self._shreddings = Shreddings()
        self._source = source
        self._to = to
        self._period = period
        self._first_ms, self._end_ms = period.to_ms()
        self._index = index
        self._proofs = EventProofs(source.streams, source.sealing, source.scheme_key)

    async def write(self, progress: Progress | None) -> None:
        """Write everything that is not the tree."""
        # The documents come first for the publishers' keys, and again at the end, so that
        # none is missing by which something was decided meanwhile.
        await self._proofs.learn_senders()
        end = await self._records(progress)
        await self._deliveries(end)
        streams = self._source.streams
        # The scheme's word first: it must not speak of more than is read after it.
        statement = await newest_statement(streams, self._source.scheme_key)
        self.result.documents = await write_control(streams, self._to / files.CONTROL)
        if statement is not None:
            (self._to / files.FRESHNESS).write_text(statement + "\n", encoding="ascii")
        self._gone = await topics_cut(streams)

    def lost_records(self) -> bool:
        """Whether records were shredded meanwhile, by an act behind the last checkpoint."""
        return any(True for _ in self._shreddings.problems(self._source.log.entries))

    def finish(self, public: NoteKey) -> None:
        """Write the keys, and sign what all this is."""
        to, since, until = self._to, self._period.since, self._period.until
        jwk = json.dumps(self._source.scheme_key.to_jwk(), separators=(",", ":"))
        (to / files.SCHEME_KEY).write_text(jwk + "\n", encoding="ascii")
        (to / files.LOG_KEY).write_text(public.to_vkey() + "\n", encoding="ascii")
        listed = [name for name in files.LISTED if (to / name).exists()]
        manifest = files.Manifest(
            log=public.name,
            size=self.result.size,
            since=None if since is None else since.isoformat(),
            until=None if until is None else until.isoformat(),
            left_out=tuple(self.left_out),
            gone=tuple(sorted(self._gone)),
            files={name: files.digest_of(to / name) for name in listed},
        )
        signed = manifest.sign(self._source.keys.signing)
        (to / files.EXPORT).write_text(signed, encoding="utf-8")

    async def _records(self, progress: Progress | None) -> int:
        """Write records and the lines of their events; return the offset after the last."""
        log, size, offset = self._source.log, self.result.size, -1
        with (self._to / files.EVENTS).open("w", encoding="ascii") as events:
            for number in range(-(-size // WIDTH)):
                first = number * WIDTH
                bundle = log.records(number)[: size - first]
                log.see_whole(number, bundle, min(WIDTH, size - first))
                told = [self._told(kept, first + at) for at, kept in enumerate(bundle)]
                if any(not kept.is_left_out for kept, _ in told):
                    path = LogFiles(self._to).records_path(number)
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(b"".join(framed(kept) for kept, _ in told))
                for at, (_, decision) in enumerate(told):
                    if decision is not None:
                        line = await self._proofs.line(first + at, decision)
                        events.write(line_of(line))
                offset = bundle[-1].offset if bundle else offset
                if progress is not None:
                    progress(min(first + WIDTH, size), size)
        await self._proofs.close()
        self.result.not_held["events"] = self._proofs.gone
        self.result.not_opened = self._proofs.unopened
        return offset + 1

    def _told(self, kept: Kept, index: int) -> tuple[Kept, Mapping[str, Any] | None]:
        """Return what goes along of a record, and the decision that it tells of."""
        if kept.is_shredded:
            self._shreddings.see_shredded(index, kept.shredded_under)
        else:
            self._shreddings.see_record(index, kept)
        entry = None if kept.is_shredded else _entry_of(kept)
        if isinstance(entry, dict):
            at_ms = to_us(entry["decidedAt"]) // 1000
            is_in = self._first_ms <= at_ms < self._end_ms
            for place, candidate in enumerate(entry["candidates"]):
                if candidate["outcome"] == "permit":
                    self._index.permit(
                        candidate["sealed"],
                        DELIVERIES_TOPIC + candidate["recipient"],
                        entry=index,
                        candidate=place,
                        is_in=is_in,
                    )
        else:
            # What cannot be read goes along, for `verify` to tell.
            # Whatever was shredded, at any time, is shown to be by its act.
            is_in = not isinstance(entry, Act) or (
                entry.kind is ActKind.SHREDDING
                or self._first_ms <= to_us(entry.at) // 1000 < self._end_ms
            )
        if is_in:
            self.result.records += 1
            return kept, entry if isinstance(entry, dict) else None
        if self.left_out and self.left_out[-1][1] == index - 1:
            self.left_out[-1] = (self.left_out[-1][0], index)
        else:
            self.left_out.append((index, index))
        return Kept(kept.offset, is_left_out=True), None

    async def _deliveries(self, end: int) -> None:
        streams = self._source.streams
        for topic in sorted(await streams.topics()):
            if topic.startswith(DELIVERIES_TOPIC):
                async for record in streams.read(topic):
                    self._index.delivery(_delivery_line(record), at_ms=record.timestamp_ms)
        # What was delivered by now was decided by now: that is on the stream, if not in the log.
        async for record in streams.read(DECISIONS, start=end):
            if record.value is not None and not is_act(record.value):
                with suppress(ValueError, RejectedInput):
                    entry = read_entry(record.value)
                    for candidate in entry["candidates"] if isinstance(entry, dict) else ():
                        self._index.forget(candidate["sealed"])
        with (self._to / files.DELIVERIES).open("w", encoding="ascii") as lines:
            for line in self._index.lines(first_ms=self._first_ms, end_ms=self._end_ms):
                lines.write(line_of(line))
                is_held = "held" not in line
                self.result.deliveries += is_held and line["entry"] is not None
                self.result.not_held["deliveries"] += not is_held


def _entry_of(kept: Kept) -> dict[str, Any] | Act | None:
    with suppress(BadEntry, ValueError, RejectedInput):
        record = record_from(kept.content, topic=DECISIONS, partition=0, offset=kept.offset)
        return read_entry(record.value or b"")
    return None


def _delivery_line(record: Record) -> dict[str, Any]:
    headers = {
        name: value.decode(errors="replace")
        for name, value in record.headers
        if name in files.CHECKED_HEADERS
    }
    return {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "headers": headers,
        "sealed": sha256(record.value or b"").hexdigest(),
    }

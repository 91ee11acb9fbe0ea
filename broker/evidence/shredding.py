"""Shred decision records: salt and record go, the commitment and the tree stay.

1. `plan` says which records are due, by rule, and which of them a legal hold keeps.
2. For each rule an act is appended to `decisions`: the rule, which entries, how many, and
   SHA-256 over their commitments (`acts_of`). So the log has the shredding in its order.
3. Whoever writes the log reads the act like any other record and carries it out before it
   signs a checkpoint over it (`carry_out`). A crash costs nothing: the act is read again.

A log that is made again reads the same acts and comes out with the same records shredded.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Final

import structlog

from broker.acts import Act, ActKind, BadAct, is_act, read_act
from broker.evidence.archives import change_records
from broker.evidence.entries import Kept, record_from
from broker.evidence.holds import Hold
from broker.evidence.outlook import Outlook
from broker.evidence.reading import LogFiles, framed, record_places
from broker.evidence.retention import Keeping
from broker.evidence.shredding_acts import by_bundle, digest_of, entries_of, entries_text, to_runs
from broker.evidence.writing import LogWriter
from broker.recording import read_decision
from broker.routing import DECISIONS
from connectors.streams import Record
from schemas.errors import EvidenceError
from schemas.tiles import WIDTH

MOST_RANGES: Final = 20_000
"""Runs of entries in one act: some 300 kB of text, within the limit of a record."""
CLOCK_TOLERANCE: Final = timedelta(minutes=5)

log = structlog.get_logger()


class ClockBehind(EvidenceError):
    """The clock says a time before that of the newest record."""

    code: ClassVar[str] = "clock-behind"


@dataclass(slots=True)
class Plan:
    """What is due: entries by rule. ``held`` counts by hold; ``away`` are without records here."""

    at: datetime
    rules: dict[str, list[int]] = field(default_factory=dict)
    held: dict[str, int] = field(default_factory=dict)
    away: int = 0
    last_shredded: int = -1
    """The last entry that was shredded before; -1 when none was."""

    @property
    def count(self) -> int:
        """How many records would be shredded."""
        return sum(map(len, self.rules.values()))

    def take(self, index: int, rule: str, holding: Sequence[str]) -> None:
        """Note an entry that is due, and the holds that keep it."""
        for id_ in holding:
            self.held[id_] = self.held.get(id_, 0) + 1
        if not holding:
            self.rules.setdefault(rule, []).append(index)


def plan(  # noqa: PLR0913  what of, by what, when, and what is known from before
    files: LogFiles,
    size: int,
    *,
    keeping: Keeping,
    holds: Sequence[Hold],
    now: datetime,
    outlook: Outlook | None = None,
) -> Plan:
    """Return which of the first ``size`` records are due.

    Time is counted to the newest record only: a clock that is ahead shreds nothing early.
    With the ``outlook`` of an earlier look only those bundles are read that may have some.

    Raises:
        ClockBehind: the clock is before the newest record.

    """
    newest = _newest(files, size)
    if newest is not None and now < newest - CLOCK_TOLERANCE:
        raise ClockBehind(
            f"the clock says {now:%Y-%m-%d %H:%M} UTC, and the newest record is of"
            f" {newest:%Y-%m-%d %H:%M}: set the clock right; nothing was shredded"
        )
    made = Plan(now if newest is None else min(now, newest))
    if not keeping.has_end:
        return made
    outlook = outlook or Outlook()
    holds = [hold for hold in holds if hold.lifted_at is None]
    for start in range(0, size, WIDTH):
        number, width = start // WIDTH, min(WIDTH, size - start)
        bundle = outlook.bundle(files, number, width)
        made.away += width - bundle.records
        if bundle.last_shredded >= 0:
            made.last_shredded = start + bundle.last_shredded
        if bundle.can_have_due(keeping, made.at):
            for index, kept in enumerate(files.records(number)[:width], start):
                told = outlook.told(kept)
                due = None if told is None else keeping.due(told.agreements, told.decided_at)
                if due is not None and due.at <= made.at:
                    made.take(index, due.rule, _holding(holds, kept))
    return made


def _holding(holds: Sequence[Hold], kept: Kept) -> list[str]:
    """Return which holds cover a decision record."""
    if not holds:
        return []
    decision = read_decision(_record(kept).value or b"")
    return [hold.id for hold in holds if hold.scope.covers(decision)]


def acts_of(
    made: Plan, files: LogFiles, *, by: str, at: datetime, reference: str = ""
) -> list[Act]:
    """Return the acts to append, one for each rule or more where they would be too long."""
    acts = []
    for rule, indexes in sorted(made.rules.items()):
        runs = list(to_runs(indexes))
        for start in range(0, len(runs), MOST_RANGES):
            some = runs[start : start + MOST_RANGES]
            digest, count = digest_of(files.entries, some), sum(map(len, some))
            acts.append(
                Act(
                    ActKind.SHREDDING,
                    at,
                    by,
                    entries_text(some),
                    reason=rule,
                    reference=reference,
                    digest=digest,
                    results=count,
                )
            )
    return acts


def carry_out(writer: LogWriter, record: Record) -> int:
    """Do what a record of the stream says, if it is a shredding act; return how many it names.

    The record is the last entry of the log. An act that names what it must not, or other
    commitments than the log's, is passed over and told: nothing is lost by keeping.

    Raises:
        NoRecords: the records that it names are not here.

    """
    if not is_act(record.value):
        return 0
    try:
        act = read_act(record.value or b"")
        runs = _checked(act, writer) if act.kind is ActKind.SHREDDING else []
    except BadAct as error:
        log.error("a shredding is not carried out", offset=record.offset, why=str(error))  # noqa: TRY400  the sentence says it
        return 0
    if not runs:
        return 0
    places = by_bundle(runs)
    writer.write_records()
    change_records(
        writer.files.path,
        places,
        lambda number, data: shredded(data, places[number], rule=act.reason),
    )
    log.info("shredded", records=act.results, rule=act.reason)
    return sum(map(len, runs))


def _checked(act: Act, writer: LogWriter) -> list[range]:
    runs = entries_of(act)
    if runs[-1].stop >= writer.size:
        raise BadAct("it names entries that do not come before it")
    if digest_of(writer.bundle, runs) != act.digest:
        raise BadAct("its digest is not that of the commitments which it names")
    return runs


def shredded(data: bytes, places: Iterable[range], *, rule: str) -> bytes:
    """Return the records of a bundle without salt and content of some; acts stay.

    Raises:
        BadEntry: what is kept cannot be read.

    """
    kept = [Kept.from_bytes(data[start:end]) for start, end in record_places(data)]
    wanted = {place for some in places for place in some}
    return b"".join(
        framed(Kept(one.offset, shredded_under=rule))
        if place in wanted and not one.is_shredded and not _is_act(one)
        else framed(one)
        for place, one in enumerate(kept)
    )


def _is_act(kept: Kept) -> bool:
    return is_act(_record(kept).value)


def _record(kept: Kept) -> Record:
    return record_from(kept.content, topic=DECISIONS, partition=0, offset=kept.offset)


def _newest(files: LogFiles, size: int) -> datetime | None:
    """Return when the newest record that is still there was appended."""
    for number in range((size - 1) // WIDTH, -1, -1):
        for one in reversed(files.records(number)[: size - number * WIDTH]):
            if not one.is_shredded:
                return _time_of(_record(one))
    return None


def _time_of(record: Record) -> datetime:
    return datetime.fromtimestamp(record.timestamp_ms / 1000, UTC)

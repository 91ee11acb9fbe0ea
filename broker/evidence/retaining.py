"""Retention at work: shred what is due, by hand or day by day beside the service."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import structlog

from broker.evidence.disposal import Disposal, Retention, retention_locked
from broker.evidence.following import EvidenceWorker
from broker.evidence.former import Former, former_logs
from broker.evidence.outlook import Outlook
from broker.evidence.reading import LogFiles
from broker.evidence.retention import Keeping
from broker.evidence.shredding import Plan
from broker.evidence.writing import LogInUse, writing
from connectors.streams import Streams
from schemas.errors import ConcordatError

if TYPE_CHECKING:
    from broker.scheme import SchemeFolder

SERVICE: Final = "the service"
_LOOK_SECONDS: Final = 0.2
_WAIT_SECONDS: Final = 60.0

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Disposed:
    """What was found due, and what came of it."""

    plan: Plan
    is_carried_out: bool
    stream_begins: int
    former: tuple[Former, ...] = ()
    """Former logs that keep what was shredded."""

    def to_json(self) -> dict[str, Any]:
        """Return it for a machine."""
        return {
            "counted_to": self.plan.at.isoformat(),
            "shredded": {rule: len(entries) for rule, entries in sorted(self.plan.rules.items())},
            "held": dict(sorted(self.plan.held.items())),
            "away": self.plan.away,
            "carried_out": self.is_carried_out,
            "stream_begins": self.stream_begins,
            "former": [one.to_json() for one in self.former],
        }


async def disposal_of(
    scheme: "SchemeFolder", streams: Streams, *, by: str, outlook: Outlook | None = None
) -> Disposal:
    """Return what retention goes by now: the signed log, and the periods on ``control``."""
    files, public = LogFiles(scheme.log_path), scheme.log_keys.public(scheme.log_origin)
    latest = files.latest(public)
    control = scheme.control(is_routing=False)
    await control.load(streams)
    keeping = Keeping.of(control.versions(), scheme.settings.evidence.keep)
    retention = Retention(keeping, len(scheme.audit_keys.keys))
    return Disposal(streams, files, latest[0].size if latest else 0, retention, by, outlook)


async def shred_due(  # noqa: PLR0913  whose log, who, when, why, and what is known from before
    scheme: "SchemeFolder",
    streams: Streams,
    *,
    by: str,
    now: datetime,
    reference: str = "",
    outlook: Outlook | None = None,
) -> Disposed:
    """Shred what is due, and take it off the stream.

    Where another process writes the log, that one carries it out; it is waited for a minute.

    Raises:
        BadHold: a hold cannot be relied on, so nothing was shredded.
        ClockBehind: the clock is before the newest record; nothing was shredded.

    """
    disposal = await disposal_of(scheme, streams, by=by, outlook=outlook)
    async with retention_locked(scheme.path):
        made = await disposal.due(now)
        await disposal.order(made, at=now, reference=reference)
    if made.rules:
        await _carry_out(scheme, streams)
    is_done = await _carried_out(disposal, made)
    begins = await disposal.take_off_stream(made, at=now) if is_done else 0
    return Disposed(made, is_done, begins, await outliving(scheme))


async def outliving(scheme: "SchemeFolder") -> tuple[Former, ...]:
    """Return the former logs that keep what was shredded in the log."""
    former = await asyncio.to_thread(former_logs, scheme.log_path)
    return tuple(one for one in former if one.shredded_since != 0)


async def _carry_out(scheme: "SchemeFolder", streams: Streams) -> None:
    with (
        contextlib.suppress(LogInUse),
        writing(scheme.log_path, scheme.log_keys, origin=scheme.log_origin) as writer,
    ):
        await EvidenceWorker(streams, writer).catch_up()


async def _carried_out(disposal: Disposal, made: Plan) -> bool:
    deadline = asyncio.get_running_loop().time() + _WAIT_SECONDS
    while not disposal.is_carried_out(made):
        if asyncio.get_running_loop().time() > deadline:
            return False
        await asyncio.sleep(_LOOK_SECONDS)
    return True


@contextlib.asynccontextmanager
async def retention_kept(scheme: "SchemeFolder", streams: Streams) -> AsyncIterator[None]:
    """Shred what is due in the background, now and then every ``evidence.shred_every``.

    What fails is told and tried again the next time: keeping for longer harms nothing else.
    """
    pause = scheme.settings.evidence.shred_every.total_seconds()

    async def keep() -> None:
        outlook = Outlook()
        while True:
            now = datetime.now(UTC)
            try:
                done = await shred_due(scheme, streams, by=SERVICE, now=now, outlook=outlook)
                if done.plan.count:
                    log.info("retention", shredded=done.plan.count, held=len(done.plan.held))
                for one in done.former:
                    log.warning("a former log keeps what was shredded", **one.to_json())
            except (ConcordatError, OSError) as error:
                code = error.code if isinstance(error, ConcordatError) else "input-output"
                log.error("nothing is shredded", code=code, why=str(error))  # noqa: TRY400  the sentence says it
            await asyncio.sleep(pause)

    task = asyncio.create_task(keep(), name="keep-retention")
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

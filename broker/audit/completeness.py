"""Reconcile a scheme's log with what its parties have counted, on record."""

from collections.abc import AsyncIterator, Collection, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, Final

from broker.acts import check_words, record_reading
from broker.audit.reconciling import (
    Difference,
    LogCounts,
    Problem,
    keys_of_parties,
    read_statements,
    reconcile,
)
from broker.routing import EVENTS, QUARANTINE
from schemas.counting import COUNTS, Side
from schemas.errors import ConfigurationError

if TYPE_CHECKING:
    from broker.scheme import SchemeFolder
    from connectors.streams import Streams

_ID: Final = "ce_id"


class NoLog(ConfigurationError):
    """There is no log here, or nothing in it that was signed."""

    code: ClassVar[str] = "no-log"


async def reconciled(
    scheme: "SchemeFolder",
    streams: "Streams",
    *,
    by: str,
    reason: str,
    months: Collection[str] = (),
) -> dict[str, Any]:
    """Return how log and parties agree, month by month, with the events that they differ in.

    Raises:
        NoLog: no checkpoint is here.
        BadAct: who or why cannot be recorded.

    """
    check_words("who asks", by)
    check_words("the reason", reason)
    signed = scheme.signed_log
    latest = None if signed is None else signed.files.latest(signed.key)
    if signed is None or latest is None:
        raise NoLog("no signed log is here: run this where it is kept, after `evidence update`")
    counts = LogCounts(months)
    counts.read(signed.files, latest[0].size)
    control = scheme.control(is_routing=False)
    await control.load(streams)
    statements, problems = read_statements(
        [token async for token in _tokens(streams)],
        keys_of_parties(control.documents, scheme.scheme_key),
        scheme=scheme.scheme_key.kid,
        months=months,
    )
    found = reconcile(counts, statements)
    whys = await _whys(streams, found)
    told = [_told(one, whys) for one in found]
    differing = sum(
        len(one["only_counted"]) + len(one["only_logged"]) + len(one["twice"]) for one in told
    )
    about = "audit reconcile"
    now = datetime.now(UTC)
    await record_reading(streams, by=by, reason=reason, about=about, results=differing, at=now)
    return {
        "agrees": not problems and all(one.agrees for one in found),
        "entries": latest[0].size,
        "root": latest[0].root.hex(),
        "shredded": counts.shredded,
        "differences": differing,
        "counts": told,
        "problems": [_problem(one) for one in problems],
    }


async def _tokens(streams: "Streams") -> AsyncIterator[tuple[str, str]]:
    if COUNTS not in await streams.topics():
        return
    async for record in streams.read(COUNTS):
        yield (
            (record.key or b"").decode(errors="replace"),
            (record.value or b"").decode(errors="replace"),
        )


async def _whys(streams: "Streams", found: list[Difference]) -> dict[str, str]:
    """Return what became of events that a publisher has signed and nobody decided."""
    quarantined: dict[str, str] | None = None
    whys: dict[str, str] = {}
    for one in found:
        missing = one.only_counted if one.place.side is Side.PUBLISHED else set()
        topic = EVENTS + one.place.party
        if not missing or topic not in await streams.topics():
            continue
        if quarantined is None:
            quarantined = await _quarantined(streams)
        async for record in streams.read(topic):
            event_id = next((data for name, data in record.headers if name == _ID), b"").decode(
                errors="replace"
            )
            if event_id in missing:
                place = f"{record.topic}/{record.partition}/{record.offset}"
                reason = quarantined.get(place)
                whys[event_id] = f"quarantined: {reason}" if reason else "waits to be decided"
    return whys


async def _quarantined(streams: "Streams") -> dict[str, str]:
    """Return why an event was quarantined, by the place where it lies."""
    found = {}
    async for record in streams.read(QUARANTINE):
        headers = dict(record.headers)
        found[headers.get("place", b"").decode()] = headers.get("reason", b"").decode()
    return found


def _told(one: Difference, whys: Mapping[str, str]) -> dict[str, Any]:
    is_published = one.place.side is Side.PUBLISHED
    lost = "it is not on the stream" if is_published else "the log has no such delivery"
    statement = one.statement
    return {
        "party": one.place.party,
        "counts": one.place.side.value,
        "month": one.place.month,
        "agrees": one.agrees,
        "logged": one.logged,
        "counted": None if statement is None else statement.total,
        "statement": None if statement is None else statement.sequence,
        "until": None if statement is None else statement.until.isoformat(),
        "is_named": one.is_named,
        "only_counted": [
            {"event_id": event_id, "why": whys.get(event_id, lost)}
            for event_id in sorted(one.only_counted)
        ],
        "only_logged": [
            {
                "event_id": event_id,
                "why": "the publisher has not counted it" if is_published else "it was not opened",
            }
            for event_id in sorted(one.only_logged)
        ],
        "twice": sorted(one.twice),
    }


def _problem(problem: Problem) -> dict[str, str]:
    return {**problem._asdict(), "side": problem.side.value}

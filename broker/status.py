"""Tell how a scheme is doing: whether the rules are up to date, what waits, what lags behind."""

import time
from typing import Any, Final

from broker.audit.asking import how_far
from broker.control import ControlState
from broker.evidence.reading import LogFiles
from broker.freshness import TOPIC, to_json
from broker.opening import EVENTS
from broker.retraction import GROUP, RETRACTIONS
from broker.routing import DECISIONS
from broker.scheme import SchemeFolder
from broker.waiting import what_waits
from connectors.streams import Streams
from schemas.errors import ConcordatError

_COUNTED: Final = 5_000
"""Offsets that are looked at to count what is there; more are told as they are."""

_SENTENCES: Final = {
    "fresh": "the rules are up to date: the scheme said so {age} ago, which counts for {limit}",
    "unknown": "the scheme has not said yet that control is whole, so no router decides:"
    " run `concordat run --only freshness` where the scheme's key is",
    "old": "the scheme last said {age} ago that control is whole, which counts for {limit}, so no"
    " router decides: run `concordat run --only freshness` where the scheme's key is",
    "behind": "the scheme speaks of documents that are not on control: somebody withholds or has"
    " removed them, so no router decides: find out who may write to the streams",
    "differs": "control is not what the scheme signed: somebody has changed it, so no router"
    " decides: put it back from a copy, and find out who may write to the streams",
}


async def status_of(scheme: SchemeFolder, streams: Streams) -> dict[str, Any]:
    """Return how the rules stand as a router that starts now would see them, and what waits.

    ``retractions`` are events that were taken back and whose former recipients are not told
    yet. ``log`` and ``query_store`` are how far each is and how many decisions and acts it is
    behind; None where there is none here.
    """
    control = scheme.control()
    await control.load(streams)
    held = await what_waits(streams, control, scheme.copies, at_us=time.time_ns() // 1000)
    topics = await streams.topics()
    events = [name for name in topics if name.startswith(EVENTS)]
    end = (await streams.end(DECISIONS)).get(0, 0) if DECISIONS in topics else 0
    return {
        "rules": await rules_of(scheme, streams, control),
        "waiting": await streams.lag(scheme.settings.router.group, events),
        "held": sum(one["held"] for one in held),
        "retractions": await streams.lag(GROUP, [n for n in topics if n == RETRACTIONS]),
        "log": await log_of(scheme, streams, end),
        "query_store": await query_store_of(scheme, streams, end),
    }


async def log_of(scheme: SchemeFolder, streams: Streams, end: int) -> dict[str, Any] | None:
    """Return how many entries are signed, and how many records the log is behind."""
    if not scheme.has_log:
        return None
    files = LogFiles(scheme.log_path)
    latest = files.latest(scheme.log_keys.public(scheme.log_origin))
    size = latest[0].size if latest else 0
    last = files.offset_of(size - 1) if size else -1
    behind = None if last is None else await _records_between(streams, last + 1, end)
    return {"entries": size, "behind": behind}


async def query_store_of(scheme: SchemeFolder, streams: Streams, end: int) -> dict[str, Any] | None:
    """Return how many entries the query store has, how many records it is behind, and any gap.

    Where it cannot be used, ``problem`` is the sentence that says why.
    """
    try:
        found = how_far(scheme, end)
    except ConcordatError as error:
        return {"problem": str(error)}
    if found is None:
        return None
    return found | {"behind": await _records_between(streams, end - found["behind"], end)}


async def _records_between(streams: Streams, offset: int, end: int) -> int:
    """Return how many decisions and acts there are from an offset to the end of the stream.

    Kafka has offsets without a record: of many, these are counted too.
    """
    ahead = end - offset
    if not 0 < ahead <= _COUNTED:
        return max(ahead, 0)
    return sum([1 async for _ in streams.read(DECISIONS, start=offset)])


async def rules_of(scheme: SchemeFolder, streams: Streams, control: ControlState) -> dict[str, Any]:
    """Return whether rules made of ``control`` as it was read may be gone by, and a sentence."""
    freshness = scheme.freshness(control)
    if TOPIC in await streams.topics():
        async for record in streams.read(TOPIC):
            freshness.take(record.value)
    rules = to_json(freshness, time.time_ns() // 1_000_000)
    sentence = _SENTENCES[rules["standing"]].format(
        age=_words(rules["age_seconds"]), limit=_words(rules["limit_seconds"])
    )
    return rules | {"position": control.chain.end, "sentence": sentence}


def _words(seconds: int | None) -> str:
    if seconds is None:
        return "never"
    minutes, left = divmod(seconds, 60)
    return f"{minutes} min {left} s" if minutes else f"{left} s"

"""Tell how a scheme is doing: whether the rules are up to date, and what waits."""

import time
from typing import Any, Final

from broker.control import ControlState
from broker.freshness import TOPIC, to_json
from broker.opening import EVENTS
from broker.scheme import SchemeFolder
from broker.waiting import what_waits
from connectors.streams import Streams

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
    """Return how the rules stand as a router that starts now would see them, and what waits."""
    control = scheme.control()
    await control.load(streams)
    held = await what_waits(streams, control, scheme.copies, at_us=time.time_ns() // 1000)
    events = [name for name in await streams.topics() if name.startswith(EVENTS)]
    return {
        "rules": await rules_of(scheme, streams, control),
        "waiting": await streams.lag(scheme.settings.router.group, events),
        "held": sum(one["held"] for one in held),
    }


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

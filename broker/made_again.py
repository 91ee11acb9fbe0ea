"""Make a decision record again: as a router, a settlement or the telling of notices made it.

Pure, as these are: what lies on the streams, and the rules and the time of then, in; the
record that comes of it out.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from broker.control import Snapshot
from broker.evidence.notices import tells_of_notices
from broker.recording import read_decision
from broker.retracting import Had, Retractor, to_tell
from broker.retraction import Retraction
from broker.routing import DECISIONS, Routed, Router
from broker.settling import Settler
from connectors.streams import Batch, Record

Decision = Mapping[str, Any]
"""A decision record, decoded."""


def routed_again(
    router: Router, snapshot: Snapshot, event: Record, *, at_ms: int
) -> Decision | None:
    """Route an event; None when nothing is decided on it."""
    return _recorded(router.route(_alone(event), snapshot, at_ms=at_ms, partitions=None))


def settled_again(
    router: Router, snapshot: Snapshot, copy: Record, suspension: str, *, at_ms: int
) -> Decision | None:
    """Settle a held copy; None when nothing comes of it."""
    settler = Settler(router)
    batch = _alone(copy)
    return _recorded(settler.settle(batch, suspension, snapshot, at_ms=at_ms, partitions=None))


def told_again(
    retractor: Retractor,
    snapshot: Snapshot,
    retraction: Retraction,
    earlier: Iterable[Decision],
    *,
    at_ms: int,
) -> Decision | None:
    """Tell of a retraction, by the ``earlier`` records alone; None when there is nobody to tell.

    Raises:
        RejectedInput: the event was of a type that is not known any more.

    """
    had, got = [], []
    for record in earlier:
        about = (record["publisher"], record["eventId"])
        if about == (retraction.publisher, retraction.retracts) and not tells_of_notices(record):
            had += _permitted(record)
        elif about == (retraction.publisher, retraction.event_id):
            got += _permitted(record)
    told = to_tell(had, got)
    return _recorded(retractor.retract(retraction, told, snapshot, at_ms=at_ms))


def is_same(made: Decision | None, record: Decision) -> bool:
    """Whether a record is what was made again, bar the seals' digests: those bytes are others."""
    return made is not None and _comparable(made) == _comparable(record)


def _permitted(record: Decision) -> list[Had]:
    """Return to whom a record permits its event."""
    return [
        Had(record["eventType"], one["recipient"], one["agreement"], one["version"], one["flow"])
        for one in record["candidates"]
        if one["outcome"] == "permit"
    ]


def _alone(record: Record) -> Batch:
    return Batch(record.topic, record.partition, [record], record.offset + 1, 0)


def _recorded(routed: Routed) -> Decision | None:
    made = [out.value for out in routed.outgoing if out.topic == DECISIONS and out.value]
    return read_decision(made[0]) if made else None


def _comparable(record: Decision) -> dict[str, Any]:
    candidates = [
        {name: value for name, value in candidate.items() if name != "sealed"}
        for candidate in record["candidates"]
    ]
    return {**record, "candidates": candidates}

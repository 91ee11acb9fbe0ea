"""The main job from end to end: publish, route, receive, and count what became of it."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from broker.acts import is_act
from broker.demo.families import ANYTOWN_GSS, CHILDREN, PARTIES, generate
from broker.edge import publish_source, publisher_of, receive_all
from broker.recording import read_decision
from broker.routing import DECISIONS, DELIVERIES, QUARANTINE
from broker.scheme import SchemeFolder
from connectors.prepared import PreparedEvent
from connectors.ssda903 import read_return
from connectors.streams import Streams

SEED = 20_261_101
FAMILIES = 400

OnRouted = Callable[[int], None]
"""Called with the number of events that have been decided or quarantined so far."""


@dataclass(slots=True)
class Outcome:
    """What came of it. Reasons are counted for each candidate: one flow to one recipient."""

    rows_read: int = 0
    published: int = 0
    rejected: list[dict[str, Any]] = field(default_factory=list)
    decided: int = 0
    permits: int = 0
    denies: Counter[str] = field(default_factory=Counter)
    reviews: Counter[str] = field(default_factory=Counter)
    deliveries: int = 0
    opened: int = 0
    unopened: int = 0
    quarantined: Counter[str] = field(default_factory=Counter)
    withheld: Counter[str] = field(default_factory=Counter)
    by_recipient: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """(recipient, event type, outcome and reason) to how many."""
    samples: dict[str, str] = field(default_factory=dict)
    """An event id for each thing that the story shows."""
    best_views: tuple[int, int] = (0, 0)

    def to_json(self, *, seconds: float) -> dict[str, Any]:
        """Return the form of ``concordat demo --json``."""
        return {
            "rows_read": self.rows_read,
            "published": self.published,
            "rejected": dict(sorted(Counter(r["reason"] for r in self.rejected).items())),
            "rejections": self.rejected,
            "decided": self.decided,
            "permits": self.permits,
            "denies": dict(sorted(self.denies.items())),
            "reviews": self.reviews.total(),
            "review_reasons": dict(sorted(self.reviews.items())),
            "deliveries": self.deliveries,
            "opened": self.opened,
            "unopened": self.unopened,
            "decision_records": self.decided,
            "quarantined": self.quarantined.total(),
            "quarantine_reasons": dict(sorted(self.quarantined.items())),
            "withheld": dict(sorted(self.withheld.items())),
            "seconds": round(seconds, 2),
        }


async def publish_story(scheme: SchemeFolder, streams: Streams, outcome: Outcome) -> None:
    """Publish what the generator tells, each event by its own party."""
    by_party: dict[str, list[PreparedEvent]] = {}
    for party, event in generate(SEED, FAMILIES, datetime.now(UTC)):
        by_party.setdefault(party, []).append(event)
    for party, events in by_party.items():
        publisher = await publisher_of(scheme, streams, party)
        published = await publisher.publish(events)
        outcome.rows_read += len(events)
        outcome.published += published.count


async def publish_return(
    scheme: SchemeFolder, streams: Streams, folder: Path, outcome: Outcome
) -> None:
    """Publish a statutory return as Anytown's children's social care."""
    rows = read_return(folder, local_authority=ANYTOWN_GSS)
    ids, outcome.rejected = await publish_source(scheme, streams, rows, party=CHILDREN)
    outcome.published = len(ids)
    outcome.rows_read = len(ids) + len(outcome.rejected)


async def route(
    scheme: SchemeFolder, streams: Streams, *, on_routed: OnRouted | None = None
) -> None:
    """Route until nothing is left."""

    def progress(tally: Counter[str]) -> None:
        done = sum(n for what, n in tally.items() if what.startswith(("accepted", "quarantine")))
        if on_routed is not None:
            on_routed(done)

    with scheme.telling(streams) as telling:
        service = scheme.service(streams, progress=progress, telling=telling)
        await service.run(until_idle=True)


async def receive(scheme: SchemeFolder, streams: Streams, outcome: Outcome) -> None:
    """Let every party open what was delivered to it."""
    for party in PARTIES:
        opened, unopened = await receive_all(
            scheme, streams, party=party, folder=scheme.path / "received"
        )
        outcome.opened += opened
        outcome.unopened += unopened


async def count(streams: Streams, outcome: Outcome, *, recipients: Iterable[str]) -> None:
    """Count what lies in the streams: decisions, deliveries and quarantine."""
    async for record in streams.read(DECISIONS):
        if record.value is not None and not is_act(record.value):
            _count_decision(read_decision(record.value), outcome)
    for recipient in recipients:
        async for _ in streams.read(DELIVERIES + recipient):
            outcome.deliveries += 1
    async for record in streams.read(QUARANTINE):
        outcome.quarantined[dict(record.headers)["reason"].decode()] += 1


def _count_decision(decision: dict[str, Any], outcome: Outcome) -> None:
    outcome.decided += 1
    permits = 0
    for candidate in decision["candidates"]:
        what, reason = candidate["outcome"], candidate["reason"]
        key = (candidate["recipient"], decision["eventType"], f"{what} {reason}".strip())
        outcome.by_recipient[key] += 1
        outcome.withheld.update(candidate["withheld"].values())
        if what == "permit":
            permits += 1
        else:
            (outcome.reviews if what == "review" else outcome.denies)[reason] += 1
    outcome.permits += permits
    _keep_samples(decision, permits, outcome)


def _keep_samples(decision: dict[str, Any], permits: int, outcome: Outcome) -> None:
    """Keep the placement that most recipients see, with the least withheld."""
    if not decision["eventType"].startswith("uk.gov.csc.cla-placement"):
        return
    withheld = sum(len(one["withheld"]) for one in decision["candidates"])
    if (permits, -withheld) > outcome.best_views:
        outcome.best_views = (permits, -withheld)
        outcome.samples["views"] = decision["eventId"]

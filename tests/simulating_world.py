"""A past in small: events that were routed on real streams, and drafts to try on them.

Documents go on ``control`` in the order in which they are said, events are sealed and
signed as publishers do it and decided by the real router, one batch after another; what
comes of them is appended as the service appends it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from deciding_world import COUNCIL, SCHEME, a_flow, an_agreement, pseudonym_key
from deciding_world import World as Documents
from routing_world import RoutingWorld, a_scheme_of, broker_keys

from agreements.model import Agreement
from agreements.reading import from_document
from agreements.trying import Trial
from broker.control import TOPIC as CONTROL
from broker.control import Snapshot
from broker.holding import HELD
from broker.keyring import Keyring
from broker.opening import Opening
from broker.past import decided
from broker.periods import Period
from broker.recording import read_decision
from broker.routing import DECISIONS, EVENTS, QUARANTINE, Routed, Router
from broker.settling import Settler
from broker.simulating import Simulation, simulate
from connectors.streams import Batch, Outgoing, Record, Streams

ALWAYS = {"starts_at": "2020-01-01", "ends_at": "2100-01-01"}
GROUP = "routers"


def a_draft(*flows: Mapping[str, Any], **changes: Any) -> Agreement:
    """Build a draft that is in force at any time: the usual flow unless others are given."""
    return from_document(a_text(*flows, **changes))


def a_text(*flows: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    """Build its document."""
    return an_agreement(*(flows or (a_flow(),)), **({"effective": ALWAYS} | changes))


@dataclass
class Past:
    """What has been said and what has happened, on streams."""

    streams: Streams
    partitions: int = 2
    topic: str = EVENTS + COUNCIL
    documents: Documents = field(default_factory=lambda: a_scheme_of(a_text()))
    _said: int = 0

    async def begin(self) -> None:
        """Create the topics."""
        names = (DECISIONS, QUARANTINE, HELD, self.topic)
        await self.streams.create_topics(
            {CONTROL: 1, **dict.fromkeys(names, self.partitions)}, kept=frozenset({CONTROL})
        )
        self.prepare()

    def prepare(self) -> None:
        """Make the router, for streams that have the topics."""
        self.world = RoutingWorld(documents=self.documents)
        self.opened_by = Router(
            broker_keys(), self.world.catalogue, max_record_bytes=self.streams.max_record_bytes
        )

    async def say(self) -> Snapshot:
        """Put on ``control`` what the documents say and it does not; return the rules."""
        said = list(self.documents.documents.items())
        await self.streams.append([Outgoing(CONTROL, k, v) for k, v in said[self._said :]])
        self._said = len(said)
        return Snapshot(self.documents.rules(), self._said)

    async def publish(self, hows: Iterable[Mapping[str, Any]]) -> list[Record]:
        """Publish events and return them where they lie now."""
        sealed = self.world.records(list(hows))
        before = await self.streams.end(self.topic)
        await self.streams.append(
            [Outgoing(one.topic, one.key, one.value, one.headers) for one in sealed]
        )
        return [
            record
            for partition, start in before.items()
            async for record in self.streams.read(self.topic, partition=partition, start=start)
        ]

    async def happen(self, *hows: Mapping[str, Any], at_ms: int) -> list[dict[str, Any]]:
        """Publish events and route them; return the decision records."""
        records = await self.publish(hows)
        snapshot = await self.say()
        made: list[dict[str, Any]] = []
        for partition in sorted({record.partition for record in records}):
            some = [record for record in records if record.partition == partition]
            batch = Batch(self.topic, partition, some, some[-1].offset + 1, 1)
            routed = self.opened_by.route(batch, snapshot, at_ms=at_ms, partitions=None)
            made += await self._keep(routed)
        return made

    async def settle(self, suspension: str, *, at_ms: int) -> list[dict[str, Any]]:
        """Settle what a suspension held, as the rules have it now; return the records of it."""
        snapshot = await self.say()
        made: list[dict[str, Any]] = []
        for partition in range(self.partitions):
            held = [one async for one in self.streams.read(HELD, partition=partition)]
            batch = Batch(HELD, partition, held, len(held), 1)
            settler = Settler(self.opened_by)
            made += await self._keep(
                settler.settle(batch, suspension, snapshot, at_ms=at_ms, partitions=None)
            )
        return made

    async def _keep(self, routed: Routed) -> list[dict[str, Any]]:
        kept = [out for out in routed.outgoing if out.topic in {DECISIONS, QUARANTINE, HELD}]
        await self.streams.append(kept)
        return [read_decision(out.value or b"") for out in kept if out.topic == DECISIONS]

    async def simulate(
        self,
        draft: Agreement,
        period: Period | None = None,
        *,
        keys: Keyring | None = None,
    ) -> Simulation:
        """Simulate a draft on all of it, with the broker's keys unless others are given."""
        limit = self.streams.max_record_bytes
        return await simulate(
            self.streams,
            lambda: self.trial(draft),
            Opening(keys or broker_keys(), self.world.catalogue, most_bytes=limit),
            period=period or Period(),
            group=GROUP,
        )

    def trial(self, draft: Agreement) -> Trial:
        """Return a draft among nobody yet."""
        return Trial(
            draft, self.world.catalogue, scheme_key=SCHEME.public, pseudonym_key=pseudonym_key
        )

    async def really(self, draft: Mapping[str, Any], *, at: datetime) -> list[dict[str, Any]]:
        """Route every decided event again as though this text had been signed by all ``at`` then.

        By the real router, at the time of the first decision; nothing is written.
        """
        documents = Documents(dict(self.documents.documents))
        documents.agreement(draft)
        for party in draft["parties"]:
            documents.sign(draft, party["id"], at=at)
        snapshot = Snapshot(documents.rules(), 0)
        limit = self.streams.max_record_bytes
        router = Router(broker_keys(), self.world.catalogue, max_record_bytes=limit)
        made = []
        async for decision in decided(self.streams, Period()):
            async for record in self.streams.read(
                decision.topic, partition=decision.partition, start=decision.offset
            ):
                batch = Batch(decision.topic, decision.partition, [record], record.offset + 1, 1)
                routed = router.route(
                    batch, snapshot, at_ms=decision.decided_at_ms, partitions=None
                )
                made += [out.value for out in routed.outgoing if out.topic == DECISIONS]
                break
        return [read_decision(value or b"") for value in made]

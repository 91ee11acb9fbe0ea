"""An evidence pack for a partner: what an audit of a memorandum of understanding asks for.

Which agreements bind the partner and who signed them, what it declared of itself, what went
to it and from it and what was refused, whether reviews and assurances are in date, and a
sample of disclosures to be followed up in the partner's own systems. The sample is drawn by
the root of the log's checkpoint, so that neither side can choose what is looked at.
"""

import heapq
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from agreements.lifecycle import Status
from agreements.paper.tree import Paper
from broker.audit.disclosures import Disclosure
from broker.audit.forms import Asked
from broker.audit.sheets import Sheet, listed
from broker.audit.terms import Terms
from broker.audit.traffic import Tally, Traffic, Way
from broker.periods import Period
from schemas.control import Assured

SAMPLE: Final = 25
"""Disclosures to follow up, unless another number is asked for."""


@dataclass(frozen=True, slots=True)
class Pack:
    """What there is about one partner at a moment."""

    asked: Asked
    period: Period
    partner: str
    agreements: tuple[Status, ...]
    traffic: Traffic
    sample: tuple[Disclosure, ...]
    terms: Terms

    @property
    def assurances(self) -> tuple[Assured, ...]:
        """What the partner holds, as the scheme recorded it."""
        known = self.terms.parties.get(self.partner)
        return () if known is None else known.assurances

    @property
    def shared(self) -> int:
        """How many disclosures there were."""
        return sum(tally.shared for tally in self.traffic.values())

    def ordered(self) -> list[tuple[Way, Tally]]:
        """Return what went each way, agreement by agreement."""
        return sorted(self.traffic.items())

    def to_paper(self) -> Paper:
        """Return it for people."""
        from broker.audit.evidence_pack_paper import write

        return write(self)

    def to_json(self) -> dict[str, Any]:
        """Return it as one JSON document."""
        since, until = self.period.since, self.period.until
        return {
            "paper": "evidence-pack",
            "asked": self.asked.to_json(),
            "partner": self.partner,
            "name": self.terms.name(self.partner),
            "since": None if since is None else since.isoformat(),
            "until": None if until is None else until.isoformat(),
            "assurances": [one.model_dump(mode="json") for one in self.assurances],
            "agreements": [
                {
                    **status.to_json(),
                    "dpia": status.text.dpia.model_dump(mode="json", exclude_unset=True),
                    "security": status.text.security.model_dump(mode="json"),
                    "retention": [
                        one.model_dump(mode="json")
                        for one in status.text.retention
                        if one.party == self.partner
                    ],
                }
                for status in self.agreements
            ],
            "traffic": [{**way._asdict(), **tally.to_json()} for way, tally in self.ordered()],
            "sample": [
                {
                    "event_id": one.event_id,
                    "time": one.decided_at.isoformat(),
                    "from": one.publisher,
                    "to": one.recipient,
                    "agreement": one.agreement,
                    "flow": one.flow,
                    "items": list(one.items),
                    "sealed": one.sealed.hex(),
                    "log_entry": one.index,
                }
                for one in self.sample
            ],
        }

    def to_sheet(self) -> Sheet:
        """Return a row for each way that data took."""
        return Sheet(
            (
                "agreement", "hash", "flow", "from", "to", "shared", "denied", "review", "held",
                "reasons", "first", "last", "items",
            ),
            (
                (
                    *way,
                    tally.shared,
                    tally.outcomes["deny"],
                    tally.outcomes["review"],
                    tally.outcomes["hold"],
                    listed(f"{why}: {number}" for why, number in sorted(tally.reasons.items())),
                    "" if tally.first is None else tally.first.isoformat(),
                    "" if tally.last is None else tally.last.isoformat(),
                    listed(f"{item}: {number}" for item, number in sorted(tally.items.items())),
                )
                for way, tally in self.ordered()
            ),
        )  # fmt: skip

    def to_sample_sheet(self) -> Sheet:
        """Return a row for each disclosure to follow up, with room for what was found."""
        return Sheet(
            ("event_id", "time", "from", "to", "agreement", "flow", "items", "sealed_sha256",
             "log_entry", "found_at_partner", "remarks"),
            (
                (one.event_id, one.decided_at.isoformat(), one.publisher, one.recipient,
                 one.agreement, one.flow, listed(one.items), one.sealed.hex(), one.index, "", "")
                for one in self.sample
            ),
        )  # fmt: skip


class Gathering:
    """Goes over the disclosures of a partner once, counting them and drawing the sample."""

    def __init__(self, partner: str, *, seed: bytes, size: int = SAMPLE) -> None:
        self._partner = partner
        self._seed = seed
        self._size = size
        # The greatest first, so that the greatest of those kept is at hand.
        self._drawn: list[tuple[int, int, Disclosure]] = []
        self._seen = 0

    def passing(self, disclosures: Iterable[Disclosure]) -> Iterable[Disclosure]:
        """Give what the partner sent or received, and draw from what was shared."""
        for one in disclosures:
            if self._partner in (one.publisher, one.recipient):
                if one.is_shared:
                    self._draw(one)
                yield one

    def _draw(self, one: Disclosure) -> None:
        self._seen += 1
        name = f"{one.event_id}\0{one.recipient}\0{one.flow}".encode()
        lot = int.from_bytes(sha256(self._seed + name).digest(), "big")
        ticket = (-lot, self._seen, one)
        if len(self._drawn) < self._size:
            heapq.heappush(self._drawn, ticket)
        elif self._size:
            heapq.heappushpop(self._drawn, ticket)

    def sample(self) -> tuple[Disclosure, ...]:
        """Return those with the smallest lots, in order of time."""
        drawn = (one for _, _, one in self._drawn)
        return tuple(sorted(drawn, key=lambda one: (one.decided_at, one.index, one.recipient)))

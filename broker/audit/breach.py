"""A breach file: what went to a recipient in a time, about how many, and what is due by when.

UK GDPR Art 33: the Commissioner is told within 72 hours of awareness, of what Art 33(3)
lists; the operator tells the controllers without undue delay (33(2)); what is not known yet
follows in phases (33(4)); everything is documented (33(5)), which this file is. Art 34: the
people are told where the risk to them is high. Of law enforcement DPA 2018 ss. 67 and 68 say
the same. The agreements say within how many hours the partners are told.
"""

import shlex
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

from agreements.model import Agreement
from agreements.paper.tree import Paper
from broker.audit.clocks import notice_due
from broker.audit.disclosures import Disclosure
from broker.audit.forms import Asked
from broker.audit.people import People
from broker.audit.sheets import Sheet
from broker.audit.terms import Terms, categories
from broker.periods import Period
from schemas.catalogue import Sensitivity

Nature = Literal["confidentiality", "integrity", "availability"]
_HIGH_RISK: Final = frozenset(
    {
        Sensitivity.SPECIAL,
        Sensitivity.CRIMINAL,
        Sensitivity.CONFIDENTIAL_HEALTH,
        Sensitivity.ADOPTION,
        Sensitivity.REFERRER,
    }
)
"""What makes it likely that people have to be told (Art 34(1)); a person decides."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What it is about: a recipient, where known an agreement and a flow, and a time."""

    recipient: str
    period: Period
    agreement: str | None = None
    flow: str | None = None

    def has(self, one: Disclosure) -> bool:
        """Whether a disclosure belongs to it, its time aside."""
        return (
            one.recipient == self.recipient
            and self.agreement in (None, one.agreement)
            and self.flow in (None, one.flow)
        )


@dataclass(frozen=True, slots=True)
class Told:
    """A partner to be told under an agreement, and by when."""

    party: str
    agreement: Agreement
    due_at: datetime


@dataclass(slots=True)
class Affected:
    """What went out of one type under one flow. ``items`` counts how often each was disclosed.

    ``forms`` tells of those that were not disclosed as they are.
    """

    agreement: str
    version: int
    flow: str
    event_type: str
    publishers: set[str] = field(default_factory=set)
    items: Counter[str] = field(default_factory=Counter)
    forms: dict[str, str] = field(default_factory=dict)
    records: int = 0

    def add(self, one: Disclosure) -> None:
        """Count one disclosure."""
        self.records += 1
        self.publishers.add(one.publisher)
        self.items.update(one.items)
        self.forms.update(one.transforms)


@dataclass(frozen=True, slots=True)
class BreachFile:
    """What is known of a breach from the log."""

    asked: Asked
    aware_at: datetime
    nature: Nature
    scope: Scope
    people: int
    records: int
    waiting: int
    affected: tuple[Affected, ...]
    labels: frozenset[Sensitivity]
    subjects: tuple[str, ...]
    partners: tuple[Told, ...]
    agreements: tuple[Agreement, ...]
    terms: Terms
    first: datetime | None
    last: datetime | None

    @property
    def due_at(self) -> datetime:
        """When the Commissioner must have been told."""
        return notice_due(self.aware_at)

    @property
    def is_high_risk(self) -> bool:
        """Whether items are among them that make a high risk to people likely."""
        return bool(self.labels & _HIGH_RISK)

    @property
    def leads(self) -> tuple[str, ...]:
        """Who tells the Commissioner: as the agreements say, else whose data it was."""
        return tuple(
            sorted({one.breach.ico_lead or self._providers(one)[0] for one in self.agreements})
        )

    def commands(self) -> tuple[str, ...]:
        """Return for each agreement the command that stops it, for whose data it was."""
        reason = f"Suspected breach at {self.scope.recipient}"
        return tuple(
            f"concordat agreement suspend {shlex.quote(one.id)}"
            f" --as {self._providers(one)[0]} --reason {shlex.quote(reason)}"
            for one in self.agreements
        )

    def _providers(self, agreement: Agreement) -> list[str]:
        found = (one.publishers for one in self.affected if one.agreement == agreement.id)
        return sorted(set().union(*found))

    def to_paper(self) -> Paper:
        """Return it for people."""
        from broker.audit.breach_paper import write

        return write(self)

    def to_json(self) -> dict[str, Any]:
        """Return it as one JSON document."""
        since, until = self.scope.period.since, self.scope.period.until
        return {
            "paper": "breach-file",
            "asked": self.asked.to_json(),
            "recipient": self.scope.recipient,
            "agreement": self.scope.agreement,
            "flow": self.scope.flow,
            "since": None if since is None else since.isoformat(),
            "until": None if until is None else until.isoformat(),
            "nature": self.nature,
            "aware_at": self.aware_at.isoformat(),
            "notice_due": self.due_at.isoformat(),
            "hours_left": round((self.due_at - self.asked.at).total_seconds() / 3600, 1),
            "subjects": self.people,
            "records": self.records,
            "waiting": self.waiting,
            "first": None if self.first is None else self.first.isoformat(),
            "last": None if self.last is None else self.last.isoformat(),
            "subject_categories": list(self.subjects),
            "data_categories": list(categories(self.labels)),
            "high_risk_likely": self.is_high_risk,
            "flows": [
                {
                    "agreement": one.agreement,
                    "version": one.version,
                    "flow": one.flow,
                    "publishers": sorted(one.publishers),
                    "event_type": one.event_type,
                    "records": one.records,
                    "items": dict(sorted(one.items.items())),
                    "transforms": dict(sorted(one.forms.items())),
                }
                for one in self.affected
            ],
            "partners": [
                {
                    "party": told.party,
                    "agreement": told.agreement.id,
                    "due_at": told.due_at.isoformat(),
                }
                for told in self.partners
            ],
            "suspend": list(self.commands()),
        }

    def to_sheet(self) -> Sheet:
        """Return a row for each item of each flow, with what care it needs."""
        return Sheet(
            ("agreement", "version", "flow", "event_type", "item", "form", "times", "categories"),
            (
                (
                    one.agreement,
                    one.version,
                    one.flow,
                    one.event_type,
                    item,
                    one.forms.get(item, "as it is"),
                    times,
                    "; ".join(categories(self.terms.labels(one.event_type, item))),
                )
                for one in self.affected
                for item, times in sorted(one.items.items())
            ),
        )


def breach_file(  # noqa: PLR0913  each is what the file is made of
    disclosures: Iterable[Disclosure],
    terms: Terms,
    *,
    scope: Scope,
    aware_at: datetime,
    asked: Asked,
    nature: Nature = "confidentiality",
) -> BreachFile:
    """Return what is known. ``disclosures`` are those of the time; others of it are passed over.

    People are counted by their blinded identifiers: those that stood together in one record
    are one person. Who was never met under the same identifier counts twice.
    """
    aware_at = aware_at.replace(microsecond=0)  # the earlier second: a notice is never late
    people, waiting = People(), 0
    affected: dict[tuple[str, str, str, str], Affected] = {}
    texts: dict[tuple[str, str], Agreement] = {}
    labels: set[Sensitivity] = set()
    subjects: dict[str, None] = {}
    first = last = None
    for one in disclosures:
        if not scope.has(one):
            continue
        if not one.is_shared:
            waiting += one.outcome in ("hold", "review")
            continue
        people.add(one.subjects)
        first = one.decided_at if first is None else min(first, one.decided_at)
        last = one.decided_at if last is None else max(last, one.decided_at)
        place = (one.agreement, one.hash, one.flow, one.event_type)
        found = affected.get(place)
        if found is None:
            found = Affected(one.agreement, one.version, one.flow, one.event_type)
            affected[place] = found
            flow, agreement = terms.flow(one), terms.agreement(one)
            subjects |= dict.fromkeys(() if flow is None else flow.subjects)
            if agreement is not None:
                texts[one.agreement, one.hash] = agreement
        found.add(one)
    for known in affected.values():
        for item in known.items:
            labels |= terms.labels(known.event_type, item)
    return BreachFile(
        asked=asked,
        aware_at=aware_at,
        nature=nature,
        scope=scope,
        people=len(people),
        records=sum(one.records for one in affected.values()),
        waiting=waiting,
        affected=tuple(affected.values()),
        labels=frozenset(labels),
        subjects=tuple(subjects),
        partners=tuple(_partners(texts.values(), scope.recipient, aware_at)),
        agreements=tuple({one.id: one for one in texts.values()}.values()),
        terms=terms,
        first=first,
        last=last,
    )


def _partners(agreements: Iterable[Agreement], recipient: str, aware_at: datetime) -> list[Told]:
    """Return whom the agreements want told, the earliest first; each once for an agreement."""
    found: dict[tuple[str, str], Told] = {}
    for agreement in agreements:
        due_at = notice_due(aware_at, agreement.breach.partner_notice_hours)
        for role in agreement.parties:
            known = found.get((role.id, agreement.id))
            if role.id != recipient and (known is None or due_at < known.due_at):
                found[role.id, agreement.id] = Told(role.id, agreement, due_at)
    return sorted(found.values(), key=lambda told: (told.due_at, told.party))

"""Records of processing activities, from the agreements and the traffic that there was.

UK GDPR Art 30(1) for who decides why and how, Art 30(2) for who processes for others, the
operator of this service among them; what Art 30(1) lists is also what DPA 2018 s. 61 asks of
law enforcement, with the legal basis. Where special categories rest on Schedule 1, the policy
document and the retention belong to the record (DPA 2018 Sch 1 para 41).

An activity is one side of one flow: it is told where the agreement runs, or where something
went through it in the period.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, Literal

from agreements.model import Agreement, Contact, Flow, PartyRole, Retention
from agreements.paper.tree import Paper
from broker.audit.forms import Asked
from broker.audit.sheets import Sheet, listed
from broker.audit.terms import Terms, basis_json, basis_text, categories
from broker.audit.traffic import Tally, Traffic, Way
from broker.legal import to_evidence
from broker.periods import Period
from schemas.control import BROKER

Article = Literal["30(1)", "30(2)"]
_PROCESSORS: Final = frozenset({"processor", "sub-processor"})
_RUNNING: Final = frozenset({"in-force", "under-review", "suspended"})

States = Mapping[tuple[str, str, str, str], str]
"""By agreement, hash (hex), publisher and recipient: in which state the text is for the two."""


@dataclass(frozen=True, slots=True)
class Activity:
    """One side of one flow. ``others`` are the recipients, or whom the data comes from."""

    agreement: Agreement
    hash: str
    flow: Flow
    role: PartyRole
    is_provider: bool
    others: tuple[str, ...]
    states: tuple[str, ...]
    tally: Tally

    @property
    def retention(self) -> tuple[Retention, ...]:
        """How long the party keeps what it received; what it provides it keeps by its own rules."""
        kept = self.agreement.retention
        return tuple(one for one in kept if one.party == self.role.id and not self.is_provider)

    @property
    def policy(self) -> str | None:
        """The appropriate policy document of this side, where it rests on one."""
        legal = self.flow.legal
        return (legal.provider if self.is_provider else legal.recipient).appropriate_policy_document

    def data(self, terms: Terms) -> tuple[str, ...]:
        """Return the categories of personal data."""
        return categories(
            label
            for event_type in self.flow.events
            for item in self.flow.items
            for label in terms.labels(event_type, item.path)
        )


@dataclass(frozen=True, slots=True)
class Record:
    """What one organisation has to keep under one paragraph of Art 30."""

    party: str
    article: Article
    activities: tuple[Activity, ...]


@dataclass(frozen=True, slots=True)
class Operated:
    """What the service did for one organisation: events it decided on, and what it delivered."""

    party: str
    sent: int
    received: int


@dataclass(frozen=True, slots=True)
class Ropa:
    """The records of organisations, and that of the service's operator where it was asked for."""

    asked: Asked
    period: Period
    records: tuple[Record, ...]
    operated: tuple[Operated, ...]
    terms: Terms

    def to_paper(self) -> Paper:
        """Return it for people."""
        from broker.audit.ropa_paper import write

        return write(self)

    def to_json(self) -> dict[str, Any]:
        """Return it as one JSON document."""
        return {
            "paper": "records-of-processing",
            "asked": self.asked.to_json(),
            "since": _text(self.period.since),
            "until": _text(self.period.until),
            "records": [
                {
                    "party": record.party,
                    "name": self.terms.name(record.party),
                    "article": record.article,
                    "activities": [self._activity(one) for one in record.activities],
                }
                for record in self.records
            ],
            "operator": [
                {"controller": one.party, "disclosed": one.sent, "received": one.received}
                for one in self.operated
            ],
        }

    def _activity(self, one: Activity) -> dict[str, Any]:
        legal = one.flow.legal.provider if one.is_provider else one.flow.legal.recipient
        return {
            "agreement": one.agreement.id,
            "version": one.agreement.version,
            "hash": one.hash,
            "flow": one.flow.id,
            "side": "provides" if one.is_provider else "receives",
            "role": one.role.role,
            "acting_for": one.role.acting_for,
            "states": list(one.states),
            "joint_controllers": joint_controllers(one),
            "purpose": one.flow.purpose,
            "purpose_text": purpose_of(one),
            "data_subjects": list(one.flow.subjects),
            "data": list(one.data(self.terms)),
            "items": [item.path for item in one.flow.items],
            "recipients" if one.is_provider else "sources": list(one.others),
            "transfers": "none" if one.agreement.security.uk_only else "possible",
            "retention": [
                {"period": kept.period, "from": kept.trigger, "then": kept.disposal}
                for kept in one.retention
            ],
            "security": measures(one.agreement),
            "legal_basis": basis_json(to_evidence(legal)),
            "appropriate_policy_document": one.policy,
            "traffic": one.tally.to_json(),
        }

    def to_sheet(self) -> Sheet:
        """Return a row for each activity."""
        header = (
            "party", "article", "agreement", "version", "flow", "side", "role", "state", "purpose",
            "data_subjects", "data", "items", "recipients_or_sources", "outside_uk", "retention",
            "security", "legal_basis", "policy_document", "shared", "first", "last",
        )  # fmt: skip
        return Sheet(header, self._rows())

    def _rows(self) -> Iterator[tuple[str | int, ...]]:
        for record in self.records:
            for one in record.activities:
                told = self._activity(one)
                traffic = told["traffic"]
                legal = one.flow.legal.provider if one.is_provider else one.flow.legal.recipient
                yield (
                    record.party, record.article, one.agreement.id, one.agreement.version,
                    one.flow.id, told["side"], one.role.role, listed(one.states),
                    told["purpose_text"], listed(one.flow.subjects), listed(told["data"]),
                    listed(told["items"]), listed(one.others), told["transfers"],
                    listed(f"{k.period} from {k.trigger}: {k.disposal}" for k in one.retention),
                    listed(told["security"]), basis_text(to_evidence(legal)), one.policy or "",
                    one.tally.shared, traffic["first"] or "", traffic["last"] or "",
                )  # fmt: skip


def records_of_processing(  # noqa: PLR0913  each is what the record is made of
    terms: Terms,
    traffic: Traffic,
    *,
    states: States,
    parties: Iterable[str],
    asked: Asked,
    period: Period,
) -> Ropa:
    """Return the records of ``parties``; of `BROKER` that of the service's operator."""
    wanted = tuple(dict.fromkeys(parties))
    records = []
    for party in wanted:
        activities = tuple(_activities(party, terms, traffic, states))
        own = tuple(one for one in activities if one.role.role not in _PROCESSORS)
        for_others = tuple(one for one in activities if one.role.role in _PROCESSORS)
        records += [Record(party, "30(1)", own)] if own else []
        records += [Record(party, "30(2)", for_others)] if for_others else []
    operated = tuple(_operated(traffic)) if BROKER in wanted else ()
    return Ropa(asked, period, tuple(records), operated, terms)


def purpose_of(one: Activity) -> str:
    """Return the purpose of an activity in the agreement's words."""
    purposes = one.agreement.purposes
    return next((p.text for p in purposes if p.code == one.flow.purpose), one.flow.purpose)


def joint_controllers(one: Activity) -> list[str]:
    """Return the other joint controllers of an activity (UK GDPR Art 26)."""
    if one.role.role != "joint-controller":
        return []
    return [
        role.id
        for role in one.agreement.parties
        if role.role == "joint-controller" and role.id != one.role.id
    ]


def contacts_of(record: Record) -> list[tuple[str, Contact]]:
    """Return whom to turn to at an organisation, as its agreements name them; each once."""
    found = []
    for one in record.activities:
        for title, contact in (
            ("Contact", one.role.contact),
            ("Data protection officer", one.role.contacts.dpo),
        ):
            if contact is not None and (title, contact) not in found:
                found.append((title, contact))
    return found


def measures(agreement: Agreement) -> list[str]:
    """Return the security measures that the parties agreed (UK GDPR Art 32(1))."""
    security = agreement.security
    return [*([security.handling] if security.handling else []), *security.measures]


def _activities(party: str, terms: Terms, traffic: Traffic, states: States) -> Iterator[Activity]:
    ordered = sorted(terms.agreements.items(), key=lambda one: (one[0][0], one[1].version))
    for (agreement_id, sha256), agreement in ordered:
        role = next((role for role in agreement.parties if role.id == party), None)
        for flow in agreement.flows if role is not None else ():
            for is_provider in (True, False):
                own, others = (flow.from_, flow.to) if is_provider else (flow.to, flow.from_)
                if party not in own or role is None:
                    continue
                partners = tuple(one for one in dict.fromkeys(others) if one != party)
                pairs = [(party, one) if is_provider else (one, party) for one in partners]
                ways = [Way(agreement_id, sha256, flow.id, *pair) for pair in pairs]
                tally = _together(traffic[way] for way in ways if way in traffic)
                stand = {states.get((agreement_id, sha256, *pair), "unknown") for pair in pairs}
                if stand & _RUNNING or tally.outcomes:
                    yield Activity(
                        agreement, sha256, flow, role, is_provider, partners,
                        tuple(sorted(stand)), tally,
                    )  # fmt: skip


def _together(tallies: Iterable[Tally]) -> Tally:
    whole = Tally()
    for one in tallies:
        whole = replace(
            whole,
            outcomes=whole.outcomes + one.outcomes,
            reasons=whole.reasons + one.reasons,
            items=whole.items + one.items,
            event_types=whole.event_types | one.event_types,
            first=min((t for t in (whole.first, one.first) if t is not None), default=None),
            last=max((t for t in (whole.last, one.last) if t is not None), default=None),
        )
    return whole


def _operated(traffic: Traffic) -> Iterator[Operated]:
    sent: Counter[str] = Counter()
    received: Counter[str] = Counter()
    for way, tally in traffic.items():
        sent[way.publisher] += tally.shared
        received[way.recipient] += tally.shared
    for party in sorted({*sent, *received}):
        yield Operated(party, sent[party], received[party])


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()

"""Schemes at random, with an oracle that says from the plan alone what may be shared.

A plan is made by a chooser: hypothesis for the properties, a seeded generator for the
comparison with Cedar. The oracle never looks at a document, a signature or the engine.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, TypeVar

from deciding_world import (
    PLACEMENT,
    PURPOSE,
    World,
    a_flow,
    an_agreement,
    an_event,
    key_of,
)

from agreements.candidates import to_us
from agreements.deciding import Permit, decide
from agreements.opened import OpenedEvent
from agreements.rules import Rules

T = TypeVar("T")
Choose = Callable[[Sequence[T]], T]

PARTIES = ("party-a", "party-b", "party-c")
SUBJECTS = (b"\x01", b"\x02")
AUTHORITIES = ("E08000016", "E08000018")
RECS = (None, "E11", "E45")
MISSION = "another-purpose"
BASE = datetime.fromisoformat("2026-06-01T00:00:00Z")
HOURS = tuple(range(0, 73, 6))


def hour(number: float) -> datetime:
    """Return a time so many hours after the first."""
    return BASE + timedelta(hours=number)


@dataclass(frozen=True)
class FlowPlan:
    """What a flow says. ``authority`` and ``without_recs`` are its conditions."""

    id: str
    publishers: tuple[str, ...]
    recipients: tuple[str, ...]
    purpose: str
    authority: str | None
    without_recs: tuple[str, ...]
    max_age_hours: int | None
    last_revision: int | None
    items: tuple[str, ...]


@dataclass(frozen=True)
class VersionPlan:
    """One version of an agreement and who said what of it, at which hour."""

    agreement: str
    number: int
    starts: int
    ends: int
    flows: tuple[FlowPlan, ...]
    accepted: tuple[tuple[str, int], ...]
    rejected: tuple[tuple[str, int], ...]
    revoked: tuple[str, ...]

    @property
    def document(self) -> dict[str, Any]:
        """The agreement as JSON data."""
        return _document(self)


@dataclass(frozen=True)
class ObjectionPlan:
    """That a subject objects, from one hour to another."""

    subject: bytes
    starts: int
    until: int | None
    recipients: tuple[str, ...] | None
    purposes: tuple[str, ...] | None


@dataclass(frozen=True)
class Plan:
    """A whole scheme."""

    versions: tuple[VersionPlan, ...]
    suspended: tuple[str, ...] = ()
    lacking_purpose: tuple[str, ...] = ()
    objections: tuple[ObjectionPlan, ...] = field(default=())

    def world(self) -> World:
        """Write the plan as control documents, signed."""
        world = World()
        for party in PARTIES:
            world.party(
                party,
                state="suspended" if party in self.suspended else "active",
                purposes=[MISSION] if party in self.lacking_purpose else [PURPOSE, MISSION],
            )
        for version in self.versions:
            document = version.document
            world.agreement(document)
            for party, at in version.accepted:
                world.documents |= _signed(version, party, "accept", at)
            for party, at in version.rejected:
                world.documents |= _signed(version, party, "reject", at)
            for party in version.revoked:
                world.documents |= _signed(version, party, "revoke", 0)
        for number, one in enumerate(self.objections):
            world.objection(
                str(number),
                subject=one.subject.hex(),
                recipients=None if one.recipients is None else list(one.recipients),
                purposes=None if one.purposes is None else list(one.purposes),
                until=None if one.until is None else hour(one.until).isoformat(),
                **{"from": hour(one.starts).isoformat()},
            )
        return world


@lru_cache(maxsize=4096)
def _document(version: VersionPlan) -> dict[str, Any]:
    flows = []
    for flow in version.flows:
        when: list[dict[str, Any]] = []
        if flow.authority is not None:
            when.append({"item": "localAuthority", "equals": flow.authority})
        if flow.without_recs:
            when.append({"item": "rec", "not_in": list(flow.without_recs)})
        given = a_flow(
            id=flow.id,
            to=list(flow.recipients),
            purpose=flow.purpose,
            when=when,
            items=[{"path": path, "justification": "Needed."} for path in flow.items],
            schemas={"min": 1} | ({"max": flow.last_revision} if flow.last_revision else {}),
            **{"from": list(flow.publishers)},
        )
        if flow.max_age_hours is not None:
            given["max_age"] = f"PT{flow.max_age_hours}H"
        flows.append(given)
    return an_agreement(
        *flows,
        id=f"urn:agreement:{version.agreement}",
        version=version.number,
        parties=[{"id": p, "role": "controller", "direction": "both"} for p in PARTIES],
        effective={"starts_at": _moment(version.starts), "ends_at": _moment(version.ends)},
    )


def _moment(number: int) -> str:
    text = hour(number).isoformat().replace("+00:00", "Z")
    return text.removesuffix("T00:00:00Z")


@lru_cache(maxsize=65_536)
def _signed(version: VersionPlan, party: str, said: str, at: int) -> dict[bytes, bytes | None]:
    world = World()
    world.sign(version.document, party, type=said, at=hour(at), by=key_of(party))
    return dict(world.documents)


# -- making plans ---------------------------------------------------------------------


def a_plan(choose: Choose[Any], *, agreements: int = 3) -> Plan:
    """Make a scheme; about half of what is asked of it is permitted."""
    versions = tuple(
        version
        for name in range(choose(range(1, agreements + 1)))
        for version in _versions(choose, str(name))
    )
    return Plan(
        versions=versions,
        suspended=tuple(p for p in PARTIES if choose(range(12)) == 11),
        lacking_purpose=tuple(p for p in PARTIES if choose(range(8)) == 7),
        objections=tuple(_objection(choose) for _ in range(choose((0, 0, 0, 1, 2)))),
    )


def _versions(choose: Choose[Any], name: str) -> Iterator[VersionPlan]:
    for number in range(1, choose((1, 1, 2, 3)) + 1):
        starts = choose(HOURS[:6])
        accepting = choose((PARTIES, PARTIES, PARTIES, PARTIES[:2], PARTIES[1:], PARTIES[:1]))
        yield VersionPlan(
            agreement=name,
            number=number,
            starts=starts,
            ends=starts + choose((12, 36, 96)),
            flows=tuple(_flow(choose, str(n)) for n in range(choose((1, 1, 2)))),
            accepted=tuple((party, choose((-24, 0, 6, 18))) for party in accepting),
            rejected=tuple((p, choose((-48, 48))) for p in PARTIES if choose(range(16)) == 15),
            revoked=tuple(p for p in PARTIES if choose(range(16)) == 15),
        )


def _flow(choose: Choose[Any], name: str) -> FlowPlan:
    publishers = choose((("party-a",), ("party-a", "party-b"), PARTIES))
    return FlowPlan(
        id=f"flow-{name}",
        publishers=publishers,
        recipients=choose((("party-b",), ("party-c",), ("party-b", "party-c"), PARTIES)),
        purpose=choose((PURPOSE, PURPOSE, MISSION)),
        authority=choose((None, *AUTHORITIES)),
        without_recs=choose(((), ("E11",), ("E11", "E45"))),
        max_age_hours=choose((None, None, 6, 24)),
        last_revision=choose((None, None, 1)),
        items=choose((("childId",), ("childId", "decom"), ("decom", "placementPostcode"))),
    )


def _objection(choose: Choose[Any]) -> ObjectionPlan:
    starts = choose(HOURS)
    return ObjectionPlan(
        subject=choose(SUBJECTS),
        starts=starts,
        until=choose((None, starts + 12)),
        recipients=choose((None, ("party-b",), ("party-c",))),
        purposes=choose((None, (PURPOSE,), (MISSION,))),
    )


@dataclass(frozen=True)
class Asked:
    """An event and a moment; hours after the first."""

    publisher: str
    authority: str
    rec: str | None
    subject: bytes
    occurred: int
    at: float

    def event(self) -> OpenedEvent:
        """Return the event, opened."""
        return _event(self)

    @property
    def at_us(self) -> int:
        """The moment in microseconds."""
        return to_us(hour(self.at))


@lru_cache(maxsize=8192)
def _event(asked: Asked) -> OpenedEvent:
    return an_event(
        publisher=asked.publisher,
        occurred_at=hour(asked.occurred),
        subjects=(asked.subject,),
        localAuthority=asked.authority,
        rec=asked.rec,
    )


def a_question(choose: Choose[Any]) -> Asked:
    """Make an event and a moment, often exactly on a boundary."""
    at = choose(HOURS) + choose((0, 0, 1, -1 / 3600))
    return Asked(
        publisher=choose(PARTIES),
        authority=choose(AUTHORITIES),
        rec=choose(RECS),
        subject=choose(SUBJECTS),
        occurred=int(at) - choose((0, 6, 24, 60)),
        at=at,
    )


# -- what may be shared ---------------------------------------------------------------

Permitted = tuple[str, str, int, str]
"""Recipient, agreement, version, flow."""


def permitted(plan: Plan, asked: Asked) -> set[Permitted]:
    """Say from the plan which flows let the event through, in the words of the design."""
    return {
        (recipient, version.agreement, version.number, flow.id)
        for version in plan.versions
        for flow in version.flows
        for recipient in flow.recipients
        if asked.publisher in flow.publishers
        and recipient != asked.publisher
        and _is_live(plan, version, asked.publisher, recipient, asked.at)
        and _lets_through(plan, flow, recipient, asked)
    }


def _begins(version: VersionPlan, one: str, other: str) -> float:
    accepted = dict(version.accepted)
    if one not in accepted or other not in accepted:
        return float("inf")
    return max(version.starts, accepted[one], accepted[other])


def _is_live(plan: Plan, version: VersionPlan, one: str, other: str, at: float) -> bool:
    rejected, accepted = dict(version.rejected), dict(version.accepted)
    begun = [
        other_version.number
        for other_version in plan.versions
        if other_version.agreement == version.agreement and _begins(other_version, one, other) <= at
    ]
    return (
        bool(begun)
        and max(begun) == version.number
        and at < version.ends
        and not {one, other} & set(version.revoked)
        and not {one, other} & set(plan.suspended)
        and all(rejected.get(party, -999) < accepted[party] for party in (one, other))
    )


def _lets_through(plan: Plan, flow: FlowPlan, recipient: str, asked: Asked) -> bool:
    holds_purpose = flow.purpose == MISSION or recipient not in plan.lacking_purpose
    is_young = flow.max_age_hours is None or asked.at - asked.occurred <= flow.max_age_hours
    objected = any(
        one.subject == asked.subject
        and one.starts <= asked.at < (float("inf") if one.until is None else one.until)
        and (one.recipients is None or recipient in one.recipients)
        and (one.purposes is None or flow.purpose in one.purposes)
        for one in plan.objections
    )
    return (
        holds_purpose
        and is_young
        and not objected
        and flow.authority in (None, asked.authority)
        and asked.rec not in flow.without_recs
    )


def permits(rules: Rules, asked: Asked) -> dict[Permitted, Permit]:
    """Ask the engine."""
    found = {}
    for candidate in rules.candidates(asked.publisher, PLACEMENT, at=asked.at_us):
        decision = decide(asked.event(), candidate, at=asked.at_us)
        if isinstance(decision, Permit):
            name = candidate.agreement_id.removeprefix("urn:agreement:")
            place = (candidate.recipient, name, candidate.version, candidate.flow.id)
            assert place not in found, "one flow to one recipient is decided once"
            found[place] = decision
    return found


def renamed(plan: Plan, name: str) -> tuple[VersionPlan, ...]:
    """Return the first agreement of a plan under another id."""
    first = plan.versions[0].agreement
    return tuple(replace(v, agreement=name) for v in plan.versions if v.agreement == first)

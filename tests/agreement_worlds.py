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
from agreements.deciding import Decision, Permit, decide
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
ASSURANCE = "cyber-essentials"
HOLD_HOURS = 12
NEVER = float("inf")


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
    is_assured_only: bool = False


@dataclass(frozen=True)
class VersionPlan:
    """One version of an agreement and who said what of it, at which hour.

    ``revoked`` is from an hour on, or at once. ``asking`` are parties of which the text asks
    for a SIRO, ``juniors`` those that accepted as something else, ``late`` those whose
    acceptance came when their key was retired or stolen, if ever. ``joined`` and ``left``
    count in days. A version that ``narrows`` gives less than the number before it.
    """

    agreement: str
    number: int
    starts: int
    ends: int
    flows: tuple[FlowPlan, ...]
    accepted: tuple[tuple[str, int], ...]
    rejected: tuple[tuple[str, int], ...]
    revoked: tuple[tuple[str, int | None], ...]
    asking: tuple[str, ...] = ()
    juniors: tuple[str, ...] = ()
    late: tuple[str, ...] = ()
    joined: tuple[tuple[str, int], ...] = ()
    left: tuple[tuple[str, int], ...] = ()
    narrows: bool = False
    title: str = "Placements of looked-after children"

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
class SuspensionPlan:
    """That a party suspends an agreement, and when it lifts that.

    ``lifter`` is who says so: another party's word lifts nothing. ``is_late``: the lift
    came when the party's key was retired or stolen, if ever.
    """

    agreement: str
    number: int
    party: str
    said: int
    effective: int | None
    lifted: int | None
    lifter: str
    is_late: bool


@dataclass(frozen=True)
class Plan:
    """A whole scheme. ``assured`` are days, the last one included; ``stolen`` from an hour on."""

    versions: tuple[VersionPlan, ...]
    suspended: tuple[str, ...] = ()
    lacking_purpose: tuple[str, ...] = ()
    objections: tuple[ObjectionPlan, ...] = field(default=())
    suspensions: tuple[SuspensionPlan, ...] = ()
    assured: tuple[tuple[str, int, int], ...] = ()
    rotated: tuple[str, ...] = ()
    stolen: tuple[tuple[str, int], ...] = ()

    def world(self) -> World:
        """Write the plan as control documents, signed, in the order they came."""
        world = World()
        for party in PARTIES:
            world.party(party, **self._as_told(party))
        for version in self.versions:
            world.agreement(version.document)
            world.documents |= _accepted(version, is_late=False)
            for party, at in version.rejected:
                world.documents |= _signed(version, party, "reject", at)[1]
            for party, since in version.revoked:
                world.documents |= _signed(version, party, "revoke", 0, effective=since)[1]
        for one in self.suspensions:
            self._suspend(world, one, is_late=False)
        for party in PARTIES:
            self._change_key(world, party)
        for version in self.versions:
            world.documents |= _accepted(version, is_late=True)
        for one in self.suspensions:
            self._suspend(world, one, is_late=True)
        self._object(world)
        return world

    def _as_told(self, party: str) -> dict[str, Any]:
        return {
            "state": "suspended" if party in self.suspended else "active",
            "purposes": [MISSION] if party in self.lacking_purpose else [PURPOSE, MISSION],
            "assurances": [
                {"kind": ASSURANCE, "valid_from": _day(starts), "valid_until": _day(until)}
                for assured, starts, until in self.assured
                if assured == party
            ],
        }

    def _change_key(self, world: World, party: str) -> None:
        stolen = [
            {"kid": key_of(party).public.kid, "stolen_from": hour(since).isoformat()}
            for thief_of, since in self.stolen
            if thief_of == party
        ]
        if stolen or party in self.rotated:
            keys = [key_of(party, 2).public.to_jwk()]
            told = self._as_told(party)
            world.party(party, revision=2, signing_keys=keys, stolen_keys=stolen, **told)

    def _suspend(self, world: World, one: SuspensionPlan, *, is_late: bool) -> None:
        version = next(
            v for v in self.versions if (v.agreement, v.number) == (one.agreement, one.number)
        )
        name, documents = _signed(version, one.party, "suspend", one.said, effective=one.effective)
        if not is_late:
            world.documents |= documents
        if one.lifted is not None and is_late == one.is_late:
            world.documents |= _signed(version, one.lifter, "resume", one.lifted, lifts=name)[1]

    def _object(self, world: World) -> None:
        for number, one in enumerate(self.objections):
            world.objection(
                str(number),
                subject=one.subject.hex(),
                recipients=None if one.recipients is None else list(one.recipients),
                purposes=None if one.purposes is None else list(one.purposes),
                until=None if one.until is None else hour(one.until).isoformat(),
                **{"from": hour(one.starts).isoformat()},
            )


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
            requires=[ASSURANCE] if flow.is_assured_only else [],
            **{"from": list(flow.publishers)},
        )
        if flow.max_age_hours is not None:
            given["max_age"] = f"PT{flow.max_age_hours}H"
        flows.append(given)
    return an_agreement(
        *flows,
        id=f"urn:agreement:{version.agreement}",
        title=version.title,
        version=version.number,
        parties=[_role(version, party) for party in PARTIES],
        suspension={"hold_for": f"PT{HOLD_HOURS}H", "then": "deny"},
        effective={"starts_at": _moment(version.starts), "ends_at": _moment(version.ends)},
    )


def _role(version: VersionPlan, party: str) -> dict[str, Any]:
    role: dict[str, Any] = {"id": party, "role": "controller", "direction": "both"}
    if party in version.asking:
        role["capacities"] = ["SIRO", "CALDICOTT_GUARDIAN"]
    if party in dict(version.joined):
        role["joined_on"] = _day(dict(version.joined)[party])
    if party in dict(version.left):
        role["left_on"] = _day(dict(version.left)[party])
    return role


def _day(number: int) -> str:
    return hour(24 * number).date().isoformat()


def _moment(number: int) -> str:
    text = hour(number).isoformat().replace("+00:00", "Z")
    return text.removesuffix("T00:00:00Z")


def _accepted(version: VersionPlan, *, is_late: bool) -> dict[bytes, bytes | None]:
    documents: dict[bytes, bytes | None] = {}
    for party, at in version.accepted:
        if is_late == (party in version.late):
            capacity = "IAO" if party in version.juniors else "SIRO"
            documents |= _signed(version, party, "accept", at, capacity=capacity)[1]
    return documents


@lru_cache(maxsize=65_536)
def _signed(  # noqa: PLR0913  each is part of what is signed
    version: VersionPlan,
    party: str,
    said: str,
    at: int,
    *,
    effective: int | None = None,
    lifts: str | None = None,
    capacity: str = "SIRO",
) -> tuple[str, dict[bytes, bytes | None]]:
    """Sign with the party's first key; return the statement's id and its document."""
    world = World()
    name = world.sign(
        version.document,
        party,
        type=said,
        at=hour(at),
        by=key_of(party),
        capacity=capacity,
        effective_at=None if effective is None else hour(effective),
        lifts=lifts,
        held=None if lifts is None else "release",
    )
    return name, dict(world.documents)


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
        suspensions=_suspensions(choose, versions),
        assured=tuple((party, *choose(((-9, 9), (-9, 9), (0, 1), (1, 9)))) for party in PARTIES),
        rotated=tuple(p for p in PARTIES if choose(range(8)) == 7),
        stolen=tuple((p, choose((-12, 0, 6, 9))) for p in PARTIES if choose(range(10)) == 9),
    )


def _suspensions(
    choose: Choose[Any], versions: tuple[VersionPlan, ...]
) -> tuple[SuspensionPlan, ...]:
    """Suspend some agreements, each by one party and version at most once."""
    found = {}
    for _ in range(choose((0, 0, 0, 1, 2))):
        version, party = choose(versions), choose(PARTIES)
        said = choose(HOURS[:8])
        found[version.agreement, version.number, party] = SuspensionPlan(
            agreement=version.agreement,
            number=version.number,
            party=party,
            said=said,
            effective=choose((None, said, said, said + 12)),
            lifted=choose((None, said + 6, said + 18)),
            lifter=choose((party, party, party, *PARTIES)),
            is_late=choose((False, False, True)),
        )
    return tuple(found.values())


def _versions(choose: Choose[Any], name: str) -> Iterator[VersionPlan]:
    before: VersionPlan | None = None
    for number in range(1, choose((1, 1, 2, 3)) + 1):
        narrows = before is not None and choose((True, True, False))
        version = _narrower(choose, before) if before and narrows else _fresh(choose, name, number)
        accepting = choose((PARTIES, PARTIES, PARTIES, PARTIES[:2], PARTIES[1:], PARTIES[:1]))
        before = replace(
            version,
            number=number,
            narrows=narrows,
            accepted=tuple((party, choose((-24, 0, 6, 18))) for party in accepting),
            rejected=tuple((p, choose((-48, 48))) for p in PARTIES if choose(range(16)) == 15),
            revoked=tuple(
                (p, choose((None, None, 12, 30))) for p in PARTIES if choose(range(16)) == 15
            ),
            juniors=tuple(p for p in PARTIES if choose(range(5)) == 4),
            late=tuple(p for p in PARTIES if choose(range(4)) == 3),
        )
        yield before


def _fresh(choose: Choose[Any], name: str, number: int) -> VersionPlan:
    """Make a text that has nothing to do with the one before it."""
    starts = choose(HOURS[:6])
    return VersionPlan(
        agreement=name,
        number=number,
        starts=starts,
        ends=starts + choose((12, 36, 96)),
        flows=tuple(_flow(choose, str(n)) for n in range(choose((1, 1, 2)))),
        accepted=(),
        rejected=(),
        revoked=(),
        title=f"Placements of looked-after children, text {number}",  # so it narrows nothing
        asking=tuple(p for p in PARTIES if choose(range(6)) == 5),
        joined=tuple((p, choose((0, 1))) for p in PARTIES if choose(range(12)) == 11),
        left=tuple((p, choose((1, 2, 4))) for p in PARTIES if choose(range(12)) == 11),
    )


def _narrower(choose: Choose[Any], before: VersionPlan) -> VersionPlan:
    """Make a text that gives less than the one before: in one of the ways there are."""
    flows = before.flows
    first = flows[0]
    return choose(
        (
            replace(before, ends=before.ends - 6),
            replace(before, starts=before.starts + 6),
            replace(before, left=before.left or (("party-b", 1),)),
            replace(before, flows=(replace(first, items=first.items[:1]), *flows[1:])),
            replace(before, flows=(replace(first, is_assured_only=True), *flows[1:])),
            replace(
                before,
                flows=(replace(first, max_age_hours=first.max_age_hours or 24), *flows[1:]),
            ),
            replace(
                before,
                flows=(replace(first, authority=first.authority or AUTHORITIES[1]), *flows[1:]),
            ),
            replace(before, flows=flows[:1]),
        )
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
        is_assured_only=choose((False, False, False, False, True)),
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


# -- asking the engine ----------------------------------------------------------------

Place = tuple[str, str, int, str]
"""Recipient, agreement, version, flow."""


def permits(rules: Rules, asked: Asked) -> dict[Place, Permit]:
    """Ask the engine what is shared."""
    return {
        place: decision
        for place, decision in decisions(rules, asked).items()
        if isinstance(decision, Permit)
    }


def decisions(rules: Rules, asked: Asked) -> dict[Place, Decision]:
    """Ask the engine about each flow that may take the event somewhere."""
    found: dict[Place, Decision] = {}
    for candidate in rules.candidates(asked.publisher, PLACEMENT, at=asked.at_us):
        name = candidate.agreement_id.removeprefix("urn:agreement:")
        place = (candidate.recipient, name, candidate.version, candidate.flow.id)
        assert place not in found, "one flow to one recipient is decided once"
        found[place] = decide(asked.event(), candidate, at=asked.at_us)
    return found


def renamed(plan: Plan, name: str) -> tuple[VersionPlan, ...]:
    """Return the first agreement of a plan under another id."""
    first = plan.versions[0].agreement
    return tuple(replace(v, agreement=name) for v in plan.versions if v.agreement == first)

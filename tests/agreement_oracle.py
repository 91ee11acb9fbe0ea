"""What the engine must answer to an event, said from the plan of a scheme alone.

In the words of the design and of the lifecycle, in hours: no document, no signature
and no part of the engine is looked at.
"""

from dataclasses import dataclass, replace

from agreement_worlds import (
    HOLD_HOURS,
    MISSION,
    NEVER,
    Asked,
    Place,
    Plan,
    SuspensionPlan,
    VersionPlan,
)


def permitted(plan: Plan, asked: Asked) -> set[Place]:
    """Say from the plan which flows let the event through, in the words of the design."""
    return {
        place
        for place in _live(plan, asked)
        if not _stopped_by(plan, place[1], asked.at) and _lets_through(plan, place, asked)
    }


def held(plan: Plan, asked: Asked) -> set[Place]:
    """Say from the plan for which flows the event waits."""
    return {
        place
        for place in _live(plan, asked)
        if (waits := [hold for hold, _ in _stopped_by(plan, place[1], asked.at)])
        and asked.at < min(waits)
    }


def _live(plan: Plan, asked: Asked) -> set[Place]:
    """The flows that both have agreed to and that run at that moment, suspended or not."""
    return {
        (recipient, version.agreement, version.number, flow.id)
        for version in plan.versions
        for flow in version.flows
        for recipient in flow.recipients
        if asked.publisher in flow.publishers
        and recipient != asked.publisher
        and is_live(plan, version, (asked.publisher, recipient), asked.at)
    }


@dataclass(frozen=True)
class Begun:
    """From which hour a version is the one that a pair runs under, and until which.

    ``bases`` are the versions that it narrows, where one of the two accepted it alone.
    """

    version: VersionPlan
    begins: float
    ends: float = NEVER
    bases: tuple["Begun", ...] = ()


def is_live(plan: Plan, version: VersionPlan, pair: tuple[str, str], at: float) -> bool:
    """Whether a pair runs under a version at an hour: both agreed, and it has not ended."""
    begun = next(
        (one for one in run_under(plan, version.agreement, pair) if one.version is version), None
    )
    joined, left = dict(version.joined), dict(version.left)
    return (
        begun is not None
        and max(begun.begins, version.starts) <= at < min(begun.ends, version.ends)
        and all(24 * joined.get(party, -99) <= at < 24 * left.get(party, 99) for party in pair)
        and all(agrees_from(plan, begun, pair, party) <= at for party in pair)
        and all(at < revokes_from(plan, begun, pair, party) for party in pair)
    )


def run_under(plan: Plan, agreement: str, pair: tuple[str, str]) -> list[Begun]:
    """The versions that take over from one another for a pair, each with its hours."""
    found: list[Begun] = []
    for version in (v for v in plan.versions if v.agreement == agreement):
        accepted = [_first_accepted(plan, version, party) for party in pair]
        both = Begun(version, max(version.starts, *accepted))
        since = max(version.starts, min(accepted))
        bases = tuple(one for one in found if max(since, one.begins) < one.ends)
        alone = both
        if since < NEVER and bases and all(_narrows(plan, one.version, version) for one in bases):
            alone = Begun(version, max(since, min(one.begins for one in bases)), bases=bases)
        begun = alone if alone.begins < both.begins else both
        if begun.begins < NEVER:
            found = [replace(one, ends=min(one.ends, begun.begins)) for one in found] + [begun]
    return [one for one in found if one.begins < one.ends]


def _narrows(plan: Plan, old: VersionPlan, new: VersionPlan) -> bool:
    between = range(old.number + 1, new.number + 1)
    return all(
        version.narrows
        for version in plan.versions
        if version.agreement == new.agreement and version.number in between
    )


def _first_accepted(plan: Plan, version: VersionPlan, party: str) -> float:
    """When it was accepted, as far as a later version's place goes: a theft does not undo it."""
    is_junior = party in version.asking and party in version.juniors
    has_other_key = party in plan.rotated or party in dict(plan.stolen)
    if is_junior or (has_other_key and party in version.late):
        return NEVER
    return dict(version.accepted).get(party, NEVER)


def _accepted_from(plan: Plan, version: VersionPlan, party: str) -> float:
    """When the acceptance that stands was given."""
    accepted = _first_accepted(plan, version, party)
    is_thief_s = accepted >= dict(plan.stolen).get(party, NEVER)
    return NEVER if is_thief_s or _has_rejected(plan, version, party) else accepted


def _has_rejected(plan: Plan, version: VersionPlan, party: str) -> bool:
    rejected = dict(version.rejected).get(party)
    accepted = _first_accepted(plan, version, party)
    if accepted >= dict(plan.stolen).get(party, NEVER):
        accepted = NEVER
    return rejected is not None and (accepted == NEVER or rejected >= accepted)


def _stands_for(plan: Plan, begun: Begun, pair: tuple[str, str], party: str) -> bool:
    """Whether what a party said of what is narrowed stands for what it has not said of this."""
    other = next(one for one in pair if one != party)
    return (
        bool(begun.bases)
        and not _has_rejected(plan, begun.version, party)
        and _accepted_from(plan, begun.version, other) < NEVER
    )


def agrees_from(plan: Plan, begun: Begun, pair: tuple[str, str], party: str) -> float:
    """From which hour a party agrees to a version."""
    own = _accepted_from(plan, begun.version, party)
    has_revoked = any(revokes_from(plan, base, pair, party) < NEVER for base in begun.bases)
    if not _stands_for(plan, begun, pair, party) or (own < NEVER and has_revoked):
        return own
    return min(own, max(agrees_from(plan, base, pair, party) for base in begun.bases))


def revokes_from(plan: Plan, begun: Begun, pair: tuple[str, str], party: str) -> float:
    """From which hour a party no longer agrees, for good."""
    revoked = [
        float(-NEVER if since is None else since)
        for by, since in begun.version.revoked
        if by == party
    ]
    if _stands_for(plan, begun, pair, party) and (
        _accepted_from(plan, begun.version, party) == NEVER
    ):
        revoked += [revokes_from(plan, base, pair, party) for base in begun.bases]
    return min(revoked, default=NEVER)


def stands_from_until(plan: Plan, one: SuspensionPlan) -> tuple[float, float]:
    """From which hour a suspension stands, and until which."""
    since = float(-NEVER if one.effective is None else one.effective)
    has_other_key = one.party in plan.rotated or one.party in dict(plan.stolen)
    is_lifted = (
        one.lifted is not None
        and one.lifter == one.party
        and not (has_other_key and one.is_late)
        and one.lifted < dict(plan.stolen).get(one.party, NEVER)
    )
    return since, float(one.lifted) if is_lifted and one.lifted is not None else NEVER


def _stopped_by(plan: Plan, agreement: str, at: float) -> list[tuple[float, SuspensionPlan]]:
    """The suspensions that stand, each with the hour until which events wait."""
    found = []
    for one in plan.suspensions:
        since, until = stands_from_until(plan, one)
        if one.agreement == agreement and since <= at < until:
            said = one.said if one.effective is None else one.effective
            found.append((float(said + HOLD_HOURS), one))
    return found


def _lets_through(plan: Plan, place: Place, asked: Asked) -> bool:
    recipient, agreement, number, name = place
    flow = next(
        flow
        for version in plan.versions
        if (version.agreement, version.number) == (agreement, number)
        for flow in version.flows
        if flow.id == name
    )
    is_assured = not flow.is_assured_only or any(
        party == recipient and 24 * starts <= asked.at < 24 * (until + 1)
        for party, starts, until in plan.assured
    )
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
        not {asked.publisher, recipient} & set(plan.suspended)
        and is_assured
        and holds_purpose
        and is_young
        and not objected
        and flow.authority in (None, asked.authority)
        and asked.rec not in flow.without_recs
    )

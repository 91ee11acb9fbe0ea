"""Decide again without the event: for whoever holds the record and may not see a value.

The engine's own checks (`agreements.checking`) are asked in their order up to the first
that looks into the payload. What they say must be what the record says. From there on
the record is believed only as far as the agreement bears it out: a condition that it
names stands in that flow and ends as told there; what is disclosed, transformed and
withheld is what that flow gives for just these items left out, each for a reason that
such an item can have.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from agreements.candidates import Candidate
from agreements.checking import CHECKS, Failure, Refusal
from agreements.cutting import ABSENT
from agreements.deciding import Deny, Hold, Permit, Review
from agreements.opened import OpenedEvent
from agreements.projection import Elements, Leaf, Part, project
from agreements.views import NOT_CARRIED, View
from schemas.catalogue import EventType
from schemas.identifiers import INVALID, PLACEHOLDER, TEST

OUTCOMES: Final = {Permit: "permit", Deny: "deny", Review: "review", Hold: "hold"}

_LOOKS_INTO_IT: Final = next(check.test for check in CHECKS if check.code == "conditions")


@dataclass(frozen=True, slots=True)
class Told:
    """What a decision record tells of one candidate. ``view`` is a schema's fingerprint."""

    outcome: str
    reason: str
    detail: str
    items: tuple[str, ...]
    transforms: tuple[tuple[str, str], ...]
    withheld: tuple[tuple[str, str], ...]
    view: bytes

    @classmethod
    def of(cls, candidate: Mapping[str, Any]) -> "Told":
        """Read it from a decoded record's candidate."""
        return cls(
            candidate["outcome"],
            candidate["reason"],
            candidate["detail"],
            tuple(candidate["items"]),
            tuple(candidate["transforms"].items()),
            tuple(candidate["withheld"].items()),
            candidate["view"],
        )

    @property
    def gives_nothing(self) -> bool:
        """Whether it tells of nothing disclosed."""
        return not (self.items or self.transforms or self.view)


def disagreement(event: OpenedEvent, candidate: Candidate, told: Told, *, at: int) -> str | None:
    """Return in what a record differs from what comes out; None where nothing is seen to.

    ``event`` needs no data, ``at`` is in microseconds since the epoch. The candidate's
    pseudonym key may be any: nothing that is compared depends on it.
    """
    failure = first_failure(event, candidate, at)
    if failure is None:
        return _against_the_flow(candidate, event.type, told)  # mostly as it was before
    expected = (_outcome(failure), str(failure.reason), failure.detail)
    found = (told.outcome, told.reason, told.detail)
    if expected == found and not told.withheld and told.gives_nothing:
        return None
    return f"expected {in_words(*expected)}, the record says {in_words(*found)}"


def first_failure(event: OpenedEvent, candidate: Candidate, at: int) -> Failure | None:
    """Return what refuses before any value is looked at; None where only values decide."""
    try:
        for test in candidate.tests:
            if test is _LOOKS_INTO_IT:
                return None
            failure = test(event, candidate, at)
            if failure is not None:
                return failure
        candidate.plan(event.type)
    except Exception as error:  # noqa: BLE001  as in `deciding.decide`: that refuses, and is told
        return Failure(Refusal.DECIDING_FAILED, type(error).__name__)
    return None


def in_words(outcome: str, reason: str, detail: str) -> str:
    """Return an outcome as a reader would say it."""
    return " ".join(filter(None, (outcome, f"({reason})" if reason else "", detail)))


def _outcome(failure: Failure) -> str:
    if failure.hold_until_us is not None:
        return "hold"
    return "review" if failure.is_review else "deny"


@lru_cache(maxsize=4096)
def _against_the_flow(candidate: Candidate, event_type: EventType, told: Told) -> str | None:
    """Return what of a decision by values the agreement does not bear out."""
    if told.reason == Refusal.CONDITION_NOT_MET:
        return _against_conditions(candidate, event_type, told)
    clauses = candidate.plan(event_type).clauses
    never = next((clause.place for clause in clauses if clause.can_never_hold), None)
    if told.reason == Refusal.DECIDING_FAILED and told.outcome == "deny" and told.gives_nothing:
        return None  # what went wrong is not to be seen; nothing was shared
    if never is not None:
        return f"{never} can never hold for this schema, and the record passes it"
    if told.reason == Refusal.REQUIRED_ITEM_WITHHELD and told.outcome == "review":
        return _against_items(candidate, event_type, told)
    if told.outcome == "permit" and not told.reason and not told.detail:
        return _against_items(candidate, event_type, told)
    words = in_words(told.outcome, told.reason, told.detail)
    return f"nothing stands against it but values, and the record says {words}"


def _against_conditions(candidate: Candidate, event_type: EventType, told: Told) -> str | None:
    for clause in candidate.plan(event_type).clauses:
        if clause.place == told.detail:
            if told.outcome == clause.condition.otherwise and told.gives_nothing:
                return None
            return f"{clause.place} of the flow ends in {clause.condition.otherwise}"
        if clause.can_never_hold:
            return f"{clause.place} can never hold for this schema, and the record passes it"
    return f"the flow has no condition {told.detail}"


def _against_items(candidate: Candidate, event_type: EventType, told: Told) -> str | None:
    view = candidate.plan(event_type).view
    possible = _reasons(view, event_type, candidate.flow.delivery == "payload")
    for path, reason in told.withheld:
        if reason not in possible.get(path, ()):
            return f"{path} cannot be withheld for the reason {reason}"
    disclosure = view.without(told.withheld)
    if told.withheld != disclosure.withheld:
        return "other items are withheld from every event of this flow"
    if told.outcome == "review":
        is_so = told.detail == disclosure.lacking and told.gives_nothing
        return None if is_so else f"{told.detail} is not the first required item that lacks"
    if disclosure.lacking is not None:
        return f"the required item {disclosure.lacking} is withheld"
    if (told.items, told.transforms) != (disclosure.items, disclosure.transforms):
        return "it does not disclose the items that the flow gives"
    return None if told.view == view.fingerprint else "it names another schema of the view"


@lru_cache(maxsize=1024)
def _reasons(view: View, event_type: EventType, is_carried: bool) -> dict[str, frozenset[str]]:  # noqa: FBT001  a cache's key
    """Return for what reasons each item may be withheld."""
    if not is_carried:
        return {item.path: frozenset((NOT_CARRIED,)) for item in view.items}
    projection = project(event_type.scanner, view.items, key=bytes(32))
    found = {path: frozenset((reason,)) for path, reason in projection.unavailable}
    for part in projection.parts:
        found |= {leaf.item.path: reasons for leaf, reasons in _of_part(part, in_list=False)}
    return found


def _of_part(part: Part, *, in_list: bool) -> list[tuple[Leaf, frozenset[str]]]:
    if isinstance(part, Elements):
        return [found for inner in part.parts for found in _of_part(inner, in_list=True)]
    if not isinstance(part, Leaf):
        return []
    reasons = {ABSENT} if in_list or part.slot.parents or part.slot.null is not None else set()
    if part.identifier is not None:
        reasons |= {INVALID, PLACEHOLDER, TEST}
    if part.shaped is not None and part.shaped.reason is not None:
        reasons.add(part.shaped.reason)
    return [(part, frozenset(reasons))]

"""Decide whether an event may reach a recipient, and say why.

No clock, no storage, no network: the caller passes the time in, so any past
decision can be made again from the evidence and must come out the same.

The checks stand in one fixed order (`agreements.checking.CHECKS`) and the first
that fails gives the reason:

1. is this a candidate: the flow's publisher and event type?
2. have both parties accepted this text, has neither revoked it, and has no later
   version that both accepted taken over?
3. is the agreement in force at the moment of the decision, and are both still in it?
4. does no party's suspension stand? (what waits for one to be lifted is held)
5. does the scheme let both parties take part, and does the recipient hold the
   assurances that the flow requires?
6. is the schema's revision one that the flow covers?
7. are the legal bases of both sides complete?
8. does the recipient hold the purpose?
9. is the event young enough?
10. does an objection, an opt-out or a withdrawn consent of the subject stand?
11. do the flow's conditions hold?
12. can every item that the flow requires be given?

An error inside a check refuses (`Refusal.DECIDING_FAILED`): nothing is ever shared
because something went wrong.
"""

from datetime import datetime
from typing import Any, Final, Literal, NamedTuple

from agreements.candidates import Candidate, to_us
from agreements.checking import CHECKS, Check, Failure, Refusal, failure_of
from agreements.opened import OpenedEvent
from agreements.views import Cut, View

__all__ = [
    "NO_CANDIDATE",
    "CheckResult",
    "Decision",
    "Deny",
    "Failure",
    "Hold",
    "Permit",
    "Refusal",
    "Review",
    "checks",
    "decide",
    "decide_at",
]


# The outcomes are named tuples: one is made for each recipient of each event, and they
# cost a third of a frozen dataclass.
class Permit(NamedTuple):
    """Share ``framed``, the view and nothing else, with the candidate's recipient."""

    candidate: Candidate
    view: View
    cut: Cut

    @property
    def framed(self) -> bytes:
        """The view in Avro single-object encoding."""
        return self.cut.framed

    @property
    def items(self) -> tuple[str, ...]:
        """The paths of what is disclosed."""
        return self.cut.disclosure.items

    @property
    def transforms(self) -> tuple[tuple[str, str], ...]:
        """The path and transform of each item that is not shared as it is."""
        return self.cut.disclosure.transforms

    @property
    def withheld(self) -> tuple[tuple[str, str], ...]:
        """The listed items that are not disclosed, each with its reason code."""
        return self.cut.disclosure.withheld


class Deny(NamedTuple):
    """Share nothing. ``detail`` names the clause, party or item that decided."""

    candidate: Candidate | None
    reason: Refusal
    detail: str = ""


class Review(NamedTuple):
    """Share nothing until a person has looked. ``withheld`` as in a permit."""

    candidate: Candidate
    reason: Refusal
    detail: str = ""
    withheld: tuple[tuple[str, str], ...] = ()


class Hold(NamedTuple):
    """Share nothing yet: a suspension stands (``detail`` is its id), at most until ``until_us``."""

    candidate: Candidate
    reason: Refusal
    detail: str
    until_us: int


Decision = Permit | Deny | Review | Hold

NO_CANDIDATE: Final = Deny(None, Refusal.NO_AGREEMENT)
"""The decision on an event for which no agreement names a recipient."""


class CheckResult(NamedTuple):
    """How a check went, for a reader; ``failure`` only when it failed."""

    code: str
    question: str
    state: Literal["passed", "failed", "not-reached"]
    text: str
    figures: dict[str, Any]
    failure: Failure | None = None


def decide(event: OpenedEvent, candidate: Candidate, *, at: int) -> Decision:
    """Decide what the candidate's recipient may see of ``event`` at ``at``.

    ``at`` is in microseconds since the epoch. Never raises: an error inside is a
    refusal, and its type (never its text, which could hold a value) the detail.
    """
    try:
        for test in candidate.tests:
            if (failure := test(event, candidate, at)) is not None:
                return _refused(candidate, failure)
        # The last check makes the view, which a permit keeps.
        view = candidate.plan(event.type).view
        cut = view.cut(event)
        failure = failure_of(cut)
        return Permit(candidate, view, cut) if failure is None else _refused(candidate, failure)
    except Exception as error:  # noqa: BLE001  whatever went wrong, nothing is shared
        return Deny(candidate, Refusal.DECIDING_FAILED, type(error).__name__)


def decide_at(event: OpenedEvent, candidate: Candidate, *, at: datetime) -> Decision:
    """Decide as `decide` does, at an aware time."""
    return decide(event, candidate, at=to_us(at))


def checks(event: OpenedEvent, candidate: Candidate, at: int) -> tuple[CheckResult, ...]:
    """Return every check of the decision in order, with what was compared.

    The same functions as in `decide`. After the first that failed the others were
    not reached, and only their question is told.
    """
    results: list[CheckResult] = []
    failed = False
    for check in CHECKS:
        if failed:
            results.append(CheckResult(check.code, check.question, "not-reached", "", {}))
            continue
        result = _run(check, event, candidate, at)
        failed = result.failure is not None
        results.append(result)
    return tuple(results)


def _run(check: Check, event: OpenedEvent, candidate: Candidate, at: int) -> CheckResult:
    try:
        failure = check.test(event, candidate, at)
        text, figures = check.tell(event, candidate, at)
    except Exception as error:  # noqa: BLE001  whatever went wrong, nothing is shared
        kind = type(error).__name__
        failure = Failure(Refusal.DECIDING_FAILED, kind)
        text, figures = f"this could not be decided ({kind}), so it is refused", {}
    state: Literal["passed", "failed"] = "passed" if failure is None else "failed"
    return CheckResult(check.code, check.question, state, text, figures, failure)


def _refused(candidate: Candidate, failure: Failure) -> Deny | Review | Hold:
    if failure.hold_until_us is not None:
        return Hold(candidate, failure.reason, failure.detail, failure.hold_until_us)
    if failure.is_review:
        return Review(candidate, failure.reason, failure.detail, failure.withheld)
    return Deny(candidate, failure.reason, failure.detail)

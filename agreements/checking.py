"""The checks of a decision, one function each, in the order of `CHECKS`.

The slow part of every check is done before, when rules are compiled: what is left
are comparisons. Each costs a tenth of a microsecond, and every event passes them
for every recipient, so those that have passed for good are not asked again
(`with_open_tests`): what only looks at the candidate, or has nothing to look at.
"""

from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum
from typing import Final, NamedTuple

from agreements import telling
from agreements.candidates import NEVER_US, Candidate, Periods
from agreements.opened import OpenedEvent
from agreements.telling import Figures
from agreements.views import Cut


class Refusal(StrEnum):
    """Why an event was not shared. The values are in the evidence: never reuse one."""

    NO_AGREEMENT = "no-agreement"
    NOT_SIGNED = "not-signed"
    REVOKED = "revoked"
    SUPERSEDED = "superseded"
    NOT_YET_IN_FORCE = "not-yet-in-force"
    EXPIRED = "expired"
    SUSPENDED = "suspended"
    PARTY_SUSPENDED = "party-suspended"
    ASSURANCE_LAPSED = "assurance-lapsed"
    SCHEMA_NOT_COVERED = "schema-not-covered"
    LEGAL_BASIS_INCOMPLETE = "legal-basis-incomplete"
    PURPOSE_NOT_HELD = "purpose-not-held"
    TOO_OLD = "too-old"
    OBJECTION = "objection"
    OPTED_OUT = "opted-out"
    CONSENT_WITHDRAWN = "consent-withdrawn"
    CONDITION_NOT_MET = "condition-not-met"
    REQUIRED_ITEM_WITHHELD = "required-item-withheld"
    DECIDING_FAILED = "deciding-failed"
    PURGED = "purged"
    """Held while suspended, and then not released; only ever said by settling."""


class Failure(NamedTuple):
    """A check that did not pass. ``detail`` names the clause, party or item that decided.

    With ``hold_until_us`` the event waits, at most until then.
    """

    reason: Refusal
    detail: str = ""
    is_review: bool = False
    withheld: tuple[tuple[str, str], ...] = ()
    hold_until_us: int | None = None


Test = Callable[[OpenedEvent, Candidate, int], Failure | None]
Telling = Callable[[OpenedEvent, Candidate, int], tuple[str, Figures]]


class Check(NamedTuple):
    """One step of a decision. ``code`` is in what `explain` prints: never reuse one.

    ``test`` decides, ``tell`` only describes what was compared. ``has_passed`` tells
    of a candidate that the test will pass whatever the event and the time.
    """

    code: str
    question: str
    test: Test
    tell: Telling
    has_passed: Callable[[Candidate], bool] | None = None


def _settled(
    code: str, question: str, judge: Callable[[Candidate], Failure | None], tell: Telling
) -> Check:
    """Make a check that looks at the candidate alone."""
    return Check(
        code,
        question,
        lambda _event, candidate, _at: judge(candidate),
        tell,
        lambda candidate: judge(candidate) is None,
    )


# 1. Is this a candidate? The index has found it by the same two; a caller that paired an
# event with somebody else's candidate is refused here.
def _check_candidate(event: OpenedEvent, candidate: Candidate, _at: int) -> Failure | None:
    if event.type.name == candidate.event_type and event.publisher == candidate.publisher:
        return None
    return Failure(Refusal.NO_AGREEMENT)


# 2. Signed by both, not revoked, not superseded.
def _check_signed(_event: OpenedEvent, candidate: Candidate, at: int) -> Failure | None:
    if at >= candidate.signed_from_us:
        return None
    return Failure(Refusal.NOT_SIGNED, ",".join(candidate.unsigned))


def _check_not_revoked(_event: OpenedEvent, candidate: Candidate, at: int) -> Failure | None:
    if at < candidate.revoked_from_us:
        return None
    revoked = [party for party, since in candidate.revocations if at >= since]
    return Failure(Refusal.REVOKED, ",".join(revoked))


def _check_not_superseded(_event: OpenedEvent, candidate: Candidate, at: int) -> Failure | None:
    return None if at < candidate.superseded_from_us else Failure(Refusal.SUPERSEDED)


# 3. In force: `starts_at` inclusive, `ends_at` exclusive; so are joining and leaving.
def _check_in_force(_event: OpenedEvent, candidate: Candidate, at: int) -> Failure | None:
    if at < candidate.starts_at_us:
        return Failure(Refusal.NOT_YET_IN_FORCE)
    if at >= candidate.ends_at_us:
        return Failure(Refusal.EXPIRED)
    return None


# 4. Not suspended. What is suspended waits, up to a limit; then it is as the agreement says.
def _check_not_suspended(_event: OpenedEvent, candidate: Candidate, at: int) -> Failure | None:
    for one in candidate.suspensions:
        if one.stands(at):
            if at < one.hold_until_us:
                return Failure(Refusal.SUSPENDED, one.id, hold_until_us=one.hold_until_us)
            return Failure(Refusal.SUSPENDED, one.id, is_review=one.then == "review")
    return None


# 5. Both parties take part in the scheme, and the recipient holds what the flow requires.
def _judge_parties_active(candidate: Candidate) -> Failure | None:
    if not candidate.inactive:
        return None
    return Failure(Refusal.PARTY_SUSPENDED, ",".join(candidate.inactive))


def _check_assured(_event: OpenedEvent, candidate: Candidate, at: int) -> Failure | None:
    lapsed = [kind for kind, periods in candidate.assurances if not _is_in(periods, at)]
    return Failure(Refusal.ASSURANCE_LAPSED, ",".join(lapsed)) if lapsed else None


def _is_in(periods: Periods, at: int) -> bool:
    return any(starts <= at < ends for starts, ends in periods)


# 6. The schema's revision: both ends inclusive.
def _check_schema_covered(event: OpenedEvent, candidate: Candidate, _at: int) -> Failure | None:
    if candidate.first_revision <= event.type.revision <= candidate.last_revision:
        return None
    return Failure(Refusal.SCHEMA_NOT_COVERED, str(event.type.revision))


# 7. The legal bases of both sides (checked by `agreements.law` when rules are compiled).
def _judge_legal_complete(candidate: Candidate) -> Failure | None:
    if not candidate.incomplete:
        return None
    return Failure(Refusal.LEGAL_BASIS_INCOMPLETE, ",".join(candidate.incomplete))


# 8. The purpose.
def _judge_purpose_held(candidate: Candidate) -> Failure | None:
    if candidate.is_purpose_held:
        return None
    return Failure(Refusal.PURPOSE_NOT_HELD, candidate.purpose)


# 9. The age, from occurred to decided: exactly `max_age` is young enough.
def _check_young_enough(event: OpenedEvent, candidate: Candidate, at: int) -> Failure | None:
    if at - event.occurred_at_us <= candidate.max_age_us:
        return None
    return Failure(Refusal.TOO_OLD, candidate.flow.max_age or "")


# 10. The subject's say. A subject is known by several blinded identifiers; any of them counts.
def _check_no_objection(event: OpenedEvent, candidate: Candidate, at: int) -> Failure | None:
    if candidate.is_objected_to(event.subjects, "objection", at):
        return Failure(Refusal.OBJECTION)
    return None


def _check_not_opted_out(event: OpenedEvent, candidate: Candidate, at: int) -> Failure | None:
    # The national data opt-out is about purposes beyond individual care only.
    if candidate.is_beyond_individual_care and candidate.is_objected_to(
        event.subjects, "opt-out", at
    ):
        return Failure(Refusal.OPTED_OUT)
    return None


def _check_consent_stands(event: OpenedEvent, candidate: Candidate, at: int) -> Failure | None:
    if candidate.relies_on_consent and candidate.is_objected_to(
        event.subjects, "consent-withdrawn", at
    ):
        return Failure(Refusal.CONSENT_WITHDRAWN)
    return None


# 11. The flow's conditions, in the order they are written.
def _check_conditions(event: OpenedEvent, candidate: Candidate, _at: int) -> Failure | None:
    data, offsets = event.data, event.offsets
    for clause in candidate.plan(event.type).clauses:
        if not clause.holds(data, offsets):
            return Failure(
                Refusal.CONDITION_NOT_MET,
                clause.place,
                is_review=clause.condition.otherwise == "review",
            )
    return None


# 12. The items: what has to be given can be given.
def failure_of(cut: Cut) -> Failure | None:
    """Return the failure of a view that lacks a required item; None when it is complete."""
    lacking = cut.disclosure.lacking
    if lacking is None:
        return None
    return Failure(Refusal.REQUIRED_ITEM_WITHHELD, lacking, True, cut.disclosure.withheld)


def _check_items(event: OpenedEvent, candidate: Candidate, _at: int) -> Failure | None:
    return failure_of(candidate.plan(event.type).view.cut(event))


CHECKS: Final = (
    Check("candidate", "Does a flow name the recipient?", _check_candidate, telling.tell_candidate),
    Check("signed", "Have both parties accepted this text?", _check_signed, telling.tell_signed),
    Check(
        "not-revoked",
        "Is it unrevoked?",
        _check_not_revoked,
        telling.tell_not_revoked,
        lambda candidate: candidate.revoked_from_us == NEVER_US,
    ),
    Check(
        "latest",
        "Is it the latest version?",
        _check_not_superseded,
        telling.tell_not_superseded,
        lambda candidate: candidate.superseded_from_us == NEVER_US,
    ),
    Check("in-force", "Is it in force at this moment?", _check_in_force, telling.tell_in_force),
    Check(
        "not-suspended",
        "Does no suspension stand?",
        _check_not_suspended,
        telling.tell_not_suspended,
        lambda candidate: not candidate.suspensions,
    ),
    _settled(
        "parties", "May both parties take part?", _judge_parties_active, telling.tell_parties_active
    ),
    Check(
        "assurance",
        "Is the recipient assured as required?",
        _check_assured,
        telling.tell_assured,
        lambda candidate: not candidate.assurances,
    ),
    Check("schema", "Is the schema covered?", _check_schema_covered, telling.tell_schema_covered),
    _settled(
        "legal",
        "Are the legal bases complete?",
        _judge_legal_complete,
        telling.tell_legal_complete,
    ),
    _settled(
        "purpose",
        "Does the recipient hold the purpose?",
        _judge_purpose_held,
        telling.tell_purpose_held,
    ),
    Check(
        "age",
        "Is the event young enough?",
        _check_young_enough,
        telling.tell_young_enough,
        lambda candidate: candidate.max_age_us == NEVER_US,
    ),
    Check(
        "objection",
        "Is there no objection?",
        _check_no_objection,
        telling.tell_no_objection,
        lambda candidate: not candidate.objections,
    ),
    Check(
        "opt-out",
        "Has the subject not opted out?",
        _check_not_opted_out,
        telling.tell_not_opted_out,
        lambda candidate: not (candidate.objections and candidate.is_beyond_individual_care),
    ),
    Check(
        "consent",
        "Does consent stand?",
        _check_consent_stands,
        telling.tell_consent_stands,
        lambda candidate: not (candidate.objections and candidate.relies_on_consent),
    ),
    Check(
        "conditions",
        "Do the flow's conditions hold?",
        _check_conditions,
        telling.tell_conditions,
        lambda candidate: not candidate.flow.when,
    ),
    Check("items", "Can all required items be given?", _check_items, telling.tell_items),
)
"""Every check of a decision, in order. INVARIANT: the items, which make the view, come last."""

ALL_TESTS: Final = tuple(check.test for check in CHECKS[:-1])
"""The tests of every check but the last, which `deciding.decide` makes itself."""


def with_open_tests(candidate: Candidate) -> Candidate:
    """Return the candidate with only those tests that an event or a time can still fail.

    A test that has failed for good stays in its place, so the first failure is the same.
    """
    tests = tuple(
        check.test
        for check in CHECKS[:-1]
        if check.has_passed is None or not check.has_passed(candidate)
    )
    return replace(candidate, tests=tests)

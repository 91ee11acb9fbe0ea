"""The checks of a decision, one function each, in the order of `CHECKS`.

A check's ``test`` decides; its ``tell`` puts into words and figures what the test
compared, for `explain`, and decides nothing. Neither ever shows a value from the
payload. The slow part of every check is done before, when rules are compiled: what
is left here are comparisons (each costs a fraction of a microsecond, and every
event passes them for every recipient).
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, NamedTuple

from agreements.candidates import NEVER_US, Candidate, from_us
from agreements.opened import OpenedEvent
from agreements.views import Cut


class Refusal(StrEnum):
    """Why an event was not shared. The values are in the evidence: never reuse one."""

    NO_AGREEMENT = "no-agreement"
    NOT_SIGNED = "not-signed"
    REVOKED = "revoked"
    SUPERSEDED = "superseded"
    NOT_YET_IN_FORCE = "not-yet-in-force"
    EXPIRED = "expired"
    PARTY_SUSPENDED = "party-suspended"
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


class Failure(NamedTuple):
    """A check that did not pass. ``detail`` names the clause, party or item that decided."""

    reason: Refusal
    detail: str = ""
    is_review: bool = False
    withheld: tuple[tuple[str, str], ...] = ()


Figures = dict[str, Any]
"""What was compared, as JSON values; times are RFC 3339, durations seconds."""

Test = Callable[[OpenedEvent, Candidate, int], Failure | None]
Telling = Callable[[OpenedEvent, Candidate, int], tuple[str, Figures]]


class Check(NamedTuple):
    """One step of a decision. ``code`` is in what `explain` prints: never reuse one."""

    code: str
    question: str
    test: Test
    tell: Telling


def _time(moment_us: int) -> str | None:
    if moment_us >= NEVER_US:
        return None
    moment: datetime = from_us(moment_us)
    return moment.isoformat().replace("+00:00", "Z")


# 1. Is this a candidate? The index has found it by the same two; a caller that paired an
# event with somebody else's candidate is refused here.
def _check_candidate(event: OpenedEvent, candidate: Candidate, _at: int) -> Failure | None:
    if event.type.name == candidate.event_type and event.publisher == candidate.publisher:
        return None
    return Failure(Refusal.NO_AGREEMENT)


def _tell_candidate(_event: OpenedEvent, candidate: Candidate, _at: int) -> tuple[str, Figures]:
    flow = candidate.flow
    text = (
        f"flow {flow.id} of {candidate.agreement_id} version {candidate.version} takes "
        f"{candidate.event_type} from {candidate.publisher} to {candidate.recipient}"
    )
    return text, {
        "agreement": candidate.agreement_id,
        "version": candidate.version,
        "sha256": candidate.sha256,
        "flow": flow.id,
        "event_type": candidate.event_type,
        "publisher": candidate.publisher,
        "recipient": candidate.recipient,
    }


# 2. Signed by both, not revoked, not superseded.
def _check_signed(_event: OpenedEvent, candidate: Candidate, at: int) -> Failure | None:
    if at >= candidate.signed_from_us:
        return None
    return Failure(Refusal.NOT_SIGNED, ",".join(candidate.unsigned))


def _tell_signed(_event: OpenedEvent, candidate: Candidate, at: int) -> tuple[str, Figures]:
    since = _time(candidate.signed_from_us)
    figures: Figures = {
        "signed_from": since,
        "unsigned": list(candidate.unsigned),
        "sha256": candidate.sha256,
    }
    if candidate.unsigned:
        return f"not accepted by {' and '.join(candidate.unsigned)}", figures
    when = "" if at >= candidate.signed_from_us else ", which is later than the decision"
    return f"both have accepted this text (SHA-256 {candidate.sha256[:12]}…) since {since}{when}", (
        figures
    )


def _check_not_revoked(_event: OpenedEvent, candidate: Candidate, _at: int) -> Failure | None:
    if not candidate.revoked_by:
        return None
    return Failure(Refusal.REVOKED, ",".join(candidate.revoked_by))


def _tell_not_revoked(_event: OpenedEvent, candidate: Candidate, _at: int) -> tuple[str, Figures]:
    who = " and ".join(candidate.revoked_by)
    text = f"revoked by {who}" if who else "neither has revoked it"
    return text, {"revoked_by": list(candidate.revoked_by)}


def _check_not_superseded(_event: OpenedEvent, candidate: Candidate, at: int) -> Failure | None:
    return None if at < candidate.superseded_from_us else Failure(Refusal.SUPERSEDED)


def _tell_not_superseded(_event: OpenedEvent, candidate: Candidate, at: int) -> tuple[str, Figures]:
    since = _time(candidate.superseded_from_us)
    figures: Figures = {"version": candidate.version, "superseded_from": since}
    if since is None:
        return f"version {candidate.version} is the latest that both have accepted", figures
    verb = "takes" if at < candidate.superseded_from_us else "took"
    return f"a later version {verb} over at {since}", figures


# 3. In force: `starts_at` inclusive, `ends_at` exclusive.
def _check_in_force(_event: OpenedEvent, candidate: Candidate, at: int) -> Failure | None:
    if at < candidate.starts_at_us:
        return Failure(Refusal.NOT_YET_IN_FORCE)
    if at >= candidate.ends_at_us:
        return Failure(Refusal.EXPIRED)
    return None


def _tell_in_force(_event: OpenedEvent, candidate: Candidate, at: int) -> tuple[str, Figures]:
    starts, ends = _time(candidate.starts_at_us), _time(candidate.ends_at_us)
    figures: Figures = {"starts_at": starts, "ends_at": ends, "decided_at": _time(at)}
    return f"in force from {starts} until {ends}, decided at {_time(at)}", figures


# 4. Both parties take part in the scheme.
def _check_parties_active(_event: OpenedEvent, candidate: Candidate, _at: int) -> Failure | None:
    if not candidate.inactive:
        return None
    return Failure(Refusal.PARTY_SUSPENDED, ",".join(candidate.inactive))


def _tell_parties_active(
    _event: OpenedEvent, candidate: Candidate, _at: int
) -> tuple[str, Figures]:
    who = " and ".join(candidate.inactive)
    text = f"the scheme does not let {who} take part" if who else "both take part in the scheme"
    return text, {"inactive": list(candidate.inactive)}


# 5. The schema's revision: both ends inclusive.
def _check_schema_covered(event: OpenedEvent, candidate: Candidate, _at: int) -> Failure | None:
    if candidate.first_revision <= event.type.revision <= candidate.last_revision:
        return None
    return Failure(Refusal.SCHEMA_NOT_COVERED, str(event.type.revision))


def _tell_schema_covered(event: OpenedEvent, candidate: Candidate, _at: int) -> tuple[str, Figures]:
    last = candidate.flow.schemas.max
    upto = f"to {last}" if last is not None else "and later"
    text = f"the event has revision {event.type.revision}; covered: {candidate.first_revision} "
    return text + upto, {
        "revision": event.type.revision,
        "min": candidate.first_revision,
        "max": last,
    }


# 6. The legal bases of both sides (checked by `agreements.law` when rules are compiled).
def _check_legal_complete(_event: OpenedEvent, candidate: Candidate, _at: int) -> Failure | None:
    if not candidate.incomplete:
        return None
    return Failure(Refusal.LEGAL_BASIS_INCOMPLETE, ",".join(candidate.incomplete))


def _tell_legal_complete(
    _event: OpenedEvent, candidate: Candidate, _at: int
) -> tuple[str, Figures]:
    legal = candidate.flow.legal
    lacking = ", ".join(candidate.incomplete)
    text = f"incomplete: {lacking}" if lacking else "complete on both sides"
    return text, {
        "provider": legal.provider.model_dump(mode="json", exclude_unset=True),
        "recipient": legal.recipient.model_dump(mode="json", exclude_unset=True),
        "incomplete": list(candidate.incomplete),
    }


# 7. The purpose.
def _check_purpose_held(_event: OpenedEvent, candidate: Candidate, _at: int) -> Failure | None:
    if candidate.is_purpose_held:
        return None
    return Failure(Refusal.PURPOSE_NOT_HELD, candidate.purpose)


def _tell_purpose_held(_event: OpenedEvent, candidate: Candidate, _at: int) -> tuple[str, Figures]:
    verb = "holds" if candidate.is_purpose_held else "does not hold"
    text = f"{candidate.recipient} {verb} the purpose {candidate.purpose}"
    return text, {"purpose": candidate.purpose, "held": candidate.is_purpose_held}


# 8. The age, from occurred to decided: exactly `max_age` is young enough.
def _check_young_enough(event: OpenedEvent, candidate: Candidate, at: int) -> Failure | None:
    if at - event.occurred_at_us <= candidate.max_age_us:
        return None
    return Failure(Refusal.TOO_OLD, candidate.flow.max_age or "")


def _tell_young_enough(event: OpenedEvent, candidate: Candidate, at: int) -> tuple[str, Figures]:
    age = timedelta(microseconds=at - event.occurred_at_us)
    limit = candidate.flow.max_age
    figures: Figures = {"age_seconds": age.total_seconds(), "max_age": limit}
    if limit is None:
        return "the flow sets no greatest age", figures
    return f"occurred {age} before the decision; at most {limit}", figures


# 9. The subject's say. A subject is known by several blinded identifiers; any of them counts.
def _stands(event: OpenedEvent, candidate: Candidate, at: int, kind: str) -> bool:
    objections = candidate.objections
    if not objections:
        return False
    for subject in event.subjects:
        for objecting in objections.get(subject, ()):
            if objecting.kind == kind and objecting.concerns(
                candidate.recipient, candidate.purpose, at
            ):
                return True
    return False


def _check_no_objection(event: OpenedEvent, candidate: Candidate, at: int) -> Failure | None:
    return Failure(Refusal.OBJECTION) if _stands(event, candidate, at, "objection") else None


def _tell_no_objection(event: OpenedEvent, candidate: Candidate, at: int) -> tuple[str, Figures]:
    stands = _stands(event, candidate, at, "objection")
    text = "an objection of the subject stands" if stands else "no objection stands"
    return text, {"stands": stands}


def _check_not_opted_out(event: OpenedEvent, candidate: Candidate, at: int) -> Failure | None:
    # The national data opt-out is about purposes beyond individual care only.
    if candidate.is_beyond_individual_care and _stands(event, candidate, at, "opt-out"):
        return Failure(Refusal.OPTED_OUT)
    return None


def _tell_not_opted_out(event: OpenedEvent, candidate: Candidate, at: int) -> tuple[str, Figures]:
    if not candidate.is_beyond_individual_care:
        return "the purpose is individual care, which an opt-out does not touch", {
            "beyond_individual_care": False
        }
    stands = _stands(event, candidate, at, "opt-out")
    text = "the subject has opted out" if stands else "the subject has not opted out"
    return text, {"beyond_individual_care": True, "stands": stands}


def _check_consent_stands(event: OpenedEvent, candidate: Candidate, at: int) -> Failure | None:
    if candidate.relies_on_consent and _stands(event, candidate, at, "consent-withdrawn"):
        return Failure(Refusal.CONSENT_WITHDRAWN)
    return None


def _tell_consent_stands(event: OpenedEvent, candidate: Candidate, at: int) -> tuple[str, Figures]:
    if not candidate.relies_on_consent:
        return "the flow does not rely on consent", {"relies_on_consent": False}
    stands = _stands(event, candidate, at, "consent-withdrawn")
    text = "consent was withdrawn" if stands else "consent was not withdrawn"
    return text, {"relies_on_consent": True, "withdrawn": stands}


# 10. The flow's conditions, in the order they are written.
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


def _tell_conditions(event: OpenedEvent, candidate: Candidate, _at: int) -> tuple[str, Figures]:
    clauses = candidate.plan(event.type).clauses
    if not clauses:
        return "the flow sets no conditions", {"conditions": []}
    rows: list[Figures] = []
    holds = True
    for clause in clauses:
        # After the first that does not hold the others were not asked.
        state = None if not holds else clause.holds(event.data, event.offsets)
        holds = bool(state)
        rows.append(
            {
                "clause": clause.place,
                "text": clause.text,
                "otherwise": clause.condition.otherwise,
                "holds": state,
            }
        )
    failed = [row for row in rows if row["holds"] is False]
    if failed:
        return f"{failed[0]['clause']} does not hold: {failed[0]['text']}", {"conditions": rows}
    return "; ".join(row["text"] for row in rows), {"conditions": rows}


# 11. The items: what has to be given can be given.
def failure_of(cut: Cut) -> Failure | None:
    """Return the failure of a view that lacks a required item; None when it is complete."""
    lacking = cut.disclosure.lacking
    if lacking is None:
        return None
    return Failure(Refusal.REQUIRED_ITEM_WITHHELD, lacking, True, cut.disclosure.withheld)


def _check_items(event: OpenedEvent, candidate: Candidate, _at: int) -> Failure | None:
    return failure_of(candidate.plan(event.type).view.cut(event))


def _tell_items(event: OpenedEvent, candidate: Candidate, _at: int) -> tuple[str, Figures]:
    disclosure = candidate.plan(event.type).view.cut(event).disclosure
    figures: Figures = {
        "items": list(disclosure.items),
        "transforms": dict(disclosure.transforms),
        "withheld": dict(disclosure.withheld),
        "required": [item.path for item in candidate.flow.items if item.required],
    }
    if disclosure.lacking is not None:
        reason = dict(disclosure.withheld)[disclosure.lacking]
        return f"{disclosure.lacking} is required and was withheld: {reason}", figures
    return f"{len(disclosure.items)} of {len(candidate.flow.items)} items are disclosed", figures


CHECKS: Final = (
    Check("candidate", "Does a flow name this recipient?", _check_candidate, _tell_candidate),
    Check("signed", "Have both parties accepted this text?", _check_signed, _tell_signed),
    Check("not-revoked", "Is it unrevoked?", _check_not_revoked, _tell_not_revoked),
    Check("latest", "Is it the latest version?", _check_not_superseded, _tell_not_superseded),
    Check("in-force", "Is it in force at this moment?", _check_in_force, _tell_in_force),
    Check("parties", "May both parties take part?", _check_parties_active, _tell_parties_active),
    Check("schema", "Does it cover the schema?", _check_schema_covered, _tell_schema_covered),
    Check("legal", "Are the legal bases complete?", _check_legal_complete, _tell_legal_complete),
    Check(
        "purpose", "Does the recipient hold the purpose?", _check_purpose_held, _tell_purpose_held
    ),
    Check("age", "Is the event young enough?", _check_young_enough, _tell_young_enough),
    Check("objection", "Is there no objection?", _check_no_objection, _tell_no_objection),
    Check("opt-out", "Has the subject not opted out?", _check_not_opted_out, _tell_not_opted_out),
    Check("consent", "Does consent stand?", _check_consent_stands, _tell_consent_stands),
    Check("conditions", "Do the flow's conditions hold?", _check_conditions, _tell_conditions),
    Check("items", "Can all required items be given?", _check_items, _tell_items),
)
"""Every check of a decision, in order. INVARIANT: the items, which make the view, come last."""

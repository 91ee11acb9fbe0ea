"""Put into words and figures what a check compared, for `explain`.

Nothing is decided here: each function stands beside the check of the same name in
`agreements.checking` and tells what that one looked at. None shows a value from the
payload; conditions are shown as the agreement has them.
"""

from datetime import timedelta
from typing import Any

from agreements.candidates import LATEST_US, Candidate, from_us, midnight_us
from agreements.opened import OpenedEvent

Figures = dict[str, Any]
"""What was compared, as JSON values; times are RFC 3339, durations seconds."""


def rfc3339(moment_us: int) -> str | None:
    """Return a time in UTC, None for never and for what is too far off to be written."""
    if moment_us > LATEST_US:
        return None
    return from_us(moment_us).isoformat().replace("+00:00", "Z")


def tell_candidate(_event: OpenedEvent, candidate: Candidate, _at: int) -> tuple[str, Figures]:
    """Say which flow of which agreement it is."""
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


def tell_signed(_event: OpenedEvent, candidate: Candidate, at: int) -> tuple[str, Figures]:
    """Say who has accepted, and since when."""
    since = rfc3339(candidate.signed_from_us)
    figures: Figures = {
        "signed_from": since,
        "unsigned": list(candidate.unsigned),
        "inherited": list(candidate.inherited),
        "sha256": candidate.sha256,
    }
    if candidate.unsigned:
        return f"not accepted by {' and '.join(candidate.unsigned)}", figures
    when = "" if at >= candidate.signed_from_us else ", which is later than the decision"
    text = f"this text (SHA-256 {candidate.sha256[:12]}…) since {since}{when}"
    if candidate.inherited:
        (other,) = candidate.inherited
        return f"one has accepted {text}; it only narrows what {other} accepted before", figures
    return f"both have accepted {text}", figures


def tell_not_revoked(_event: OpenedEvent, candidate: Candidate, at: int) -> tuple[str, Figures]:
    """Say who has taken the signature back, or will have."""
    revoked = [party for party, since in candidate.revocations if at >= since]
    coming = [(party, since) for party, since in candidate.revocations if at < since]
    text = f"revoked by {' and '.join(revoked)}" if revoked else "neither has revoked it"
    if coming and not revoked:
        text = "; ".join(f"{party} revokes it at {rfc3339(since)}" for party, since in coming)
    return text, {"revoked_by": revoked}


def tell_not_superseded(_event: OpenedEvent, candidate: Candidate, at: int) -> tuple[str, Figures]:
    """Say whether a later version has taken over, and when."""
    since = rfc3339(candidate.superseded_from_us)
    figures: Figures = {"version": candidate.version, "superseded_from": since}
    if since is None:
        return f"version {candidate.version} is the latest that both have accepted", figures
    verb = "takes" if at < candidate.superseded_from_us else "took"
    return f"a later version {verb} over at {since}", figures


def tell_in_force(_event: OpenedEvent, candidate: Candidate, at: int) -> tuple[str, Figures]:
    """Say from when until when the agreement runs for the two, and who joins or leaves."""
    starts, ends = rfc3339(candidate.starts_at_us), rfc3339(candidate.ends_at_us)
    figures: Figures = {"starts_at": starts, "ends_at": ends, "decided_at": rfc3339(at)}
    text = f"in force from {starts} until {ends}, decided at {rfc3339(at)}"
    for role in candidate.agreement.parties:
        if role.id in (candidate.publisher, candidate.recipient):
            if role.joined_on is not None:
                verb = "joined" if at >= midnight_us(role.joined_on) else "joins"
                text += f"; {role.id} {verb} on {role.joined_on}"
            if role.left_on is not None:
                verb = "left" if at >= midnight_us(role.left_on) else "leaves"
                text += f"; {role.id} {verb} on {role.left_on}"
    return text, figures


def tell_not_suspended(_event: OpenedEvent, candidate: Candidate, at: int) -> tuple[str, Figures]:
    """Say who has suspended it, and how long what comes is held."""
    standing = [one for one in candidate.suspensions if one.stands(at)]
    figures: Figures = {
        "suspensions": [
            {
                "id": one.id,
                "party": one.party,
                "held_until": rfc3339(one.hold_until_us),
                "then": one.then,
            }
            for one in standing
        ]
    }
    if not standing:
        return "no suspension stands", figures
    first = standing[0]
    what = (
        f"events are held until {rfc3339(first.hold_until_us)}"
        if at < first.hold_until_us
        else f"they were held until {rfc3339(first.hold_until_us)}, now the outcome is {first.then}"
    )
    who = " and ".join(dict.fromkeys(one.party for one in standing))
    return f"suspended by {who}; {what}", figures


def tell_assured(_event: OpenedEvent, candidate: Candidate, at: int) -> tuple[str, Figures]:
    """Say which assurances are required, and until when the recipient holds each."""
    held: dict[str, str | None] = {}
    for kind, periods in candidate.assurances:
        until = next((ends for starts, ends in periods if starts <= at < ends), None)
        held[kind] = None if until is None else rfc3339(until)
    figures: Figures = {"required": list(candidate.flow.requires), "held_until": held}
    if not held:
        return "the flow requires no assurance", figures
    return f"{candidate.recipient}: " + ", ".join(
        f"{kind} until {until}" if until else f"{kind} is not held at this moment"
        for kind, until in held.items()
    ), figures


def tell_parties_active(_event: OpenedEvent, candidate: Candidate, _at: int) -> tuple[str, Figures]:
    """Say whom the scheme does not let take part."""
    who = " and ".join(candidate.inactive)
    text = f"the scheme does not let {who} take part" if who else "both take part in the scheme"
    return text, {"inactive": list(candidate.inactive)}


def tell_schema_covered(event: OpenedEvent, candidate: Candidate, _at: int) -> tuple[str, Figures]:
    """Say which revisions are covered."""
    last = candidate.flow.schemas.max
    upto = f"to {last}" if last is not None else "and later"
    text = f"the event has revision {event.type.revision}; covered: {candidate.first_revision} "
    return text + upto, {
        "revision": event.type.revision,
        "min": candidate.first_revision,
        "max": last,
    }


def tell_legal_complete(_event: OpenedEvent, candidate: Candidate, _at: int) -> tuple[str, Figures]:
    """Give both sides' legal bases, and what they lack."""
    legal = candidate.flow.legal
    lacking = ", ".join(candidate.incomplete)
    text = f"incomplete: {lacking}" if lacking else "complete on both sides"
    return text, {
        "provider": legal.provider.model_dump(mode="json", exclude_unset=True),
        "recipient": legal.recipient.model_dump(mode="json", exclude_unset=True),
        "incomplete": list(candidate.incomplete),
    }


def tell_purpose_held(_event: OpenedEvent, candidate: Candidate, _at: int) -> tuple[str, Figures]:
    """Say whether the recipient holds the purpose."""
    verb = "holds" if candidate.is_purpose_held else "does not hold"
    text = f"{candidate.recipient} {verb} the purpose {candidate.purpose}"
    return text, {"purpose": candidate.purpose, "held": candidate.is_purpose_held}


def tell_young_enough(event: OpenedEvent, candidate: Candidate, at: int) -> tuple[str, Figures]:
    """Give the event's age and the greatest allowed."""
    age = timedelta(microseconds=at - event.occurred_at_us)
    limit = candidate.flow.max_age
    figures: Figures = {"age_seconds": age.total_seconds(), "max_age": limit}
    if limit is None:
        return "the flow sets no greatest age", figures
    return f"occurred {age} before the decision; at most {limit}", figures


def tell_no_objection(event: OpenedEvent, candidate: Candidate, at: int) -> tuple[str, Figures]:
    """Say whether an objection stands."""
    stands = candidate.is_objected_to(event.subjects, "objection", at)
    text = "an objection of the subject stands" if stands else "no objection stands"
    return text, {"stands": stands}


def tell_not_opted_out(event: OpenedEvent, candidate: Candidate, at: int) -> tuple[str, Figures]:
    """Say whether an opt-out counts and stands."""
    if not candidate.is_beyond_individual_care:
        return "the purpose is individual care, which an opt-out does not touch", {
            "beyond_individual_care": False
        }
    stands = candidate.is_objected_to(event.subjects, "opt-out", at)
    text = "the subject has opted out" if stands else "the subject has not opted out"
    return text, {"beyond_individual_care": True, "stands": stands}


def tell_consent_stands(event: OpenedEvent, candidate: Candidate, at: int) -> tuple[str, Figures]:
    """Say whether consent counts and was withdrawn."""
    if not candidate.relies_on_consent:
        return "the flow does not rely on consent", {"relies_on_consent": False}
    stands = candidate.is_objected_to(event.subjects, "consent-withdrawn", at)
    text = "consent was withdrawn" if stands else "consent was not withdrawn"
    return text, {"relies_on_consent": True, "withdrawn": stands}


def tell_conditions(event: OpenedEvent, candidate: Candidate, _at: int) -> tuple[str, Figures]:
    """Give each condition and whether it holds, up to the first that does not."""
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


def tell_items(event: OpenedEvent, candidate: Candidate, _at: int) -> tuple[str, Figures]:
    """Give what is disclosed, transformed and withheld."""
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

"""What a change of each field of an agreement means: one table, `TERMS`.

Every field of the model is in it (a test walks the model and asks for each); one that
is not would widen. ``runs`` marks what the engine decides by: one party alone may take
away what it shares or receives, but never put a duty on the other.

Explanations only reword. A duty in words could become lighter or heavier by a change of
its words, so that widens.
"""

from collections.abc import Mapping
from typing import Final

from agreements import duties, model
from agreements.comparing.weighing import (
    NARROWS,
    REWORDS,
    Apart,
    Known,
    Members,
    Parts,
    Term,
    either,
    fewer_narrows,
    later_narrows,
    less_at,
    less_from,
    ranked,
    reworded,
    shorter_narrows,
    sooner_due,
    sooner_narrows,
)
from agreements.words import coded, duration, law

_APART: Final = Apart()
_YES_NARROWS: Final = ranked(True, False)

TERMS: Final[Mapping[type[model.Part], Mapping[str, Known]]] = {
    model.Agreement: {
        "format": Term("format", either, runs=True),
        "id": Term("identity", either, runs=True),
        "version": Term("version", reworded, is_formal=True),
        "title": Term("title", reworded),
        "owner": Term("owner", either),
        "kind": Term("kind of agreement", either, words=coded("agreement-kinds")),
        "identifier": Parts("identifier in another register", added=REWORDS, removed=REWORDS),
        "document": Parts("document that people read"),
        "contact": Term("contact of the owner", reworded),
        "facilitator": Term("facilitator, who assures it", either),
        "framework": Term("framework", reworded),
        "summary": Term("summary", reworded),
        "template": Parts("template it was made from", added=REWORDS, removed=REWORDS),
        "supersedes": Term("version it follows", reworded, is_formal=True),
        "effective": Parts("dates"),
        "classification": Term("classification", ranked("OFFICIAL-SENSITIVE", "OFFICIAL")),
        "purposes": Parts("purpose", ("code",), removed=NARROWS, runs=True),
        "parties": Parts("party", ("id",), removed=NARROWS, runs=True),
        "flows": _APART,
        "dpia": Parts("data protection impact assessment"),
        "retention": Parts("retention", ("party", "items"), added=NARROWS),
        "evidence": Parts("evidence"),
        "rights": Parts("rights of the people concerned"),
        "breach": Parts("breach"),
        "transparency": Parts("transparency"),
        "security": Parts("security"),
        "use": Parts("use"),
        "signing": Parts("signing"),
        "suspension": Parts("suspension"),
        "review": Parts("review"),
        "change_log": Term("list of changes", reworded, is_formal=True),
    },
    model.Reference: {
        "uri": Term("address", reworded),
        "version": Term("version", reworded),
    },
    model.Effective: {
        "starts_at": Term("first moment", later_narrows, runs=True),
        "ends_at": Term("end", sooner_narrows, runs=True),
        "review_by": Term("date by which it is reviewed", sooner_narrows),
    },
    model.Purpose: {
        "code": _APART,
        "text": Term("description", either),
        "necessity": Term("statement why less would not do", reworded),
        "benefit": Term("statement of the benefit", reworded),
        "beyond_individual_care": Term(
            "reach beyond individual care (which has the national data opt-out checked)",
            _YES_NARROWS,
            runs=True,
        ),
        "compatible_with": Term("statement of the purpose that it is compatible with", either),
        "concepts": Members("concept in a public vocabulary"),
    },
    model.PartyRole: {
        "id": _APART,
        "role": Term("role", either, words=coded("party-roles")),
        "direction": Term("direction", less_from("both"), runs=True),
        "name": Term("name", either),
        "acting_for": Term("statement for whom it acts", either),
        "contact": Parts("contact", added=REWORDS, removed=REWORDS),
        "contacts": Parts("contacts"),
        "identifiers": Parts("register entry", ("system", "value"), removed=REWORDS),
        "catalogue_ids": Members("API catalogue entry", added=REWORDS, removed=REWORDS),
        "capacities": Term("capacities to sign in", fewer_narrows),
        "joined_on": Term("first day", later_narrows, runs=True),
        "left_on": Term("day of leaving", sooner_narrows, runs=True),
    },
    model.Registered: {"system": _APART, "value": _APART},
    model.Flow: {
        "id": _APART,
        "events": Members("event type", removed=NARROWS, runs=True),
        "schemas": Parts("revisions of the event's schema"),
        "from_": _APART,
        "to": _APART,
        "purpose": Term("purpose", either, runs=True),
        "legal": Parts("legal bases"),
        "when": _APART,
        "max_age": Term("greatest age of an event", shorter_narrows, words=duration, runs=True),
        "items": _APART,
        "delivery": Term("delivery", ranked("notify", "reference", "payload"), runs=True),
        "trigger": Term("occasion of sharing", either),
        "requires": Members(
            "assurance required of the recipient",
            words=coded("assurances"),
            added=NARROWS,
            runs=True,
        ),
        "subjects": Members("category of people concerned", removed=NARROWS),
        "feedback": Term("event that tells what came of it", either),
        "needs_consent": Term("need of consent", _YES_NARROWS, runs=True),
        "text": Term("explanation", reworded),
    },
    model.SchemaRange: {
        "min": Term("first revision", later_narrows, runs=True),
        "max": Term("last revision", sooner_narrows, runs=True),
    },
    model.Legal: {
        "provider": Parts("provider's legal basis"),
        "recipient": Parts("recipient's legal basis"),
    },
    model.LegalBasis: {
        "regime": Term("regime", either, runs=True),
        "art6": Term("basis in UK GDPR Article 6(1)", either, words=coded("article-6"), runs=True),
        "annex1": Term("recognised legitimate interest", either, words=coded("annex-1"), runs=True),
        "art9": Members("condition of UK GDPR Article 9(2)", words=coded("article-9"), runs=True),
        "sch1": Members("paragraph of Schedule 1 to the DPA 2018", runs=True),
        "art10": Term("basis in UK GDPR Article 10", either, words=coded("article-10"), runs=True),
        "part3": Parts("basis in Part 3 of the DPA 2018", runs=True),
        "gateways": Members("legal gateway", words=law, runs=True),
        "confidentiality": Term(
            "answer to the duty of confidence", either, words=coded("duty-of-confidence"), runs=True
        ),
        "confidentiality_reference": Term("reference for that answer", either, runs=True),
        "appropriate_policy_document": Term("appropriate policy document", either, runs=True),
    },
    model.PartThree: {
        "s35": Term("condition of section 35", either, runs=True),
        "sch8": Members(
            "paragraph of Schedule 8 to the DPA 2018", words=coded("schedule-8"), runs=True
        ),
        "authorised_by": Members("law that authorises other use", words=law, runs=True),
    },
    model.Condition: dict.fromkeys(model.Condition.model_fields, _APART),
    model.Item: {
        "path": _APART,
        "transform": _APART,
        "required": _APART,
        "free_text": Term("mark as free text", reworded),
        "justification": Term("justification", reworded),
    },
    model.Generalise: {"generalise": _APART},
    duties.Contact: {
        "post": Term("post", reworded),
        "email": Term("email address", reworded),
        "telephone": Term("telephone number", reworded),
    },
    duties.Contacts: {
        "dpo": Parts("data protection officer", added=REWORDS, removed=REWORDS),
        "sar": Parts("contact for subject access", added=REWORDS, removed=REWORDS),
        "breach_24x7": Parts("contact for breaches, day and night", added=NARROWS),
        "single_point": Parts("single point of contact", added=REWORDS, removed=REWORDS),
    },
    duties.Identifier: {
        "value": Term("value", reworded),
        "system": Term("system", reworded),
    },
    duties.Document: {
        "uri": Term("address", reworded),
        "sha256": Term("SHA-256", either),
    },
    duties.Dpia: {
        "ref": Term("reference", reworded),
        "version": Term("version", reworded),
        "status": Term("status", either),
        "residual_risk": Term("residual risk", ranked("low", "medium", "high")),
        "approved_by": Term("approver", reworded),
        "approved_on": Term("date of approval", reworded),
        "review_by": Term("date by which it is reviewed", sooner_narrows),
        "reason": Term("reason", reworded),
    },
    duties.Retention: {
        "party": _APART,
        "items": _APART,
        "period": Term("period", sooner_due, words=duration),
        "trigger": Term("beginning of the period", either),
        "disposal": Term("disposal", either),
    },
    duties.Evidence: {
        "records": Term("time that records of decisions are kept", either, words=duration)
    },
    duties.Rights: {
        "sar_lead": Term("lead on subject access requests", either),
        "rectification": Term("duty on corrections", either),
        "objection": Term("duty on objections", either),
        "erasure": Term("duty on erasure", either),
        "complaints": Term("duty on complaints", either),
    },
    duties.Breach: {
        "partner_notice_hours": Term("hours to tell the others", sooner_narrows),
        "ico_lead": Term("lead towards the Information Commissioner", either),
        "containment": Term("duty of containment", either),
    },
    duties.Transparency: {
        "privacy_notice": Term("address of the privacy notice", reworded),
        "inform_subject": Term("duty to tell the people concerned", less_at("yes")),
        "explanation": Term("explanation", reworded),
    },
    duties.Security: {
        "handling": Term("handling instruction", either),
        "uk_only": Term("restriction to the United Kingdom", _YES_NARROWS),
        "onward_sharing": Term("leave to share onward", less_at("none")),
        "allowed_roles": Term("list of those who may see it", fewer_narrows),
        "measures": Members("security measure", added=NARROWS),
    },
    duties.Use: {
        "data": Members("data set", removed=NARROWS),
        "permitted": Members("permitted use", removed=NARROWS),
        "prohibited": Members("prohibited use", added=NARROWS),
        "duties": Members("duty of the recipient", added=NARROWS),
        "compliance": Members("rule complied with", added=NARROWS),
    },
    duties.Signing: {"due": Term("day by which all are to sign", reworded)},
    duties.Suspension: {
        "hold_for": Term("time that events are held", either, words=duration, runs=True),
        "then": Term("fate of what was held too long", ranked("deny", "review"), runs=True),
    },
    duties.Review: {
        "every": Term("interval", sooner_due, words=duration),
        "escalate_after": Term(
            "time until an overdue review is escalated", shorter_narrows, words=duration
        ),
        "to": Parts("post that it is escalated to", added=NARROWS),
        "triggers": Members("occasion of a review", added=NARROWS),
    },
    duties.Change: {"version": _APART, "on": _APART, "text": _APART},
}

"""The duties around the flows, in words: keeping, rights, breaches, security, review."""

from collections.abc import Iterator
from typing import Final

from agreements.duties import Contact
from agreements.model import Agreement, PartyRole
from agreements.paper.tree import (
    Block,
    Facts,
    Heading,
    Line,
    Paragraph,
    Table,
    code,
    joined,
    link,
    said,
)
from agreements.words import day, duration

Row = tuple[str, Line]
_DPIA: Final = {
    "not-required": "Not required",
    "screened": "Screened",
    "in-progress": "In progress",
    "approved": "Approved",
    "ico-consulted": "The Information Commissioner was consulted",
}
_INFORM: Final = {
    "yes": "They are told.",
    "no-art-14-5": "They are not told: an exception of UK GDPR Article 14(5) applies.",
    "no-prejudice-or-safety": "They are not told: that would do harm or defeat the purpose.",
}
_ONWARD: Final = {
    "none": "No recipient passes anything on.",
    "same-purpose-parties": "Only to other parties of this agreement, for the same purpose.",
    "with-approval": "Only with the approval of the party that provided it.",
}


def contact_rows(party: PartyRole) -> Iterator[Row]:
    """Return whom the others turn to at a party."""
    contacts = party.contacts
    for name, contact in (
        ("Contact", party.contact),
        ("Single point of contact", contacts.single_point),
        ("Data protection officer", contacts.dpo),
        ("Subject access requests", contacts.sar),
        ("Breaches, day and night", contacts.breach_24x7),
    ):
        if contact is not None:
            yield name, contact_line(contact)


def contact_line(contact: Contact) -> Line:
    """Return a post and how to reach it."""
    lines = [said(contact.post)]
    if contact.email is not None:
        lines.append(said(f"Email: {contact.email}"))
    if contact.telephone is not None:
        lines.append(said(f"Telephone: {contact.telephone}"))
    return joined(lines, "\n")


def duties(agreement: Agreement) -> Iterator[Block]:
    """Return what the parties owe each other and the people concerned."""
    yield from _retention(agreement)
    for title, rows in (
        ("Data protection impact assessment", _dpia(agreement)),
        ("Rights of the people concerned", _rights(agreement)),
        ("When something has gone wrong", _breach(agreement)),
        ("What people are told", _transparency(agreement)),
        ("Security", _security(agreement)),
        ("Use of what was received", _use(agreement)),
    ):
        found = tuple(rows)
        yield Heading(2, title)
        yield Facts(found) if found else Paragraph(said("This agreement says nothing about it."))


def _retention(agreement: Agreement) -> Iterator[Block]:
    yield Heading(2, "How long it is kept")
    if agreement.evidence.records is not None:
        length = duration(agreement.evidence.records)
        yield Paragraph(said(f"The broker keeps the record of each decision for {length}."))
    if not agreement.retention:
        yield Paragraph(said("This agreement sets no time after which it is deleted."))
        return
    yield Table(
        "Retention by the parties",
        ("Party", "What", "How long", "Counted from", "Then"),
        tuple(
            (
                code(one.party),
                joined(map(code, one.items)) if one.items else said("Everything received"),
                said(duration(one.period)),
                said(one.trigger),
                said(one.disposal),
            )
            for one in agreement.retention
        ),
        (0.25, 0.2, 0.13, 0.22, 0.2),
    )


def _dpia(agreement: Agreement) -> Iterator[Row]:
    dpia = agreement.dpia
    yield "Status", said(_DPIA[dpia.status])
    for name, text in (
        ("Reference", dpia.ref),
        ("Version", dpia.version),
        ("Residual risk", dpia.residual_risk),
        ("Approved by", dpia.approved_by),
        ("Approved on", None if dpia.approved_on is None else day(dpia.approved_on)),
        ("To be reviewed by", None if dpia.review_by is None else day(dpia.review_by)),
        ("Reason", dpia.reason),
    ):
        if text is not None:
            yield name, said(text)


def _rights(agreement: Agreement) -> Iterator[Row]:
    rights = agreement.rights
    if rights.sar_lead is not None:
        yield "Subject access requests are led by", code(rights.sar_lead)
    for name, text in (
        ("Corrections", rights.rectification),
        ("Objections", rights.objection),
        ("Erasure", rights.erasure),
        ("Complaints", rights.complaints),
    ):
        if text is not None:
            yield name, said(text)


def _breach(agreement: Agreement) -> Iterator[Row]:
    breach = agreement.breach
    hours = breach.partner_notice_hours
    yield (
        "The other parties are told",
        said(f"within {hours} hour{'' if hours == 1 else 's'} of awareness"),
    )
    if breach.ico_lead is not None:
        yield "The Information Commissioner is told by", code(breach.ico_lead)
    if breach.containment is not None:
        yield "Containment", said(breach.containment)


def _transparency(agreement: Agreement) -> Iterator[Row]:
    transparency = agreement.transparency
    yield "The people concerned", said(_INFORM[transparency.inform_subject])
    if transparency.explanation is not None:
        yield "Explanation", said(transparency.explanation)
    if transparency.privacy_notice is not None:
        yield "Privacy notice", link(transparency.privacy_notice, transparency.privacy_notice)


def _security(agreement: Agreement) -> Iterator[Row]:
    security = agreement.security
    yield "Sharing onward", said(_ONWARD[security.onward_sharing])
    yield (
        "Where",
        said(
            "In the United Kingdom only."
            if security.uk_only
            else "Also outside the United Kingdom."
        ),
    )
    if security.handling is not None:
        yield "Handling", said(security.handling)
    for role in security.allowed_roles:
        yield "May be seen by", said(role)
    for measure in security.measures:
        yield "Measure", said(measure)


def _use(agreement: Agreement) -> Iterator[Row]:
    use = agreement.use
    for name, texts in (
        ("Data", use.data),
        ("Permitted", use.permitted),
        ("Prohibited", use.prohibited),
        ("Duty", use.duties),
        ("Complies with", use.compliance),
    ):
        for text in texts:
            yield name, said(text)


def review(agreement: Agreement) -> Iterator[Block]:
    """Return when the agreement is looked at again, and what its versions changed."""
    yield Heading(2, "Review and changes")
    yield Facts(tuple(_review(agreement)))
    if agreement.change_log:
        yield Table(
            "What each version changed",
            ("Version", "Date", "Change"),
            tuple(
                (said(one.version), said(day(one.on)), said(one.text))
                for one in agreement.change_log
            ),
            (0.12, 0.23, 0.65),
        )


def _review(agreement: Agreement) -> Iterator[Row]:
    given = agreement.review
    if given.every is not None:
        yield "Reviewed every", said(duration(given.every))
    yield (
        "When a review is overdue",
        said(
            f"Sharing goes on. After {duration(given.escalate_after)} the delay is escalated"
            + ("." if given.to is None else " to:")
        ),
    )
    if given.to is not None:
        yield "Escalated to", contact_line(given.to)
    for trigger in given.triggers:
        yield "Also reviewed when", said(trigger)

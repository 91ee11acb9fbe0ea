"""Records of processing activities for people: an organisation after the other."""

from collections.abc import Iterator
from typing import Final

from agreements.paper.around import contact_line
from agreements.paper.tree import (
    Block,
    Facts,
    Heading,
    Line,
    Paper,
    Paragraph,
    Table,
    code,
    joined,
    link,
    said,
    strong,
    together,
    visible,
)
from agreements.words import day, days, duration, title_of
from broker.audit.forms import on_paper
from broker.audit.ropa import (
    Activity,
    Record,
    Ropa,
    contacts_of,
    joint_controllers,
    measures,
    purpose_of,
)
from broker.audit.terms import basis_line, party_line
from broker.legal import to_evidence

_ARTICLE_30: Final = "https://www.legislation.gov.uk/eur/2016/679/article/30"
_TITLES: Final = {
    "30(1)": "as controller (UK GDPR Article 30(1))",
    "30(2)": "as processor for others (UK GDPR Article 30(2))",
}
_WHAT_IT_DOES: Final = (
    "It takes in events that are sealed to it, decides by the signed agreements who may "
    "receive which items, cuts and seals what is delivered, and keeps of each decision a "
    "record without identifiers and without values."
)
_HOW_IT_IS_SECURED: Final = (
    "Sealed for each recipient (HPKE), signed by the publisher, each decision in a log that "
    "cannot be altered unnoticed; payloads are not kept longer than the streams are set to."
)


def write(ropa: Ropa) -> Paper:
    """Return the records as a paper. Raises `TooLongForPaper`."""
    on_paper(sum(len(record.activities) for record in ropa.records))
    blocks = [*_beginning(ropa)]
    for record in ropa.records:
        blocks += _record(ropa, record)
    blocks += _operator(ropa)
    return Paper("Records of processing activities", visible(ropa.asked.mark), tuple(blocks))


def _beginning(ropa: Ropa) -> Iterator[Block]:
    since, until = ropa.period.since, ropa.period.until
    yield Paragraph(
        together(
            said(
                "Made from the agreements that the parties signed and from what the log of "
                "decisions says was really shared. It covers what goes through this service and "
                "nothing else that an organisation does. "
            ),
            link("UK GDPR Article 30", _ARTICLE_30),
            said("; for law enforcement DPA 2018 section 61."),
        )
    )
    yield Facts(
        (
            ("Made for", said(ropa.asked.by)),
            ("Reference or reason", said(ropa.asked.reason)),
            ("Traffic from", said("the beginning" if since is None else day(since))),
            ("Traffic before", said("now" if until is None else day(until))),
        )
    )
    if not ropa.records and not ropa.operated:
        yield Paragraph(strong("Nothing runs, and nothing was shared in this period."))


def _record(ropa: Ropa, record: Record) -> Iterator[Block]:
    name = ropa.terms.name(record.party)
    yield Heading(2, visible(f"{name}, {_TITLES[record.article]}"))
    contacts = contacts_of(record)
    yield Facts(
        (
            ("Organisation", party_line(ropa.terms, record.party)),
            *((title, contact_line(contact)) for title, contact in contacts),
            *(
                ()
                if contacts
                else (("Contact and DPO", said("No agreement names any: complete it here.")),)
            ),
        )
    )
    for number, one in enumerate(record.activities, 1):
        verb = "Provides" if one.is_provider else "Receives"
        yield Heading(3, visible(f"{number}. {verb}: {one.agreement.title}, {one.flow.id}"))
        yield Facts(tuple(_activity(ropa, record, one)))


def _activity(ropa: Ropa, record: Record, one: Activity) -> Iterator[tuple[str, Line]]:
    yield (
        "Agreement",
        together(
            link(one.agreement.id, one.agreement.id), said(f", version {one.agreement.version}")
        ),
    )
    yield "It is", said(", ".join(state.replace("-", " ") for state in one.states))
    yield "Role", said(title_of("party-roles", one.role.role))
    if record.article == "30(2)":
        yield "On behalf of", _controllers(ropa, one)
    if joint := joint_controllers(one):
        yield "Joint controllers", joined(party_line(ropa.terms, party) for party in joint)
    yield "Purpose", said(purpose_of(one))
    yield "Data subjects", said("; ".join(one.flow.subjects) or "not said in the agreement")
    data = one.data(ropa.terms)
    yield "Personal data", said("; ".join(data) if data else "not known: no such event type here")
    yield "Items", joined(code(item.path) for item in one.flow.items)
    yield (
        "Recipients" if one.is_provider else "Received from",
        joined((party_line(ropa.terms, party) for party in one.others), "\n"),
    )
    yield (
        "Outside the United Kingdom",
        said(
            "none: the agreement keeps it in the United Kingdom"
            if one.agreement.security.uk_only
            else "possible under the agreement: name the countries and safeguards here"
        ),
    )
    yield "Kept for", _kept(one)
    yield "Security", joined(map(said, (*measures(one.agreement), _HOW_IT_IS_SECURED)), "\n")
    legal = one.flow.legal.provider if one.is_provider else one.flow.legal.recipient
    yield "Legal basis", basis_line(to_evidence(legal))
    if one.policy is not None:
        yield "Appropriate policy document", said(one.policy)
    yield "What really happened", said(_happened(one))


def _controllers(ropa: Ropa, one: Activity) -> Line:
    if one.role.acting_for is not None:
        return said(one.role.acting_for)
    roles = one.agreement.parties
    found = [role.id for role in roles if role.role in ("controller", "joint-controller")]
    return joined(party_line(ropa.terms, party) for party in found)


def _kept(one: Activity) -> Line:
    if one.is_provider:
        return said("By the organisation's own schedule: it provides from its own records.")
    lines = (f"{duration(k.period)} from: {k.trigger}. Then: {k.disposal}" for k in one.retention)
    return joined(map(said, lines), "\n") or said("the agreement sets no time: complete it here")


def _happened(one: Activity) -> str:
    tally = one.tally
    if tally.first is None or tally.last is None:
        return "Nothing was shared in this period."
    unused = [item.path for item in one.flow.items if not tally.items[item.path]]
    text = f"{tally.shared:,} disclosures, {days(tally.first, tally.last)}."
    return f"{text} Never shared: {', '.join(unused)}." if unused else text


def _operator(ropa: Ropa) -> Iterator[Block]:
    if not ropa.operated:
        return
    yield Heading(2, "The operator of this service, as processor (UK GDPR Article 30(2))")
    yield Facts(
        (
            ("Categories of processing", said(_WHAT_IT_DOES)),
            ("Security", said(_HOW_IT_IS_SECURED)),
            ("Contact, DPO, and where it runs", said("The operator completes it here.")),
        )
    )
    yield Table(
        "On behalf of these controllers",
        ("Controller", "Disclosures of its data", "Deliveries to it"),
        tuple(
            (party_line(ropa.terms, one.party), said(f"{one.sent:,}"), said(f"{one.received:,}"))
            for one in ropa.operated
        ),
        (0.5, 0.25, 0.25),
    )

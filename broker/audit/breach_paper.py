"""A breach file for people: the clock and the stop first, then the draft of the notice."""

from collections.abc import Iterator
from typing import Final

from agreements.model import Agreement
from agreements.paper.around import contact_line
from agreements.paper.tree import (
    Block,
    Bullets,
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
from agreements.words import moment
from broker.audit.breach import Affected, BreachFile
from broker.audit.forms import on_paper
from broker.audit.terms import categories, party_line, role_of

_ARTICLE_33: Final = "https://www.legislation.gov.uk/eur/2016/679/article/33"
_ARTICLE_34: Final = "https://www.legislation.gov.uk/eur/2016/679/article/34"
_SECTION_67: Final = "https://www.legislation.gov.uk/ukpga/2018/12/section/67"
_NATURES: Final = {
    "confidentiality": "Personal data was disclosed to, or could be seen by, somebody who had no"
    " right to it.",
    "integrity": "Personal data was altered, or can no longer be relied on.",
    "availability": "Personal data was lost, or cannot be got at.",
}
_TO_WRITE: Final = "[to be written by the officer]"


def write(file: BreachFile) -> Paper:
    """Return the file as a paper. Raises `TooLongForPaper`."""
    on_paper(sum(len(one.items) for one in file.affected))
    blocks = (*_first(file), *_stop(file), *_scope(file), *_draft(file), *_partners(file))
    return Paper(
        visible(f"Breach file: {file.terms.name(file.scope.recipient)}"),
        visible(file.asked.mark),
        blocks,
    )


def _first(file: BreachFile) -> Iterator[Block]:
    left = (file.due_at - file.asked.at).total_seconds() / 3600
    state = f"{left:.0f} hours left" if left >= 0 else f"overdue by {-left:.0f} hours"
    yield Facts(
        (
            ("Aware since", said(moment(file.aware_at))),
            ("Commissioner told by", strong(f"{moment(file.due_at)} ({state})")),
            (
                "Rule",
                together(
                    link("UK GDPR Article 33", _ARTICLE_33),
                    said(
                        ": within 72 hours of awareness, weekends and nights included, unless a "
                        "risk to people is unlikely. What is not known yet follows in phases. "
                    ),
                    link("For law enforcement: DPA 2018 section 67", _SECTION_67),
                ),
            ),
            ("Reference or reason", said(file.asked.reason)),
            ("Made for", said(file.asked.by)),
        )
    )


def _stop(file: BreachFile) -> Iterator[Block]:
    yield Heading(2, "To stop it now")
    commands = file.commands()
    if not commands:
        yield Paragraph(said("Nothing was shared in this time, so there is nothing to stop."))
        return
    yield Paragraph(
        said(
            "One command for each agreement. It holds what would flow, in all flows of the "
            "agreement, until the same party resumes it; nothing is lost. It is run where the "
            "party's keys are, and takes effect in seconds."
        )
    )
    yield Bullets(tuple(code(command) for command in commands))
    if file.waiting:
        yield Paragraph(
            said(
                f"{file.waiting:,} events of this time were not shared yet: they are held, or wait "
                "for a person."
            )
        )


def _scope(file: BreachFile) -> Iterator[Block]:
    period = file.scope.period
    yield Heading(2, "What went to the recipient")
    yield Facts(
        (
            ("Recipient", party_line(file.terms, file.scope.recipient)),
            ("Agreement", said(file.scope.agreement or "all")),
            ("Flow", said(file.scope.flow or "all")),
            ("From", said("the beginning" if period.since is None else moment(period.since))),
            ("Before", said("now" if period.until is None else moment(period.until))),
            ("People", strong(f"approximately {file.people:,}")),
            ("Records", strong(f"{file.records:,}")),
            ("First and last", said(_span(file))),
        )
    )
    yield Paragraph(
        said(
            "People are counted by identifiers that nobody can read here. Who appears under "
            "identifiers that were never seen together counts more than once; people who are only "
            "named in somebody else's record are not counted."
        )
    )
    for one in file.affected:
        yield Heading(3, visible(f"{_title(file, one)}, flow {one.flow}"))
        yield Paragraph(
            together(
                said(f"{one.records:,} records of "),
                code(one.event_type),
                said(" from "),
                joined(party_line(file.terms, party) for party in sorted(one.publishers)),
                said("."),
            )
        )
        yield Table(
            f"Items disclosed by flow {one.flow}",
            ("Item", "What it is", "In the form", "Categories", "Times"),
            tuple(_item(file, one, item, times) for item, times in sorted(one.items.items())),
            (0.22, 0.32, 0.14, 0.22, 0.1),
        )


def _span(file: BreachFile) -> str:
    if file.first is None or file.last is None:
        return "none"
    return (
        f"{moment(file.first.replace(microsecond=0))} to {moment(file.last.replace(microsecond=0))}"
    )


def _title(file: BreachFile, one: Affected) -> str:
    return next((a.title for a in file.agreements if a.id == one.agreement), one.agreement)


def _item(file: BreachFile, one: Affected, item: str, times: int) -> tuple[Line, ...]:
    meaning = file.terms.meaning(one.event_type, item) or "not known here"
    form = one.forms.get(item, "as it is")
    of = "; ".join(categories(file.terms.labels(one.event_type, item)))
    return code(item), said(meaning), said(form), said(of), said(f"{times:,}")


def _draft(file: BreachFile) -> Iterator[Block]:
    yield Heading(2, "Draft of the notice to the Commissioner (Article 33(3))")
    yield Facts(
        (
            ("Told by", joined((party_line(file.terms, one) for one in file.leads), "\n")),
            ("Nature of the breach, (a)", said(f"{_NATURES[file.nature]} {_TO_WRITE}")),
            ("Categories of people, (a)", said("; ".join(file.subjects) or _TO_WRITE)),
            ("Number of people, (a)", said(f"approximately {file.people:,}")),
            ("Categories of records, (a)", said("; ".join(categories(file.labels)) or "none")),
            ("Number of records, (a)", said(f"{file.records:,}")),
            ("Contact point, (b)", _contact_point(file)),
            ("Likely consequences, (c)", said(_TO_WRITE)),
            (
                "Measures taken and proposed, (d)",
                said(
                    "Sharing under the agreements above suspended at [time]; the recipient asked "
                    f"to return or delete what it received, and to confirm it. {_TO_WRITE}"
                ),
            ),
            ("Reason if later than 72 hours", said(_TO_WRITE)),
        )
    )
    yield Paragraph(
        together(
            strong("The people themselves: "),
            said(
                "items are among these that make a high risk likely; then they are told without "
                "undue delay, in plain language ("
                if file.is_high_risk
                else "no item is marked as making a high risk likely; decide whether there is one "
                "all the same, such as to somebody's safety ("
            ),
            link("UK GDPR Article 34", _ARTICLE_34),
            said("; for law enforcement DPA 2018 section 68)."),
        )
    )


def _contact_point(file: BreachFile) -> Line:
    found = []
    for agreement in file.agreements:
        for party in file.leads:
            role = role_of(agreement, party)
            contact = None if role is None else role.contacts.dpo or role.contact
            if contact is not None:
                found.append(
                    together(party_line(file.terms, party), said(": "), contact_line(contact))
                )
    return joined(dict.fromkeys(found), "\n") or said(_TO_WRITE)


def _partners(file: BreachFile) -> Iterator[Block]:
    if not file.partners:
        return
    yield Heading(2, "Partners to be told")
    yield Paragraph(
        said(
            "The agreements say by when. Besides, whoever processes for others, the operator of "
            "this service among them, tells the controllers without undue delay (Article 33(2))."
        )
    )
    yield Table(
        "By the agreements, from the time of awareness",
        ("Party", "By", "Whom", "Under"),
        tuple(
            (
                party_line(file.terms, told.party),
                said(moment(told.due_at)),
                _whom(told.agreement, told.party),
                link(told.agreement.id, told.agreement.id),
            )
            for told in file.partners
        ),
        (0.28, 0.2, 0.22, 0.3),
    )
    contained = {a.id: a.breach.containment for a in file.agreements if a.breach.containment}
    if contained:
        yield Heading(3, "Containment that the agreements ask for")
        yield Bullets(tuple(said(text) for text in dict.fromkeys(contained.values())))


def _whom(agreement: Agreement, party: str) -> Line:
    role = role_of(agreement, party)
    contact = None if role is None else role.contacts.breach_24x7 or role.contact
    return said("no contact in the agreement") if contact is None else contact_line(contact)

"""The disclosure schedule for people: the clock first, then what to decide, then each row."""

from collections.abc import Iterator
from typing import Final

from agreements.model import Agreement
from agreements.paper.around import contact_rows
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
from agreements.words import day, days, duration, moment
from broker.audit.disclosures import Disclosure
from broker.audit.forms import on_paper
from broker.audit.schedule import Schedule, Shared
from broker.audit.terms import basis_line, items_line, party_line, role_of

_ARTICLE_15: Final = "https://www.legislation.gov.uk/eur/2016/679/article/15"
_ARTICLE_12A: Final = "https://www.legislation.gov.uk/ukpga/2025/18/section/76"
_Under = tuple[str, str, str]


def write(schedule: Schedule) -> Paper:
    """Return the schedule as a paper. Raises `TooLongForPaper`."""
    on_paper(len(schedule.shared) + len(schedule.notices) + len(schedule.refused))
    flows = _flows(schedule)
    blocks = (
        *_beginning(schedule),
        *_clock(schedule),
        *_recipients(schedule),
        *_to_decide(schedule),
        *_disclosures(schedule, flows),
        *_bases(flows),
        *_taken_back(schedule),
        *_not_shared(schedule),
        *_holders(schedule),
        *_rights(),
    )
    return Paper(
        "Disclosure schedule for a subject access request", visible(schedule.asked.mark), blocks
    )


def _flows(schedule: Schedule) -> dict[_Under, Disclosure]:
    """Return one disclosure for each flow that something was shared under, in order."""
    found: dict[_Under, Disclosure] = {}
    for one in schedule.shared:
        found.setdefault(_under(one.disclosure), one.disclosure)
    return found


def _under(one: Disclosure) -> _Under:
    return one.agreement, one.hash, one.flow


def _beginning(schedule: Schedule) -> Iterator[Block]:
    yield Paragraph(
        together(
            strong("A draft, for the officer who answers. "),
            said(
                "It lists from the log of decisions what this service has shared about one "
                "person: to whom, when, why and under which agreement. Items are told by name; "
                "what they said is with the organisations that hold them. Nothing was left out: "
                "what the person may be told is for you to decide, below. Decisions whose record "
                "was shredded when its time was over are not found any more."
            ),
        )
    )
    asked = schedule.asked
    yield Facts(
        (
            ("Reference or reason", said(asked.reason)),
            ("Made for", said(asked.by)),
            ("Made", said(moment(asked.at.replace(microsecond=0)))),
            ("Person found by", said(", ".join(schedule.found_by))),
            ("Disclosures", said(len(schedule.shared))),
            ("Told that information was withdrawn", said(len(schedule.notices))),
            ("Decided on and not shared", said(len(schedule.refused))),
        )
    )


def _clock(schedule: Schedule) -> Iterator[Block]:
    clock = schedule.clock
    left = clock.days_left(schedule.today)
    state = f"{left} day{'' if left == 1 else 's'} left" if left >= 0 else f"overdue by {-left}"
    yield Heading(2, "By when it must be answered")
    yield Facts(
        (
            ("Time runs from", said(day(clock.starts_on))),
            ("One month ends on", said(day(clock.ends_on))),
            ("Answer due", strong(f"{day(clock.due)} ({state})")),
            (
                "With two months more",
                said(
                    f"{day(clock.extended_to)}, only where requests are complex or many, and if "
                    f"the person is told of it and why by {day(clock.ends_on)}"
                ),
            ),
            ("Extended", said("yes" if clock.is_extended else "no")),
            ("Rule", link("UK GDPR Articles 12(3) and 12A; DPA 2018 section 54", _ARTICLE_12A)),
        )
    )
    yield Paragraph(
        said(
            "Without undue delay, and at the latest then. A last day on a weekend moves to the "
            "Monday; bank holidays are not reckoned with."
        )
    )


def _recipients(schedule: Schedule) -> Iterator[Block]:
    if not schedule.shared:
        yield Paragraph(strong("Nothing was shared about this person."))
        return
    by_recipient: dict[str, list[Shared]] = {}
    for one in schedule.shared:
        by_recipient.setdefault(one.disclosure.recipient, []).append(one)
    yield Heading(2, "Who received data")
    yield Table(
        "Recipients",
        ("Recipient", "Times", "First and last", "Why"),
        tuple(
            (
                party_line(schedule.terms, recipient),
                said(len(found)),
                said(days(found[0].disclosure.decided_at, found[-1].disclosure.decided_at)),
                joined(map(said, dict.fromkeys(one.purpose for one in found)), "\n"),
            )
            for recipient, found in sorted(by_recipient.items())
        ),
        (0.3, 0.08, 0.22, 0.4),
    )


def _to_decide(schedule: Schedule) -> Iterator[Block]:
    found = schedule.to_decide()
    yield Heading(2, "To decide before anything leaves")
    if not found:
        yield Paragraph(said("No item of these disclosures is marked as needing special care."))
    else:
        numbers = {id(one): number for number, one in enumerate(schedule.shared, 1)}
        yield Table(
            "Exemptions and cautions, each for a person to decide on",
            ("What", "Question", "Items", "In rows", "Rule"),
            tuple(
                (
                    strong(caution.code),
                    said(caution.question),
                    items_line(dict.fromkeys(p for one in rows for p in one.cautions[caution]))
                    or said("the whole"),
                    said(_numbered([numbers[id(one)] for one in rows])),
                    link(caution.rule, caution.source),
                )
                for caution, rows in found.items()
            ),
            (0.19, 0.3, 0.2, 0.09, 0.22),
        )
    yield Bullets(
        (
            said(
                "Somebody with parental responsibility, or a deputy, asks for the person: what "
                "was given in the expectation that they would not learn of it, and child abuse "
                "data where it is not in the person's best interests, are exempt (DPA 2018 Sch 3 "
                "paras 4, 10 and 21)."
            ),
            said(
                "This person may also be named in records about somebody else, as a member of a "
                "household or a contact. Those are not found here: ask the organisations."
            ),
        )
    )


def _numbered(numbers: list[int]) -> str:
    """Return numbers with those that follow one another as ``3-7``."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)


def _disclosures(schedule: Schedule, flows: dict[_Under, Disclosure]) -> Iterator[Block]:
    if not schedule.shared:
        return
    numbers = {under: number for number, under in enumerate(flows, 1)}
    yield Heading(2, "What was shared, and when")
    yield Table(
        "Disclosures in order of time",
        ("No. and time", "From and to", "Items", "Not as they are", "Flow", "Look at"),
        tuple(
            (
                said(f"{number}.\n{_time(one.disclosure)}\nentry {one.disclosure.index}"),
                said(
                    f"{schedule.terms.name(one.disclosure.publisher)}\n"
                    f"to {schedule.terms.name(one.disclosure.recipient)}"
                ),
                items_line(one.disclosure.items),
                _changed(one.disclosure),
                said(f"F{numbers[_under(one.disclosure)]}"),
                joined((said(caution.code) for caution in one.cautions), "\n"),
            )
            for number, one in enumerate(schedule.shared, 1)
        ),
        (0.13, 0.24, 0.23, 0.18, 0.06, 0.16),
    )


def _time(one: Disclosure) -> str:
    return f"{day(one.decided_at)} {one.decided_at:%H:%M} UTC"


def _changed(one: Disclosure) -> Line:
    lines = [together(code(path), said(f": {how}")) for path, how in one.transforms.items()]
    lines += [
        together(code(path), said(f": withheld, {why}")) for path, why in one.withheld.items()
    ]
    return joined(lines, "\n") or said("all as they are")


def _bases(flows: dict[_Under, Disclosure]) -> Iterator[Block]:
    if not flows:
        return
    yield Heading(2, "Under which agreements, and by what right")
    yield Table(
        "Flows, and the legal basis of each side",
        ("Flow", "Agreement", "Provider", "Recipient"),
        tuple(
            (
                said(f"F{number}"),
                together(
                    link(one.agreement, one.agreement),
                    said(f"\nversion {one.version}, flow {one.flow}\nSHA-256 {one.hash[:16]}…"),
                ),
                basis_line(one.provider),
                basis_line(one.receiver),
            )
            for number, one in enumerate(flows.values(), 1)
        ),
        (0.07, 0.27, 0.33, 0.33),
    )


def _taken_back(schedule: Schedule) -> Iterator[Block]:
    if not schedule.notices:
        return
    yield Heading(2, "What was withdrawn, and who was told")
    yield Paragraph(
        said(
            "An organisation withdrew information that it had shared before, and those who had it "
            "were told so. They received nothing new by that; what each has done since is for it "
            "to say. Before one of them is named to the person, decide as above."
        )
    )
    yield Table(
        "Told that information was withdrawn",
        ("Time", "By", "Told", "What about"),
        tuple(
            (
                said(_time(one)),
                party_line(schedule.terms, one.publisher),
                party_line(schedule.terms, one.recipient),
                said(_withdrawn(schedule, one)),
            )
            for one in schedule.notices
        ),
        (0.17, 0.25, 0.25, 0.33),
    )


def _withdrawn(schedule: Schedule, one: Disclosure) -> str:
    had = f"what it had of event {one.detail} under {schedule.terms.title(one)}, flow {one.flow},"
    if one.outcome == "permit":
        return f"It was told that {had} was withdrawn."
    return f"It could not be told that {had} was withdrawn: {one.reason}."


def _not_shared(schedule: Schedule) -> Iterator[Block]:
    if not schedule.refused:
        return
    yield Heading(2, "What was decided on and not shared")
    yield Paragraph(
        said(
            "For the officer: nothing was disclosed. Before any of it is told, ask as above; an "
            "investigation may be harmed by the name of a body that has received nothing."
        )
    )
    yield Table(
        "Refused, held or waiting for a person",
        ("Time", "From", "To", "Outcome and reason"),
        tuple(
            (
                said(_time(one)),
                party_line(schedule.terms, one.publisher),
                party_line(schedule.terms, one.recipient) if one.recipient else said("nobody"),
                said(f"{one.outcome}: {schedule.terms.reason(one)}"),
            )
            for one in schedule.refused
        ),
        (0.17, 0.27, 0.27, 0.29),
    )


def _holders(schedule: Schedule) -> Iterator[Block]:
    pairs: dict[tuple[str, str], tuple[str, Agreement | None]] = {}
    for shared in schedule.shared:
        one = shared.disclosure
        agreement = schedule.terms.agreement(one)
        for party in (one.publisher, one.recipient):
            pairs.setdefault((party, one.agreement), (schedule.terms.title(one), agreement))
    if pairs:
        yield Heading(2, "Who holds the data, and whom to ask")
    shown = ""
    for (party, _), (title, agreement) in sorted(pairs.items(), key=lambda pair: pair[0]):
        role = role_of(agreement, party)
        rows = list(contact_rows(role)) if role is not None else []
        keeps = [] if agreement is None else [k for k in agreement.retention if k.party == party]
        rows += [
            ("Keeps it", said(f"{duration(k.period)} from: {k.trigger}. Then: {k.disposal}"))
            for k in keeps
        ]
        if agreement is not None and agreement.rights.sar_lead == party:
            rows.append(("Subject access requests", said("It leads them for this agreement.")))
        rows.insert(0, ("Under", said(title)))
        if party != shown:
            yield Heading(3, visible(schedule.terms.name(party)))
        shown = party
        yield Facts(tuple(rows))


def _rights() -> Iterator[Block]:
    yield Heading(2, "What the person is told besides")
    yield Paragraph(
        together(
            said(
                "The right to have data corrected or erased, to have its use restricted and to "
                "object to it, and the right to complain to the controller and to the Information "
                "Commissioner ("
            ),
            link("UK GDPR Article 15(1)", _ARTICLE_15),
            said("; of law enforcement, DPA 2018 section 45)."),
        )
    )

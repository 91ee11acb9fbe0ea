"""The log that law enforcement keeps of its automated processing: DPA 2018 s. 62.

Section 62(1) lists collection, alteration, consultation, disclosure, combination and erasure.
Of these this service does: disclosure (what a party's events gave to others), collection (what
was delivered to it), consultation (readings of the log of decisions, which holds no values)
and erasure (of decision records). It alters and combines nothing. What a party's own systems
do with what they hold, those log.

Date and time, who disclosed and to whom are asked for (s. 62(2) and (3)). The justification
is not since the Data (Use and Access) Act 2025 s. 82; it is given all the same, since it is
known. The log may be used only as s. 62(4) says: to verify lawfulness, for self-monitoring,
for integrity and security, and for criminal proceedings.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from heapq import merge
from itertools import islice
from typing import Any, Final, Literal

from agreements.paper.tree import (
    Block,
    Facts,
    Paper,
    Paragraph,
    Table,
    link,
    said,
    together,
    visible,
)
from agreements.words import day, moment
from broker.acts import Act, ActKind
from broker.audit.disclosures import Disclosure
from broker.audit.forms import MOST_ROWS, Asked, on_paper
from broker.audit.sheets import Cell, Sheet, listed
from broker.audit.terms import Terms, basis_text, items_line, party_line
from broker.periods import Period

Operation = Literal["collection", "disclosure", "consultation", "erasure"]
_SECTION_62: Final = "https://www.legislation.gov.uk/ukpga/2018/12/section/62"
_OF_ACTS: Final[dict[ActKind, Operation]] = {
    ActKind.READING: "consultation",
    ActKind.SHREDDING: "erasure",
}
_HEADER: Final = (
    "time", "operation", "by", "recipients", "justification", "items", "event_id", "log_entry",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Logged:
    """One operation. ``entry`` is its number in the log of decisions."""

    at: datetime
    operation: Operation
    by: str
    recipients: str
    justification: str
    items: tuple[str, ...]
    event_id: str
    entry: int


@dataclass(slots=True)
class AccessLog:
    """The operations of a period for one party; read once, and counted while they are."""

    asked: Asked
    period: Period
    party: str
    terms: Terms
    logged: Iterable[Logged]
    results: int = field(default=0, init=False)

    def _counting(self) -> Iterator[Logged]:
        for one in self.logged:
            self.results += 1
            yield one

    def to_sheet(self) -> Sheet:
        """Return a row for each operation, as they come."""
        return Sheet(_HEADER, (_cells(one) for one in self._counting()))

    def to_json(self) -> dict[str, Any]:
        """Return it as one JSON document."""
        since, until = self.period.since, self.period.until
        return {
            "paper": "law-enforcement-log",
            "asked": self.asked.to_json(),
            "party": self.party,
            "since": None if since is None else since.isoformat(),
            "until": None if until is None else until.isoformat(),
            "operations": [
                {
                    "time": one.at.isoformat(),
                    "operation": one.operation,
                    "by": one.by,
                    "recipients": one.recipients,
                    "justification": one.justification,
                    "items": list(one.items),
                    "event_id": one.event_id,
                    "log_entry": one.entry,
                }
                for one in self._counting()
            ],
        }

    def to_paper(self) -> Paper:
        """Return it for people. Raises `TooLongForPaper`."""
        logged = list(islice(self._counting(), MOST_ROWS + 1))
        on_paper(len(logged))
        title = f"Law-enforcement log: {self.terms.name(self.party)}"
        return Paper(visible(title), visible(self.asked.mark), tuple(self._blocks(logged)))

    def _blocks(self, logged: list[Logged]) -> Iterator[Block]:
        since, until = self.period.since, self.period.until
        yield Paragraph(
            said(
                "What this service did for the organisation, from the log of decisions. It alters "
                "and combines nothing. What the organisation's own systems do, those log. It may "
                "be used only to verify that processing is lawful, for self-monitoring, for "
                "integrity and security, and for criminal proceedings."
            )
        )
        yield Facts(
            (
                ("Organisation", party_line(self.terms, self.party)),
                ("From", said("the beginning" if since is None else day(since))),
                ("Before", said("now" if until is None else day(until))),
                ("Operations", said(len(logged))),
                ("Made for", said(self.asked.by)),
                ("Reference or reason", said(self.asked.reason)),
                ("Rule", link("Data Protection Act 2018 section 62", _SECTION_62)),
            )
        )
        if not logged:
            yield Paragraph(said("There is no operation in this period."))
            return
        whys = {why: number for number, why in enumerate(dict.fromkeys(_whys(logged)), 1)}
        if whys:
            yield Table(
                "Justifications",
                ("No.", "Purpose, agreement and legal basis"),
                tuple((said(f"J{number}"), said(why)) for why, number in whys.items()),
                (0.08, 0.92),
            )
        yield Table(
            "Operations in order of time",
            ("Time", "Operation", "By", "To", "Justification", "Items"),
            tuple(
                (
                    said(moment(one.at.replace(microsecond=0))),
                    said(one.operation),
                    said(one.by),
                    said(one.recipients),
                    said(f"J{whys[one.justification]}" if one.event_id else one.justification),
                    together(items_line(one.items), said(f"\nevent {one.event_id}"))
                    if one.event_id
                    else said(""),
                )
                for one in logged
            ),
            (0.14, 0.11, 0.16, 0.18, 0.14, 0.27),
        )


def access_log(  # noqa: PLR0913  each is what the log is made of
    disclosures: Iterable[Disclosure],
    acts: Iterable[tuple[int, Act]],
    terms: Terms,
    *,
    party: str,
    asked: Asked,
    period: Period,
) -> AccessLog:
    """Return the log of one party; disclosures and acts of others in between are passed over.

    ``acts`` come with their entries. Both are in order of time, and so is what comes out.
    """
    shared = (_of_disclosure(one, party, terms) for one in disclosures if _is_of(one, party))
    done = (
        Logged(act.at, _OF_ACTS[act.kind], act.by, "", _why(act), (), "", entry)
        for entry, act in acts
        if act.kind in _OF_ACTS
    )
    return AccessLog(asked, period, party, terms, _merged(shared, done))


def _is_of(one: Disclosure, party: str) -> bool:
    return one.is_shared and party in (one.publisher, one.recipient)


def _of_disclosure(one: Disclosure, party: str, terms: Terms) -> Logged:
    is_own = one.publisher == party
    basis = basis_text(one.provider if is_own else one.receiver)
    why = f"{terms.purpose(one)} ({one.agreement} version {one.version}, flow {one.flow}; {basis})"
    return Logged(
        one.decided_at,
        "disclosure" if is_own else "collection",
        one.publisher,
        one.recipient,
        why,
        one.items,
        one.event_id,
        one.index,
    )


def _why(act: Act) -> str:
    return listed(filter(None, (act.about, act.reason, act.reference)))


def _merged(one: Iterator[Logged], other: Iterator[Logged]) -> Iterator[Logged]:
    return merge(one, other, key=lambda logged: logged.at)


def _whys(logged: Iterable[Logged]) -> Iterator[str]:
    return (one.justification for one in logged if one.event_id)


def _cells(one: Logged) -> tuple[Cell, ...]:
    return (
        one.at.isoformat(),
        one.operation,
        one.by,
        one.recipients,
        one.justification,
        listed(one.items),
        one.event_id,
        one.entry,
    )

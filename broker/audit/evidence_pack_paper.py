"""An evidence pack for people: what binds the partner, what went where, what to follow up."""

from collections.abc import Iterator
from datetime import date

from agreements.lifecycle import Status
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
from agreements.signatures import Signatory
from agreements.words import day, days, duration, moment, title_of
from broker.audit.evidence_pack import Pack
from broker.audit.forms import on_paper
from broker.audit.terms import party_line, role_of


def write(pack: Pack) -> Paper:
    """Return the pack's cover paper. Raises `TooLongForPaper`."""
    on_paper(len(pack.traffic) + len(pack.sample))
    blocks = [*_beginning(pack), *_assurances(pack)]
    for status in pack.agreements:
        blocks += _agreement(pack, status)
    blocks += [*_traffic(pack), *_sample(pack), *_to_ask()]
    title = f"Evidence pack: {pack.terms.name(pack.partner)}"
    return Paper(visible(title), visible(pack.asked.mark), tuple(blocks))


def _beginning(pack: Pack) -> Iterator[Block]:
    since, until = pack.period.since, pack.period.until
    asked = pack.asked
    yield Facts(
        (
            ("Partner", party_line(pack.terms, pack.partner)),
            ("From", said("the beginning" if since is None else day(since))),
            ("Before", said("now" if until is None else day(until))),
            ("Agreements", said(len(pack.agreements))),
            ("Disclosures to and from it", said(f"{pack.shared:,}")),
            ("Made for", said(asked.by)),
            ("Reference or reason", said(asked.reason)),
            (
                "The log it rests on",
                together(said(f"{asked.size:,} entries, root "), code(asked.root))
                if asked.root
                else said("no checkpoint was signed yet"),
            ),
        )
    )


def _assurances(pack: Pack) -> Iterator[Block]:
    yield Heading(2, "What the partner declared of itself")
    if not pack.assurances:
        yield Paragraph(said("The scheme has recorded no assurance of it."))
        return
    today = pack.asked.at.date()
    yield Table(
        "Assurances",
        ("Assurance", "Valid", "Reference", "State"),
        tuple(
            (
                said(title_of("assurances", one.kind)),
                said(days(one.valid_from, one.valid_until)),
                said(one.reference or ""),
                said("in date")
                if one.valid_from <= today <= one.valid_until
                else strong("not in date"),
            )
            for one in pack.assurances
        ),
        (0.35, 0.3, 0.2, 0.15),
    )


def _agreement(pack: Pack, status: Status) -> Iterator[Block]:
    text = status.text
    yield Heading(2, visible(f"{text.title}, version {text.version}"))
    yield Facts(tuple(_facts(pack, status)))
    yield Table(
        f"Who signed version {text.version}",
        ("Party", "Stands", "Signed by", "When"),
        tuple(
            (
                party_line(pack.terms, one.party),
                said(one.standing.value),
                said("" if one.signatory is None else _signatory(one.signatory)),
                said("" if one.said_at is None else day(one.said_at)),
            )
            for one in status.sign_offs
        ),
        (0.35, 0.15, 0.3, 0.2),
    )
    if status.warnings:
        yield Paragraph(strong("To be looked after:"))
        yield Bullets(tuple(said(one.text) for one in status.warnings))


def _signatory(signatory: Signatory) -> str:
    return f"{signatory.name}, {signatory.post} ({signatory.capacity})"


def _facts(pack: Pack, status: Status) -> Iterator[tuple[str, Line]]:
    text = status.text
    dpia, security = text.dpia, text.security
    yield "Agreement", link(text.id, text.id)
    yield "SHA-256", code(status.sha256)
    yield "State", said(status.state.value.replace("-", " "))
    yield (
        "Runs",
        said(f"{moment(text.effective.starts_at)} to {moment(text.effective.ends_at)}"),
    )
    due = status.reviewing.due_at
    yield "Review due", said("no date" if due is None else day(due))
    role = role_of(text, pack.partner)
    if role is not None:
        yield "The partner is", said(title_of("party-roles", role.role))
    yield (
        "Impact assessment",
        said("; ".join(filter(None, (dpia.ref, dpia.status, _reviewed(dpia.review_by))))),
    )
    yield "Handling", said("; ".join(filter(None, (security.handling, *security.measures))) or "-")
    yield "United Kingdom only", said("yes" if security.uk_only else "no")
    yield "Sharing onward", said(security.onward_sharing.replace("-", " "))
    for kept in text.retention:
        if kept.party == pack.partner:
            yield (
                "It keeps the data",
                said(f"{duration(kept.period)} from: {kept.trigger}. Then: {kept.disposal}"),
            )


def _reviewed(review_by: date | None) -> str:
    return "" if review_by is None else f"to be reviewed by {day(review_by)}"


def _traffic(pack: Pack) -> Iterator[Block]:
    yield Heading(2, "What went through")
    if not pack.traffic:
        yield Paragraph(said("Nothing went to the partner or came from it in this period."))
        return
    yield Table(
        "Decisions by flow",
        ("Flow", "From and to", "Shared", "Not shared, and why", "First and last"),
        tuple(
            (
                together(code(way.flow), said(f"\nSHA-256 {way.hash[:12]}…")),
                together(
                    party_line(pack.terms, way.publisher),
                    said("\nto "),
                    party_line(pack.terms, way.recipient),
                ),
                said(f"{tally.shared:,}"),
                joined(
                    (
                        said(f"{number:,} {why or 'no reason'}")
                        for why, number in sorted(tally.reasons.items())
                    ),
                    "\n",
                )
                or said("none"),
                said(
                    ""
                    if tally.first is None or tally.last is None
                    else days(tally.first, tally.last)
                ),
            )
            for way, tally in pack.ordered()
        ),
        (0.18, 0.3, 0.1, 0.22, 0.2),
    )


def _sample(pack: Pack) -> Iterator[Block]:
    if not pack.sample:
        return
    yield Heading(2, "A sample to follow up at the partner")
    yield Paragraph(
        said(
            "Drawn by the log's root: whoever has the log draws the same. Ask the partner to show "
            "each in its own system, who saw it, and what came of it. The items are in sample.csv."
        )
    )
    yield Table(
        f"{len(pack.sample)} disclosures",
        ("Event and entry", "Time", "From and to", "Flow", "Found at the partner"),
        tuple(
            (
                together(code(one.event_id), said(f"\nentry {one.index}")),
                said(moment(one.decided_at.replace(microsecond=0))),
                said(f"{pack.terms.name(one.publisher)}\nto {pack.terms.name(one.recipient)}"),
                together(code(one.flow), said(f"\n{len(one.items)} items")),
                (),
            )
            for one in pack.sample
        ),
        (0.24, 0.14, 0.24, 0.14, 0.24),
    )


def _to_ask() -> Iterator[Block]:
    yield Heading(2, "What this service cannot see")
    yield Bullets(
        tuple(
            said(text)
            for text in (
                "training of those who use the data, and the declarations that they signed;",
                "access from abroad, and on which devices;",
                "breaches at the partner, however minor, and how they were reported;",
                "whether the data was deleted when its time was over.",
            )
        )
    )

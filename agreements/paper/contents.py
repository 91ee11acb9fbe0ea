"""What stands in the paper, from its title to the places to sign."""

from collections.abc import Iterator
from typing import Final

from agreements.canonical import digest
from agreements.model import Agreement, PartyRole, Purpose
from agreements.paper.around import contact_rows, duties, review
from agreements.paper.flows import flow_blocks
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
    link,
    said,
    together,
    visible,
)
from agreements.words import day, duration, moment, title_of
from schemas.catalogue import Catalogue

Row = tuple[str, Line]
_DIRECTIONS: Final = {
    "provides": "It provides information, and receives none.",
    "receives": "It receives information, and provides none.",
    "both": "It provides and receives information.",
}
_DIGITS: Final = 16  # of the SHA-256 on every page; the whole is at the beginning and the end


def write(agreement: Agreement, catalogue: Catalogue) -> Paper:
    """Return the agreement as a paper; ``catalogue`` tells what the items mean."""
    sha256 = digest(agreement)
    blocks = [
        *_identity(agreement, sha256),
        *_dates(agreement),
        *_parties(agreement),
        *_purposes(agreement),
        Heading(2, "What is shared"),
        *_rules_in_general(),
        *(
            block
            for number, flow in enumerate(agreement.flows, 1)
            for block in flow_blocks(agreement, flow, number, catalogue)
        ),
        *_stopping(agreement),
        *duties(agreement),
        *review(agreement),
        *_signatures(agreement, sha256),
    ]
    mark = f"{agreement.id} · version {agreement.version} · SHA-256 {sha256[:_DIGITS]}…"
    return Paper(visible(agreement.title), mark, tuple(blocks))


def rows_of(*given: tuple[str, Line | None]) -> tuple[Row, ...]:
    """Return the rows that have something to say."""
    return tuple((name, line) for name, line in given if line is not None)


def _maybe(text: str | None) -> Line | None:
    return None if text is None else said(text)


def _identity(agreement: Agreement, sha256: str) -> Iterator[Block]:
    yield Paragraph(
        said(
            "This document says in words what the agreement's data says to the computers that "
            "carry it out. Both are one text: its fingerprint (SHA-256) is below, and whoever "
            "signs, signs that fingerprint."
        )
    )
    if agreement.summary is not None:
        yield Paragraph(said(agreement.summary))
    one = agreement
    kind = (
        None if one.kind is None else said(f"{one.kind}: {title_of('agreement-kinds', one.kind)}")
    )
    identifier = None
    if one.identifier is not None:
        identifier = together(
            said(f"{one.identifier.value}, in "), link(one.identifier.system, one.identifier.system)
        )
    document = None
    if one.document is not None:
        document = together(
            link(one.document.uri, one.document.uri),
            said(", SHA-256 "),
            code(one.document.sha256),
        )
    yield Facts(
        rows_of(
            ("Agreement", link(one.id, one.id)),
            ("Version", said(one.version)),
            ("Fingerprint (SHA-256)", code(sha256)),
            ("Owner", party_line(one, one.owner)),
            ("Contact of the owner", _maybe(one.contact)),
            (
                "Facilitator, who assures it",
                None if one.facilitator is None else party_line(one, one.facilitator),
            ),
            ("Kind", kind),
            ("Framework", _maybe(one.framework)),
            ("Classification", said(one.classification)),
            ("Also known as", identifier),
            ("Document that goes with it", document),
            ("Made from the template", _reference(one.template)),
            ("Follows", _reference(one.supersedes)),
            ("Format of the data", said(one.format)),
        )
    )


def _reference(reference: object) -> Line | None:
    uri, version = getattr(reference, "uri", None), getattr(reference, "version", None)
    return None if uri is None else together(link(uri, uri), said(f", version {version}"))


def party_line(agreement: Agreement, party: str) -> Line:
    """Return a party by its name, with the name that computers use."""
    name = next((one.name for one in agreement.parties if one.id == party), None)
    return code(party) if name is None else together(said(f"{name} ("), code(party), said(")"))


def _dates(agreement: Agreement) -> Iterator[Block]:
    effective = agreement.effective
    yield Heading(2, "When it applies")
    due = agreement.signing.due
    yield Facts(
        rows_of(
            ("Begins", said(f"{moment(effective.starts_at)}. Nothing is shared before.")),
            (
                "Ends",
                said(f"{moment(effective.ends_at)}. From that moment on nothing is shared."),
            ),
            (
                "To be reviewed by",
                None if effective.review_by is None else said(moment(effective.review_by)),
            ),
            ("To be signed by", None if due is None else said(day(due))),
        )
    )
    yield Paragraph(
        said(
            "A date alone means the midnight with which that day begins. All times are in "
            "Coordinated Universal Time (UTC): in winter as clocks in the United Kingdom show it, "
            "in summer an hour behind them."
        )
    )


def _parties(agreement: Agreement) -> Iterator[Block]:
    yield Heading(2, "Who takes part")
    for party in agreement.parties:
        name = party.id if party.name is None else f"{party.name} ({party.id})"
        yield Heading(3, visible(name))
        yield Facts(tuple(_party_rows(party)))


def _party_rows(party: PartyRole) -> Iterator[Row]:
    yield "Role", said(title_of("party-roles", party.role))
    yield "Part", said(_DIRECTIONS[party.direction])
    if party.acting_for is not None:
        yield "Acts for", said(party.acting_for)
    for one in party.identifiers:
        yield title_of("registers", one.system), said(f"{one.value} ({one.system})")
    for name in party.catalogue_ids:
        yield "In the API catalogue", said(name)
    if party.joined_on is not None:
        yield "Takes part from", said(day(party.joined_on))
    if party.left_on is not None:
        yield "Takes no part from", said(day(party.left_on))
    if party.capacities:
        titles = (f"{title_of('capacities', one)} ({one})" for one in party.capacities)
        yield "Only counts as signed by", said("; or ".join(titles))
    else:
        yield "May be signed by", said("whoever holds a capacity to sign for it")
    yield from contact_rows(party)


def _purposes(agreement: Agreement) -> Iterator[Block]:
    yield Heading(2, "Why information is shared")
    for purpose in agreement.purposes:
        yield Heading(3, purpose.code)
        yield Facts(tuple(_purpose_rows(purpose)))


def _purpose_rows(purpose: Purpose) -> Iterator[Row]:
    yield "Purpose", said(purpose.text)
    yield "Why less would not do", said(purpose.necessity)
    if purpose.benefit is not None:
        yield "Benefit", said(purpose.benefit)
    if purpose.compatible_with is not None:
        yield "Compatible with", said(purpose.compatible_with)
    for concept in purpose.concepts:
        yield "In public vocabularies", link(concept, concept)
    yield (
        "Individual care",
        said(
            "It goes beyond the care of the individual. The national data opt-out is checked: "
            "nothing is shared about a person who has opted out."
            if purpose.beyond_individual_care
            else "It is the care of the individual, which the national data opt-out does not touch."
        ),
    )


def _rules_in_general() -> Iterator[Block]:
    yield Paragraph(
        said(
            "Information is shared only as the flows below say, and only their items. An event "
            "is shared with a recipient when everything that follows is so at that moment; "
            "otherwise it is not:"
        )
    )
    lines = (
        "both parties have signed this text and neither has revoked its signature;",
        "the agreement applies, it is not suspended, and no later version has taken its place;",
        "the scheme lets both parties take part, and the recipient is registered for the purpose;",
        "the recipient holds the assurances that the flow requires;",
        "both sides' legal bases are complete;",
        "the event is no older than the flow allows, and of a form that the flow covers;",
        "no objection of the person stands against this recipient or this purpose;",
        "the conditions of the flow hold; of several, the first that does not hold decides;",
        "every item that is required can be given.",
    )
    yield Bullets(tuple(said(line) for line in lines))


def _stopping(agreement: Agreement) -> Iterator[Block]:
    suspension = agreement.suspension
    after = "they are refused" if suspension.then == "deny" else "a person decides on each"
    yield Heading(2, "Suspending and ending")
    yield Bullets(
        (
            said(
                "Any party may suspend the sharing. Events are then held, not lost, for up to "
                f"{duration(suspension.hold_for)}; after that {after}."
            ),
            said(
                "The party that suspended may resume. It says whether what was held is decided "
                "on again, or deleted."
            ),
            said(
                "Any party may revoke its signature. Then nothing more is shared with it or by it."
            ),
            said("A new version applies to two parties once both have signed it."),
            said(
                "A new version that only takes something away from what two parties share applies "
                "to them as soon as one of them has signed it."
            ),
        )
    )


def _signatures(agreement: Agreement, sha256: str) -> Iterator[Block]:
    yield Heading(2, "Signatures")
    yield Paragraph(
        together(
            said(
                "We have read this agreement and accept it for our organisation. We sign the text "
                "with the fingerprint (SHA-256) "
            ),
            code(sha256),
            said(f", version {agreement.version} of {agreement.id}."),
        )
    )
    yield Table(
        "Places to sign",
        ("Party", "Name and post", "Capacity", "Date", "Signature"),
        tuple(
            (party_line(agreement, party.id), (), said(" or ".join(party.capacities)), (), ())
            for party in agreement.parties
        ),
        (0.27, 0.23, 0.18, 0.12, 0.2),
        is_to_fill_in=True,
    )

"""A flow in words: who shares what with whom, why, in which form, and when not."""

from collections.abc import Iterator, Sequence
from typing import Final

from agreements import gateways
from agreements.codes import code_list
from agreements.model import Agreement, Flow, Item, LegalBasis, PartThree
from agreements.paper.tree import (
    Block,
    Bullets,
    Facts,
    Heading,
    Line,
    Paragraph,
    Table,
    code,
    joined,
    link,
    said,
    strong,
    together,
)
from agreements.words import condition, duration, form_of, otherwise, title_of
from schemas.catalogue import Catalogue, Field

Row = tuple[str, Line]
_Fields = dict[str, list[Field]]
_REGIMES: Final = {
    "uk-gdpr": "UK GDPR and Part 2 of the Data Protection Act 2018",
    "dpa-part-3": "Part 3 of the Data Protection Act 2018 (law enforcement)",
}
_DELIVERIES: Final = {
    "payload": "The items below are delivered.",
    "reference": "Only a reference to the event. The items below are not, so none holds it back.",
    "notify": "Only notice of the event. The items below are not, so none holds it back.",
}
_TRIGGERS: Final = {
    "event": "When the event occurs",
    "request": "When the recipient asks",
    "batch": "In batches, at agreed times",
}
_SECTION_35: Final = {
    "task": "necessary for the task of a competent authority (section 35(2)(b))",
    "consent": "the person consents (section 35(2)(a))",
}


def flow_blocks(
    agreement: Agreement, flow: Flow, number: int, catalogue: Catalogue
) -> Iterator[Block]:
    """Return what the paper says of one flow."""
    yield Heading(3, f"Flow {number}: {flow.id}")
    if flow.text is not None:
        yield Paragraph(said(flow.text))
    fields = _fields(flow, catalogue)
    yield Facts(tuple(_rows(agreement, flow, catalogue)))
    yield Heading(4, f"Conditions of flow {number}")
    yield from _conditions(flow, fields)
    yield Heading(4, f"Items of flow {number}")
    yield Table(
        f"What recipients receive by flow {flow.id}, and nothing else",
        ("Item", "What it is", "Shared", "If it is missing", "Why it is needed"),
        tuple(_item(item, fields.get(item.path, ())) for item in flow.items),
        (0.26, 0.23, 0.16, 0.14, 0.21),
    )
    for side, basis in (("provider", flow.legal.provider), ("recipient", flow.legal.recipient)):
        yield Heading(4, f"Legal basis of the {side} in flow {number}")
        yield Facts(tuple(_legal(basis)))
    yield Heading(4, f"The person's say in flow {number}")
    yield Bullets(tuple(_say(agreement, flow)))


def _rows(agreement: Agreement, flow: Flow, catalogue: Catalogue) -> Iterator[Row]:
    yield "From", _parties(agreement, flow.from_)
    yield "To", _parties(agreement, flow.to)
    if len(flow.from_) > 1 or len(flow.to) > 1:
        yield "Between", said("each provider and each recipient, but nobody receives its own")
    purpose = next((one.text for one in agreement.purposes if one.code == flow.purpose), None)
    yield "Purpose", _explained(flow.purpose, purpose)
    for name in flow.events:
        yield "Events", _explained(name, catalogue.latest(name).doc if name in catalogue else None)
    yield "Occasion", said(_TRIGGERS[flow.trigger])
    yield "What is delivered", said(_DELIVERIES[flow.delivery])
    for people in flow.subjects:
        yield "People concerned", said(people)
    yield "Revisions of the event's form", said(_revisions(flow))
    yield (
        "Age of an event",
        said(
            "Events of any age are shared."
            if flow.max_age is None
            else f"An event is shared until {duration(flow.max_age)} after it occurred."
        ),
    )
    if flow.requires:
        titles = "; and ".join(f"{title_of('assurances', a)} ({a})" for a in flow.requires)
        yield "The recipient must hold", said(f"{titles}. Where one lapses, nothing is shared.")
    if flow.feedback is not None:
        yield "What came of it is told by", code(flow.feedback)


def _explained(name: str, meaning: str | None) -> Line:
    return together(code(name), said(f": {meaning}")) if meaning else code(name)


def _parties(agreement: Agreement, ids: tuple[str, ...]) -> Line:
    names = {party.id: party.name for party in agreement.parties}
    return joined(
        together(said(f"{names[one]} ("), code(one), said(")")) if names.get(one) else code(one)
        for one in ids
    )


def _revisions(flow: Flow) -> str:
    first, last = flow.schemas.min, flow.schemas.max
    if last is None:
        return f"Revision {first} and later; new fields are not shared until they are listed here."
    return f"Revisions {first} to {last}"


def _conditions(flow: Flow, fields: _Fields) -> Iterator[Block]:
    if not flow.when:
        yield Paragraph(said("There are no conditions on what the event says."))
        return
    yield Paragraph(said("An event is shared only where"))
    yield Bullets(
        tuple(
            together(said(condition(one)), said("; otherwise "), strong(otherwise(one)), said("."))
            for one in flow.when
        ),
        is_numbered=True,
    )
    tested = dict.fromkeys(one.item for one in flow.when)
    meanings = tuple((item, _meaning(fields.get(item, ()))) for item in tested)
    yield Paragraph(said("What they look at:"))
    yield Bullets(tuple(together(code(item), said(f": {doc}")) for item, doc in meanings))


def _meaning(fields: Sequence[Field]) -> str:
    docs = list(dict.fromkeys(field.doc for field in fields if field.doc))
    return " / ".join(docs) or "The event's form does not describe it."


def _fields(flow: Flow, catalogue: Catalogue) -> _Fields:
    found: _Fields = {}
    for name in flow.events:
        if name in catalogue:
            for path, field in catalogue.latest(name).by_path.items():
                found.setdefault(path, []).append(field)
    return found


def _item(item: Item, fields: Sequence[Field]) -> tuple[Line, ...]:
    labels = sorted({label for field in fields for label in field.sensitivity})
    meaning = said(_meaning(fields))
    if labels:
        titles = "; ".join(title_of("sensitivities", label) for label in labels)
        meaning = together(meaning, said(f"\n{titles}."))
    form = said(form_of(item))
    if item.free_text:
        form = together(form, said("\nIt is free text, which may say anything."))
    missing = "Nothing is shared; a person decides" if item.required else "The rest is shared"
    why = said("The purpose" if item.justification is None else item.justification)
    if item.justification is not None:
        why = together(strong("Because:"), said(" "), why)
    return code(item.path), meaning, form, said(missing), why


def _legal(basis: LegalBasis) -> Iterator[Row]:
    yield "Processes under", said(_REGIMES[basis.regime])
    if basis.art6 is not None:
        yield "Lawful basis", _code("article-6", basis.art6, "UK GDPR Article 6(1)({})")
    if basis.annex1 is not None:
        yield "Recognised interest", _code("annex-1", basis.annex1, "UK GDPR Annex 1, {}")
    for letter in basis.art9:
        yield "Special category data", _code("article-9", letter, "UK GDPR Article 9(2)({})")
    for number in basis.sch1:
        form = "DPA 2018 Schedule 1 paragraph {}"
        yield "Condition in Schedule 1", _code("schedule-1", str(number), form)
    if basis.art10 is not None:
        yield "Criminal offence data", _code("article-10", basis.art10, "UK GDPR Article 10, {}")
    if basis.part3 is not None:
        yield from _law_enforcement(basis.part3)
    for address in basis.gateways:
        yield "Legal gateway", link(gateways.title_of(address), address)
    yield from _confidence(basis)


def _law_enforcement(part3: PartThree) -> Iterator[Row]:
    yield "Law enforcement", said(_SECTION_35[part3.s35])
    for paragraph in part3.sch8:
        form = "DPA 2018 Schedule 8 paragraph {}"
        yield "Sensitive processing", _code("schedule-8", paragraph, form)
    for address in part3.authorised_by:
        yield "Other use authorised by", link(gateways.title_of(address), address)


def _confidence(basis: LegalBasis) -> Iterator[Row]:
    if basis.confidentiality is not None:
        form = "duty of confidence, {}"
        yield "Confidentiality", _code("duty-of-confidence", basis.confidentiality, form)
    if basis.confidentiality_reference is not None:
        yield "Reference for confidentiality", said(basis.confidentiality_reference)
    if basis.appropriate_policy_document is not None:
        yield "Appropriate policy document", said(basis.appropriate_policy_document)


def _code(name: str, code_given: str, form: str) -> Line:
    """Return a code by its place in the law, its title and the address of its source."""
    known = code_list(name).get(code_given)
    place = form.format(code_given)
    if known is None:
        return said(place)
    return link(f"{place}: {known.title}", known.source)


def _say(agreement: Agreement, flow: Flow) -> Iterator[Line]:
    if flow.relies_on_consent:
        yield said(
            "This flow relies on consent. From the moment a withdrawal is recorded, nothing more "
            "about that person is shared."
        )
    else:
        yield said("This flow does not rely on consent, so a withdrawn consent does not stop it.")
    if flow.needs_consent:
        yield said("Consent is needed by this agreement, whatever the legal basis.")
    yield said(
        "Where an objection of the person against this recipient or this purpose is recorded, "
        "nothing more about that person is shared while it stands."
    )
    purpose = next((one for one in agreement.purposes if one.code == flow.purpose), None)
    if purpose is None or purpose.beyond_individual_care:
        yield said("The national data opt-out is checked.")
    yield said("What was delivered before is dealt with as said under rights and retention.")

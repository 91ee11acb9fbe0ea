"""Does the agreement hang together? Names that exist, dates in order, the duties around it."""

from collections.abc import Iterable, Iterator
from typing import Final

from agreements.law.rule import CODE_OF_PRACTICE, PRODUCT, UKGDPR, Finding, FlowView, Rules
from agreements.model import Agreement
from agreements.problems import nearest

RULES: Final = Rules()


@RULES.agreement("dates-reversed", "An agreement ends after it starts", source=PRODUCT)
def _dates(agreement: Agreement) -> Iterator[Finding]:
    if agreement.effective.ends_at <= agreement.effective.starts_at:
        yield Finding(
            "effective.ends_at", "expected an end after the start", "correct one of the dates"
        )


@RULES.agreement(
    "review-missing",
    "An agreement is reviewed while it runs",
    source=CODE_OF_PRACTICE,
    severity="warning",
)
def _review(agreement: Agreement) -> Iterator[Finding]:
    effective = agreement.effective
    if effective.review_by is None:
        yield Finding("effective", "expected a date to review by", "add review_by, within a year")
    elif not effective.starts_at < effective.review_by <= effective.ends_at:
        yield Finding(
            "effective.review_by", "expected a review while it runs", "move it before the end"
        )


@RULES.agreement("duplicate-name", "A party, purpose, flow or item is named once", source=PRODUCT)
def _duplicates(agreement: Agreement) -> Iterator[Finding]:
    yield from _repeated("parties", "id", (party.id for party in agreement.parties))
    yield from _repeated("purposes", "code", (purpose.code for purpose in agreement.purposes))
    yield from _repeated("flows", "id", (flow.id for flow in agreement.flows))
    for index, flow in enumerate(agreement.flows):
        paths = (item.path for item in flow.items)
        yield from _repeated(f"flows[{index}].items", "path", paths)


def _repeated(where: str, field: str, names: Iterable[str]) -> Iterator[Finding]:
    seen: dict[str, int] = {}
    for index, name in enumerate(names):
        if name in seen:
            yield Finding(
                f"{where}[{index}].{field}",
                f"`{name}` is already {where.rpartition('.')[2]}[{seen[name]}]",
                "keep one of them, or give it another name",
            )
        seen.setdefault(name, index)


@RULES.flow("unknown-purpose", "A flow has one of the agreement's purposes", source=PRODUCT)
def _purpose(view: FlowView) -> Iterator[Finding]:
    if view.purpose is None:
        known = [purpose.code for purpose in view.agreement.purposes]
        yield Finding(
            f"{view.path}.purpose",
            f"the agreement has no purpose `{view.flow.purpose}`",
            _meant(view.flow.purpose, known),
        )


@RULES.flow("unknown-party", "A flow runs between parties of the agreement", source=PRODUCT)
def _parties(view: FlowView) -> Iterator[Finding]:
    known = [party.id for party in view.agreement.parties]
    for field, ids in (("from", view.flow.from_), ("to", view.flow.to)):
        for index, party in enumerate(ids):
            if party not in known:
                yield Finding(
                    f"{view.path}.{field}[{index}]",
                    f"`{party}` is not a party of the agreement",
                    _meant(party, known),
                )


@RULES.flow("direction", "A party provides or receives as the agreement says", source=PRODUCT)
def _direction(view: FlowView) -> Iterator[Finding]:
    parties = {party.id: party for party in view.agreement.parties}
    for index, party in enumerate(view.flow.from_):
        if party in parties and not parties[party].may_provide:
            yield Finding(
                f"{view.path}.from[{index}]",
                f"`{party}` only receives under this agreement",
                "take it out, or set the party's direction to both",
            )
    for index, party in enumerate(view.flow.to):
        if party in parties and not parties[party].may_receive:
            yield Finding(
                f"{view.path}.to[{index}]",
                f"`{party}` only provides under this agreement",
                "take it out, or set the party's direction to both",
            )


@RULES.flow("to-itself", "A flow joins two parties", source=PRODUCT)
def _to_itself(view: FlowView) -> Iterator[Finding]:
    # Several parties may share with each other in one flow; none of them is sent its own.
    if len(set(view.flow.from_) | set(view.flow.to)) == 1:
        yield Finding(f"{view.path}.to", "expected another party than in from", "name another")


@RULES.agreement(
    "unused-name",
    "A party or purpose that no flow uses does nothing",
    source=PRODUCT,
    severity="warning",
)
def _unused(agreement: Agreement) -> Iterator[Finding]:
    used = {party for flow in agreement.flows for party in (*flow.from_, *flow.to)}
    purposes = {flow.purpose for flow in agreement.flows}
    for index, party in enumerate(agreement.parties):
        if party.id not in used:
            yield Finding(f"parties[{index}]", f"no flow has `{party.id}`", "add a flow or drop it")
    for index, purpose in enumerate(agreement.purposes):
        if purpose.code not in purposes:
            yield Finding(
                f"purposes[{index}]", f"no flow has `{purpose.code}`", "add a flow or drop it"
            )


@RULES.agreement(
    "supersedes", "A version takes the place of an earlier one of the same", source=PRODUCT
)
def _supersedes(agreement: Agreement) -> Iterator[Finding]:
    before = agreement.supersedes
    if before is not None and before.uri == agreement.id and before.version >= agreement.version:
        yield Finding(
            "supersedes.version",
            f"version {agreement.version} cannot take the place of version {before.version}",
            "name an earlier version",
        )


@RULES.agreement(
    "dpia-incomplete",
    "An approved assessment has its reference and date; a missing one its reason",
    source=f"{UKGDPR}/article/35",
)
def _dpia(agreement: Agreement) -> Iterator[Finding]:
    dpia = agreement.dpia
    if dpia.status == "approved" and (dpia.ref is None or dpia.approved_on is None):
        yield Finding("dpia", "expected the approved assessment", "add ref and approved_on")
    if dpia.status == "not-required" and dpia.reason is None:
        yield Finding("dpia", "expected why no assessment is required", "add reason")


@RULES.agreement(
    "dpia-open",
    "The assessment is finished before sharing begins",
    source=f"{UKGDPR}/article/35",
    severity="warning",
)
def _dpia_open(agreement: Agreement) -> Iterator[Finding]:
    if agreement.dpia.status in ("screened", "in-progress"):
        yield Finding("dpia.status", "the assessment is not finished", "have it approved")


@RULES.agreement(
    "retention-missing",
    "Who receives says how long it keeps",
    source=f"{UKGDPR}/article/5",
    severity="warning",
)
def _retention(agreement: Agreement) -> Iterator[Finding]:
    keeping = {entry.party for entry in agreement.retention}
    receiving = dict.fromkeys(party for flow in agreement.flows for party in flow.to)
    for party in receiving:
        if party not in keeping:
            yield Finding(
                "retention", f"expected how long `{party}` keeps what it receives", "add it"
            )


@RULES.agreement(
    "privacy-notice-missing",
    "People are told, or the agreement says why not",
    source=f"{UKGDPR}/article/14",
    severity="warning",
)
def _notice(agreement: Agreement) -> Iterator[Finding]:
    told = agreement.transparency
    if told.privacy_notice is None and told.explanation is None:
        yield Finding("transparency", "expected the privacy notice", "add privacy_notice")


def _meant(given: str, known: list[str]) -> str:
    meant = nearest(given, known)
    return f"did you mean `{meant}`?" if meant else f"known: {', '.join(known)}"

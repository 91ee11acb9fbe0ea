"""Does the agreement hang together? Names that exist, dates in order, parties in their parts."""

from collections.abc import Iterable, Iterator
from typing import Final

from agreements.codes import code_list
from agreements.law.rule import CODE_OF_PRACTICE, PRODUCT, UKGDPR, Finding, FlowView, Rules
from agreements.model import Agreement
from agreements.problems import nearest

RULES: Final = Rules()

_CAPACITIES: Final = code_list("capacities")


@RULES.agreement("dates-reversed", "An agreement ends after it starts", source=PRODUCT)
def _dates(agreement: Agreement) -> Iterator[Finding]:
    if agreement.effective.ends_at <= agreement.effective.starts_at:
        yield Finding(
            "effective.ends_at", "expected an end after the start", "correct one of the dates"
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
    "unknown-duty-holder", "Whoever has a duty is a party of the agreement", source=PRODUCT
)
def _duty_holders(agreement: Agreement) -> Iterator[Finding]:
    known = [party.id for party in agreement.parties]
    named = [
        ("rights.sar_lead", agreement.rights.sar_lead),
        ("breach.ico_lead", agreement.breach.ico_lead),
        *((f"retention[{n}].party", kept.party) for n, kept in enumerate(agreement.retention)),
    ]
    for path, party in named:
        if party is not None and party not in known:
            yield Finding(path, f"`{party}` is not a party of the agreement", _meant(party, known))


@RULES.agreement(
    "facilitator-is-owner",
    "Whoever assures an agreement is not its owner",
    source="https://www.waspi.gov.wales/",
)
def _facilitator(agreement: Agreement) -> Iterator[Finding]:
    if agreement.facilitator == agreement.owner:
        yield Finding(
            "facilitator",
            f"`{agreement.owner}` owns the agreement and cannot assure it",
            "name an organisation that has not written it",
        )


@RULES.agreement("membership-dates", "A party leaves after it has joined", source=PRODUCT)
def _membership(agreement: Agreement) -> Iterator[Finding]:
    for index, party in enumerate(agreement.parties):
        if party.joined_on and party.left_on and party.left_on <= party.joined_on:
            yield Finding(
                f"parties[{index}].left_on",
                f"`{party.id}` leaves before it has joined",
                "correct one of the dates",
            )


@RULES.agreement(
    "capacity-advises",
    "A signatory answers for the risk; a data protection officer advises",
    source=f"{UKGDPR}/article/38",
)
def _capacities(agreement: Agreement) -> Iterator[Finding]:
    for index, party in enumerate(agreement.parties):
        for at, capacity in enumerate(party.capacities):
            if not _CAPACITIES[capacity].more.get("may_sign", True):
                yield Finding(
                    f"parties[{index}].capacities[{at}]",
                    f"a signatory cannot sign as {capacity}",
                    "ask for SIRO, CALDICOTT_GUARDIAN or another who owns the risk",
                )


@RULES.agreement(
    "joint-controller-alone",
    "Joint controllers are two or more",
    source=f"{UKGDPR}/article/26",
)
def _joint(agreement: Agreement) -> Iterator[Finding]:
    joint = [n for n, party in enumerate(agreement.parties) if party.role == "joint-controller"]
    if len(joint) == 1:
        yield Finding(
            f"parties[{joint[0]}].role",
            "expected a second joint controller",
            "give the role to the others who decide with it, or use controller",
        )


@RULES.agreement(
    "signing-late",
    "The parties sign before sharing begins",
    source=CODE_OF_PRACTICE,
    severity="warning",
)
def _signing(agreement: Agreement) -> Iterator[Finding]:
    due = agreement.signing.due
    if due is not None and due > agreement.effective.starts_at.date():
        yield Finding(
            "signing.due", "signatures are due after the agreement starts", "move one of the dates"
        )


@RULES.agreement("change-log", "The change log tells of this version and earlier", source=PRODUCT)
def _change_log(agreement: Agreement) -> Iterator[Finding]:
    for index, change in enumerate(agreement.change_log):
        if change.version > agreement.version:
            yield Finding(
                f"change_log[{index}].version",
                f"this is version {agreement.version}",
                "take the entry out, or raise the version",
            )


def _meant(given: str, known: list[str]) -> str:
    meant = nearest(given, known)
    return f"did you mean `{meant}`?" if meant else f"known: {', '.join(known)}"

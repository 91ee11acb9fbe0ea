"""The law that a flow rests on: written as an address, known, and in force."""

from collections.abc import Iterator
from typing import Final

from agreements.codes import Code, code_list
from agreements.gateways import is_legislation
from agreements.law.rule import UKGDPR, Finding, FlowView, Rules
from agreements.model import Agreement, Part

RULES: Final = Rules()

_GATEWAYS: Final = code_list("gateways")


@RULES.flow(
    "gateway-form",
    "A gateway is named by its legislation.gov.uk address",
    source="https://www.legislation.gov.uk/",
    legal=True,
)
def _gateway_form(view: FlowView) -> Iterator[Finding]:
    for path, gateway in _gateways(view):
        if not is_legislation(gateway):
            yield Finding(
                path,
                "expected the legislation.gov.uk address of an Act's section or an instrument",
                "write it as https://www.legislation.gov.uk/ukpga/1989/41/section/47",
            )


@RULES.flow(
    "gateway-unknown",
    "A gateway outside the list is shown without a title",
    source="https://www.legislation.gov.uk/",
    severity="warning",
)
def _gateway_known(view: FlowView) -> Iterator[Finding]:
    for path, gateway in _gateways(view):
        if is_legislation(gateway) and gateway not in _GATEWAYS:
            yield Finding(
                path, "this gateway is not in the list", "check the address against the Act"
            )


@RULES.flow(
    "gateway-missing",
    "A public task, or a legal obligation, is laid down by law",
    source=f"{UKGDPR}/article/6",
    severity="warning",
)
def _gateway_given(view: FlowView) -> Iterator[Finding]:
    provider = view.flow.legal.provider
    if provider.art6 in ("c", "e") and not provider.gateways:
        yield Finding(
            f"{view.path}.legal.provider",
            f"the provider relies on art6 {provider.art6} and names no law that it rests on",
            "add gateways with the legislation.gov.uk address of the section",
        )


# Where a side of a flow holds codes: field, and the list that they are of.
_OF_A_SIDE: Final = (
    ("art6", "article-6"),
    ("annex1", "annex-1"),
    ("art9", "article-9"),
    ("sch1", "schedule-1"),
    ("art10", "article-10"),
    ("confidentiality", "duty-of-confidence"),
    ("gateways", "gateways"),
)
_OF_PART_3: Final = (("sch8", "schedule-8"), ("authorised_by", "gateways"))


@RULES.flow(
    "code-not-in-force",
    "A basis or gateway can be relied on only while it is law",
    source="https://www.legislation.gov.uk/",
    legal=True,
)
def _in_force(view: FlowView) -> Iterator[Finding]:
    begins = view.agreement.effective.starts_at.date()
    for path, name, code in _relied_on(view):
        if not code.is_in_force(begins):
            yield Finding(
                path,
                f"{name} is not in force when the agreement starts",
                "rely on what is in force that day, or start later",
            )


@RULES.flow(
    "code-ends",
    "A basis or gateway that is repealed while the agreement runs is replaced by then",
    source="https://www.legislation.gov.uk/",
    severity="warning",
)
def _ends(view: FlowView) -> Iterator[Finding]:
    effective = view.agreement.effective
    for path, name, code in _relied_on(view):
        until = code.in_force_until
        if until and effective.starts_at.date() < until < effective.ends_at.date():
            yield Finding(
                path,
                f"{name} is in force until {until} and the agreement runs on",
                f"end the agreement by {until}, or add what it can rely on then",
            )


@RULES.agreement(
    "term-not-in-force",
    "What an agreement and its parties are called is known to the law of that time",
    source="https://www.legislation.gov.uk/",
)
def _terms(agreement: Agreement) -> Iterator[Finding]:
    begins = agreement.effective.starts_at.date()
    named = [("kind", "agreement-kinds", agreement.kind)]
    for index, party in enumerate(agreement.parties):
        named.append((f"parties[{index}].role", "party-roles", party.role))
        named += [
            (f"parties[{index}].capacities[{at}]", "capacities", capacity)
            for at, capacity in enumerate(party.capacities)
        ]
    for path, codes, value in named:
        if value is not None and not code_list(codes)[value].is_in_force(begins):
            yield Finding(
                path,
                f"`{value}` is not in use when the agreement starts",
                "use what is in force that day, or start later",
            )


def _relied_on(view: FlowView) -> Iterator[tuple[str, str, Code]]:
    """Each code that the flow relies on and a list knows: place, name and code."""
    for _, path, side in view.sides:
        yield from _codes(path, side, _OF_A_SIDE)
        if side.part3 is not None:
            yield from _codes(f"{path}.part3", side.part3, _OF_PART_3)
    yield from _codes(view.path, view.flow, (("requires", "assurances"),))


def _codes(
    path: str, part: Part, fields: tuple[tuple[str, str], ...]
) -> Iterator[tuple[str, str, Code]]:
    for field, codes in fields:
        value = getattr(part, field)
        several = isinstance(value, tuple)
        for index, one in enumerate(value if several else (value,)):
            code = None if one is None else code_list(codes).get(str(one))
            if code is not None:
                place = f"{path}.{field}[{index}]" if several else f"{path}.{field}"
                yield place, code.title if codes == "gateways" else f"{field} {one}", code


def _gateways(view: FlowView) -> Iterator[tuple[str, str]]:
    for _, path, side in view.sides:
        for index, gateway in enumerate(side.gateways):
            yield f"{path}.gateways[{index}]", gateway
        for index, gateway in enumerate(side.part3.authorised_by if side.part3 else ()):
            yield f"{path}.part3.authorised_by[{index}]", gateway

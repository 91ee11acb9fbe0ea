"""What holds beside data protection: confidence, consent, opt-outs, social security."""

from collections.abc import Iterator
from typing import Final

from agreements.codes import code_list
from agreements.law.rule import UKGDPR, Finding, FlowView, Rules
from schemas.catalogue import Sensitivity

RULES: Final = Rules()

_GATEWAYS: Final = code_list("gateways")
_CONFIDENCE: Final = code_list("duty-of-confidence")
_HEALTH: Final = frozenset({Sensitivity.CONFIDENTIAL_HEALTH})
_SOCIAL_SECURITY: Final = frozenset({Sensitivity.SOCIAL_SECURITY})


@RULES.flow(
    "social-security",
    "Social security items need the power that their own law gives",
    source="https://www.legislation.gov.uk/ukpga/1992/5/section/123",
    legal=True,
)
def _social_security(view: FlowView) -> Iterator[Finding]:
    item = view.first_shared(_SOCIAL_SECURITY)
    given = view.flow.legal.provider.gateways
    if item is None or any(_opens_social_security(gateway) for gateway in given):
        return
    yield Finding(
        f"{view.path}.legal.provider",
        f"`{item.path}` is social security data: its disclosure without authority is an offence",
        "add the gateway, such as https://www.legislation.gov.uk/ukpga/2012/5/section/131",
    )


def _opens_social_security(gateway: str) -> bool:
    return gateway in _GATEWAYS and bool(_GATEWAYS[gateway].more.get("social_security"))


@RULES.flow(
    "confidentiality-missing",
    "Confidential patient information needs an answer to the duty of confidence",
    source="https://www.legislation.gov.uk/ukpga/2006/41/section/251",
    legal=True,
)
def _confidentiality(view: FlowView) -> Iterator[Finding]:
    item = view.first_shared(_HEALTH)
    given = view.flow.legal.provider.confidentiality
    if item is not None and given in (None, "not-confidential"):
        yield Finding(
            f"{view.path}.legal.provider",
            f"`{item.path}` is held in confidence: expected how the provider meets that duty",
            "add confidentiality, such as implied-consent-direct-care or statute-overrides",
        )


@RULES.flow(
    "confidentiality-reference",
    "Support, an order or an override of confidence can be looked up",
    source="https://www.gov.uk/government/publications/confidentiality-nhs-code-of-practice",
)
def _reference(view: FlowView) -> Iterator[Finding]:
    for name, path, side in view.sides:
        if side.confidentiality is None or side.confidentiality_reference is not None:
            continue
        wanted = _CONFIDENCE[side.confidentiality].more.get("reference")
        if wanted is not None:
            yield Finding(
                f"{path}.confidentiality",
                f"the {name}'s {side.confidentiality} needs {wanted}",
                "add confidentiality_reference",
            )


@RULES.flow(
    "implied-consent-beyond-care",
    "Consent is implied for a person's own care only",
    source="https://www.gov.uk/government/publications/the-caldicott-principles",
    legal=True,
)
def _implied(view: FlowView) -> Iterator[Finding]:
    purpose, provider = view.purpose, view.flow.legal.provider
    if purpose is None or not purpose.beyond_individual_care:
        return
    if provider.confidentiality == "implied-consent-direct-care":
        yield Finding(
            f"{view.path}.legal.provider.confidentiality",
            "the purpose goes beyond individual care, for which no consent is implied",
            "use explicit-consent, s251-support or statute-overrides",
        )


@RULES.flow(
    "opt-out-not-checkable",
    "Beyond individual care the national data opt-out is checked by NHS number",
    source="https://digital.nhs.uk/services/national-data-opt-out",
    legal=True,
)
def _opt_out(view: FlowView) -> Iterator[Finding]:
    purpose = view.purpose
    if purpose is None or not purpose.beyond_individual_care:
        return
    if view.first_shared(_HEALTH) is None:
        return
    for name, event_type in view.event_types.items():
        if not any(found.identifier == "nhs-number" for found in event_type.fields):
            yield Finding(
                f"{view.path}.events",
                f"{name} has no NHS number, so an opt-out could not be found",
                "take the confidential health items out, or use an event that has the number",
            )


@RULES.flow(
    "consent-item-missing",
    "A flow that rests on consent tests an item that holds it",
    source=f"{UKGDPR}/article/7",
    legal=True,
)
def _consent(view: FlowView) -> Iterator[Finding]:
    if not view.flow.relies_on_consent:
        return
    if not any("consent" in condition.item.lower() for condition in view.flow.when):
        yield Finding(
            view.path,
            "the flow relies on consent and no condition looks at the consent given",
            "add to when, for example {item: consentIndicator, equals: Y, otherwise: review}",
        )

"""The legal basis of one side of a flow: as evidence keeps it, and in words.

A condition is a code with its list before it, such as ``art9:h``. The record
keeps the codes; the words come from the code lists when somebody reads.
"""

from typing import Final

from agreements.codes import code_list
from agreements.model import LegalBasis as SignedBasis
from broker.recording import LegalBasis

_LISTS: Final = {
    "art6": ("article-6", "UK GDPR Article 6(1)({})"),
    "art9": ("article-9", "UK GDPR Article 9(2)({})"),
    "art10": ("article-10", "UK GDPR Article 10"),
    "sch1": ("schedule-1", "DPA 2018 Schedule 1 paragraph {}"),
    "sch8": ("schedule-8", "DPA 2018 Schedule 8 paragraph {}"),
    "confidentiality": ("duty-of-confidence", "duty of confidence"),
}
_SECTION_35: Final = {
    "task": "necessary for the task of a competent authority",
    "consent": "the data subject consents",
}


def to_evidence(basis: SignedBasis) -> LegalBasis:
    """Return what a decision record says of one side's basis."""
    conditions = [f"art6:{basis.art6}"] if basis.art6 else []
    conditions += [f"art9:{letter}" for letter in basis.art9]
    conditions += [f"sch1:{paragraph}" for paragraph in basis.sch1]
    conditions += [f"art10:{basis.art10}"] if basis.art10 else []
    if basis.part3 is not None:
        conditions.append(f"s35:{basis.part3.s35}")
        conditions += [f"sch8:{paragraph}" for paragraph in basis.part3.sch8]
    if basis.confidentiality:
        conditions.append(f"confidentiality:{basis.confidentiality}")
    gateways = (*basis.gateways, *(basis.part3.authorised_by if basis.part3 else ()))
    return LegalBasis(basis.regime, tuple(conditions), gateways)


def in_words(condition: str) -> str:
    """Return a condition as a reader of law would name it; one we do not know stays as it is."""
    kind, _, code = condition.partition(":")
    if kind == "s35":
        return f"DPA 2018 section 35(2): {_SECTION_35.get(code, code)}"
    if kind not in _LISTS:
        return condition
    name, form = _LISTS[kind]
    codes = code_list(name)
    place = form.format(code)
    return f"{place}: {codes[code].title}" if code in codes else f"{place}: {code}"

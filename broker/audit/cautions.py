"""What somebody must look at before a person is told what was shared about them.

Nothing is left out of a schedule here: an exemption is for a person to decide on, case by
case. Each caution names the rule and its place in the law. What an item needs is in its
schema (`schemas.catalogue.Sensitivity`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from broker.audit.disclosures import Disclosure
from broker.audit.terms import PART_THREE, Terms
from schemas.catalogue import Sensitivity

_DPA: Final = "https://www.legislation.gov.uk/ukpga/2018/12"
_SOCIAL_WORK: Final = ("uk.gov.csc.", "uk.gov.asc.", "uk.gov.familyhelp.")
"""Event types that tell of social services functions (DPA 2018 Sch 3 para 8)."""


@dataclass(frozen=True, slots=True)
class Caution:
    """A rule to be looked at: a stable ``code``, what to decide, and where the rule stands."""

    code: str
    question: str
    rule: str
    source: str


THIRD_PARTY: Final = Caution(
    "third-party",
    "About somebody else: withhold it unless they consent, or it is reasonable without. Of"
    " health, social work and education staff acting as such it is reasonable.",
    "DPA 2018 Sch 2 paras 16 and 17",
    f"{_DPA}/schedule/2/part/3",
)
REFERRER: Final = Caution(
    "referrer",
    "Tells who raised a concern: the source of information about the person is somebody else.",
    "DPA 2018 Sch 2 para 16",
    f"{_DPA}/schedule/2/part/3",
)
FREE_TEXT: Final = Caution(
    "free-text",
    "Free text may tell of anybody and anything: it has to be read by a person.",
    "DPA 2018 Sch 2 para 16",
    f"{_DPA}/schedule/2/part/3",
)
HEALTH: Final = Caution(
    "health",
    "Health data: ask the appropriate health professional whether access would be likely to"
    " cause serious harm to anybody, unless their opinion is less than six months old.",
    "DPA 2018 Sch 3 paras 5 and 6",
    f"{_DPA}/schedule/3/part/2",
)
SOCIAL_WORK: Final = Caution(
    "social-work",
    "Social work data: would access prejudice social work by being likely to cause serious"
    " harm to anybody?",
    "DPA 2018 Sch 3 para 11",
    f"{_DPA}/schedule/3/part/3",
)
CRIMINAL: Final = Caution(
    "criminal",
    "Criminal offence data: would access be likely to prejudice the prevention or detection of"
    " crime, or the apprehension or prosecution of offenders?",
    "DPA 2018 Sch 2 para 2",
    f"{_DPA}/schedule/2/part/1",
)
ADOPTION: Final = Caution(
    "adoption",
    "Adoption records and reports: their disclosure is restricted by adoption law.",
    "DPA 2018 Sch 4 para 3",
    f"{_DPA}/schedule/4",
)
LAW_ENFORCEMENT: Final = Caution(
    "law-enforcement",
    "A body that processes for law enforcement sent or received it: ask that body whether"
    " telling would prejudice its task, before the person learns that it was involved.",
    "DPA 2018 Sch 2 para 2 and s. 45(4)",
    f"{_DPA}/section/45",
)
NOT_INFORMED: Final = Caution(
    "not-informed",
    "The agreement says that people are not told of this sharing: ask its owner whether the"
    " reason still holds and reaches as far as access.",
    "UK GDPR Art 14(5); DPA 2018 Schs 2 to 4",
    "https://www.legislation.gov.uk/eur/2016/679/article/14",
)
LINKED: Final = Caution(
    "linked",
    "Found by another identifier that stood in a record beside those that were given: see that"
    " it is of the same person before anything of it is told.",
    "UK GDPR Art 5(1)(d) and (f)",
    "https://www.legislation.gov.uk/eur/2016/679/article/5",
)
UNKNOWN: Final = Caution(
    "unknown-form",
    "This program's catalogue has no such event type or item, so nothing is known of what it"
    " tells: ask who published it.",
    "DPA 2018 Schs 2 to 4",
    _DPA,
)
_BY_LABEL: Final = {
    Sensitivity.THIRD_PARTY: THIRD_PARTY,
    Sensitivity.REFERRER: REFERRER,
    Sensitivity.CONFIDENTIAL_HEALTH: HEALTH,
    Sensitivity.CRIMINAL: CRIMINAL,
    Sensitivity.ADOPTION: ADOPTION,
}

Cautions = dict[Caution, tuple[str, ...]]
"""Each with the items that it is about; none where it is about the disclosure as a whole."""


def cautions(one: Disclosure, terms: Terms) -> Cautions:
    """Return what to look at before somebody is told of one disclosure."""
    found: dict[Caution, list[str]] = {}
    for path in one.items:
        for caution in _of_item(one.event_type, path, terms):
            found.setdefault(caution, []).append(path)
    for caution in _of_whole(one, terms):
        found.setdefault(caution, [])
    return {caution: tuple(paths) for caution, paths in found.items()}


def _of_item(event_type: str, path: str, terms: Terms) -> Iterator[Caution]:
    if not terms.fields(event_type, path):
        yield UNKNOWN
    labels = terms.labels(event_type, path)
    yield from (caution for label, caution in _BY_LABEL.items() if label in labels)
    if terms.is_free_text(event_type, path):
        yield FREE_TEXT


def _of_whole(one: Disclosure, terms: Terms) -> Iterator[Caution]:
    if one.event_type.startswith(_SOCIAL_WORK):
        yield SOCIAL_WORK
    if (
        PART_THREE in (one.provider.regime, one.receiver.regime)
        or terms.is_law_enforcement(one.publisher)
        or terms.is_law_enforcement(one.recipient)
    ):
        yield LAW_ENFORCEMENT
    agreement = terms.agreement(one)
    if agreement is not None and agreement.transparency.inform_subject != "yes":
        yield NOT_INFORMED

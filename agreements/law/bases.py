"""Does each side of a flow have the legal basis that its items need?

The rules look at what is shared, not at what is held: an item with the transform
``drop`` needs no condition, one that is masked or generalised still does.
"""

from collections.abc import Iterator
from typing import Final

from agreements.codes import code_list
from agreements.law.rule import DPA, SPECIAL, UKGDPR, Finding, FlowView, Rules
from agreements.model import LegalBasis
from schemas.catalogue import Sensitivity

RULES: Final = Rules()

_ART9: Final = code_list("article-9")
_SCHEDULE_1: Final = code_list("schedule-1")
_REGISTERS: Final = code_list("registers")
_EXTENSION: Final = 36
_PART_2: Final = 2
_CRIMINAL: Final = frozenset({Sensitivity.CRIMINAL})


def _is_general(side: LegalBasis) -> bool:
    """Whether the side processes under the UK GDPR and Part 2 of the Act."""
    return side.regime == "uk-gdpr"


@RULES.flow(
    "article-6-missing",
    "Processing under the UK GDPR needs an Article 6 basis",
    source=f"{UKGDPR}/article/6",
    legal=True,
)
def _article_6(view: FlowView) -> Iterator[Finding]:
    for name, path, side in view.sides:
        if _is_general(side) and side.art6 is None:
            yield Finding(
                path, f"expected the {name}'s Article 6 basis", "add art6, for a council mostly e"
            )


@RULES.flow(
    "annex-1",
    "A recognised legitimate interest is one of Annex 1, and goes with art6 ea",
    source="https://www.legislation.gov.uk/ukpga/2025/18/schedule/4",
)
def _annex_1(view: FlowView) -> Iterator[Finding]:
    for name, path, side in view.sides:
        if side.art6 == "ea" and side.annex1 is None:
            yield Finding(
                f"{path}.art6",
                f"expected which recognised legitimate interest the {name} has",
                "add annex1, such as safeguarding or requested-for-public-task",
            )
        if side.art6 != "ea" and side.annex1 is not None:
            yield Finding(
                f"{path}.annex1",
                f"the {name} gives an interest of Annex 1 and does not rely on art6 ea",
                "remove annex1, or set art6: ea",
            )


@RULES.flow(
    "public-authority-interests",
    "A public authority does its tasks under art6 e, not under an interest",
    source=f"{UKGDPR}/article/6",
    severity="warning",
)
def _public_authority(view: FlowView) -> Iterator[Finding]:
    parties = {party.id: party for party in view.agreement.parties}
    for (name, path, side), ids in zip(view.sides, (view.flow.from_, view.flow.to), strict=True):
        public = [
            party
            for party in ids
            if party in parties
            and any(
                _REGISTERS[known.system].more.get("public_authority")
                for known in parties[party].identifiers
            )
        ]
        if side.art6 in ("ea", "f") and public:
            yield Finding(
                f"{path}.art6",
                f"the {name} `{public[0]}` is a public authority and relies on art6 {side.art6}",
                "use e for its tasks, and a flow of its own for those who are none",
            )


@RULES.flow(
    "regime-mixed",
    "A side is under the UK GDPR or under Part 3, not under both",
    source=f"{DPA}/section/29",
    legal=True,
)
def _regime(view: FlowView) -> Iterator[Finding]:
    for name, path, side in view.sides:
        general = side.art6 or side.art9 or side.sch1 or side.art10
        if _is_general(side) and side.part3 is not None:
            yield Finding(
                f"{path}.part3",
                f"the {name} is under uk-gdpr and gives a Part 3 condition",
                "remove part3, or set regime: dpa-part-3",
            )
        if not _is_general(side) and general:
            yield Finding(
                path,
                f"the {name} is under dpa-part-3 and gives a condition of the UK GDPR",
                "remove art6, art9, art10 and sch1, or set regime: uk-gdpr",
            )


@RULES.flow(
    "part-3-missing",
    "Law-enforcement processing needs a condition of section 35",
    source=f"{DPA}/section/35",
    legal=True,
)
def _part_3(view: FlowView) -> Iterator[Finding]:
    for name, path, side in view.sides:
        if not _is_general(side) and side.part3 is None:
            yield Finding(
                path, f"expected the {name}'s section 35 condition", "add part3: {s35: task}"
            )


@RULES.flow(
    "special-category",
    "Special category items need an Article 9 condition on each side",
    source=f"{UKGDPR}/article/9",
    legal=True,
)
def _special(view: FlowView) -> Iterator[Finding]:
    item = view.first_shared(SPECIAL)
    if item is None:
        return
    for name, path, side in view.sides:
        if _is_general(side) and not side.art9:
            yield Finding(
                path,
                f"`{item.path}` is special category data and the {name} gives no art9 condition",
                "add art9, such as [h] for care or [g] for safeguarding, or take the item out",
            )


@RULES.flow(
    "sensitive-processing",
    "Sensitive processing under Part 3 needs consent or a Schedule 8 condition",
    source=f"{DPA}/section/35",
    legal=True,
)
def _sensitive(view: FlowView) -> Iterator[Finding]:
    item = view.first_shared(SPECIAL)
    if item is None:
        return
    for name, path, side in view.sides:
        if side.part3 is not None and side.part3.s35 == "task" and not side.part3.sch8:
            yield Finding(
                f"{path}.part3",
                f"`{item.path}` makes this sensitive processing and the {name} gives no sch8",
                'add part3.sch8, such as ["4"] for safeguarding, or take the item out',
            )


@RULES.flow(
    "schedule-1-missing",
    "Article 9(2)(b), (g), (h), (i) and (j) need their condition in Schedule 1",
    source=f"{DPA}/section/10",
    legal=True,
)
def _schedule_1(view: FlowView) -> Iterator[Finding]:
    for name, path, side in view.sides:
        for code in side.art9:
            paragraphs = _ART9[code].more.get("schedule_1", ())
            if paragraphs and not set(paragraphs) & set(side.sch1):
                yield Finding(
                    path,
                    f"the {name}'s art9 {code} needs a paragraph of Schedule 1",
                    f"add sch1: [{paragraphs[0]}]"
                    if len(paragraphs) == 1
                    else f"add sch1 with the paragraph ({paragraphs[0]} to {paragraphs[-1]}) met",
                )


@RULES.flow(
    "schedule-1-unknown",
    "Schedule 1 has paragraphs 1 to 4 and 6 to 37 as conditions",
    source=f"{DPA}/schedule/1",
    legal=True,
)
def _schedule_1_known(view: FlowView) -> Iterator[Finding]:
    for _, path, side in view.sides:
        for index, paragraph in enumerate(side.sch1):
            if str(paragraph) not in _SCHEDULE_1:
                yield Finding(
                    f"{path}.sch1[{index}]",
                    f"Schedule 1 has no condition in paragraph {paragraph}",
                    "use the number of the paragraph, such as 18 for safeguarding",
                )


@RULES.flow(
    "schedule-1-extension",
    "Paragraph 36 extends a condition of Part 2, which is named with it",
    source=f"{DPA}/schedule/1/paragraph/36",
    legal=True,
)
def _extension(view: FlowView) -> Iterator[Finding]:
    for name, path, side in view.sides:
        parts = [_SCHEDULE_1[str(p)].more["part"] for p in side.sch1 if str(p) in _SCHEDULE_1]
        if _EXTENSION in side.sch1 and _PART_2 not in parts:
            yield Finding(
                f"{path}.sch1",
                f"the {name} gives paragraph 36 without the condition that it extends",
                "add its paragraph (6 to 28), such as 18 for safeguarding",
            )


@RULES.flow(
    "policy-document-missing",
    "The condition asks for an appropriate policy document",
    source=f"{DPA}/schedule/1/part/4",
    legal=True,
)
def _policy_document(view: FlowView) -> Iterator[Finding]:
    for name, path, side in view.sides:
        if side.appropriate_policy_document is not None:
            continue
        needing = next((f"sch1 {p}" for p in side.sch1 if _asks_for_document(p)), None)
        if side.part3 is not None and side.part3.sch8:
            needing = "sensitive processing (section 42)"
        if needing is not None:
            yield Finding(
                path,
                f"the {name}'s {needing} needs an appropriate policy document",
                "add appropriate_policy_document with its reference",
            )


def _asks_for_document(paragraph: int) -> bool:
    code = str(paragraph)
    return code in _SCHEDULE_1 and bool(_SCHEDULE_1[code].more.get("policy_document"))


@RULES.flow(
    "criminal-offence",
    "Criminal offence items need official authority or a Schedule 1 condition",
    source=f"{UKGDPR}/article/10",
    legal=True,
)
def _criminal(view: FlowView) -> Iterator[Finding]:
    item = view.first_shared(_CRIMINAL)
    for name, path, side in view.sides:
        if item is not None and _is_general(side) and side.art10 is None:
            yield Finding(
                path,
                f"`{item.path}` is criminal offence data and the {name} gives no art10 basis",
                "add art10: official-authority, or authorised-by-law with sch1; or take it out",
            )
        if side.art10 == "authorised-by-law" and not side.sch1:
            yield Finding(
                path,
                f"the {name}'s art10 authorised-by-law needs a paragraph of Schedule 1",
                "add sch1, such as [36, 18]",
            )


@RULES.flow(
    "part-3-onward",
    "Data collected for law enforcement goes to another regime only where law authorises it",
    source=f"{DPA}/section/36",
    legal=True,
)
def _onward(view: FlowView) -> Iterator[Finding]:
    provider, recipient = view.flow.legal.provider, view.flow.legal.recipient
    part3 = provider.part3
    if _is_general(provider) or not _is_general(recipient):
        return
    if part3 is not None and not part3.authorised_by:
        yield Finding(
            f"{view.path}.legal.provider.part3",
            "the provider is under Part 3 and the recipient is not: expected the authorising law",
            "add part3.authorised_by with the legislation.gov.uk address of the section",
        )

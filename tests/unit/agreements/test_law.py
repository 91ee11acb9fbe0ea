"""Each rule of law finds what breaks it, and is content with what mends it."""

import json
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

import pytest
from agreement_texts import REMOVED, a_document, an_agreement, changed

from agreements.law import RULES, flow_faults, validate
from agreements.reading import from_document, read_with_source
from schemas.catalogue import Catalogue, EventType, shipped

Changes = Mapping[str, Any]

PROVIDER = "flows[0].legal.provider"
RECIPIENT = "flows[0].legal.recipient"
EVENTS = "flows[0].events"
ITEMS = "flows[0].items"
WHEN = "flows[0].when"
PURPOSE = "purposes[0].beyond_individual_care"
ACT = "https://www.legislation.gov.uk"
DISCHARGE = ["uk.nhs.adw.discharge-notice.v1"]
MISSING = ["uk.gov.csc.missing-episode.v1"]
HOUSING = ["uk.gov.housing.homelessness-duty.v1"]
HEALTH = {"art9": ["h"], "sch1": [2], "confidentiality": "implied-consent-direct-care"}
POLICE = {"regime": "dpa-part-3", "part3": {"s35": "task"}}


def basis(**more: Any) -> dict[str, Any]:
    """Return a side's legal basis under the UK GDPR, with more in it."""
    return {
        "regime": "uk-gdpr",
        "art6": "e",
        "gateways": [f"{ACT}/ukpga/2004/31/section/10"],
        **more,
    }


# Code of the rule: what breaks it in the valid agreement; what mends that.
CASES: dict[str, tuple[Changes, Changes]] = {
    # structure
    "dates-reversed": ({"effective.ends_at": "2026-04-01"}, {"effective.ends_at": "2026-04-02"}),
    "review-missing": (
        {"effective.review_by": REMOVED},
        {"effective.review_by": "2027-04-01"},
    ),
    "duplicate-name": ({f"{ITEMS}[2]": {"path": "childId"}}, {f"{ITEMS}[2].path": "decom"}),
    "unknown-purpose": ({"flows[0].purpose": "cure"}, {"flows[0].purpose": "care"}),
    "unknown-party": ({"flows[0].to": ["trusts"]}, {"flows[0].to": ["trust"]}),
    "direction": ({"parties[1].direction": "provides"}, {"parties[1].direction": "both"}),
    "to-itself": (
        {"flows[0].to": ["childrens"], "parties[0].direction": "both"},
        {"flows[0].to": ["trust"]},
    ),
    "unused-name": (
        {"parties[2]": {"id": "school", "role": "controller", "direction": "receives"}},
        {"flows[0].to[1]": "school"},
    ),
    "supersedes": (
        {"supersedes": {"uri": "https://sharing.example.gov.uk/agreements/test", "version": 1}},
        {"version": 2},
    ),
    "dpia-incomplete": ({"dpia.ref": REMOVED}, {"dpia.ref": "DPIA-2"}),
    "dpia-open": ({"dpia.status": "in-progress"}, {"dpia.status": "approved"}),
    "retention-missing": (
        {"retention": []},
        {
            "retention[0]": {
                "party": "trust",
                "period": "P1Y",
                "trigger": "Receipt",
                "disposal": "Deletion",
            }
        },
    ),
    "privacy-notice-missing": (
        {"transparency": {}},
        {"transparency.explanation": "Telling would warn the suspect."},
    ),
    "unknown-duty-holder": ({"rights": {"sar_lead": "school"}}, {"rights.sar_lead": "trust"}),
    "facilitator-is-owner": ({"facilitator": "childrens"}, {"facilitator": "trust"}),
    "membership-dates": (
        {"parties[0].joined_on": "2026-05-01", "parties[0].left_on": "2026-05-01"},
        {"parties[0].left_on": "2026-05-02"},
    ),
    "capacity-advises": (
        {"parties[0].capacities": ["SIRO", "DPO"]},
        {"parties[0].capacities": ["SIRO"]},
    ),
    "joint-controller-alone": (
        {"parties[0].role": "joint-controller"},
        {"parties[1].role": "joint-controller"},
    ),
    "signing-late": ({"signing": {"due": "2026-04-02"}}, {"signing.due": "2026-04-01"}),
    "change-log": (
        {"change_log": [{"version": 2, "on": "2026-03-01", "text": "More."}]},
        {"version": 2},
    ),
    # duties
    "review-interval": ({"review": {"every": "P6M"}}, {"effective.review_by": "2026-10-01"}),
    "dpia-after-start": (
        {"dpia.approved_on": "2026-04-02"},
        {"effective.starts_at": "2026-04-02"},
    ),
    "dpia-review": ({"dpia.review_by": "2026-04-01"}, {"dpia.review_by": "2026-04-02"}),
    "not-informed": (
        {"transparency.inform_subject": "no-art-14-5"},
        {"transparency.explanation": "The law already tells it."},
    ),
    "transfer-abroad": (
        {"security": {"uk_only": False}},
        {"security.handling": "Under adequacy regulations."},
    ),
    # items
    "unknown-event": ({f"{EVENTS}[1]": "uk.gov.csc.other.v1"}, {EVENTS: MISSING}),
    "schema-range": ({"flows[0].schemas": {"min": 2, "max": 1}}, {"flows[0].schemas.min": 1}),
    "schema-not-covered": ({"flows[0].schemas": {"min": 2}}, {"flows[0].schemas.min": 1}),
    "unknown-item": ({f"{ITEMS}[0].path": "childID"}, {f"{ITEMS}[0].path": "childId"}),
    "item-too-wide": (
        {EVENTS: MISSING, f"{ITEMS}[0].path": "name"},
        {f"{ITEMS}[0].path": "name.family"},
    ),
    "transform-misfit": (
        {f"{ITEMS}[0].transform": {"generalise": "year"}},
        {f"{ITEMS}[0].path": "birthDate"},
    ),
    "required-dropped": (
        {f"{ITEMS}[0]": {"path": "childId", "required": True, "transform": "drop"}},
        {f"{ITEMS}[0].transform": "pseudonym"},
    ),
    "condition-misfit": (
        {WHEN: [{"item": "addressConfidential", "equals": "no"}]},
        {f"{WHEN}[0].equals": False},
    ),
    "free-text": (
        {
            EVENTS: DISCHARGE,
            ITEMS: [{"path": "reasonForReferral"}],
            PROVIDER: basis(**HEALTH),
            RECIPIENT: basis(**HEALTH),
        },
        {f"{ITEMS}[0].free_text": True, f"{ITEMS}[0].justification": "No code says it."},
    ),
    "free-text-review": (
        {
            EVENTS: DISCHARGE,
            ITEMS: [{"path": "reasonForReferral", "free_text": True, "justification": "No code."}],
            WHEN: [{"item": "wardName", "present": True, "otherwise": "deny"}],
        },
        {f"{WHEN}[0].otherwise": "review"},
    ),
    "free-text-unneeded": (
        {f"{ITEMS}[0].free_text": True, f"{ITEMS}[0].justification": "It may be."},
        {f"{ITEMS}[0].free_text": False},
    ),
    "justification-missing": (
        {f"{ITEMS}[0].path": "homePostcode"},
        {f"{ITEMS}[0].justification": "The area decides."},
    ),
    # bases
    "article-6-missing": ({f"{RECIPIENT}.art6": REMOVED}, {f"{RECIPIENT}.art6": "c"}),
    "annex-1": ({f"{PROVIDER}.art6": "ea"}, {f"{PROVIDER}.annex1": "safeguarding"}),
    "public-authority-interests": (
        {
            f"{PROVIDER}.art6": "f",
            "parties[0].identifiers": [{"system": "gss", "value": "E08000018"}],
        },
        {"parties[0].identifiers[0].system": "charity"},
    ),
    "schedule-1-extension": ({f"{PROVIDER}.sch1": [36]}, {f"{PROVIDER}.sch1[1]": 18}),
    "regime-mixed": ({f"{RECIPIENT}.part3": {"s35": "task"}}, {RECIPIENT: POLICE}),
    "part-3-missing": (
        {RECIPIENT: {"regime": "dpa-part-3"}},
        {f"{RECIPIENT}.part3": {"s35": "task"}},
    ),
    "special-category": (
        {f"{ITEMS}[0].path": "ethnicity"},
        {
            f"{PROVIDER}.art9": ["g"],
            f"{RECIPIENT}.art9": ["g"],
        },
    ),
    "sensitive-processing": (
        {f"{ITEMS}[0].path": "ethnicity", f"{PROVIDER}.art9": ["g"], RECIPIENT: POLICE},
        {f"{RECIPIENT}.part3.sch8": ["4"]},
    ),
    "schedule-1-missing": ({f"{PROVIDER}.art9": ["g"]}, {f"{PROVIDER}.sch1": [18]}),
    "schedule-1-unknown": ({f"{PROVIDER}.sch1": [5]}, {f"{PROVIDER}.sch1": [18]}),
    "policy-document-missing": (
        {f"{PROVIDER}.sch1": [18]},
        {f"{PROVIDER}.appropriate_policy_document": "APD 7"},
    ),
    "criminal-offence": (
        {f"{ITEMS}[0].path": "legalStatus", RECIPIENT: POLICE},
        {f"{PROVIDER}.art10": "authorised-by-law", f"{PROVIDER}.sch1": [36]},
    ),
    "part-3-onward": (
        {PROVIDER: POLICE},
        {f"{PROVIDER}.part3.authorised_by": [f"{ACT}/ukpga/2004/31/section/11"]},
    ),
    "gateway-form": (
        {f"{PROVIDER}.gateways": ["https://www.example.gov.uk/act"]},
        {f"{PROVIDER}.gateways": [f"{ACT}/ukpga/1989/41/section/47"]},
    ),
    "gateway-unknown": (
        {f"{PROVIDER}.gateways": [f"{ACT}/ukpga/1989/41/section/999"]},
        {f"{PROVIDER}.gateways": [f"{ACT}/ukpga/1989/41/section/47"]},
    ),
    "gateway-missing": (
        {f"{PROVIDER}.gateways": []},
        {f"{PROVIDER}.gateways": [f"{ACT}/ukpga/1989/41/section/47"]},
    ),
    "code-not-in-force": (
        {f"{PROVIDER}.art6": "ea", "effective.starts_at": "2025-04-01"},
        {"effective.starts_at": "2026-04-01"},
    ),
    "code-ends": (
        {
            f"{PROVIDER}.gateways": [f"{ACT}/ukpga/2014/23/schedule/3"],
            "effective.starts_at": "2020-04-01",
        },
        {"effective.ends_at": "2022-07-01"},
    ),
    "term-not-in-force": (
        {"kind": "jca", "effective.starts_at": "2018-05-24"},
        {"effective.starts_at": "2018-05-25"},
    ),
    # confidence
    "confidentiality-reference": (
        {f"{PROVIDER}.confidentiality": "s251-support"},
        {f"{PROVIDER}.confidentiality_reference": "CAG 7-02(a)/2026"},
    ),
    "social-security": (
        {EVENTS: HOUSING, f"{ITEMS}[0].path": "mainApplicant.nino"},
        {f"{PROVIDER}.gateways": [f"{ACT}/ukpga/2012/5/section/131"]},
    ),
    "confidentiality-missing": (
        {EVENTS: DISCHARGE, f"{ITEMS}[0].path": "wardName"},
        {f"{PROVIDER}.confidentiality": "statute-overrides"},
    ),
    "implied-consent-beyond-care": (
        {PURPOSE: True, f"{PROVIDER}.confidentiality": "implied-consent-direct-care"},
        {f"{PROVIDER}.confidentiality": "s251-support"},
    ),
    "opt-out-not-checkable": (
        {PURPOSE: True, EVENTS: ["uk.gov.test.ward-visit.v1"], ITEMS: [{"path": "ward"}]},
        {EVENTS: DISCHARGE, ITEMS: [{"path": "wardName"}]},
    ),
    "consent-item-missing": (
        {EVENTS: DISCHARGE, "flows[0].needs_consent": True},
        {WHEN: [{"item": "consentIndicator", "equals": "Y", "otherwise": "review"}]},
    ),
}

WARD_VISIT = {
    "type": "record",
    "name": "WardVisit",
    "namespace": "uk.gov.test",
    "eventType": "uk.gov.test.ward-visit.v1",
    "revision": 1,
    "fields": [
        {
            "name": "childId",
            "type": "string",
            "identifier": "la-child-id",
            "subject": "primary",
        },
        {"name": "ward", "type": "string", "sensitivity": ["confidential-health"]},
    ],
}


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    """The shipped catalogue and a health event without an NHS number."""
    return Catalogue([*shipped(), EventType.of(json.dumps(WARD_VISIT))])


def codes(document: Mapping[str, Any], catalogue: Catalogue) -> set[str]:
    """Return the codes of everything that is found in a document."""
    return {problem.code for problem in validate(from_document(document), catalogue)}


def test_an_agreement_in_order_has_no_problem(catalogue: Catalogue) -> None:
    """The agreement that the cases start from breaks nothing, not even a warning."""
    assert validate(an_agreement(), catalogue) == []


@pytest.mark.parametrize("code", CASES)
def test_a_rule_finds_what_breaks_it_and_accepts_what_mends_it(
    code: str, catalogue: Catalogue
) -> None:
    """A rule is shown by a failing case and by the same case, mended."""
    breaks, mends = CASES[code]
    broken = changed(a_document(), breaks)
    assert code in codes(broken, catalogue)
    assert code not in codes(changed(broken, mends), catalogue)


OLD = {"effective.starts_at": "2018-05-24"}
IN_SHARED_TEXT = {
    EVENTS: DISCHARGE,
    f"{ITEMS}[0]": {"path": "reasonForReferral", "free_text": True, "justification": "No code."},
}


@pytest.mark.parametrize(
    ("code", "changes", "is_found"),
    [
        ("unknown-duty-holder", {"breach": {"ico_lead": "school"}}, True),
        ("unknown-duty-holder", {"retention[0].party": "school"}, True),
        ("code-not-in-force", {**OLD, f"{PROVIDER}.art9": ["h"]}, True),
        ("code-not-in-force", {**OLD, f"{PROVIDER}.sch1": [2]}, True),
        ("code-not-in-force", {**OLD, f"{PROVIDER}.art10": "official-authority"}, True),
        ("code-not-in-force", {"effective.starts_at": "2018-05-25"}, False),
        ("code-ends", {"effective.starts_at": "2026-04-01"}, False),
        ("annex-1", {f"{PROVIDER}.annex1": "safeguarding"}, True),
        ("annex-1", {f"{PROVIDER}.art6": "ea", f"{PROVIDER}.annex1": "crime"}, False),
        ("schedule-1-extension", {f"{PROVIDER}.sch1": [36, 2]}, True),
        ("schedule-1-extension", {f"{PROVIDER}.sch1": [30]}, False),
        (
            "public-authority-interests",
            {
                f"{RECIPIENT}.art6": "ea",
                "parties[1].identifiers": [{"system": "police-force", "value": "14"}],
            },
            True,
        ),
        ("unknown-event", {"flows[0].feedback": "uk.gov.csc.no-such.v1"}, True),
        ("unknown-event", {"flows[0].feedback": MISSING[0]}, False),
        (
            "free-text-review",
            {
                **IN_SHARED_TEXT,
                WHEN: [
                    {"item": "wardName", "present": True, "otherwise": "review"},
                    {"item": "wardName", "present": True, "otherwise": "deny"},
                ],
            },
            False,
        ),
        ("free-text-review", {**IN_SHARED_TEXT, f"{ITEMS}[0].transform": "drop"}, False),
        ("confidentiality-reference", {f"{RECIPIENT}.confidentiality": "court-order"}, True),
        ("confidentiality-reference", {f"{RECIPIENT}.confidentiality": "statute-overrides"}, False),
    ],
)
def test_a_rule_looks_at_each_place_that_it_is_about(
    code: str, changes: Changes, *, is_found: bool, catalogue: Catalogue
) -> None:
    """Both sides, every field that holds what it is about, and no other."""
    assert (code in codes(changed(a_document(), changes), catalogue)) == is_found


@pytest.mark.parametrize(
    ("field", "value", "begins"),
    [
        ("annex1", "safeguarding", "2026-02-05"),
        ("confidentiality", "s251-support", "2007-03-01"),
        ("art9", ["h"], "2018-05-25"),
        ("sch1", [2], "2018-05-25"),
        ("art10", "authorised-by-law", "2018-05-25"),
        ("part3", {"s35": "task", "sch8": ["4"]}, "2018-05-25"),
    ],
)
def test_each_code_of_a_side_is_looked_up_in_its_list(
    field: str, value: Any, begins: str, catalogue: Catalogue
) -> None:
    """A code used before its commencement is told at its place, and from that day it is not."""
    day = date.fromisoformat(begins)
    side = {"regime": "uk-gdpr", field: value}

    def places(starts_at: date) -> set[str]:
        changes = {PROVIDER: side, "effective.starts_at": starts_at.isoformat()}
        found = validate(from_document(changed(a_document(), changes)), catalogue)
        return {one.path for one in found if one.code == "code-not-in-force"}

    early = places(day - timedelta(days=1))
    assert any(path.startswith(f"{PROVIDER}.{field}") for path in early)
    assert not any(path.startswith(f"{PROVIDER}.{field}") for path in places(day))


def test_an_assurance_is_looked_up_in_its_list(catalogue: Catalogue) -> None:
    """What nobody could hold on the first day is told."""
    changes = {"flows[0].requires": ["dspt"], "effective.starts_at": "2018-03-31"}
    found = validate(from_document(changed(a_document(), changes)), catalogue)
    assert "flows[0].requires[0]" in {one.path for one in found if one.code == "code-not-in-force"}


def test_a_code_that_ends_on_the_first_day_is_told_once(catalogue: Catalogue) -> None:
    """Out of force from the start is one thing, running out on the way another."""
    gone = {
        f"{PROVIDER}.gateways": [f"{ACT}/ukpga/2014/23/schedule/3"],
        "effective.starts_at": "2022-07-01",
    }
    found = codes(changed(a_document(), gone), catalogue)
    assert "code-not-in-force" in found
    assert "code-ends" not in found


def test_every_rule_has_a_case() -> None:
    """No rule is left without a failing and a passing case, and no case without a rule."""
    assert sorted(CASES) == sorted({rule.code for rule in RULES})


def test_codes_are_unique_and_every_rule_tells_its_source() -> None:
    """A code means one rule, and each rule says where it comes from."""
    assert len({rule.code for rule in RULES}) == len(RULES)
    for rule in RULES:
        assert rule.title
        assert rule.source.startswith(("https://", "Concordat: "))
        assert (rule.of_agreement is None) != (rule.of_flow is None)


def test_the_rules_that_stop_a_flow_are_these() -> None:
    """Which rules the engine enforces is a promise, not an accident of an argument."""
    assert sorted(rule.code for rule in RULES if rule.legal) == [
        "article-6-missing",
        "code-not-in-force",
        "confidentiality-missing",
        "consent-item-missing",
        "criminal-offence",
        "free-text",
        "gateway-form",
        "implied-consent-beyond-care",
        "justification-missing",
        "opt-out-not-checkable",
        "part-3-missing",
        "part-3-onward",
        "policy-document-missing",
        "regime-mixed",
        "schedule-1-extension",
        "schedule-1-missing",
        "schedule-1-unknown",
        "sensitive-processing",
        "social-security",
        "special-category",
    ]


def test_the_rules_that_only_warn_are_these() -> None:
    """Everything else keeps an agreement from being signed."""
    assert sorted(rule.code for rule in RULES if rule.severity == "warning") == [
        "code-ends",
        "dpia-open",
        "dpia-review",
        "free-text-unneeded",
        "gateway-missing",
        "gateway-unknown",
        "privacy-notice-missing",
        "public-authority-interests",
        "retention-missing",
        "review-interval",
        "review-missing",
        "schema-not-covered",
        "signing-late",
        "transfer-abroad",
        "unused-name",
    ]


@pytest.mark.parametrize(
    "condition",
    [{"art6": "e"}, {"art9": ["g"]}, {"sch1": [18]}, {"art10": "official-authority"}],
)
def test_no_condition_of_the_uk_gdpr_goes_with_part_3(
    condition: dict[str, Any], catalogue: Catalogue
) -> None:
    """Any one of them says that the author has mixed the regimes."""
    mixed = changed(a_document(), {RECIPIENT: {**POLICE, **condition}})
    assert "regime-mixed" in codes(mixed, catalogue)


def test_only_rules_about_one_flow_decide_whether_its_bases_are_complete() -> None:
    """The engine asks flow by flow, and never refuses for a warning."""
    for rule in RULES:
        if rule.legal:
            assert rule.of_flow is not None
            assert rule.severity == "error"


@pytest.mark.parametrize("code", [rule.code for rule in RULES if rule.legal])
def test_the_engine_is_told_of_a_flow_whose_bases_are_incomplete(
    code: str, catalogue: Catalogue
) -> None:
    """What `validate` says about the legal bases, `flow_faults` says to the engine."""
    agreement = from_document(changed(a_document(), CASES[code][0]))
    found = flow_faults(agreement, agreement.flows[0], catalogue)
    assert code in {problem.code for problem in found}


def test_a_fault_of_one_flow_is_not_the_fault_of_another(catalogue: Catalogue) -> None:
    """Flows are judged apart: a sound flow runs beside one that is not."""
    sound = a_document()["flows"][0]
    faulty = {**sound, "id": "other", "items": [{"path": "ethnicity"}]}
    agreement = from_document(a_document(flows=[sound, faulty]))
    assert flow_faults(agreement, agreement.flows[0], catalogue) == []
    assert flow_faults(agreement, agreement.flows[1], catalogue) != []


def test_a_dropped_item_needs_no_condition(catalogue: Catalogue) -> None:
    """An item that never reaches the recipient is not shared."""
    dropped = {f"{ITEMS}[0]": {"path": "ethnicity", "transform": "drop"}}
    assert "special-category" not in codes(changed(a_document(), dropped), catalogue)


@pytest.mark.parametrize("transform", ["mask", "pseudonym", {"generalise": "postcode-sector"}])
def test_a_coarser_item_still_needs_its_condition(transform: Any, catalogue: Catalogue) -> None:
    """Sharing less of a special category item is still sharing it."""
    coarser = {f"{ITEMS}[0]": {"path": "ethnicity", "transform": transform}}
    assert "special-category" in codes(changed(a_document(), coarser), catalogue)


@pytest.mark.parametrize(
    ("art9", "sch1"), [("b", 1), ("g", 6), ("g", 28), ("h", 2), ("i", 3), ("j", 4)]
)
def test_each_article_9_condition_takes_its_own_paragraph(
    art9: str, sch1: int, catalogue: Catalogue
) -> None:
    """Art 9(2)(b), (h), (i), (j) take Part 1 of Schedule 1 and (g) takes Part 2."""
    given = {f"{PROVIDER}.art9": [art9], f"{PROVIDER}.sch1": [sch1]}
    assert "schedule-1-missing" not in codes(changed(a_document(), given), catalogue)
    other = {f"{PROVIDER}.art9": [art9], f"{PROVIDER}.sch1": [36]}
    assert "schedule-1-missing" in codes(changed(a_document(), other), catalogue)


@pytest.mark.parametrize("art9", ["a", "c", "d", "e", "f"])
def test_the_other_article_9_conditions_stand_alone(art9: str, catalogue: Catalogue) -> None:
    """Explicit consent, vital interests and the like need no paragraph of Schedule 1."""
    given = changed(a_document(), {f"{PROVIDER}.art9": [art9]})
    assert "schedule-1-missing" not in codes(given, catalogue)


def test_both_sides_are_checked(catalogue: Catalogue) -> None:
    """The provider's basis does not stand in for the recipient's."""
    special = {f"{ITEMS}[0].path": "ethnicity", f"{PROVIDER}.art9": ["f"]}
    found = validate(from_document(changed(a_document(), special)), catalogue)
    assert [p.path for p in found if p.code == "special-category"] == [RECIPIENT]


def test_law_enforcement_may_receive_what_a_public_task_provides(catalogue: Catalogue) -> None:
    """Part 2 to Part 3 needs no authorising law of section 36; only Part 3 to Part 2 does."""
    assert "part-3-onward" not in codes(changed(a_document(), {RECIPIENT: POLICE}), catalogue)


@pytest.mark.parametrize(
    ("condition", "fits"),
    [
        ({"item": "rne", "equals": "S"}, True),
        ({"item": "rne", "equals": 1}, False),
        ({"item": "rne", "in": ["S", "L"]}, True),
        ({"item": "rec", "not_in": ["E11"]}, True),
        ({"item": "addressConfidential", "equals": True}, True),
        ({"item": "addressConfidential", "equals": 1}, False),
        ({"item": "decom", "before": "2026-01-01"}, True),
        ({"item": "decom", "after": "2026-01-01"}, True),
        ({"item": "decom", "equals": "2026-01-01"}, True),
        ({"item": "decom", "equals": "yesterday"}, False),
        ({"item": "decom", "equals": 1}, False),
        ({"item": "rne", "before": "2026-01-01"}, False),
        ({"item": "nhsNumber", "present": True}, True),
    ],
)
def test_a_condition_compares_like_with_like(
    condition: dict[str, Any],
    fits: bool,  # noqa: FBT001  a column of the table
    catalogue: Catalogue,
) -> None:
    """A value that the item can never have is an author's mistake, not a rule."""
    found = codes(changed(a_document(), {WHEN: [condition]}), catalogue)
    assert ("condition-misfit" not in found) is fits


def test_a_condition_names_symbols_that_the_schema_has(catalogue: Catalogue) -> None:
    """An enumeration's value is checked against its symbols."""
    missing = changed(a_document(), {EVENTS: MISSING})
    good = changed(missing, {WHEN: [{"item": "missingType", "in": ["M", "A"]}]})
    bad = changed(missing, {WHEN: [{"item": "missingType", "in": ["M", "X"]}]})
    assert "condition-misfit" not in codes(good, catalogue)
    assert "condition-misfit" in codes(bad, catalogue)


@pytest.mark.parametrize("path", ["members.relationship", "supportNeeds"])
def test_a_list_is_not_compared_with_a_value(path: str, catalogue: Catalogue) -> None:
    """Which of the list's values should count cannot be said, so it is refused."""
    housing = changed(a_document(), {EVENTS: HOUSING, ITEMS: [{"path": "applicationRef"}]})
    tested = changed(housing, {WHEN: [{"item": path, "equals": "child"}]})
    assert "condition-misfit" in codes(tested, catalogue)
    present = changed(housing, {WHEN: [{"item": "supportNeeds", "present": True}]})
    assert "condition-misfit" not in codes(present, catalogue)


def test_one_power_among_the_gateways_opens_social_security_data(catalogue: Catalogue) -> None:
    """No gateway is not enough, and the others beside it do no harm."""
    nino = changed(a_document(), {EVENTS: HOUSING, f"{ITEMS}[0].path": "mainApplicant.nino"})
    power, other = f"{ACT}/ukpga/2012/5/section/131", f"{ACT}/ukpga/1996/52/section/213"
    for gateways, opens in (([], False), ([other], False), ([other, power], True)):
        given = changed(nino, {f"{PROVIDER}.gateways": gateways})
        assert ("social-security" not in codes(given, catalogue)) is opens


def test_a_gateway_that_was_repealed_is_found(catalogue: Catalogue) -> None:
    """Schedule 3 to the Care Act 2014 was omitted in 2022."""
    repealed = {f"{PROVIDER}.gateways": [f"{ACT}/ukpga/2014/23/schedule/3"]}
    assert "code-not-in-force" in codes(changed(a_document(), repealed), catalogue)


def test_a_mistyped_item_is_answered_with_the_nearest(catalogue: Catalogue) -> None:
    """The remedy names the item that was probably meant."""
    document = changed(a_document(), {f"{ITEMS}[0].path": "placementPostCode"})
    found = validate(from_document(document), catalogue)
    remedies = {problem.remedy for problem in found if problem.code == "unknown-item"}
    assert remedies == {"did you mean `placementPostcode`?"}


def test_an_unknown_event_type_hides_no_other_problem(catalogue: Catalogue) -> None:
    """What can be said without the schema is said at once."""
    document = changed(
        a_document(), {f"{EVENTS}[1]": "uk.gov.csc.other.v1", "flows[0].purpose": "cure"}
    )
    assert {"unknown-event", "unknown-purpose"} <= codes(document, catalogue)


def test_problems_stand_at_their_line_when_the_text_is_given(catalogue: Catalogue) -> None:
    """A finding of law points into the file as a finding of form does."""
    text = json.dumps(changed(a_document(), {f"{ITEMS}[1].path": "nothing"}), indent=1)
    agreement, source = read_with_source(text, name="test")
    (problem,) = validate(agreement, catalogue, source)
    assert problem.line is not None
    assert '"path": "nothing"' in text.splitlines()[problem.line - 1]


def test_errors_come_before_warnings(catalogue: Catalogue) -> None:
    """What must be mended is read first."""
    document = changed(a_document(), {"transparency": {}, f"{RECIPIENT}.art6": REMOVED})
    severities = [p.severity for p in validate(from_document(document), catalogue)]
    assert severities == ["error", "warning"]

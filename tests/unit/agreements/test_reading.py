"""An agreement is read whole, or everything wrong with it is told in words that help."""

import json
from typing import Any

import pytest
from agreement_texts import REMOVED, a_document, changed
from hypothesis import given, settings
from hypothesis import strategies as st

from agreements.canonical import canonical_form, to_document
from agreements.model import Agreement
from agreements.problems import AgreementInvalid, Problem
from agreements.reading import from_document, read_agreement

JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5),
    st.text(max_size=8),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=2),
)
PLACES = [
    "format", "id", "version", "title", "owner", "kind", "effective", "effective.starts_at",
    "classification", "purposes", "purposes[0]", "purposes[0].code", "parties", "parties[0].role",
    "flows", "flows[0]", "flows[0].events", "flows[0].schemas", "flows[0].from", "flows[0].to[0]",
    "flows[0].legal", "flows[0].legal.provider", "flows[0].legal.provider.art9",
    "flows[0].legal.provider.sch1", "flows[0].legal.provider.part3", "flows[0].when",
    "flows[0].max_age", "flows[0].items", "flows[0].items[0]", "flows[0].items[0].transform",
    "flows[0].items[0].required", "flows[0].delivery", "dpia", "dpia.status", "retention",
    "retention[0].period", "breach", "security", "transparency", "unheard_of",
]  # fmt: skip


def problems(document: Any) -> tuple[Problem, ...]:
    """Return what is wrong with a document, read as JSON with a field a line."""
    with pytest.raises(AgreementInvalid) as caught:
        read_agreement(json.dumps(document, indent=1), name="test")
    return caught.value.problems


def only_problem(path: str, value: Any) -> Problem:
    """Return the one problem of the valid agreement with one value replaced."""
    (found,) = problems(changed(a_document(), {path: value}))
    return found


def test_the_agreement_of_the_documentation_reads() -> None:
    """The YAML that the design shows is an agreement."""
    text = """
format: 1
id: https://sharing.example.gov.uk/agreements/discharge-to-adult-social-care
version: 3
title: Hospital discharge notices to adult social care
owner: rotherham-council
template: {uri: https://sharing.example.gov.uk/templates/hospital-discharge, version: 2}
effective: {starts_at: 2026-04-01, ends_at: 2028-04-01, review_by: 2027-04-01}
classification: OFFICIAL-SENSITIVE
purposes:
  - {code: assess-care-needs, text: To assess., necessity: Less would not do.}
parties:
  - {id: rotherham-nhs-ft, role: controller, direction: provides}
  - {id: rotherham-adult-social-care, role: controller, direction: receives}
flows:
  - id: discharge-notice
    events: [uk.nhs.adw.discharge-notice.v1]
    from: [rotherham-nhs-ft]
    to: [rotherham-adult-social-care]
    purpose: assess-care-needs
    legal:
      provider:
        regime: uk-gdpr
        art6: e
        art9: [h]
        sch1: [2]
        gateways: ["https://www.legislation.gov.uk/ukpga/2014/23/section/74"]
        confidentiality: implied-consent-direct-care
      recipient: {regime: uk-gdpr, art6: e, art9: [h], sch1: [2]}
    when:
      - {item: localAuthority, equals: E08000018, otherwise: deny}
      - {item: consentIndicator, in: [Y, L], otherwise: review}
    max_age: P2D
    items:
      - {path: nhsNumber}
      - {path: person.birthDate, transform: {generalise: year}}
      - {path: person.address.postcode, transform: {generalise: postcode-sector}}
      - {path: reasonForReferral, free_text: true}
    delivery: payload
dpia: {ref: DPIA-2026-014, status: approved, approved_on: 2026-03-01}
"""
    agreement = read_agreement(text, name="design")
    (flow,) = agreement.flows
    assert flow.from_ == ("rotherham-nhs-ft",)
    assert [condition.operator for condition in flow.when] == ["equals", "in"]
    assert flow.when[1].operand == ("Y", "L")
    assert agreement.effective.starts_at.isoformat() == "2026-04-01T00:00:00+00:00"
    assert canonical_form(agreement) == canonical_form(from_document(to_document(agreement)))


@pytest.mark.parametrize(
    ("path", "value", "code"),
    [
        ("format", 2, "unknown-code"),
        ("id", "ftp://example.gov.uk", "wrong-form"),
        ("id", "https://example.gov.uk/a|b", "wrong-form"),
        ("version", "1", "wrong-type"),
        ("version", 0, "out-of-range"),
        ("version", True, "wrong-type"),
        ("title", 5, "wrong-type"),
        ("title", " ", "wrong-form"),
        ("title", "x" * 201, "too-long"),
        ("title", "pay\u202eno", "invisible-character"),
        ("title", "\x1b[31mred", "invisible-character"),
        ("owner", "Anytown Council", "wrong-form"),
        ("effective.starts_at", "2026-02-30", "not-a-time"),
        ("effective.starts_at", "1 April 2026", "not-a-time"),
        ("effective.starts_at", "2026-04-01T00:00:00Z", "not-a-time"),
        ("effective.starts_at", "2026-04-01T00:00:00+01:00", "not-a-time"),
        ("classification", "SECRET", "unknown-code"),
        ("kind", "contract", "unknown-code"),
        ("purposes", [], "too-few"),
        ("parties[0].role", "owner", "unknown-code"),
        ("parties[0].direction", "sends", "unknown-code"),
        ("flows[0].events", "uk.gov.csc.cla-placement.v1", "wrong-type"),
        ("flows[0].events[0]", "cla-placement", "wrong-form"),
        ("flows[0].legal.provider.art6", "E", "unknown-code"),
        ("flows[0].legal.provider.art9", ["z"], "unknown-code"),
        ("flows[0].legal.provider.sch1", ["18"], "wrong-type"),
        ("flows[0].max_age", "2 days", "not-a-duration"),
        ("flows[0].max_age", "P0D", "not-a-duration"),
        ("flows[0].max_age", "P1Y", "not-a-duration"),
        ("flows[0].max_age", "P999999999W", "not-a-duration"),
        ("flows[0].items", [], "too-few"),
        ("flows[0].items[0].path", "person address", "wrong-form"),
        ("flows[0].items[0].transform", "hash", "unknown-transform"),
        ("flows[0].items[0].transform", {"generalise": "decade"}, "unknown-transform"),
        ("flows[0].items[0].required", "true", "wrong-type"),
        ("flows[0].delivery", "email", "unknown-code"),
        ("flows[0].when", [{"item": "a", "equals": 1, "in": [1]}], "one-operator"),
        ("flows[0].when", [{"item": "a"}], "one-operator"),
        ("flows[0].when", [{"item": "a", "equals": None}], "one-operator"),
        ("flows[0].when", [{"item": "a", "equals": {"b": 1}}], "wrong-type"),
        ("flows[0].when", [{"item": "a", "in": []}], "too-few"),
        ("flows[0].when", [{"item": "a", "before": "soon"}], "not-a-date"),
        ("flows[0].when", [{"item": "a", "present": True, "otherwise": "allow"}], "unknown-code"),
        ("retention[0].period", "seven years", "not-a-duration"),
        ("dpia", [], "wrong-type"),
        ("breach", {"partner_notice_hours": 100}, "out-of-range"),
    ],
)
def test_a_bad_value_is_one_problem_at_its_line(path: str, value: Any, code: str) -> None:
    """Each is told once, with its code, at the line of the value."""
    found = only_problem(path, value)
    assert found.code == code
    assert found.message
    assert found.remedy
    assert found.line is not None
    lines = json.dumps(changed(a_document(), {path: value}), indent=1).splitlines()
    last = path.rpartition(".")[2].partition("[")[0]
    assert last in found.path
    assert f'"{last}"' in "\n".join(lines[max(0, found.line - 5) : found.line])


def test_the_python_names_of_fields_are_not_accepted() -> None:
    """A document has one spelling, or its hash would not be that of its fields."""
    document = changed(a_document(), {"flows[0].from": REMOVED, "flows[0].from_": ["childrens"]})
    assert {found.code for found in problems(document)} == {"missing-field", "unknown-field"}
    condition = [{"item": "a", "in_": [1]}]
    found = problems(changed(a_document(), {"flows[0].when": condition}))
    assert "unknown-field" in {problem.code for problem in found}


@pytest.mark.parametrize(
    ("path", "value", "meant"),
    [
        ("efective", {}, "effective"),
        ("flows[0].item", [], "items"),
        ("flows[0].form", [], "from"),
        ("flows[0].legal.provider.article6", "e", "art6"),
        ("flows[0].items[0].require", True, "required"),
    ],
)
def test_an_unknown_field_is_answered_with_the_nearest(path: str, value: Any, meant: str) -> None:
    """A mistyped field is named, and so is the one that was probably meant."""
    found = only_problem(path, value)
    assert found.code == "unknown-field"
    assert found.path == path
    assert found.remedy == f"did you mean `{meant}`?"


@pytest.mark.parametrize(
    ("path", "value", "meant"),
    [
        ("parties[0].role", "controler", "`controller`"),
        ("flows[0].delivery", "references", "`reference`"),
        ("flows[0].items[0].transform", "pseudonim", "`pseudonym`"),
        ("flows[0].items[0].transform", {"generalise": "postcode sector"}, "postcode-sector"),
        ("flows[0].items[0].transform", "year", "{generalise: year}"),
        ("flows[0].legal.provider.confidentiality", "implied-consent", "implied-consent-direct"),
    ],
)
def test_an_unknown_code_is_answered_with_the_nearest(path: str, value: Any, meant: str) -> None:
    """A mistyped code is answered with the one that was probably meant."""
    assert meant in only_problem(path, value).remedy


def test_a_missing_field_is_told_where_it_belongs() -> None:
    """The path has the field, the line is that of the mapping it is missing from."""
    (found,) = problems(changed(a_document(), {"flows[0].purpose": REMOVED}))
    assert (found.code, found.path) == ("missing-field", "flows[0].purpose")
    assert found.remedy == "add `purpose: …`"


def test_all_problems_come_at_once_in_the_order_of_the_file() -> None:
    """One reading is enough to mend a file."""
    changes = {"title": 5, "owner": REMOVED, "dpia.status": "done", "flows[0].to": "trust"}
    found = problems(changed(a_document(), changes))
    assert {problem.code for problem in found} == {
        "wrong-type",
        "missing-field",
        "unknown-code",
    }
    assert len(found) == len(changes)
    lines = [problem.line or 0 for problem in found]
    assert lines == sorted(lines)


def test_an_empty_file_and_an_empty_mapping_are_told_what_is_expected() -> None:
    """A beginner's first file gets a list of what to write."""
    assert {p.code for p in problems({})} == {"missing-field"}
    with pytest.raises(AgreementInvalid):
        read_agreement("", name="empty")


@given(st.dictionaries(st.sampled_from(PLACES), JUNK, min_size=1, max_size=4))
@settings(max_examples=300, deadline=None)
def test_junk_anywhere_is_refused_or_kept_as_it_is(changes: dict[str, Any]) -> None:
    """Whatever is accepted is dumped as it was written, so its hash can be computed from it."""
    document = a_document()
    for path, value in changes.items():
        try:
            document = changed(document, {path: value})
        except (TypeError, KeyError, IndexError):
            continue  # an earlier change took the place away
    try:
        agreement = from_document(document)
    except AgreementInvalid as invalid:
        found = invalid.problems
    else:
        assert to_document(agreement) == document
        return
    assert found


def test_a_document_without_a_text_has_problems_without_lines() -> None:
    """Control records have no lines to point at."""
    with pytest.raises(AgreementInvalid) as caught:
        from_document({"format": 1})
    assert {problem.line for problem in caught.value.problems} == {None}


def test_an_agreement_cannot_be_changed() -> None:
    """What was signed stays as it is."""
    agreement = from_document(a_document())
    with pytest.raises(ValueError, match="frozen"):
        agreement.title = "Other"  # type: ignore[misc]
    assert isinstance(agreement, Agreement)
    assert hash(agreement.flows[0])


def test_flows_and_parties_are_found_by_their_names() -> None:
    """A name that is not there is a KeyError, not None."""
    agreement = from_document(a_document())
    assert agreement.flow("placements") is agreement.flows[0]
    assert agreement.party("trust").may_receive
    assert not agreement.party("trust").may_provide
    with pytest.raises(KeyError):
        agreement.flow("none")
    with pytest.raises(KeyError):
        agreement.party("none")


@pytest.mark.parametrize(
    "changes",
    [
        {"flows[0].needs_consent": True},
        {"flows[0].legal.provider.art6": "a"},
        {"flows[0].legal.recipient.art9": ["a"]},
        {"flows[0].legal.provider.confidentiality": "explicit-consent"},
    ],
)
def test_a_flow_knows_whether_it_rests_on_consent(changes: dict[str, Any]) -> None:
    """Said outright, or by a basis of either side that is consent."""
    assert not from_document(a_document()).flows[0].relies_on_consent
    assert from_document(changed(a_document(), changes)).flows[0].relies_on_consent

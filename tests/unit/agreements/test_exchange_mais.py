"""A MAIS SharingPolicy comes in as a draft and goes out as it came."""

import json
from pathlib import Path
from typing import Any, Final

import pytest
from agreement_texts import a_document, a_whole_document
from hypothesis import given, settings
from hypothesis import strategies as st

from agreements.exchange.mais_in import import_policy
from agreements.exchange.mais_out import export_policy
from agreements.exchange.policy_fields import FIELDS
from agreements.exchange.results import draft_text
from agreements.problems import AgreementInvalid
from agreements.source import read_source
from agreements.validating import validate_document
from schemas.catalogue import shipped

CASES: Final = Path(__file__).parents[2] / "cases/mais"
SAMPLE: Final = (CASES / "policy.json").read_text("utf-8")
STANDARD: Final = json.loads((CASES / "dsa.json").read_text("utf-8"))

# Whatever JSON can say in text; half of a surrogate pair is none.
TEXTS: Final = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)
PAIRS: Final = st.fixed_dictionaries({"value": TEXTS, "system": TEXTS})
DAYS: Final = st.dates().map(str).filter(lambda day: day < "9999-12-31")
MOMENTS: Final = st.dates().flatmap(
    lambda day: st.integers(1, 86399).map(
        lambda second: f"{day}T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}Z"
    )
)
POLICIES: Final = st.fixed_dictionaries(
    {
        "URI": TEXTS,
        "Identifier": st.fixed_dictionaries({"value": TEXTS, "System": TEXTS}),
        "Name": TEXTS,
        "Contact": TEXTS,
        "Party": st.lists(
            st.fixed_dictionaries(
                {"Name": TEXTS, "CatalogueID": st.lists(TEXTS | PAIRS, min_size=1, max_size=3)}
            ),
            min_size=1,
            max_size=4,
        ),
        "Data": st.lists(TEXTS, min_size=1, max_size=3),
        "Purpose": st.lists(TEXTS | TEXTS.map("https://x.example/{}".format), min_size=1),
        "StartDate": DAYS | MOMENTS | st.just("soon"),
        "EndDate": DAYS | MOMENTS | st.just("soon"),
        "PermittedUse": st.lists(TEXTS, min_size=1, max_size=3),
    },
    optional={
        field: st.lists(TEXTS, max_size=3) for field in FIELDS[FIELDS.index("Restrictions") :]
    },
)


def through_a_file(policy: Any) -> Any:
    """Return the policy that comes of a policy imported, written, read and exported."""
    draft = import_policy(json.dumps(policy), name="policy")
    assert draft.lost == ()
    written = read_source(draft_text(draft.document, head=["A draft."]), name="draft").data
    assert written == draft.document
    exported = export_policy(written)
    assert exported.lost == ()
    return json.loads(exported.text)


def test_the_sample_comes_back_as_it_was() -> None:
    """Import and export, field by field, nothing lost."""
    assert through_a_file(json.loads(SAMPLE)) == json.loads(SAMPLE)


@given(POLICIES)
@settings(max_examples=60, deadline=None)
def test_any_policy_comes_back_as_it_was(policy: dict[str, Any]) -> None:
    """Whatever the texts are: what fits no agreement is kept in the draft all the same."""
    assert through_a_file(policy) == policy


def test_every_field_of_the_standard_has_its_place() -> None:
    """The fields, their children and which of them must be there are those of dsa.json."""
    (entity,) = STANDARD["entities"]
    assert [field["name"] for field in entity["fields"]] == list(FIELDS)
    required = [field["name"] for field in entity["fields"] if field["cardinality"][0] == "1"]
    missing = {problem.path for problem in export_policy({"format": 1}).problems}
    assert missing == set(required)
    sample = json.loads(SAMPLE)
    for field in entity["fields"]:
        given = sample[field["name"]]
        assert isinstance(given, list) == field["cardinality"].endswith("*")
        for child in field.get("children", ()):
            assert child["name"] in (given[0] if isinstance(given, list) else given)


def test_the_sample_says_what_it_says_in_the_terms_of_an_agreement() -> None:
    """Parties with ids, purposes with codes, and the last day is inside."""
    draft = import_policy(SAMPLE, name="policy").document
    assert draft["id"] == "https://www.example.gov.uk/sharing/section-47-enquiries"
    assert draft["effective"] == {"starts_at": "2025-10-01", "ends_at": "2027-10-01"}
    assert [party["id"] for party in draft["parties"]] == [
        "anytown-council-childrens-services",
        "anytown-nhs-trust",
        "anyshire-police",
    ]
    assert [purpose["code"] for purpose in draft["purposes"]] == [
        "47",
        "to-decide-whether-a-child-is-at-risk-of-significant-harm",
    ]
    assert draft["use"]["prohibited"] == ["odrl:distribute", "odrl:sell"]


def test_a_draft_says_what_is_still_to_be_filled_in() -> None:
    """No flow, no legal basis, no owner: people add what a SharingPolicy cannot say."""
    draft = import_policy(SAMPLE, name="policy").document
    found = validate_document(draft, name="draft", catalogue=shipped())
    missing = {problem.path for problem in found.problems if problem.code == "missing-field"}
    assert {"owner", "flows", "dpia", "parties[0].role", "purposes[1].necessity"} <= missing
    assert not found.is_valid


def test_what_an_agreement_says_beyond_a_policy_is_listed() -> None:
    """Nothing is dropped silently."""
    exported = export_policy(a_whole_document())
    lost = {lost.path for lost in exported.lost}
    assert {"flows", "dpia", "retention", "parties[0].role", "purposes[0].text", "version"} <= lost
    assert exported.problems == ()
    kept = {"title", "id", "contact", "use", "effective.starts_at", "parties[0].name", "identifier"}
    assert not lost & kept


def test_what_a_policy_must_have_and_an_agreement_lacks_is_told() -> None:
    """The export is honest about its own gaps."""
    exported = export_policy(a_document())
    assert {problem.path for problem in exported.problems} == {"Contact", "PermittedUse"}
    policy = json.loads(exported.text)
    assert policy["Data"] == ["uk.gov.csc.cla-placement.v1"]
    assert policy["Identifier"] == {"value": a_document()["id"], "System": "urn:ietf:rfc:3986"}
    assert policy["EndDate"] == "2028-03-31"


def test_an_end_in_another_spelling_is_the_same_moment_and_told() -> None:
    """Midnight has one spelling in an agreement."""
    policy = {**json.loads(SAMPLE), "EndDate": "2027-10-01T01:00:00+01:00"}
    imported = import_policy(json.dumps(policy), name="policy")
    assert imported.document["effective"]["ends_at"] == "2027-10-01"
    assert [problem.code for problem in imported.problems] == ["rewritten"]


def test_a_policy_may_stand_under_its_name_and_have_single_values() -> None:
    """Both are found in the wild; they are exported in the form of the standard."""
    policy = json.loads(SAMPLE)
    bare = {**policy, "Data": policy["Data"][0], "Party": policy["Party"][0]}
    imported = import_policy(json.dumps({"SharingPolicy": bare}), name="policy")
    assert imported.document["use"]["data"] == [policy["Data"][0]]
    assert len(imported.document["parties"]) == 1


def test_parties_and_purposes_of_one_name_get_ids_of_their_own() -> None:
    """An id is one party's, whatever the names are."""
    policy = json.loads(SAMPLE)
    policy["Party"] = [{"Name": "Trust", "CatalogueID": ["a"]}] * 3
    policy["Purpose"] = ["Care!", "Care?"]
    draft = import_policy(json.dumps(policy), name="policy").document
    assert [party["id"] for party in draft["parties"]] == ["trust", "trust-2", "trust-3"]
    assert [purpose["code"] for purpose in draft["purposes"]] == ["care", "care-2"]


def test_half_an_identifier_is_told() -> None:
    """The standard asks for a value and the system that it is of."""
    policy = {**json.loads(SAMPLE), "Identifier": {"value": "17"}}
    (problem,) = import_policy(json.dumps(policy), name="policy").problems
    assert (problem.code, problem.path) == ("mais-missing", "Identifier.system")


def test_a_field_that_the_standard_does_not_know_is_listed() -> None:
    """An extension is not dropped silently."""
    policy = json.loads(SAMPLE)
    policy["Colour"] = "blue"
    policy["Party"][1]["Region"] = "North"
    lost = {lost.path for lost in import_policy(json.dumps(policy), name="policy").lost}
    assert lost == {"Colour", "Party[1].Region"}


def test_the_description_of_the_standard_makes_an_empty_draft() -> None:
    """The file that describes the fields holds no policy: everything is to be filled in."""
    imported = import_policy(json.dumps(STANDARD), name="dsa.json")
    assert imported.document == {"format": 1, "version": 1}
    assert {problem.code for problem in imported.problems} == {"mais-missing"}
    assert [lost.path for lost in imported.lost] == ["entities"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("[]", "not-a-mapping"),
        ('{"a": 1}', "not-a-policy"),
        ('{"URI": 5}', "wrong-type"),
        ('{"URI": "u", "Identifier": "i"}', "wrong-type"),
        ('{"URI": "u", "Party": ["p"]}', "wrong-type"),
        ('{"URI": "u", "Data": [{}]}', "wrong-type"),
        ('{"URI": "u", "URI": "v"}', "duplicate-key"),
        ("URI: &a u\nName: *a", "anchor"),
        ('{"URI": "', "not-yaml"),
    ],
)
def test_what_is_no_policy_is_refused_with_its_place(text: str, code: str) -> None:
    """A sentence with a line and a remedy."""
    with pytest.raises(AgreementInvalid) as caught:
        import_policy(text, name="policy.json")
    found = {problem.code: problem for problem in caught.value.problems}
    assert found[code].line == 1
    assert found[code].remedy

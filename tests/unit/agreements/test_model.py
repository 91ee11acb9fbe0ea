"""The whole of an agreement can be written down, and what is left out changes no hash."""

from typing import Any

import pytest
from agreement_texts import a_document, a_whole_document, an_agreement, changed

from agreements.canonical import canonical_form, digest, to_document
from agreements.problems import AgreementInvalid
from agreements.reading import from_document
from agreements.validating import validate_document
from agreements.values import to_duration
from schemas.catalogue import shipped


def test_a_whole_agreement_is_kept_as_it_is_written() -> None:
    """Every field that an information governance officer expects has its place."""
    document = a_whole_document()
    assert to_document(from_document(document)) == document
    assert validate_document(document, name="whole", catalogue=shipped()).problems == ()


def test_fields_that_were_added_later_leave_old_hashes_alone() -> None:
    """A text signed under an earlier release has the hash that was signed."""
    assert digest(an_agreement()) == (
        "f580d42ab3eaaeb097e6ce98031da09696790eaeba3a1b47c276ade58509f180"
    )
    assert canonical_form(an_agreement()) == canonical_form(a_document())


def test_what_is_left_out_of_an_agreement_has_a_safe_meaning() -> None:
    """Without a word about it: any signatory, no assurance asked for, held and then reviewed."""
    agreement = an_agreement()
    (flow,) = agreement.flows
    assert (flow.requires, flow.subjects, flow.feedback, flow.trigger) == ((), (), None, "event")
    assert (agreement.facilitator, agreement.document, agreement.signing.due) == (None, None, None)
    assert (agreement.suspension.hold_for, agreement.suspension.then) == ("P14D", "review")
    assert agreement.review.escalate_after == "P30D"
    party = agreement.party("trust")
    assert (party.capacities, party.joined_on, party.left_on) == ((), None, None)


@pytest.mark.parametrize(
    ("path", "value", "code"),
    [
        ("document", {"uri": "https://example.gov.uk/a.pdf", "sha256": "AB"}, "wrong-form"),
        ("facilitator", "The Facilitator", "wrong-form"),
        ("signing", {"due": "soon"}, "not-a-date"),
        ("suspension", {"hold_for": "P1M"}, "not-a-duration"),
        ("suspension", {"then": "release"}, "unknown-code"),
        ("review", {"every": "yearly"}, "not-a-duration"),
        ("evidence", {"records": "PT9H"}, "not-a-duration"),
        ("parties[0].capacities", ["siro"], "unknown-code"),
        ("parties[0].joined_on", "2026-04-31", "not-a-date"),
        ("parties[0].identifiers", [{"system": "nhs", "value": "RFR"}], "unknown-code"),
        ("flows[0].requires", ["iso-9001"], "unknown-code"),
        ("flows[0].trigger", "nightly", "unknown-code"),
        ("flows[0].feedback", "outcome", "wrong-form"),
        ("flows[0].legal.provider.annex1", "any", "unknown-code"),
        ("change_log", [{"version": 1, "on": "2026-04-01"}], "missing-field"),
    ],
)
def test_a_bad_value_of_a_later_field_is_told_like_any_other(
    path: str, value: Any, code: str
) -> None:
    """One problem, with the code of what is wrong."""
    with pytest.raises(AgreementInvalid) as caught:
        from_document(changed(a_document(), {path: value}))
    assert [problem.code for problem in caught.value.problems] == [code]


def test_a_suspension_is_held_for_an_exact_time() -> None:
    """Months have no length, so nobody could say when the holding ends."""
    assert to_duration(an_agreement().suspension.hold_for).days == 14

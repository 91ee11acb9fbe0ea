"""What `compare` says of a change, and what the engine may take from one party alone."""

import pytest
from agreement_texts import REMOVED, an_agreement
from pydantic import BaseModel

from agreements.comparing import compare, only_narrows
from agreements.comparing.parts import part_changes
from agreements.comparing.terms import TERMS
from agreements.comparing.weighing import Effect
from agreements.model import Agreement, Part

FLOW = "flows[0]"
PAIR = ("childrens", "trust")
BASE = an_agreement({f"{FLOW}.max_age": "P2D", f"{FLOW}.when": [{"item": "rec", "equals": "E1"}]})


def every_model(model: type[BaseModel] = Agreement) -> set[type[BaseModel]]:
    """Return the models that an agreement is made of."""
    found = {model}
    for field in model.model_fields.values():
        pending = [field.annotation]
        while pending:
            one = pending.pop()
            pending += list(getattr(one, "__args__", ()))
            if isinstance(one, type) and issubclass(one, BaseModel) and one not in found:
                found |= every_model(one)
    return found


def test_every_field_of_the_model_is_in_the_table() -> None:
    """A field that is added later has to say what a change of it means."""
    assert {model: set(model.model_fields) for model in every_model()} == {
        model: set(fields) for model, fields in TERMS.items()
    }


def test_a_field_that_the_table_does_not_know_widens() -> None:
    """What nobody has weighed could be either way."""

    class Unknown(Part):
        what: str

    (change,) = part_changes(Unknown(what="a"), Unknown(what="b"))
    assert change.effect is Effect.WIDENS


CASES = [
    (
        {f"{FLOW}.items[2]": {"path": "sex"}},
        "widens",
        "item-added",
        "the recipient also receives sex",
    ),
    ({f"{FLOW}.items[1]": REMOVED}, "narrows", "item-removed", "no longer receives localAuthority"),
    (
        {f"{FLOW}.items[0].transform": "mask"},
        "narrows",
        "transform-strengthened",
        "only as a mark that there is a value; before, in full",
    ),
    ({f"{FLOW}.when": []}, "widens", "condition-dropped", 'no longer a condition that rec is "E1"'),
    (
        {f"{FLOW}.when[1]": {"item": "sex", "present": True, "otherwise": "deny"}},
        "narrows",
        "condition-added",
        "sex is there and not empty; otherwise it is refused",
    ),
    (
        {f"{FLOW}.when[0].otherwise": "review"},
        "widens",
        "condition-otherwise",
        "a person decides; before, it is refused",
    ),
    ({f"{FLOW}.max_age": "PT4H"}, "narrows", "max-age-changed", "from 2 days to 4 hours"),
    ({f"{FLOW}.max_age": "PT48H"}, "rewords", "max-age-changed", "from 2 days to 48 hours"),
    ({f"{FLOW}.events[1]": "uk.gov.csc.missing-episode.v1"}, "widens", "events-added", "missing"),
    ({f"{FLOW}.schemas": {"min": 1, "max": 1}}, "narrows", "schemas-max-added", "revision"),
    ({f"{FLOW}.items[0].required": True}, "narrows", "item-required", "a person decides"),
    ({f"{FLOW}.delivery": "notify"}, "narrows", "delivery-changed", "payload"),
    ({f"{FLOW}.requires": ["dspt"]}, "narrows", "requires-added", "Data Security and Protection"),
    ({f"{FLOW}.legal.provider.art6": "c"}, "widens", "legal-provider-art6-changed", "Public task"),
    ({f"{FLOW}.to[1]": "council"}, "widens", "recipient-added", "council receives"),
    ({f"{FLOW}.text": "Words."}, "rewords", "text-added", "explanation"),
    ({"purposes[0].text": "More."}, "widens", "purposes-text-changed", '"To care." to "More."'),
    (
        {"purposes[0].beyond_individual_care": True},
        "narrows",
        "purposes-beyond-individual-care-changed",
        "opt-out",
    ),
    (
        {"parties[2]": {"id": "council", "role": "controller", "direction": "both"}},
        "widens",
        "parties-added",
        "council",
    ),
    ({"parties[1].left_on": "2027-01-01"}, "narrows", "parties-left-on-added", "1 January 2027"),
    ({"effective.ends_at": "2029-04-01"}, "widens", "effective-ends-at-changed", "1 April 2029"),
    ({"effective.starts_at": "2026-05-01"}, "narrows", "effective-starts-at-changed", "1 May 2026"),
    ({"suspension": {"then": "deny"}}, "narrows", "suspension-then-changed", "deny"),
    (
        {"security": {"onward_sharing": "with-approval"}},
        "widens",
        "security-onward-sharing-changed",
        "share onward",
    ),
    ({"retention[0].period": "P9Y"}, "widens", "retention-period-changed", "8 years to 9 years"),
    ({"retention[0].period": "P30D"}, "narrows", "retention-period-changed", "30 days"),
    ({"retention[0].period": "P2900D"}, "widens", "retention-period-changed", "2900 days"),
    ({"retention[0].period": "P7Y"}, "narrows", "retention-period-changed", "7 years"),
    ({"title": "Another"}, "rewords", "title-changed", "Another"),
]


@pytest.mark.parametrize(
    ("changes", "effect", "kind", "said"), CASES, ids=[f"{case[2]} {case[1]}" for case in CASES]
)
def test_a_change_is_told_in_a_sentence(
    changes: dict[str, object], effect: str, kind: str, said: str
) -> None:
    """Each change has its effect, its code and a sentence that says what it was and is."""
    found = [change for change in compare(BASE, _next(changes)).all if not change.is_formal]
    assert [(change.effect, change.kind) for change in found] == [(effect, kind)]
    assert said in found[0].text
    assert found[0].text.endswith(".")


def _next(changes: dict[str, object]) -> Agreement:
    before = {f"{FLOW}.max_age": "P2D", f"{FLOW}.when": [{"item": "rec", "equals": "E1"}]}
    return an_agreement(before | {"version": 2} | changes)


def test_the_same_text_changes_nothing() -> None:
    """Whoever compares a version with itself reads that nothing changes, even written at length."""
    assert compare(BASE, BASE).all == ()
    explicit = _next({"version": 1, f"{FLOW}.delivery": "payload", "security": {"uk_only": True}})
    assert compare(BASE, explicit).all == ()


def test_a_name_that_stands_twice_is_not_compared() -> None:
    """Two items of one name cannot be told apart, so that widens."""
    found = compare(BASE, _next({f"{FLOW}.items[1].path": "childId"}))
    assert [change.kind for change in found.widens] == ["unclear"]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {f"{FLOW}.items[1]": REMOVED},
        {"effective.starts_at": "2026-05-01", "effective.ends_at": "2027-05-01"},
        {f"{FLOW}.max_age": "PT4H", "supersedes": {"uri": "https://a.example", "version": 1}},
        {"change_log": [{"version": 2, "on": "2026-05-01", "text": "Less is shared."}]},
    ],
)
def test_one_party_alone_may_take_away(changes: dict[str, object]) -> None:
    """What the engine decides by, and what every version has, needs one signature."""
    assert only_narrows(BASE, _next(changes), *PAIR)


@pytest.mark.parametrize(
    "changes",
    [
        {"title": "Other words"},
        {"retention[0].period": "P7Y"},
        {"breach": {"partner_notice_hours": 1}},
        {"parties[1].capacities": ["SIRO"]},
        {f"{FLOW}.max_age": "P9D"},
        {f"{FLOW}.items[1]": REMOVED, f"{FLOW}.text": "Other words"},
        {"version": 1, f"{FLOW}.items[1]": REMOVED},
        {"id": "https://sharing.example.gov.uk/agreements/another"},
        {f"{FLOW}.items[1].path": "childId"},
    ],
)
def test_one_party_alone_puts_no_duty_or_words_into_effect(changes: dict[str, object]) -> None:
    """A widening, a duty, other words, an older version or another agreement need both."""
    assert not only_narrows(BASE, _next(changes), *PAIR)


def test_what_concerns_another_pair_does_not_stand_in_the_way() -> None:
    """A third party that joins does not keep two others from narrowing."""
    third = {"id": "council", "role": "controller", "direction": "both"}
    changed = _next({"parties[2]": third, f"{FLOW}.to[1]": "council", f"{FLOW}.items[1]": REMOVED})
    assert only_narrows(BASE, changed, *PAIR)
    assert not only_narrows(BASE, changed, "childrens", "council")


def test_an_event_type_that_is_not_known_leaves_it_unsure() -> None:
    """Without the schema nobody can say whether less is shared."""
    unknown = {f"{FLOW}.events[0]": "uk.gov.unknown.thing.v1"}
    old = an_agreement(unknown)
    assert not only_narrows(
        old, an_agreement(unknown | {"version": 2, f"{FLOW}.items[1]": REMOVED}), *PAIR
    )


def test_an_order_alone_only_rewords() -> None:
    """Lists that hold the same in another order are the same."""
    found = compare(
        BASE,
        _next({f"{FLOW}.items[0].path": "localAuthority", f"{FLOW}.items[1].path": "childId"}),
    )
    assert not found.widens
    assert not found.narrows

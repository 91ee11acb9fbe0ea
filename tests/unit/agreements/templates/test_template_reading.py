"""What a template must be, and what is said of one that is not."""

from typing import Any

import pytest
from agreement_texts import REMOVED, changed
from template_texts import a_template, template_data

from agreements.problems import AgreementInvalid, Problem
from agreements.templates.reading import is_template, read_bindings, read_template
from agreements.templates.writing import to_yaml
from schemas.catalogue import shipped


def problems_of(text: str) -> tuple[Problem, ...]:
    """Return what is wrong with a text."""
    with pytest.raises(AgreementInvalid) as refused:
        read_template(text, name="bad.yaml", catalogue=shipped())
    return refused.value.problems


def test_a_valid_template_is_read() -> None:
    """Its name is the end of its address, its link what adopted agreements hold."""
    template = a_template()
    assert template.name == "test"
    assert template.link == {"uri": "urn:concordat:templates:test", "version": 1}
    assert template.examples["trusts"] == ("first-trust", "second-trust")


def test_one_example_of_a_place_of_many_values_is_a_list_of_one() -> None:
    """So that a template's examples are always bindings."""
    data = changed(template_data(), {"places.trusts.example": "first-trust"})
    assert a_template(data).examples["trusts"] == ("first-trust",)


@pytest.mark.parametrize(
    ("changes", "code", "path"),
    [
        ({"licence": REMOVED}, "missing-field", "licence"),
        ({"licence": "proprietary"}, "literal-error", "licence"),
        ({"autor": "x"}, "unknown-field", "autor"),
        ({"version": 0}, "greater-than-equal", "version"),
        ({"uri": "not an address"}, "string-pattern-mismatch", "uri"),
        ({"places.council.kind": "person"}, "literal-error", "places.council.kind"),
        ({"places.area.example": "Oldtown"}, "wrong-binding", "places.area"),
        ({"places.area.default": "Oldtown"}, "wrong-binding", "places.area"),
        ({"places.council.example": ["a-b", "c-d"]}, "wrong-binding", "places.council.example"),
        ({"places.council": REMOVED}, "undeclared-place", "agreement.title"),
        (
            {"places.spare": {"kind": "title", "text": "x", "example": "x"}},
            "unused-place",
            "places.spare",
        ),
        ({"to_confirm[0].flow": "nowhere"}, "unknown-flow", "to_confirm[0]"),
        (
            {"agreement.template": {"uri": "urn:a:b", "version": 1}},
            "template-link",
            "agreement.template",
        ),
        ({"agreement.retention[0].trigger": "<trusts> of <others>"}, "undeclared-place", None),
        ({"agreement.dpia": REMOVED}, "missing-field", "agreement.dpia"),
        (
            {"agreement.flows[0].legal.recipient.art6": REMOVED},
            "article-6-missing",
            "agreement.flows[0].legal.recipient",
        ),
        ({"agreement": "text"}, "dict-type", "agreement"),
    ],
)
def test_what_is_wrong_is_told_with_its_place_and_a_remedy(
    changes: dict[str, Any], code: str, path: str | None
) -> None:
    """In form, in its places, and in the law of the agreement that its examples make."""
    problems = problems_of(to_yaml(changed(template_data(), changes)))
    assert code in {problem.code for problem in problems}
    for problem in problems:
        assert problem.line is not None
        assert problem.line >= 1
        assert problem.remedy
        assert problem.message
    if path is not None:
        assert path in {problem.path for problem in problems}


def test_two_places_of_many_values_in_one_element_are_refused() -> None:
    """It could not be said which of them the element is repeated for."""
    more = {"kind": "title", "text": "More", "example": "x", "many": True}
    data = changed(
        template_data(),
        {"places.more": more, "agreement.retention[0].trigger": "<more>"},
    )
    (problem,) = problems_of(to_yaml(data))
    assert problem.path == "agreement.retention[0]"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "a: &x 1\nb: *x",
        "uri: urn:a:b\nuri: urn:a:b",
        "\x00",
        "x: " + "[" * 200,
        "a: !!python/object 1",
        "format: 1\n---\nformat: 1",
    ],
)
def test_what_is_no_plain_yaml_is_refused_like_any_agreement(text: str) -> None:
    """Bombs, anchors, tags, keys twice: the same reader, the same answers."""
    assert problems_of(text)


def test_a_template_is_told_from_an_agreement() -> None:
    """By its places and by the agreement in it."""
    assert is_template(template_data())
    assert not is_template(template_data()["agreement"])
    assert not is_template([])


def test_bindings_are_texts_and_lists_of_texts() -> None:
    """A number is taken as it is written, a date stays text."""
    text = "council: a-b\ntrusts: [c-d, e-f]\nyears: 3\nday: 2026-04-01\n"
    given, source = read_bindings(text, name="b.yaml")
    assert given == {
        "council": "a-b", "trusts": ["c-d", "e-f"], "years": "3", "day": "2026-04-01",
    }  # fmt: skip
    assert source.place(("trusts",))[0] == 2


@pytest.mark.parametrize("value", ["", "null", "true", "{a: b}", "[[a]]", "[true]"])
def test_a_binding_that_is_no_text_is_told_by_line(value: str) -> None:
    """A place with nothing behind it was forgotten."""
    with pytest.raises(AgreementInvalid) as refused:
        read_bindings(f"council: a-b\narea: {value}\n", name="b.yaml")
    (problem,) = refused.value.problems
    assert (problem.line, problem.path, problem.code) == (2, "area", "wrong-binding")

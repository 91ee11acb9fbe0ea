"""Filling a template's places, and the text that comes of it."""

from functools import cache
from typing import Any

import pytest
from agreement_texts import changed
from hypothesis import given, settings
from hypothesis import strategies as st
from template_texts import VALUES, a_template, template_data

from agreements.canonical import to_document
from agreements.reading import from_document, read_agreement
from agreements.source import read_source
from agreements.templates.departing import Departure, compared, departures, meaning
from agreements.templates.filling import BindingsInvalid, adopt, bind, fill
from agreements.templates.library import shipped_templates
from agreements.templates.matching import bindings_of
from agreements.templates.model import Template
from agreements.templates.reading import read_bindings
from agreements.templates.writing import agreement_text, bindings_text

SHIPPED = sorted(shipped_templates())


def refusals(**changes: Any) -> dict[str, str]:
    """Return the codes of what is wrong with the usual bindings, changed, by place."""
    values = {name: value for name, value in {**VALUES, **changes}.items() if value is not None}
    with pytest.raises(BindingsInvalid) as refused:
        bind(a_template(), values)
    return {problem.path: problem.code for problem in refused.value.problems}


def test_an_adopted_agreement_has_the_local_values_and_the_link() -> None:
    """An element with a place of many values is there once for each of them."""
    template = a_template()
    document = adopt(template, bind(template, VALUES))
    assert document["template"] == template.link
    assert document["title"] == "Children of oldtown-council"
    assert document["flows"][0]["to"] == ["east-trust", "west-trust"]
    assert [party["id"] for party in document["parties"]] == [
        "oldtown-council",
        "east-trust",
        "west-trust",
    ]
    assert from_document(document).flows[0].when[0].equals == "E08000018"


def test_every_missing_and_unknown_binding_is_named_at_once() -> None:
    """With what belongs there and an example, or what was probably meant."""
    with pytest.raises(BindingsInvalid) as refused:
        bind(a_template(), {"counsil": "oldtown-council", "area": "E08000018"})
    found = {problem.path: problem for problem in refused.value.problems}
    assert found["counsil"].code == "unknown-binding"
    assert found["counsil"].remedy == "did you mean `council`?"
    assert {path for path, one in found.items() if one.code == "missing-binding"} == {
        "agreement",
        "council",
        "trusts",
        "notice",
    }
    assert "--bind council=" in found["council"].remedy
    assert "example-council" in found["council"].remedy


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("council", "Oldtown Council"),
        ("council", ""),
        ("council", ["a-b", "c-d"]),
        ("council", "<area>"),
        ("trusts", ["a-b", "a-b"]),
        ("trusts", ["a-b", "C D"]),
        ("area", "E0800001"),
        ("notice", "www.example.gov.uk"),
        ("notice", "https://example.gov.uk/\nx"),
        ("agreement", None),
        ("trusts", []),
    ],
)
def test_a_value_that_does_not_fit_its_place_is_refused(place: str, value: Any) -> None:
    """Nothing is adopted with half of the places right."""
    assert set(refusals(**{place: value})) == {place}


def test_a_default_stands_in_for_a_value() -> None:
    """What is mostly the same everywhere need not be written everywhere."""
    data = changed(template_data(), {"places.area.default": "E08000018"})
    template = a_template(data)
    given = {name: value for name, value in VALUES.items() if name != "area"}
    assert bind(template, given)["area"] == "E08000018"


def test_a_place_without_a_value_stays_as_it_is() -> None:
    """Filling in part leaves the rest to be seen."""
    assert fill({"a": ["<x>", "<y> and <x>"]}, {"x": "1"}) == {"a": ["1", "<y> and 1"]}


@pytest.mark.parametrize("name", SHIPPED)
def test_the_text_of_an_adopted_agreement_says_what_its_data_say(name: str) -> None:
    """And keeps the author's comments, the licence and what is to be confirmed."""
    template = shipped_templates()[name]
    values = bind(template, template.examples)
    text = agreement_text(template, values)
    assert to_document(read_agreement(text, name=name)) == adopt(template, values)
    assert "Open Government Licence v3.0" in text
    for entry in template.document.to_confirm:
        assert f"# - {entry.flow}: " in text
    body = template.text.partition("\nagreement:\n")[2]
    comments = {line.strip() for line in body.splitlines() if line.strip().startswith("#")}
    assert comments <= {line.strip() for line in text.splitlines()}


@pytest.mark.parametrize("name", SHIPPED)
def test_a_file_of_bindings_is_ready_to_be_filled_in(name: str) -> None:
    """With its examples uncommented it adopts."""
    template = shipped_templates()[name]
    lines = bindings_text(template).splitlines()
    uncommented = (line[2:] if ": " in line and line[2:3].islower() else line for line in lines)
    given, _ = read_bindings("\n".join(uncommented), name="b.yaml")
    assert bind(template, given) == template.examples


@pytest.mark.parametrize("name", SHIPPED)
def test_the_bindings_are_found_again_in_the_text(name: str) -> None:
    """An adopted agreement needs no list of them."""
    template = shipped_templates()[name]
    document = adopt(template, bind(template, template.examples))
    assert bindings_of(template, document) == template.examples
    found = compared(template, document)
    assert (found.departures, found.unfilled) == ((), ())


TITLES = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Cf", "Zl", "Zp")),
    min_size=1,
    max_size=40,
).filter(lambda text: text.strip() != "" and "<" not in text)


@cache
def a_template_with_titles() -> Template:
    """Return a template with a place for a whole title, and one in the middle of a text."""
    places = template_data()["places"]
    places["post"] = {"kind": "title", "text": "A post", "example": "SIRO"}
    places["who"] = {"kind": "title", "text": "Whose", "example": "Ours"}
    changes = {
        "agreement.dpia.approved_by": "<post>",
        "agreement.breach": {"containment": "By <who>."},
    }
    return a_template(changed(template_data(places=places), changes))


@given(title=TITLES, other=TITLES)
@settings(max_examples=60, deadline=None)
def test_whatever_is_filled_in_is_what_the_text_says(title: str, other: str) -> None:
    """Quotes, colons, hashes, numbers, dates: YAML has no way with them but as text."""
    template = a_template_with_titles()
    values = bind(template, {**VALUES, "post": title, "who": other})
    document = adopt(template, values)
    assert document["dpia"]["approved_by"] == title
    assert read_source(agreement_text(template, values), name="x").data == document


def test_local_edits_do_not_lead_the_bindings_astray() -> None:
    """A place takes what most of its occurrences say."""
    template = a_template()
    document = adopt(template, bind(template, VALUES))
    document["title"] = "Children of another-council"
    document["parties"].append({"id": "north-trust", "role": "controller", "direction": "receives"})
    assert bindings_of(template, document)["council"] == "oldtown-council"


def test_departures_are_told_by_name_and_by_what_they_mean() -> None:
    """Added, taken out and changed; wider, narrower or other words."""
    template = a_template()
    document = changed(
        adopt(template, bind(template, VALUES)),
        {
            "version": 3,
            "flows[0].items": [{"path": "childId", "transform": "pseudonym"}, {"path": "sex"}],
            "flows[0].max_age": "P2D",
            "flows[0].when": [{"item": "localAuthority", "in": ["E08000018"]}],
            "dpia.ref": "DPIA-9",
        },
    )
    found = compared(template, document)
    told = {(one.change, one.path) for one in found.departures}
    assert told == {
        ("added", "flows[placements].items[childId].transform"),
        ("removed", "flows[placements].items[localAuthority]"),
        ("added", "flows[placements].items[sex]"),
        ("added", "flows[placements].max_age"),
        ("removed", "flows[placements].when[localAuthority].equals"),
        ("removed", "flows[placements].when[localAuthority].otherwise"),
        ("added", "flows[placements].when[localAuthority].in"),
        ("changed", "dpia.ref"),
    }
    means = meaning(found.national, document)
    assert means is not None
    assert "item-added" in {change.kind for change in means.widens}
    assert "item-removed" in {change.kind for change in means.narrows}


def test_a_place_that_the_text_shows_nothing_of_is_told() -> None:
    """Then nothing is said of what departures mean, unless the value is given."""
    template = a_template()
    document = adopt(template, bind(template, VALUES))
    del document["transparency"]
    found = compared(template, document)
    assert found.unfilled == ("notice",)
    assert meaning(found.national, document) is None
    better = compared(template, document, {"notice": str(VALUES["notice"])})
    assert better.unfilled == ()
    assert [one.path for one in better.departures] == ["transparency"]


def test_the_order_of_conditions_is_a_departure_and_of_items_is_not() -> None:
    """It decides which reason is given."""
    data = template_data()
    data["agreement"]["flows"][0]["when"].append({"item": "rec", "present": False})
    template = a_template(data)
    document = adopt(template, bind(template, VALUES))
    document["flows"][0]["items"].reverse()
    assert compared(template, document).departures == ()
    document["flows"][0]["when"].reverse()
    assert [one.path for one in compared(template, document).departures] == [
        "flows[placements].when"
    ]


PATHS = st.sampled_from(
    [
        "title",
        "summary",
        "effective.ends_at",
        "purposes[0].text",
        "flows[0].max_age",
        "flows[0].items[0].transform",
        "flows[0].items[1]",
        "flows[0].from",
        "flows[0].when[0].equals",
        "retention[0].period",
        "dpia.ref",
        "transparency.privacy_notice",
        "parties[1].role",
        "breach",
    ]
)
EDITS = st.dictionaries(
    PATHS, st.sampled_from(["P7D", "mask", {"path": "sex"}, ["a-b"], {"x": 1}, True, 1]), max_size=4
)


@given(EDITS)
@settings(max_examples=200, deadline=None)
def test_every_local_edit_is_a_departure_and_nothing_else_is(edits: dict[str, Any]) -> None:
    """Nothing departs silently, and what is the same is never told."""
    template = the_template()
    national = adopt(template, bind(template, VALUES))
    local = changed(national, edits)
    found = list(departures(national, local))
    assert (found == []) == (local == national)
    assert list(departures(local, local)) == []
    back = {("added", "removed"), ("removed", "added"), ("changed", "changed")}
    for one, other in zip(
        sorted(found, key=_order), sorted(departures(local, national), key=_order), strict=True
    ):
        assert one.path == other.path
        assert (one.change, other.change) in back


def _order(departure: Departure) -> tuple[str, str]:
    sides = sorted([str(departure.national), str(departure.local)])
    return departure.path, str(sides)


@cache
def the_template() -> Template:
    """Return the usual template, read once."""
    return a_template()

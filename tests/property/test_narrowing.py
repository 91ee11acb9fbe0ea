"""What a comparison calls a narrowing permits nothing more: held against the engine."""

import random
from collections.abc import Callable
from typing import Any

import pytest
from comparing_worlds import (
    BASES,
    CATALOGUE,
    Document,
    a_document_of,
    a_pair,
    decisions,
    lies,
    outcome,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from agreements.canonical import digest
from agreements.comparing import compare, conditions, flows, items, narrowing, only_narrows
from agreements.comparing.terms import TERMS
from agreements.comparing.weighing import NARROWS, REWORDS, Members, Term
from agreements.deciding import Permit
from agreements.model import Effective, Flow, Part, SchemaRange, Suspension
from agreements.paper import to_markdown, write
from agreements.reading import from_document

PAIRS = st.builds(
    lambda chooser: a_pair(chooser.choice),
    st.randoms(use_true_random=False, note_method_calls=False),
)


@given(pair=PAIRS)
@settings(max_examples=100, deadline=None)
def test_what_narrows_never_permits_an_item_more(pair: tuple[Document, Document]) -> None:
    """Without a widening for a pair, no event gives it more; with new words only, the same."""
    assert not list(lies(*pair))


@given(pair=PAIRS)
@settings(max_examples=40, deadline=None)
def test_one_party_alone_never_puts_more_into_effect(pair: tuple[Document, Document]) -> None:
    """Where a version only narrows for a pair, it permits that pair nothing that was refused."""
    old, new = map(from_document, pair)
    before, after = decisions(pair[0]), decisions(pair[1])
    for asked, decision in after.items():
        if isinstance(decision, Permit) and only_narrows(
            old, new, asked.publisher, asked.recipient, catalogue=CATALOGUE
        ):
            former = before.get(asked)
            assert isinstance(former, Permit)
            assert set(decision.items) <= set(former.items)


@given(pair=PAIRS)
@settings(max_examples=60, deadline=None)
def test_two_agreements_that_read_the_same_decide_the_same(
    pair: tuple[Document, Document],
) -> None:
    """Whatever is decided differently is written differently, apart from the fingerprint."""
    outcomes = [
        {asked: outcome(decision) for asked, decision in decisions(one).items()} for one in pair
    ]
    if outcomes[0] != outcomes[1]:
        assert _read(pair[0]) != _read(pair[1])


def _read(document: Document) -> str:
    agreement = from_document(document | {"version": 1})
    return (
        to_markdown(write(agreement, CATALOGUE))
        .replace(digest(agreement), "")
        .rpartition("---\n\n")[0]
    )


def test_the_pairs_are_of_every_kind() -> None:
    """Among the pairs drawn are widenings, narrowings and new words, and decisions that differ."""
    kinds = set()
    differing = 0
    for seed in range(40):
        old, new = a_pair(random.Random(seed).choice)  # noqa: S311  a draw, not a secret
        found = compare(from_document(old), from_document(new), catalogue=CATALOGUE)
        kinds.add((bool(found.widens), bool(found.narrows)))
        permitted = [
            {asked for asked, decision in decisions(one).items() if isinstance(decision, Permit)}
            for one in (old, new)
        ]
        differing += permitted[0] != permitted[1]
    assert len(kinds) == 4
    assert differing >= 8


def _always(_one: Any, *_others: Any) -> bool:
    return True


def _turned(part: type[Part], field: str) -> Callable[[pytest.MonkeyPatch], None]:
    """Judge a field the other way round."""

    def break_it(monkeypatch: pytest.MonkeyPatch) -> None:
        known = TERMS[part][field]
        assert isinstance(known, Term)
        turned = Term(known.label, lambda old, new: known.judge(new, old), known.words)
        monkeypatch.setitem(TERMS[part], field, turned)

    return break_it


def _narrowed_either_way(part: type[Part], field: str) -> Callable[[pytest.MonkeyPatch], None]:
    """Call it a narrowing, whatever is added to a list or taken out of it."""

    def break_it(monkeypatch: pytest.MonkeyPatch) -> None:
        known = Members("what is required", added=NARROWS, removed=NARROWS)
        monkeypatch.setitem(TERMS[part], field, known)

    return break_it


def _patched(*places: tuple[Any, str], by: Any) -> Callable[[pytest.MonkeyPatch], None]:
    def break_it(monkeypatch: pytest.MonkeyPatch) -> None:
        for module, name in places:
            monkeypatch.setattr(module, name, by)

    return break_it


def _places(*wanted: Any, **more: Any) -> Document:
    return {"when": [{"item": "place", "in": list(wanted), **more}]}


_A: Document = {"item": "place", "equals": "A"}
_OURS: Document = {"item": "urgent", "equals": False, "otherwise": "review"}
_WITHOUT_ART9 = {"provider": dict(BASES[1]), "recipient": dict(BASES[1])}
# What is broken, how, and the flow before and after that gives it away.
BROKEN: dict[str, tuple[Callable[[pytest.MonkeyPatch], None], Document, Document]] = {
    "a condition implies any other": (
        _patched((narrowing, "implies"), (conditions, "implies"), by=_always),
        _places("A"),
        _places("A", "B"),
    ),
    "a list with a value of another type means what it says": (
        _patched((narrowing, "_is_meaningful_with"), by=_always),
        _places("A", 5),
        _places("A"),
    ),
    "true is one": (
        _patched((conditions, "is_written_alike"), by=lambda one, other: one == other),
        {"when": [{"item": "times", "equals": True}]},
        {"when": [{"item": "times", "equals": 1}]},
    ),
    "the order of conditions does not matter": (
        _patched((conditions, "reviews_no_more"), by=_always),
        {"when": [_A, _OURS]},
        {"when": [_OURS, _A]},
    ),
    "every form is weaker": (
        _patched((items, "tells_no_more"), by=_always),
        {"items": [{"path": "seen", "transform": "mask"}]},
        {"items": [{"path": "seen"}]},
    ),
    "a form that can always be made is weaker": (
        _patched((narrowing, "_is_withheld_as_often"), by=_always),
        {"items": [{"path": "born", "transform": {"generalise": "age-band"}}]},
        {"items": [{"path": "born", "transform": "mask"}]},
    ),
    "whether the legal basis is complete does not matter": (
        _patched((flows, "flow_faults"), by=lambda *_: []),
        {"legal": _WITHOUT_ART9, "items": [{"path": "times"}, {"path": "health"}]},
        {"legal": _WITHOUT_ART9, "items": [{"path": "times"}]},
    ),
    "what is not required goes unsaid": (
        _patched(
            (items._At, "_not_required"),
            by=lambda at: at._said(REWORDS, "item-not-required", ""),
        ),
        {"items": [{"path": "times"}, {"path": "place", "required": True}]},
        {"items": [{"path": "times"}]},
    ),
    "an older event narrows": (_turned(Flow, "max_age"), {"max_age": "PT2H"}, {"max_age": "P9D"}),
    "a later revision narrows": (
        _turned(SchemaRange, "max"),
        {"schemas": {"min": 1, "max": 1}},
        {"schemas": {"min": 1, "max": 2}},
    ),
    "an assurance less narrows": (
        _narrowed_either_way(Flow, "requires"),
        {"requires": ["dspt"]},
        {"requires": []},
    ),
    "consent dropped narrows": (
        _turned(Flow, "needs_consent"),
        {"needs_consent": True, "when": [{"item": "consent", "present": True}]},
        {"needs_consent": False, "when": [{"item": "consent", "present": True}]},
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_comparison_that_is_broken_on_purpose_is_noticed(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the properties ask finds a wrong judgement, and finds nothing when it is right."""
    break_it, before, after = BROKEN[name]
    old, new = a_document_of(before), a_document_of(after) | {"version": 2}
    assert not list(lies(old, new))
    break_it(monkeypatch)
    assert list(lies(old, new))


def test_what_follows_a_suspension_is_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a person decides after a suspension is more than what is refused."""
    old, new = a_document_of({}), a_document_of({}) | {"version": 2}
    old["suspension"], new["suspension"] = {"then": "deny"}, {"then": "review"}
    assert not list(lies(old, new))
    _turned(Suspension, "then")(monkeypatch)
    assert list(lies(old, new))


def test_dates_are_judged_by_what_they_let_through(monkeypatch: pytest.MonkeyPatch) -> None:
    """An agreement that ends later widens, and to say otherwise is noticed."""
    old, new = a_document_of({}), a_document_of({}) | {"version": 2}
    old["effective"] = {"starts_at": "2026-04-01", "ends_at": "2026-06-02"}
    assert not list(lies(old, new))
    _turned(Effective, "ends_at")(monkeypatch)
    assert list(lies(old, new))

"""Agreements that are sound alone may clash together, and it is told of which."""

from typing import Any

from agreement_texts import an_agreement
from hypothesis import given
from hypothesis import strategies as st

from agreements.model import Agreement
from agreements.together import Key, circle, clashes

ID = "https://sharing.example.gov.uk/agreements/"


def version(name: str, number: int, before: tuple[str, int] | None = None) -> Agreement:
    """Return a version of an agreement, and which one it supersedes."""
    changes: dict[str, Any] = {"id": f"{ID}{name}", "version": number}
    if before is not None:
        changes["supersedes"] = {"uri": f"{ID}{before[0]}", "version": before[1]}
    return an_agreement(changes)


def found(*agreements: Agreement) -> list[tuple[str, str]]:
    """Return the file and the code of each clash."""
    named = [(f"{n}.yaml", agreement) for n, agreement in enumerate(agreements)]
    return [(name, problem.code) for name, problem in clashes(named)]


def test_a_line_of_versions_is_in_order() -> None:
    """Each takes the place of the one before."""
    assert found(version("a", 1), version("a", 2, ("a", 1)), version("b", 1, ("a", 2))) == []


def test_one_id_and_version_is_one_text() -> None:
    """Which of two texts would be the one that was signed?"""
    other = an_agreement({"id": f"{ID}a", "title": "Another text"})
    assert found(version("a", 1), version("a", 1)) == []
    assert found(version("a", 1), other) == [("1.yaml", "same-version")]


def test_versions_that_supersede_each_other_are_told_once() -> None:
    """A circle has no first version to begin with."""
    agreements = (version("a", 1, ("b", 1)), version("b", 1, ("c", 4)), version("c", 4, ("a", 1)))
    assert found(*agreements) == [("0.yaml", "supersedes-circle")]
    (_, problem), *_ = clashes([("draft.yaml", agreement) for agreement in agreements])
    assert "b version 1" in problem.message
    assert problem.remedy


def test_a_circle_is_told_of_a_text_that_is_in_it() -> None:
    """Another text of the same version, outside the circle, is another problem."""
    other = an_agreement({"id": f"{ID}a", "title": "Another text"})
    agreements = (version("a", 1, ("b", 1)), version("b", 1, ("a", 1)), other)
    assert found(*agreements) == [("2.yaml", "same-version"), ("0.yaml", "supersedes-circle")]


def test_a_version_that_leads_into_a_circle_is_not_part_of_it() -> None:
    """The problem is told of those that can mend it."""
    a, b = version("a", 1, ("b", 1)), version("b", 1, ("a", 1))
    assert found(version("z", 1, ("a", 1)), a, b) == [("1.yaml", "supersedes-circle")]


def test_a_line_may_lead_to_a_version_that_nobody_has() -> None:
    """An agreement from before the scheme has no text in it."""
    assert found(version("a", 2, ("paper", 1))) == []


def test_a_line_of_ten_thousand_versions_is_followed_to_its_end() -> None:
    """Following is not recursion."""
    line: dict[Key, Key] = {("a", n): ("a", n - 1) for n in range(1, 10_000)}
    assert circle(line, ("a", 9_999)) == ()
    assert len(circle({**line, ("a", 0): ("a", 9_999)}, ("a", 9_999))) == 10_000


@given(st.dictionaries(st.integers(0, 6), st.integers(0, 6)))
def test_a_circle_is_found_exactly_where_there_is_one(links: dict[int, int]) -> None:
    """A version is in a circle when as many steps as there are versions come back to it."""
    supersedes: dict[Key, Key] = {("a", n): ("a", to) for n, to in links.items()}
    for start in range(7):
        reached: set[int | None] = set()
        at: int | None = start
        for _ in range(7):
            at = links.get(at) if at is not None else None
            reached.add(at)
        assert bool(circle(supersedes, ("a", start))) == (start in reached)

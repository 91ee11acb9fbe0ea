"""The life of a template: what the table allows, to whom, and nothing else."""

import contextlib
from datetime import UTC, datetime
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agreements.templates.library import library_table
from agreements.templates.life import (
    MOVES,
    MoveRefused,
    Standing,
    Step,
    TemplateState,
    life_table,
    moved,
    same_person,
)

PAGE = Path(__file__).parents[4] / "docs" / "using" / "templates.md"
AT = datetime(2026, 6, 1, 12, tzinfo=UTC)
AUTHOR, READER = "A. Author, IG lead, Anytown", "R. Reader, IG lead, Othertown"


def a_step(move: str, by: str = AUTHOR, text: str = "1", reason: str | None = "Because") -> Step:
    """Build a step on a text."""
    return Step(move, by, AT, text * 64, reason)


def at_state(state: TemplateState) -> Standing:
    """Return a standing that came to ``state`` by the table."""
    ways = {
        TemplateState.PROPOSED: (),
        TemplateState.CONSULTING: ("consult",),
        TemplateState.ASSURED: ("consult", "assure"),
        TemplateState.PUBLISHED: ("consult", "assure", "publish"),
        TemplateState.WITHDRAWN: ("withdraw",),
    }
    standing = moved(None, a_step("propose"))
    for move in ways[state]:
        standing = moved(standing, a_step(move, READER if move == "assure" else AUTHOR))
    assert standing.state is state
    return standing


@pytest.mark.parametrize(("state", "move"), list(product([None, *TemplateState], MOVES)))
def test_a_move_is_possible_where_the_table_has_it_and_nowhere_else(
    state: TemplateState | None, move: object
) -> None:
    """Every state against every move, by somebody who may make it."""
    name = move.name  # type: ignore[attr-defined]
    before, after = move.before, move.after  # type: ignore[attr-defined]
    standing = None if state is None else at_state(state)
    step = a_step(name, READER if name == "assure" else AUTHOR, "2" if name == "redraft" else "1")
    if (state is None and not before) or state in before:
        result = moved(standing, step)
        assert result.state is after
        assert result.steps[-1] is step
        assert Standing.from_json(result.to_json()) == result
    else:
        with pytest.raises(MoveRefused, match=name if state is None else "it is"):
            moved(standing, step)


@pytest.mark.parametrize("move", ["consult", "redraft", "publish", "withdraw"])
def test_only_its_author_moves_it_on(move: str) -> None:
    """But for comments, which anyone makes, and the assurance."""
    standing = at_state(next(m for m in MOVES if m.name == move).before[0])
    with pytest.raises(MoveRefused, match="is for"):
        moved(standing, a_step(move, READER, "2" if move == "redraft" else "1"))


@pytest.mark.parametrize("by", [AUTHOR, AUTHOR.upper(), f" {AUTHOR.replace(' ', '  ')} "])
def test_the_author_never_assures_it(by: str) -> None:
    """In whatever way the name is written."""
    assert same_person(by, AUTHOR)
    with pytest.raises(MoveRefused, match="ask somebody else"):
        moved(at_state(TemplateState.CONSULTING), a_step("assure", by))


def test_a_redraft_takes_the_assurance_away() -> None:
    """Another text was assured."""
    assured = at_state(TemplateState.ASSURED)
    assert assured.assured_by == READER
    again = moved(assured, a_step("redraft", text="2"))
    assert (again.state, again.assured_by) == (TemplateState.PROPOSED, None)
    with pytest.raises(MoveRefused):
        moved(again, a_step("publish", text="2"))


def test_a_redraft_is_another_text() -> None:
    """Otherwise it would undo an assurance for nothing."""
    with pytest.raises(MoveRefused, match="has not changed"):
        moved(at_state(TemplateState.CONSULTING), a_step("redraft"))


@pytest.mark.parametrize("move", ["consult", "assure", "publish", "withdraw"])
def test_a_move_is_about_the_text_that_stands(move: str) -> None:
    """Nobody assures or publishes what was changed behind their back."""
    standing = at_state(next(m for m in MOVES if m.name == move).before[-1])
    with pytest.raises(MoveRefused, match="another text"):
        moved(standing, a_step(move, READER if move == "assure" else AUTHOR, "2"))


@pytest.mark.parametrize("reason", [None, "", "  "])
def test_withdrawing_and_redrafting_say_why(reason: str | None) -> None:
    """Adopters read it."""
    for move in ("withdraw", "redraft"):
        with pytest.raises(MoveRefused, match="reason"):
            moved(at_state(TemplateState.PROPOSED), a_step(move, text="2", reason=reason))


def test_who_assured_it_may_withdraw_it() -> None:
    """A mistake that the reader finds need not wait for the author."""
    published = at_state(TemplateState.PUBLISHED)
    assert moved(published, a_step("withdraw", READER)).state is TemplateState.WITHDRAWN


STEPS = st.lists(
    st.builds(
        a_step,
        st.sampled_from([move.name for move in MOVES]),
        by=st.sampled_from([AUTHOR, READER, AUTHOR.lower()]),
        text=st.sampled_from("12"),
    ),
    max_size=12,
)


@given(STEPS)
@settings(max_examples=300, deadline=None)
def test_whatever_is_tried_nothing_is_published_that_nobody_else_assured(steps: list[Step]) -> None:
    """The text that is published is one that a second person has assured, as it is."""
    standing = None
    for step in steps:
        with contextlib.suppress(MoveRefused):
            standing = moved(standing, step)
    if standing is None or standing.state is not TemplateState.PUBLISHED:
        return
    assured = [step for step in standing.steps if step.move == "assure"][-1]
    assert not same_person(assured.by, standing.author)
    assert assured.sha256 == standing.steps[-1].sha256 == standing.sha256
    assert standing.assured_by == assured.by


@pytest.mark.parametrize("table", [life_table(), library_table()], ids=["life", "library"])
def test_the_tables_of_the_documentation_are_those_of_the_code(table: str) -> None:
    """docs/using/templates.md says what runs and what ships."""
    assert table in PAGE.read_text(encoding="utf-8")

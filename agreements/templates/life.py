"""The life of a template, as one table that code, documentation and tests share.

proposed → consulting → assured → published → withdrawn. What was assured is a text, known
by its SHA-256: whoever changes it starts again. People are known by what they call
themselves (name, post, organisation): a template makes nothing flow, so nothing is signed
here. What is made from it is signed by every party.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from schemas.errors import RejectedInput


class TemplateState(StrEnum):
    """Where a version of a template stands. The values are kept: never reuse one."""

    PROPOSED = "proposed"
    CONSULTING = "consulting"
    ASSURED = "assured"
    PUBLISHED = "published"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class Move:
    """One row: from which states a move leads where, who may make it, what it needs."""

    name: str
    before: tuple[TemplateState, ...]
    after: TemplateState
    who: str
    needs: str
    effect: str


_S = TemplateState
MOVES: Final[tuple[Move, ...]] = (
    Move(
        "propose",
        (),
        _S.PROPOSED,
        "anyone, who is then its author",
        "a text without errors; this version is not there yet",
        "anyone may read it; nobody may adopt it",
    ),
    Move(
        "consult",
        (_S.PROPOSED,),
        _S.CONSULTING,
        "the author",
        "nothing more",
        "comments are taken and kept with it",
    ),
    Move(
        "comment",
        (_S.CONSULTING,),
        _S.CONSULTING,
        "anyone",
        "a text",
        "the comment is kept with the text that it was made on",
    ),
    Move(
        "redraft",
        (_S.PROPOSED, _S.CONSULTING, _S.ASSURED),
        _S.PROPOSED,
        "the author",
        "a changed text of the same version, and a reason",
        "an assurance falls, comments stay",
    ),
    Move(
        "assure",
        (_S.CONSULTING,),
        _S.ASSURED,
        "anyone but the author",
        "the text that was consulted on",
        "the text is fixed by its hash",
    ),
    Move(
        "publish",
        (_S.ASSURED,),
        _S.PUBLISHED,
        "the author",
        "the text that was assured",
        "anyone may adopt it; adopters of earlier versions are listed",
    ),
    Move(
        "withdraw",
        (_S.PROPOSED, _S.CONSULTING, _S.ASSURED, _S.PUBLISHED),
        _S.WITHDRAWN,
        "the author, or who assured it",
        "a reason",
        "nobody may adopt it any more; agreements made from it keep running",
    ),
)
_BY_NAME: Final = {move.name: move for move in MOVES}
_OWN: Final = frozenset({"consult", "redraft", "publish"})
_REASONED: Final = frozenset({"redraft", "withdraw"})


class MoveRefused(RejectedInput):
    """The move is not one that this template may make now, or not by this person."""

    code = "template-move"


@dataclass(frozen=True, slots=True)
class Step:
    """A move that was made: by whom, when (aware, UTC), why, and on which text."""

    move: str
    by: str
    at: datetime
    sha256: str
    reason: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the step as JSON data."""
        at = self.at.isoformat(timespec="seconds").replace("+00:00", "Z")
        step = {"move": self.move, "by": self.by, "at": at, "sha256": self.sha256}
        return step | ({"reason": self.reason} if self.reason else {})

    @classmethod
    def from_json(cls, step: Mapping[str, Any]) -> "Step":
        """Read what `to_json` wrote."""
        at = datetime.fromisoformat(step["at"])
        return cls(step["move"], step["by"], at, step["sha256"], step.get("reason"))


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a version stands and how it came there, oldest step first."""

    state: TemplateState
    steps: tuple[Step, ...]

    @property
    def author(self) -> str:
        """Who proposed it."""
        return self.steps[0].by

    @property
    def assured_by(self) -> str | None:
        """Who assured the text as it is, if anybody did."""
        for step in reversed(self.steps):
            if step.move == "redraft":
                return None
            if step.move == "assure":
                return step.by
        return None

    @property
    def sha256(self) -> str:
        """The text as the last step had it."""
        return self.steps[-1].sha256

    def to_json(self) -> dict[str, Any]:
        """Return the standing as JSON data."""
        return {
            "state": self.state.value,
            "author": self.author,
            "assured_by": self.assured_by,
            "steps": [step.to_json() for step in self.steps],
        }

    @classmethod
    def from_json(cls, standing: Mapping[str, Any]) -> "Standing":
        """Read what `to_json` wrote."""
        steps = tuple(Step.from_json(step) for step in standing["steps"])
        return cls(TemplateState(standing["state"]), steps)


def sha256_of(text: str) -> str:
    """Return the SHA-256 of a template's text, as hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def moved(standing: Standing | None, step: Step) -> Standing:
    """Return where a version stands after ``step``; raises MoveRefused.

    ``standing`` is None for a version that is not there yet.
    """
    move = _BY_NAME[step.move]
    _check_state(standing, move)
    if move.name in _REASONED and not (step.reason or "").strip():
        raise MoveRefused(f"`{move.name}` needs a reason: say why")
    if standing is None:
        return Standing(move.after, (step,))
    _check_person(standing, move, step.by)
    is_same = step.sha256 == standing.sha256
    if move.name == "redraft" and is_same:
        raise MoveRefused("the text has not changed: redraft with another one")
    if move.name != "redraft" and not is_same:
        raise MoveRefused(f"`{move.name}` is about another text: look at it again, then `redraft`")
    return Standing(move.after, (*standing.steps, step))


def _check_state(standing: Standing | None, move: Move) -> None:
    if standing is None and move.before:
        raise MoveRefused(f"`{move.name}` needs a template that was proposed: propose it first")
    if standing is None or standing.state in move.before:
        return
    allowed = [one.name for one in MOVES if standing.state in one.before]
    now = f"now: {', '.join(allowed)}" if allowed else "nothing can follow: propose a new version"
    raise MoveRefused(f"it is {standing.state}, and `{move.name}` is not possible then; {now}")


def _check_person(standing: Standing, move: Move, by: str) -> None:
    is_author = same_person(by, standing.author)
    if move.name in _OWN and not is_author:
        raise MoveRefused(f"`{move.name}` is for its author, {standing.author}")
    if move.name == "assure" and is_author:
        raise MoveRefused("the author cannot assure it: ask somebody else to read it")
    assured_by = standing.assured_by
    is_assurer = assured_by is not None and same_person(by, assured_by)
    if move.name == "withdraw" and not (is_author or is_assurer):
        who = standing.author if assured_by is None else f"{standing.author} or {assured_by}"
        raise MoveRefused(f"`withdraw` is for {who}")


def same_person(one: str, other: str) -> bool:
    """Whether two people are written alike but for case and spaces."""
    return " ".join(one.split()).casefold() == " ".join(other.split()).casefold()


def life_table() -> str:
    """Return the table in Markdown, as the documentation has it."""
    lines = [
        "| move | from | to | who | what it needs | then |",
        "|---|---|---|---|---|---|",
    ]
    for move in MOVES:
        before = ", ".join(move.before) or "nothing"
        cells = (f"`{move.name}`", before, move.after, move.who, move.needs, move.effect)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"

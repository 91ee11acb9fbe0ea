"""What is wrong with an agreement, where, and what would mend it."""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

from schemas.errors import RejectedInput

_LONGEST_WORD = 100  # comparing takes the product of the lengths

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding. ``line`` and ``column`` count from 1 and are None without a source text.

    ``path`` names the place as ``flows[0].items[2].path``; it is empty for the document.
    """

    code: str
    severity: Severity
    line: int | None
    column: int | None
    path: str
    message: str
    remedy: str

    def to_json(self) -> dict[str, str | int | None]:
        """Return the form of ``agreement validate --json``."""
        return {
            "code": self.code,
            "severity": self.severity,
            "line": self.line,
            "path": self.path,
            "message": self.message,
            "remedy": self.remedy,
        }

    def __str__(self) -> str:
        where = "" if self.line is None else f"line {self.line}, column {self.column}: "
        path = f"{self.path}: " if self.path else ""
        return f"{where}{path}{self.message}; {self.remedy} [{self.code}]"


class AgreementInvalid(RejectedInput):
    """The text is not an agreement; ``problems`` lists everything that was found."""

    code = "agreement-invalid"

    def __init__(self, name: str, problems: Iterable[Problem]) -> None:
        self.name = name
        self.problems = tuple(problems)
        errors = [problem for problem in self.problems if problem.severity == "error"]
        found = "\n".join(f"  {problem}" for problem in errors)
        plural = "" if len(errors) == 1 else "s"
        super().__init__(f"{name} has {len(errors)} problem{plural}\n{found}")


def nearest(given: str, known: Iterable[str]) -> str | None:
    """Return the known word that ``given`` was probably meant to be."""
    if len(given) > _LONGEST_WORD:
        return None
    close = get_close_matches(given.lower(), (words := {w.lower(): w for w in known}), n=1)
    return words[close[0]] if close else None

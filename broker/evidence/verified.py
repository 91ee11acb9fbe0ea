"""What came of verifying a log or an export: the problems, and what was counted."""

from dataclasses import dataclass, field
from typing import Any, Final

MOST_PROBLEMS: Final = 1000


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is not as it was signed. ``record`` is its index, where it is one's."""

    code: str
    message: str
    record: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it for a machine."""
        return {"code": self.code, "record": self.record, "message": self.message}


class Enough(Exception):
    """There are so many problems that nothing more is to be learnt."""


@dataclass(slots=True)
class Verified:
    """What came of it: the log verifies when there is no problem.

    ``witnesses`` has how many entries each vouches for; ``shredded`` counts records by the
    rule that they were shredded under; ``left_out`` are those of other times than an export
    is of; ``counts`` is what else was counted.
    """

    records: int = 0
    checkpoints: int = 0
    witnesses: dict[str, int] = field(default_factory=dict)
    shredded: dict[str, int] = field(default_factory=dict)
    left_out: int = 0
    problems: list[Problem] = field(default_factory=list)
    counts: dict[str, Any] = field(default_factory=dict)

    @property
    def is_verified(self) -> bool:
        """Whether everything is as it was signed."""
        return not self.problems

    def find(self, code: str, message: str, record: int | None = None) -> None:
        """Add a problem.

        Raises:
            Enough: that makes `MOST_PROBLEMS`.

        """
        self.problems.append(Problem(code, message, record))
        if len(self.problems) >= MOST_PROBLEMS:
            raise Enough

    def to_json(self) -> dict[str, Any]:
        """Return it for a machine."""
        return {
            "verified": self.is_verified,
            "records": self.records,
            "checkpoints": self.checkpoints,
            "shredded": sum(self.shredded.values()),
            "problems": [problem.to_json() for problem in self.problems],
            "shredded_under": self.shredded,
            "left_out": self.left_out,
            "witnesses": self.witnesses,
            **self.counts,
        }

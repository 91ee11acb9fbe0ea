"""A change from one version of an agreement to another, in a sentence."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from agreements.comparing.weighing import NARROWS, REWORDS, WIDENS, Effect


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that changed, and which way it goes.

    ``kind`` is a stable code. A change of a flow names it, the recipient whom it
    concerns and the publishers; a change of what a party is or owes names the party;
    others concern everybody. ``path`` is the place in the new document, or in the old
    one when the thing is gone. ``runs``: the engine decides by it; ``is_formal``: every
    new version has it.
    """

    effect: Effect
    kind: str
    path: str
    text: str
    flow: str | None = None
    recipient: str | None = None
    publishers: tuple[str, ...] = ()
    party: str | None = None
    runs: bool = False
    is_formal: bool = False

    def concerns(self, publisher: str, recipient: str) -> bool:
        """Whether it touches what this publisher shares with this recipient."""
        if self.flow is not None:
            return self.recipient == recipient and publisher in self.publishers
        return self.party in (None, publisher, recipient)

    def to_json(self) -> dict[str, Any]:
        """Return what `agreement diff --json` prints."""
        return {
            "kind": self.kind,
            "path": self.path,
            "text": self.text,
            "flow": self.flow,
            "recipient": self.recipient,
            "publishers": list(self.publishers),
            "party": self.party,
            "decided_by_engine": self.runs,
        }


@dataclass(frozen=True, slots=True)
class Comparison:
    """Every change, by which way it goes, in the order of the document."""

    widens: tuple[Change, ...]
    narrows: tuple[Change, ...]
    rewords: tuple[Change, ...]

    @classmethod
    def of(cls, changes: Iterable[Change]) -> "Comparison":
        """Sort changes by effect."""
        found = tuple(changes)
        return cls(*(tuple(c for c in found if c.effect is e) for e in (WIDENS, NARROWS, REWORDS)))

    @property
    def all(self) -> tuple[Change, ...]:
        """Every change."""
        return self.widens + self.narrows + self.rewords

    def to_json(self) -> dict[str, Any]:
        """Return what `agreement diff --json` prints."""
        return {
            "widens": [change.to_json() for change in self.widens],
            "narrows": [change.to_json() for change in self.narrows],
            "rewords": [change.to_json() for change in self.rewords],
        }


def sentence(place: str, text: str) -> str:
    """Return a sentence about a place, with a capital and a full stop."""
    whole = f"{place}: {text}" if place else text
    return f"{whole[:1].upper()}{whole[1:]}."

"""A departure of traffic from an agreement, in a sentence, with what to do about it."""

from dataclasses import dataclass
from typing import Any, Final

from agreements.candidates import Candidate
from agreements.checking import Refusal
from agreements.drift.traffic import Way, Why
from agreements.words import condition

LEAST_EVENTS: Final = 10
"""Of fewer, that something never occurs says nothing."""

PLACES: Final = tuple(f"when[{number}]" for number in range(64))
"""How evidence names the conditions of a flow, in their order."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One departure. ``code`` is stable; ``events`` is how many it rests on.

    Without an agreement (``agreement`` empty) it is about events that none covers.
    ``place`` is the item or the condition, such as ``when[0]``.
    """

    code: str
    text: str
    remedy: str
    events: int = 0
    examples: tuple[str, ...] = ()
    agreement: str = ""
    version: int = 0
    flow: str = ""
    publisher: str = ""
    event_type: str = ""
    recipient: str = ""
    place: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the form of ``agreement drift --json``."""
        names = ("code", "agreement", "version", "flow", "publisher", "event_type", "recipient")
        told: dict[str, Any] = {name: getattr(self, name) for name in names}
        return told | {
            "place": self.place,
            "events": self.events,
            "examples": list(self.examples),
            "text": self.text,
            "remedy": self.remedy,
        }


def way_of(candidate: Candidate) -> Way:
    """Return the way that a candidate is of."""
    return Way(
        candidate.agreement_id,
        candidate.flow.id,
        candidate.publisher,
        candidate.event_type,
        candidate.recipient,
    )


def finding_on(candidate: Candidate, code: str, text: str, remedy: str, **more: Any) -> Finding:
    """Make a finding on a flow in force."""
    return Finding(
        code,
        text,
        remedy,
        agreement=candidate.agreement_id,
        version=candidate.version,
        flow=candidate.flow.id,
        publisher=candidate.publisher,
        event_type=candidate.event_type,
        recipient=candidate.recipient,
        **more,
    )


def says(candidate: Candidate) -> str:
    """Return what the agreement says of a flow, as the beginning of a sentence."""
    return (
        f"The agreement “{candidate.agreement.title}” (version {candidate.version}) says that"
        f" {candidate.recipient} gets {candidate.event_type} from {candidate.publisher}"
        f" (flow {candidate.flow.id})"
    )


def in_words(candidate: Candidate, why: Why) -> str:
    """Return a reason for a reader: a condition by what it says."""
    if why.reason == Refusal.CONDITION_NOT_MET and why.detail in PLACES:
        number = PLACES.index(why.detail)
        if number < len(candidate.flow.when):
            return f"its condition that {condition(candidate.flow.when[number])}"
    if why.reason == Refusal.SUSPENDED:
        return "a suspension that stands"
    return f"{why.reason} {why.detail}".strip()


def counted(number: int) -> str:
    """Return a number of events in words."""
    return f"{number:,} event{'s'[: number != 1]}"

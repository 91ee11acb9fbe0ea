"""The table of an agreement's moves: from where to where, by whose word, and what must be true.

Each row is one kind of signed statement, or the clock. `docs/using/lifecycle.md` is
generated from here, and the tests hold the engine against it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from agreements.signatures import SignatureType


class State(StrEnum):
    """Where a version of an agreement is in its life."""

    DRAFT = "draft"
    CONSULTING = "consulting"
    ASSURED = "assured"
    SIGNED = "signed"
    IN_FORCE = "in-force"
    UNDER_REVIEW = "under-review"
    SUSPENDED = "suspended"
    EXPIRED = "expired"
    TERMINATED = "terminated"
    SUPERSEDED = "superseded"


class Who(StrEnum):
    """Whose word moves it."""

    OWNER = "the owner"
    FACILITATOR = "the facilitator, who is never the owner"
    PARTY = "any party, for itself"
    SUSPENDER = "the party that suspended it"
    CLOCK = "time"


class Need(StrEnum):
    """What must be true before a move, as it is told; `asking` checks each."""

    REASON = "a reason is given"
    CAPACITY = "the signatory signs in a capacity that the text asks of the party, if it asks any"
    ACTIVE = "the scheme lets the party take part"
    NOT_REVOKED = "the party has not revoked this version: that is final"
    ACCEPTED = "the party has accepted this version, or it is in force for the party"
    STANDING = "it names, by its id, a suspension of that party that stands"
    LATER_REVIEW = "the next review, if a date is given, is after this one"
    STARTED = "`effective.starts_at` is reached, and both parties of the pair have joined"
    ENDED = "`effective.ends_at` is reached; for a pair, one of the two has left"
    TAKEN_OVER = (
        "a later version that both accepted has started, or one that a party accepted and that"
        " only narrows"
    )


@dataclass(frozen=True, slots=True)
class Move:
    """One row. ``to`` is None where the state stays; ``says`` is None for the clock."""

    says: SignatureType | None
    from_: tuple[State, ...]
    to: State | None
    who: Who
    needs: tuple[Need, ...]
    effect: str

    def to_json(self) -> dict[str, Any]:
        """Return the row as JSON values; ``says`` is null for the clock, ``to`` for no change."""
        return {
            "from": [state.value for state in self.from_],
            "to": None if self.to is None else self.to.value,
            "says": None if self.says is None else self.says.value,
            "who": self.who.value,
            "needs": [need.value for need in self.needs],
            "effect": self.effect,
        }


ROUTING: Final[Mapping[State, tuple[str, str]]] = {
    State.DRAFT: ("not-signed", "nothing flows; it can be tried on past traffic"),
    State.CONSULTING: ("not-signed", "nothing flows; it can be tried on past traffic"),
    State.ASSURED: ("not-signed", "nothing flows; it can be tried on past traffic"),
    State.SIGNED: ("not-yet-in-force", "nothing flows before it starts"),
    State.IN_FORCE: ("permit", "events flow"),
    State.UNDER_REVIEW: ("permit", "events flow as before"),
    State.SUSPENDED: (
        "suspended",
        "events are held for `suspension.hold_for`, and then it is as `suspension.then` says",
    ),
    State.EXPIRED: ("expired", "events are denied"),
    State.TERMINATED: ("revoked", "events to and from the party that revoked are denied"),
    State.SUPERSEDED: ("superseded", "the version that took over decides"),
}
"""What the engine answers in each state, as its reason code, and in words."""

_UNSIGNED: Final = (State.DRAFT, State.CONSULTING, State.ASSURED)
_RUNNING: Final = (State.IN_FORCE, State.UNDER_REVIEW)
_LIVE: Final = (State.SIGNED, *_RUNNING, State.SUSPENDED)

MOVES: Final = (
    Move(
        SignatureType.CONSULT,
        (State.DRAFT,),
        State.CONSULTING,
        Who.OWNER,
        (),
        "none",
    ),
    Move(
        SignatureType.ASSURE,
        (State.DRAFT, State.CONSULTING),
        State.ASSURED,
        Who.FACILITATOR,
        (),
        "none",
    ),
    Move(
        SignatureType.ACCEPT,
        (*_UNSIGNED, *_LIVE),
        State.SIGNED,
        Who.PARTY,
        (Need.CAPACITY, Need.ACTIVE, Need.NOT_REVOKED),
        "pair by pair: once both parties of a flow have accepted the same text it is signed",
    ),
    Move(
        SignatureType.REJECT,
        (*_UNSIGNED, *_LIVE),
        None,
        Who.PARTY,
        (Need.REASON,),
        "nothing flows to or from the party under this version, until it accepts",
    ),
    Move(
        None,
        (State.SIGNED,),
        State.IN_FORCE,
        Who.CLOCK,
        (Need.STARTED,),
        "events flow",
    ),
    Move(
        SignatureType.REVIEW,
        (*_RUNNING, State.SUSPENDED),
        State.UNDER_REVIEW,
        Who.PARTY,
        (Need.REASON,),
        "none: events flow as before",
    ),
    Move(
        SignatureType.REVIEWED,
        _LIVE,
        State.IN_FORCE,
        Who.PARTY,
        (Need.LATER_REVIEW,),
        "none",
    ),
    Move(
        SignatureType.SUSPEND,
        tuple(State),
        State.SUSPENDED,
        Who.PARTY,
        (Need.REASON,),
        "every flow of the agreement, under every version, is held",
    ),
    Move(
        SignatureType.RESUME,
        tuple(State),
        State.IN_FORCE,
        Who.SUSPENDER,
        (Need.REASON, Need.STANDING),
        "when no other suspension stands it is as before; what was held is decided again "
        "(`release`) or given up (`purge`)",
    ),
    Move(
        SignatureType.REVOKE,
        (*_UNSIGNED, *_LIVE),
        State.TERMINATED,
        Who.PARTY,
        (Need.REASON, Need.NOT_REVOKED, Need.ACCEPTED),
        "nothing flows to or from the party from its effective time on; the others go on",
    ),
    Move(
        None,
        _LIVE,
        State.EXPIRED,
        Who.CLOCK,
        (Need.ENDED,),
        "events are denied",
    ),
    Move(
        None,
        _LIVE,
        State.SUPERSEDED,
        Who.CLOCK,
        (Need.TAKEN_OVER,),
        "the next version decides from that millisecond on: no gap, no overlap",
    ),
)
"""Every move there is. INVARIANT: each type of statement has exactly one row."""


def move_of(says: SignatureType) -> Move:
    """Return the row of a type of statement."""
    return next(move for move in MOVES if move.says is says)

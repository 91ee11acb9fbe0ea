"""What somebody should look after before it stops a flow, or because it is overdue."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from agreements.candidates import NEVER_US, from_us, to_us
from agreements.flows import assured_periods
from agreements.lifecycle.moves import State
from agreements.lifecycle.reviewing import Reviewing
from agreements.lifecycle.tracking import SignOff
from agreements.model import Agreement
from agreements.signed import Version
from agreements.telling import rfc3339
from agreements.values import to_duration
from schemas.control import Party

NOTICE: Final = timedelta(days=30)
"""How long before a flow stops by itself its parties are warned."""

_LIVE: Final = (State.SIGNED, State.IN_FORCE, State.UNDER_REVIEW, State.SUSPENDED)
_OVER: Final = (State.SUPERSEDED, State.EXPIRED, State.TERMINATED)


WARNINGS: Final[Mapping[str, str]] = {
    "review-overdue": "the review is due: nothing stops",
    "review-escalated": "it has been due for `review.escalate_after`: still nothing stops",
    "assurance-lapses": "a recipient's assurance that a flow requires ends within 30 days",
    "assurance-lapsed": "a recipient's assurance that a flow requires has ended: the flow stopped",
    "ends-soon": "the agreement ends within 30 days",
    "revoked-from": "a party has revoked it from a time to come",
    "signature-late": "a party has not answered by the end of the day `signing.due`",
}
"""Each code and when it is given. They are in what programs read: never reuse one."""


@dataclass(frozen=True, slots=True)
class Warned:
    """One thing to look after: a code of `WARNINGS`, whom it is about, and a sentence."""

    code: str
    party: str | None
    text: str


def warnings_of(  # noqa: PLR0913  each is what one of them looks at
    text: Agreement,
    version: Version,
    state: State,
    sign_offs: tuple[SignOff, ...],
    reviewing: Reviewing,
    *,
    at: int,
    parties: Mapping[str, Party],
) -> tuple[Warned, ...]:
    """Return the warnings on a version at ``at``, the most urgent kind first."""
    found: list[Warned] = []
    if state in _LIVE:
        found += _on_review(text, reviewing, at)
        found += _on_assurances(text, parties, at)
        found += _on_the_end(text, version, at)
    if state not in _OVER:
        found += _late(sign_offs)
    return tuple(found)


def _on_review(text: Agreement, reviewing: Reviewing, at: int) -> Iterator[Warned]:
    due = reviewing.due_at
    if due is None or at < to_us(due):
        return
    day = due.date().isoformat()
    to = "" if text.review.to is None else f": turn to {text.review.to.post}"
    if at >= to_us(due) + to_duration(text.review.escalate_after) // timedelta(microseconds=1):
        yield Warned("review-escalated", text.owner, f"the review due on {day} is long overdue{to}")
    else:
        yield Warned("review-overdue", text.owner, f"the review due on {day} is overdue{to}")


def _on_assurances(text: Agreement, parties: Mapping[str, Party], at: int) -> Iterator[Warned]:
    asked = dict.fromkeys(
        (recipient, kind) for flow in text.flows for recipient in flow.to for kind in flow.requires
    )
    for recipient, kind in asked:
        until = _held_until(assured_periods(parties.get(recipient), kind), at)
        if until is None:
            yield Warned(
                "assurance-lapsed",
                recipient,
                f"{recipient} does not hold {kind}: flows to it that require it have stopped",
            )
        elif until - at <= _us(NOTICE):
            day = from_us(until - 1).date().isoformat()
            yield Warned(
                "assurance-lapses", recipient, f"{recipient} holds {kind} until {day} only"
            )


def _held_until(periods: tuple[tuple[int, int], ...], at: int) -> int | None:
    """Return until when it is held without a break; None when it is not held now."""
    until: int | None = None
    for starts, ends in sorted(periods):
        if starts <= (at if until is None else until) < ends:
            until = ends
    return until


def _on_the_end(agreement: Agreement, version: Version, at: int) -> Iterator[Warned]:
    ends = to_us(agreement.effective.ends_at)
    if at < ends <= at + _us(NOTICE):
        day = agreement.effective.ends_at.date().isoformat()
        yield Warned("ends-soon", None, f"the agreement ends on {day}; nothing flows from then on")
    for role in agreement.parties:
        since = version.revoked_from_us(role.id)
        if at < since < NEVER_US:
            text = f"{role.id} has revoked it from {rfc3339(since)} on"
            yield Warned("revoked-from", role.id, text)


def _late(sign_offs: tuple[SignOff, ...]) -> Iterator[Warned]:
    for one in sign_offs:
        if one.is_late:
            yield Warned(
                "signature-late", one.party, f"{one.party} has not answered, and it is overdue"
            )


def _us(length: timedelta) -> int:
    return length // timedelta(microseconds=1)

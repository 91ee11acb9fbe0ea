"""Whether a party may make a statement now: asked before it is taken in.

Not what keeps anything from flowing: the engine believes no statement because it was
taken in. This is for people, so that what would have no effect, or another one than was
meant, is not signed and forgotten.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar, Final

from agreements.candidates import NEVER_US, to_us
from agreements.lifecycle.moves import Need, State, Who, move_of
from agreements.lifecycle.standing import Status, state_of
from agreements.model import Agreement
from agreements.signatures import SignatureType, Statement
from agreements.signed import Narrowings, Version, revoked_from_us
from agreements.telling import rfc3339
from schemas.control import Party
from schemas.errors import RejectedInput

AHEAD: Final = timedelta(minutes=5)
"""How far the clock of a signer may be ahead of ours."""


class MoveRefused(RejectedInput):
    """The statement may not be made now; the message says why and what to do."""

    code: ClassVar[str] = "move-refused"


@dataclass(frozen=True, slots=True)
class _Asked:
    statement: Statement
    text: Agreement
    version: Version
    status: Status
    parties: Mapping[str, Party] | None


def check_move(
    statement: Statement,
    versions: Iterable[Version],
    *,
    at: int,
    parties: Mapping[str, Party] | None = None,
    narrows: Narrowings | None = None,
) -> Status:
    """Return the status that the statement meets; its signature is checked by the caller.

    ``versions`` are all of the agreement that it names, ``parties`` the scheme's
    documents (without them nothing is asked of them), ``at`` is now in microseconds;
    ``narrows`` as in `state_of`.

    Raises:
        MoveRefused: it names a text that is not there, another party is to say it, the
            agreement is in a state in which it means nothing, or something is lacking.

    """
    known = [one for one in versions if one.agreement is not None]
    text, version = _found(statement, known)
    status = state_of(
        known, version.number, at=at, sha256=version.sha256, parties=parties, narrows=narrows
    )
    asked = _Asked(statement, text, version, status, parties)
    move = move_of(statement.type)
    _check_who(asked, move.who)
    if to_us(statement.signed_at) > at + AHEAD // timedelta(microseconds=1):
        raise MoveRefused(
            f"the statement is dated {rfc3339(to_us(statement.signed_at))}, which is to come:"
            " set the clock of the machine that signs, and sign again"
        )
    if status.state not in move.from_:
        raise MoveRefused(
            f"{_name(text)} is {status.state}: to {statement.type} it, it would have to be"
            f" {_either(move.from_)}"
        )
    for need in move.needs:
        lacking = _LACKING[need](asked)
        if lacking:
            raise MoveRefused(lacking)
    return status


def _found(statement: Statement, versions: list[Version]) -> tuple[Agreement, Version]:
    for one in versions:
        text = one.agreement
        if text is not None and (text.id, text.version, one.sha256) == (
            statement.agreement,
            statement.version,
            statement.sha256,
        ):
            return text, one
    raise MoveRefused(
        f"there is no text of {statement.agreement} version {statement.version} with the SHA-256"
        f" {statement.sha256[:12]}…: fetch the text that is on record and sign that"
    )


def _check_who(asked: _Asked, who: Who) -> None:
    text, party = asked.text, asked.statement.party
    if who is Who.OWNER:
        is_right, right = party == text.owner, f"its owner, {text.owner}"
    elif who is Who.FACILITATOR:
        is_right = party == text.facilitator and party != text.owner
        right = (
            "a facilitator, and the text names none"
            if text.facilitator is None
            else f"its facilitator, {text.facilitator}"
        )
    else:
        parties = [role.id for role in text.parties]
        is_right, right = party in parties, f"one of its parties: {', '.join(parties)}"
    if not is_right:
        raise MoveRefused(
            f"{party} may not {asked.statement.type} {_name(text)}: that is for {right}"
        )


def _lacks_reason(asked: _Asked) -> str:
    return (
        "" if asked.statement.reason is not None else "expected a reason: say why, and sign again"
    )


def _lacks_capacity(asked: _Asked) -> str:
    wanted = asked.text.party(asked.statement.party).capacities
    capacity = asked.statement.signatory.capacity
    if not wanted or capacity in wanted:
        return ""
    return (
        f"{_name(asked.text)} asks {asked.statement.party} for a signature as"
        f" {' or '.join(wanted)}, not as {capacity}"
    )


def _lacks_activity(asked: _Asked) -> str:
    if asked.parties is None:
        return ""
    party = asked.parties.get(asked.statement.party)
    if party is not None and party.state == "active":
        return ""
    return (
        f"the scheme does not let {asked.statement.party} take part:"
        " the operator of the scheme has to add it or lift its suspension first"
    )


def _has_revoked(asked: _Asked) -> str:
    if not asked.version.is_revoked_by(asked.statement.party):
        return ""
    if asked.statement.type is SignatureType.REVOKE and _is_sooner(asked):
        return ""
    return (
        f"{asked.statement.party} has revoked {_name(asked.text)}, which is final:"
        " propose a new version"
    )


def _is_sooner(asked: _Asked) -> bool:
    """Whether a second revocation takes effect before the first."""
    since = asked.version.revoked_from_us(asked.statement.party)
    return revoked_from_us(asked.statement) < since


def _has_nothing_to_revoke(asked: _Asked) -> str:
    party = asked.statement.party
    has_accepted = asked.version.ever_accepted_us(party) < NEVER_US
    runs = any(
        party in (pair.publisher, pair.recipient) and not pair.waits_for
        for pair in asked.status.pairs
    )
    if has_accepted or runs:
        return ""
    return (
        f"{party} has not accepted {_name(asked.text)}: reject it, or name the version that is"
        " in force"
    )


def _lacks_suspension(asked: _Asked) -> str:
    own = [one.id for one in asked.status.suspensions if one.party == asked.statement.party]
    if asked.statement.lifts in own:
        return ""
    standing = f"those that stand are {', '.join(own)}" if own else "none stands"
    return (
        f"{asked.statement.party} has no suspension {asked.statement.lifts} that stands on"
        f" {asked.text.id}: {standing}"
    )


def _lacks_later_review(asked: _Asked) -> str:
    statement = asked.statement
    if statement.review_by is None or statement.review_by > statement.takes_effect_at:
        return ""
    return "expected the next review after this one: give a later review_by"


_LACKING: Final[Mapping[Need, Callable[[_Asked], str]]] = {
    Need.REASON: _lacks_reason,
    Need.CAPACITY: _lacks_capacity,
    Need.ACTIVE: _lacks_activity,
    Need.NOT_REVOKED: _has_revoked,
    Need.ACCEPTED: _has_nothing_to_revoke,
    Need.STANDING: _lacks_suspension,
    Need.LATER_REVIEW: _lacks_later_review,
}


def _name(text: Agreement) -> str:
    return f"{text.id} version {text.version}"


def _either(states: tuple[State, ...]) -> str:
    return " or ".join(states)

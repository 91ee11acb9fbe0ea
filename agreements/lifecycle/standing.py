"""In which state a version of an agreement is at a moment, as a whole and for each pair.

Read from the same statements as the rules are compiled from, in the same order of
questions, so that what is told here is what the engine does.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from agreements.candidates import Suspended, to_us
from agreements.lifecycle.moves import State
from agreements.lifecycle.reviewing import Reviewing, reviewing_of
from agreements.lifecycle.tracking import SignOff, sign_offs
from agreements.lifecycle.warning import Warned, warnings_of
from agreements.model import Agreement
from agreements.signatures import SignatureType
from agreements.signed import Narrowings, Version, Window, windows
from agreements.telling import rfc3339
from schemas.control import Party

_FOREMOST: Final = (
    State.UNDER_REVIEW,
    State.IN_FORCE,
    State.SUSPENDED,
    State.SIGNED,
    State.SUPERSEDED,
    State.EXPIRED,
    State.TERMINATED,
)
"""The state of the whole is the first of these that any pair is in."""


@dataclass(frozen=True, slots=True)
class Pair:
    """What the version is between a publisher and a recipient, who have these flows."""

    publisher: str
    recipient: str
    flows: tuple[str, ...]
    state: State
    waits_for: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Status:
    """Where one version of an agreement is in its life, and what to look after."""

    text: Agreement
    sha256: str
    state: State
    pairs: tuple[Pair, ...]
    sign_offs: tuple[SignOff, ...]
    suspensions: tuple[Suspended, ...]
    """Those that stand."""
    reviewing: Reviewing
    warnings: tuple[Warned, ...]

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values; times in RFC 3339."""
        return {
            "agreement": self.text.id,
            "version": self.text.version,
            "title": self.text.title,
            "sha256": self.sha256,
            "state": self.state.value,
            "pairs": [
                {
                    "publisher": pair.publisher,
                    "recipient": pair.recipient,
                    "flows": list(pair.flows),
                    "state": pair.state.value,
                    "waits_for": list(pair.waits_for),
                }
                for pair in self.pairs
            ],
            "parties": [
                {
                    "party": one.party,
                    "standing": one.standing.value,
                    "said_at": _text(one.said_at),
                    "signatory": None
                    if one.signatory is None
                    else one.signatory.model_dump(mode="json", exclude_unset=True),
                    "due_at": _text(one.due_at),
                    "is_late": one.is_late,
                }
                for one in self.sign_offs
            ],
            "suspensions": [
                {
                    "id": one.id,
                    "party": one.party,
                    "held_until": rfc3339(one.hold_until_us),
                    "then": one.then,
                }
                for one in self.suspensions
            ],
            "review": {
                "due_at": _text(self.reviewing.due_at),
                "is_open": self.reviewing.is_open,
            },
            "warnings": [
                {"code": one.code, "party": one.party, "text": one.text} for one in self.warnings
            ],
        }


def state_of(  # noqa: PLR0913  each is what the answer depends on
    versions: Iterable[Version],
    number: int,
    *,
    at: int,
    sha256: str | None = None,
    parties: Mapping[str, Party] | None = None,
    narrows: Narrowings | None = None,
) -> Status:
    """Return the status of one version of an agreement at ``at`` (microseconds, UTC).

    ``versions`` are all texts of all versions of that agreement (`Compiler.versions`). Of
    several texts under one number it is that with ``sha256``, else one that somebody
    accepted, else the newest. ``parties`` are the scheme's documents, for their assurances;
    ``narrows`` knows the scheme's event types (by default those that ship), and remembers.
    Raises KeyError when there is no such text.
    """
    known = list(versions)
    narrows = Narrowings() if narrows is None else narrows
    version, text = _chosen(known, number, sha256)
    reviewing = reviewing_of(text, version, at=at)
    suspensions = tuple(one for one in version.suspensions() if one.stands(at))
    unsigned = _unsigned_state(text, version, at)
    pairs = []
    for (publisher, recipient), flows in _flows(text).items():
        between = windows(known, publisher, recipient, narrows=narrows)
        state, waits_for = _between(between, version, (publisher, recipient), at)
        if state is State.IN_FORCE and suspensions:
            state = State.SUSPENDED
        if state is State.IN_FORCE and reviewing.is_open:
            state = State.UNDER_REVIEW
        pairs.append(Pair(publisher, recipient, flows, state or unsigned, waits_for))
    there = {pair.state for pair in pairs}
    whole = next((state for state in _FOREMOST if state in there), unsigned)
    signed = sign_offs(text, version, at=at)
    return Status(
        text=text,
        sha256=version.sha256,
        state=whole,
        pairs=tuple(pairs),
        sign_offs=signed,
        suspensions=suspensions,
        reviewing=reviewing,
        warnings=warnings_of(text, version, whole, signed, reviewing, at=at, parties=parties or {}),
    )


def running(
    versions: Iterable[Version], *, at: int, narrows: Narrowings | None = None
) -> int | None:
    """Return the number of the version that a stop is about when none is named.

    The highest that is in force for some pair, else the highest that is signed; None when
    there is none. The arguments are those of `state_of`.
    """
    known = [one for one in versions if one.agreement is not None]
    narrows = Narrowings() if narrows is None else narrows
    states = {
        number: state_of(known, number, at=at, narrows=narrows).state
        for number in sorted({one.number for one in known}, reverse=True)
    }
    for wanted in (
        (State.UNDER_REVIEW, State.IN_FORCE, State.SUSPENDED),
        (State.SIGNED,),
    ):
        for number, state in states.items():
            if state in wanted:
                return number
    return None


def _chosen(
    versions: Sequence[Version], number: int, sha256: str | None
) -> tuple[Version, Agreement]:
    texts = [one for one in versions if one.number == number and one.agreement is not None]
    if sha256 is not None:
        texts = [one for one in texts if one.sha256 == sha256]
    accepted = [
        one
        for one in texts
        if any(
            said.statement.type is SignatureType.ACCEPT for by in one.said.values() for said in by
        )
    ]
    for chosen in (*reversed(accepted), *reversed(texts)):
        if chosen.agreement is not None:
            return chosen, chosen.agreement
    raise KeyError(number)


def _flows(text: Agreement) -> dict[tuple[str, str], tuple[str, ...]]:
    """Return the pairs that flows go between, in the order of the text."""
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    for flow in text.flows:
        for publisher in dict.fromkeys(flow.from_):
            for recipient in dict.fromkeys(flow.to):
                if publisher != recipient:
                    pair = (publisher, recipient)
                    found[pair] = (*found.get(pair, ()), flow.id)
    return found


def _between(
    between: list[Window], version: Version, pair: tuple[str, str], at: int
) -> tuple[State | None, tuple[str, ...]]:
    """Return the state between two parties; None with those it waits for until both accept."""
    window = next((one for one in between if one.version is version), None)
    if window is None:
        # Another version is what the pair runs under: this one is over, or not begun.
        waits_for = tuple(p for p in pair if version.ever_accepted_us(p) > at)
        return (None, waits_for) if waits_for else (State.SUPERSEDED, ())
    waits_for = tuple(p for p in pair if window.accepted_from_us(p) > at)
    if waits_for:
        return None, waits_for
    starts, ends = window.runs_us
    if any(window.revoked_from_us(party) <= at for party in pair):
        return State.TERMINATED, ()
    if at >= window.until_us:
        return State.SUPERSEDED, ()
    if at < starts:
        return State.SIGNED, ()
    return (State.EXPIRED if at >= ends else State.IN_FORCE), ()


def _unsigned_state(text: Agreement, version: Version, at: int) -> State:
    """Return how far a text has come that no pair has accepted."""
    said = {
        one.statement.type
        for party in (text.owner, text.facilitator)
        for one in version.said.get(party or "", ())
        if one.is_believed and to_us(one.statement.takes_effect_at) <= at
    }
    if SignatureType.ASSURE in said:
        return State.ASSURED
    return State.CONSULTING if SignatureType.CONSULT in said else State.DRAFT


def _text(moment: Any) -> str | None:
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")

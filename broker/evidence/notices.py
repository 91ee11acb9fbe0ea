"""Hold records of notices against the rules, and against what was shared before.

A notice tells a recipient that an event which it had was taken back (`broker.retracting`).
It gives no item, so no agreement has to be in force for it; but nobody is told who did not
have the event. So each has an earlier permit in the log, and so has the event that took it
back its own record, from which what the record of notices says of it was copied.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from agreements.checking import Refusal
from agreements.rules import Rules
from agreements.unseen import Told, in_words
from broker.acts import is_act
from broker.evidence.clauses import Clauses, clause_in, named_in, names_of
from broker.evidence.entries import Kept, record_from
from broker.evidence.reading import LogFiles
from broker.record_parts import NOTICES, Part, PartsReader
from broker.recording import RETRACTED, names_only, read_decision
from broker.retracting import view_of_nothing
from broker.routing import DECISIONS
from schemas.catalogue import EventType
from schemas.errors import RejectedInput
from schemas.tiles import WIDTH

Found = tuple[int, str]
"""The index of a record of notices, and what is wrong with it."""

_COPIED: Final = (
    "publisher", "signingKey", "topic", "partition", "offset", "eventId",
    "occurredAt", "publishedAt", "receivedAt", "digest", "subjects",
)  # fmt: skip
"""What the record of notices says of the event that takes another back, as its first has it."""
_HASH: Final = 4
"""Where the hash stands in `names_of`: behind recipient, agreement, version and flow."""
_TOGETHER: Final = 20_000
"""Claims of one or two kilobytes each; the log is gone over once for so many."""


def tells_of_notices(decision: Mapping[str, Any]) -> bool:
    """Whether a record tells of notices, and decides or settles nothing."""
    settles = decision["settles"]
    return settles is not None and settles["suspension"] == NOTICES


def against_the_rules(
    decision: Mapping[str, Any], rules: Rules, event_type: EventType, clauses: Clauses
) -> Iterator[str]:
    """Give in what a record of notices is not as the agreements and the parties have it.

    ``event_type`` is that of the event which was taken back.
    """
    told = decision["candidates"]
    if not told:
        yield "it tells of notices, and names nobody"
    if len({(one["recipient"], one["agreement"], one["flow"]) for one in told}) < len(told):
        yield "it tells somebody twice under one flow"
    if len({one["detail"] for one in told}) > 1:
        yield "it tells of more than one event that was taken back"
    # Without a time: the version that the event went under may be in force no longer.
    found = rules.candidates(decision["publisher"], event_type.name)
    candidates = {names_of(one)[:_HASH]: one for one in found}
    for one in told:
        who = f"for {one['recipient']} under {one['agreement']}"
        candidate = candidates.get(named_in(one)[:_HASH])
        if candidate is None:
            if not _is_unknown(one):
                yield f"{who}: no agreement has the flow, and the record does not say so"
            continue
        if names_of(candidate) != named_in(one):
            yield f"{who}: version {candidate.version} is another text"
        for problem in clauses.differences(candidate, one, rules):
            yield f"{who}: {problem}"
        if not _is_notice(one, event_type):
            words = in_words(one["outcome"], one["reason"], "")
            yield f"{who}: expected a notice that gives nothing, the record says {words}"


def _is_unknown(one: Mapping[str, Any]) -> bool:
    """Whether it is refused under a flow of which nothing but its names is known."""
    clause = names_only(one["recipient"], one["agreement"], one["version"], one["flow"])
    told = Told.of(one)
    return (
        (told.outcome, told.reason) == ("deny", Refusal.NO_AGREEMENT)
        and clause_in(one).to_avro() == clause
        and told.gives_nothing
        and not (told.withheld or one["key"] or one["sealed"])
    )


def _is_notice(one: Mapping[str, Any], event_type: EventType) -> bool:
    """Whether it is a notice, or says that none could be made."""
    told = Told.of(one)
    if told.withheld or told.items or told.transforms:
        return False
    if told.outcome == "permit":
        return (told.reason, told.view) == (RETRACTED, view_of_nothing(event_type).fingerprint)
    said = (told.outcome, told.reason)
    return said == ("deny", Refusal.DECIDING_FAILED) and told.gives_nothing


class _Way(NamedTuple):
    """How a recipient had an event."""

    recipient: str
    agreement: str
    version: int
    flow: str

    @classmethod
    def of(cls, says: Mapping[str, Any]) -> "_Way":
        return cls(says["recipient"], says["agreement"], says["version"], says["flow"])


@dataclass(slots=True)
class _Claim:
    """What one record of notices claims, and what of it the log has not borne out so far."""

    index: int
    event_type: str
    said: Mapping[str, Any]
    unfounded: set[_Way]
    held: set[tuple[str, str, str]] = field(default_factory=set)
    """Recipient, agreement and flow for which the event that was taken back was held."""
    has_original: bool = False
    has_own: bool = False
    differs: str = ""


class Claims:
    """What records of notices claim of earlier ones; asked for all at once, as it is a long way.

    What was shredded or left out bears nothing out and contradicts nothing.
    """

    def __init__(self, files: LogFiles) -> None:
        self._files = files
        self._claims: list[_Claim] = []
        self._originals: dict[tuple[str, bytes], list[_Claim]] = {}
        self._own: dict[tuple[str, bytes], list[_Claim]] = {}

    def add(self, index: int, decision: Mapping[str, Any]) -> Iterator[Found]:
        """Take in what a record of notices claims, and check those before if they are many."""
        told = decision["candidates"]
        ways = set(map(_Way.of, told))
        said = {name: decision[name] for name in _COPIED}
        said["decidedAt"] = decision["settles"]["decidedAt"]
        claim = _Claim(index, decision["eventType"], said, ways)
        self._claims.append(claim)
        publisher = decision["publisher"]
        own = (publisher, decision["eventId"].encode())
        self._own.setdefault(own, []).append(claim)
        for event_id in {one["detail"] for one in told}:
            self._originals.setdefault((publisher, event_id.encode()), []).append(claim)
        if len(self._claims) >= _TOGETHER:
            yield from self.check()

    def check(self) -> Iterator[Found]:
        """Go over the log as far as the last claim, and give what nothing bears out."""
        gone = self._look()
        for claim in self._claims:
            yield from _unfounded(claim, is_gone=gone is not None and gone < claim.index)
        self._claims.clear()
        self._originals.clear()
        self._own.clear()

    def _look(self) -> int | None:
        """Hold every record against the claims; return the first that is not there."""
        reader, gone = PartsReader(), None
        for index, value in self._values(max((one.index for one in self._claims), default=0)):
            if value is None:
                gone = index if gone is None else gone
                continue
            if is_act(value):
                continue
            try:
                parts = reader.read(value)
            except RejectedInput:
                continue  # `verify` has told of it
            event = (parts.publisher, parts.event_id)
            for claim in self._originals.get(event, ()):
                if index < claim.index and parts.event_type == claim.event_type:
                    _see_original(claim, [part for part, _ in parts.candidates], parts.settles)
            for claim in self._own.get(event, ()):
                if index < claim.index:
                    _see_own(claim, read_decision(value))
        return gone

    def _values(self, end: int) -> Iterator[tuple[int, bytes | None]]:
        """Give every record before ``end``; None for one that is not there or cannot be read."""
        for first in range(0, end, WIDTH):
            try:
                kept = self._files.records(first // WIDTH)
            except Exception:  # noqa: BLE001  whatever is wrong with it, `verify` has told of it
                kept = []
            for index in range(first, min(first + WIDTH, end)):
                yield index, _value_of(kept[index - first]) if index - first < len(kept) else None


def _value_of(kept: Kept) -> bytes | None:
    if kept.is_shredded or kept.is_left_out:
        return None
    try:
        return record_from(kept.content, topic=DECISIONS, partition=0, offset=kept.offset).value
    except Exception:  # noqa: BLE001  as above
        return None


def _see_original(claim: _Claim, candidates: list[Part], settles: str | None) -> None:
    """Take in an earlier record of the event that was taken back."""
    claim.has_original |= settles is None
    for part in candidates:
        says, way = part.says, _Way.of(part.says)
        if says["outcome"] == "permit" and not says["reason"]:  # and no notice itself
            claim.unfounded.discard(way)
        elif says["outcome"] == "hold":
            claim.held.add((way.recipient, way.agreement, way.flow))


def _see_own(claim: _Claim, decision: Mapping[str, Any]) -> None:
    """Take in an earlier record of the event that takes the other back."""
    if decision["settles"] is None:
        claim.has_own = True
        claim.differs = ", ".join(
            name for name, value in claim.said.items() if decision[name] != value
        )


def _unfounded(claim: _Claim, *, is_gone: bool) -> Iterator[Found]:
    """Give what nothing bears out, unless that may be what the log has no longer."""
    if claim.differs:
        yield claim.index, f"it says of its event another {claim.differs} than the first record"
    elif not claim.has_own and not is_gone:
        yield claim.index, "it tells of notices for an event that was not decided before"
    for way in sorted(claim.unfounded):
        # A first record that did not hold the event for somebody is all that there was.
        is_held = (way.recipient, way.agreement, way.flow) in claim.held
        if not is_gone or (claim.has_original and not is_held):
            words = (
                f"no earlier record permits the event that was taken back for {way.recipient}"
                f" under version {way.version} of {way.agreement}, flow {way.flow}"
            )
            yield claim.index, words

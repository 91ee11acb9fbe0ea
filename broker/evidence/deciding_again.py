"""Decide again what the records of an export tell, from the documents of `control` alone.

For each decision record, with what `control` said before its position ``rules`` and at the
time that it was decided:

1. the publisher's key of then has signed the event's digest;
2. every candidate that the rules give is told of, and no other; so a text that both
   parties had not signed by then is none that a permit can stand under;
3. clause, legal bases and the recipient's key are those of the agreement and the party;
4. the outcome is the engine's own, as far as it asks for no value; where values decide,
   it is one that this flow can give (`agreements.unseen`);
5. an event is decided once, and what was held is settled once, in a way that is open to it;
6. who is told that an event was taken back is told once, and given nothing
   (`broker.evidence.notices`).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from agreements.candidates import Candidate, Suspended, to_us
from agreements.checking import Refusal
from agreements.opened import OpenedEvent
from agreements.rules import Rules
from agreements.unseen import Told, disagreement, first_failure, in_words
from broker.evidence.clauses import Clauses, clause_in, named_in, names_of
from broker.evidence.notices import against_the_rules, tells_of_notices
from broker.evidence.rules_then import Document, RulesThen
from broker.opening import EVENTS
from broker.record_parts import NOTICES
from broker.recording import Clause, LegalBasis
from schemas.batch_proofs import BatchProof
from schemas.catalogue import Catalogue
from schemas.errors import RejectedInput
from schemas.keys import BadSignature, VerifyingKey

_NOBODY: Final = Clause("", "", 0, b"", "", "", LegalBasis("", (), ()), LegalBasis("", (), ()))
_ALL: Final = 2**62
"""Past every position on `control`."""
_MILLISECOND_US: Final = 1000
_KEPT_ROOTS: Final = 4096

Found = tuple[str, str]
"""A problem's code and its message."""


@dataclass(frozen=True, slots=True)
class Unchecked:
    """A decision record that waits to be decided again; ``proof`` is None if it is not held."""

    index: int
    decision: Mapping[str, Any]
    proof: BatchProof | None


class DecidingAgain:
    """Decides records again, a few thousand together in the order of what was known."""

    def __init__(
        self, documents: Sequence[Document], catalogue: Catalogue, scheme_key: VerifyingKey
    ) -> None:
        self._rules_then = RulesThen(documents, catalogue, scheme_key)
        self._catalogue = catalogue
        self._clauses = Clauses()
        self._signed: dict[bytes, None] = {}
        self._decided: dict[tuple[str, int], int] = {}
        self._settled: set[tuple[Any, ...]] = set()

    def check(self, waiting: Iterable[Unchecked]) -> Iterator[tuple[int, Found]]:
        """Give what is wrong with records that follow one another, by their index."""
        waiting = list(waiting)
        for one in waiting:
            for problem in self._once(one.decision):
                yield one.index, problem
        for one in sorted(waiting, key=lambda one: int(one.decision["rules"])):
            try:
                rules = self._rules_then.at(one.decision["rules"])
                found = list(self._check(one, rules))
            except Exception as error:  # noqa: BLE001  what a record triggers is the record's
                found = [("decided-otherwise", f"it cannot be decided ({type(error).__name__})")]
            for problem in found:
                yield one.index, problem

    def unused(self) -> frozenset[bytes]:
        """Return the keys of the documents that count for nothing, whoever put them there."""
        rules = self._rules_then.at(_ALL)
        return frozenset(one.key for one in rules.rejected)

    def _once(self, decision: Mapping[str, Any]) -> Iterator[Found]:
        """Step 5 and 6, first half. Events of a partition are decided in their order."""
        settles = decision["settles"]
        if settles is not None:
            what = {(settles["suspension"], settles["partition"], settles["offset"])}
            if tells_of_notices(decision):  # also where the copy that it was made of was copied
                what.add((NOTICES, decision["publisher"], decision["eventId"]))
            if not what.isdisjoint(self._settled):
                yield "settled-twice", "what was held or taken back is settled by an earlier record"
            self._settled |= what
            return
        place = (decision["topic"], decision["partition"])
        if decision["offset"] <= self._decided.get(place, -1):
            yield "decided-twice", "an event at this place or a later one was decided before"
        self._decided[place] = max(decision["offset"], self._decided.get(place, -1))

    def _check(self, one: Unchecked, rules: Rules) -> Iterator[Found]:
        decision = one.decision
        publisher = decision["publisher"]
        if not self._rules_then.has_ended_at(decision["rules"]):
            words = (
                f"it was decided when control went up to {decision['rules']}, which it never did"
            )
            yield "missing-document", words
        if one.proof is not None:
            yield from self._signature(one.proof, decision, rules)
        try:
            event_type = self._catalogue.by_fingerprint(decision["schema"])
        except RejectedInput:
            yield "unknown-schema", "its event has a schema that this version does not know"
            return
        if event_type.name != decision["eventType"] or decision["topic"] != EVENTS + publisher:
            yield "decided-otherwise", "type, topic and publisher of the event do not fit"
        event = OpenedEvent(
            publisher,
            event_type,
            b"",
            [],
            to_us(decision["occurredAt"]),
            to_us(decision["receivedAt"]),
            tuple(decision["subjects"]),
        )
        at = to_us(decision["decidedAt"])
        for problem in self._differences(decision, rules, event, at):
            yield "decided-otherwise", problem

    def _differences(
        self, decision: Mapping[str, Any], rules: Rules, event: OpenedEvent, at: int
    ) -> Iterator[str]:
        if decision["settles"] is None:
            yield from self._first(decision, rules, event, at)
        elif tells_of_notices(decision):
            yield from against_the_rules(decision, rules, event.type, self._clauses)
        else:
            yield from self._settlement(decision, rules, event, at)

    def _signature(
        self, proof: BatchProof, decision: Mapping[str, Any], rules: Rules
    ) -> Iterator[Found]:
        """Step 1. A batch has one signature: it is verified once."""
        publisher, kid = decision["publisher"], decision["signingKey"]
        party = rules.parties.get(publisher)
        is_publisher = party is not None and "publisher" in party.roles
        keys = self._clauses.keys_of(party).verifying if party is not None and is_publisher else {}
        key = keys.get(kid)
        if key is None and proof.kid == kid and tells_of_notices(decision):
            return  # it was one when the event was decided, as that record is asked
        if key is None or proof.kid != kid:
            yield "unsigned-event", f"{publisher} had no such key to sign with when it was decided"
            return
        try:
            message = proof.message(publisher, decision["digest"])
            signed = b"".join((key.raw, proof.signature, message))
            if signed not in self._signed:
                key.verify(proof.signature, message)
                if len(self._signed) >= _KEPT_ROOTS:
                    self._signed.clear()
                self._signed[signed] = None
        except BadSignature as error:
            yield "unsigned-event", f"{publisher} did not sign the event's digest: {error}"

    def _first(
        self, decision: Mapping[str, Any], rules: Rules, event: OpenedEvent, at: int
    ) -> Iterator[str]:
        """Step 2 to 4."""
        candidates = rules.candidates(event.publisher, event.type.name, at=at)
        told = decision["candidates"]
        if not candidates:
            yield from _no_candidate(told)
            return
        if len(candidates) != len(told):
            yield f"the rules name {len(candidates)} candidates, and the record {len(told)}"
        for candidate, one in zip(candidates, told, strict=False):
            yield from self._against(candidate, one, rules, event, at)

    def _against(
        self,
        candidate: Candidate,
        one: Mapping[str, Any],
        rules: Rules,
        event: OpenedEvent,
        at: int,
    ) -> Iterator[str]:
        who = f"for {candidate.recipient} under {candidate.agreement_id}"
        if names_of(candidate) != named_in(one):
            if one["outcome"] == "permit":
                yield (
                    f"permits under version {one['version']} of {one['agreement']} with the hash"
                    f" {one['hash'].hex()[:16]}…, which both had not signed by then; the text {who}"
                    f" is version {candidate.version}, {candidate.sha256[:16]}…"
                )
            else:
                yield f"{who}: the record names another recipient, flow or text"
            return
        for problem in self._clauses.differences(candidate, one, rules):
            yield f"{who}: {problem}"
        told = Told.of(one)
        differs = disagreement(event, candidate, told, at=at)
        if differs is not None:
            # The record's time of the event is cut to a millisecond, the engine's was not.
            later = replace(event, occurred_at_us=event.occurred_at_us + _MILLISECOND_US - 1)
            differs = disagreement(later, candidate, told, at=at) and differs
        if differs is not None:
            yield f"{who}: {differs}"

    def _settlement(
        self, decision: Mapping[str, Any], rules: Rules, event: OpenedEvent, at: int
    ) -> Iterator[str]:
        """Step 5, second half; `broker.settling` says what may become of what was held."""
        told = decision["candidates"]
        if len(told) != 1:
            yield f"expected one candidate where a hold is settled, found {len(told)}"
            return
        (one,) = told
        place = (event.publisher, event.type.name)
        today = [c for c in rules.candidates(*place, at=at) if _is_flow(c, one)]
        candidates = today[:1] or [c for c in rules.candidates(*place) if _is_flow(c, one)]
        if not candidates:
            if (one["outcome"], one["reason"]) != ("deny", Refusal.NO_AGREEMENT):
                yield "no agreement has the flow, and the record does not say so"
            return
        candidate = next((c for c in candidates if names_of(c) == named_in(one)), None)
        if candidate is None:
            yield f"settles under a text of {one['agreement']} that does not run for the two"
            return
        yield from self._clauses.differences(candidate, one, rules)
        suspended = rules.suspensions().get(decision["settles"]["suspension"])
        found = Told.of(one)
        if not _may_settle(
            suspended, decision["settles"]["suspension"], found, event, candidate, at
        ):
            words = in_words(found.outcome, found.reason, found.detail)
            yield f"the suspension cannot have ended so: the record says {words}"


def _no_candidate(told: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if len(told) != 1:
        yield f"no agreement names a recipient, and the record {len(told)}"
        return
    (one,) = told
    said = (one["outcome"], one["reason"], one["detail"])
    if said != ("deny", Refusal.NO_AGREEMENT, "") or clause_in(one) != _NOBODY:
        yield f"no agreement names a recipient, and the record says {in_words(*said)}"


def _may_settle(  # noqa: PLR0913, PLR0917  what was held, and what became of it
    suspended: Suspended | None,
    suspension: str,
    told: Told,
    event: OpenedEvent,
    candidate: Candidate,
    at: int,
) -> bool:
    """Whether a hold can have been settled so; when it was to end is on no record."""
    said = (told.outcome, told.reason, told.detail)
    agrees = disagreement(event, candidate, told, at=at) is None
    if suspended is not None and suspended.until_us <= at:
        if suspended.held == "release" and agrees:
            return True
        if suspended.held != "release" and said == ("deny", Refusal.PURGED, suspension):
            return told.gives_nothing
    if suspended is not None and at < suspended.hold_until_us:
        return False
    today = first_failure(event, candidate, at)
    if today is not None and not today.is_review and today.hold_until_us is None:
        return agrees
    then = "review" if suspended is None else suspended.then
    if said == (then, Refusal.SUSPENDED, suspension):
        return told.gives_nothing
    return agrees and told.outcome == "deny"


def _is_flow(candidate: Candidate, one: Mapping[str, Any]) -> bool:
    names = (candidate.recipient, candidate.agreement_id, candidate.flow.id)
    return names == (one["recipient"], one["agreement"], one["flow"])

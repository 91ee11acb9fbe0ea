"""What a record says of a candidate's flow, held against the agreement and the recipient."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from agreements.candidates import Candidate
from agreements.rules import Rules
from broker.delivering import clause_of
from broker.recording import Clause, LegalBasis
from schemas.control import Party
from schemas.keys import VerifyingKey

_KEPT_CLAUSES: Final = 4096


@dataclass(frozen=True, slots=True)
class Keys:
    """A party's keys by thumbprint, and the one to seal to; worked out once for a revision."""

    party: Party
    verifying: Mapping[str, VerifyingKey]
    sealing: str | None


class Clauses:
    """Holds what a record says of a candidate against its clause and its recipient."""

    def __init__(self) -> None:
        self._clauses: dict[Candidate, Clause] = {}
        self._keys: dict[str, Keys] = {}

    def keys_of(self, party: Party) -> Keys:
        """Return the keys that a revision of a party's document names."""
        found = self._keys.get(party.id)
        if found is None or found.party is not party:
            sealing = party.sealing_public_keys()
            verifying = {key.kid: key for key in party.verifying_keys()}
            found = Keys(party, verifying, sealing[0].kid if sealing else None)
            self._keys[party.id] = found
        return found

    def differences(
        self, candidate: Candidate, one: Mapping[str, Any], rules: Rules
    ) -> Iterator[str]:
        """Give in what a record says something else of the flow, or of whom it was sealed to."""
        clause = self._clauses.get(candidate)
        if clause is None:
            if len(self._clauses) >= _KEPT_CLAUSES:
                self._clauses.clear()
            clause = self._clauses[candidate] = clause_of(candidate)
        if one["purpose"] != clause.purpose:
            yield "another purpose than the flow's"
        for side, basis in (("provider", clause.provider), ("receiver", clause.receiver)):
            if _basis(one[side]) != basis:
                yield f"another legal basis of the {side} than the flow's"
        if one["outcome"] != "permit":
            if one["key"] or one["sealed"]:
                yield "nothing is shared, and the record names what was sealed"
        elif one["key"] != self.keys_of(rules.parties[candidate.recipient]).sealing:
            yield "sealed to another key than the recipient's of then"


def names_of(candidate: Candidate) -> tuple[str, str, int, str, str]:
    """Return recipient, agreement, version, flow and hash of a candidate."""
    return (
        candidate.recipient,
        candidate.agreement_id,
        candidate.version,
        candidate.flow.id,
        candidate.sha256,
    )


def named_in(one: Mapping[str, Any]) -> tuple[str, str, int, str, str]:
    """Return the same as a record says them."""
    return (one["recipient"], one["agreement"], one["version"], one["flow"], one["hash"].hex())


def clause_in(one: Mapping[str, Any]) -> Clause:
    """Return all that a record says of the flow."""
    return Clause(
        one["recipient"],
        one["agreement"],
        one["version"],
        one["hash"],
        one["flow"],
        one["purpose"],
        _basis(one["provider"]),
        _basis(one["receiver"]),
    )


def _basis(told: Mapping[str, Any]) -> LegalBasis:
    return LegalBasis(told["regime"], tuple(told["conditions"]), tuple(told["gateways"]))

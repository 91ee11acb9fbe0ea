"""What a decision record says of each recipient, as the auditor's questions need it.

One candidate of one record is one `Disclosure`, whatever its outcome: what was refused is
an answer as well. Identifiers are blinded and no value is in it (``schemas/decision.avsc``).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from agreements.words import moment
from broker.record_parts import NOTICES
from broker.recording import LegalBasis

Basis = LegalBasis
"""One side's legal basis: regime, conditions such as ``art6:e``, addresses of gateways."""


@dataclass(frozen=True, slots=True)
class Disclosure:
    """One candidate of one decision record.

    ``index`` is the entry of the log that has the record; ``recipient`` and the agreement
    are empty where no agreement named a recipient. ``withheld`` is path to reason code,
    ``transforms`` path to transform, ``subjects`` the blinded identifiers, the primary one
    first, ``settles`` the id of the suspension that had held it, if one had. Of a notice
    (`is_notice`) ``detail`` is the id of the event that was taken back, by ``event_id``, and
    ``event_type`` is of the former.
    """

    index: int
    event_id: str
    event_type: str
    publisher: str
    recipient: str
    decided_at: datetime
    occurred_at: datetime
    outcome: str
    reason: str
    detail: str
    agreement: str
    version: int
    hash: str
    flow: str
    purpose: str
    provider: Basis
    receiver: Basis
    items: tuple[str, ...]
    transforms: Mapping[str, str]
    withheld: Mapping[str, str]
    sealed: bytes
    subjects: tuple[bytes, ...]
    settles: str | None

    @property
    def is_shared(self) -> bool:
        """Whether data went to the recipient. A notice has none."""
        return self.outcome == "permit" and not self.is_notice

    @property
    def is_notice(self) -> bool:
        """Whether the recipient was told that an event was taken back, or could not be told."""
        return self.settles == NOTICES


def gap_sentence(answers_from: datetime) -> str:
    """Return what whoever asks is to know of a store that has not everything any more."""
    return (
        f"Not all that was decided before {moment(answers_from)} is in this answer: old decisions"
        " were taken out of the query store. They are in the log, and `concordat audit reindex`"
        " makes the store again with them."
    )


def gap_to_json(answers_from: datetime | None) -> dict[str, str | None]:
    """Return from when on a store answers, as a field and in words; None twice for all."""
    if answers_from is None:
        return {"answers_from": None, "gap": None}
    return {"answers_from": answers_from.isoformat(), "gap": gap_sentence(answers_from)}


def disclosures_of(decision: Mapping[str, Any], index: int) -> tuple[Disclosure, ...]:
    """Return what a record that was read (`broker.recording.read_decision`) says of each."""
    settles = decision["settles"]
    return tuple(
        Disclosure(
            index=index,
            event_id=decision["eventId"],
            event_type=decision["eventType"],
            publisher=decision["publisher"],
            recipient=candidate["recipient"],
            decided_at=decision["decidedAt"],
            occurred_at=decision["occurredAt"],
            outcome=candidate["outcome"],
            reason=candidate["reason"],
            detail=candidate["detail"],
            agreement=candidate["agreement"],
            version=candidate["version"],
            hash=candidate["hash"].hex(),
            flow=candidate["flow"],
            purpose=candidate["purpose"],
            provider=basis_of(candidate["provider"]),
            receiver=basis_of(candidate["receiver"]),
            items=tuple(candidate["items"]),
            transforms=dict(candidate["transforms"]),
            withheld=dict(candidate["withheld"]),
            sealed=candidate["sealed"],
            subjects=tuple(decision["subjects"]),
            settles=None if settles is None else settles["suspension"],
        )
        for candidate in decision["candidates"]
    )


def basis_of(told: Mapping[str, Any]) -> Basis:
    """Return a side's basis as a record has it."""
    return Basis(told["regime"], tuple(told["conditions"]), tuple(told["gateways"]))

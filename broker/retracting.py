"""Tell everyone who had an event that it was taken back: the notices, and the record of them.

An event that retracts an earlier one goes where its own flows send it. Who had the
earlier one and is not among those receives a notice: a delivery under the agreement,
version and flow of then, without any item. It goes also where the agreement has ended
since (UK GDPR Article 19), and says no more than which event, of those that the
recipient had, counts no longer.

As in `routing`, no I/O and no clock here: a retraction, whom to tell and a snapshot of the
rules in, outgoing records out.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from agreements.candidates import Candidate, to_us
from agreements.checking import Refusal
from agreements.deciding import Permit
from agreements.opened import OpenedEvent
from agreements.rules import Rules
from agreements.views import View
from broker.control import Snapshot
from broker.delivering import Deliveries
from broker.keyring import Keyring
from broker.opening import InHand
from broker.record_parts import NOTICES
from broker.recording import (
    batch_part,
    candidates_part,
    event_part,
    names_only,
    notice_part,
    refused,
    sender_part,
    settles_part,
)
from broker.retraction import Retraction
from broker.routing import DECISIONS, Routed
from connectors.streams import Outgoing
from schemas.catalogue import Catalogue, EventType
from schemas.envelopes import read_laid
from schemas.events import Event


class Had(NamedTuple):
    """Who was sent an event, and under what."""

    event_type: str
    recipient: str
    agreement: str
    version: int
    flow: str


def to_tell(had: Iterable[Had], got: Iterable[Had]) -> list[Had]:
    """Return whom to tell of those who ``had`` the event, in order.

    Who ``got`` its retraction under the same agreement and flow knows. Of several versions
    it is the last.
    """
    told = {(one.recipient, one.agreement, one.flow) for one in got}
    found: dict[tuple[str, str, str], Had] = {}
    for one in sorted(had):
        place = (one.recipient, one.agreement, one.flow)
        if place not in told:
            found[place] = one
    return [found[place] for place in sorted(found)]


class Retractor:
    """Makes notices. Holds keys and caches, and nothing else."""

    def __init__(self, keys: Keyring, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._deliveries = Deliveries(keys)

    def view(self, event_type: str) -> View:
        """Return the view that has no item of a type. Raises `RejectedInput`: an unknown type."""
        return view_of_nothing(self._catalogue.latest(event_type))

    def retract(
        self, retraction: Retraction, told: Sequence[Had], snapshot: Snapshot, *, at_ms: int
    ) -> Routed:
        """Return the notices to those who are to be ``told``, and the record of them.

        ``at_ms`` in milliseconds since the epoch, UTC. Nothing when there is nobody.

        Raises:
            RejectedInput: the event was of a type that is not known any more.

        """
        routed = Routed()
        if not told:
            return routed
        self._deliveries.take(snapshot.rules)
        event_type = self._catalogue.latest(told[0].event_type)
        event = _event_of(retraction, event_type)
        parts = []
        for one in told:
            notice, part, outcome = self._notice(event, one, retraction.retracts, snapshot.rules)
            routed.outgoing += notice
            parts.append(part)
            routed.tally[outcome] += 1
        routed.tally["retracted"] += 1
        value = _record_of(retraction, event_type, parts, snapshot, at_ms=at_ms)
        routed.outgoing.append(Outgoing(DECISIONS, retraction.copy.key, value))
        return routed

    def _notice(
        self, event: InHand, had: Had, retracts: str, rules: Rules
    ) -> tuple[list[Outgoing], bytes, str]:
        """Return the notice to one recipient, what evidence tells of it, and the outcome.

        The detail is always the event that was taken back: by it an auditor finds all of them.
        """
        candidate = _flow_of(had, event.opened, rules)
        if candidate is None:
            clause = names_only(had.recipient, had.agreement, had.version, had.flow)
            part = refused("deny", Refusal.NO_AGREEMENT, retracts, clause)
            return [], part, f"deny:{Refusal.NO_AGREEMENT}"
        view = view_of_nothing(event.opened.type)
        try:
            permit = Permit(candidate, view, view.cut(event.opened))
            notice, part = self._deliveries.deliver(event, permit)
        except Exception:  # noqa: BLE001  one recipient's bad key costs the others nothing
            clause = self._deliveries.clause(candidate)
            part = refused("deny", Refusal.DECIDING_FAILED, retracts, clause)
            return [], part, f"deny:{Refusal.DECIDING_FAILED}"
        return [notice], notice_part(part, retracts), "permit"


@lru_cache(maxsize=256)
def view_of_nothing(event_type: EventType) -> View:
    """Return the view that has no item: nothing in it is made under a recipient's key."""
    return View.of(event_type, (), pseudonym_key=bytes(32))


def _flow_of(had: Had, event: OpenedEvent, rules: Rules) -> Candidate | None:
    """Return the flow of then, as its text is on ``control``, in force or not."""
    place = (had.recipient, had.agreement, had.version, had.flow)
    for one in rules.candidates(event.publisher, event.type.name):
        if (one.recipient, one.agreement_id, one.version, one.flow.id) == place:
            return one
    return None


def _event_of(retraction: Retraction, event_type: EventType) -> InHand:
    """Return the retraction as those know it who had the earlier event: of that one's type."""
    copy, decision = retraction.copy, retraction.decision
    headers = Event.of(
        id=retraction.event_id,
        publisher=retraction.publisher,
        type=event_type.name,
        time=decision["publishedAt"],
        fingerprint=view_of_nothing(event_type).fingerprint,
        retractsid=retraction.retracts,
    ).to_headers()
    event = InHand(copy._replace(headers=headers))
    event.envelope = read_laid(event.laid)
    event.opened = OpenedEvent(
        retraction.publisher,
        event_type,
        b"",
        [],
        to_us(decision["occurredAt"]),
        to_us(decision["receivedAt"]),
        tuple(decision["subjects"]),
    )
    return event


def _record_of(
    retraction: Retraction,
    event_type: EventType,
    parts: Sequence[bytes],
    snapshot: Snapshot,
    *,
    at_ms: int,
) -> bytes:
    """Write the decision record: of this event, under the type of the one that was taken back."""
    copy, decision = retraction.copy, retraction.decision
    settles = settles_part(
        NOTICES,
        decided_at_ms=_to_ms(decision["decidedAt"]),
        partition=copy.partition,
        offset=copy.offset,
    )
    return b"".join(
        (
            sender_part(
                event_type.name,
                event_type.fingerprint,
                retraction.publisher,
                decision["signingKey"],
            ),
            batch_part(
                decision["topic"],
                decision["partition"],
                decided_at_ms=at_ms,
                rules=snapshot.position,
            ),
            event_part(
                decision["offset"],
                retraction.event_id.encode(),
                _to_ms(decision["occurredAt"]),
                _to_ms(decision["publishedAt"]),
                _to_ms(decision["receivedAt"]),
                decision["digest"],
                decision["subjects"],
            ),
            candidates_part(parts, settles),
        )
    )


def _to_ms(moment: Any) -> int:
    return to_us(moment) // 1000

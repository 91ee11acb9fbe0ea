"""Turn a permit into a delivery: the view sealed for its recipient, and what evidence says of it.

Everything that is the same for all deliveries of one flow to one recipient is
made once and kept as long as the rules are; what follows from an event is bounded.
"""

from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from agreements.candidates import Candidate
from agreements.deciding import Permit
from agreements.rules import Rules
from agreements.views import Disclosure
from broker.keyed_hash import KeyedHash
from broker.keyring import Keyring
from broker.legal import to_evidence
from broker.opening import InHand
from broker.recording import Clause, permitted, permitted_part
from connectors.streams import Outgoing
from schemas.events import Envelope, dataschema_of
from schemas.keys import BadKey
from schemas.sealing import BindingTemplate, Sealer, bound_headers

DELIVERIES: Final = "deliveries."
_KEY_BYTES: Final = 16
_KEPT_DISCLOSURES: Final = 512  # of one way, some two kilobytes each
_KEPT_SEALERS: Final = 4096
_new_outgoing: Final = tuple.__new__
"""What Outgoing(…) comes to, at half the cost."""


@dataclass(slots=True)
class _Way:
    """What all deliveries of one view under one flow to one recipient share."""

    topic: str
    sealer: Sealer
    binding: BindingTemplate
    schema_header: tuple[str, bytes]
    flow_headers: tuple[tuple[str, bytes], ...]
    bound_flow_headers: bytes
    key: KeyedHash
    clause: bytes
    view: bytes
    told: dict[Disclosure, bytes] = field(default_factory=dict)


class Deliveries:
    """Makes deliveries. Content keys outlive the rules, everything else goes with them."""

    def __init__(self, keys: Keyring) -> None:
        self._keys = keys
        self._rules: Rules | None = None
        self._ways: dict[tuple[Candidate, bytes], _Way] = {}
        self._clauses: dict[Candidate, bytes] = {}
        self._sealers: dict[tuple[str, str], Sealer] = {}

    def take(self, rules: Rules) -> None:
        """Go by these rules from here on."""
        if rules is not self._rules:
            self._rules = rules
            self._ways.clear()
            self._clauses.clear()

    def deliver(self, event: InHand, permit: Permit) -> tuple[Outgoing, bytes]:
        """Return the delivery, and the candidate's part of the decision record."""
        candidate, view, cut = permit
        envelope, laid = event.envelope, event.laid
        way = self._ways.get((candidate, view.fingerprint)) or self._way(permit, envelope)
        # Hot path: what the headers' names tell is kept, and what all deliveries share.
        place = laid.layout.places["ce_dataschema"]
        headers = list(event.record.headers)
        headers[place] = way.schema_header
        values = list(laid.values)
        values[place] = way.schema_header[1]
        bound = laid.layout.bound % tuple(values)
        aad = way.binding.aad(envelope.id, bound + way.bound_flow_headers)
        framed, disclosure = cut
        sealed = way.sealer.seal(framed, aad)
        headers += way.flow_headers
        # Under a key of the recipient's own: by keys alone, nobody joins two recipients' topics.
        key = way.key.of(event.opened.subjects[0])[:_KEY_BYTES]
        part = way.told.get(disclosure) or self._told(way, disclosure)
        delivery = _new_outgoing(Outgoing, (way.topic, key, sealed, headers))
        return delivery, part + sha256(sealed).digest()

    @staticmethod
    def _told(way: _Way, disclosure: Disclosure) -> bytes:
        """Return what evidence says of every delivery alike, up to the digest of its seal."""
        part = permitted_part(
            way.clause,
            items=disclosure.items,
            transforms=dict(disclosure.transforms),
            view=way.view,
            key=way.sealer.recipient_key.kid,
        )
        part = permitted(part, withheld=disclosure.withheld, sealed=b"")
        if len(way.told) >= _KEPT_DISCLOSURES:
            way.told.clear()
        way.told[disclosure] = part
        return part

    def clause(self, candidate: Candidate) -> bytes:
        """Return what evidence says of the candidate's flow."""
        clause = self._clauses.get(candidate)
        if clause is None:
            clause = self._clauses[candidate] = clause_of(candidate).to_avro()
        return clause

    def _way(self, permit: Permit, envelope: Envelope) -> _Way:
        candidate, view = permit.candidate, permit.view
        topic = DELIVERIES + candidate.recipient
        dataschema = dataschema_of(view.fingerprint)
        flow_headers = (
            ("ce_agreementid", candidate.agreement_id.encode()),
            ("ce_agreementversion", str(candidate.version).encode()),
            ("ce_flowid", candidate.flow.id.encode()),
            ("ce_purpose", candidate.purpose.encode()),
        )
        way = _Way(
            topic=topic,
            sealer=self._sealer(candidate.recipient),
            binding=BindingTemplate(
                candidate.recipient,
                topic,
                envelope.type,
                dataschema,
                agreement=candidate.agreement_id,
                version=candidate.version,
                flow=candidate.flow.id,
            ),
            schema_header=("ce_dataschema", dataschema.encode()),
            flow_headers=flow_headers,
            bound_flow_headers=b"\0" + bound_headers(flow_headers),
            key=KeyedHash(self._keys.derive("delivery-key", candidate.recipient)),
            clause=self.clause(candidate),
            view=view.fingerprint,
        )
        self._ways[candidate, view.fingerprint] = way
        return way

    def _sealer(self, recipient: str) -> Sealer:
        if self._rules is None:
            raise RuntimeError("deliveries need rules")
        keys = self._rules.parties[recipient].sealing_public_keys()
        if not keys:
            raise BadKey("the recipient has no key to seal to")
        key = keys[0]
        sealer = self._sealers.get((recipient, key.kid))
        if sealer is None:
            if len(self._sealers) >= _KEPT_SEALERS:
                self._sealers.clear()
            sealer = Sealer(self._keys.signing[0], recipient, key)
            self._sealers[recipient, key.kid] = sealer
        return sealer


def clause_of(candidate: Candidate) -> Clause:
    """Return a candidate's flow as evidence tells it."""
    legal = candidate.flow.legal
    return Clause(
        recipient=candidate.recipient,
        agreement=candidate.agreement_id,
        version=candidate.version,
        hash=bytes.fromhex(candidate.sha256),
        flow=candidate.flow.id,
        purpose=candidate.purpose,
        provider=to_evidence(legal.provider),
        receiver=to_evidence(legal.recipient),
    )

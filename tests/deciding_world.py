"""A scheme in small for tests of the rules: parties with keys, agreements, signatures, events.

Builders let a test mention only what it is about. The story is one that permits: a
council's children's social care sends a looked-after child's placement to the health
provider, and every check passes unless a test changes something.
"""

import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any

import fastavro

from agreements.candidates import Candidate, to_us
from agreements.deciding import Decision, decide
from agreements.opened import OpenedEvent
from agreements.rules import Rules, compile_rules
from agreements.signatures import (
    NEEDS_REASON,
    Signatory,
    SignatureType,
    Subject,
    sign_statement,
    statement_id,
)
from schemas.catalogue import Catalogue, EventType, shipped
from schemas.control import Kind, document_key, sign_document
from schemas.keys import SigningKey

SCHEME = SigningKey(b"\x01" * 32)
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
PLACEMENT = "uk.gov.csc.cla-placement.v1"
COUNCIL = "anytown-childrens-services"
HEALTH = "anytown-nhs-trust"
SCHOOL = "anytown-virtual-school"
AGREEMENT = "https://sharing.example.gov.uk/agreements/placements"
PURPOSE = "coordinate-care"
SIGNATORY = Signatory(name="A Person", post="Director", capacity="SIRO")

A_BASIS: Mapping[str, Any] = {
    "regime": "uk-gdpr",
    "art6": "e",
    "art9": ["g"],
    "sch1": [18],
    "art10": "official-authority",
    "appropriate_policy_document": "APD-1",
    "gateways": ["https://www.legislation.gov.uk/ukpga/2004/31/section/11"],
    "confidentiality": "statute-overrides",
}


@cache
def key_of(party: str, number: int = 1) -> SigningKey:
    """Return the signing key of a party: the same one in every run."""
    return SigningKey(f"{party}/{number}".encode().ljust(32, b".")[:32])


def pseudonym_key(recipient: str) -> bytes:
    """Return the key of a recipient's pseudonyms."""
    return recipient.encode().ljust(32, b"*")


def a_flow(**changes: Any) -> dict[str, Any]:
    """Build a flow that permits."""
    return {
        "id": "placement",
        "events": [PLACEMENT],
        "from": [COUNCIL],
        "to": [HEALTH],
        "purpose": PURPOSE,
        "legal": {"provider": dict(A_BASIS), "recipient": dict(A_BASIS)},
        "items": [
            {"path": "childId"},
            {"path": "placementPostcode", "justification": "Visits are made there."},
            {"path": "decom"},
        ],
    } | changes


def an_agreement(*flows: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    """Build an agreement document; without ``flows`` it has one that permits."""
    given = [dict(flow) for flow in flows] or [a_flow()]
    names = dict.fromkeys(party for flow in given for party in (*flow["from"], *flow["to"]))
    return {
        "format": 1,
        "id": AGREEMENT,
        "version": 1,
        "title": "Placements of looked-after children",
        "owner": COUNCIL,
        "effective": {"starts_at": "2026-04-01", "ends_at": "2028-04-01"},
        "purposes": [
            {"code": code, "text": "Care is coordinated.", "necessity": "It needs the address."}
            for code in dict.fromkeys(flow["purpose"] for flow in given)
        ],
        "parties": [{"id": name, "role": "controller", "direction": "both"} for name in names],
        "flows": given,
        "dpia": {"status": "approved", "ref": "DPIA-1", "approved_on": "2026-03-01"},
    } | changes


def a_party(party: str, **changes: Any) -> dict[str, Any]:
    """Build a party's document."""
    return {
        "id": party,
        "name": party.replace("-", " ").title(),
        "roles": ["publisher", "recipient"],
        "purposes": [PURPOSE],
        "signing_keys": [key_of(party).public.to_jwk()],
        "revision": 1,
        "state": "active",
    } | changes


@dataclass
class World:
    """Control documents in the making."""

    documents: dict[bytes, bytes | None] = field(default_factory=dict)
    catalogue: Catalogue = field(default_factory=shipped)

    def put(self, key: bytes, value: Any) -> None:
        """Put any document, signed or not."""
        self.documents[key] = json.dumps(value).encode()

    def party(self, party: str, *, by: SigningKey = SCHEME, **changes: Any) -> None:
        """Put a party's document, signed by the scheme unless another key is given."""
        document = a_party(party, **changes)
        key = document_key(Kind.PARTY, party, document["revision"])
        self.put(key, {"jws": sign_document(by, document)})

    def objection(self, name: str, *, by: SigningKey = SCHEME, **document: Any) -> None:
        """Put an objection, signed by the scheme unless another key is given."""
        given: dict[str, Any] = {
            "id": name,
            "revision": 1,
            "from": "2026-01-01T00:00:00Z",
            "kind": "objection",
        } | document
        key = document_key(Kind.OBJECTION, name, given["revision"])
        self.put(key, {"jws": sign_document(by, given)})

    def agreement(self, document: Mapping[str, Any]) -> None:
        """Put an agreement that nobody has signed."""
        key = document_key(Kind.AGREEMENT, document["id"], document["version"])
        self.put(key, document)

    def sign(  # noqa: PLR0913  each is part of what is signed
        self,
        document: Mapping[str, Any],
        party: str,
        *,
        type: str = "accept",  # noqa: A002  the word of the payload
        at: datetime = NOON - timedelta(days=30),
        by: SigningKey | None = None,
        as_party: str | None = None,
        capacity: str = "SIRO",
        **said: Any,
    ) -> str:
        """Put what ``party`` says of an agreement, signed by its key unless another is given.

        Returns the statement's id, which a resume lifts.
        """
        jws = sign_statement(
            subject_of(document),
            (by or key_of(party)).to_private_jwk(),
            type=SignatureType(type),
            party=as_party or party,
            signatory=SIGNATORY.model_copy(update={"capacity": capacity}),
            signed_at=at,
            reason="A reason." if type in NEEDS_REASON else None,
            **said,
        )
        key = document_key(
            Kind.SIGNATURE, document["id"], document["version"], party=party, type=type
        )
        self.put(key, {"jws": jws})
        return statement_id(jws)

    def agree(self, document: Mapping[str, Any], *, without: Iterable[str] = ()) -> None:
        """Put an agreement that all its parties but some have accepted."""
        self.agreement(document)
        for party in document["parties"]:
            if party["id"] not in without:
                self.sign(document, party["id"])

    def rules(self) -> Rules:
        """Compile what was put so far."""
        return compile_rules(
            self.documents,
            self.catalogue,
            scheme_key=SCHEME.public,
            pseudonym_key=pseudonym_key,
        )

    def candidate(self, **where: str) -> Candidate:
        """Return the only candidate of a place."""
        (found,) = self.rules().candidates(
            where.get("publisher", COUNCIL), where.get("event_type", PLACEMENT)
        )
        return found

    def decide(self, event: OpenedEvent | None = None, *, at: datetime = NOON) -> Decision:
        """Decide on the only candidate that is visible at that moment."""
        asked = event or an_event()
        (found,) = self.rules().candidates(asked.publisher, asked.type.name, at=to_us(at))
        return decide(asked, found, at=to_us(at))


def subject_of(document: Mapping[str, Any]) -> Subject:
    """Return what a signature on a document is about."""
    from agreements.canonical import digest

    return Subject(document["id"], document["version"], digest(document))


def a_world(document: Mapping[str, Any] | None = None, *, without: Iterable[str] = ()) -> World:
    """Build a scheme in which an agreement is in force (the usual one unless given)."""
    world = World()
    for party in (COUNCIL, HEALTH, SCHOOL):
        world.party(party)
    world.agree(document or an_agreement(), without=without)
    return world


A_PLACEMENT: Mapping[str, Any] = {
    "childId": "LAC0042",
    "nhsNumber": "9434765919",
    "upn": "G330200112001",
    "sex": "2",
    "ethnicity": "WBRI",
    "rne": "S",
    "legalStatus": "C2",
    "cin": "N1",
    "placementType": "U1",
    "placementProvider": "PR1",
    "rec": None,
    "reasonPlaceChange": None,
    "homePostcode": "S60 1AE",
    "placementPostcode": "S65 2AA",
    "urn": None,
    "localAuthority": "E08000018",
    "addressConfidential": False,
    "decom": date(2026, 5, 28),
    "dec": None,
    "birthDate": date(2014, 9, 30),
}


def an_event(
    *,
    publisher: str = COUNCIL,
    event_type: EventType | None = None,
    occurred_at: datetime = NOON - timedelta(hours=3),
    subjects: tuple[bytes, ...] = (b"child",),
    record: Mapping[str, Any] | None = None,
    **fields: Any,
) -> OpenedEvent:
    """Build an opened event: a placement, with ``fields`` changed, unless told otherwise."""
    kind = event_type or shipped().latest(PLACEMENT)
    return opened(
        kind,
        encode(kind.schema, dict(A_PLACEMENT if record is None else record) | fields),
        publisher=publisher,
        occurred_at=occurred_at,
        subjects=subjects,
    )


def opened(
    event_type: EventType,
    body: bytes,
    *,
    publisher: str = COUNCIL,
    occurred_at: datetime = NOON,
    subjects: tuple[bytes, ...] = (),
) -> OpenedEvent:
    """Open a body that stands after a frame, as the router does."""
    data = b"\xc3\x01" + event_type.fingerprint + body
    return OpenedEvent(
        publisher=publisher,
        type=event_type,
        data=data,
        offsets=event_type.scanner.scan(data, 10),
        occurred_at_us=to_us(occurred_at),
        received_at_us=to_us(NOON),
        subjects=subjects,
    )


def encode(schema: Any, record: Mapping[str, Any]) -> bytes:
    """Encode a record with fastavro."""
    buffer = io.BytesIO()
    fastavro.schemaless_writer(buffer, fastavro.parse_schema(schema), record)
    return buffer.getvalue()


def decode(schema: Any, framed: bytes) -> dict[str, Any]:
    """Decode a framed view with fastavro."""
    found = fastavro.schemaless_reader(io.BytesIO(framed[10:]), fastavro.parse_schema(schema), None)
    assert isinstance(found, dict)
    return found

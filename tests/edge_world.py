"""A scheme in small for tests of the edge: a broker that hands every event on whole.

What it does not do is decide: it opens and verifies what a publisher sent and
seals the record, under a view schema, for the recipient, with the headers that
a delivery has. So a test of the edge needs no router.
"""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from connectors.prepared import PreparedEvent
from connectors.publisher import Publisher
from connectors.streams import Outgoing, Record, Streams, open_streams
from connectors.subscriber import Subscriber
from schemas import avro
from schemas.catalogue import shipped
from schemas.control import Kind, Party, document_key, sign_document
from schemas.events import dataschema_of, read_envelope
from schemas.framing import frame, unframe
from schemas.keys import SealingKey, SigningKey, Suite
from schemas.sealing import Binding, Opener, Sealer, bound_headers
from schemas.signing import Verified, Verifier

TRUST = "anytown-nhs-trust"
SOCIAL_CARE = "anytown-adult-social-care"
NOON = datetime(2026, 4, 1, 12, tzinfo=UTC)
AGREEMENT = "https://sharing.example.gov.uk/agreements/cpis"
CPIS = "uk.nhs.cpis.access.v1"


def an_access(number: int = 1, **changes: Any) -> PreparedEvent:
    """Build a CP-IS access; ``changes`` are fields of its record."""
    record = {
        "nhsNumber": "9990000018",
        "siteOds": "XAT01",
        "careSettingType": "emergency department",
        "planType": "CPP",
        "localAuthority": "E08000999",
        "contactForFollowUp": "01632 960001",
        "sensitiveSetting": False,
        "attendedAt": NOON,
    }
    return PreparedEvent(CPIS, f"attendance/{number}", record | changes, NOON)


def view_of(event_type: str) -> dict[str, Any]:
    """Return a view schema with every item, under a name of its own."""
    schema = json.loads(json.dumps(shipped().latest(event_type).schema))
    schema["name"] = "example.View"
    return dict(schema)


@dataclass
class World:
    """Keys, a publisher, a broker and a recipient around one place with topics."""

    streams: Streams
    trust: str = TRUST
    social_care: str = SOCIAL_CARE
    scheme: SigningKey = field(default_factory=SigningKey.generate)
    broker_signing: SigningKey = field(default_factory=SigningKey.generate)
    broker_sealing: SealingKey = field(default_factory=SealingKey.generate)
    publisher_key: SigningKey = field(default_factory=SigningKey.generate)
    recipient_key: SealingKey = field(default_factory=lambda: SealingKey.generate(Suite.X25519))

    def __post_init__(self) -> None:
        senders = {self.publisher_key.kid: self.publisher_key.public}
        self._opener = Opener([self.broker_sealing], senders.get)
        self._verifier = Verifier(lambda _, kid: senders.get(kid))

    def publisher(self, **changes: Any) -> Publisher:
        """Build the trust's publisher."""
        arguments: dict[str, Any] = {
            "signing_key": self.publisher_key,
            "broker_key": self.broker_sealing.public,
            "catalogue": shipped(),
            "streams": self.streams,
            "clock": lambda: NOON,
        }
        return Publisher(self.trust, **(arguments | changes))

    def subscriber(self, **changes: Any) -> Subscriber:
        """Build social care's subscriber."""
        arguments: dict[str, Any] = {
            "sealing_keys": [self.recipient_key],
            "scheme_key": self.scheme.public,
            "streams": self.streams,
        }
        return Subscriber(self.social_care, **(arguments | changes))

    async def announce_broker(
        self, *, revision: int = 1, signing_key: SigningKey | None = None, **changes: Any
    ) -> None:
        """Put a party document of the broker's on control, signed by the scheme or as told."""
        party = Party(
            id="broker",
            name="The broker",
            roles=("broker",),
            signing_keys=(self.broker_signing.public.to_jwk(),),
            sealing_keys=(self.broker_sealing.public.to_jwk(),),
            revision=revision,
        ).model_copy(update=changes)
        signed = sign_document(signing_key or self.scheme, party.model_dump(mode="json"))
        key = document_key(Kind.PARTY, "broker", revision)
        await self.put(key, {"jws": signed})

    async def announce_view(self, event_type: str) -> bytes:
        """Put the view schema on control; return its fingerprint."""
        document = view_of(event_type)
        fingerprint = avro.fingerprint(avro.parse(document))
        await self.put(
            document_key(Kind.SCHEMA, fingerprint.hex()),
            {"fingerprint": fingerprint.hex(), "event_type": event_type, "schema": document},
        )
        return fingerprint

    async def put(self, key: bytes, document: dict[str, Any]) -> None:
        """Write any control document."""
        await self.streams.append([Outgoing("control", key, json.dumps(document).encode())])

    async def published(self) -> list[Record]:
        """Return what lies on the trust's topic."""
        return [record async for record in self.streams.read(f"events.{self.trust}")]

    def open(self, record: Record) -> Verified:
        """Open and verify a published event as the broker does."""
        envelope = read_envelope(record.headers)
        binding = Binding(
            "broker", record.topic, envelope.id, envelope.type, dataschema_of(envelope.fingerprint)
        )
        plaintext = self._opener.open(record.value or b"", binding.to_aad())
        return self._verifier.verify(
            self.trust,
            record.topic,
            key=record.key or b"",
            headers=record.headers,
            plaintext=plaintext,
        )

    async def deliver(self, records: Sequence[Record], *, announce: bool = True) -> list[Outgoing]:
        """Hand published events on to social care, each whole; return what was appended."""
        outgoing: list[Outgoing] = []
        views: dict[str, bytes] = {}
        sealer = Sealer(self.broker_signing, self.social_care, self.recipient_key.public)
        for record in records:
            payload = self.open(record).payload
            envelope = read_envelope(record.headers)
            if envelope.type not in views:
                views[envelope.type] = avro.fingerprint(avro.parse(view_of(envelope.type)))
                if announce:
                    await self.announce_view(envelope.type)
            view = views[envelope.type]
            headers = dict(record.headers) | {
                "ce_dataschema": dataschema_of(view).encode(),
                "ce_agreementid": AGREEMENT.encode(),
                "ce_agreementversion": b"3",
                "ce_flowid": b"access",
                "ce_purpose": b"protect-children",
            }
            topic = f"deliveries.{self.social_care}"
            binding = Binding(
                recipient=self.social_care,
                topic=topic,
                event_id=envelope.id,
                event_type=envelope.type,
                dataschema=dataschema_of(view),
                agreement=AGREEMENT,
                version=3,
                flow="access",
                headers=bound_headers(headers.items()),
            )
            _, start = unframe(payload)
            sealed = sealer.seal(frame(view, payload[start:]), binding.to_aad())
            outgoing.append(Outgoing(topic, record.key, sealed, tuple(headers.items())))
        await self.streams.append(outgoing)
        return outgoing


async def found(streams: Streams, *, partitions: int = 2, **changes: Any) -> World:
    """Create the topics of a world and announce its broker."""
    world = World(streams, **changes)
    await streams.create_topics({"control": 1}, kept=frozenset({"control"}))
    await streams.create_topics(
        {f"events.{world.trust}": partitions, f"deliveries.{world.social_care}": partitions}
    )
    await world.announce_broker()
    return world


@asynccontextmanager
async def a_world(folder: Path, *, partitions: int = 2) -> AsyncIterator[World]:
    """Open a world on the embedded streams."""
    async with open_streams(f"sqlite:{folder / 'streams.db'}") as streams:
        yield await found(streams, partitions=partitions)

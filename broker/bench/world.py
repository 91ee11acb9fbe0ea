"""The scheme that is measured: a council whose placements one or three parties may see.

The flows are the demonstration's own, with their conditions, pseudonym and withheld
items. Every event is about another child, so nothing about a subject can be
remembered from one to the next.
"""

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cache
from random import Random
from typing import Any, Final, cast

from stdnum.gb import upn

from agreements.canonical import canonical_form
from agreements.model import Agreement
from agreements.reading import read_agreement
from agreements.rules import Compiler
from agreements.signatures import Signatory, SignatureType, Subject, sign_statement
from broker.control import ControlState
from broker.demo.agreements import texts
from broker.demo.chronicle import CHILDREN
from broker.freshness import Freshness, next_statement
from broker.keyring import Keyring
from broker.routing import EVENTS, Router
from connectors.prepared import PreparedEvent
from connectors.publisher import Publisher
from connectors.streams import DEFAULT_MAX_RECORD_BYTES, Outgoing, Streams
from schemas.catalogue import Catalogue, shipped
from schemas.control import Kind, Party, document_key, sign_document
from schemas.keys import SigningKey

PUBLISHER: Final = CHILDREN
TOPIC: Final = EVENTS + PUBLISHER
PLACEMENT: Final = "uk.gov.csc.cla-placement.v1"
SIGNED_TOGETHER: Final = 500
"""Events under one signature, as a publisher with a backlog signs them."""

_TEXT: Final = "looked-after-placements.yaml"
_FRESH_MS: Final = 3_600_000
"""Longer than a measurement takes: nobody issues freshness statements meanwhile."""
_SIGNATORY: Final = Signatory(name="The SIRO", post="SIRO", capacity="SIRO")
_AREAS: Final = tuple(f"AY{number} {digit}" for number in range(1, 20) for digit in range(10))
_ENDS: Final = ("AB", "BD", "JT", "LN", "PQ", "RS", "UW", "XY")


@cache
def placements(recipients: int) -> Agreement:
    """Return the demonstration's agreement on placements, with its first flows only.

    Each flow has one recipient.
    """
    whole = read_agreement(texts()[_TEXT], name=_TEXT)
    flows = whole.flows[:recipients]
    return whole.model_copy(
        update={
            "flows": flows,
            "purposes": tuple(
                purpose
                for purpose in whole.purposes
                if purpose.code in {flow.purpose for flow in flows}
            ),
        }
    )


@dataclass
class World:
    """Parties with keys, and what they signed."""

    catalogue: Catalogue = field(default_factory=shipped)
    scheme: SigningKey = field(default_factory=SigningKey.generate)
    broker: Keyring = field(default_factory=Keyring.generate)
    keys: dict[str, Keyring] = field(default_factory=dict)
    documents: dict[bytes, bytes] = field(default_factory=dict)

    @classmethod
    def of(cls, *agreements: Agreement) -> "World":
        """Make the world of the parties of these agreements."""
        world = cls()
        world.welcome(agreements)
        return world

    def welcome(self, agreements: Iterable[Agreement]) -> None:
        """Let the parties of these agreements join."""
        purposes: dict[str, set[str]] = {}
        publishers: set[str] = set()
        for agreement in agreements:
            for party in agreement.parties:
                purposes.setdefault(party.id, set())
            for flow in agreement.flows:
                publishers.update(flow.from_)
                for recipient in flow.to:
                    purposes[recipient].add(flow.purpose)
        for party_id, held in purposes.items():
            role = "publisher" if party_id in publishers else "recipient"
            self.join(party_id, roles=(role,), purposes=tuple(sorted(held)))

    @property
    def recipients(self) -> tuple[str, ...]:
        """The parties that do not publish."""
        return tuple(party for party in self.keys if party != PUBLISHER)

    def join(self, party: str, *, roles: tuple[str, ...], purposes: tuple[str, ...] = ()) -> None:
        """Let an organisation join, with keys of its own."""
        keys = self.keys[party] = Keyring.generate()
        document = Party.model_validate(
            {
                "id": party,
                "name": party,
                "roles": roles,
                "purposes": purposes,
                "signing_keys": [key.public.to_jwk() for key in keys.signing],
                "sealing_keys": [key.public.to_jwk() for key in keys.sealing],
            }
        )
        token = sign_document(self.scheme, document.model_dump(mode="json"))
        self.documents[document_key(Kind.PARTY, party, 1)] = _json({"jws": token})

    def agree(self, agreement: Agreement) -> dict[bytes, bytes]:
        """Return the documents of an agreement that all its parties have accepted."""
        documents = {
            document_key(Kind.AGREEMENT, agreement.id, agreement.version): canonical_form(agreement)
        }
        for party in agreement.parties:
            token = sign_statement(
                Subject.of(agreement),
                self.keys[party.id].signing[0].to_private_jwk(),
                type=SignatureType.ACCEPT,
                party=party.id,
                signatory=_SIGNATORY,
                signed_at=datetime(2026, 3, 2, tzinfo=UTC),
            )
            key = document_key(
                Kind.SIGNATURE, agreement.id, agreement.version, party=party.id, type="accept"
            )
            documents[key] = _json({"jws": token})
        return documents

    def compiler(self) -> Compiler:
        """Return a compiler that has seen nothing yet."""
        return Compiler(
            self.catalogue,
            scheme_key=self.scheme.public,
            pseudonym_key=lambda recipient: self.broker.derive("pseudonym", recipient),
        )

    def control(self, *agreements: Agreement) -> ControlState:
        """Return the state of ``control`` in which these agreements are in force."""
        control = ControlState(self.compiler())
        documents = dict(self.documents)
        for agreement in agreements:
            documents |= self.agree(agreement)
        for offset, (key, value) in enumerate(documents.items()):
            control.apply(key, value, offset)
        return control

    def freshness(self, control: ControlState) -> Freshness:
        """Return what tells that this state of ``control`` is up to date, and stays so."""
        fresh = Freshness(self.scheme.public, control.chain, max_age_ms=_FRESH_MS)
        now_ms = int(time.time() * 1000)
        fresh.take(next_statement(control.chain, at_ms=now_ms).sign(self.scheme).encode())
        return fresh

    def to_json(self) -> dict[str, Any]:
        """Return everything with its private keys: for another process, and not for long."""
        return {
            "scheme": self.scheme.to_private_jwk(),
            "broker": self.broker.to_jwks(),
            "keys": {party: keys.to_jwks() for party, keys in self.keys.items()},
            "documents": {key.decode(): value.decode() for key, value in self.documents.items()},
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "World":
        """Read what `to_json` wrote."""
        return cls(
            scheme=SigningKey.from_jwk(document["scheme"]),
            broker=Keyring.from_jwks("broker", document["broker"]),
            keys={
                party: Keyring.from_jwks(party, jwks) for party, jwks in document["keys"].items()
            },
            documents={
                key.encode(): value.encode() for key, value in document["documents"].items()
            },
        )

    def router(self, *, max_record_bytes: int = DEFAULT_MAX_RECORD_BYTES) -> Router:
        """Return a router that has seen nothing yet."""
        return Router(self.broker, self.catalogue, max_record_bytes=max_record_bytes)

    def sealed(self, events: int, *, seed: int = 1) -> Iterator[list[Outgoing]]:
        """Yield that many signed and sealed placements, as batches to append."""
        publisher = Publisher(
            PUBLISHER,
            signing_key=self.keys[PUBLISHER].signing[0],
            broker_key=self.broker.sealing[0].public,
            catalogue=self.catalogue,
            streams=cast("Streams", _Limit()),
        )
        told = stories(seed)
        for start in range(0, events, SIGNED_TOGETHER):
            number = min(SIGNED_TOGETHER, events - start)
            yield publisher.seal([next(told) for _ in range(number)])


def _json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document).encode()


class _Limit:
    """All that sealing without appending asks of the streams."""

    max_record_bytes = DEFAULT_MAX_RECORD_BYTES


def stories(seed: int) -> Iterator[PreparedEvent]:
    """Yield placements without end, each of another child with valid identifiers."""
    random = Random(seed)  # noqa: S311  a story, not a secret
    today = datetime.now(UTC).date()
    at = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=2)
    for number in range(1_000_000):
        child = f"{seed:02d}{number:07d}"
        yield PreparedEvent(
            event_type=PLACEMENT,
            natural_key=child,
            record=_placement(child, number, random, today),
            occurred_at=at,
            classification="OFFICIAL-SENSITIVE",
        )


def _placement(child: str, number: int, random: Random, today: date) -> dict[str, Any]:
    started = date(2010 + number % 15, 1 + number % 12, 1 + number % 28)
    return {
        "childId": f"AT{child}",
        "nhsNumber": _nhs_number(number),
        "upn": _upn(number),
        "birthDate": started,
        "sex": random.choice("12"),
        "ethnicity": random.choice(("WBRI", "MWBC", "APKN", "BAFR")),
        "rne": random.choice("SPLTU"),
        "legalStatus": random.choice(("C1", "C2", "V2", "E1")),
        "cin": f"N{random.randrange(1, 9)}",
        "placementType": random.choice(("U1", "U4", "K2", "R1", "P1")),
        "placementProvider": random.choice(("PR1", "PR4")),
        "decom": today - timedelta(days=random.randrange(30)),
        "homePostcode": random.choice(_AREAS) + random.choice(_ENDS),
        "placementPostcode": random.choice(_AREAS) + random.choice(_ENDS),
        "localAuthority": "E08000999",
        "addressConfidential": False,
    }


def _nhs_number(number: int) -> str:
    """Return the number-th of those that are kept for tests; one in eleven has no check digit."""
    number += number // 10  # never two alike
    while True:
        digits = f"999{number % 1_000_000:06d}"
        check = 11 - sum((10 - place) * int(digit) for place, digit in enumerate(digits)) % 11
        if check != 10 and digits != "9" * 9:  # noqa: PLR2004  the digit there is none for
            return f"{digits}{check % 11}"
        number += 1


def _upn(number: int) -> str:
    digits = f"928{number // 1000 + 1:04d}10{number % 1000:03d}"
    return f"{upn.calc_check_digit(digits)}{digits}"

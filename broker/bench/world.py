"""The scheme that is measured: a council whose placements one or three parties may see.

The flows are the demonstration's own, with their conditions, pseudonym and withheld
items. Every event is about another child, so nothing about a subject can be
remembered from one to the next.
"""

import json
from collections.abc import Iterator, Mapping
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
from agreements.signatures import Signatory, SignatureType, Subject, sign_agreement
from broker.control import ControlState, Snapshot
from broker.demo.agreements import texts
from broker.demo.chronicle import CHILDREN
from broker.keyring import Keyring
from broker.routing import EVENTS, Router
from connectors.prepared import PreparedEvent
from connectors.publisher import Publisher
from connectors.streams import DEFAULT_MAX_RECORD_BYTES, Outgoing, Streams
from schemas.catalogue import Catalogue, shipped
from schemas.control import BROKER, Kind, Party, document_key, sign_document
from schemas.keys import SigningKey

PUBLISHER: Final = CHILDREN
TOPIC: Final = EVENTS + PUBLISHER
PLACEMENT: Final = "uk.gov.csc.cla-placement.v1"
SIGNED_TOGETHER: Final = 500
"""Events under one signature, as a publisher with a backlog signs them."""

_TEXT: Final = "looked-after-placements.yaml"
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
        """Make the world in which these agreements are in force."""
        world = cls()
        world.join(BROKER, roles=("broker",), keys=world.broker)
        purposes: dict[str, set[str]] = {}
        for agreement in agreements:
            for flow in agreement.flows:
                for recipient in flow.to:
                    purposes.setdefault(recipient, set()).add(flow.purpose)
        for party in dict.fromkeys(p.id for agreement in agreements for p in agreement.parties):
            world.join(party, purposes=tuple(sorted(purposes.get(party, ()))))
        for agreement in agreements:
            world.agree(agreement)
        return world

    def join(
        self,
        party: str,
        *,
        roles: tuple[str, ...] = ("publisher", "recipient"),
        purposes: tuple[str, ...] = (),
        keys: Keyring | None = None,
    ) -> None:
        """Let an organisation join."""
        keys = self.keys[party] = keys or Keyring.generate()
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
        self._put(document_key(Kind.PARTY, party, 1), {"jws": token})

    def agree(self, agreement: Agreement) -> None:
        """Put an agreement that all its parties have accepted."""
        self.documents[document_key(Kind.AGREEMENT, agreement.id, agreement.version)] = (
            canonical_form(agreement)
        )
        for party in agreement.parties:
            token = sign_agreement(
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
            self._put(key, {"jws": token})

    def control(self) -> ControlState:
        """Return the state of ``control`` with all documents applied."""
        control = ControlState(
            Compiler(
                self.catalogue,
                scheme_key=self.scheme.public,
                pseudonym_key=lambda recipient: self.broker.derive("pseudonym", recipient),
            )
        )
        for offset, (key, value) in enumerate(self.documents.items()):
            control.apply(key, value, offset)
        return control

    def snapshot(self) -> Snapshot:
        """Return the rules that follow from all documents."""
        return self.control().snapshot()

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

    def _put(self, key: bytes, document: Mapping[str, Any]) -> None:
        self.documents[key] = json.dumps(document).encode()


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

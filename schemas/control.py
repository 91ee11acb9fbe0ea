"""The documents on the topic ``control``: their record keys, and their signing.

The topic keeps every record for ever. It is not compacted: whoever may write could
otherwise take a revocation back by writing over it, and rules of the past were lost.

Record key: ``kind|id[|version[|party|type]]`` in UTF-8. The documents that say who
is trusted (parties, objections) are compact JWS by the scheme key: RFC 7515 with
the fully specified ``Ed25519`` of RFC 9864, the key by its thumbprint, the payload
as canonical JSON (RFC 8785).
"""

import json
from collections.abc import Mapping
from datetime import date, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Annotated, Any, Final, Literal, NamedTuple, Self

import rfc8785
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey
from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from schemas.errors import RejectedInput
from schemas.keys import BadSignature, SealingPublicKey, SigningKey, VerifyingKey

ALGORITHM: Final = "Ed25519"
MAX_DOCUMENT_CHARACTERS: Final = 1 << 20  # nothing on control is near a megabyte
BROKER: Final = "broker"  # the broker's own id as a party
PARTY_ID: Final = r"^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$"


class BadDocument(RejectedInput):
    """A control document or its record key is not of a shape that we know."""

    code = "bad-document"


class Kind(StrEnum):
    """What a record on the topic is. The values are in record keys: never reuse one."""

    PARTY = "party"
    AGREEMENT = "agreement"
    SIGNATURE = "signature"
    SCHEMA = "schema"
    OBJECTION = "objection"


_PARTS: Final = {
    Kind.PARTY: 2,  # id, revision
    Kind.AGREEMENT: 2,  # id, version
    Kind.SIGNATURE: 4,  # agreement, version, party, type
    Kind.SCHEMA: 1,  # fingerprint in hexadecimal
    Kind.OBJECTION: 2,  # id, revision
}


class DocumentKey(NamedTuple):
    """A record key of the topic, taken apart. ``version`` is also what we call a revision."""

    kind: Kind
    id: str
    version: int | None = None
    party: str | None = None
    type: str | None = None


def document_key(
    kind: Kind | str,
    id: str,  # noqa: A002  the name in the record key's definition
    version: int | None = None,
    *,
    party: str | None = None,
    type: str | None = None,  # noqa: A002  as above
) -> bytes:
    """Return the record key. Raises ``BadDocument`` when parts are missing or too many."""
    parts = [part for part in (id, version, party, type) if part is not None]
    if kind not in _PARTS or len(parts) != _PARTS[Kind(kind)]:
        raise BadDocument(f"a record key of kind {kind} with {len(parts)} parts")
    texts = [str(kind), *map(str, parts)]
    if any("|" in text or not text for text in texts):
        raise BadDocument("a part of a record key is empty or has a vertical bar in it")
    return "|".join(texts).encode()


def parse_document_key(key: bytes) -> DocumentKey:
    """Take a record key apart. Raises ``BadDocument``."""
    try:
        kind, *parts = key.decode().split("|")
        wanted = _PARTS[Kind(kind)]
        version = int(parts[1]) if wanted > 1 else None
    except (ValueError, IndexError):
        raise BadDocument("a record key on control that is not of a known shape") from None
    found = DocumentKey(Kind(kind), parts[0], version, *parts[2:]) if len(parts) == wanted else None
    if found is None or document_key(*found[:3], party=found.party, type=found.type) != key:
        raise BadDocument("a record key on control that is not of a known shape")
    return found


def sign_document(key: SigningKey, payload: Mapping[str, Any]) -> str:
    """Return the compact JWS over the canonical JSON of ``payload``."""
    try:
        content = rfc8785.dumps(dict(payload))
    except rfc8785.CanonicalizationError as error:
        reason = type(error).__name__
        raise BadDocument(f"a document without a canonical form: {reason}") from None
    private = OKPKey.import_key(_bare(key.to_private_jwk()))
    return jws.serialize_compact(
        {"alg": ALGORITHM, "kid": key.kid}, content, private, algorithms=[ALGORITHM]
    )


def open_document(signed: str, key: VerifyingKey) -> dict[str, Any]:
    """Return the payload if ``key`` signed it. Raises ``BadSignature`` for anything else."""
    if not isinstance(signed, str) or len(signed) > MAX_DOCUMENT_CHARACTERS:
        raise BadSignature("expected a compact JWS of at most a megabyte")
    try:
        opened = jws.deserialize_compact(signed, _public(key), algorithms=[ALGORITHM])
        payload = json.loads(opened.payload)
    except (JoseError, ValueError, RecursionError):
        raise BadSignature("the document's signature does not verify") from None
    # Exactly these two: a header that we do not act on is one that we did not check.
    if opened.headers() != {"alg": ALGORITHM, "kid": key.kid} or not isinstance(payload, dict):
        raise BadSignature("the document is not signed the way control documents are")
    return payload


@lru_cache(maxsize=256)
def _public(key: VerifyingKey) -> OKPKey:
    return OKPKey.import_key(_bare(key.to_jwk()))


def _bare(jwk: Mapping[str, str]) -> dict[str, str | list[str]]:
    return {name: value for name, value in jwk.items() if name not in {"kid", "use"}}


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Assured(_Document):
    """That a party holds an assurance such as Cyber Essentials Plus; both days are in it."""

    kind: str = Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$")
    valid_from: date
    valid_until: date
    reference: str | None = Field(default=None, min_length=1, max_length=200)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.valid_until < self.valid_from:
            raise ValueError("expected valid_until not to be before valid_from")
        return self


class StolenKey(_Document):
    """That a signing key was no longer the party's alone from a moment on (aware)."""

    kid: str = Field(min_length=1, max_length=100)
    stolen_from: AwareDatetime


class Party(_Document):
    """An organisation in the scheme, or the broker itself, with its public keys.

    ``schema_numbers`` gives the fingerprint of each number of the party's schema
    registry, where its payloads have Confluent's framing. A key that was once reported
    stolen stays so, whatever a later revision leaves out.
    """

    id: str = Field(pattern=PARTY_ID)
    name: str = Field(min_length=1, max_length=200)
    regime: Literal["uk-gdpr", "dpa-part-3"] = "uk-gdpr"
    roles: tuple[Literal["publisher", "recipient", "broker"], ...]
    purposes: tuple[str, ...] = ()
    identifiers: dict[str, str] = {}
    signing_keys: tuple[dict[str, str], ...] = ()
    sealing_keys: tuple[dict[str, str], ...] = ()
    schema_numbers: dict[
        Annotated[str, StringConstraints(pattern=r"^(0|[1-9][0-9]{0,9})$")],
        Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")],
    ] = {}
    assurances: tuple[Assured, ...] = ()
    stolen_keys: tuple[StolenKey, ...] = ()
    revision: int = Field(default=1, ge=1)
    state: Literal["active", "suspended"] = "active"

    def verifying_keys(self) -> tuple[VerifyingKey, ...]:
        """Return the public signing keys that are not stolen, the one in use first.

        Raises ``BadKey``.
        """
        stolen = {key.kid for key in self.stolen_keys}
        keys = (VerifyingKey.from_jwk(jwk) for jwk in self.signing_keys)
        return tuple(key for key in keys if key.kid not in stolen)

    def registry(self) -> dict[int, bytes]:
        """Return the fingerprint (8 bytes) of each number of the party's schema registry."""
        return {int(number): bytes.fromhex(mark) for number, mark in self.schema_numbers.items()}

    def sealing_public_keys(self) -> tuple[SealingPublicKey, ...]:
        """Return the keys to seal to, the preferred one first. Raises ``BadKey``."""
        return tuple(SealingPublicKey.from_jwk(jwk) for jwk in self.sealing_keys)


class Objection(_Document):
    """That nothing, or nothing for some purposes or recipients, is shared about a subject.

    The highest revision of an ``id`` counts, so one with ``until`` lifts it. ``subject``
    is the blinded index in hexadecimal; None in ``recipients`` or ``purposes`` means
    all. ``starts_at`` is inclusive, ``until`` exclusive, both aware.
    """

    id: str = Field(pattern=r"^[^|]+$", max_length=200)
    revision: int = Field(ge=1)
    subject: str = Field(pattern=r"^[0-9a-f]+$")
    starts_at: datetime = Field(alias="from")
    until: datetime | None = None
    recipients: tuple[str, ...] | None = None
    purposes: tuple[str, ...] | None = None
    kind: Literal["objection", "opt-out", "consent-withdrawn"]

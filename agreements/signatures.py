"""What a party says of an agreement: accept, suspend, revoke and so on, as a signed statement.

A statement is a compact JWS (RFC 7515) with Ed25519 (RFC 8037; ``alg`` by its
fully-specified name, RFC 9864) over a payload that names the agreement, its
version and the SHA-256 of its canonical form (as the Dutch FSC standard does). The
header's ``kid`` is the RFC 7638 thumbprint of the party's key. A flow is live
only between parties that accepted the same hash. What each type does to an agreement's
life is in `agreements.lifecycle`.

Checking has no clock and no store: the caller passes the document's digest and
the party's keys, and gets a result that says why when it is not to be used.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from hashlib import sha256 as _sha256
from typing import Annotated, Any, ClassVar, Final, Literal, Self

import rfc8785
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey
from pydantic import Field, StringConstraints, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from agreements.canonical import digest
from agreements.codes import code_list
from agreements.model import Agreement, Part
from agreements.values import Capacity, Moment, PartyId, Text, Title, Uri, Whole
from schemas.errors import RejectedInput

ALGORITHM: Final = "Ed25519"
TYPE: Final = "concordat-agreement+jwt"  # keeps a statement from passing as another JWS of ours
LONGEST: Final = 16 * 1024  # characters; a statement is about one thousand

Jwk = Mapping[str, Any]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class SignatureType(StrEnum):
    """What is said. The values are signed: never reuse one."""

    ACCEPT = "accept"
    REJECT = "reject"
    REVOKE = "revoke"
    CONSULT = "consult"  # the owner asks the parties what they think of a draft
    ASSURE = "assure"  # the facilitator vouches for the text
    SUSPEND = "suspend"  # hold what would flow, under every version
    RESUME = "resume"  # take one suspension of one's own back
    REVIEW = "review"  # put it under review; it goes on
    REVIEWED = "reviewed"  # the review is done


STOPS: Final = frozenset({SignatureType.REJECT, SignatureType.REVOKE, SignatureType.SUSPEND})
"""What takes away and never gives: these count under any key that the party ever had."""
NEEDS_REASON: Final = STOPS | {SignatureType.RESUME, SignatureType.REVIEW}
"""What is not said without a reason."""


class SignatureFault(StrEnum):
    """Why a signature is not used."""

    MALFORMED = "malformed"  # not a JWS of ours, or its payload has another shape
    UNKNOWN_KEY = "unknown-key"  # no key of the party has this thumbprint
    BAD_SIGNATURE = "bad-signature"
    WRONG_PARTY = "wrong-party"
    WRONG_DOCUMENT = "wrong-document"  # another agreement, version or text
    WRONG_TYPE = "wrong-type"  # kept under the name of another statement


class Standing(StrEnum):
    """Where a party stands towards one version of an agreement."""

    UNSIGNED = "unsigned"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    REVOKED = "revoked"


class NoReason(RejectedInput):
    """A statement of this type is not made without a reason."""

    code: ClassVar[str] = "no-reason"


class Signatory(Part):
    """The person who signs, and what entitles them to."""

    name: Title
    post: Title
    capacity: Capacity
    delegation_ref: Title | None = None

    @model_validator(mode="after")
    def _entitled(self) -> Self:
        more = code_list("capacities")[self.capacity].more
        if not more.get("may_sign", True):
            raise PydanticCustomError("may-not-sign", "this capacity advises and does not sign")
        if more.get("needs_delegation") and self.delegation_ref is None:
            raise PydanticCustomError("no-delegation", "a delegate gives a delegation_ref")
        return self


class Statement(Part):
    """The payload of a signature.

    ``effective_at`` is when it takes effect: by default when it is signed, and a revocation
    or suspension as soon as it is known. A resume names the suspension that it ``lifts``
    (see `statement_id`) and what becomes of what was ``held``.
    """

    type: SignatureType
    agreement: Uri
    version: Whole
    sha256: Sha256
    party: PartyId
    signatory: Signatory
    signed_at: Moment
    reason: Text | None = Field(None, description="why: not needed to accept, consult or assure")
    effective_at: Moment | None = None
    lifts: Sha256 | None = None
    held: Literal["release", "purge"] | None = None
    review_by: Moment | None = Field(None, description="when the next review is due")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        is_resume = self.type is SignatureType.RESUME
        if (self.lifts is not None, self.held is not None) != (is_resume, is_resume):
            raise PydanticCustomError(
                "resume-incomplete",
                "a resume, and nothing else, gives the suspension that it lifts and what"
                " becomes of what was held: release or purge",
            )
        if self.review_by is not None and self.type is not SignatureType.REVIEWED:
            raise PydanticCustomError(
                "not-a-review", "only a review that is done gives the day of the next"
            )
        # A stop is believed without its reason: it was not asked for in earlier releases.
        if self.reason is None and self.type in NEEDS_REASON - STOPS:
            raise PydanticCustomError("no-reason", "expected a reason")
        return self

    @property
    def takes_effect_at(self) -> datetime:
        """When it counts from; an acceptance or resume never from before it was signed."""
        if self.effective_at is None:
            return self.signed_at
        if self.type in STOPS:
            return self.effective_at
        return max(self.effective_at, self.signed_at)


@dataclass(frozen=True, slots=True)
class Subject:
    """The text that is signed: which agreement, which version, which hash."""

    agreement: str
    version: int
    sha256: str

    @classmethod
    def of(cls, agreement: Agreement) -> Self:
        """Return the subject of a signature on ``agreement``."""
        return cls(agreement.id, agreement.version, digest(agreement))


@dataclass(frozen=True, slots=True)
class Valid:
    """The party said this with its key ``kid``."""

    statement: Statement
    kid: str


@dataclass(frozen=True, slots=True)
class Invalid:
    """The signature is not to be used."""

    fault: SignatureFault


Checked = Valid | Invalid


def statement_id(token: str) -> str:
    """Return the id of a statement: the SHA-256, in hexadecimal, of what its JWS signs.

    That is header and payload as they stand in the compact form (RFC 7515 §5.1). Without
    the signature, whose last character can be written in several ways: nobody else's
    copy of a suspension is another suspension.
    """
    return _sha256(token.rpartition(".")[0].encode()).hexdigest()


def sign_statement(  # noqa: PLR0913  each is part of what is signed
    subject: Subject,
    private_key: Jwk,
    *,
    type: SignatureType,  # noqa: A002  the word of the payload
    party: str,
    signatory: Signatory,
    signed_at: datetime,
    reason: str | None = None,
    effective_at: datetime | None = None,
    lifts: str | None = None,
    held: Literal["release", "purge"] | None = None,
    review_by: datetime | None = None,
) -> str:
    """Return the compact JWS of ``party``'s statement; ``private_key`` is an Ed25519 JWK.

    Raises pydantic's ValidationError for a statement that cannot be made (naive
    ``signed_at``, malformed party, a resume that names no suspension), and ``NoReason``
    where one is needed.
    """
    said = {
        "type": SignatureType(type),
        "agreement": subject.agreement,
        "version": subject.version,
        "sha256": subject.sha256,
        "party": party,
        "signatory": signatory,
        "signed_at": signed_at,
        "reason": reason,
        "effective_at": effective_at,
        "lifts": lifts,
        "held": held,
        "review_by": review_by,
    }
    # What is not said stays out of what is signed.
    statement = Statement.model_validate({k: v for k, v in said.items() if v is not None})
    if statement.reason is None and statement.type in NEEDS_REASON:
        raise NoReason(f"expected a reason: a {statement.type} says why")
    key = OKPKey.import_key(dict(private_key))
    header = {"alg": ALGORITHM, "kid": key.thumbprint(), "typ": TYPE}
    payload = rfc8785.dumps(statement.model_dump(mode="json", exclude_unset=True))
    return jws.serialize_compact(header, payload, key, algorithms=[ALGORITHM])


def check_signature(
    token: str,
    subject: Subject,
    *,
    party: str,
    keys: Iterable[Jwk],
    type: SignatureType | None = None,  # noqa: A002  the word of the payload
) -> Checked:
    """Check that ``party`` said this of ``subject`` with one of its ``keys`` (public JWKs).

    ``type`` is the statement that the caller believes it has; None takes any.
    """
    read = _read(token)
    if read is None:
        return Invalid(SignatureFault.MALFORMED)
    compact, kid = read
    key = next(
        (key for key in map(_key, keys) if key is not None and key.thumbprint() == kid), None
    )
    if key is None:
        return Invalid(SignatureFault.UNKNOWN_KEY)
    if not jws.validate_compact(compact, key, algorithms=[ALGORITHM]):
        return Invalid(SignatureFault.BAD_SIGNATURE)
    try:
        statement = Statement.model_validate_json(compact.payload)
    except ValidationError:
        return Invalid(SignatureFault.MALFORMED)
    fault = _mismatch(statement, subject, party, type)
    return Valid(statement, kid) if fault is None else Invalid(fault)


def standing(statements: Iterable[Statement]) -> Standing:
    """Return where a party stands, from its valid statements on one version.

    INVARIANT: a revocation is final for the version: no other statement, older or
    newer, undoes it. Between accept and reject the later counts, and reject on a tie.
    """
    said = list(statements)
    if any(statement.type is SignatureType.REVOKE for statement in said):
        return Standing.REVOKED
    answers = (s for s in said if s.type in (SignatureType.ACCEPT, SignatureType.REJECT))
    last = max(answers, key=lambda s: (s.signed_at, s.type is SignatureType.REJECT), default=None)
    if last is None:
        return Standing.UNSIGNED
    return Standing.ACCEPTED if last.type is SignatureType.ACCEPT else Standing.REJECTED


def _read(token: str) -> tuple[jws.CompactSignature, str] | None:
    """Return the parsed token and its key id; None when it is not a token of ours."""
    if not isinstance(token, str) or not 0 < len(token) <= LONGEST:
        return None
    try:
        compact = jws.extract_compact(token.encode("ascii"))
        header = compact.headers()
    except (JoseError, ValueError):
        return None
    # Exactly these: an unknown header could carry a meaning (crit, jwk, b64) we must not guess.
    expected = {"alg": ALGORITHM, "typ": TYPE, "kid": header.get("kid")}
    if dict(header) != expected or not isinstance(header["kid"], str):
        return None
    return compact, header["kid"]


def _key(jwk: Jwk) -> OKPKey | None:
    if jwk.get("kty") != "OKP" or jwk.get("crv") != "Ed25519":
        return None
    x = jwk.get("x")
    return _public_key(x) if isinstance(x, str) else None


@lru_cache(maxsize=4096)
def _public_key(x: str) -> OKPKey | None:
    """Import once: a party's key is met in each of its agreements."""
    try:
        key = OKPKey.import_key({"kty": "OKP", "crv": "Ed25519", "x": x})
        key.thumbprint()
    except (JoseError, ValueError):
        return None
    return key


def _mismatch(
    statement: Statement, subject: Subject, party: str, wanted: SignatureType | None
) -> SignatureFault | None:
    if statement.party != party:
        return SignatureFault.WRONG_PARTY
    if Subject(statement.agreement, statement.version, statement.sha256) != subject:
        return SignatureFault.WRONG_DOCUMENT
    if wanted is not None and statement.type is not wanted:
        return SignatureFault.WRONG_TYPE
    return None

"""What a party says of an agreement: making the statement, and reading one that came.

Nothing of the scheme is needed here, so it works where a party signs: with the text,
the key and nothing else.
"""

import base64
import binascii
import json
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Literal

from pydantic import ValidationError

from agreements.model import Agreement
from agreements.signatures import Signatory, SignatureType, Statement, Subject, sign_statement
from schemas.control import Kind, document_key
from schemas.errors import RejectedInput
from schemas.keys import SigningKey


class NotASignature(RejectedInput):
    """What came is not a statement of the party that it names on a text on record."""

    code: ClassVar[str] = "not-a-signature"


class NoSay(RejectedInput):
    """The party has no say in the agreement."""

    code: ClassVar[str] = "no-say"


@dataclass(frozen=True, slots=True)
class Saying:
    """What a party is about to say of an agreement, and who says it for the party."""

    type: SignatureType
    party: str
    signatory: Signatory
    signed_at: datetime
    reason: str | None = None
    effective_at: datetime | None = None
    lifts: str | None = None
    held: Literal["release", "purge"] | None = None
    review_by: datetime | None = None

    def sign(self, agreement: Agreement, key: SigningKey) -> str:
        """Return the statement as a compact JWS.

        Raises:
            NoSay: the party is no party of the agreement.

        """
        check_is_party(agreement, self.party, self.type)
        return sign_statement(
            Subject.of(agreement),
            key.to_private_jwk(),
            type=self.type,
            party=self.party,
            signatory=self.signatory,
            signed_at=self.signed_at,
            reason=self.reason,
            effective_at=self.effective_at,
            lifts=self.lifts,
            held=self.held,
            review_by=self.review_by,
        )


def signature_type(text: str) -> SignatureType:
    """Return the type of statement that a word means.

    Raises:
        NotASignature: none has this name.

    """
    try:
        return SignatureType(text)
    except ValueError:
        expected = ", ".join(SignatureType)
        raise NotASignature(f"there is no statement {text!r}: expected {expected}") from None


def read_statement(token: str) -> Statement:
    """Return what a statement says, before its signature is verified.

    Raises:
        NotASignature: it is not a statement.

    """
    try:
        _, payload, _ = token.split(".")
        raw = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
        return Statement.model_validate(json.loads(raw))
    except (ValidationError, ValueError, binascii.Error, RecursionError):
        raise NotASignature(
            "this is not a statement on an agreement: expected the whole of what"
            " `concordat agreement sign` wrote"
        ) from None


def record_of(statement: Statement, token: str) -> tuple[bytes, bytes]:
    """Return the record key and value of a statement on ``control``."""
    key = document_key(
        Kind.SIGNATURE,
        statement.agreement,
        statement.version,
        party=statement.party,
        type=statement.type.value,
    )
    return key, json.dumps({"jws": token}).encode()


def check_is_party(agreement: Agreement, party: str, kind: SignatureType) -> None:
    """Refuse a statement of somebody who has no say in it.

    Raises:
        NoSay: it is no party of the agreement, nor the one that vouches for it.

    """
    known = {one.id for one in agreement.parties}
    if kind is SignatureType.ASSURE and agreement.facilitator is not None:
        known.add(agreement.facilitator)
    if party not in known:
        raise NoSay(
            f"{party} is no party of {agreement.id} version {agreement.version}:"
            f" expected one of {', '.join(sorted(known))}"
        )

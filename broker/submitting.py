"""Take a party's statement in: checked as a router will check it, and against its life.

A statement comes as a compact JWS, from a key in this folder or in a file from the
machine where the party signs (`signature_files`). Routers believe it by its
signature alone; what is checked here on top keeps an officer from putting on record
what would have no effect, or not the one meant.
"""

import base64
import binascii
import json
import time
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, ClassVar, Final, Literal

from pydantic import ValidationError

from agreements.candidates import NEVER_US
from agreements.lifecycle import check_move, running
from agreements.model import Agreement
from agreements.signatures import (
    Invalid,
    Signatory,
    SignatureFault,
    SignatureType,
    Statement,
    Subject,
    check_signature,
    sign_statement,
    statement_id,
)
from agreements.signed import Version
from broker.register import NotThere, Register, open_register
from broker.scheme import SchemeFolder
from connectors.streams import Streams
from schemas.control import Kind, document_key
from schemas.errors import RejectedInput
from schemas.keys import SigningKey

_ON_THE_LATEST: Final = frozenset(
    {
        SignatureType.ACCEPT,
        SignatureType.REJECT,
        SignatureType.CONSULT,
        SignatureType.ASSURE,
    }
)
"""What is said of a text that is to come; everything else of the one that runs."""


class NotASignature(RejectedInput):
    """What came is not a statement of the party that it names on a text on record."""

    code: ClassVar[str] = "not-a-signature"


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
            NotThere: the party is no party of the agreement.

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


@dataclass(frozen=True, slots=True)
class Submitted:
    """A statement that is on record.

    ``offset`` is its place on ``control``; None while it waits in the store. ``covered`` is
    whether the scheme has signed that ``control`` is as long as that, so that no router
    goes by rules without it for longer than the freshness limit.
    """

    statement: Statement
    id: str
    offset: int | None
    is_covered: bool
    was_there: bool

    def to_json(self) -> dict[str, Any]:
        """Return how far it has come, for a reader."""
        return {
            "id": self.id,
            "was_there": self.was_there,
            "offset": self.offset,
            "on_control": self.offset is not None,
            "covered": self.is_covered,
        }


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


async def submit(
    scheme: SchemeFolder, streams: Streams | None, token: str, *, by: str | None = None
) -> Submitted:
    """Check a statement, put it on record and publish it. Once is enough: again is harmless.

    Raises:
        NotASignature: it is not a statement of that party, or not on a text on record.
        NotThere: there is no such agreement.
        MoveRefused: the agreement's life does not allow it now, or not to this party.

    """
    return await _take_in(await open_register(scheme, streams), token, by=by)


async def say(
    scheme: SchemeFolder,
    streams: Streams | None,
    saying: Saying,
    *,
    agreement_id: str,
    version: int | None = None,
) -> Submitted:
    """Sign with a party's key that lies in this folder, and submit.

    Without a version an answer is about the latest, everything else about the one in force.
    A resume that names no suspension lifts the only one of the party that stands.

    Raises:
        KeysUnavailable: the party's keys are not in this folder.
        RejectedInput: as `submit`.

    """
    register = await open_register(scheme, streams)
    if version is None and saying.type not in _ON_THE_LATEST:
        version = running(register.versions(agreement_id), at=time.time_ns() // 1000)
    text = register.version(agreement_id, version)
    if saying.type is SignatureType.RESUME and saying.lifts is None:
        saying = replace(saying, lifts=_standing_suspension(text, saying.party))
    assert text.agreement is not None  # noqa: S101  a text on record
    token = saying.sign(text.agreement, scheme.party_keys(saying.party).signing[0])
    return await _take_in(register, token, by=saying.signatory.name)


def _standing_suspension(version: Version, party: str) -> str:
    found = [
        one.id for one in version.suspensions() if one.party == party and one.until_us == NEVER_US
    ]
    if len(found) == 1:
        return found[0]
    raise NotThere(
        f"{party} has no suspension that stands: see `concordat agreement status`"
        if not found
        else f"{party} has {len(found)} suspensions that stand: name one with --lifts, of"
        f" {', '.join(found)}"
    )


async def _take_in(register: Register, token: str, *, by: str | None) -> Submitted:
    statement = read_statement(token)
    check_text(register, statement)
    check_key(register, statement, token)
    key, value = record_of(statement, token)
    was_there = register.holds(key, value)
    if not was_there:
        check_move(
            statement,
            register.versions(statement.agreement),
            at=time.time_ns() // 1000,
            parties=register.control.snapshot().rules.parties,
        )
        with register.transaction(by or statement.signatory.name) as transaction:
            body = {"jws": token, "party": statement.party, "type": statement.type.value}
            transaction.put(
                "statement", statement_id(token), statement.version, body, expected_revision=0
            )
            transaction.publish(key, value)
    await register.relay()
    offset = register.offset_of(key, value)
    is_covered = offset is not None and offset < await register.covered_to()
    return Submitted(statement, statement_id(token), offset, is_covered, was_there)


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


def check_text(register: Register, statement: Statement) -> None:
    """Refuse a statement on another text than the one on record.

    Raises:
        NotThere: there is no such version.
        NotASignature: its text is another.

    """
    version = register.version(statement.agreement, statement.version)
    texts = register.versions(statement.agreement)
    if not any((one.number, one.sha256) == (version.number, statement.sha256) for one in texts):
        raise NotASignature(
            f"{statement.party} signed another text than version {statement.version} of"
            f" {statement.agreement} that is on record: signed {statement.sha256}, on record"
            f" {version.sha256}. Send the party the text on record, and let it sign that"
        )


def check_key(register: Register, statement: Statement, token: str) -> None:
    """Refuse a statement that its party did not make with a key that the scheme vouches for.

    Raises:
        NotASignature: so it is; the text says which.

    """
    party = register.control.snapshot().rules.parties.get(statement.party)
    if party is None:
        raise NotASignature(f"{statement.party} is no party of this scheme")
    subject = Subject(statement.agreement, statement.version, statement.sha256)
    keys = [key.to_jwk() for key in party.verifying_keys()]
    checked = check_signature(token, subject, party=party.id, keys=keys, type=statement.type)
    if isinstance(checked, Invalid):
        raise NotASignature(_FAULTS.get(checked.fault, _FAULTS[None]).format(party=party.id))


_FAULTS: Final[dict[SignatureFault | None, str]] = {
    SignatureFault.UNKNOWN_KEY: "this was signed with a key that {party} does not have (any"
    " more): sign with its present key, or make that known first, with `concordat key rotate`",
    SignatureFault.BAD_SIGNATURE: "the signature does not verify, so something was changed after"
    " {party} signed: ask it for the file again",
    None: "this is not a statement of {party} in the form that counts: ask it for the file again",
}


def check_is_party(agreement: Agreement, party: str, kind: SignatureType) -> None:
    """Refuse a statement of somebody who has no say in it.

    Raises:
        NotThere: it is no party of the agreement, nor the one that vouches for it.

    """
    known = {one.id for one in agreement.parties}
    if kind is SignatureType.ASSURE and agreement.facilitator is not None:
        known.add(agreement.facilitator)
    if party not in known:
        raise NotThere(
            f"{party} is no party of {agreement.id} version {agreement.version}:"
            f" expected one of {', '.join(sorted(known))}"
        )

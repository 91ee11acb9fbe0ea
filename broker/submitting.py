"""Take a party's statement in: checked as a router will check it, and against its life.

A statement comes as a compact JWS, from a key in this folder or in a file from the
machine where the party signs (`signature_files`). Routers believe it by its
signature alone; what is checked here on top keeps an officer from putting on record
what would have no effect, or not the one meant.
"""

import time
from dataclasses import dataclass, replace
from typing import Any, Final

from agreements.candidates import NEVER_US
from agreements.lifecycle import check_move, running
from agreements.signatures import (
    STOPS,
    Invalid,
    SignatureFault,
    SignatureType,
    Statement,
    Subject,
    check_signature,
    statement_id,
)
from agreements.signed import Narrowings, Version
from broker.register import NotThere, Register, open_register
from broker.saying import NotASignature, Saying, read_statement, record_of
from broker.scheme import SchemeFolder
from connectors.streams import Streams

_ON_THE_LATEST: Final = frozenset(
    {
        SignatureType.ACCEPT,
        SignatureType.REJECT,
        SignatureType.CONSULT,
        SignatureType.ASSURE,
    }
)
"""What is said of a text that is to come; everything else of the one that runs."""


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
    is_kept: bool
    """Whether it is in the store; a stop goes on without, and is taken in later."""

    def to_json(self) -> dict[str, Any]:
        """Return how far it has come, for a reader."""
        return {
            "id": self.id,
            "was_there": self.was_there,
            "offset": self.offset,
            "on_control": self.offset is not None,
            "covered": self.is_covered,
            "kept": self.is_kept,
        }


async def submit(
    scheme: SchemeFolder, streams: Streams | None, token: str, *, by: str | None = None
) -> Submitted:
    """Check a statement, put it on record and publish it. Once is enough: again is harmless.

    Raises:
        NotASignature: it is not a statement of that party, or not on a text on record.
        NotThere: there is no such agreement.
        MoveRefused: the agreement's life does not allow it now, or not to this party.

    """
    statement = read_statement(token)
    register = await open_register(
        scheme, streams, about=statement.agreement, is_to_stop=statement.type in STOPS
    )
    return await _take_in(register, token, by=by)


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
    register = await open_register(
        scheme, streams, about=agreement_id, is_to_stop=saying.type in STOPS
    )
    if version is None and saying.type not in _ON_THE_LATEST:
        version = running(
            register.versions(agreement_id),
            at=time.time_ns() // 1000,
            narrows=Narrowings(scheme.catalogue),
        )
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
            narrows=Narrowings(register.scheme.catalogue),
        )
        if not register.has_store:
            await register.append(key, value, by=by or statement.signatory.name)
        else:
            _keep(register, statement, token, by=by or statement.signatory.name)
    await register.relay()
    offset = register.offset_of(key, value)
    is_covered = offset is not None and offset < await register.covered_to()
    return Submitted(
        statement, statement_id(token), offset, is_covered, was_there, register.has_store
    )


def _keep(register: Register, statement: Statement, token: str, *, by: str) -> None:
    body = {"jws": token, "party": statement.party, "type": statement.type.value}
    key, value = record_of(statement, token)
    with register.transaction(by) as transaction:
        transaction.put(
            "statement", statement_id(token), statement.version, body, expected_revision=None
        )
        transaction.publish(key, value)


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

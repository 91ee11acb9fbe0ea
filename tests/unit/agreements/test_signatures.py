"""A party's statement counts when its own key signed it, about this very text."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import rfc8785
from agreement_texts import an_agreement
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc.jwk import OKPKey
from pydantic import ValidationError

from agreements.signatures import (
    ALGORITHM,
    NEEDS_REASON,
    STOPS,
    TYPE,
    Invalid,
    NoReason,
    Signatory,
    SignatureFault,
    SignatureType,
    Standing,
    Statement,
    Subject,
    Valid,
    check_signature,
    sign_statement,
    standing,
    statement_id,
)

KEY = OKPKey.generate_key("Ed25519")
OTHER_KEY = OKPKey.generate_key("Ed25519")
NOON = datetime(2026, 4, 1, 12, tzinfo=UTC)
SUBJECT = Subject.of(an_agreement())
SIRO = Signatory(name="A. Signatory", post="Director of Resources", capacity="SIRO")


def public(key: OKPKey = KEY) -> dict[str, Any]:
    """Return the public JWK as a party's document has it."""
    return {**key.as_dict(private=False), "kid": key.thumbprint(), "use": "sig"}


def signed(subject: Subject = SUBJECT, key: OKPKey = KEY, **changes: Any) -> str:
    """Return a statement of the trust, with changes."""
    said: dict[str, Any] = {
        "type": SignatureType.ACCEPT,
        "party": "trust",
        "signatory": SIRO,
        "signed_at": NOON,
        **changes,
    }
    if said["type"] in NEEDS_REASON:
        said.setdefault("reason", "A reason.")
    return sign_statement(subject, key.as_dict(private=True), **said)


def checked(token: str, **changes: Any) -> Valid | Invalid:
    """Check a token as a statement of the trust on the agreement."""
    expected: dict[str, Any] = {"party": "trust", "keys": [public()], **changes}
    return check_signature(token, expected.pop("subject", SUBJECT), **expected)


def forged(header: dict[str, Any], payload: bytes, key: OKPKey = KEY) -> str:
    """Return a JWS with any header and payload, truly signed."""
    parts = (json.dumps(header).encode(), payload)
    signed_part = b".".join(urlsafe_b64encode(part).rstrip(b"=") for part in parts)
    signature = key.private_key.sign(signed_part)  # type: ignore[union-attr]
    return (signed_part + b"." + urlsafe_b64encode(signature).rstrip(b"=")).decode()


def payload_of(token: str) -> dict[str, Any]:
    """Return what a token says, unchecked."""
    body = token.split(".")[1]
    said: dict[str, Any] = json.loads(urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return said


def test_a_statement_is_what_the_party_said() -> None:
    """The result holds the statement and the key that signed it."""
    result = checked(signed(), type=SignatureType.ACCEPT)
    assert isinstance(result, Valid)
    assert result.kid == KEY.thumbprint()
    assert result.statement.party == "trust"
    assert result.statement.signatory == SIRO
    assert result.statement.signed_at == NOON


def test_the_payload_is_canonical_json_of_the_documented_fields() -> None:
    """Another language can make and read the same bytes."""
    token = signed(reason="The pilot is over.", type=SignatureType.REVOKE)
    said = payload_of(token)
    assert said == {
        "type": "revoke",
        "agreement": SUBJECT.agreement,
        "version": 1,
        "sha256": SUBJECT.sha256,
        "party": "trust",
        "signatory": {"name": SIRO.name, "post": SIRO.post, "capacity": "SIRO"},
        "signed_at": "2026-04-01T12:00:00Z",
        "reason": "The pilot is over.",
    }
    assert urlsafe_b64encode(rfc8785.dumps(said)).rstrip(b"=").decode() == token.split(".")[1]


def test_signing_twice_gives_the_same_token() -> None:
    """Ed25519 is deterministic, so a repeated command repeats the document."""
    assert signed() == signed()


@pytest.mark.parametrize("position", range(3))
def test_a_changed_character_in_any_part_is_noticed(position: int) -> None:
    """Header, payload and signature are all covered."""
    parts = signed().split(".")
    part = parts[position]
    parts[position] = part[:10] + ("A" if part[10] != "A" else "B") + part[11:]
    assert isinstance(checked(".".join(parts)), Invalid)


@given(st.text(max_size=80) | st.binary(max_size=60).map(lambda b: urlsafe_b64encode(b).decode()))
@settings(max_examples=200, deadline=None)
def test_any_text_in_place_of_a_token_is_malformed(text: str) -> None:
    """Half-written and hostile files are refused without an error."""
    assert checked(text) == Invalid(SignatureFault.MALFORMED)
    assert isinstance(checked(f"{text}.{text}.{text}"), Invalid)


@pytest.mark.parametrize("value", [None, 5, b"a.b.c", ["a"]])
def test_what_is_not_text_is_malformed(value: Any) -> None:
    """A control record may hold anything where the token should be."""
    assert checked(value) == Invalid(SignatureFault.MALFORMED)


def test_a_very_long_token_is_not_parsed() -> None:
    """A statement is about a kilobyte."""
    assert checked(signed() + "A" * 20_000) == Invalid(SignatureFault.MALFORMED)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"keys": []}, SignatureFault.UNKNOWN_KEY),
        ({"keys": [public(OTHER_KEY)]}, SignatureFault.UNKNOWN_KEY),
        ({"keys": [{"kty": "RSA"}, {"kty": "OKP", "crv": "Ed25519"}]}, SignatureFault.UNKNOWN_KEY),
        ({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "AA"}]}, SignatureFault.UNKNOWN_KEY),
        ({"keys": [{**public(), "crv": "X25519"}]}, SignatureFault.UNKNOWN_KEY),
        ({"keys": [{**public(), "kty": "EC"}]}, SignatureFault.UNKNOWN_KEY),
        ({"party": "childrens"}, SignatureFault.WRONG_PARTY),
        ({"type": SignatureType.REJECT}, SignatureFault.WRONG_TYPE),
        ({"subject": Subject(SUBJECT.agreement, 2, SUBJECT.sha256)}, SignatureFault.WRONG_DOCUMENT),
        ({"subject": Subject(SUBJECT.agreement, 1, "0" * 64)}, SignatureFault.WRONG_DOCUMENT),
        (
            {"subject": Subject("https://example.gov.uk/x", 1, SUBJECT.sha256)},
            SignatureFault.WRONG_DOCUMENT,
        ),
    ],
)
def test_a_signature_for_something_else_says_why(
    changes: dict[str, Any], fault: SignatureFault
) -> None:
    """Another key, party, type or text: the result is typed."""
    assert checked(signed(), **changes) == Invalid(fault)


def test_a_token_made_by_hand_is_as_good_as_ours() -> None:
    """Nothing but RFC 7515 and the page of the documentation is needed to sign."""
    header = {"alg": ALGORITHM, "kid": KEY.thumbprint(), "typ": TYPE}
    assert isinstance(checked(forged(header, rfc8785.dumps(payload_of(signed())))), Valid)


def test_another_key_under_the_partys_key_id_is_a_bad_signature() -> None:
    """The key id names a key; it does not make one."""
    header = {"alg": ALGORITHM, "kid": KEY.thumbprint(), "typ": TYPE}
    token = forged(header, rfc8785.dumps(payload_of(signed())), OTHER_KEY)
    assert checked(token) == Invalid(SignatureFault.BAD_SIGNATURE)


@pytest.mark.parametrize(
    "header",
    [
        {"alg": ALGORITHM, "kid": KEY.thumbprint()},
        {"alg": ALGORITHM, "kid": KEY.thumbprint(), "typ": "JWT"},
        {"alg": ALGORITHM, "typ": TYPE},
        {"alg": ALGORITHM, "kid": KEY.thumbprint(), "typ": TYPE, "x": 1},
        {"alg": ALGORITHM, "kid": KEY.thumbprint(), "typ": TYPE, "jwk": public()},
    ],
)
def test_a_header_that_is_not_ours_is_malformed(header: dict[str, Any]) -> None:
    """A header that is not acted on is one that was not checked."""
    payload = rfc8785.dumps(payload_of(signed()))
    assert checked(forged(header, payload)) == Invalid(SignatureFault.MALFORMED)


@pytest.mark.parametrize("algorithm", ["none", "HS256"])
def test_no_other_algorithm_is_accepted(algorithm: str) -> None:
    """Neither an unsigned token nor one signed with the public key as a secret."""
    header = json.dumps({"alg": algorithm, "kid": KEY.thumbprint(), "typ": TYPE}).encode()
    body = signed().split(".")[1]
    token = urlsafe_b64encode(header).rstrip(b"=").decode() + f".{body}."
    assert checked(token) == Invalid(SignatureFault.MALFORMED)


@pytest.mark.parametrize(
    "changes",
    [{"extra": 1}, {"version": "1"}, {"signed_at": "noon"}, {"type": "approve"}, {"sha256": "00"}],
)
def test_a_signed_payload_of_another_shape_is_malformed(changes: dict[str, Any]) -> None:
    """A true signature does not make up for a statement that cannot be read."""
    header = {"alg": ALGORITHM, "kid": KEY.thumbprint(), "typ": TYPE}
    token = forged(header, rfc8785.dumps({**payload_of(signed()), **changes}))
    assert checked(token) == Invalid(SignatureFault.MALFORMED)


def test_an_older_key_of_the_party_still_verifies() -> None:
    """After a rotation the party's document lists both keys."""
    assert isinstance(checked(signed(), keys=[public(OTHER_KEY), public()]), Valid)


def test_who_may_not_sign_is_refused() -> None:
    """A data protection officer advises; a delegate shows the delegation."""
    with pytest.raises(ValidationError, match="advises"):
        Signatory(name="D", post="DPO", capacity="DPO")
    with pytest.raises(ValidationError, match="delegation_ref"):
        Signatory(name="D", post="Head of IG", capacity="OTHER_DELEGATE")
    delegate = {"name": "D", "post": "Head of IG", "capacity": "OTHER_DELEGATE"}
    assert Signatory.model_validate({**delegate, "delegation_ref": "SoD 4.2"})


def test_a_time_without_a_zone_cannot_be_signed() -> None:
    """Nobody could say when it was."""
    with pytest.raises(ValidationError):
        signed(signed_at=datetime(2026, 4, 1))  # noqa: DTZ001  naive on purpose


def said(kind: str, hours: int = 0) -> Statement:
    """Return a statement made some hours after noon."""
    result = checked(signed(type=SignatureType(kind), signed_at=NOON + timedelta(hours=hours)))
    assert isinstance(result, Valid)
    return result.statement


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        ([], Standing.UNSIGNED),
        ([said("accept")], Standing.ACCEPTED),
        ([said("reject")], Standing.REJECTED),
        ([said("revoke")], Standing.REVOKED),
        ([said("reject"), said("accept", 1)], Standing.ACCEPTED),
        ([said("accept"), said("reject", 1)], Standing.REJECTED),
        ([said("accept"), said("reject")], Standing.REJECTED),
        ([said("accept", 1), said("revoke")], Standing.REVOKED),
        ([said("accept"), said("revoke", 1), said("accept", 2)], Standing.REVOKED),
    ],
)
def test_where_a_party_stands_follows_from_all_it_said(
    statements: list[Statement], expected: Standing
) -> None:
    """The later of accept and reject counts; a revocation is final, in whatever order they come."""
    assert standing(statements) is expected
    assert standing(reversed(statements)) is expected


def test_a_statement_has_one_id_however_its_signature_is_written() -> None:
    """A copy with other spare bits in the signature's last character is the same suspension."""
    said = statement_id("header.payload.signaturA")
    assert said == statement_id("header.payload.signaturB")
    assert said != statement_id("header.payloae.signaturA")


@pytest.mark.parametrize("kind", SignatureType)
def test_every_statement_can_be_made_and_read(kind: SignatureType) -> None:
    """With what its type needs, and from when it counts."""
    more: dict[str, Any] = {}
    if kind is SignatureType.RESUME:
        more = {"lifts": "0" * 64, "held": "purge"}
    if kind is SignatureType.REVIEWED:
        more = {"review_by": NOON + timedelta(days=365)}
    later = NOON + timedelta(hours=1, milliseconds=1)
    result = checked(signed(type=kind, effective_at=later, **more), type=kind)
    assert isinstance(result, Valid)
    assert result.statement.takes_effect_at == later
    assert {name: getattr(result.statement, name) for name in more} == more


@pytest.mark.parametrize("kind", sorted(NEEDS_REASON))
def test_what_needs_a_reason_is_not_made_without_one(kind: SignatureType) -> None:
    """It is part of what is signed."""
    more = {"lifts": "0" * 64, "held": "purge"} if kind is SignatureType.RESUME else {}
    with pytest.raises((NoReason, ValidationError), match="expected a reason"):
        signed(type=kind, reason=None, **more)


@pytest.mark.parametrize("kind", sorted(STOPS))
def test_a_stop_is_believed_without_its_reason(kind: SignatureType) -> None:
    """Earlier releases did not ask for one, and what stops is never refused for a formality."""
    header = {"alg": ALGORITHM, "kid": KEY.thumbprint(), "typ": TYPE}
    payload = {**payload_of(signed()), "type": kind.value}
    assert isinstance(checked(forged(header, rfc8785.dumps(payload))), Valid)


@pytest.mark.parametrize(
    "changes",
    [
        {"type": SignatureType.RESUME, "held": "release"},
        {"type": SignatureType.RESUME, "lifts": "0" * 64},
        {"type": SignatureType.RESUME, "lifts": "0" * 63, "held": "release"},
        {"type": SignatureType.RESUME, "lifts": "0" * 64, "held": "keep"},
        {"type": SignatureType.SUSPEND, "lifts": "0" * 64},
        {"type": SignatureType.SUSPEND, "held": "release"},
        {"type": SignatureType.REVIEW, "review_by": NOON},
        {"type": SignatureType.SUSPEND, "effective_at": datetime(2026, 4, 1)},  # noqa: DTZ001  naive on purpose
    ],
)
def test_a_statement_that_does_not_hold_together_cannot_be_made(changes: dict[str, Any]) -> None:
    """A resume names what it lifts and what becomes of what was held; nothing else does."""
    with pytest.raises(ValidationError):
        signed(**changes)


@pytest.mark.parametrize(
    ("kind", "is_backdated"),
    [("accept", False), ("resume", False), ("assure", False), ("revoke", True), ("suspend", True)],
)
def test_what_gives_never_counts_from_before_it_was_signed(
    kind: str, *, is_backdated: bool
) -> None:
    """What takes away may."""
    more = {"lifts": "0" * 64, "held": "purge"} if kind == "resume" else {}
    earlier = NOON - timedelta(days=1)
    result = checked(signed(type=SignatureType(kind), effective_at=earlier, **more))
    assert isinstance(result, Valid)
    assert result.statement.takes_effect_at == (earlier if is_backdated else NOON)


def test_only_accepting_and_rejecting_say_where_a_party_stands() -> None:
    """Whatever else it says later."""
    others = [said(kind, 5) for kind in ("suspend", "review", "consult", "reviewed")]
    assert standing([said("accept"), *others]) is Standing.ACCEPTED
    assert standing(others) is Standing.UNSIGNED

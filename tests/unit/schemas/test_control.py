"""Control documents: record keys, signed documents, and what they hold."""

import base64
import json
from datetime import date
from typing import Any

import pytest
from joserfc import jws
from joserfc.jwk import OKPKey
from pydantic import ValidationError

from schemas.control import (
    BadDocument,
    DocumentKey,
    Kind,
    Objection,
    Party,
    document_key,
    open_document,
    parse_document_key,
    sign_document,
)
from schemas.keys import BadKey, BadSignature, SealingKey, SigningKey, Suite

KEY = SigningKey(b"\x01" * 32)
AGREEMENT = "https://sharing.example.gov.uk/agreements/discharge"


def a_party(**changes: Any) -> dict[str, Any]:
    """Return a party's document."""
    party = {
        "id": "anytown-nhs-trust",
        "name": "Anytown NHS Trust",
        "regime": "uk-gdpr",
        "roles": ["publisher", "recipient"],
        "purposes": ["assess-care-needs"],
        "identifiers": {"ods": "RXX"},
        "signing_keys": [KEY.public.to_jwk()],
        "sealing_keys": [SealingKey(Suite.X25519, b"\x02" * 32).public.to_jwk()],
        "revision": 1,
        "state": "active",
    }
    return {**party, **changes}


@pytest.mark.parametrize(
    ("key", "text"),
    [
        (DocumentKey(Kind.PARTY, "broker", 3), b"party|broker|3"),
        (DocumentKey(Kind.AGREEMENT, AGREEMENT, 2), f"agreement|{AGREEMENT}|2".encode()),
        (
            DocumentKey(Kind.SIGNATURE, AGREEMENT, 2, "anytown", "accept"),
            f"signature|{AGREEMENT}|2|anytown|accept".encode(),
        ),
        (DocumentKey(Kind.SCHEMA, "0123456789abcdef"), b"schema|0123456789abcdef"),
        (DocumentKey(Kind.OBJECTION, "o-1", 2), b"objection|o-1|2"),
    ],
)
def test_a_record_key_goes_there_and_back(key: DocumentKey, text: bytes) -> None:
    """Each kind has its parts, in their order."""
    kind, id_, version, party, type_ = key
    assert document_key(kind, id_, version, party=party, type=type_) == text
    assert parse_document_key(text) == key


@pytest.mark.parametrize(
    "text",
    [
        b"", b"party", b"party|a", b"party|a|x", b"party|a|1|b", b"party||1", b"party|a|01",
        b"party|a|+1", b"agreement|a", b"signature|a|1|b", b"other|a", b"schema|a|1", b"\xff|a",
        b"party|a| 1", b"signature|a|1||accept", b"objection|a", b"objection|a|0x1",
    ],
)  # fmt: skip
def test_a_record_key_of_no_known_shape_is_refused(text: bytes) -> None:
    """One way to write each key: a second one would be a second document."""
    with pytest.raises(BadDocument) as caught:
        parse_document_key(text)
    assert caught.value.code == "bad-document"


def test_a_record_key_is_not_made_of_parts_that_break_it() -> None:
    """Missing, superfluous or empty parts, and ones with a vertical bar."""
    for make in (
        lambda: document_key("party", "a"),
        lambda: document_key("schema", "a", 1),
        lambda: document_key("objection", "a"),
        lambda: document_key("objection", "", 1),
        lambda: document_key("objection", "a|b", 1),
        lambda: document_key("other", "a"),
    ):
        with pytest.raises(BadDocument):
            make()


def test_a_signed_document_opens_with_the_key_that_signed_it() -> None:
    """And not with another."""
    signed = sign_document(KEY, a_party())
    assert open_document(signed, KEY.public) == a_party()
    with pytest.raises(BadSignature):
        open_document(signed, SigningKey.generate().public)


def test_the_same_document_is_signed_the_same() -> None:
    """Canonical JSON and Ed25519: nothing depends on the order of members."""
    assert sign_document(KEY, {"a": 1, "b": 2}) == sign_document(KEY, {"b": 2, "a": 1})


def test_no_character_of_a_signed_document_can_change() -> None:
    """Header, payload or signature."""
    signed = sign_document(KEY, {"a": 1})
    for at, character in enumerate(signed):
        changed = signed[:at] + ("A" if character != "A" else "B") + signed[at + 1 :]
        with pytest.raises(BadSignature):
            open_document(changed, KEY.public)


@pytest.mark.parametrize(
    ("header", "payload"),
    [
        ({"alg": "Ed25519"}, b"{}"),
        ({"alg": "Ed25519", "kid": "another"}, b"{}"),
        ({"alg": "Ed25519", "kid": KEY.kid, "typ": "other"}, b"{}"),
        ({"alg": "Ed25519", "kid": KEY.kid}, b"[]"),
        ({"alg": "Ed25519", "kid": KEY.kid}, b"not JSON"),
        ({"alg": "Ed25519", "kid": KEY.kid}, b"[" * 100_000),
    ],
)
def test_a_jws_that_is_not_a_control_document_is_refused(
    header: dict[str, str], payload: bytes
) -> None:
    """Signed by the right key, but not as control documents are."""
    private = OKPKey.import_key(dict(KEY.to_private_jwk()))
    signed = jws.serialize_compact(header, payload, private, algorithms=["Ed25519"])
    with pytest.raises(BadSignature):
        open_document(signed, KEY.public)


@pytest.mark.parametrize("signed", ["", ".", "..", "a.b.c", "é", "x" * (1 << 21), None, 5])
def test_what_is_no_jws_at_all_is_a_bad_signature(signed: Any) -> None:
    """Whatever the topic may hold."""
    with pytest.raises(BadSignature):
        open_document(signed, KEY.public)


def test_an_unsigned_algorithm_is_refused() -> None:
    """``none`` and MAC algorithms never verify."""
    payload = sign_document(KEY, {"a": 1}).split(".")[1]
    for alg in ("none", "HS256", "EdDSA"):
        header = json.dumps({"alg": alg, "kid": KEY.kid}).encode()
        signed = f"{base64.urlsafe_b64encode(header).rstrip(b'=').decode()}.{payload}."
        with pytest.raises(BadSignature):
            open_document(signed, KEY.public)


def test_a_document_without_a_canonical_form_is_not_signed() -> None:
    """NaN, or a number that JSON readers would not agree on."""
    for value in (float("nan"), 1 << 60, object()):
        with pytest.raises(BadDocument):
            sign_document(KEY, {"a": value})


def test_a_party_gives_its_keys() -> None:
    """As keys, ready for use."""
    party = Party.model_validate(a_party())
    assert [key.kid for key in party.verifying_keys()] == [KEY.kid]
    assert [key.suite for key in party.sealing_public_keys()] == [Suite.X25519]


def test_a_partys_private_key_is_refused() -> None:
    """A private member on control is a mistake that must not spread."""
    party = Party.model_validate(a_party(signing_keys=[KEY.to_private_jwk()]))
    with pytest.raises(BadKey):
        party.verifying_keys()


@pytest.mark.parametrize(
    "change",
    [
        {"id": "Anytown"}, {"id": "a|b"}, {"id": "a."}, {"id": ""}, {"roles": ["owner"]},
        {"regime": "eu"}, {"state": "gone"}, {"revision": 0}, {"extra": 1},
    ],
)  # fmt: skip
def test_a_party_of_another_shape_is_refused(change: dict[str, Any]) -> None:
    """Nothing unknown passes."""
    with pytest.raises(ValidationError):
        Party.model_validate(a_party(**change))


def test_a_stolen_key_signs_nothing_more() -> None:
    """Though the document still lists it: connectors and routers take no event by it."""
    stolen = [{"kid": KEY.kid, "stolen_from": "2026-05-01T00:00:00Z"}]
    assert Party.model_validate(a_party(stolen_keys=stolen)).verifying_keys() == ()


def test_a_party_tells_its_assurances() -> None:
    """Each with its first and its last day, which may be the same."""
    held = {"kind": "dspt", "valid_from": "2026-05-01", "valid_until": "2026-05-01"}
    (assured,) = Party.model_validate(a_party(assurances=[held])).assurances
    assert (assured.valid_from, assured.reference) == (date(2026, 5, 1), None)


@pytest.mark.parametrize(
    "change",
    [
        {"assurances": [{"kind": "dspt", "valid_from": "2026-05-02", "valid_until": "2026-05-01"}]},
        {"assurances": [{"kind": "DSPT", "valid_from": "2026-05-01", "valid_until": "2026-05-01"}]},
        {"assurances": [{"kind": "dspt", "valid_from": "2026-05-01"}]},
        {"stolen_keys": [{"kid": "k", "stolen_from": "2026-05-01T00:00:00"}]},
        {"stolen_keys": [{"kid": "", "stolen_from": "2026-05-01T00:00:00Z"}]},
        {"stolen_keys": [{"kid": "k"}]},
    ],
)
def test_what_is_told_of_assurances_and_thefts_is_dated(change: dict[str, Any]) -> None:
    """Days in order, and a moment that everybody reads alike."""
    with pytest.raises(ValidationError):
        Party.model_validate(a_party(**change))


def test_an_objection_tells_its_scope() -> None:
    """``from`` is a word of Python, so it has another name here."""
    objection = Objection.model_validate(
        {
            "id": "objection-1",
            "revision": 2,
            "subject": "00ff",
            "from": "2026-04-01T00:00:00Z",
            "until": None,
            "recipients": ["anytown-police"],
            "purposes": None,
            "kind": "opt-out",
        }
    )
    assert objection.starts_at.isoformat() == "2026-04-01T00:00:00+00:00"
    assert objection.recipients == ("anytown-police",)
    assert objection.purposes is None

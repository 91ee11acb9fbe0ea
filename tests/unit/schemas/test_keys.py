"""Keys: their names, their JWK forms, and what is refused."""

import pytest
from joserfc.jwk import OKPKey

from schemas.keys import (
    BadKey,
    BadSignature,
    SealingKey,
    SealingPublicKey,
    SigningKey,
    Suite,
    VerifyingKey,
)

SUITES = pytest.mark.parametrize("suite", list(Suite), ids=lambda suite: suite.label)


def test_the_kid_is_the_thumbprint_that_a_jose_library_gives() -> None:
    """RFC 7638, told by joserfc."""
    key = SigningKey.generate()
    assert key.kid == OKPKey.import_key(dict(key.to_private_jwk())).thumbprint()


def test_the_thumbprint_of_rfc_8037_comes_out() -> None:
    """RFC 8037 appendix A.3."""
    jwk = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
    assert VerifyingKey.from_jwk(jwk).kid == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


def test_the_x_wing_seed_expands_as_in_the_draft() -> None:
    """The first key pair of draft-connolly-cfrg-xwing-kem's test vectors."""
    seed = bytes.fromhex("7f9c2ba4e88f827d616045507605853ed73b8093f6efbc88eb1a6eacfa66ef26")
    public = SealingKey(Suite.X_WING, seed).public.raw
    assert len(public) == 1216
    assert public.hex().startswith(
        "e2236b35a8c24b39b10aa1323a96a919a2ced88400633a7b07131713fc14b2b5"
    )


def test_a_signature_is_told_from_another() -> None:
    """A changed message, signature or key is a bad signature."""
    key, other = SigningKey.generate(), SigningKey.generate()
    signature = key.sign(b"message")
    key.public.verify(signature, b"message")
    for verifying, found, message in (
        (key.public, signature, b"massage"),
        (key.public, signature[:-1] + bytes([signature[-1] ^ 1]), b"message"),
        (key.public, b"", b"message"),
        (other.public, signature, b"message"),
    ):
        with pytest.raises(BadSignature) as caught:
            verifying.verify(found, message)
        assert caught.value.code == "bad-signature"


def test_a_signing_key_goes_through_its_jwk() -> None:
    """Private and public forms give the same key back."""
    key = SigningKey.generate()
    assert SigningKey.from_jwk(key.to_private_jwk()) == key
    assert VerifyingKey.from_jwk(key.public.to_jwk()) == key.public


@SUITES
def test_a_sealing_key_goes_through_its_jwk(suite: Suite) -> None:
    """What is wrapped to the public JWK unwraps with the private one."""
    key = SealingKey.generate(suite)
    public = SealingPublicKey.from_jwk(key.public.to_jwk())
    encapsulated, wrapped = public.wrap(b"secret", b"info")
    assert len(encapsulated) == suite.encapsulated_bytes
    again = SealingKey.from_jwk(key.to_private_jwk())
    assert again.unwrap(encapsulated, wrapped, b"info") == b"secret"


@SUITES
def test_a_wrapped_secret_does_not_unwrap_when_anything_is_changed(suite: Suite) -> None:
    """The encapsulated key, the ciphertext, the info and the key all count."""
    key, other = SealingKey.generate(suite), SealingKey.generate(suite)
    encapsulated, wrapped = key.public.wrap(b"secret", b"info")
    flipped = bytes([encapsulated[0] ^ 1]) + encapsulated[1:]
    assert key.unwrap(flipped, wrapped, b"info") is None
    assert key.unwrap(encapsulated, wrapped[:-1] + b"\x00\x00", b"info") is None
    assert key.unwrap(encapsulated, wrapped, b"other") is None
    assert key.unwrap(b"", b"", b"info") is None
    assert other.unwrap(encapsulated, wrapped, b"info") is None


def test_a_key_shows_no_secret_of_itself() -> None:
    """A key in a log line or a traceback gives nothing away."""
    signing = SigningKey(b"\x41" * 32)
    sealing = SealingKey(Suite.X_WING, b"\x41" * 32)
    assert "AAAA" not in repr(signing)
    assert "AAAA" not in repr(sealing)


@pytest.mark.parametrize(
    "change",
    [
        {"kty": "EC"},
        {"crv": "X25519"},
        {"x": 5},
        {"x": "!!!!"},
        {"x": "AAAA"},
        {"x": None},
        {"x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURp"},
        {"d": "AAAA"},
        {"kid": "another"},
    ],
)
def test_a_public_jwk_that_is_not_a_key_of_ours_is_refused(change: dict[str, object]) -> None:
    """Wrong type, wrong length, loose base64, a private member, a kid of its own."""
    jwk = SigningKey(b"\x01" * 32).public.to_jwk()
    with pytest.raises(BadKey) as caught:
        VerifyingKey.from_jwk({**jwk, **change})
    assert caught.value.code == "bad-key"


def test_a_jwk_has_one_way_to_be_written() -> None:
    """Bits behind the end of the key would give it a second form."""
    jwk = SigningKey(b"\x01" * 32).public.to_jwk()
    last = jwk["x"][-1]
    loose = {"kty": "OKP", "crv": "Ed25519", "x": jwk["x"][:-1] + chr(ord(last) + 1)}
    with pytest.raises(BadKey):
        VerifyingKey.from_jwk(loose)


@SUITES
def test_a_sealing_jwk_that_is_not_a_key_of_ours_is_refused(suite: Suite) -> None:
    """A private member in a public key, another key's public half, another algorithm."""
    key, other = SealingKey.generate(suite), SealingKey.generate(suite)
    public, private = key.public.to_jwk(), key.to_private_jwk()
    name = "x" if suite is Suite.X25519 else "pub"
    for read, jwk in (
        (SealingPublicKey.from_jwk, private),
        (SealingPublicKey.from_jwk, {**public, "kty": "RSA"}),
        (SealingPublicKey.from_jwk, {**public, name: public[name][:40]}),
        (SealingKey.from_jwk, public),
        (SealingKey.from_jwk, {**private, name: other.public.to_jwk()[name]}),
        (SealingKey.from_jwk, {**private, "kid": other.kid}),
    ):
        with pytest.raises(BadKey):
            read(jwk)


def test_bytes_that_are_no_key_are_refused() -> None:
    """Wrong lengths never reach the library's errors."""
    for make in (
        lambda: VerifyingKey(b""),
        lambda: SigningKey(b"\x00" * 31),
        lambda: SealingKey(Suite.X25519, b""),
        lambda: SealingPublicKey(Suite.X_WING, b"\x00" * 32),
    ):
        with pytest.raises(BadKey):
            make()


def test_a_public_key_that_gives_no_secret_is_not_wrapped_to() -> None:
    """A point of low order would make the content key known to all (RFC 9180 section 7.1.4)."""
    with pytest.raises(BadKey):
        SealingPublicKey(Suite.X25519, bytes(32)).wrap(b"secret", b"")

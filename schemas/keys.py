"""The keys of a party: Ed25519 to sign with, HPKE keys to seal to.

A key is known by its ``kid``, the RFC 7638 thumbprint of its public JWK, so the
same name stands in COSE headers, JWS headers and control documents. Nothing
here reads files or remembers keys: where they are kept is the caller's.

Sources: RFC 8032 (Ed25519), RFC 8037 (OKP JWK), RFC 7638 (thumbprint),
RFC 9180 (HPKE), draft-connolly-cfrg-xwing-kem (X-Wing and its 32-byte seed),
draft-ietf-cose-hpke and draft-ietf-cose-hpke-pq-pqt (algorithm identifiers).
"""

import base64
import binascii
import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, ClassVar, Final, Self

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric import ed25519, mlkem, x25519

from schemas.errors import RejectedInput

SIGNATURE_BYTES: Final = 64  # RFC 8032 §5.1.6
KID_CHARACTERS: Final = 43  # SHA-256 in base64url without padding
RAW_KEY_BYTES: Final = 32  # Ed25519 and X25519, either half; the X-Wing seed
MLKEM_PUBLIC_BYTES: Final = 1184  # FIPS 203, ML-KEM-768
_WRAP_TAG_BYTES: Final = 16  # both suites' AEAD


class BadKey(RejectedInput):
    """A JWK is not a key that we use, or its parts do not fit together."""

    code: ClassVar[str] = "bad-key"


class BadSignature(RejectedInput):
    """A signature does not verify, or what it stands on was changed."""

    code: ClassVar[str] = "bad-signature"


class UnknownKey(RejectedInput):
    """The signer is not known by the key that the signature names."""

    code: ClassVar[str] = "unknown-key"


class Suite(Enum):
    """How a content key is wrapped: HPKE base mode, Key Encryption.

    ``cose_alg`` is the drafts' assumed value for HPKE-9-KE and HPKE-4-KE.
    """

    X_WING = ("X-Wing", 57, "HPKE-9-KE")
    X25519 = ("X25519", 50, "HPKE-4-KE")

    def __init__(self, label: str, cose_alg: int, jose_alg: str) -> None:
        self.label = label
        self.cose_alg = cose_alg
        self.jose_alg = jose_alg

    @property
    def hpke(self) -> hpke.Suite:
        """The KEM, KDF and AEAD of the identifier."""
        return _HPKE[self]

    @property
    def encapsulated_bytes(self) -> int:
        """Length of the encapsulated key, the header parameter ``ek``."""
        return _KEM[self].enc_length()


_KEM: Final = {Suite.X_WING: hpke.KEM.MLKEM768_X25519, Suite.X25519: hpke.KEM.X25519}
_HPKE: Final = {
    Suite.X_WING: hpke.Suite(_KEM[Suite.X_WING], hpke.KDF.SHAKE256, hpke.AEAD.AES_256_GCM),
    Suite.X25519: hpke.Suite(_KEM[Suite.X25519], hpke.KDF.HKDF_SHA256, hpke.AEAD.CHACHA20_POLY1305),
}


@dataclass(frozen=True, slots=True)
class VerifyingKey:
    """The public half of a signing key. Equal when the 32 bytes are."""

    raw: bytes
    kid: str = field(init=False, compare=False)
    _key: ed25519.Ed25519PublicKey = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        try:
            key = ed25519.Ed25519PublicKey.from_public_bytes(self.raw)
        except ValueError:
            raise BadKey("expected the 32 bytes of an Ed25519 public key") from None
        object.__setattr__(self, "_key", key)
        object.__setattr__(self, "kid", _thumbprint(_okp("Ed25519", self.raw)))

    def verify(self, signature: bytes, message: bytes) -> None:
        """Raise ``BadSignature`` unless ``signature`` is this key's over ``message``."""
        try:
            self._key.verify(signature, message)
        except InvalidSignature:
            raise BadSignature(f"the signature is not by key {self.kid}") from None

    def to_jwk(self) -> dict[str, str]:
        """Return the public JWK with its ``kid`` (RFC 8037)."""
        return {**_okp("Ed25519", self.raw), "kid": self.kid, "use": "sig"}

    @classmethod
    def from_jwk(cls, jwk: Mapping[str, Any]) -> Self:
        """Read a public JWK; private members and a ``kid`` that is not its own are refused."""
        _require(jwk, kty="OKP", crv="Ed25519")
        _refuse_private(jwk)
        key = cls(_member(jwk, "x", RAW_KEY_BYTES))
        _check_kid(jwk, key.kid)
        return key


@dataclass(frozen=True, slots=True)
class SigningKey:
    """An Ed25519 private key. Its representation never shows the secret."""

    _secret: bytes = field(repr=False)
    public: VerifyingKey = field(init=False)
    _key: ed25519.Ed25519PrivateKey = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        try:
            key = ed25519.Ed25519PrivateKey.from_private_bytes(self._secret)
        except ValueError:
            raise BadKey("expected the 32 bytes of an Ed25519 private key") from None
        object.__setattr__(self, "_key", key)
        object.__setattr__(self, "public", VerifyingKey(key.public_key().public_bytes_raw()))

    @classmethod
    def generate(cls) -> Self:
        """Make a new key from the system's randomness."""
        return cls(ed25519.Ed25519PrivateKey.generate().private_bytes_raw())

    @property
    def kid(self) -> str:
        """The thumbprint of the public half."""
        return self.public.kid

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte signature (RFC 8032, not pre-hashed)."""
        return self._key.sign(message)

    def to_private_jwk(self) -> dict[str, str]:
        """Return the JWK with the secret in it: for a key store, nowhere else."""
        return {**self.public.to_jwk(), "d": _encode(self._secret)}

    @classmethod
    def from_jwk(cls, jwk: Mapping[str, Any]) -> Self:
        """Read a private JWK; the public half must belong to it."""
        _require(jwk, kty="OKP", crv="Ed25519")
        key = cls(_member(jwk, "d", RAW_KEY_BYTES))
        _check_public(jwk, "x", key.public.raw)
        _check_kid(jwk, key.kid)
        return key


@dataclass(frozen=True, slots=True)
class SealingPublicKey:
    """What others wrap content keys to. ``raw`` is the HPKE public key of the suite."""

    suite: Suite
    raw: bytes
    kid: str = field(init=False, compare=False)
    _key: Any = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_key", _sealing_public(self.suite, self.raw))
        object.__setattr__(self, "kid", _thumbprint(_sealing_jwk(self.suite, self.raw)))

    def wrap(self, secret: bytes, info: bytes) -> tuple[bytes, bytes]:
        """Encrypt ``secret`` to this key: (encapsulated key, ciphertext). HPKE base mode."""
        try:
            sealed = self.suite.hpke.encrypt(secret, self._key, info)
        except ValueError:
            # A point of low order gives no shared secret (RFC 9180 §7.1.4).
            raise BadKey(f"sealing key {self.kid} cannot be wrapped to") from None
        split = self.suite.encapsulated_bytes
        return sealed[:split], sealed[split:]

    def to_jwk(self) -> dict[str, str]:
        """Return the public JWK with its ``kid``: OKP for X25519, AKP for X-Wing."""
        return {**_sealing_jwk(self.suite, self.raw), "kid": self.kid, "use": "enc"}

    @classmethod
    def from_jwk(cls, jwk: Mapping[str, Any]) -> Self:
        """Read a public JWK; private members and a ``kid`` that is not its own are refused."""
        _refuse_private(jwk)
        suite = _sealing_suite(jwk)
        key = cls(suite, _sealing_public_member(jwk, suite))
        _check_kid(jwk, key.kid)
        return key


@dataclass(frozen=True, slots=True)
class SealingKey:
    """The private half that opens what was sealed to ``public``.

    The secret is 32 bytes for either suite: the X25519 scalar, or the X-Wing seed.
    """

    suite: Suite
    _secret: bytes = field(repr=False)
    public: SealingPublicKey = field(init=False)
    _key: Any = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        key, public = _expand(self.suite, self._secret)
        object.__setattr__(self, "_key", key)
        object.__setattr__(self, "public", SealingPublicKey(self.suite, public))

    @classmethod
    def generate(cls, suite: Suite = Suite.X_WING) -> Self:
        """Make a new key from the system's randomness."""
        return cls(suite, secrets.token_bytes(RAW_KEY_BYTES))

    @property
    def kid(self) -> str:
        """The thumbprint of the public half."""
        return self.public.kid

    def unwrap(self, encapsulated: bytes, ciphertext: bytes, info: bytes) -> bytes | None:
        """Return the wrapped secret, or None when any of the three was changed."""
        try:
            return self.suite.hpke.decrypt(encapsulated + ciphertext, self._key, info)
        except (InvalidTag, ValueError):
            return None

    def to_private_jwk(self) -> dict[str, str]:
        """Return the JWK with the secret in it: for a key store, nowhere else."""
        name = "d" if self.suite is Suite.X25519 else "priv"
        return {**self.public.to_jwk(), name: _encode(self._secret)}

    @classmethod
    def from_jwk(cls, jwk: Mapping[str, Any]) -> Self:
        """Read a private JWK; the public half must belong to it."""
        suite = _sealing_suite(jwk)
        private, public = ("d", "x") if suite is Suite.X25519 else ("priv", "pub")
        key = cls(suite, _member(jwk, private, RAW_KEY_BYTES))
        _check_public(jwk, public, key.public.raw)
        _check_kid(jwk, key.kid)
        return key


def _expand(suite: Suite, secret: bytes) -> tuple[Any, bytes]:
    """Return the library's private key and the raw public key."""
    if len(secret) != RAW_KEY_BYTES:
        raise BadKey(f"expected {RAW_KEY_BYTES} bytes of private key, got {len(secret)}")
    if suite is Suite.X25519:
        key = x25519.X25519PrivateKey.from_private_bytes(secret)
        return key, key.public_key().public_bytes_raw()
    # draft-connolly-cfrg-xwing-kem, expandDecapsulationKey: 64 bytes of ML-KEM seed, then X25519.
    expanded = hashlib.shake_256(secret).digest(96)
    lattice = mlkem.MLKEM768PrivateKey.from_seed_bytes(expanded[:64])
    curve = x25519.X25519PrivateKey.from_private_bytes(expanded[64:])
    public = lattice.public_key().public_bytes_raw() + curve.public_key().public_bytes_raw()
    return hpke.MLKEM768X25519PrivateKey(lattice, curve), public


def _sealing_public(suite: Suite, raw: bytes) -> Any:
    try:
        if suite is Suite.X25519:
            return x25519.X25519PublicKey.from_public_bytes(raw)
        return hpke.MLKEM768X25519PublicKey(
            mlkem.MLKEM768PublicKey.from_public_bytes(raw[:MLKEM_PUBLIC_BYTES]),
            x25519.X25519PublicKey.from_public_bytes(raw[MLKEM_PUBLIC_BYTES:]),
        )
    except ValueError:
        raise BadKey(f"not a public key of the suite {suite.label}") from None


def _sealing_jwk(suite: Suite, raw: bytes) -> dict[str, str]:
    """Return the members that the thumbprint is made of."""
    if suite is Suite.X25519:
        return _okp("X25519", raw)
    return {"alg": suite.jose_alg, "kty": "AKP", "pub": _encode(raw)}


def _sealing_suite(jwk: Mapping[str, Any]) -> Suite:
    if jwk.get("kty") == "OKP":
        _require(jwk, crv="X25519")
        return Suite.X25519
    _require(jwk, kty="AKP", alg=Suite.X_WING.jose_alg)
    return Suite.X_WING


def _sealing_public_member(jwk: Mapping[str, Any], suite: Suite) -> bytes:
    if suite is Suite.X25519:
        return _member(jwk, "x", RAW_KEY_BYTES)
    return _member(jwk, "pub", MLKEM_PUBLIC_BYTES + RAW_KEY_BYTES)


def _okp(curve: str, raw: bytes) -> dict[str, str]:
    return {"crv": curve, "kty": "OKP", "x": _encode(raw)}


def _thumbprint(members: Mapping[str, str]) -> str:
    # RFC 7638 §3: only the required members, sorted, without white space.
    text = json.dumps(dict(members), sort_keys=True, separators=(",", ":"))
    return _encode(hashlib.sha256(text.encode()).digest())


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _member(jwk: Mapping[str, Any], name: str, length: int) -> bytes:
    text = jwk.get(name)
    if not isinstance(text, str):
        raise BadKey(f"a JWK without the text member {name!r}")
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise BadKey(f"the JWK member {name!r} is not base64url") from None
    if len(raw) != length or _encode(raw) != text:
        raise BadKey(f"the JWK member {name!r} is not {length} bytes in base64url")
    return raw


def _require(jwk: Mapping[str, Any], **members: str) -> None:
    for name, value in members.items():
        if jwk.get(name) != value:
            raise BadKey(f"expected a JWK with {name} {value!r}")


def _refuse_private(jwk: Mapping[str, Any]) -> None:
    if "d" in jwk or "priv" in jwk:
        raise BadKey("expected a public JWK, got one with a private member")


def _check_public(jwk: Mapping[str, Any], name: str, raw: bytes) -> None:
    if _member(jwk, name, len(raw)) != raw:
        raise BadKey("the public and the private member of the JWK do not belong together")


def _check_kid(jwk: Mapping[str, Any], kid: str) -> None:
    if jwk.get("kid", kid) != kid:
        raise BadKey("the kid of the JWK is not its RFC 7638 thumbprint")

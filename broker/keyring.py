"""The private keys of the broker and of a party, as the key store holds them."""

import base64
import hmac
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self

from broker.keystore import KeysUnavailable
from schemas.keys import SealingKey, SigningKey, Suite

BROKER: Final = "broker"
"""The party id that events are sealed to."""

_SECRET_BYTES: Final = 32
_AUDIT: Final = "audit"


@dataclass(frozen=True, slots=True)
class Keyring:
    """Signing and sealing keys, newest first, and one secret to derive others from.

    A party derives its event ids and record keys from the secret, the broker the
    first audit key, the pseudonyms and the record keys of deliveries. ``audit`` has the
    audit keys that came after it, newest first.
    """

    signing: tuple[SigningKey, ...]
    sealing: tuple[SealingKey, ...]
    secret: bytes = field(repr=False)
    audit: tuple[bytes, ...] = field(default=(), repr=False)

    @classmethod
    def generate(cls, suite: Suite = Suite.X_WING) -> Self:
        """Make one key of each kind from the system's randomness."""
        return cls(
            (SigningKey.generate(),),
            (SealingKey.generate(suite),),
            secrets.token_bytes(_SECRET_BYTES),
        )

    @classmethod
    def from_jwks(cls, owner: str, jwks: Sequence[Mapping[str, Any]]) -> Self:
        """Read what ``to_jwks`` wrote.

        Raises:
            KeysUnavailable: a kind of key is missing.

        """
        signing = tuple(SigningKey.from_jwk(jwk) for jwk in jwks if jwk.get("use") == "sig")
        sealing = tuple(SealingKey.from_jwk(jwk) for jwk in jwks if jwk.get("use") == "enc")
        secrets_ = [jwk for jwk in jwks if jwk.get("kty") == "oct"]
        found = [secret_from_jwk(jwk) for jwk in secrets_ if jwk.get("use") != _AUDIT]
        audit = tuple(secret_from_jwk(jwk) for jwk in secrets_ if jwk.get("use") == _AUDIT)
        if not (signing and sealing and found):
            raise KeysUnavailable(
                f"the keys of {owner} are not whole: expected a signing key,"
                " a sealing key and a secret"
            )
        return cls(signing, sealing, found[0], audit)

    def to_jwks(self) -> list[dict[str, Any]]:
        """Return private JWKs (RFC 7517): for a key store, nowhere else."""
        return [
            *(key.to_private_jwk() for key in self.signing),
            *(key.to_private_jwk() for key in self.sealing),
            {**secret_to_jwk(self.secret), "use": "derive"},
            *({**secret_to_jwk(key), "use": _AUDIT} for key in self.audit),
        ]

    @property
    def audit_keys(self) -> tuple[bytes, ...]:
        """The keys that subjects were ever blinded under: the one in use, then former ones."""
        return (*self.audit, self.derive("audit"))

    def derive(self, purpose: str, subject: str = "") -> bytes:
        """Derive 32 bytes for one purpose and, within it, one party (HKDF-Expand, RFC 5869 §2.3).

        The secret is uniform, so the extract step is not needed (RFC 5869 §3.3).
        """
        info = f"concordat {purpose}\0{subject}".encode()
        return hmac.digest(self.secret, info + b"\x01", "sha256")


def secret_to_jwk(secret: bytes) -> dict[str, Any]:
    """Return a secret as a symmetric JWK (RFC 7518 §6.4)."""
    return {"kty": "oct", "k": base64.urlsafe_b64encode(secret).rstrip(b"=").decode()}


def secret_from_jwk(jwk: Mapping[str, Any]) -> bytes:
    """Return the secret of a symmetric JWK."""
    text = str(jwk["k"])
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))

"""The keys of a log: one that signs its checkpoints, one that its salts are derived from.

They are not the broker's: an auditor trusts the log by its own key, and a router does
not need it.
"""

import base64
import secrets
from dataclasses import dataclass, field
from typing import Final, Self

from broker.keystore import KeyStore
from schemas.keys import SigningKey
from schemas.notes import NoteKey

OWNER: Final = "evidence"
_SALT_KEY_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class LogKeys:
    """Both keys of a log."""

    signing: SigningKey
    salt_key: bytes = field(repr=False)

    def public(self, origin: str) -> NoteKey:
        """Return what others verify the log's checkpoints with."""
        return NoteKey(origin, self.signing.public)

    @classmethod
    def load(cls, store: KeyStore) -> Self:
        """Read the keys. Raises ``KeysUnavailable``."""
        signing, salt = store.load(OWNER)
        encoded = str(salt["k"])
        salt_key = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
        return cls(SigningKey.from_jwk(signing), salt_key)

    @classmethod
    def generate(cls) -> Self:
        """Make both keys from the system's randomness."""
        return cls(SigningKey.generate(), secrets.token_bytes(_SALT_KEY_BYTES))

    def save(self, store: KeyStore) -> None:
        """Write the keys."""
        encoded = base64.urlsafe_b64encode(self.salt_key).rstrip(b"=").decode()
        store.save(OWNER, [self.signing.to_private_jwk(), {"kty": "oct", "k": encoded}])

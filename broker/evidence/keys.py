"""The keys of a log: one that signs its checkpoints, one that its salts are derived from.

They are not the broker's: an auditor trusts the log by its own key, and a router does
not need it.
"""

import secrets
from dataclasses import dataclass, field
from typing import Final, Self

from broker.keyring import secret_from_jwk, secret_to_jwk
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
        return cls(SigningKey.from_jwk(signing), secret_from_jwk(salt))

    @classmethod
    def generate(cls) -> Self:
        """Make both keys from the system's randomness."""
        return cls(SigningKey.generate(), secrets.token_bytes(_SALT_KEY_BYTES))

    def save(self, store: KeyStore) -> None:
        """Write the keys."""
        store.save(OWNER, [self.signing.to_private_jwk(), secret_to_jwk(self.salt_key)])

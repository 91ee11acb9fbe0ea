"""The audit keys: what identifiers are blinded under, and what the store's tokens are made with.

A record says of a person what HMAC makes of an identifier under the audit key. The store
knows even that only as a token under a key that is derived from the newest audit key: who
has the store alone has nothing to guess against, and with another key it is made anew.

Former keys are kept, since records are for ever; who searches asks under each of them.
"""

import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from broker.keyed_hash import KeyedHash
from broker.keyring import BROKER, Keyring
from broker.keystore import KeyStore
from broker.subjects import LOCAL_KINDS, Subjects
from schemas.errors import RejectedInput
from schemas.identifiers import PERSONAL, canonical, check

_KEY_BYTES: Final = 32
_SHORT_BYTES: Final = 16


class UnknownIdentifier(RejectedInput):
    """What was given is no identifier of a person; its text is not repeated."""

    code = "unknown-identifier"


@dataclass(frozen=True, slots=True)
class Identifier:
    """An identifier as an auditor gives it; ``publisher`` for numbers that only one party gives."""

    kind: str
    text: str
    publisher: str = ""

    def __repr__(self) -> str:
        """Leave the text out: this may get into a traceback."""
        return f"Identifier({self.kind!r}, publisher={self.publisher!r})"

    @classmethod
    def read(cls, told: str) -> "Identifier":
        """Read ``TYPE:VALUE``, or ``TYPE@PUBLISHER:VALUE`` for numbers that only one party gives.

        Raises:
            UnknownIdentifier: it is none; the message does not repeat the value.

        """
        name, _, text = told.partition(":")
        kind, _, publisher = name.partition("@")
        if kind not in PERSONAL:
            # A value given without its type would stand here: not even this is repeated.
            raise UnknownIdentifier(
                f"expected TYPE:VALUE, with a type among {', '.join(sorted(PERSONAL))}"
            )
        if (kind in LOCAL_KINDS) != bool(publisher):
            raise UnknownIdentifier(
                f"expected {kind}@PUBLISHER:VALUE, since every publisher has its own"
                if kind in LOCAL_KINDS
                else f"expected {kind}:VALUE without a publisher"
            )
        fault = check(kind, canonical(kind, text))
        if fault is not None:
            raise UnknownIdentifier(f"the value after {kind}: is not a valid one ({fault})")
        return cls(kind, text, publisher)


@dataclass(frozen=True, slots=True, repr=False)
class AuditKeys:
    """The keys that identifiers were ever blinded under, the newest first."""

    keys: tuple[bytes, ...]

    @classmethod
    def of_broker(cls, keys: Keyring) -> "AuditKeys":
        """Return those in the broker's keys."""
        return cls(keys.audit_keys)

    def blinds(self, identifiers: Iterable[Identifier]) -> frozenset[bytes]:
        """Return what each identifier is blinded to under each key."""
        subjects = [Subjects(key) for key in self.keys]
        return frozenset(
            one.blind(told.kind, told.text, publisher=told.publisher)
            for told in identifiers
            for one in subjects
        )

    def tokens(self) -> KeyedHash:
        """Return what makes the query store's tokens from blinded identifiers."""
        return KeyedHash(self._derived("index"))

    @property
    def mark(self) -> bytes:
        """What tells this key apart from others, and says nothing of it."""
        return hmac.digest(self._derived("index"), b"mark", "sha256")[:_SHORT_BYTES]

    def _derived(self, purpose: str) -> bytes:
        info = f"concordat audit {purpose}\x00\x01".encode()
        return hmac.digest(self.keys[0], info, "sha256")  # HKDF-Expand, RFC 5869 §2.3


def rotate(store: KeyStore) -> Keyring:
    """Give the broker a new audit key, above the former ones; return its keys as they are now.

    Routers blind under it once they are started again with these keys. What was blinded
    under former ones is found as before; the query store has to be made again.
    """
    keys = Keyring.from_jwks(BROKER, store.load(BROKER))
    rotated = replace(keys, audit=(secrets.token_bytes(_KEY_BYTES), *keys.audit))
    store.save(BROKER, rotated.to_jwks())
    return rotated

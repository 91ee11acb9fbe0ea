"""Check each signature on an agreement once, and remember what came of it.

A router meets the same twenty thousand signatures whenever something changes, and
verifying one takes a third of a millisecond.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agreements.signatures import SignatureType, Subject, Valid, check_signature

Jwk = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Token:
    """A signature as it lies on the topic: under which party and statement, and the JWS."""

    party: str
    type: SignatureType
    jws: str


class StatementChecker:
    """Checks tokens against all keys that a party ever had."""

    def __init__(self) -> None:
        self._valid: dict[tuple[str, int, Token], Valid] = {}
        self._invalid: dict[tuple[str, int, Token], int] = {}

    def check(
        self, agreement: str, version: int, token: Token, keys: tuple[Jwk, ...]
    ) -> Valid | None:
        """Return the statement if its party made it with one of ``keys``; None otherwise.

        The text that it is about is the one whose hash it names: a caller compares.
        """
        place = (agreement, version, token)
        valid = self._valid.get(place)
        # What failed is looked at again only when the party has another number of keys:
        # keys are never taken away from `keys`.
        if valid is not None or self._invalid.get(place) == len(keys):
            return valid
        sha256 = _claimed_hash(token.jws)
        checked = (
            check_signature(
                token.jws,
                Subject(agreement, version, sha256),
                party=token.party,
                keys=keys,
                type=token.type,
            )
            if sha256 is not None
            else None
        )
        if isinstance(checked, Valid):
            self._valid[place] = checked
            return checked
        self._invalid[place] = len(keys)
        return None


def _claimed_hash(jws: str) -> str | None:
    """Read the hash that a statement names, before it is verified."""
    try:
        _, payload, _ = jws.split(".")
        raw = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
        claimed = json.loads(raw)["sha256"]
    except (ValueError, KeyError, TypeError, binascii.Error, RecursionError):
        return None
    return claimed if isinstance(claimed, str) else None

"""Keep what was said of agreements, check each signature once, forget nothing that stops.

A router meets the same twenty thousand signatures whenever something changes, and
verifying one takes a third of a millisecond. Whoever may write to the topic must not
fill its memory: so much is kept of one party and type, and what does not verify goes
first.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from agreements.candidates import to_us
from agreements.party_keys import Jwk, KeyHistory
from agreements.signatures import SignatureType, Subject, Valid, check_signature, statement_id
from agreements.signed import Said, revoked_from_us

_KEPT: Final = 8  # of one party and type on one version; as many again that do not verify
_ALL_KEPT: Final = frozenset({SignatureType.SUSPEND, SignatureType.RESUME})
"""Only the party itself can make more of these, and none of them may be lost: an old
suspension stands until it is lifted, and what was lifted must not come back."""


@dataclass(frozen=True, slots=True)
class Token:
    """A signature as it lies on the topic: under which party and statement, and the JWS."""

    party: str
    type: SignatureType
    jws: str
    id: str = field(init=False, compare=False)

    def __post_init__(self) -> None:
        """Work out which statement it claims to be."""
        object.__setattr__(self, "id", statement_id(self.jws))


class Statements:
    """What parties said of agreements, in the order in which it came to the topic."""

    def __init__(self, keys: Mapping[str, KeyHistory]) -> None:
        self._keys = keys
        self._tokens: dict[str, dict[int, dict[Token, int]]] = {}
        self._checker = StatementChecker()

    def add(self, agreement: str, version: int, token: Token, position: int) -> bool:
        """Take in one; return whether it is new. ``position`` is its place on the topic."""
        tokens = self._tokens.setdefault(agreement, {}).setdefault(version, {})
        same = [t for t in tokens if (t.party, t.type) == (token.party, token.type)]
        twins = [t for t in same if t.id == token.id]
        # The signature can be written in several ways: one that verifies is enough.
        if token in twins or any(self._valid(agreement, version, twin) for twin in twins):
            return False
        tokens[token] = position
        same.append(token)
        if len(same) > _KEPT:
            valid = {t: v for t in same if (v := self._valid(agreement, version, t)) is not None}
            bad = [t for t in same if t not in valid]
            if len(bad) > _KEPT:
                self._forget(agreement, version, bad[0])
            if len(valid) > _KEPT and token.type not in _ALL_KEPT:
                spare = self._least(token.type, {t: (v, tokens[t]) for t, v in valid.items()})
                if spare is not None:
                    self._forget(agreement, version, spare)
        return True

    def _forget(self, agreement: str, version: int, token: Token) -> None:
        del self._tokens[agreement][version][token]
        self._checker.forget(agreement, version, token)

    def numbers(self, agreement: str) -> set[int]:
        """Return the versions of which something was said, true or not."""
        return set(self._tokens.get(agreement, ()))

    def of(self, agreement: str) -> dict[int, list[Said]]:
        """Return what verifies, by version, each with what its key is worth."""
        return {
            number: [
                self._said(valid, token, position)
                for token, position in tokens.items()
                if (valid := self._valid(agreement, number, token)) is not None
            ]
            for number, tokens in self._tokens.get(agreement, {}).items()
        }

    def _valid(self, agreement: str, version: int, token: Token) -> Valid | None:
        history = self._keys.get(token.party)
        return self._checker.check(agreement, version, token, history.jwks if history else ())

    def _said(self, valid: Valid, token: Token, position: int) -> Said:
        history, kid = self._keys[token.party], valid.kid
        return Said(
            valid.statement,
            token.id,
            is_timely=history.is_timely(kid, position),
            is_stolen=history.is_stolen(kid, position, to_us(valid.statement.signed_at)),
        )

    def _least(self, kind: SignatureType, valid: Mapping[Token, tuple[Valid, int]]) -> Token | None:
        """Return what can be forgotten: none that takes effect first, and of the rest the oldest.

        INVARIANT: neither the first acceptance in a capacity nor the first revocation is
        ever forgotten, so a later version stays the one that took over.
        """
        said = {token: self._said(one, token, position) for token, (one, position) in valid.items()}
        if kind is SignatureType.REVOKE:
            return max(said, key=lambda t: (revoked_from_us(said[t].statement), t.jws))
        first: dict[str, Token] = {}
        if kind is SignatureType.ACCEPT:
            timely = [token for token, one in said.items() if one.is_timely]
            for token in sorted(timely, key=lambda t: (said[t].statement.takes_effect_at, t.jws)):
                first.setdefault(said[token].statement.signatory.capacity, token)
        spare = (token for token in said if token not in first.values())
        return min(spare, key=lambda t: (said[t].statement.signed_at, t.jws), default=None)


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

    def forget(self, agreement: str, version: int, token: Token) -> None:
        """Keep nothing about a token that is gone."""
        self._valid.pop((agreement, version, token), None)
        self._invalid.pop((agreement, version, token), None)


def _claimed_hash(jws: str) -> str | None:
    """Read the hash that a statement names, before it is verified."""
    try:
        _, payload, _ = jws.split(".")
        raw = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
        claimed: Any = json.loads(raw)["sha256"]
    except (ValueError, KeyError, TypeError, binascii.Error, RecursionError):
        return None
    return claimed if isinstance(claimed, str) else None

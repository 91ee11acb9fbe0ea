"""Which signing keys a party had, until when, and which were stolen.

When something was said is told by the speaker; when it came to the topic is not. So
what a key is good for follows from the position of documents on the topic:

1. what was said with a key before it was retired goes on counting, and what comes
   with it afterwards does not;
2. of what was said with a stolen key only that counts which was on the topic before
   the theft was reported, and is dated before the theft.

Stops (`agreements.signatures.STOPS`) count under any key that the party ever had:
whoever takes a key away, or reports it stolen, brings nothing back by it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from agreements.candidates import to_us
from schemas.control import Party

Jwk = Mapping[str, Any]

_NEVER_CURRENT: Final = -1


@dataclass(frozen=True, slots=True)
class _Theft:
    """The report with the highest revision counts; its place is that of the first."""

    revision: int
    from_us: int
    reported_at: int


class KeyHistory:
    """The signing keys of one party, as its documents told of them one after the other."""

    __slots__ = ("_current", "_left", "_thefts", "jwks")

    def __init__(self) -> None:
        self.jwks: tuple[Jwk, ...] = ()
        """Every key that the party ever had: never one less."""
        self._current: frozenset[str] = frozenset()
        self._left: dict[str, int] = {}
        self._thefts: dict[str, _Theft] = {}

    def learn(self, told: Party, *, newest: Party, position: int) -> bool:
        """Take in a party's document; return whether anything is different now.

        ``newest`` is the one with the highest revision, ``position`` that of ``told`` on
        the topic. Raises ``BadKey`` and changes nothing when one of its keys is none.
        """
        newest_keys = newest.verifying_keys()
        told.verifying_keys()
        before = (self.jwks, self._current, dict(self._thefts))
        known = dict.fromkeys(_frozen(jwk) for jwk in (*self.jwks, *told.signing_keys))
        if len(known) != len(self.jwks):
            self.jwks = tuple(dict(jwk) for jwk in known)
        for stolen in told.stolen_keys:
            self._report(stolen.kid, _Theft(told.revision, to_us(stolen.stolen_from), position))
        current = frozenset(key.kid for key in newest_keys) - self._thefts.keys()
        for kid in self._current - current:
            self._left[kid] = position
        self._current = current
        return before != (self.jwks, self._current, self._thefts)

    def _report(self, kid: str, theft: _Theft) -> None:
        known = self._thefts.get(kid)
        if known is None:
            self._thefts[kid] = theft
        elif theft.revision >= known.revision:
            from_us = theft.from_us
            if theft.revision == known.revision:
                from_us = min(from_us, known.from_us)
            self._thefts[kid] = _Theft(theft.revision, from_us, known.reported_at)

    def is_timely(self, kid: str, position: int) -> bool:
        """Whether the key was the party's when something was put at ``position``, or later."""
        if kid in self._current:
            return True
        return position < self._left.get(kid, _NEVER_CURRENT)

    def is_stolen(self, kid: str, position: int, said_at_us: int) -> bool:
        """Whether what was said with the key may be the thief's."""
        theft = self._thefts.get(kid)
        if theft is None:
            return False
        return position >= theft.reported_at or said_at_us >= theft.from_us


def _frozen(jwk: Jwk) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted(jwk.items()))

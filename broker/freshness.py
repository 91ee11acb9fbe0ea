"""How old may rules be: the scheme says what ``control`` was, and a router goes by it.

Signatures keep anybody from adding to the rules. They do not show what is missing:
whoever runs the streams could withhold a revocation from a router, or take it away.
So the scheme signs, again and again, how far ``control`` goes and the hash of all of
it; a router that does not find the same in what it has read, or hears nothing new,
stops when its rules are older than the limit (``router.rules_max_age``).

The hash is a chain over every record, rubbish too, so rubbish changes nothing. The
statements lie on a topic of their own, of which only the last matters, so that
``control`` does not grow by them. No streams here: `broker.service` reads and appends.
"""

from array import array
from bisect import bisect_right
from collections import deque
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, ClassVar, Final, Literal, Self

from schemas.control import open_document, sign_document
from schemas.errors import EvidenceError
from schemas.keys import BadSignature, SigningKey, VerifyingKey

TOPIC: Final = "freshness"
KEY: Final = b"freshness"

_START: Final = sha256(b"concordat-control-chain-v1").digest()
_DIGEST_BYTES: Final = 32
_NOTHING: Final = b"\xff" * 8
"""Stands for the length of a key or value that is not there."""
_AHEAD_MS: Final = 60_000
"""How far a statement may be ahead of our clock: more would make it count for longer."""
_WAITING: Final = 16
"""Statements about what has not been read yet: one a minute, and reading takes seconds."""


class ControlRewritten(EvidenceError):
    """What is read on ``control`` is not what the scheme signed before."""

    code: ClassVar[str] = "control-rewritten"


class StaleRules(EvidenceError):
    """The rules may be out of date, so nothing may be decided by them."""

    code: ClassVar[str] = "stale-rules"


class Chain:
    """The rolling hash of the records of ``control``, at every position that was passed."""

    __slots__ = ("_digests", "_positions")

    def __init__(self) -> None:
        self._positions = array("q")
        self._digests = bytearray()

    @property
    def end(self) -> int:
        """The position after the last record."""
        return self._positions[-1] if self._positions else 0

    def extend(self, key: bytes | None, value: bytes | None, offset: int) -> None:
        """Take in the next record: ``SHA-256(chain ‖ length ‖ key ‖ length ‖ value)``.

        Lengths are eight bytes, big-endian; of what is missing, all ones.
        """
        last = self._digests[-_DIGEST_BYTES:] or _START
        parts = (last, _length(key), key or b"", _length(value), value or b"")
        self._digests += sha256(b"".join(parts)).digest()
        self._positions.append(offset + 1)

    def at(self, position: int) -> bytes | None:
        """Return the hash of all records before a position; None when it is not reached."""
        if position > self.end:
            return None
        # Kafka's offsets have gaps, where transactions ended.
        count = bisect_right(self._positions, position)
        if not count:
            return _START
        return bytes(self._digests[(count - 1) * _DIGEST_BYTES : count * _DIGEST_BYTES])


def _length(part: bytes | None) -> bytes:
    return _NOTHING if part is None else len(part).to_bytes(8, "big")


@dataclass(frozen=True, slots=True)
class Statement:
    """What the scheme says: at this time ``control`` was this long and had this hash."""

    issued_at_ms: int
    """Milliseconds since the epoch, UTC."""
    position: int
    chain: bytes

    def sign(self, key: SigningKey) -> str:
        """Return it as a compact JWS."""
        return sign_document(
            key,
            {
                "type": "freshness",
                "issued_at_ms": self.issued_at_ms,
                "position": self.position,
                "chain": self.chain.hex(),
            },
        )

    @classmethod
    def open(cls, jws: str, key: VerifyingKey) -> Self:
        """Return the statement if the scheme's key signed it. Raises ``BadSignature``."""
        match open_document(jws, key):
            case {"type": "freshness", "issued_at_ms": int(at), "position": int(position),
                  "chain": str(chain)} as found if len(found) == 4:  # noqa: PLR2004  these  # fmt: skip
                try:
                    return cls(at, position, bytes.fromhex(chain))
                except ValueError:
                    pass
        raise BadSignature("expected a freshness statement")


Standing = Literal["fresh", "unknown", "old", "behind", "differs"]
"""``unknown``: no statement yet; ``old``: the last is too old; ``behind``: it tells of
documents that did not come; ``differs``: it tells of another ``control``."""


class Freshness:
    """Holds the scheme's statements against what was read of ``control``."""

    def __init__(self, scheme_key: VerifyingKey, chain: Chain, *, max_age_ms: int) -> None:
        self._scheme_key = scheme_key
        self._chain = chain
        self._waiting: deque[Statement] = deque(maxlen=_WAITING)
        self._differs_ms = -1
        self.max_age_ms = max_age_ms
        self.newest: Statement | None = None
        """The newest statement that the scheme signed, whether it holds or not."""
        self.known_ms: int | None = None
        """The time of the newest statement that holds: the rules are no older than that."""

    def take(self, value: bytes | None) -> None:
        """Take in a record of the topic; what the scheme did not sign is passed over."""
        try:
            statement = Statement.open((value or b"").decode("ascii"), self._scheme_key)
        except (BadSignature, UnicodeDecodeError):
            return
        if self.newest is None or statement.issued_at_ms > self.newest.issued_at_ms:
            self.newest = statement
        self._waiting.append(statement)

    def standing(self, now_ms: int) -> Standing:
        """Return whether rules made of what was read may be gone by at this time."""
        self._compare(now_ms)
        known, newest = self.known_ms, self.newest
        if self._differs_ms > (-1 if known is None else known):
            return "differs"  # at once: somebody has changed what we read
        if known is not None and now_ms - known <= self.max_age_ms:
            return "fresh"
        if newest is None:
            return "unknown"
        if now_ms - newest.issued_at_ms <= self.max_age_ms and newest.position > self._chain.end:
            return "behind"
        return "old"

    def age_ms(self, now_ms: int) -> int | None:
        """Return how old the rules may be; None when no statement holds."""
        self._compare(now_ms)
        return None if self.known_ms is None else max(0, now_ms - self.known_ms)

    def _compare(self, now_ms: int) -> None:
        for statement in tuple(self._waiting):
            if statement.issued_at_ms > now_ms + _AHEAD_MS:
                continue  # until its time has come
            found = self._chain.at(statement.position)
            if found is None:
                continue  # until so much has been read
            self._waiting.remove(statement)
            if found == statement.chain:
                self.known_ms = max(statement.issued_at_ms, self.known_ms or 0)
            else:
                self._differs_ms = max(statement.issued_at_ms, self._differs_ms)


def next_statement(chain: Chain, *before: Statement | None, at_ms: int) -> Statement:
    """Return what may be said of ``control`` as it was read, after what was said before.

    Raises:
        ControlRewritten: something that was there before is missing or another.

    """
    for said in before:
        if said is not None and chain.at(said.position) != said.chain:
            found = "ends before" if chain.at(said.position) is None else "is another before"
            raise ControlRewritten(
                f"control {found} position {said.position}, up to which the scheme has signed"
                " it: records were removed or written over, so nothing is signed"
            )
    end = chain.at(chain.end)
    assert end is not None  # noqa: S101  its own end is reached
    return Statement(at_ms, chain.end, end)


def to_json(freshness: Freshness, now_ms: int) -> dict[str, Any]:
    """Return how fresh rules are, for a reader."""
    age_ms = freshness.age_ms(now_ms)
    return {
        "standing": freshness.standing(now_ms),
        "age_seconds": None if age_ms is None else age_ms // 1000,
        "limit_seconds": freshness.max_age_ms // 1000,
    }

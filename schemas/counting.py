"""What a party says it has counted: the events that it signed, or the deliveries that it opened.

A statement is a compact JWS (RFC 7515, Ed25519 as in RFC 9864) by the party's signing key
over canonical JSON (RFC 8785). Statements of one party and side are numbered and name the
one before, so none can be left out unseen. A statement is of a calendar month (UTC) by the
time that events were published; a later one of the same month takes its place.

What is counted is an event by its id (16 bytes), and a delivery by the event's id and half
of the SHA-256 of what came (16 bytes each). So nothing of a payload and nobody's identifier
is in a statement. The digest tells whether two sides have the same set, the sketch
(`schemas.sketches`) in what they differ.
"""

import base64
import json
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from hashlib import sha256
from typing import Annotated, Any, Final, NamedTuple
from uuid import UUID

import rfc8785
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey
from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveInt,
    StringConstraints,
    ValidationError,
)

from schemas.errors import RejectedInput
from schemas.keys import BadSignature, SigningKey, VerifyingKey
from schemas.sketches import BadSketch, Sketch

COUNTS: Final = "counts"
"""The topic of the statements; the record key is the party's id."""

_ALGORITHM: Final = "Ed25519"
_TYPE: Final = "concordat-counts+jwt"  # keeps a statement from passing as another JWS of ours
_LONGEST: Final = 1 << 19
_PREFIX: Final = b"concordat-counts-v1\0"
_ID_BYTES: Final = 16

Month = Annotated[str, StringConstraints(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])$")]
_Day = Annotated[str, StringConstraints(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]
_Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Side(StrEnum):
    """What is counted. The values are signed: never reuse one."""

    PUBLISHED = "published"
    OPENED = "opened"

    @property
    def width(self) -> int:
        """Bytes of what stands for one."""
        return _ID_BYTES if self is Side.PUBLISHED else 2 * _ID_BYTES


class BadStatement(RejectedInput):
    """It is no statement of what was counted, or not that party's."""

    code = "bad-statement"


class Counted(NamedTuple):
    """One thing that was counted; the time is that of publishing, in ms since the epoch."""

    element: bytes
    event_type: str
    published_ms: int

    @property
    def event_id(self) -> str:
        """The event that it was, or was delivered."""
        return event_id_of(self.element)


def published_element(event_id: str) -> bytes:
    """Return what stands for an event that was signed."""
    return UUID(event_id).bytes


def opened_element(event_id: str, delivery: bytes) -> bytes:
    """Return what stands for a delivery; ``delivery`` is its SHA-256."""
    return UUID(event_id).bytes + delivery[:_ID_BYTES]


def event_id_of(element: bytes) -> str:
    """Return the id of the event that an element is of."""
    return str(UUID(bytes=element[:_ID_BYTES]))


def month_of(published_ms: int) -> str:
    """Return the month, such as 2026-11, of a time in milliseconds since the epoch."""
    return _day_of(published_ms // 86_400_000)[:7]


@lru_cache(maxsize=4096)
def _day_of(day: int) -> str:
    return datetime.fromtimestamp(day * 86_400, UTC).date().isoformat()


class Statement(BaseModel):
    """The payload: what a party has counted of a month, up to ``until`` (exclusive)."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    format: Annotated[int, Field(ge=1, le=1)] = 1
    scheme: str
    party: str
    side: Annotated[Side, Field(strict=False)]
    sequence: PositiveInt
    previous: _Sha256 | None
    month: Month
    until: Annotated[AwareDatetime, Field(strict=False)]
    signed_at: Annotated[AwareDatetime, Field(strict=False)]
    total: NonNegativeInt
    digest: _Sha256
    counts: dict[_Day, dict[str, PositiveInt]]
    sketch: str

    def to_jws(self, key: SigningKey) -> str:
        """Sign it."""
        private = OKPKey.import_key(_bare(key.to_private_jwk()))
        header = {"alg": _ALGORITHM, "kid": key.kid, "typ": _TYPE}
        content = rfc8785.dumps(self.model_dump(mode="json"))
        return jws.serialize_compact(header, content, private, algorithms=[_ALGORITHM])

    @classmethod
    def from_jws(cls, token: str, keys: Iterable[VerifyingKey]) -> "Statement":
        """Return what one of these keys has signed.

        Raises:
            BadStatement: none has, or it is of another shape.

        """
        if len(token) > _LONGEST:
            raise BadStatement("a statement of counts is longer than one can be")
        for key in keys:
            try:
                return cls.model_validate(_opened(token, key))
            except BadSignature:
                continue
            except ValidationError:
                break
        raise BadStatement("expected a statement of counts, signed by a key of the party")

    def differs(
        self, elements: frozenset[bytes]
    ) -> tuple[frozenset[bytes], frozenset[bytes]] | None:
        """Return what only the party has counted, and what only ``elements`` has.

        None when they differ, and in too much for the sketch to say in what.

        Raises:
            BadStatement: its sketch is none.

        """
        if digest_of(elements) == self.digest:
            return frozenset(), frozenset()
        try:
            told = Sketch.from_bytes(base64.b64decode(self.sketch, validate=True), self.side.width)
        except (BadSketch, ValueError):
            raise BadStatement("the sketch of a statement of counts cannot be read") from None
        found = told.difference(Sketch.of(elements, self.side.width))
        if found is None or digest_of((elements - found[1]) | found[0]) != self.digest:
            return None
        return found


def digest_of(elements: Iterable[bytes]) -> str:
    """Return the SHA-256, in hexadecimal, over a set of elements in their order."""
    return sha256(_PREFIX + b"".join(sorted(elements))).hexdigest()


def digest_of_statement(token: str) -> str:
    """Return how the next statement names this one."""
    return sha256(token.encode()).hexdigest()


def state(  # noqa: PLR0913  whose count of what, and where it stands in the party's statements
    counted: Iterable[Counted],
    *,
    scheme: str,
    party: str,
    side: Side,
    month: str,
    until: datetime,
    signed_at: datetime,
    sequence: int,
    previous: str | None,
) -> Statement:
    """Return the statement over what was counted in a month, each thing given once."""
    elements: list[bytes] = []
    counts: dict[str, Counter[str]] = {}
    for one in counted:
        elements.append(one.element)
        counts.setdefault(_day_of(one.published_ms // 86_400_000), Counter())[one.event_type] += 1
    sketch = Sketch.of(elements, side.width).to_bytes()
    return Statement(
        scheme=scheme,
        party=party,
        side=side,
        sequence=sequence,
        previous=previous,
        month=month,
        until=until,
        signed_at=signed_at,
        total=len(elements),
        digest=digest_of(elements),
        counts={day: dict(sorted(of.items())) for day, of in sorted(counts.items())},
        sketch=base64.b64encode(sketch).decode(),
    )


def _opened(token: str, key: VerifyingKey) -> dict[str, Any]:
    try:
        public = OKPKey.import_key(_bare(key.to_jwk()))
        opened = jws.deserialize_compact(token, public, algorithms=[_ALGORITHM])
        payload = json.loads(opened.payload)
    except (JoseError, ValueError, RecursionError):
        raise BadSignature("the statement's signature does not verify") from None
    expected = {"alg": _ALGORITHM, "kid": key.kid, "typ": _TYPE}
    if opened.headers() != expected or not isinstance(payload, dict):
        raise BadSignature("the statement is not signed the way statements of counts are")
    return payload


def _bare(jwk: dict[str, str]) -> dict[str, str | list[str]]:
    return {name: value for name, value in jwk.items() if name not in {"kid", "use"}}

"""Write and read decision records (``schemas/decision.avsc``).

A record is written on the hot path, several thousand times a second, and most
of it repeats: the publisher and its schema, the clauses of a flow. So the
encoding is joined from parts that are made once (Avro has no separators: a
record is its fields' bytes one after another). fastavro reads it back, and the
tests hold the two against each other.
"""

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any, Final

import fastavro

from schemas.avro import fingerprint
from schemas.framing import frame

SCHEMA_TEXT: Final = files("schemas").joinpath("decision.avsc").read_text(encoding="utf-8")
SCHEMA: Final = fastavro.parse_schema(json.loads(SCHEMA_TEXT))
FINGERPRINT: Final = fingerprint(json.loads(SCHEMA_TEXT))
"""As in the single-object framing: little-endian (Avro specification, "Single-object encoding")."""

_FORMER: Final = json.loads(files("schemas").joinpath("decision-1.avsc").read_text("utf-8"))
"""What records were written with before there were holds; they are kept for ever."""
_WRITERS: Final = {
    frame(FINGERPRINT, b""): SCHEMA,
    frame(fingerprint(_FORMER), b""): fastavro.parse_schema(_FORMER),
}
_FRAME: Final = frame(FINGERPRINT, b"")
PERMIT, DENY, REVIEW, HOLD = b"\x00", b"\x02", b"\x04", b"\x06"
"""The outcomes' places in the schema's enum, zigzag encoded."""
_OUTCOME_NAMES: Final = {"permit": PERMIT, "deny": DENY, "review": REVIEW, "hold": HOLD}
_EMPTY: Final = b"\x00"
FIRST_DECISION: Final = b"\x00"
"""The null branch of ``settles``."""
RETRACTED: Final = "retracted"
"""The reason of a permit that is a notice: the event that its ``detail`` names was taken back."""


@dataclass(frozen=True, slots=True)
class LegalBasis:
    """One side's basis as evidence tells it."""

    regime: str
    conditions: tuple[str, ...]
    gateways: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Clause:
    """What is the same for every event under one flow to one recipient."""

    recipient: str
    agreement: str
    version: int
    hash: bytes
    flow: str
    purpose: str
    provider: LegalBasis
    receiver: LegalBasis

    def to_avro(self) -> bytes:
        """Encode the fields ``recipient`` to ``receiver``, in the schema's order."""
        return b"".join(
            (
                text(self.recipient),
                text(self.agreement),
                long(self.version),
                _bytes(self.hash),
                text(self.flow),
                text(self.purpose),
                _legal(self.provider),
                _legal(self.receiver),
            )
        )


_NOTHING_DISCLOSED: Final = _EMPTY * 4  # items, transforms, view, key


def permitted_part(
    clause: bytes, *, items: Sequence[str], transforms: Mapping[str, str], view: bytes, key: str
) -> bytes:
    """Return what every permit under one clause, view and recipient key shares."""
    return b"".join(
        (
            PERMIT,
            _EMPTY,  # reason
            _EMPTY,  # detail
            clause,
            _array([text(item) for item in items]),
            _map(tuple(transforms.items())),
            _bytes(view),
            text(key),
        )
    )


def permitted(part: bytes, *, withheld: tuple[tuple[str, str], ...], sealed: bytes) -> bytes:
    """Encode one permitted candidate; ``sealed`` is the SHA-256 of the delivery."""
    return part + (_map(withheld) if withheld else _EMPTY) + b"\x40" + sealed


def notice_part(part: bytes, event_id: str) -> bytes:
    """Return a permit's part as that of a notice that an event was taken back."""
    return PERMIT + text(RETRACTED) + text(event_id) + part.removeprefix(PERMIT + _EMPTY + _EMPTY)


@lru_cache(maxsize=4096)
def refused(
    outcome: str,
    reason: str,
    detail: str,
    clause: bytes,
    withheld: tuple[tuple[str, str], ...] = (),
) -> bytes:
    """Encode one candidate that was denied, sent to review or held."""
    return b"".join(
        (
            _OUTCOME_NAMES[outcome],
            text(reason),
            text(detail),
            clause,
            _NOTHING_DISCLOSED,
            _map(withheld),
            _EMPTY,  # sealed
        )
    )


_LAST: Final = tuple(
    bytes((n,)) if n < 0x80 else bytes((n & 0x7F | 0x80, n >> 7))  # noqa: PLR2004  seven bits
    for n in range(0x4000)
)
"""Numbers of fourteen bits, in as many bytes as they need."""
_FIRST: Final = tuple(bytes((n & 0x7F | 0x80, n >> 7 | 0x80)) for n in range(0x4000))
"""The same in two bytes after which more follow."""


def batch_part(topic: str, partition: int, *, decided_at_ms: int, rules: int) -> bytes:
    """Return what every record of one batch shares, from ``topic`` to ``rules``."""
    return text(topic) + long(partition) + long(decided_at_ms) + long(rules)


@lru_cache(maxsize=1024)
def sender_part(event_type: str, schema: bytes, publisher: str, signing_key: str) -> bytes:
    """Return the frame and the fields ``eventType`` to ``signingKey``."""
    return _FRAME + text(event_type) + schema + text(publisher) + text(signing_key)


def event_part(  # noqa: PLR0913, PLR0917  one argument a field, in the schema's order
    offset: int,
    event_id: bytes,
    occurred_at_ms: int,
    published_at_ms: int,
    received_at_ms: int,
    digest: bytes,
    subjects: Sequence[bytes],
) -> bytes:
    """Encode the fields ``offset`` to ``subjects``."""
    return b"".join(
        (
            long(offset),
            long(len(event_id)),
            event_id,
            long(occurred_at_ms),
            _shared_long(published_at_ms),
            _shared_long(received_at_ms),
            digest,
            long(len(subjects)),
            *subjects,
            _EMPTY if subjects else b"",
        )
    )


def candidates_part(candidates: Sequence[bytes], settles: bytes = FIRST_DECISION) -> bytes:
    """Encode ``candidates`` and ``settles``, which end the record."""
    if not candidates:
        return _EMPTY + settles
    return long(len(candidates)) + b"".join(candidates) + _EMPTY + settles


def settles_part(suspension: str, *, decided_at_ms: int, partition: int, offset: int) -> bytes:
    """Encode ``settles``: which suspension ended, and where on ``held`` the held copy lies.

    Without a suspension: where on ``retractions`` that lies which the record tells of.
    """
    return b"".join((b"\x02", text(suspension), long(decided_at_ms), long(partition), long(offset)))


def read_decision(value: bytes) -> dict[str, Any]:
    """Decode a decision record as it lies on ``decisions``, also of the former schema.

    Raises:
        ValueError: it is not a decision record of this schema.

    """
    writer = _WRITERS.get(value[: len(_FRAME)])
    if writer is None:
        raise ValueError("expected a decision record: its schema's fingerprint does not match")
    reader = None if writer is SCHEMA else SCHEMA
    record: Any = fastavro.schemaless_reader(io.BytesIO(value[len(_FRAME) :]), writer, reader)
    decoded: dict[str, Any] = record
    return decoded


def long(number: int) -> bytes:
    """Encode an Avro long: zigzag, then seven bits a byte, least first."""
    # Five a record, and three of them times: fourteen bits at once from tables.
    number = (number << 1) ^ (number >> 63)
    if number < 0x4000:  # noqa: PLR2004  fourteen bits
        return _LAST[number]
    if number < 0x1000_0000:  # noqa: PLR2004  twice fourteen
        return _FIRST[number & 0x3FFF] + _LAST[number >> 14]
    return _FIRST[number & 0x3FFF] + _FIRST[number >> 14 & 0x3FFF] + _rest(number >> 28)


_shared_long: Final = lru_cache(maxsize=256)(long)
"""For times that the events of a batch have in common: when they were signed, and appended."""


def _rest(number: int) -> bytes:
    return (
        _LAST[number]
        if number < 0x4000  # noqa: PLR2004  as above
        else _FIRST[number & 0x3FFF] + _rest(number >> 14)
    )


def text(value: str) -> bytes:
    """Encode an Avro string."""
    return _bytes(value.encode())


def _bytes(value: bytes) -> bytes:
    return long(len(value)) + value


def _array(items: Sequence[bytes]) -> bytes:
    return long(len(items)) + b"".join(items) + _EMPTY if items else _EMPTY


def _map(entries: tuple[tuple[str, str], ...]) -> bytes:
    return _array([text(name) + text(value) for name, value in entries])


def _legal(basis: LegalBasis) -> bytes:
    return (
        text(basis.regime)
        + _array([text(condition) for condition in basis.conditions])
        + _array([text(gateway) for gateway in basis.gateways])
    )


_NO_BASIS: Final = LegalBasis("", (), ())


def names_only(recipient: str, agreement: str, version: int, flow: str) -> bytes:
    """Return the clause of a flow that is in no agreement any more."""
    return Clause(recipient, agreement, version, b"", flow, "", _NO_BASIS, _NO_BASIS).to_avro()


NO_CLAUSE: Final = names_only("", "", 0, "")
"""Stands where no agreement names a recipient."""

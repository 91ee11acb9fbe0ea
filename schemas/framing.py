"""Say which schema wrote a payload: two framings read, one written.

- Avro single-object encoding: ``C3 01``, the CRC-64-AVRO fingerprint of the
  writer's schema (8 bytes, little-endian), the value. Source: Apache Avro 1.12
  specification, *Single-object encoding*. We write this one.
- Confluent's framing: ``00``, the schema's number in the publisher's registry
  (4 bytes, big-endian), the value. Read where a publisher has a registry and
  the broker knows which fingerprint each number stands for. Source: Confluent
  Schema Registry, *Wire format*.
"""

from collections.abc import Mapping
from typing import Final

from schemas.errors import RejectedInput

FINGERPRINT_BYTES: Final = 8
SINGLE_OBJECT: Final = b"\xc3\x01"
_SINGLE_OBJECT_BODY: Final = len(SINGLE_OBJECT) + FINGERPRINT_BYTES
_CONFLUENT_BODY: Final = 5


class BadFraming(RejectedInput):
    """The payload does not begin as one of the two framings does."""

    code = "bad-framing"


class UnknownSchema(RejectedInput):
    """The payload names a schema, or the event a type, that the catalogue does not have."""

    code = "unknown-schema"


def frame(fingerprint: bytes, body: bytes) -> bytes:
    """Put ``body`` (one Avro value) behind the single-object marker of its schema.

    ``fingerprint`` is 8 bytes, as :attr:`schemas.catalogue.EventType.fingerprint`.
    """
    if len(fingerprint) != FINGERPRINT_BYTES:
        raise ValueError(f"a fingerprint has {FINGERPRINT_BYTES} bytes, not {len(fingerprint)}")
    return SINGLE_OBJECT + fingerprint + body


def unframe(payload: bytes, registry: Mapping[int, bytes] | None = None) -> tuple[bytes, int]:
    """Return the writer's fingerprint and the offset where the Avro value begins.

    ``registry`` gives the fingerprint of each number of the publisher's schema
    registry; without it, Confluent's framing is refused.

    Raises:
        BadFraming: neither framing, or cut short.
        UnknownSchema: a registry number that ``registry`` does not have.
    """
    if payload[:2] == SINGLE_OBJECT:
        if len(payload) < _SINGLE_OBJECT_BODY:
            raise BadFraming("the payload ends inside its fingerprint")
        return payload[2:_SINGLE_OBJECT_BODY], _SINGLE_OBJECT_BODY
    if payload[:1] != b"\x00":
        raise BadFraming("expected single-object encoding (C3 01) or Confluent framing (00)")
    if registry is None:
        raise BadFraming("Confluent framing is read only from publishers with a schema registry")
    if len(payload) < _CONFLUENT_BODY:
        raise BadFraming("the payload ends inside its schema number")
    number = int.from_bytes(payload[1:_CONFLUENT_BODY], "big")
    try:
        return registry[number], _CONFLUENT_BODY
    except KeyError:
        raise UnknownSchema(f"schema {number} of the publisher's registry is not known") from None

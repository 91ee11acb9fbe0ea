"""What stands in the log for a record, and the record itself beside it.

The tree's entries are salted commitments, 32 bytes each: they say nothing of a record to
whoever does not have it. So a record can be shredded, salt and all, and the tree still
verifies. The salt is derived from the record under a key of the log, so that a log that
was lost is made again from the stream, byte for byte.
"""

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import ClassVar, Final, Self

import cbor2

from connectors.streams import Record
from schemas.errors import EvidenceError

SALT_BYTES: Final = 16
_OFFSET_BYTES: Final = 8
_HEAD_BYTES: Final = 1 + _OFFSET_BYTES
_WHOLE: Final = b"\x00"
_SHREDDED: Final = b"\x01"
_LEFT_OUT: Final = b"\x02"
_PREFIX: Final = b"concordat-evidence-v1\x00"
_EIGHT_BYTES: Final = 1 << 32
"""The first number that takes eight bytes in CBOR; as milliseconds, a day of February 1970."""
_FOUR_WITH_TIME: Final = b"\x84\x1b"
_NO_HEADERS: Final = b"\x80"


class BadEntry(EvidenceError):
    """What is kept of an entry is not of a form that we know."""

    code: ClassVar[str] = "bad-entry"


def content_of(record: Record) -> bytes:
    """Return what is committed to: CBOR of time (ms), key, headers and value of a record."""
    _, _, _, timestamp_ms, key, value, headers = record
    if headers or key is None or value is None or timestamp_ms < _EIGHT_BYTES:
        return cbor2.dumps([timestamp_ms, key, [list(one) for one in headers], value])
    # Nearly all are of one form, which is joined from its parts in a sixth of the time.
    return b"".join(
        (
            _FOUR_WITH_TIME,
            timestamp_ms.to_bytes(8, "big"),
            _bytes_head(len(key)),
            key,
            _NO_HEADERS,
            _bytes_head(len(value)),
            value,
        )
    )


@lru_cache(maxsize=4096)
def _bytes_head(length: int) -> bytes:
    """Return what stands before so many bytes in CBOR (RFC 8949 §3)."""
    return cbor2.dumps(bytes(length))[:-length] if length else cbor2.dumps(b"")


def record_from(content: bytes, *, topic: str, partition: int, offset: int) -> Record:
    """Return the record that a content is of. Raises `BadEntry`."""
    try:
        timestamp_ms, key, headers, value = cbor2.loads(content)
        pairs = tuple((str(name), data) for name, data in headers)
    except (ValueError, TypeError, cbor2.CBORDecodeError):
        raise BadEntry("the content of an entry is not that of a record") from None
    return Record(topic, partition, offset, timestamp_ms, key, value, pairs)


def commitment(offset: int, salt: bytes, content: bytes) -> bytes:
    """Return the entry of the tree: SHA-256 of prefix, offset (8 bytes), salt and content."""
    return sha256(_PREFIX + offset.to_bytes(_OFFSET_BYTES, "big") + salt + content).digest()


def kept_whole(offset: int, salt: bytes, content: bytes) -> tuple[bytes, bytes]:
    """Return `Kept.to_bytes` and `commitment` of a record, in half the time."""
    told = offset.to_bytes(_OFFSET_BYTES, "big") + salt + content
    return _WHOLE + told, sha256(_PREFIX + told).digest()


def salting(key: bytes) -> Callable[[bytes], bytes]:
    """Return what gives the salt of a content under a key of the log: HMAC-SHA-256, cut off."""
    begun = hmac.new(key, digestmod="sha256")  # what depends on the key alone is done once

    def salt_of(content: bytes) -> bytes:
        made = begun.copy()
        made.update(content)
        return made.digest()[:SALT_BYTES]

    return salt_of


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept beside an entry: where it came from, and salt and content.

    Of one that was shredded, the rule by which it was is all that is left; of one that is
    not in the period that was exported, nothing.
    """

    offset: int
    salt: bytes = b""
    content: bytes = b""
    shredded_under: str = ""
    is_left_out: bool = False

    @property
    def is_shredded(self) -> bool:
        """Whether only the commitment is left."""
        return bool(self.shredded_under)

    @property
    def commitment(self) -> bytes:
        """The entry that salt and content make; of no use once they are shredded."""
        return commitment(self.offset, self.salt, self.content)

    def to_bytes(self) -> bytes:
        """Return it as it is kept, which can be written in one way only.

        A byte that is 0, the offset in eight bytes, salt and content; or 1, offset and rule;
        or 2 and offset.
        """
        offset = self.offset.to_bytes(_OFFSET_BYTES, "big")
        if self.is_left_out:
            return _LEFT_OUT + offset
        if self.is_shredded:
            return _SHREDDED + offset + self.shredded_under.encode()
        return _WHOLE + offset + self.salt + self.content

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read what `to_bytes` wrote. Raises `BadEntry`."""
        kind, offset = data[:1], int.from_bytes(data[1:_HEAD_BYTES], "big")
        if kind == _WHOLE and len(data) >= _HEAD_BYTES + SALT_BYTES:
            at = _HEAD_BYTES + SALT_BYTES
            return cls(offset, data[_HEAD_BYTES:at], data[at:])
        rule = data[_HEAD_BYTES:].decode(errors="replace")
        if kind == _SHREDDED and rule.isprintable() and rule:
            return cls(offset, shredded_under=rule)
        if kind == _LEFT_OUT and len(data) == _HEAD_BYTES:
            return cls(offset, is_left_out=True)
        raise BadEntry("what is kept beside an entry is neither a record nor a shredding")

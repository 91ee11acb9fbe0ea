"""Which partition a key belongs to: the same on every adapter, and as Kafka's clients do it.

Kafka's default partitioner is ``murmur2(key) & 0x7fffffff`` modulo the number of
partitions (``org.apache.kafka.common.utils.Utils.murmur2``), so a supplier's own
client in another language sends one subject's events to the same partition.
"""

from collections.abc import Callable
from functools import lru_cache
from struct import Struct
from typing import TYPE_CHECKING

from connectors.streams import Headers

if TYPE_CHECKING:
    from mypy_extensions import i64

_SEED = 0x9747B28C
_M = 0x5BD1E995
_MASK = 0xFFFFFFFF
_USUAL_BYTES = 16
_SEED_OF_16 = (_SEED ^ _USUAL_BYTES) * _M
_four_words: Callable[[bytes], tuple[int, int, int, int]] = Struct("<4I").unpack

RECORD_OVERHEAD_BYTES = 32
"""What Kafka's record format v2 adds to key, value and headers, generously."""


def key_hash(key: bytes) -> int:
    """Return the non-negative murmur2 hash of a record's key."""
    return _hash_of_16(key) if len(key) == _USUAL_BYTES else _hash_of_any(key)


def _hash_of_16(key: bytes) -> int:
    # The hot path: two keys for each event, seldom met before. The same as below with
    # its loop written out, at a third of the cost.
    # No product exceeds 63 bits, so that a compiler may calculate with machine words.
    words = _four_words(key)
    m: i64 = _M
    mask: i64 = _MASK
    a: i64 = words[0]
    b: i64 = words[1]
    c: i64 = words[2]
    d: i64 = words[3]
    a = a * m & mask
    b = b * m & mask
    c = c * m & mask
    d = d * m & mask
    h: i64 = _SEED_OF_16
    h = (h ^ (a ^ a >> 24) * m) & mask
    h = (h * m ^ (b ^ b >> 24) * m) & mask
    h = (h * m ^ (c ^ c >> 24) * m) & mask
    h = (h * m ^ (d ^ d >> 24) * m) & mask
    h = (h ^ h >> 13) * m & mask
    return (h ^ h >> 15) & 0x7FFFFFFF


# Other keys are few and return often, and the arithmetic costs 20 times a look-up.
@lru_cache(maxsize=4096)
def _hash_of_any(key: bytes) -> int:
    length = len(key)
    h = (_SEED ^ length) & _MASK
    whole = length & ~3
    for i in range(0, whole, 4):
        k = (int.from_bytes(key[i : i + 4], "little") * _M) & _MASK
        k = ((k ^ (k >> 24)) * _M) & _MASK
        h = ((h * _M) & _MASK) ^ k
    if whole < length:
        h = ((h ^ int.from_bytes(key[whole:], "little")) * _M) & _MASK
    h = ((h ^ (h >> 13)) * _M) & _MASK
    return (h ^ (h >> 15)) & 0x7FFFFFFF


def size_of(key: bytes | None, value: bytes | None, headers: Headers) -> int:
    """Return the bytes that a record takes, by Kafka's reckoning or a little more."""
    size = RECORD_OVERHEAD_BYTES + len(key or b"") + len(value or b"")
    for name, content in headers:
        size += len(name) + len(content) + 4
    return size

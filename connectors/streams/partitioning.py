"""Which partition a key belongs to: the same on every adapter, and as Kafka's clients do it.

Kafka's default partitioner is ``murmur2(key) & 0x7fffffff`` modulo the number of
partitions (``org.apache.kafka.common.utils.Utils.murmur2``), so a supplier's own
client in another language sends one subject's events to the same partition.
"""

from functools import lru_cache

from connectors.streams import Headers

_SEED = 0x9747B28C
_M = 0x5BD1E995
_MASK = 0xFFFFFFFF

RECORD_OVERHEAD_BYTES = 32
"""What Kafka's record format v2 adds to key, value and headers, generously."""


# Record keys are few and return often (one for a subject), and the arithmetic costs
# 20 times a look-up.
@lru_cache(maxsize=65_536)
def key_hash(key: bytes) -> int:
    """Return the non-negative murmur2 hash of a record's key."""
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

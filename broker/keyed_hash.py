"""HMAC-SHA256 (RFC 2104) under a key that is used again and again.

`hmac.digest` sets the key up at every call, which costs four times the hashing of
something as short as an identifier; here the key's two blocks are made once.
"""

from collections.abc import Callable
from hashlib import sha256
from typing import Final

_BLOCK_BYTES: Final = 64
_INNER: Final = bytes(byte ^ 0x36 for byte in range(256))
_OUTER: Final = bytes(byte ^ 0x5C for byte in range(256))


def keyed_hash(key: bytes, *, prefix: bytes = b"") -> Callable[[bytes], bytes]:
    """Return the function that gives the HMAC (32 bytes) of ``prefix`` and its argument."""
    if len(key) > _BLOCK_BYTES:
        key = sha256(key).digest()
    block = key.ljust(_BLOCK_BYTES, b"\0")
    inner, outer = block.translate(_INNER) + prefix, block.translate(_OUTER)

    def digest(message: bytes) -> bytes:
        return sha256(outer + sha256(inner + message).digest()).digest()

    return digest

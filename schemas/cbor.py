"""The little of CBOR that the hot paths write and read by hand.

Deterministic encoding (RFC 8949 §4.2.1): a length has one way to be written, the
shortest. Everywhere else `cbor2` is used.
"""

from typing import Final

UNSIGNED: Final = 0x00
BYTES: Final = 0x40
TEXT: Final = 0x60
ARRAY: Final = 0x80

INLINE: Final = 24  # below it a number stands in the first byte itself
SHORT: Final = 256  # lengths below it are in the tables
_TWO_BYTES: Final = 0x1_0000
_FOUR_BYTES: Final = 0x1_0000_0000


def head(major: int, n: int) -> bytes:
    """Return the first bytes of an item: its major type (in place) and number or length."""
    if n < INLINE:
        return bytes((major | n,))
    if n < SHORT:
        return bytes((major | 24, n))
    if n < _TWO_BYTES:
        return bytes((major | 25,)) + n.to_bytes(2)
    if n < _FOUR_BYTES:
        return bytes((major | 26,)) + n.to_bytes(4)
    return bytes((major | 27,)) + n.to_bytes(8)


BYTES_HEADS: Final = tuple(head(BYTES, n) for n in range(SHORT))
TEXT_HEADS: Final = tuple(head(TEXT, n) for n in range(SHORT))


def text(value: str) -> bytes:
    """Return a whole text string."""
    raw = value.encode()
    return head(TEXT, len(raw)) + raw


def read_head(data: bytes, at: int, major: int) -> tuple[int, int] | None:
    """Return the number or length (below 2³²) and where the item goes on.

    None when the data ends, is of another type or not in its shortest form.
    """
    kind = data[at] - major if at < len(data) else -1
    if 0 <= kind < INLINE:
        return kind, at + 1
    width = _WIDTHS.get(kind, 0)
    end = at + 1 + width
    n = int.from_bytes(data[at + 1 : end])
    if width and end <= len(data) and n >= _LEAST[width]:
        return n, end
    return None


_WIDTHS: Final = {24: 1, 25: 2, 26: 4}
_LEAST: Final = {1: INLINE, 2: SHORT, 4: _TWO_BYTES}

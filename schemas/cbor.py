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
TABLED: Final = 1024  # lengths below it have their heads in the tables
_ONE_BYTE: Final = 0x100
_TWO_BYTES: Final = 0x1_0000
_FOUR_BYTES: Final = 0x1_0000_0000


def head(major: int, n: int) -> bytes:
    """Return the first bytes of an item: its major type (in place) and number or length."""
    if n < INLINE:
        return bytes((major | n,))
    if n < _ONE_BYTE:
        return bytes((major | 24, n))
    if n < _TWO_BYTES:
        return bytes((major | 25,)) + n.to_bytes(2)
    if n < _FOUR_BYTES:
        return bytes((major | 26,)) + n.to_bytes(4)
    return bytes((major | 27,)) + n.to_bytes(8)


BYTES_HEADS: Final = tuple(head(BYTES, n) for n in range(TABLED))
TEXT_HEADS: Final = tuple(head(TEXT, n) for n in range(TABLED))


def text(value: str) -> bytes:
    """Return a whole text string."""
    raw = value.encode()
    return head(TEXT, len(raw)) + raw


def read_head(data: bytes, at: int, major: int) -> tuple[int, int] | None:
    """Return the number or length (below 2³²) and where the item goes on.

    None when the data ends, is of another type or not in its shortest form.
    """
    # Told apart by hand: four calls of this stand in every record's way.
    try:
        kind = data[at] - major
        if kind == 25:  # noqa: PLR2004  two bytes follow
            n = data[at + 1] << 8 | data[at + 2]
            return (n, at + 3) if n >= _ONE_BYTE else None
        if kind == 24:  # noqa: PLR2004  one byte follows
            n = data[at + 1]
            return (n, at + 2) if n >= INLINE else None
        if 0 <= kind < INLINE:
            return kind, at + 1
        if kind == 26:  # noqa: PLR2004  four bytes follow
            n = int.from_bytes(data[at + 1 : at + 5])
            return (n, at + 5) if n >= _TWO_BYTES and at + 5 <= len(data) else None
    except IndexError:
        return None
    return None

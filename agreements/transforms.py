"""What may be shared in place of an exact value: less of it, or a stand-in.

Each transform takes the Avro encoding of one value (no union branch: nulls never
reach a transform) and gives the Avro encoding of what is shared, or None when
the value cannot be made coarser; then the item is withheld. None of them ever
falls back to the exact value.

Everything here is a function of the value, the event and the recipient's key, so
a decision made again years later gives the same bytes. Ages are counted at the
time the event occurred, on UTC dates.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Any, Final

from agreements.model import Generalise, Item
from schemas.identifiers import canonical

# The encoded value to the encoded value that is shared.
Shaper = Callable[[bytes], bytes | None]
# The same, given the event's `occurred_at_us` too.
TimedShaper = Callable[[bytes, int], bytes | None]

MASKED: Final = "***"
IMPOSSIBLE_DATE: Final = "impossible-date"
_EPOCH_ORDINAL: Final = date(1970, 1, 1).toordinal()
_DAY_US: Final = 86_400_000_000
_TICKS_PER_DAY: Final = {
    "date": 1,
    "timestamp-millis": 86_400_000,
    "timestamp-micros": _DAY_US,
}
_BAND_YEARS: Final = 5  # ONS five-year bands, the last one open
_LAST_BAND: Final = 90
_PSEUDONYM_BYTES: Final = 16
_REMEMBERED: Final = 8192  # values of one transform; about 1 MB
_ONE_BYTE: Final = 0x80  # below it a varint is one byte


class NotTransformable(ValueError):
    """The transform has no meaning for the item's type."""


@dataclass(frozen=True, slots=True)
class Shaped:
    """A transform compiled for one item: the type it gives and the function that makes it.

    ``identifier`` is the kind that the value must validate as before it is shaped.
    ``reason`` is given when the function returns None.
    """

    name: str
    avro_type: str
    shape: Shaper | TimedShaper
    identifier: str | None
    reason: str | None = None
    is_timed: bool = False


def name_of(item: Item) -> str:
    """Return the name of an item's transform as evidence has it; empty when shared as it is."""
    if item.transform is None:
        return ""
    if isinstance(item.transform, Generalise):
        return f"generalise:{item.transform.generalise}"
    return item.transform


def compile_transform(
    item: Item, avro_type: Any, *, identifier: str | None, key: bytes
) -> Shaped | None:
    """Return the transform of an item whose Avro type (without null) is ``avro_type``.

    ``key`` is the recipient's pseudonym key. None when the item is shared as it is;
    raises `NotTransformable` when the transform has no meaning for the type.
    ``drop`` never comes here: a dropped item is not part of a view.
    """
    name = name_of(item)
    if not name:
        return None
    if name == "mask":
        masked = encode_text(MASKED)
        return Shaped(name, "string", lambda _value: masked, identifier)
    if name == "pseudonym":
        shape = _pseudonym(item.path, identifier, key)
        return Shaped(name, "string", shape, identifier)
    coarser = name.removeprefix("generalise:")
    if coarser.startswith("postcode"):
        if _plain(avro_type) != "string":
            raise NotTransformable(f"{name} needs text")
        return Shaped(name, "string", _POSTCODE[coarser], "postcode")
    ticks = _TICKS_PER_DAY.get(_logical(avro_type) or "")
    if ticks is None:
        raise NotTransformable(f"{name} needs a date or a time")
    if coarser == "age-band":
        shape_at = _age_band(ticks)
        return Shaped(name, "string", shape_at, identifier, IMPOSSIBLE_DATE, is_timed=True)
    avro, shape_of = _DATES[coarser]
    return Shaped(name, avro, shape_of(ticks), identifier, IMPOSSIBLE_DATE)


def _plain(avro_type: Any) -> Any:
    return avro_type.get("type") if isinstance(avro_type, dict) else avro_type


def _logical(avro_type: Any) -> str | None:
    return avro_type.get("logicalType") if isinstance(avro_type, dict) else None


def encode_long(number: int) -> bytes:
    """Return the Avro encoding of an int or long (zigzag, then a varint; Avro 1.12 §Binary)."""
    zigzag = (number << 1) ^ (number >> 63)
    out = bytearray()
    while zigzag >= _ONE_BYTE:
        out.append(zigzag & 0x7F | _ONE_BYTE)
        zigzag >>= 7
    out.append(zigzag)
    return bytes(out)


def encode_text(text: str) -> bytes:
    """Return the Avro encoding of a string."""
    raw = text.encode()
    return encode_long(len(raw)) + raw


def decode_long(value: bytes, start: int = 0) -> tuple[int, int]:
    """Return the int or long that begins at ``start``, and where it ends."""
    shift = zigzag = 0
    while True:
        byte = value[start]
        start += 1
        zigzag |= (byte & 0x7F) << shift
        if byte < _ONE_BYTE:
            return (zigzag >> 1) ^ -(zigzag & 1), start
        shift += 7


def decode_text(value: bytes) -> str:
    """Return the string that ``value`` encodes."""
    if value[0] < _ONE_BYTE:  # up to 63 bytes: nearly all
        return value[1:].decode()
    return value[decode_long(value)[1] :].decode()


def _day(value: bytes, ticks: int) -> date | None:
    ordinal = decode_long(value)[0] // ticks + _EPOCH_ORDINAL
    return date.fromordinal(ordinal) if 1 <= ordinal <= date.max.toordinal() else None


def _year(ticks: int) -> Shaper:
    def shaped(value: bytes) -> bytes | None:
        day = _day(value, ticks)
        return None if day is None else encode_long(day.year)

    return lru_cache(maxsize=_REMEMBERED)(shaped)


def _month(ticks: int) -> Shaper:
    def shaped(value: bytes) -> bytes | None:
        day = _day(value, ticks)
        return None if day is None else encode_text(f"{day.year:04}-{day.month:02}")

    return lru_cache(maxsize=_REMEMBERED)(shaped)


def _age_band(ticks: int) -> TimedShaper:
    @lru_cache(maxsize=_REMEMBERED)
    def shaped(value: bytes, occurred_on: int) -> bytes | None:
        born, on = _day(value, ticks), date.fromordinal(occurred_on + _EPOCH_ORDINAL)
        if born is None:
            return None
        years = on.year - born.year - ((on.month, on.day) < (born.month, born.day))
        return None if years < 0 else _BANDS[min(years, _LAST_BAND) // _BAND_YEARS]

    return lambda value, occurred_at_us: shaped(value, occurred_at_us // _DAY_US)


_BANDS: Final = (
    *(
        encode_text(f"{youngest}-{youngest + _BAND_YEARS - 1}")
        for youngest in range(0, _LAST_BAND, _BAND_YEARS)
    ),
    encode_text(f"{_LAST_BAND}+"),
)
_DATES: Final[dict[str, tuple[str, Callable[[int], Shaper]]]] = {
    "year": ("int", _year),
    "month": ("string", _month),
}


@lru_cache(maxsize=_REMEMBERED)
def _sector(value: bytes) -> bytes:
    """SW1A 1AA → SW1A 1: the inward code is always a digit and two letters."""
    postcode = canonical("postcode", decode_text(value)).replace(" ", "")
    return encode_text(f"{postcode[:-3]} {postcode[-3]}")


@lru_cache(maxsize=_REMEMBERED)
def _district(value: bytes) -> bytes:
    """SW1A 1AA → SW1A."""
    return encode_text(canonical("postcode", decode_text(value)).replace(" ", "")[:-3])


_POSTCODE: Final[dict[str, Shaper]] = {
    "postcode-sector": _sector,
    "postcode-district": _district,
}


def _pseudonym(path: str, identifier: str | None, key: bytes) -> Shaper:
    """HMAC-SHA256 (RFC 2104) of what it is and the value, the first 128 bits as hexadecimal.

    What it is: the kind of an identifier (then the value is in its canonical form), or
    the field's name. So the same person is the same pseudonym in everything that one
    recipient receives, and another one at every other recipient. The two hash states
    that begin with the key are kept, which halves the time of `hmac.digest`.
    """
    if len(key) < hashlib.sha256().digest_size:
        raise ValueError("a pseudonym key has at least 32 bytes")
    block = (hashlib.sha256(key).digest() if len(key) > hashlib.sha256().block_size else key).ljust(
        hashlib.sha256().block_size, b"\0"
    )
    domain = (identifier or path.rpartition(".")[2]).encode() + b"\0"
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in block) + domain)
    outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in block))

    def shape(value: bytes) -> bytes:
        first, second = inner.copy(), outer.copy()
        if identifier is not None:
            value = canonical(identifier, decode_text(value)).encode()
        first.update(value)
        second.update(first.digest())
        digits = second.digest()[:_PSEUDONYM_BYTES].hex()
        return _PSEUDONYM_LENGTH + digits.encode()

    return shape


_PSEUDONYM_LENGTH: Final = encode_long(2 * _PSEUDONYM_BYTES)

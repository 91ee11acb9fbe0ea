"""Transforms on encoded values: what is shared in place of the exact one."""

import hashlib
import hmac
from datetime import UTC, date, datetime
from typing import Any

import pytest

from agreements.candidates import to_us
from agreements.model import Item
from agreements.transforms import (
    NotTransformable,
    Shaped,
    compile_transform,
    decode_long,
    decode_text,
    encode_long,
    encode_text,
    name_of,
)

DATE = {"type": "int", "logicalType": "date"}
MILLIS = {"type": "long", "logicalType": "timestamp-millis"}
MICROS = {"type": "long", "logicalType": "timestamp-micros"}
EPOCH = date(1970, 1, 1)
KEY = bytes(range(32))


def _item(transform: Any, path: str = "a.field") -> Item:
    return Item.model_validate({"path": path, "transform": transform})


def _shaped(transform: Any, avro_type: Any, **more: Any) -> Shaped:
    given = {"identifier": None, "key": KEY} | more
    shaped = compile_transform(_item(transform), avro_type, **given)
    assert shaped is not None
    return shaped


def _coarser(how: str, avro_type: Any, value: bytes, at: datetime | None = None) -> Any:
    shaped = _shaped({"generalise": how}, avro_type)
    call: Any = shaped.shape
    made = call(value, to_us(at)) if shaped.is_timed and at else call(value)
    if made is None:
        return None
    return decode_long(made)[0] if shaped.avro_type == "int" else decode_text(made)


def _day(text: str) -> bytes:
    return encode_long((date.fromisoformat(text) - EPOCH).days)


@pytest.mark.parametrize(
    ("number", "encoded"),
    [
        (0, "00"),
        (-1, "01"),
        (1, "02"),
        (63, "7e"),
        (-64, "7f"),
        (64, "8001"),
        (-65, "8101"),
        (8191, "fe7f"),
        (8192, "808001"),
        (2**63 - 1, "feffffffffffffffff01"),
        (-(2**63), "ffffffffffffffffff01"),
    ],
)
def test_numbers_are_encoded_as_avro_does(number: int, encoded: str) -> None:
    """Zigzag, then a varint (Avro 1.12, Binary Encoding)."""
    assert encode_long(number).hex() == encoded
    assert decode_long(b"\xff" + bytes.fromhex(encoded), 1) == (number, 1 + len(encoded) // 2)


@pytest.mark.parametrize("length", [0, 1, 63, 64, 65, 8191, 8192])
def test_texts_are_encoded_as_avro_does(length: int) -> None:
    """The length as a number, then UTF-8."""
    text = "é" + "x" * length
    encoded = encode_text(text)
    assert encoded == encode_long(length + 2) + text.encode()
    assert decode_text(encode_text("y" * length)) == "y" * length
    assert decode_text(encoded) == text


def test_a_transform_is_named_as_evidence_has_it() -> None:
    """The names are in decision records: they do not change."""
    names = [name_of(_item(one)) for one in (None, "drop", "mask", "pseudonym")]
    assert names == ["", "drop", "mask", "pseudonym"]
    assert name_of(_item({"generalise": "age-band"})) == "generalise:age-band"


def test_without_a_transform_there_is_nothing_to_compile() -> None:
    """The item is shared as it is."""
    assert compile_transform(_item(None), "string", identifier="upn", key=KEY) is None


@pytest.mark.parametrize(
    ("how", "day", "expected"),
    [
        ("year", "2014-09-30", 2014),
        ("year", "1969-12-31", 1969),
        ("year", "0001-01-01", 1),
        ("year", "9999-12-31", 9999),
        ("month", "2014-09-30", "2014-09"),
        ("month", "0987-01-02", "0987-01"),
        ("month", "1969-12-31", "1969-12"),
    ],
)
def test_a_date_is_made_coarser(how: str, day: str, expected: Any) -> None:
    """To its year, or its month."""
    assert _coarser(how, DATE, _day(day)) == expected


@pytest.mark.parametrize("kind", [MILLIS, MICROS])
@pytest.mark.parametrize("moment", ["2014-09-30T23:59:59.999Z", "1969-12-31T23:59:00Z"])
def test_a_time_is_made_coarser_by_its_day(kind: dict[str, str], moment: str) -> None:
    """Times before 1970 too."""
    micros = to_us(datetime.fromisoformat(moment))
    value = encode_long(micros // 1000 if kind is MILLIS else micros)
    assert _coarser("year", kind, value) == int(moment[:4])
    assert _coarser("month", kind, value) == moment[:7]


@pytest.mark.parametrize("days", [date.max.toordinal() - EPOCH.toordinal() + 1, -EPOCH.toordinal()])
@pytest.mark.parametrize("how", ["year", "month", "age-band"])
def test_a_date_that_no_calendar_has_is_not_shared(how: str, days: int) -> None:
    """It never falls back to the value."""
    assert _coarser(how, DATE, encode_long(days), datetime(2026, 6, 1, tzinfo=UTC)) is None
    assert _shaped({"generalise": how}, DATE).reason == "impossible-date"


@pytest.mark.parametrize(
    ("born", "on", "band"),
    [
        ("2026-06-01", "2026-06-01", "0-4"),
        ("2021-06-02", "2026-06-01", "0-4"),
        ("2021-06-01", "2026-06-01", "5-9"),
        ("2021-05-31", "2026-06-01", "5-9"),
        ("2020-02-29", "2025-02-28", "0-4"),
        ("2020-02-29", "2025-03-01", "5-9"),
        ("1936-06-02", "2026-06-01", "85-89"),
        ("1936-06-01", "2026-06-01", "90+"),
        ("1900-01-01", "2026-06-01", "90+"),
        ("2026-06-02", "2026-06-01", None),
    ],
)
def test_ages_are_counted_in_birthdays(born: str, on: str, band: str | None) -> None:
    """In bands of five years, the last one open (ONS)."""
    at = datetime.fromisoformat(f"{on}T23:59:59+00:00")
    assert _coarser("age-band", DATE, _day(born), at) == band


@pytest.mark.parametrize(
    ("postcode", "sector", "district"),
    [
        ("SW1A 1AA", "SW1A 1", "SW1A"),
        ("sw1a1aa", "SW1A 1", "SW1A"),
        ("M1 1AE", "M1 1", "M1"),
        ("  S60  1ae ", "S60 1", "S60"),
    ],
)
def test_postcodes_are_made_coarser(postcode: str, sector: str, district: str) -> None:
    """To the sector, or the district, however they were written."""
    assert _coarser("postcode-sector", "string", encode_text(postcode)) == sector
    assert _coarser("postcode-district", "string", encode_text(postcode)) == district


def test_a_postcode_must_validate_before_it_is_made_coarser() -> None:
    """Whatever the schema says that the text is."""
    assert _shaped({"generalise": "postcode-sector"}, "string").identifier == "postcode"
    given = _shaped({"generalise": "postcode-district"}, {"type": "string"}, identifier="upn")
    assert (given.identifier, given.reason) == ("postcode", None)


def test_identifiers_are_checked_before_they_are_masked_or_stood_for() -> None:
    """What is no identifier has no pseudonym."""
    assert _shaped("mask", "string", identifier="upn").identifier == "upn"
    assert _shaped("pseudonym", "string", identifier="upn").identifier == "upn"
    assert _shaped({"generalise": "year"}, DATE).identifier is None


@pytest.mark.parametrize(
    ("how", "avro_type"),
    [
        ("year", "string"),
        ("month", "int"),
        ("age-band", "long"),
        ("year", {"type": "int", "logicalType": "time-millis"}),
        ("postcode-sector", "int"),
        ("postcode-district", DATE),
        ("postcode-district", ["null", "string", "int"]),
    ],
)
def test_a_transform_without_a_meaning_for_the_type_is_refused(how: str, avro_type: Any) -> None:
    """When the view is compiled, not at the event."""
    with pytest.raises(NotTransformable) as refused:
        _shaped({"generalise": how}, avro_type)
    assert f"generalise:{how}" in str(refused.value)


def test_a_mask_is_the_same_for_every_value() -> None:
    """It shows that there is something, and nothing of it."""
    call: Any = _shaped("mask", "long").shape
    assert {call(encode_long(n)) for n in range(100)} == {encode_text("***")}
    assert _shaped("mask", "long").avro_type == "string"


@pytest.mark.parametrize("length", [32, 63, 64, 65, 200])
def test_a_pseudonym_is_an_hmac_under_the_recipient_s_key(length: int) -> None:
    """RFC 2104, keys longer than a block too; the kind of the identifier comes first."""
    key = bytes(range(256))[:length]
    call: Any = _shaped("pseudonym", "string", identifier="upn", key=key).shape
    expected = hmac.new(key, b"upn\0G330200112001", hashlib.sha256).hexdigest()[:32]
    assert decode_text(call(encode_text(" g330200112001 "))) == expected


def test_without_an_identifier_the_field_s_name_comes_first() -> None:
    """The bytes of the value as they are encoded: a number has a pseudonym too."""
    call: Any = _shaped("pseudonym", "long").shape
    item = _item("pseudonym", "a.b.field")
    deeper = compile_transform(item, "long", identifier=None, key=KEY)
    assert deeper is not None
    expected = hmac.new(KEY, b"field\0" + encode_long(77), hashlib.sha256).hexdigest()[:32]
    also: Any = deeper.shape
    assert also(encode_long(77)) == call(encode_long(77))
    assert decode_text(call(encode_long(77))) == expected
    other: Any = _shaped("pseudonym", "long", key=KEY[::-1]).shape
    assert other(encode_long(77)) != call(encode_long(77))


def test_an_identifier_has_one_pseudonym_however_it_is_written() -> None:
    """In its canonical form: publishers differ on the zeros of a UPRN."""
    call: Any = _shaped("pseudonym", "string", identifier="uprn").shape
    assert call(encode_text("000000199356")) == call(encode_text("199356"))


@pytest.mark.parametrize("length", [0, 31])
def test_a_pseudonym_key_is_not_short(length: int) -> None:
    """32 bytes at least."""
    with pytest.raises(ValueError, match=r"^a pseudonym key has at least 32 bytes"):
        _shaped("pseudonym", "string", key=b"k" * length)

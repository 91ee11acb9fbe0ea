"""The two framings of a payload."""

import fastavro
import pytest

from schemas.avro import fingerprint, parse
from schemas.framing import BadFraming, UnknownSchema, frame, unframe

MARK = bytes.fromhex("8a8f25cce724dd63")


def test_the_fingerprint_is_avros_in_the_framings_byte_order() -> None:
    """The specification gives 0x63dd24e7cc258f8a for "null"; framing is little-endian."""
    assert fingerprint(parse("null")) == (0x63DD24E7CC258F8A).to_bytes(8, "little") == MARK


def test_a_framed_body_is_found_again() -> None:
    """Marker, fingerprint, body."""
    assert frame(MARK, b"body") == b"\xc3\x01" + MARK + b"body"
    assert unframe(frame(MARK, b"body")) == (MARK, 10)
    assert unframe(frame(MARK, b"")) == (MARK, 10)


def test_a_fingerprint_of_another_length_is_our_mistake() -> None:
    """It would shift the body."""
    with pytest.raises(ValueError, match="8 bytes"):
        frame(b"short", b"")


def test_confluents_framing_is_read_through_the_publishers_registry() -> None:
    """The number stands for a fingerprint."""
    assert unframe(b"\x00\x00\x00\x00\x07body", {7: MARK}) == (MARK, 5)


def test_an_unknown_registry_number_is_an_unknown_schema() -> None:
    """The number is named: it is not personal."""
    with pytest.raises(UnknownSchema, match="schema 8"):
        unframe(b"\x00\x00\x00\x00\x08body", {7: MARK})


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xc3",
        b"\xc3\x01",
        b"\xc3\x01" + MARK[:7],
        b"\x00\x00\x00\x07",
        b"\xc3\x02" + MARK,
        b"{}",
        b"Obj\x01",
    ],
)
def test_anything_else_is_refused(payload: bytes) -> None:
    """Also what is cut short, JSON, and an Avro container file."""
    with pytest.raises(BadFraming):
        unframe(payload, {7: MARK})


def test_confluents_framing_needs_a_registry() -> None:
    """A publisher without one cannot name schemas by number."""
    with pytest.raises(BadFraming, match="registry"):
        unframe(b"\x00\x00\x00\x00\x07body")


def test_another_librarys_single_object_marker_is_ours() -> None:
    """Fastavro computes the same fingerprint from the same canonical form."""
    schema = parse({"type": "record", "name": "a.B", "doc": "x", "fields": []})
    canonical = fastavro.schema.to_parsing_canonical_form(schema)
    assert canonical == '{"name":"a.B","type":"record","fields":[]}'
    assert fingerprint(schema).hex() == fastavro.schema.fingerprint(canonical, "CRC-64-AVRO")

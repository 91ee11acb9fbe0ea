"""Signature files and key files: whole and unchanged, or refused in a sentence."""

import json
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from town import COUNCIL, SCHOOL, WHO, the_agreement

from agreements.signatures import SignatureType
from broker.keystore import KeysUnavailable
from broker.saying import NoSay, NotASignature, Saying, signature_type
from broker.signature_files import (
    LARGEST_BYTES,
    BadSignatureFile,
    FileThere,
    SignatureFile,
    read_public_key,
    read_signature_file,
    read_signing_key,
    sign_file,
    write_signing_key,
)
from schemas.keys import BadKey, SigningKey

KEY = SigningKey.generate()
AT = datetime(2026, 11, 23, 12, tzinfo=UTC)
SIGNED = sign_file(the_agreement(), KEY, Saying(SignatureType.ACCEPT, SCHOOL, WHO, AT))
WHOLE = (json.dumps(SIGNED.model_dump(), indent=2) + "\n").encode()


def refused(raw: bytes) -> str:
    """Return the sentence with which a file is refused."""
    with pytest.raises(BadSignatureFile) as error:
        read_signature_file(raw, name="signed.json")
    return str(error.value)


# -- signature files ---------------------------------------------------------------------------


def test_a_file_says_what_was_signed() -> None:
    """It names the text by its hash, and the statement counts by itself."""
    assert read_signature_file(WHOLE, name="signed.json") == SIGNED
    assert (SIGNED.format, SIGNED.party, SIGNED.type) == (1, SCHOOL, "accept")


@given(st.integers(0, len(WHOLE) - 3))
def test_a_half_written_file_is_refused_wherever_it_ends(length: int) -> None:
    """With the line at which it ends, and what to do."""
    told = refused(WHOLE[:length])
    assert "line " in told
    assert "ask the party to send" in told


@given(st.integers(0, len(WHOLE) - 1), st.integers(0, 255))
def test_a_file_with_a_byte_changed_is_refused_or_says_the_same(place: int, byte: int) -> None:
    """Around the statement everything is held against it; what only its key can tell is left."""
    changed = WHOLE[:place] + bytes([byte]) + WHOLE[place + 1 :]
    try:
        read = read_signature_file(changed, name="signed.json")
    except BadSignatureFile as error:
        assert str(error).startswith("signed.json")  # noqa: PT017  refused is one of two answers
    else:
        assert read.model_dump(exclude={"jws"}) == SIGNED.model_dump(exclude={"jws"})


@pytest.mark.parametrize("field", [name for name in SignatureFile.model_fields if name != "jws"])
def test_each_field_is_held_against_what_was_signed(field: str) -> None:
    """A reader of the file must not be told something else than what is put on record."""
    other: dict[str, Any] = {"format": 2, "version": 2}
    told = refused(json.dumps(SIGNED.model_dump() | {field: other.get(field, "other")}).encode())
    assert field in told


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"", "line 1"),
        (b"\xff\xfe{", "UTF-8"),
        (b"[]", "format 1"),
        (b"[" * 50_000, "too deeply"),
        (WHOLE.replace(b'"format": 1', b'"format": 1, "format": 1'), "twice"),
        (WHOLE.replace(b'"format": 1', b'"format": true'), "format"),
        (WHOLE.replace(b'"format": 1', b'"format": 1, "more": 1'), "more"),
        (b" " * (LARGEST_BYTES + 1), "larger"),
        (json.dumps(SIGNED.model_dump() | {"jws": "a.b.c"}).encode(), "jws"),
    ],
    ids=["empty", "utf16", "list", "deep", "twice", "true", "more", "large", "no jws"],
)
def test_what_is_no_signature_file_is_refused(raw: bytes, expected: str) -> None:
    """In a sentence that says what it is not."""
    assert expected in refused(raw)


def test_only_who_has_a_say_can_sign() -> None:
    """Told where the party is, not only when the file comes back."""
    with pytest.raises(NoSay, match=COUNCIL):
        sign_file(the_agreement(), KEY, Saying(SignatureType.ACCEPT, "somebody", WHO, AT))
    with pytest.raises(NotASignature, match="suspend"):
        signature_type("suspended")


# -- key files ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["key.json", "key.jwe"])
def test_a_key_is_read_as_it_was_written_and_for_its_owner_alone(tmp_path: Path, name: str) -> None:
    """In clear, or encrypted under a passphrase."""
    file = tmp_path / name
    write_signing_key(file, KEY, "fourteen letters")
    assert read_signing_key(file, "fourteen letters").public == KEY.public
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with pytest.raises(FileThere):
        write_signing_key(file, SigningKey.generate(), "fourteen letters")
    if name == "key.jwe":
        assert KEY.to_private_jwk()["d"] not in file.read_text()
        with pytest.raises(KeysUnavailable, match="does not open"):
            read_signing_key(file, "another passphrase")


def test_a_key_is_not_encrypted_without_a_passphrase(tmp_path: Path) -> None:
    """Nor is a file left that looks like one."""
    with pytest.raises(KeysUnavailable):
        write_signing_key(tmp_path / "key.jwe", KEY, None)
    assert list(tmp_path.iterdir()) == []


def test_a_key_set_gives_its_signing_key(tmp_path: Path) -> None:
    """As other tools write one (RFC 7517)."""
    file = tmp_path / "set.json"
    file.write_text(json.dumps({"keys": [{"kty": "oct", "k": "AA"}, KEY.to_private_jwk()]}))
    assert read_signing_key(file, None).public == KEY.public


@pytest.mark.parametrize(
    "text",
    ["", "rubbish", "[]", '{"keys": 1}', "{}", json.dumps(KEY.public.to_jwk()), " " * 70_000],
)
def test_what_is_no_private_key_is_refused(tmp_path: Path, text: str) -> None:
    """A public key, too: it is easily taken for the other."""
    file = tmp_path / "key.json"
    file.write_text(text)
    with pytest.raises(BadKey):
        read_signing_key(file, None)


def test_a_public_key_with_its_private_half_is_refused() -> None:
    """What should not have left the machine is not taken in."""
    public = json.dumps(KEY.public.to_jwk()).encode()
    assert read_public_key(public, name="public.json") == KEY.public
    for raw in (json.dumps(KEY.to_private_jwk()).encode(), b"[]", b"rubbish"):
        with pytest.raises(BadKey):
            read_public_key(raw, name="public.json")

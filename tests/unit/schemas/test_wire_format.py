"""A client written from the page alone gets along with the product, in both directions."""

import json
import re
from pathlib import Path
from typing import Any

import cbor2
import pytest
import stranger

from schemas.keys import SealingKey, SigningKey, Suite
from schemas.sealing import Binding, Opener, Sealer
from schemas.signing import Entry, Verifier, new_salt, sign_batch

ROOT = Path(__file__).parents[3]
VECTORS = ROOT / "schemas" / "vectors"
PAGE = ROOT / "docs" / "using" / "wire-format.md"
TOPIC = "events.anytown"
HEADERS = [("ce_id", b"1"), ("content-type", b"application/cose"), ("ce_type", b"a.b.v1")]
RECORD_KEY = b"the same subject"
NOON_MS = 1_775_035_800_000
SIGNING = SigningKey(b"\x01" * 32)
SEALING = SealingKey(Suite.X25519, b"\x02" * 32)
BINDING = Binding("broker", TOPIC, "1", "a.b.v1", "urn:concordat:schema:0123456789abcdef")


def _vectors(name: str) -> Any:
    return json.loads((VECTORS / name).read_text(encoding="utf-8"))


def test_a_stranger_reads_the_vectors() -> None:
    """Thumbprints, leaves, sealed records and control documents."""
    keys = _vectors("keys.json")
    every = {jwk["kid"]: jwk for kind in ("signing", "sealing") for jwk in keys[kind].values()}
    assert all(stranger.thumbprint(jwk) == kid for kid, jwk in every.items())
    signing = _vectors("signing.json")
    for batch in signing["batches"]:
        for record in batch["records"]:
            headers = [(name, value.encode()) for name, value in record["headers"]]
            payload, salt = bytes.fromhex(record["payload"]), bytes.fromhex(record["salt"])
            key = bytes.fromhex(record["key"])
            leaf = stranger.leaf_of(signing["topic"], key, headers, payload, salt)
            assert leaf.hex() == record["leaf"]
    for record in _vectors("sealed.json")["records"]:
        aad = stranger.external_aad(record["binding"])
        assert aad.hex() == record["external_aad"]
        if record["suite"] == "X25519":
            sender, recipient = record["sender_key"], every[record["recipient_kid"]]
            opened = stranger.open_sealed(recipient, sender, bytes.fromhex(record["sealed"]), aad)
            assert opened.hex() == record["plaintext"]
    control = _vectors("control.json")
    for signed in control["documents"]:
        assert stranger.open_jws(signed["jws"], control["scheme_key"]) == signed["payload"]


@pytest.mark.parametrize("size", [1, 2, 3, 6, 7])
def test_what_a_stranger_publishes_is_accepted(size: int) -> None:
    """Signed and sealed by the page alone, opened and verified by the product."""
    events = [
        (RECORD_KEY, [*HEADERS[1:], ("ce_id", b"%d" % number)], b"%d" % number)
        for number in range(size)
    ]
    private = SIGNING.to_private_jwk()
    plaintexts = stranger.sign(private, "anytown", TOPIC, events, at_ms=NOON_MS)
    opener = Opener([SEALING], {SIGNING.kid: SIGNING.public}.get)
    verifier = Verifier(lambda _, kid: {SIGNING.kid: SIGNING.public}.get(kid))
    for (key, headers, payload), plaintext in zip(events, plaintexts, strict=True):
        sealed = stranger.seal(private, SEALING.public.to_jwk(), plaintext, BINDING.to_aad())
        opened = opener.open(sealed, BINDING.to_aad())
        verified = verifier.verify("anytown", TOPIC, key=key, headers=headers, plaintext=opened)
        assert verified.payload == payload


def test_what_we_publish_is_what_a_stranger_expects() -> None:
    """The plaintext in the seal, and every root that its path leads to."""
    entries = [Entry(TOPIC, RECORD_KEY, HEADERS, b"%d" % number, new_salt()) for number in range(5)]
    leaves = [stranger.leaf_of(*entry) for entry in entries]
    sealer = Sealer(SIGNING, "broker", SEALING.public)
    signed = sign_batch(SIGNING, "anytown", entries, signed_at_ms=NOON_MS)
    for index, plaintext in enumerate(signed):
        sealed = sealer.seal(plaintext, BINDING.to_aad())
        private, public = SEALING.to_private_jwk(), SIGNING.public.to_jwk()
        parts = cbor2.loads(stranger.open_sealed(private, public, sealed, BINDING.to_aad()))
        assert parts[4] == bytes([0, 0, 0, index, 0, 0, 0, 5])
        assert parts[5] == b"".join(stranger.tree_path(index, leaves))


def test_the_page_and_the_vectors_name_each_other() -> None:
    """Every file is mentioned on the page, and says under which of its headings."""
    page = PAGE.read_text(encoding="utf-8")
    anchors = {
        re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"^#+ (.+)$", page, re.MULTILINE)
    }
    for path in VECTORS.iterdir():
        assert f"`{path.name}`" in page
        see = json.loads(path.read_text(encoding="utf-8"))["see"]
        file, _, anchor = see.partition("#")
        assert (ROOT / file) == PAGE
        assert anchor in anchors
    for link in re.findall(r"\]\(#([^)]+)\)", page):
        assert link in anchors

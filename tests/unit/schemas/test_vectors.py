"""The test vectors: the files are what the script writes, and the product reads them so."""

import json
from dataclasses import replace
from typing import Any

import pytest
from vectors import write

from schemas import merkle
from schemas.control import open_document, parse_document_key
from schemas.keys import BadSignature, SealingKey, SigningKey, VerifyingKey
from schemas.sealing import Binding, DoesNotOpen, Opener, bound_headers
from schemas.signing import Verifier


def _read(name: str) -> Any:
    return json.loads((write.FOLDER / name).read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", sorted(write.FILES))
def test_a_file_is_what_the_script_would_write(name: str) -> None:
    """A change of the format shows up as a change of the vectors, never silently."""
    assert (write.FOLDER / name).read_text(encoding="utf-8") == write.text_of(name)


def test_no_file_is_without_a_writer() -> None:
    """Every vector can be made again."""
    assert {path.name for path in write.FOLDER.iterdir()} == set(write.FILES)


def test_the_keys_are_read_from_their_jwk() -> None:
    """A JWK gives the same key back, under the same thumbprint."""
    found = _read("keys.json")
    for jwk in found["signing"].values():
        assert SigningKey.from_jwk(jwk).kid == jwk["kid"]
    for jwk in found["sealing"].values():
        assert SealingKey.from_jwk(jwk).kid == jwk["kid"]


def test_the_paths_lead_to_the_roots() -> None:
    """Each input is where its path says it is, in the tree of every size."""
    found = _read("merkle.json")
    leaves = [bytes.fromhex(leaf) for leaf in found["leaf_hashes"]]
    for tree in found["trees"]:
        for index, path in enumerate(tree["paths"]):
            siblings = [bytes.fromhex(node) for node in path]
            root = merkle.root_from_path(leaves[index], index, tree["size"], siblings)
            assert root is not None
            assert root.hex() == tree["root"]


def test_the_signed_records_verify() -> None:
    """A reader that has only the publisher's key gets the payloads and the leaves."""
    found = _read("signing.json")
    key = VerifyingKey.from_jwk(found["key"])
    keys = {(found["publisher"], key.kid): key}
    verifier = Verifier(lambda publisher, kid: keys.get((publisher, kid)))
    for batch in found["batches"]:
        for record in batch["records"]:
            headers = [(name, value.encode()) for name, value in record["headers"]]
            verified = verifier.verify(
                found["publisher"],
                found["topic"],
                key=bytes.fromhex(record["key"]),
                headers=headers,
                plaintext=bytes.fromhex(record["plaintext"]),
            )
            assert verified.payload.hex() == record["payload"]
            assert verified.leaf.hex() == record["leaf"]
            assert verified.salt.hex() == record["salt"]
            assert verified.signed_at_ms == batch["signed_at_ms"]
            assert merkle.leaf_hash(bytes.fromhex(record["leaf_input"])) == verified.leaf


def test_the_sealed_records_open() -> None:
    """The recipient's key and the binding are all it takes; another event's id does not open."""
    keys = [SealingKey.from_jwk(jwk) for jwk in _read("keys.json")["sealing"].values()]
    for record in _read("sealed.json")["records"]:
        sender = VerifyingKey.from_jwk(record["sender_key"])
        opener = Opener(keys, {sender.kid: sender}.get)
        sealed = bytes.fromhex(record["sealed"])
        headers = bound_headers(
            (name, value.encode()) for name, value in record["binding"]["headers"]
        )
        binding = Binding(**{**record["binding"], "headers": headers})
        assert binding.to_aad().hex() == record["external_aad"]
        assert opener.open(sealed, binding.to_aad()).hex() == record["plaintext"]
        with pytest.raises(DoesNotOpen):
            opener.open(sealed, replace(binding, event_id="x").to_aad())


def test_the_control_documents_open() -> None:
    """The scheme key opens them; the record keys come apart."""
    found = _read("control.json")
    scheme = VerifyingKey.from_jwk(found["scheme_key"])
    for signed in found["documents"]:
        assert open_document(signed["jws"], scheme) == signed["payload"]
        with pytest.raises(BadSignature):
            open_document(signed["jws"], SigningKey.generate().public)
    for key in found["record_keys"]:
        assert parse_document_key(key.encode()).kind == key.split("|")[0]

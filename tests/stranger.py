"""A client of the wire format as someone else would write it from the page and the vectors.

It takes nothing from the product: `cbor2`, `cryptography`'s primitives and, for HPKE with X25519,
`pyhpke`. Where it and the product agree, docs/using/wire-format.md says enough.
"""

import base64
import hashlib
import hmac
import json
import os
from typing import Any

import cbor2
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pyhpke import AEADId, CipherSuite, KDFId, KEMId, KEMKey

Jwk = dict[str, str]
Headers = list[tuple[str, bytes]]
HPKE_4 = CipherSuite.new(
    KEMId.DHKEM_X25519_HKDF_SHA256, KDFId.HKDF_SHA256, AEADId.CHACHA20_POLY1305
)


def dumps(value: Any) -> bytes:
    """Encode deterministically."""
    return cbor2.dumps(value, canonical=True)


def unbase64(text: str) -> bytes:
    """Decode base64url without padding."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def thumbprint(jwk: Jwk) -> str:
    """Return the kid of a JWK."""
    names = ("alg", "kty", "pub") if jwk["kty"] == "AKP" else ("crv", "kty", "x")
    text = json.dumps({name: jwk[name] for name in names}, separators=(",", ":"))
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


def leaf_of(topic: str, key: bytes, headers: Headers, payload: bytes, salt: bytes) -> bytes:
    """Return the leaf of a record."""
    found = sorted(headers, key=lambda pair: pair[0].encode())
    names, values = [name for name, _ in found], b"\x00".join(value for _, value in found)
    parts = ["concordat-event-v1", topic, key, names, values, payload, salt]
    return hashlib.sha256(b"\x00" + dumps(parts)).digest()


def tree_root(leaves: list[bytes]) -> bytes:
    """Return the root, by the recursive definition."""
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    return hashlib.sha256(b"\x01" + tree_root(leaves[:k]) + tree_root(leaves[k:])).digest()


def tree_path(index: int, leaves: list[bytes]) -> list[bytes]:
    """Return the audit path, by the recursive definition."""
    if len(leaves) == 1:
        return []
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    if index < k:
        return [*tree_path(index, leaves[:k]), tree_root(leaves[k:])]
    return [*tree_path(index - k, leaves[k:]), tree_root(leaves[:k])]


def sign(
    jwk: Jwk, publisher: str, topic: str, events: list[tuple[bytes, Headers, bytes]], *, at_ms: int
) -> list[bytes]:
    """Return the plaintext of each event of a batch."""
    key = Ed25519PrivateKey.from_private_bytes(unbase64(jwk["d"]))
    salts = [os.urandom(16) for _ in events]
    leaves = [
        leaf_of(topic, record_key, headers, payload, salt)
        for (record_key, headers, payload), salt in zip(events, salts, strict=True)
    ]
    root = [publisher, at_ms, len(events), tree_root(leaves)]
    signature = key.sign(b"concordat-batch-v1\x00" + dumps(root))
    return [
        dumps(
            [
                1, thumbprint(jwk), at_ms, signature,
                index.to_bytes(4, "big") + len(events).to_bytes(4, "big"),
                b"".join(tree_path(index, leaves)), payload, salts[index],
            ]
        )
        for index, (_, _, payload) in enumerate(events)
    ]  # fmt: skip


def external_aad(bound: dict[str, Any]) -> bytes:
    """Return what a record is bound to."""
    return dumps(
        [
            "concordat-binding-v1", bound["recipient"], bound["topic"], bound["event_type"],
            bound["dataschema"], bound["agreement"], bound["version"], bound["flow"],
            bound["event_id"],
            b"\x00".join(f"{name}={value}".encode() for name, value in bound["headers"]),
        ]
    )  # fmt: skip


def seal(sender: Jwk, recipient: Jwk, plaintext: bytes, aad: bytes) -> bytes:
    """Seal one record to an X25519 key, under a content key of its own."""
    content_key, nonce = AESGCM.generate_key(256), bytes(12)
    protected = dumps(
        {1: 50, 4: thumbprint(recipient).encode(), -65537: thumbprint(sender).encode()}
    )
    public = X25519PublicKey.from_public_bytes(unbase64(recipient["x"]))
    encapsulated, context = HPKE_4.create_sender_context(
        KEMKey.from_pyca_cryptography_key(public),
        info=dumps(["HPKE Recipient", 3, protected, b""]),
    )
    wrapped = context.seal(content_key)
    key = Ed25519PrivateKey.from_private_bytes(unbase64(sender["d"]))
    signature = key.sign(dumps(["CounterSignature0", protected, encapsulated, wrapped]))
    ciphertext = AESGCM(content_key).encrypt(
        nonce, plaintext, dumps(["Encrypt", b"\xa1\x01\x03", aad])
    )
    recipients = [[protected, {12: signature, -4: encapsulated}, wrapped]]
    return dumps(cbor2.CBORTag(96, [b"\xa1\x01\x03", {5: nonce}, ciphertext, recipients]))


def open_sealed(recipient: Jwk, sender: Jwk, sealed: bytes, aad: bytes) -> bytes:
    """Open one record sealed to an X25519 key."""
    content_protected, headers, ciphertext, [recipient_structure] = cbor2.loads(sealed).value
    protected, unprotected, wrapped = recipient_structure
    names = cbor2.loads(protected)
    assert hmac.compare_digest(names[-65537], thumbprint(sender).encode())
    assert names[4] == thumbprint(recipient).encode()
    structure = dumps(["CounterSignature0", protected, unprotected[-4], wrapped])
    public = Ed25519PublicKey.from_public_bytes(unbase64(sender["x"]))
    public.verify(unprotected[12], structure)
    private = X25519PrivateKey.from_private_bytes(unbase64(recipient["d"]))
    context = HPKE_4.create_recipient_context(
        unprotected[-4],
        KEMKey.from_pyca_cryptography_key(private),
        info=dumps(["HPKE Recipient", 3, protected, b""]),
    )
    content_key = context.open(wrapped)
    return AESGCM(content_key).decrypt(
        headers[5], ciphertext, dumps(["Encrypt", content_protected, aad])
    )


def open_jws(signed: str, key: Jwk) -> dict[str, Any]:
    """Return the payload of a control document."""
    head, payload, signature = signed.split(".")
    assert json.loads(unbase64(head)) == {"alg": "Ed25519", "kid": thumbprint(key)}
    public = Ed25519PublicKey.from_public_bytes(unbase64(key["x"]))
    public.verify(unbase64(signature), f"{head}.{payload}".encode())
    document: dict[str, Any] = json.loads(unbase64(payload))
    return document

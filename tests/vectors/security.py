"""Vectors of keys, Merkle trees, batch signatures, sealed records and control documents."""

import json
from pathlib import Path
from typing import Any

import cbor2
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from vectors.material import (
    BROKER_KEY,
    BROKER_SEALING,
    DATASCHEMA,
    EVENT_ID,
    EVENT_TYPE,
    HEADERS,
    PAYLOAD,
    PUBLISHER,
    PUBLISHER_KEY,
    RECIPIENT,
    RECIPIENT_SEALING,
    SCHEME_KEY,
    SIGNED_AT_MS,
    TOPIC,
    document,
    pairs,
    secret,
)

from connectors.streams.partitioning import key_hash
from schemas import merkle, wrapping
from schemas.control import document_key, sign_document
from schemas.keys import SealingKey, SigningKey, Suite
from schemas.sealing import Binding, bound_headers
from schemas.signing import SALT_BYTES, Entry, event_leaf, root_message, sign_batch

# The inputs of Certificate Transparency's own tests of RFC 6962 hashing.
CT_INPUTS = (
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
)  # fmt: skip


def keys() -> dict[str, Any]:
    """Return every key of the vectors, private members and all."""
    signing = {"publisher": PUBLISHER_KEY, "broker": BROKER_KEY, "scheme": SCHEME_KEY}
    sealed_to = {
        f"{who} {suite.label}": key
        for who, of_suite in (("broker", BROKER_SEALING), ("recipient", RECIPIENT_SEALING))
        for suite, key in of_suite.items()
    }
    return document(
        "Keys as private JWK. kid is the RFC 7638 thumbprint of the public members.",
        "docs/using/wire-format.md#keys",
        signing={name: key.to_private_jwk() for name, key in signing.items()},
        sealing={name: key.to_private_jwk() for name, key in sealed_to.items()},
    )


def tree() -> dict[str, Any]:
    """Return roots and paths over Certificate Transparency's test inputs."""
    leaves = [merkle.leaf_hash(bytes.fromhex(text)) for text in CT_INPUTS]
    trees = []
    for size in range(1, len(leaves) + 1):
        levels = merkle.levels(leaves[:size])
        paths = [[node.hex() for node in merkle.path(levels, index)] for index in range(size)]
        trees.append({"size": size, "root": levels[-1][0].hex(), "paths": paths})
    return document(
        "Merkle tree hashing of RFC 6962 section 2.1: the tree over the first n inputs.",
        "docs/using/wire-format.md#batch-signatures",
        empty_root=merkle.root([]).hex(),
        inputs=list(CT_INPUTS),
        leaf_hashes=[leaf.hex() for leaf in leaves],
        trees=trees,
    )


def signing() -> dict[str, Any]:
    """Return a batch of three records and a batch of one."""
    return document(
        "Batch signatures: what goes into each leaf, the signed root, and the plaintext to seal.",
        "docs/using/wire-format.md#batch-signatures",
        publisher=PUBLISHER,
        topic=TOPIC,
        key=PUBLISHER_KEY.public.to_jwk(),
        batches=[_batch(3), _batch(1)],
    )


def _batch(size: int) -> dict[str, Any]:
    entries = []
    for number in range(size):
        headers = [
            (name, value[:-1] + str(number).encode() if name == "ce_id" else value)
            for name, value in HEADERS
        ]
        salt = secret(f"salt {size} {number}")[:SALT_BYTES]
        key = secret(f"record key {number}")[:16]
        entries.append(Entry(TOPIC, key, headers, PAYLOAD + bytes([number]), salt))
    leaves = [event_leaf(entry) for entry in entries]
    root = merkle.root(leaves)
    plaintexts = sign_batch(PUBLISHER_KEY, PUBLISHER, entries, signed_at_ms=SIGNED_AT_MS)
    return {
        "signed_at_ms": SIGNED_AT_MS,
        "root": root.hex(),
        "root_message": root_message(PUBLISHER, SIGNED_AT_MS, size, root).hex(),
        "records": [
            {
                "key": entry.key.hex(),
                "partition_of_4": key_hash(entry.key) % 4,
                "headers": pairs(list(entry.headers)),
                "payload": entry.payload.hex(),
                "salt": entry.salt.hex(),
                "leaf_input": _leaf_input(entry).hex(),
                "leaf": leaf.hex(),
                "plaintext": plaintext.hex(),
            }
            for entry, leaf, plaintext in zip(entries, leaves, plaintexts, strict=True)
        ],
    }


def _leaf_input(entry: Entry) -> bytes:
    """Encode what a leaf is the hash of, by a library: the product writes it by hand."""
    headers = sorted(entry.headers)
    names, values = [name for name, _ in headers], b"\x00".join(value for _, value in headers)
    parts = [
        "concordat-event-v1", entry.topic, entry.key, names, values, entry.payload, entry.salt,
    ]  # fmt: skip
    return cbor2.dumps(parts, canonical=True)


def sealed() -> dict[str, Any]:
    """Return records sealed under both suites, in both directions."""
    return document(
        "Sealed records (COSE_Encrypt) with everything on the way: a reader unwraps content_key "
        "from recipients with the recipient's key, then opens. With any byte or any part of "
        "binding changed it must not open.",
        "docs/using/wire-format.md#sealed-records",
        records=[
            _sealed(suite, delivery=delivery) for suite in Suite for delivery in (False, True)
        ],
    )


AGREEMENT = "https://sharing.example.gov.uk/agreements/discharge"
DELIVERY_HEADERS = [
    *HEADERS,
    ("ce_agreementid", AGREEMENT.encode()),
    ("ce_agreementversion", b"3"),
    ("ce_flowid", b"discharge-notice"),
    ("ce_purpose", b"assess-care-needs"),
]


def _sealed(suite: Suite, *, delivery: bool) -> dict[str, Any]:
    headers = DELIVERY_HEADERS if delivery else []
    if delivery:
        binding = Binding(
            RECIPIENT, f"deliveries.{RECIPIENT}", EVENT_ID, EVENT_TYPE, DATASCHEMA,
            agreement=AGREEMENT, version=3, flow="discharge-notice",
            headers=bound_headers(headers),
        )  # fmt: skip
        sender, recipient = BROKER_KEY, RECIPIENT_SEALING[suite]
    else:
        binding = Binding("broker", TOPIC, EVENT_ID, EVENT_TYPE, DATASCHEMA)
        sender, recipient = PUBLISHER_KEY, BROKER_SEALING[suite]
    name = f"{suite.label} {'delivery' if delivery else 'event'}"
    content_key, nonce = secret(f"content key {name}"), (7).to_bytes(12)
    encapsulated, wrapped = _wrapped(name, content_key, sender, recipient)
    protected = wrapping.recipient_protected(suite, recipient.kid, sender.kid)
    recipients = wrapping.assemble_recipients(sender, protected, encapsulated, wrapped)
    aad = binding.to_aad()
    enc_structure = cbor2.dumps(["Encrypt", b"\xa1\x01\x03", aad], canonical=True)
    ciphertext = AESGCM(content_key).encrypt(nonce, PAYLOAD, enc_structure)
    message = cbor2.CBORTag(96, [b"\xa1\x01\x03", {5: nonce}, ciphertext, cbor2.loads(recipients)])
    return {
        "name": name,
        "suite": suite.label,
        "sender_key": sender.public.to_jwk(),
        "recipient_kid": recipient.kid,
        "binding": {slot: getattr(binding, slot) for slot in binding.__slots__}
        | {"headers": pairs(headers)},
        "external_aad": aad.hex(),
        "enc_structure": enc_structure.hex(),
        "content_key": content_key.hex(),
        "nonce": nonce.hex(),
        "recipient_protected": protected.hex(),
        "hpke_info": wrapping.hpke_info(protected).hex(),
        "encapsulated_key": encapsulated.hex(),
        "wrapped_key": wrapped.hex(),
        "countersign_structure": wrapping.countersign_structure(
            protected, encapsulated, wrapped
        ).hex(),
        "plaintext": PAYLOAD.hex(),
        "sealed": cbor2.dumps(message, canonical=True).hex(),
    }


def _wrapped(
    name: str, content_key: bytes, sender: SigningKey, recipient: SealingKey
) -> tuple[bytes, bytes]:
    """Return the wrapped key in the file if it is the one: HPKE draws a new one each time."""
    info = wrapping.hpke_info(
        wrapping.recipient_protected(recipient.suite, recipient.kid, sender.kid)
    )
    file = Path(__file__).parents[2] / "schemas" / "vectors" / "sealed.json"
    if file.exists():
        for record in json.loads(file.read_text(encoding="utf-8"))["records"]:
            parts = bytes.fromhex(record["encapsulated_key"]), bytes.fromhex(record["wrapped_key"])
            if record["name"] == name and recipient.unwrap(*parts, info) == content_key:
                return parts
    return recipient.public.wrap(content_key, info)


def control() -> dict[str, Any]:
    """Return record keys of the topic and the documents that the scheme key signs."""
    party = {
        "id": PUBLISHER, "name": "Anytown NHS Foundation Trust", "regime": "uk-gdpr",
        "roles": ["publisher", "recipient"], "purposes": ["assess-care-needs"],
        "identifiers": {"ods": "RXX"}, "signing_keys": [PUBLISHER_KEY.public.to_jwk()],
        "sealing_keys": [RECIPIENT_SEALING[Suite.X25519].public.to_jwk()],
        "revision": 2, "state": "active",
    }  # fmt: skip
    objection = {
        "id": "objection-1", "revision": 2,
        "subject": secret("subject").hex(), "from": "2026-04-01T00:00:00Z", "until": None,
        "recipients": None, "purposes": None, "kind": "objection",
    }  # fmt: skip
    agreement = "https://sharing.example.gov.uk/agreements/discharge"
    record_keys = [
        document_key("party", PUBLISHER, 2),
        document_key("agreement", agreement, 3),
        document_key("signature", agreement, 3, party=PUBLISHER, type="accept"),
        document_key("schema", "0123456789abcdef"),
        document_key("objection", "objection-1", 2),
    ]
    return document(
        "Record keys of the topic control, and documents signed by the scheme key.",
        "docs/using/wire-format.md#control-documents",
        record_keys=[key.decode() for key in record_keys],
        scheme_key=SCHEME_KEY.public.to_jwk(),
        documents=[
            {"payload": payload, "jws": sign_document(SCHEME_KEY, payload)}
            for payload in (party, objection)
        ],
    )

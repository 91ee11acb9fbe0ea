"""The keys and the record that the vectors share. Test keys: their secrets are public."""

import hashlib
from typing import Any

from schemas.keys import SealingKey, SigningKey, Suite


def secret(name: str) -> bytes:
    """Return 32 bytes that are the same in every run."""
    return hashlib.sha256(f"concordat test vector: {name}".encode()).digest()


PUBLISHER = "anytown-nhs-trust"
RECIPIENT = "anytown-adult-social-care"
PUBLISHER_KEY = SigningKey(secret("publisher signing"))
BROKER_KEY = SigningKey(secret("broker signing"))
SCHEME_KEY = SigningKey(secret("scheme signing"))
BROKER_SEALING = {
    suite: SealingKey(suite, secret(f"broker sealing {suite.label}")) for suite in Suite
}
RECIPIENT_SEALING = {
    suite: SealingKey(suite, secret(f"recipient sealing {suite.label}")) for suite in Suite
}

EVENT_ID = "5f0c7a52-6a0e-5d3c-9a64-0d1f2b3c4d5e"
EVENT_TYPE = "uk.nhs.adw.discharge-notice.v1"
DATASCHEMA = "urn:concordat:schema:0123456789abcdef"
TOPIC = f"events.{PUBLISHER}"
HEADERS = [
    ("ce_specversion", b"1.0"),
    ("ce_id", EVENT_ID.encode()),
    ("ce_source", f"urn:concordat:party:{PUBLISHER}".encode()),
    ("ce_type", EVENT_TYPE.encode()),
    ("ce_time", b"2026-04-01T09:30:00.000Z"),
    ("ce_dataschema", DATASCHEMA.encode()),
    ("ce_occurredat", b"2026-04-01T08:15:00.000Z"),
    ("content-type", b"application/cose"),
]
PAYLOAD = bytes.fromhex("c3010123456789abcdef") + b"\x0cvector"
SIGNED_AT_MS = 1_775_035_800_000  # 2026-04-01T09:30:00Z


def pairs(headers: list[tuple[str, bytes]]) -> list[list[str]]:
    """Write headers as JSON: their values are ASCII."""
    return [[name, value.decode("ascii")] for name, value in headers]


def document(what: str, see: str, **content: Any) -> dict[str, Any]:
    """Return a file of vectors: what it shows, where it is explained, and the vectors."""
    return {"what": what, "see": see, **content}

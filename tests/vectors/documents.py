"""Vectors of what `schemas` may not import: agreement signatures and decision records."""

from datetime import UTC, datetime
from typing import Any

import rfc8785
from agreement_texts import a_document
from vectors.material import PUBLISHER_KEY, document, secret

from agreements.canonical import digest
from agreements.reading import from_document
from agreements.signatures import Signatory, SignatureType, Subject, sign_statement, statement_id
from broker import recording


def agreement_signature() -> dict[str, Any]:
    """Return an agreement, its canonical form and hash, and each kind of statement on it."""
    agreement = from_document(a_document())
    subject = Subject.of(agreement)
    statements = []
    suspension = ""
    for kind in SignatureType:
        jws = sign_statement(
            subject,
            PUBLISHER_KEY.to_private_jwk(),
            type=kind,
            party="childrens",
            signatory=Signatory(name="A Person", post="Director", capacity="SIRO"),
            signed_at=datetime(2026, 4, 1, 9, 30, tzinfo=UTC),
            reason=None if kind is SignatureType.ACCEPT else "An example",
            lifts=suspension if kind is SignatureType.RESUME else None,
            held="release" if kind is SignatureType.RESUME else None,
        )
        if kind is SignatureType.SUSPEND:
            suspension = statement_id(jws)
        statements.append({"type": kind.value, "jws": jws})
    return document(
        "A party's statements on an agreement: JWS over the SHA-256 of its canonical JSON.",
        "docs/using/wire-format.md#agreement-signatures",
        agreement=a_document(),
        canonical=rfc8785.dumps(a_document()).decode(),
        sha256=digest(agreement),
        key=PUBLISHER_KEY.public.to_jwk(),
        statements=statements,
    )


def decision_record() -> dict[str, Any]:
    """Return a decision that settles a hold: a permit and a deny, encoded, and as it decodes."""
    provider = recording.LegalBasis("uk-gdpr", ("art6:e", "art9:h"), ())
    clause = recording.Clause(
        recipient="anytown-adult-social-care",
        agreement="https://sharing.example.gov.uk/agreements/discharge",
        version=3,
        hash=secret("agreement"),
        flow="discharge-notice",
        purpose="assess-care-needs",
        provider=provider,
        receiver=provider,
    ).to_avro()
    permit = recording.permitted(
        recording.permitted_part(
            clause,
            items=["nhsNumber"],
            transforms={"person.birthDate": "generalise:year"},
            view=bytes.fromhex("fedcba9876543210"),
            key="A" * 43,
        ),
        withheld=(("person.address.postcode", "invalid-identifier"),),
        sealed=secret("sealed"),
    )
    deny = recording.refused("deny", "condition-not-met", "0", clause)
    record = b"".join(
        (
            recording.sender_part(
                "uk.nhs.adw.discharge-notice.v1",
                bytes.fromhex("0123456789abcdef"),
                "anytown-nhs-trust",
                PUBLISHER_KEY.kid,
            ),
            recording.batch_part(
                "events.anytown-nhs-trust", 2, decided_at_ms=1_775_035_801_000, rules=57
            ),
            recording.event_part(
                1234,
                b"5f0c7a52-6a0e-5d3c-9a64-0d1f2b3c4d5e",
                1_775_031_300_000,
                1_775_035_800_000,
                1_775_035_800_500,
                secret("digest"),
                [secret("subject")],
            ),
            recording.candidates_part(
                [permit, deny],
                recording.settles_part(
                    secret("suspension").hex(),
                    decided_at_ms=1_774_000_000_000,
                    partition=3,
                    offset=99,
                ),
            ),
        )
    )
    return document(
        "A decision record as it lies on decisions: C3 01, the schema's fingerprint, the value. "
        "In decoded, bytes are hexadecimal and times milliseconds since the epoch.",
        "docs/using/wire-format.md#decision-records",
        fingerprint=recording.FINGERPRINT.hex(),
        record=record.hex(),
        decoded=_json(recording.read_decision(record)),
    )


def _json(value: Any) -> Any:
    match value:
        case bytes():
            return value.hex()
        case datetime():
            return round(value.timestamp() * 1000)
        case dict():
            return {name: _json(item) for name, item in value.items()}
        case list():
            return [_json(item) for item in value]
        case _:
            return value

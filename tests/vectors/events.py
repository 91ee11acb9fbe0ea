"""Vectors of the envelope, the framing, what a scanner refuses, and identifiers."""

import io
from datetime import UTC, datetime
from typing import Any

import fastavro
from vectors.material import EVENT_ID, EVENT_TYPE, PUBLISHER, document, pairs

from schemas.catalogue import EventType, shipped
from schemas.errors import RejectedInput
from schemas.events import Event, read_envelope
from schemas.framing import frame, unframe
from schemas.identifiers import KINDS, canonical, check
from schemas.scanning import Scanner


def envelope() -> dict[str, Any]:
    """Return headers that are read, with what they say, and headers that are refused."""
    fingerprint = bytes.fromhex("0123456789abcdef")
    times = {
        "time": datetime(2026, 4, 1, 9, 30, tzinfo=UTC),
        "occurredat": datetime(2026, 4, 1, 8, 15, 0, 250_000, tzinfo=UTC),
    }
    small = Event.of(
        id=EVENT_ID, publisher=PUBLISHER, type=EVENT_TYPE, fingerprint=fingerprint,
        time=times["time"],
    )  # fmt: skip
    full = Event.of(
        id=EVENT_ID, publisher=PUBLISHER, type=EVENT_TYPE, fingerprint=fingerprint, **times,
        sequence="42", correlationid=EVENT_ID, causationid=EVENT_ID, retractsid=EVENT_ID,
        classification="OFFICIAL-SENSITIVE",
    )  # fmt: skip
    headers = small.to_headers()
    changes = {
        "a header that is not known": [*headers, ("ce_name", b"x")],
        "a header twice": [*headers, headers[1]],
        "no id": [pair for pair in headers if pair[0] != "ce_id"],
        "another version of CloudEvents": _with(headers, "ce_specversion", b"0.3"),
        "an id that is no UUID": _with(headers, "ce_id", b"Jane-Doe"),
        "a source that is no party": _with(headers, "ce_source", b"https://example.org/"),
        "a time without milliseconds": _with(headers, "ce_time", b"2026-04-01T09:30:00Z"),
        "a time with an offset": _with(headers, "ce_time", b"2026-04-01T09:30:00.000+01:00"),
        "a day that is in no calendar": _with(headers, "ce_time", b"2026-02-30T09:30:00.000Z"),
        "a schema that is no fingerprint": _with(headers, "ce_dataschema", b"urn:x:y"),
        "content that is not sealed": _with(headers, "content-type", b"avro/binary"),
    }
    return document(
        "Record headers of events: CloudEvents 1.0, Kafka binary mode.",
        "docs/using/wire-format.md#headers",
        read=[
            {
                "headers": pairs(event.to_headers()),
                "time_us": event.time_us,
                "occurred_at_us": event.occurred_at_us,
            }
            for event in (small, full)
        ],
        refused=[
            {"why": why, "headers": pairs(found), "code": _refusal(read_envelope, found)}
            for why, found in changes.items()
        ],
    )


def _with(headers: list[tuple[str, bytes]], name: str, value: bytes) -> list[tuple[str, bytes]]:
    return [(found, value if found == name else old) for found, old in headers]


def _refusal(read: Any, *arguments: Any) -> str:
    """Return the code of the error with which ``read`` refuses."""
    try:
        read(*arguments)
    except RejectedInput as error:
        return error.code
    raise AssertionError("a vector that should be refused is read")


def framing() -> dict[str, Any]:
    """Return the fingerprint of every shipped schema, and payloads that are refused."""
    body = b"\x02\x61"
    refused = {"nothing": b"", "another marker": b"\xc3\x02", "cut off": b"\xc3\x01\x01\x23"}
    return document(
        "Payload framing: C3 01, the CRC-64-AVRO fingerprint (little-endian), the Avro value. "
        "registry maps Confluent schema ids to fingerprints.",
        "docs/using/wire-format.md#payload",
        fingerprints=[
            {"event_type": one.name, "revision": one.revision, "fingerprint": one.fingerprint.hex()}
            for one in sorted(shipped(), key=lambda one: (one.name, one.revision))
        ],
        body=body.hex(),
        framed=[
            {
                "fingerprint": one.fingerprint.hex(),
                "single_object": frame(one.fingerprint, body).hex(),
                "confluent": (b"\x00\x00\x00\x00\x07" + body).hex(),
                "registry": {"7": one.fingerprint.hex()},
            }
            for one in (_type(EVENT_TYPE),)
        ],
        refused=[
            {"why": why, "payload": payload.hex(), "code": _refusal(unframe, payload)}
            for why, payload in refused.items()
        ],
    )


def _type(name: str) -> EventType:
    return shipped().latest(name)


SMALL_SCHEMA = {
    "type": "record",
    "name": "Small",
    "fields": [
        {"name": "text", "type": "string"},
        {"name": "maybe", "type": ["null", "long"], "default": None},
        {"name": "flag", "type": "boolean"},
        {"name": "list", "type": {"type": "array", "items": "int"}},
    ],
}


def scanning() -> dict[str, Any]:
    """Return Avro values with their boundaries, and bytes that are not one value."""
    scanner = Scanner(SMALL_SCHEMA)
    records = [
        {"text": "é", "maybe": None, "flag": True, "list": []},
        {"text": "", "maybe": -1, "flag": False, "list": [1, -300]},
    ]
    good = [_encoded(record) for record in records]
    refused = {
        "cut off": good[1][:-1],
        "a byte too many": good[0] + b"\x00",
        "a negative length": b"\x01" + good[0][1:],
        "a length past the end": b"\xfe\xff\xff\xff\x0f" + good[0][1:],
        "a number not in its shortest form": b"\x84\x00" + good[0][1:],
        "text that is not UTF-8": b"\x02\xff" + good[0][3:],
        "a branch that does not exist": good[0][:3] + b"\x04" + good[0][4:],
        "a boolean that is neither": good[0][:4] + b"\x02" + good[0][5:],
        "more items than could be there": good[0][:5] + b"\xfe\xff\xff\xff\x0f",
    }
    return document(
        "Avro values of one schema: where each field begins, and bytes that must be refused.",
        "docs/using/wire-format.md#payload",
        schema=SMALL_SCHEMA,
        read=[
            {"record": record, "data": data.hex(), "boundaries": scanner.scan(data)}
            for record, data in zip(records, good, strict=True)
        ],
        refused=[
            {"why": why, "data": data.hex(), "code": _refusal(scanner.scan, data)}
            for why, data in refused.items()
        ],
    )


def _encoded(record: dict[str, Any]) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(dict(SMALL_SCHEMA)), record)
    return out.getvalue()


IDENTIFIERS = {
    "nhs-number": ["9434765919", "943 476 5919", "9434765918", "9999999999", "0000000000"],
    "upn": ["H801200001001", "A801200001001"],
    "nino": ["QQ123456C", "AB123456C", "ab 12 34 56 c"],
    "postcode": ["S60 2HX", "s602hx", "QQ1 1QQ"],
    "uprn": ["100012345678", "000012345678", "1000123456789"],
    "gss": ["E08000018", "E99999999"],
    "ods": ["RFR", "rfr", "TOO-LONG-CODE"],
    "police-force": ["south-yorkshire", "atlantis"],
    "la-child-id": ["CH/2026-001", "?"],
}


def identifiers() -> dict[str, Any]:
    """Return identifiers as they are written, their canonical form, and whether they are valid."""
    return document(
        "Identifiers: the canonical form used for comparing and indexing, and the reason when "
        "one is not valid (null when it is). Invented or from published test ranges.",
        "docs/using/wire-format.md#identifiers",
        kinds=sorted(KINDS),
        identifiers=[
            {
                "kind": kind,
                "written": text,
                "canonical": canonical(kind, text),
                "reason": check(kind, canonical(kind, text)),
            }
            for kind, texts in IDENTIFIERS.items()
            for text in texts
        ],
    )

"""Read the headers of a published event, strictly and fast.

The names are a closed list and every value has a narrow form: there is no place
where a name, an identifier of a person or free text could be put by accident.
An unknown header is refused, not passed on. :mod:`schemas.events` has the
event as an object; this is the part that every event passes.
"""

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from schemas.errors import RejectedInput
from schemas.remembering import Remembered
from schemas.times import BadTime, parse_time

CONTENT_TYPE: Final = b"application/cose"
PARTY_URN: Final = "urn:concordat:party:"
SCHEMA_URN: Final = "urn:concordat:schema:"
CLASSIFICATIONS: Final = ("OFFICIAL", "OFFICIAL-SENSITIVE")

_PARTY: Final = re.compile(rb"urn:concordat:party:([a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?)")
_SCHEMA: Final = re.compile(rb"urn:concordat:schema:([0-9a-f]{16})")
_TYPE: Final = re.compile(rb"[a-z][a-z0-9-]{0,62}(?:\.[a-z0-9][a-z0-9-]{0,62}){1,9}")
_UUID: Final = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_is_uuid: Final = _UUID.fullmatch
_SEQUENCE: Final = re.compile(rb"[0-9]{1,19}")
_CLASSIFICATIONS: Final = frozenset(value.encode() for value in CLASSIFICATIONS)
_REQUIRED: Final = (
    "ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "ce_dataschema", "content-type",
)  # fmt: skip


class BadEnvelope(RejectedInput):
    """The headers are not an event's envelope; the message names the header."""

    code = "bad-envelope"


class Envelope(NamedTuple):
    """What the router needs of an event's headers, read without building datetimes.

    ``publisher`` is the party id of ``source``; ``fingerprint`` the 8 bytes of
    ``dataschema``; times are microseconds since the epoch (UTC);
    ``occurred_at_us`` is ``time_us`` where the event does not say.
    """

    id: str
    publisher: str
    type: str
    fingerprint: bytes
    time_us: int
    occurred_at_us: int
    sequence: str | None
    correlationid: str | None
    causationid: str | None
    retractsid: str | None
    classification: str | None


def read_envelope(headers: Iterable[tuple[str, bytes]]) -> Envelope:
    """Read a published event's headers, strictly and fast.

    Raises:
        BadEnvelope: a header is missing, unknown, twice or not of its form.
    """
    return read_unique(unique(headers))


def unique(headers: Iterable[tuple[str, bytes]]) -> dict[str, bytes]:
    """Return the headers by name, none of them twice and each with a value."""
    pairs = headers if isinstance(headers, (list, tuple)) else list(headers)
    found = dict(pairs)
    if len(found) != len(pairs):
        raise BadEnvelope("a header appears twice")
    if None in found.values():  # Kafka allows it, whatever the type says
        raise BadEnvelope("a header has no value")
    return found


def read_unique(found: dict[str, bytes]) -> Envelope:
    """Read headers that :func:`unique` gave."""
    try:
        if found["ce_specversion"] != b"1.0":
            raise BadEnvelope("header ce_specversion is not 1.0")
        if found["content-type"] != CONTENT_TYPE:
            raise BadEnvelope("header content-type is not application/cose")
        event_id = found["ce_id"]
        source = found["ce_source"]
        event_type = found["ce_type"]
        dataschema = found["ce_dataschema"]
        time = found["ce_time"]
    except KeyError as missing:
        raise BadEnvelope(f"header {missing.args[0]} is missing") from None
    if not _is_uuid(event_id):
        raise BadEnvelope("header ce_id is not a UUID in lower case")
    occurred = found.get("ce_occurredat")
    try:
        time_us = parse_time(time)
        occurred_us = time_us if occurred is None else parse_time(occurred)
    except BadTime as problem:
        raise BadEnvelope(f"header ce_time or ce_occurredat: {problem}") from None
    more = len(found) - len(_REQUIRED) - (occurred is not None)
    fixed = (
        event_id.decode(),
        _PARTIES[source],
        _TYPES[event_type],
        _FINGERPRINTS[dataschema],
        time_us,
        occurred_us,
    )
    # tuple.__new__ is what Envelope(...) comes to, at half the cost.
    return _new_tuple(Envelope, fixed + (_rest(found, more) if more else _NO_REST))


_new_tuple: Final = tuple.__new__
_NO_REST: Final = (None, None, None, None, None)


def _rest(
    found: dict[str, bytes], more: int
) -> tuple[str | None, str | None, str | None, str | None, str | None]:
    """Read the attributes that few events have; ``more`` headers must be among them."""
    sequence = found.get("ce_sequence")
    classification = found.get("ce_classification")
    if sequence is not None:
        more -= 1
        if not _SEQUENCE.fullmatch(sequence):
            raise BadEnvelope("header ce_sequence is not a number of 1 to 19 digits")
    if classification is not None:
        more -= 1
        if classification not in _CLASSIFICATIONS:
            raise BadEnvelope(
                f"header ce_classification is not one of {', '.join(CLASSIFICATIONS)}"
            )
    ids: list[str | None] = []
    for name in ("ce_correlationid", "ce_causationid", "ce_retractsid"):
        value = found.get(name)
        if value is not None:
            more -= 1
            if not _is_uuid(value):
                raise BadEnvelope(f"header {name} is not a UUID in lower case")
        ids.append(None if value is None else value.decode("ascii"))
    if more:
        raise BadEnvelope("there is a header that an event does not have")
    return (
        None if sequence is None else sequence.decode("ascii"),
        ids[0],
        ids[1],
        ids[2],
        None if classification is None else classification.decode("ascii"),
    )


def matching(name: str, form: re.Pattern[bytes], value: bytes) -> str:
    """Return the text of a header of this form (ASCII)."""
    if not form.fullmatch(value):
        raise BadEnvelope(f"header {name} does not have its form")
    return value.decode("ascii")


def _read_party(value: bytes) -> str:
    return matching("ce_source", _PARTY, value).removeprefix(PARTY_URN)


def _read_type(value: bytes) -> str:
    return matching("ce_type", _TYPE, value)


def _read_fingerprint(value: bytes) -> bytes:
    return bytes.fromhex(matching("ce_dataschema", _SCHEMA, value).removeprefix(SCHEMA_URN))


_PARTIES: Final = Remembered(_read_party)
_TYPES: Final = Remembered(_read_type)
_FINGERPRINTS: Final = Remembered(_read_fingerprint)

"""Read the headers of a published event, strictly and fast.

The names are a closed list and every value has a narrow form: there is no place
where a name, an identifier of a person or free text could be put by accident.
An unknown header is refused, not passed on. :mod:`schemas.events` has the
event as an object; this is the part that every event passes.
"""

import re
from collections.abc import Iterable
from typing import Final

from schemas.errors import RejectedInput
from schemas.layouts import Laid
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


class Envelope:
    """What the router needs of an event's headers, read without building datetimes.

    ``publisher`` is the party id of ``source``; ``fingerprint`` the 8 bytes of
    ``dataschema``; times are microseconds since the epoch (UTC);
    ``occurred_at_us`` is ``time_us`` where the event does not say.
    """

    __slots__ = (
        "causationid", "classification", "correlationid", "fingerprint", "id", "occurred_at_us",
        "publisher", "retractsid", "sequence", "time_us", "type",
    )  # fmt: skip

    def __init__(  # noqa: PLR0913, PLR0917  one is made for each event: plain is fastest
        self,
        id: str,  # noqa: A002  CloudEvents' name
        publisher: str,
        type: str,  # noqa: A002  CloudEvents' name
        fingerprint: bytes,
        time_us: int,
        occurred_at_us: int,
    ) -> None:
        self.id = id
        self.publisher = publisher
        self.type = type
        self.fingerprint = fingerprint
        self.time_us = time_us
        self.occurred_at_us = occurred_at_us
        self.sequence: str | None = None
        self.correlationid: str | None = None
        self.causationid: str | None = None
        self.retractsid: str | None = None
        self.classification: str | None = None


def read_envelope(headers: Iterable[tuple[str, bytes]]) -> Envelope:
    """Read a published event's headers, strictly and fast.

    Raises:
        BadEnvelope: a header is missing, unknown, twice or not of its form.
    """
    return read_laid(Laid(headers if isinstance(headers, (list, tuple)) else list(headers)))


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
    return read_laid(Laid(tuple(found.items())))


def read_laid(laid: Laid) -> Envelope:
    """Read a published event's headers, taken apart already.

    Raises:
        BadEnvelope: as :func:`read_envelope`.
    """
    values, places = laid.values, laid.layout.places
    if len(places) != len(values):
        raise BadEnvelope("a header appears twice")
    if None in values:  # Kafka allows it, whatever the type says
        raise BadEnvelope("a header has no value")
    try:
        if values[places["ce_specversion"]] != b"1.0":
            raise BadEnvelope("header ce_specversion is not 1.0")
        if values[places["content-type"]] != CONTENT_TYPE:
            raise BadEnvelope("header content-type is not application/cose")
        event_id = values[places["ce_id"]]
        source = values[places["ce_source"]]
        event_type = values[places["ce_type"]]
        dataschema = values[places["ce_dataschema"]]
        time = values[places["ce_time"]]
    except KeyError as missing:
        raise BadEnvelope(f"header {missing.args[0]} is missing") from None
    if not _is_uuid(event_id):
        raise BadEnvelope("header ce_id is not a UUID in lower case")
    occurred = places.get("ce_occurredat")
    try:
        time_us = parse_time(time)
        occurred_us = time_us if occurred is None else parse_time(values[occurred])
    except BadTime as problem:
        raise BadEnvelope(f"header ce_time or ce_occurredat: {problem}") from None
    envelope = Envelope(
        event_id.decode(),
        _PARTIES[source],
        _TYPES[event_type],
        _FINGERPRINTS[dataschema],
        time_us,
        occurred_us,
    )
    more = len(values) - len(_REQUIRED) - (occurred is not None)
    if more:
        _read_rest(envelope, laid, more)
    return envelope


def _read_rest(envelope: Envelope, laid: Laid, more: int) -> None:
    """Read the attributes that few events have; ``more`` headers must be among them."""
    values, places = laid.values, laid.layout.places
    place = places.get("ce_correlationid")
    if place is not None:
        more -= 1
        envelope.correlationid = _uuid_of("ce_correlationid", values[place])
    place = places.get("ce_causationid")
    if place is not None:
        more -= 1
        envelope.causationid = _uuid_of("ce_causationid", values[place])
    place = places.get("ce_retractsid")
    if place is not None:
        more -= 1
        envelope.retractsid = _uuid_of("ce_retractsid", values[place])
    place = places.get("ce_sequence")
    if place is not None:
        more -= 1
        if not _SEQUENCE.fullmatch(values[place]):
            raise BadEnvelope("header ce_sequence is not a number of 1 to 19 digits")
        envelope.sequence = values[place].decode("ascii")
    place = places.get("ce_classification")
    if place is not None:
        more -= 1
        if values[place] not in _CLASSIFICATIONS:
            raise BadEnvelope(
                f"header ce_classification is not one of {', '.join(CLASSIFICATIONS)}"
            )
        envelope.classification = values[place].decode("ascii")
    if more:
        raise BadEnvelope("there is a header that an event does not have")


def _uuid_of(name: str, value: bytes) -> str:
    if not _is_uuid(value):
        raise BadEnvelope(f"header {name} is not a UUID in lower case")
    return value.decode("ascii")


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

"""The envelope of an event: CloudEvents 1.0 in Kafka's binary mode.

Everything here travels in clear as record headers; :mod:`schemas.envelopes`
says what they may hold, and is what the router reads with.

Sources: CloudEvents 1.0.2; *Kafka Protocol Binding for CloudEvents* 1.0.2
§3.2; *Sequence* extension; RFC 3339; RFC 9562 (UUID).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple, Self

from schemas.envelopes import (
    CONTENT_TYPE,
    PARTY_URN,
    SCHEMA_URN,
    BadEnvelope,
    Envelope,
    matching,
    read_envelope,
    read_unique,
    unique,
)
from schemas.times import EPOCH, BadTime, format_time, microseconds, parse_time

__all__ = [
    "CONTENT_TYPE",
    "EPOCH",
    "PARTY_URN",
    "SCHEMA_URN",
    "BadEnvelope",
    "BadTime",
    "Envelope",
    "Event",
    "Headers",
    "Routing",
    "check_times",
    "dataschema_of",
    "format_time",
    "parse_time",
    "read_delivery",
    "read_envelope",
    "source_of",
]

Headers = list[tuple[str, bytes]]

_EARLIEST_US: Final = microseconds(datetime(1900, 1, 1, tzinfo=UTC))
_AHEAD_US: Final = timedelta(hours=24) // timedelta(microseconds=1)

_ROUTING: Final = ("ce_agreementid", "ce_agreementversion", "ce_flowid", "ce_purpose")
_AGREEMENT: Final = re.compile(rb"[!-~]{1,300}")
_VERSION: Final = re.compile(rb"[1-9][0-9]{0,8}")
_CODE: Final = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True, slots=True)
class Event:
    """An event's envelope. Times are aware; on the wire UTC with milliseconds.

    ``source`` is ``urn:concordat:party:<party id>`` and ``dataschema``
    ``urn:concordat:schema:<16 hex digits>``: :meth:`of` builds both.
    Ids (also ``correlationid``, ``causationid``, ``retractsid``) are UUIDs.
    """

    id: str
    source: str
    type: str
    time: datetime
    dataschema: str
    occurredat: datetime | None = None
    sequence: str | None = None
    correlationid: str | None = None
    causationid: str | None = None
    retractsid: str | None = None
    classification: str | None = None

    @classmethod
    def of(  # noqa: PLR0913  the attributes of an event, all by name
        cls,
        *,
        id: str,  # noqa: A002  CloudEvents' name
        publisher: str,
        type: str,  # noqa: A002  CloudEvents' name
        time: datetime,
        fingerprint: bytes,
        occurredat: datetime | None = None,
        sequence: str | None = None,
        correlationid: str | None = None,
        causationid: str | None = None,
        retractsid: str | None = None,
        classification: str | None = None,
    ) -> Self:
        """Build an event from a party id and a schema's fingerprint (8 bytes)."""
        return cls(
            id=id,
            source=source_of(publisher),
            type=type,
            time=time,
            dataschema=dataschema_of(fingerprint),
            occurredat=occurredat,
            sequence=sequence,
            correlationid=correlationid,
            causationid=causationid,
            retractsid=retractsid,
            classification=classification,
        )

    @property
    def publisher(self) -> str:
        """The party id in ``source``."""
        return self.source.removeprefix(PARTY_URN)

    @property
    def fingerprint(self) -> bytes:
        """The 8 bytes in ``dataschema``."""
        return bytes.fromhex(self.dataschema.removeprefix(SCHEMA_URN))

    @property
    def time_us(self) -> int:
        """``time`` in microseconds since the epoch."""
        return microseconds(self.time)

    @property
    def occurred_at_us(self) -> int:
        """``occurredat``, else ``time``, in microseconds since the epoch."""
        return microseconds(self.occurredat or self.time)

    def to_headers(self) -> Headers:
        """Write the record headers, in a fixed order.

        Raises:
            BadEnvelope: an attribute has a form that no reader would accept.
        """
        headers = [
            ("ce_specversion", b"1.0"),
            ("ce_id", self.id.encode()),
            ("ce_source", self.source.encode()),
            ("ce_type", self.type.encode()),
            ("ce_time", format_time(self.time)),
            ("ce_dataschema", self.dataschema.encode()),
        ]
        if self.occurredat is not None:
            headers.append(("ce_occurredat", format_time(self.occurredat)))
        for name, value in (
            ("ce_sequence", self.sequence),
            ("ce_correlationid", self.correlationid),
            ("ce_causationid", self.causationid),
            ("ce_retractsid", self.retractsid),
            ("ce_classification", self.classification),
        ):
            if value is not None:
                headers.append((name, value.encode()))
        headers.append(("content-type", CONTENT_TYPE))
        read_envelope(headers)
        return headers

    @classmethod
    def from_headers(cls, headers: Iterable[tuple[str, bytes]]) -> Self:
        """Read a published event's headers. A router takes :func:`read_envelope`.

        Raises:
            BadEnvelope: a header is missing, unknown, twice or not of its form.
        """
        return cls._of(unique(headers))

    @classmethod
    def _of(cls, found: dict[str, bytes]) -> Self:
        envelope = read_unique(found)  # has checked every value: below they are only converted
        return cls(
            envelope.id,
            found["ce_source"].decode(),
            envelope.type,
            datetime.fromisoformat(found["ce_time"].decode()),
            found["ce_dataschema"].decode(),
            datetime.fromisoformat(found["ce_occurredat"].decode())
            if "ce_occurredat" in found
            else None,
            envelope.sequence,
            envelope.correlationid,
            envelope.causationid,
            envelope.retractsid,
            envelope.classification,
        )


class Routing(NamedTuple):
    """What a delivery's headers say on top of the event's: by which flow it came."""

    agreement: str
    version: int
    flow: str
    purpose: str


def source_of(party: str) -> str:
    """Return the ``source`` of the events of ``party``."""
    return PARTY_URN + party


def dataschema_of(fingerprint: bytes) -> str:
    """Return the ``dataschema`` of a fingerprint (8 bytes, as in ``C3 01`` framing)."""
    return SCHEMA_URN + fingerprint.hex()


def read_delivery(headers: Iterable[tuple[str, bytes]]) -> tuple[Event, Routing]:
    """Read a delivery's headers: the event's, and the flow by which it came.

    Raises:
        BadEnvelope: as :func:`read_envelope`.
    """
    found = unique(headers)
    try:
        agreement, version, flow, purpose = [found.pop(name) for name in _ROUTING]
    except KeyError as missing:
        raise BadEnvelope(f"header {missing.args[0]} is missing") from None
    routing = Routing(
        matching("ce_agreementid", _AGREEMENT, agreement),
        int(matching("ce_agreementversion", _VERSION, version)),
        matching("ce_flowid", _CODE, flow),
        matching("ce_purpose", _CODE, purpose),
    )
    return Event._of(found), routing  # noqa: SLF001  this module's own


def check_times(event: Event | Envelope, *, now: datetime | int) -> None:
    """Refuse an event from before 1900 or more than a day ahead of ``now``.

    ``now`` is an aware datetime or microseconds since the epoch.

    Raises:
        BadEnvelope: naming the header.
    """
    now_us = now if isinstance(now, int) else microseconds(now)
    latest = now_us + _AHEAD_US
    if not _EARLIEST_US <= event.time_us <= latest:
        raise BadEnvelope("header ce_time is before 1900 or more than a day ahead")
    if not _EARLIEST_US <= event.occurred_at_us <= latest:
        raise BadEnvelope("header ce_occurredat is before 1900 or more than a day ahead")

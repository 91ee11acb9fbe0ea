"""The envelope of an event: CloudEvents 1.0 in Kafka's binary mode.

Everything here travels in clear as record headers, so the names are a closed
list and every value has a narrow form: there is no place where a name, an
identifier of a person or free text could be put by accident. An unknown header
is refused, not passed on.

Sources: CloudEvents 1.0.2; *Kafka Protocol Binding for CloudEvents* 1.0.2
§3.2; *Sequence* extension; RFC 3339; RFC 9562 (UUID).
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final, NamedTuple, Self, TypeVar

from schemas.errors import RejectedInput

Headers = list[tuple[str, bytes]]
_T = TypeVar("_T")

CONTENT_TYPE: Final = b"application/cose"
PARTY_URN: Final = "urn:concordat:party:"
SCHEMA_URN: Final = "urn:concordat:schema:"
CLASSIFICATIONS: Final = ("OFFICIAL", "OFFICIAL-SENSITIVE")
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
EARLIEST: Final = datetime(1900, 1, 1, tzinfo=UTC)
LATEST_AHEAD: Final = timedelta(hours=24)

_PARTY: Final = re.compile(rb"urn:concordat:party:([a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?)")
_SCHEMA: Final = re.compile(rb"urn:concordat:schema:([0-9a-f]{16})")
_TYPE: Final = re.compile(rb"[a-z][a-z0-9-]{0,62}(?:\.[a-z0-9][a-z0-9-]{0,62}){1,9}")
_UUID: Final = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_is_uuid: Final = _UUID.fullmatch
_DAY: Final = re.compile(rb"[0-9]{4}-[0-9]{2}-[0-9]{2}T")
_SEQUENCE: Final = re.compile(rb"[0-9]{1,19}")
_FLOW: Final = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_AGREEMENT: Final = re.compile(rb"[!-~]{1,300}")
_VERSION: Final = re.compile(rb"[1-9][0-9]{0,8}")

_REQUIRED: Final = (
    "ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "ce_dataschema", "content-type",
)  # fmt: skip
_ROUTING: Final = ("ce_agreementid", "ce_agreementversion", "ce_flowid", "ce_purpose")

_CLASSIFICATIONS: Final = frozenset(value.encode() for value in CLASSIFICATIONS)

_DAY_US: Final = 86_400_000_000
_EARLIEST_US: Final = (EARLIEST - EPOCH) // timedelta(microseconds=1)
_AHEAD_US: Final = LATEST_AHEAD // timedelta(microseconds=1)


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


class Routing(NamedTuple):
    """What a delivery's headers say on top of the event's: by which flow it came."""

    agreement: str
    version: int
    flow: str
    purpose: str


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
        return (self.time - EPOCH) // timedelta(microseconds=1)

    @property
    def occurred_at_us(self) -> int:
        """``occurredat``, else ``time``, in microseconds since the epoch."""
        return ((self.occurredat or self.time) - EPOCH) // timedelta(microseconds=1)

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
        return cls._of(_found(headers))

    @classmethod
    def _of(cls, found: dict[str, bytes]) -> Self:
        envelope = _read(found)  # has checked every value: below they are only converted
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


def source_of(party: str) -> str:
    """Return the ``source`` of the events of ``party``."""
    return PARTY_URN + party


def dataschema_of(fingerprint: bytes) -> str:
    """Return the ``dataschema`` of a fingerprint (8 bytes, as in ``C3 01`` framing)."""
    return SCHEMA_URN + fingerprint.hex()


def read_envelope(headers: Iterable[tuple[str, bytes]]) -> Envelope:
    """Read a published event's headers, strictly and fast.

    Raises:
        BadEnvelope: a header is missing, unknown, twice or not of its form.
    """
    return _read(_found(headers))


def read_delivery(headers: Iterable[tuple[str, bytes]]) -> tuple[Event, Routing]:
    """Read a delivery's headers: the event's, and the flow by which it came.

    Raises:
        BadEnvelope: as :func:`read_envelope`.
    """
    found = _found(headers)
    try:
        agreement, version, flow, purpose = [found.pop(name) for name in _ROUTING]
    except KeyError as missing:
        raise BadEnvelope(f"header {missing.args[0]} is missing") from None
    routing = Routing(
        _matching("ce_agreementid", _AGREEMENT, agreement),
        int(_matching("ce_agreementversion", _VERSION, version)),
        _matching("ce_flowid", _FLOW, flow),
        _matching("ce_purpose", _FLOW, purpose),
    )
    return Event._of(found), routing  # noqa: SLF001  this module's own


def check_times(event: Event | Envelope, *, now: datetime | int) -> None:
    """Refuse an event from before 1900 or more than a day ahead of ``now``.

    ``now`` is an aware datetime or microseconds since the epoch.

    Raises:
        BadEnvelope: naming the header.
    """
    now_us = now if isinstance(now, int) else (now - EPOCH) // timedelta(microseconds=1)
    latest = now_us + _AHEAD_US
    if not _EARLIEST_US <= event.time_us <= latest:
        raise BadEnvelope("header ce_time is before 1900 or more than a day ahead")
    if not _EARLIEST_US <= event.occurred_at_us <= latest:
        raise BadEnvelope("header ce_occurredat is before 1900 or more than a day ahead")


def format_time(time: datetime) -> bytes:
    """Write a time as ``2026-04-01T09:30:00.000Z``; finer than milliseconds is cut off.

    Raises:
        BadEnvelope: the time is naive.
    """
    if time.tzinfo is None:
        raise BadEnvelope("a time needs its offset from UTC")
    text = time.astimezone(UTC).isoformat(timespec="milliseconds")
    return text.removesuffix("+00:00").encode() + b"Z"


def parse_time(text: bytes) -> int:
    """Read ``2026-04-01T09:30:00.000Z`` as microseconds since the epoch.

    Only this form of RFC 3339 is read, so equal times are equal bytes. Tables
    do the checking and the arithmetic: three lookups instead of a parser.

    Raises:
        BadEnvelope: another form, or not a time of the calendar.
    """
    try:
        return _MILLIS[text[20:]] + _SECONDS[text[17:20]] + _MINUTES[text[:17]]
    except KeyError:
        raise BadEnvelope("a time is not in the form 2026-04-01T09:30:00.000Z") from None


class _Read(dict[bytes, _T]):
    """Header values already read; forgets all when it is full.

    Types, parties, schemas and days are few, so almost every event hits. The
    bound holds against a sender who makes up new ones.
    """

    def __init__(self, read: Callable[[bytes], _T], *, limit: int = 4096) -> None:
        super().__init__()
        self.read = read
        self.limit = limit

    def __missing__(self, key: bytes) -> _T:
        value = self.read(key)
        if len(self) >= self.limit:
            self.clear()
        self[key] = value
        return value


def _matching(name: str, form: re.Pattern[bytes], value: bytes) -> str:
    if not form.fullmatch(value):
        raise BadEnvelope(f"header {name} does not have its form")
    return value.decode("ascii")


def _read_party(value: bytes) -> str:
    return _matching("ce_source", _PARTY, value).removeprefix(PARTY_URN)


def _read_type(value: bytes) -> str:
    return _matching("ce_type", _TYPE, value)


def _read_fingerprint(value: bytes) -> bytes:
    return bytes.fromhex(_matching("ce_dataschema", _SCHEMA, value).removeprefix(SCHEMA_URN))


def _read_day(value: bytes) -> int:
    """Read ``2026-04-01T`` as microseconds since the epoch."""
    if not _DAY.fullmatch(value):
        raise BadEnvelope("a time is not in the form 2026-04-01T09:30:00.000Z")
    try:
        day = date(int(value[:4]), int(value[5:7]), int(value[8:10]))
    except ValueError:
        raise BadEnvelope("a time is on a day that no calendar has") from None
    return (day - EPOCH.date()).days * _DAY_US


def _read_minute(value: bytes) -> int:
    """Read ``2026-04-01T09:30:`` as microseconds since the epoch."""
    return _MINUTES_OF_DAY[value[11:]] + _DAYS[value[:11]]


_PARTIES: Final = _Read(_read_party)
_TYPES: Final = _Read(_read_type)
_FINGERPRINTS: Final = _Read(_read_fingerprint)
_DAYS: Final = _Read(_read_day, limit=20_000)
_MINUTES: Final = _Read(_read_minute, limit=20_000)
_MINUTES_OF_DAY: Final = {
    b"%02d:%02d:" % (hour, minute): (hour * 60 + minute) * 60_000_000
    for hour in range(24)
    for minute in range(60)
}
_SECONDS: Final = {b"%02d." % second: second * 1_000_000 for second in range(60)}
_MILLIS: Final = {b"%03dZ" % milli: milli * 1_000 for milli in range(1000)}


def _found(headers: Iterable[tuple[str, bytes]]) -> dict[str, bytes]:
    pairs = headers if isinstance(headers, (list, tuple)) else list(headers)
    found = dict(pairs)
    if len(found) != len(pairs):
        raise BadEnvelope("a header appears twice")
    return found


def _read(found: dict[str, bytes]) -> Envelope:
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
    time_us = parse_time(time)
    occurred = found.get("ce_occurredat")
    more = len(found) - len(_REQUIRED) - (occurred is not None)
    # tuple.__new__ is what Envelope(...) comes to, at half the cost.
    return _new_tuple(
        Envelope,
        (
            event_id.decode("ascii"),
            _PARTIES[source],
            _TYPES[event_type],
            _FINGERPRINTS[dataschema],
            time_us,
            time_us if occurred is None else parse_time(occurred),
            *(_read_rest(found, more) if more else _NO_REST),
        ),
    )


_new_tuple: Final = tuple.__new__
_NO_REST: Final = (None, None, None, None, None)


def _read_rest(
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

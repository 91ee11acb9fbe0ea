"""What an edge takes from the topic ``control``: the broker's keys, and view schemas.

The broker's keys count only from a party document that the pinned scheme key
signed. Schemas are not signed: one counts under the fingerprint that is worked
out here from the schema itself, and a sealed delivery is bound to that.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from connectors.streams import Record, Streams
from schemas import avro
from schemas.control import BROKER, Kind, Party, document_key, open_document, parse_document_key
from schemas.errors import ConfigurationError, RejectedInput
from schemas.framing import UnknownSchema
from schemas.keys import VerifyingKey

CONTROL: Final = "control"
_MAX_SCHEMA_BYTES: Final = 1 << 20


class NoBroker(ConfigurationError):
    """No party document of the broker's that the scheme key signed is on ``control``."""

    code = "no-broker"


async def read_broker(streams: Streams, scheme_key: VerifyingKey) -> Party:
    """Return the broker's party document of the highest revision.

    Raises:
        NoBroker: there is none whose signature verifies.
    """
    found: Party | None = None
    async for record in streams.read(CONTROL):
        party = broker_of(record, scheme_key)
        if party is not None and (found is None or party.revision > found.revision):
            found = party
    if found is None:
        raise NoBroker("expected the broker's party document on control, signed by the scheme key")
    return found


def broker_of(record: Record, scheme_key: VerifyingKey) -> Party | None:
    """Return the broker's party document if the record is one and the scheme key signed it."""
    try:
        key = parse_document_key(record.key or b"")
        if key.kind is not Kind.PARTY or key.id != BROKER or record.value is None:
            return None
        party = Party.model_validate(open_document(_object(record.value)["jws"], scheme_key))
    except (RejectedInput, ValueError, KeyError, TypeError, RecursionError):
        return None
    # The key names what the document must be, or an old revision could pass for a new one.
    is_what_it_says = document_key(Kind.PARTY, party.id, party.revision) == record.key
    return party if is_what_it_says and "broker" in party.roles else None


class ControlReader:
    """Follows ``control`` as far as a subscriber needs it, reading each record once.

    Schemas are kept as they come and parsed when the first delivery needs them.
    """

    def __init__(self, streams: Streams, scheme_key: VerifyingKey) -> None:
        self._streams = streams
        self._scheme_key = scheme_key
        self._next = 0
        self._broker: Party | None = None
        self._senders: dict[str, VerifyingKey] = {}
        self._texts: dict[bytes, bytes] = {}
        self._schemas: dict[bytes, avro.Schema] = {}

    async def catch_up(self) -> None:
        """Read what has been written since the last time."""
        async for record in self._streams.read(CONTROL, start=self._next):
            self._next = record.offset + 1
            self._take(record)

    def sender(self, kid: str) -> VerifyingKey | None:
        """Return the broker's verifying key of that name, if it is one in use."""
        return self._senders.get(kid)

    def schema(self, fingerprint: bytes) -> avro.Schema:
        """Return the parsed schema of a fingerprint (8 bytes).

        Raises:
            UnknownSchema: it is not on ``control``, or is there under a false name.
        """
        known = self._schemas.get(fingerprint)
        if known is None:
            known = self._schemas[fingerprint] = _parsed(self._texts.get(fingerprint), fingerprint)
        return known

    def knows(self, fingerprint: bytes) -> bool:
        """Tell whether a schema of that name has been read."""
        return fingerprint in self._texts

    def _take(self, record: Record) -> None:
        party = broker_of(record, self._scheme_key)
        if party is not None:
            if self._broker is None or party.revision > self._broker.revision:
                self._broker = party
                self._senders = {key.kid: key for key in party.verifying_keys()}
            return
        if (record.key or b"").startswith(b"schema|") and record.value is not None:
            fingerprint = (record.key or b"").removeprefix(b"schema|").decode("ascii", "replace")
            if len(record.value) <= _MAX_SCHEMA_BYTES and _is_hex(fingerprint):
                self._take_schema(bytes.fromhex(fingerprint), record.value)

    def _take_schema(self, fingerprint: bytes, text: bytes) -> None:
        """Take in one text of a schema; a true one stays, whatever is written over it."""
        known = self._texts.setdefault(fingerprint, text)
        if known != text:
            try:
                self.schema(fingerprint)
            except UnknownSchema:
                self._texts[fingerprint] = text


def _parsed(text: bytes | None, fingerprint: bytes) -> avro.Schema:
    if text is None:
        raise UnknownSchema(f"schema {fingerprint.hex()} is not on control")
    try:
        schema = avro.parse(_object(text)["schema"])
    except (ConfigurationError, ValueError, KeyError, TypeError, RecursionError):
        raise UnknownSchema(f"schema {fingerprint.hex()} on control cannot be read") from None
    if avro.fingerprint(schema) != fingerprint:
        raise UnknownSchema(f"schema {fingerprint.hex()} on control has another fingerprint")
    return schema


def _object(text: bytes) -> Mapping[str, Any]:
    found = json.loads(text)
    if not isinstance(found, dict):
        raise TypeError("expected a JSON object")
    return found


def _is_hex(text: str) -> bool:
    return len(text) == 16 and set(text) <= set("0123456789abcdef")  # noqa: PLR2004  8 bytes

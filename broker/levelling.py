"""Level the store and ``control``: what the one has and the other lacks.

What counts as published is what lies on ``control``, byte for byte; the store's own
note of it is not gone by, so that nobody keeps a revocation back by setting it.
"""

import contextlib
import hashlib
import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

import structlog

from agreements.canonical import to_document
from agreements.model import Agreement
from broker.acts import act_on_control
from broker.control import TOPIC as CONTROL
from broker.scheme import SchemeFolder
from broker.storage import MAX_VALUE_BYTES, MAX_VERSION, Waiting
from connectors.streams import Outgoing, Record, Streams, StreamsUnavailable
from schemas.control import BadDocument, Kind, Party, open_document, parse_document_key
from schemas.errors import RejectedInput

_LEVELLED: Final = frozenset({Kind.PARTY, Kind.AGREEMENT, Kind.SIGNATURE, Kind.OBJECTION})
"""What the register keeps; schemas of views a router publishes by itself."""

_AT_ONCE: Final = 500  # records in one append
_FOUND: Final = "found on control, put there by somebody else"

log = structlog.get_logger()


def mark(record: Record | Waiting) -> bytes:
    """Return what stands for a record's key and value when records are compared."""
    return mark_of(record.key or b"", record.value or b"")


def mark_of(key: bytes, value: bytes) -> bytes:
    """Return what stands for a key and value when they are compared."""
    return hashlib.sha256(len(key).to_bytes(8, "big") + key + value).digest()


async def append_to_control(streams: Streams, records: Sequence[Waiting]) -> None:
    """Append records of the outbox to ``control``, in their order.

    Raises:
        StreamsUnavailable: the streams are away; what is not there yet comes next time.

    """
    # What is too large nobody put there by the store's own ways; it must not hold up the rest.
    fitting = [one for one in records if len(one.key) + len(one.value) <= MAX_VALUE_BYTES]
    for start in range(0, len(fitting), _AT_ONCE):
        some = fitting[start : start + _AT_ONCE]
        documents = [Outgoing(CONTROL, one.key, one.value) for one in some]
        acts = [act_on_control(one.key, one.value, by=one.made_by, at=one.made_at) for one in some]
        await streams.append([*documents, *acts])


async def take_in(scheme: SchemeFolder, streams: Streams, records: Iterable[Record]) -> None:
    """Give the store what others have put on ``control``, as far as it is what it says.

    Each has its act, so that the log tells of it as well. Where the streams do not take
    that, the store waits for the next time.
    """
    found = []
    for record in records:
        key, value = record.key or b"", record.value or b""
        with contextlib.suppress(RejectedInput, ValueError, KeyError, TypeError, RecursionError):
            # Somebody's rubbish is left; routers pass it over, too.
            found.append((key, value, _documents(scheme, key, value)))
    try:
        # Before the store: what stops in between is told twice, rather than not at all.
        await _tell(streams, [(key, value) for key, value, _ in found])
    except StreamsUnavailable as error:
        log.warning("what others put on control is not taken in yet", code=error.code)
        return
    if found:
        with scheme.store.transaction(by="control") as transaction:
            for key, value, documents in found:
                transaction.publish(key, value, is_published=True)
                for kind, name, version, body in documents:
                    transaction.put(kind, name, version, body, expected_revision=None)


async def _tell(streams: Streams, found: Sequence[tuple[bytes, bytes]]) -> None:
    at = datetime.now(UTC)
    for start in range(0, len(found), _AT_ONCE):
        some = found[start : start + _AT_ONCE]
        await streams.append(
            [act_on_control(*one, by="register", at=at, reason=_FOUND) for one in some]
        )


_Document = tuple[str, str, int, dict[str, object]]


def _documents(scheme: SchemeFolder, key: bytes, value: bytes) -> list[_Document]:
    """Return the documents that a record tells of; raises for what the register does not keep."""
    place = parse_document_key(key)
    if place.kind not in _LEVELLED or len(key) + len(value) > MAX_VALUE_BYTES:
        raise BadDocument("not a document that the register keeps")
    if place.kind is Kind.AGREEMENT:
        agreement = Agreement.model_validate_json(value)
        if agreement.version > MAX_VERSION:
            raise BadDocument("no version that anybody wrote")
        return [("agreement", agreement.id, agreement.version, to_document(agreement))]
    jws = str(json.loads(value)["jws"])
    if place.kind is not Kind.PARTY:
        return []
    party = Party.model_validate(open_document(jws, scheme.scheme_key))
    return [("party", party.id, 1, party.model_dump(mode="json"))]

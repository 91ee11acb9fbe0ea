"""Take decision records apart, several times as fast as fastavro alone.

What one flow does for one recipient is, bar the digest of the seal, written in the same
bytes again and again. An encoding says itself where it ends, so bytes that begin with one
that was read before mean the same again.
"""

import io
import json
from collections.abc import Mapping
from typing import Any, ClassVar, Final, NamedTuple

import fastavro

from broker.recording import FINGERPRINT, SCHEMA_TEXT, read_decision
from schemas.errors import EvidenceError
from schemas.framing import frame

_KEPT_PARTS: Final = 32


class UnreadableDecision(EvidenceError):
    """What lies on ``decisions`` is not a decision record of ours."""

    code: ClassVar[str] = "unreadable-decision"


class Part(NamedTuple):
    """A candidate without the digest of its seal: as it is written, and what that says."""

    body: bytes
    says: Mapping[str, Any]


class Parts(NamedTuple):
    """A decision record: what stands before the candidates, these, and what was settled.

    Times are milliseconds. Each candidate is given with the digest of its seal.
    """

    head: Mapping[str, Any]
    candidates: tuple[tuple[Part, bytes], ...]
    settles: str | None


class PartsReader:
    """Reads one decision record after the other."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str, int], list[Part]] = {}

    def read(self, value: bytes) -> Parts:
        """Return what a record on ``decisions`` says.

        Raises:
            UnreadableDecision: it is not a decision record.

        """
        try:
            return self._read(value) if value.startswith(_FRAME) else _slowly(value)
        except Exception as error:  # noqa: BLE001  whatever fastavro makes of bytes that are none
            # Not its text, which may hold some of them.
            raise UnreadableDecision(
                f"expected a decision record ({type(error).__name__})"
            ) from None

    def _read(self, value: bytes) -> Parts:
        buffer = io.BytesIO(value)
        buffer.seek(len(_FRAME))
        head: Any = fastavro.schemaless_reader(buffer, _HEAD, None)
        at = buffer.tell()
        if value[at] >= _LONGER:
            return _slowly(value)  # dozens of candidates
        number, at = value[at] >> 1, at + 1
        candidates = []
        for place in range(number):
            known = self._known.setdefault((head["publisher"], head["eventType"], place), [])
            part = _known_part(known, value, at) or _next_part(known, value, at)
            at += len(part.body)
            end = at + 1 + (value[at] >> 1)
            candidates.append((part, value[at + 1 : end]))  # of 0 or 32 bytes
            at = end
        at += 1 if number else 0  # the block of none that ends the array
        if value[at] != _NULL:
            return _slowly(value)
        if at + 1 != len(value):
            raise ValueError("expected nothing after a decision record")
        return Parts(head, tuple(candidates), None)


def read_candidate(body: bytes) -> dict[str, Any]:
    """Return what a `Part`'s bytes say."""
    read: Any = fastavro.schemaless_reader(io.BytesIO(body), _CANDIDATE, None)
    decoded: dict[str, Any] = read
    return decoded


def _known_part(known: list[Part], value: bytes, at: int) -> Part | None:
    for part in known:
        if value.startswith(part.body, at):
            return part
    return None


def _next_part(known: list[Part], value: bytes, at: int) -> Part:
    buffer = io.BytesIO(value)
    buffer.seek(at)
    read: Any = fastavro.schemaless_reader(buffer, _CANDIDATE, None)
    part = Part(value[at : buffer.tell()], read)
    known.insert(0, part)
    del known[_KEPT_PARTS:]
    return part


def _slowly(value: bytes) -> Parts:
    """Read a record that settles, has many candidates, or is of a former schema."""
    record = read_decision(value)
    head = {
        name: round(told.timestamp() * 1000) if name in _TIMES else told
        for name, told in record.items()
    }
    candidates = tuple((_written(one), bytes(one["sealed"])) for one in record["candidates"])
    settles = record.get("settles")
    return Parts(head, candidates, None if settles is None else settles["suspension"])


def _written(candidate: dict[str, Any]) -> Part:
    buffer = io.BytesIO()
    fastavro.schemaless_writer(buffer, _CANDIDATE, candidate)
    return Part(buffer.getvalue(), candidate)


def _plain(schema: Any) -> Any:
    """Return a schema without logical types, so that times are read as numbers."""
    if isinstance(schema, dict):
        return {name: _plain(part) for name, part in schema.items() if name != "logicalType"}
    return [_plain(part) for part in schema] if isinstance(schema, list) else schema


def _parts() -> tuple[Any, Any]:
    """Return the schema of what stands before the candidates, and of a candidate's part."""
    whole = _plain(json.loads(SCHEMA_TEXT))
    names = [part["name"] for part in whole["fields"]]
    at = names.index("candidates")
    candidate = whole["fields"][at]["type"]["items"]
    if candidate["fields"][-1]["name"] != "sealed" or names[at + 1 :] != ["settles"]:
        raise AssertionError("the schema of decisions has changed: so must this reader")
    return (
        fastavro.parse_schema(whole | {"fields": whole["fields"][:at]}),
        fastavro.parse_schema(candidate | {"fields": candidate["fields"][:-1]}),
    )


_FRAME: Final = frame(FINGERPRINT, b"")
_HEAD, _CANDIDATE = _parts()
_TIMES: Final = frozenset({"decidedAt", "occurredAt", "publishedAt", "receivedAt"})
_LONGER: Final = 0x80
"""A number of one byte is below it."""
_NULL: Final = 0

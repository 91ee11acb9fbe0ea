"""The lines of an export: how they are written, read, and held against a record."""

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final

from broker.delivering import DELIVERIES
from broker.evidence.verified import MOST_PROBLEMS
from schemas.batch_proofs import BatchProof
from schemas.events import PARTY_URN, dataschema_of
from schemas.merkle import HASH_BYTES

PLACE: Final = ("topic", "partition", "offset")


class BadLine(Exception):
    """A line of an export is not of its form."""


def line_of(document: Mapping[str, Any]) -> str:
    """Return a line, written in the one way that lines are."""
    return json.dumps(document, separators=(",", ":")) + "\n"


def lines_of(path: Path, *, is_whole: bool = False) -> Iterator[dict[str, Any] | None]:
    """Give the object of each line; None for one that is not as it was written.

    Of a file that ``is_whole``, as its digest has shown, they are written as they should be.
    """
    with path.open("rb") as file:
        for line in file:
            try:
                read = json.loads(line)
                is_so = isinstance(read, dict) and (is_whole or line_of(read).encode() == line)
            except (ValueError, RecursionError):
                is_so = False
            yield read if is_so else None


class Lines:
    """Lines in the order of the log, asked for in that order; those passed over are kept.

    One more is looked at than the next: a line that says that it belongs far away then
    costs its own record, and not all that follow.
    """

    def __init__(self, path: Path, *, is_whole: bool) -> None:
        self._lines = lines_of(path, is_whole=is_whole) if path.exists() else iter(())
        self._ahead: list[dict[str, Any] | None] = []
        self._passed: list[dict[str, Any] | None] = []

    def __iter__(self) -> Iterator[dict[str, Any] | None]:
        return self._lines

    def at(self, place: tuple[int, int]) -> dict[str, Any] | None:
        """Return the line of a record's index and a candidate's; None when it is not there."""
        ahead = self._ahead
        while True:
            ahead += islice(self._lines, 2 - len(ahead))
            found = [place_in(line) for line in ahead]
            if place in found:
                number = found.index(place)
                line = ahead[number]
                self._pass(number)
                del ahead[0]
                return line
            if not found or not (found[0] is None or found[0] < place):
                return None
            self._pass(1)

    def rest(self) -> Iterator[dict[str, Any] | None]:
        """Give what was not asked for."""
        yield from self._passed
        yield from self._ahead
        yield from self._lines

    def _pass(self, number: int) -> None:
        if len(self._passed) < MOST_PROBLEMS:  # more would not be told
            self._passed += self._ahead[:number]
        del self._ahead[:number]


def text_of(data: bytes | None) -> str | None:
    """Return bytes as they stand in a line: whatever they are, they come out again."""
    return None if data is None else data.decode("utf-8", "surrogateescape")


def bytes_of(text: str | None) -> bytes | None:
    """Return what `text_of` was given. Raises ``ValueError``."""
    return None if text is None else text.encode("utf-8", "surrogateescape")


def proof_line(proof: BatchProof) -> dict[str, Any]:
    """Return a publisher's signature as it stands in a line."""
    return {
        "kid": proof.kid,
        "signed_at_ms": proof.signed_at_ms,
        "signature": _encode(proof.signature),
        "index": proof.index,
        "size": proof.size,
        "path": _encode(b"".join(proof.path)),
    }


def read_proof(line: Mapping[str, Any]) -> BatchProof:
    """Return what `proof_line` was given. Raises `BadLine`."""
    try:
        path = base64.b64decode(line["path"], validate=True)
        return BatchProof(
            str(line["kid"]),
            int(line["signed_at_ms"]),
            base64.b64decode(line["signature"], validate=True),
            int(line["index"]),
            int(line["size"]),
            tuple(path[at : at + HASH_BYTES] for at in range(0, len(path), HASH_BYTES)),
        )
    except (ValueError, KeyError, TypeError):
        raise BadLine("it has no signature of a publisher") from None


def place_in(line: Mapping[str, Any] | None) -> tuple[int, int] | None:
    """Return the record's index and the candidate's that a line is of; None if it says none."""
    if line is None:
        return None
    entry, candidate = line.get("entry"), line.get("candidate", 0)
    if type(entry) is int and type(candidate) is int:
        return entry, candidate
    return None


def index_in(line: Mapping[str, Any] | None, size: int) -> int | None:
    """Return the index of a record below ``size`` that a line names; None if it names none."""
    if line is None:
        return None
    entry = line.get("entry")
    return entry if type(entry) is int and 0 <= entry < size else None


def place_of(line: Mapping[str, Any]) -> str:
    """Return where a record lies that a line is of, in one word."""
    return "/".join(str(line.get(name)) for name in PLACE)


def document_of(line: Mapping[str, Any] | None) -> tuple[int, bytes | None, bytes | None]:
    """Return offset, key and value of a line of `control`. Raises `BadLine`."""
    if line is None:
        raise BadLine("it is not as it was written")
    try:
        offset, key, value = line["offset"], line["key"], line["value"]
        if type(offset) is int and len(line) == 3:  # noqa: PLR2004  these three
            return offset, bytes_of(key), bytes_of(value)
    except (KeyError, ValueError, AttributeError):
        pass
    raise BadLine("it has not offset, key and value")


def delivery_differs(
    line: Mapping[str, Any], decision: Mapping[str, Any], candidate: Mapping[str, Any]
) -> str:
    """Return what a delivery has other than the permit; empty when it has nothing."""
    expected: Sequence[tuple[str, Any, Any]] = (
        ("topic", line.get("topic"), DELIVERIES + candidate["recipient"]),
        ("sealed bytes", line.get("sealed"), candidate["sealed"].hex()),
        (
            "headers",
            line.get("headers"),
            {
                "ce_id": decision["eventId"],
                "ce_source": PARTY_URN + decision["publisher"],
                "ce_type": decision["eventType"],
                "ce_dataschema": dataschema_of(candidate["view"]),
                "ce_agreementid": candidate["agreement"],
                "ce_agreementversion": str(candidate["version"]),
                "ce_flowid": candidate["flow"],
                "ce_purpose": candidate["purpose"],
            },
        ),
    )
    return ", ".join(name for name, found, wanted in expected if found != wanted)


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode()

"""Rows of the query store as the tables take them; every record of the log passes here."""

import struct
from collections.abc import Collection, Iterable, Sequence
from operator import itemgetter
from typing import Final

TOKEN_BYTES: Final = 16
SAID: Final = struct.Struct(">IB")
"""A candidate: the number of its phrase, and how long the digest of its seal is."""


class Row:
    """One record of the log. What is repeated in many of them is given as it is.

    ``said`` is each candidate with the digest of its seal, ``recipients`` whom they name;
    ``tokens`` are the subject's, of `TOKEN_BYTES` each, ``event_tokens`` those of the events
    that it is found by.
    """

    __slots__ = (
        "decided_ms", "entry", "event_id", "event_tokens", "occurred_ms", "recipients", "said",
        "sender", "settles", "tokens",
    )  # fmt: skip

    def __init__(  # noqa: PLR0913  a record's fields
        self,
        entry: int,
        event_id: bytes,
        sender: bytes,
        decided_ms: int,
        occurred_ms: int,
        *,
        said: Sequence[tuple[bytes, bytes]],
        recipients: Collection[bytes],
        tokens: Sequence[bytes],
        event_tokens: Sequence[bytes],
        settles: str | None,
    ) -> None:
        self.entry = entry
        self.event_id = event_id
        self.sender = sender
        self.decided_ms = decided_ms
        self.occurred_ms = occurred_ms
        self.said = said
        self.recipients = recipients
        self.tokens = tokens
        self.event_tokens = event_tokens
        self.settles = settles


EntryColumns = tuple[int, bytes, int, int, int, bytes, bytes, str | None]
LookupColumns = tuple[int, int, int]
ReceivedColumns = tuple[int, int]


def phrases_of(rows: Iterable[Row]) -> set[bytes]:
    """Return what rows say that is kept once."""
    found: set[bytes] = set()
    for row in rows:
        found.add(row.sender)
        found.update(row.recipients)
        for part, _ in row.said:
            found.add(part)
    return found


def packed(
    rows: Iterable[Row], numbers: dict[bytes, int], *, segment_bits: int
) -> tuple[list[EntryColumns], list[LookupColumns], list[ReceivedColumns]]:
    """Return entries, lookups and what was received, in the order in which they lie.

    ``numbers`` has the number of every phrase. Neighbours are written together.
    """
    pack = SAID.pack
    entries: list[EntryColumns] = []
    lookups: list[LookupColumns] = []
    received: list[ReceivedColumns] = []
    for row in rows:
        entry = row.entry
        said = b"".join([pack(numbers[part], len(seal)) + seal for part, seal in row.said])
        entries.append(
            (
                entry,
                row.event_id,
                numbers[row.sender],
                row.decided_ms,
                row.occurred_ms,
                said,
                b"".join(row.tokens),
                row.settles,
            )
        )
        segment = entry >> segment_bits
        lookups += [(segment, short(token), entry) for token in {*row.event_tokens, *row.tokens}]
        received += [(numbers[name], entry) for name in row.recipients]
    lookups.sort(key=_TOKEN_OF)  # they are of one segment or two
    received.sort()
    return entries, lookups, received


def lookups_of(entry: int, tokens: Iterable[bytes], *, segment_bits: int) -> list[LookupColumns]:
    """Return what an entry is found by."""
    return [(entry >> segment_bits, short(token), entry) for token in tokens]


def short(token: bytes) -> int:
    """Return what a token is looked up by: 64 bits; the whole of it is compared afterwards."""
    found: int = _SHORT.unpack_from(token)[0]
    return found


_SHORT: Final = struct.Struct(">q")
_TOKEN_OF: Final = itemgetter(1)

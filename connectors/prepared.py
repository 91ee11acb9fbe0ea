"""What a source hands to a publisher: events that are mapped, not yet encoded.

A source knows its case system and nothing of keys, schemas or streams; a
publisher knows those and nothing of the case system. This is what passes
between them. Whatever a source reads comes out once: as a :class:`Row` that is
an event, or as a :class:`Rejection` that says why it is not.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class PreparedEvent:
    """Something that happened, ready to be encoded under its type's schema.

    ``natural_key`` is what the case system itself calls this fact, stable over
    re-reads ("council / child / start of the episode"); it never leaves the
    publisher in clear. ``occurred_at`` is aware. The ids are UUIDs of events published
    before; in place of the one that is retracted, the event itself may be given, and the
    publisher works its id out again. ``sequence`` (digits) orders the events of one natural key.
    """

    event_type: str
    natural_key: str
    record: Mapping[str, Any]
    occurred_at: datetime
    correlation_id: str | None = None
    causation_id: str | None = None
    retracts: "PreparedEvent | str | None" = None
    classification: str | None = None
    sequence: str | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a source that is an event; ``line`` counts from 1 with the header row."""

    file: str
    line: int
    event: PreparedEvent


@dataclass(frozen=True, slots=True)
class Rejection:
    """A row that is not an event: where, a stable reason, and a sentence for the sender.

    ``column`` is empty where the whole row is at fault. ``message`` repeats nothing
    that was read.
    """

    file: str
    line: int
    column: str
    reason: str
    message: str

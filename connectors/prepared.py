"""An event as a source hands it to a publisher: mapped, not yet encoded.

A source knows its case system and nothing of keys, schemas or streams; a
publisher knows those and nothing of the case system. This is what passes
between them.
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

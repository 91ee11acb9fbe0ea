"""What of a log can be due at all, remembered from one look to the next.

Of each bundle of 256 entries it is remembered under which agreements its records were
made, and when the first of all. That depends on the records alone: what follows from it
is worked out anew at each look, with the periods, holds and clock of then. It is kept in
memory, so nothing on disk can be stale or spoilt; a process that begins looks at all once.
"""

from collections.abc import Hashable
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from broker.acts import is_act
from broker.evidence.entries import Kept, record_from
from broker.evidence.reading import LogFiles
from broker.evidence.retention import Keeping
from broker.record_parts import PartsReader, UnreadableDecision
from broker.routing import DECISIONS

_MILLISECOND: Final = timedelta(milliseconds=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Told(NamedTuple):
    """Under the texts of which agreements a record was decided (SHA-256), and when."""

    agreements: frozenset[bytes]
    decided_ms: int

    @property
    def decided_at(self) -> datetime:
        """When it was decided (UTC)."""
        return _at(self.decided_ms)


class Bundle(NamedTuple):
    """What is remembered of a bundle: how many records are here, and what they are of."""

    state: Hashable
    width: int
    records: int
    last_shredded: int
    """The place of the last record that was shredded; -1 when none was."""
    first_ms: int
    """When the first was decided."""
    agreements: tuple[frozenset[bytes], ...]
    """Under which agreements together a record was made."""

    def can_have_due(self, keeping: Keeping, at: datetime) -> bool:
        """Whether there may be a record in it that is due at a time."""
        return keeping.can_be_due(self.agreements, _at(self.first_ms), at)


class Outlook:
    """Looks at bundles, and at none again that has not changed."""

    def __init__(self) -> None:
        self._bundles: dict[int, Bundle] = {}
        self._reader = PartsReader()
        self._agreements: dict[frozenset[bytes], frozenset[bytes]] = {}

    def bundle(self, files: LogFiles, number: int, width: int) -> Bundle:
        """Return what is to be known of the first ``width`` entries of a bundle.

        Raises:
            BadArchive, BadEntry: it cannot be read.

        """
        state = files.state(number)
        known = self._bundles.get(number)
        if known is None or (known.state, known.width) != (state, width):
            known = self._bundles[number] = self._look(files.records(number)[:width], state, width)
        return known

    def told(self, kept: Kept) -> Told | None:
        """Return what is to be known of a record; None of an act, or what is no record of ours.

        Nobody can say of that how long it is to be kept.
        """
        if kept.is_shredded:
            return None
        record = record_from(kept.content, topic=DECISIONS, partition=0, offset=kept.offset)
        if record.value is None or is_act(record.value):
            return None
        try:
            parts = self._reader.read(record.value)
        except UnreadableDecision:
            return None
        agreements = frozenset([part.says["hash"] for part, _ in parts.candidates])
        return Told(self._agreements.setdefault(agreements, agreements), parts.decided_ms)

    def _look(self, records: list[Kept], state: Hashable, width: int) -> Bundle:
        all_told = [told for told in map(self.told, records) if told is not None]
        shredded = (place for place, kept in enumerate(records) if kept.is_shredded)
        return Bundle(
            state,
            width,
            len(records),
            max(shredded, default=-1),
            min((told.decided_ms for told in all_told), default=0),
            tuple({told.agreements for told in all_told}),
        )


def _at(ms: int) -> datetime:
    return _EPOCH + ms * _MILLISECOND

"""Let no record stop a partition because aiokafka cannot read it.

Kafka takes any bytes as the name of a header, aiokafka decodes them as UTF-8 and
fails, and the partition is never read past that record: whoever may write to a
topic could stop it for good. Here such a record comes out without key, value and
headers, and so do those behind it in its batch (one producer's), which cannot be
reached any more. They stay in the topic, and their readers tell of their places.

aiokafka has no place to ask for this, so its `PartitionRecords` is replaced by one
that reads through `_Batch`. A test sends such a record to a real Kafka.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from aiokafka.consumer import fetcher


@dataclass(frozen=True, slots=True)
class _Unreadable:
    """A record of which nothing but its place can be told."""

    offset: int
    timestamp: int
    timestamp_type: int
    key: None = None
    value: None = None
    headers: tuple[()] = ()
    checksum: None = None


class _Batch:
    """A batch of aiokafka's that gives every offset of it, readable or not."""

    def __init__(self, batch: Any) -> None:
        self._batch = batch

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        batch = self._batch
        offset = batch.base_offset
        try:
            for record in batch:
                offset = record.offset + 1
                yield record
        except UnicodeDecodeError:
            for place in range(offset, batch.next_offset):
                yield _Unreadable(place, batch.first_timestamp, batch.timestamp_type)


class _Batches:
    """aiokafka's record batches of one answer, each as a `_Batch`."""

    def __init__(self, records: Any) -> None:
        self._records = records

    def has_next(self) -> bool:
        return bool(self._records.has_next())

    def next_batch(self) -> _Batch:
        return _Batch(self._records.next_batch())


class _PartitionRecords(fetcher.PartitionRecords):  # type: ignore[misc]  # aiokafka has no types
    """aiokafka's, reading through `_Batches`."""

    def __init__(self, tp: Any, records: Any, *others: Any, **named: Any) -> None:
        super().__init__(tp, _Batches(records), *others, **named)


def read_past_the_unreadable() -> None:
    """Have every consumer of this process read past records that aiokafka cannot read."""
    fetcher.PartitionRecords = _PartitionRecords

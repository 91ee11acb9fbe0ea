"""Let no record stop a partition because aiokafka cannot read it.

Kafka takes any bytes as the name of a header, aiokafka decodes them as UTF-8 and
fails, and the partition is never read past that record: whoever may write to a
topic could stop it for good. Here such a record comes out without key, value and
headers, and so do those behind it in its batch (one producer's), which cannot be
reached any more. They stay in the topic, and their readers tell of their places.

aiokafka has no place to ask for this, so its `PartitionRecords` is replaced by one
that reads through `_Batch`, for consumers that carry the mark `as_read`. A test sends
such a record to a real Kafka.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, NoReturn

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
        found: list[Any] = []
        try:
            # All at once: what was read before an error stays in the list.
            found.extend(batch)
        except UnicodeDecodeError:
            offset = found[-1].offset + 1 if found else batch.base_offset
            found += [
                _Unreadable(place, batch.first_timestamp, batch.timestamp_type)
                for place in range(offset, batch.next_offset)
            ]
        return iter(found)


class _Batches:
    """aiokafka's record batches of one answer, each as a `_Batch`."""

    def __init__(self, records: Any) -> None:
        self._records = records

    def has_next(self) -> bool:
        return bool(self._records.has_next())

    def next_batch(self) -> _Batch:
        return _Batch(self._records.next_batch())


class _PartitionRecords(fetcher.PartitionRecords):  # type: ignore[misc]  # aiokafka has no types
    """aiokafka's, reading through `_Batches`, and giving records as they were read."""

    def __init__(self, tp: Any, records: Any, *others: Any) -> None:
        super().__init__(tp, _Batches(records), *others)

    def _consumer_record(self, _tp: Any, record: Any) -> Any:
        # A `ConsumerRecord` of each would cost more than the reading, and whoever fetched
        # knows topic and partition.
        return record


def as_read(_key: bytes) -> NoReturn:
    """Mark a consumer as one of ours, given as its ``key_deserializer``; is never called."""
    raise AssertionError("records are given as they were read")


_THEIRS: Final = fetcher.PartitionRecords


def _partition_records(  # noqa: PLR0913, PLR0917  as aiokafka calls it
    tp: Any,
    records: Any,
    aborted: Any,
    offset: Any,
    key_deserializer: Any,
    value_deserializer: Any,
    check_crcs: Any,
    isolation_level: Any,
) -> Any:
    made = _PartitionRecords if key_deserializer is as_read else _THEIRS
    return made(
        tp, records, aborted, offset, key_deserializer, value_deserializer, check_crcs,
        isolation_level,
    )  # fmt: skip


def read_past_the_unreadable() -> None:
    """Have consumers with `as_read` read past records that aiokafka cannot read."""
    fetcher.PartitionRecords = _partition_records

"""Pack outgoing records into Kafka's record batches, in one pass without an ``await``."""

from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import Any, NamedTuple

from connectors.streams import Headers, Outgoing, RecordTooLarge
from connectors.streams.partitioning import key_hash, size_of

_turns = count()


class Topic(NamedTuple):
    """A topic as the brokers have it."""

    name: str
    partitions: int
    max_batch_bytes: int
    """The topic's own limit, for a batch as it is sent."""


Built = list[tuple[str, int, Any]]
"""Topic, partition and filled record batch, in the order in which they are sent."""


def pack(
    outgoing: Sequence[Outgoing],
    topics: Mapping[str, Topic],
    create: Callable[[], Any],
    *,
    max_record_bytes: int,
    now_ms: int,
) -> Built:
    """Pack records into batches that ``create`` gives; ``topics`` has all of theirs.

    Raises:
        RecordTooLarge: one of them exceeds our limit or its topic's.
    """
    # Hot path: one pass, plain lists for the batches that are being filled.
    filling: dict[str, list[Any]] = {}
    # Topics with a limit below what a batch of ours may have: by far the exception.
    tight: dict[str, int] = {}
    built: Built = []
    for name, key, value, headers in outgoing:
        slots = filling.get(name)
        if slots is None:
            topic = topics[name]
            slots = filling[name] = [None] * topic.partitions
            if topic.max_batch_bytes < max_record_bytes:
                tight[name] = topic.max_batch_bytes
        turn = next(_turns) if key is None else key_hash(key)
        partition = turn % len(slots)
        if not isinstance(headers, list):  # aiokafka's compiled builder takes nothing else
            headers = list(headers)  # noqa: PLW2901
        batch = slots[partition]
        if (
            batch is not None
            and not (tight and _is_full(batch, tight.get(name), key, value, headers))
            and batch.append(timestamp=now_ms, key=key, value=value, headers=headers)
        ):
            continue
        batch = slots[partition] = create()
        built.append((topics[name].name, partition, batch))
        batch.append(timestamp=now_ms, key=key, value=value, headers=headers)
        # A batch takes its first record whatever its size, so only here can a record
        # be larger than a batch may be.
        limit = tight.get(name, max_record_bytes)
        if batch.size() > limit:
            size = size_of(key, value, headers)
            if size > limit:
                raise RecordTooLarge(name, size, limit)
    return built


def _is_full(
    batch: Any, limit: int | None, key: bytes | None, value: bytes | None, headers: Headers
) -> bool:
    return limit is not None and batch.size() + size_of(key, value, headers) > limit

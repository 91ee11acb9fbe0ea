"""Streams whose names all begin with a namespace, so that schemes share one cluster.

Callers see the names without it. Only the names change: every promise of the port
is that of the streams behind.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from types import TracebackType
from typing import Self

from connectors.streams import (
    DEFAULT_MAX_BATCH_BYTES,
    DEFAULT_MAX_RECORDS,
    Batch,
    Group,
    OnAssigned,
    Outgoing,
    Record,
    Streams,
)


class NamespacedStreams:
    """Streams under ``namespace``; names behind it are ``<namespace>.<name>``."""

    def __init__(self, streams: Streams, namespace: str) -> None:
        self._streams = streams
        self._prefix = f"{namespace}."
        self.max_record_bytes = streams.max_record_bytes

    async def __aenter__(self) -> Self:
        await self._streams.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._streams.__aexit__(kind, error, trace)

    async def create_topics(
        self, partitions: Mapping[str, int], *, compacted: frozenset[str] = frozenset()
    ) -> None:
        """See the port."""
        await self._streams.create_topics(
            {self._prefix + name: number for name, number in partitions.items()},
            compacted=frozenset(self._prefix + name for name in compacted),
        )

    async def topics(self) -> Mapping[str, int]:
        """See the port; topics of other namespaces are not seen."""
        return {
            name.removeprefix(self._prefix): number
            for name, number in (await self._streams.topics()).items()
            if name.startswith(self._prefix)
        }

    async def append(self, outgoing: Sequence[Outgoing]) -> None:
        """See the port."""
        await self._streams.append(_outward(self._prefix, outgoing))

    async def read(
        self, topic: str, *, partition: int | None = None, start: int = 0, follow: bool = False
    ) -> AsyncIterator[Record]:
        """See the port."""
        name = self._prefix + topic
        async for record in self._streams.read(
            name, partition=partition, start=start, follow=follow
        ):
            yield record._replace(topic=topic)

    async def end(self, topic: str) -> Mapping[int, int]:
        """See the port."""
        return await self._streams.end(self._prefix + topic)

    def group(  # noqa: PLR0913  as the port has it
        self,
        name: str,
        topics: Sequence[str],
        *,
        max_records: int = DEFAULT_MAX_RECORDS,
        max_bytes: int = DEFAULT_MAX_BATCH_BYTES,
        on_assigned: OnAssigned | None = None,
        session_timeout: float = 10.0,
    ) -> Group:
        """See the port."""
        prefix = self._prefix

        async def assigned(topic: str, partition: int) -> None:
            if on_assigned is not None:
                await on_assigned(topic.removeprefix(prefix), partition)

        group = self._streams.group(
            prefix + name,
            [prefix + topic for topic in topics],
            max_records=max_records,
            max_bytes=max_bytes,
            on_assigned=assigned,
            session_timeout=session_timeout,
        )
        return _NamespacedGroup(group, prefix)

    async def lag(self, group: str, topics: Sequence[str]) -> int:
        """See the port."""
        return await self._streams.lag(
            self._prefix + group, [self._prefix + topic for topic in topics]
        )


class _NamespacedGroup:
    """A member of a group under a namespace."""

    def __init__(self, group: Group, prefix: str) -> None:
        self._group = group
        self._prefix = prefix
        self.name = group.name.removeprefix(prefix)

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._group.__aexit__(kind, error, trace)

    async def next(self, timeout: float | None = None) -> Batch | None:  # noqa: ASYNC109  as the port has it
        """See the port."""
        batch = await self._group.next(timeout)
        return None if batch is None else self._inward(batch)

    async def commit(self, batch: Batch, outgoing: Sequence[Outgoing] = ()) -> None:
        """See the port."""
        await self._group.commit(self._outer(batch), _outward(self._prefix, outgoing))

    async def abort(self, batch: Batch) -> None:
        """See the port."""
        await self._group.abort(self._outer(batch))

    async def subscribe(self, topics: Sequence[str]) -> None:
        """See the port."""
        await self._group.subscribe([self._prefix + topic for topic in topics])

    def assignment(self) -> frozenset[tuple[str, int]]:
        """See the port."""
        held = self._group.assignment()
        return frozenset((topic.removeprefix(self._prefix), number) for topic, number in held)

    async def __aiter__(self) -> AsyncIterator[Batch]:
        """Iterate over batches until the group is closed."""
        async for batch in self._group:
            yield self._inward(batch)

    def _inward(self, batch: Batch) -> Batch:
        topic = batch.topic.removeprefix(self._prefix)
        records = [Record(topic, *record[1:]) for record in batch.records]
        return batch._replace(topic=topic, records=records)

    def _outer(self, batch: Batch) -> Batch:
        return batch._replace(topic=self._prefix + batch.topic)


def _outward(prefix: str, outgoing: Sequence[Outgoing]) -> list[Outgoing]:
    return [Outgoing(prefix + record[0], *record[1:]) for record in outgoing]

"""The streams on Apache Kafka.

Reading is ``read_committed``, every append a transaction, so a reader sees all of an
append or nothing. Topics are created on purpose (:meth:`KafkaStreams.create_topics`),
never by using them. How a group keeps stale members out is in ``kafka_group``.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from connectors.streams import (
    DEFAULT_MAX_BATCH_BYTES,
    DEFAULT_MAX_RECORD_BYTES,
    DEFAULT_MAX_RECORDS,
    OnAssigned,
    Outgoing,
    Record,
    StreamsUnavailable,
    UnknownTopic,
)
from connectors.streams.kafka_group import KafkaGroup
from connectors.streams.kafka_packing import Topic
from connectors.streams.kafka_reading import (
    begins_of,
    ends_of,
    new_reader,
    read_on,
    read_spans,
    stop,
)
from connectors.streams.kafka_topics import describe, limits_of, remove_records, until_led
from connectors.streams.kafka_transactions import Transactions
from connectors.streams.kafka_unreadable import read_past_the_unreadable
from connectors.streams.security import Security

_REPLICAS = 3
"""Copies of each record, where there are as many brokers."""

_COMPACTED = {"cleanup.policy": "compact"}
_KEPT = {"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"}
"""For ever: a broker's own defaults may be other (seven days, as Kafka comes)."""

_ANSWER_SECONDS = 30.0
_RETRY_SECONDS = 0.05
_APPEND_SECONDS = 60.0
_DECIDE_SECONDS = 0.01
_COUNTED_LAG = 1_000
"""Up to here a lag is counted by reading; beyond, markers of transactions do not matter."""


read_past_the_unreadable()


class KafkaStreams:
    """Streams on the brokers at ``servers`` (``host:port[,host:port…]``).

    With a ``namespace``, topics and groups are called ``<namespace>.<name>`` on the
    brokers, so that schemes share a cluster; callers see the names without it.
    Every connection is made with ``security``, by default in clear and as nobody.
    """

    def __init__(
        self,
        servers: str,
        *,
        namespace: str = "",
        max_record_bytes: int = DEFAULT_MAX_RECORD_BYTES,
        security: Security | None = None,
    ) -> None:
        self.max_record_bytes = max_record_bytes
        self.client: dict[str, Any] = {
            "bootstrap_servers": servers.split(","),
            **(security or Security()).to_client_options(),
        }
        self._prefix = f"{namespace}." if namespace else ""
        self._topics: dict[str, Topic] = {}
        self._appending = asyncio.Lock()
        self._appender: Transactions | None = None
        self._appender_id = f"concordat-append-{uuid.uuid4().hex}"

    async def __aenter__(self) -> Self:
        self._admin = AIOKafkaAdminClient(**self.client)
        self._appended = new_reader(self.client, isolation_level="read_uncommitted")
        self._decided = new_reader(self.client)
        try:
            await self._admin.start()
            await self._appended.start()
            await self._decided.start()
        except BaseException as error:
            await self.__aexit__(None, None, None)
            if isinstance(error, KafkaError):
                raise StreamsUnavailable(f"Kafka did not answer: {error}") from error
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._appender is not None:
            await self._appender.close()
        await stop(self._decided)
        await stop(self._appended)
        await self._admin.close()

    async def create_topics(
        self,
        partitions: Mapping[str, int],
        *,
        compacted: frozenset[str] = frozenset(),
        kept: frozenset[str] = frozenset(),
    ) -> None:
        """See the port."""
        try:
            cluster = await self._admin.describe_cluster()
            replicas = min(_REPLICAS, len(cluster["brokers"]))
            configs = dict.fromkeys(compacted, _COMPACTED) | dict.fromkeys(kept, _KEPT)
            new = [
                NewTopic(self.outward(name), number, replicas, topic_configs=configs.get(name, {}))
                for name, number in partitions.items()
            ]
            answer = await self._admin.create_topics(new)
        except KafkaError as error:
            raise StreamsUnavailable(f"Kafka did not answer: {error}") from error
        for name, code, *_ in answer.topic_errors:
            problem = for_code(code)
            if code and problem is not TopicAlreadyExistsError:
                raise StreamsUnavailable(
                    f"Kafka did not create the topic {name}: {problem.__name__}"
                )
        await until_led(self._admin, [self.outward(name) for name in partitions])

    async def topics(self) -> Mapping[str, int]:
        """See the port; topics of other namespaces are not seen."""
        return {
            self.inward(topic["topic"]): len(topic["partitions"])
            for topic in await describe(self._admin)
            if topic["topic"].startswith(self._prefix) and not topic["is_internal"]
        }

    def outward(self, name: str) -> str:
        """Return what a topic or group is called on the brokers."""
        return self._prefix + name

    def inward(self, name: str) -> str:
        """Return what callers call a topic or group of the brokers."""
        return name.removeprefix(self._prefix)

    async def topics_of(self, names: Collection[str]) -> Mapping[str, Topic]:
        """Return what the brokers say of at least these topics, by the callers' names.

        Raises:
            UnknownTopic: one of them does not exist.
        """
        new = [name for name in names if name not in self._topics]
        if new:
            known = await self.topics()
            for name in new:
                if not known.get(name):
                    raise UnknownTopic(f"the topic {name} does not exist")
            limits = await limits_of(self._admin, [self.outward(name) for name in new])
            # INVARIANT: a topic keeps its partitions while a process runs, so that a
            # key stays where it is.
            for name in new:
                self._topics[name] = Topic(
                    self.outward(name),
                    known[name],
                    limits.get(self.outward(name), self.max_record_bytes),
                )
        return self._topics

    async def append(self, outgoing: Sequence[Outgoing]) -> None:
        """See the port."""
        if not outgoing:
            return
        topics = await self.topics_of({record.topic for record in outgoing})
        async with self._appending:
            if self._appender is None:
                self._appender = await Transactions.start(
                    self.client, self._appender_id, max_record_bytes=self.max_record_bytes
                )
            built = self._appender.build(outgoing, topics)
            try:
                async with asyncio.timeout(_APPEND_SECONDS):
                    await self._appender.commit(built)
            except BaseException as error:
                broken, self._appender = self._appender, None
                await broken.close()
                if isinstance(error, KafkaError | TimeoutError):
                    raise StreamsUnavailable(
                        f"Kafka did not take the records: {type(error).__name__}"
                    ) from error
                raise

    def read(
        self, topic: str, *, partition: int | None = None, start: int = 0, follow: bool = False
    ) -> AsyncIterator[Record]:
        """See the port."""
        return self._read(topic, partition=partition, start=start, follow=follow)

    async def end(self, topic: str) -> Mapping[int, int]:
        """See the port."""
        name, partitions, _ = (await self.topics_of([topic]))[topic]
        ends = await ends_of(self._appended, name, range(partitions))
        while True:
            decided = await ends_of(self._decided, name, range(partitions))
            if all(decided[number] >= end for number, end in ends.items()):
                return ends
            await asyncio.sleep(_DECIDE_SECONDS)

    async def begin(self, topic: str) -> Mapping[int, int]:
        """See the port."""
        name, partitions, _ = (await self.topics_of([topic]))[topic]
        return await begins_of(self._appended, name, range(partitions))

    async def remove_before(self, topic: str, partition: int, offset: int) -> None:
        """See the port; the brokers delete whole segments, so files go when one is full."""
        name = (await self.topics_of([topic]))[topic].name
        if offset <= (await self.end(topic))[partition]:
            await remove_records(self._admin, name, partition, before=offset)

    def group(  # noqa: PLR0913  the port's knobs
        self,
        name: str,
        topics: Sequence[str],
        *,
        max_records: int = DEFAULT_MAX_RECORDS,
        max_bytes: int = DEFAULT_MAX_BATCH_BYTES,
        on_assigned: OnAssigned | None = None,
        session_timeout: float = 10.0,
    ) -> KafkaGroup:
        """See the port."""
        return KafkaGroup(
            self,
            name,
            topics,
            max_records=max_records,
            max_bytes=max_bytes,
            on_assigned=on_assigned,
            session_timeout=session_timeout,
        )

    async def lag(self, group: str, topics: Sequence[str]) -> int:
        """See the port."""
        known = await self.topics_of(topics)
        lag = 0
        for topic in topics:
            name, partitions, _ = known[topic]
            ends = await ends_of(self._appended, name, range(partitions))
            found = await self._committed(group, [TopicPartition(name, n) for n in ends])
            for number, end in ends.items():
                offset = found.get(TopicPartition(name, number))
                start = max(0, offset.offset) if offset is not None else 0
                if 0 < end - start <= _COUNTED_LAG:
                    reading = self.read(topic, partition=number, start=start)
                    lag += sum([1 async for _ in reading])
                else:
                    lag += end - start
        return lag

    async def _committed(
        self, group: str, wanted: list[TopicPartition]
    ) -> Mapping[TopicPartition, Any]:
        """Return the group's offsets; Kafka finds a new group's coordinator only when asked."""
        deadline = asyncio.get_running_loop().time() + _ANSWER_SECONDS
        while True:
            try:
                found: Mapping[TopicPartition, Any]
                found = await self._admin.list_consumer_group_offsets(
                    self.outward(group), partitions=wanted
                )
            except KafkaError as error:
                if asyncio.get_running_loop().time() > deadline:
                    raise StreamsUnavailable(f"Kafka did not answer: {error}") from error
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                return found

    async def _read(
        self, topic: str, *, partition: int | None, start: int, follow: bool
    ) -> AsyncIterator[Record]:
        name, partitions, _ = (await self.topics_of([topic]))[topic]
        numbers = range(partitions) if partition is None else [partition]
        if follow:
            records = read_on(self.client, name, dict.fromkeys(numbers, start))
        else:
            ends = await ends_of(self._appended, name, numbers)
            spans = {number: (start, end) for number, end in ends.items() if end > start}
            records = read_spans(self.client, name, spans)
        async for record in records:
            yield record if name == topic else record._replace(topic=topic)

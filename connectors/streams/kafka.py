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
from connectors.streams.kafka_reading import ends_of, new_reader, read_on, read_spans
from connectors.streams.kafka_transactions import Transactions

_REPLICAS = 3
"""Copies of each record, where there are as many brokers."""

_CREATE_SECONDS = 30.0
_CREATE_RETRY_SECONDS = 0.05
_APPEND_SECONDS = 60.0
_DECIDE_RETRY_SECONDS = 0.01
_COUNTED_LAG = 1_000
"""Up to here a lag is counted by reading; beyond, markers of transactions do not matter."""


class KafkaStreams:
    """Streams on the brokers at ``servers`` (``host:port[,host:port…]``).

    ``security`` goes to the client as it is (``security_protocol``, ``ssl_context``,
    ``sasl_…``).
    """

    def __init__(
        self,
        servers: str,
        *,
        max_record_bytes: int = DEFAULT_MAX_RECORD_BYTES,
        security: Mapping[str, Any] | None = None,
    ) -> None:
        self.max_record_bytes = max_record_bytes
        self.client: dict[str, Any] = {
            "bootstrap_servers": servers.split(","),
            "retry_backoff_ms": 50,
            **(security or {}),
        }
        self._partitions: dict[str, int] = {}
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
        await self._decided.stop()
        await self._appended.stop()
        await self._admin.close()

    async def create_topics(
        self, partitions: Mapping[str, int], *, compacted: frozenset[str] = frozenset()
    ) -> None:
        """See the port."""
        try:
            cluster = await self._admin.describe_cluster()
            replicas = min(_REPLICAS, len(cluster["brokers"]))
            new = [
                NewTopic(
                    name,
                    number,
                    replicas,
                    topic_configs={"cleanup.policy": "compact"} if name in compacted else {},
                )
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
        await self._until_led(partitions.keys())

    async def topics(self) -> Mapping[str, int]:
        """See the port."""
        return {
            topic["topic"]: len(topic["partitions"])
            for topic in await self._described()
            if not topic["is_internal"]
        }

    async def partitions_of(self, names: Collection[str]) -> Mapping[str, int]:
        """Return the number of partitions of at least these topics.

        Raises:
            UnknownTopic: one of them does not exist.
        """
        if any(name not in self._partitions for name in names):
            # INVARIANT: a topic keeps its partitions while a process runs, so that a
            # key stays where it is.
            self._partitions = {**await self.topics(), **self._partitions}
            for name in names:
                if not self._partitions.get(name):
                    raise UnknownTopic(f"the topic {name} does not exist")
        return self._partitions

    async def append(self, outgoing: Sequence[Outgoing]) -> None:
        """See the port."""
        if not outgoing:
            return
        partitions = await self.partitions_of({record.topic for record in outgoing})
        async with self._appending:
            if self._appender is None:
                self._appender = await Transactions.start(
                    self.client, self._appender_id, max_record_bytes=self.max_record_bytes
                )
            built = self._appender.build(outgoing, partitions)
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
        numbers = range((await self.partitions_of([topic]))[topic])
        ends = await ends_of(self._appended, topic, numbers)
        while True:
            decided = await ends_of(self._decided, topic, numbers)
            if all(decided[number] >= end for number, end in ends.items()):
                return ends
            await asyncio.sleep(_DECIDE_RETRY_SECONDS)

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
        lag = 0
        for topic in topics:
            numbers = range((await self.partitions_of([topic]))[topic])
            ends = await ends_of(self._appended, topic, numbers)
            wanted = [TopicPartition(topic, number) for number in ends]
            found = await self._committed(group, wanted)
            for number, end in ends.items():
                offset = found.get(TopicPartition(topic, number))
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
        deadline = asyncio.get_running_loop().time() + _CREATE_SECONDS
        while True:
            try:
                found: Mapping[TopicPartition, Any]
                found = await self._admin.list_consumer_group_offsets(group, partitions=wanted)
            except KafkaError as error:
                if asyncio.get_running_loop().time() > deadline:
                    raise StreamsUnavailable(f"Kafka did not answer: {error}") from error
                await asyncio.sleep(_CREATE_RETRY_SECONDS)
            else:
                return found

    async def _described(self) -> list[dict[str, Any]]:
        try:
            found: list[dict[str, Any]] = await self._admin.describe_topics()
        except KafkaError as error:
            raise StreamsUnavailable(f"Kafka did not answer: {error}") from error
        return found

    async def _until_led(self, names: Collection[str]) -> None:
        """Wait until the brokers know the topics, and a leader for each partition.

        The answer to "create" comes from the controller, before the brokers know.
        """
        deadline = asyncio.get_running_loop().time() + _CREATE_SECONDS
        while True:
            led = {
                topic["topic"]
                for topic in await self._described()
                if all(partition["leader"] >= 0 for partition in topic["partitions"])
            }
            if led.issuperset(names):
                return
            if asyncio.get_running_loop().time() > deadline:
                raise StreamsUnavailable("Kafka has no leaders for the topics that it created")
            await asyncio.sleep(_CREATE_RETRY_SECONDS)

    async def _read(
        self, topic: str, *, partition: int | None, start: int, follow: bool
    ) -> AsyncIterator[Record]:
        known = await self.partitions_of([topic])
        numbers = range(known[topic]) if partition is None else [partition]
        if follow:
            records = read_on(self.client, topic, dict.fromkeys(numbers, start))
        else:
            ends = await ends_of(self._appended, topic, numbers)
            spans = {number: (start, end) for number, end in ends.items() if end > start}
            records = read_spans(self.client, topic, spans)
        async for record in records:
            yield record

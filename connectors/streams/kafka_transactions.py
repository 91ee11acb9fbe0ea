"""One transactional producer, and everything that can go wrong with it.

A transaction is built in full before it is begun: records are packed into Kafka's
record batches here, in one pass without an ``await``, and handed over whole
(measured six times the rate of sending record by record). The produce requests and
the request that adds the offsets travel together.
"""

import asyncio
import contextlib
import time
from collections.abc import Mapping, Sequence
from typing import Any, Self

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError, ProducerFenced

from connectors.streams import Outgoing, StreamsUnavailable
from connectors.streams.kafka_packing import Built, Topic, pack

TRANSACTION_TIMEOUT_MS = 10_000
"""How long the broker lets a transaction of a vanished producer hold readers up."""

_STOP_SECONDS = 5.0


class Transactions:
    """The producer of one transactional id.

    Starting it fences whoever had the id before, and ends what they had open.
    """

    def __init__(
        self, client: Mapping[str, Any], transactional_id: str, *, max_record_bytes: int
    ) -> None:
        self.max_record_bytes = max_record_bytes
        self._producer = AIOKafkaProducer(
            **client,
            transactional_id=transactional_id,
            retry_backoff_ms=50,
            transaction_timeout_ms=TRANSACTION_TIMEOUT_MS,
            max_batch_size=max_record_bytes,
            # What flows is ciphertext, with headers and wrapped keys that repeat. Measured
            # for 1 MB of it: snappy 0.6 ms, zstd 5 ms for a twentieth less; aiokafka's
            # lz4 works at its highest level and takes 14 to 38 ms.
            compression_type="snappy",
        )

    @classmethod
    async def start(
        cls, client: Mapping[str, Any], transactional_id: str, *, max_record_bytes: int
    ) -> Self:
        """Return the producer once it owns its id.

        Raises:
            StreamsUnavailable: no broker could be asked.
        """
        made = cls(client, transactional_id, max_record_bytes=max_record_bytes)
        try:
            await made._producer.start()
        except KafkaError as error:
            await made.close()
            raise StreamsUnavailable(f"Kafka did not let a producer start: {error}") from error
        except BaseException:
            await made.close()
            raise
        return made

    def build(self, outgoing: Sequence[Outgoing], topics: Mapping[str, Topic]) -> Built:
        """Pack records into batches; nothing is sent. ``topics`` has them all.

        Raises:
            RecordTooLarge: one of them exceeds our limit or its topic's.
        """
        return pack(
            outgoing,
            topics,
            self._producer.create_batch,
            max_record_bytes=self.max_record_bytes,
            now_ms=int(time.time() * 1000),
        )

    async def commit(
        self, built: Built, *, group: str = "", offsets: Mapping[TopicPartition, int] | None = None
    ) -> None:
        """Send what was built and move the group's offsets, in one transaction.

        After any error the outcome is open, and this producer is of no more use:
        close it and start another, which settles it.

        Raises:
            ProducerFenced: another producer has the id now, or Kafka gave this one up.
            KafkaError: anything else that Kafka or the connection did.
        """
        producer = self._producer
        await producer.begin_transaction()
        sent = []
        for topic, partition, batch in built:
            # Waits only when an earlier batch of this partition has not left yet.
            sent.append(await producer.send_batch(batch, topic, partition=partition))
        waiting: list[Any] = list(sent)
        if offsets:
            waiting.append(producer.send_offsets_to_transaction(dict(offsets), group))
        results = await asyncio.gather(*waiting, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        await producer.commit_transaction()

    async def close(self) -> None:
        """Close it in seconds, whether a broker answers or not; nothing of that is raised."""
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await self._producer.stop()
        except (KafkaError, ProducerFenced, TimeoutError):
            pass
        except asyncio.CancelledError:
            # Either aiokafka lets out that it cancelled tasks of its own, or whoever waits
            # for us is told to end, and must hear it.
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
        finally:
            # A stop that was cut short leaves the connections open.
            with contextlib.suppress(KafkaError, OSError):
                await self._producer.client.close()

"""How a member comes to hold partitions on Kafka, and what it leaves alone once it does not."""

import asyncio
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from connectors.streams import StreamsUnavailable
from connectors.streams.kafka_holding import Holding
from connectors.streams.kafka_transactions import Transactions

TP = TopicPartition("events.council", 0)
PATIENCE = 30.0
"""Seconds after which a test gives up: what it waits for takes none."""


class Producer:
    """Stands for a producer whose stop waits, as one's does whose broker is away."""

    def __init__(self) -> None:
        self.stopping = asyncio.Event()
        self.client = self

    async def stop(self) -> None:
        """Wait for ever."""
        self.stopping.set()
        await asyncio.Event().wait()

    async def close(self) -> None:
        """Close no connection."""


class Consumer:
    """Notes what is asked of it."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def pause(self, _tp: TopicPartition) -> None:
        """Note it."""
        self.asked.append("pause")

    def resume(self, _tp: TopicPartition) -> None:
        """Note it."""
        self.asked.append("resume")

    def seek(self, _tp: TopicPartition, offset: int) -> None:
        """Note it."""
        self.asked.append(f"seek {offset}")

    async def committed(self, _tp: TopicPartition) -> int:
        """Return an offset."""
        return 7


def transactions(producer: Any) -> Transactions:
    """Return the transactions of this producer."""
    made = Transactions.__new__(Transactions)
    made._producer = producer
    return made


async def test_whoever_waits_for_a_producer_to_close_hears_that_it_is_to_end() -> None:
    """A cancellation amid closing is not taken for one of the client's own."""
    producer = Producer()
    task = asyncio.create_task(transactions(producer).close())
    await producer.stopping.wait()
    task.cancel()
    await asyncio.wait({task}, timeout=PATIENCE)
    assert task.cancelled()


async def test_a_partition_that_was_lost_while_it_was_prepared_is_left_alone() -> None:
    """No second producer is started for it, which would fence whoever has it now."""
    consumer, started = Consumer(), asyncio.Event()
    starts = 0

    async def start(_tp: TopicPartition) -> Transactions:
        nonlocal starts
        starts += 1
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            # So does a client that is told to end amid tidying up after a failure.
            raise StreamsUnavailable("the brokers are away") from KafkaError()
        raise AssertionError

    async def announce(_tp: TopicPartition) -> None:
        raise AssertionError

    holding = Holding(start, announce)
    holding.listen_to(consumer)
    holding.on_partitions_assigned([TP])
    await started.wait()
    await holding.on_partitions_revoked([TP])
    async with asyncio.timeout(PATIENCE):
        await holding.finish()
    assert starts == 1
    assert consumer.asked == ["pause"]
    assert holding.failure is None

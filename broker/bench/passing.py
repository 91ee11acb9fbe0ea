"""The bare pass-through: records go from one topic to another, exactly once, and nothing else.

What the whole path is held against, in the strongest form that we know of.
"""

import asyncio
import time
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from connectors.streams import Batch, Group, Outgoing, Streams

_BATCH_BYTES: Final = 1_000_000
_FETCH_BYTES: Final = 4 * 1024 * 1024
_LONGEST_SECONDS: Final = 600.0


async def pass_through_port(
    streams: Streams, group: str, source: str, target: str, *, records: int
) -> float:
    """Pass everything through the streams port; return records a second."""
    started_at = 0.0
    passed = 0
    commits: set[asyncio.Task[None]] = set()

    async def commit(member: Group, batch: Batch) -> None:
        nonlocal passed
        await member.commit(batch, [Outgoing(target, r.key, r.value) for r in batch.records])
        passed += len(batch.records)

    async with asyncio.timeout(_LONGEST_SECONDS), streams.group(group, [source]) as member:
        while passed < records:
            batch = await member.next(0.05)
            if batch is None:
                continue
            started_at = started_at or time.perf_counter()
            task = asyncio.create_task(commit(member, batch))
            commits.add(task)
            task.add_done_callback(commits.discard)
            # Whoever commits without waiting is done here, and may be given the next batch.
            await asyncio.sleep(0)
        ended_at = time.perf_counter()
    return records / (ended_at - started_at)


async def pass_through_kafka(
    servers: str, group: str, source: str, target: str, *, records: int
) -> float:
    """Pass everything through aiokafka; return records a second.

    `getmany`, then `create_batch` and `send_batch`, then the offsets in the transaction;
    a transactional producer for each input partition, so that commits overlap.
    Records keep their partition and are not compressed, which is fastest here.
    """
    consumer = AIOKafkaConsumer(
        bootstrap_servers=servers,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        max_partition_fetch_bytes=_FETCH_BYTES,
    )
    consumer.subscribe([source])
    await consumer.start()
    producers: dict[TopicPartition, Any] = {}
    try:
        async with asyncio.timeout(_LONGEST_SECONDS):
            while not consumer.assignment():  # noqa: ASYNC110  aiokafka has no event for it
                await asyncio.sleep(0.02)  # the group is formed in the background
            for partition in consumer.assignment():
                producers[partition] = producer = AIOKafkaProducer(
                    bootstrap_servers=servers,
                    transactional_id=f"{group}-{partition.partition}",
                    max_batch_size=_BATCH_BYTES,
                )
                await producer.start()
            return await _pass_all(consumer, producers, group, target, records=records)
    finally:
        await consumer.stop()
        await asyncio.gather(*(producer.stop() for producer in producers.values()))


async def _pass_all(
    consumer: Any, producers: dict[TopicPartition, Any], group: str, target: str, *, records: int
) -> float:
    started_at = 0.0
    left = records
    busy: dict[TopicPartition, asyncio.Task[None]] = {}
    while left > 0:
        free = [tp for tp in producers if tp not in busy]
        if free:
            for tp, messages in (await consumer.getmany(*free, timeout_ms=20)).items():
                started_at = started_at or time.perf_counter()
                left -= len(messages)
                busy[tp] = asyncio.create_task(_pass(producers[tp], group, target, tp, messages))
        else:
            await asyncio.wait(busy.values(), return_when=asyncio.FIRST_COMPLETED)
        for tp in [tp for tp, task in busy.items() if task.done()]:
            busy.pop(tp).result()
    await asyncio.gather(*busy.values())
    return records / (time.perf_counter() - started_at)


async def _pass(
    producer: Any, group: str, target: str, tp: TopicPartition, messages: list[Any]
) -> None:
    await producer.begin_transaction()
    sent = []
    batch = producer.create_batch()
    for message in messages:
        if not batch.append(timestamp=message.timestamp, key=message.key, value=message.value):
            sent.append(await producer.send_batch(batch, target, partition=tp.partition))
            batch = producer.create_batch()
            batch.append(timestamp=message.timestamp, key=message.key, value=message.value)
    sent.append(await producer.send_batch(batch, target, partition=tp.partition))
    offsets = producer.send_offsets_to_transaction({tp: messages[-1].offset + 1}, group)
    await asyncio.gather(*sent, offsets)
    await producer.commit_transaction()

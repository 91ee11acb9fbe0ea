"""What the brokers say of topics. Names here are those that the brokers use."""

import asyncio
from collections.abc import Collection, Sequence
from typing import Any

from aiokafka import TopicPartition
from aiokafka.admin import RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

from connectors.streams import StreamsUnavailable

_LIMIT = "max.message.bytes"
_LEADERS_SECONDS = 30.0
_RETRY_SECONDS = 0.05


async def describe(admin: Any) -> list[dict[str, Any]]:
    """Return every topic with its partitions and their leaders."""
    try:
        found: list[dict[str, Any]] = await admin.describe_topics()
    except KafkaError as error:
        raise StreamsUnavailable(f"Kafka did not answer: {error}") from error
    return found


async def until_led(admin: Any, names: Collection[str]) -> None:
    """Wait until the brokers know the topics, and a leader for each partition.

    The answer to "create" comes from the controller, before the brokers know.
    """
    deadline = asyncio.get_running_loop().time() + _LEADERS_SECONDS
    while True:
        led = {
            topic["topic"]
            for topic in await describe(admin)
            if all(partition["leader"] >= 0 for partition in topic["partitions"])
        }
        if led.issuperset(names):
            return
        if asyncio.get_running_loop().time() > deadline:
            raise StreamsUnavailable("Kafka has no leaders for the topics that it created")
        await asyncio.sleep(_RETRY_SECONDS)


async def limits_of(admin: Any, names: Sequence[str]) -> dict[str, int]:
    """Return the bytes of the largest batch that each topic takes, where it is told."""
    asked = [ConfigResource(ConfigResourceType.TOPIC, name, {_LIMIT: None}) for name in names]
    try:
        answers = await admin.describe_configs(asked)
    except KafkaError as error:
        raise StreamsUnavailable(f"Kafka did not answer: {error}") from error
    return {
        name: int(entry[1])
        for answer in answers
        for _code, _problem, _kind, name, entries in answer.resources
        for entry in entries
        if entry[0] == _LIMIT
    }


async def remove_records(admin: Any, name: str, partition: int, *, before: int) -> None:
    """Remove the records of a partition below an offset."""
    wanted = {TopicPartition(name, partition): RecordsToDelete(before_offset=before)}
    try:
        await admin.delete_records(wanted)
    except KafkaError as error:
        raise StreamsUnavailable(f"Kafka did not remove the records: {error}") from error

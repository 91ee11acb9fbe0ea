"""The broker that tests start as a local process is the one that `concordat bench` starts."""

from broker.bench.kafka_process import (
    FILES,
    LocalKafka,
    Unavailable,
    cache_folder,
    fetch_jars,
    free_port,
    settings,
    version,
    wait_for_kafka,
)

__all__ = [
    "FILES",
    "LocalKafka",
    "Unavailable",
    "cache_folder",
    "fetch_jars",
    "free_port",
    "settings",
    "version",
    "wait_for_kafka",
]

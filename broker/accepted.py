"""Which events have been accepted already, so that none is decided twice.

The ids travel in the transaction of the batch that accepted them (topic
``accepted``), so they are known exactly when its deliveries are. A router reads
them back when a partition comes to it.
"""

from collections.abc import Iterable
from functools import lru_cache
from hashlib import blake2b
from itertools import islice

from connectors.streams import Outgoing, Streams
from connectors.streams.partitioning import key_hash

TOPIC = "accepted"
ID_BYTES = 16
MOST_IDS = 500_000
"""Of one router, over all its partitions: about 60 MB."""


def short_id(publisher: str, event_id: bytes) -> bytes:
    """Return sixteen bytes that stand for an event; any id fits, not only a UUID."""
    return blake2b(event_id, digest_size=ID_BYTES, person=_person(publisher)).digest()


def record_of(topic: str, partition: int, ids: Iterable[bytes]) -> Outgoing:
    """Return the record that says which ids a batch of a partition accepted."""
    return Outgoing(TOPIC, _key(topic, partition), b"".join(ids))


class AcceptedIds:
    """The latest ids, oldest forgotten first. Ids of open batches count as accepted."""

    def __init__(self, most: int = MOST_IDS) -> None:
        self._ids: dict[bytes, None] = {}
        self._most = most

    def __len__(self) -> int:
        return len(self._ids)

    def claim(self, short: bytes) -> bool:
        """Take an id for a batch; False when it was accepted before."""
        if short in self._ids:
            return False
        self._ids[short] = None
        return True

    def release(self, ids: Iterable[bytes]) -> None:
        """Give the ids of a batch back that was not committed."""
        for short in ids:
            self._ids.pop(short, None)

    def forget_oldest(self) -> None:
        """Keep the memory bounded; called between batches."""
        excess = len(self._ids) - self._most
        if excess > 0:
            for short in list(islice(self._ids, excess)):
                del self._ids[short]

    async def load(self, streams: Streams, topic: str, partition: int, *, partitions: int) -> None:
        """Read back what was accepted from a partition that has just been assigned.

        ``partitions`` is how many the topic ``accepted`` has: the ids lie in one of them.
        """
        key = _key(topic, partition)
        async for record in streams.read(TOPIC, partition=key_hash(key) % partitions):
            if record.key == key and record.value:
                value = record.value
                for start in range(0, len(value), ID_BYTES):
                    self._ids[value[start : start + ID_BYTES]] = None
                self.forget_oldest()


def _key(topic: str, partition: int) -> bytes:
    return f"{topic}/{partition}".encode()


@lru_cache(maxsize=4096)
def _person(publisher: str) -> bytes:
    # BLAKE2's personalisation keeps two publishers' ids apart; 16 bytes is its length.
    return blake2b(publisher.encode(), digest_size=16).digest()

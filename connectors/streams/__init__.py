"""The streams port: topics of keyed records, read in groups, written in transactions.

One group member reads a :class:`Batch` of one partition at a time and answers it
with :meth:`Group.commit`, which appends the outgoing records **and** moves the
group's offset, or does neither. Two adapters stand behind it, and one contract
suite (``tests/contract/test_streams.py``) holds them to the same behaviour:

* ``sqlite:PATH``: embedded: one SQLite file, several processes on one machine;
* ``kafka://HOST:PORT[,HOST:PORT…]``: Apache Kafka.

What every adapter keeps:

* records of one key are in one partition, in the order in which they were appended;
* what was not committed is seen by nobody, what was committed is seen once;
* a member whose partition has moved cannot commit (:class:`Fenced`), however late
  it wakes; what it held is given to the new owner;
* a record larger than the limit is refused before anything is appended;
* memory is bounded by the batch limits, not by the backlog.

The port knows nothing of events, agreements or encryption.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import ClassVar, NamedTuple, Protocol, Self
from urllib.parse import urlsplit

from connectors.streams.security import Security
from schemas.errors import ConfigurationError, DeliveryError, RejectedInput

Headers = Sequence[tuple[str, bytes]]
"""Names in order; a name may be repeated."""

DEFAULT_MAX_RECORDS = 2_000
"""Records in a batch: large enough that a transaction's cost hardly shows."""

DEFAULT_MAX_BATCH_BYTES = 2 * 1024 * 1024
"""Bytes of keys, values and headers in a batch. At least one record is always given."""

OPEN_BATCHES = 4
"""A member has at most this many full batches in memory, however many partitions it holds."""

DEFAULT_MAX_RECORD_BYTES = 1_000_000
"""Bytes of one record. Kafka's own default limit is 1,048,588 for a whole record batch."""


class Record(NamedTuple):
    """A record as it lies in a topic. A tuple, since it is made for every event."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    """Milliseconds since the epoch, UTC, at which it was appended."""
    key: bytes | None
    value: bytes | None
    """``None`` is a tombstone: on a compacted topic it removes the key."""
    headers: Headers


class Outgoing(NamedTuple):
    """A record to append. Its partition follows from the key, without one in turn."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


class Batch(NamedTuple):
    """Consecutive records of one partition, given to one group member."""

    topic: str
    partition: int
    records: Sequence[Record]
    next_offset: int
    """Where the group goes on once this batch is committed."""
    assignment: int
    """Which holding of the partition this belongs to: a later one makes it stale."""


OnAssigned = Callable[[str, int], Awaitable[None]]
"""Called with topic and partition when a member has come to hold it, its former
owner is fenced, and nothing of it has been read yet. While it raises
:class:`StreamsUnavailable` it is called again; any other error is raised by ``next``."""


class UnknownTopic(ConfigurationError):
    """A topic was used before it was created."""

    code = "unknown-topic"


class RecordTooLarge(RejectedInput):
    """A record exceeds the limit; nothing of its append was written."""

    code = "record-too-large"

    def __init__(self, topic: str, size_bytes: int, limit_bytes: int) -> None:
        super().__init__(
            f"a record for topic {topic} has {size_bytes} bytes, the limit is {limit_bytes} bytes"
        )
        self.topic = topic
        self.size_bytes = size_bytes
        self.limit_bytes = limit_bytes


class NotCommitted(DeliveryError):
    """The batch was not committed by this call: drop it.

    Whatever the streams did not take is given again, to whoever holds the
    partition then; a commit whose answer was lost is not given again.
    """

    code = "not-committed"


class Fenced(NotCommitted):
    """The partition has moved to another member, or to a later holding of this one."""

    code = "fenced"


class StreamsUnavailable(DeliveryError):
    """The streams did not answer in time."""

    code = "streams-unavailable"


class Group(Protocol):
    """One member of a consumer group.

    At most one batch of a partition is open at a time; batches of different
    partitions may be open together and may be committed concurrently, as long as
    they hold less than :data:`OPEN_BATCHES` times the most records of one.
    """

    name: str

    async def next(self, timeout: float | None = None) -> Batch | None:  # noqa: ASYNC109  a wait that may end with nothing
        """Return the next batch, or ``None`` after ``timeout`` seconds (``None`` waits)."""
        ...

    async def commit(self, batch: Batch, outgoing: Sequence[Outgoing] = ()) -> None:
        """Append ``outgoing`` and move the offset past ``batch``, in one transaction.

        Raises:
            Fenced: the partition has moved; drop the batch.
            NotCommitted: it did not succeed; drop the batch, it is given again if need be.
            RecordTooLarge: nothing was written and the batch is still open.
            UnknownTopic: as above.
        """
        ...

    async def abort(self, batch: Batch) -> None:
        """Give the batch back: it is read again from its first record."""
        ...

    async def subscribe(self, topics: Sequence[str]) -> None:
        """Read these topics from now on, and no others.

        Raises:
            UnknownTopic: one of them does not exist; nothing has changed.
        """
        ...

    def assignment(self) -> frozenset[tuple[str, int]]:
        """The (topic, partition) pairs that this member holds and can read now."""
        ...

    def __aiter__(self) -> AsyncIterator[Batch]:
        """Iterate over batches until the group is closed."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class Streams(Protocol):
    """A place that holds topics. Use it as an async context manager."""

    max_record_bytes: int

    async def create_topics(
        self,
        partitions: Mapping[str, int],
        *,
        compacted: frozenset[str] = frozenset(),
        kept: frozenset[str] = frozenset(),
    ) -> None:
        """Create those topics that do not exist yet, with that many partitions each.

        An existing topic stays as it is. Of the ``compacted`` ones only the last
        record of each key is kept for ever, of the ``kept`` ones every record, which
        counts for more if a topic is named as both; how long the others keep theirs
        is for whoever runs the streams to say.
        """
        ...

    async def topics(self) -> Mapping[str, int]:
        """Return the number of partitions of each topic."""
        ...

    async def append(self, outgoing: Sequence[Outgoing]) -> None:
        """Append all of them or none.

        Raises:
            RecordTooLarge: nothing was written.
            UnknownTopic: nothing was written.
            StreamsUnavailable: the streams did not answer in time.
        """
        ...

    def read(
        self, topic: str, *, partition: int | None = None, start: int = 0, follow: bool = False
    ) -> AsyncIterator[Record]:
        """Yield the committed records of a topic, without a group.

        From offset ``start`` of each partition (or of one) to the end as it was when
        reading began, which includes everything whose append had returned by then;
        with ``follow``, then on and on as records arrive.
        """
        ...

    async def end(self, topic: str) -> Mapping[int, int]:
        """Return for each partition the offset at which the next reader would wait."""
        ...

    async def begin(self, topic: str) -> Mapping[int, int]:
        """Return for each partition the offset before which nothing is kept any longer."""
        ...

    async def remove_before(self, topic: str, partition: int, offset: int) -> None:
        """Remove the records of a partition below an offset, for good.

        What comes after keeps its offset; removing what is gone already is no error. An
        offset beyond the end removes nothing.

        Raises:
            StreamsUnavailable: as much as was asked is not gone yet; ask again.
        """
        ...

    def group(  # noqa: PLR0913  each is a knob that a caller may leave alone
        self,
        name: str,
        topics: Sequence[str],
        *,
        max_records: int = DEFAULT_MAX_RECORDS,
        max_bytes: int = DEFAULT_MAX_BATCH_BYTES,
        on_assigned: OnAssigned | None = None,
        session_timeout: float = 10.0,
    ) -> Group:
        """Join a group: its members share the partitions of the topics out among them.

        A new group begins at the start of the topics. A member that shows no sign of
        life for ``session_timeout`` seconds loses its partitions.
        """
        ...

    async def lag(self, group: str, topics: Sequence[str]) -> int:
        """Return how many records of the topics the group has not committed yet.

        On Kafka the markers of transactions count until they have been passed.
        """
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class UnknownStreams(ConfigurationError):
    """The address is not one of a kind that we know."""

    code: ClassVar[str] = "unknown-streams"


class UnusableStreams(ConfigurationError):
    """What lies at the address cannot be used as streams."""

    code = "unusable-streams"


def open_streams(
    url: str,
    *,
    namespace: str = "",
    max_record_bytes: int = DEFAULT_MAX_RECORD_BYTES,
    security: Security | None = None,
) -> AbstractAsyncContextManager[Streams]:
    """Return the streams at an address, not yet opened: enter them with ``async with``.

    On Kafka, the names of topics and groups begin with ``namespace``, if there is one,
    and callers see them without it. An embedded file is a namespace of its own, and
    ``security`` is for Kafka alone.

    Raises:
        UnusableSecurity: a file for TLS cannot be used.
        UnknownStreams: neither ``sqlite:PATH`` nor ``kafka://HOST:PORT[,HOST:PORT…]``.
    """
    parts = urlsplit(url)
    if parts.scheme == "sqlite" and url != "sqlite:":
        from connectors.streams.embedded import EmbeddedStreams

        path = url.removeprefix("sqlite:")
        return EmbeddedStreams(path, max_record_bytes=max_record_bytes)
    if parts.scheme == "kafka" and parts.netloc:
        from connectors.streams.kafka import KafkaStreams

        return KafkaStreams(
            parts.netloc,
            namespace=namespace,
            max_record_bytes=max_record_bytes,
            security=security,
        )
    raise UnknownStreams(
        "the address of the streams has the form sqlite:PATH or kafka://HOST:PORT[,HOST:PORT]"
    )

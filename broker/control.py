"""What the router knows: the documents of the topic ``control``, and the rules made of them.

Routers build their rules from ``control`` alone, so they keep working when the
register's database is down. The rules are compiled when they are next asked
for, so that a hundred documents that arrive together cost one compilation.

A tombstone changes nothing: what was once read is not forgotten (`agreements.rules`).
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

import structlog

from agreements.rules import Compiler, Rules
from agreements.signed import Version
from broker.freshness import Chain
from connectors.streams import Streams

TOPIC = "control"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Rules, and the position on ``control`` before which every document was known."""

    rules: Rules
    position: int


class ControlState:
    """The documents of ``control`` up to a position, by record key."""

    def __init__(self, compiler: Compiler) -> None:
        self._compiler = compiler
        self._documents: dict[bytes, bytes] = {}
        self._fresh: dict[bytes, bytes] = {}
        self._position = 0
        self._snapshot: Snapshot | None = None
        self.chain = Chain()
        """The hash of all that was read, for the scheme's freshness statements."""

    @property
    def documents(self) -> Mapping[bytes, bytes]:
        """The documents as they were last written."""
        return self._documents

    def apply(self, key: bytes | None, value: bytes | None, offset: int) -> None:
        """Take one record in, at its offset."""
        self.chain.extend(key, value, offset)
        if key is not None and value is not None:
            self._documents[key] = value
            if key in self._fresh:
                self._compile_fresh()  # one text after another: each must be seen
            self._fresh[key] = value
        self._position = offset + 1
        self._snapshot = None

    def snapshot(self) -> Snapshot:
        """Return the rules as of now, compiled anew if a document has come since."""
        if self._snapshot is None:
            self._compile_fresh()
            self._snapshot = Snapshot(self._compiler.rules(), self._position)
        return self._snapshot

    def versions(self) -> tuple[Version, ...]:
        """Return the agreements' versions, as far as they are what they say they are."""
        self._compile_fresh()
        return self._compiler.versions()

    def _compile_fresh(self) -> None:
        self._compiler.apply(self._fresh)
        self._fresh = {}

    async def load(self, streams: Streams, *, before: int | None = None) -> None:
        """Read ``control`` to its end, or only the documents before an offset."""
        async for record in streams.read(TOPIC, start=self._position):
            if before is not None and record.offset >= before:
                break
            self.apply(record.key, record.value, record.offset)

    @contextlib.asynccontextmanager
    async def following(self, streams: Streams) -> AsyncIterator[asyncio.Task[None]]:
        """Keep up with ``control`` in the background; the task ends only by failing."""
        await self.load(streams)
        task = asyncio.create_task(self._follow(streams), name="follow-control")
        try:
            yield task
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _follow(self, streams: Streams) -> None:
        async for record in streams.read(TOPIC, start=self._position, follow=True):
            self.apply(record.key, record.value, record.offset)
            log.info("control document", document=_kind_of(record.key), offset=record.offset)


def _kind_of(key: bytes | None) -> str:
    return (key or b"").partition(b"|")[0].decode(errors="replace")[:32]

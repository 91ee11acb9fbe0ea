"""What an export has of the streams as a whole: `control`, and what they hold no longer."""

from contextlib import suppress
from pathlib import Path

from broker.control import TOPIC as CONTROL
from broker.delivering import DELIVERIES
from broker.evidence.export_lines import line_of, text_of
from broker.freshness import TOPIC as FRESHNESS
from broker.freshness import Statement
from broker.opening import EVENTS
from connectors.streams import Streams
from schemas.keys import BadSignature, VerifyingKey


async def write_control(streams: Streams, to: Path) -> int:
    """Write every document of `control`; return how many there are."""
    count = 0
    with to.open("w", encoding="ascii") as lines:
        async for record in streams.read(CONTROL):
            key, value = text_of(record.key), text_of(record.value)
            lines.write(line_of({"offset": record.offset, "key": key, "value": value}))
            count += 1
    return count


async def newest_statement(streams: Streams, scheme: VerifyingKey) -> str | None:
    """Return the newest that the scheme has said of `control` as a whole, as a JWS.

    Whether it holds is for `verify` to say. None when nothing was ever said.
    """
    if FRESHNESS not in await streams.topics():
        return None
    said: list[tuple[int, str]] = []
    async for record in streams.read(FRESHNESS):
        with suppress(BadSignature, UnicodeDecodeError):
            jws = (record.value or b"").decode("ascii")
            said.append((Statement.open(jws, scheme).issued_at_ms, jws))
    return max(said, key=lambda one: one[0])[1] if said else None


async def topics_cut(streams: Streams) -> set[str]:
    """Return the topics whose oldest records the streams have let go."""
    return {
        topic
        for topic in await streams.topics()
        if topic.startswith((DELIVERIES, EVENTS)) and any((await streams.begin(topic)).values())
    }

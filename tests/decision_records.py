"""What lies on `decisions`, taken apart: what was decided, and what was done besides."""

from broker.acts import Act, is_act, read_act
from broker.routing import DECISIONS
from connectors.streams import Record, Streams


async def decision_records(streams: Streams) -> list[Record]:
    """Return the decision records, in their order."""
    return [one async for one in streams.read(DECISIONS) if not is_act(one.value)]


async def acts_in(streams: Streams) -> list[Act]:
    """Return the acts, in their order."""
    values = [record.value async for record in streams.read(DECISIONS)]
    return [read_act(value) for value in values if value is not None and is_act(value)]

"""What lies on `decisions` besides acts, for tests of what was decided."""

from broker.acts import is_act
from broker.routing import DECISIONS
from connectors.streams import Record, Streams


async def decision_records(streams: Streams) -> list[Record]:
    """Return the decision records, in their order."""
    return [one async for one in streams.read(DECISIONS) if not is_act(one.value)]

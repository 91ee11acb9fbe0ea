"""The rate of a simulation beside the router's own, on the same events in one run.

The router routes the whole backlog, a draft is simulated on what it did, and the router
routes it once more, as another group: what else the machine does meanwhile touches both.
"""

import secrets
import time
from dataclasses import dataclass
from statistics import mean
from typing import Final

from agreements.trying import Trial
from broker.bench.rates import NotAllRouted, Told, prepare, route_all
from broker.bench.world import World, placements
from broker.control import TOPIC as CONTROL
from broker.control import ControlState
from broker.opening import Opening
from broker.periods import Period
from broker.simulating import Simulation, simulate
from connectors.streams import Outgoing, Streams, open_streams

_RECIPIENTS: Final = 3
EVENTS_PER_SECOND: Final = 4_000
"""About what a router does, so that a part takes about as long as asked."""


@dataclass(frozen=True, slots=True)
class Simulated:
    """Events a second, and the simulation's as a ratio of the router's."""

    events: int
    router_per_s: float
    simulated_per_s: float

    def to_json(self) -> dict[str, float]:
        """Return the figures under the names that stay."""
        return {
            "events": self.events,
            "router_per_s": round(self.router_per_s),
            "simulated_per_s": round(self.simulated_per_s),
            "ratio": round(self.simulated_per_s / self.router_per_s, 2),
        }


async def measure_simulating(
    url: str, events: int, told: Told, *, namespace: str = ""
) -> Simulated:
    """Route that many events to three recipients each, and try a new version on them.

    Raises:
        NotAllRouted: an event was not routed, or not simulated.

    """
    agreement = placements(_RECIPIENTS)
    world = World.of(agreement)
    async with open_streams(url, namespace=namespace) as streams:
        await prepare(streams, world)
        documents = dict(world.documents) | world.agree(agreement)
        await streams.append([Outgoing(CONTROL, key, value) for key, value in documents.items()])
        told("publishing the backlog")
        for batch in world.sealed(events):
            await streams.append(batch)
        control = ControlState(world.compiler())
        await control.load(streams)
        group = f"bench-{secrets.token_hex(4)}"
        told("routing")
        routed = [await route_all(streams, world, control, f"{group}-1", events=events)]
        told("simulating")
        began = time.perf_counter()
        simulation = await _simulate(streams, world, f"{group}-1")
        simulated = events / (time.perf_counter() - began)
        permits = sum(flow.would_permit for flow in simulation.gains.flows.values())
        lost = sum(flow.lost.events for flow in simulation.gains.flows.values())
        if permits != events * _RECIPIENTS or lost:
            raise NotAllRouted(f"expected permits of {events} events: {permits}, lost {lost}")
        told("routing again")
        routed.append(await route_all(streams, world, control, f"{group}-2", events=events))
    return Simulated(events, mean(routed), simulated)


async def _simulate(streams: Streams, world: World, group: str) -> Simulation:
    draft = placements(_RECIPIENTS).model_copy(update={"version": 2})
    return await simulate(
        streams,
        lambda: Trial(
            draft,
            world.catalogue,
            scheme_key=world.scheme.public,
            pseudonym_key=lambda recipient: world.broker.derive("pseudonym", recipient),
        ),
        Opening(world.broker, world.catalogue, most_bytes=streams.max_record_bytes),
        period=Period(),
        group=group,
    )

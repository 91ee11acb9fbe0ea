"""The peak memory of a router that works off a large backlog, in a process of its own."""

import asyncio
import json
import resource
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Final

from broker.accepted import ID_BYTES, MOST_IDS
from broker.bench.rates import route_all
from broker.bench.world import World, placements
from connectors.streams import open_streams
from schemas.errors import ConcordatError

_LONGEST_SECONDS: Final = 180
_KB_IN_MB: Final = 1024


class NotMeasured(ConcordatError):
    """The process that was to be measured failed."""

    code = "not-measured"


def router_peak_mb(url: str, world: World, folder: Path, *, events: int, namespace: str) -> float:
    """Route the backlog at ``url`` in a new process; return its peak resident memory in MB.

    It has as many accepted ids in mind as a router ever keeps.

    Raises:
        NotMeasured: the process failed.
    """
    file = folder / "world.json"
    file.touch(mode=0o600)
    file.write_text(json.dumps(world.to_json()))
    arguments = [url, namespace, str(file), str(events)]
    done = subprocess.run(  # noqa: S603  ourselves
        [sys.executable, "-m", __name__, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=_LONGEST_SECONDS,
    )
    if done.returncode:
        raise NotMeasured(f"the router of the memory measurement failed: {done.stderr[-500:]}")
    return float(done.stdout)


async def _route(url: str, world: World, events: int, *, namespace: str) -> None:
    async with open_streams(url, namespace=namespace) as streams:
        group = f"bench-memory-{secrets.token_hex(4)}"
        ids = [secrets.token_bytes(ID_BYTES) for _ in range(MOST_IDS)]
        control = world.control(placements(3))
        await route_all(streams, world, control, group, events=events, accepted=ids)


def main() -> None:
    """Route, then say how much memory it took."""
    import structlog

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    url, namespace, file, events = sys.argv[1:]
    world = World.from_json(json.loads(Path(file).read_text()))
    asyncio.run(_route(url, world, int(events), namespace=namespace))
    sys.stdout.write(f"{peak_mb():.1f}\n")


def peak_mb() -> float:
    """Return the most memory that this process has had, in MB.

    On Linux from its own status: ``ru_maxrss`` goes on over ``exec`` and would tell of
    the process that started this one.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / _KB_IN_MB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _KB_IN_MB


if __name__ == "__main__":
    main()

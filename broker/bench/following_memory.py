"""The peak memory of what follows the decisions, over a small backlog and a large one.

Each is worked off in a process of its own: by the log's worker, and by the query store's.
"""

import asyncio
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from broker.bench.following import append_decisions, follow_into_log, follow_into_store
from broker.bench.memory import NotMeasured, peak_mb
from connectors.streams import open_streams

_LONGEST_SECONDS: Final = 1_200
_WORKERS: Final = ("log", "query_store")


async def following_peaks_mb(
    decisions: tuple[int, ...], folder: Path
) -> dict[str, dict[str, float]]:
    """Return for each worker its peak resident memory in MB, by the size of its backlog.

    Raises:
        NotMeasured: a process failed.

    """
    found: dict[str, dict[str, float]] = {worker: {} for worker in _WORKERS}
    for number in decisions:
        url = f"sqlite:{folder / f'backlog-{number}.db'}"
        async with open_streams(url) as streams:
            await append_decisions(streams, number)
        for worker in _WORKERS:
            found[worker][str(number)] = await asyncio.to_thread(_peak_mb, worker, url)
    return found


def _peak_mb(worker: str, url: str) -> float:
    done = subprocess.run(  # noqa: S603  ourselves
        [sys.executable, "-m", __name__, worker, url],
        capture_output=True,
        text=True,
        check=False,
        timeout=_LONGEST_SECONDS,
    )
    if done.returncode:
        raise NotMeasured(f"the {worker} of the memory measurement failed: {done.stderr[-500:]}")
    return float(done.stdout)


async def _follow(worker: str, url: str) -> None:
    with tempfile.TemporaryDirectory(prefix="concordat-bench-") as folder:
        async with open_streams(url) as streams:
            if worker == "log":
                await follow_into_log(streams, Path(folder))
            else:
                await follow_into_store(streams, f"sqlite:{Path(folder) / 'audit.db'}")


def main() -> None:
    """Work a backlog off, then say how much memory it took."""
    import structlog

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    asyncio.run(_follow(*sys.argv[1:]))
    sys.stdout.write(f"{peak_mb():.1f}\n")


if __name__ == "__main__":
    main()

"""The rate of a simulation beside the router's; no figure is asserted here."""

import json
import subprocess
import sys

from broker.bench.report import tables


def test_a_simulation_is_measured_beside_the_router() -> None:
    """The names are fixed: others read them. In a process of its own, as it calms collection."""
    done = subprocess.run(
        [
            sys.executable, "-c", "from broker.cli.program import main; main()",
            "bench", "--only", "simulate", "--seconds", "0.05", "--json",
        ],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stderr == ""
    result = json.loads(done.stdout)
    found = result["simulate"]["embedded"]
    assert set(found) == {"events", "router_per_s", "simulated_per_s", "ratio"}
    assert found["events"] == 200
    assert min(found.values()) > 0
    (table,) = tables(result)
    assert table.row_count == 1

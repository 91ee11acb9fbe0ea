"""What `concordat bench` measures and how it tells it; no figure is asserted here."""

import json
import os
import platform
import subprocess
import sys
from typing import Any

import pytest
from typer.testing import CliRunner

from broker.bench import deciding
from broker.bench.kafka_process import LocalKafka, Unavailable
from broker.bench.report import tables
from broker.bench.run import PARTS
from broker.cli.program import app

STREAMS = {
    "passthrough_per_s",
    "path_1_recipient_per_s",
    "path_3_recipients_per_s",
    "path_1_ratio",
    "path_3_ratio",
}
STAGES = {
    "envelope", "open", "verify", "scan", "subject", "decide", "cut", "deliver", "seal", "record",
}  # fmt: skip


@pytest.fixture(scope="module")
def measured() -> dict[str, Any]:
    """Measure everything on the embedded streams, as briefly as can be, in a process of its own."""
    done = bench("--only", "embedded,seal,memory,profile", "--seconds", "0.01", "--json")
    assert done.stderr == ""
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a pipe."""
    return subprocess.run(
        [sys.executable, "-c", "from broker.cli.program import main; main()", "bench", *arguments],
        capture_output=True,
        text=True,
        check=True,
    )


def test_the_embedded_streams_have_rates_and_ratios(measured: dict[str, Any]) -> None:
    """The names are fixed: others read them."""
    assert set(measured["streams"]) == {"embedded"}
    assert set(measured["streams"]["embedded"]) == STREAMS
    assert all(value > 0 for value in measured["streams"]["embedded"].values())


def test_what_ran_the_code_is_told(measured: dict[str, Any]) -> None:
    """Figures of one Python do not hold for another."""
    assert measured["python"]["version"] == platform.python_version()
    is_pure = os.environ.get("CONCORDAT_TEST_PURE") == "1"
    assert not (is_pure and measured["python"]["compiled"])
    (caption,) = {table.caption for table in tables(measured)} - {None}
    assert str(caption).startswith(f"Python {platform.python_version()}")


def test_sealing_and_memory_are_numbers(measured: dict[str, Any]) -> None:
    """Microseconds and megabytes."""
    assert measured["seal_us"] > 0
    assert measured["open_us"] > 0
    assert measured["router_peak_mb"] > 0


def test_the_profile_tells_each_stage_for_one_and_three_recipients(
    measured: dict[str, Any],
) -> None:
    """Where the time goes, and the whole beside it."""
    assert set(measured["profile"]) == {"1", "3"}
    for stages in measured["profile"].values():
        assert set(stages) >= STAGES
        assert stages["routed"] > 0


def test_what_was_not_asked_for_is_not_told(measured: dict[str, Any]) -> None:
    """No figure is made up for a part that did not run."""
    assert "decide_us" not in measured
    assert "cedarpy_us" not in measured


def test_tables_tell_whatever_was_measured(measured: dict[str, Any]) -> None:
    """One table for rates, one for steps, one for the profile."""
    assert len(list(tables(measured))) == 3
    assert list(tables({"streams": {}})) == []


def test_decisions_are_measured_with_more_and_more_agreements(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Those of other towns are loaded beside, and every event is permitted."""
    monkeypatch.setattr(deciding, "_TURNS", 2)
    found = deciding.decide_us((1, 8))
    assert set(found) == {1, 8}
    assert min(found.values()) > 0


def test_cedarpy_decides_the_same_beside_it() -> None:
    """One policy for each agreement; it must allow what we permit."""
    pytest.importorskip("cedarpy")
    assert set(dict(deciding.cedarpy_us((50,)))) == {50}


def test_stopping_is_timed_from_the_append_to_the_last_delivery() -> None:
    """A suspension and a revocation, with a router as a process and events all the time."""
    done = bench("--only", "stopping", "--seconds", "0.01", "--json")
    found = json.loads(done.stdout)["stopping"]
    assert set(found) == {"embedded"}
    told = found["embedded"]
    assert (told["routers"], told["tries"]) == (1, 2)
    assert told["events_per_s"] > 0
    for kind in ("suspend", "revoke"):
        assert 0 <= told[kind]["p50_ms"] <= told["max_ms"]
        assert told[kind]["p50_ms"] <= told["from_submit"][kind]["p50_ms"]
    assert len(list(tables({"streams": {}, "stopping": found}))) == 1


def test_the_log_and_the_query_store_are_measured_beside_the_router() -> None:
    """Their rates as so many times the router's, their memory by backlog, and answers."""
    done = bench("--only", "audit", "--seconds", "0.01", "--json")
    found = json.loads(done.stdout)["audit"]
    following = found["following"]["embedded"]
    assert following["router_per_s"] > 0
    assert following["route_per_s"] > 0
    for worker in ("log", "sqlite"):
        assert min(following[worker].values()) > 0
    peaks = found["following_peak_mb"]
    assert {name: set(sizes) for name, sizes in peaks.items()} == {
        "log": {"100", "2000"},
        "query_store": {"100", "2000"},
    }
    assert found["sqlite"]["decisions"] == 1000
    assert found["sqlite"]["median_ms"] <= found["sqlite"]["p99_ms"]
    assert found["sqlite"]["first_ms"] > 0
    assert len(list(tables({"streams": {}, "audit": found}))) == 3


def test_an_unknown_part_is_refused() -> None:
    """With the names of those there are."""
    result = CliRunner().invoke(app, ["bench", "--only", "nonsense"])
    assert result.exit_code == 2
    assert all(part in result.output.replace("\n", " ") for part in PARTS[:2])


def test_where_no_kafka_is_to_be_had_the_rest_is_measured_and_it_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Java or Maven may be missing."""

    def missing(_: object) -> None:
        raise Unavailable("there is no java on the path")

    for name in ("CONCORDAT_STREAMS", "CONCORDAT_TEST_KAFKA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(LocalKafka, "__init__", missing)
    result = CliRunner().invoke(app, ["bench", "--only", "kafka", "--seconds", "0.01", "--json"])
    assert result.exit_code == 0
    assert json.loads(result.stdout)["streams"] == {}
    assert "there is no java on the path" in result.stderr

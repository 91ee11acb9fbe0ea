"""On a disk that is really full nothing untrue is signed, and nothing is lost.

A small file system in memory is mounted for each test, in a namespace of its own; where
that is not allowed, the tests are skipped and say so.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

_MOUNTED = 'mount -t tmpfs -o size=2m none "$1" && shift && exec "$@"'
_SCRIPT = Path(__file__).parents[2] / "full_disk.py"


@pytest.fixture
def small_disk(tmp_path: Path) -> Path:
    """Return where a small file system can be mounted."""
    place = tmp_path / "disk"
    place.mkdir()
    try:
        done = subprocess.run(
            ["unshare", "-rm", "sh", "-c", _MOUNTED, "-", place, "true"],
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        pytest.skip("no file system can be mounted: there is no `unshare`")
    if done.returncode:
        pytest.skip(f"no file system can be mounted: {done.stderr.strip()}")
    return place


def on(disk: Path, *what: object) -> Any:
    """Do something with a small disk; returns what it tells."""
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", _MOUNTED, "-", disk, sys.executable, _SCRIPT, disk]
        + [str(one) for one in what],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("room_bytes", [0, 30_000, 90_000, 160_000])
def test_a_full_disk_stops_the_log_and_signs_nothing_untrue(
    small_disk: Path, room_bytes: int
) -> None:
    """With room again it comes out byte for byte as it would have."""
    told = on(small_disk, "write", room_bytes)
    assert "no room is left on the disk for the log" in told["said"]
    assert told["problems_when_full"] == []
    assert told["signed_when_full"] < told["signed"]
    assert told["is_the_same"]


def test_a_shredding_waits_for_room(small_disk: Path) -> None:
    """No checkpoint stands over an act that is not done; then it is, and nothing is left."""
    told = on(small_disk, "shred")
    assert "no room is left on the disk for the log" in told["said"]
    assert told["acts_signed_when_full"] == 0
    assert set(told["codes_when_full"]) <= {"shredded-without-act"}
    assert told["problems"] == []
    assert told["shredded"] > 0


def test_archiving_takes_nothing_away_before_it_is_written(small_disk: Path) -> None:
    """What did not fit is in the log's folder as before, and no half of an archive is left."""
    told = on(small_disk, "archive")
    assert told["said"] == "No space left on device"
    assert told["problems_when_full"] == []
    assert told["archives_when_full"] == []
    assert told["problems"] == []
    assert told["archives"]


def test_the_service_goes_on_by_itself_once_there_is_room(small_disk: Path) -> None:
    """It says once what it waits for."""
    told = on(small_disk, "follow")
    assert told["waited_for"] == ["no-room"]
    assert told["signed"] == told["decided"]
    assert told["problems"] == []

"""A reader of logs that is not ours: `tests/services/tlog`, in Go, built once."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

SOURCE = Path(__file__).parent / "tlog"
BINARY = Path(__file__).parents[2] / ".cache" / "test-tlog" / "tlog"


def read_log(folder: Path, *vkeys: str) -> dict[str, Any]:
    """Return what the client says of a log's folder; fails when it does not verify."""
    done = subprocess.run([_binary(), folder, *vkeys], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def _binary() -> Path:
    newest = max(path.stat().st_mtime for path in SOURCE.iterdir())
    if not BINARY.exists() or BINARY.stat().st_mtime < newest:
        go = shutil.which("go")
        if go is None:
            pytest.skip("no Go on the path: the client that is not ours cannot be built")
        BINARY.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run([go, "build", "-o", BINARY, "."], cwd=SOURCE, check=True)
    return BINARY

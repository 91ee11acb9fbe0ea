"""Run ``concordat`` as its users do: another process, its output in pipes."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

CONCORDAT = Path(sys.executable).with_name("concordat")


def concordat(
    *arguments: object,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> "subprocess.CompletedProcess[str]":
    """Run a command; with ``folder`` on the scheme in it. Returns whatever it did."""
    place = ["--dir", str(folder)] if folder else []
    return subprocess.run(
        [str(CONCORDAT), *map(str, arguments), *place],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env=clean_environment(environment),
    )


def answer(*arguments: object, **how: Any) -> Any:
    """Run a command with ``--json`` that must succeed; returns its answer."""
    done = concordat(*arguments, "--json", **how)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def clean_environment(changes: Mapping[str, str] | None) -> dict[str, str]:
    """Return the environment without settings of the one who runs the tests."""
    kept = {n: v for n, v in os.environ.items() if not n.startswith("CONCORDAT_")}
    return kept | dict(changes or {})

"""Run ``concordat`` as its users do: another process, its output in pipes."""

import contextlib
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest import mock

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


def concordat_here(
    *arguments: object,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> "subprocess.CompletedProcess[str]":
    """Run a command in this process: as `concordat`, in a tenth of the time.

    For tests of what a command answers; that a command works as its users start it is for
    others to show.
    """
    from broker.cli.program import main

    line = ["concordat", *map(str, arguments), *(["--dir", str(folder)] if folder else [])]
    out, err, status = io.StringIO(), io.StringIO(), 0
    with (
        mock.patch.object(sys, "argv", line),
        mock.patch.dict(os.environ, clean_environment(environment), clear=True),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as end:
            status = int(end.code or 0)
    return subprocess.CompletedProcess(line, status, out.getvalue(), err.getvalue())


def answer_here(*arguments: object, **how: Any) -> Any:
    """Run a command with ``--json`` in this process, which must succeed; returns its answer."""
    done = concordat_here(*arguments, "--json", **how)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def follow_tour(page: Path, folder: Path) -> str:
    """Run what stands under ``<!-- tour -->`` on a page, in one shell; returns what it prints."""
    text = page.read_text(encoding="utf-8")
    script = "\n".join(re.findall(r"<!-- tour -->\n```sh\n(.*?)```", text, re.DOTALL))
    path = f"{CONCORDAT.parent}{os.pathsep}{os.environ['PATH']}"
    followed = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env=clean_environment({"PATH": path}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert followed.returncode == 0, f"{followed.stdout}{followed.stderr}"
    return followed.stdout

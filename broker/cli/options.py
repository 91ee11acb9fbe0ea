"""What several commands take, in the same words."""

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from broker.settings import Settings, read_settings

Dir = Annotated[
    Path, typer.Option("--dir", envvar="CONCORDAT_DIR", help="The scheme's folder.", metavar="DIR")
]
Json = Annotated[bool, typer.Option("--json", help="Answer as one JSON document.")]
By = Annotated[
    str | None,
    typer.Option(help="Who asks or acts: recorded. Default: the user of the machine."),
]
Reason = Annotated[
    str,
    typer.Option(
        metavar="TEXT",
        help="Why you ask, or the reference of the case: recorded for ever, so name no person.",
    ),
]

HERE = Path()


def settings_of(folder: Path) -> Settings:
    """Read the settings of the scheme in ``folder``, the environment above them."""
    return read_settings(folder, os.environ)


def print_json(document: Any) -> None:
    """Print one JSON document; keys as they come, so that a reader sees the order meant."""
    sys.stdout.write(json.dumps(document, ensure_ascii=False, indent=2) + "\n")

"""``concordat demo``."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from broker.cli.options import Json, print_json


def register(app: typer.Typer) -> None:
    """Add the command to ``concordat``."""
    app.command("demo")(demo)


def demo(
    source: Annotated[
        Path | None,
        typer.Option(
            "--input", exists=True, file_okay=False, help="A folder with an SSDA903 return."
        ),
    ] = None,
    folder: Annotated[
        Path, typer.Option("--dir", metavar="DIR", help="Where the demo's scheme is made.")
    ] = Path("demo-data"),
    streams: Annotated[
        str,
        typer.Option(envvar="CONCORDAT_STREAMS", help="sqlite:PATH or kafka://host:port."),
    ] = "sqlite:streams.db",
    as_json: Json = False,
) -> None:
    """Play the main job from end to end, as a story or as one JSON object."""
    from rich.console import Console

    from broker.demo.play import play
    from broker.logs import configure_logs
    from broker.settings import LogSettings

    configure_logs(LogSettings(level="error", json_lines=False))
    console = Console(highlight=False)
    result = asyncio.run(
        play(folder, streams=streams, source=source, console=console, story=not as_json)
    )
    if as_json:
        print_json(result)

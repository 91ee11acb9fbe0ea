"""``concordat run``."""

import asyncio
import signal
import sys
from typing import Annotated

import typer

from broker.cli.options import HERE, Dir, Json, print_json, settings_of


def register(app: typer.Typer) -> None:
    """Add the command to ``concordat``."""
    app.command("run")(run)


def run(
    folder: Dir = HERE,
    until_idle: Annotated[
        bool, typer.Option("--until-idle", help="End when nothing is left to route.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Run the service: route what is published until stopped (SIGINT or SIGTERM)."""
    from broker.logs import configure_logs
    from broker.scheme import SchemeFolder

    settings = settings_of(folder)
    scheme = SchemeFolder(settings)
    # With an answer on standard output, the log goes beside it.
    configure_logs(settings.logs, stream=sys.stderr if until_idle or as_json else None)

    async def work() -> dict[str, int]:
        async with scheme.streams() as streams:
            service = scheme.service(streams)
            loop = asyncio.get_running_loop()
            for name in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(name, service.stop)
            await service.run(until_idle=until_idle)
            return dict(sorted(service.tally.items()))

    tally = asyncio.run(work())
    if as_json:
        print_json({"tally": tally})
    elif until_idle:
        for what, number in tally.items():
            typer.echo(f"{number:8} {what}")

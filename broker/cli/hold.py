"""``concordat hold`` and ``concordat status``."""

import asyncio
import time
from typing import Any

import typer

from broker.cli.options import HERE, Dir, Json, print_json, settings_of

hold_app = typer.Typer(help="What waits for a suspension to end.", no_args_is_help=True)

_BECOMES = {
    "release": "is being released",
    "purge": "is being purged",
    "review": "goes before a person",
    "deny": "is being denied",
}

_THEN = {"review": "goes before a person", "deny": "is denied"}


def register(app: typer.Typer) -> None:
    """Add the commands to ``concordat``."""
    app.add_typer(hold_app, name="hold")
    app.command("status")(status)


@hold_app.command("list")
def list_held(folder: Dir = HERE, as_json: Json = False) -> None:
    """Tell what is held: for which suspension, how much, until when."""
    from broker.scheme import SchemeFolder
    from broker.waiting import what_waits

    scheme = SchemeFolder(settings_of(folder))

    async def work() -> list[dict[str, Any]]:
        async with scheme.streams() as streams:
            control = scheme.control()
            await control.load(streams)
            at_us = time.time_ns() // 1000
            return await what_waits(streams, control, scheme.copies, at_us=at_us)

    found = asyncio.run(work())
    if as_json:
        print_json({"held": found, "total": sum(one["held"] for one in found)})
        return
    if not found:
        typer.echo("nothing is held")
        return
    for one in found:
        typer.echo(one["agreement"])
        typer.echo(f"  suspended by {one['party'] or 'nobody that we know'} since {one['since']}")
        for recipient, number in one["recipients"].items():
            typer.echo(f"  {number} held for {recipient}")
        typer.echo(f"  {_becomes(one)}")


def _becomes(held: dict[str, Any]) -> str:
    if held["becomes"] is not None:
        return _BECOMES[held["becomes"]]
    then = f", then {_THEN[held['then']]}" if held["then"] else ""
    return f"waits until {held['until']}{then}"


def status(folder: Dir = HERE, as_json: Json = False) -> None:
    """Tell whether routers may go by the rules, and how much waits for them."""
    from broker.scheme import SchemeFolder
    from broker.status import status_of

    scheme = SchemeFolder(settings_of(folder))

    async def work() -> dict[str, Any]:
        async with scheme.streams() as streams:
            return await status_of(scheme, streams)

    found = asyncio.run(work())
    if as_json:
        print_json(found)
    else:
        typer.echo(found["rules"]["sentence"])
        typer.echo(f"{found['waiting']} events wait to be routed")
        typer.echo(f"{found['held']} are held by suspensions")
        typer.echo(f"{found['retractions']} retractions have still to be told to who had the event")
        _say_behind("the log", found["log"])
        _say_behind("the query store", found["query_store"])
    raise typer.Exit(0 if found["rules"]["standing"] == "fresh" else 1)


def _say_behind(what: str, found: dict[str, Any] | None) -> None:
    if found is None:
        return
    if "problem" in found:
        typer.echo(f"{what} cannot be used: {found['problem']}")
        return
    behind = "how many are missing is in an archive that is not here"
    if found["behind"] is not None:
        behind = f"{found['behind']} decisions and acts behind"
    typer.echo(f"{what} has {found['entries']} entries, {behind}")
    if found.get("gap"):
        typer.echo(found["gap"])

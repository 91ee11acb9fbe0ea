"""``concordat publish`` and ``concordat receive``."""

import asyncio
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from broker.cli.options import HERE, Dir, Json, print_json, settings_of

_SHOWN_IDS: Final = 10


def register(app: typer.Typer) -> None:
    """Add the commands to ``concordat``."""
    app.command("publish")(publish)
    app.command("receive")(receive)


def publish(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SOURCE",
            exists=True,
            help="A JSON Lines file of events, or a folder with an SSDA903 return.",
        ),
    ],
    as_party: Annotated[str, typer.Option("--as", help="The party that publishes.")],
    local_authority: Annotated[
        str, typer.Option(help="GSS code of the council whose return it is.")
    ] = "",
    folder: Dir = HERE,
    as_json: Json = False,
) -> None:
    """Publish events for a party: sign them, seal them to the broker, put them on its topic."""
    from broker.edge import open_source, publish_source
    from broker.scheme import SchemeFolder

    scheme = SchemeFolder(settings_of(folder))
    outcomes = open_source(source, local_authority=local_authority)

    async def work() -> tuple[tuple[str, ...], list[dict[str, Any]]]:
        async with scheme.streams() as streams:
            return await publish_source(scheme, streams, outcomes, party=as_party)

    ids, rejected = asyncio.run(work())
    if as_json:
        print_json({"published": len(ids), "rejected": rejected, "ids": ids})
    else:
        _say_published(ids, rejected)
    raise typer.Exit(1 if rejected else 0)


def _say_published(ids: tuple[str, ...], rejected: list[dict[str, Any]]) -> None:
    for problem in rejected:
        typer.echo(problem["message"], err=True)
    rows = list(ids[:_SHOWN_IDS])
    if len(ids) > _SHOWN_IDS:
        rows.append(f"… and {len(ids) - _SHOWN_IDS} more")
    rows.append(f"published {len(ids)}, rejected {len(rejected)}")
    # One write: who takes the first id and goes away must not make the rest look undone.
    typer.echo("\n".join(rows))


def receive(
    as_party: Annotated[str, typer.Option("--as", help="The party that receives.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder of the JSON Lines file; default DIR/received.")
    ] = None,
    folder: Dir = HERE,
    as_json: Json = False,
) -> None:
    """Open what has been delivered to a party and append it to its JSON Lines file."""
    from broker.edge import receive_all
    from broker.scheme import SchemeFolder

    scheme = SchemeFolder(settings_of(folder))
    target = out or folder / "received"

    async def work() -> tuple[int, int]:
        async with scheme.streams() as streams:
            return await receive_all(scheme, streams, party=as_party, folder=target)

    opened, unopened = asyncio.run(work())
    file = target / f"{as_party}.jsonl"
    if as_json:
        print_json({"opened": opened, "unopened": unopened, "file": str(file)})
    else:
        missed = f"; {unopened} did not open, see {as_party}.unopened.jsonl" if unopened else ""
        typer.echo(f"opened {opened} into {file}{missed}")
    raise typer.Exit(1 if unopened else 0)

"""``concordat counts``: what parties have counted themselves, stated under their own keys."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from broker.cli.options import HERE, Dir, Json, print_json, settings_of

counts_app = typer.Typer(
    help="What parties count of what they sign and open, for the auditor.", no_args_is_help=True
)


def register(app: typer.Typer) -> None:
    """Add the commands to ``concordat``."""
    app.add_typer(counts_app, name="counts")


@counts_app.command("sign")
def sign(
    as_party: Annotated[
        list[str] | None,
        typer.Option("--as", help="A party that states; default every one that counted here."),
    ] = None,
    folder: Dir = HERE,
    as_json: Json = False,
) -> None:
    """Sign what was counted since the last time and state it on the topic `counts`."""
    from broker.scheme import SchemeFolder
    from connectors.counting import publish_statements

    scheme = SchemeFolder(settings_of(folder))
    parties = as_party or _counting(scheme.path / "parties")

    async def work() -> dict[str, int]:
        async with scheme.streams() as streams:
            return {
                party: await publish_statements(
                    scheme.ledger(party),
                    streams,
                    scheme.party_keys(party).signing[0],
                    scheme=scheme.scheme_key.kid,
                    party=party,
                    at=datetime.now(UTC),
                )
                for party in parties
            }

    stated = asyncio.run(work())
    if as_json:
        print_json({"stated": stated})
        return
    for party, number in stated.items():
        typer.echo(f"{party}: {number} statement{'' if number == 1 else 's'}")


def _counting(folder: Path) -> list[str]:
    return sorted(path.parent.name for path in folder.glob("*/counts.db"))

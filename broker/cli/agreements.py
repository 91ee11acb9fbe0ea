"""``concordat agreement``."""

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer

from broker.cli.files import read_limited
from broker.cli.options import HERE, Dir, Json, print_json, settings_of
from broker.cli.publishing import say_waiting
from broker.cli.signatories import SENIOR, Capacity, Name, Post, now, signatory

agreement_app = typer.Typer(
    help="Agreements: write, check, sign, change, stop.", no_args_is_help=True
)

File = Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, readable=True)]


def register(app: typer.Typer) -> None:
    """Add the commands to ``concordat``."""
    app.add_typer(agreement_app, name="agreement")


@agreement_app.command("put")
def put(
    file: File,
    sign_as: Annotated[
        list[str] | None,
        typer.Option(help="Accept it for this party, whose keys are here; may be repeated."),
    ] = None,
    name: Name = "",
    post: Post = SENIOR,
    capacity: Capacity = "SIRO",
    folder: Dir = HERE,
    as_json: Json = False,
) -> None:
    """Put an agreement into the scheme; it flows between the parties that accepted it."""
    from agreements.reading import read_agreement
    from broker.administration import put_agreement, sign_agreement
    from broker.register import reaching
    from broker.scheme import SchemeFolder

    scheme = SchemeFolder(settings_of(folder))
    agreement = read_agreement(read_limited(file), name=str(file))
    parties = sign_as or []

    async def work() -> str:
        async with reaching(scheme) as streams:
            sha256 = await put_agreement(scheme, streams, agreement, name=str(file))
            for party in parties:
                who = signatory(party, name, post, capacity, None)
                await sign_agreement(
                    scheme, streams, agreement, party=party, signatory=who, at=now()
                )
        return sha256

    sha256 = asyncio.run(work())
    if as_json:
        print_json(
            {
                "agreement": agreement.id,
                "version": agreement.version,
                "sha256": sha256,
                "accepted_by": parties,
            }
        )
    else:
        typer.echo(f"{agreement.id} version {agreement.version}, SHA-256 {sha256}")
        typer.echo(f"accepted now by: {', '.join(parties) or 'nobody'}")
    say_waiting(scheme)


@agreement_app.command("list")
def list_agreements(
    folder: Dir = HERE,
    as_json: Json = False,
) -> None:
    """Show the agreements of the scheme, and where each party stands."""
    from broker.administration import standings
    from broker.register import reaching
    from broker.scheme import SchemeFolder

    scheme = SchemeFolder(settings_of(folder))

    async def work() -> list[dict[str, Any]]:
        async with reaching(scheme) as streams:
            return await standings(scheme, streams)

    found = asyncio.run(work())
    if as_json:
        print_json({"agreements": found})
        return
    for agreement in found:
        typer.echo(f"{agreement['agreement']} version {agreement['version']}: {agreement['title']}")
        for party, standing in agreement["standing"].items():
            typer.echo(f"  {party:32} {standing}")

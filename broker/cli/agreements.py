"""``concordat agreement``."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from broker.cli.options import HERE, Dir, Json, print_json, settings_of

agreement_app = typer.Typer(help="Agreements: check, put, revoke.", no_args_is_help=True)

File = Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, readable=True)]
Name = Annotated[str, typer.Option("--name", help="Who signs.")]
Post = Annotated[str, typer.Option("--post", help="Their post.")]
Capacity = Annotated[
    str, typer.Option("--capacity", help="What entitles them, such as SIRO or CALDICOTT_GUARDIAN.")
]


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
    post: Post = "Senior Information Risk Owner",
    capacity: Capacity = "SIRO",
    folder: Dir = HERE,
    as_json: Json = False,
) -> None:
    """Put an agreement into the scheme; it flows between the parties that accepted it."""
    from agreements.reading import read_agreement
    from agreements.signatures import Signatory
    from broker.administration import put_agreement, sign_agreement
    from broker.scheme import SchemeFolder

    scheme = SchemeFolder(settings_of(folder))
    agreement = read_agreement(file.read_bytes(), name=str(file))
    parties = sign_as or []

    async def work() -> str:
        async with scheme.streams() as streams:
            sha256 = await put_agreement(scheme, streams, agreement, name=str(file))
            for party in parties:
                signatory = Signatory(
                    name=name or f"Signatory of {party}", post=post, capacity=capacity
                )
                await sign_agreement(
                    scheme, streams, agreement, party=party, signatory=signatory, at=_now()
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


@agreement_app.command("revoke")
def revoke(
    agreement_id: Annotated[str, typer.Argument(metavar="ID", help="The agreement's address.")],
    as_party: Annotated[str, typer.Option("--as", help="The party that revokes.")],
    reason: Annotated[str, typer.Option(help="Why; it is signed with the revocation.")],
    version: Annotated[int | None, typer.Option(help="Default: the latest.")] = None,
    name: Name = "",
    post: Post = "Senior Information Risk Owner",
    capacity: Capacity = "SIRO",
    folder: Dir = HERE,
    as_json: Json = False,
) -> None:
    """Revoke an agreement for a party: nothing more flows to it or from it. It is final."""
    from agreements.signatures import Signatory, SignatureType
    from broker.administration import find_agreement, sign_agreement
    from broker.scheme import SchemeFolder

    scheme = SchemeFolder(settings_of(folder))

    async def work() -> int:
        async with scheme.streams() as streams:
            agreement = await find_agreement(scheme, streams, agreement_id, version)
            signatory = Signatory(
                name=name or f"Signatory of {as_party}", post=post, capacity=capacity
            )
            await sign_agreement(
                scheme,
                streams,
                agreement,
                party=as_party,
                signatory=signatory,
                at=_now(),
                kind=SignatureType.REVOKE,
                reason=reason,
            )
            return agreement.version

    revoked = asyncio.run(work())
    if as_json:
        print_json({"agreement": agreement_id, "version": revoked, "revoked_by": as_party})
    else:
        typer.echo(f"{agreement_id} version {revoked} is revoked by {as_party}.")


@agreement_app.command("list")
def list_agreements(
    folder: Dir = HERE,
    as_json: Json = False,
) -> None:
    """Show the agreements of the scheme, and where each party stands."""
    from broker.administration import standings
    from broker.scheme import SchemeFolder

    scheme = SchemeFolder(settings_of(folder))

    async def work() -> list[dict[str, Any]]:
        async with scheme.streams() as streams:
            return await standings(scheme, streams)

    found = asyncio.run(work())
    if as_json:
        print_json({"agreements": found})
        return
    for agreement in found:
        typer.echo(f"{agreement['agreement']} version {agreement['version']}: {agreement['title']}")
        for party, standing in agreement["standing"].items():
            typer.echo(f"  {party:32} {standing}")


def _now() -> datetime:
    """The time of signing, to the millisecond that the statement carries."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)

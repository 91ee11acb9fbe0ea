"""``concordat init`` and ``concordat party``."""

import asyncio
import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

import typer

from broker.cli.options import HERE, Dir, Json, WrongUse, print_json, settings_of
from broker.cli.publishing import say_waiting
from broker.settings import FILE_NAME
from schemas.errors import ConcordatError

party_app = typer.Typer(help="The organisations of the scheme.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands to ``concordat``."""
    app.command("init")(init)
    app.add_typer(party_app, name="party")


def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where the scheme is to live.")],
    name: Annotated[str, typer.Option(help="The scheme's name.")] = "Concordat scheme",
    streams: Annotated[
        str,
        typer.Option(
            envvar="CONCORDAT_STREAMS",
            help="sqlite:PATH, or kafka://host:port[,host:port].",
        ),
    ] = "sqlite:streams.db",
) -> None:
    """Make a new scheme: settings, keys and streams."""
    from broker.administration import found_scheme, prepare_streams

    scheme = found_scheme(folder, name=name, streams=streams)

    async def prepare() -> None:
        async with scheme.streams() as opened:
            await prepare_streams(scheme, opened)

    try:
        asyncio.run(prepare())
    except ConcordatError:
        # Without its topics it is no scheme: leave the folder to the next try.
        (folder / FILE_NAME).unlink()
        shutil.rmtree(folder / "keys")
        for file in folder.glob("store.db*"):
            file.unlink()
        raise
    typer.echo(
        f"The scheme is in {folder}. Next: concordat party add ID --name NAME --dir {folder}"
    )


@party_app.command("add")
def party_add(
    party: Annotated[str, typer.Argument(metavar="ID", help="Such as anytown-housing.")],
    name: Annotated[str, typer.Option(help="The organisation's name.")],
    regime: Annotated[
        Literal["uk-gdpr", "dpa-part-3"], typer.Option(help="dpa-part-3 is for law enforcement.")
    ] = "uk-gdpr",
    purpose: Annotated[
        list[str] | None,
        typer.Option(help="A purpose that it is registered for; may be repeated."),
    ] = None,
    schema_number: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NUMBER=FINGERPRINT",
            help="A schema of its registry, for payloads in Confluent's framing.",
        ),
    ] = None,
    folder: Dir = HERE,
    as_json: Json = False,
) -> None:
    """Add an organisation: make its keys and have the scheme vouch for it."""
    from broker.administration import PartyDraft, add_party
    from broker.register import reaching
    from broker.scheme import SchemeFolder
    from schemas.control import PARTY_ID

    if re.fullmatch(PARTY_ID, party) is None:
        raise WrongUse(
            f"{party[:80]!r} is no id: expected small letters, digits and hyphens between them,"
            " 64 at most, such as anytown-housing"
        )
    draft = PartyDraft(
        party,
        name,
        regime=regime,
        purposes=tuple(purpose or ()),
        schema_numbers=_numbered(schema_number or ()),
    )
    scheme = SchemeFolder(settings_of(folder))

    async def add() -> str:
        async with reaching(scheme) as streams:
            added = await add_party(scheme, streams, draft)
            return added.verifying_keys()[0].kid

    kid = asyncio.run(add())
    if as_json:
        print_json({"party": party, "signing_key": kid})
    else:
        typer.echo(f"{party} is in the scheme; its private keys are in {folder}/parties/{party}.")
    say_waiting(scheme)


def _numbered(told: Iterable[str]) -> dict[str, str]:
    """Return fingerprint by number."""
    pairs = [pair.partition("=") for pair in told]
    if wrong := [number for number, equals, _ in pairs if not equals]:
        raise WrongUse(f"--schema-number {wrong[0]}: expected NUMBER=FINGERPRINT")
    return {number: fingerprint for number, _, fingerprint in pairs}


@party_app.command("list")
def party_list(
    folder: Dir = HERE,
    as_json: Json = False,
) -> None:
    """Show the organisations of the scheme."""
    from broker.register import PARTIES, open_register, reaching
    from broker.scheme import SchemeFolder

    scheme = SchemeFolder(settings_of(folder))

    async def load() -> list[dict[str, object]]:
        async with reaching(scheme) as streams:
            control = (await open_register(scheme, streams, about=PARTIES)).control
        return [
            {
                "party": party.id,
                "name": party.name,
                "regime": party.regime,
                "purposes": list(party.purposes),
                "state": party.state,
                "assurances": [one.model_dump(mode="json") for one in party.assurances],
            }
            for party in sorted(control.snapshot().rules.parties.values(), key=lambda p: p.id)
        ]

    parties = asyncio.run(load())
    if as_json:
        print_json({"parties": parties})
        return
    for party in parties:
        typer.echo(f"{party['party']:32} {party['name']} ({party['regime']}, {party['state']})")

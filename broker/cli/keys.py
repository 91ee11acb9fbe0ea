"""``concordat key``, and what the scheme says of a party's keys and assurances."""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from broker.cli.files import read_limited
from broker.cli.options import HERE, Dir, Json, day_of, print_json, settings_of
from broker.cli.publishing import say_waiting
from broker.cli.scheme import party_app
from broker.cli.signatories import moment

if TYPE_CHECKING:
    from broker.scheme import SchemeFolder
    from connectors.streams import Streams
    from schemas.control import Party

key_app = typer.Typer(help="The signing keys of parties.", no_args_is_help=True)

PartyId = Annotated[str, typer.Argument(metavar="PARTY", help="Such as anytown-housing.")]
Out = Annotated[Path, typer.Option(help="Where it is written; encrypted if it ends in .jwe.")]
PassphraseFile = Annotated[
    Path | None,
    typer.Option(
        exists=True,
        dir_okay=False,
        help="Holds the passphrase to encrypt it with; default CONCORDAT_KEY_PASSPHRASE.",
    ),
]
Kid = Annotated[str, typer.Option("--kid", help="Which key; see `concordat key list`.")]


def register(app: typer.Typer) -> None:
    """Add the commands to ``concordat``."""
    app.add_typer(key_app, name="key")


@key_app.command("new")
def new(
    out: Out,
    public: Annotated[
        Path | None, typer.Option(help="Where the public half is written, to be sent.")
    ] = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Make a signing key where the party is; only its public half is to leave the machine."""
    from broker.signature_files import write_new, write_signing_key
    from schemas.keys import SigningKey

    key = SigningKey.generate()
    write_signing_key(out, key, _passphrase(passphrase_file))
    if public is not None:
        write_new(public, json.dumps(key.public.to_jwk(), indent=2) + "\n")
    if as_json:
        print_json({"file": str(out), "kid": key.public.kid, "public": key.public.to_jwk()})
    else:
        typer.echo(f"{out} holds the private key {key.public.kid}: guard it.")
        typer.echo("Send the public half; it is made known with `concordat key rotate`.")


@key_app.command("export")
def export(
    party: PartyId,
    out: Out,
    passphrase_file: PassphraseFile = None,
    folder: Dir = HERE,
    as_json: Json = False,
) -> None:
    """Write a party's private signing key into a file, for the machine where the party signs."""
    from broker.acts import Act, ActKind, officer, record_act
    from broker.scheme import SchemeFolder
    from broker.signature_files import write_signing_key

    scheme = SchemeFolder(settings_of(folder))
    key = scheme.party_keys(party).signing[0]
    act = Act(
        ActKind.ADMINISTRATION,
        datetime.now(UTC),
        officer(),
        about=f"private key {key.public.kid} of {party} exported",
    )

    async def record() -> None:
        async with scheme.streams() as streams:
            await record_act(streams, act)

    asyncio.run(record())
    write_signing_key(out, key, _passphrase(passphrase_file))
    if as_json:
        print_json({"file": str(out), "kid": key.public.kid})
    else:
        typer.echo(f"{out} holds the private key {key.public.kid} of {party}: guard it.")


@key_app.command("list")
def list_keys(
    party: PartyId,
    folder: Dir = HERE,
    as_json: Json = False,
) -> None:
    """Show a party's signing keys, the one in use first, and which were stolen."""
    from broker.register import PARTIES, NotThere, open_register

    async def look(scheme: "SchemeFolder", streams: "Streams | None") -> "Party":
        opened = await open_register(scheme, streams, about=PARTIES)
        known = opened.control.snapshot().rules.parties.get(party)
        if known is None:
            raise NotThere(f"there is no party {party}: see `concordat party list`")
        return known

    _, known = _with_streams(folder, look)
    stolen = {key.kid: key.stolen_from.isoformat() for key in known.stolen_keys}
    keys = [{"kid": key.kid, "state": "good"} for key in known.verifying_keys()]
    keys += [{"kid": kid, "state": f"stolen from {since}"} for kid, since in stolen.items()]
    if as_json:
        print_json({"party": party, "keys": keys})
        return
    for key in keys:
        typer.echo(f"{key['kid']}  {key['state']}")


@key_app.command("rotate")
def rotate(
    party: PartyId,
    public: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="The public key that the party made."),
    ] = None,
    folder: Dir = HERE,
    as_json: Json = False,
) -> None:
    """Give a party another signing key; the others stay good until they are retired."""
    from broker.party_changes import add_key
    from broker.signature_files import read_public_key

    key = None if public is None else read_public_key(read_limited(public), name=str(public))
    _change(folder, lambda s, streams: add_key(s, streams, party, key), as_json=as_json)


@key_app.command("retire")
def retire(
    party: PartyId,
    kid: Kid,
    folder: Dir = HERE,
    as_json: Json = False,
) -> None:
    """Take a key away: what was said with it before goes on counting, nothing new does."""
    from broker.party_changes import retire_key

    _change(folder, lambda s, streams: retire_key(s, streams, party, kid), as_json=as_json)


@key_app.command("stolen")
def stolen(
    party: PartyId,
    kid: Kid,
    since: Annotated[
        str, typer.Option("--from", metavar="TIME", help="Such as 2027-01-01T00:00:00Z.")
    ],
    folder: Dir = HERE,
    as_json: Json = False,
) -> None:
    """Report a key stolen: what was said with it from then on does not count."""
    from broker.party_changes import report_stolen

    at = moment(since, "--from")
    assert at is not None  # noqa: S101  it was given
    _change(
        folder,
        lambda s, streams: report_stolen(s, streams, party, kid, stolen_from=at),
        as_json=as_json,
    )


@party_app.command("assurance")
def assurance(
    party: PartyId,
    kind: Annotated[str, typer.Option(help="Such as dspt or cyber-essentials-plus.")],
    since: Annotated[str, typer.Option("--from", metavar="DATE", help="The first day.")],
    until: Annotated[str, typer.Option(metavar="DATE", help="The last day.")],
    reference: Annotated[str | None, typer.Option(help="The certificate's number.")] = None,
    folder: Dir = HERE,
    as_json: Json = False,
) -> None:
    """Note an assurance of a party; flows that require it stop when it lapses."""
    from broker.party_changes import add_assurance
    from schemas.control import Assured

    assured = Assured(
        kind=kind,
        valid_from=day_of("--from", since),
        valid_until=day_of("--until", until),
        reference=reference,
    )
    _change(folder, lambda s, streams: add_assurance(s, streams, party, assured), as_json=as_json)


def _passphrase(file: Path | None) -> str | None:
    if file is None:
        return os.environ.get("CONCORDAT_KEY_PASSPHRASE")
    return file.read_text(encoding="utf-8").strip()


_Work = Callable[["SchemeFolder", "Streams | None"], Awaitable["Party"]]


def _change(folder: Path, work: _Work, *, as_json: bool) -> None:
    scheme, revised = _with_streams(folder, work)
    answer: dict[str, Any] = {
        "party": revised.id,
        "revision": revised.revision,
        "keys": [key.kid for key in revised.verifying_keys()],
    }
    if as_json:
        print_json(answer)
    else:
        typer.echo(f"{revised.id}: revision {revised.revision} is on record.")
        typer.echo(f"It signs with {answer['keys'][0]}.")
    say_waiting(scheme)


def _with_streams(folder: Path, work: _Work) -> "tuple[SchemeFolder, Party]":
    from broker.register import reaching
    from broker.scheme import SchemeFolder

    scheme = SchemeFolder(settings_of(folder))

    async def run() -> "Party":
        async with reaching(scheme) as streams:
            return await work(scheme, streams)

    return scheme, asyncio.run(run())

"""``concordat agreement sign``, ``submit`` and ``status``."""

import asyncio
import json
import os
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from broker.cli.agreements import File, agreement_app
from broker.cli.files import read_limited
from broker.cli.options import HERE, Dir, Json, print_json, settings_of
from broker.cli.publishing import published, say_published
from broker.cli.signatories import (
    SENIOR,
    Capacity,
    DelegationRef,
    EffectiveAt,
    Name,
    Post,
    moment,
    now,
    signatory,
)


def register(_: typer.Typer) -> None:
    """Nothing to add: the commands are part of ``concordat agreement``."""


@agreement_app.command("sign")
def sign(
    file: File,
    key: Annotated[
        Path,
        typer.Option(
            exists=True, dir_okay=False, help="The party's private key: a JWK, or encrypted (.jwe)."
        ),
    ],
    party: Annotated[str, typer.Option(help="The party that signs.")],
    out: Annotated[Path, typer.Option(help="The file to send back.")],
    kind: Annotated[
        str, typer.Option("--type", help="accept, reject, revoke, suspend, resume and so on.")
    ] = "accept",
    name: Name = "",
    post: Post = SENIOR,
    capacity: Capacity = "SIRO",
    delegation_ref: DelegationRef = None,
    reason: Annotated[str | None, typer.Option(help="Why; it is signed.")] = None,
    effective_at: EffectiveAt = None,
    lifts: Annotated[str | None, typer.Option(help="The suspension that a resume lifts.")] = None,
    held: Annotated[
        Literal["release", "purge"] | None,
        typer.Option(help="What becomes, with a resume, of what was held."),
    ] = None,
    review_by: Annotated[
        str | None, typer.Option(help="When, after a review, the next is due.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Sign an agreement where the party is: with the file and the key, and nothing else.

    What is written is to be sent back and put on record with `agreement submit`.
    """
    from agreements.reading import read_agreement
    from broker.saying import Saying, signature_type
    from broker.signature_files import read_signing_key, sign_file, write_new

    agreement = read_agreement(read_limited(file), name=str(file))
    saying = Saying(
        signature_type(kind),
        party,
        signatory(party, name, post, capacity, delegation_ref),
        now(),
        reason=reason,
        effective_at=moment(effective_at, "--effective-at"),
        lifts=lifts,
        held=held,
        review_by=moment(review_by, "--review-by"),
    )
    secret = read_signing_key(key, os.environ.get("CONCORDAT_KEY_PASSPHRASE"))
    signed = sign_file(agreement, secret, saying).model_dump()
    write_new(out, json.dumps(signed, indent=2) + "\n")
    if as_json:
        print_json({"file": str(out), **signed})
        return
    typer.echo(f"{party} says {kind} to {agreement.id} version {agreement.version},")
    typer.echo(f"SHA-256 {signed['sha256']}.")
    typer.echo(f"Send {out} back; it is put on record with `concordat agreement submit {out}`.")


@agreement_app.command("submit")
def submit_file(
    file: File,
    wait: Annotated[
        float, typer.Option(help="Seconds to wait until the scheme has signed that it is there.")
    ] = 5.0,
    folder: Dir = HERE,
    as_json: Json = False,
) -> None:
    """Check a signature file from a party, and put it on record."""
    from broker.register import reaching
    from broker.scheme import SchemeFolder
    from broker.signature_files import LARGEST_BYTES, read_signature_file
    from broker.submitting import Submitted, submit

    scheme = SchemeFolder(settings_of(folder))
    signed = read_signature_file(read_limited(file, largest_bytes=LARGEST_BYTES), name=str(file))

    async def work() -> Submitted:
        async with reaching(scheme) as streams:
            return await published(
                scheme, streams, await submit(scheme, streams, signed.jws), seconds=wait
            )

    done = asyncio.run(work())
    what = {
        "agreement": signed.agreement,
        "version": signed.version,
        "sha256": signed.sha256,
        "party": signed.party,
        "type": signed.type,
    }
    if as_json:
        print_json({**what, **done.to_json()})
        return
    before = "was on record before" if done.was_there else "is on record"
    typer.echo(f"{signed.type} of {signed.agreement} version {signed.version} by {signed.party}")
    typer.echo(f"{before}.")
    say_published(scheme, done)


@agreement_app.command("status")
def status(
    agreement_id: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="One agreement; without it all.")
    ] = None,
    folder: Dir = HERE,
    as_json: Json = False,
) -> None:
    """Show who has signed what, who is late, and whether routers are sure to know it."""
    from broker.register import reaching
    from broker.scheme import SchemeFolder
    from broker.tracking import track

    scheme = SchemeFolder(settings_of(folder))

    async def work() -> dict[str, Any]:
        async with reaching(scheme) as streams:
            return await track(scheme, streams, agreement_id, at=now())

    found = asyncio.run(work())
    if as_json:
        print_json(found)
        return
    for version in found["agreements"]:
        _show(version)
    if not found["control"]["reached"]:
        typer.echo("The streams do not answer: this is what the store knew last.")
    if found["control"]["waiting"]:
        typer.echo(f"{found['control']['waiting']} records wait to be published on control.")


def _show(version: dict[str, Any]) -> None:
    typer.echo(f"{version['agreement']} version {version['version']}: {version['title']}")
    typer.echo(f"  {version['state']}; SHA-256 {version['sha256']}")
    for pair in version["pairs"]:
        waits = f", waits for {' and '.join(pair['waits_for'])}" if pair["waits_for"] else ""
        typer.echo(f"  {pair['publisher']} to {pair['recipient']}: {pair['state']}{waits}")
    for party in version["parties"]:
        late = f"  LATE, was due {party['due_at']}" if party["is_late"] else ""
        who = party["signatory"]
        name = "" if who is None else f"  {who['name']}, {who['post']}"
        typer.echo(f"  {party['party']:32} {party['standing']:9}{late}{name}")
    for one in version["statements"]:
        typer.echo(f"    {one['signed_at']}  {one['type']:8} {one['party']}  {_place(one)}")
        if one["reason"] is not None:
            typer.echo(f"      {one['reason']}")
    for one in version["suspensions"]:
        typer.echo(f"  suspended by {one['party']}, held until {one['held_until']}: {one['id']}")
    for warning in version["warnings"]:
        typer.echo(f"  WARNING: {warning['text']}")


def _place(statement: dict[str, Any]) -> str:
    if statement["offset"] is None:
        return "waits to be published"
    if not statement["covered"]:
        return "on control, not yet in a freshness statement"
    return "on control" if statement["counts"] else "on control, does not count"

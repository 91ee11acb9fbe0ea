"""``concordat agreement read`` and ``concordat agreement diff``."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from broker.cli.agreements import File, agreement_app
from broker.cli.files import read_limited
from broker.cli.options import Json, print_json

if TYPE_CHECKING:
    from agreements.comparing import Comparison
    from agreements.model import Agreement

Old = Annotated[Path, typer.Argument(metavar="OLD", exists=True, dir_okay=False, readable=True)]
New = Annotated[Path, typer.Argument(metavar="NEW", exists=True, dir_okay=False, readable=True)]


def register(_app: typer.Typer) -> None:
    """Add the commands to ``concordat agreement``."""
    agreement_app.command("read")(read_file)
    agreement_app.command("diff")(diff)


def read_file(
    file: File,
    form: Annotated[
        Literal["md", "html", "pdf"], typer.Option("--format", help="Markdown, HTML or PDF.")
    ] = "md",
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Where to write it; default: standard output."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Put an agreement into words that its signatories can read and sign."""
    from agreements.canonical import digest
    from agreements.paper import to_html, to_markdown, write
    from agreements.reading import read_agreement
    from schemas.catalogue import shipped

    if out is None and (form == "pdf" or as_json):
        raise typer.BadParameter("a PDF, or an answer in JSON, needs a file: add --out FILE")
    agreement = read_agreement(read_limited(file), name=str(file))
    _warn(agreement, str(file))
    paper = write(agreement, shipped())
    if form == "pdf":
        from broker.papers import to_pdf

        content = to_pdf(paper)
    else:
        content = (to_markdown(paper) if form == "md" else to_html(paper)).encode()
    if out is None:
        sys.stdout.write(content.decode())
        return
    out.write_bytes(content)
    sha256 = digest(agreement)
    if as_json:
        print_json(
            {
                "agreement": agreement.id,
                "version": agreement.version,
                "sha256": sha256,
                "format": form,
                "out": str(out),
            }
        )
    else:
        typer.echo(f"{out}: {agreement.id} version {agreement.version}, SHA-256 {sha256}")


def _warn(agreement: "Agreement", name: str) -> None:
    """Say when the paper would be signed in vain: nothing runs that does not validate."""
    from agreements.law import validate
    from schemas.catalogue import shipped

    found = [one for one in validate(agreement, shipped()) if one.severity == "error"]
    if found:
        number = f"{len(found)} error{'' if len(found) == 1 else 's'}"
        sys.stderr.write(
            f"concordat: {name} has {number} that must be mended before anybody signs: "
            f"run `concordat agreement validate {name}`\n"
        )


def diff(old: Old, new: New, as_json: Json = False) -> None:
    """Say what a new version widens, narrows or only rewords; exit status 1 when it widens."""
    from agreements.comparing import compare
    from agreements.reading import read_agreement

    before = read_agreement(read_limited(old), name=str(old))
    after = read_agreement(read_limited(new), name=str(new))
    comparison = compare(before, after)
    if as_json:
        print_json(comparison.to_json())
    else:
        _print(comparison)
    raise typer.Exit(1 if comparison.widens else 0)


def _print(comparison: "Comparison") -> None:
    """Print each way that changes go, and in it each recipient whom they concern."""
    for title, changes in (
        ("Widens, so it needs signatures again", comparison.widens),
        ("Narrows", comparison.narrows),
        ("Only rewords", comparison.rewords),
    ):
        for recipient in dict.fromkeys(change.recipient for change in changes):
            typer.echo(f"{title}, for {recipient or 'everybody'}:")
            for change in changes:
                if change.recipient == recipient:
                    typer.echo(f"  {change.text}")
    if not comparison.all:
        typer.echo("Nothing changes.")

"""``concordat agreement import|export``: agreements in the forms of others."""

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from broker.cli.agreements import File, agreement_app
from broker.cli.files import read_limited
from broker.cli.options import Json, print_json

if TYPE_CHECKING:
    from agreements.exchange.results import Exported, Imported


class From(StrEnum):
    """The forms that come in."""

    MAIS = "mais"
    ODRL = "odrl"


class To(StrEnum):
    """The forms that go out."""

    MAIS = "mais"
    ODRL = "odrl"
    CEDAR = "cedar"


Out = Annotated[Path, typer.Option("--out", metavar="FILE", dir_okay=False, help="Where to write.")]


def register(_: typer.Typer) -> None:
    """Nothing to add: the commands are part of ``concordat agreement``."""


@agreement_app.command("import")
def import_file(
    file: File,
    form: Annotated[From, typer.Option("--format", help="MAIS SharingPolicy, or ODRL 2.2.")],
    out: Out,
    as_json: Json = False,
) -> None:
    """Make a draft of somebody else's document, and say what is lost and still to be filled in."""
    from agreements.exchange.results import draft_text
    from agreements.validating import validate_text
    from schemas.catalogue import shipped

    imported = _imported(read_limited(file), name=str(file), form=form)
    head = [f"Draft, imported from {file.name} ({form}). What is still to be filled in:"]
    text = draft_text(imported.document, head=[*head, "concordat agreement validate FILE"])
    if out.suffix == ".json":
        text = json.dumps(imported.document, indent=2, ensure_ascii=False) + "\n"
    out.write_text(text, encoding="utf-8")
    validation = validate_text(text, name=str(out), catalogue=shipped())
    if as_json:
        print_json(
            {
                "out": str(out),
                "format": form,
                "lost": [lost.to_json() for lost in imported.lost],
                "notes": [problem.to_json() for problem in imported.problems],
                **validation.to_json(),
            }
        )
        return
    _tell(file, imported)
    for problem in validation.problems:
        typer.echo(f"{out}: {problem.severity}: {problem}")
    open_ends = sum(problem.severity == "error" for problem in validation.problems)
    typer.echo(f"{out} is a draft: {open_ends} things are still to be filled in")


@agreement_app.command("export")
def export_file(
    file: File,
    form: Annotated[
        To, typer.Option("--format", help="MAIS SharingPolicy, ODRL 2.2 JSON-LD, or Cedar.")
    ],
    out: Out,
    as_json: Json = False,
) -> None:
    """Write an agreement in another form, and list what that form cannot say."""
    exported = _exported(read_limited(file), name=str(file), form=form)
    out.write_text(exported.text, encoding="utf-8")
    if as_json:
        print_json(
            {
                "out": str(out),
                "format": form,
                "lost": [lost.to_json() for lost in exported.lost],
                "problems": [problem.to_json() for problem in exported.problems],
            }
        )
        return
    _tell(file, exported)
    typer.echo(f"{out} says {file} in the form {form}; {len(exported.lost)} parts are lost")


def _imported(text: bytes, *, name: str, form: From) -> "Imported":
    from agreements.exchange.mais_in import import_policy
    from agreements.exchange.odrl_in import import_odrl

    return (import_policy if form is From.MAIS else import_odrl)(text, name=name)


def _exported(text: bytes, *, name: str, form: To) -> "Exported":
    from agreements.exchange.cedar import export_cedar
    from agreements.exchange.mais_out import export_policy
    from agreements.exchange.odrl_out import export_odrl
    from agreements.reading import read_agreement, read_draft
    from schemas.catalogue import shipped

    if form is To.CEDAR:
        return export_cedar(read_agreement(text, name=name), shipped())
    draft = read_draft(text, name=name)
    return export_policy(draft) if form is To.MAIS else export_odrl(draft)


def _tell(file: Path, result: "Imported | Exported") -> None:
    for lost in result.lost:
        typer.echo(f"{file}: lost: {lost}", err=True)
    for problem in result.problems:
        typer.echo(f"{file}: {problem.severity}: {problem}", err=True)

"""``concordat agreement save``, ``open``, ``edit``, ``drafts`` and ``history``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from broker.cli.agreements import File, agreement_app
from broker.cli.files import read_limited
from broker.cli.options import HERE, Dir, Json, print_json, settings_of

if TYPE_CHECKING:
    from broker.storage import Store

Id = Annotated[str, typer.Argument(metavar="ID", help="The agreement's address.")]
By = Annotated[str, typer.Option("--by", help="Who saves; default: the user of the machine.")]
Number = Annotated[int | None, typer.Option("--version", help="Default: the latest.")]


def register(_: typer.Typer) -> None:
    """Nothing to add: the commands are part of ``concordat agreement``."""


@agreement_app.command("save")
def save(
    file: File,
    revision: Annotated[
        int | None,
        typer.Option(help="The revision that was changed; default: what the first line says."),
    ] = None,
    by: By = "",
    folder: Dir = HERE,
    as_json: Json = False,
) -> None:
    """Save a draft, unless another officer has saved it since it was opened."""
    from broker.acts import officer
    from broker.drafting import save_draft

    draft = save_draft(
        _store(folder), read_limited(file), name=str(file), by=by or officer(), revision=revision
    )
    if as_json:
        print_json(draft.to_json())
    else:
        typer.echo(f"{draft.agreement} version {draft.version}: revision {draft.revision} saved.")


@agreement_app.command("open")
def open_(
    agreement_id: Id,
    out: Annotated[Path, typer.Option(help="Where the text is written.")],
    version: Number = None,
    folder: Dir = HERE,
    as_json: Json = False,
) -> None:
    """Write a draft into a file, to be changed and saved."""
    from broker.drafting import open_draft
    from broker.signature_files import write_new

    draft = open_draft(_store(folder), agreement_id, version)
    write_new(out, draft.to_text())
    if as_json:
        print_json({"file": str(out), **draft.to_json()})
    else:
        typer.echo(f"{out} holds revision {draft.revision}; `concordat agreement save {out}` next.")


@agreement_app.command("drafts")
def list_drafts(
    folder: Dir = HERE,
    as_json: Json = False,
) -> None:
    """Show the drafts, with who saved each last."""
    from broker.drafting import drafts

    found = [draft.to_json() for draft in drafts(_store(folder))]
    if as_json:
        print_json({"drafts": found})
        return
    for one in found:
        typer.echo(f"{one['agreement']} version {one['version']}, revision {one['revision']}")
        typer.echo(f"  saved by {one['changed_by']} at {one['changed_at']}")
    if not found:
        typer.echo("there are no drafts")


@agreement_app.command("history")
def show_history(
    agreement_id: Id,
    version: Annotated[int, typer.Option("--version", help="Of which version.")] = 1,
    folder: Dir = HERE,
    as_json: Json = False,
) -> None:
    """Show who saved which revision of a draft, and when."""
    from broker.drafting import history

    found = [draft.to_json() for draft in history(_store(folder), agreement_id, version)]
    if as_json:
        print_json({"revisions": found})
        return
    for one in found:
        typer.echo(f"{one['revision']:5}  {one['changed_at']}  {one['changed_by']}")


def _store(folder: Path) -> "Store":
    from broker.scheme import SchemeFolder

    return SchemeFolder(settings_of(folder)).store

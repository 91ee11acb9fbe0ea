"""``concordat template``: national agreements, and the local ones made from them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from broker.cli.options import HERE, Dir, Json, print_json

if TYPE_CHECKING:
    from agreements.templates.model import Template

template_app = typer.Typer(
    help="Templates: list, show, adopt, compare, propose, assure, publish.", no_args_is_help=True
)

Name = Annotated[
    str, typer.Argument(metavar="NAME", help="A template's name or address, such as marac.")
]
Version = Annotated[int | None, typer.Option(help="Default: the latest that may be adopted.")]
AnyVersion = Annotated[int | None, typer.Option("--version", help="Default: the latest.")]
Out = Annotated[Path | None, typer.Option("--out", help="Write to this file, which is new.")]

File = Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, readable=True)]
Bind = Annotated[
    list[str] | None,
    typer.Option("--bind", metavar="PLACE=VALUE", help="Fill a place; may be repeated."),
]


def register(app: typer.Typer) -> None:
    """Add the commands to ``concordat``."""
    app.add_typer(template_app, name="template")


@template_app.command("list")
def list_templates(folder: Dir = HERE, as_json: Json = False) -> None:
    """Show the templates: those that come with the product, and those of the scheme."""
    from broker.templates import TemplateShelf

    found = TemplateShelf.of(folder).entries()
    if as_json:
        print_json({"templates": [entry.to_json() for entry in found]})
        return
    for entry in found:
        document = entry.template.document
        typer.echo(
            f"{entry.template.name:24} version {entry.template.version}  {entry.state:10} "
            f"{document.title}"
        )


@template_app.command("show")
def show(
    name: Name,
    version: Version = None,
    places: Annotated[
        bool, typer.Option("--places", help="Show a file of bindings to fill in instead.")
    ] = False,
    out: Out = None,
    folder: Dir = HERE,
    as_json: Json = False,
) -> None:
    """Show a template's text; with --json its places, its life and its comments as well."""
    from agreements.templates.writing import bindings_text
    from broker.templates import TemplateShelf

    entry = TemplateShelf.of(folder).find(name, version)
    if as_json:
        print_json(entry.to_json() | {"text": entry.template.text})
        return
    text = bindings_text(entry.template) if places else entry.template.text
    if out is None:
        typer.echo(text, nl=False)
    else:
        write_new(out, text)


@template_app.command("adopt")
def adopt(
    name: Name,
    bind: Annotated[
        list[str] | None,
        typer.Option("--bind", metavar="PLACE=VALUE", help="Fill a place; may be repeated."),
    ] = None,
    bindings: Annotated[
        Path | None,
        typer.Option(
            "--bindings", exists=True, dir_okay=False, help="A file of `place: value` lines."
        ),
    ] = None,
    version: Version = None,
    out: Out = None,
    folder: Dir = HERE,
    as_json: Json = False,
) -> None:
    """Make a local agreement of a template, and keep the link between them."""
    from agreements.problems import AgreementInvalid
    from broker.templates import TemplateShelf, adopted

    entry = TemplateShelf.of(folder).to_adopt(name, version)
    try:
        result = adopted(entry.template, bind or [], bindings)
    except AgreementInvalid as invalid:
        if as_json:
            problems = [problem.to_json() for problem in invalid.problems]
            print_json({"adopted": False, "template": entry.template.link, "problems": problems})
        raise
    if out is not None:
        write_new(out, result.text)
    _tell_adoption(entry.template, result, out, as_json=as_json)


def _tell_adoption(template: "Template", result: Any, out: Path | None, *, as_json: bool) -> None:
    if as_json:
        told: dict[str, Any] = result.to_json() | {"template": template.link}
        print_json(told | ({"out": str(out)} if out else {"text": result.text}))
        return
    if out is None:
        typer.echo(result.text, nl=False)
        return
    typer.echo(f"{out}: {result.agreement.title}, from {template.uri} version {template.version}")
    for problem in result.problems:
        typer.echo(f"  {problem.severity}: {problem}")
    for entry in template.document.to_confirm:
        typer.echo(f"  to be confirmed by an IG lead, {entry.flow}: {entry.text.strip()}")


@template_app.command("diff")
def diff(
    file: File,
    version: Annotated[
        int | None, typer.Option(help="Of the template. Default: the one adopted.")
    ] = None,
    bind: Bind = None,
    folder: Dir = HERE,
    as_json: Json = False,
) -> None:
    """Show where a local agreement departs from its template, and what that means."""
    from broker.template_diff import diff_of
    from broker.templates import TemplateShelf

    found = diff_of(TemplateShelf.of(folder), file, version, bind or [])
    if as_json:
        print_json(found.to_json())
        return
    for line in found.lines():
        typer.echo(line)


def write_new(path: Path, text: str) -> None:
    """Write a file that must not be there yet."""
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        from broker.register import AlreadyThere

        raise AlreadyThere(f"{path} exists: choose another name, or take it away first") from None

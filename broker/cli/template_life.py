"""``concordat template``: the life of a template, from proposed to withdrawn."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from broker.cli.options import HERE, Dir, Json, print_json, settings_of
from broker.cli.templates import AnyVersion, File, Name, Out, template_app, write_new

if TYPE_CHECKING:
    from broker.scheme import SchemeFolder
    from broker.template_life import Adopter
    from broker.templates import Entry

By = Annotated[
    str, typer.Option("--by", help="Who you are: name, post and organisation.", metavar="PERSON")
]
Revision = Annotated[
    int | None,
    typer.Option(help="The revision that you read; a conflict if somebody changed it since."),
]


def register(_app: typer.Typer) -> None:
    """Nothing more to add: the commands below belong to ``concordat template``."""


@template_app.command("propose")
def propose(
    file: File,
    by: By,
    uri: Annotated[
        str | None, typer.Option("--uri", help="The new template's address, of an agreement.")
    ] = None,
    title: Annotated[str | None, typer.Option("--title", help="The new template's title.")] = None,
    part: Annotated[
        list[str] | None,
        typer.Option("--part", metavar="PARTY=PART", help="The part that a party plays."),
    ] = None,
    out: Out = None,
    folder: Dir = HERE,
    as_json: Json = False,
) -> None:
    """Propose a template: a template's text, or a local agreement without its local parts.

    With --out the text is written to a file to be read first, and nothing is proposed.
    """
    from broker.template_drafts import draft_of
    from broker.template_life import Words, propose

    template = draft_of(file, uri=uri, author=by, title=title, parts=part or [])
    if out is not None:
        write_new(out, template.text)
        told = {"proposed": False, "out": str(out), "places": list(template.document.places)}
        if as_json:
            print_json(template.link | told)
        else:
            typer.echo(f"{out}: {len(template.document.places)} places; read it, then propose it")
        return
    entry = propose(_scheme(folder), template, Words.of(by, _now()))
    _tell_entry(entry, "is proposed", as_json=as_json)


@template_app.command("redraft")
def redraft(
    file: File,
    by: By,
    reason: Annotated[str, typer.Option("--reason", help="What changed and why; it is kept.")],
    revision: Revision = None,
    folder: Dir = HERE,
    as_json: Json = False,
) -> None:
    """Change the text of a version that is not published; an assurance falls."""
    from broker.template_drafts import draft_of
    from broker.template_life import Words, move

    text = draft_of(file, author=by)
    entry = _read(folder, text.uri, text.version, revision)
    moved = move(_scheme(folder), entry, "redraft", Words.of(by, _now(), reason), text=text)
    _tell_entry(moved, "is proposed again", as_json=as_json)


@template_app.command("consult")
def consult(
    name: Name,
    by: By,
    version: AnyVersion = None,
    revision: Revision = None,
    folder: Dir = HERE,
    as_json: Json = False,
) -> None:
    """Open the consultation: comments are taken and kept with the template."""
    entry = _move(folder, name, version, revision, "consult", by, None)
    _tell_entry(entry, "is open for comments", as_json=as_json)


@template_app.command("comment")
def comment(
    name: Name,
    text: Annotated[str, typer.Option("--text", help="What you want to say.")],
    by: By,
    version: AnyVersion = None,
    folder: Dir = HERE,
    as_json: Json = False,
) -> None:
    """Say something about a template that is being consulted on."""
    from broker.template_life import Words, comment

    entry = _read(folder, name, version, None)
    said = comment(_scheme(folder), entry, text, Words.of(by, _now()))
    _tell_entry(said, f"has comment {len(said.comments)}", as_json=as_json)


@template_app.command("assure")
def assure(
    name: Name,
    by: By,
    version: AnyVersion = None,
    revision: Revision = None,
    folder: Dir = HERE,
    as_json: Json = False,
) -> None:
    """Assure a template that somebody else wrote."""
    entry = _move(folder, name, version, revision, "assure", by, None)
    _tell_entry(entry, f"is assured by {by}", as_json=as_json)


@template_app.command("publish")
def publish(
    name: Name,
    by: By,
    version: AnyVersion = None,
    revision: Revision = None,
    folder: Dir = HERE,
    as_json: Json = False,
) -> None:
    """Publish an assured template; those who adopted an earlier version are listed."""
    entry = _move(folder, name, version, revision, "publish", by, None)
    found = _adopters(folder, entry)
    if as_json:
        print_json(entry.to_json() | {"adopters": [one.to_json() for one in found]})
        return
    _tell_entry(entry, "is published", as_json=False)
    _tell_adopters(entry, found)


@template_app.command("withdraw")
def withdraw(
    name: Name,
    by: By,
    reason: Annotated[str, typer.Option("--reason", help="Why; it is kept.")],
    version: AnyVersion = None,
    revision: Revision = None,
    folder: Dir = HERE,
    as_json: Json = False,
) -> None:
    """Withdraw a template: nobody may adopt it any more; agreements made of it keep running."""
    entry = _move(folder, name, version, revision, "withdraw", by, reason)
    _tell_entry(entry, "is withdrawn", as_json=as_json)


@template_app.command("history")
def history(
    name: Name, version: AnyVersion = None, folder: Dir = HERE, as_json: Json = False
) -> None:
    """Show what became of a version so far: every move, and every comment."""
    entry = _read(folder, name, version, None)
    if as_json:
        print_json(entry.to_json())
        return
    template = entry.template
    typer.echo(f"{template.uri} version {template.version} is {entry.state}")
    for step in entry.standing.steps if entry.standing is not None else ():
        reason = f": {step.reason}" if step.reason else ""
        typer.echo(f"  {step.at:%Y-%m-%d %H:%M} {step.move} by {step.by}{reason}")
    for said in entry.comments:
        typer.echo(f"  comment {said['number']} by {said['by']}, {said['at']}: {said['text']}")


@template_app.command("adopters")
def adopters(
    name: Name, version: AnyVersion = None, folder: Dir = HERE, as_json: Json = False
) -> None:
    """Show who adopted a template, and what a version of it changes for each."""
    entry = _read(folder, name, version, None)
    found = _adopters(folder, entry)
    if as_json:
        print_json({"template": entry.template.link, "adopters": [one.to_json() for one in found]})
    else:
        _tell_adopters(entry, found)


def _move(
    folder: Path,
    name: str,
    version: int | None,
    revision: int | None,
    move_name: str,
    by: str,
    reason: str | None,
) -> "Entry":
    from broker.template_life import Words, move

    entry = _read(folder, name, version, revision)
    return move(_scheme(folder), entry, move_name, Words.of(by, _now(), reason))


def _read(folder: Path, name: str, version: int | None, revision: int | None) -> "Entry":
    """Return the version that is meant, as at the revision that the caller read."""
    from broker.templates import TemplateShelf

    entry = TemplateShelf.of(folder).find(name, version)
    return entry if revision is None else replace(entry, revision=revision)


def _scheme(folder: Path) -> "SchemeFolder":
    from broker.scheme import SchemeFolder

    return SchemeFolder(settings_of(folder))


def _adopters(folder: Path, entry: "Entry") -> "list[Adopter]":
    from agreements.canonical import to_document
    from broker.register import open_register, reaching
    from broker.template_life import adopters
    from broker.templates import TemplateShelf

    shelf = TemplateShelf.of(folder)
    if shelf.scheme is None:
        return []
    scheme = shelf.scheme

    async def agreements() -> list[Mapping[str, Any]]:
        async with reaching(scheme) as streams:
            register = await open_register(scheme, streams)
        versions = register.control.versions()
        return [to_document(one.agreement) for one in versions if one.agreement is not None]

    return adopters(shelf, entry, asyncio.run(agreements()))


def _tell_entry(entry: "Entry", what: str, *, as_json: bool) -> None:
    if as_json:
        print_json(entry.to_json())
        return
    template = entry.template
    typer.echo(f"{template.uri} version {template.version} {what} (revision {entry.revision})")


def _tell_adopters(entry: "Entry", found: "list[Adopter]") -> None:
    from broker.template_diff import told

    if not found:
        typer.echo("nobody here has adopted it")
    for one in found:
        typer.echo(
            f"{one.agreement.id} version {one.agreement.version} ({one.agreement.owner}),"
            f" from version {one.adopted_version}"
        )
        for change in one.changes:
            typer.echo(f"  version {entry.template.version} changes {change}")
        for line in told(one.meaning) if one.meaning is not None else ():
            typer.echo(line)
        for place in one.unfilled:
            typer.echo(f"  version {entry.template.version} has a new place to fill: {place}")
        if one.own:
            typer.echo(f"  it departs in {len(one.own)} places of its own; these stay as they are")


def _now() -> datetime:
    return datetime.now(UTC)

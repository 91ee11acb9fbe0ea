"""``concordat audit reconcile``: that nothing was left out of the log, and nothing made up."""

import asyncio
from typing import Annotated, Any

import typer

from broker.cli.audit import audit_app
from broker.cli.options import HERE, By, Dir, Json, Reason, month_of, print_json, settings_of


def register(_: typer.Typer) -> None:
    """Importing this has added the command to ``concordat audit``."""


@audit_app.command("reconcile")
def reconcile(
    reason: Reason,
    month: Annotated[
        list[str] | None,
        typer.Option(metavar="YYYY-MM", help="Only of this month; repeat it."),
    ] = None,
    by: By = None,
    folder: Dir = HERE,
    as_json: Json = False,
) -> None:
    """Hold the log against what publishers signed and recipients opened, by their own count.

    Exit status 1 where they differ, or where a party has stated nothing.
    """
    from broker.acts import officer
    from broker.audit.completeness import reconciled
    from broker.scheme import SchemeFolder

    months = [month_of("--month", one) for one in month or ()]
    scheme = SchemeFolder(settings_of(folder))

    async def work() -> dict[str, Any]:
        async with scheme.streams() as streams:
            return await reconciled(
                scheme, streams, by=by or officer(), reason=reason, months=months
            )

    found = asyncio.run(work())
    if as_json:
        print_json(found)
    else:
        _show(found)
    raise typer.Exit(0 if found["agrees"] else 1)


def _show(found: dict[str, Any]) -> None:
    for one in found["counts"]:
        counted = "nothing stated" if one["counted"] is None else f"{one['counted']} counted"
        mark = "✓" if one["agrees"] else "✗"
        typer.echo(
            f"{mark} {one['month']} {one['party']} {one['counts']}:"
            f" {counted}, {one['logged']} in the log"
        )
        for event in one["only_counted"]:
            typer.echo(f"    {event['event_id']} is not in the log: {event['why']}")
        for event in one["only_logged"]:
            typer.echo(f"    {event['event_id']} is in the log alone: {event['why']}")
        for event_id in one["twice"]:
            typer.echo(f"    {event_id} is in the log more than once")
        if not one["is_named"]:
            typer.echo("    they differ in more events than a statement can name: ask for a list")
    for problem in found["problems"]:
        typer.echo(f"✗ {problem['message']}")
    verdict = "agree" if found["agrees"] else "do not agree"
    typer.echo(
        f"The parties' counts and {found['entries']} entries of the log {verdict};"
        f" {found['differences']} events differ, {found['shredded']} entries were shredded."
    )

"""``concordat audit forget``."""

import asyncio
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from broker.cli.audit import audit_app
from broker.cli.options import HERE, By, Dir, Json, Reason, print_json, settings_of


def register(_app: typer.Typer) -> None:
    """Add the command to ``concordat audit``."""
    audit_app.command("forget")(forget)


def forget(
    before: Annotated[
        datetime,
        typer.Option(formats=["%Y-%m-%d"], metavar="DATE", help="Decided before that day, UTC."),
    ],
    reason: Reason,
    by: By = None,
    folder: Dir = HERE,
    as_json: Json = False,
) -> None:
    """Take old decisions out of the query store; they stay in the log.

    Whole segments of 262,144 entries go, as far as each entry of them is that old. From then
    on every answer and paper says from when on it is complete; `audit reindex` brings all back.
    """
    from broker.acts import officer
    from broker.audit.forgetting import forget_before
    from broker.scheme import SchemeFolder

    scheme = SchemeFolder(settings_of(folder))

    async def work() -> dict[str, Any]:
        async with scheme.streams() as streams:
            return await forget_before(
                scheme,
                streams,
                before=before.replace(tzinfo=UTC),
                by=by or officer(),
                reason=reason,
                at=datetime.now(UTC),
            )

    found = asyncio.run(work())
    if as_json:
        print_json(found)
        return
    typer.echo(f"{found['forgotten']} decisions were taken out of the query store.")
    if found["gap"] is not None:
        typer.echo(found["gap"])

"""``concordat audit acts``."""

import asyncio
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import typer

from broker.cli.audit import audit_app
from broker.cli.options import (
    HERE,
    By,
    Dir,
    Json,
    Reason,
    Since,
    Until,
    period_of,
    print_json,
    settings_of,
)

Kind = Literal["control", "administration", "reading", "shredding", "legal-hold", "witness"]


def register(_app: typer.Typer) -> None:
    """Add the command to ``concordat audit``."""
    audit_app.command("acts")(list_acts)


def list_acts(
    reason: Reason,
    kind: Annotated[Kind | None, typer.Option(help="Only acts of this kind.")] = None,
    since: Since = "",
    until: Until = "",
    by: By = None,
    folder: Dir = HERE,
    as_json: Json = False,
) -> None:
    """List what was done and asked: changes, administration, readings of the log, shredding."""
    from broker.acts import officer
    from broker.audit.desk import desk
    from broker.scheme import SchemeFolder

    period = period_of(since, until)
    scheme = SchemeFolder(settings_of(folder))
    at = datetime.now(UTC)

    async def work() -> list[dict[str, Any]]:
        async with desk(scheme, by=by or officer(), reason=reason, at=at) as opened:
            acts = await opened.acts(period)
            found = [
                {"entry": entry, **act.to_json()}
                for entry, act in acts
                if kind is None or act.kind == kind
            ]
            await opened.record(f"audit acts of kind {kind or 'any'}", len(found))
            return found

    found = asyncio.run(work())
    if as_json:
        print_json({"acts": found})
        return
    for act in found:
        # Keys of documents and names of signatories are what others have written.
        act |= {name: _on_a_terminal(act[name]) for name in ("by", "about", "reason", "reference")}
        typer.echo(f"{act['entry']:>8}  {act['at'][:19]}  {act['kind']}  by {act['by']}")
        typer.echo(f"          {act['about']}")
        why = "; ".join(filter(None, (act["reason"], act["reference"])))
        count = "" if act["results"] is None else f"  ({act['results']} results)"
        if why or count:
            typer.echo(f"          {why}{count}")
    typer.echo(f"{len(found)} acts; that you asked is on record.")


def _on_a_terminal(words: str) -> str:
    """Return words without what a terminal would act on."""
    return "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in words
    )

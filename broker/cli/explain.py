"""``concordat explain``."""

import asyncio
from typing import Annotated, Any

import typer

from broker.cli.options import HERE, Dir, Json, print_json, settings_of

_MARKS = {"passed": "✓", "failed": "✗", "not-reached": "·"}


def register(app: typer.Typer) -> None:
    """Add the command to ``concordat``."""
    app.command("explain")(explain_event)


def explain_event(
    event_id: Annotated[str, typer.Argument(metavar="EVENT-ID")],
    recipient: Annotated[str | None, typer.Option(help="Only this recipient.")] = None,
    folder: Dir = HERE,
    as_json: Json = False,
) -> None:
    """Tell why an event was shared or not: every check in order, with clause and law."""
    from rich.console import Console

    from broker.explaining import explain
    from broker.scheme import SchemeFolder

    scheme = SchemeFolder(settings_of(folder))

    async def work() -> dict[str, Any]:
        async with scheme.streams() as streams:
            return await explain(scheme, streams, event_id, recipient=recipient)

    explained = asyncio.run(work())
    if as_json:
        print_json(explained)
    else:
        show(Console(highlight=False), explained)
    raise typer.Exit(1 if explained["agrees"] is False else 0)


def show(console: Any, explained: dict[str, Any]) -> None:
    """Print an explanation in plain English."""
    console.print(f"Event {explained['event_id']}")
    console.print(
        f"{explained['event_type']} from {explained['publisher']},"
        f" occurred {explained['occurred_at']}, decided {explained['decided_at']}"
    )
    for decision in explained["decisions"]:
        console.print()
        _show_decision(console, decision)
    console.print()
    console.print(_agreement_of(explained["agrees"]))


def _show_decision(console: Any, decision: dict[str, Any]) -> None:
    if not decision["recipient"]:
        console.print("[red]deny[/]: no agreement names a recipient of this event")
        return
    colour = {"permit": "green", "deny": "red", "review": "yellow"}[decision["outcome"]]
    why = ": ".join(filter(None, (decision["reason"], decision["detail"])))
    console.print(
        f"[bold]{decision['recipient']}[/]: [{colour}]{decision['outcome']}[/]"
        + (f" ({why})" if why else "")
    )
    console.print(
        f"  under {decision['agreement']} version {decision['version']},"
        f" flow {decision['flow']}, purpose {decision['purpose']}"
    )
    console.print(f"  SHA-256 of the text that was signed: {decision['sha256']}")
    for side, basis in decision["legal"].items():
        conditions = ", ".join(basis["conditions"])
        console.print(f"  legal basis of the {side}: {basis['regime']}: {conditions}")
        for gateway in basis["gateways"]:
            console.print(f"    {gateway['title']}: {gateway['address']}")
    for number, check in enumerate(decision["checks"], start=1):
        mark = _MARKS[check["state"]]
        text = check["text"] or "not reached"
        console.print(f"  {mark} {number:2}. {check['question']} {text}")
    for title in ("items", "transforms", "withheld"):
        found = decision[title]
        if isinstance(found, dict):
            found = [f"{path} ({what})" for path, what in found.items()]
        if found:
            word = {"items": "disclosed", "transforms": "transformed"}.get(title, title)
            console.print(f"  {word}: {', '.join(found)}")


def _agreement_of(agrees: bool | None) -> str:  # noqa: FBT001  three answers
    if agrees is None:
        return "The event is no longer held, so this is what the record says, not decided again."
    if agrees:
        return "[green]Decided again from the evidence: it agrees.[/]"
    return "[red bold]Decided again from the evidence: it does NOT agree with the record.[/]"

"""``concordat explain``."""

import asyncio
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from broker.cli.options import HERE, By, Dir, Json, Reason, print_json, settings_of

_MARKS = {"passed": ("✓", "green"), "failed": ("✗", "red"), "not-reached": ("·", "dim")}
_ITEMS = {"items": "disclosed", "transforms": "transformed", "withheld": "withheld"}


def register(app: typer.Typer) -> None:
    """Add the command to ``concordat``."""
    app.command("explain")(explain_event)


def explain_event(
    event_id: Annotated[str, typer.Argument(metavar="EVENT-ID")],
    recipient: Annotated[str | None, typer.Option(help="Only this recipient.")] = None,
    by: By = None,
    reason: Reason = "to explain a decision",
    folder: Dir = HERE,
    as_json: Json = False,
) -> None:
    """Tell why an event was shared or not: every check in order, with clause and law.

    That it was asked is recorded in the evidence log.
    """
    from broker.acts import officer
    from broker.explaining import explain_on_record
    from broker.scheme import SchemeFolder

    scheme = SchemeFolder(settings_of(folder))

    async def work() -> dict[str, Any]:
        async with scheme.streams() as streams:
            return await explain_on_record(
                scheme, streams, event_id, recipient=recipient, by=by or officer(), reason=reason
            )

    explained = asyncio.run(work())
    if as_json:
        print_json(explained)
    else:
        show(Console(highlight=False), explained)
    raise typer.Exit(1 if explained["agrees"] is False else 0)


def show(console: Console, explained: dict[str, Any]) -> None:
    """Print an explanation in plain English."""
    console.print(f"Event {explained['event_id']}", soft_wrap=True)
    console.print(
        f"{explained['event_type']} from {explained['publisher']},"
        f" occurred {explained['occurred_at']}, decided {explained['decided_at']}"
    )
    for decision in explained["decisions"]:
        console.print()
        _show_decision(console, decision)
    for settled in explained["settled"]:
        console.print()
        console.print(
            f"Settled {settled['decided_at']}, when suspension {settled['suspension']} had ended",
            soft_wrap=True,
        )
        for decision in settled["decisions"]:
            _show_decision(console, decision)
    for notices in explained["notices"]:
        console.print()
        console.print(
            f"It takes back event {notices['retracts']} ({notices['event_type']}). Told"
            f" {notices['decided_at']}, without any item, since they had that event:",
            soft_wrap=True,
        )
        for notice in notices["decisions"]:
            _show_notice(console, notice)
    console.print()
    if not explained["control_is_whole"]:
        console.print("[red]control no longer has every document that the router knew.[/]")
    console.print(_agreement_of(explained["agrees"]))


def _show_decision(console: Console, decision: dict[str, Any]) -> None:
    if not decision["recipient"]:
        console.print("[red]deny[/]: no agreement names a recipient of this event")
        return
    colour = {"permit": "green", "deny": "red", "review": "yellow", "hold": "yellow"}[
        decision["outcome"]
    ]
    console.print(
        f"[bold]{decision['recipient']}[/]: [{colour}]{decision['outcome']}[/]{_why(decision)}"
    )
    facts = _facts(decision)
    for side, basis in decision["legal"].items():
        lines = [f"{basis['regime']}"]
        lines += [condition["title"] for condition in basis["conditions"]]
        lines += [f"{gateway['title']}\n{gateway['address']}" for gateway in basis["gateways"]]
        facts.add_row(f"{side} relies on", "\n".join(lines))
    for title, word in _ITEMS.items():
        found = decision[title]
        if isinstance(found, dict):
            found = [f"{path} ({what})" for path, what in found.items()]
        if found:
            facts.add_row(word, ", ".join(found))
    console.print(facts)
    steps = _grid(1, 2, 0)
    for number, check in enumerate(decision["checks"], start=1):
        mark, style = _MARKS[check["state"]]
        told = f"{check['question']} [dim]{escape(check['text'])}[/]"
        steps.add_row(f"[{style}]{mark}[/]", str(number), told)
    console.print(steps)


def _show_notice(console: Console, notice: dict[str, Any]) -> None:
    is_told = notice["outcome"] == "permit"
    how = "[green]told[/]" if is_told else f"[red]not told[/] ({escape(notice['reason'])})"
    console.print(f"[bold]{notice['recipient']}[/]: {how}")
    console.print(_facts(notice))


def _why(decision: dict[str, Any]) -> str:
    why = ": ".join(filter(None, (decision["reason"], decision["detail"])))
    return f" ({escape(why)})" if why else ""


def _facts(decision: dict[str, Any]) -> Table:
    """Return the agreement and the clause; of a text that is not known, its names alone."""
    facts = _grid(12, 0)
    facts.add_row("agreement", f"{decision['agreement']} version {decision['version']}")
    if decision["sha256"]:
        facts.add_row("signed text", f"SHA-256 {decision['sha256']}")
    purpose = f", for the purpose {decision['purpose']}" if decision["purpose"] else ""
    facts.add_row("clause", f"flow {decision['flow']}{purpose}")
    return facts


def _grid(*widths: int) -> Table:
    """Return columns of at least these widths; 0 takes what is left and wraps."""
    table = Table.grid(padding=(0, 1))
    for width in widths:
        table.add_column(min_width=width or None, overflow="fold", vertical="top")
    return table


def _agreement_of(agrees: bool | None) -> str:  # noqa: FBT001  three answers
    if agrees is None:
        return "The event is no longer held, so this is what the record says, not decided again."
    if agrees:
        return "[green]Decided again from the evidence: it agrees.[/]"
    return "[red bold]Decided again from the evidence: it does NOT agree with the record.[/]"

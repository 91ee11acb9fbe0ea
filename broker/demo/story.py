"""Tell the demo's story on a terminal: short, in colour there, plain in a pipe."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from broker.demo.families import PARTIES
from broker.demo.main_job import OnRouted, Outcome

_LONGEST_SHOWN = 13
"""Characters: four columns of them, and the names of the items, fit a narrow terminal."""
_COLOURS = {"permit": "green", "deny": "red", "review": "yellow"}


class Teller:
    """Prints the chapters of the story."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._chapter = 0

    def chapter(self, title: str) -> None:
        """Begin the next chapter."""
        self._chapter += 1
        self.console.print()
        self.console.print(f"[bold]{self._chapter}. {title}[/]")

    def say(self, text: str) -> None:
        """Print a line of the story."""
        self.console.print(text)

    @contextmanager
    def routing(self, events: int) -> Iterator[OnRouted]:
        """Show the router at work; yields what to call with the events done so far."""
        columns = (
            TextColumn("  routing"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        if not self.console.is_terminal:
            yield lambda _done: None
            return
        with Progress(*columns, console=self.console) as progress:
            task = progress.add_task("routing", total=events)
            yield lambda done: progress.update(task, completed=done)

    def agreements(self, standings: list[dict[str, Any]], ended: set[str]) -> None:
        """Show which agreements there are, and which of them will not let anything flow."""
        table = _table("agreement", "parties", "stands")
        for agreement in standings:
            waiting = [party for party, how in agreement["standing"].items() if how != "accepted"]
            if waiting:
                stands = f"[yellow]waits for {_short(waiting[0])}[/]"
            elif agreement["agreement"] in ended:
                stands = "[red]ended[/]"
            else:
                stands = "[green]in force[/]"
            parties = ", ".join(_short(party) for party in agreement["standing"])
            table.add_row(agreement["title"], parties, stands)
        self.console.print(table)

    def outcome(self, outcome: Outcome) -> None:
        """Show who received how many of what, and what was refused and why."""
        table = _table("recipient", "event type", "received", "refused or waiting, and why")
        rows: dict[tuple[str, str], Counter[str]] = {}
        for (recipient, event_type, what), number in outcome.by_recipient.items():
            rows.setdefault((recipient, event_type), Counter())[what] += number
        for (recipient, event_type), found in sorted(rows.items()):
            others = [
                f"[{_COLOURS[what.split()[0]]}]{number} {what.replace(' ', ': ')}[/]"
                for what, number in sorted(found.items())
                if what != "permit"
            ]
            table.add_row(
                _short(recipient) if recipient else "(nobody)",
                _fact(event_type),
                f"[green]{found['permit']}[/]" if found["permit"] else "",
                "\n".join(others),
            )
        self.console.print(table)
        self.say(
            f"{outcome.published} published = {outcome.decided} decided once"
            f" + {outcome.quarantined.total()} in quarantine"
            f" ({_counted(outcome.quarantined) or 'none'});"
            f" {outcome.permits} permits = {outcome.deliveries} deliveries"
            f" = {outcome.opened} opened by their recipients."
        )
        if outcome.rejected:
            first = outcome.rejected[0]["message"]
            self.say(
                f"{len(outcome.rejected)} rows were rejected at the source; the first: {first}"
            )
        if outcome.withheld:
            self.say(f"Items withheld inside deliveries and reviews: {_counted(outcome.withheld)}.")

    def views(self, published: dict[str, Any], views: dict[str, dict[str, Any]]) -> None:
        """Show one event beside what each of its recipients sees of it."""
        table = _table("item", "as published", *(_short(party) for party in views))
        for item, value in published.items():
            seen = [_value(view[item]) if item in view else "[dim]·[/]" for view in views.values()]
            if value is not None:
                table.add_row(item, _value(value), *seen)
        self.console.print(table)
        self.say("· is not in the view at all: the bytes were never sent.")

    def ending(self, folder: Path, event_id: str, *, key: str) -> None:
        """Say what can be explored; ``key`` is the log's."""
        self.say(f"Everything is in [bold]{folder}[/]. Look around with:")
        for command in (
            f"concordat agreement list --dir {folder}",
            f"concordat party list --dir {folder}",
            f"concordat explain {event_id} --dir {folder}",
            f"concordat receive --as {next(iter(PARTIES))} --dir {folder}",
            f"concordat agreement drift --dir {folder}",
            f"concordat verify {folder}/evidence --key {key}",
            f"ls {folder}/received",
        ):
            self.console.print(f"  {command}", soft_wrap=True)


def view_of(folder: Path, party: str, event_id: str) -> dict[str, Any]:
    """Return what a party's file has of an event; empty where nothing was delivered."""
    path = folder / "received" / f"{party}.jsonl"
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            if event_id in line:
                found = json.loads(line)
                if found["event_id"] == event_id:
                    record: dict[str, Any] = found["record"]
                    return record
    return {}


def _table(*columns: str) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for place, column in enumerate(columns):
        # The first column names the row: it is never broken inside a word.
        table.add_column(column, overflow="fold", no_wrap=place == 0 and len(columns) > 3)  # noqa: PLR2004  narrow tables have room
    return table


def _short(party: str) -> str:
    """Say a party's id without the town that all of them share."""
    return party.removeprefix("anytown-")


def _fact(event_type: str) -> str:
    """Say an event type without its domain: ``missing-episode.v1``."""
    return ".".join(event_type.split(".")[-2:])


def _counted(found: Counter[str]) -> str:
    return ", ".join(f"{number} {what}" for what, number in sorted(found.items()))


def _value(value: Any) -> str:
    """Say a value; a pseudonym's first digits tell it from another."""
    text = "" if value is None else str(value)
    is_long = len(text) > _LONGEST_SHOWN
    return f"{text[:_LONGEST_SHOWN]}…" if is_long else text

"""A simulation for a reader: what would change for whom, and what stands in the way."""

from collections.abc import Iterable, Mapping
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

_SHOWN = 8
"""Lines of one kind; all of them are in ``--json``."""


def show(console: Console, found: Mapping[str, Any]) -> None:
    """Print what `broker.simulated.to_json` gives."""
    console.print(f"[bold]{escape(found['title'])}[/], version {found['version']}", soft_wrap=True)
    for line in _preamble(found):
        console.print(line)
    _show_recipients(console, found)
    for flow in found["flows"]:
        _show_flow(console, flow)
    _show_uncovered(console, found)
    for line in _left_out(found["events"]):
        console.print(line)
    console.print(
        f"\n{_events(found['events']['compared'])} in {found['seconds']:.1f} s,"
        f" {found['events_per_second']:,} a second. Nothing was written."
    )


def _preamble(found: Mapping[str, Any]) -> Iterable[str]:
    yield (
        "Tried as though every party had signed it and it were in force; its own dates are"
        " left out of account."
    )
    if found["first_decision"]:
        yield (
            f"{_events(found['events']['compared'])}, decided from"
            f" {_time(found['first_decision'])} to {_time(found['last_decision'])}."
        )
    else:
        yield "[yellow]No event of its publishers was decided in this time: nothing to compare.[/]"
    for before in found["compared_with"]:
        yield (
            f"Compared with what {escape(before['agreement'])} version {before['version']}"
            f" really did in {before['decisions']:,} decisions."
        )
    if not found["compared_with"]:
        yield "Nothing was decided under it or its forerunner, so all that it permits is gained."
    for problem in found["problems"]:
        colour = "red" if problem["severity"] == "error" else "yellow"
        place = f"line {problem['line']}, {problem['path']}: " if problem["line"] else ""
        text = escape(f"{place}{problem['message']}; {problem['remedy']} [{problem['code']}]")
        yield f"[{colour}]{problem['severity']}:[/] {text}"
    for party in found["not_in_scheme"]:
        yield f"[red]{party} is not in the scheme:[/] nothing flows from it or to it before it is."


def _show_recipients(console: Console, found: Mapping[str, Any]) -> None:
    permits = found["permits"]
    console.print(
        f"\nPermits: {permits['happened']:,} happened, {permits['would']:,} would have;"
        f" [green]{permits['gained']:,} gained[/], [red]{permits['lost']:,} lost[/]."
    )
    if not found["recipients"]:
        return
    table = _table("recipient", ">kept", ">gained", ">lost", ">for the first time")
    for recipient, told in found["recipients"].items():
        table.add_row(
            recipient,
            f"{told['kept']:,}",
            f"[green]{told['gained']:,}[/]" if told["gained"] else "",
            f"[red]{told['lost']:,}[/]" if told["lost"] else "",
            f"{told['first_time']['events']:,}" if told["first_time"]["events"] else "",
        )
    console.print(table)
    for recipient, told in found["recipients"].items():
        for what, how in (("new_items", "would come to know"), ("gone_items", "would not get")):
            if told[what]:
                items = ", ".join(f"{path} ({n:,})" for path, n in told[what].items())
                console.print(f"{recipient} {how}, by events: {items}")


def _show_flow(console: Console, flow: Mapping[str, Any]) -> None:
    console.print(
        f"\n[bold]{flow['flow']}[/] to [bold]{flow['recipient']}[/]:"
        f" {flow['happened']:,} happened, {flow['would']:,} would have"
    )
    for obstacle in flow["obstacles"]:
        detail = escape(obstacle["detail"])
        console.print(
            f"  [red]nothing flows: {obstacle['reason']} ({detail});"
            f" once mended, {flow['would_if_mended']:,}[/]"
        )
    if flow["held"]:
        console.print(f"  {_events(flow['held'])} still held, so not compared")
    for word, why in (("gained", "from"), ("lost", "to")):
        if flow[word]["events"]:
            reasons = ", ".join(
                f"{reason or 'permit'} {n:,}" for reason, n in flow[word][why].items()
            )
            console.print(f"  {word} {flow[word]['events']:,} ({reasons}){_examples(flow[word])}")
    for outcome, word in (("refused", "refused"), ("review", "for a person to look at")):
        for why in sorted(flow[outcome], key=lambda why: -why["events"])[:_SHOWN]:
            detail = f" ({why['text']})" if why["text"] else f" {why['detail']}".rstrip()
            console.print(
                escape(f"  {word}: {why['reason']}{detail}, {_events(why['events'])}")
                + _examples(why)
            )
    for line in _items(flow):
        console.print(f"  {line}")


def _items(flow: Mapping[str, Any]) -> Iterable[str]:
    never = set(flow["never_present"])
    for path, item in flow["items"].items():
        # Of deliveries that are gained or lost as a whole, nothing need be told by item.
        if item["new"] > flow["gained"]["events"]:
            yield f"{path}: newly disclosed in {_events(item['new'])}"
        if item["gone"] > flow["lost"]["events"]:
            yield f"{path}: no longer disclosed in {_events(item['gone'])}"
        for change in item["changed"]:
            yield (
                f"{path}: {change['to']} instead of {change['from']} in {_events(change['events'])}"
            )
        withheld = {reason: n for reason, n in item["withheld"].items() if reason != "absent"}
        for reason, n in withheld.items():
            yield f"{path}: withheld from {_events(n)} ({reason})"
    if never:
        yield f"never present in these events: {', '.join(sorted(never))}"


def _show_uncovered(console: Console, found: Mapping[str, Any]) -> None:
    if not found["uncovered"]:
        return
    console.print("\nNo agreement covers, and neither does this one:")
    for told in found["uncovered"]:
        console.print(
            f"  {told['event_type']} from {told['publisher']}:"
            f" {_events(told['events'])}{_examples(told)}"
        )


def _left_out(events: Mapping[str, Any]) -> Iterable[str]:
    if events["not_held"]:
        yield f"\n{_events(events['not_held'])} held no longer, so not compared."
    for code, n in events["unopenable"].items():
        yield f"\n{_events(n)} did not open ({code}), so not compared."
    for code, n in events["quarantined"].items():
        yield f"\n{_events(n)} went to quarantine ({code}): no agreement would share them."
    if events["unreadable"]:
        yield (
            f"\n[red]{events['unreadable']:,} records among the decisions are none:[/] somebody"
            " else wrote there, so check the log with `concordat verify`."
        )
    if events["waiting"]:
        yield f"\n{_events(events['waiting'])} not decided yet."


def _examples(told: Mapping[str, Any]) -> str:
    return f" [dim]such as {told['examples'][0]}[/]" if told["examples"] else ""


def _events(number: int) -> str:
    return f"{number:,} event{'s'[: number != 1]}"


def _time(text: str) -> str:
    return text[:16].replace("T", " ")


def _table(*titles: str) -> Table:
    table = Table(box=SIMPLE_HEAD)
    for title in titles:
        table.add_column(
            title.removeprefix(">"), justify="right" if title.startswith(">") else "left"
        )
    return table

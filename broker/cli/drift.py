"""A drift report: as one JSON document, and for a reader."""

from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from rich.console import Console
from rich.markup import escape

from broker.drift import Drift
from broker.periods import Period


def to_json(drift: Drift, period: Period, unused_days: int) -> dict[str, Any]:
    """Return the form of ``concordat agreement drift --json``."""
    first = drift.first_ms
    return {
        "since": None if period.since is None else period.since.isoformat(),
        "until": None if period.until is None else period.until.isoformat(),
        "unused_days": unused_days,
        "decisions": drift.decisions,
        "unreadable": drift.unreadable,
        "first_decision": (
            None if first is None else datetime.fromtimestamp(first / 1000, UTC).isoformat()
        ),
        "findings": [finding.to_json() for finding in drift.findings],
    }


def show(console: Console, found: Mapping[str, Any]) -> None:
    """Print the findings, agreement by agreement."""
    console.print(
        f"{found['decisions']:,} decisions up to {found['until'][:16].replace('T', ' ')};"
        f" {len(found['findings'])} findings."
    )
    if found["unreadable"]:
        console.print(
            f"[red]{found['unreadable']:,} records among the decisions are none:[/] somebody else"
            " wrote there, so check the log with `concordat verify`."
        )
    for agreement, group in groupby(found["findings"], key=lambda one: one["agreement"]):
        console.print(f"\n[bold]{escape(agreement) or 'Covered by no agreement'}[/]")
        for finding in group:
            console.print(f"[yellow]{finding['code']}[/] {escape(finding['text'])}")
            console.print(f"  What to do: {escape(finding['remedy'])}.")
            if finding["examples"]:
                console.print(f"  [dim]such as {finding['examples'][0]}[/]")

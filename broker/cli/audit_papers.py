"""``concordat audit sar``, ``ropa``, ``breach``, ``log`` and ``pack``: papers from the log.

Each is handed out after the reading is on record, as HTML or PDF for people, as CSV or JSON
for machines.
"""

import asyncio
import shutil
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, date, datetime
from io import TextIOWrapper
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from broker.cli.audit import audit_app
from broker.cli.options import HERE, By, Dir, Json, Reason, print_json, settings_of

if TYPE_CHECKING:
    from broker.audit.desk import Desk
    from broker.audit.forms import Document

Form = Annotated[
    Literal["html", "pdf", "csv", "json"],
    typer.Option("--format", help="HTML or PDF for people, CSV or JSON for machines."),
]
Out = Annotated[
    Path | None,
    typer.Option("--out", metavar="FILE", help="Where to write it; default: standard output."),
]
Since = Annotated[
    str, typer.Option("--since", metavar="TIME", help="Decided from then on: a date, or a time.")
]
Until = Annotated[str, typer.Option("--until", metavar="TIME", help="Decided before then.")]
Parties = Annotated[
    list[str] | None,
    typer.Option("--party", help="Only this organisation; `broker` is the service's operator."),
]
Identifiers = Annotated[
    list[str],
    typer.Option(
        "--identifier",
        metavar="TYPE:VALUE",
        help="Of the person; several of one person together. Never kept or shown.",
    ),
]
_IN_MEMORY_BYTES: Final = 16 << 20


@dataclass(frozen=True, slots=True)
class _Asking:
    """What every command takes: which scheme, who asks and why, and the form of the answer."""

    folder: Path
    by: str | None
    reason: str
    form: Literal["html", "pdf", "csv", "json"]
    out: Path | None
    as_json: bool


_Made = tuple["Document", Callable[[], int]]
"""A paper, and what tells how many results are in it once it was written."""
_Make = Callable[["Desk"], Coroutine[Any, Any, _Made]]


def register(_: typer.Typer) -> None:
    """Nothing to add: the commands are part of ``concordat audit``."""


@audit_app.command("sar")
def sar(
    identifier: Identifiers,
    received: Annotated[
        str, typer.Option(metavar="DATE", help="The day on which the request came.")
    ],
    reason: Reason,
    identity_shown: Annotated[
        str,
        typer.Option(metavar="DATE", help="When what was asked about the person's identity came."),
    ] = "",
    paused: Annotated[
        list[str] | None,
        typer.Option(
            metavar="DATE/DATE",
            help="From asking what is meant to the answer: these days do not count.",
        ),
    ] = None,
    extended: Annotated[
        bool, typer.Option("--extended", help="Two months more were taken, and told.")
    ] = False,
    form: Form = "html",
    out: Out = None,
    by: By = None,
    folder: Dir = HERE,
    as_json: Json = False,
) -> None:
    """Write the disclosure schedule for a subject access request, with its clock."""
    from broker.audit.clocks import answer_by
    from broker.audit.keys import Identifier
    from broker.audit.schedule import schedule

    identifiers = [Identifier.read(told) for told in identifier]
    kinds = list(dict.fromkeys(one.kind for one in identifiers))
    clock = answer_by(
        _day("--received", received),
        identity_shown=_day("--identity-shown", identity_shown) if identity_shown else None,
        asked=[_days("--paused", told) for told in paused or ()],
        is_extended=extended,
    )

    async def make(desk: "Desk") -> _Made:
        found = desk.about(identifiers)
        made = schedule(found, desk.terms, asked=desk.asked, clock=clock, found_by=kinds)
        return made, lambda: len(found)

    _hand_out(
        make, f"audit sar by {', '.join(kinds)}", _Asking(folder, by, reason, form, out, as_json)
    )


@audit_app.command("ropa")
def ropa(
    reason: Reason,
    party: Parties = None,
    since: Since = "",
    until: Until = "",
    form: Form = "html",
    out: Out = None,
    by: By = None,
    folder: Dir = HERE,
    as_json: Json = False,
) -> None:
    """Write records of processing, UK GDPR Art 30(1) and 30(2), from agreements and traffic."""
    from broker.audit.ropa import records_of_processing
    from broker.audit.traffic import counted
    from broker.periods import Period
    from schemas.control import BROKER

    period = Period.of(since, until)

    async def make(desk: "Desk") -> _Made:
        names = [one if one == BROKER else desk.party(one) for one in party or ()]
        traffic = counted(desk.between(period))
        made = records_of_processing(
            desk.terms,
            traffic,
            states=desk.pair_states(),
            parties=names or sorted(desk.terms.parties),
            asked=desk.asked,
            period=period,
        )
        return made, lambda: sum(tally.shared for tally in traffic.values())

    about = f"audit ropa of {', '.join(party or ['all'])}, {_told(since, until)}"
    _hand_out(make, about, _Asking(folder, by, reason, form, out, as_json))


@audit_app.command("breach")
def breach(
    recipient: Annotated[str, typer.Option(help="Where it went.")],
    reason: Reason,
    flow: Annotated[str | None, typer.Option(help="Only this flow.")] = None,
    agreement: Annotated[
        str | None, typer.Option(metavar="ID", help="Only under this agreement.")
    ] = None,
    since: Since = "",
    until: Until = "",
    aware: Annotated[
        str, typer.Option(metavar="TIME", help="When it became known; default: now.")
    ] = "",
    nature: Annotated[
        Literal["confidentiality", "integrity", "availability"],
        typer.Option(help="What was hurt."),
    ] = "confidentiality",
    form: Form = "html",
    out: Out = None,
    by: By = None,
    folder: Dir = HERE,
    as_json: Json = False,
) -> None:
    """Write a breach file: whom it is about, what is due by when, and how to stop the flow."""
    from broker.audit.breach import Scope, breach_file
    from broker.periods import Period

    period = Period.of(since, until)
    scope = Scope(recipient, period, agreement, flow)
    aware_at = Period.of(aware, "").since if aware else None

    async def make(desk: "Desk") -> _Made:
        desk.party(recipient)
        if flow is not None:
            desk.flow_to(recipient, flow)
        if aware_at is not None and aware_at > desk.asked.at:
            raise typer.BadParameter(f"--aware {aware} is still to come")
        made = breach_file(
            desk.received(recipient, period),
            desk.terms,
            scope=scope,
            aware_at=aware_at or desk.asked.at,
            asked=desk.asked,
            nature=nature,
        )
        return made, lambda: made.records

    about = f"audit breach at {recipient}, flow {flow or 'any'}, {_told(since, until)}"
    _hand_out(make, about, _Asking(folder, by, reason, form, out, as_json))


@audit_app.command("log")
def access_log(
    party: Annotated[str, typer.Option(help="Whose log it is.")],
    reason: Reason,
    since: Since = "",
    until: Until = "",
    form: Form = "html",
    out: Out = None,
    by: By = None,
    folder: Dir = HERE,
    as_json: Json = False,
) -> None:
    """Write the log that DPA 2018 s. 62 asks of law enforcement."""
    from broker.audit.access_log import access_log
    from broker.periods import Period

    period = Period.of(since, until)

    async def make(desk: "Desk") -> _Made:
        acts = await desk.acts(period)
        made = access_log(
            desk.between(period),
            acts,
            desk.terms,
            party=desk.party(party),
            asked=desk.asked,
            period=period,
        )
        return made, lambda: made.results

    about = f"audit log of {party}, {_told(since, until)}"
    _hand_out(make, about, _Asking(folder, by, reason, form, out, as_json))


def _hand_out(make: _Make, about: str, asking: _Asking) -> None:
    """Make a paper, put on record that it was asked for, and only then let it out."""
    from broker.acts import officer
    from broker.audit.desk import desk
    from broker.audit.forms import rendered
    from broker.scheme import SchemeFolder

    if asking.out is None and asking.form == "pdf" and not asking.as_json:
        raise typer.BadParameter("a PDF needs a file: add --out FILE")
    form = "json" if asking.as_json and asking.out is None else asking.form
    scheme = SchemeFolder(settings_of(asking.folder))
    at = datetime.now(UTC)
    with SpooledTemporaryFile(_IN_MEMORY_BYTES) as paper:

        async def work() -> int:
            by = asking.by or officer()
            async with desk(scheme, by=by, reason=asking.reason, at=at) as opened:
                document, count = await make(opened)
                for piece in rendered(document, form):
                    paper.write(piece)
                await opened.record(about, count())
                return count()

        results = asyncio.run(work())
        paper.seek(0)
        if asking.out is None:
            shutil.copyfileobj(TextIOWrapper(paper, "utf-8", newline=""), sys.stdout)
            return
        with asking.out.open("wb") as file:
            shutil.copyfileobj(paper, file)
    if asking.as_json:
        print_json({"out": str(asking.out), "format": form, "results": results})
    else:
        typer.echo(f"{asking.out}: {results} results; that you asked is on record.")


def _told(since: str, until: str) -> str:
    return f"from {since or 'the beginning'} to {until or 'now'}"


def _day(option: str, told: str) -> date:
    try:
        return date.fromisoformat(told)
    except ValueError:
        raise typer.BadParameter(f"{option}: expected a date such as 2026-11-02") from None


def _days(option: str, told: str) -> tuple[date, date]:
    first, _, last = told.partition("/")
    found = _day(option, first), _day(option, last)
    if found[1] < found[0]:
        raise typer.BadParameter(f"{option}: expected the first day before the last")
    return found

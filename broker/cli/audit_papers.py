"""``concordat audit sar``, ``ropa``, ``breach``, ``log`` and ``pack``: papers from the log.

Each is handed out after the reading is on record, as HTML or PDF for people, as CSV or JSON
for machines.
"""

import asyncio
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from broker.cli.audit import audit_app
from broker.cli.handing_out import Answer, Made, hand_out
from broker.cli.options import (
    HERE,
    By,
    Dir,
    Identifiers,
    Json,
    OnlyGiven,
    Reason,
    Since,
    Until,
    WrongUse,
    day_of,
    period_of,
    print_json,
    settings_of,
    wrong_use,
)

if TYPE_CHECKING:
    from broker.audit.desk import Desk

Form = Annotated[
    Literal["html", "pdf", "csv", "json"],
    typer.Option("--format", help="HTML or PDF for people, CSV or JSON for machines."),
]
Out = Annotated[
    Path | None,
    typer.Option("--out", metavar="FILE", help="Where to write it; default: standard output."),
]
Parties = Annotated[
    list[str] | None,
    typer.Option("--party", help="Only this organisation; `broker` is the service's operator."),
]


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
    only_given: OnlyGiven = False,
    form: Form = "html",
    out: Out = None,
    by: By = None,
    folder: Dir = HERE,
    as_json: Json = False,
) -> None:
    """Write the disclosure schedule for a subject access request, with its clock."""
    from broker.audit.asking import identifiers_from
    from broker.audit.clocks import answer_by
    from broker.audit.schedule import schedule

    with wrong_use("--identifier"):
        identifiers = identifiers_from(identifier, sys.stdin)
    kinds = list(dict.fromkeys(one.kind for one in identifiers))
    clock = answer_by(
        day_of("--received", received),
        identity_shown=day_of("--identity-shown", identity_shown) if identity_shown else None,
        asked=[_days("--paused", told) for told in paused or ()],
        is_extended=extended,
    )

    async def make(desk: "Desk") -> Made:
        found, given = desk.about(identifiers, follows_links=not only_given)
        made = schedule(
            found, desk.terms, asked=desk.asked, clock=clock, found_by=kinds, given=given
        )
        return made, lambda: len(found)

    hand_out(
        make, f"audit sar by {', '.join(kinds)}", Answer(folder, by, reason, form, out, as_json)
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
    from schemas.control import BROKER

    period = period_of(since, until)

    async def make(desk: "Desk") -> Made:
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
    hand_out(make, about, Answer(folder, by, reason, form, out, as_json))


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
    from broker.periods import moment_of

    period = period_of(since, until)
    scope = Scope(recipient, period, agreement, flow)
    with wrong_use():
        aware_at = moment_of("--aware", aware)

    async def make(desk: "Desk") -> Made:
        desk.party(recipient)
        desk.check_flow(recipient, flow, agreement)
        if aware_at is not None and aware_at > desk.asked.at:
            raise WrongUse(f"--aware {aware} is still to come")
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
    hand_out(make, about, Answer(folder, by, reason, form, out, as_json))


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

    period = period_of(since, until)

    async def make(desk: "Desk") -> Made:
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
    hand_out(make, about, Answer(folder, by, reason, form, out, as_json))


@audit_app.command("pack")
def pack(
    partner: Annotated[str, typer.Option(help="The organisation that is audited.")],
    to: Annotated[Path, typer.Option(metavar="FOLDER", help="A new folder for the pack.")],
    reason: Reason,
    since: Since = "",
    until: Until = "",
    sample: Annotated[
        int, typer.Option(min=0, max=1000, help="Disclosures to follow up at the partner.")
    ] = 25,
    by: By = None,
    folder: Dir = HERE,
    as_json: Json = False,
) -> None:
    """Write an evidence pack about a partner: agreements, traffic, a sample with proofs."""
    from broker.acts import officer
    from broker.audit.desk import desk
    from broker.audit.disclosures import gap_to_json
    from broker.audit.pack_folder import draw_up
    from broker.scheme import SchemeFolder

    period = period_of(since, until)
    scheme = SchemeFolder(settings_of(folder))
    at = datetime.now(UTC)

    async def work() -> dict[str, Any]:
        async with desk(scheme, by=by or officer(), reason=reason, at=at) as opened:
            made = await draw_up(opened, opened.party(partner), period, to, sample=sample)
            return {
                "out": str(to),
                "disclosures": made.shared,
                "sample": len(made.sample),
                **gap_to_json(made.asked.answers_from),
            }

    found = asyncio.run(work())
    if as_json:
        print_json(found)
    else:
        typer.echo(
            f"{to}: {found['disclosures']} disclosures, {found['sample']} of them to follow up;"
            " that you asked is on record."
        )
        if found["gap"] is not None:
            typer.echo(found["gap"])


def _told(since: str, until: str) -> str:
    return f"from {since or 'the beginning'} to {until or 'now'}"


def _days(option: str, told: str) -> tuple[date, date]:
    first, _, last = told.partition("/")
    found = day_of(option, first), day_of(option, last)
    if found[1] < found[0]:
        raise WrongUse(f"{option}: expected the first day before the last")
    return found

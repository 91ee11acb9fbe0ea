"""``concordat evidence shred``, ``archive`` and ``legal-hold``: what becomes of old records."""

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from broker.cli.evidence import evidence_app
from broker.cli.options import HERE, By, Dir, Json, Reason, print_json, settings_of

if TYPE_CHECKING:
    from broker.evidence.holds import Scope

hold_app = typer.Typer(help="Records that a court or an inquiry may need: they are not shredded.")

Day = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], metavar="DATE", help="UTC.")]


def register(app: typer.Typer) -> None:  # noqa: ARG001  a part of `concordat evidence`
    """Add the commands to ``concordat evidence``."""
    evidence_app.command("shred")(shred)
    evidence_app.command("archive")(archive)
    evidence_app.command("former")(former)
    evidence_app.add_typer(hold_app, name="legal-hold")


def shred(
    folder: Dir = HERE,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what is due, and leave it as it is.")
    ] = False,
    by: By = None,
    reference: Annotated[
        str, typer.Option(help="Number of the order or ticket, if there is one.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Shred the decision records whose time is over; `concordat run` does it by itself.

    Salt and record go, from the log and from the stream; the tree still verifies, and an
    act in the log says what was shredded under which rule.
    """
    from broker.acts import check_words, officer
    from broker.evidence.retaining import Disposed, disposal_of, outliving, shred_due
    from broker.scheme import SchemeFolder

    scheme, who, now = SchemeFolder(settings_of(folder)), by or officer(), datetime.now(UTC)
    check_words("who does it", who)
    if reference:
        check_words("the reference", reference)

    async def work() -> Disposed:
        async with scheme.streams() as streams:
            if dry_run:
                disposal = await disposal_of(scheme, streams, by=who)
                begins = (await streams.begin("decisions")).get(0, 0)
                due, former = await disposal.due(now), await outliving(scheme)
                return Disposed(due, is_carried_out=False, stream_begins=begins, former=former)
            return await shred_due(scheme, streams, by=who, now=now, reference=reference)

    done = asyncio.run(work())
    found = {"dry_run": dry_run, **done.to_json()}
    if as_json:
        print_json(found)
        return
    verb = "are due" if dry_run else "were shredded"
    typer.echo(f"{done.plan.count} records {verb}, counted to {done.plan.at:%Y-%m-%d}.")
    for rule, number in found["shredded"].items():
        typer.echo(f"{number:8} {rule}")
    for hold, number in found["held"].items():
        typer.echo(f"{number:8} kept by legal hold {hold}")
    if done.plan.away:
        typer.echo(f"{done.plan.away} records lie in archives that are not here: put them back.")
    if not dry_run and not done.is_carried_out:
        typer.echo("The process that writes the log has not carried it out yet: ask again.")
    for one in done.former:
        typer.echo(
            f"{one.path} still has records that were shredded ({one.in_words}):"
            " `concordat evidence former --remove`"
        )


def archive(
    folder: Dir = HERE,
    before: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d"], metavar="DATE", help="Months that ended by then; default: today."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Put the records of past months into one file each, where they are read from as before."""
    from broker.evidence.archiving import archive_months
    from broker.evidence.reading import LogFiles
    from broker.scheme import SchemeFolder

    scheme = SchemeFolder(settings_of(folder))
    now = datetime.now(UTC)
    until = now if before is None else min(now, before.replace(tzinfo=UTC))
    latest = LogFiles(scheme.log_path).latest(scheme.log_keys.public(scheme.log_origin))
    done = archive_months(scheme.log_path, latest[0].size if latest else 0, before=until)
    if as_json:
        print_json({"archived": [one.to_json() for one in done]})
        return
    for one in done:
        typer.echo(f"{one.month}: {one.path}")
    typer.echo(f"{len(done)} archives were written.")


def former(
    folder: Dir = HERE,
    remove: Annotated[
        bool, typer.Option("--remove", help="Remove them, if the log itself verifies.")
    ] = False,
    by: By = None,
    reason: Reason = "",
    as_json: Json = False,
) -> None:
    """Show the former logs that were kept when the log was made again, or let them go.

    They have what they had, also what was shredded since. That they are removed is recorded.
    """
    from broker.acts import Act, ActKind, officer, record_act
    from broker.evidence.former import former_logs, remove_former, see_log_whole
    from broker.evidence.writing import locked
    from broker.scheme import SchemeFolder

    scheme = SchemeFolder(settings_of(folder))
    found = former_logs(scheme.log_path)
    who, key = by or officer(), scheme.log_keys.public(scheme.log_origin)

    async def let_go() -> None:
        async with scheme.streams() as streams:
            for one in found:
                about = f"former log {one.path.name} removed"
                act = Act(ActKind.ADMINISTRATION, datetime.now(UTC), who, about, reason=reason)
                with locked(one.path):  # it may be in the making
                    await record_act(streams, act)
                    remove_former(scheme.log_path, one)

    if remove and found:
        see_log_whole(scheme.log_path, key)
        asyncio.run(let_go())
    if as_json:
        print_json({"former": [one.to_json() for one in found], "removed": remove})
        return
    for one in found:
        typer.echo(f"{one.path}: {one.in_words} of its records were shredded in the log since")
    typer.echo(f"{len(found)} former logs {'were removed' if remove else 'lie beside the log'}.")


@hold_app.command("add")
def add(
    reason: Reason,
    folder: Dir = HERE,
    agreement: Annotated[str, typer.Option(help="Records about this agreement.")] = "",
    party: Annotated[str, typer.Option(help="Records of what it published or might get.")] = "",
    identifier: Annotated[
        list[str] | None,
        typer.Option(metavar="TYPE:VALUE", help="Records about this person; repeat it."),
    ] = None,
    since: Day = None,
    until: Day = None,
    everything: Annotated[
        bool, typer.Option("--everything", help="All records there are, and all to come.")
    ] = False,
    by: By = None,
    as_json: Json = False,
) -> None:
    """Keep records from being shredded until the hold is lifted; all that is given must fit."""
    from broker.evidence.holds import BadHold, Scope

    scope = Scope(
        agreement,
        party,
        _blinds(folder, identifier or []),
        None if since is None else since.replace(tzinfo=UTC),
        None if until is None else until.replace(tzinfo=UTC),
    )
    if (scope == Scope()) != everything:
        raise BadHold("expected what the hold is about, or --everything alone")
    hold = asyncio.run(_add(folder, scope, by=by, reason=reason))
    if as_json:
        print_json(hold)
    else:
        typer.echo(f"Hold {hold['id']} is in force.")


@hold_app.command("lift")
def lift(
    hold: Annotated[str, typer.Argument(metavar="ID")],
    reason: Reason,
    folder: Dir = HERE,
    by: By = None,
    as_json: Json = False,
) -> None:
    """Let records that were held be shredded when their time is over."""
    from broker.acts import officer
    from broker.evidence.disposal import retention_locked
    from broker.evidence.holds import lift_hold
    from broker.scheme import SchemeFolder

    scheme = SchemeFolder(settings_of(folder))

    async def work() -> dict[str, Any]:
        async with scheme.streams() as streams, retention_locked(scheme.path):
            lifted = await lift_hold(
                streams, hold, by=by or officer(), reason=reason, at=datetime.now(UTC)
            )
            return lifted.to_json()

    lifted = asyncio.run(work())
    if as_json:
        print_json(lifted)
    else:
        typer.echo(f"Hold {hold} is lifted.")


@hold_app.command("list")
def list_holds(folder: Dir = HERE, as_json: Json = False) -> None:
    """Show every hold, the lifted ones as well."""
    from broker.evidence.holds import read_holds
    from broker.scheme import SchemeFolder

    scheme = SchemeFolder(settings_of(folder))

    async def work() -> list[dict[str, Any]]:
        async with scheme.streams() as streams:
            return [one.to_json() for one in (await read_holds(streams)).values()]

    holds = asyncio.run(work())
    if as_json:
        print_json({"holds": holds})
        return
    for one in holds:
        state = "in force" if one["lifted_at"] is None else f"lifted {one['lifted_at'][:10]}"
        typer.echo(f"{one['id']}  {state}  {one['at'][:10]} by {one['by']}: {one['reason']}")
    typer.echo(f"{sum(one['lifted_at'] is None for one in holds)} holds are in force.")


def _blinds(folder: Any, told: list[str]) -> frozenset[bytes]:
    """Return what the records have in place of identifiers, under every audit key."""
    if not told:
        return frozenset()
    from broker.audit.keys import Identifier
    from broker.scheme import SchemeFolder

    scheme = SchemeFolder(settings_of(folder))
    return scheme.audit_keys.blinds([Identifier.read(one) for one in told])


async def _add(folder: Any, scope: "Scope", *, by: str | None, reason: str) -> dict[str, Any]:
    from broker.acts import officer
    from broker.evidence.disposal import retention_locked
    from broker.evidence.holds import BadHold, add_hold
    from broker.scheme import SchemeFolder

    scheme = SchemeFolder(settings_of(folder))
    async with scheme.streams() as streams, retention_locked(scheme.path):
        control = scheme.control(is_routing=False)
        await control.load(streams)
        versions = [one.agreement for one in control.versions() if one.agreement is not None]
        for what, told, known in (
            ("agreement", scope.agreement, {one.id for one in versions}),
            ("party", scope.party, control.snapshot().rules.parties),
        ):
            if told and told not in known:
                raise BadHold(f"there is no {what} {told} in the scheme, so it would hold nothing")
        hold = await add_hold(
            streams,
            scope,
            by=by or officer(),
            reason=reason,
            at=datetime.now(UTC),
            audit_keys=len(scheme.audit_keys.keys),
        )
        return hold.to_json()

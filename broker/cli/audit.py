"""``concordat audit``: the auditor's questions, each with who asks and why."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from broker.cli.options import (
    HERE,
    By,
    Dir,
    Identifiers,
    Json,
    OnlyGiven,
    Reason,
    print_json,
    settings_of,
    wrong_use,
)
from broker.cli.progress import showing

if TYPE_CHECKING:
    from broker.audit.asking import Asking

audit_app = typer.Typer(
    help="The auditor's questions; each is recorded with who asked and why.",
    no_args_is_help=True,
)

_Answer = dict[str, Any]


def register(app: typer.Typer) -> None:
    """Add the commands to ``concordat``."""
    app.add_typer(audit_app, name="audit")


@audit_app.command("subject")
def subject(
    reason: Reason,
    identifier: Identifiers,
    only_given: OnlyGiven = False,
    by: By = None,
    folder: Dir = HERE,
    as_json: Json = False,
) -> None:
    """Tell who received data about a person: what, when, why, and how it is proved."""
    from broker.audit.asking import identifiers_from

    with wrong_use("--identifier"):
        identifiers = identifiers_from(identifier, sys.stdin)
    answered = asked(
        folder,
        lambda asking: asking.subject(identifiers, follows_links=not only_given),
        by=by,
        reason=reason,
    )
    _show(answered, as_json=as_json)


@audit_app.command("event")
def event(
    event_id: Annotated[str, typer.Argument(metavar="EVENT-ID")],
    reason: Reason,
    by: By = None,
    folder: Dir = HERE,
    as_json: Json = False,
) -> None:
    """Tell who received an event, and who did not, with proofs."""
    answered = asked(folder, lambda asking: asking.event(event_id), by=by, reason=reason)
    _show(answered, as_json=as_json)


@audit_app.command("reindex")
def reindex(folder: Dir = HERE, as_json: Json = False) -> None:
    """Make the query store again from the log, under the newest audit key."""
    _say_indexed(_index_again(folder), as_json=as_json)


@audit_app.command("rotate-key")
def rotate_key(reason: Reason, by: By = None, folder: Dir = HERE, as_json: Json = False) -> None:
    """Blind identifiers under a new audit key from now on, and make the query store again.

    What was blinded under former keys is found as before. Services that run go on with the
    former key until they are started again.
    """
    from broker.acts import Act, ActKind, officer, record_act
    from broker.audit.keys import rotate
    from broker.scheme import SchemeFolder

    scheme = SchemeFolder(settings_of(folder))
    who, at = by or officer(), datetime.now(UTC)
    act = Act(ActKind.ADMINISTRATION, at, who, "the audit key was rotated", reason=reason)

    async def work() -> None:
        async with scheme.streams() as streams:
            await record_act(streams, act)

    asyncio.run(work())
    rotate(scheme.key_store)
    entries = _index_again(folder)
    if not as_json:
        typer.echo("Start again whatever runs: `concordat run` keeps the key it began with.")
    _say_indexed(entries, as_json=as_json)


def _say_indexed(entries: int, *, as_json: bool) -> None:
    if as_json:
        print_json({"entries": entries})
    else:
        typer.echo(f"{entries} entries of the log are in the query store.")


def _index_again(folder: Path) -> int:
    from broker.audit.following import AuditWorker
    from broker.scheme import SchemeFolder

    scheme = SchemeFolder(settings_of(folder))

    async def work() -> int:
        store = scheme.open_audit_store()
        store.begin()
        with showing("indexing") as told:
            async with scheme.streams() as streams:
                worker = AuditWorker(
                    streams,
                    store,
                    scheme.signed_log,
                    progress=lambda size: told(size, None),
                )
                return await worker.catch_up()

    return asyncio.run(work())


def asked(
    folder: Path,
    question: "Callable[[Asking], Awaitable[_Answer]]",
    *,
    by: str | None,
    reason: str,
) -> _Answer:
    """Ask something of a scheme, on record."""
    from broker.acts import officer
    from broker.audit.asking import Asking
    from broker.scheme import SchemeFolder

    scheme = SchemeFolder(settings_of(folder))

    async def work() -> _Answer:
        async with scheme.streams() as streams:
            asking = Asking(scheme, streams, by=by or officer(), reason=reason)
            return await question(asking)

    return asyncio.run(work())


def _show(answered: _Answer, *, as_json: bool) -> None:
    if as_json:
        print_json(answered)
        return
    for told in answered["disclosures"]:
        typer.echo(f"{_when(told)}  {told['recipient']} received {', '.join(told['items'])}")
        _say_why(told)
    for told in answered["refused"]:
        why = ": ".join(filter(None, (told["reason"], told["detail"])))
        typer.echo(f"{_when(told)}  {told['recipient'] or 'nobody'}: {told['outcome']} ({why})")
        _say_why(told)
    for told in answered["notices"]:
        typer.echo(f"{_when(told)}  {told['recipient']} {_told(told)}")
        _say_why(told)
    typer.echo(
        f"{len(answered['disclosures'])} disclosures, {len(answered['refused'])} refusals and"
        f" {len(answered['notices'])} notices in {answered['entries']} entries of the log;"
        " --json has the proofs."
    )
    if answered["gap"] is not None:
        typer.echo(answered["gap"])


def _told(notice: _Answer) -> str:
    back = f"told that event {notice['detail']} was taken back"
    is_told = notice["outcome"] == "permit"
    return f"was {back}" if is_told else f"could not be {back} ({notice['reason']})"


def _when(told: _Answer) -> str:
    return str(told["time"])[:19].replace("T", " ")


def _say_why(told: _Answer) -> None:
    typer.echo(f"    event {told['event_id']}, {told['event_type']} from {told['publisher']}")
    if told["agreement"]:
        typer.echo(
            f"    {told['agreement']} version {told['version']}, flow {told['flow']},"
            f" for the purpose {told['purpose']}"
        )
        for side, basis in told["legal"].items():
            typer.echo(f"    {side} relies on {basis['regime']}: {', '.join(basis['conditions'])}")
    for path, why in told["withheld"].items():
        typer.echo(f"    withheld {path}: {why}")
    if told.get("linked"):
        typer.echo("    found by another identifier of the same records: see that it is theirs")

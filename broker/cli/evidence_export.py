"""``concordat evidence export``."""

import asyncio
import shutil
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from broker.cli.evidence import evidence_app
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
from broker.cli.progress import showing
from schemas.errors import ConcordatError

if TYPE_CHECKING:
    from broker.evidence.exporting import Exported


def register(_app: typer.Typer) -> None:
    """Add the command to ``concordat evidence``."""
    evidence_app.command("export")(export_log)


def export_log(
    to: Annotated[Path, typer.Option(metavar="OUT", help="A folder that is not there yet.")],
    folder: Dir = HERE,
    since: Since = "",
    until: Until = "",
    by: By = None,
    reason: Reason = "to export the log",
    as_json: Json = False,
) -> None:
    """Write what an auditor needs to verify everything, or a period, without the broker.

    That it was exported is recorded.
    """
    from broker.acts import check_words, officer, record_reading
    from broker.evidence.exporting import Source, export
    from broker.evidence.reading import LogFiles
    from broker.scheme import SchemeFolder

    period = period_of(since, until)
    scheme = SchemeFolder(settings_of(folder))
    who = by or officer()
    check_words("who asks", who)  # before the work, not after it
    check_words("the reason", reason)
    about = f"evidence export, decided from {since or 'the first'} to {until or 'the last'}"

    async def work() -> "Exported":
        async with scheme.streams() as streams:
            source = Source(
                log=LogFiles(scheme.log_path),
                keys=scheme.log_keys,
                origin=scheme.log_origin,
                streams=streams,
                scheme_key=scheme.scheme_key,
                sealing=scheme.broker_keys.sealing,
            )
            with showing("exporting") as told:
                done = await export(source, to, period=period, progress=told)
            try:
                await record_reading(
                    streams,
                    by=who,
                    reason=reason,
                    about=about,
                    results=done.records,
                    at=datetime.now(UTC),
                )
            except ConcordatError:
                shutil.rmtree(to)  # what is not on record is not handed out
                raise
            return done

    done = asyncio.run(work())
    if as_json:
        print_json({"to": str(to), **asdict(done)})
        return
    typer.echo(
        f"{to} has {done.records} of {done.size} records, {done.deliveries} deliveries by their"
        f" digests and {done.documents} documents of control"
    )
    for kind, number in done.not_held.items():
        if number:
            typer.echo(f"Of {number} {kind} the streams hold nothing any more")
    key = scheme.log_keys.public(scheme.log_origin)
    typer.echo(f"verify it with: concordat verify {to} --key {key.to_vkey()}")

"""``concordat verify`` and ``concordat evidence``."""

import asyncio
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress

from broker.cli.options import HERE, By, Dir, Json, Reason, print_json, settings_of

evidence_app = typer.Typer(help="The log of all decisions: its state, making it again.")

Witnesses = Annotated[
    list[str] | None,
    typer.Option("--witness", help="A verifier key whose cosignature must be there; repeat it."),
]


def register(app: typer.Typer) -> None:
    """Add the commands to ``concordat``."""
    app.command("verify")(verify)
    app.add_typer(evidence_app, name="evidence")


def verify(
    log: Annotated[
        Path, typer.Argument(metavar="DIR", exists=True, file_okay=False, help="The log's folder.")
    ],
    key: Annotated[str, typer.Option(help="The log's verifier key: name+id+base64.")],
    witness: Witnesses = None,
    as_json: Json = False,
) -> None:
    """Check a log with nothing but its files and public keys; says what is not as it was signed."""
    from broker.evidence.reading import LogFiles
    from broker.evidence.verifying import verify_log
    from schemas.notes import NoteKey

    log_key = NoteKey.from_vkey(key)
    witnesses = [NoteKey.from_vkey(vkey) for vkey in witness or ()]
    with _progress() as bar:
        task = bar.add_task("verifying", total=None)
        result = verify_log(
            LogFiles(log),
            log_key,
            witnesses=witnesses,
            progress=lambda done, size: bar.update(task, completed=done, total=size),
        )
    if as_json:
        print_json(result.to_json())
    else:
        for finding in result.findings:
            typer.echo(f"{finding.code}: {finding.text}")
        verdict = "verifies" if result.is_verified else "does not verify"
        typer.echo(
            f"{log} {verdict}: {result.size} entries under {result.checkpoints} checkpoints"
            f" of {log_key.name}"
        )
        for rule, number in result.shredded.items():
            typer.echo(f"{number} records were shredded under {rule}")
    raise typer.Exit(0 if result.is_verified else 1)


@evidence_app.command("status")
def status(folder: Dir = HERE, as_json: Json = False) -> None:
    """Say how far the log is behind the decisions, and which key it is verified with."""
    from broker.evidence.reading import LogFiles
    from broker.routing import DECISIONS
    from broker.scheme import SchemeFolder

    scheme = SchemeFolder(settings_of(folder))
    public = scheme.log_keys.public(scheme.log_origin)
    files = LogFiles(scheme.log_path)

    async def work() -> dict[str, Any]:
        latest = files.latest(public)
        size = latest[0].size if latest else 0
        async with scheme.streams() as streams:
            end = (await streams.end(DECISIONS)).get(0, 0)
        return {
            "key": public.to_vkey(),
            "entries": size,
            "root": latest[0].root.hex() if latest else None,
            "behind": end - (files.offset_of(size - 1) or 0) - 1 if size else end,
        }

    found = asyncio.run(work())
    if as_json:
        print_json(found)
        return
    typer.echo(f"{found['entries']} entries are signed, {found['behind']} offsets are yet to come")
    typer.echo(f"verify it with: concordat verify {scheme.log_path} --key {found['key']}")


@evidence_app.command("update")
def update(folder: Dir = HERE, as_json: Json = False) -> None:
    """Take what was decided into the log and sign it; `concordat run` does it by itself."""
    from broker.evidence.following import EvidenceWorker
    from broker.evidence.writing import writing
    from broker.logs import configure_logs
    from broker.scheme import SchemeFolder

    scheme = SchemeFolder(settings_of(folder))
    configure_logs(scheme.settings.logs, stream=sys.stderr)

    async def work() -> int:
        async with scheme.streams() as streams:
            with writing(scheme.log_path, scheme.log_keys, origin=scheme.log_origin) as writer:
                return await EvidenceWorker(streams, writer).catch_up()

    size = asyncio.run(work())
    if as_json:
        print_json({"entries": size})
    else:
        typer.echo(f"{size} entries are signed.")


@evidence_app.command("rebuild")
def rebuild_log(
    by: By = None, reason: Reason = "", folder: Dir = HERE, as_json: Json = False
) -> None:
    """Make a lost or damaged log again from the streams; it comes out byte for byte the same.

    That it was made again is recorded, with who did it.
    """
    from broker.acts import Act, ActKind, check_act, officer, record_act
    from broker.evidence.rebuilding import rebuild
    from broker.scheme import SchemeFolder

    scheme = SchemeFolder(settings_of(folder))
    about = "evidence log made again"
    act = Act(ActKind.ADMINISTRATION, datetime.now(UTC), by or officer(), about, reason=reason)
    check_act(act)  # before the work, not after it

    async def work() -> dict[str, Any]:
        with _progress() as bar:
            task = bar.add_task("rebuilding", total=None)
            async with scheme.streams() as streams:
                rebuilt = await rebuild(
                    scheme.log_path,
                    scheme.log_keys,
                    streams,
                    origin=scheme.log_origin,
                    progress=lambda size: bar.update(task, completed=size),
                )
                done = replace(act, at=datetime.now(UTC), results=rebuilt.size)
                await record_act(streams, done)
        return {
            "entries": rebuilt.size,
            "checkpoints": rebuilt.checkpoints,
            "former": str(rebuilt.former),
        }

    found = asyncio.run(work())
    if as_json:
        print_json(found)
    else:
        typer.echo(f"{found['entries']} entries, the same as were signed before.")
        typer.echo(f"The former log is kept in {found['former']}.")


def _progress() -> Progress:
    """Return a bar that is shown on a terminal and silent elsewhere."""
    console = Console(stderr=True)
    return Progress(console=console, transient=True, disable=not console.is_terminal)

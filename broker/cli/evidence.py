"""``concordat verify`` and ``concordat evidence``."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from broker.cli.options import HERE, By, Dir, Json, Reason, note_key, print_json, settings_of
from broker.cli.progress import showing

if TYPE_CHECKING:
    from broker.evidence.verified import Verified

evidence_app = typer.Typer(
    help="The log of all decisions and acts: state, exports, shredding, archives."
)

Witnesses = Annotated[
    list[str] | None,
    typer.Option("--witness", help="A verifier key whose cosignature must be there; repeat it."),
]


def register(app: typer.Typer) -> None:
    """Add the commands to ``concordat``."""
    app.command("verify")(verify)
    app.add_typer(evidence_app, name="evidence")


def verify(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR", exists=True, file_okay=False, help="An export, or a log's folder."
        ),
    ],
    key: Annotated[
        str | None,
        typer.Option(
            help="The log's verifier key: name+id+base64. An export brings its own,"
            " which nobody vouches for."
        ),
    ] = None,
    witness: Witnesses = None,
    as_json: Json = False,
) -> None:
    """Check an export, or a log, with nothing but its files and public keys.

    Of an export every decision is made again, too.
    """
    from broker.evidence.offline import own_key
    from broker.evidence.offline import verify as verify_folder

    log_key = own_key(folder) if key is None else note_key("--key", key)
    if log_key is None:
        raise typer.BadParameter(
            "the folder brings no key: give the log's with --key", param_hint="--key"
        )
    witnesses = [note_key("--witness", vkey) for vkey in witness or ()]
    with showing("verifying") as told:
        result = verify_folder(folder, log_key, witnesses=witnesses, progress=told)
    if as_json:
        vouched = {"key": log_key.to_vkey(), "key_given": key is not None}
        print_json(result.to_json() | vouched)
    else:
        _tell(folder, result, log_key.name)
        if key is None:
            typer.echo(
                "The key is the folder's own, so nothing vouches for it: compare it with the one"
                f" that you were given by another way. {log_key.to_vkey()}"
            )
    raise typer.Exit(0 if result.is_verified else 1)


def _tell(folder: Path, result: "Verified", name: str) -> None:
    for problem in result.problems:
        typer.echo(f"{problem.code}: {problem.message}")
    verdict = "verifies" if result.is_verified else "does not verify"
    signed = "1 checkpoint" if result.checkpoints == 1 else f"{result.checkpoints} checkpoints"
    typer.echo(f"{folder} {verdict}: {result.records} records under {signed} of {name}")
    for rule, number in result.shredded.items():
        typer.echo(f"{number} records were shredded under {rule}")
    counts = result.counts
    if not counts:
        typer.echo("It is a log alone: whether its decisions are right, an export shows.")
        return
    typer.echo(
        f"{counts['decided_again']} decisions were made again, {counts['acts']} acts read;"
        f" {result.left_out} records are of other times than the export's"
    )
    typer.echo(
        f"{counts['events']} events are signed by their publishers"
        f" ({counts['events_not_held']} no longer held),"
        f" {counts['deliveries']} deliveries are the ones permitted"
        f" ({counts['deliveries_not_held']} no longer held)"
    )
    if counts["deliveries_copied"]:
        typer.echo(
            f"{counts['deliveries_copied']} copies of deliveries lie elsewhere, where they do"
            " not open"
        )
    typer.echo(
        f"{counts['control']} documents of control, signed as a whole by the scheme up to offset"
        f" {counts['control_signed']}"
    )


@evidence_app.command("status")
def status(folder: Dir = HERE, as_json: Json = False) -> None:
    """Say how far the log is behind the decisions, and which key it is verified with."""
    from broker.audit.asking import how_far
    from broker.evidence.former import former_logs
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
            "query_store": how_far(scheme, end),
            "former": [one.to_json() for one in former],
        }

    former = former_logs(scheme.log_path)
    found = asyncio.run(work())
    if as_json:
        print_json(found)
        return
    typer.echo(f"{found['entries']} entries are signed, {found['behind']} offsets are yet to come")
    if found["query_store"] is not None:
        store = found["query_store"]
        typer.echo(
            f"{store['entries']} entries are in the query store, {store['behind']} offsets are yet"
            " to come"
        )
        if store["gap"] is not None:
            typer.echo(store["gap"])
    for one in former:
        typer.echo(
            f"{one.path} is a former log; of its records {one.in_words} were shredded since:"
            " see `concordat evidence former`"
        )
    typer.echo(f"verify it with: concordat verify {scheme.log_path} --key {found['key']}")


@evidence_app.command("update")
def update(folder: Dir = HERE, as_json: Json = False) -> None:
    """Take what was decided into the log and sign it; `concordat run` does it by itself."""
    from broker.evidence.following import EvidenceWorker
    from broker.evidence.writing import writing
    from broker.scheme import SchemeFolder

    scheme = SchemeFolder(settings_of(folder))

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
    by: By = None,
    reason: Reason = "",
    copy: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="DIR",
            exists=True,
            file_okay=False,
            help="A copy of the log, for what the stream no longer has; default: the old log.",
        ),
    ] = None,
    folder: Dir = HERE,
    as_json: Json = False,
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
        with showing("rebuilding") as told:
            async with scheme.streams() as streams:
                rebuilt = await rebuild(
                    scheme.log_path,
                    scheme.log_keys,
                    streams,
                    origin=scheme.log_origin,
                    copy=copy,
                    progress=lambda size: told(size, None),
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

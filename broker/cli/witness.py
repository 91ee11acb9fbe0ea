"""``concordat witness``: partner bodies that watch over a log, and what the log does with it.

The first commands are for the witness, in a folder of its own, the others for whoever keeps
the log, in the scheme's folder.
"""

import asyncio
import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from broker.cli.options import HERE, By, Dir, Json, note_key, print_json, settings_of

if TYPE_CHECKING:
    from pydantic import SecretStr

    from broker.scheme import SchemeFolder
    from schemas.notes import Note, NoteKey

witness_app = typer.Typer(
    help="Partner bodies that cosign the log's checkpoints.", no_args_is_help=True
)

WitnessDir = Annotated[
    Path, typer.Option("--dir", help="The witness's own folder.", metavar="DIR", file_okay=False)
]
Out = Annotated[Path | None, typer.Option(help="Where it is written; default standard output.")]
NoteFile = Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False)]


def register(app: typer.Typer) -> None:
    """Add the commands to ``concordat``."""
    app.add_typer(witness_app, name="witness")


@witness_app.command("init")
def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where the witness is to live.")],
    name: Annotated[
        str, typer.Option(help="Its name, such as trust.example/witness: without spaces.")
    ],
    log: Annotated[list[str], typer.Option(help="The verifier key of a log; repeat it.")],
    as_json: Json = False,
) -> None:
    """Make a witness: a folder and a key of its own, and the logs that it watches."""
    from broker.witnessing import Witness

    logs = [note_key("--log", vkey) for vkey in log]
    vkey = Witness.found(folder, name=name, logs=logs, passphrase=_passphrase()).public.to_vkey()
    if as_json:
        print_json({"witness": name, "key": vkey})
    else:
        typer.echo(f"The witness is in {folder}. Its key, for the log and for auditors:\n{vkey}")


@witness_app.command("cosign")
def cosign(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SOURCE",
            exists=True,
            help="The log's folder, or the file of a request (C2SP tlog-witness).",
        ),
    ],
    folder: WitnessDir = HERE,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Cosign the log's latest checkpoint if it goes on from the last one; refuse it if not."""
    from broker.cli.files import read_limited
    from broker.disk import replacing
    from broker.evidence.reading import LogFiles
    from broker.witnessing import Witness
    from schemas.checkpoints import WitnessRequest

    witness = Witness.load(folder, _passphrase())
    at = datetime.now(UTC)
    if source.is_dir():
        done = witness.cosign_folder(LogFiles(source), at=at)
    else:
        done = witness.cosign_request(WitnessRequest.read(read_limited(source)), at=at)
    checkpoint, text = done.checkpoint, done.note.to_text()
    if out is not None:
        with replacing(out) as file:  # the log's keeper may be taking the one before
            file.write(text.encode())
    if as_json:
        print_json(
            {
                "log": checkpoint.origin,
                "entries": checkpoint.size,
                "root": checkpoint.root.hex(),
                "cosigned_at": done.signature.cosigned_at,
                "note": text,
            }
        )
    elif out is None:
        sys.stdout.write(text)
    else:
        typer.echo(f"Cosigned {checkpoint.size} entries of {checkpoint.origin} in {out}.")


@witness_app.command("compare")
def compare(
    log: Annotated[
        Path,
        typer.Argument(metavar="LOG", exists=True, file_okay=False, help="The log's folder."),
    ],
    others: Annotated[
        list[Path] | None,
        typer.Argument(metavar="FILE…", exists=True, help="Checkpoints that others were shown."),
    ] = None,
    told_in: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Read those that the topic `checkpoints` has, too."),
    ] = None,
    folder: WitnessDir = HERE,
    as_json: Json = False,
) -> None:
    """Hold what others were shown of a log against what this witness cosigned.

    Exit status 1 where they cannot be of one log; what proves it is kept.
    """
    from broker.cli.files import read_limited
    from broker.evidence.reading import LogFiles
    from broker.witnessing import Witness
    from schemas.notes import Note

    witness = Witness.load(folder, _passphrase())
    shown = [(str(file), Note.read(read_limited(file))) for file in others or ()]
    if told_in is not None:
        shown += asyncio.run(_told(told_in, witness.logs))
    found = []
    for place, note in shown:
        contradiction = witness.compare(note, LogFiles(log))
        if contradiction is not None:
            found.append({"shown": place, "proved": contradiction.prefix is not None})
    if as_json:
        print_json({"compared": len(shown), "contradictions": found})
    else:
        for one in found:
            said = "proves a split view" if one["proved"] else "was not shown to be of the same log"
            typer.echo(f"{one['shown']} {said}: see {folder / 'refused'}")
        typer.echo(f"{len(shown)} compared, {len(found)} contradict what was cosigned")
    raise typer.Exit(1 if found else 0)


@witness_app.command("convict")
def convict(
    file: NoteFile,
    log: Annotated[str, typer.Option(help="The log's verifier key.")],
    as_json: Json = False,
) -> None:
    """Say whether a file that a witness kept proves that the log has shown a split view."""
    from broker.cli.files import read_limited
    from broker.split_views import Contradiction

    is_proved = Contradiction.read(read_limited(file)).is_proved(note_key("--log", log))
    if as_json:
        print_json({"proved": is_proved})
    else:
        typer.echo(
            "The log has signed two trees that cannot both be true."
            if is_proved
            else "This proves nothing against the log."
        )
    raise typer.Exit(0 if is_proved else 1)


@witness_app.command("trust")
def trust(
    key: Annotated[str, typer.Argument(metavar="KEY", help="The witness's verifier key.")],
    by: By = None,
    folder: Dir = HERE,
    as_json: Json = False,
) -> None:
    """Take a witness's cosignatures from now on; recorded as an act."""
    from broker.evidence.cosigning import add_witness, is_new_witness
    from broker.evidence.reading import LogFiles
    from broker.scheme import SchemeFolder

    scheme, witness = SchemeFolder(settings_of(folder)), note_key("KEY", key)
    scheme.log_path.mkdir(mode=0o700, exist_ok=True)
    files = LogFiles(scheme.log_path)
    is_new = is_new_witness(files, witness)
    if is_new:
        asyncio.run(_record_trust(scheme, witness.to_vkey(), by))
        add_witness(files, witness)
    if as_json:
        print_json({"witness": witness.name, "new": is_new})
    else:
        typer.echo(f"{witness.name} is a witness of this log{'' if is_new else ' already'}.")


@witness_app.command("request")
def request(
    witness: Annotated[str, typer.Argument(metavar="NAME", help="Which witness to ask.")],
    out: Out = None,
    folder: Dir = HERE,
) -> None:
    """Write what a witness elsewhere is asked with: the checkpoint, and that it goes on."""
    from broker.evidence.cosigning import request_to
    from broker.evidence.reading import LogFiles
    from broker.scheme import SchemeFolder

    scheme = SchemeFolder(settings_of(folder))
    files = LogFiles(scheme.log_path)
    text = request_to(files, scheme.log_keys.public(scheme.log_origin), witness).to_text()
    if out is None:
        sys.stdout.write(text)
    else:
        out.write_text(text, encoding="utf-8")
        typer.echo(f"Send {out} to {witness}; what comes back is for `concordat witness add`.")


@witness_app.command("add")
def add(file: NoteFile, folder: Dir = HERE, as_json: Json = False) -> None:
    """Keep the cosignatures on a checkpoint that a witness has sent back."""
    from broker.cli.files import read_limited
    from broker.evidence.cosigning import take_cosignatures
    from broker.evidence.reading import LogFiles
    from broker.evidence.writing import LogInUse, writing
    from broker.scheme import SchemeFolder
    from schemas.notes import Note

    scheme = SchemeFolder(settings_of(folder))
    log = scheme.log_keys.public(scheme.log_origin)
    taken = take_cosignatures(LogFiles(scheme.log_path), log, Note.read(read_limited(file)))
    try:
        with writing(scheme.log_path, scheme.log_keys, origin=scheme.log_origin):
            pass  # opening a log puts what is known on its latest checkpoint
    except LogInUse:
        pass  # whoever writes it does so within a second
    names = [key.name for key, _ in taken.signatures]
    if as_json:
        print_json({"entries": taken.checkpoint.size, "witnesses": names})
    else:
        typer.echo(f"{taken.checkpoint.size} entries are cosigned by {', '.join(names)}.")


async def _record_trust(scheme: "SchemeFolder", vkey: str, by: str | None) -> None:
    from broker.acts import Act, ActKind, officer, record_act

    act = Act(ActKind.WITNESS, datetime.now(UTC), by or officer(), f"witness {vkey}")
    async with scheme.streams() as streams:
        await record_act(streams, act)


async def _told(folder: Path, logs: "Mapping[str, NoteKey]") -> "list[tuple[str, Note]]":
    """Return the checkpoints that these logs have signed and a scheme's streams have."""
    from broker.evidence.following import CHECKPOINTS
    from broker.scheme import SchemeFolder
    from schemas.checkpoints import Checkpoint
    from schemas.notes import BadNote, Note

    found = []
    async with SchemeFolder(settings_of(folder)).streams() as streams:
        async for record in streams.read(CHECKPOINTS):
            log = logs.get((record.key or b"").decode(errors="replace"))
            try:
                note = Note.read(record.value or b"")
                if log is not None and Checkpoint.trusted(note, log):
                    found.append((f"checkpoints/{record.partition}/{record.offset}", note))
            except BadNote:  # anybody may write there
                continue
    return found


def _passphrase() -> "SecretStr | None":
    from pydantic import SecretStr

    secret = os.environ.get("CONCORDAT_KEY_PASSPHRASE")
    return None if secret is None else SecretStr(secret)

"""``concordat receipt``: that the decision on a delivery is in the log, for its recipient."""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from broker.cli.options import HERE, By, Dir, Json, Reason, note_key, print_json, settings_of

if TYPE_CHECKING:
    from broker.evidence.receipts import Checked
    from schemas.checkpoints import Proof


def register(app: typer.Typer) -> None:
    """Add the commands to ``concordat``."""
    app.command("receipt")(receipt)


def receipt(
    event_id: Annotated[
        str | None, typer.Argument(metavar="EVENT-ID", help="Of what was delivered.")
    ] = None,
    recipient: Annotated[str, typer.Option(help="The party that it was delivered to.")] = "",
    out: Annotated[
        Path | None, typer.Option(metavar="F.tlog-proof", help="Where it is written.")
    ] = None,
    entry: Annotated[int | None, typer.Option(help="Which, where an event has several.")] = None,
    check: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, metavar="F.tlog-proof", help="Check one instead."
        ),
    ] = None,
    key: Annotated[str, typer.Option(help="To check: the log's verifier key.")] = "",
    witness: Annotated[
        list[str] | None,
        typer.Option(help="To check: a verifier key that must have cosigned; repeat it."),
    ] = None,
    received: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="To check: the file that the delivery came in."
        ),
    ] = None,
    log: Annotated[
        Path | None,
        typer.Option(
            exists=True, file_okay=False, help="To check: a log's folder that must agree with it."
        ),
    ] = None,
    by: By = None,
    reason: Reason = "to give a recipient its receipt",
    folder: Dir = HERE,
    as_json: Json = False,
) -> None:
    """Give a recipient the proof that the decision on a delivery is in the log, or check one.

    Checking needs no scheme: the file and the log's verifier key are enough.
    """
    if check is not None:
        if not key:
            raise typer.BadParameter("checking needs the log's verifier key", param_hint="--key")
        _check(check, key, witness or [], received=received, log=log, as_json=as_json)
        return
    if not (event_id and recipient and out):
        raise typer.BadParameter("expected EVENT-ID, --recipient and --out, or --check and --key")
    proof = asyncio.run(
        _issue(folder, event_id, recipient=recipient, entry=entry, by=by, reason=reason)
    )
    out.write_text(proof.to_text(), encoding="utf-8")
    if as_json:
        print_json({"file": str(out), "entry": proof.index})
    else:
        typer.echo(f"{out} proves entry {proof.index} of the log to {recipient}.")


async def _issue(
    folder: Path, event_id: str, *, recipient: str, entry: int | None, by: str | None, reason: str
) -> "Proof":
    from broker.acts import check_words, officer, record_reading
    from broker.evidence.reading import LogFiles
    from broker.evidence.receipts import NoReceipt
    from broker.evidence.receipts import receipt as receipt_of
    from broker.scheme import SchemeFolder

    scheme, who = SchemeFolder(settings_of(folder)), by or officer()
    check_words("who asks", who)
    check_words("the reason", reason)
    found: Proof | NoReceipt
    try:
        found = receipt_of(
            LogFiles(scheme.log_path),
            scheme.log_keys,
            event_id,
            origin=scheme.log_origin,
            recipient=recipient,
            entry=entry,
        )
    except NoReceipt as error:
        found = error
    is_there = not isinstance(found, NoReceipt)
    async with scheme.streams() as streams:
        await record_reading(
            streams,
            by=who,
            reason=reason,
            about=f"receipt of {event_id} for {recipient}" if is_there else "a receipt of nothing",
            results=int(is_there),
            at=datetime.now(UTC),
        )
    if isinstance(found, NoReceipt):
        raise found
    return found


def _check(
    file: Path,
    key: str,
    witnesses: list[str],
    *,
    received: Path | None,
    log: Path | None,
    as_json: bool,
) -> None:
    from broker.cli.files import read_limited
    from broker.evidence.receipts import check_receipt

    keys = [note_key("--witness", vkey) for vkey in witnesses]
    checked = check_receipt(read_limited(file), note_key("--key", key), witnesses=keys)
    problems = []
    if received is not None and not _is_of(checked, received):
        problems.append(f"{received} has no delivery that this is the receipt of")
    if log is not None:
        problems += _contradiction(checked, log)
    answer: dict[str, Any] = {
        "entry": checked.index,
        "entries": checked.checkpoint.size,
        "witnesses": list(checked.witnesses),
        **checked.said,
        "problems": problems,
    }
    if as_json:
        print_json(answer)
    else:
        typer.echo(
            f"Entry {checked.index} of {checked.checkpoint.origin} is the decision on"
            f" {checked.said['event']} for {checked.said['recipient']}."
        )
        for name in checked.witnesses:
            typer.echo(f"Cosigned by {name}.")
        for problem in problems:
            typer.echo(problem, err=True)
    raise typer.Exit(1 if problems else 0)


def _is_of(checked: "Checked", received: Path) -> bool:
    """Whether a delivery of the event with the digest is in a JSON Lines file."""
    with received.open("rb") as lines:
        for line in lines:
            if checked.said["event"].encode() in line:
                found = json.loads(line)
                if found["event_id"] == checked.said["event"] and checked.covers(found["delivery"]):
                    return True
    return False


def _contradiction(checked: "Checked", log: Path) -> list[str]:
    """Return what a log's folder has against a receipt."""
    from broker.evidence.reading import LogFiles
    from broker.evidence.receipts import contradicts
    from schemas.tiles import WIDTH

    number, at = divmod(checked.index, WIDTH)
    kept = LogFiles(log).records(number)
    if at >= len(kept):
        return [f"the record of entry {checked.index} is away: {log} and its archives lack it"]
    if contradicts(checked, kept[at]):
        return [f"entry {checked.index} of {log} says something else than this receipt"]
    return []

"""Let a paper out: in the form that was asked for, and after it is on record that it was.

The paper is made first, so that the record tells how much is in it, and kept aside until
then.
"""

import asyncio
import shutil
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime
from io import TextIOWrapper
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import TYPE_CHECKING, Any, Final, Literal

import typer

from broker.cli.options import print_json, settings_of

if TYPE_CHECKING:
    from broker.audit.desk import Desk
    from broker.audit.forms import Document

_IN_MEMORY_BYTES: Final = 16 << 20


@dataclass(frozen=True, slots=True)
class Answer:
    """Of which scheme, to whom and why, and in which form."""

    folder: Path
    by: str | None
    reason: str
    form: Literal["html", "pdf", "csv", "json"]
    out: Path | None
    as_json: bool


Made = tuple["Document", Callable[[], int]]
"""A paper, and what tells how many results are in it once it was written."""
Make = Callable[["Desk"], Coroutine[Any, Any, Made]]


def hand_out(make: Make, about: str, answer: Answer) -> None:
    """Make a paper, put on record that it was asked for, and only then let it out."""
    from broker.acts import officer
    from broker.audit.desk import desk
    from broker.audit.disclosures import gap_sentence, gap_to_json
    from broker.audit.forms import rendered
    from broker.scheme import SchemeFolder

    if answer.out is None and answer.form == "pdf" and not answer.as_json:
        raise typer.BadParameter("a PDF needs a file: add --out FILE")
    form = "json" if answer.as_json and answer.out is None else answer.form
    scheme = SchemeFolder(settings_of(answer.folder))
    at = datetime.now(UTC)
    with SpooledTemporaryFile(_IN_MEMORY_BYTES) as paper:

        async def work() -> tuple[int, datetime | None]:
            by = answer.by or officer()
            async with desk(scheme, by=by, reason=answer.reason, at=at) as opened:
                document, count = await make(opened)
                for piece in rendered(document, form):
                    paper.write(piece)
                await opened.record(about, count())
                return count(), opened.asked.answers_from

        results, answers_from = asyncio.run(work())
        if answers_from is not None:  # rows for machines have no place to say it
            typer.echo(gap_sentence(answers_from), err=True)
        paper.seek(0)
        if answer.out is None:
            shutil.copyfileobj(TextIOWrapper(paper, "utf-8", newline=""), sys.stdout)
            return
        with answer.out.open("wb") as file:
            shutil.copyfileobj(paper, file)
    if answer.as_json:
        told = {"out": str(answer.out), "format": form, "results": results}
        print_json(told | gap_to_json(answers_from))
    else:
        typer.echo(f"{answer.out}: {results} results; that you asked is on record.")

"""What several commands take, in the same words."""

import json
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import typer

from broker.settings import NoScheme, Settings, read_settings
from schemas.errors import ConcordatError

if TYPE_CHECKING:
    from broker.periods import Period
    from schemas.notes import NoteKey

Dir = Annotated[
    Path, typer.Option("--dir", envvar="CONCORDAT_DIR", help="The scheme's folder.", metavar="DIR")
]
Json = Annotated[bool, typer.Option("--json", help="Answer as one JSON document.")]
By = Annotated[
    str | None,
    typer.Option(help="Who asks or acts: recorded. Default: the user of the machine."),
]
Reason = Annotated[
    str,
    typer.Option(
        metavar="TEXT",
        help="Why you ask, or the reference of the case: recorded for ever, so name no person.",
    ),
]

Since = Annotated[
    str,
    typer.Option(
        "--since",
        metavar="TIME",
        help="From then on: 2026-11-01 (midnight, UTC) or a time of RFC 3339.",
    ),
]
Until = Annotated[str, typer.Option("--until", metavar="TIME", help="Before then; written alike.")]
Identifiers = Annotated[
    list[str],
    typer.Option(
        "--identifier",
        metavar="TYPE:VALUE",
        help="Such as nhs-number:…; la-child-id@PUBLISHER:…; repeat it. With - they are read"
        " from standard input, one a line, and are in no list of processes.",
    ),
]
OnlyGiven = Annotated[
    bool,
    typer.Option("--only-given", help="Do not follow other identifiers of the same records."),
]

HERE = Path()


class WrongUse(ConcordatError):
    """What was written cannot be carried out by any scheme: exit status 2."""

    code: ClassVar[str] = "wrong-use"


@contextmanager
def wrong_use(option: str = "") -> Iterator[None]:
    """Call it wrong use where what an option says is refused; the option is named."""
    try:
        yield
    except ConcordatError as error:
        raise WrongUse(f"{option}: {error}" if option else str(error)) from None


def settings_of(folder: Path) -> Settings:
    """Read the settings of the scheme in ``folder``, the environment above them.

    From then on what is logged goes to standard error, beside the answer.
    """
    from broker.logs import configure_logs

    try:
        settings = read_settings(folder, os.environ)
    except NoScheme as error:
        raise WrongUse(str(error)) from None
    configure_logs(settings.logs, stream=sys.stderr)
    return settings


def period_of(since: str, until: str) -> "Period":
    """Read what ``--since`` and ``--until`` say."""
    from broker.periods import Period

    with wrong_use():
        return Period.of(since, until)


def day_of(option: str, told: str) -> date:
    """Read an option that is a day."""
    try:
        return date.fromisoformat(told)
    except ValueError:
        raise WrongUse(f"{option}: expected a day such as 2026-11-02") from None


def month_of(option: str, told: str) -> str:
    """Read an option that is a month; return it as it is."""
    if re.fullmatch(r"[0-9]{4}-(0[1-9]|1[0-2])", told) is None:
        raise WrongUse(f"{option}: expected a month such as 2026-11")
    return told


def note_key(option: str, told: str) -> "NoteKey":
    """Read an option that is the verifier key of a log or a witness."""
    from schemas.notes import NoteKey

    with wrong_use(option):
        return NoteKey.from_vkey(told)


def print_json(document: Any) -> None:
    """Print one JSON document; keys as they come, so that a reader sees the order meant."""
    sys.stdout.write(json.dumps(document, ensure_ascii=False, indent=2) + "\n")

"""A paper in the forms that it is asked for: HTML or PDF for people, CSV or JSON for machines."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, ClassVar, Final, Literal, Protocol

from agreements.paper import to_html
from agreements.paper.tree import Paper, Paragraph, Span
from agreements.words import moment
from broker.audit.disclosures import gap_sentence, gap_to_json
from broker.audit.sheets import Sheet
from schemas.errors import RejectedInput

Form = Literal["html", "pdf", "csv", "json"]
MOST_ROWS: Final = 5_000
"""Of a paper for people: that is some hundred pages, and nobody reads more."""


class TooLongForPaper(RejectedInput):
    """There is more than a paper for people can hold."""

    code: ClassVar[str] = "too-long-for-paper"


@dataclass(frozen=True, slots=True)
class Asked:
    """Who has a paper made, why and when; ``size`` and ``root`` (hex) are the log's then.

    They stand in the paper, so that it can be held against the log later. ``answers_from``
    is from when on the query store has the decisions; None when it has all.
    """

    by: str
    reason: str
    at: datetime
    size: int = 0
    root: str = ""
    answers_from: datetime | None = None

    def to_json(self) -> dict[str, Any]:
        """Return what a paper says of itself."""
        log = {"entries": self.size, "root": self.root} if self.root else None
        told = {"by": self.by, "reason": self.reason, "at": self.at.isoformat(), "log": log}
        return told | gap_to_json(self.answers_from)

    @property
    def mark(self) -> str:
        """What stands on every page."""
        log = f" · log of {self.size} entries, root {self.root[:16]}…" if self.root else ""
        return f"Made {moment(self.at.replace(microsecond=0))} for {self.by}{log}"


class Document(Protocol):
    """What every paper can be turned into, and who asked for it."""

    @property
    def asked(self) -> Asked:
        """For whom it was made, and of what."""

    def to_paper(self) -> Paper:
        """Return it for people."""

    def to_json(self) -> dict[str, Any]:
        """Return it as one JSON document."""

    def to_sheet(self) -> Sheet:
        """Return its rows."""


def rendered(document: Document, form: Form) -> Iterator[bytes]:
    """Give the file in pieces."""
    if form == "csv":
        yield from document.to_sheet().to_csv()
    elif form == "json":
        yield (json.dumps(document.to_json(), ensure_ascii=False, indent=2) + "\n").encode()
    elif form == "html":
        yield to_html(_for_people(document)).encode()
    else:
        from broker.papers import to_pdf

        yield to_pdf(_for_people(document))


def _for_people(document: Document) -> Paper:
    """Return a paper that begins with what is not in it, where something is not."""
    paper, gap = document.to_paper(), document.asked.answers_from
    if gap is None:
        return paper
    return replace(paper, blocks=(Paragraph((Span(gap_sentence(gap), "strong"),)), *paper.blocks))


def on_paper(rows: int) -> None:
    """Refuse what is too long for people. Raises `TooLongForPaper`."""
    if rows > MOST_ROWS:
        raise TooLongForPaper(
            f"{rows:,} rows are more than a paper for people holds ({MOST_ROWS:,}):"
            " ask for --format csv or json, or for a shorter period"
        )

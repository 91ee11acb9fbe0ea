"""A document as a tree of plain parts, which Markdown, HTML and PDF are made of.

INVARIANT: text is data. What an author wrote is in a `Span` and in nothing else, so it
cannot become a heading, a row or a link, whatever it holds.
"""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

_JOINERS: Final = "\u200c\u200d"  # which some scripts are not written without
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


@dataclass(frozen=True, slots=True)
class Span:
    """A run of text in one style. ``address`` makes it a link, to an address that it shows."""

    text: str
    style: Literal["plain", "strong", "code"] = "plain"
    address: str | None = None


Line = tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading. The title of the paper has level 1."""

    level: int
    text: str


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Some sentences."""

    line: Line


@dataclass(frozen=True, slots=True)
class Bullets:
    """A list; numbered where the order counts."""

    lines: tuple[Line, ...]
    is_numbered: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """What something is, by name: a list of terms and descriptions."""

    rows: tuple[tuple[str, Line], ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under headings; the first cell of a row names it. ``widths`` add up to 1."""

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[Line, ...], ...]
    widths: tuple[float, ...]
    is_to_fill_in: bool = False


Block = Heading | Paragraph | Bullets | Facts | Table


@dataclass(frozen=True, slots=True)
class Paper:
    """A whole document. ``mark`` stands on each page and tells which text it is."""

    title: str
    mark: str
    blocks: tuple[Block, ...]
    language: str = "en-GB"


def visible(text: str) -> str:
    """Return text in which every character can be seen: what cannot is named, as [U+200B]."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        f"[U+{ord(one):04X}]"
        if unicodedata.category(one) in _UNSEEN and one != "\n" and one not in _JOINERS
        else one
        for one in text
    )


def said(text: object) -> Line:
    """Return a line of plain text."""
    return (Span(visible(str(text))),)


def strong(text: str) -> Line:
    """Return a line that stands out."""
    return (Span(visible(text), "strong"),)


def code(text: str) -> Line:
    """Return a line with a name that machines use."""
    return (Span(visible(text), "code"),)


def link(text: str, address: str) -> Line:
    """Return a line that leads to an address and shows it, so that print has it too."""
    if text == address:
        return (Span(address, address=address),)
    return (*said(f"{text} ("), Span(address, address=address), *said(")"))


def together(*lines: Line) -> Line:
    """Return lines as one."""
    return tuple(span for line in lines for span in line)


def joined(lines: Iterable[Line], between: str = ", ") -> Line:
    """Return lines as one, with something between."""
    spans: list[Span] = []
    for line in lines:
        spans += said(between) if spans else ()
        spans += line
    return tuple(spans)

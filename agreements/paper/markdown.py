"""Write a paper as Markdown (CommonMark with the tables of GitHub).

Whatever could mean something is escaped, so text stays text. Line breaks in it are
``<br>``, which a text cannot hold itself: its own ``<`` is escaped.
"""

import re
from typing import Final

from agreements.paper.tree import (
    Block,
    Bullets,
    Facts,
    Heading,
    Line,
    Paper,
    Paragraph,
    Span,
    Table,
)

# What means something inside a line, in CommonMark 0.31 and the tables of GitHub.
_MARKS: Final = re.compile(r"[\\`*_\[\]<>|&~$]")
# What means something at the beginning of a line: headings, lists, rules, quotes.
_LEADING: Final = re.compile(r"^(?: {0,3})(?:[-+#=:>]|[0-9]{1,9}[.)])")
_ADDRESS_MARKS: Final = re.compile(r"[<>\\&]")
_PLAIN_CODE: Final = re.compile(r"[A-Za-z0-9._:/-]+")
_OUTER_SPACE: Final = re.compile(r"^ | $")


def to_markdown(paper: Paper) -> str:
    """Return the paper as Markdown."""
    parts = [
        _block(Heading(1, paper.title)),
        *map(_block, paper.blocks),
        f"---\n\n{_text(paper.mark)}",
    ]
    return "\n\n".join(parts) + "\n"


def _block(block: Block) -> str:
    if isinstance(block, Heading):
        return f"{'#' * block.level} {_line((Span(block.text),))}"
    if isinstance(block, Paragraph):
        return _line(block.line)
    if isinstance(block, Bullets):
        marks = (f"{n}." for n in range(1, len(block.lines) + 1))
        return "\n".join(
            f"{next(marks) if block.is_numbered else '-'} {_line(line)}" for line in block.lines
        )
    if isinstance(block, Facts):
        return "\n".join(f"- **{_text(name)}:** {_line(line)}" for name, line in block.rows)
    return _table(block)


def _table(table: Table) -> str:
    header = " | ".join(map(_text, table.header))
    rule = " | ".join("---" for _ in table.header)
    rows = [" | ".join(_line(cell) for cell in row) for row in table.rows]
    lines = "\n".join(f"| {row} |" for row in (header, rule, *rows))
    return f"**{_text(table.caption)}**\n\n{lines}"


def _line(line: Line) -> str:
    whole = "".join(map(_span, line))
    whole = _LEADING.sub(lambda found: f"{found[0][:-1]}\\{found[0][-1]}", whole)
    return _OUTER_SPACE.sub("&#32;", whole)


def _span(span: Span) -> str:
    text = _text(span.text)
    if span.address is not None:
        # INVARIANT: an address has no space, angle bracket or backslash that is not escaped.
        return f"[{text}](<{_ADDRESS_MARKS.sub(_escaped, span.address)}>)"
    if span.style == "strong" and text == text.strip():
        return f"**{text}**"
    if span.style == "code" and _PLAIN_CODE.fullmatch(span.text):
        return f"`{span.text}`"
    return text


def _text(text: str) -> str:
    """Return text that stays text inside a line."""
    kept = _MARKS.sub(_escaped, text)
    return re.sub("(?<= ) ", "&#32;", kept).replace("\n", "<br>")


def _escaped(mark: re.Match[str]) -> str:
    return f"\\{mark[0]}"

"""Write a paper as PDF, for printing and signing by hand.

The same paper gives the same bytes: no time and no chance is in the file. Its title and
language are in the metadata and its headings in the outline.
"""

import io
import re
from functools import cache, partial
from html import escape
from itertools import zip_longest
from typing import Any, Final

from reportlab.lib.colors import HexColor
from reportlab.lib.enums import TA_LEFT
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import (
    BaseDocTemplate,
    CondPageBreak,
    Flowable,
    Frame,
    PageTemplate,
    Paragraph,
    Spacer,
)
from reportlab.platypus import Table as Grid

from agreements.paper import tree
from broker.papers.letters import BOLD, REGULAR, Letters

_BLACK: Final = HexColor("#0b0c0c")
_LINE: Final = HexColor("#b1b4b6")
_BLUE: Final = "#144e81"
_MARGIN: Final = 20 * mm
_FOOT: Final = 26 * mm
_WIDTH: Final = A4[0] - 2 * _MARGIN
_HEIGHT: Final = A4[1] - _MARGIN - _FOOT
_BODY: Final = ParagraphStyle(
    "body", fontName=REGULAR, fontSize=9.5, leading=13.5, textColor=_BLACK, alignment=TA_LEFT
)
_SMALL: Final = ParagraphStyle("small", _BODY, fontSize=8, leading=10.8, splitLongWords=1)
_HEADINGS: Final = {
    1: ParagraphStyle("h1", _BODY, fontName=BOLD, fontSize=20, leading=25, spaceAfter=10),
    2: ParagraphStyle(
        "h2", _BODY, fontName=BOLD, fontSize=14, leading=18, spaceBefore=16, spaceAfter=6
    ),
    3: ParagraphStyle(
        "h3", _BODY, fontName=BOLD, fontSize=11.5, leading=15, spaceBefore=12, spaceAfter=4
    ),
    4: ParagraphStyle("h4", _BODY, fontName=BOLD, spaceBefore=9, spaceAfter=3),
}
_PARAGRAPH: Final = ParagraphStyle("paragraph", _BODY, spaceAfter=6)
_BULLET: Final = ParagraphStyle(
    "bullet",
    _BODY,
    leftIndent=7 * mm,
    bulletIndent=1.5 * mm,
    spaceAfter=2.5,
    bulletFontName=REGULAR,
)
_CAPTION: Final = ParagraphStyle("caption", _BODY, fontName=BOLD, spaceBefore=4, spaceAfter=3)
_FOOTING: Final = ParagraphStyle("footing", _BODY, fontSize=7, leading=9)
_TERM: Final = ParagraphStyle("term", _BODY, fontName=BOLD)
_CELL_HEAD: Final = ParagraphStyle("cell head", _SMALL, fontName=BOLD)
_ROOM_TO_SIGN: Final = 17 * mm
_ROOM_BELOW: Final = 35 * mm  # or the heading goes to the next page
_TALL_ROW: Final = _HEIGHT / 3  # a lower one is not broken over two pages
_LONGEST_HEADING: Final = 600  # characters; names and titles are a third of that at most
_PLACED: Final = (
    ("VALIGN", (0, 0), (-1, -1), "TOP"),
    ("TOPPADDING", (0, 0), (-1, -1), 3.5),
    ("BOTTOMPADDING", (0, 0), (-1, -1), 4.5),
)
_RULED: Final = [
    *_PLACED,
    ("LEFTPADDING", (0, 0), (-1, -1), 0),
    ("LINEBELOW", (0, 0), (-1, -1), 0.6, _LINE),
]
_BOXED: Final = [*_PLACED, ("GRID", (0, 0), (-1, -1), 0.6, _BLACK)]


def to_pdf(paper: tree.Paper) -> bytes:
    """Return the paper as a PDF file."""
    writer = _Writer(_letters())
    mark = writer.shown(paper.mark)
    buffer = io.BytesIO()
    document = BaseDocTemplate(
        buffer,
        pagesize=A4,
        title=writer.shown(paper.title),
        subject=mark,
        creator="Concordat",
        lang=paper.language,
        invariant=1,
    )
    document.addPageTemplates(
        [PageTemplate("page", [Frame(_MARGIN, _FOOT, _WIDTH, _HEIGHT, 0, 0, 0, 0)])]
    )
    document.build(writer.flowables(paper), canvasmaker=partial(_Pages, mark))
    return buffer.getvalue()


@cache
def _letters() -> Letters:
    return Letters()


class _Pages(Canvas):  # type: ignore[misc]  # the library has no types
    """Puts the mark and the page's number of how many on each page, once all are known."""

    def __init__(self, mark: str, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.setViewerPreference("DisplayDocTitle", "true")
        self._mark = mark
        self._pages: list[dict[str, Any]] = []

    def showPage(self) -> None:  # noqa: N802  the library's name
        self._pages.append(dict(self.__dict__))
        self._startPage()

    def save(self) -> None:
        for number, page in enumerate(self._pages, 1):
            self.__dict__.update(page)
            self._foot(number)
            super().showPage()
        super().save()

    def _foot(self, number: int) -> None:
        self.setStrokeColor(_LINE)
        self.line(_MARGIN, _FOOT - 4 * mm, _MARGIN + _WIDTH, _FOOT - 4 * mm)
        foot = Paragraph(escape(self._mark), _FOOTING)
        _, height = foot.wrap(_WIDTH * 0.8, _FOOT)
        foot.drawOn(self, _MARGIN, _FOOT - 6 * mm - height)
        self.setFillColor(_BLACK)
        self.setFont(REGULAR, _FOOTING.fontSize)
        place = _FOOT - 6 * mm - _FOOTING.leading
        self.drawRightString(_MARGIN + _WIDTH, place, f"Page {number} of {len(self._pages)}")


class _Heading(Paragraph):  # type: ignore[misc]  # the library has no types
    """A heading that is in the outline."""

    def __init__(self, text: str, level: int, number: int) -> None:
        super().__init__(escape(text), _HEADINGS[level])
        self._name, self._level, self._mark = text, level, f"heading-{number}"

    def draw(self) -> None:
        self.canv.bookmarkHorizontal(self._mark, 0, self.height)
        self.canv.addOutlineEntry(self._name, self._mark, self._level - 1, self._level > 1)
        super().draw()


class _Grid(Grid):  # type: ignore[misc]  # the library has no types
    """A table that goes on on the next page after a whole row, or inside a tall one."""

    def split(self, availWidth: float, availHeight: float) -> list[Flowable]:  # noqa: N803  the library's names
        self._calc(availWidth, availHeight)
        left = availHeight
        for height in self._rowHeights:
            left -= height
            if left < 0:  # the first row that finds no room
                # Not the one after the other: it puts the head of the columns on the page twice.
                self.splitByRow, self.splitInRow = (0, 1) if height > _TALL_ROW else (1, 0)
                break
        found: list[Flowable] = super().split(availWidth, availHeight)
        return found


class _Writer:
    """Turns the parts of a paper into what the library lays out."""

    def __init__(self, letters: Letters) -> None:
        self._letters = letters
        self._headings = 0

    def shown(self, text: str) -> str:
        return self._letters.shown(text)

    def flowables(self, paper: tree.Paper) -> list[Flowable]:
        found: list[Flowable] = [self._heading(tree.Heading(1, paper.title))]
        for block, after in zip_longest(paper.blocks, paper.blocks[1:]):
            if isinstance(block, tree.Heading):
                # A table's caption takes room of its own before the first of its rows.
                room = _ROOM_BELOW * (1.5 if isinstance(after, tree.Heading | tree.Table) else 1)
                found.append(CondPageBreak(room))
            found += self._block(block)
        return found

    def _heading(self, heading: tree.Heading) -> Flowable:
        self._headings += 1
        text = self.shown(heading.text)
        if len(text) > _LONGEST_HEADING:  # it may go over a page's end, which a heading cannot
            return Paragraph(escape(text), _HEADINGS[heading.level])
        return _Heading(text, heading.level, self._headings)

    def _block(self, block: tree.Block) -> list[Flowable]:
        if isinstance(block, tree.Heading):
            return [self._heading(block)]
        if isinstance(block, tree.Paragraph):
            return [Paragraph(self._line(block.line), _PARAGRAPH)]
        if isinstance(block, tree.Bullets):
            marks = (f"{n}." if block.is_numbered else "•" for n in range(1, len(block.lines) + 1))
            return [
                Paragraph(self._line(line), _BULLET, bulletText=mark)
                for mark, line in zip(marks, block.lines, strict=True)
            ]
        if isinstance(block, tree.Facts):
            return self._facts(block)
        return self._table(block)

    def _facts(self, facts: tree.Facts) -> list[Flowable]:
        rows = [
            [Paragraph(escape(self.shown(name)), _TERM), Paragraph(self._line(line), _BODY)]
            for name, line in facts.rows
        ]
        grid = _Grid(rows, colWidths=[_WIDTH * 0.3, _WIDTH * 0.7], style=_RULED)
        return [grid, Spacer(0, 2 * mm)]

    def _table(self, table: tree.Table) -> list[Flowable]:
        head = [Paragraph(escape(self.shown(name)), _CELL_HEAD) for name in table.header]
        rows = [
            [
                Paragraph(self._line(cell), _SMALL) if cell else Spacer(0, _ROOM_TO_SIGN)
                for cell in row
            ]
            for row in table.rows
        ]
        grid = _Grid(
            [head, *rows],
            colWidths=[_WIDTH * width for width in table.widths],
            repeatRows=1,
            style=_BOXED if table.is_to_fill_in else _RULED,
        )
        caption = Paragraph(escape(self.shown(table.caption)), _CAPTION)
        return [CondPageBreak(_ROOM_BELOW), caption, grid, Spacer(0, 3 * mm)]

    def _line(self, line: tree.Line) -> str:
        return "".join(map(self._span, line))

    def _span(self, span: tree.Span) -> str:
        text = escape(self.shown(span.text)).replace("\n", "<br/>")
        # The library makes one space of many.
        text = re.sub(" (?= )|^ (?=.)", "\u00a0", text) if "  " in text else text
        if span.address is not None:
            return f'<a href="{escape(span.address)}" color="{_BLUE}"><u>{text}</u></a>'
        return f"<b>{text}</b>" if span.style == "strong" else text

"""Write a paper as one HTML file that needs nothing else, in the manner of GOV.UK.

It follows what WCAG 2.2 asks of a document: a language, one main heading, headings in
order, tables with captions and scoped headings, links that are seen as links, contrast,
and text that can be enlarged. No script and nothing from elsewhere.
"""

from html import escape
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

_STYLE: Final = """
:root { color-scheme: light }
body { margin: 0; font: 1.1875rem/1.4 Arial, Helvetica, sans-serif; color: #0b0c0c }
header, main, footer { max-width: 60rem; margin: 0 auto; padding: 0 1rem }
.band { border-top: 0.6rem solid #1d70b8 }
h1 { font-size: 2.25rem; line-height: 1.15; margin: 2rem 0 1.5rem }
h2 { font-size: 1.6rem; margin: 2.5rem 0 1rem; padding-top: 0.75rem; border-top: 1px solid #b1b4b6 }
h3 { font-size: 1.25rem; margin: 2rem 0 0.75rem }
h4 { font-size: 1.1875rem; margin: 1.5rem 0 0.5rem }
p, li, dd, td a { overflow-wrap: anywhere }
td, th { overflow-wrap: break-word }
p { max-width: 44em }
a { color: #1d70b8 }
a:focus { background: #ffdd00; color: #0b0c0c; outline: 3px solid transparent }
code { font: 0.95em ui-monospace, Consolas, monospace; white-space: pre-wrap }
dl { display: grid; grid-template-columns: minmax(9rem, 30%) 1fr; margin: 0 0 1.5rem }
dt, dd { padding: 0.5rem 1rem 0.5rem 0; margin: 0; border-bottom: 1px solid #b1b4b6 }
dt { font-weight: bold }
.wide { overflow-x: auto }
.wide:focus-visible { outline: 3px solid #0b0c0c; outline-offset: 2px }
table { border-collapse: collapse; width: 100%; margin: 0 0 1.5rem }
caption { text-align: left; font-weight: bold; padding: 0.25rem 0 }
th, td { text-align: left; vertical-align: top; padding: 0.5rem 1rem 0.5rem 0;
  border-bottom: 1px solid #b1b4b6 }
.fill td { height: 3rem; border: 1px solid #0b0c0c; padding: 0.5rem }
.fill th { border: 1px solid #0b0c0c; padding: 0.5rem }
footer { border-top: 1px solid #b1b4b6; margin-top: 3rem; padding-bottom: 2rem;
  font-size: 1rem; overflow-wrap: anywhere }
@media (max-width: 40rem) { dl { display: block } dt { border: 0; padding-bottom: 0 } }
@media print { body { font-size: 11pt } h2, h3, h4 { break-after: avoid }
  tr { break-inside: avoid } }
"""


def to_html(paper: Paper) -> str:
    """Return the paper as an HTML document."""
    title = escape(paper.title)
    body = "\n".join(map(_block, paper.blocks))
    return (
        f'<!DOCTYPE html>\n<html lang="{escape(paper.language)}">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        # Even if a way in were found, nothing could run or be fetched.
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f'<header class="band"></header>\n<main>\n<h1>{_text(paper.title)}</h1>\n{body}\n</main>\n'
        f"<footer><p>{_text(paper.mark)}</p></footer>\n</body>\n</html>\n"
    )


def _block(block: Block) -> str:
    if isinstance(block, Heading):
        return f"<h{block.level}>{_text(block.text)}</h{block.level}>"
    if isinstance(block, Paragraph):
        return f"<p>{_line(block.line)}</p>"
    if isinstance(block, Bullets):
        tag = "ol" if block.is_numbered else "ul"
        lines = "\n".join(f"<li>{_line(line)}</li>" for line in block.lines)
        return f"<{tag}>\n{lines}\n</{tag}>"
    if isinstance(block, Facts):
        rows = "\n".join(
            f"<dt>{_text(name)}</dt><dd>{_line(line)}</dd>" for name, line in block.rows
        )
        return f"<dl>\n{rows}\n</dl>"
    return _table(block)


def _table(table: Table) -> str:
    header = "".join(f'<th scope="col">{_text(name)}</th>' for name in table.header)
    rows = "\n".join(
        f'<tr><th scope="row">{_line(row[0])}</th>'
        + "".join(f"<td>{_line(cell)}</td>" for cell in row[1:])
        + "</tr>"
        for row in table.rows
    )
    columns = "".join(f'<col style="width: {width:.0%}">' for width in table.widths)
    kind = ' class="fill"' if table.is_to_fill_in else ""
    return (
        # A part that scrolls must be reached by the keyboard and have a name (WCAG 2.1.1).
        f'<div class="wide" role="region" tabindex="0" aria-label="{_text(table.caption)}">\n'
        f"<table{kind}>\n<caption>{_text(table.caption)}</caption>\n"
        f"<colgroup>{columns}</colgroup>"
        f"<thead><tr>{header}</tr></thead>\n<tbody>\n{rows}\n</tbody>\n</table>\n</div>"
    )


def _line(line: Line) -> str:
    return "".join(map(_span, line))


def _span(span: Span) -> str:
    text = _text(span.text)
    if span.address is not None:
        return f'<a href="{escape(span.address)}" rel="noreferrer">{text}</a>'
    if span.style == "plain":
        return text
    tag = "strong" if span.style == "strong" else "code"
    return f"<{tag}>{text}</{tag}>"


def _text(text: str) -> str:
    return escape(text).replace("\n", "<br>")

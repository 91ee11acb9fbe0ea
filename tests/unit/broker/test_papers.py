"""An agreement as PDF: whole, found by its title, the same bytes each time."""

import io
from collections.abc import Iterator
from typing import Any

import pytest
from agreement_texts import a_document
from pypdf import PdfReader
from whole_agreement import everything

from agreements.paper import tree, write
from agreements.reading import from_document
from broker.papers import to_pdf
from schemas.catalogue import shipped

WHOLE = write(from_document(everything()), shipped())


def _read(pdf: bytes) -> PdfReader:
    return PdfReader(io.BytesIO(pdf))


def _squeezed(text: str) -> str:
    return "".join(text.split())


def _text_of(pdf: bytes) -> str:
    return _squeezed("".join(page.extract_text() for page in _read(pdf).pages))


def _spans(paper: tree.Paper) -> Iterator[str]:
    for block in paper.blocks:
        if isinstance(block, tree.Heading):
            yield block.text
        elif isinstance(block, tree.Paragraph):
            yield from (span.text for span in block.line)
        elif isinstance(block, tree.Bullets):
            yield from (span.text for line in block.lines for span in line)
        elif isinstance(block, tree.Facts):
            for name, line in block.rows:
                yield from (name, *(span.text for span in line))
        else:
            yield from (block.caption, *block.header)
            yield from (span.text for row in block.rows for line in row for span in line)


def test_everything_in_the_paper_is_on_the_pages() -> None:
    """No sentence, row or cell is lost when it is laid out."""
    text = _text_of(to_pdf(WHOLE))
    missing = [span for span in _spans(WHOLE) if _squeezed(span) not in text]
    # A long word goes over lines, and the reader of the test sees another column between.
    assert not [span for span in missing if len(span) <= 12]
    assert len(missing) < 12


def test_the_file_has_title_language_outline_and_numbered_pages() -> None:
    """A reader's program finds its way, and reads it aloud in English."""
    reader = _read(to_pdf(WHOLE))
    assert reader.metadata is not None
    assert reader.metadata.title == "Whole agreement"
    root: Any = reader.root_object
    assert root["/Lang"] == "en-GB"
    assert root["/ViewerPreferences"]["/DisplayDocTitle"]
    outline: Any = reader.outline
    assert outline[0]["/Title"] == "Whole agreement"
    last = len(reader.pages)
    assert f"Page {last} of {last}" in reader.pages[-1].extract_text()
    assert all("version 3" in page.extract_text() for page in reader.pages)


def test_the_same_agreement_gives_the_same_bytes() -> None:
    """Two people who print it can compare the files."""
    assert to_pdf(WHOLE) == to_pdf(WHOLE)


@pytest.mark.parametrize(
    "text",
    ["Ynys Môn, ŵ ŷ Ŵ Ŷ ẁ ẃ", "Àéîõü ß œ Œ ð þ ħ ł ż č ğ", "Ελλάδα", "Україна", "“a” — £5 €6 …"],
)
def test_letters_of_europe_are_printed(text: str) -> None:
    """Welsh and the other languages of these islands and their neighbours come out as written."""
    paper = write(from_document(a_document(summary=text)), shipped())
    assert _squeezed(text) in _text_of(to_pdf(paper))


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("مرحبا", "[U+0645][U+0631][U+062D][U+0628][U+0627]"),
        ("שלום", "[U+05E9][U+05DC][U+05D5][U+05DD]"),
        ("日本", "[U+65E5][U+672C]"),
        ("😀", "[U+1F600]"),
        ("a\u200bb", "a[U+200B]b"),
    ],
)
def test_a_letter_that_cannot_be_printed_is_named(text: str, printed: str) -> None:
    """What the font has no right form for does not vanish and is not drawn wrongly."""
    paper = write(from_document(a_document(title=text, summary=text)), shipped())
    assert _text_of(to_pdf(paper)).count(printed) >= 2


def test_the_longest_texts_that_are_allowed_are_printed_whole() -> None:
    """A cell longer than a page goes on on the next one."""
    document = everything()
    item = document["flows"][0]["items"][0]
    item["justification"] = "because " * 499
    document["summary"] = "x" * 4000
    document["retention"][0]["trigger"] = "from then " * 399
    document["parties"][0]["name"] = "W" * 200
    text = _text_of(to_pdf(write(from_document(document), shipped())))
    assert text.count("because") >= 499
    assert text.count("fromthen") >= 390


def test_text_is_not_markup() -> None:
    """What looks like the library's own markup is printed as it was written."""
    hostile = '<b>bold</b> <a href="https://evil.example">x</a> &amp; <br/> </para> %PDF (x) \\'
    paper = write(from_document(a_document(title=hostile, summary=hostile)), shipped())
    pdf = to_pdf(paper)
    assert _squeezed(hostile) in _text_of(pdf)
    addresses = [
        annotation.get_object()["/A"].get("/URI")
        for page in _read(pdf).pages
        for annotation in page.get("/Annots", [])
    ]
    assert addresses
    assert not [address for address in addresses if "evil" in str(address)]


@pytest.mark.parametrize("lines", [3, 40], ids=["low rows", "tall rows"])
def test_the_head_of_a_table_stands_once_on_a_page(lines: int) -> None:
    """A low row goes to the next page whole, a tall one goes on there; neither is lost."""
    rows = tuple(
        (tree.said(f"row {row} begins"), tree.said("word\n" * lines + f"row {row} ends"))
        for row in range(20)
    )
    table = tree.Table("Rows", ("Headed", "What"), rows, (0.3, 0.7))
    pages = [
        page.extract_text()
        for page in _read(to_pdf(tree.Paper("A long table", "mark", (table,)))).pages
    ]
    assert len(pages) > 1
    assert [page.count("Headed") for page in pages] == [1] * len(pages)
    for row in range(20):
        place = [n for n, page in enumerate(pages) if f"row {row} begins" in page]
        assert len(place) == 1
        if lines == 3:
            assert f"row {row} ends" in pages[place[0]]
    assert sum(page.count("word") for page in pages) == 20 * lines

"""The paper says everything that runs, and text stays text in it."""

import re
from html.parser import HTMLParser
from itertools import islice, pairwise
from typing import Any

import pytest
from agreement_texts import a_document
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token
from whole_agreement import Document, changes, everything, places, unwritten

from agreements.canonical import digest
from agreements.model import Agreement
from agreements.paper import to_html, to_markdown, write
from agreements.paper.tree import Heading, Table, visible
from agreements.problems import AgreementInvalid
from agreements.reading import from_document
from agreements.source import path_text
from schemas.catalogue import shipped

WHOLE = everything()


def text_of(agreement: Agreement) -> str:
    """Return the Markdown of an agreement, without what its hash alone would tell."""
    sha256 = digest(agreement)
    text = to_markdown(write(agreement, shipped()))
    assert sha256 in text
    return text.replace(sha256, "").replace(sha256[:16], "")


WHOLE_TEXT = text_of(from_document(WHOLE))


def test_the_whole_agreement_writes_every_field_of_the_model() -> None:
    """A field that is added later has to be added there, and so to the paper."""
    assert unwritten(WHOLE) == set()


@pytest.mark.parametrize("path", list(places(WHOLE)), ids=path_text)
def test_whatever_changes_in_an_agreement_changes_the_paper(path: tuple[str | int, ...]) -> None:
    """No value can be left out, or be another one, and the text stay as it was."""
    for name, changed in islice(changes(WHOLE, path), 2):
        assert text_of(changed) != WHOLE_TEXT, name


def test_true_is_not_one_and_text_is_no_number() -> None:
    """Values that Python or a reader could take for each other read differently."""
    found = {
        text_of(from_document(_with_condition(value)))
        for value in (1, True, "1", "true", "a", "a ", " a", "a  ", "а", "a\u200b", 'a", "b', "a\\")  # noqa: RUF001  a Cyrillic letter
    }
    assert len(found) == 12


def _with_condition(value: Any) -> Document:
    document = a_document()
    document["flows"][0]["when"] = [{"item": "rec", "in": [value, "z"]}]
    return document


# -- text stays text --------------------------------------------------------------------

HOSTILE = st.lists(
    st.sampled_from(
        [
            "<script>alert(1)</script>", "<br>", "</dd></dl>", "&lt;", "&#60;", "&amp;", '"', "'",
            "**b**", "_i_", "`c`", "~~s~~", "# h", "\n# h", "\n\n", "\n", "\n---\n", "\n===\n",
            "| a | b |", "|", "](https://evil.example)", "[a](https://evil.example)", "![x](y)",
            "<https://evil.example>", "https://evil.example", "\\", "\\\\", "1. x", "- x", "+ x",
            "> q", "    code", "  ", " ", "```", "$x$", "{% x %}", "]]>", "<!--", "-->", "a", "ŵ",
        ]
    )
    | st.text(max_size=6),
    min_size=1,
    max_size=6,
).map("".join)  # fmt: skip


def _hostile(text: str) -> Agreement | None:
    document = a_document(title=text, summary=text)
    document["purposes"][0]["necessity"] = text
    document["flows"][0]["items"][0]["justification"] = text
    document["parties"][0]["name"] = text
    try:
        return from_document(document)
    except AgreementInvalid:
        return None


class _Structure(HTMLParser):
    """The elements of a page, and the text of those that hold what the author wrote."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[Any] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag == "br":
            self.texts[-1] += "\n"
            return
        self.tags.append((tag, [name for name, _ in attrs]))
        self.texts.append("")

    def handle_endtag(self, tag: str) -> None:
        self.tags.append(tag)
        self.texts.append("")

    def handle_data(self, data: str) -> None:
        if self.texts:
            self.texts[-1] += data


def _html(agreement: Agreement) -> _Structure:
    found = _Structure()
    found.feed(to_html(write(agreement, shipped())))
    found.close()
    return found


_PLAIN = _hostile("A plain text")
assert _PLAIN is not None
_PLAIN_HTML = _html(_PLAIN).tags


@given(text=HOSTILE)
@settings(max_examples=50, deadline=None)
def test_no_text_changes_the_structure_of_a_page(text: str) -> None:
    """Whatever an author writes, the page has the same elements and shows the text whole."""
    agreement = _hostile(text)
    if agreement is None:
        return
    page = _html(agreement)
    assert page.tags == _PLAIN_HTML
    assert page.texts.count(visible(text).replace("\r", "")) >= 4


_MARKDOWN = MarkdownIt("gfm-like", {"html": True, "linkify": False})


def _shape(tokens: list[Token]) -> list[Any]:
    found: list[Any] = []
    for token in tokens:
        if token.children is None:
            found.append((token.type, token.tag))
        else:
            inner = [
                child.type
                for child in token.children
                if child.type not in ("text", "text_special", "softbreak")
                and not (child.type == "html_inline" and child.content == "<br>")
            ]
            found.append((token.type, inner))
    return found


def _texts(tokens: list[Token]) -> list[str]:
    return [
        "".join("\n" if child.type == "html_inline" else child.content for child in token.children)
        for token in tokens
        if token.children
    ]


_PLAIN_MARKDOWN = _shape(_MARKDOWN.parse(to_markdown(write(_PLAIN, shipped()))))


@given(text=HOSTILE)
@settings(max_examples=50, deadline=None)
def test_no_text_changes_the_structure_of_the_markdown(text: str) -> None:
    """Read as Markdown the document has the same parts, and the text comes out as it was."""
    agreement = _hostile(text)
    if agreement is None:
        return
    tokens = _MARKDOWN.parse(to_markdown(write(agreement, shipped())))
    assert _shape(tokens) == _PLAIN_MARKDOWN
    assert _texts(tokens).count(visible(text)) >= 2


def test_what_cannot_be_seen_is_named() -> None:
    """A character without a form is told by its number, so that no text hides another."""
    assert visible("a\u200bb\ufeff\U000e0041") == "a[U+200B]b[U+FEFF][U+E0041]"
    assert visible("Ynys Môn, ŵ ŷ\nline") == "Ynys Môn, ŵ ŷ\nline"


# -- what a reader looks for --------------------------------------------------------------


def test_the_paper_has_what_a_signatory_needs() -> None:
    """Parties, law by name with its address, consent, suspension, dates and the fingerprint."""
    agreement = from_document(WHOLE)
    text = to_markdown(write(agreement, shipped()))
    for words in (
        "Children's Services",
        "UK GDPR Article 9(2)(h): Health or social care",
        "https://www.legislation.gov.uk/ukpga/2004/31/section/10",
        "This flow relies on consent.",
        "for up to 7 days; after that they are refused",
        "1 April 2026, 09:30:00.250 UTC",
        "Senior Information Risk Owner (SIRO)",
        'rec is absent, or is none of "E13", 5 or true',
        "as the year only",
        "within 12 hours",
        digest(agreement),
    ):
        assert words in re.sub(r"\\(.)", r"\1", text), words


def test_items_are_explained_by_the_schema() -> None:
    """A reader learns what an item is from the event's own documentation."""
    text = to_markdown(write(from_document(a_document()), shipped()))
    field = shipped().latest("uk.gov.csc.cla-placement.v1").field("childId")
    assert field.doc
    assert field.doc in text


def test_headings_are_in_order_and_there_is_one_place_to_sign_for_each_party() -> None:
    """A screen reader finds its way: no level is skipped, and each party has its row."""
    paper = write(from_document(WHOLE), shipped())
    levels = [1, *(block.level for block in paper.blocks if isinstance(block, Heading))]
    assert all(after <= before + 1 for before, after in pairwise(levels))
    (places_to_sign,) = [b for b in paper.blocks if isinstance(b, Table) and b.is_to_fill_in]
    assert len(places_to_sign.rows) == 3


def test_every_link_shows_where_it_leads() -> None:
    """On paper a link is its text, so the address is in the text."""
    page = to_html(write(from_document(WHOLE), shipped()))
    links = re.findall(r'<a href="([^"]*)" rel="noreferrer">([^<]*)</a>', page)
    assert links
    assert all(address == shown for address, shown in links)

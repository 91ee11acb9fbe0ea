"""The pages of the documentation lead to each other, and nowhere else than they say."""

import re
from pathlib import Path

PROJECT = Path(__file__).parents[2]
PAGES = [PROJECT / "README.md", PROJECT / "CHANGELOG.md", *sorted(PROJECT.glob("docs/**/*.md"))]
_LINK = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)\)")


def links(page: Path) -> list[str]:
    """Return where a page's links lead that stay in the project."""
    text = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    return [to for to in _LINK.findall(text) if "://" not in to]


def anchors(page: Path) -> set[str]:
    """Return the names of a page's headings, as a reader in the web makes them."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_link_leads_to_a_file_and_a_heading() -> None:
    """A page that was moved or a heading that was changed is found here."""
    broken = []
    for page in PAGES:
        for to in links(page):
            path, _, anchor = to.partition("#")
            target = (page.parent / path).resolve() if path else page
            if not target.exists() or (anchor and anchor not in anchors(target)):
                broken.append(f"{page.relative_to(PROJECT)}: {to}")
    assert not broken


def test_every_page_is_reached_from_the_readme() -> None:
    """Whoever begins at the beginning finds everything."""
    found, to_read = set[Path](), [PROJECT / "README.md"]
    while to_read:
        page = to_read.pop()
        if page in found or page.suffix != ".md":
            continue
        found.add(page)
        to_read += [(page.parent / to.partition("#")[0]).resolve() for to in links(page)]
    missed = {str(page.relative_to(PROJECT)) for page in set(PAGES) - found}
    assert missed <= {"CHANGELOG.md"}

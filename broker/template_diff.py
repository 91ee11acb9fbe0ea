"""Where a local agreement departs from its template, and what that means for recipients."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agreements.canonical import to_document
from agreements.comparing import Comparison as Meaning
from agreements.problems import Problem
from agreements.reading import read_agreement
from agreements.templates.departing import Comparison, compared, meaning, meaning_to_json
from agreements.templates.filling import BindingsInvalid, is_of_kind
from agreements.templates.model import Bound
from broker.templates import Entry, TemplateShelf, UnknownTemplate, of_options


@dataclass(frozen=True, slots=True)
class TemplateDiff:
    """A local text beside a version of its template; ``latest`` is the newest to adopt."""

    entry: Entry
    adopted_version: int
    latest: int
    comparison: Comparison
    meaning: Meaning | None
    """What the departures mean for recipients; None while a place is not known."""

    def to_json(self) -> dict[str, Any]:
        """Return the form of ``template diff --json``."""
        return {
            "template": self.entry.template.link,
            "adopted_version": self.adopted_version,
            "latest_version": self.latest,
            "bindings": {
                n: v if isinstance(v, str) else list(v) for n, v in self.comparison.values.items()
            },
            "unknown_places": list(self.comparison.unfilled),
            "departures": [one.to_json() for one in self.comparison.departures],
            **meaning_to_json(self.meaning),
        }

    def lines(self) -> Iterator[str]:
        """Yield the lines that the terminal shows."""
        link = self.entry.template.link
        yield f"{link['uri']} version {link['version']}: " + (
            f"{len(self.comparison.departures)} departures"
            if self.comparison.departures
            else "no departure"
        )
        for one in self.comparison.departures:
            yield f"  {one}"
        if self.meaning is not None:
            yield from told(self.meaning)
        for place in self.comparison.unfilled:
            yield f"  nothing in the text shows the place {place}; say --bind {place}=…"
        if self.latest > self.adopted_version:
            yield f"version {self.latest} of the template is published; see --version {self.latest}"


def diff_of(
    shelf: TemplateShelf, file: Path, version: int | None, options: Sequence[str]
) -> TemplateDiff:
    """Compare the agreement in ``file`` with its template; raises UnknownTemplate."""
    agreement = read_agreement(file.read_bytes(), name=str(file))
    if agreement.template is None:
        raise UnknownTemplate(
            f"{file} names no template: add `template: {{uri: …, version: …}}` if it follows one"
        )
    uri, adopted = agreement.template.uri, agreement.template.version
    entry = shelf.find(uri, adopted if version is None else version)
    given = _checked(entry, of_options(entry.template, options))
    document = to_document(agreement)
    found = compared(entry.template, document, given)
    latest = max(e.template.version for e in shelf.versions(uri) if e.may_be_adopted or e is entry)
    means = meaning(found.national, document)
    return TemplateDiff(entry, adopted, latest, found, means)


def told(found: Meaning, indent: str = "  ") -> Iterator[str]:
    """Yield what widens, narrows and only rewords, a sentence a line."""
    for word, changes in (
        ("widens", found.widens),
        ("narrows", found.narrows),
        ("rewords", found.rewords),
    ):
        for change in changes:
            yield f"{indent}{word}: {change.text}"


def _checked(entry: Entry, given: Mapping[str, str | list[str]]) -> dict[str, Bound]:
    """Return the values given on the command line, each of which fits its place."""
    places = entry.template.document.places
    bound: dict[str, Bound] = {}
    for name, value in given.items():
        place = places.get(name)
        values = (value,) if isinstance(value, str) else tuple(value)
        if place is None or not all(is_of_kind(place.kind, one) for one in values):
            remedy = f"places: {', '.join(places)}"
            problem = Problem(
                "wrong-binding", "error", None, None, name, "does not fit a place", remedy
            )
            raise BindingsInvalid("--bind", [problem])
        bound[name] = values if place.many else values[0]
    return bound

"""The life of templates in the register: propose, consult, comment, assure, publish, withdraw.

Who may do what, and when, is `agreements.templates.life`. Here each move is one
transaction that names the revision it was made to: of two people at once the second gets a
conflict that says who was first.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from agreements.comparing import Comparison as Meaning
from agreements.model import Agreement
from agreements.reading import from_document
from agreements.templates.departing import Departure, compared, departures, meaning, meaning_to_json
from agreements.templates.filling import adopt, places_in
from agreements.templates.life import MoveRefused, Step, moved, sha256_of
from agreements.templates.model import Bound, Template
from agreements.values import Text, Title
from broker.scheme import SchemeFolder
from broker.storage import Conflict, Transaction
from broker.templates import COMMENT, SHIPPED, TEMPLATE, Entry, TemplateShelf, UnknownTemplate
from schemas.errors import RejectedInput

_TITLE: Final = TypeAdapter(Title)
_TEXT: Final = TypeAdapter(Text)


class UnfitWords(RejectedInput):
    """A name, a reason or a comment is empty, too long or cannot be read by a person."""

    code = "unfit-words"


@dataclass(frozen=True, slots=True)
class Words:
    """Who makes a move, when (aware), and why."""

    by: str
    at: datetime
    reason: str | None = None

    @classmethod
    def of(cls, by: str, at: datetime, reason: str | None = None) -> "Words":
        """Check what was said; raises UnfitWords."""
        _check("--by", by, _TITLE)
        if reason is not None:
            _check("--reason", reason, _TEXT)
        return cls(by, at.astimezone(UTC).replace(microsecond=0), reason)


def propose(scheme: SchemeFolder, template: Template, words: Words) -> Entry:
    """Put a new version of a template; raises MoveRefused, Conflict."""
    shelf = TemplateShelf(scheme)
    there = shelf.versions(template.uri)
    for entry in there:
        if entry.template.version == template.version:
            newest = there[-1].template.version
            raise MoveRefused(
                f"{template.uri} version {template.version} is there already ({entry.state}); "
                f"make it version {newest + 1}, or redraft it if it is yours"
            )
    clash = next((e for e in shelf.versions(template.name) if e.template.uri != template.uri), None)
    if clash is not None:
        raise MoveRefused(f"`{template.name}` is the name of {clash.template.uri}: choose another")
    standing = moved(None, _step("propose", template, words))
    return _put(scheme, Entry(template, standing), words)


def move(
    scheme: SchemeFolder,
    entry: Entry,
    name: str,
    words: Words,
    *,
    text: Template | None = None,
) -> Entry:
    """Make a move of the table on what was read as ``entry``; raises MoveRefused, Conflict.

    ``text`` is the new text of a redraft.
    """
    if entry.state == SHIPPED:
        told = f"{entry.template.uri} version {entry.template.version} comes with the product"
        raise MoveRefused(f"{told}; propose a version of your own")
    template = text or entry.template
    if (template.uri, template.version) != (entry.template.uri, entry.template.version):
        raise MoveRefused(f"the text is of {template.uri} version {template.version}: propose it")
    standing = moved(entry.standing, _step(name, template, words))
    return _put(scheme, replace(entry, template=template, standing=standing), words)


def comment(scheme: SchemeFolder, entry: Entry, text: str, words: Words) -> Entry:
    """Keep a comment with a template that is being consulted on; raises MoveRefused, Conflict."""
    _check("the comment", text, _TEXT)
    if entry.standing is None:
        raise MoveRefused("what comes with the product is not consulted on here: propose it first")
    moved(entry.standing, _step("comment", entry.template, words))
    number = len(entry.comments) + 1
    said = {
        "uri": entry.template.uri,
        "version": entry.template.version,
        "number": number,
        "by": words.by,
        "at": words.at.isoformat().replace("+00:00", "Z"),
        "sha256": entry.standing.sha256,
        "text": text,
    }
    with scheme.store.transaction(by=words.by, at=words.at) as transaction:
        _check_unchanged(transaction, entry)
        about = f"{entry.template.uri}#{entry.template.version}.{number}"
        transaction.put(COMMENT, about, 1, said, expected_revision=0)
    return replace(entry, comments=(*entry.comments, said))


@dataclass(frozen=True, slots=True)
class Adopter:
    """A local agreement made of a template, and what another version of it changes there."""

    agreement: Agreement
    adopted_version: int
    changes: tuple[Departure, ...]
    meaning: Meaning | None
    """What the changes mean for recipients; None while a new place is not filled."""
    unfilled: tuple[str, ...]
    own: tuple[Departure, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the adopter as JSON data."""
        return {
            "agreement": self.agreement.id,
            "version": self.agreement.version,
            "title": self.agreement.title,
            "owner": self.agreement.owner,
            "template_version": self.adopted_version,
            "changes": [change.to_json() for change in self.changes],
            **meaning_to_json(self.meaning),
            "places_to_fill": list(self.unfilled),
            "own_departures": [departure.to_json() for departure in self.own],
        }


def adopters(
    shelf: TemplateShelf, entry: Entry, documents: list[Mapping[str, Any]]
) -> list[Adopter]:
    """Return the latest version of each agreement that was made of ``entry``'s template.

    ``documents`` are all agreements of the scheme. What changes is the difference
    between the version adopted and ``entry``'s, both filled with the local values.
    """
    latest: dict[str, Mapping[str, Any]] = {}
    for document in documents:
        link = document.get("template") or {}
        if link.get("uri") == entry.template.uri:
            known = latest.get(document["id"])
            if known is None or known["version"] < document["version"]:
                latest[document["id"]] = document
    return [_adopter(shelf, entry, document) for _, document in sorted(latest.items())]


def _adopter(shelf: TemplateShelf, entry: Entry, document: Mapping[str, Any]) -> Adopter:
    version = document["template"]["version"]
    try:
        before = shelf.find(entry.template.uri, version).template
    except UnknownTemplate:
        before = entry.template  # a version that is not here: the departures tell it all
    then = compared(before, document)
    now = adopt(entry.template, _fitting(then.values, entry.template))
    unfilled = tuple(dict.fromkeys(place for _, place in places_in(now)))
    changes = tuple(departures(then.national, now))
    means = meaning(then.national, now)
    return Adopter(from_document(document), version, changes, means, unfilled, then.departures)


def _fitting(values: Mapping[str, Bound], template: Template) -> dict[str, Bound]:
    """Return the values for another version's places, one or many as it has them."""
    fitting: dict[str, Bound] = {}
    for name, place in template.document.places.items():
        value = values.get(name, place.default)
        if value is None:
            continue
        one = value if isinstance(value, str) else value[0]
        many = (value,) if isinstance(value, str) else value
        fitting[name] = many if place.many else one
    return fitting


def _step(move_name: str, template: Template, words: Words) -> Step:
    return Step(move_name, words.by, words.at, sha256_of(template.text), words.reason)


def _put(scheme: SchemeFolder, entry: Entry, words: Words) -> Entry:
    assert entry.standing is not None  # noqa: S101  only what stands somewhere is put
    body = {"text": entry.template.text, "life": entry.standing.to_json()}
    with scheme.store.transaction(by=words.by, at=words.at) as transaction:
        revision = transaction.put(
            TEMPLATE,
            entry.template.uri,
            entry.template.version,
            body,
            expected_revision=entry.revision,
        )
    return replace(entry, revision=revision)


def _check_unchanged(transaction: Transaction, entry: Entry) -> None:
    """What is commented on is what was read; raises Conflict."""
    uri, version = entry.template.uri, entry.template.version
    now = transaction.get(TEMPLATE, uri, version)
    if now is not None and now.revision != entry.revision:
        what = f"{TEMPLATE} {uri} version {version}"
        raise Conflict(
            what, entry.revision, revision=now.revision, by=now.changed_by, at=now.changed_at
        )


def _check(what: str, text: str, adapter: TypeAdapter[str]) -> None:
    try:
        adapter.validate_python(text)
    except ValidationError:
        raise UnfitWords(
            f"{what}: expected text that a person can read, and not too long; write it again"
        ) from None

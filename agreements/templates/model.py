"""A template: an agreement with places to fill in, and what a reader must know about it.

The shapes only. A place is written in the agreement as ``<acute-trust>`` and declared
under ``places`` with its kind, what belongs there and an example. How a text becomes a
template is in `reading`, how the places are filled in `filling`.
"""

from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from pydantic import Field

from agreements.model import Part
from agreements.values import Day, Flag, Name, Text, Title, Uri, Whole

LICENCE: Final = "OGL-UK-3.0"
LICENCE_TEXT: Final = (
    "Open Government Licence v3.0: anyone may read, copy, adapt and reuse this template"
)

PlaceKind = Literal[
    "party", "title", "text", "code", "date", "uri", "email", "telephone", "period", "count",
    "gss", "ods", "urn", "police-force",
]  # fmt: skip
KINDS: Final[tuple[str, ...]] = get_args(PlaceKind)

# A value of a place: several where the place says `many`.
Bound = str | tuple[str, ...]


class Place(Part):
    """Something local: what belongs there, an invented example, and a value if none is given.

    ``many`` takes one or more values; the list element that holds the place is then
    written once for each of them.
    """

    kind: PlaceKind
    text: Text
    example: Title | tuple[Title, ...]
    default: Title | None = None
    many: Flag = False

    @property
    def sample(self) -> Bound:
        """The example as a value of the place."""
        if self.many and isinstance(self.example, str):
            return (self.example,)
        return self.example


class Unconfirmed(Part):
    """A legal basis that an information governance lead confirms before anyone relies on it."""

    flow: Name
    text: Text


class Change(Part):
    """What a version changed."""

    version: Whole
    on: Day
    text: Text


class TemplateDocument(Part):
    """The fields of a template; ``agreement`` is an agreement's data with places in it."""

    format: Literal[1]
    uri: Uri
    version: Whole
    title: Title
    summary: Text
    author: Title
    licence: Literal["OGL-UK-3.0"]
    source: Text | None = None
    to_confirm: tuple[Unconfirmed, ...] = ()
    changes: tuple[Change, ...] = ()
    places: dict[Name, Place] = Field(min_length=1)
    agreement: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Template:
    """One version of a template with the text that it was read from."""

    document: TemplateDocument
    text: str

    @property
    def uri(self) -> str:
        """The address that adopted agreements link to."""
        return self.document.uri

    @property
    def version(self) -> int:
        """The version that they link to."""
        return self.document.version

    @property
    def name(self) -> str:
        """The short name: what follows the last slash or colon of the address."""
        return self.uri.rstrip("/").replace(":", "/").rpartition("/")[2]

    @property
    def link(self) -> dict[str, Any]:
        """What an adopted agreement says of its template."""
        return {"uri": self.uri, "version": self.version}

    @property
    def examples(self) -> dict[str, Bound]:
        """The example of every place: with them the template is an agreement that validates."""
        return {name: place.sample for name, place in self.document.places.items()}

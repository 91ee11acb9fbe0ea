"""The templates at hand: those of the product, and those of a scheme's register.

A folder without a scheme has the product's only, so a template can be read and adopted
before there is anything else.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from agreements.law import validate
from agreements.model import Agreement
from agreements.problems import AgreementInvalid, Problem, nearest
from agreements.reading import from_document, read_agreement
from agreements.templates.filling import BindingsInvalid, adopt, bind
from agreements.templates.library import shipped_names, shipped_template, shipped_templates
from agreements.templates.life import Standing, TemplateState
from agreements.templates.model import LICENCE_TEXT, Bound, Template
from agreements.templates.reading import parse_template, read_bindings
from agreements.templates.writing import agreement_text
from broker.settings import FILE_NAME
from schemas.catalogue import shipped
from schemas.errors import RejectedInput

if TYPE_CHECKING:
    from broker.scheme import SchemeFolder
    from broker.storage import Document

SHIPPED: Final = "shipped"
"""The state of a template of the product: nobody in the scheme has assured it."""
TEMPLATE: Final = "template"
COMMENT: Final = "comment"


class UnknownTemplate(RejectedInput):
    """No template of that name or version is here, or it may not be adopted."""

    code = "unknown-template"


@dataclass(frozen=True, slots=True)
class Entry:
    """A version of a template: where it stands, at which revision, and what was said of it."""

    template: Template
    standing: Standing | None = None
    revision: int = 0
    comments: tuple[Mapping[str, Any], ...] = ()

    @property
    def state(self) -> str:
        """Where it stands, or ``shipped``."""
        return SHIPPED if self.standing is None else self.standing.state.value

    @property
    def may_be_adopted(self) -> bool:
        """Whether local agreements may be made of it."""
        return self.standing is None or self.standing.state is TemplateState.PUBLISHED

    def to_json(self) -> dict[str, Any]:
        """Return the entry without its text."""
        document = self.template.document
        life = (
            {"state": SHIPPED, "author": document.author, "assured_by": None, "steps": []}
            if self.standing is None
            else self.standing.to_json()
        )
        return {
            "name": self.template.name,
            "uri": self.template.uri,
            "version": self.template.version,
            "title": document.title,
            "summary": " ".join(document.summary.split()),
            "licence": {"id": document.licence, "text": LICENCE_TEXT},
            **life,
            "may_be_adopted": self.may_be_adopted,
            "revision": self.revision,
            "places": {
                name: place.model_dump(mode="json", exclude_unset=True)
                for name, place in document.places.items()
            },
            "to_confirm": [entry.model_dump(mode="json") for entry in document.to_confirm],
            "comments": [dict(comment) for comment in self.comments],
        }


class TemplateShelf:
    """Every template that can be seen from a folder."""

    def __init__(self, scheme: "SchemeFolder | None") -> None:
        self.scheme = scheme

    @classmethod
    def of(cls, folder: Path) -> Self:
        """Return the shelf of a folder, whether or not there is a scheme in it."""
        if not (folder / FILE_NAME).exists():
            return cls(None)
        from broker.cli.options import settings_of
        from broker.scheme import SchemeFolder

        return cls(SchemeFolder(settings_of(folder)))

    def entries(self) -> list[Entry]:
        """Return every version of every template, by name and version."""
        product = [Entry(template) for template in shipped_templates().values()]
        return sorted(
            [*product, *self._registered()], key=lambda e: (e.template.name, e.template.version)
        )

    def find(self, name: str, version: int | None = None) -> Entry:
        """Return a version, the latest without one; raises UnknownTemplate."""
        found = self.versions(name)
        if version is not None:
            found = [entry for entry in found if entry.template.version == version]
        if not found:
            of_version = "" if version is None else f" with a version {version}"
            raise UnknownTemplate(f"there is no template `{name}`{of_version}; {self._meant(name)}")
        return found[-1]

    def versions(self, name: str) -> list[Entry]:
        """Return the versions of a template, by its name or address, oldest first."""
        last = name.rpartition(":")[2]
        product = [Entry(shipped_template(last))] if last in shipped_names() else []
        found = (
            e for e in [*product, *self._registered()] if name in (e.template.name, e.template.uri)
        )
        return sorted(found, key=lambda e: e.template.version)

    def to_adopt(self, name: str, version: int | None = None) -> Entry:
        """Return a version that may be adopted; raises UnknownTemplate."""
        entry = self.find(name, version)
        if version is None:
            entry = next((e for e in reversed(self.versions(name)) if e.may_be_adopted), entry)
        if entry.may_be_adopted:
            return entry
        told = f"`{name}` version {entry.template.version} is {entry.state}"
        if entry.standing is not None and entry.standing.state is TemplateState.WITHDRAWN:
            raise UnknownTemplate(f"{told} ({entry.standing.steps[-1].reason}); adopt another")
        raise UnknownTemplate(f"{told}; it can be adopted once it is published")

    def _registered(self) -> list[Entry]:
        if self.scheme is None or not self.scheme.has_store:
            return []
        store = self.scheme.store
        comments = store.list(COMMENT)
        return [_entry(document, comments) for document in store.list(TEMPLATE)]

    def _meant(self, name: str) -> str:
        registered = (entry.template.name for entry in self._registered())
        known = list(dict.fromkeys([*shipped_names(), *registered]))
        meant = nearest(name, known)
        return f"did you mean `{meant}`?" if meant else f"there are: {', '.join(known)}"


def _entry(document: "Document", comments: "Sequence[Document]") -> Entry:
    about = {"uri": document.id, "version": document.version}
    name = f"template {document.id} version {document.version} in the register"
    try:
        template = parse_template(document.body["text"], name=name)
        standing = Standing.from_json(document.body["life"])
    except (KeyError, ValueError, TypeError, AttributeError):
        raise UnknownTemplate(f"{name} cannot be read; restore the register") from None
    said = sorted(
        (c.body for c in comments if about.items() <= c.body.items()),
        key=lambda body: str(body.get("number")).zfill(9),
    )
    return Entry(template, standing, document.revision, tuple(said))


@dataclass(frozen=True, slots=True)
class Adoption:
    """A local agreement made of a template; ``problems`` are warnings."""

    agreement: Agreement
    text: str
    values: Mapping[str, Bound]
    problems: tuple[Problem, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the form of ``template adopt --json`` without text or file."""
        return {
            "adopted": True,
            "agreement": self.agreement.id,
            "version": self.agreement.version,
            "valid": True,
            "problems": [problem.to_json() for problem in self.problems],
            "bindings": {n: v if isinstance(v, str) else list(v) for n, v in self.values.items()},
        }


def adopted(template: Template, options: Sequence[str], file: Path | None) -> Adoption:
    """Make an agreement of a template; options are ``place=value`` and go before the file.

    Raises AgreementInvalid: a place has no fitting value (BindingsInvalid), or the values
    do not go together, such as an end before the start.
    """
    given: dict[str, str | list[str]] = {}
    source = None
    name = "the list of bindings"
    if file is not None:
        name = str(file)
        given, source = read_bindings(file.read_bytes(), name=name)
    given |= of_options(template, options)
    values = bind(template, given, name=name, source=source)
    made = "the agreement that these values make"
    agreement = from_document(adopt(template, values), name=made)
    problems = tuple(validate(agreement, shipped()))
    if any(problem.severity == "error" for problem in problems):
        raise AgreementInvalid(made, problems)
    text = agreement_text(template, values)
    read_agreement(text, name=made)  # what is written can be read again: it may be too large
    return Adoption(agreement, text, values, problems)


def of_options(template: Template, options: Sequence[str]) -> dict[str, str | list[str]]:
    """Return the bindings of the command line; a place of many values may come repeatedly."""
    given: dict[str, str | list[str]] = {}
    for option in options:
        place, equals, value = option.partition("=")
        if not equals or not place.strip():
            remedy = "write --bind place=value"
            problem = Problem("wrong-binding", "error", None, None, "", "expected `=`", remedy)
            raise BindingsInvalid("--bind", [problem])
        place, value = place.strip(), value.strip()
        before = given.get(place)
        if before is None:
            known = template.document.places.get(place)
            is_list = known is not None and known.many and known.kind not in ("text", "title")
            given[place] = [v.strip() for v in value.split(",")] if is_list else value
        else:
            given[place] = [*([before] if isinstance(before, str) else before), value]
    return given

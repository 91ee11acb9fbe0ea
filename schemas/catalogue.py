"""The event types: Avro schemas with what the rules need to know about each field.

A schema carries its own documentation and classification as custom attributes,
which Avro allows and ignores:

- on the record: ``eventType`` (``uk.gov.csc.missing-episode.v1``) and
  ``revision`` (a number inside the type's major version);
- on a field: ``sensitivity`` (a list from :class:`Sensitivity`), ``identifier``
  (a kind of :mod:`schemas.identifiers`), ``subject`` (``primary``: whom the
  event is about; ``also``: looked up by it when valid) and ``freeText``.

A field inherits the sensitivity of the records and arrays that it lies in.
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib import resources
from typing import Any, Final, Literal, Self

from schemas.avro import BadSchema, Schema, fingerprint, named_types, parse, resolve
from schemas.framing import UnknownSchema
from schemas.identifiers import KINDS
from schemas.scanning import Scanner, Slot

__all__ = ["BadSchema", "Catalogue", "EventType", "Field", "Sensitivity", "UnknownSchema"]

EVENT_TYPE: Final = re.compile(
    r"[a-z][a-z0-9-]{0,62}(?:\.[a-z0-9][a-z0-9-]{0,62}){1,8}\.v[1-9][0-9]*"
)
"""Reversed domain, subject, major version."""


class Sensitivity(StrEnum):
    """What kind of care a field needs. The values are in schemas: never reuse one."""

    PERSONAL = "personal"
    SPECIAL = "special"
    CRIMINAL = "criminal"
    THIRD_PARTY = "third-party"
    CONFIDENTIAL_HEALTH = "confidential-health"
    SOCIAL_SECURITY = "social-security"
    ADOPTION = "adoption"
    REFERRER = "referrer"


@dataclass(frozen=True, slots=True)
class Field:
    """One item that an agreement can list: a leaf, or an array as a whole.

    ``path`` is dotted (``person.address.postcode``, ``members.relationship``);
    ``slot`` the slot it lies in; ``within`` the path of the array of records
    around it, if any. ``schema`` is the field's Avro schema, self-contained.
    """

    path: str
    slot: int
    schema: Schema
    doc: str
    nullable: bool
    sensitivity: frozenset[Sensitivity]
    identifier: str | None
    subject: Literal["primary", "also"] | None
    free_text: bool
    within: str | None


@dataclass(frozen=True, slots=True)
class EventType:
    """One revision of an event type.

    ``name`` includes the major version; ``fingerprint`` is the 8 bytes of the
    framing; ``primary`` is the field that tells whom the event is about, and
    ``subjects`` all fields by which it is found, the primary one first.
    """

    name: str
    revision: int
    schema: Schema
    fingerprint: bytes
    doc: str
    fields: tuple[Field, ...]
    primary: Field
    subjects: tuple[Field, ...]
    scanner: Scanner
    by_path: dict[str, Field]

    def field(self, path: str) -> Field:
        """Return the field at a dotted path.

        Raises:
            KeyError: the type has no such item.
        """
        return self.by_path[path]

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    @classmethod
    def of(cls, text: str | bytes, *, name: str = "schema") -> Self:
        """Read one ``.avsc`` document; ``name`` says in errors which one it is.

        Raises:
            BadSchema: not JSON, not plain Avro, or its attributes do not fit.
        """
        try:
            document = json.loads(text)
        except ValueError as problem:
            raise BadSchema(f"{name}: not JSON") from problem
        try:
            return cls._of_document(document)
        except BadSchema as problem:
            raise BadSchema(f"{name}: {problem}") from None

    @classmethod
    def _of_document(cls, document: Schema) -> Self:
        schema = parse(document)
        event_type, revision = _identity(schema)
        scanner = Scanner(document)
        fields = tuple(_Flattening(schema).fields(scanner))
        primary = [field for field in fields if field.subject == "primary"]
        if len(primary) != 1 or primary[0].nullable or primary[0].within:
            raise BadSchema(
                'schema: exactly one field needs "subject": "primary", required and not in an array'
            )
        also = [field for field in fields if field.subject == "also"]
        return cls(
            name=event_type,
            revision=revision,
            schema=schema,
            fingerprint=fingerprint(schema),
            doc=schema.get("doc", ""),
            fields=fields,
            primary=primary[0],
            subjects=(*primary, *also),
            scanner=scanner,
            by_path={field.path: field for field in fields},
        )


class Catalogue:
    """All revisions of the event types that this product knows."""

    def __init__(self, types: Iterable[EventType]) -> None:
        self._by_fingerprint: dict[bytes, EventType] = {}
        self._by_name: dict[str, dict[int, EventType]] = {}
        for one in types:
            self._add(one)

    @classmethod
    def of(cls, texts: Iterable[str | bytes]) -> Self:
        """Read ``.avsc`` documents.

        Raises:
            BadSchema: one of them is not acceptable, or two contradict each other.
        """
        return cls(EventType.of(text) for text in texts)

    def _add(self, one: EventType) -> None:
        same = self._by_fingerprint.get(one.fingerprint)
        if same is not None:
            raise BadSchema(
                f"{one.name} revision {one.revision}: cannot be told on the wire from "
                f"{same.name} revision {same.revision}; a revision changes the data's form, "
                "and types differ in their record's name"
            )
        revisions = self._by_name.setdefault(one.name, {})
        if one.revision in revisions:
            raise BadSchema(f"{one.name}: revision {one.revision} is there twice")
        revisions[one.revision] = one
        self._by_fingerprint[one.fingerprint] = one

    def __iter__(self) -> Iterator[EventType]:
        return iter(self._by_fingerprint.values())

    def __contains__(self, event_type: object) -> bool:
        return event_type in self._by_name

    @property
    def names(self) -> tuple[str, ...]:
        """The event types, sorted."""
        return tuple(sorted(self._by_name))

    def latest(self, event_type: str) -> EventType:
        """Return the highest revision of a type.

        Raises:
            UnknownSchema: there is no such type.
        """
        revisions = self.revisions(event_type)
        return revisions[-1]

    def revisions(self, event_type: str) -> tuple[EventType, ...]:
        """Return a type's revisions, lowest first.

        Raises:
            UnknownSchema: there is no such type.
        """
        try:
            found = self._by_name[event_type]
        except KeyError:
            raise UnknownSchema("the catalogue has no such event type") from None
        return tuple(found[number] for number in sorted(found))

    def by_fingerprint(self, fingerprint: bytes) -> EventType:
        """Return the type and revision that a payload names.

        Raises:
            UnknownSchema: the catalogue has no such schema.
        """
        try:
            return self._by_fingerprint[fingerprint]
        except KeyError:
            raise UnknownSchema("the catalogue has no schema with this fingerprint") from None


def _identity(schema: Schema) -> tuple[str, int]:
    event_type = schema.get("eventType") if isinstance(schema, dict) else None
    if not isinstance(event_type, str) or not EVENT_TYPE.fullmatch(event_type):
        raise BadSchema(
            'schema: "eventType" must be a reversed domain with a version, as uk.gov.csc.example.v1'
        )
    revision = schema.get("revision")
    if not isinstance(revision, int) or isinstance(revision, bool) or revision < 1:
        raise BadSchema('schema: "revision" must be a number of 1 or more')
    return event_type, revision


class _Flattening:
    """Lists the fields of a schema, records inlined, elements of arrays after their array."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self.names = named_types(schema)

    def fields(self, scanner: Scanner) -> Iterator[Field]:
        return self._record(self.schema, scanner, _Place("", "", frozenset(), None))

    def _record(self, record: Schema, scanner: Scanner, place: "_Place") -> Iterator[Field]:
        for field in record["fields"]:
            relative = place.relative + field["name"]
            path = place.base + relative
            sensitivity = place.sensitivity | _sensitivity(field, path)
            number = scanner.index.get(relative)
            slot = None if number is None else scanner.slots[number]
            inner = self._under_option(field["type"])
            if slot is None or slot.kind == "branch":
                _refuse_on_container(field, path)
                deeper = _Place(place.base, f"{relative}.", sensitivity, place.array)
                yield from self._record(inner, scanner, deeper)
                continue
            item = _item(field, path, slot, sensitivity, place.array)
            yield item
            if slot.element is not None:
                _refuse_on_container(field, path)
                items = resolve(inner["items"], self.names)
                deeper = _Place(f"{path}.", "", sensitivity, place.array or item)
                yield from self._record(items, slot.element, deeper)

    def _under_option(self, schema: Schema) -> Schema:
        schema = resolve(schema, self.names)
        if isinstance(schema, list):
            others = [branch for branch in schema if branch != "null"]
            return resolve(others[0], self.names)
        return schema


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a walk over the fields is: a path is ``base`` + ``relative`` + name.

    ``relative`` is what the scanner of the innermost array element calls it;
    ``array`` is the outermost array of records around it.
    """

    base: str
    relative: str
    sensitivity: frozenset[Sensitivity]
    array: Field | None


def _item(
    field: dict[str, Any],
    path: str,
    slot: Slot,
    sensitivity: frozenset[Sensitivity],
    array: Field | None,
) -> Field:
    identifier = field.get("identifier")
    subject = field.get("subject")
    free_text = field.get("freeText", False)
    if identifier is not None and (not isinstance(identifier, str) or identifier not in KINDS):
        raise BadSchema(f'{path}: "identifier" is not one of {", ".join(sorted(KINDS))}')
    if identifier is not None and (slot.kind != "string" or slot.logical is not None):
        raise BadSchema(f"{path}: an identifier must be a string, so that no digit is lost")
    if subject not in {None, "primary", "also"}:
        raise BadSchema(f'{path}: "subject" must be "primary" or "also"')
    if subject is not None and identifier is None:
        raise BadSchema(f'{path}: a "subject" needs an "identifier"')
    if not isinstance(free_text, bool):
        raise BadSchema(f'{path}: "freeText" must be true or false')
    return Field(
        path=path,
        slot=slot.index if array is None else array.slot,
        schema=slot.schema,
        doc=field.get("doc", ""),
        nullable=slot.nullable,
        sensitivity=sensitivity,
        identifier=identifier,
        subject=subject,
        free_text=free_text,
        within=None if array is None else array.path,
    )


def _sensitivity(field: dict[str, Any], path: str) -> frozenset[Sensitivity]:
    values = field.get("sensitivity", [])
    try:
        return frozenset(Sensitivity(value) for value in values)
    except (TypeError, ValueError):
        known = ", ".join(Sensitivity)
        raise BadSchema(f'{path}: "sensitivity" must be a list from {known}') from None


def _refuse_on_container(field: dict[str, Any], path: str) -> None:
    for attribute in ("identifier", "subject", "freeText"):
        if attribute in field:
            raise BadSchema(f'{path}: "{attribute}" belongs on the fields inside')


@cache
def shipped() -> Catalogue:
    """Return the catalogue of the schemas that come with this product."""
    folder = resources.files("schemas") / "types"
    files = sorted(
        (entry for entry in folder.iterdir() if entry.name.endswith(".avsc")),
        key=lambda entry: entry.name,
    )
    return Catalogue(
        EventType.of(entry.read_text(encoding="utf-8"), name=entry.name) for entry in files
    )

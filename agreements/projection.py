"""What of an event type a flow lets through: the parts of a view, and its Avro schema.

A view has the permitted fields in the publisher's order, with their documentation,
types as they are after the transform, and nullable where an item may be withheld.
Its namespace ends in a digest of the shape, because an Avro fingerprint leaves out
logical types: without it a date and a year would look alike.

An item is a leaf. A path that names a record, or something with records in it (a list,
a map), shares nothing as a whole: what is in it may grow after the parties have signed.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from agreements.model import Item
from agreements.transforms import NotTransformable, Shaped, compile_transform, name_of
from schemas.avro import collapsed, named_types, parse, resolve
from schemas.scanning import Scanner, Slot

NOT_IN_SCHEMA: Final = "not-in-schema"
NOT_AN_ITEM: Final = "not-an-item"
NOT_TRANSFORMABLE: Final = "not-transformable"
_DIGEST_DIGITS: Final = 12
# What a recipient is told about a field; `subject` and `freeText` are the publisher's and ours.
_KEPT_ATTRIBUTES: Final = ("doc", "identifier", "sensitivity")


@dataclass(frozen=True, slots=True)
class Branch:
    """The byte that tells whether an optional record is there; goes with what is inside."""

    slot: Slot


@dataclass(frozen=True, slots=True)
class Leaf:
    """One permitted item: where it lies, what it must validate as, how it is shaped."""

    slot: Slot
    item: Item
    identifier: str | None
    shaped: Shaped | None

    @property
    def can_be_withheld(self) -> bool:
        """Whether a value that is there may still have to be left out."""
        return self.identifier is not None or (
            self.shaped is not None and self.shaped.reason is not None
        )


@dataclass(frozen=True, slots=True)
class Elements:
    """A list of records of which each element is cut."""

    slot: Slot
    parts: tuple["Part", ...]


Part = Branch | Leaf | Elements


@dataclass(frozen=True, slots=True)
class Projection:
    """The shape of a view. ``unavailable`` are the items that no event of this type can give."""

    schema: dict[str, Any]
    parts: tuple[Part, ...]
    unavailable: tuple[tuple[str, str], ...]


def project(scanner: Scanner, items: Sequence[Item], *, key: bytes) -> Projection:
    """Return the view of ``items`` on a schema; ``key`` is the recipient's pseudonym key.

    Dropped items are no part of it. The same arguments always give the same schema.
    """
    wanted = {item.path: item for item in items if item.transform != "drop"}
    walk = _Walk(named_types(scanner.schema), wanted, key)
    fields, parts = walk.record(scanner.schema, scanner, "", "")
    found = {leaf.item.path for leaf in leaves(parts)}
    unavailable = tuple(
        (path, walk.refused.get(path, NOT_IN_SCHEMA)) for path in wanted if path not in found
    )
    return Projection(_named(scanner.schema, fields), tuple(parts), unavailable)


def leaves(parts: Sequence[Part]) -> Iterator[Leaf]:
    """Return the items of a view in the order of the bytes, those inside lists too."""
    for part in parts:
        if isinstance(part, Leaf):
            yield part
        elif isinstance(part, Elements):
            yield from leaves(part.parts)


def _named(source: Mapping[str, Any], fields: list[dict[str, Any]]) -> dict[str, Any]:
    namespace, _, name = str(source["name"]).rpartition(".")
    shape = json.dumps([source["name"], fields], sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(shape.encode()).hexdigest()[:_DIGEST_DIGITS]
    schema = {
        "type": "record",
        "name": name,
        "namespace": f"{namespace}.view_{digest}".lstrip("."),
        "fields": fields,
    }
    if "doc" in source:
        schema["doc"] = source["doc"]
    view: dict[str, Any] = collapsed(schema)
    parse(view)
    return view


class _Walk:
    """One walk over an event type's schema beside its scanner."""

    def __init__(self, names: Mapping[str, Any], wanted: Mapping[str, Item], key: bytes) -> None:
        self.names = names
        self.wanted = wanted
        self.key = key
        self.refused: dict[str, str] = {}

    def record(
        self, schema: Mapping[str, Any], scanner: Scanner, place: str, path: str
    ) -> tuple[list[dict[str, Any]], list[Part]]:
        """Return the fields and parts under ``path``; ``place`` is the path in ``scanner``."""
        fields: list[dict[str, Any]] = []
        parts: list[Part] = []
        for field in schema["fields"]:
            inner_place, inner_path = _join(place, field["name"]), _join(path, field["name"])
            found = self._field(field, scanner, inner_place, inner_path)
            if found is not None:
                fields.append(found[0])
                parts.extend(found[1])
        return fields, parts

    def _field(
        self, field: Mapping[str, Any], scanner: Scanner, place: str, path: str
    ) -> tuple[dict[str, Any], list[Part]] | None:
        # A required record has no slot of its own: its fields stand in its place.
        slot = scanner.slots[scanner.index[place]] if place in scanner.index else None
        schema = resolve(field["type"], self.names)
        if path in self.wanted:
            if slot is not None and not _holds_record(slot.schema):
                leaf = self._leaf(field, slot, path)
                return None if leaf is None else (_leaf_field(field, leaf), [leaf])
            self.refused[path] = NOT_AN_ITEM
        if not any(wanted.startswith(path + ".") for wanted in self.wanted):
            return None
        wrap: list[Part]
        if slot is not None and slot.element is not None:
            fields, parts = self.record(slot.element.schema, slot.element, "", path)
            wrap = [Elements(slot, tuple(parts))]
            projected: Any = {"type": "array", "items": _record(path, fields)}
        elif slot is None or slot.kind == "branch":
            fields, parts = self.record(_without_null(schema, self.names), scanner, place, path)
            wrap = [Branch(slot), *parts] if slot is not None else parts
            projected = _record(path, fields)
        else:
            return None
        if not fields:
            return None
        null = schema.index("null") if slot is not None and slot.nullable else None
        return _attributes(field) | {"type": _optional(projected, null)}, wrap

    def _leaf(self, field: Mapping[str, Any], slot: Slot, path: str) -> Leaf | None:
        item = self.wanted[path]
        avro_type = _without_null(slot.schema, self.names)
        identifier = field.get("identifier") if slot.kind == "string" else None
        try:
            shaped = compile_transform(item, avro_type, identifier=identifier, key=self.key)
        except NotTransformable:
            self.refused[path] = NOT_TRANSFORMABLE
            return None
        return Leaf(slot, item, shaped.identifier if shaped else identifier, shaped)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _holds_record(schema: Any) -> bool:
    if isinstance(schema, list):
        return any(_holds_record(branch) for branch in schema)
    return isinstance(schema, dict) and (
        schema["type"] == "record"
        or _holds_record(schema.get("items"))
        or _holds_record(schema.get("values"))
    )


def _without_null(schema: Any, names: Mapping[str, Any]) -> Any:
    if isinstance(schema, list) and len(schema) == 2 and "null" in schema:  # noqa: PLR2004
        return resolve(schema[1 - schema.index("null")], dict(names))
    return schema


def _record(path: str, fields: list[dict[str, Any]]) -> dict[str, Any]:
    """Name an inner record by its place: two places may let different fields through."""
    name = "_".join(part[:1].upper() + part[1:] for part in path.split("."))
    return {"type": "record", "name": name, "fields": fields}


def _optional(schema: Any, null: int | None) -> Any:
    if null is None:
        return schema
    return ["null", schema] if null == 0 else [schema, "null"]


def _attributes(field: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": field["name"]} | {
        name: field[name] for name in _KEPT_ATTRIBUTES if name in field
    }


def _leaf_field(field: Mapping[str, Any], leaf: Leaf) -> dict[str, Any]:
    attributes = _attributes(field)
    schema = leaf.slot.schema
    null = schema.index("null") if leaf.slot.nullable else None
    value = schema[1 - null] if null is not None else schema
    if leaf.shaped is not None:
        attributes["transform"] = name_of(leaf.item)
        attributes.pop("identifier", None)
        value = leaf.shaped.avro_type
    if null is None and leaf.can_be_withheld:
        null = 0
    attributes["type"] = _optional(value, null)
    if null == 0:
        attributes["default"] = None
    return attributes

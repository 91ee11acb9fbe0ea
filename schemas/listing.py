"""The event types as a page for those who publish and those who receive them."""

from collections.abc import Iterable, Iterator
from typing import Final

from schemas.avro import Schema, kind_of, logical_of
from schemas.catalogue import EventType, Field, shipped

_HEAD: Final = (
    "# Event types\n"
    "Made from the schemas in `schemas/types/`, which say the same to a program. An item is named "
    "by its path; *optional* items may be left out. A flow that shares an item marked *special*, "
    "*criminal*, *confidential-health* or *social-security* needs the legal condition for it, one "
    "marked *third-party*, *referrer* or *adoption* a justification, *free text* a justification "
    "and a condition that sends a doubt to a person. The **subject** is whom the event is about."
    "\n\n"
)


def types_page() -> str:
    """Return the page of every shipped type, in Markdown."""
    catalogue = shipped()
    types = [catalogue.latest(name) for name in catalogue.names]
    contents = [f"- [`{one.name}`](#{one.name.replace('.', '')})" for one in types]
    return _HEAD + "\n".join(contents) + "\n" + "".join(map(_section, types))


def _section(one: EventType) -> str:
    lines = [f"\n## {one.name}", f"{one.doc}\n", "| item | is | marked | what it holds |"]
    lines.append("|---|---|---|---|")
    lines += [
        f"| `{field.path}` | {_kind(field)} | {', '.join(_marks(field))} | {field.doc} |"
        for field in one.fields
    ]
    return "\n".join(lines) + "\n"


def _kind(field: Field) -> str:
    kind = ", ".join(_words(field.schema))
    listed = " of a list" if field.within is not None else ""
    return f"{kind}{listed}{', optional' if field.nullable else ''}"


def _words(schema: Schema) -> Iterator[str]:
    if isinstance(schema, list):
        for branch in schema:
            if branch != "null":
                yield from _words(branch)
        return
    if isinstance(schema, dict) and schema["type"] == "array":
        yield f"list of {' or '.join(_words(schema['items']))}"
        return
    if isinstance(schema, dict) and schema["type"] == "enum":
        yield f"one of {', '.join(schema['symbols'])}"
        return
    words = {"string": "text", "boolean": "yes or no", "int": "number", "long": "number"}
    logical = logical_of(schema)
    kind = kind_of(schema)
    yield "date" if logical == "date" else "time" if logical else words.get(kind, kind)


def _marks(field: Field) -> Iterable[str]:
    if field.subject is not None:
        yield "**subject**" if field.subject == "primary" else "also found by"
    if field.identifier is not None:
        yield field.identifier
    if field.free_text:
        yield "free text"
    yield from sorted(field.sensitivity)

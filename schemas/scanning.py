"""Find where each field of an Avro record begins, without decoding it.

Avro is positional, so a recipient's view can be cut from the publisher's bytes
once the boundaries are known. A scanner is compiled once for each schema. It is
where hostile bytes arrive, so every value is checked while it is walked:

1. the record ends exactly where the bytes end;
2. numbers are written in their shortest form, so equal values are equal bytes;
3. lengths are neither negative nor past the end, counts no more than could fit;
4. branches, enum indexes and booleans are ones that exist;
5. text is UTF-8, dates and times are ones that a calendar has;
6. nesting ends (:data:`schemas.walking.MAX_VALUE_DEPTH`).

Source: Apache Avro 1.12 specification, *Binary encoding*. fastavro is the
oracle in the tests: what is accepted here decodes there, to the same values.
"""

from collections.abc import Callable
from typing import Any, Self

from schemas.avro import BadSchema, Schema, kind_of, named_types, parse
from schemas.scan_source import Writer
from schemas.slots import Slot, text_of
from schemas.striding import IS_COMPILED, strider_of
from schemas.walking import MalformedAvro

__all__ = ["MalformedAvro", "Scanner", "Slot", "text_of"]


class Scanner:
    """The compiled walk of one record schema.

    ``slots`` are the leaves in the order of the bytes, records inlined;
    ``index`` gives a slot's number by dotted path (an optional record's path is
    that of its branch slot); ``spans`` gives first and past-last slot of every
    path, records included; ``source`` is the generated Python, for the curious.

    ``compiled`` is the function behind :meth:`scan`, and ``strider`` what takes most
    records in its place where Python is compiled. ``walk`` is the same without the check
    that the record ends where the bytes do, for a record inside others.
    """

    __slots__ = ("compiled", "index", "schema", "slots", "source", "spans", "strider", "walk")

    compiled: Callable[[bytes, int], list[int]]
    walk: Callable[[bytes, int], list[int]]

    def __init__(self, schema: Schema) -> None:
        """Compile a schema.

        Raises:
            BadSchema: not plain Avro, not a record, or impossible to bound.
        """
        parsed = parse(schema)
        self._compile(parsed, named_types(parsed), frozenset())

    @classmethod
    def of_element(cls, record: Schema, names: dict[str, Schema], inside: frozenset[str]) -> Self:
        """Compile a record that lies in an array; ``inside`` are the records around it."""
        scanner = cls.__new__(cls)
        scanner._compile(record, names, inside)  # noqa: SLF001  a second constructor
        return scanner

    def _compile(self, schema: Schema, names: dict[str, Schema], inside: frozenset[str]) -> None:
        if kind_of(schema) != "record":
            raise BadSchema("schema: only a record can be scanned")
        writer = Writer(names, self.of_element)
        writer.record(schema, inside)
        self.schema = schema
        self.slots = tuple(writer.slots)
        self.index = {slot.path: slot.index for slot in self.slots}
        self.spans = writer.spans
        self.source = writer.source()
        namespace: dict[str, Any] = dict(writer.names_used)
        # The source holds numbers, and paths made of checked Avro names.
        exec(compile(self.source, "<scanner>", "exec"), namespace)  # noqa: S102
        self.walk = namespace["walk"]
        self.compiled = namespace["scan"]
        self.strider = strider_of(self.slots, writer.runs())

    def scan(self, data: bytes, start: int = 0) -> list[int]:
        """Return ``len(slots) + 1`` boundaries: slot ``i`` is ``data[b[i]:b[i+1]]``.

        ``start`` is where the record begins (after the framing); the last
        boundary is ``len(data)``.

        Raises:
            MalformedAvro: the bytes are not one value of the schema, shortest form.
        """
        if IS_COMPILED and self.strider is not None:
            boundaries = self.strider.stride(data, start)
            if boundaries is not None:
                return boundaries
        return self.compiled(data, start)

"""One stretch of an Avro record's bytes, and how to read it once it was scanned."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from schemas.avro import Schema
from schemas.walking import array_elements

if TYPE_CHECKING:
    from schemas.scanning import Scanner


@dataclass(frozen=True, slots=True)
class Slot:
    """A leaf of the schema, or the branch that tells whether an optional record is there.

    ``schema`` is self-contained (references expanded). ``kind`` is the Avro type
    under the option, ``branch`` for the slot that tells whether an optional
    record is there, or ``union``. ``null`` and ``present`` are the encoded
    branches of an optional slot, else ``None`` and ``b""``. ``parents`` are the
    indexes of the branch slots it lies under: when one of them is null, this
    slot has no bytes. ``element`` scans one element of an array of records.
    """

    index: int
    path: str
    schema: Schema
    kind: str
    logical: str | None
    null: bytes | None
    present: bytes
    parents: tuple[int, ...]
    free_text: bool = False
    element: "Scanner | None" = None

    @property
    def nullable(self) -> bool:
        """Whether the value may be null."""
        return self.null is not None

    def text(self, data: bytes, start: int, end: int) -> str | None:
        """Return the text of a scanned string slot; ``None`` when it is null or not there."""
        return text_of(data, start, end, nullable=self.null is not None)

    def elements(self, data: bytes, start: int) -> list[list[int]] | None:
        """Return the boundaries of each element of a scanned array of records.

        ``start`` is the slot's boundary; offsets are in ``data``. ``None`` when
        the array is null. The slot must be there: no parent of it null.
        """
        if self.element is None:
            raise TypeError(f"{self.path} is not an array of records")
        if self.null is not None:
            if data[start] == self.null[0]:
                return None
            start += 1
        return array_elements(data, start, self.element.walk)


def text_of(data: bytes, start: int, end: int, *, nullable: bool) -> str | None:
    """Return the text of a scanned string slot; ``None`` when it is null or not there.

    ``nullable``: the slot is a union of null and string.
    """
    if nullable:
        start += 1
    if start >= end:
        return None
    while data[start] > 127:  # noqa: PLR2004  the continuation bit of the length
        start += 1
    return data[start + 1 : end].decode()

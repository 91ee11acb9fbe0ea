"""A recipient's view of an event: the permitted items and nothing else.

`View.of` compiles it once for an event type, a list of items and a recipient;
`View.cut` makes it from the publisher's bytes. The Avro schema of the view is
derived here too (see `agreements.projection`), for the recipient to decode with.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from agreements.cutting import ABSENT, Cutter, Omissions, write_cutter
from agreements.model import Item
from agreements.projection import Leaf, leaves, project
from agreements.transforms import name_of
from schemas.avro import fingerprint
from schemas.framing import SINGLE_OBJECT

if TYPE_CHECKING:
    from agreements.opened import OpenedEvent
    from schemas.catalogue import EventType

NOT_CARRIED: Final = "not-carried"
_REMEMBERED: Final = 1024  # disclosures of one view; a hostile publisher could make many


@dataclass(frozen=True, slots=True, eq=False)
class Disclosure:
    """What a delivery lets through: paths, in the order of the agreement.

    ``transforms`` pairs a path with its transform (dropped items too), ``withheld``
    pairs a listed item that was not disclosed with the reason code. An item in a
    list can be in ``items`` and ``withheld``: disclosed in some elements only.
    ``lacking`` is the first required item that was withheld. One object stands for
    deliveries alike, nearly always, so what is derived from it can be kept by identity.
    """

    items: tuple[str, ...]
    transforms: tuple[tuple[str, str], ...]
    withheld: tuple[tuple[str, str], ...]
    lacking: str | None


class Cut(NamedTuple):
    """A view made of one event: single-object encoding, and what is in it."""

    framed: bytes
    disclosure: Disclosure

    @property
    def withheld(self) -> tuple[tuple[str, str], ...]:
        """The listed items that are not in the view, each with its reason."""
        return self.disclosure.withheld


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """The view of one event type that the items of a flow give one recipient.

    ``schema`` is plain Avro JSON, ``fingerprint`` its CRC-64-AVRO as in the frame.
    """

    schema: dict[str, Any]
    fingerprint: bytes
    items: tuple[Item, ...]
    _cutter: Cutter = field(repr=False)
    _unavailable: tuple[tuple[str, str], ...] = field(repr=False)
    _omissions: Omissions = field(repr=False)
    _in_lists: frozenset[str] = field(repr=False)
    _disclosures: dict[int, Disclosure] = field(default_factory=dict, repr=False)

    @classmethod
    def of(
        cls,
        event_type: "EventType",
        items: Sequence[Item],
        *,
        pseudonym_key: bytes,
        is_carried: bool = True,
    ) -> Self:
        """Compile the view of ``items``; ``pseudonym_key`` is the recipient's, 32 bytes or more.

        Items that the schema does not have, or that cannot take their transform, are
        withheld from every event. When the delivery is a reference or a notice
        (``is_carried`` false), all are, and none of them is lacking.
        """
        projection = project(event_type.scanner, items if is_carried else (), key=pseudonym_key)
        omissions = Omissions()
        mark = fingerprint(projection.schema)
        cutter = write_cutter(projection, omissions, frame=SINGLE_OBJECT + mark)
        top = {part.item.path for part in projection.parts if isinstance(part, Leaf)}
        return cls(
            schema=projection.schema,
            fingerprint=mark,
            items=tuple(items),
            _cutter=cutter,
            _unavailable=projection.unavailable
            if is_carried
            else tuple((item.path, NOT_CARRIED) for item in items),
            _omissions=omissions,
            _in_lists=frozenset(leaf.item.path for leaf in leaves(projection.parts)) - top,
        )

    def cut(self, event: "OpenedEvent") -> Cut:
        """Make the view of ``event``, which must be of the type that the view is of."""
        framed, bits = self._cutter(event)
        return Cut(framed, self._disclosures.get(bits) or self._disclose(bits))

    def without(self, withheld: Sequence[tuple[str, str]]) -> Disclosure:
        """Return what is disclosed of an event that these (path, reason) are withheld from.

        What every event withholds need not be among them.
        """
        bits = 0
        for path, reason in withheld:
            if (path, reason) not in self._unavailable:
                bits |= self._omissions.bit(path, reason)
        return self._disclosures.get(bits) or self._disclose(bits)

    def schema_json(self) -> str:
        """Return the schema as JSON text, the same for the same view."""
        return json.dumps(self.schema, separators=(",", ":"), ensure_ascii=False)

    def _disclose(self, bits: int) -> Disclosure:
        withheld = dict(self._unavailable) | dict(self._omissions.pairs(bits))
        dropped = {item.path for item in self.items if item.transform == "drop"}
        partly = {
            path
            for path, reason in self._omissions.pairs(bits)
            if path in self._in_lists and reason != ABSENT
        }
        disclosed = [
            item
            for item in self.items
            if item.path not in dropped and (item.path not in withheld or item.path in partly)
        ]
        shown = {item.path for item in disclosed} | dropped
        disclosure = Disclosure(
            items=tuple(item.path for item in disclosed),
            transforms=tuple(
                (item.path, name_of(item))
                for item in self.items
                if item.transform is not None and item.path in shown
            ),
            withheld=tuple(
                (item.path, withheld[item.path]) for item in self.items if item.path in withheld
            ),
            lacking=next(
                (
                    item.path
                    for item in self.items
                    if item.required and withheld.get(item.path, NOT_CARRIED) != NOT_CARRIED
                ),
                None,
            ),
        )
        if len(self._disclosures) >= _REMEMBERED:
            # Not "full, so keep no more": then every event would make an object of its own.
            self._disclosures.clear()
        self._disclosures[bits] = disclosure
        return disclosure

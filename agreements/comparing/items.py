"""What changes of the items that a flow shares with a recipient, in sentences."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from agreements.comparing.changes import Change, sentence
from agreements.comparing.narrowing import tells_no_more
from agreements.comparing.parts import part_changes, twice
from agreements.comparing.weighing import NARROWS, REWORDS, WIDENS, Effect
from agreements.model import Item
from agreements.words import form_of
from schemas.catalogue import Field

Fields = Mapping[str, Sequence[Field]]
"""What the schemas concerned have at a path."""


def item_changes(
    old: Sequence[Item], new: Sequence[Item], fields: Fields, *, places: "Places"
) -> Iterator[Change]:
    """Return what changed; a list that names an item twice is not compared."""
    if old == new:
        return
    before = {item.path: (number, item) for number, item in enumerate(old)}
    after = {item.path: (number, item) for number, item in enumerate(new)}
    if len(before) < len(old) or len(after) < len(new):
        yield twice("item", places.path, places.place)
        return
    for path, (number, item) in after.items():
        at = _At(places, f"{places.path}[{number}]", item)
        if path in before:
            yield from at.changed(before[path][1], fields.get(path, ()))
        else:
            yield at.added()
    for path, (number, item) in before.items():
        if path not in after:
            yield from _At(places, f"{places.former}[{number}]", item).gone()
    if before.keys() == after.keys() and list(before) != list(after):
        text = sentence(places.place, "the items stand in another order")
        yield Change(REWORDS, "item-order", places.path, text)


@dataclass(frozen=True, slots=True)
class Places:
    """Where the lists stand in the new and the old document, and what begins a sentence."""

    path: str
    former: str
    place: str


@dataclass(frozen=True, slots=True)
class _At:
    """One item and where it stands."""

    places: Places
    path: str
    item: Item

    def added(self) -> Change:
        item = self.item
        if item.transform == "drop":
            text = f"{item.path} is named as something that the recipient never receives"
            return self._said(NARROWS, "item-excluded", text)
        return self._said(
            WIDENS, "item-added", f"the recipient also receives {item.path}, {form_of(item)}"
        )

    def gone(self) -> Iterator[Change]:
        item = self.item
        if item.transform == "drop":
            text = f"{item.path} is no longer named as something that the recipient never receives"
            yield self._said(WIDENS, "item-exclusion-removed", text)
            return
        yield self._said(NARROWS, "item-removed", f"the recipient no longer receives {item.path}")
        if item.required:
            yield self._not_required()

    def changed(self, old: Item, fields: Sequence[Field]) -> Iterator[Change]:
        new = self.item
        place = f"{self.places.place}, item {new.path}"
        yield from part_changes(old, new, path=self.path, place=place)
        if old.transform != new.transform:
            yield self._transform(old, fields)
        if old.required and (not new.required or new.transform == "drop"):
            yield self._not_required()
        elif new.required and not old.required:
            text = f"without {new.path} nothing is shared; a person decides"
            yield self._said(NARROWS, "item-required", text)

    def _transform(self, old: Item, fields: Sequence[Field]) -> Change:
        new = self.item
        text = f"the recipient receives {new.path} {form_of(new)}; before, {form_of(old)}"
        if tells_no_more(old, new, fields):
            return self._said(NARROWS, "transform-strengthened", text)
        is_weaker = tells_no_more(new, old, fields)
        return self._said(WIDENS, "transform-weakened" if is_weaker else "transform-changed", text)

    def _not_required(self) -> Change:
        text = f"events are shared even where {self.item.path} is absent or cannot be given"
        return self._said(WIDENS, "item-not-required", text)

    def _said(self, effect: Effect, kind: str, text: str) -> Change:
        return Change(effect, kind, self.path, sentence(self.places.place, text), runs=True)

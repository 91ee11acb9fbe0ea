"""Where a local text departs from the national one, and what a new version changes for it.

Field by field, on plain data, with what stands on each side; and what that means for
recipients (wider, narrower or only other words), as `agreements.comparing` says it of two
agreements.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from agreements import comparing
from agreements.problems import AgreementInvalid
from agreements.reading import from_document
from agreements.templates.filling import adopt, places_in
from agreements.templates.matching import bindings_of, name_of
from agreements.templates.model import Bound, Template

# What every local text has of its own: no departure.
_OWN: Final = frozenset({"version", "template", "supersedes", "change_log"})


@dataclass(frozen=True, slots=True)
class Departure:
    """A field that is there on one side only, or differs. Paths name elements, not numbers."""

    change: Literal["added", "removed", "changed"]
    path: str
    national: Any
    local: Any

    def to_json(self) -> dict[str, Any]:
        """Return the departure as JSON data; the side that has nothing is null."""
        return {
            "change": self.change,
            "path": self.path,
            "national": self.national,
            "local": self.local,
        }

    def __str__(self) -> str:
        if self.change == "added":
            return f"{self.path}: added locally: {_short(self.local)}"
        if self.change == "removed":
            return f"{self.path}: not taken over: {_short(self.national)}"
        return f"{self.path}: {_short(self.national)} became {_short(self.local)}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """A local text beside the national one, filled with the values that the local one shows."""

    values: Mapping[str, Bound]
    unfilled: tuple[str, ...]
    national: Mapping[str, Any]
    departures: tuple[Departure, ...]


def compared(
    template: Template, document: Mapping[str, Any], given: Mapping[str, Bound] | None = None
) -> Comparison:
    """Compare a local agreement's data with its template.

    ``given`` are values that are known better than the text shows them. A place of which
    nothing is known stays in ``national`` as it is, and is in ``unfilled``.
    """
    values = {**bindings_of(template, document), **(given or {})}
    national = adopt(template, values)
    unfilled = tuple(dict.fromkeys(place for _, place in places_in(national)))
    return Comparison(values, unfilled, national, tuple(departures(national, document)))


def meaning(before: Mapping[str, Any], after: Mapping[str, Any]) -> comparing.Comparison | None:
    """Return what becomes wider, narrower or other words; None while a place is not filled.

    What every local text has of its own is left aside.
    """
    own = {key: before[key] for key in _OWN if key in before}
    aligned = {key: value for key, value in after.items() if key not in _OWN} | own
    try:
        found = comparing.compare(from_document(before), from_document(aligned))
    except AgreementInvalid:
        return None
    return comparing.Comparison.of(change for change in found.all if not change.is_formal)


def meaning_to_json(found: comparing.Comparison | None) -> dict[str, Any]:
    """Return the three lists as JSON data, each null where nothing can be said."""
    if found is None:
        return {"widens": None, "narrows": None, "rewords": None}
    return found.to_json()


def departures(national: Mapping[str, Any], local: Mapping[str, Any]) -> Iterator[Departure]:
    """Yield where two agreements differ, but for what each version has of its own."""
    yield from _fields(
        {key: value for key, value in national.items() if key not in _OWN},
        {key: value for key, value in local.items() if key not in _OWN},
        "",
    )


def _differ(national: Any, local: Any, path: str) -> Iterator[Departure]:
    if national == local and type(national) is type(local):
        return
    if isinstance(national, Mapping) and isinstance(local, Mapping):
        yield from _fields(national, local, f"{path}.")
    elif isinstance(national, list) and isinstance(local, list):
        yield from _elements(national, local, path)
    else:
        yield Departure("changed", path, national, local)


def _fields(
    national: Mapping[str, Any], local: Mapping[str, Any], prefix: str
) -> Iterator[Departure]:
    for key, value in national.items():
        if key not in local:
            yield Departure("removed", prefix + key, value, None)
        else:
            yield from _differ(value, local[key], prefix + key)
    for key, value in local.items():
        if key not in national:
            yield Departure("added", prefix + key, None, value)


def _elements(national: Sequence[Any], local: Sequence[Any], path: str) -> Iterator[Departure]:
    ours, theirs = _named(national), _named(local)
    if ours is None or theirs is None:
        yield from _values(national, local, path)
        return
    for name, element in ours.items():
        place = f"{path}[{name}]"
        if name in theirs:
            yield from _differ(element, theirs[name], place)
        else:
            yield Departure("removed", place, element, None)
    for name, element in theirs.items():
        if name not in ours:
            yield Departure("added", f"{path}[{name}]", None, element)
    yield from _order(list(ours), list(theirs), path)


def _named(elements: Sequence[Any]) -> dict[str, Any] | None:
    """Return the elements by name; None when one has none, or shares it with another."""
    named = {str(one[name]): one for one in elements if (name := name_of(one)) is not None}
    return named if len(named) == len(elements) else None


def _values(national: Sequence[Any], local: Sequence[Any], path: str) -> Iterator[Departure]:
    gone = [one for one in national if one not in local]
    new = [one for one in local if one not in national]
    for one in gone:
        yield Departure("removed", path, one, None)
    for one in new:
        yield Departure("added", path, None, one)
    if not gone and not new:
        yield Departure("changed", path, list(national), list(local))


def _order(ours: list[str], theirs: list[str], path: str) -> Iterator[Departure]:
    """The order of conditions decides which reason is given; of the rest it is layout."""
    if path.endswith("when") and ours != theirs and sorted(ours) == sorted(theirs):
        yield Departure("changed", path, ours, theirs)


def _short(value: Any) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= 80 else f"{text[:79]}…"  # noqa: PLR2004  a line's worth

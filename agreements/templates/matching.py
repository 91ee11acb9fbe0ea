"""Which bindings was a local text made with? Read off from where the template has its places.

An adopted agreement carries no bindings, only the link: what stands at a place is the
local value. A place that occurs several times takes what most of them say, so one local
edit does not lead astray. Lists are matched by the names of their elements, which are
the same in the template unless they are places themselves (parties): those come second,
with what the first pass found.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from agreements.templates.filling import PLACE, fill
from agreements.templates.model import Bound, Template

# By which field the elements of a list are told apart.
NAMES: Final = ("id", "code", "path", "party", "item", "flow")

_Votes = dict[str, Counter[Bound]]


def bindings_of(template: Template, document: Mapping[str, Any]) -> dict[str, Bound]:
    """Return the bindings that ``document`` shows; places that it shows nothing of are not in it.

    A place with a default that shows nothing has its default.
    """
    many = {name for name, place in template.document.places.items() if place.many}
    found: dict[str, Bound] = {}
    for _ in range(2):  # names that are places are known after the first pass
        votes: _Votes = {}
        for place, value in _seen(template.document.agreement, document, found, many):
            votes.setdefault(place, Counter())[value] += 1
        found = {place: counted.most_common(1)[0][0] for place, counted in votes.items()}
    defaults = {
        name: (place.default,) if place.many else place.default
        for name, place in template.document.places.items()
        if place.default is not None
    }
    return defaults | found


def name_of(element: Any) -> str | None:
    """Return the field that names a list's element, if it has one."""
    if not isinstance(element, Mapping):
        return None
    return next((name for name in NAMES if name in element), None)


def _seen(
    pattern: Any, local: Any, known: Mapping[str, Bound], many: set[str]
) -> Iterator[tuple[str, Bound]]:
    """Yield each place with a value that the local text has where the pattern has the place."""
    if isinstance(pattern, str) and isinstance(local, str):
        yield from _in_text(pattern, local, many)
    elif isinstance(pattern, Mapping) and isinstance(local, Mapping):
        for key, value in pattern.items():
            if key in local:
                yield from _seen(value, local[key], known, many)
    elif isinstance(pattern, list) and isinstance(local, list):
        if pattern and all(name_of(one) for one in pattern):
            yield from _in_named(pattern, local, known, many)
        else:
            yield from _in_values(pattern, local, many)


def _in_text(pattern: str, local: str, many: set[str]) -> Iterator[tuple[str, Bound]]:
    places = PLACE.findall(pattern)
    if not places or many & set(places):
        return
    # With one place what is around it tells where it ends; with several the shortest wins.
    expression = "".join(
        re.escape(part) if number % 2 == 0 else "(.+?)"
        for number, part in enumerate(PLACE.split(pattern))
    )
    matched = re.fullmatch(expression, local, re.DOTALL)
    if matched is not None:
        yield from zip(places, matched.groups(), strict=True)


def _in_named(
    pattern: Sequence[Any], local: Sequence[Any], known: Mapping[str, Bound], many: set[str]
) -> Iterator[tuple[str, Bound]]:
    by_name = {(n, str(one[n])): one for one in local if (n := name_of(one)) is not None}
    for index, element in enumerate(pattern):
        name = name_of(element) or "id"
        wanted = fill(element[name], known)
        same = by_name.get((name, str(wanted)))
        if same is None and PLACE.search(str(wanted)) and len(local) == len(pattern):
            same = local[index]  # nothing was added or taken out
        if same is not None:
            yield from _seen(element, same, known, many)


def _in_values(
    pattern: Sequence[Any], local: Sequence[Any], many: set[str]
) -> Iterator[tuple[str, Bound]]:
    several = [p for one in pattern if isinstance(one, str) for p in PLACE.findall(one)]
    if many & set(several):
        alone = [one for one in pattern if not isinstance(one, str) or not PLACE.search(one)]
        rest = tuple(one for one in local if isinstance(one, str) and one not in alone)
        if len(several) == 1 and rest:
            yield several[0], rest
        return
    if len(pattern) == len(local):
        for one, other in zip(pattern, local, strict=True):
            yield from _seen(one, other, {}, many)

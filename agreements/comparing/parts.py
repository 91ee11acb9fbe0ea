"""Compare two forms of one part of an agreement, field by field, by the table of terms."""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from agreements.comparing.changes import Change, sentence
from agreements.comparing.terms import TERMS
from agreements.comparing.weighing import REWORDS, WIDENS, Known, Members, Parts, Term, either
from agreements.model import Part
from agreements.words import plain


def part_changes(old: Part, new: Part, *, path: str = "", place: str = "") -> Iterator[Change]:
    """Return what changed between two forms of one part.

    ``path`` is its place in the document, ``place`` what begins each sentence.
    """
    table = TERMS.get(type(old), {})
    for name, field in type(old).model_fields.items():
        before, after = getattr(old, name), getattr(new, name)
        if before == after:
            continue
        # What the table does not know could be either way.
        known = table.get(name) or Term(name, either)
        where = _join(path, field.alias or name)
        code = name.strip("_").replace("_", "-")
        for change in _changes(known, before, after, where, place):
            yield replace(change, kind=f"{code}-{change.kind}")


def _changes(known: Known, old: Any, new: Any, path: str, place: str) -> Iterator[Change]:
    if isinstance(known, Term):
        yield _of_term(known, old, new, path, place)
    elif isinstance(known, Members):
        yield from _of_members(known, old, new, path, place)
    elif isinstance(known, Parts):
        yield from _of_parts(known, old, new, path, place)


def _of_term(term: Term, old: Any, new: Any, path: str, place: str) -> Change:
    nothing = (None, ())
    if old in nothing:
        verb, text = "added", f"the {term.label} is added: {term.words(new)}"
    elif new in nothing:
        verb, text = "removed", f"the {term.label} is taken out; it was {term.words(old)}"
    else:
        verb = "changed"
        text = f"the {term.label} changes from {term.words(old)} to {term.words(new)}"
    return Change(
        effect=term.judge(old, new),
        kind=verb,
        path=path,
        text=sentence(place, text),
        runs=term.runs,
        is_formal=term.is_formal,
    )


def _of_members(
    members: Members, old: Sequence[Any], new: Sequence[Any], path: str, place: str
) -> Iterator[Change]:
    for number, value in enumerate(new):
        if value not in old:
            text = f"a {members.label} is added: {members.words(value)}"
            where = f"{path}[{number}]"
            yield Change(members.added, "added", where, sentence(place, text), runs=members.runs)
    for number, value in enumerate(old):
        if value not in new:
            text = f"a {members.label} is taken out: {members.words(value)}"
            where = f"{path}[{number}]"
            yield Change(
                members.removed, "removed", where, sentence(place, text), runs=members.runs
            )
    if set(old) == set(new):
        yield _reordered(members.label, path, place)


def _reordered(label: str, path: str, place: str) -> Change:
    text = f"the order of what is listed as {label} changes, and nothing else about it"
    return Change(REWORDS, "reordered", path, sentence(place, text))


def _of_parts(parts: Parts, old: Any, new: Any, path: str, place: str) -> Iterator[Change]:
    if parts.key:
        yield from _of_list(parts, old, new, path, place)
        return
    inner = f"{place}, {parts.label}" if place else parts.label
    if old is not None and new is not None:
        yield from part_changes(old, new, path=path, place=inner)
    elif old is None:
        text = sentence(place, f"the {parts.label} is added: {plain(new)}")
        yield Change(parts.added, "added", path, text, runs=parts.runs)
    else:
        text = sentence(place, f"the {parts.label} is taken out; it was: {plain(old)}")
        yield Change(parts.removed, "removed", path, text, runs=parts.runs)


def _of_list(
    parts: Parts, old: Sequence[Part], new: Sequence[Part], path: str, place: str
) -> Iterator[Change]:
    before, after = _by_key(parts, old), _by_key(parts, new)
    if len(before) < len(old) or len(after) < len(new):
        yield twice(parts.label, path, place)
        return
    for key, (number, part) in after.items():
        name = _named(parts, part)
        where = f"{path}[{number}]"
        if key not in before:
            text = sentence(place, f"{name} is added: {plain(part)}")
            change = Change(parts.added, "added", where, text, runs=parts.runs)
            yield replace(change, party=_party_of(part))
            continue
        inner = f"{place}, {name}" if place else name
        for change in part_changes(before[key][1], part, path=where, place=inner):
            yield replace(change, party=_party_of(part))
    for key, (number, part) in before.items():
        if key not in after:
            text = sentence(place, f"{_named(parts, part)} is taken out; it was: {plain(part)}")
            where = f"{path}[{number}]"
            change = Change(parts.removed, "removed", where, text, runs=parts.runs)
            yield replace(change, party=_party_of(part))
    if before.keys() == after.keys() and list(before) != list(after):
        yield _reordered(parts.label, path, place)


def twice(label: str, path: str, place: str = "") -> Change:
    """Return the change of a list in which a name stands twice, so that nothing is compared."""
    text = f"a {label} stands in the list twice, so what changed of it cannot be told"
    return Change(WIDENS, "unclear", path, sentence(place, text), runs=True)


def _by_key(parts: Parts, given: Sequence[Part]) -> dict[Hashable, tuple[int, Part]]:
    return {
        tuple(getattr(part, name) for name in parts.key): (number, part)
        for number, part in enumerate(given)
    }


def _named(parts: Parts, part: Part) -> str:
    names = [getattr(part, name) for name in parts.key]
    words = " ".join(
        f"of {', '.join(one)}" if isinstance(one, tuple) else str(one) for one in names if one
    )
    return f"{parts.label} {words}"


def _party_of(part: Part) -> str | None:
    found = getattr(part, "party", None) or getattr(part, "id", None)
    return found if isinstance(found, str) else None


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name

"""What must hold of several agreements at once: one text to a version, and a line that begins.

An agreement alone cannot show that another text goes by its id and version, or that
following ``supersedes`` leads back to it. Whoever has the others asks here.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from agreements.canonical import digest
from agreements.model import Agreement
from agreements.problems import Problem

Key = tuple[str, int]
"""An agreement's id and its version."""


def clashes(agreements: Iterable[tuple[str, Agreement]]) -> list[tuple[str, Problem]]:
    """Return what is wrong between agreements, each named by its file or as the caller likes.

    Each problem comes with the name of the agreement that has it, in the order given. The
    same text twice is no problem.
    """
    named = list(agreements)
    return [*_other_texts(named), *_circles(named)]


def circle(supersedes: Mapping[Key, Key], start: Key) -> tuple[Key, ...]:
    """Return the versions from ``start`` on that lead back to it; empty when the line ends."""
    line = [start]
    seen = {start}
    while (following := supersedes.get(line[-1])) is not None:
        if following == start:
            return tuple(line)
        if following in seen:  # a circle further on, which is that of its own members
            return ()
        seen.add(following)
        line.append(following)
    return ()


def _other_texts(named: Iterable[tuple[str, Agreement]]) -> Iterator[tuple[str, Problem]]:
    texts: defaultdict[Key, dict[str, str]] = defaultdict(dict)
    for name, agreement in named:
        known = texts[agreement.id, agreement.version]
        first = next(iter(known.values()), name)
        if digest(agreement) not in known and known:
            message = f"version {agreement.version} of this id is another text in {first}"
            remedy = "raise the version, or give the agreement an id of its own"
            yield name, _problem("same-version", "version", message, remedy)
        known.setdefault(digest(agreement), name)


def _circles(named: Iterable[tuple[str, Agreement]]) -> Iterator[tuple[str, Problem]]:
    names: dict[Key, str] = {}
    supersedes: dict[Key, Key] = {}
    for name, agreement in named:
        key, before = (agreement.id, agreement.version), agreement.supersedes
        if before is not None and key not in names:
            names[key], supersedes[key] = name, (before.uri, before.version)
    told: set[Key] = set()
    for key, name in names.items():
        line = () if key in told else circle(supersedes, key)
        told.update(line)
        if line:
            way = " → ".join(f"{uri} version {version}" for uri, version in (*line[:4], key))
            message = f"following supersedes leads back to this version: {way}"
            remedy = "take supersedes out of the one that came first"
            yield name, _problem("supersedes-circle", "supersedes", message, remedy)


def _problem(code: str, path: str, message: str, remedy: str) -> Problem:
    return Problem(code, "error", None, None, path, message, remedy)

"""What comes of an exchange: the text or the draft, and what was lost on the way."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from agreements.problems import Problem
from agreements.source import Path, path_text

Document = Mapping[str, Any]
# Words of letters, and days; nothing that begins or ends with a space or looks like a number.
_PLAIN: Final = re.compile(
    r"https?://[A-Za-z0-9._~/-]+(?:#[A-Za-z0-9_-]+)?"
    r"|[A-Za-z](?:[A-Za-z0-9 ,.'()/_-]*[A-Za-z0-9.)/_-])?|[0-9]{4}-[0-9]{2}-[0-9]{2}"
)
_WORDS: Final = frozenset({"null", "true", "false", "yes", "no", "on", "off", "y", "n"})


@dataclass(frozen=True, slots=True)
class Lost:
    """Something that the other form has no place for: where it stands, and why."""

    path: str
    why: str

    def to_json(self) -> dict[str, str]:
        """Return the form of ``--json``."""
        return {"path": self.path, "why": self.why}

    def __str__(self) -> str:
        return f"{self.path}: {self.why}"


@dataclass(frozen=True, slots=True)
class Exported:
    """A text in another form. ``problems`` say what that form asks for and the agreement lacks."""

    text: str
    lost: tuple[Lost, ...]
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class Imported:
    """A draft: the fields of an agreement that could be filled in from another form."""

    document: dict[str, Any]
    lost: tuple[Lost, ...]
    problems: tuple[Problem, ...] = ()


def draft_text(document: Document, *, head: Iterable[str]) -> str:
    """Return a draft as YAML, below a comment. What it says is read back as it is."""
    return "\n".join((*(f"# {line}" for line in head), *_lines(document), ""))


def _lines(value: Document) -> Iterator[str]:
    """Write fields, a line each; lists and fields inside them indented by two."""
    for key, inner in value.items():
        if isinstance(inner, Mapping) and inner:
            yield f"{_scalar(key)}:"
            yield from (f"  {line}" for line in _lines(inner))
        elif isinstance(inner, list) and inner:
            yield f"{_scalar(key)}:"
            yield from (f"  {line}" for one in inner for line in _entry(one))
        else:
            yield f"{_scalar(key)}: {_scalar(inner)}"


def _entry(value: Any) -> Iterator[str]:
    lines = list(_lines(value)) if isinstance(value, Mapping) and value else [_scalar(value)]
    yield f"- {lines[0]}"
    yield from (f"  {line}" for line in lines[1:])


def _scalar(value: Any) -> str:
    """Write a value in one line: as JSON does, or plain where no reader can take it otherwise."""
    if not isinstance(value, str):
        return json.dumps(value)
    if _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    return json.dumps(value, ensure_ascii=not value.isprintable()).replace("\x7f", "\\u007f")


def left_behind(document: Document, carried: Iterable[Path], *, why: str) -> tuple[Lost, ...]:
    """List what of the document is not carried: the largest parts of which nothing is."""
    return tuple(Lost(path_text(path), why) for path in _apart(document, set(_prefixes(carried))))


def _prefixes(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        for length in range(1, len(path) + 1):
            yield path[:length]


def _apart(value: Any, kept: set[Path], path: Path = ()) -> Iterator[Path]:
    """Yield the paths inside ``value`` that are no beginning of one that is kept."""
    for step, inner in value.items() if isinstance(value, Mapping) else enumerate(value):
        here = (*path, step)
        if here not in kept:
            yield here
        elif isinstance(inner, Mapping | list) and any(
            len(known) > len(here) and known[: len(here)] == here for known in kept
        ):
            yield from _apart(inner, kept, here)


def lost_on_the_way(document: Document, again: Document, *, why: str) -> tuple[Lost, ...]:
    """List what of the document is not what comes back from the other form (``again``)."""
    return left_behind(document, _same(document, again), why=why)


def _same(value: Any, other: Any, path: Path = ()) -> Iterator[Path]:
    """Yield the paths of the values, lists and fields that hold none in them, that are alike."""
    if isinstance(value, Mapping) and value and isinstance(other, Mapping):
        for key in value.keys() & other.keys():
            yield from _same(value[key], other[key], (*path, key))
    elif isinstance(value, list) and value and isinstance(other, list):
        for index, pair in enumerate(zip(value, other, strict=False)):
            yield from _same(*pair, (*path, index))
    elif value == other and type(value) is type(other):
        yield path

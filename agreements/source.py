"""YAML or JSON text as plain data, with the place of every value.

Stricter than YAML on purpose: one document, UTF-8, no anchors, aliases or tags, no
key twice, limits on size and depth, and no number that could be read in two
ways. Dates stay text. What comes out is what a JSON parser would give, so the
canonical form of a YAML file is that of the JSON file which says the same.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from agreements.problems import AgreementInvalid, Problem

LARGEST_BYTES = 256 * 1024  # room for two hundred parties and fifty flows
MOST_VALUES = 20_000  # a text of nothing but commas would take the parser minutes
DEEPEST = 24  # the model itself is seven deep
MOST_PROBLEMS = 100

# YAML 1.2.2 §10.3.2, less what JSON cannot say.
_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"-?(?:0|[1-9][0-9]{0,15})")
_AMBIGUOUS = re.compile(
    r"[-+]?(?:[0-9][0-9_]*|0o[0-7]+|0x[0-9a-fA-F]+"
    r"|(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|\.(?:inf|Inf|INF))|\.(?:nan|NaN|NAN)"
)

_STEP = re.compile(r"\[(\d+)\]|([^.\[\]]+)")

Place = tuple[int, int]
Path = tuple[str | int, ...]


@dataclass(slots=True)
class Source:
    """The data of a text and the line and column (from 1) where each value begins."""

    data: Any
    places: dict[Path, Place] = field(default_factory=dict)

    def place(self, path: Path) -> Place:
        """Return the place of ``path``, or of the nearest value that holds it."""
        while path and path not in self.places:
            path = path[:-1]
        return self.places.get(path, (1, 1))


def path_text(path: Path) -> str:
    """Return ``flows[0].items`` for ``("flows", 0, "items")``."""
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return "".join(steps).removeprefix(".")


def parse_path(text: str) -> Path:
    """Return ``("flows", 0, "items")`` for ``flows[0].items``."""
    return tuple(int(n) if n else word for n, word in _STEP.findall(text))


def read_source(text: str | bytes, *, name: str) -> Source:
    """Return the data of ``text``; raises AgreementInvalid with every problem found."""
    reader = _Reader()
    try:
        reader.read(_decoded(text))
    except _Stop as stop:
        reader.problems.append(stop.problem)
    except MarkedYAMLError as error:
        reader.problems.append(_syntax(error))
    except (YAMLError, ValueError, RecursionError):
        # ruamel.yaml tells a bad character or a bad escape in several ways
        reader.problems.append(_problem("not-yaml", "expected YAML or JSON", "check the syntax"))
    if not reader.problems and not isinstance(reader.source.data, dict):
        reader.problems.append(
            _problem("not-a-mapping", "expected fields with values", "begin with `format: 1`")
        )
    if reader.problems:
        raise AgreementInvalid(name, reader.problems)
    return reader.source


class _Stop(Exception):
    """A problem after which reading on makes no sense."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(problem.message)


def _problem(code: str, message: str, remedy: str, place: Place = (1, 1)) -> Problem:
    return Problem(code, "error", place[0], place[1], "", message, remedy)


def _decoded(text: str | bytes) -> str:
    # Characters, for a str: a bound on work, and a str is at least a byte a character.
    if len(text) > LARGEST_BYTES:
        limit = f"expected at most {LARGEST_BYTES // 1024} KiB"
        remedy = "an agreement holds rules, not data: move attachments out"
        raise _Stop(_problem("too-large", limit, remedy))
    if isinstance(text, bytes):
        try:
            text = text.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            before = error.object[: error.start].decode("utf-8", "replace")
            place = (before.count("\n") + 1, len(before) - before.rfind("\n"))
            found = _problem("not-utf-8", "expected UTF-8 text", "save the file as UTF-8", place)
            raise _Stop(found) from None
    text = text.removeprefix("\ufeff")
    # JSON may indent with tabs, YAML may not; in JSON no string holds a raw tab.
    return text.replace("\t", " ") if text.lstrip().startswith("{") else text


def _syntax(error: MarkedYAMLError) -> Problem:
    mark = error.problem_mark or error.context_mark
    place = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    # The library's own words quote nothing but single characters of the text.
    said = " ".join(str(error.problem or error.context or "cannot be read").split())
    return _problem("not-yaml", f"expected YAML or JSON: {said[:120]}", "check the syntax", place)


@dataclass(slots=True)
class _Open:
    """A mapping or sequence that has begun and not ended."""

    value: dict[str, Any] | list[Any]
    path: Path
    key: str | None = None  # of a mapping: read, its value is still to come
    seen: set[str] = field(default_factory=set)


class _Reader:
    """Builds data from parser events, without recursion."""

    def __init__(self) -> None:
        self.source = Source(None)
        self.problems: list[Problem] = []
        self._open: list[_Open] = []
        self._documents = 0

    def read(self, text: str) -> None:
        for number, event in enumerate(self._events(text)):
            self._take(event)
            if number > MOST_VALUES:
                mark = event.start_mark
                place = (mark.line + 1, mark.column + 1)
                raise _Stop(_problem("too-large", "expected fewer values", "split it", place))
            if len(self.problems) >= MOST_PROBLEMS:
                return

    @staticmethod
    def _events(text: str) -> Iterator[Event]:
        yield from YAML(typ="safe", pure=True).parse(text)

    def _take(self, event: Event) -> None:
        place = (event.start_mark.line + 1, event.start_mark.column + 1)
        if isinstance(event, DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                raise _Stop(_problem("two-documents", "expected one document", "split it", place))
        elif isinstance(event, AliasEvent):
            self._refuse("alias", "expected no alias (*name)", "write the value again", place)
            self._put(None, place)
        elif isinstance(event, ScalarEvent):
            self._check_plain(event, place)
            self._scalar(event, place)
        elif isinstance(event, MappingStartEvent | SequenceStartEvent):
            self._check_plain(event, place)
            self._begin({} if isinstance(event, MappingStartEvent) else [], place)
        elif isinstance(event, MappingEndEvent | SequenceEndEvent):
            self._open.pop()

    def _refuse(self, code: str, message: str, remedy: str, place: Place) -> None:
        self.problems.append(_problem(code, message, remedy, place))

    def _check_plain(self, event: Any, place: Place) -> None:
        if event.anchor is not None:
            self._refuse("anchor", "expected no anchor (&name)", "write values out", place)
        if event.tag is not None:
            self._refuse("tag", "expected no tag (!name)", "remove the tag", place)

    def _scalar(self, event: Any, place: Place) -> None:
        text = self._text(event.value, place)
        if self._awaits_key():
            self._key(text, place)
        elif event.style in (None, ""):
            self._put(self._plain(text, place), place)
        else:
            self._put(text, place)

    def _text(self, value: str, place: Place) -> str:
        """Join the surrogate pairs that JSON escapes leave, and refuse single ones."""
        try:
            return value.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            self._refuse("not-utf-8", "expected whole characters", "remove the escape", place)
            return ""

    def _plain(self, text: str, place: Place) -> object:
        if text in _NULL:
            return None
        if text in _BOOL:
            return _BOOL[text]
        if _INT.fullmatch(text):
            return int(text)
        if _AMBIGUOUS.fullmatch(text):
            message = "expected a whole number, or text in quotes"
            self._refuse("ambiguous-number", message, f'write "{text[:40]}"', place)
        return text

    def _awaits_key(self) -> bool:
        return (
            bool(self._open)
            and isinstance(self._open[-1].value, dict)
            and (self._open[-1].key is None)
        )

    def _key(self, key: str, place: Place) -> None:
        opened = self._open[-1]
        if key in opened.seen:
            first = self.source.place((*opened.path, key))[0]
            message = f"`{key[:60]}` is given a second time, first on line {first}"
            self._refuse("duplicate-key", message, "keep one of them", place)
        else:
            self.source.places[(*opened.path, key)] = place
        opened.seen.add(key)
        opened.key = key

    def _begin(self, value: dict[str, Any] | list[Any], place: Place) -> None:
        if self._awaits_key():
            raise _Stop(_problem("key", "expected a word as key", "use a plain field name", place))
        if len(self._open) >= DEEPEST:
            raise _Stop(_problem("too-deep", "expected less nesting", "flatten it", place))
        path = self._put(value, place)
        self._open.append(_Open(value, path))

    def _put(self, value: object, place: Place) -> Path:
        """Add ``value`` to what is open, note its place, and return its path."""
        if not self._open:
            self.source.data = value
            self.source.places[()] = place
            return ()
        opened = self._open[-1]
        if isinstance(opened.value, list):
            opened.value.append(value)
            path = (*opened.path, len(opened.value) - 1)
            self.source.places[path] = place
        else:
            if opened.key is None:  # an alias as key: reported already
                opened.key = ""
            opened.value[opened.key] = value
            path = (*opened.path, opened.key)
            opened.key = None
        return path

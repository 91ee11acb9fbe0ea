"""Code lists as data: what a code means, where it comes from, when it is in force.

Each list is a JSON file in this folder with a title, a source and its codes. A
code is never removed or given a new meaning, because signed agreements hold it;
one that the law no longer knows gets ``in_force_until``.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True, slots=True)
class Code:
    """One code: its meaning, its source, and facts of its list in ``more``."""

    code: str
    title: str
    source: str
    in_force_from: date | None = None
    in_force_until: date | None = None
    more: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def is_in_force(self, on: date) -> bool:
        """Whether the code could be relied on that day (from inclusive, until exclusive)."""
        begun = self.in_force_from is None or self.in_force_from <= on
        return begun and (self.in_force_until is None or on < self.in_force_until)


@dataclass(frozen=True, slots=True)
class CodeList:
    """A named list of codes in the order of its source."""

    name: str
    title: str
    source: str
    codes: Mapping[str, Code] = field(hash=False)

    def __contains__(self, code: object) -> bool:
        return code in self.codes

    def __getitem__(self, code: str) -> Code:
        return self.codes[code]

    def get(self, code: str) -> Code | None:
        """Return the code, or None when the list does not have it."""
        return self.codes.get(code)

    def __iter__(self) -> Iterator[str]:
        return iter(self.codes)

    def __len__(self) -> int:
        return len(self.codes)


@cache
def code_list(name: str) -> CodeList:
    """Return the list in ``<name>.json``; raises FileNotFoundError when there is none."""
    data = json.loads(files(__name__).joinpath(f"{name}.json").read_text("utf-8"))
    codes = {entry["code"]: _code(entry, data["source"]) for entry in data["codes"]}
    if len(codes) != len(data["codes"]):
        raise ValueError(f"the code list {name} names a code twice")
    return CodeList(name, data["title"], data["source"], MappingProxyType(codes))


def all_lists() -> tuple[CodeList, ...]:
    """Return every list that ships, by name."""
    names = sorted(entry.name for entry in files(__name__).iterdir())
    return tuple(code_list(name[:-5]) for name in names if name.endswith(".json"))


def _code(entry: Mapping[str, Any], source: str) -> Code:
    known = {"code", "title", "source", "in_force_from", "in_force_until"}
    return Code(
        code=entry["code"],
        title=entry["title"],
        source=entry.get("source", source),
        in_force_from=_date(entry.get("in_force_from")),
        in_force_until=_date(entry.get("in_force_until")),
        more=MappingProxyType({key: value for key, value in entry.items() if key not in known}),
    )


def _date(text: str | None) -> date | None:
    return None if text is None else date.fromisoformat(text)

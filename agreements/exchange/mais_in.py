"""From a MAIS ``SharingPolicy`` to the draft of an agreement.

A draft says what it is told: what fits no agreement (an address with a space, a date that
is none) is kept, and reading the draft says what is wrong with it.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from agreements.exchange.policy_fields import (
    ENTITY,
    FIELDS,
    LISTS,
    REQUIRED,
    TEXTS,
    TIMES,
    URI_NAMES,
    Place,
    end_out,
    missing,
    slug,
    to_moment,
)
from agreements.exchange.results import Document, Imported, Lost
from agreements.problems import AgreementInvalid, Problem
from agreements.source import Path, Source, path_text, read_source

_NO_PLACE: Final = "an agreement has no place for it"


def import_policy(text: str | bytes, *, name: str) -> Imported:
    """Return the draft that a SharingPolicy (JSON or YAML) makes.

    Raises AgreementInvalid when the text is no SharingPolicy.
    """
    return _Policy(read_source(text, name=name), name).read()


def draft_of(policy: Document) -> dict[str, Any]:
    """Return the draft that a SharingPolicy of ours makes."""
    return _Policy(Source(policy), "the policy").read().document


class _Policy:
    """One policy on its way in."""

    def __init__(self, source: Source, name: str) -> None:
        self.source = source
        self.name = name
        self.problems: list[Problem] = []
        self.lost: list[Lost] = []
        self.document: dict[str, Any] = {"format": 1, "version": 1}

    def read(self) -> Imported:
        policy, at = self._policy()
        known = {field.lower(): field for field in FIELDS}
        given = {known.get(key.lower(), key): (value, key) for key, value in policy.items()}
        for field in FIELDS:
            if field in given and given[field][0] is not None:
                value, key = given[field]
                self._take(field, value, (*at, key))
            elif field in REQUIRED:
                self._say(missing(field), at)
        for key in given.keys() - set(FIELDS):
            self.lost.append(Lost(path_text((*at, given[key][1])), _NO_PLACE))
        if any(problem.severity == "error" for problem in self.problems):
            raise AgreementInvalid(self.name, self.problems)
        return Imported(self.document, tuple(self.lost), tuple(self.problems))

    def _policy(self) -> tuple[Mapping[str, Any], Path]:
        data, at = self.source.data, ()
        if isinstance(data.get(ENTITY), Mapping):
            return data[ENTITY], (ENTITY,)
        if _is_description(data):
            self.lost.append(Lost("entities", "the standard's own description: nothing filled in"))
            return {}, at
        if not {str(key).lower() for key in data} & {field.lower() for field in FIELDS}:
            message = "expected the fields of a SharingPolicy"
            self._say(self._problem("not-a-policy", at, message, "begin with URI"), at)
            raise AgreementInvalid(self.name, self.problems)
        return data, at

    def _take(self, field: str, value: Any, at: Path) -> None:
        if field == "Identifier":
            self._identifier(value, at)
        elif field == "Party":
            self._parties(value, at)
        elif field == "Purpose":
            self._purposes(value, at)
        elif field in LISTS:
            self._put(LISTS[field], self._texts(value, at))
        elif self._is_text(value, at):
            if field in TIMES:
                value = self._time(value, at, is_end=field == "EndDate")
            self._put({**TEXTS, **TIMES}[field], value)

    def _put(self, path: Place, value: Any) -> None:
        holder = self.document
        for step in path[:-1]:
            holder = holder.setdefault(step, {})
        holder[path[-1]] = value

    def _identifier(self, value: Any, at: Path) -> None:
        if self._is_fields(value, at):
            found = self._pair(value, at)
            if found != {"value": self.document.get("id"), "system": URI_NAMES}:
                self.document["identifier"] = found

    def _pair(self, value: Mapping[str, Any], at: Path) -> dict[str, Any]:
        """Read an identifier: a value and the system that it is of."""
        found = {}
        for key, inner in value.items():
            field = key.lower()
            if field not in ("value", "system"):
                self.lost.append(Lost(path_text((*at, key)), _NO_PLACE))
            elif self._is_text(inner, (*at, key)):
                found[field] = inner
        for field in ("value", "system"):
            if field not in found:
                self._say(missing(field), at)
        return found

    def _parties(self, value: Any, at: Path) -> None:
        parties: list[dict[str, Any]] = []
        for index, party in enumerate(_listed(value)):
            here = (*at, index) if isinstance(value, list) else at
            if self._is_fields(party, here):
                parties.append(self._party(party, here, {known.get("id") for known in parties}))
        self.document["parties"] = parties

    def _party(self, party: Mapping[str, Any], at: Path, taken: set[Any]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in party.items():
            here = (*at, key)
            if key.lower() == "name":
                if self._is_text(value, here):
                    found = {"id": _unused(slug(value), taken), "name": value, **found}
            elif key.lower() == "catalogueid":
                found["catalogue_ids"] = self._catalogue_ids(value, here)
            else:
                self.lost.append(Lost(path_text(here), _NO_PLACE))
        for field, has in (("Name", "name"), ("CatalogueID", "catalogue_ids")):
            if not found.get(has):
                self._say(missing(field), at)
        return found

    def _catalogue_ids(self, value: Any, at: Path) -> list[Any]:
        found = []
        for index, one in enumerate(_listed(value)):
            here = (*at, index) if isinstance(value, list) else at
            if isinstance(one, Mapping):
                found.append(self._pair(one, here))
            elif self._is_text(one, here):
                found.append(one)
        return found

    def _purposes(self, value: Any, at: Path) -> None:
        purposes: list[dict[str, Any]] = []
        for text in self._texts(value, at):
            is_concept = re.match(r"(?:https?://|urn:)", text) is not None
            name = re.split(r"[/#:]", text)[-1] if is_concept else text
            code = _unused(slug(name), {known["code"] for known in purposes})
            said = {"concepts": [text]} if is_concept else {"text": text}
            purposes.append({"code": code, **said})
        self.document["purposes"] = purposes

    def _texts(self, value: Any, at: Path) -> list[str]:
        places = [(*at, index) for index in range(len(value))] if isinstance(value, list) else [at]
        return [
            text
            for text, place in zip(_listed(value), places, strict=True)
            if self._is_text(text, place)
        ]

    def _time(self, text: str, at: Path, *, is_end: bool) -> str:
        written = to_moment(text, is_end=is_end)
        back = end_out(written) if is_end else written
        if back != text:
            message = f"the same moment as `{back}`, and exported like that"
            self._say(self._problem("rewritten", at, message, "nothing to do", "warning"), at)
        return written

    def _is_text(self, value: Any, at: Path) -> bool:
        if not isinstance(value, str):
            self._say(self._problem("wrong-type", at, "expected text", "put it in quotes"), at)
        return isinstance(value, str)

    def _is_fields(self, value: Any, at: Path) -> bool:
        if not isinstance(value, Mapping):
            remedy = "write its fields as the standard has them"
            self._say(self._problem("wrong-type", at, "expected an object", remedy), at)
        return isinstance(value, Mapping)

    def _problem(
        self, code: str, at: Path, message: str, remedy: str, severity: Any = "error"
    ) -> Problem:
        return Problem(code, severity, None, None, path_text(at), message, remedy)

    def _say(self, problem: Problem, at: Path) -> None:
        line, column = self.source.place(at) if self.source.places else (None, None)
        path = problem.path if problem.code != "mais-missing" else path_text((*at, problem.path))
        self.problems.append(
            Problem(
                problem.code,
                problem.severity,
                line,
                column,
                path,
                problem.message,
                problem.remedy,
            )
        )


def _is_description(data: Mapping[str, Any]) -> bool:
    """Whether this is the standard's file that describes the fields of a SharingPolicy."""
    entities = data.get("entities")
    return isinstance(entities, list) and any(
        isinstance(entity, Mapping) and entity.get("name") == ENTITY for entity in entities
    )


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _unused(name: str, taken: set[Any]) -> str:
    names = (name if n == 1 else f"{name[:59].rstrip('-')}-{n}" for n in range(1, len(taken) + 2))
    return next(candidate for candidate in names if candidate not in taken)

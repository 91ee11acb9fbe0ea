"""Fill the places of a template: bindings in, an agreement's data out.

A place stands for a whole value or for a part of a text. A list element that holds a
place of many values is written once for each of them, at the innermost list.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from agreements.problems import AgreementInvalid, Problem, nearest
from agreements.source import Path, Source, path_text
from agreements.templates.model import Bound, Place, Template
from agreements.values import CalendarDuration, Day, PartyId, Text, Title, Uri
from schemas.identifiers import check

PLACE: Final = re.compile(r"<([a-z0-9](?:[a-z0-9-]*[a-z0-9])?)>")

_MOST_VALUES: Final = 200  # as many parties as an agreement has room for
_EMAIL: Final = re.compile(r"[A-Za-z0-9._%+'-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")
_TELEPHONE: Final = re.compile(r"\+?[0-9][0-9 ]{5,20}")
_CODE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/ -]{0,59}")
_COUNT: Final = re.compile(r"[1-9][0-9]{0,3}")
_ADAPTERS: Final[Mapping[str, TypeAdapter[Any]]] = {
    "party": TypeAdapter(PartyId),
    "title": TypeAdapter(Title),
    "text": TypeAdapter(Text),
    "date": TypeAdapter(Day),
    "uri": TypeAdapter(Uri),
    "period": TypeAdapter(CalendarDuration),
}
_FORMS: Final = {"email": _EMAIL, "telephone": _TELEPHONE, "code": _CODE, "count": _COUNT}
_EXPECTED: Final[Mapping[str, str]] = {
    "party": "a party's id: lower case letters, digits and hyphens",
    "title": "a line of text",
    "text": "text",
    "code": "a code of letters and digits",
    "date": "a date as year-month-day",
    "uri": "an address that begins with https://",
    "email": "an email address",
    "telephone": "a telephone number",
    "period": "a period such as P8Y",
    "count": "a whole number",
    "gss": "an ONS code of an area",
    "ods": "an ODS code",
    "urn": "an Ofsted or school URN",
    "police-force": "a police force as data.police.uk writes it",
}


class BindingsInvalid(AgreementInvalid):
    """Some places have no value, or one that does not fit; nothing was adopted."""

    code = "bindings-invalid"


def places_in(data: Any, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Yield the path and name of every place in ``data``, keys of mappings not included."""
    if isinstance(data, str):
        for found in PLACE.finditer(data):
            yield path, found[1]
    elif isinstance(data, Mapping):
        for key, value in data.items():
            yield from places_in(value, (*path, key))
    elif isinstance(data, list | tuple):
        for index, value in enumerate(data):
            yield from places_in(value, (*path, index))


def direct_places(data: Any) -> list[str]:
    """Return the names of the places in ``data`` that lie in no list inside it."""
    if isinstance(data, str):
        return PLACE.findall(data)
    if isinstance(data, Mapping):
        return [name for value in data.values() for name in direct_places(value)]
    return []


def fill(data: Any, values: Mapping[str, Bound]) -> Any:
    """Return ``data`` with the places filled that have a value; the others stay."""
    if isinstance(data, str):
        return fill_text(data, values)
    if isinstance(data, Mapping):
        return {key: fill(value, values) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [fill(element, one) for element in data for one in expansions(element, values)]
    return data


def expansions(element: Any, values: Mapping[str, Bound]) -> Iterator[Mapping[str, Bound]]:
    """Yield the bindings under which a list element is written: one, or one for each value."""
    many = next((n for n in direct_places(element) if isinstance(values.get(n), tuple)), None)
    if many is None:
        yield values
        return
    for value in values[many]:
        yield {**values, many: value}


def fill_text(text: str, values: Mapping[str, Bound]) -> str:
    """Return the text with each place replaced; several values are joined with commas."""

    def value(found: re.Match[str]) -> str:
        bound = values.get(found[1])
        if bound is None:
            return found[0]
        return bound if isinstance(bound, str) else ", ".join(bound)

    return PLACE.sub(value, text)


def bind(
    template: Template,
    given: Mapping[str, str | Sequence[str]],
    *,
    name: str = "the list of bindings",
    source: Source | None = None,
) -> dict[str, Bound]:
    """Return a value for every place; raises BindingsInvalid with every problem.

    ``source`` is where the bindings were read from, for the lines of problems.
    """
    places = template.document.places
    problems: list[Problem] = []
    for unknown in [n for n in given if n not in places]:
        meant = nearest(unknown, places)
        remedy = f"did you mean `{meant}`?" if meant else f"places: {', '.join(places)}"
        problems.append(_problem("unknown-binding", unknown, "is no place", remedy, source))
    bound: dict[str, Bound] = {}
    for place_name, place in places.items():
        value = given.get(place_name, place.default)
        if value is None or value in ("", []):
            problems.append(_missing(place_name, place, source))
            continue
        found = _checked(place_name, place, value, source)
        if isinstance(found, Problem):
            problems.append(found)
        else:
            bound[place_name] = found
    if problems:
        raise BindingsInvalid(name, problems)
    return bound


def adopt(template: Template, values: Mapping[str, Bound]) -> dict[str, Any]:
    """Return the data of the local agreement; it names the template that it was made from."""
    filled = fill(template.document.agreement, values)
    document: dict[str, Any] = {}
    for key, value in filled.items():
        document[key] = value
        if key == "title":
            document["template"] = template.link
    return document


def _checked(
    name: str, place: Place, value: str | Sequence[str], source: Source | None
) -> Bound | Problem:
    values = (value,) if isinstance(value, str) else tuple(value)
    if len(values) > 1 and not place.many:
        remedy = "give it one value"
        return _problem("wrong-binding", name, "takes one value, got several", remedy, source)
    if len(values) > _MOST_VALUES:
        expected = f"expected at most {_MOST_VALUES} values"
        return _problem("wrong-binding", name, expected, "make several agreements", source)
    if len(set(values)) < len(values):
        return _problem("wrong-binding", name, "has a value twice", "keep one of them", source)
    if not all(is_of_kind(place.kind, one) for one in values):
        example = place.example if isinstance(place.example, str) else place.example[0]
        expected = f"expected {_EXPECTED[place.kind]}"
        return _problem("wrong-binding", name, expected, f"for example {example}", source)
    return values if place.many else values[0]


def is_of_kind(kind: str, value: object) -> bool:
    """Whether the value fits a place of that kind; a value with a place in it never does."""
    if not isinstance(value, str) or PLACE.search(value):
        return False
    if kind in _FORMS:
        return _FORMS[kind].fullmatch(value) is not None
    if kind in _ADAPTERS:
        try:
            _ADAPTERS[kind].validate_python(value)
        except ValidationError:
            return False
        return True
    return check(kind, value) is None


def _missing(name: str, place: Place, source: Source | None) -> Problem:
    example = place.example if isinstance(place.example, str) else place.example[0]
    message = f"has no value ({place.text.strip().rstrip('.')})"
    remedy = f"add `{name}: …` to the bindings or --bind {name}=…, for example {example}"
    return _problem("missing-binding", name, message, remedy, source)


def _problem(code: str, place: str, message: str, remedy: str, source: Source | None) -> Problem:
    line, column = source.place((place,)) if source is not None else (None, None)
    return Problem(code, "error", line, column, path_text((place,)), message, remedy)


def as_given(value: Any) -> str | list[str] | None:
    """Return a value of a bindings file as text or texts; None when it is neither.

    Whole numbers are taken as they were written; dates stay text in our YAML.
    """
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | date):
        return str(value)
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        ones = [as_given(one) for one in value]
        return [one for one in ones if isinstance(one, str)] if _are_texts(ones) else None
    return None


def _are_texts(values: Sequence[object]) -> bool:
    return all(isinstance(value, str) for value in values)

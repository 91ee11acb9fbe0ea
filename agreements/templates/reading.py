"""Read a template, and a file of bindings, and say everything that is wrong in one go.

A template is right when its header is, every place is declared and used, and the
agreement that its own examples make has no error in form or in law.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from pydantic import ValidationError

from agreements.law import validate
from agreements.problems import AgreementInvalid, Problem, nearest
from agreements.reading import from_document
from agreements.source import Path, Source, parse_path, path_text, read_source
from agreements.templates.filling import (
    BindingsInvalid,
    adopt,
    as_given,
    bind,
    direct_places,
    is_of_kind,
    places_in,
)
from agreements.templates.model import Template, TemplateDocument
from schemas.catalogue import Catalogue

# What pydantic adds to a place: members of a union, keys of a mapping.
_OF_PYDANTIC: Final = frozenset({"str", "tuple[str, ...]", "[key]"})


class TemplateInvalid(AgreementInvalid):
    """The text is not a template; ``problems`` lists everything that was found."""

    code = "template-invalid"


def read_template(text: str | bytes, *, name: str, catalogue: Catalogue) -> Template:
    """Return the template in ``text`` (YAML or JSON); raises AgreementInvalid.

    ``name`` names it in errors.
    """
    template, source = _parsed(text, name)
    problems = [_located(problem, source) for problem in _problems(template, catalogue)]
    if problems:
        raise TemplateInvalid(name, problems)
    return template


def parse_template(text: str, *, name: str) -> Template:
    """Return a template that was read before: its places and law are not looked at again.

    What is lawful may change; a template that was published can still be looked at.
    Raises AgreementInvalid when it has not the form of a template.
    """
    return _parsed(text, name)[0]


def _parsed(text: str | bytes, name: str) -> tuple[Template, Source]:
    source = read_source(text, name=name)
    try:
        document = TemplateDocument.model_validate(source.data, by_alias=True, by_name=False)
    except ValidationError as error:
        found = [_of_field(one, source) for one in error.errors(include_url=False)]
        raise TemplateInvalid(name, found) from None
    if isinstance(text, bytes):
        text = text.decode("utf-8-sig")
    return Template(document, text), source


def is_template(data: Any) -> bool:
    """Whether data that was read looks like a template rather than an agreement."""
    return isinstance(data, Mapping) and "agreement" in data and "places" in data


def read_bindings(text: str | bytes, *, name: str) -> tuple[dict[str, str | list[str]], Source]:
    """Return the bindings of a file (``place: value`` lines) and where each stands.

    Raises AgreementInvalid: a value that is no text and no list of texts, or no YAML.
    """
    source = read_source(text, name=name)
    given: dict[str, str | list[str]] = {}
    problems = []
    for place, value in source.data.items():
        found = as_given(value)
        if found is None:
            line, column = source.place((place,))
            message, remedy = "expected a text or a list of texts", "write `place: value`"
            if value is None:
                message, remedy = "has no value", "write it after the colon"
            problems.append(Problem("wrong-binding", "error", line, column, place, message, remedy))
        else:
            given[place] = found
    if problems:
        raise BindingsInvalid(name, problems)
    return given, source


def _problems(template: Template, catalogue: Catalogue) -> Iterator[Problem]:
    document = template.document
    yield from _undeclared(document)
    yield from _misfits(document)
    if "template" in document.agreement:
        yield _problem(
            ("agreement", "template"),
            "template-link",
            "the link is written when the template is adopted",
            "take it out",
        )
    elif not any(_undeclared(document)):
        yield from _agreement_problems(template, catalogue)


def _undeclared(document: TemplateDocument) -> Iterator[Problem]:
    used: dict[str, Path] = {}
    for path, place in places_in(document.agreement):
        used.setdefault(place, path)
    for place, path in used.items():
        if place not in document.places:
            meant = nearest(place, document.places)
            remedy = f"did you mean <{meant}>?" if meant else f"declare `{place}` under places"
            yield _problem(
                ("agreement", *path), "undeclared-place", f"<{place}> is not declared", remedy
            )
    for place in document.places:
        if place not in used:
            yield _problem(
                ("places", place), "unused-place", "nothing in the agreement has it", "remove it"
            )


def _misfits(document: TemplateDocument) -> Iterator[Problem]:
    for name, place in document.places.items():
        examples = place.sample if isinstance(place.sample, tuple) else (place.sample,)
        default = () if place.default is None else (place.default,)
        if not place.many and len(examples) > 1:
            yield _problem(
                ("places", name, "example"), "wrong-binding", "has several examples", "keep one"
            )
        if not all(is_of_kind(place.kind, value) for value in (*examples, *default)):
            message = f"the example or the default is no {place.kind}"
            yield _problem(("places", name), "wrong-binding", message, "correct it")
    flows = [f.get("id") for f in document.agreement.get("flows", ()) if isinstance(f, Mapping)]
    for index, entry in enumerate(document.to_confirm):
        if entry.flow not in flows:
            message = f"the agreement has no flow `{entry.flow}`"
            yield _problem(("to_confirm", index), "unknown-flow", message, "correct the id")
    many = {name for name, place in document.places.items() if place.many}
    yield from _twice_many(document.agreement, ("agreement",), many)


def _twice_many(data: Any, path: Path, many: set[str]) -> Iterator[Problem]:
    children: Iterator[tuple[str | int, Any]] = iter(())
    if isinstance(data, list):
        children = enumerate(data)
    elif isinstance(data, Mapping):
        children = iter(data.items())
    for key, value in children:
        if isinstance(data, list) and len(set(direct_places(value)) & many) > 1:
            message = "two places of many values in one element"
            yield _problem((*path, key), "undeclared-place", message, "write two elements")
        yield from _twice_many(value, (*path, key), many)


def _agreement_problems(template: Template, catalogue: Catalogue) -> Iterator[Problem]:
    """The problems of the agreement that the examples make, at their place in the template."""
    try:
        agreement = from_document(adopt(template, bind(template, template.examples)))
        found = validate(agreement, catalogue)
    except BindingsInvalid:
        return  # an example that does not fit: told by `_misfits`
    except AgreementInvalid as invalid:
        found = list(invalid.problems)
    for problem in found:
        if problem.severity == "error":
            path = ("agreement", *parse_path(problem.path))
            yield _problem(path, problem.code, problem.message, problem.remedy)


def _of_field(error: Any, source: Source) -> Problem:
    path: Path = tuple(step for step in error["loc"] if step not in _OF_PYDANTIC)
    code = error["type"].replace("_", "-")
    message = error["msg"][0].lower() + error["msg"][1:]
    remedy = "see the documentation of templates"
    if error["type"] == "missing":
        code, message = "missing-field", f"expected the field `{path[-1]}`"
        remedy = f"add `{path[-1]}: …`"
    elif error["type"] == "extra_forbidden":
        code, message = "unknown-field", f"unknown field `{str(path[-1])[:60]}`"
        known = list(TemplateDocument.model_fields)
        meant = nearest(str(path[-1]), known)
        remedy = f"did you mean `{meant}`?" if meant else "take it out"
    return _located(_problem(path, code, message, remedy), source)


def _problem(path: Path, code: str, message: str, remedy: str) -> Problem:
    return Problem(code, "error", None, None, path_text(path), message, remedy)


def _located(problem: Problem, source: Source) -> Problem:
    line, column = source.place(parse_path(problem.path))
    return Problem(
        problem.code, "error", line, column, problem.path, problem.message, problem.remedy
    )

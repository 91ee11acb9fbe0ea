"""Read an agreement from a file, and say what is wrong with it in one go.

pydantic finds the problems; this module says them in words that an information
governance officer can act on, at the line and column where the file has them.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from agreements.model import OPERATORS, Agreement, Condition
from agreements.problems import AgreementInvalid, Problem, nearest
from agreements.source import MOST_PROBLEMS, Path, Source, path_text, read_source

_TRANSFORMS = "drop, mask, pseudonym or {generalise: …}"
# What a value of the wrong type should have been, by pydantic's error type.
_EXPECTED = {
    "string_type": ("text", 'write text, in "quotes" where it looks like a number'),
    "int_type": ("a whole number", "write digits without quotes"),
    "bool_type": ("true or false", "write true or false without quotes"),
    "tuple_type": ("a list", "put the values in [ ] or one a line after a dash"),
    "model_type": ("fields with values", "write `field: value` lines below it, or { }"),
    "model_attributes_type": ("fields with values", "write `field: value` lines below it, or { }"),
    "string_unicode": ("whole characters", "remove the broken character"),
}
# The remedy for a value that does not have the shape of its type, by field.
_SHAPES = {
    "id": "an agreement's id is an https address; others are lower case with hyphens",
    "owner": "use the party's id: lower case, digits and hyphens",
    "from": "use the party's id: lower case, digits and hyphens",
    "to": "use the party's id: lower case, digits and hyphens",
    "party": "use the party's id: lower case, digits and hyphens",
    "purpose": "use the purpose's code: lower case, digits and hyphens",
    "code": "use lower case, digits and hyphens",
    "events": "write the event type with its version, such as uk.gov.csc.missing-episode.v1",
    "path": "write the item's path in the event, such as person.address.postcode",
    "item": "write the item's path in the event, such as person.address.postcode",
    "uri": "write an address that begins with https://",
    "gateways": "write the legislation.gov.uk address of the section",
    "privacy_notice": "write an address that begins with https://",
}


def read_agreement(text: str | bytes, *, name: str) -> Agreement:
    """Return the agreement in ``text`` (YAML or JSON); ``name`` names it in errors.

    Raises AgreementInvalid with every problem. That the law allows it is another
    question: see `law.validate`.
    """
    return read_with_source(text, name=name)[0]


def read_with_source(text: str | bytes, *, name: str) -> tuple[Agreement, Source]:
    """Return the agreement and where each of its values stands; raises AgreementInvalid."""
    source = read_source(text, name=name)
    return _validated(source, name), source


def read_draft(text: str | bytes, *, name: str) -> Mapping[str, Any]:
    """Return what a draft says so far, as JSON data: fields may be missing or not yet right.

    Raises AgreementInvalid when a field is not even of the shape that it should have.
    """
    source = read_source(text, name=name)
    try:
        _validated(source, name)
    except AgreementInvalid as invalid:
        misshapen = [problem for problem in invalid.problems if problem.code == "wrong-type"]
        if misshapen:
            raise AgreementInvalid(name, misshapen) from None
    data: Mapping[str, Any] = source.data
    return data


def from_document(document: Mapping[str, Any], *, name: str = "the document") -> Agreement:
    """Return the agreement in JSON data (a control record); raises AgreementInvalid."""
    return _validated(Source(document), name)


def _validated(source: Source, name: str) -> Agreement:
    try:
        # Only the names of the document: the Python names would be dumped under others.
        return Agreement.model_validate(source.data, by_alias=True, by_name=False)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=True)
        raise AgreementInvalid(name, _problems(found, source)) from None


def _problems(errors: Iterable[Any], source: Source) -> list[Problem]:
    """One problem a place: a value that fits no member of a union fails once for each."""
    problems: dict[Path, Problem] = {}
    for error in errors:
        if _is_consequence(error):
            continue
        path = _path(error, source.data)
        if _is_other_form(error, path):
            continue
        path = _as_one(path)
        problems.setdefault(path, _problem(error, path, source))
        if len(problems) >= MOST_PROBLEMS:
            break
    return sorted(problems.values(), key=lambda found: (found.line or 0, found.column or 0))


def _as_one(path: Path) -> Path:
    """A transform is one value to its author, word or mapping."""
    return path[: path.index("transform") + 1] if "transform" in path else path


def _is_consequence(error: Any) -> bool:
    """Whether a list is called too short only because its elements have problems of their own."""
    given = error["input"]
    is_short = error["type"] == "too_short" and isinstance(given, list | tuple)
    return is_short and len(given) >= error["ctx"]["min_length"]


def _is_other_form(error: Any, path: Path) -> bool:
    """Whether text was tried where fields came and could come: the fields' own errors say more."""
    is_in_union = len(path) < len(error["loc"])
    return is_in_union and error["type"] == "string_type" and isinstance(error["input"], Mapping)


def _path(error: Any, data: Any) -> Path:
    """The error's place in the document: pydantic also names the members of unions."""
    path: list[str | int] = []
    last = len(error["loc"]) - 1
    for at, step in enumerate(error["loc"]):
        if isinstance(data, Mapping) and step in data:
            data = data[step]
        elif isinstance(data, list | tuple) and isinstance(step, int):
            data = data[step] if step < len(data) else None
        elif not (at == last and error["type"] == "missing" and isinstance(data, Mapping)):
            continue
        path.append(step)
    return tuple(path)


def _problem(error: Any, path: Path, source: Source) -> Problem:
    code, message, remedy = _said(error, path)
    line, column = source.place(path) if source.places else (None, None)
    return Problem(code, "error", line, column, path_text(path), message, remedy)


def _said(error: Any, path: Path) -> tuple[str, str, str]:
    """Return code, message and remedy."""
    kind, given, context = error["type"], error["input"], error.get("ctx", {})
    field = next((step for step in reversed(path) if isinstance(step, str)), "")
    if field == "transform":
        return "unknown-transform", f"expected {_TRANSFORMS}", _transform_remedy(given)
    if kind == "missing":
        return "missing-field", f"expected the field `{path[-1]}`", f"add `{path[-1]}: …`"
    if kind == "extra_forbidden":
        return _unknown_field(path)
    if kind in ("literal_error", "unknown-code"):
        return _not_in_list(kind, given, context)
    if kind != "too_short" and _is_scalar_union(path):
        return "wrong-type", "expected text, a whole number, true or false", "write one value"
    return _misshapen(error, field)


def _misshapen(error: Any, field: str) -> tuple[str, str, str]:
    kind, given, context = error["type"], error["input"], error.get("ctx", {})
    if kind in _EXPECTED:
        expected, remedy = _EXPECTED[kind]
        return "wrong-type", f"expected {expected}, got {_what(given)}", remedy
    if kind == "string_pattern_mismatch":
        remedy = _SHAPES.get(field, "write it in the form of the documentation")
        return "wrong-form", f"not the form of `{field}`: {_what(given)}", remedy
    if kind == "string_too_long":
        return "too-long", f"expected at most {context['max_length']} characters", "shorten it"
    if kind in ("too_short", "string_too_short"):
        least = context["min_length"]
        return "too-few", f"expected at least {least}, got {_what(given)}", "add what is missing"
    if kind in ("greater_than_equal", "less_than_equal"):
        bound = context.get("ge", context.get("le"))
        word = "at least" if "ge" in context else "at most"
        return "out-of-range", f"expected {word} {bound}, got {_what(given)}", "correct the number"
    remedies = {
        "invisible-character": "remove it, or write the text again",
        "one-operator": "keep one operator, and write a second condition for the other",
        "not-a-time": "a date alone means its first moment, UTC",
        "not-a-date": "write year, month and day",
        "not-a-duration": "write an ISO 8601 duration",
    }
    # Ours carry their own sentence; what else pydantic may say is still said.
    return kind.replace("_", "-"), error["msg"], remedies.get(kind, "correct the value")


def _unknown_field(path: Path) -> tuple[str, str, str]:
    field = str(path[-1])
    known = _field_names(path[:-1])
    meant = nearest(field, known)
    remedy = f"did you mean `{meant}`?" if meant else f"known here: {', '.join(known)}"
    return "unknown-field", f"unknown field `{field[:60]}`", remedy


def _not_in_list(kind: str, given: object, context: Mapping[str, Any]) -> tuple[str, str, str]:
    if kind == "unknown-code":
        known = [str(code) for code in context["known"]]
    else:
        known = re.findall(r"'([^']*)'", context["expected"]) or [context["expected"]]
    meant = nearest(given, known) if isinstance(given, str) else None
    remedy = f"did you mean `{meant}`?" if meant else "use one of the list"
    return "unknown-code", f"expected one of {', '.join(known)}, got {_what(given)}", remedy


def _transform_remedy(given: object) -> str:
    wanted = given.get("generalise") if isinstance(given, Mapping) else given
    if not isinstance(wanted, str):
        return "write for example transform: {generalise: year}"
    coarser = ("year", "month", "age-band", "postcode-sector", "postcode-district")
    if meant := nearest(wanted, coarser):
        return f"did you mean {{generalise: {meant}}}?"
    meant = nearest(wanted, ("drop", "mask", "pseudonym"))
    return f"did you mean `{meant}`?" if meant else f"coarser forms: {', '.join(coarser)}"


def _is_scalar_union(path: Path) -> bool:
    names = [step for step in path if isinstance(step, str)]
    return len(names) > 1 and names[-2] == "when" and names[-1] in ("equals", "in", "not_in")


def _what(given: object) -> str:
    """What came, in words; agreements hold no payload, so a short value may be shown."""
    if given is None:
        return "nothing"
    if isinstance(given, Mapping):
        return "fields"
    if isinstance(given, list | tuple):
        return "a list" if given else "an empty list"
    text = " ".join(str(given).split())
    return f"`{text[:60]}{'…' if len(text) > 60 else ''}`"  # noqa: PLR2004  a line's worth


def _field_names(path: Path) -> list[str]:
    """Return the fields, as documents write them, of the model at ``path``."""
    model: type[BaseModel] = Agreement
    for step in path:
        if isinstance(step, str):
            model = _part(model, step)
    if model is Condition:
        return ["item", *(operator.rstrip("_") for operator in OPERATORS), "otherwise"]
    return [field.alias or name for name, field in model.model_fields.items()]


def _part(model: type[BaseModel], step: str) -> type[BaseModel]:
    for name, field in model.model_fields.items():
        if step == (field.alias or name):
            return _model_in(field.annotation) or model
    return model


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_model_in, get_args(annotation))), None)

"""The published JSON Schema says of any document what reading it says."""

from collections.abc import Iterator
from typing import Any, Final

from agreement_texts import REMOVED, a_whole_document, changed
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker

from agreements.problems import AgreementInvalid
from agreements.published.schema import json_schema
from agreements.reading import from_document
from agreements.source import Path, path_text

# What a pattern cannot say: that a day is in the calendar, that a time has one spelling only,
# that a length of time is in use.
BEYOND_A_SCHEMA: Final = {"not-a-time", "not-a-date", "not-a-duration"}


def ecmascript(schema: Any) -> Any:
    """Return the schema with patterns as Python reads them: `$` is the end, not before a line's."""
    if isinstance(schema, dict):
        return {
            key: value.replace("$", r"\Z")
            if key == "pattern" and isinstance(value, str)
            else ecmascript(value)
            for key, value in schema.items()
        }
    return [ecmascript(inner) for inner in schema] if isinstance(schema, list) else schema


SCHEMA: Final = Draft202012Validator(ecmascript(json_schema()), format_checker=FormatChecker())


def paths(value: Any, path: Path = ()) -> Iterator[Path]:
    """Yield the path of each value inside another."""
    inside = value.items() if isinstance(value, dict) else enumerate(value)
    for step, inner in inside:
        yield (*path, step)
        if isinstance(inner, dict | list):
            yield from paths(inner, (*path, step))


def value_at(document: Any, path: Path) -> Any:
    """Return the value at a path."""
    for step in path:
        document = document[step]
    return document


WHOLE: Final = a_whole_document()
PATHS: Final = sorted(paths(WHOLE), key=str)
VALUES: Final = st.one_of(
    st.sampled_from([value_at(WHOLE, path) for path in PATHS]),
    st.none(),
    st.booleans(),
    st.integers(-3, 400),
    st.text(max_size=6),
    st.sampled_from(
        ["e", "ea", "h", "SIRO", "P0D", "PT4H", "P1Y", "2026-02-30", "2026-04-01T09:30:00Z",
         "2026-04-01T00:00:00Z", "trust", "x" * 201, "a.b.v1", "urn:a", "a\u202eb", "year", " "]
    ),
    st.lists(st.sampled_from(["a", "SIRO", "dspt", 1, None]), max_size=2),
    st.dictionaries(st.sampled_from(["equals", "in", "item", "generalise", "uri"]),
                    st.sampled_from(["a", "year", None, 1, ["a"]]), max_size=3),
    st.just(REMOVED),
)  # fmt: skip


@given(st.dictionaries(st.sampled_from(PATHS), VALUES, min_size=1, max_size=3))
@settings(max_examples=300, deadline=None)
def test_the_schema_and_the_model_agree_on_any_document(changes: dict[Path, Any]) -> None:
    """What an editor accepts is read, and what is read an editor accepts."""
    document = WHOLE
    for path, value in changes.items():
        try:
            document = changed(document, {path_text(path): value})
        except (TypeError, KeyError, IndexError):
            continue  # an earlier change took the place away
    said = [error.message for error in SCHEMA.iter_errors(document)]
    try:
        from_document(document)
    except AgreementInvalid as invalid:
        codes = {problem.code for problem in invalid.problems}
        assert said or codes <= BEYOND_A_SCHEMA, codes
    else:
        assert said == []

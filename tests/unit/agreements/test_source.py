"""YAML and JSON text come out as the same plain data, or with every problem at its place."""

import json
from io import StringIO
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from agreements.problems import AgreementInvalid, Problem
from agreements.source import LARGEST_BYTES, parse_path, path_text, read_source

# JSON as agreements use it: no floats, integers that JSON carries exactly.
TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc", "Cn"]), max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**15), 10**15) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)
DOCUMENTS = st.dictionaries(TEXTS, VALUES, max_size=6)


def problems(text: str | bytes) -> tuple[Problem, ...]:
    """Return what is wrong with a text."""
    with pytest.raises(AgreementInvalid) as caught:
        read_source(text, name="test")
    return caught.value.problems


def is_read_or_refused(text: str | bytes) -> bool:
    """Whether a text gives data, or problems; any other error comes through."""
    try:
        return isinstance(read_source(text, name="test").data, dict)
    except AgreementInvalid as invalid:
        return bool(invalid.problems)


@given(DOCUMENTS)
@settings(max_examples=200, deadline=None)
def test_json_reads_as_a_json_parser_reads_it(document: dict[str, Any]) -> None:
    """A JSON document is a text of its own, whatever YAML would make of it."""
    for ascii_only in (True, False):
        text = json.dumps(document, ensure_ascii=ascii_only)
        assert read_source(text, name="test").data == document


@given(DOCUMENTS)
@settings(max_examples=100, deadline=None)
def test_yaml_says_what_the_same_json_says(document: dict[str, Any]) -> None:
    """A document written as YAML has the data, so the hash, of the same document in JSON."""
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    written = StringIO()
    yaml.dump(document, written)
    assert read_source(written.getvalue(), name="test").data == document


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda t: t.encode("utf-8", "replace")))
@settings(max_examples=400, deadline=None)
def test_any_bytes_are_read_or_refused(text: bytes) -> None:
    """Hostile bytes lead to data or to AgreementInvalid, never to another error."""
    assert is_read_or_refused(text)


@given(st.lists(st.sampled_from("[]{},:\n -&a*a!?|>'\"\\u0x1.~\t#%@`"), max_size=60))
@settings(max_examples=400, deadline=None)
def test_any_punctuation_is_read_or_refused(parts: list[str]) -> None:
    """Broken syntax leads to data or to AgreementInvalid, never to another error."""
    assert is_read_or_refused("a: " + "".join(parts))


@pytest.mark.parametrize(
    ("text", "code", "line", "column"),
    [
        ("a: &x 1", "anchor", 1, 4),
        ("a: 1\nb: *x", "alias", 2, 4),
        ("a: 1\nb: 2\na: 3", "duplicate-key", 3, 1),
        ("a: {b: 1, b: 2}", "duplicate-key", 1, 11),
        ("a: !!python/name:os.system x", "tag", 1, 4),
        ("a: !mine {}", "tag", 1, 4),
        ("a: 021", "ambiguous-number", 1, 4),
        ("a: 0x1F", "ambiguous-number", 1, 4),
        ("a: 1_000", "ambiguous-number", 1, 4),
        ("a: +1", "ambiguous-number", 1, 4),
        ("a: 1.5", "ambiguous-number", 1, 4),
        ("a: .inf", "ambiguous-number", 1, 4),
        ("a: 12345678901234567890", "ambiguous-number", 1, 4),
        ("a: 1\n---\nb: 2", "two-documents", 2, 1),
        ("a: [1, 2", "not-yaml", 1, 9),
        ("a: 1\n  b: 2", "not-yaml", 2, 4),
        ("? [a]\n: 1", "key", 1, 3),
        ("[1, 2]", "not-a-mapping", 1, 1),
        ("", "not-a-mapping", 1, 1),
        ("just words", "not-a-mapping", 1, 1),
        (b"a: \xff", "not-utf-8", 1, 4),
        ("a: 1\nb: caf\u00e9".encode("latin-1"), "not-utf-8", 2, 7),
        ("a: \u00a31\n\u2019".encode("cp1252"), "not-utf-8", 1, 4),
        ("a: 1".encode("utf-16"), "not-utf-8", 1, 1),
        ('{"a": "\\ud800"}', "not-utf-8", 1, 7),
        ("a: " + "[" * 40 + "]" * 40, "too-deep", 1, 27),
    ],
)
def test_a_problem_is_told_with_its_place(
    text: str | bytes, code: str, line: int, column: int
) -> None:
    """What agreements do without is refused where it stands."""
    found = problems(text)[0]
    assert (found.code, found.line, found.column) == (code, line, column)
    assert found.message
    assert found.remedy


def test_all_problems_come_at_once() -> None:
    """One reading finds every alias, anchor, duplicate and number."""
    text = "a: &x 1\nb: *x\nc: 021\nd: 1\nd: 2"
    codes = [problem.code for problem in problems(text)]
    assert codes == ["anchor", "alias", "ambiguous-number", "duplicate-key"]


def test_a_large_text_is_refused_before_it_is_parsed() -> None:
    """Ten megabytes are no agreement."""
    (found,) = problems("a: " + "x" * 10 * 1024 * 1024)
    assert found.code == "too-large"


def test_a_text_of_the_largest_size_is_read() -> None:
    """The limit itself is inside."""
    text = "a: " + "x" * (LARGEST_BYTES - 3)
    assert len(read_source(text.encode(), name="test").data["a"]) == LARGEST_BYTES - 3


def test_very_many_values_are_refused_while_they_are_read() -> None:
    """A text of nothing but commas is small and slow."""
    (found,) = problems("a: [" + "1," * 100_000 + "]")
    assert found.code == "too-large"


def test_ever_deeper_nesting_is_refused_without_recursion() -> None:
    """A hundred thousand brackets end at the first that is too deep."""
    (found,) = problems("a: " + "[" * 100_000)
    assert found.code == "too-deep"


def test_a_billion_laughs_are_refused() -> None:
    """Without aliases nothing can grow."""
    lines = ["a0: &a0 [x, x]"]
    lines += [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 30)]
    assert {problem.code for problem in problems("\n".join(lines))} == {"anchor", "alias"}


@pytest.mark.parametrize("word", ["yes", "no", "on", "off", "Y", "N", "y", "n"])
def test_words_that_were_once_booleans_stay_text(word: str) -> None:
    """YAML 1.2: the consent codes Y and N are not true and false."""
    assert read_source(f"a: {word}", name="test").data == {"a": word}


def test_a_date_stays_text() -> None:
    """Times are the model's to read."""
    assert read_source("a: 2026-04-01", name="test").data == {"a": "2026-04-01"}


def test_json_may_be_indented_with_tabs_and_begin_with_a_byte_order_mark() -> None:
    """Files as editors write them are read."""
    text = '\ufeff{\n\t"a": "x",\n\t"b": [\n\t\t1\n\t]\n}'
    assert read_source(text, name="test").data == {"a": "x", "b": [1]}
    assert read_source(text.encode(), name="test").data == {"a": "x", "b": [1]}


def test_a_surrogate_pair_of_json_is_one_character() -> None:
    """JSON escapes characters beyond the first plane in two halves."""
    assert read_source('{"a": "\\ud83d\\ude00"}', name="test").data == {"a": "\U0001f600"}


def test_a_value_that_is_missing_has_the_place_of_what_should_hold_it() -> None:
    """The nearest value that is there is where to look."""
    source = read_source("a: 1\nb:\n  - c: 2", name="test")
    assert source.place(("b", 0, "c")) == (3, 5)
    assert source.place(("b", 0, "d")) == (3, 5)
    assert source.place(("x",)) == (1, 1)


@pytest.mark.parametrize("text", ["", "a", "flows[0].items[12].path", "a.b[0]"])
def test_a_path_is_read_as_it_is_written(text: str) -> None:
    """Paths in problems lead back to the data."""
    assert path_text(parse_path(text)) == text


def test_the_message_of_the_error_counts_and_names_the_problems() -> None:
    """Whoever only prints the error still sees everything."""
    with pytest.raises(AgreementInvalid) as caught:
        read_source("a: *x\nb: 021", name="draft.yaml")
    told = str(caught.value)
    assert told.startswith("draft.yaml has 2 problems")
    assert "line 2, column 4" in told

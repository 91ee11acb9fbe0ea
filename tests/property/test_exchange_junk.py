"""Whatever a file holds, exchanging it gives a result or a refusal that says why."""

import json
from pathlib import Path
from typing import Any, Final

from agreement_texts import a_whole_document, changed
from hypothesis import given, settings
from hypothesis import strategies as st

from agreements.exchange.mais_in import import_policy
from agreements.exchange.mais_out import export_policy
from agreements.exchange.odrl_out import export_odrl
from agreements.exchange.results import draft_text
from agreements.problems import AgreementInvalid
from agreements.reading import read_draft
from agreements.source import Path as Place
from agreements.source import path_text, read_source

POLICY: Final = json.loads(
    (Path(__file__).parents[1] / "cases/mais/policy.json").read_text("utf-8")
)
JUNK: Final = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["Name", "value", "id", "code", "uri", "x"]), inner)
    ),
    max_leaves=4,
)


def places(value: Any, path: Place = ()) -> list[Place]:
    """Return the path of each value inside another."""
    found: list[Place] = []
    for step, inner in value.items() if isinstance(value, dict) else enumerate(value):
        found.append((*path, step))
        if isinstance(inner, dict | list):
            found += places(inner, (*path, step))
    return found


def junked(document: Any, changes: dict[Place, Any]) -> Any:
    """Return a document with junk in places, as far as they are still there."""
    for path, value in changes.items():
        try:
            document = changed(document, {path_text(path): value})
        except (TypeError, KeyError, IndexError):
            continue
    return document


@given(st.dictionaries(st.sampled_from(places(POLICY)), JUNK, min_size=1, max_size=3))
@settings(max_examples=100, deadline=None)
def test_junk_in_a_sharing_policy_makes_a_draft_or_a_refusal(changes: dict[Place, Any]) -> None:
    """And what is made of it can be written, read and exported."""
    try:
        imported = import_policy(json.dumps(junked(POLICY, changes)), name="policy")
    except AgreementInvalid:
        return
    written = draft_text(imported.document, head=["A draft."])
    assert read_source(written, name="draft").data == imported.document
    assert export_policy(read_draft(written, name="draft")).text


@given(st.dictionaries(st.sampled_from(places(a_whole_document())), JUNK, min_size=1, max_size=3))
@settings(max_examples=70, deadline=None)
def test_junk_in_a_draft_is_exported_or_refused(changes: dict[Place, Any]) -> None:
    """A draft may be wrong in any place, and is never the program's error."""
    try:
        draft = read_draft(json.dumps(junked(a_whole_document(), changes)), name="draft")
    except AgreementInvalid:
        return
    assert export_policy(draft).text
    assert export_odrl(draft).text

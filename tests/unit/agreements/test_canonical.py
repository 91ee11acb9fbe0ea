"""The hash that is signed can be computed from the document alone, in any language."""

import hashlib
import json
from random import Random
from typing import Any

import rfc8785
from agreement_texts import a_document, an_agreement, changed
from hypothesis import given
from hypothesis import strategies as st

from agreements.canonical import canonical_form, digest, to_document
from agreements.model import Agreement
from agreements.reading import from_document, read_agreement


def shuffled(value: Any, random: Random) -> Any:
    """Return the same JSON with the fields of each object in another order."""
    if isinstance(value, dict):
        items = list(value.items())
        random.shuffle(items)
        return {key: shuffled(inner, random) for key, inner in items}
    return [shuffled(inner, random) for inner in value] if isinstance(value, list) else value


def test_the_canonical_form_is_that_of_the_document_as_written() -> None:
    """Neither defaults nor Python's types come into it."""
    assert canonical_form(an_agreement()) == rfc8785.dumps(a_document())
    assert digest(an_agreement()) == hashlib.sha256(rfc8785.dumps(a_document())).hexdigest()


@given(st.randoms(use_true_random=False))
def test_the_order_of_fields_does_not_count(random: Random) -> None:
    """JSON objects have no order, so neither has what is signed."""
    assert digest(from_document(shuffled(a_document(), random))) == digest(an_agreement())


def test_what_was_left_out_stays_out() -> None:
    """A default that is written is another text than one that is not."""
    written = an_agreement({"flows[0].delivery": "payload"})
    assert written.flows[0].delivery == an_agreement().flows[0].delivery
    assert "delivery" not in to_document(an_agreement())["flows"][0]
    assert digest(written) != digest(an_agreement())


def test_yaml_and_json_of_one_agreement_have_one_hash() -> None:
    """Comments, layout and quotes are not signed; what is said is."""
    text = json.dumps(a_document(), indent=2)
    as_yaml = "# a comment\n" + text.replace('"title": "Test agreement"', "title: Test agreement")
    assert digest(read_agreement(as_yaml, name="yaml")) == digest(an_agreement())


def test_any_change_of_the_text_changes_the_hash() -> None:
    """A word, a date or one item more is another agreement."""
    changes: list[dict[str, Any]] = [
        {"title": "Test agreement."},
        {"version": 2},
        {"effective.ends_at": "2028-04-02"},
        {"flows[0].items[2]": {"path": "decom"}},
        {"flows[0].items[0].required": False},
        {"flows[0].legal.provider.art6": "c"},
    ]
    digests = {digest(from_document(changed(a_document(), change))) for change in changes}
    assert len(digests | {digest(an_agreement())}) == len(changes) + 1


def test_an_agreement_built_in_python_keeps_its_hash_through_its_document() -> None:
    """Defaults that were not set are not written."""
    agreement = an_agreement()
    again = Agreement.model_validate(to_document(agreement))
    assert again == agreement
    assert digest(again) == digest(agreement)


def test_the_hash_is_the_one_on_record() -> None:
    """Pinned: a release that computes another one breaks every signature there is."""
    assert digest(an_agreement()) == (
        "f580d42ab3eaaeb097e6ce98031da09696790eaeba3a1b47c276ade58509f180"
    )

"""Statements of what was counted: what the party signed, and nothing else."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.control import sign_document
from schemas.counting import (
    BadStatement,
    Counted,
    Side,
    Statement,
    digest_of,
    event_id_of,
    month_of,
    opened_element,
    published_element,
    state,
)
from schemas.keys import SigningKey

KEY = SigningKey.generate()
NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
NOON_MS = int(NOON.timestamp() * 1000)
EVENT = "00000000-0000-5000-8000-000000000001"


def a_statement(elements: frozenset[bytes], **changes: Any) -> Statement:
    """Build the first statement of a publisher of November."""
    fields: dict[str, Any] = {
        "scheme": "s",
        "party": "anytown-council",
        "side": Side.PUBLISHED,
        "month": "2026-11",
        "until": NOON,
        "signed_at": NOON,
        "sequence": 1,
        "previous": None,
    }
    counted = [Counted(one, "uk.example.v1", NOON_MS) for one in elements]
    return state(counted, **(fields | changes))


def elements(*numbers: int) -> frozenset[bytes]:
    """Return what stands for invented events."""
    return frozenset(number.to_bytes(16) for number in numbers)


def test_a_statement_is_what_its_party_signed() -> None:
    """Whichever of its keys it was, and no other's."""
    statement = a_statement(elements(1, 2, 3))
    token = statement.to_jws(KEY)
    other = SigningKey.generate().public
    assert Statement.from_jws(token, [other, KEY.public]) == statement
    for keys in ([], [other]):
        with pytest.raises(BadStatement):
            Statement.from_jws(token, keys)


def test_another_document_of_the_party_is_no_statement() -> None:
    """The type in the header keeps one kind of JWS from passing as another."""
    document = a_statement(elements(1)).model_dump(mode="json")
    with pytest.raises(BadStatement):
        Statement.from_jws(sign_document(KEY, document), [KEY.public])


@given(text=st.text(max_size=300))
def test_what_is_no_statement_is_refused(text: str) -> None:
    """Hostile text raises our error and no other."""
    with pytest.raises(BadStatement):
        Statement.from_jws(text, [KEY.public])


def test_it_counts_by_day_and_type_and_names_no_payload() -> None:
    """What is told of an event is its id, and that in a digest."""
    statement = a_statement(elements(1, 2, 3))
    assert statement.counts == {"2026-11-02": {"uk.example.v1": 3}}
    assert statement.total == 3
    assert len(json.dumps(statement.model_dump(mode="json"))) < 7_000


def test_the_same_set_does_not_differ_and_another_is_named() -> None:
    """In what only the party has, and what only the other side."""
    statement = a_statement(elements(1, 2, 3))
    assert statement.differs(elements(3, 2, 1)) == (frozenset(), frozenset())
    assert statement.differs(elements(2, 3, 4)) == (elements(1), elements(4))
    assert statement.differs(elements(*range(4, 4000))) is None


def test_a_sketch_that_does_not_fit_the_digest_names_nothing() -> None:
    """The digest is what was signed of the set; a sketch alone could be made to mislead."""
    honest, other = a_statement(elements(1, 2, 3)), a_statement(elements(1, 2, 9))
    mixed = honest.model_copy(update={"sketch": other.sketch})
    assert mixed.differs(elements(1, 2, 3)) == (frozenset(), frozenset())
    assert mixed.differs(elements(1, 2, 4)) is None
    with pytest.raises(BadStatement):
        honest.model_copy(update={"sketch": "AAAA"}).differs(elements(1))


def test_elements_and_months_follow_from_ids_and_times() -> None:
    """An event's id comes out again; a month is one of UTC."""
    assert event_id_of(published_element(EVENT)) == EVENT
    assert event_id_of(opened_element(EVENT, bytes(32))) == EVENT
    assert len(opened_element(EVENT, bytes(32))) == Side.OPENED.width
    last = int(datetime(2026, 12, 1, tzinfo=UTC).timestamp() * 1000) - 1
    assert (month_of(last), month_of(last + 1)) == ("2026-11", "2026-12")
    assert digest_of(elements(2, 1)) == digest_of(elements(1, 2)) != digest_of(elements(1))

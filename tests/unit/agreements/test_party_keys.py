"""A key counts until it is retired, and not for what a thief may have said."""

from datetime import UTC, datetime
from typing import Any

import pytest
from deciding_world import COUNCIL, key_of

from agreements.candidates import to_us
from agreements.party_keys import KeyHistory
from schemas.control import Party
from schemas.keys import BadKey

FIRST, SECOND = key_of(COUNCIL, 1).public, key_of(COUNCIL, 2).public
THEFT = datetime(2026, 5, 1, tzinfo=UTC)
BEFORE, AFTER = to_us(THEFT) - 1, to_us(THEFT)


def told(revision: int, *keys: Any, stolen: datetime | None = None) -> Party:
    """Build a party's document."""
    return Party(
        id=COUNCIL,
        name="Council",
        roles=("publisher",),
        revision=revision,
        signing_keys=tuple(key.to_jwk() for key in keys),
        stolen_keys=() if stolen is None else ({"kid": FIRST.kid, "stolen_from": stolen},),  # type: ignore[arg-type]  pydantic reads it
    )


def learnt(*documents: tuple[int, Party]) -> KeyHistory:
    """Return the history of documents at their positions."""
    history = KeyHistory()
    newest = documents[0][1]
    for position, document in documents:
        newest = max(newest, document, key=lambda one: one.revision)
        history.learn(document, newest=newest, position=position)
    return history


def test_a_key_counts_for_what_came_before_it_was_retired() -> None:
    """The position at which it left is no longer its own."""
    history = learnt((10, told(1, FIRST)), (20, told(2, SECOND)))
    assert [history.is_timely(FIRST.kid, position) for position in (1, 19, 20, 21)] == [
        True,
        True,
        False,
        False,
    ]
    assert history.is_timely(SECOND.kid, 1), "a key that is known later counts for what came before"
    assert not history.is_timely("no-key", 1)


def test_a_key_that_comes_back_counts_again() -> None:
    """For what came in between too: it is the party's."""
    history = learnt((10, told(1, FIRST)), (20, told(2, SECOND)), (30, told(3, SECOND, FIRST)))
    assert history.is_timely(FIRST.kid, 25)
    again = learnt(
        (10, told(1, FIRST)), (20, told(2, SECOND)), (30, told(3, FIRST)), (40, told(4, SECOND))
    )
    assert [again.is_timely(FIRST.kid, position) for position in (25, 39, 40)] == [
        True,
        True,
        False,
    ]


def test_an_old_document_put_again_changes_nothing() -> None:
    """Neither does one that comes late bring its keys back."""
    history = learnt((10, told(1, FIRST)), (20, told(2, SECOND)))
    assert not history.learn(told(1, FIRST), newest=told(2, SECOND), position=30)
    assert not history.is_timely(FIRST.kid, 20)
    late = learnt((10, told(2, SECOND)), (20, told(1, FIRST)))
    assert not late.is_timely(FIRST.kid, 1), "it never was the party's while we looked"
    assert FIRST.kid in {jwk["kid"] for jwk in late.jwks}, "but a stop with it verifies"


def test_what_may_be_the_thief_s_is_told() -> None:
    """Dated from the theft on, or come since it was reported; a millisecond decides."""
    history = learnt((10, told(1, FIRST)), (20, told(2, SECOND, stolen=THEFT)))
    assert not history.is_stolen(FIRST.kid, 19, BEFORE)
    assert history.is_stolen(FIRST.kid, 19, AFTER)
    assert history.is_stolen(FIRST.kid, 20, BEFORE)
    assert not history.is_stolen(SECOND.kid, 20, AFTER)


def test_a_stolen_key_is_not_current_though_it_is_still_listed() -> None:
    """The report is enough, whatever else the document or a later one says."""
    history = learnt((10, told(1, FIRST)), (20, told(2, SECOND, FIRST, stolen=THEFT)))
    assert not history.is_timely(FIRST.kid, 20)
    history.learn(told(3, FIRST), newest=told(3, FIRST), position=30)
    assert not history.is_timely(FIRST.kid, 30)
    assert history.is_stolen(FIRST.kid, 30, BEFORE)


def test_the_date_of_a_theft_can_be_set_right_by_a_higher_revision() -> None:
    """And by no other; of two texts under one revision the earlier date counts."""
    earlier, later = datetime(2026, 4, 1, tzinfo=UTC), datetime(2026, 5, 20, tzinfo=UTC)
    history = learnt((10, told(1, FIRST)), (20, told(2, SECOND, stolen=THEFT)))
    history.learn(told(3, SECOND, stolen=later), newest=told(3, SECOND), position=30)
    assert not history.is_stolen(FIRST.kid, 19, AFTER)
    assert history.is_stolen(FIRST.kid, 20, BEFORE), "reported when it was first reported"
    history.learn(told(2, SECOND, stolen=earlier), newest=told(3, SECOND), position=40)
    assert not history.is_stolen(FIRST.kid, 19, AFTER)
    for date in (earlier, later):
        history.learn(told(3, SECOND, stolen=date), newest=told(3, SECOND), position=50)
    assert history.is_stolen(FIRST.kid, 19, to_us(earlier))
    assert not history.is_stolen(FIRST.kid, 19, to_us(earlier) - 1)


def test_a_document_with_a_bad_key_teaches_nothing() -> None:
    """It is refused whole."""
    history = learnt((10, told(1, FIRST)))
    bad = told(2, SECOND).model_copy(
        update={"signing_keys": ({"kty": "OKP", "crv": "Ed25519", "x": "AA"},)}
    )
    with pytest.raises(BadKey):
        history.learn(bad, newest=bad, position=20)
    assert history.is_timely(FIRST.kid, 20)
    assert len(history.jwks) == 1


def test_only_news_is_news() -> None:
    """So that nothing is worked out again for a document that changes no key."""
    history = learnt((10, told(1, FIRST)))
    assert not history.learn(told(2, FIRST), newest=told(2, FIRST), position=20)
    assert history.learn(told(3, FIRST, SECOND), newest=told(3, FIRST, SECOND), position=30)
    stolen = told(4, FIRST, SECOND, stolen=THEFT)
    assert history.learn(stolen, newest=stolen, position=40)
    assert not history.learn(stolen, newest=stolen, position=50)

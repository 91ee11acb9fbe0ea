"""One party alone may have less shared, at once, and nobody can bring back what was more."""

from datetime import timedelta
from typing import Any

import pytest
from deciding_world import (
    COUNCIL,
    HEALTH,
    NOON,
    PLACEMENT,
    SCHEME,
    SCHOOL,
    World,
    a_flow,
    a_world,
    an_agreement,
    an_event,
    pseudonym_key,
)

from agreements.candidates import to_us
from agreements.deciding import Deny, Permit, Refusal, decide
from agreements.rules import Compiler
from schemas.catalogue import shipped

AT = to_us(NOON)
LATER = NOON + timedelta(days=1)


def a_text(number: int, *items: str, **changes: Any) -> dict[str, Any]:
    """Build a version that shares these items."""
    flow = a_flow(items=[{"path": path, "justification": "Needed."} for path in items])
    return an_agreement(flow, version=number, **changes)


FIRST = a_text(1, "childId", "decom", "rne")


def shared(world: World, *, recipient: str = HEALTH) -> Any:
    """Return what an event shares now: its items, or why not; one decision at most."""
    compiler = Compiler(shipped(), scheme_key=SCHEME.public, pseudonym_key=pseudonym_key)
    compiler.apply(world.documents)
    found = [
        decide(an_event(), one, at=AT)
        for one in compiler.rules().candidates(COUNCIL, PLACEMENT, at=AT)
        if one.recipient == recipient
    ]
    assert len(found) <= 1
    if not found:
        return None
    (decision,) = found
    return decision.items if isinstance(decision, Permit) else decision.reason


@pytest.mark.parametrize("party", [COUNCIL, HEALTH])
def test_either_of_the_two_narrows_alone(party: str) -> None:
    """And the other's acceptance of what was more stands for it."""
    world = a_world(FIRST)
    second = a_text(2, "childId", "decom")
    world.agreement(second)
    world.sign(second, party)
    assert shared(world) == ("childId", "decom")


def test_a_narrowing_of_a_narrowing_is_one() -> None:
    """Each of the two may take something away in turn."""
    world = a_world(FIRST)
    for number, party, items in ((2, COUNCIL, ("childId", "decom")), (3, HEALTH, ("childId",))):
        text = a_text(number, *items)
        world.agreement(text)
        world.sign(text, party)
    assert shared(world) == ("childId",)


def test_what_one_has_taken_away_the_other_cannot_bring_back() -> None:
    """A version that gives more than what runs needs both, though less than what ran once."""
    world = a_world(FIRST)
    second, third = a_text(2, "childId"), a_text(3, "childId", "decom")
    for text, party in ((second, COUNCIL), (third, HEALTH)):
        world.agreement(text)
        world.sign(text, party)
    assert shared(world) == ("childId",)
    world.sign(third, COUNCIL)
    assert shared(world) == ("childId", "decom")


def test_a_narrowing_is_of_what_runs_and_not_of_what_is_over() -> None:
    """What an earlier version shared no longer matters."""
    world = a_world(a_text(1, "childId", "decom"))
    started = {"starts_at": "2026-05-20", "ends_at": "2028-04-01"}
    second = a_text(2, "childId", "rne", effective=started)
    third = a_text(3, "rne", effective=started)
    world.agree(second)
    world.agreement(third)
    world.sign(third, COUNCIL, at=NOON - timedelta(days=2))
    assert shared(world) == ("rne",)


def test_a_narrowing_takes_over_to_the_millisecond_and_counts_from_then_only() -> None:
    """Before it neither both nor none of the two versions permits, and after it neither."""
    world = a_world(FIRST)
    second = a_text(2, "childId")
    world.agreement(second)
    world.sign(second, COUNCIL, at=NOON)
    rules = world.rules()
    for at, expected in ((AT - 1, 1), (AT, 2)):
        permits = [
            one.version
            for one in rules.candidates(COUNCIL, PLACEMENT)
            if isinstance(decide(an_event(), one, at=at), Permit)
        ]
        assert permits == [expected]
        assert [one.version for one in rules.candidates(COUNCIL, PLACEMENT, at=at)] == [expected]


@pytest.mark.parametrize("signer", [None, HEALTH])
def test_another_text_under_the_number_does_not_hide_a_narrowing(signer: str | None) -> None:
    """Whoever may write to the topic, or the other party, cannot undo it so."""
    world = a_world(FIRST)
    second = a_text(2, "childId")
    world.agreement(second)
    world.sign(second, COUNCIL)
    documents = World()
    over = a_text(2, "childId", "decom", "rne", "sex")
    documents.agreement(over)
    if signer is not None:
        documents.sign(over, signer)
    compiler = Compiler(shipped(), scheme_key=SCHEME.public, pseudonym_key=pseudonym_key)
    compiler.apply(world.documents)
    compiler.apply(documents.documents)
    (candidate,) = compiler.rules().candidates(COUNCIL, PLACEMENT, at=AT)
    decision = decide(an_event(), candidate, at=AT)
    assert isinstance(decision, Permit)
    assert decision.items == ("childId",)


def test_a_narrowing_ends_what_is_shared_with_those_that_it_leaves_out() -> None:
    """A recipient that is no longer in it gets nothing, whatever it says."""
    flow = a_flow(to=[HEALTH, SCHOOL])
    parties = [
        {"id": party, "role": "controller", "direction": "both"}
        for party in (COUNCIL, HEALTH, SCHOOL)
    ]
    world = a_world(an_agreement(flow, parties=parties))
    assert shared(world, recipient=SCHOOL) == ("childId", "placementPostcode", "decom")
    second = an_agreement(a_flow(), parties=parties, version=2)
    world.agreement(second)
    world.sign(second, COUNCIL)
    assert shared(world, recipient=SCHOOL) is None
    assert shared(world) == ("childId", "placementPostcode", "decom")


def test_a_narrowing_between_two_leaves_the_others_alone() -> None:
    """What a third party shares with them is for that party to say."""
    flows = [a_flow(id="one"), a_flow(id="two", to=[SCHOOL])]
    world = a_world(an_agreement(*flows))
    narrower = [a_flow(id="one", items=[{"path": "childId"}]), flows[1]]
    second = an_agreement(*narrower, version=2)
    world.agreement(second)
    world.sign(second, HEALTH)
    assert shared(world) == ("childId",)
    assert shared(world, recipient=SCHOOL) == ("childId", "placementPostcode", "decom")


def test_when_both_have_signed_a_narrowing_there_is_no_gap() -> None:
    """The second acceptance may be for later: until then it runs by the first."""
    world = a_world(FIRST)
    second = a_text(2, "childId")
    world.agreement(second)
    world.sign(second, COUNCIL)
    world.sign(second, HEALTH, effective_at=LATER)
    assert shared(world) == ("childId",)
    world.sign(FIRST, HEALTH, type="revoke", effective_at=LATER)
    assert shared(world) == Refusal.NOT_SIGNED, "what it agreed to before is taken back"


def test_a_narrowing_that_its_party_s_thief_made_shares_nothing() -> None:
    """The stolen acceptance is worth nothing, and what was superseded does not come back."""
    world = a_world(FIRST)
    second = a_text(2, "childId")
    world.agreement(second)
    world.sign(second, COUNCIL, at=NOON - timedelta(days=3))
    stolen = {"kid": world.rules().parties[COUNCIL].verifying_keys()[0].kid}
    since = (NOON - timedelta(days=4)).isoformat()
    world.party(COUNCIL, revision=2, stolen_keys=[stolen | {"stolen_from": since}])
    assert shared(world) == Refusal.NOT_SIGNED


def test_a_version_that_one_alone_signed_is_told_as_not_signed_where_it_widens() -> None:
    """It does not even become the version to look at."""
    world = a_world(FIRST)
    second = a_text(2, "childId", "decom", "rne", "sex")
    world.agreement(second)
    world.sign(second, COUNCIL)
    assert shared(world) == ("childId", "decom", "rne")


def test_an_event_type_that_is_not_in_the_catalogue_narrows_nothing() -> None:
    """What cannot be compared needs both."""
    unknown = a_flow(events=["uk.gov.unknown.v1"])
    first, second = an_agreement(unknown), an_agreement(a_flow() | unknown, version=2)
    world = World()
    for party in (COUNCIL, HEALTH):
        world.party(party)
    world.agree(first)
    world.agree(second, without=[HEALTH])
    (found,) = world.rules().candidates(COUNCIL, "uk.gov.unknown.v1", at=AT)
    assert found.version == 1
    assert isinstance(decide(an_event(), found, at=AT), Deny)

"""What a router keeps of the events that went through it is bounded."""

from itertools import product

import pytest
from deciding_world import a_flow, an_agreement
from routing_world import RoutingWorld, a_scheme_of, decisions

from agreements import views
from broker import delivering

OPTIONAL = ("nhsNumber", "upn", "sex", "homePostcode", "placementPostcode")
KEPT = 4


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> RoutingWorld:
    """Return a world with places for fewer patterns of what is withheld than there are."""
    monkeypatch.setattr(delivering, "_KEPT_DISCLOSURES", KEPT)
    monkeypatch.setattr(views, "_REMEMBERED", KEPT)
    items = [{"path": path, "justification": "A test's."} for path in ("childId", *OPTIONAL)]
    return RoutingWorld(a_scheme_of(an_agreement(a_flow(items=items))))


def test_more_patterns_of_disclosure_than_places_do_not_grow_what_is_kept(
    world: RoutingWorld,
) -> None:
    """Each event withholds other items; every record still says which."""
    for absent in product((False, True), repeat=len(OPTIONAL)):
        withheld = [path for path, is_absent in zip(OPTIONAL, absent, strict=True) if is_absent]
        (record,) = decisions(world.route(world.record(**dict.fromkeys(withheld))))
        assert set(record["candidates"][0]["withheld"]) == set(withheld)
        (way,) = world.router._deliveries._ways.values()
        assert 0 < len(way.told) <= KEPT


def test_after_too_many_patterns_the_next_ones_are_kept_again(
    world: RoutingWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a hostile publisher could make every later event slower, and told anew."""
    for absent in product((False, True), repeat=len(OPTIONAL)):
        withheld = [path for path, is_absent in zip(OPTIONAL, absent, strict=True) if is_absent]
        world.route(world.record(**dict.fromkeys(withheld)))
    world.route(world.record(upn=None, homePostcode=None))
    monkeypatch.setattr(delivering, "permitted_part", None)  # what is told anew would need it
    for _ in range(3):
        routed = world.route(world.record(upn=None, homePostcode=None))
        assert routed.tally == {"accepted": 1, "permit": 1}


def test_sealers_of_keys_that_went_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """They outlive the rules, so the keys of years would gather in them."""
    monkeypatch.setattr(delivering, "_KEPT_SEALERS", 2)
    world = RoutingWorld()
    world.router._deliveries._sealers |= {("gone", str(n)): None for n in range(9)}  # type: ignore[misc]
    assert world.route(world.record()).tally["permit"] == 1
    assert len(world.router._deliveries._sealers) == 1

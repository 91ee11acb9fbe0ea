"""When something of ours breaks: nothing is shared, nothing is lost, the stream goes on."""

from hashlib import sha256
from typing import Any

import pytest
from deciding_world import COUNCIL, HEALTH, SCHOOL, a_flow, an_agreement
from routing_world import (
    MARK,
    RoutingWorld,
    a_scheme_of,
    decisions,
    deliveries,
    in_clear,
    on,
    reason_of,
    reviews,
    sealing_key,
)

from agreements.views import View
from broker.delivering import Deliveries
from broker.routing import QUARANTINE, Router
from broker.subjects import Subjects
from schemas.keys import BadKey
from schemas.sealing import Sealer
from schemas.signing import Verifier


class Broken(Exception):
    """Something that nobody thought of, with a value in its text."""

    def __init__(self) -> None:
        super().__init__(MARK)


def break_once(patch: pytest.MonkeyPatch, where: type, name: str, error: type[Exception]) -> None:
    """Let the first call of a method raise; those after it work."""
    original = getattr(where, name)
    state = {"is_broken": False}

    def method(*arguments: Any, **named: Any) -> Any:
        if not state["is_broken"]:
            state["is_broken"] = True
            raise error
        return original(*arguments, **named)

    patch.setattr(where, name, method)


@pytest.mark.parametrize(
    ("where", "name"),
    [(Verifier, "verify"), (Subjects, "of"), (Router, "_record")],
)
@pytest.mark.parametrize("error", [Broken, MemoryError, RecursionError, KeyError])
def test_what_breaks_on_an_event_puts_that_event_into_quarantine(
    monkeypatch: pytest.MonkeyPatch, where: type, name: str, error: type[Exception]
) -> None:
    """The next event is delivered, and the broken one is decided when it comes again."""
    world = RoutingWorld()
    record, after = world.record(), world.record()
    break_once(monkeypatch, where, name, error)
    routed = world.route(record, after)
    (copy,) = on(QUARANTINE, routed)
    assert reason_of(copy) == f"unexpected-{error.__name__}"
    assert world.open_copy(copy).value == record.value
    assert in_clear(routed, MARK) == []
    assert len(deliveries(routed)) == len(decisions(routed)) == 1
    assert world.route(record).tally == {"accepted": 1, "permit": 1}


def test_an_error_of_ours_does_not_use_an_events_id_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An error with a code of ours leaves the id free as well."""
    world = RoutingWorld()
    record = world.record()
    break_once(monkeypatch, Router, "_record", _BadKey)
    assert world.quarantined(record) == ["bad-key"]
    assert world.route(record).tally == {"accepted": 1, "permit": 1}


class _BadKey(BadKey):
    def __init__(self) -> None:
        super().__init__("expected a key")


def test_nothing_of_an_event_goes_out_when_its_record_breaks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A delivery without its decision record cannot exist: all of an event, or none."""
    world = RoutingWorld()
    break_once(monkeypatch, Router, "_record", Broken)
    routed = world.route(world.record())
    assert [out.topic for out in routed.outgoing] == [QUARANTINE]
    assert routed.tally == {"accepted": 0, "quarantine:unexpected-Broken": 1}


TO_BOTH = (a_flow(), a_flow(id="to-school", to=[SCHOOL]))


@pytest.mark.parametrize(
    ("where", "name"), [(Deliveries, "deliver"), (Deliveries, "_way"), (Sealer, "seal")]
)
@pytest.mark.parametrize("error", [Broken, MemoryError, RecursionError, KeyError, BadKey])
def test_a_delivery_that_breaks_is_refused_to_its_recipient_alone(
    monkeypatch: pytest.MonkeyPatch, where: type, name: str, error: type[Exception]
) -> None:
    """The other recipient has its view, and the record says of each what it got."""
    world = RoutingWorld(a_scheme_of(an_agreement(*TO_BOTH)))
    record = world.record()
    break_once(monkeypatch, where, name, error)
    routed = world.route(record)
    assert routed.tally == {"accepted": 1, "permit": 1, "deny:deciding-failed": 1}
    (delivery,), (decision,) = deliveries(routed), decisions(routed)
    told = {candidate["recipient"]: candidate for candidate in decision["candidates"]}
    (refused,) = [candidate for candidate in told.values() if candidate["outcome"] == "deny"]
    (permitted,) = [candidate for candidate in told.values() if candidate["outcome"] == "permit"]
    assert (refused["reason"], refused["detail"]) == ("deciding-failed", error.__name__)
    assert (refused["items"], refused["sealed"], refused["key"]) == ([], b"", "")
    assert delivery.topic == f"deliveries.{permitted['recipient']}"
    assert permitted["sealed"] == sha256(delivery.value or b"").digest()
    assert in_clear(routed, MARK) == []
    assert world.route(world.record()).tally == {"accepted": 1, "permit": 2}


def test_a_recipient_without_a_sealing_key_costs_the_others_nothing() -> None:
    """Deciding again, as `explain` does, comes to the same; a new key ends it."""
    documents = a_scheme_of(an_agreement(*TO_BOTH))
    documents.party(HEALTH, sealing_keys=[], revision=2)
    world = RoutingWorld(documents)
    record = world.record()
    routed = world.route(record)
    assert routed.tally == {"accepted": 1, "permit": 1, "deny:deciding-failed": 1}
    assert [out.topic for out in deliveries(routed)] == [f"deliveries.{SCHOOL}"]
    told = {one["recipient"]: one["detail"] for one in decisions(routed)[0]["candidates"]}
    assert told == {HEALTH: "BadKey", SCHOOL: ""}
    world.router = world.a_router()
    (made_again,) = decisions(world.route(record))
    assert without_seals(made_again) == without_seals(decisions(routed)[0])
    documents.party(HEALTH, sealing_keys=[sealing_key(HEALTH).public.to_jwk()], revision=3)
    world.snapshot = type(world.snapshot)(documents.rules(), 11)
    assert world.route(world.record()).tally == {"accepted": 1, "permit": 2}


def without_seals(record: dict[str, Any]) -> dict[str, Any]:
    """Return a decision record as it comes out each time."""
    return record | {"candidates": [one | {"sealed": b""} for one in record["candidates"]]}


def test_a_view_that_is_too_large_is_refused_to_its_recipient_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Only transforms lengthen a view; nobody else's view is any larger for it."""
    items = [{"path": "childId"}, {"path": "placementProvider"}]
    flows = (a_flow(items=items), a_flow(id="to-school", to=[SCHOOL]))
    world = RoutingWorld(a_scheme_of(an_agreement(*flows)))
    monkeypatch.setattr(world.router, "_most_outgoing_bytes", 10_000)
    routed = world.route(world.record(placementProvider="x" * 12_000))
    assert routed.tally == {"accepted": 1, "permit": 1, "deny:deciding-failed": 1}
    told = {one["recipient"]: one["detail"] for one in decisions(routed)[0]["candidates"]}
    assert told == {HEALTH: "TooLarge", SCHOOL: ""}
    assert [out.topic for out in deliveries(routed)] == [f"deliveries.{SCHOOL}"]


def test_an_error_while_deciding_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Inside a decision an error is a refusal with a record, for that candidate alone."""
    world = RoutingWorld()
    break_once(monkeypatch, View, "cut", Broken)
    routed = world.route(world.record(), world.record())
    assert routed.tally == {"accepted": 2, "permit": 1, "deny:deciding-failed": 1}
    refused, permitted = decisions(routed)
    assert refused["candidates"][0]["detail"] == "Broken"
    assert permitted["candidates"][0]["outcome"] == "permit"
    assert in_clear(routed, MARK) == []


def test_a_seal_that_breaks_for_review_puts_the_event_into_quarantine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What a person should see is not lost on the way to them."""
    flow = a_flow(items=[{"path": "childId"}, {"path": "nhsNumber", "required": True}])
    world = RoutingWorld(a_scheme_of(an_agreement(flow)))
    record = world.record(nhsNumber=None)
    break_once(monkeypatch, Sealer, "seal", Broken)
    routed = world.route(record)
    assert routed.tally == {"accepted": 0, "quarantine:unexpected-Broken": 1}
    assert len(reviews(world.route(record))) == 1


def test_a_decision_record_that_would_be_too_large_stops_nothing() -> None:
    """So many flows that no record could hold what was decided: the event is set aside."""
    flows = [
        a_flow(id=f"flow-{number}", when=[{"item": "sex", "equals": "none", "otherwise": "deny"}])
        for number in range(150)
    ]
    world = RoutingWorld(a_scheme_of(an_agreement(*flows)), max_record_bytes=80_000)
    routed = world.route(world.record())
    assert [reason_of(copy) for copy in on(QUARANTINE, routed)] == ["too-large"]
    assert [out.topic for out in routed.outgoing] == [QUARANTINE]


def test_a_router_that_takes_over_knows_what_was_accepted() -> None:
    """What another router accepted, once read back, is a replay for this one too."""
    world = RoutingWorld()
    record = world.record()
    accepted = world.route(record).accepted
    world.router = world.a_router()
    for short in accepted:
        world.router.accepted.claim(short)
    assert world.quarantined(record) == ["replayed"]


def test_a_key_taken_out_of_use_verifies_nothing_more() -> None:
    """From the next batch on, although its signatures were verified and remembered before."""
    world = RoutingWorld()
    batch = world.records([{}, {}])
    assert world.route(batch[0]).tally["accepted"] == 1
    world.documents.party(COUNCIL, signing_keys=[], revision=2)
    world.snapshot = type(world.snapshot)(world.documents.rules(), 12)
    assert world.quarantined(batch[1]) == ["does-not-open"]

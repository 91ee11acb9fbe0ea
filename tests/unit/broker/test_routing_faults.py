"""When something of ours breaks: nothing is shared, nothing is lost, the stream goes on."""

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
from broker.routing import QUARANTINE
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
    [(Verifier, "verify"), (Subjects, "of"), (Deliveries, "deliver"), (Deliveries, "_way")],
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


def test_a_recipients_key_that_is_none_does_not_use_an_events_id_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An error with a code of ours, after the id was claimed, gives the id back as well."""
    world = RoutingWorld()
    record = world.record()
    break_once(monkeypatch, Deliveries, "deliver", _BadKey)
    assert world.quarantined(record) == ["bad-key"]
    assert world.route(record).tally == {"accepted": 1, "permit": 1}


class _BadKey(BadKey):
    def __init__(self) -> None:
        super().__init__("expected a key")


def test_nothing_of_an_event_goes_out_when_its_second_delivery_breaks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A delivery without its decision record cannot exist: all of an event, or none."""
    flows = (a_flow(), a_flow(id="to-school", to=[SCHOOL]))
    world = RoutingWorld(a_scheme_of(an_agreement(*flows)))
    world.route(world.record())
    original, calls = Deliveries.deliver, []

    def second_breaks(self: Deliveries, *arguments: Any, **named: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise Broken
        return original(self, *arguments, **named)

    monkeypatch.setattr(Deliveries, "deliver", second_breaks)
    routed = world.route(world.record())
    assert [out.topic for out in routed.outgoing] == [QUARANTINE]
    assert routed.tally == {"accepted": 0, "quarantine:unexpected-Broken": 1}


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


def test_a_recipient_without_a_sealing_key_is_sent_nothing() -> None:
    """The event waits in quarantine until the scheme has mended the party's document."""
    documents = a_scheme_of()
    documents.party(HEALTH, sealing_keys=[], revision=2)
    world = RoutingWorld(documents)
    record = world.record()
    routed = world.route(record)
    assert deliveries(routed) == []
    assert len(on(QUARANTINE, routed)) == 1
    documents.party(HEALTH, sealing_keys=[sealing_key(HEALTH).public.to_jwk()], revision=3)
    world.snapshot = type(world.snapshot)(documents.rules(), 11)
    assert world.route(record).tally == {"accepted": 1, "permit": 1}


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

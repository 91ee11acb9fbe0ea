"""What becomes of events that are in order: decided once, cut, sealed, recorded."""

import hmac
from collections import Counter
from hashlib import sha256
from typing import Any

import pytest
from deciding_world import (
    AGREEMENT,
    COUNCIL,
    HEALTH,
    PLACEMENT,
    SCHOOL,
    a_flow,
    an_agreement,
    decode,
    key_of,
)
from routing_world import (
    NOON_MS,
    RoutingWorld,
    a_scheme_of,
    decisions,
    deliveries,
    in_clear,
    on,
    reviews,
)

from broker.accepted import TOPIC as ACCEPTED
from broker.accepted import short_id
from broker.subjects import Subjects
from schemas.sealing import DoesNotOpen


@pytest.fixture
def world() -> RoutingWorld:
    """Return a scheme in which the council's placements reach the health provider."""
    return RoutingWorld()


def test_a_permitted_event_becomes_a_delivery_and_a_decision(world: RoutingWorld) -> None:
    """And its id is recorded as accepted, all in what one transaction appends."""
    routed = world.route(world.record())
    assert [out.topic for out in routed.outgoing] == [
        f"deliveries.{HEALTH}", "decisions", ACCEPTED,
    ]  # fmt: skip
    assert routed.tally == Counter({"accepted": 1, "permit": 1})


def test_the_delivery_holds_the_listed_items_and_no_others(world: RoutingWorld) -> None:
    """The view is a record of its own schema, which control has for the recipient."""
    (delivery,) = deliveries(world.route(world.record(homePostcode="S60 1AE")))
    (view,) = world.snapshot.rules.compile_views()
    framed = world.open_delivery(delivery, HEALTH)
    assert framed[2:10] == view.fingerprint
    assert set(decode(view.schema, framed)) == {"childId", "placementPostcode", "decom"}


def test_the_decision_names_the_delivery_by_its_digest(world: RoutingWorld) -> None:
    """Also event, schema, key, place, times, commitment, agreement and items."""
    record = world.record(event_id="0f6f6a58-7f0a-4a3e-9a0c-000000000001")
    routed = world.route(record)
    (delivery,), (decision,) = deliveries(routed), decisions(routed)
    (candidate,) = decision["candidates"]
    assert candidate["sealed"] == sha256(delivery.value or b"").digest()
    assert (decision["eventId"], decision["eventType"]) == (
        "0f6f6a58-7f0a-4a3e-9a0c-000000000001", PLACEMENT,
    )  # fmt: skip
    assert (decision["publisher"], decision["signingKey"]) == (COUNCIL, key_of(COUNCIL).kid)
    place = (decision["topic"], decision["partition"], decision["offset"])
    assert place == (record.topic, record.partition, record.offset)
    assert decision["rules"] == world.snapshot.position
    for name in ("decidedAt", "receivedAt", "occurredAt", "publishedAt"):
        assert decision[name].timestamp() * 1000 == NOON_MS
    told = (candidate["outcome"], candidate["recipient"], candidate["agreement"])
    assert told == ("permit", HEALTH, AGREEMENT)
    assert candidate["items"] == ["childId", "placementPostcode", "decom"]
    assert candidate["provider"]["conditions"][0] == "art6:e"


def test_the_subject_is_in_the_decision_blinded(world: RoutingWorld) -> None:
    """The primary identifier first, valid secondary ones after it, none in clear."""
    routed = world.route(world.record(childId="LAC7777", nhsNumber="9434765919", upn=None))
    (decision,) = decisions(routed)
    subjects = Subjects(world.keys.derive("audit"))
    assert decision["subjects"] == [
        subjects.blind("la-child-id", "LAC7777", publisher=COUNCIL),
        subjects.blind("nhs-number", "9434765919", publisher=COUNCIL),
    ]
    assert in_clear(routed, "LAC7777", "9434765919") == []


def test_a_secondary_identifier_that_is_bad_is_passed_over(world: RoutingWorld) -> None:
    """The event goes on; the identifier is not indexed."""
    (decision,) = decisions(world.route(world.record(nhsNumber="6101231234", upn="nonsense")))
    assert len(decision["subjects"]) == 1


def test_a_delivery_opens_for_its_recipient_alone(world: RoutingWorld) -> None:
    """With another party's key, or as if it were on another's topic, it does not open."""
    (delivery,) = deliveries(world.route(world.record()))
    with pytest.raises(DoesNotOpen):
        world.open_delivery(delivery, SCHOOL)
    with pytest.raises(DoesNotOpen):
        world.open_delivery(delivery._replace(topic=f"deliveries.{SCHOOL}"), HEALTH)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ce_id", b"0f6f6a58-7f0a-4a3e-9a0c-00000000ffff"),
        ("ce_type", b"uk.gov.csc.missing-episode.v1"),
        ("ce_dataschema", b"urn:concordat:schema:0000000000000000"),
        ("ce_agreementid", b"https://sharing.example.gov.uk/agreements/other"),
        ("ce_agreementversion", b"2"),
        ("ce_flowid", b"other"),
    ],
)
def test_a_delivery_with_another_header_does_not_open(
    world: RoutingWorld, name: str, value: bytes
) -> None:
    """Everything that is bound is checked by opening."""
    (delivery,) = deliveries(world.route(world.record()))
    headers = list((dict(delivery.headers) | {name: value}).items())
    with pytest.raises(DoesNotOpen):
        world.open_delivery(delivery._replace(headers=headers), HEALTH)


def two_recipients(**changes: Any) -> RoutingWorld:
    """Return a scheme with a flow to health and one to the school."""
    school = a_flow(
        id="to-school", to=[SCHOOL], items=[{"path": "upn"}, {"path": "childId"}], **changes
    )
    return RoutingWorld(a_scheme_of(an_agreement(a_flow(), school)))


def test_each_candidate_is_decided_and_told_of() -> None:
    """One decision record holds all candidates, each with its own outcome and digest."""
    world = two_recipients()
    routed = world.route(world.record())
    (decision,) = decisions(routed)
    digests = {out.topic: sha256(out.value or b"").digest() for out in deliveries(routed)}
    told = {f"deliveries.{one['recipient']}": one["sealed"] for one in decision["candidates"]}
    assert told == digests
    assert len(digests) == 2
    assert routed.tally == Counter({"permit": 2, "accepted": 1})


def test_one_refusal_takes_nothing_from_the_others() -> None:
    """A condition fails for the school; health gets its view."""
    world = two_recipients(
        when=[{"item": "localAuthority", "equals": "E06000001", "otherwise": "deny"}]
    )
    routed = world.route(world.record())
    assert [out.topic for out in deliveries(routed)] == [f"deliveries.{HEALTH}"]
    outcomes = {one["recipient"]: one["reason"] for one in decisions(routed)[0]["candidates"]}
    assert outcomes == {HEALTH: "", SCHOOL: "condition-not-met"}
    assert routed.tally == Counter({"permit": 1, "deny:condition-not-met": 1, "accepted": 1})


def test_two_recipients_cannot_join_what_they_received() -> None:
    """The record keys of one subject differ by recipient, and stay the same for each."""
    world = two_recipients()
    keys = [{out.topic: out.key for out in deliveries(world.route(world.record()))} for _ in "ab"]
    assert keys[0] == keys[1]
    assert len(set(keys[0].values())) == 2
    assert all(len(key or b"") == 16 for key in keys[0].values())
    subject = Subjects(world.keys.derive("audit")).blind(
        "la-child-id", "LAC0042", publisher=COUNCIL
    )
    expected = hmac.digest(world.keys.derive("delivery-key", HEALTH), subject, "sha256")[:16]
    assert keys[0][f"deliveries.{HEALTH}"] == expected


def test_an_event_that_nobody_may_have_is_decided_too(world: RoutingWorld) -> None:
    """No agreement names a recipient: one record says so, and nothing goes out."""
    world.snapshot = type(world.snapshot)(
        a_scheme_of(an_agreement(a_flow(to=[SCHOOL], **{"from": [HEALTH]}))).rules(), 9
    )
    routed = world.route(world.record())
    (decision,) = decisions(routed)
    (candidate,) = decision["candidates"]
    assert (candidate["outcome"], candidate["reason"]) == ("deny", "no-agreement")
    assert (candidate["recipient"], candidate["agreement"]) == ("", "")
    assert deliveries(routed) == []
    assert routed.tally == Counter({"deny:no-agreement": 1, "accepted": 1})


def test_a_review_keeps_a_sealed_copy_for_a_person() -> None:
    """The copy is the record as it came; its headers say what it waits for, and no value."""
    flow = a_flow(items=[{"path": "childId"}, {"path": "nhsNumber", "required": True}])
    world = RoutingWorld(a_scheme_of(an_agreement(flow)))
    record = world.record(nhsNumber="6101231234")
    routed = world.route(record)
    (review,) = reviews(routed)
    assert dict(review.headers)["reason"] == b"required-item-withheld"
    assert dict(review.headers)["recipient"] == HEALTH.encode()
    assert world.open_copy(review) == record
    (candidate,) = decisions(routed)[0]["candidates"]
    assert (candidate["outcome"], candidate["withheld"]) == (
        "review", {"nhsNumber": "invalid-identifier"},
    )  # fmt: skip
    assert deliveries(routed) == []
    assert in_clear(routed, "6101231234", "LAC0042") == []


def test_an_item_that_does_not_validate_is_withheld_and_told() -> None:
    """The delivery goes on without it."""
    flow = a_flow(items=[{"path": "childId"}, {"path": "nhsNumber"}])
    world = RoutingWorld(a_scheme_of(an_agreement(flow)))
    routed = world.route(world.record(nhsNumber="6101231234"))
    (view,) = world.snapshot.rules.compile_views()
    framed = world.open_delivery(deliveries(routed)[0], HEALTH)
    assert decode(view.schema, framed)["nhsNumber"] is None
    (candidate,) = decisions(routed)[0]["candidates"]
    assert candidate["withheld"] == {"nhsNumber": "invalid-identifier"}
    assert candidate["items"] == ["childId"]


def test_what_a_batch_accepts_is_recorded_with_it(world: RoutingWorld) -> None:
    """One record for the batch, under the partition's key."""
    records = world.records([{}, {}, {}])
    routed = world.route(*records)
    (accepted,) = on(ACCEPTED, routed)
    assert accepted.key == f"{records[0].topic}/0".encode()
    ids = [short_id(COUNCIL, dict(record.headers)["ce_id"]) for record in records]
    assert accepted.value == b"".join(ids)
    assert routed.accepted == ids


def test_a_batch_under_one_signature_is_routed_whole(world: RoutingWorld) -> None:
    """Each record proves its own place in the signed batch, in whatever order they come."""
    records = world.records([{} for _ in range(33)])
    routed = world.route(*records[::-1])
    assert routed.tally == Counter({"permit": 33, "accepted": 33})
    assert len({out.value for out in deliveries(routed)}) == 33


def test_events_of_several_publishers_do_not_mix(world: RoutingWorld) -> None:
    """Each topic's events are held against that publisher's keys, turn by turn."""
    mine = world.record()
    theirs = world.record(publisher=HEALTH)
    for record in (mine, theirs):
        assert world.route(record).tally["accepted"] == 1


def test_the_same_input_decides_the_same_in_another_router(world: RoutingWorld) -> None:
    """Nothing but seals differs: the decision does not depend on what was routed before."""
    record = world.record()
    first = decisions(world.route(record))[0]
    world.router = world.a_router()
    world.route(world.record(), world.record())
    second = decisions(world.route(record))[0]
    for decision in (first, second):
        decision["candidates"][0].pop("sealed")
    assert first == second


def test_a_suspended_publisher_is_refused_with_a_reason() -> None:
    """It is a decision, in evidence, and no quarantine: the event is in order."""
    documents = a_scheme_of()
    documents.party(COUNCIL, state="suspended", revision=2)
    world = RoutingWorld(documents)
    routed = world.route(world.record())
    assert routed.tally == Counter({"deny:party-suspended": 1, "accepted": 1})


def test_a_suspended_recipient_gets_nothing() -> None:
    """While the scheme does not let it take part."""
    documents = a_scheme_of()
    documents.party(HEALTH, state="suspended", revision=2)
    world = RoutingWorld(documents)
    assert world.route(world.record()).tally == Counter({"deny:party-suspended": 1, "accepted": 1})

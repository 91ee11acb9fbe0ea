"""An event is taken back: what the router leaves, who is told, and what evidence says."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from deciding_world import (
    AGREEMENT,
    COUNCIL,
    HEALTH,
    NOON,
    PLACEMENT,
    PURPOSE,
    SCHOOL,
    a_flow,
    an_agreement,
    key_of,
)
from hypothesis import given
from hypothesis import strategies as st
from routing_world import (
    NOON_MS,
    RoutingWorld,
    a_scheme_of,
    decisions,
    deliveries,
    on,
)

from broker.control import Snapshot
from broker.record_parts import PartsReader
from broker.retracting import Had, Retractor, to_tell
from broker.retraction import RETRACTIONS, BadRetraction, Retraction
from broker.routing import DECISIONS, Routed
from connectors.streams import Outgoing, Record
from schemas.errors import RejectedInput
from schemas.framing import unframe

TAKEN_BACK = "5f0c7a52-6a0e-5d3c-9a64-0d1f2b3c4d5e"
LATER_MS = NOON_MS + 86_400_000
BOTH = (
    a_flow(),
    a_flow(id="to-school", to=[SCHOOL]),
)
TO_HEALTH = Had(PLACEMENT, HEALTH, AGREEMENT, 1, "placement")
TO_SCHOOL = Had(PLACEMENT, SCHOOL, AGREEMENT, 1, "to-school")


def three_parties() -> dict[str, Any]:
    """Return an agreement under which the council tells health and a school."""
    return an_agreement(*BOTH) | {
        "parties": [
            {"id": name, "role": "controller", "direction": "both"}
            for name in (COUNCIL, HEALTH, SCHOOL)
        ]
    }


class Story:
    """A router, and an event of it that takes another back."""

    def __init__(self) -> None:
        self.world = RoutingWorld(a_scheme_of(three_parties()))
        self.retractor = Retractor(self.world.keys, self.world.catalogue)

    def retraction(self, headers: Mapping[str, bytes | None] | None = None) -> Retraction:
        """Route an event that takes one back; returns it as it lies on ``retractions``."""
        routed = self.world.route(self.world.record(headers=headers or taking_back()))
        (copy,) = on(RETRACTIONS, routed)
        return self.world.router.retractions.open(lying(copy))

    def tell(self, *told: Had, retraction: Retraction | None = None) -> Routed:
        """Tell some of a retraction, a day later."""
        return self.retractor.retract(
            retraction or self.retraction(), told, self.world.snapshot, at_ms=LATER_MS
        )


def taking_back(**headers: bytes) -> dict[str, bytes | None]:
    """Return the header that takes an event back, beside others."""
    return {"ce_retractsid": TAKEN_BACK.encode(), **headers}


def lying(copy: Outgoing, offset: int = 5) -> Record:
    """Return a copy as it lies on the topic."""
    return Record(RETRACTIONS, 0, offset, NOON_MS, copy.key, copy.value, copy.headers)


@pytest.fixture(scope="module")
def story() -> Story:
    """Return a story that no test changes."""
    return Story()


def test_the_router_leaves_a_copy_of_an_accepted_event_that_takes_one_back() -> None:
    """In its transaction: its decision record, with the two ids, sealed."""
    world = RoutingWorld()
    record = world.record(headers=taking_back())
    routed = world.route(record)
    (copy,), (decided,) = on(RETRACTIONS, routed), on(DECISIONS, routed)
    assert [name for name, _ in copy.headers] == ["event", "retracts"]
    assert (decided.value or b"") not in (copy.value or b"")
    opened = world.router.retractions.open(lying(copy))
    (decision,) = decisions(routed)
    assert opened.decision == decision
    assert (opened.retracts, opened.event_id) == (TAKEN_BACK, decision["eventId"])
    assert on(RETRACTIONS, world.route(record)) == []  # it is known already
    assert on(RETRACTIONS, world.route(world.record())) == []
    assert on(RETRACTIONS, world.route(world.record(headers=taking_back(ce_time=b"x")))) == []


def test_an_altered_copy_does_not_open() -> None:
    """Other ids, other bytes, other headers, or none of it."""
    world = RoutingWorld()
    (copy,) = on(RETRACTIONS, world.route(world.record(headers=taking_back())))
    sound = lying(copy)
    (_, event), (_, retracts) = copy.headers
    value = copy.value or b""
    for spoilt in (
        sound._replace(headers=[("event", retracts), ("retracts", event)]),
        sound._replace(headers=[("event", event), ("retracts", event)]),
        sound._replace(value=value[:-1] + bytes((value[-1] ^ 1,))),
        sound._replace(value=None),
    ):
        with pytest.raises(RejectedInput):
            world.router.retractions.open(spoilt)
    with pytest.raises(BadRetraction):
        world.router.retractions.open(sound._replace(headers=[*copy.headers, ("more", b"")]))
    stranger = RoutingWorld()
    stranger.keys = replace(stranger.keys, signing=(key_of(COUNCIL),))
    with pytest.raises(RejectedInput):
        stranger.a_router().retractions.open(sound)


def test_a_notice_says_which_event_was_taken_back_and_no_item(story: Story) -> None:
    """Of the retraction it has the id, the time and what it takes back."""
    secret = b"0a0b0c0d-0000-4000-8000-000000000001"
    retraction = story.retraction(headers=taking_back(ce_correlationid=secret, ce_sequence=b"7"))
    (notice,) = deliveries(story.tell(TO_HEALTH, retraction=retraction))
    said = dict(notice.headers)
    assert set(said) == {
        "ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "ce_dataschema",
        "ce_retractsid", "content-type",
        "ce_agreementid", "ce_agreementversion", "ce_flowid", "ce_purpose",
    }  # fmt: skip
    assert said["ce_retractsid"] == TAKEN_BACK.encode()
    assert said["ce_id"] == retraction.event_id.encode()
    assert (said["ce_agreementid"], said["ce_purpose"]) == (AGREEMENT.encode(), PURPOSE.encode())
    view = story.world.open_delivery(notice, HEALTH)
    fingerprint, start = unframe(view)
    assert view[start:] == b""
    assert fingerprint == story.retractor.view(PLACEMENT).fingerprint
    assert story.retractor.view(PLACEMENT).schema["fields"] == []


def test_the_record_of_notices_names_each_recipient_and_what_it_had(story: Story) -> None:
    """It is a later word on the retraction, under the type of what was taken back."""
    retraction = story.retraction()
    told = story.tell(TO_HEALTH, TO_SCHOOL, retraction=retraction)
    (record,) = decisions(told)
    same = ("eventId", "digest", "subjects", "topic", "partition", "offset", "signingKey")
    assert {name: record[name] for name in same} == {n: retraction.decision[n] for n in same}
    assert record["settles"] == {
        "suspension": "", "decidedAt": NOON, "partition": 0, "offset": 5,
    }  # fmt: skip
    assert [
        (one["outcome"], one["reason"], one["detail"], one["recipient"], one["flow"], one["items"])
        for one in record["candidates"]
    ] == [
        ("permit", "retracted", TAKEN_BACK, HEALTH, "placement", []),
        ("permit", "retracted", TAKEN_BACK, SCHOOL, "to-school", []),
    ]
    assert all(one["hash"] and one["sealed"] and one["key"] for one in record["candidates"])
    assert told.tally == {"retracted": 1, "permit": 2}
    (value,) = [out.value for out in on(DECISIONS, told)]
    parts = PartsReader().read(value or b"")
    assert parts.settles == ""
    assert [bool(seal) for _, seal in parts.candidates] == [True, True]


def test_who_cannot_be_told_is_on_record_and_the_others_are_told() -> None:
    """A recipient without a key, and a text that is not on control any more."""
    story = Story()
    retraction = story.retraction()
    story.world.documents.party(SCHOOL, sealing_keys=[])
    story.world.snapshot = Snapshot(story.world.documents.rules(), 9)
    gone = Had(PLACEMENT, HEALTH, "https://example.org/another", 3, "placement")
    told = story.tell(gone, TO_HEALTH, TO_SCHOOL, retraction=retraction)
    assert len(deliveries(told)) == 1
    (record,) = decisions(told)
    first, second, third = record["candidates"]
    assert (first["outcome"], first["reason"], first["hash"]) == ("deny", "no-agreement", b"")
    assert (first["agreement"], first["version"]) == ("https://example.org/another", 3)
    assert second["outcome"] == "permit"
    assert (third["outcome"], third["reason"]) == ("deny", "deciding-failed")
    assert third["recipient"] == SCHOOL
    assert {one["detail"] for one in record["candidates"]} == {TAKEN_BACK}


def test_a_notice_goes_out_under_an_agreement_that_has_ended() -> None:
    """Whoever was sent data is told that it counts no longer (UK GDPR Article 19)."""
    story = Story()
    for party in (COUNCIL, HEALTH, SCHOOL):
        story.world.documents.sign(three_parties(), party, type="revoke", at=NOON)
    story.world.snapshot = Snapshot(story.world.documents.rules(), 9)
    retraction = story.retraction()
    assert {one["outcome"] for one in retraction.decision["candidates"]} == {"deny"}
    told = story.tell(TO_HEALTH, TO_SCHOOL, retraction=retraction)
    assert [out.topic for out in deliveries(told)] == [
        f"deliveries.{HEALTH}", f"deliveries.{SCHOOL}",
    ]  # fmt: skip


def test_nothing_goes_out_when_there_is_nobody_to_tell(story: Story) -> None:
    """No record either: there is nothing to say."""
    assert story.tell() == Routed()


_HAD = st.builds(
    Had,
    st.just(PLACEMENT),
    st.sampled_from([HEALTH, SCHOOL]),
    st.sampled_from(["a", "b"]),
    st.integers(1, 3),
    st.sampled_from(["one", "two"]),
)


@given(st.lists(_HAD), st.lists(_HAD))
def test_exactly_those_are_told_who_had_it_and_do_not_know(
    had: Sequence[Had], got: Sequence[Had]
) -> None:
    """Each once for an agreement and flow, under the last version that it had it under."""

    def places(of: Sequence[Had]) -> set[tuple[str, str, str]]:
        return {(one.recipient, one.agreement, one.flow) for one in of}

    told = to_tell(had, got)
    assert places(told) == places(had) - places(got)
    assert len(told) == len(places(told))
    assert set(told) <= set(had)
    for one in told:
        same = [other.version for other in had if places([other]) == places([one])]
        assert one.version == max(same)
    assert told == sorted(told, key=lambda one: (one.recipient, one.agreement, one.flow))

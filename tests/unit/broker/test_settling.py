"""What a suspension holds, and what becomes of it once that has ended."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest
from deciding_world import (
    AGREEMENT,
    COUNCIL,
    HEALTH,
    NOON,
    PURPOSE,
    SCHOOL,
    a_flow,
    an_agreement,
)
from hypothesis import given
from hypothesis import strategies as st
from routing_world import NOON_MS, RoutingWorld, a_scheme_of, decisions, deliveries, on, reviews

from agreements.candidates import to_us
from broker.control import Snapshot
from broker.holding import HELD, Waiting
from broker.routing import QUARANTINE, Routed
from broker.settling import Settler
from connectors.streams import Batch, Record

AN_EVENT = "5f0c7a52-6a0e-5d3c-9a64-0d1f2b3c4d5e"
DAY = timedelta(days=1)
LIMIT = NOON - DAY + timedelta(days=14)
"""The suspension is signed a day before noon, and an agreement holds for two weeks."""


class Story:
    """A router whose agreement is suspended, and what it holds."""

    def __init__(self, document: Mapping[str, Any] | None = None) -> None:
        self.document = document or an_agreement()
        self.world = RoutingWorld(a_scheme_of(self.document))
        self.suspension = self.say("suspend", HEALTH, at=NOON - DAY)
        self.settler = Settler(self.world.router)

    def say(self, what: str, party: str, *, at: datetime, **said: Any) -> str:
        """Have a party say something of the agreement; returns the statement's id."""
        made = self.world.documents.sign(self.document, party, type=what, at=at, **said)
        self.know()
        return made

    def know(self) -> None:
        """Have the router go by all that is on control."""
        self.world.snapshot = Snapshot(
            self.world.documents.rules(), self.world.snapshot.position + 1
        )

    def resume(self, held: str = "release", *, at: datetime = NOON + DAY) -> None:
        """Have the party that suspended resume."""
        self.say("resume", HEALTH, at=at, lifts=self.suspension, held=held)

    def hold(self, **how: Any) -> Record:
        """Route an event that is held; returns its copy as it lies on ``held``."""
        routed = self.world.route(self.world.record(**how))
        (copy,) = on(HELD, routed)
        return Record(HELD, 0, 7, NOON_MS, copy.key, copy.value, copy.headers)

    def settle(
        self, *copies: Record, at: datetime = NOON + 2 * DAY, suspension: str = ""
    ) -> Routed:
        """Settle copies of the story's suspension."""
        return self.settler.settle(
            Batch(HELD, 0, copies, 99, 1),
            suspension or self.suspension,
            self.world.snapshot,
            at_ms=to_us(at) // 1000,
            partitions=1,
        )


@pytest.fixture
def story() -> Story:
    """Return a story of its own."""
    return Story()


def only(routed: Routed) -> dict[str, Any]:
    """Return the one candidate of the one decision record."""
    (decision,) = decisions(routed)
    (candidate,) = decision["candidates"]
    return dict(candidate)


def test_what_a_suspension_holds_is_kept_and_recorded(story: Story) -> None:
    """Nothing is shared, the copy says what it waits for, the record says hold."""
    routed = story.world.route(story.world.record(event_id=AN_EVENT))
    assert deliveries(routed) == reviews(routed) == []
    (copy,) = on(HELD, routed)
    said = {name: value.decode() for name, value in copy.headers}
    assert said == {
        "place": f"events.{COUNCIL}/0/1",
        "event": AN_EVENT,
        "recipient": HEALTH,
        "agreement": AGREEMENT,
        "version": "1",
        "flow": "placement",
        "suspension": story.suspension,
        "until": "2026-06-14T12:00:00.000Z",
        "decided": "2026-06-01T12:00:00.000Z",
    }
    told = only(routed)
    assert (told["outcome"], told["reason"], told["detail"]) == (
        "hold", "suspended", story.suspension,
    )  # fmt: skip
    assert decisions(routed)[0]["settles"] is None
    assert routed.tally == {"accepted": 1, "hold:suspended": 1}


def test_every_event_type_of_a_suspended_flow_is_held() -> None:
    """The second type of a flow is held as the first is."""
    types = ["uk.gov.csc.missing-episode.v1", "uk.gov.csc.cla-placement.v1"]
    story = Story(an_agreement(a_flow(events=types, items=[{"path": "childId"}])))
    for event_type in types:
        candidates = story.world.snapshot.rules.candidates(COUNCIL, event_type)
        assert [bool(one.suspensions) for one in candidates] == [True]


def test_what_is_released_is_delivered_under_the_rules_of_today(story: Story) -> None:
    """The delivery opens at the recipient; the record names the held copy and today's time."""
    copy = story.hold(event_id=AN_EVENT)
    story.resume()
    settled = story.settle(copy)
    (delivery,) = deliveries(settled)
    assert story.world.open_delivery(delivery, HEALTH)
    (decision,) = decisions(settled)
    assert decision["settles"] == {
        "suspension": story.suspension,
        "decidedAt": NOON,
        "partition": 0,
        "offset": 7,
    }
    assert (decision["eventId"], decision["offset"]) == (AN_EVENT, 1)
    assert decision["decidedAt"] == NOON + 2 * DAY
    assert decision["rules"] == story.world.snapshot.position
    assert only(settled)["outcome"] == "permit"
    assert settled.tally == {"settled": 1, "permit": 1}


def test_what_is_purged_is_denied_and_recorded(story: Story) -> None:
    """Nothing is delivered, and evidence says that it was purged, by which suspension."""
    copy = story.hold()
    story.resume("purge")
    settled = story.settle(copy)
    assert deliveries(settled) == []
    told = only(settled)
    assert (told["outcome"], told["reason"], told["detail"]) == (
        "deny", "purged", story.suspension,
    )  # fmt: skip
    assert (told["recipient"], told["flow"]) == (HEALTH, "placement")


@pytest.mark.parametrize("then", ["review", "deny"])
@pytest.mark.parametrize("is_lifted_late", [False, True])
def test_when_the_limit_passes_it_is_as_the_agreement_says(
    then: str,
    is_lifted_late: bool,  # noqa: FBT001  a case
) -> None:
    """A resume that comes after the limit changes nothing for what was held until then."""
    story = Story(an_agreement(suspension={"hold_for": "P14D", "then": then}))
    copy = story.hold()
    if is_lifted_late:
        story.resume(at=LIMIT + DAY)
    settled = story.settle(copy, at=LIMIT + 2 * DAY)
    assert deliveries(settled) == []
    told = only(settled)
    assert (told["outcome"], told["reason"]) == (then, "suspended")
    assert len(reviews(settled)) == (then == "review")


def test_what_is_refused_today_is_not_put_before_a_person() -> None:
    """The limit has passed and the agreement would have it reviewed, but it was revoked."""
    story = Story()
    copy = story.hold()
    story.say("revoke", COUNCIL, at=NOON)
    settled = story.settle(copy, at=LIMIT + DAY)
    assert reviews(settled) == []
    assert only(settled)["reason"] == "revoked"


def test_what_still_has_to_wait_goes_back_as_it_was(story: Story) -> None:
    """Settled too early, a copy is appended again with the same seal, and later settles."""
    copy = story.hold()
    settled = story.settle(copy)
    again, _ = settled.outgoing
    assert again == (HELD, copy.key, copy.value, copy.headers)
    assert settled.tally == {"held": 1}
    story.resume()
    assert len(deliveries(story.settle(copy._replace(offset=8)))) == 1


def test_what_was_revoked_meanwhile_is_not_released(story: Story) -> None:
    """Released is decided today: a revocation since then denies."""
    copy = story.hold()
    story.say("revoke", COUNCIL, at=NOON)
    story.resume()
    settled = story.settle(copy)
    assert deliveries(settled) == []
    assert only(settled)["reason"] == "revoked"


def test_what_another_party_suspended_too_waits_on_for_that(story: Story) -> None:
    """Released by one, it is held for the other, and settles when that one resumes."""
    copy = story.hold()
    other = story.say("suspend", COUNCIL, at=NOON)
    story.resume()
    settled = story.settle(copy)
    again, _ = on(HELD, settled)
    assert dict(again.headers)["suspension"].decode() == other
    assert only(settled)["outcome"] == "hold"
    assert decisions(settled)[0]["settles"]["suspension"] == story.suspension
    story.say("resume", COUNCIL, at=NOON + DAY, lifts=other, held="release")
    record = Record(HELD, 0, 9, NOON_MS, again.key, again.value, again.headers)
    assert len(deliveries(story.settle(record, suspension=other))) == 1


def test_a_hold_from_a_router_that_was_slow_is_settled_like_the_others(story: Story) -> None:
    """Held after the resume, by one that had not heard of it: it is released all the same."""
    story.resume(at=NOON - timedelta(hours=1))
    settled_rules = story.world.snapshot
    slow = Story()
    copy = slow.hold()
    assert slow.suspension == story.suspension
    story.world.snapshot = settled_rules
    assert len(deliveries(story.settle(copy))) == 1


def test_what_a_later_version_no_longer_shares_is_refused_under_its_own_name() -> None:
    """The flow is gone from the version that runs now: the record still names what it was."""
    story = Story()
    copy = story.hold()
    story.resume()
    to_school = a_flow(id="to-school", to=[SCHOOL])
    story.world.documents.agree(
        an_agreement(
            to_school, version=2, effective={"starts_at": "2026-06-02", "ends_at": "2028-04-01"}
        )
        | {
            "parties": [
                {"id": name, "role": "controller", "direction": "both"}
                for name in (COUNCIL, HEALTH, SCHOOL)
            ]
        }
    )
    story.know()
    settled = story.settle(copy)
    assert deliveries(settled) == []
    told = only(settled)
    assert told["outcome"] == "deny"
    assert (told["recipient"], told["agreement"], told["version"], told["flow"]) == (
        HEALTH, AGREEMENT, 1, "placement",
    )  # fmt: skip


def test_a_copy_that_was_copied_settles_once(story: Story) -> None:
    """The second goes to quarantine: nothing is delivered twice."""
    copy = story.hold()
    story.resume()
    settled = story.settle(copy, copy._replace(offset=8))
    assert len(deliveries(settled)) == 1
    assert settled.tally == {"settled": 1, "permit": 1, "quarantine:replayed": 1}
    assert len(deliveries(story.settle(copy._replace(offset=9)))) == 0


def test_what_waits_for_another_suspension_is_passed_over(story: Story) -> None:
    """And so is rubbish that names none: it is nobody's event."""
    copy = story.hold()
    story.resume()
    rubbish = copy._replace(headers=[], value=b"rubbish")
    settled = story.settle(copy, rubbish, suspension="0" * 64)
    assert settled.outgoing == []


def test_what_was_settled_is_passed_over_when_its_group_was_forgotten(story: Story) -> None:
    """A mark says how far it is settled; Kafka forgets groups that have long had no member."""
    copy = story.hold()
    story.resume()
    settled = story.settle(copy)
    (mark,) = on(HELD, settled)
    waiting = Waiting(story.world.router.copies)
    waiting.add(copy)
    lifted = {story.suspension: to_us(NOON + DAY)}
    assert waiting.due(lifted, to_us(NOON)) == frozenset()
    assert waiting.due(lifted, to_us(NOON + DAY)) == {story.suspension}
    assert waiting.due({}, to_us(LIMIT)) == frozenset()
    waiting.add(Record(HELD, 0, 100, NOON_MS, mark.key, mark.value, mark.headers))
    assert waiting.due(lifted, to_us(NOON + DAY)) == frozenset()
    # What came later by a slower router is behind the mark.
    waiting.add(copy._replace(offset=100))
    assert waiting.due(lifted, to_us(NOON + DAY)) == {story.suspension}
    before = waiting.settled_before(story.suspension, 0)
    assert before == 99
    # A settler that has forgotten, too, does nothing with what lies before it.
    forgetful = Settler(story.world.router)
    batch = Batch(HELD, 0, [copy], 99, 1)
    settled = forgetful.settle(
        batch, story.suspension, story.world.snapshot,
        at_ms=NOON_MS, partitions=1, settled_before=before,
    )  # fmt: skip
    assert settled.outgoing == []


@pytest.mark.parametrize("what", ["settled", "before", "value", "partition"])
def test_a_mark_that_anybody_changed_marks_nothing(story: Story, what: str) -> None:
    """Whoever may write to the topic cannot have what waits forgotten."""
    copy = story.hold()
    story.resume()
    (mark,) = on(HELD, story.settle(copy))
    changes = {"settled": b"0" * 64, "before": b"100"}
    headers = [(name, changes.get(name, value) if name == what else value)
               for name, value in mark.headers]  # fmt: skip
    value = (mark.value or b"")[:-1] + b"x" if what == "value" else mark.value
    partition = 1 if what == "partition" else 0
    waiting = Waiting(story.world.router.copies)
    waiting.add(Record(HELD, partition, 100, NOON_MS, mark.key, value, headers))
    for suspension in (story.suspension, "0" * 64):
        assert waiting.settled_before(suspension, partition) == 0


@given(st.data())
def test_a_copy_that_anybody_changed_does_not_settle(data: st.DataObject) -> None:
    """Any header, the seal, the key or the partition: it goes to quarantine, whole."""
    story = Story()
    copy = story.hold()
    story.resume()
    headers = dict(copy.headers)
    what = data.draw(st.sampled_from([*headers, "value", "key", "partition", "order"]))
    match what:
        case "value":
            place = data.draw(st.integers(0, len(copy.value or b"") - 1))
            value = bytearray(copy.value or b"")
            value[place] ^= 1
            changed = copy._replace(value=bytes(value))
        case "key":
            changed = copy._replace(key=b"another subject!")
        case "partition":
            changed = copy._replace(partition=1)
        case "order":
            changed = copy._replace(headers=list(reversed(copy.headers)))
        case _:
            other = {
                "suspension": story.suspension.encode(),
                "until": b"2026-06-14T12:00:00.001Z",
                "decided": b"2026-06-01T12:00:00.001Z",
                "version": b"2",
                "recipient": SCHOOL.encode(),
                "place": f"events.{COUNCIL}/0/2".encode(),
            }.get(what, headers[what] + b"x")
            changed = copy._replace(headers=list((headers | {what: other}).items()))
    settled = story.settle(changed)
    if changed == copy:
        assert len(deliveries(settled)) == 1
        return
    assert deliveries(settled) == []
    assert decisions(settled) == []
    assert len(on(QUARANTINE, settled)) == 1


def test_a_purpose_stays_what_it_was(story: Story) -> None:
    """What is settled tells purpose and law as a first decision does."""
    copy = story.hold()
    story.resume()
    told = only(story.settle(copy))
    assert told["purpose"] == PURPOSE
    assert told["provider"]["conditions"]

"""The checks of a decision as `explain` prints them, made by the functions that decide."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from deciding_world import (
    AGREEMENT,
    COUNCIL,
    HEALTH,
    NOON,
    PLACEMENT,
    World,
    a_flow,
    a_world,
    an_agreement,
    an_event,
    subject_of,
)

from agreements.candidates import from_us, to_us
from agreements.checking import CHECKS
from agreements.deciding import CheckResult, Deny, Refusal, checks, decide, decide_at
from agreements.opened import OpenedEvent

AT = to_us(NOON)
ORDER = [
    "candidate",
    "signed",
    "not-revoked",
    "latest",
    "in-force",
    "not-suspended",
    "parties",
    "assurance",
    "schema",
    "legal",
    "purpose",
    "age",
    "objection",
    "opt-out",
    "consent",
    "conditions",
    "items",
]


def _told(
    world: World, event: OpenedEvent | None = None, *, at: datetime = NOON
) -> dict[str, CheckResult]:
    (candidate,) = world.rules().candidates(COUNCIL, PLACEMENT, at=to_us(at))
    return {one.code: one for one in checks(event or an_event(), candidate, to_us(at))}


def test_the_order_of_the_checks_is_the_one_that_is_documented() -> None:
    """The codes and their order are part of what auditors read: neither changes silently."""
    assert [check.code for check in CHECKS] == ORDER
    assert list(_told(a_world())) == ORDER


def test_every_check_of_a_permit_says_what_it_compared() -> None:
    """Figures are JSON values, the sentence names them."""
    flow = a_flow(when=[{"item": "localAuthority", "equals": "E08000018"}], max_age="P2D")
    world = a_world(an_agreement(flow))
    told = _told(world)
    sha256 = subject_of(an_agreement(flow)).sha256
    assert told["candidate"].figures == {
        "agreement": AGREEMENT,
        "version": 1,
        "sha256": sha256,
        "flow": "placement",
        "event_type": PLACEMENT,
        "publisher": COUNCIL,
        "recipient": HEALTH,
    }
    assert told["candidate"].text == (
        f"flow placement of {AGREEMENT} version 1 takes {PLACEMENT} from {COUNCIL} to {HEALTH}"
    )
    since = "2026-05-02T12:00:00Z"
    assert told["signed"].figures == {
        "signed_from": since,
        "unsigned": [],
        "inherited": [],
        "sha256": sha256,
    }
    assert told["signed"].text == (
        f"both have accepted this text (SHA-256 {sha256[:12]}…) since {since}"
    )
    assert told["not-revoked"].figures == {"revoked_by": []}
    assert told["not-revoked"].text == "neither has revoked it"
    assert told["latest"].figures == {"version": 1, "superseded_from": None}
    assert told["latest"].text == "version 1 is the latest that both have accepted"
    assert told["in-force"].figures == {
        "starts_at": "2026-04-01T00:00:00Z",
        "ends_at": "2028-04-01T00:00:00Z",
        "decided_at": "2026-06-01T12:00:00Z",
    }
    assert told["in-force"].text == (
        "in force from 2026-04-01T00:00:00Z until 2028-04-01T00:00:00Z, "
        "decided at 2026-06-01T12:00:00Z"
    )
    assert told["parties"].text == "both take part in the scheme"
    assert told["parties"].figures == {"inactive": []}
    assert told["schema"].figures == {"revision": 1, "min": 1, "max": None}
    assert told["schema"].text == "the event has revision 1; covered: 1 and later"
    assert told["legal"].figures["provider"]["art6"] == "e"
    assert told["legal"].figures["recipient"]["art9"] == ["g"]
    assert told["legal"].figures["incomplete"] == []
    assert told["legal"].text == "complete on both sides"
    assert told["purpose"].figures == {"purpose": "coordinate-care", "held": True}
    assert told["purpose"].text == f"{HEALTH} holds the purpose coordinate-care"
    assert told["age"].figures == {"age_seconds": 10800.0, "max_age": "P2D"}
    assert told["age"].text == "occurred 3:00:00 before the decision; at most P2D"
    assert told["objection"].figures == {"stands": False}
    assert told["opt-out"].figures == {"beyond_individual_care": False}
    assert told["consent"].figures == {"relies_on_consent": False}
    assert told["conditions"].figures == {
        "conditions": [
            {
                "clause": "when[0]",
                "text": "localAuthority equals E08000018",
                "otherwise": "deny",
                "holds": True,
            }
        ]
    }
    assert told["conditions"].text == "localAuthority equals E08000018"
    assert told["items"].figures == {
        "items": ["childId", "placementPostcode", "decom"],
        "transforms": {},
        "withheld": {},
        "required": [],
    }
    assert told["items"].text == "3 of 3 items are disclosed"


def test_a_version_that_one_alone_signed_is_told_as_such() -> None:
    """Nobody is said to have accepted what it has not."""
    world = a_world()
    narrower = an_agreement(a_flow(items=[{"path": "childId"}]), version=2)
    world.agree(narrower, without=[HEALTH])
    told = _told(world)["signed"]
    assert told.text.startswith("one has accepted this text (SHA-256 ")
    assert told.text.endswith(f"; it only narrows what {HEALTH} accepted before")
    assert told.figures["inherited"] == [HEALTH]


def test_suspensions_and_revocations_to_come_are_told() -> None:
    """With who said so, and until when what comes is held."""
    world = a_world()
    name = world.sign(an_agreement(), HEALTH, type="suspend", at=NOON - timedelta(days=13))
    told = _failed(world, "not-suspended")
    assert told.text == f"suspended by {HEALTH}; events are held until 2026-06-02T12:00:00Z"
    assert told.figures == {
        "suspensions": [
            {
                "id": name,
                "party": HEALTH,
                "held_until": "2026-06-02T12:00:00Z",
                "then": "review",
            }
        ]
    }
    late = _failed(world, "not-suspended", at=NOON + timedelta(days=1))
    assert late.text.endswith(
        "they were held until 2026-06-02T12:00:00Z, now the outcome is review"
    )
    world.sign(an_agreement(), COUNCIL, type="suspend", at=NOON - timedelta(days=12))
    assert _failed(world, "not-suspended").text.startswith(f"suspended by {HEALTH} and {COUNCIL};")
    assert _told(a_world())["not-suspended"].text == "no suspension stands"
    coming = a_world()
    coming.sign(an_agreement(), HEALTH, type="revoke", effective_at=NOON + timedelta(hours=1))
    revoked = _told(coming)["not-revoked"]
    assert revoked.text == f"{HEALTH} revokes it at 2026-06-01T13:00:00Z"
    assert revoked.figures == {"revoked_by": []}


def test_assurances_are_told_with_their_ends() -> None:
    """Of each that the flow requires; one that is not held at the moment says so."""
    world = a_world(an_agreement(a_flow(requires=["dspt", "iso-27001"])))
    held = {"kind": "dspt", "valid_from": "2026-05-01", "valid_until": "2026-06-30"}
    world.party(HEALTH, revision=2, assurances=[held])
    told = _failed(world, "assurance")
    assert told.text == (
        f"{HEALTH}: dspt until 2026-07-01T00:00:00Z, iso-27001 is not held at this moment"
    )
    assert told.figures == {
        "required": ["dspt", "iso-27001"],
        "held_until": {"dspt": "2026-07-01T00:00:00Z", "iso-27001": None},
    }
    assert _told(a_world())["assurance"].text == "the flow requires no assurance"


def test_who_joins_late_or_leaves_early_is_told() -> None:
    """The bounds are those of the pair, and it is said whose they are."""
    roles = [
        {"id": COUNCIL, "role": "controller", "direction": "both", "left_on": "2027-01-01"},
        {"id": HEALTH, "role": "controller", "direction": "both", "joined_on": "2026-05-01"},
    ]
    told = _told(a_world(an_agreement(parties=roles)))["in-force"]
    assert told.text == (
        "in force from 2026-05-01T00:00:00Z until 2027-01-01T00:00:00Z, decided at"
        f" 2026-06-01T12:00:00Z; {COUNCIL} leaves on 2027-01-01; {HEALTH} joined on 2026-05-01"
    )


def _failed(world: World, code: str, **more: Any) -> CheckResult:
    result = _told(world, **more)[code]
    assert result.state == "failed"
    return result


def test_a_check_that_failed_says_why() -> None:
    """Each failing check names the clause, the party or the time that decided."""
    assert _failed(a_world(without=[HEALTH]), "signed").text == f"not accepted by {HEALTH}"
    early = _failed(a_world(), "signed", at=NOON - timedelta(days=31))
    assert early.text.endswith("since 2026-05-02T12:00:00Z, which is later than the decision")
    revoked = a_world()
    revoked.sign(an_agreement(), HEALTH, type="revoke")
    assert _failed(revoked, "not-revoked").text == f"revoked by {HEALTH}"
    suspended = a_world()
    suspended.party(HEALTH, revision=2, state="suspended")
    assert _failed(suspended, "parties").text == f"the scheme does not let {HEALTH} take part"
    incomplete = a_world(an_agreement(a_flow(items=[{"path": "placementPostcode"}])))
    assert _failed(incomplete, "legal").text == "incomplete: justification-missing"
    lacking = a_world()
    lacking.party(HEALTH, revision=2, purposes=[])
    assert _failed(lacking, "purpose").text == f"{HEALTH} does not hold the purpose coordinate-care"
    covered = a_world(an_agreement(a_flow(schemas={"min": 2, "max": 4})))
    assert _failed(covered, "schema").text == "the event has revision 1; covered: 2 to 4"
    objecting = a_world()
    objecting.objection("1", subject=b"child".hex())
    assert _failed(objecting, "objection").text == "an objection of the subject stands"


def test_a_version_that_will_be_or_was_superseded_says_when() -> None:
    """A later version that both have accepted takes over at its start."""
    world = a_world()
    later = {"starts_at": "2026-07-01", "ends_at": "2028-04-01"}
    world.agree(an_agreement(version=2, effective=later))
    assert _told(world)["latest"].text == "a later version takes over at 2026-07-01T00:00:00Z"
    first, _ = world.rules().candidates(COUNCIL, PLACEMENT)
    at = to_us(datetime.fromisoformat("2026-07-01T00:00:00Z"))
    event = an_event(occurred_at=from_us(at))
    told = {one.code: one for one in checks(event, first, at)}
    assert told["latest"].state == "failed"
    assert told["latest"].text == "a later version took over at 2026-07-01T00:00:00Z"


def test_opt_outs_and_consent_are_told_where_they_count() -> None:
    """A flow beyond individual care asks for opt-outs, one on consent for its withdrawal."""
    purposes = [
        {"code": "coordinate-care", "text": "x", "necessity": "x", "beyond_individual_care": True}
    ]
    world = a_world(an_agreement(a_flow(items=[{"path": "nhsNumber"}]), purposes=purposes))
    assert _told(world)["opt-out"].text == "the subject has not opted out"
    world.objection("1", subject=b"child".hex(), kind="opt-out")
    failed = _failed(world, "opt-out")
    assert failed.text == "the subject has opted out"
    assert failed.figures == {"beyond_individual_care": True, "stands": True}
    (candidate,) = a_world().rules()
    relying = replace(candidate, relies_on_consent=True)
    told = {one.code: one for one in checks(an_event(), relying, AT)}
    assert told["consent"].text == "consent was not withdrawn"
    assert told["consent"].figures == {"relies_on_consent": True, "withdrawn": False}
    world = a_world()
    world.objection("1", subject=b"child".hex(), kind="consent-withdrawn")
    (candidate,) = world.rules()
    relying = replace(candidate, relies_on_consent=True)
    told = {one.code: one for one in checks(an_event(), relying, AT)}
    assert told["consent"].state == "failed"
    assert told["consent"].text == "consent was withdrawn"


def test_conditions_are_told_up_to_the_first_that_does_not_hold() -> None:
    """What was not asked is told as not asked."""
    when = [
        {"item": "sex", "in": ["1", "2"]},
        {"item": "rec", "present": True, "otherwise": "review"},
        {"item": "upn", "present": False},
    ]
    told = _failed(a_world(an_agreement(a_flow(when=when))), "conditions")
    assert told.text == "when[1] does not hold: rec is present"
    assert [row["holds"] for row in told.figures["conditions"]] == [True, False, None]
    assert [row["text"] for row in told.figures["conditions"]] == [
        "sex in 1, 2",
        "rec is present",
        "upn is absent",
    ]


def test_a_withheld_item_that_was_required_is_told_with_its_reason() -> None:
    """The reason is the code, never the value."""
    items = [{"path": "childId"}, {"path": "urn", "required": True}]
    event = an_event(urn="MARKED-VALUE")
    told = _told(a_world(an_agreement(a_flow(items=items))), event)
    assert told["items"].text == "urn is required and was withheld: invalid-identifier"
    assert told["items"].figures["required"] == ["urn"]
    assert "MARKED" not in repr(told)


def test_after_the_first_failure_nothing_is_told_but_the_question() -> None:
    """What was not reached was not looked at."""
    told = list(_told(a_world(without=[HEALTH])).values())
    assert [one.state for one in told] == ["passed", "failed", *["not-reached"] * 15]
    assert {(one.text, tuple(one.figures)) for one in told[2:]} == {("", ())}
    assert all(one.question.endswith("?") for one in told)


def test_an_error_inside_a_check_is_told_as_a_refusal() -> None:
    """By its type: its text could hold a value."""
    (candidate,) = a_world(an_agreement(a_flow(when=[{"item": "sex", "equals": "2"}]))).rules()
    event = an_event()
    event.data = b""
    event.offsets = [0] * 3
    failed = next(one for one in checks(event, candidate, AT) if one.state == "failed")
    assert failed.code == "conditions"
    assert failed.text == "this could not be decided (IndexError), so it is refused"
    assert failed.failure is not None
    assert failed.failure.reason is Refusal.DECIDING_FAILED
    assert failed.failure.detail == "IndexError"
    decision = decide(event, candidate, at=AT)
    assert isinstance(decision, Deny)
    assert (decision.reason, decision.detail) == (Refusal.DECIDING_FAILED, "IndexError")


def test_the_public_wrapper_takes_an_aware_time() -> None:
    """Inside the engine times are numbers."""
    (candidate,) = a_world().rules()
    assert decide_at(an_event(), candidate, at=NOON) == decide(an_event(), candidate, at=AT)
    with pytest.raises(TypeError):
        decide_at(an_event(), candidate, at=NOON.replace(tzinfo=None))


def test_times_go_to_microseconds_and_back() -> None:
    """Nothing is lost, before 1970 neither."""
    for moment in (
        NOON,
        NOON + timedelta(microseconds=1),
        datetime.fromisoformat("1901-02-03T00:00:00Z"),
    ):
        assert from_us(to_us(moment)) == moment

"""Where traffic departs from the agreements: each finding, and when there is none."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest
from deciding_world import (
    AGREEMENT,
    COUNCIL,
    HEALTH,
    NOON,
    PLACEMENT,
    PURPOSE,
    World,
    a_flow,
    a_world,
    an_agreement,
)

from agreements.candidates import to_us
from agreements.drift import Finding, Traffic, findings
from agreements.gain_figures import Happened

MONTH = timedelta(days=30)
SIGNED = NOON - timedelta(days=60)


def happened(outcome: str = "permit", reason: str = "", **changes: Any) -> Happened:
    """Build what a decision record says: the usual flow, permitted, unless told otherwise."""
    return Happened(
        **{
            "agreement": AGREEMENT,
            "version": 1,
            "flow": "placement",
            "recipient": HEALTH,
            "outcome": outcome,
            "reason": reason,
            "detail": "",
            "items": ("childId", "placementPostcode", "decom") if outcome == "permit" else (),
            "transforms": (),
            "withheld": (),
            **changes,
        }
    )


def look(
    *told: tuple[Happened, int, datetime],
    world: World | None = None,
    since: datetime | None = None,
    settles: bool = False,
) -> list[Finding]:
    """Return the findings at noon; each of ``told`` happened to so many events at that time."""
    traffic = Traffic()
    number = 0
    for one, events, at in told:
        for _ in range(events):
            number += 1
            traffic.add(
                f"event-{number}",
                publisher=COUNCIL,
                event_type=PLACEMENT,
                decided_at_ms=to_us(at) // 1000,
                candidates=(one,),
                settles=settles,
            )
    traffic.settle()
    return findings(
        traffic,
        (world or a_world()).rules(),
        at_us=to_us(NOON),
        since_us=0 if since is None else to_us(since),
        unused=MONTH,
    )


def old_world(document: Mapping[str, Any] | None = None) -> World:
    """Build a scheme whose agreement has been signed for two months."""
    text = document or an_agreement()
    world = a_world(text, without=[party["id"] for party in text["parties"]])
    for party in text["parties"]:
        world.sign(text, party["id"], at=SIGNED)
    return world


def codes(found: list[Finding]) -> list[str]:
    """Return the codes, in order."""
    return [finding.code for finding in found]


RECENT = NOON - timedelta(days=1)
LONG_AGO = NOON - timedelta(days=40)


def test_traffic_as_agreed_gives_no_finding() -> None:
    """Permits of late with every item."""
    assert look((happened(), 20, RECENT), world=old_world()) == []


def test_a_flow_through_which_nothing_came_is_unused() -> None:
    """No event at all, or none for a month: the publisher is who to ask."""
    (never,) = look(world=old_world())
    assert (never.code, never.flow, never.recipient) == ("flow-unused", "placement", HEALTH)
    assert "no such event came" in never.text
    assert COUNCIL in never.remedy
    (once,) = look((happened(), 20, LONG_AGO), world=old_world())
    assert "since 22 April 2026" in once.text


def test_a_flow_that_lets_nothing_through_is_unused_and_says_by_what() -> None:
    """The condition in words, and an event to look at."""
    world = old_world(an_agreement(a_flow(when=[{"item": "rec", "equals": "E11"}])))
    refused = happened("deny", "condition-not-met", detail="when[0]")
    found = look((refused, 12, RECENT), world=world)
    assert codes(found) == ["condition-never-holds", "flow-unused"]
    assert 'rec is "E11"' in found[1].text
    assert found[1].examples[0] == "event-1"


def test_what_kept_events_back_long_ago_is_not_why_nothing_comes_now() -> None:
    """No event of late is what has to be asked about."""
    refused = happened("deny", "condition-not-met", detail="when[0]")
    (finding,) = look((refused, 5, LONG_AGO), world=old_world())
    assert "no such event came" in finding.text


def test_a_flow_that_is_new_or_not_looked_at_for_long_is_not_called_unused() -> None:
    """Signed three weeks ago; or seen for a week only."""
    text = an_agreement()
    young = a_world(text, without=[HEALTH])
    young.sign(text, HEALTH, at=NOON - timedelta(days=21))
    assert look(world=young) == []
    assert look(world=old_world(), since=NOON - timedelta(days=7)) == []


def test_an_agreement_that_is_not_in_force_has_no_unused_flows() -> None:
    """Nothing can flow that nobody agreed to, or that has been revoked."""
    text = an_agreement()
    assert look(world=a_world(text, without=[HEALTH])) == []
    revoked = old_world()
    revoked.sign(text, HEALTH, type="revoke", at=LONG_AGO)
    assert look(world=revoked) == []


def test_an_item_that_no_event_has_is_of_no_use() -> None:
    """Less is needed than was agreed on, or the publisher leaves something out."""
    lacking = happened(items=("childId", "decom"), withheld=(("placementPostcode", "absent"),))
    (finding,) = look((lacking, 10, RECENT), world=old_world())
    assert (finding.code, finding.place) == ("item-never-present", "placementPostcode")
    assert look((lacking, 9, RECENT), world=old_world()) == []
    assert look((lacking, 10, RECENT), (happened(), 1, RECENT), world=old_world()) == []


def test_an_item_that_is_always_withheld_is_told_with_its_reasons() -> None:
    """Someone sends it and it never arrives."""
    bad = happened(
        items=("childId", "decom"), withheld=(("placementPostcode", "invalid-identifier"),)
    )
    absent = bad._replace(withheld=(("placementPostcode", "absent"),))
    (finding,) = look((bad, 6, RECENT), (absent, 6, RECENT), world=old_world())
    assert finding.code == "item-always-withheld"
    assert "absent, invalid-identifier" in finding.text


def test_a_condition_that_something_met_holds() -> None:
    """It was met where a later condition, or a missing item, kept the event back."""
    when = [{"item": "rec", "equals": "E11"}, {"item": "sex", "equals": "1"}]
    world = old_world(an_agreement(a_flow(when=when)))
    first = happened("deny", "condition-not-met", detail="when[0]")
    second = first._replace(detail="when[1]")
    found = look((first, 20, RECENT), (second, 20, RECENT), world=world)
    assert [one.place for one in found if one.code == "condition-never-holds"] == ["when[1]"]
    lacking = happened("review", "required-item-withheld", detail="childId")
    found = look((second, 20, RECENT), (lacking, 1, RECENT), world=world)
    assert "condition-never-holds" not in codes(found)


def test_events_that_nobody_receives_suggest_an_agreement() -> None:
    """They are published, and no agreement names a recipient."""
    nobody = happened("deny", "no-agreement", recipient="", agreement="", flow="", version=0)
    found = look((nobody, 3, RECENT), (happened(), 1, RECENT), world=old_world())
    (finding,) = found
    assert (finding.code, finding.agreement, finding.events) == ("no-agreement", "", 3)
    assert "simulate" in finding.remedy


@pytest.mark.parametrize(
    ("reason", "detail", "code"),
    [
        ("purpose-not-held", "another-purpose", "purpose-not-held"),
        ("schema-not-covered", "7", "schema-not-covered"),
        ("legal-basis-incomplete", "art9-missing", "legal-basis-incomplete"),
        ("too-old", "P2D", "sent-too-late"),
        ("assurance-lapsed", "dspt", "assurance-lapsed"),
    ],
)
def test_refusals_that_somebody_can_mend_are_told(reason: str, detail: str, code: str) -> None:
    """As long as what is in force would refuse again."""
    world = old_world(an_agreement(a_flow(schemas={"max": 6}, purpose="another-purpose")))
    found = look(
        (happened("deny", reason, detail=detail), 2, RECENT), (happened(), 1, RECENT), world=world
    )
    told = {finding.code: finding for finding in found}
    if reason == "legal-basis-incomplete":
        assert code not in told  # the text in force has what was missing
        return
    assert told[code].events == 2
    assert detail in told[code].text
    assert told[code].remedy


def test_refusals_that_are_mended_are_not_told() -> None:
    """The party has signed since, the purpose is registered, the revision covered."""
    found = look(
        (happened("deny", "not-signed", detail=HEALTH), 5, LONG_AGO),
        (happened("deny", "expired"), 5, LONG_AGO),
        (happened("deny", "purpose-not-held", detail=PURPOSE), 5, LONG_AGO),
        (happened("deny", "schema-not-covered", detail="1"), 5, LONG_AGO),
        (happened(), 1, RECENT),
        world=old_world(),
    )
    assert found == []


def test_an_agreement_that_waits_for_a_signature_says_for_whose() -> None:
    """With how much waits for it."""
    text = an_agreement()
    refused = happened("deny", "not-signed", detail=HEALTH)
    (finding,) = look((refused, 4, RECENT), world=a_world(text, without=[HEALTH]))
    assert (finding.code, finding.events) == ("waits-for-signatures", 4)
    assert HEALTH in finding.remedy


def test_a_flow_that_runs_far_more_than_before_is_told() -> None:
    """Three times as much as in the weeks before, and not for a handful of events."""
    before = [(happened(), 2, NOON - timedelta(days=days)) for days in range(8, 40)]
    late = [(happened(), 20, NOON - timedelta(days=days)) for days in range(3)]
    (finding,) = look(*before, *late, world=old_world())
    assert finding.code == "flow-surge"
    assert "8.6 a day" in finding.text
    assert look(*before, (happened(), 9, RECENT), world=old_world()) == []
    assert look(*before[:3], *late, world=old_world()) == []  # too short a time before


def test_what_settles_a_hold_is_a_later_word_on_the_same_event() -> None:
    """It counts as a permit and not as another event of its type."""
    traffic = Traffic()
    held = happened("hold", "suspended", detail="id")
    for one, settles in ((held, False), (happened(), True)):
        traffic.add(
            "event-1",
            publisher=COUNCIL,
            event_type=PLACEMENT,
            decided_at_ms=to_us(RECENT) // 1000,
            candidates=(one,),
            settles=settles,
        )
    traffic.settle()
    assert traffic.types[COUNCIL, PLACEMENT].events == 1
    ((way, version),) = traffic.ways
    assert (way.recipient, version) == (HEALTH, 1)
    assert traffic.ways[way, version].permits == 1


def test_every_finding_says_where_and_what_to_do() -> None:
    """The form of ``--json``: the same fields for each."""
    found = look((happened("deny", "too-old", detail="P2D"), 2, RECENT), world=old_world())
    told = [finding.to_json() for finding in found]
    assert {tuple(one) for one in told} == {tuple(told[0])}
    for one in told:
        assert one["text"].endswith(".")
        assert one["remedy"]
        assert one["publisher"] == COUNCIL

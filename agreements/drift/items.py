"""Items that never come, or never through, and conditions that nothing meets."""

from collections.abc import Iterator, Mapping
from typing import Final

from agreements.candidates import Candidate
from agreements.checking import Refusal
from agreements.cutting import ABSENT
from agreements.drift.finding import LEAST_EVENTS, PLACES, Finding, counted, finding_on, says
from agreements.drift.traffic import Refused, WayTraffic
from agreements.words import condition


def useless_items(candidate: Candidate, own: WayTraffic) -> Iterator[Finding]:
    """Tell of items that no delivery had."""
    if own.permits < LEAST_EVENTS or candidate.flow.delivery != "payload":
        return
    for item in candidate.flow.items:
        if item.transform == "drop" or own.disclosed[item.path]:
            continue
        reasons: Mapping[str, int] = own.withheld.get(item.path, {})
        never = not set(reasons) - {ABSENT}
        deliveries = f"{own.permits:,} deliveries"
        if never:
            yield finding_on(
                candidate,
                "item-never-present",
                f"{says(candidate)} with {item.path}; none of {deliveries} had it, because no"
                " event did.",
                f"take {item.path} out in the next version, since it is not needed, or ask"
                f" {candidate.publisher} to fill it in",
                events=own.permits,
                place=item.path,
            )
        else:
            yield finding_on(
                candidate,
                "item-always-withheld",
                f"{says(candidate)} with {item.path}; it was withheld from all {deliveries}"
                f" ({', '.join(sorted(reasons))}).",
                _ITEM_REMEDIES.get(max(reasons, key=lambda r: reasons[r]), _ITEM_REMEDY),
                events=own.permits,
                place=item.path,
            )


_ITEM_REMEDY: Final = "have the publisher mend what it sends, or take the item out"
_ITEM_REMEDIES: Final = {
    "not-in-schema": "the event type has no such item: correct its path in the next version",
    "not-an-item": "it names a group of items: list those that are needed in the next version",
    "not-transformable": "the item cannot take its transform: choose another in the next version",
}


def unmet_conditions(candidate: Candidate, own: WayTraffic) -> Iterator[Finding]:
    """Find conditions that whatever reached them failed at."""
    failed = [0] * len(candidate.flow.when)
    passed_all = own.permits
    kept: dict[int, Refused] = {}
    for why, told in own.refused.items():
        if why.reason == Refusal.CONDITION_NOT_MET and why.detail in PLACES:
            number = PLACES.index(why.detail)
            if number < len(failed):
                failed[number] += told.events.events
                kept[number] = told
        elif why.reason == Refusal.REQUIRED_ITEM_WITHHELD:
            passed_all += told.events.events
    for number, told in sorted(kept.items()):
        passed = passed_all + sum(failed[number + 1 :])
        if passed or failed[number] < LEAST_EVENTS:
            continue
        tested = condition(candidate.flow.when[number])
        yield finding_on(
            candidate,
            "condition-never-holds",
            f"{says(candidate)} if {tested}; of {counted(failed[number])} none met that.",
            "see whether the condition says what was meant, and whether the publisher fills the"
            " item in as it expects",
            events=failed[number],
            examples=tuple(told.events.ids),
            place=PLACES[number],
        )

"""The invented families: always the same, fit for their schemas, and nobody real."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from broker.demo.families import (
    ADULTS,
    ANYTOWN_GSS,
    CHILDREN,
    HOUSING,
    PARTIES,
    POLICE,
    SCHOOL,
    TRUST,
    generate,
)
from connectors.encoding import RecordEncoder
from connectors.prepared import PreparedEvent
from schemas.catalogue import shipped
from schemas.identifiers import check

NOW = datetime(2026, 11, 23, 14, 0, tzinfo=UTC)
PLACEMENT = "uk.gov.csc.cla-placement.v1"
DISCHARGE = "uk.nhs.adw.discharge-notice.v1"
HOMELESSNESS = "uk.gov.housing.homelessness-duty.v1"
DEATH = "uk.nhs.pds.death.v2"
TOLD = {
    PLACEMENT,
    DISCHARGE,
    HOMELESSNESS,
    DEATH,
    "uk.gov.csc.missing-episode.v1",
    "uk.nhs.cpis.access.v1",
}


@pytest.fixture(name="told", scope="module")
def the_story() -> list[tuple[str, PreparedEvent]]:
    """Return what 400 families have to tell."""
    return generate(7, 400, NOW)


def records(told: list[tuple[str, PreparedEvent]], event_type: str) -> list[dict[str, Any]]:
    """Return the records of one event type."""
    return [dict(event.record) for _, event in told if event.event_type == event_type]


def test_a_seed_always_tells_the_same_story(told: list[tuple[str, PreparedEvent]]) -> None:
    """The same seed, number and time give equal events; another seed others."""
    assert generate(7, 400, NOW) == told
    assert generate(8, 20, NOW) != generate(7, 20, NOW)


def test_four_hundred_families_have_two_to_three_thousand_events(
    told: list[tuple[str, PreparedEvent]],
) -> None:
    """Every type that the demo's agreements share is there, placements the most frequent."""
    assert 2_000 <= len(told) <= 3_000
    counts = Counter(event.event_type for _, event in told)
    assert counts.keys() == TOLD
    assert counts.most_common(1)[0][0] == PLACEMENT


def test_each_organisation_tells_what_is_its_own(told: list[tuple[str, PreparedEvent]]) -> None:
    """The publishers are four of the six; adult social care and the school only receive."""
    assert {party for party, _ in told} == {CHILDREN, TRUST, HOUSING, POLICE}
    assert set(PARTIES) == {CHILDREN, ADULTS, HOUSING, TRUST, POLICE, SCHOOL}
    assert {party for party, event in told if event.event_type == HOMELESSNESS} == {HOUSING}
    assert {party for party, event in told if event.event_type == PLACEMENT} == {CHILDREN}


def test_every_event_fits_its_schema(told: list[tuple[str, PreparedEvent]]) -> None:
    """Bad data on purpose is bad in what it says, not in its form."""
    encoders = {name: RecordEncoder(shipped().latest(name).schema) for name in TOLD}
    for _, event in told:
        assert encoders[event.event_type].encode(event.record)


def test_events_come_in_the_order_in_which_they_happened(
    told: list[tuple[str, PreparedEvent]],
) -> None:
    """The earliest first, and none after the time that was given."""
    times = [event.occurred_at for _, event in told]
    assert times == sorted(times)
    assert times[-1] <= NOW


def test_no_event_is_told_twice(told: list[tuple[str, PreparedEvent]]) -> None:
    """Publisher, type, natural key and content together are there once."""
    facts = {
        (party, event.event_type, event.natural_key, repr(event.record)) for party, event in told
    }
    assert len(facts) == len(told)


def test_nobody_in_anytown_is_real(told: list[tuple[str, PreparedEvent]]) -> None:
    """Valid NHS numbers are of the test range, and postcodes of areas that do not exist."""
    for _, event in told:
        number = event.record.get("nhsNumber")
        if number is not None and check("nhs-number", number) is None:
            assert check("nhs-number", number, allow_test=False) == "test-identifier"
        postcode = event.record.get("homePostcode")
        assert postcode is None or postcode.startswith(("AY", "OT"))


def test_most_identifiers_validate_and_a_few_do_not(told: list[tuple[str, PreparedEvent]]) -> None:
    """UPNs and placement postcodes are wrong now and then, as in real returns."""
    placements = records(told, PLACEMENT)
    for field, kind in (("upn", "upn"), ("placementPostcode", "postcode")):
        values = [record[field] for record in placements if record[field] is not None]
        wrong = sum(check(kind, value) is not None for value in values)
        assert 0 < wrong < len(values) / 10
    for record in placements:
        assert check("la-child-id", record["childId"]) is None
        assert check("urn", record["urn"]) is None
    assert check("gss", ANYTOWN_GSS) is None


def test_what_goes_wrong_in_life_goes_wrong_here() -> None:
    """Even a small town has an event for every outcome."""
    told = generate(3, 5, NOW)
    discharges = [event for _, event in told if event.event_type == DISCHARGE]
    numbers = [check("nhs-number", event.record["nhsNumber"]) for event in discharges]
    assert {"invalid-identifier", "placeholder-identifier"} <= set(numbers)
    assert "N" in {event.record["consentIndicator"] for event in discharges}
    assert any(NOW - event.occurred_at > timedelta(days=3) for event in discharges)
    assert any(record["refuge"] for record in records(told, HOMELESSNESS))
    assert any(record["addressConfidential"] for record in records(told, PLACEMENT))


def test_a_death_told_by_mistake_is_taken_back(told: list[tuple[str, PreparedEvent]]) -> None:
    """The retraction names the event that it retracts, which was told before it."""
    retractions = [event for _, event in told if event.retracts is not None]
    assert len(retractions) == 2
    for event in retractions:
        assert isinstance(event.retracts, PreparedEvent)
        assert event.retracts.record["status"] == "INFORMAL"
        assert event.record["status"] == "REMOVED"
        assert event.retracts.occurred_at < event.occurred_at


def test_a_case_is_correlated_by_an_id_that_says_nothing(
    told: list[tuple[str, PreparedEvent]],
) -> None:
    """The events of one child's placements share a random id."""
    cases: dict[str, set[str]] = {}
    for _, event in told:
        if event.event_type == PLACEMENT:
            cases.setdefault(str(event.correlation_id), set()).add(event.record["childId"])
    assert all(len(children) == 1 for children in cases.values())

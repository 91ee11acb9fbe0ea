"""The disclosure schedule: what an officer must see, and what must not be in it."""

import csv
import io
import json
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from papers_world import ASKED, NOON, a_disclosure, agreements, notice, refused, the_terms

from agreements.paper import to_html
from broker.audit import forms
from broker.audit.clocks import answer_by
from broker.audit.disclosures import Disclosure
from broker.audit.forms import TooLongForPaper, rendered
from broker.audit.schedule import Schedule, schedule
from schemas.catalogue import Catalogue, Sensitivity

CLOCK = answer_by(date(2026, 11, 2))


def _schedule(*disclosures: Disclosure, **more: Any) -> Schedule:
    named = {"asked": ASKED, "clock": CLOCK, "found_by": ["nhs-number"], **more}
    return schedule(disclosures, the_terms(), **named)


def _codes(*disclosures: Disclosure, **more: Any) -> set[str]:
    return {caution.code for caution in _schedule(*disclosures, **more).to_decide()}


def test_each_disclosure_tells_to_whom_when_why_and_by_what_right() -> None:
    """UK GDPR Art 15(1)(a) to (c) and (g): purpose, categories, recipients, source."""
    found = _schedule(a_disclosure()).to_json()["disclosures"][0]
    assert (found["source"], found["recipient"]) == (
        "anytown-childrens-social-care",
        "anytown-nhs-trust",
    )
    assert found["purpose_text"].startswith("To keep a looked-after child's health assessments")
    assert found["provider_basis"]["conditions"][0] == "art6:e"
    assert found["recipient_basis"]["gateways"]
    assert found["items"] == ["nhsNumber", "childId", "birthDate", "decom", "dec",
                              "placementPostcode", "localAuthority"]  # fmt: skip
    assert found["time"] == NOON.isoformat()


def test_items_about_others_are_marked_with_the_rule_and_its_place() -> None:
    """DPA 2018 Sch 2 para 16: a person decides on what is about somebody else."""
    decided = _schedule(a_disclosure()).to_json()["to_decide"]
    found = next(one for one in decided if one["code"] == "third-party")
    assert found["rule"] == "DPA 2018 Sch 2 paras 16 and 17"
    assert found["source"].startswith("https://www.legislation.gov.uk/ukpga/2018/12/schedule/2")
    shared = _schedule(a_disclosure()).to_json()["disclosures"][0]
    assert shared["cautions"]["third-party"] == ["placementPostcode"]


@pytest.mark.parametrize(
    ("event_type", "item", "code"),
    [
        ("uk.gov.asc.safeguarding-concern.v1", "reporter.name", "referrer"),
        ("uk.gov.asc.safeguarding-concern.v1", "account", "free-text"),
        ("uk.gov.asc.safeguarding-concern.v1", "placeOfAbuse", "social-work"),
        ("uk.nhs.adw.assessment-notice.v1", "wardName", "health"),
        ("uk.gov.csc.cla-placement.v1", "rec", "adoption"),
        ("uk.gov.csc.cla-placement.v1", "rec", "criminal"),
        ("uk.gov.housing.homelessness-duty.v1", "members", "third-party"),
        ("uk.example.unknown.v1", "anything", "unknown-form"),
        ("uk.gov.csc.cla-placement.v1", "noSuchItem", "unknown-form"),
    ],
)
def test_what_an_item_is_decides_what_must_be_looked_at(
    event_type: str, item: str, code: str
) -> None:
    """The schema's own classification gives the flags; what it does not know is flagged too."""
    assert code in _codes(a_disclosure(event_type=event_type, items=(item,)))


def test_an_item_needs_the_care_of_all_its_parts_and_of_all_revisions() -> None:
    """A list shared as a whole tells what is in it; a label once given is not forgotten."""

    def schema(revision: int, *labels: str) -> str:
        part = {"name": "who", "type": "string", "sensitivity": list(labels)}
        inner = {"type": "record", "name": "Part", "fields": [part]}
        more = [{"name": f"later{n}", "type": "string", "default": ""} for n in range(revision)]
        return json.dumps(
            {
                "type": "record",
                "name": "Example",
                "namespace": "uk.example.v1",
                "eventType": "uk.example.thing.v1",
                "revision": revision,
                "fields": [
                    {
                        "name": "ref",
                        "type": "string",
                        "identifier": "person-ref",
                        "subject": "primary",
                    },
                    {"name": "people", "type": {"type": "array", "items": inner}},
                    *more,
                ],
            }
        )

    catalogue = Catalogue.of([schema(1, "third-party"), schema(2, "adoption"), schema(3)])
    terms = replace(the_terms(), catalogue=catalogue)
    for item in ("people", "people.who"):
        assert terms.labels("uk.example.thing.v1", item) == {"third-party", "adoption"}
    assert terms.labels("uk.example.thing.v1", "ref") == set()


def test_every_sensitivity_but_three_has_its_caution() -> None:
    """A new label of the schemas must get a rule here, or be named as needing none."""
    from broker.audit.cautions import _BY_LABEL

    without = {Sensitivity.PERSONAL, Sensitivity.SPECIAL, Sensitivity.SOCIAL_SECURITY}
    assert set(_BY_LABEL) == set(Sensitivity) - without


def test_a_law_enforcement_body_on_either_side_is_asked_first() -> None:
    """DPA 2018 Sch 2 para 2 and s. 45(4): the person must not learn of it by the answer alone."""
    to_police = a_disclosure("missing-children", "to-police")
    from_police = a_disclosure("found-children", "to-social-care")
    assert "law-enforcement" in _codes(to_police)
    assert "law-enforcement" in _codes(from_police)
    assert "law-enforcement" not in _codes(a_disclosure())
    police = "anyshire-police"
    part_three = to_police.receiver
    for one in (
        a_disclosure(publisher=police),
        a_disclosure(recipient=police),
        a_disclosure(provider=part_three),
        a_disclosure(receiver=part_three),
    ):
        assert "law-enforcement" in _codes(one)


def test_sharing_that_people_are_not_told_of_is_marked() -> None:
    """UK GDPR Art 14(5): what the agreement keeps from people is not told without asking."""
    kept = next(one for one in agreements().values() if one.transparency.inform_subject != "yes")
    name = kept.id.rpartition("/")[2]
    assert "not-informed" in _codes(a_disclosure(name, kept.flows[0].id))
    assert "not-informed" not in _codes(a_disclosure())


def test_what_was_found_by_another_identifier_is_marked() -> None:
    """A number that was given to two people must not put one into the other's answer."""
    own, other = a_disclosure(), a_disclosure(subjects=(b"\x02" * 32,), event_id="other")
    found = _schedule(own, other, given={b"\x01" * 32}).to_json()["disclosures"]
    assert ["linked" in one["cautions"] for one in found] == [False, True]
    assert "linked" not in _codes(own, other)


def test_what_was_not_shared_is_told_apart_and_never_as_a_disclosure() -> None:
    """A refusal is an answer as well, and has no items."""
    made = _schedule(a_disclosure(), refused(a_disclosure(event_id="no")))
    assert [one["event_id"] for one in made.to_json()["not_shared"]] == ["no"]
    assert len(made.to_json()["disclosures"]) == 1
    page = to_html(made.to_paper())
    assert "suspended" in page
    assert "For the officer: nothing was disclosed." in page


def test_a_notice_says_in_plain_words_that_what_a_body_had_was_withdrawn() -> None:
    """UK GDPR Art 19: nothing was shared by it, and what was shared before is told as before."""
    told = notice(a_disclosure(), decided_at=NOON + timedelta(days=1))
    unreached = notice(a_disclosure(), outcome="deny", reason="deciding-failed", sealed=b"")
    made = _schedule(a_disclosure(), told, unreached)
    document = made.to_json()
    assert len(document["disclosures"]) == 1
    assert document["not_shared"] == []
    retracts = [(one["outcome"], one["retracts"]) for one in document["notices"]]
    taken_back = a_disclosure().event_id
    assert retracts == [("deny", taken_back), ("notice", taken_back)]
    page = to_html(made.to_paper())
    assert "<h2>What was withdrawn, and who was told</h2>" in page
    assert f"It was told that what it had of event {taken_back} under" in page
    assert f"It could not be told that what it had of event {taken_back} under" in page
    assert page.count("all as they are") == 1
    assert "What was decided on and not shared" not in page
    rows = list(csv.DictReader(io.StringIO(b"".join(rendered(made, "csv")).decode("utf-8-sig"))))
    assert [row["outcome"] for row in rows] == ["permit", "deny", "notice"]
    assert rows[2]["reason"] == f"retracted ({a_disclosure().event_id})"


def test_a_condition_that_did_not_hold_is_told_in_words() -> None:
    """Nobody but the engine knows what ``when[0]`` is."""
    missed = replace(refused(a_disclosure(), reason="condition-not-met"), detail="when[0]")
    page = to_html(_schedule(missed).to_paper())
    assert "when[0]" not in page
    assert "deny: condition-not-met (addressConfidential is false)" in page


def test_rows_are_in_order_of_time_whatever_the_order_they_come_in() -> None:
    """The same disclosures give the same schedule."""
    several = [
        a_disclosure(event_id=str(day), index=day, decided_at=NOON + timedelta(days=day))
        for day in range(4)
    ]
    forward, backward = _schedule(*several), _schedule(*reversed(several))
    assert [one.disclosure.event_id for one in forward.shared] == ["0", "1", "2", "3"]
    assert forward.to_json() == backward.to_json()


def test_no_blinded_identifier_and_no_seal_gets_into_any_form() -> None:
    """A paper for people tells of the person by no number at all."""
    made = _schedule(a_disclosure(sealed=b"\x07" * 32))
    text = b"".join(b"".join(rendered(made, form)) for form in ("html", "csv", "json"))
    assert (b"\x01" * 32).hex().encode() not in text
    assert (b"\x07" * 32).hex().encode() not in text


def test_the_clock_is_in_the_paper_with_the_days_that_are_left() -> None:
    """Whoever opens it sees first by when it must be answered."""
    page = to_html(_schedule(a_disclosure()).to_paper())
    assert "2 December 2026 (12 days left)" in page
    late = _schedule(a_disclosure(), clock=answer_by(date(2026, 9, 1)))
    assert "overdue by 50" in to_html(late.to_paper())


def test_a_person_about_whom_nothing_was_shared_gets_a_schedule_too() -> None:
    """Nothing is an answer."""
    assert "Nothing was shared about this person." in to_html(_schedule().to_paper())


def test_the_csv_has_a_row_for_each_and_cannot_run_anything() -> None:
    """A flow's name or an agreement's address may be hostile."""
    hostile = replace(a_disclosure(), agreement="=cmd|' /C calc'!A0", flow="+1", purpose="@x")
    data = b"".join(rendered(_schedule(hostile, refused(a_disclosure())), "csv"))
    rows = list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline="")))
    assert rows[0]["agreement"] == "'=cmd|' /C calc'!A0"
    assert (rows[0]["flow"], rows[0]["purpose"]) == ("'+1", "'@x")
    assert [row["outcome"] for row in rows] == ["permit", "deny"]


def test_hostile_text_is_text_in_the_page() -> None:
    """Nothing that a record holds can become a tag."""
    hostile = replace(a_disclosure(), recipient="<script>alert(1)</script>", flow="</table><b>")
    page = to_html(_schedule(hostile).to_paper())
    assert "<script" not in page
    assert "</table><b>" not in page


def test_a_paper_longer_than_people_read_is_refused_and_csv_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The sentence says what to ask for instead."""
    monkeypatch.setattr(forms, "MOST_ROWS", 20)
    many = [a_disclosure()] * 21
    made = _schedule(*many)
    with pytest.raises(TooLongForPaper, match="--format csv"):
        made.to_paper()
    assert sum(piece.count(b"\r\n") for piece in rendered(made, "csv")) == 22


def test_the_json_says_what_it_rests_on() -> None:
    """A schedule can be held against the log later: number of entries and root."""
    told = json.loads(b"".join(rendered(_schedule(a_disclosure()), "json")))
    assert told["asked"]["log"] == {"entries": 7, "root": "ab" * 32}
    assert told["asked"]["reason"] == "SAR 2026/17"

"""A breach file: whom it is about, by when who is told, and the command that stops it."""

import shlex
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from papers_world import ASKED, NOON, a_disclosure, agreements, notice, refused, the_terms

from agreements.canonical import digest, to_document
from agreements.paper import to_html
from agreements.reading import from_document
from broker.audit.breach import BreachFile, Scope, breach_file
from broker.audit.people import People
from broker.audit.terms import Terms
from broker.periods import Period
from schemas.catalogue import shipped

SOCIAL_CARE, TRUST = "anytown-childrens-social-care", "anytown-nhs-trust"
AWARE = datetime(2026, 11, 20, 8, 0, 0, 700_000, tzinfo=UTC)


def _one(person: int, **more: Any) -> Any:
    return a_disclosure(subjects=(bytes([person]) * 32,), event_id=f"event-{person}", **more)


def _file(*disclosures: Any, scope: Scope | None = None, **more: Any) -> BreachFile:
    return breach_file(
        disclosures,
        more.pop("terms", the_terms()),
        scope=scope or Scope(TRUST, Period()),
        aware_at=AWARE,
        asked=ASKED,
        **more,
    )


def test_people_and_records_are_counted_apart() -> None:
    """UK GDPR Art 33(3)(a) asks for both numbers."""
    made = _file(_one(1), _one(1), _one(2))
    assert (made.people, made.records) == (2, 3)


def test_identifiers_of_one_record_are_one_person() -> None:
    """Who is known by two numbers in one record is not two people, in whatever order they come."""
    both = a_disclosure(subjects=(b"\x01" * 32, b"\x02" * 32))
    assert _file(_one(1), _one(2), both).people == 1
    assert _file(both, _one(3)).people == 2


def test_only_the_recipient_the_flow_and_the_agreement_that_were_named_count() -> None:
    """A file about one flow does not tell of another."""
    school = a_disclosure(flow="to-school")
    other = a_disclosure("missing-children", "to-health")
    assert _file(_one(1), school, other).records == 2
    scope = Scope(TRUST, Period(), agreement=_one(1).agreement, flow="to-health")
    assert _file(_one(1), school, other, scope=scope).records == 1
    second = replace(_one(2), flow="another")
    assert _file(_one(1), second, scope=Scope(TRUST, Period(), flow="to-health")).records == 1


def test_what_was_not_shared_is_no_breach_and_what_waits_is_told() -> None:
    """Held events can still be kept back."""
    made = _file(_one(1), refused(_one(2), "hold"), refused(_one(3)))
    assert (made.people, made.records, made.waiting) == (1, 1, 1)


def test_that_an_event_was_taken_back_is_no_breach_of_it_nor_waits() -> None:
    """A notice has no data; who had the event is counted by what it had."""
    made = _file(_one(1), notice(_one(1)), notice(_one(2), outcome="deny"))
    assert (made.people, made.records, made.waiting) == (1, 1, 0)


def test_the_notice_is_due_72_hours_after_awareness_and_never_a_moment_later() -> None:
    """UK GDPR Art 33(1); parts of a second are cut off, not rounded up."""
    made = _file(_one(1))
    assert made.due_at == datetime(2026, 11, 23, 8, 0, 0, tzinfo=UTC)
    assert "23 November 2026, 08:00:00 UTC (70 hours left)" in to_html(made.to_paper())
    late = replace(made, asked=replace(ASKED, at=AWARE + timedelta(hours=80)))
    assert "overdue by 8 hours" in to_html(late.to_paper())


def test_partners_are_told_within_the_hours_that_the_agreement_says() -> None:
    """Every other party of the agreement, from awareness; the recipient itself knows."""
    told = _file(_one(1)).to_json()["partners"]
    assert {one["party"] for one in told} == {
        SOCIAL_CARE, "anytown-virtual-school", "anytown-housing",
    }  # fmt: skip
    assert {one["due_at"] for one in told} == {"2026-11-21T08:00:00+00:00"}


def test_one_command_stops_the_flow_and_survives_a_shell() -> None:
    """It is one line, for whose data it was; a hostile address stays one word."""
    (command,) = _file(_one(1)).commands()
    words = shlex.split(command)
    assert words[:3] == ["concordat", "agreement", "suspend"]
    assert words[3] == agreements()["looked-after-placements"].id
    assert words[4:] == ["--as", SOCIAL_CARE, "--reason", f"Suspected breach at {TRUST}"]
    text = agreements()["looked-after-placements"]
    hostile = from_document(to_document(text) | {"id": "https://x.example/$(reboot);'"})
    terms = Terms({(hostile.id, digest(hostile)): hostile}, the_terms().parties, shipped())
    one = replace(_one(1), agreement=hostile.id, hash=digest(hostile))
    (command,) = _file(one, terms=terms).commands()
    assert shlex.split(command)[3] == hostile.id


def test_who_tells_the_commissioner_is_whom_the_agreement_names() -> None:
    """Without a lead it is whose data it was; the command is always theirs."""
    document = to_document(agreements()["looked-after-placements"])
    for lead, teller in ((TRUST, TRUST), (None, SOCIAL_CARE)):
        breach = {name: one for name, one in document["breach"].items() if name != "ico_lead"}
        named = breach | ({"ico_lead": lead} if lead else {})
        text = from_document(document | {"breach": named})
        terms = Terms({(text.id, digest(text)): text}, the_terms().parties, shipped())
        made = _file(_one(1, hash=digest(text)), terms=terms)
        assert made.leads == (teller,)
        assert f"--as {SOCIAL_CARE} " in made.commands()[0]


def test_categories_items_and_their_forms_are_in_the_file() -> None:
    """What was only a pseudonym is not told as a name."""
    made = _file(_one(1, items=("childId", "rec"), transforms={"childId": "pseudonym"}))
    told = made.to_json()
    assert told["flows"][0]["transforms"] == {"childId": "pseudonym"}
    assert told["data_categories"] == [
        "Adoption information", "Criminal offence data", "Personal data",
    ]  # fmt: skip
    assert "pseudonym" in to_html(made.to_paper())


def test_a_high_risk_is_said_where_special_or_criminal_data_went() -> None:
    """UK GDPR Art 34(1): then the people are told themselves; a person decides."""
    assert _file(_one(1, items=("ethnicity",))).is_high_risk
    assert not _file(_one(1, items=("decom",))).is_high_risk
    assert "high risk likely; then they are told" in to_html(
        _file(_one(1, items=("ethnicity",))).to_paper()
    )


def test_a_time_in_which_nothing_went_gives_a_file_that_says_so() -> None:
    """Nothing to stop, nobody to tell."""
    made = _file()
    assert (made.people, made.records, made.commands(), made.partners) == (0, 0, (), ())
    assert "nothing to stop" in to_html(made.to_paper())


def test_the_sheet_has_each_item_with_its_form_and_categories() -> None:
    """A spreadsheet for those who answer the Commissioner's questions."""
    rows = list(_file(_one(1, items=("childId", "rec"))).to_sheet().rows)
    assert [row[4] for row in rows] == ["childId", "rec"]
    assert rows[1][7] == "Adoption information; Criminal offence data; Personal data"


_RECORDS = st.lists(st.lists(st.integers(0, 12), min_size=0, max_size=4), max_size=25)


@given(_RECORDS)
def test_people_are_as_many_as_groups_of_identifiers_that_hang_together(
    records: list[list[int]],
) -> None:
    """Whatever the order, the count is that of the plain definition."""
    groups: list[set[int]] = []
    for record in filter(None, records):
        met = [group for group in groups if group & set(record)]
        groups = [group for group in groups if group not in met]
        groups.append(set(record).union(*met))
    people = People()
    for record in records:
        people.add(bytes([one]) for one in record)
    assert len(people) == len(groups)


def test_first_and_last_are_those_of_what_was_shared() -> None:
    """The period that is told to the Commissioner is the real one."""
    made = _file(_one(1, decided_at=NOON + timedelta(hours=2)), _one(2), refused(_one(3)))
    assert (made.first, made.last) == (NOON, NOON + timedelta(hours=2))

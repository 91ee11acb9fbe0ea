"""The s. 62 log of law enforcement, and the evidence pack about a partner."""

from dataclasses import replace
from datetime import date, timedelta
from hashlib import sha256
from typing import Any

import pytest
from papers_world import ASKED, NOON, a_disclosure, notice, refused, the_terms

from agreements.paper import to_html
from broker.acts import Act, ActKind
from broker.audit.access_log import AccessLog, access_log
from broker.audit.clocks import answer_by
from broker.audit.disclosures import Disclosure
from broker.audit.evidence_pack import Gathering, Pack
from broker.audit.forms import MOST_ROWS, TooLongForPaper, rendered
from broker.audit.schedule import schedule
from broker.audit.traffic import counted
from broker.periods import Period
from schemas.control import Assured

CLOCK = answer_by(date(2026, 11, 2))
POLICE, SOCIAL_CARE = "anyshire-police", "anytown-childrens-social-care"
TO_POLICE = a_disclosure("missing-children", "to-police", index=3)
FROM_POLICE = a_disclosure(
    "found-children", "to-social-care", index=4, decided_at=NOON + timedelta(hours=1)
)


def _log(disclosures: list[Disclosure], acts: Any = ()) -> AccessLog:
    return access_log(disclosures, acts, the_terms(), party=POLICE, asked=ASKED, period=Period())


def _act(kind: ActKind, hours: int, entry: int = 9) -> tuple[int, Act]:
    at = NOON + timedelta(hours=hours)
    return entry, Act(kind, at, "auditor@anyshire", "audit subject: nhs-number", reason="INC-7")


def test_what_came_is_collection_and_what_went_is_disclosure_with_who_and_whom() -> None:
    """DPA 2018 s. 62(1)(a) and (d), (3): date and time, who disclosed, to whom."""
    told = _log([TO_POLICE, FROM_POLICE]).to_json()["operations"]
    assert [(one["operation"], one["by"], one["recipients"]) for one in told] == [
        ("collection", SOCIAL_CARE, POLICE),
        ("disclosure", POLICE, SOCIAL_CARE),
    ]
    assert told[0]["time"] == NOON.isoformat()
    assert "DPA 2018 section 35(2)" in told[0]["justification"]
    assert told[1]["log_entry"] == 4


def test_what_is_not_the_partys_or_was_not_shared_is_no_operation() -> None:
    """A refusal or a notice disclosed nothing, and others have a log of their own."""
    others = [a_disclosure(), refused(TO_POLICE), notice(TO_POLICE)]
    assert _log(others).to_json()["operations"] == []
    assert "no operation" in to_html(_log([]).to_paper())


def test_readings_are_consultations_and_shredding_is_erasure_in_order_of_time() -> None:
    """DPA 2018 s. 62(1)(c) and (f), (2): who consulted, when and why; other acts are none."""
    acts = [_act(ActKind.CONTROL, 0), _act(ActKind.READING, 0), _act(ActKind.SHREDDING, 3)]
    told = _log([TO_POLICE, FROM_POLICE], acts).to_json()["operations"]
    assert [one["operation"] for one in told] == [
        "collection", "consultation", "disclosure", "erasure",
    ]  # fmt: skip
    assert told[1]["by"] == "auditor@anyshire"
    assert told[1]["justification"] == "audit subject: nhs-number; INC-7"


def test_the_log_counts_what_it_has_given_out_in_every_form() -> None:
    """That somebody read it is recorded with how many results there were."""
    for form, rows in (("csv", 2), ("json", 2), ("html", 2)):
        log = _log([TO_POLICE, FROM_POLICE, a_disclosure()])
        assert b"".join(rendered(log, form))  # type: ignore[arg-type]  # the forms by name
        assert log.results == rows


def test_a_long_log_streams_as_csv_and_is_refused_as_a_paper() -> None:
    """Years of a police force's log do not get into memory."""
    log = access_log(
        (replace(TO_POLICE, index=n) for n in range(MOST_ROWS + 10)),
        (),
        the_terms(),
        party=POLICE,
        asked=ASKED,
        period=Period(),
    )
    assert len(list(log.to_sheet().to_csv())) > MOST_ROWS // 500
    with pytest.raises(TooLongForPaper):
        _log([TO_POLICE] * (MOST_ROWS + 1)).to_paper()


def test_a_justification_stands_once_in_the_paper_whatever_the_rows() -> None:
    """Thirty pages of one sentence are read by nobody."""
    page = to_html(_log([TO_POLICE, replace(TO_POLICE, index=5)]).to_paper())
    assert page.count("DPA 2018 section 35(2)") == 1
    assert page.count("<td>J1</td>") == 2


def _gathered(disclosures: list[Disclosure], *, seed: bytes = b"root", size: int = 3) -> Gathering:
    gathering = Gathering(POLICE, seed=seed, size=size)
    for _ in gathering.passing(disclosures):
        pass
    return gathering


MANY = [
    replace(TO_POLICE, event_id=f"event-{n}", index=n, decided_at=NOON + timedelta(minutes=n))
    for n in range(40)
]


def test_whoever_has_the_log_draws_the_same_sample_in_whatever_order_it_is_read() -> None:
    """Neither side chooses what is followed up."""
    one = _gathered(MANY).sample()
    assert one == _gathered(list(reversed(MANY))).sample()
    lots = sorted(
        MANY, key=lambda d: sha256(f"root{d.event_id}\0{d.recipient}\0{d.flow}".encode()).digest()
    )
    assert {drawn.event_id for drawn in one} == {drawn.event_id for drawn in lots[:3]}
    assert _gathered(MANY, seed=b"other root").sample() != one


def test_the_sample_is_of_what_was_shared_with_or_by_the_partner() -> None:
    """A refusal cannot be found in the partner's system, and others' data is not asked for."""
    gathering = Gathering(POLICE, seed=b"root", size=5)
    told = notice(TO_POLICE)
    kept = list(gathering.passing([TO_POLICE, refused(FROM_POLICE), told, a_disclosure()]))
    assert kept == [TO_POLICE, refused(FROM_POLICE), told]
    assert gathering.sample() == (TO_POLICE,)
    assert _gathered(MANY, size=0).sample() == ()


def test_every_disclosure_is_drawn_as_often_as_any_other() -> None:
    """Over many roots no place in the log is favoured."""
    drawn = [0] * len(MANY)
    for number in range(300):
        for one in _gathered(MANY, seed=b"%d" % number, size=4).sample():
            drawn[one.index] += 1
    assert min(drawn) > 10
    assert max(drawn) < 60


def _pack(**more: Any) -> Pack:
    terms = the_terms()
    held = Assured(
        kind="cyber-essentials-plus", valid_from=date(2025, 1, 1), valid_until=date(2025, 12, 31)
    )
    police = terms.parties[POLICE].model_copy(update={"assurances": (held,)})
    gathering = _gathered(MANY)
    named = {
        "asked": ASKED,
        "period": Period(),
        "partner": POLICE,
        "agreements": (),
        "traffic": counted([*MANY, refused(TO_POLICE)]),
        "sample": gathering.sample(),
        "terms": replace(terms, parties={**terms.parties, POLICE: police}),
        **more,
    }
    return Pack(**named)


def test_an_assurance_that_has_lapsed_is_said_to_be_out_of_date() -> None:
    """What a memorandum asks of the partner is held against the day."""
    assert "<strong>not in date</strong>" in to_html(_pack().to_paper())


def test_a_pack_tells_what_went_and_what_was_refused_and_why() -> None:
    """The auditor sees both."""
    told = _pack().to_json()
    assert told["traffic"][0]["shared"] == 40
    assert told["traffic"][0]["reasons"] == {"suspended": 1}
    page = to_html(_pack().to_paper())
    assert "1 suspended" in page
    assert "A sample to follow up" in page


def test_the_sample_has_room_for_what_was_found_and_the_seal_to_find_it_by() -> None:
    """The partner's system is asked by event id; the seal says that it is the same delivery."""
    sheet = _pack().to_sample_sheet()
    rows = list(sheet.rows)
    assert len(rows) == 3
    assert sheet.header[-2:] == ("found_at_partner", "remarks")
    assert {row[7] for row in rows} == {bytes(32).hex()}


def test_text_of_any_length_goes_over_the_pages_of_a_pdf() -> None:
    """A hostile name or event id cannot keep the paper from being made."""
    long = replace(TO_POLICE, event_id="A" * 2000, flow="word " * 800, publisher="party " * 700)
    for document in (
        _pack(traffic=counted([long]), sample=(long,)),
        _log([long]),
        schedule([long], the_terms(), asked=ASKED, clock=CLOCK, found_by=["upn"]),
    ):
        assert b"".join(rendered(document, "pdf")).startswith(b"%PDF")


def test_a_partner_with_nothing_gets_a_pack_that_says_so() -> None:
    """No traffic is an answer too."""
    page = to_html(_pack(traffic={}, sample=()).to_paper())
    assert "Nothing went to the partner or came from it" in page

"""Records of processing: what Art 30 lists, from agreements and from what really happened."""

from datetime import UTC, datetime, timedelta
from typing import Any

from papers_world import ASKED, NOON, a_disclosure, agreements, notice, refused, the_terms

from agreements.canonical import digest, to_document
from agreements.model import Agreement
from agreements.paper import to_html
from agreements.reading import from_document
from broker.audit.ropa import Ropa, records_of_processing
from broker.audit.terms import Terms
from broker.audit.traffic import counted
from broker.periods import Period
from schemas.catalogue import shipped
from schemas.control import BROKER

SOCIAL_CARE, TRUST = "anytown-childrens-social-care", "anytown-nhs-trust"
PLACEMENTS = agreements()["looked-after-placements"]


def _in_force(*texts: Agreement) -> dict[tuple[str, str, str, str], str]:
    return {
        (one.id, digest(one), publisher, recipient): "in-force"
        for one in texts
        for flow in one.flows
        for publisher in flow.from_
        for recipient in flow.to
    }


def _ropa(*disclosures: Any, terms: Terms | None = None, **more: Any) -> Ropa:
    named = {"states": _in_force(PLACEMENTS), "parties": [TRUST], **more}
    return records_of_processing(
        terms or the_terms(), counted(disclosures), asked=ASKED, period=Period(), **named
    )


def test_a_controller_has_every_particular_that_article_30_1_lists() -> None:
    """Purposes, people, data, recipients, transfers, time limits, security, and who it is."""
    record = _ropa(a_disclosure()).to_json()["records"][0]
    one = record["activities"][0]
    assert (record["party"], record["article"]) == (TRUST, "30(1)")
    assert one["purpose_text"].startswith("To keep a looked-after child's health")
    assert one["data"] == ["Personal data", "About someone other than the subject"]
    assert one["sources"] == [SOCIAL_CARE]
    assert one["transfers"] == "none"
    assert one["retention"] == [
        {"period": "P8Y", "from": "The child's 18th birthday", "then": "Secure deletion"}
    ]
    assert one["security"] == ["Case system only; never by e-mail"]
    assert one["legal_basis"]["conditions"][:2] == ["art6:e", "art9:h"]


def test_a_provider_names_its_recipients_and_keeps_by_its_own_rules() -> None:
    """The same flow is another activity for the other side."""
    record = _ropa(parties=[SOCIAL_CARE]).to_json()["records"][0]
    to_health = next(one for one in record["activities"] if one["flow"] == "to-health")
    assert to_health["side"] == "provides"
    assert to_health["recipients"] == [TRUST]
    assert to_health["retention"] == []
    kept = {"party": SOCIAL_CARE, "period": "P1Y", "trigger": "Receipt", "disposal": "Deletion"}
    text = from_document(to_document(PLACEMENTS) | {"retention": [kept]})
    terms = Terms({(text.id, digest(text)): text}, the_terms().parties, shipped())
    made = _ropa(terms=terms, states=_in_force(text), parties=[SOCIAL_CARE])
    assert not any(one.retention for one in made.records[0].activities)


def test_a_notice_is_no_traffic_and_brings_no_ended_activity_back() -> None:
    """It is due under an agreement that has ended too, and shares nothing."""
    told = notice(a_disclosure(), decided_at=NOON + timedelta(days=3))
    one = _ropa(a_disclosure(), told).records[0].activities[0]
    assert (one.tally.shared, one.tally.last) == (1, NOON)
    assert _ropa(told, states={}).records == ()


def test_real_traffic_stands_beside_what_was_agreed() -> None:
    """What was never shared, and how often what was: an officer sees what is not needed."""
    shared = a_disclosure(items=("nhsNumber",))
    later = a_disclosure(items=("nhsNumber",), decided_at=NOON + timedelta(days=3))
    one = _ropa(shared, later, refused(shared)).records[0].activities[0]
    assert one.tally.shared == 2
    assert (one.tally.first, one.tally.last) == (NOON, NOON + timedelta(days=3))
    page = to_html(_ropa(shared, later).to_paper())
    assert "2 disclosures, 2 November 2026 to 5 November 2026." in page
    assert "Never shared: childId, birthDate" in page


def test_what_has_ended_is_told_while_there_was_traffic_and_not_after() -> None:
    """A record covers what was done in the period, also under an agreement that is over."""
    assert _ropa(states={}).records == ()
    found = _ropa(a_disclosure(), states={}).records[0].activities
    assert [one.flow.id for one in found] == ["to-health"]


def test_a_processor_has_the_record_of_article_30_2_with_its_controllers() -> None:
    """UK GDPR Art 30(2): on whose behalf it processes."""
    document = to_document(PLACEMENTS)
    for role in document["parties"]:
        if role["id"] == TRUST:
            role |= {"role": "processor", "acting_for": "The integrated care board"}
    text = from_document(document)
    known = the_terms()
    terms = Terms({(text.id, digest(text)): text}, known.parties, shipped())
    made = _ropa(terms=terms, states=_in_force(text))
    assert [record.article for record in made.records] == ["30(2)"]
    assert "The integrated care board" in to_html(made.to_paper())


def test_joint_controllers_name_each_other() -> None:
    """UK GDPR Art 30(1)(a) and Art 26."""
    document = to_document(PLACEMENTS)
    for role in document["parties"]:
        if role["id"] in {TRUST, SOCIAL_CARE}:
            role["role"] = "joint-controller"
    text = from_document(document)
    terms = Terms({(text.id, digest(text)): text}, the_terms().parties, shipped())
    found = _ropa(terms=terms, states=_in_force(text)).to_json()["records"][0]["activities"]
    assert found[0]["joint_controllers"] == [SOCIAL_CARE]


def test_the_operator_is_a_processor_for_everybody_it_shared_for() -> None:
    """UK GDPR Art 30(2): the service itself processes on behalf of the parties."""
    made = _ropa(a_disclosure(), a_disclosure(), parties=[BROKER])
    assert made.to_json()["operator"] == [
        {"controller": SOCIAL_CARE, "disclosed": 2, "received": 0},
        {"controller": TRUST, "disclosed": 0, "received": 2},
    ]
    assert "as processor (UK GDPR Article 30(2))" in to_html(made.to_paper())


def test_law_enforcement_has_its_legal_basis_and_policy_document() -> None:
    """DPA 2018 ss. 61 and 42, Sch 1 para 41: both belong to the record."""
    text = agreements()["missing-children"]
    made = _ropa(states=_in_force(text), parties=["anyshire-police"])
    one = made.to_json()["records"][0]["activities"][0]
    assert one["legal_basis"]["regime"] == "dpa-part-3"
    assert one["appropriate_policy_document"]


def test_an_event_without_recipient_or_an_unknown_text_does_not_stop_the_record() -> None:
    """What no agreement covers is counted nowhere and breaks nothing."""
    nobody = a_disclosure(recipient="", outcome="deny", reason="no-agreement")
    unknown = a_disclosure(hash="00" * 32)
    assert _ropa(nobody, unknown).records[0].activities[0].tally.shared == 0
    assert counted([nobody]) == {}


def test_a_flow_among_several_is_one_activity_with_the_traffic_of_all_but_oneself() -> None:
    """A reciprocal flow: nobody is a recipient of its own data."""
    document = to_document(PLACEMENTS)
    for role in document["parties"]:
        role["direction"] = "both"
    everybody = [role["id"] for role in document["parties"]]
    document["flows"] = [document["flows"][0] | {"from": everybody, "to": everybody}]
    text = from_document(document)
    terms = Terms({(text.id, digest(text)): text}, the_terms().parties, shipped())
    others = [party for party in everybody if party != TRUST]
    sent = [
        a_disclosure(hash=digest(text), publisher=TRUST, recipient=to, decided_at=NOON + when)
        for to, when in zip(others, map(timedelta, (2, 1, 3)), strict=True)
    ]
    provides = _ropa(*sent, terms=terms, states=_in_force(text)).records[0].activities[0]
    assert provides.others == tuple(others)
    assert provides.tally.shared == 3
    assert (provides.tally.first, provides.tally.last) == (
        NOON + timedelta(1),
        NOON + timedelta(3),
    )


def test_the_sheet_has_a_row_for_each_activity() -> None:
    """A spreadsheet has the same rows as the paper."""
    made = _ropa(parties=[SOCIAL_CARE, TRUST])
    rows = list(made.to_sheet().rows)
    assert len(rows) == sum(len(record.activities) for record in made.records) == 4
    assert {len(row) for row in rows} == {len(made.to_sheet().header)}


def test_traffic_is_counted_by_the_text_that_it_was_decided_under() -> None:
    """Two versions of one flow are two ways."""
    other = a_disclosure(hash="11" * 32)
    ways = counted([a_disclosure(), other, refused(a_disclosure(), "hold", "suspended")])
    assert sorted(tally.shared for tally in ways.values()) == [1, 1]
    assert sum(tally.outcomes["hold"] for tally in ways.values()) == 1
    assert datetime(2026, 11, 2, 12, tzinfo=UTC) == next(iter(ways.values())).first

"""The demo's agreements are lawful, realistic, and say what the story tells."""

from datetime import UTC, datetime

import pytest

from agreements.canonical import digest
from agreements.model import Agreement
from agreements.reading import read_agreement
from agreements.validating import validate_text
from broker.demo.agreements import texts
from schemas.catalogue import shipped

TODAY = datetime(2026, 11, 23, tzinfo=UTC)
PARTIES = {
    "anytown-childrens-social-care",
    "anytown-adult-social-care",
    "anytown-housing",
    "anytown-nhs-trust",
    "anyshire-police",
    "anytown-virtual-school",
}


def demo() -> dict[str, Agreement]:
    """Return the demo's agreements by file name without its ending."""
    found = texts().items()
    return {name.removesuffix(".yaml"): read_agreement(text, name=name) for name, text in found}


def items(agreement: str, flow: str) -> dict[str, bool]:
    """Return the items of a flow and whether each is required."""
    return {item.path: item.required for item in demo()[agreement].flow(flow).items}


@pytest.mark.parametrize("name", texts())
def test_a_demo_agreement_validates_without_a_warning(name: str) -> None:
    """They are what an information governance officer would sign."""
    validation = validate_text(texts()[name], name=name, catalogue=shipped())
    assert validation.problems == ()
    assert validation.is_valid
    assert validation.agreement is not None


def test_six_organisations_share() -> None:
    """Every party of the story is in an agreement, and nobody else."""
    used = {party.id for agreement in demo().values() for party in agreement.parties}
    assert used == PARTIES


def test_no_two_agreements_are_the_same() -> None:
    """Each has its own id and hash."""
    agreements = demo().values()
    assert len({agreement.id for agreement in agreements}) == len(agreements)
    assert len({digest(agreement) for agreement in agreements}) == len(agreements)


def test_one_event_has_three_views() -> None:
    """Health sees the placement's postcode, the school UPN and authority, the host the home's."""
    health = items("looked-after-placements", "to-health")
    school = items("looked-after-placements", "to-school")
    host = items("looked-after-placements", "to-host-authority")
    assert "placementPostcode" in health
    assert school == {"upn": True, "localAuthority": False}
    assert "homePostcode" in host
    assert "placementPostcode" not in school | host
    assert "homePostcode" not in health


def test_a_return_of_past_years_is_never_too_old() -> None:
    """Placements come from a statutory return, which is historic."""
    for agreement in demo().values():
        for flow in agreement.flows:
            if "uk.gov.csc.cla-placement.v1" in flow.events:
                assert flow.max_age is None


def test_only_the_pilot_has_ended() -> None:
    """One agreement is over, the others run today."""
    running = {name for name, found in demo().items() if found.effective.ends_at > TODAY}
    assert set(demo()) - running == {"placements-pilot"}


def test_the_police_receive_nothing_of_the_return_interview() -> None:
    """What a child says on return is for the social worker."""
    police = items("missing-children", "to-police")
    assert not [path for path in police if path.startswith("returnInterview")]
    assert demo()["missing-children"].flow("to-police").legal.recipient.regime == "dpa-part-3"


def test_no_flow_of_housing_has_an_address_that_leads_to_the_household() -> None:
    """Not even to a household that is not in a refuge."""
    for flow in demo()["homelessness-duty"].flows:
        exact = {item.path for item in flow.items if item.transform is None}
        assert not [path for path in exact if "address" in path]
        assert [c.otherwise for c in flow.when if c.item == "refuge"] == ["review"]


@pytest.mark.parametrize("name", texts())
def test_a_demo_agreement_leaves_no_cell_of_a_paper_empty(name: str) -> None:
    """Whom to ask at each party, whom each flow is about, where it stays; nobody real."""
    agreement = demo()[name.removesuffix(".yaml")]
    for party in agreement.parties:
        contacts = party.contacts
        reached = (contacts.dpo, contacts.sar, contacts.breach_24x7)
        for contact in reached:
            assert contact is not None
            assert contact.email is None or contact.email.endswith(".example")
            assert contact.telephone is None or contact.telephone.startswith("01632 960")
            assert contact.email or contact.telephone
    assert all(flow.subjects for flow in agreement.flows)
    assert agreement.rights.sar_lead is not None
    assert agreement.security.uk_only

"""Code lists are data with a source, and gateways have words."""

from datetime import date

import pytest

from agreements.codes import CodeList, all_lists, code_list
from agreements.gateways import gateway, is_legislation, title_of
from schemas.catalogue import Sensitivity


@pytest.mark.parametrize("codes", all_lists(), ids=lambda codes: codes.name)
def test_every_code_has_a_title_and_a_source(codes: CodeList) -> None:
    """Nobody has to know what a letter stands for."""
    assert codes.title
    for code in codes:
        entry = codes[code]
        assert entry.title
        assert entry.source.startswith("https://")


@pytest.mark.parametrize(
    "name", ["article-6", "article-9", "article-10", "annex-1", "schedule-1", "schedule-8"]
)
def test_every_code_of_data_protection_law_has_its_commencement(name: str) -> None:
    """Whether it could be relied on that day can be told for each."""
    codes = code_list(name)
    assert all(codes[code].in_force_from is not None for code in codes)


@pytest.mark.parametrize("codes", all_lists(), ids=lambda codes: codes.name)
def test_a_code_is_in_force_for_a_time_that_is_not_empty(codes: CodeList) -> None:
    """From inclusive, until exclusive."""
    for code in codes:
        begins, ends = codes[code].in_force_from, codes[code].in_force_until
        assert begins is None or ends is None or begins < ends


def test_schedule_1_has_its_conditions_in_three_parts() -> None:
    """Paragraph 5 is about policy documents and is no condition."""
    paragraphs = code_list("schedule-1")
    assert [int(code) for code in paragraphs] == [1, 2, 3, 4, *range(6, 38)]
    parts = {code: paragraphs[code].more["part"] for code in paragraphs}
    assert (parts["4"], parts["6"], parts["28"], parts["29"]) == (1, 2, 2, 3)


def test_recognised_legitimate_interests_begin_with_the_2025_act() -> None:
    """A code has its time."""
    basis = code_list("article-6")["ea"]
    assert not basis.is_in_force(date(2025, 1, 1))
    assert basis.is_in_force(date(2026, 4, 1))
    assert code_list("article-6")["e"].is_in_force(date(2020, 1, 1))


def test_the_sensitivities_are_those_of_the_event_schemas() -> None:
    """The list for readers and the labels of the schemas are one."""
    assert set(code_list("sensitivities")) == {label.value for label in Sensitivity}


def test_a_gateway_in_the_list_has_act_section_and_kind() -> None:
    """An explanation names the law, not an address."""
    found = gateway("https://www.legislation.gov.uk/ukpga/1989/41/section/47")
    assert (found.act, found.section, found.kind) == (
        "Children Act 1989",
        "section 47",
        "mandatory",
    )
    assert found.title == "Children Act 1989, section 47: Local authority's duty to investigate"


@pytest.mark.parametrize("address", code_list("gateways"))
def test_every_gateway_in_the_list_is_an_address_of_legislation(address: str) -> None:
    """The address is the identifier."""
    assert is_legislation(address)
    assert title_of(address).startswith(gateway(address).act)


@pytest.mark.parametrize(
    ("address", "title"),
    [
        (
            "https://www.legislation.gov.uk/ukpga/2003/44/section/325",
            "Act 2003 No. 44, section 325",
        ),
        ("https://www.legislation.gov.uk/uksi/2015/1", "Statutory Instrument 2015 No. 1"),
        ("https://example.gov.uk/policy", "https://example.gov.uk/policy"),
    ],
)
def test_a_gateway_outside_the_list_is_named_after_its_address(address: str, title: str) -> None:
    """What is not in the list still has words."""
    assert title_of(address) == title


@pytest.mark.parametrize(
    "address",
    [
        "http://www.legislation.gov.uk/ukpga/1989/41/section/47",
        "https://www.legislation.gov.uk.example.com/ukpga/1989/41",
        "https://www.legislation.gov.uk/ukpga/1989/41/section/47?x=1",
        "https://www.legislation.gov.uk/",
        "",
    ],
)
def test_other_addresses_are_not_of_legislation(address: str) -> None:
    """Only the one spelling of the one site."""
    assert not is_legislation(address)

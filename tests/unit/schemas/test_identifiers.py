"""Identifiers: known values, near misses and placeholders."""

import csv
from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError
from stdnum.gb import upn as stdnum_upn

from schemas import identifiers
from schemas.identifiers import (
    KINDS,
    LA_NUMBERS,
    POLICE_FORCES,
    NhsNumber,
    Postcode,
    canonical,
    check,
)

SSDA903 = Path(__file__).parents[4] / "shared" / "samples" / "ssda903"

VALID = {
    "nhs-number": [
        "9912003888", "9434765919", "9413946000", "5900005879", "9449305552", "943 476 5919",
    ],
    "upn": ["G330200112001", "B801200005001"],
    "uln": ["9276308686"],
    "nino": ["JG103759A", "AB123456D", "jg 10 37 59 a"],
    "uprn": ["100023336956", "000000199356", "1"],
    "usrn": ["20602512", "1"],
    "gss": ["E08000018", "E10000006", "W06000015", "S12000036", "N09000003", "E54000061"],
    "dfe-la": ["201", "330", "838", "943"],
    "ods": ["K81003001", "VLAXL", "RFR", "EE134290", "X"],
    "postcode": [
        "M1 1AE", "M60 1NW", "CR2 6XH", "DN55 1PT", "W1A 1HQ", "EC1A 1BB", "GIR 0AA", "s601aa",
    ],
    "police-force": ["south-yorkshire", "btp", "Metropolitan"],
    "la-child-id": ["566910", "A1", "2024/0017-B", "x" * 36],
    "person-ref": ["H-000123"],
    "urn": ["4244474", "104123"],
    "ukprn": ["10007774"],
    "crn": ["X320741"],
    "noms": ["A0001AA"],
}  # fmt: skip

INVALID = {
    "nhs-number": [
        "6101231234", "1112223330", "3478526985", "0449310999", "9276308686",
        "943476591", "94347659190", "943476591X", "", "٩٤٣٤٧٦٥٩١٩", "9434765918", "943-476-5919",
    ],
    "upn": [
        "A801200005001", "X80120000A001", "E000200005001", "G33020011200", "G3302001120011",
        "I330200112001", "D051910639385", "",
    ],
    "uln": ["9434765919", "0276308686", "927630868", "9276308687", ""],
    "nino": [
        "DA123456A", "AO123456A", "BG123456A", "GB123456A", "ZZ123456A", "AB123456E", "AB12345A",
        "OO123456A", "QA123456A", "AQ123456A", "",
    ],
    "uprn": ["1000233369560", "10002333695X", "", "1.5", "-1"],
    "usrn": ["123456789", ""],
    "gss": ["X08000018", "E0800001", "E080000188", "E99000001", "", "E0800001A"],
    "dfe-la": ["000", "999", "20", "2010"],
    "ods": ["", "ABCDEFGHIJ", "RF_R"],
    "postcode": [
        "EC1A1B", "Q1 1AA", "V1 1AA", "X1 1AA", "AI1 1AA", "AJ1 1AA", "AZ1 1AA", "A1I 1AA",
        "M1 1CE", "M1 1AV", "AA1I 1AA", "", "MM1", "GIR 0AB", "S60-1AA", "WV27 99FW",
    ],
    "police-force": ["south-yorks", "", "police-scotland"],
    "la-child-id": ["x" * 37, "", "-1", "1;2", "Jo Smíth"],
    "person-ref": ["", "a,b"],
    "urn": ["12345", "12345678", "42444X4"],
    "ukprn": ["20007774", "1000777"],
    "crn": ["3207410", "X32074"],
    "noms": ["A001AA", "A00011A"],
}  # fmt: skip

PLACEHOLDERS = {
    "nhs-number": ["9999999999", "9876543210", "0000000000", "1111111111", "0123456789"],
    "upn": ["UN1", "un7", "UNKNOWN"],
    "uln": ["9999999999", "TBC"],
    "nino": ["AB123456C", "QQ123456C"],
    "postcode": ["ZZ99 3WZ", "zz993vz"],
    "la-child-id": ["000000", "Unknown", "N/A"],
    "uprn": ["000000000000"],
    "urn": ["9999999"],
}


@pytest.mark.parametrize(("kind", "text"), [(k, v) for k, vs in VALID.items() for v in vs])
def test_a_true_identifier_is_valid(kind: str, text: str) -> None:
    """Published examples and known values, also as people write them."""
    assert check(kind, text) is None


@pytest.mark.parametrize(("kind", "text"), [(k, v) for k, vs in INVALID.items() for v in vs])
def test_a_near_miss_is_invalid(kind: str, text: str) -> None:
    """One digit, letter or check digit wrong."""
    assert check(kind, text) == "invalid-identifier"


@pytest.mark.parametrize(("kind", "text"), [(k, v) for k, vs in PLACEHOLDERS.items() for v in vs])
def test_a_placeholder_is_told_from_a_mistake(kind: str, text: str) -> None:
    """Some pass their check digit: 9999999999 would join the records of strangers."""
    assert check(kind, text) == "placeholder-identifier"


def test_every_kind_has_examples() -> None:
    """A new kind comes with its own."""
    assert VALID.keys() == INVALID.keys() == KINDS


def test_a_kind_that_does_not_exist_is_our_mistake() -> None:
    """Schemas are checked against the kinds when they are read."""
    with pytest.raises(KeyError):
        check("passport", "1")


def test_test_numbers_can_be_shut_out() -> None:
    """999… is never issued: in service such a person does not exist."""
    test_number = "9990000018"
    assert check("nhs-number", test_number) is None
    assert check("nhs-number", test_number, allow_test=False) == "test-identifier"
    assert check("nhs-number", "9434765919", allow_test=False) is None


@pytest.mark.parametrize(
    ("kind", "text", "written"),
    [
        ("nhs-number", " 943 476 5919", "9434765919"),
        ("postcode", "s601aa", "S60 1AA"),
        ("postcode", "S60  1AA", "S60 1AA"),
        ("postcode", "1AA", "1AA"),
        ("uprn", "000000199356", "199356"),
        ("uprn", "0000", "0"),
        ("uprn", "00A", "00A"),
        ("police-force", "South-Yorkshire", "south-yorkshire"),
        ("la-child-id", "ab 12", "AB12"),
        ("nino", "jg 10 37 59 a", "JG103759A"),
    ],
)
def test_an_identifier_has_one_way_to_be_written(kind: str, text: str, written: str) -> None:
    """By this form it is indexed, so that one person is found once."""
    assert canonical(kind, text) == written
    assert canonical(kind, written) == written


def test_identifiers_are_types_at_the_edges() -> None:
    """A model takes a valid value, keeps the canonical form, and does not repeat a bad one."""

    class Form(BaseModel):
        number: NhsNumber
        postcode: Postcode

    form = Form(number="943 476 5919", postcode="s60 1aa")
    assert (form.number, form.postcode) == ("9434765919", "S60 1AA")
    with pytest.raises(ValidationError) as refused:
        Form(number="943 476 5918", postcode="S60 1AA")
    assert "not a valid nhs-number" in str(refused.value)


def test_the_code_lists_hold_what_they_are_for() -> None:
    """45 forces of England, Wales and Northern Ireland; stdnum's authorities and later ones."""
    assert len(POLICE_FORCES) == 45
    assert {str(number) for number in stdnum_upn._la_numbers} < LA_NUMBERS
    assert LA_NUMBERS - {str(number) for number in stdnum_upn._la_numbers} == {
        "838", "839", "940", "941", "942", "943",
    }  # fmt: skip


def test_results_are_kept_within_a_bound() -> None:
    """A sender who makes up identifiers does not fill the memory."""
    assert identifiers._checked.cache_info().maxsize == 65_536


@pytest.mark.samples
@pytest.mark.skipif(not SSDA903.exists(), reason="the public samples are not beside the project")
def test_a_real_return_is_as_bad_as_it_was_counted() -> None:
    """SSDA903 sample: 5,187 of 10,098 postcodes can be one, and no UPN is valid."""
    with (SSDA903 / "episodes.csv").open(encoding="utf-8-sig") as file:
        posts = [row[name] for row in csv.DictReader(file) for name in ("HOME_POST", "PL_POST")]
    given = [post for post in posts if post]
    assert (len(given), sum(check("postcode", post) is None for post in given)) == (10_098, 5_187)
    with (SSDA903 / "header.csv").open(encoding="utf-8-sig") as file:
        upns = [row["UPN"] for row in csv.DictReader(file)]
    assert len(upns) == 2675
    assert not any(check("upn", one) is None for one in upns)

"""Identifiers against python-stdnum, on any text."""

from hypothesis import given
from hypothesis import strategies as st
from stdnum.gb import nhs, upn

from schemas.identifiers import KINDS, canonical, check

digits = st.text("0123456789", min_size=10, max_size=10)


@given(digits)
def test_an_nhs_number_is_what_stdnum_takes_for_one(text: str) -> None:
    """Unless it is a placeholder, which stdnum does not know."""
    reason = check("nhs-number", text)
    assert (reason in {None, "placeholder-identifier"}) == nhs.is_valid(text)


@given(digits.map(lambda text: text[:9]))
def test_one_check_digit_at_most_makes_an_nhs_number(start: str) -> None:
    """Any single wrong digit is found."""
    valid = [d for d in "0123456789" if check("nhs-number", start + d) != "invalid-identifier"]
    assert len(valid) <= 1


@given(digits)
def test_no_number_is_both_a_learners_and_a_patients(text: str) -> None:
    """The ULN's remainder was chosen so: one in the other's place is noticed."""
    assert not (check("uln", text) is None and nhs.is_valid(text))


@st.composite
def upns(draw: st.DrawFn) -> str:
    """Texts that are UPNs but for chance: right or nearly right check letters."""
    area = draw(st.sampled_from(["201", "330", "801", "000", "938", "999"]))
    last = draw(st.sampled_from("0123456789ABCDEFGHJKLMNPQRTUVWXYZIOS"))
    body = area + draw(st.text("0123456789", min_size=8, max_size=8)) + last
    try:
        letter = upn.calc_check_digit("A" + body)
    except ValueError:
        letter = "A"
    return draw(st.sampled_from([letter, letter, "A", "I"])) + body


@given(upns())
def test_a_upn_is_what_stdnum_takes_for_one(text: str) -> None:
    """Check letter, authority, form."""
    assert (check("upn", text) is None) == upn.is_valid(text)


@given(st.sampled_from(sorted(KINDS)), st.text(max_size=40))
def test_any_text_gets_an_answer(kind: str, text: str) -> None:
    """Never an error; and the canonical form gets the same answer and stays as it is."""
    answer = check(kind, text)
    assert answer in {None, "invalid-identifier", "placeholder-identifier"}
    written = canonical(kind, text)
    assert canonical(kind, written) == written
    assert check(kind, written) == answer

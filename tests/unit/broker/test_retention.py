"""How long a record is kept: as the agreements say, never shorter than any of them."""

import pytest
from deciding_world import an_agreement
from shredding_world import FIRST_DAY, KEEPING, LONG, PERIODS, SHORT, SILENT

from agreements.canonical import digest
from agreements.reading import from_document
from agreements.signed import Version
from broker.evidence.retention import Due, Keeping

UNKNOWN = b"\x09" * 32
BY_ALL = "retention P3Y of the scheme"
BY_SCHEME = Keeping(PERIODS, "P3Y")


@pytest.mark.parametrize(
    ("keeping", "agreements", "due"),
    [
        (KEEPING, (SHORT,), Due(FIRST_DAY.replace(year=2021), "retention P1Y of short version 1")),
        (KEEPING, (SHORT, LONG), Due(FIRST_DAY.replace(year=2026), PERIODS[LONG].rule)),  # type: ignore[union-attr]
        (KEEPING, (LONG, SHORT), Due(FIRST_DAY.replace(year=2026), PERIODS[LONG].rule)),  # type: ignore[union-attr]
        (KEEPING, (SILENT,), None),
        (KEEPING, (SHORT, SILENT), None),
        (KEEPING, (UNKNOWN, SHORT), None),
        (KEEPING, (), None),
        (BY_SCHEME, (), Due(FIRST_DAY.replace(year=2023), BY_ALL)),
        (BY_SCHEME, (SILENT,), Due(FIRST_DAY.replace(year=2023), BY_ALL)),
        (BY_SCHEME, (SHORT, SILENT), Due(FIRST_DAY.replace(year=2023), BY_ALL)),
        (BY_SCHEME, (UNKNOWN,), None),
    ],
)  # fmt: skip
def test_a_record_is_kept_as_long_as_the_longest_asks(
    keeping: Keeping, agreements: tuple[bytes, ...], due: Due | None
) -> None:
    """What somebody has set no time for, or nobody here knows, is kept."""
    assert keeping.due(frozenset(agreements), FIRST_DAY) == due


def test_an_agreement_says_it_under_the_hash_that_was_signed() -> None:
    """The record names the very text, so a later version changes nothing for it."""
    document = {**an_agreement(), "evidence": {"records": "P2Y"}}
    agreement = from_document(document)
    sha256 = digest(agreement)
    keeping = Keeping.of([Version(agreement.version, agreement, sha256, {})], None)
    due = keeping.due(frozenset({bytes.fromhex(sha256)}), FIRST_DAY)
    assert due is not None
    assert due.at == FIRST_DAY.replace(year=2022)
    assert due.rule == f"retention P2Y of {agreement.id} version {agreement.version}"
    assert sha256 != digest(from_document(an_agreement()))


def test_without_any_period_nothing_is_ever_due() -> None:
    """So the records need not even be looked at."""
    assert not Keeping({SILENT: None}, None).has_end
    assert Keeping({SILENT: None}, "P1D").has_end
    assert KEEPING.has_end

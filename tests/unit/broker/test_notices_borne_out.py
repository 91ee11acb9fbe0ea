"""What records of notices claim of earlier ones is borne out by the log, or it is told."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from audit_records import Told, blind

from broker.evidence.entries import Kept, content_of
from broker.evidence.notices import Claims
from broker.evidence.reading import LogFiles, framed
from broker.recording import read_decision
from broker.routing import DECISIONS
from connectors.streams import Record

WHO = (blind("a child"),)
FIRST = Told("first", WHO, ("school", "trust"))
OWN = Told("second", WHO, ("police",), outcome="deny")
NOTICES = Told("second", WHO, ("school", "trust"), retracts="first")
HELD = replace(FIRST, outcome="hold")
RELEASED = Told("first", WHO, ("trust",), suspension="5" * 64)
GONE = None


def unfounded(path: Path, log: Sequence[Told | None]) -> list[str]:
    """Write a log of records, some of them shredded; return what nothing in it bears out."""
    files, claims = LogFiles(path), Claims(LogFiles(path))
    kept = [
        Kept(at, shredded_under="retention P1Y") if one is None else as_kept(at, one)
        for at, one in enumerate(log)
    ]
    files.records_path(0).parent.mkdir(parents=True, exist_ok=True)
    files.records_path(0).write_bytes(b"".join(map(framed, kept)))
    found: list[tuple[int, str]] = []
    for at, one in enumerate(log):
        if one is not None and one.retracts:
            found += claims.add(at, read_decision(one.to_bytes()))
    found += claims.check()
    assert list(claims.check()) == []
    return [f"{index} {message}" for index, message in found]


def as_kept(at: int, told: Told) -> Kept:
    """Return what is kept of a record in a log."""
    record = Record(DECISIONS, 0, at, 1, b"key", told.to_bytes(), ())
    return Kept(at, bytes(16), content_of(record))


BORNE_OUT: dict[str, list[Told | None]] = {
    "permitted": [FIRST, OWN, NOTICES],
    "each by a record of its own": [replace(FIRST, recipients=("school",)), HELD, RELEASED, OWN,
                                    replace(NOTICES, recipients=("trust",))],
    "all may be what is gone": [GONE, NOTICES],
    "its release may be what is gone": [HELD, GONE, OWN, NOTICES],
    "its own record may be what is gone": [FIRST, GONE, NOTICES],
    "two retractions": [FIRST, OWN, NOTICES, replace(OWN, event="third"),
                        replace(NOTICES, event="third")],
}  # fmt: skip
NOT: dict[str, tuple[list[Told | None], list[str]]] = {
    "denied": ([replace(FIRST, outcome="deny"), OWN, NOTICES], ["2 no", "2 no"]),
    "one of two": ([replace(FIRST, recipients=("trust",)), OWN, NOTICES], ["2 no"]),
    "held and not released": ([HELD, OWN, NOTICES], ["2 no", "2 no"]),
    "denied, and something is gone": (
        [GONE, replace(FIRST, outcome="deny"), OWN, NOTICES],
        ["3 no", "3 no"],
    ),
    "permitted later": ([OWN, NOTICES, FIRST, replace(OWN, event="third"),
                         replace(NOTICES, event="third")], ["1 no", "1 no"]),
    "another publisher's": ([replace(FIRST, publisher="trust"), OWN, NOTICES], ["2 no", "2 no"]),
    "told by a notice alone": ([FIRST, OWN, NOTICES, replace(OWN, event="third"),
                                replace(NOTICES, event="third", retracts="second")],
                               ["4 no", "4 no"]),
    "gone after it": (
        [OWN, NOTICES, GONE, replace(OWN, event="third"), replace(NOTICES, event="third")],
        ["1 no", "1 no"],
    ),
    "not decided on": ([FIRST, NOTICES], ["1 it tells of notices for an event that was not"]),
    "decided on later": ([FIRST, NOTICES, OWN, replace(OWN, event="third"),
                          replace(NOTICES, event="third")], ["1 it tells of notices for an"]),
    "of other subjects": ([FIRST, replace(OWN, subjects=(blind("another"),)), NOTICES],
                          ["2 it says of its event another subjects"]),
}  # fmt: skip


@pytest.mark.parametrize("log", BORNE_OUT.values(), ids=list(BORNE_OUT))
def test_a_claim_that_the_log_bears_out_or_cannot_deny_is_no_problem(
    tmp_path: Path, log: list[Told | None]
) -> None:
    """An earlier permit does, and what is shredded may have."""
    assert unfounded(tmp_path, log) == []


@pytest.mark.parametrize(("log", "says"), NOT.values(), ids=list(NOT))
def test_a_claim_that_nothing_bears_out_is_told_once(
    tmp_path: Path, log: list[Told | None], says: list[str]
) -> None:
    """For each that is said to have been told."""
    found = unfounded(tmp_path, log)
    assert len(found) == len(says)
    assert all(one.startswith(start) for one, start in zip(found, says, strict=True)), found


def test_an_event_of_another_type_bears_nothing_out(tmp_path: Path) -> None:
    """The record of notices names the type of what was taken back."""
    assert unfounded(tmp_path, [FIRST, OWN, NOTICES]) == []
    claims = Claims(LogFiles(tmp_path))
    other = read_decision(NOTICES.to_bytes()) | {"eventType": "uk.gov.another.v1"}
    assert [*claims.add(2, other)] == []
    assert [index for index, _ in claims.check()] == [2, 2]

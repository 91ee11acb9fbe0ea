"""What log and parties differ in is named, and statements that are not in order are told."""

import json
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from audit_records import NOON, Told

from broker.audit.reconciling import (
    Difference,
    LogCounts,
    Place,
    Problem,
    keys_of_parties,
    read_statements,
    reconcile,
)
from broker.record_parts import PartsReader
from schemas.control import Kind, Party, StolenKey, document_key, sign_document
from schemas.counting import (
    Counted,
    Side,
    Statement,
    digest_of_statement,
    opened_element,
    published_element,
    state,
)
from schemas.keys import SigningKey

KEY = SigningKey.generate()
SCHEME = SigningKey.generate()
COUNCIL = Place("council", Side.PUBLISHED, "2026-11")
SCHOOL = Place("school", Side.OPENED, "2026-11")
LATER = NOON + timedelta(days=1)


def an_id(number: int) -> str:
    """Return an event's id."""
    return str(UUID(int=number))


def the_log(*told: Told, months: Sequence[str] = ()) -> LogCounts:
    """Return the counts of a log with these records."""
    counts, reader = LogCounts(months), PartsReader()
    for one in told:
        counts.add(one.to_bytes(), reader)
    return counts


def published(numbers: Iterable[int], **changes: Any) -> Statement:
    """Return the council's statement that it signed these events."""
    fields: dict[str, Any] = {
        "scheme": SCHEME.kid,
        "party": "council",
        "side": Side.PUBLISHED,
        "month": "2026-11",
        "until": LATER,
        "signed_at": LATER,
        "sequence": 1,
        "previous": None,
    }
    at_ms = int(NOON.timestamp() * 1000)
    elements = [published_element(an_id(number)) for number in numbers]
    counted = [Counted(one, "uk.gov.a.v1", at_ms) for one in elements]
    return state(counted, **(fields | changes))


def differences(counts: LogCounts, *statements: Statement) -> dict[Place, Difference]:
    """Reconcile, and return the differences by their place."""
    by_place = {Place(one.party, one.side, one.month): one for one in statements}
    return {one.place: one for one in reconcile(counts, by_place)}


def test_equal_sets_agree_and_others_are_named_on_both_sides() -> None:
    """By event id: what only the party has, and what only the log has."""
    log = the_log(*(Told(an_id(number), ()) for number in (1, 2, 3)))
    assert differences(log, published((3, 2, 1)))[COUNCIL].agrees
    found = differences(log, published((2, 3, 4)))[COUNCIL]
    assert not found.agrees
    assert (found.only_counted, found.only_logged) == ({an_id(4)}, {an_id(1)})


def test_a_settlement_is_no_second_event_and_its_delivery_is_one() -> None:
    """A hold delivers nothing; what settles it does, of an event that was counted before."""
    log = the_log(
        Told(an_id(1), (), outcome="hold"),
        Told(an_id(1), (), after=timedelta(hours=1), suspension="ab" * 32),
    )
    assert [(one.place, one.logged) for one in reconcile(log, {})] == [(COUNCIL, 1), (SCHOOL, 1)]


def test_a_notice_is_a_delivery_of_the_event_that_took_another_back() -> None:
    """Its recipient has opened it; the publisher has signed one event and not two."""
    log = the_log(
        Told(an_id(1), ()),
        Told(an_id(2), (), recipients=("police",)),
        Told(an_id(2), (), retracts=an_id(1)),
    )
    found = differences(log, published([1, 2]))
    assert (found[COUNCIL].agrees, found[COUNCIL].logged) == (True, 2)
    assert (found[SCHOOL].logged, found[SCHOOL].twice) == (2, set())
    (delivery,) = PartsReader().read(Told(an_id(2), (), retracts=an_id(1)).to_bytes()).candidates
    assert opened_element(an_id(2), delivery[1]) in log.elements(SCHOOL, before_ms=1 << 62)


def test_what_the_log_has_twice_is_named() -> None:
    """An event is decided once: two first decisions are one too many, and so two deliveries."""
    log = the_log(Told(an_id(1), ()), Told(an_id(1), ()), Told(an_id(2), ()))
    found = differences(log, published([1, 2]))
    assert (found[COUNCIL].agrees, found[COUNCIL].twice) == (False, {an_id(1)})
    assert found[SCHOOL].twice == {an_id(1)}


def test_what_was_refused_was_not_delivered() -> None:
    """Denied and held candidates are nobody's to open."""
    log = the_log(Told(an_id(1), (), outcome="deny"), Told(an_id(2), (), outcome="hold"))
    assert [one.place for one in reconcile(log, {})] == [COUNCIL]


def test_what_was_published_after_the_statement_does_not_count_against_it() -> None:
    """A statement is of what was published before its end."""
    log = the_log(Told(an_id(1), ()), Told(an_id(2), (), after=timedelta(hours=2)))
    found = differences(log, published([1], until=NOON + timedelta(hours=1)))[COUNCIL]
    assert (found.agrees, found.logged) == (True, 1)


def test_only_the_months_that_are_asked_for_are_counted() -> None:
    """By the time of publishing, in UTC."""
    told = (Told(an_id(1), ()), Told(an_id(2), (), after=timedelta(days=20)))
    assert {one.place.month for one in reconcile(the_log(*told), {})} == {"2026-11", "2026-12"}
    log = the_log(*told, months=["2026-12"])
    assert {one.place.month for one in reconcile(log, {})} == {"2026-12"}


def test_an_event_that_is_counted_in_another_month_is_not_missing() -> None:
    """Signed on the last day, it did not get through, and was signed again on the first."""
    log = the_log(Told(an_id(1), ()), Told(an_id(2), (), after=timedelta(days=20)))
    november, december = published([1, 2]), published([], month="2026-12", sequence=2, until=LATER)
    december = december.model_copy(update={"until": NOON + timedelta(days=60)})
    found = differences(log, november, december)
    assert all(found[place].agrees for place in (COUNCIL, COUNCIL._replace(month="2026-12")))


def test_two_deliveries_of_one_event_are_two() -> None:
    """A recipient has an event by two flows; each is counted by what came."""
    log = the_log(Told(an_id(1), ()))
    (seal,) = (seal for _, seal in PartsReader().read(Told(an_id(1), ()).to_bytes()).candidates)
    one, other = opened_element(an_id(1), seal), opened_element(an_id(1), bytes(32))
    counted = [Counted(element, "uk.gov.a.v1", 0) for element in (one, other)]
    statement = published([]).model_dump(exclude={"total", "digest", "counts", "sketch", "format"})
    stated = state(counted, **(statement | {"side": Side.OPENED, "party": "school"}))
    found = differences(log, stated)[SCHOOL]
    assert (found.only_counted, found.only_logged) == ({an_id(1)}, set())


def test_more_differences_than_can_be_named_are_told_as_that() -> None:
    """Nothing is named that may be wrong."""
    found = differences(the_log(Told(an_id(1), ())), published(range(2, 2000)))[COUNCIL]
    assert (found.agrees, found.is_named) == (False, False)
    assert not found.only_counted


# -- statements -----------------------------------------------------------------------


def a_chain(length: int) -> list[str]:
    """Return statements that follow each other, each with one event more."""
    tokens: list[str] = []
    for number in range(1, length + 1):
        previous = digest_of_statement(tokens[-1]) if tokens else None
        statement = published(range(number), sequence=number, previous=previous)
        tokens.append(statement.to_jws(KEY))
    return tokens


def read(tokens: Iterable[str], **how: Any) -> tuple[dict[Place, Statement], list[Problem]]:
    """Read tokens as the council's."""
    keys = {"council": [KEY.public]}
    told = [("council", token) for token in tokens]
    return read_statements(told, keys, scheme=SCHEME.kid, **how)


def test_the_newest_statement_counts_in_whatever_order_they_come() -> None:
    """Each takes the place of the one before."""
    found, problems = read(reversed(a_chain(3)))
    assert (found[COUNCIL].total, problems) == (3, [])
    assert read(a_chain(2), months=["2026-12"])[0] == {}


@pytest.mark.parametrize(
    ("change", "codes"),
    [
        (lambda chain: chain[1:], ["statement-missing"]),
        (lambda chain: [chain[0], chain[2]], ["statement-missing"]),
        (
            lambda chain: [*chain, published([7], sequence=3).to_jws(KEY)],
            ["statement-forked"],
        ),
        (
            lambda chain: [
                *chain[:2],
                published([7], sequence=3, previous="0" * 64).to_jws(KEY),
            ],
            ["statement-unchained"],
        ),
    ],
    ids=["first", "middle", "forked", "unchained"],
)
def test_statements_that_are_not_in_order_are_told(change: Any, codes: list[str]) -> None:
    """One that is missing, two of one number, and one that follows another."""
    assert [one.code for one in read(change(a_chain(3)))[1]] == codes


def test_what_is_not_the_party_s_or_of_another_scheme_is_passed_over() -> None:
    """Anybody may write to the topic."""
    foreign = published([1], scheme="another").to_jws(KEY)
    forged = published([1]).to_jws(SigningKey.generate())
    assert read([foreign, forged, "", "a.b.c"]) == ({}, [])
    own = published([1]).to_jws(KEY)
    keys = {"school": [KEY.public]}
    assert read_statements([("school", own)], keys, scheme=SCHEME.kid) == ({}, [])


def test_a_key_that_was_retired_still_counts_and_a_stolen_one_does_not() -> None:
    """Of every revision that the scheme has signed, and of no other."""
    retired, stolen, now = (SigningKey.generate() for _ in range(3))
    revisions = [
        Party(
            id="council",
            name="Council",
            roles=("publisher",),
            signing_keys=tuple(key.public.to_jwk() for key in (retired, stolen)),
        ),
        Party(
            id="council",
            name="Council",
            roles=("publisher",),
            signing_keys=(now.public.to_jwk(),),
            stolen_keys=(StolenKey(kid=stolen.kid, stolen_from=NOON),),
            revision=2,
        ),
    ]
    documents = {
        document_key(Kind.PARTY, one.id, one.revision): json.dumps(
            {"jws": sign_document(SCHEME, one.model_dump(mode="json"))}
        ).encode()
        for one in revisions
    }
    forged = sign_document(KEY, revisions[0].model_dump(mode="json"))
    documents[document_key(Kind.PARTY, "council", 3)] = json.dumps({"jws": forged}).encode()
    documents[b"party|council|4"] = b"[]"
    documents[b"junk"] = b"{}"
    found = keys_of_parties(documents, SCHEME.public)
    assert {key.kid for key in found["council"]} == {retired.kid, now.kid}

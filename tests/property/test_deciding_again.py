"""Deciding again without the events agrees with the router, and with nothing else.

Flows at random are routed by the real router; what it recorded is decided again from the
records and the control documents alone. Then one thing in a record is changed.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from functools import cache
from typing import Any

import pytest
from agreement_strategies import CONDITIONS, FLOWS, varied
from deciding_world import COUNCIL, HEALTH, NOON, SCHEME, SCHOOL, a_flow, key_of
from deciding_world import an_agreement as a_text
from hypothesis import given, settings
from hypothesis import strategies as st
from routing_world import NOON_MS, RoutingWorld, a_scheme_of, decisions, on

from agreements.candidates import to_us
from agreements.views import View
from broker.control import Snapshot
from broker.evidence.deciding_again import DecidingAgain, Unchecked
from broker.evidence.rules_then import Document
from broker.holding import HELD
from broker.made_again import told_again
from broker.retracting import Retractor
from broker.retraction import RETRACTIONS
from broker.settling import Settler
from connectors.streams import Batch, Outgoing, Record
from schemas.batch_proofs import BatchProof
from schemas.catalogue import shipped

DAY = timedelta(days=1)
TEXTS = FLOWS.map(lambda flows: a_text(*flows))


def problems(
    world: RoutingWorld, records: list[dict[str, Any]], *, proof: BatchProof | None = None
) -> list[str]:
    """Decide records again with what was on control; return what is wrong with them."""
    said = world.documents.documents.items()
    documents: list[Document] = [
        (offset, key, value) for offset, (key, value) in enumerate(said) if value is not None
    ]
    again = DecidingAgain(documents, shipped(), SCHEME.public)
    waiting = [Unchecked(index, record, proof) for index, record in enumerate(records)]
    return [f"{index} {code}: {message}" for index, (code, message) in again.check(waiting)]


def know(world: RoutingWorld) -> None:
    """Have the router know all that is on control."""
    documents = world.documents
    world.snapshot = Snapshot(documents.rules(), len(documents.documents))


def routed(text: Mapping[str, Any], *, at_ms: int = NOON_MS) -> tuple[RoutingWorld, list[Any]]:
    """Route events of many values under an agreement; return the world and what was recorded."""
    world = RoutingWorld(documents=a_scheme_of(text))
    know(world)
    events = [varied(number) for number in range(12)]
    return world, decisions(world.route(*world.records(events), at_ms=at_ms))


@given(TEXTS, st.sampled_from([NOON_MS, NOON_MS + 3_600_001, NOON_MS + 10**11]))
@settings(max_examples=40, deadline=None)
def test_what_the_router_decided_comes_out_again_without_the_events(
    text: dict[str, Any], at_ms: int
) -> None:
    """Permits, denials and reviews of every kind, at times in force and out of it."""
    world, records = routed(text, at_ms=at_ms)
    assert problems(world, records) == []


@cache
def permits() -> tuple[RoutingWorld, list[dict[str, Any]]]:
    """Return a world in which everything is permitted, and its records."""
    items = [{"path": "childId"}, {"path": "upn"}, {"path": "sex", "transform": "mask"}]
    return routed(a_text(a_flow(items=items), a_flow(id="to-school", to=[SCHOOL], items=items)))


OTHERS: dict[str, Any] = {
    "outcome": "deny", "reason": "too-old", "detail": "when[0]", "recipient": SCHOOL,
    "agreement": "https://sharing.example.gov.uk/agreements/another", "version": 2,
    "hash": bytes(32), "flow": "another", "purpose": "another-purpose",
    "provider": {"regime": "uk-gdpr", "conditions": [], "gateways": []},
    "receiver": {"regime": "dpa-part-3", "conditions": [], "gateways": []},
    "items": ["childId", "upn", "sex", "homePostcode"], "transforms": {}, "view": bytes(8),
    "key": "another", "withheld": {"sex": "absent"},
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_a_candidate_that_says_something_else_is_found(name: str) -> None:
    """One field of one permit in a record is another."""
    world, records = permits()
    first = records[3]["candidates"][0]
    other = {
        **records[3],
        "candidates": [{**first, name: OTHERS[name]}, records[3]["candidates"][1]],
    }
    found = problems(world, [*records[:3], other, *records[4:]])
    assert found
    assert {one.partition(" ")[0] for one in found} == {"3"}


def test_a_candidate_that_is_left_out_or_told_twice_is_found() -> None:
    """The rules name two recipients; the record must tell of both, once."""
    world, records = permits()
    one, other = records[0]["candidates"]
    for told in ([], [one], [other, one], [one, other, other]):
        assert problems(world, [{**records[0], "candidates": told}])


def test_a_permit_under_a_text_that_one_party_did_not_sign_is_named() -> None:
    """The agreement is on control, and one signature is missing."""
    world, records = permits()
    unsigned = RoutingWorld(documents=a_scheme_of())
    unsigned.documents.documents = {
        key: value
        for key, value in world.documents.documents.items()
        if f"|{HEALTH}|accept".encode() not in key
    }
    found = problems(unsigned, records[:1])
    assert any("expected deny (not-signed)" in one for one in found), found


def test_an_event_that_is_decided_twice_is_found() -> None:
    """Each event of a partition is decided once, in the partition's order."""
    world, records = permits()
    assert [one[:15] for one in problems(world, [records[0], records[0]])] == ["1 decided-twice"]


@given(
    held=st.sampled_from(["release", "purge", None]),
    then=st.sampled_from(["review", "deny"]),
    after=st.sampled_from([2 * DAY, 20 * DAY]),
    when=st.lists(CONDITIONS, max_size=1),
)
@settings(max_examples=16, deadline=None)
def test_what_became_of_a_hold_comes_out_again(
    held: str | None, then: str, after: timedelta, when: list[dict[str, Any]]
) -> None:
    """Released, purged, or let lie beyond the limit; and a settlement that is none is found."""
    text = a_text(a_flow(when=when), suspension={"hold_for": "P14D", "then": then})
    world = RoutingWorld(documents=a_scheme_of(text))
    suspension = world.documents.sign(text, HEALTH, type="suspend", at=NOON - DAY)
    know(world)
    first = world.route(world.record())
    records = decisions(first)
    if held is not None:
        world.documents.sign(
            text, HEALTH, type="resume", at=NOON + DAY, lifts=suspension, held=held
        )
    know(world)
    copies = [as_record(out) for out in first.outgoing if out.topic == HELD]
    settled = Settler(world.router).settle(
        Batch(HELD, 0, copies, 99, 1),
        suspension,
        world.snapshot,
        at_ms=to_us(NOON + after) // 1000,
        partitions=1,
    )
    records += decisions(settled)
    assert problems(world, records) == []
    if len(records) > 1:
        last = records[1]
        (one,) = last["candidates"]
        other = {"release": "purged", "purge": "suspended", None: "purged"}[held]
        lie = {**one, "outcome": "deny", "reason": other, "detail": suspension, "items": [],
               "transforms": {}, "withheld": {}, "view": b"", "key": "", "sealed": b""}  # fmt: skip
        if one["reason"] != other and (other, after) != ("suspended", 20 * DAY):
            assert problems(world, [records[0], {**last, "candidates": [lie]}])
        assert any("settled-twice" in one for one in problems(world, [*records, last]))
        if one["outcome"] == "permit":
            notice = {**last, "candidates": [{**one, "reason": "retracted"}]}
            assert problems(world, [records[0], notice])


# -- notices that an event was taken back ---------------------------------------------------


def notices(records: list[dict[str, Any]], **other: Any) -> dict[str, Any]:
    """Return a record of notices: the second event takes the first back, whoever had it."""
    first, retraction = records[:2]
    view = View.of(shipped().by_fingerprint(first["schema"]), (), pseudonym_key=bytes(32))
    nothing = {
        "reason": "retracted", "detail": first["eventId"],
        "items": [], "transforms": {}, "withheld": {}, "view": view.fingerprint,
    }  # fmt: skip
    told = [one | nothing | other for one in first["candidates"]]
    at = {"suspension": "", "decidedAt": retraction["decidedAt"], "partition": 0, "offset": 3}
    return {**retraction, "candidates": told, "settles": at}


REFUSED: dict[str, Any] = {
    "outcome": "deny", "reason": "deciding-failed", "detail": "BadKey", "view": b"", "key": "",
    "sealed": b"",
}  # fmt: skip
NAMES_ONLY = REFUSED | {
    "reason": "no-agreement", "detail": "", "hash": b"", "purpose": "",
    "provider": {"regime": "", "conditions": [], "gateways": []},
    "receiver": {"regime": "", "conditions": [], "gateways": []},
}  # fmt: skip
PARTIES_ALONE = 3
"""A position on `control` at which no agreement lies there yet."""


def test_notices_come_out_again_after_the_agreement_has_ended() -> None:
    """They give nothing, so they need none in force; who has no key is told of as that."""
    text = a_text(a_flow(), a_flow(id="to-school", to=[SCHOOL]))
    world, records = routed(text)
    assert problems(world, [*records, notices(records)]) == []
    world.documents.sign(text, HEALTH, type="revoke", at=NOON)
    know(world)
    later = notices(records) | {"rules": world.snapshot.position}
    assert problems(world, [*records, later]) == []
    assert problems(world, [*records, notices(records, **REFUSED)]) == []


def test_what_the_retractor_recorded_comes_out_again() -> None:
    """One is told, and one cannot be: it has no key, or its flow is on control no more."""
    world, records = routed(a_text(a_flow(), a_flow(id="to-school", to=[SCHOOL])))
    first = records[0]
    back = world.record(headers={"ce_retractsid": first["eventId"].encode()})
    (copy,) = on(RETRACTIONS, world.route(back))
    retraction = world.router.retractions.open(as_record(copy))
    retractor = Retractor(world.keys, world.catalogue)

    def told() -> dict[str, Any]:
        return told_again(retractor, world.snapshot, retraction, records, at_ms=NOON_MS) or {}

    made = told()
    assert [one["reason"] for one in made["candidates"]] == ["retracted", "retracted"]
    assert problems(world, [made]) == []
    world.documents.party(SCHOOL, sealing_keys=[])
    know(world)
    made = told()
    assert [one["reason"] for one in made["candidates"]] == ["retracted", "deciding-failed"]
    assert problems(world, [made]) == []
    first["candidates"][1]["flow"] = "of-which-nothing-is-known"
    made = told()
    assert [one["reason"] for one in made["candidates"]] == ["retracted", "no-agreement"]
    assert problems(world, [made]) == []


def test_whom_a_record_of_notices_names_follows_from_both_events_alone() -> None:
    """Who got the retraction itself, had a notice before, or is another's recipient, is not."""
    world, records = routed(a_text(a_flow(), a_flow(id="to-school", to=[SCHOOL])))
    back = world.record(headers={"ce_retractsid": records[0]["eventId"].encode()})
    (copy,) = on(RETRACTIONS, world.route(back))
    retraction = world.router.retractions.open(as_record(copy))
    retractor = Retractor(world.keys, world.catalogue)

    def told(*earlier: dict[str, Any]) -> list[str]:
        made = told_again(retractor, world.snapshot, retraction, earlier, at_ms=NOON_MS)
        return [] if made is None else [one["recipient"] for one in made["candidates"]]

    first, own = records[0], retraction.decision
    assert told(first) == [HEALTH, SCHOOL]
    assert told(first, own) == []
    assert told(first, own | {"candidates": own["candidates"][:1]}) == [SCHOOL]
    assert told(first | {"publisher": SCHOOL}) == []
    assert told(records[1]) == []
    assert told(notices([records[1], first])) == []


def test_notices_name_a_flow_that_is_on_control_no_more_and_nothing_else_of_it() -> None:
    """Only as long as nothing more is known of it."""
    world, records = permits()
    unknown = notices(records, **NAMES_ONLY)
    assert problems(world, [*records, unknown | {"rules": PARTIES_ALONE}]) == []
    assert problems(world, [*records, unknown])
    for name, other in {"purpose": "another", "hash": bytes(32), "key": "k"}.items():
        more = notices(records, **NAMES_ONLY | {name: other}) | {"rules": PARTIES_ALONE}
        assert problems(world, [*records, more]), name
    assert problems(world, [*records, notices(records) | {"rules": PARTIES_ALONE}])


@pytest.mark.parametrize("name", [name for name in OTHERS if name != "detail"])
def test_a_notice_that_says_something_else_is_found(name: str) -> None:
    """One field of one of two."""
    world, records = permits()
    told = notices(records)
    other = {"sex": "mask"} if name == "transforms" else OTHERS[name]
    told["candidates"][0] = told["candidates"][0] | {name: other}
    found = problems(world, [*records, told])
    assert {one.partition(" ")[0] for one in found} == {str(len(records))}


def test_notices_of_two_events_to_nobody_or_twice_to_one_are_found() -> None:
    """A record is about one event that was taken back, and tells each of it once."""
    world, records = permits()
    one, other = notices(records)["candidates"]
    for told in ([], [one, one, other], [one, other | {"detail": records[2]["eventId"]}]):
        assert problems(world, [*records, notices(records) | {"candidates": told}])


def test_an_event_of_which_is_told_twice_is_found() -> None:
    """Whether from one copy or from another, and each retraction by itself."""
    world, records = permits()
    told = notices(records)
    again = told | {"settles": told["settles"] | {"offset": 4}}
    other = notices([records[0], records[2]])
    for second in (told, again, other):
        found = problems(world, [*records, told, second])
        assert [one[:16] for one in found] == [f"{len(records) + 1} settled-twice"]
    other["settles"]["offset"] = 4
    assert problems(world, [*records, told, other]) == []


def test_a_key_that_was_the_publishers_when_it_took_back_may_be_another_when_is_told() -> None:
    """The first record is asked for the key of then; a signature that can be checked is."""
    world, records = routed(a_text(a_flow()))
    told = notices(records)
    unsigned = BatchProof(told["signingKey"], NOON_MS, bytes(64), 0, 1, ())
    assert any("unsigned-event" in one for one in problems(world, [told], proof=unsigned))
    world.documents.party(COUNCIL, revision=2, signing_keys=[key_of(COUNCIL, 2).public.to_jwk()])
    know(world)
    later = {"rules": world.snapshot.position}
    assert problems(world, [told | later], proof=unsigned) == []
    first = records[1] | later
    other = replace(unsigned, kid="another")
    for record, proof in ((first, unsigned), (told | later, other)):
        assert any("unsigned-event" in one for one in problems(world, [record], proof=proof))


def test_a_permit_for_a_retraction_is_found_where_something_is_decided() -> None:
    """The reason is for notices alone: it is none for sharing anything."""
    world, records = permits()
    first = records[0]
    for told in (
        [one | {"reason": "retracted"} for one in first["candidates"]],
        notices(records)["candidates"],
    ):
        assert problems(world, [first | {"candidates": told}])


def as_record(out: Outgoing) -> Record:
    """Return what goes out as it lies on its topic."""
    return Record(out.topic, 0, 7, NOON_MS, out.key, out.value, out.headers)

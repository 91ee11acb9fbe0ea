"""What must hold of every decision, whatever the agreements, signatures, events and times."""

import random
from dataclasses import replace
from typing import Any

from agreement_oracle import held, permitted
from agreement_worlds import PARTIES, SUBJECTS, Asked, Plan, a_plan, a_question, decisions, permits
from agreement_worlds import renamed as one_more
from deciding_world import COUNCIL, PLACEMENT, SCHEME, a_world, an_event, pseudonym_key
from hypothesis import given, settings
from hypothesis import strategies as st

from agreements.candidates import Candidate
from agreements.checking import ALL_TESTS
from agreements.deciding import Deny, Hold, Permit, Refusal, decide
from agreements.rules import Compiler, Rules, compile_rules
from schemas.catalogue import shipped

_MANY = settings(max_examples=150, deadline=None)
_SOME = settings(max_examples=60, deadline=None)


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Draw a scheme."""
    return a_plan(lambda options: draw(st.sampled_from(list(options))))


@st.composite
def questions(draw: st.DrawFn) -> list[Asked]:
    """Draw events and moments."""
    count = draw(st.integers(1, 8))
    return [a_question(lambda o: draw(st.sampled_from(list(o)))) for _ in range(count)]


def _bytes(found: dict[Any, Permit]) -> dict[Any, bytes]:
    return {place: permit.framed for place, permit in found.items()}


@given(plan=plans(), asked=questions())
@_MANY
def test_nothing_is_shared_but_what_an_agreement_in_force_signed_by_both_permits(
    plan: Plan, asked: list[Asked]
) -> None:
    """The engine permits and holds exactly what the plan says, and gives no item not listed."""
    rules = plan.world().rules()
    assert rules.rejected == ()
    for question in asked:
        found = permits(rules, question)
        assert set(found) == permitted(plan, question)
        assert {
            place for place, one in decisions(rules, question).items() if isinstance(one, Hold)
        } == held(plan, question)
        for permit in found.values():
            listed = {item.path for item in permit.candidate.flow.items}
            assert set(permit.items) <= listed
            assert {field["name"] for field in permit.view.schema["fields"]} <= listed


@given(plan=plans(), more=plans(), asked=questions())
@_SOME
def test_adding_an_agreement_never_removes_what_another_permits(
    plan: Plan, more: Plan, asked: list[Asked]
) -> None:
    """An agreement can be added without touching what was permitted before."""
    before = plan.world().rules()
    after = replace(plan, versions=plan.versions + one_more(more, "added")).world().rules()
    for question in asked:
        kept = _bytes(permits(before, question))
        assert kept.items() <= _bytes(permits(after, question)).items()


@given(plan=plans(), asked=questions(), data=st.data())
@_SOME
def test_revoking_takes_away_what_that_agreement_alone_gave(
    plan: Plan, asked: list[Asked], data: st.DataObject
) -> None:
    """After a revocation nothing comes by that version to or from the party; the rest stays."""
    revoked = data.draw(st.sampled_from(plan.versions))
    party = data.draw(st.sampled_from(PARTIES))
    versions = tuple(
        replace(one, revoked=(*one.revoked, (party, None))) if one is revoked else one
        for one in plan.versions
    )
    before, after = plan.world().rules(), replace(plan, versions=versions).world().rules()
    for question in asked:
        expected = {
            place: framed
            for place, framed in _bytes(permits(before, question)).items()
            if place[1:3] != (revoked.agreement, revoked.number)
            or party not in {place[0], question.publisher}
        }
        assert _bytes(permits(after, question)) == expected


@given(plan=plans(), asked=questions(), seed=st.integers(0, 2**32))
@_SOME
def test_deciding_again_agrees_however_the_documents_arrived(
    plan: Plan, asked: list[Asked], seed: int
) -> None:
    """All at once, one by one, in another order, twice: the same documents, the same decisions.

    But for keys that were retired or stolen: what counts then is what was there before.
    """
    plan = replace(plan, rotated=(), stolen=())
    documents = list(plan.world().documents.items())
    first = plan.world().rules()
    random.Random(seed).shuffle(documents)  # noqa: S311  an order, not a secret
    _assert_alike(first, _one_by_one(documents * 2), asked)


@given(plan=plans(), asked=questions(), seed=st.integers(0, 2**32))
@_SOME
def test_compiling_as_documents_come_agrees_with_compiling_the_whole_topic(
    plan: Plan, asked: list[Asked], seed: int
) -> None:
    """A router that starts now knows what one knows that was there all along.

    Also when old documents were put on the topic again, by whoever may write to it: a
    resume, an acceptance with a key that has since been retired, a party without its theft.
    """
    documents = list(plan.world().documents.items())
    first = plan.world().rules()
    replayed = documents + random.Random(seed).choices(documents, k=8)  # noqa: S311  as above
    _assert_alike(first, _one_by_one(replayed), asked)


def _one_by_one(documents: list[tuple[bytes, bytes | None]]) -> Rules:
    compiler = Compiler(shipped(), scheme_key=SCHEME.public, pseudonym_key=pseudonym_key)
    for key, value in documents:
        compiler.apply({key: value})
        rules = compiler.rules()
    return rules


def _assert_alike(first: Rules, second: Rules, asked: list[Asked]) -> None:
    for question in asked:
        assert _bytes(permits(first, question)) == _bytes(permits(second, question))
        assert _all(first, question) == _all(second, question)
    assert first.suspensions() == second.suspensions()


def _all(rules: Rules, asked: Asked) -> list[Any]:
    return [
        (candidate.recipient, candidate.flow.id, *_outcome(candidate, asked))
        for candidate in rules.candidates(asked.publisher, PLACEMENT, at=asked.at_us)
    ]


def _outcome(candidate: Candidate, asked: Asked) -> tuple[Any, ...]:
    decision = decide(asked.event(), candidate, at=asked.at_us)
    return (decision.framed,) if isinstance(decision, Permit) else tuple(decision[1:])


@given(plan=plans(), asked=questions())
@_SOME
def test_leaving_out_the_checks_that_have_passed_changes_no_decision(
    plan: Plan, asked: list[Asked]
) -> None:
    """Deciding with every check comes out as deciding with those that can still fail."""
    rules = plan.world().rules()
    for question in asked:
        for candidate in rules.candidates(question.publisher, PLACEMENT):
            full = replace(candidate, tests=ALL_TESTS)
            assert _outcome(candidate, question) == _outcome(full, question)


@given(plan=plans(), asked=questions())
@_SOME
def test_at_any_moment_a_pair_runs_under_one_version_of_an_agreement(
    plan: Plan, asked: list[Asked]
) -> None:
    """The candidates at a moment never hold two versions of one flow for one recipient."""
    rules = plan.world().rules()
    for question in asked:
        found = rules.candidates(question.publisher, PLACEMENT, at=question.at_us)
        places = {(one.recipient, one.agreement_id, one.version) for one in found}
        assert len({place[:2] for place in places}) == len(places)


class _Broken:
    """Stands where a decision looks and fails when it is looked at."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError("broken")


@given(field=st.sampled_from(sorted(Candidate.__dataclass_fields__)))
@_SOME
def test_an_error_in_any_part_of_the_rules_never_shares_more(field: str) -> None:
    """With any part of a candidate broken the same is shared, or nothing."""
    rules = a_world().rules()
    (candidate,) = rules.candidates(COUNCIL, PLACEMENT)
    event = an_event(subjects=SUBJECTS)
    at = event.received_at_us
    whole = decide(event, replace(candidate, tests=ALL_TESTS), at=at)
    assert isinstance(whole, Permit)
    broken = replace(candidate, **{"tests": ALL_TESTS, field: _Broken()})
    decision = decide(event, broken, at=at)
    if isinstance(decision, Permit):
        assert decision.framed == whole.framed
    else:
        assert isinstance(decision, Deny)


@given(
    cut=st.integers(0, 200),
    offsets=st.lists(st.integers(-5, 300), max_size=25),
)
@_SOME
def test_an_event_that_is_broken_inside_is_refused_and_never_raises(
    cut: int, offsets: list[int]
) -> None:
    """Whatever stands in an opened event's place, deciding gives a decision."""
    (candidate,) = a_world().rules().candidates(COUNCIL, PLACEMENT)
    event = an_event()
    event.data = event.data[:cut]
    event.offsets = offsets
    assert decide(event, candidate, at=event.received_at_us) is not None
    event.offsets = None  # type: ignore[assignment]  on purpose
    decision = decide(event, candidate, at=event.received_at_us)
    assert isinstance(decision, Deny)
    assert decision.reason is Refusal.DECIDING_FAILED
    assert decision.detail == "TypeError"


_KEYS = st.one_of(
    st.binary(max_size=40),
    st.sampled_from(sorted(a_world().documents)),
    st.builds(
        lambda kind, rest: f"{kind}|{rest}".encode(),
        st.sampled_from(["party", "agreement", "signature", "objection", "schema"]),
        st.text(max_size=20),
    ),
)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["jws", "id", "version", "flows", "parties"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)
_VALUES = st.one_of(st.none(), st.binary(max_size=60), _JSON.map(lambda j: str(j).encode()))


@given(hostile=st.dictionaries(_KEYS, _VALUES, max_size=6))
@_MANY
def test_hostile_control_documents_stop_nothing_and_permit_nothing(
    hostile: dict[bytes, bytes | None],
) -> None:
    """Without a valid signature no bytes on the topic make anything flow, or fail the compiler."""
    rules = compile_rules(hostile, shipped(), scheme_key=SCHEME.public, pseudonym_key=pseudonym_key)
    event = an_event()
    for candidate in rules:
        assert not isinstance(decide(event, candidate, at=event.received_at_us), Permit)

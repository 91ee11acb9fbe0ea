"""What takes away never gives, and what nobody in the scheme said changes nothing."""

import random
from typing import Any

from agreement_worlds import PARTIES, Asked, Plan, a_plan, a_question, decisions, hour, permits
from deciding_world import SCHEME, World, key_of, pseudonym_key
from hypothesis import given, settings
from hypothesis import strategies as st

from agreements.deciding import Hold, Permit
from agreements.rules import Compiler, Rules
from agreements.signatures import STOPS, SignatureType
from schemas.catalogue import shipped
from schemas.keys import SigningKey

_SOME = settings(max_examples=30, deadline=None)
_INTRUDER = SigningKey(b"\x66" * 32)
_Documents = list[tuple[bytes, bytes | None]]


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Draw a scheme."""
    return a_plan(lambda options: draw(st.sampled_from(list(options))), agreements=2)


@st.composite
def questions(draw: st.DrawFn) -> list[Asked]:
    """Draw events and moments."""
    count = draw(st.integers(2, 8))
    return [a_question(lambda o: draw(st.sampled_from(list(o)))) for _ in range(count)]


def _compiled(documents: _Documents) -> Rules:
    compiler = Compiler(shipped(), scheme_key=SCHEME.public, pseudonym_key=pseudonym_key)
    for key, value in documents:
        compiler.apply({key: value})
    return compiler.rules()


def _shared(rules: Rules, asked: Asked) -> dict[Any, bytes]:
    return {place: permit.framed for place, permit in permits(rules, asked).items()}


@given(plan=plans(), asked=questions(), data=st.data())
@_SOME
def test_a_stop_that_comes_never_shares_more(
    plan: Plan, asked: list[Asked], data: st.DataObject
) -> None:
    """A rejection, revocation or suspension, now or from a time on, by whichever key.

    Nor does it when everything that was there before is put on the topic once more: the
    old acceptances, the old resumes.
    """
    documents = list(plan.world().documents.items())
    version = data.draw(st.sampled_from(plan.versions))
    party, kind = data.draw(st.sampled_from(PARTIES)), data.draw(st.sampled_from(sorted(STOPS)))
    effective = data.draw(st.sampled_from((None, 0, 24, 48)))
    stop = World()
    stop.sign(
        version.document,
        party,
        type=kind.value,
        at=hour(data.draw(st.sampled_from((-48, 0, 24, 48)))),
        by=key_of(party, data.draw(st.sampled_from((1, 2)))),
        effective_at=None if effective is None else hour(effective),
    )
    before = _compiled(documents)
    stopped = documents + list(stop.documents.items())
    after, replayed = _compiled(stopped), _compiled(stopped + documents)
    for question in asked:
        assert _shared(after, question).items() <= _shared(before, question).items()
        assert _shared(after, question) == _shared(replayed, question)


@given(plan=plans(), asked=questions(), party=st.sampled_from(PARTIES), stolen=st.booleans())
@_SOME
def test_a_key_that_is_retired_or_stolen_never_shares_more(
    plan: Plan,
    asked: list[Asked],
    party: str,
    stolen: bool,  # noqa: FBT001  drawn by name
) -> None:
    """Retiring one changes nothing at all; reporting it brings nothing back."""
    documents = list(plan.world().documents.items())
    told = plan._as_told(party)
    kid = key_of(party).public.kid
    report = [{"kid": kid, "stolen_from": hour(0).isoformat()}] if stolen else []
    known = [
        {"kid": kid, "stolen_from": hour(at).isoformat()} for p, at in plan.stolen if p == party
    ]
    news = World()
    news.party(
        party,
        revision=3,
        signing_keys=[key_of(party, 2).public.to_jwk()],
        stolen_keys=report or known,
        **told,
    )
    before = _compiled(documents)
    after = _compiled(documents + list(news.documents.items()))
    for question in asked:
        if stolen and not known:
            assert _shared(after, question).items() <= _shared(before, question).items()
        elif not stolen:
            assert _shared(after, question) == _shared(before, question)


@given(plan=plans(), asked=questions(), seed=st.integers(0, 2**32))
@_SOME
def test_what_an_intruder_signs_for_a_party_changes_nothing(
    plan: Plan, asked: list[Asked], seed: int
) -> None:
    """Whatever it says, in whosever name, of which version, and wherever it comes."""
    chance = random.Random(seed)  # noqa: S311  examples, not secrets
    documents = list(plan.world().documents.items())
    hostile: _Documents = []
    for _ in range(6):
        world, kind = World(), chance.choice(list(SignatureType))
        more = {"lifts": "0" * 64, "held": "release"} if kind is SignatureType.RESUME else {}
        world.sign(
            chance.choice(plan.versions).document,
            chance.choice(PARTIES),
            type=kind.value,
            at=hour(chance.choice((-48, 0, 24))),
            by=_INTRUDER,
            **more,
        )
        hostile += world.documents.items()
    mixed = list(documents)
    for one in hostile:
        mixed.insert(chance.randrange(len(mixed) + 1), one)
    before, after = _compiled(documents), _compiled(mixed)
    assert before.suspensions() == after.suspensions()
    for question in asked:
        assert _shared(before, question) == _shared(after, question)


@given(plan=plans(), asked=questions())
@_SOME
def test_what_is_held_would_flow_or_not_but_is_never_shared(plan: Plan, asked: list[Asked]) -> None:
    """A hold names a suspension that stands, and its limit is to come."""
    rules = _compiled(list(plan.world().documents.items()))
    suspensions = rules.suspensions()
    for question in asked:
        for place, decision in decisions(rules, question).items():
            if isinstance(decision, Hold):
                assert place not in permits(rules, question)
                assert question.at_us < decision.until_us
                assert suspensions[decision.detail].stands(question.at_us)
            if isinstance(decision, Permit):
                held = decision.candidate.suspensions
                assert not any(one.stands(question.at_us) for one in held)

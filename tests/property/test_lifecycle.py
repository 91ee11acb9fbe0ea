"""What a register shows of an agreement's life is what the engine does, whatever was said."""

from itertools import permutations
from typing import Final

from agreement_worlds import PARTIES, Plan, a_plan, hour
from deciding_world import PLACEMENT, SCHEME, an_event, pseudonym_key
from hypothesis import given, settings
from hypothesis import strategies as st

from agreements.candidates import NEVER_US, to_us
from agreements.checking import Refusal
from agreements.deciding import checks
from agreements.lifecycle import State, state_of
from agreements.rules import Compiler
from agreements.signed import BEFORE_ALL_US, Narrowings, windows
from schemas.catalogue import shipped

_STATES: Final = {
    Refusal.NOT_SIGNED: State.DRAFT,
    Refusal.REVOKED: State.TERMINATED,
    Refusal.SUPERSEDED: State.SUPERSEDED,
    Refusal.NOT_YET_IN_FORCE: State.SIGNED,
    Refusal.EXPIRED: State.EXPIRED,
    Refusal.SUSPENDED: State.SUSPENDED,
}


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Draw a scheme."""
    return a_plan(lambda options: draw(st.sampled_from(list(options))), agreements=2)


@given(plan=plans())
@settings(max_examples=30, deadline=None)
def test_versions_take_over_from_one_another_without_gap_and_without_overlap(plan: Plan) -> None:
    """For each pair every moment has one version, and every candidate keeps to it."""
    compiler = Compiler(shipped(), scheme_key=SCHEME.public, pseudonym_key=pseudonym_key)
    compiler.apply(plan.world().documents)
    rules, narrows = compiler.rules(), Narrowings()
    for agreement in {version.agreement for version in plan.versions}:
        address = f"urn:agreement:{agreement}"
        versions = [
            one
            for one in compiler.versions()
            if one.agreement is not None and one.agreement.id == address
        ]
        for pair in permutations(PARTIES, 2):
            found = sorted(windows(versions, *pair, narrows=narrows), key=lambda one: one.from_us)
            edges = [one.from_us for one in found] + [found[-1].until_us]
            assert edges[0] == BEFORE_ALL_US
            assert edges[-1] == NEVER_US
            assert [one.until_us for one in found] == edges[1:]
            numbers = [one.version.number for one in found]
            assert numbers == sorted(set(numbers)), "an earlier version never comes back"
            for edge, before, after in zip(edges[1:], numbers, numbers[1:], strict=False):
                for at, number in ((edge - 1, before), (edge, after)):
                    seen = {
                        one.version
                        for one in rules.candidates(pair[0], PLACEMENT, at=at)
                        if (one.recipient, one.agreement_id) == (pair[1], address)
                    }
                    assert seen <= {number}


@given(plan=plans(), at=st.integers(-12, 90))
@settings(max_examples=30, deadline=None)
def test_the_state_of_a_pair_is_what_its_events_meet(plan: Plan, at: int) -> None:
    """The first check that an event fails, of those on the agreement's life, gives the state."""
    compiler = Compiler(shipped(), scheme_key=SCHEME.public, pseudonym_key=pseudonym_key)
    compiler.apply(plan.world().documents)
    moment, narrows = to_us(hour(at)), Narrowings()
    for candidate in compiler.rules():
        versions = [
            one
            for one in compiler.versions()
            if one.agreement is not None and one.agreement.id == candidate.agreement_id
        ]
        status = state_of(
            versions, candidate.version, at=moment, sha256=candidate.sha256, narrows=narrows
        )
        (pair,) = (
            pair
            for pair in status.pairs
            if (pair.publisher, pair.recipient) == (candidate.publisher, candidate.recipient)
        )
        event = an_event(publisher=candidate.publisher)
        failed = next(
            (one.failure for one in checks(event, candidate, moment) if one.failure), None
        )
        met = _STATES.get(failed.reason) if failed else None
        assert candidate.event_type == PLACEMENT
        assert pair.state is (met or State.IN_FORCE)

"""The engine against Cedar: another engine, another language, the same decisions.

Schemes at random are translated to Cedar policies, one for each flow of each version,
from the plan and not from what our compiler makes of it. What Cedar has no word for (a
signature and its key, a later version taking over) becomes a bound in time; suspensions,
revocations, assurances, joining and leaving are conditions of the policies. Both engines
are asked about the same tens of thousands of (event, recipient, time), and must agree not
only on whether something is shared but on which flows let it through.
"""

import random
from collections import Counter
from typing import Any

import cedarpy
import pytest
from agreement_oracle import agrees_from, revokes_from, run_under, stands_from_until
from agreement_worlds import (
    NEVER,
    PARTIES,
    Asked,
    FlowPlan,
    Place,
    Plan,
    VersionPlan,
    a_plan,
    a_question,
    decisions,
)

from agreements.deciding import Permit, Refusal

SCHEMES = 60
QUESTIONS = 150  # of each scheme, for each of its parties as the recipient
COVERED = {
    Refusal.NOT_SIGNED,
    Refusal.REVOKED,
    Refusal.NOT_YET_IN_FORCE,
    Refusal.EXPIRED,
    Refusal.SUSPENDED,
    Refusal.ASSURANCE_LAPSED,
}
"""What the questions make our engine refuse for, among others, with every seed."""
_SECONDS = 3600


def _seconds(hours: float) -> int:
    return round(hours * _SECONDS)


def _text(value: str) -> str:
    return f'"{value}"'


def _one_of(names: Any) -> str:
    return f"[{', '.join(_text(name) for name in names)}]"


def _between(starts: float, ends: float) -> str:
    """The condition that it is between two hours: the first inclusive, the last not."""
    if NEVER in (starts, -ends):
        return "false"
    tests = [f"context.now >= {_seconds(starts)}"] if starts > -NEVER else []
    tests += [f"context.now < {_seconds(ends)}"] if ends < NEVER else []
    return f"({' && '.join(tests) or 'true'})"


def _window(plan: Plan, version: VersionPlan, pair: tuple[str, str]) -> str:
    """The bounds in time of one version for a pair; `false` when it never counts."""
    begun = next(
        (one for one in run_under(plan, version.agreement, pair) if one.version is version), None
    )
    if begun is None:
        return "false"
    agreed = max(agrees_from(plan, begun, pair, party) for party in pair)
    if agreed == NEVER:
        return "false"
    return " && ".join(
        (
            _between(begun.begins, begun.ends),
            _between(agreed, min(revokes_from(plan, begun, pair, party) for party in pair)),
            _between(version.starts, version.ends),
            *(_between(24 * day, NEVER) for party, day in version.joined if party in pair),
            *(_between(-NEVER, 24 * day) for party, day in version.left if party in pair),
        )
    )


def _policies(plan: Plan) -> tuple[str, list[Place]]:
    """The whole scheme in Cedar, and what each permit stands for, in the order of the text."""
    texts: list[str] = []
    names: list[Place] = []
    for version in plan.versions:
        for flow in version.flows:
            for publisher in flow.publishers:
                for recipient in flow.recipients:
                    if publisher != recipient:
                        texts.append(_policy(plan, version, flow, publisher, recipient))
                        names.append((recipient, version.agreement, version.number, flow.id))
    texts += [
        f'forbid (principal, action, resource) when {{ principal == Party::"{party}" '
        f'|| resource.publisher == Party::"{party}" }};'
        for party in plan.suspended
    ]
    return "\n".join(texts), names


def _policy(
    plan: Plan, version: VersionPlan, flow: FlowPlan, publisher: str, recipient: str
) -> str:
    tests = [
        f'resource.publisher == Party::"{publisher}"',
        _window(plan, version, (publisher, recipient)),
        f"principal.purposes.contains({_text(flow.purpose)})",
    ]
    if flow.max_age_hours is not None:
        tests.append(f"context.now - resource.occurred <= {_seconds(flow.max_age_hours)}")
    if flow.last_revision is not None:
        tests.append(f"resource.revision <= {flow.last_revision}")
    if flow.authority is not None:
        tests.append(f"resource.authority == {_text(flow.authority)}")
    if flow.is_assured_only:
        tests.append(
            "principal has assured && context.now >= principal.assured.starts"
            " && context.now < principal.assured.ends"
        )
    if flow.without_recs:
        tests.append(f"!(resource has rec && {_one_of(flow.without_recs)}.contains(resource.rec))")
    exceptions = [
        _between(*stands_from_until(plan, one))
        for one in plan.suspensions
        if one.agreement == version.agreement
    ]
    exceptions += [
        _objecting(one)
        for one in plan.objections
        if (one.recipients is None or recipient in one.recipients)
        and (one.purposes is None or flow.purpose in one.purposes)
    ]
    return (
        f'permit (principal == Party::"{recipient}", action == Action::"receive", resource)\n'
        f"when {{ {' && '.join(tests)} }}\n"
        f"unless {{ {' || '.join(exceptions) or 'false'} }};"
    )


def _objecting(one: Any) -> str:
    text = f'resource.subject == "{one.subject.hex()}" && context.now >= {_seconds(one.starts)}'
    return f"({text}{'' if one.until is None else f' && context.now < {_seconds(one.until)}'})"


def _entities(plan: Plan, asked: list[Asked]) -> list[dict[str, Any]]:
    parties = [
        {
            "uid": {"type": "Party", "id": party},
            "attrs": {"purposes": _purposes(plan, party)} | _assured(plan, party),
            "parents": [],
        }
        for party in PARTIES
    ]
    return parties + [
        {
            "uid": {"type": "Event", "id": str(number)},
            "attrs": {
                "publisher": {"__entity": {"type": "Party", "id": question.publisher}},
                "occurred": _seconds(question.occurred),
                "revision": 1,
                "authority": question.authority,
                "subject": question.subject.hex(),
            }
            | ({} if question.rec is None else {"rec": question.rec}),
            "parents": [],
        }
        for number, question in enumerate(asked)
    ]


def _purposes(plan: Plan, party: str) -> list[str]:
    return ["another-purpose"] + ([] if party in plan.lacking_purpose else ["coordinate-care"])


def _assured(plan: Plan, party: str) -> dict[str, Any]:
    """From when until when a party is assured: both days are in it."""
    found = next(((starts, until) for name, starts, until in plan.assured if name == party), None)
    if found is None:
        return {}
    return {"assured": {"starts": _seconds(24 * found[0]), "ends": _seconds(24 * (found[1] + 1))}}


def _ask_cedar(plan: Plan, asked: list[Asked]) -> dict[tuple[int, str], set[Place]]:
    """Return which flows Cedar lets each event through by, for each recipient."""
    text, names = _policies(plan)
    places = [(number, party) for number in range(len(asked)) for party in PARTIES]
    requests = [
        {
            "principal": f'Party::"{party}"',
            "action": 'Action::"receive"',
            "resource": f'Event::"{number}"',
            "context": {"now": _seconds(asked[number].at)},
        }
        for number, party in places
    ]
    answers = cedarpy.is_authorized_batch(requests, text, _entities(plan, asked))
    found = {}
    for place, answer in zip(places, answers, strict=True):
        assert not answer.diagnostics.errors
        found[place] = (
            {names[int(reason.removeprefix("policy"))] for reason in answer.diagnostics.reasons}
            if answer.allowed
            else set()
        )
    return found


@pytest.mark.parametrize("seed", range(4))
def test_cedar_lets_the_same_flows_through(seed: int) -> None:
    """On tens of thousands of (event, recipient, time) the two engines agree, flow by flow."""
    generator = random.Random(seed)  # noqa: S311  examples, not secrets
    outcomes: Counter[bool] = Counter()
    refusals: Counter[str] = Counter()
    for _ in range(SCHEMES // 4):
        plan = a_plan(generator.choice, agreements=6)
        asked = [a_question(generator.choice) for _ in range(QUESTIONS)]
        rules = plan.world().rules()
        cedar = _ask_cedar(plan, asked)
        for number, question in enumerate(asked):
            decided = decisions(rules, question)
            ours = {place for place, one in decided.items() if isinstance(one, Permit)}
            refusals.update(d.reason for d in decided.values() if not isinstance(d, Permit))
            for party in PARTIES:
                mine = {place for place in ours if place[0] == party}
                assert mine == cedar[number, party]
                outcomes[bool(mine)] += 1
    assert outcomes.total() == SCHEMES // 4 * QUESTIONS * len(PARTIES)
    assert refusals.keys() >= COVERED
    assert min(outcomes.values()) > outcomes.total() // 40, "both answers are common"

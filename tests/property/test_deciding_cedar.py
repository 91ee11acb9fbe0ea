"""The engine against Cedar: another engine, another language, the same decisions.

Schemes at random are translated to Cedar policies, one for each flow of each version,
from the plan and not from what our compiler makes of it. What Cedar has no word for (a
signature, a later version taking over) becomes a bound in time. Both engines are asked
about the same tens of thousands of (event, recipient, time), and must agree not only on
whether something is shared but on which flows let it through.
"""

import random
from collections import Counter
from typing import Any

import cedarpy
import pytest
from agreement_worlds import (
    PARTIES,
    Asked,
    FlowPlan,
    Permitted,
    Plan,
    VersionPlan,
    a_plan,
    a_question,
    permits,
)

SCHEMES = 60
QUESTIONS = 150  # of each scheme, for each of its parties as the recipient
_SECONDS = 3600


def _seconds(hours: float) -> int:
    return round(hours * _SECONDS)


def _text(value: str) -> str:
    return f'"{value}"'


def _one_of(names: Any) -> str:
    return f"[{', '.join(_text(name) for name in names)}]"


def _window(plan: Plan, version: VersionPlan, publisher: str, recipient: str) -> str:
    """The bounds in time of one version for a pair; `false` when it never counts."""
    begins = {
        other.number: max(
            other.starts, dict(other.accepted)[publisher], dict(other.accepted)[recipient]
        )
        for other in plan.versions
        if other.agreement == version.agreement
        and {publisher, recipient} <= set(dict(other.accepted))
    }
    accepted, rejected = dict(version.accepted), dict(version.rejected)
    if version.number not in begins or any(
        rejected.get(party, -999) >= accepted[party] for party in (publisher, recipient)
    ):
        return "false"
    ends = min([version.ends, *(at for number, at in begins.items() if number > version.number)])
    return f"context.now >= {_seconds(begins[version.number])} && context.now < {_seconds(ends)}"


def _policies(plan: Plan) -> tuple[str, list[Permitted]]:
    """The whole scheme in Cedar, and what each permit stands for, in the order of the text."""
    texts: list[str] = []
    names: list[Permitted] = []
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
        _window(plan, version, publisher, recipient),
        f"principal.purposes.contains({_text(flow.purpose)})",
    ]
    if flow.max_age_hours is not None:
        tests.append(f"context.now - resource.occurred <= {_seconds(flow.max_age_hours)}")
    if flow.last_revision is not None:
        tests.append(f"resource.revision <= {flow.last_revision}")
    if flow.authority is not None:
        tests.append(f"resource.authority == {_text(flow.authority)}")
    if flow.without_recs:
        tests.append(f"!(resource has rec && {_one_of(flow.without_recs)}.contains(resource.rec))")
    exceptions = [
        f"{_one_of(version.revoked)}.contains({_text(party)})" for party in (publisher, recipient)
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
        f"unless {{ {' || '.join(exceptions)} }};"
    )


def _objecting(one: Any) -> str:
    text = f'resource.subject == "{one.subject.hex()}" && context.now >= {_seconds(one.starts)}'
    return f"({text}{'' if one.until is None else f' && context.now < {_seconds(one.until)}'})"


def _entities(plan: Plan, asked: list[Asked]) -> list[dict[str, Any]]:
    parties = [
        {
            "uid": {"type": "Party", "id": party},
            "attrs": {
                "purposes": ["another-purpose"]
                + ([] if party in plan.lacking_purpose else ["coordinate-care"])
            },
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


def _ask_cedar(plan: Plan, asked: list[Asked]) -> dict[tuple[int, str], set[Permitted]]:
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
    for _ in range(SCHEMES // 4):
        plan = a_plan(generator.choice, agreements=6)
        asked = [a_question(generator.choice) for _ in range(QUESTIONS)]
        rules = plan.world().rules()
        cedar = _ask_cedar(plan, asked)
        for number, question in enumerate(asked):
            ours = set(permits(rules, question))
            for party in PARTIES:
                mine = {place for place in ours if place[0] == party}
                assert mine == cedar[number, party]
                outcomes[bool(mine)] += 1
    assert outcomes.total() == SCHEMES // 4 * QUESTIONS * len(PARTIES)
    assert min(outcomes.values()) > outcomes.total() // 20, "both answers are common"

"""What a decision costs with few and with many agreements loaded, and cedarpy beside it.

As in life, agreements are many because councils are many: each town has a handful,
made from the same templates, and its events meet only its own. An event is decided
for one recipient, with a condition on three items, and the view is cut: that is more
than cedarpy does, which only says yes or no.
"""

import importlib.util
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any, Final

from agreements.deciding import Permit, decide
from agreements.model import Agreement, Flow
from agreements.opened import OpenedEvent
from agreements.reading import read_agreement
from agreements.rules import Rules
from broker.bench.stages import scanned
from broker.bench.world import PLACEMENT, PUBLISHER, World
from broker.demo.agreements import texts
from schemas.errors import ConcordatError

LOADED: Final = (1, 100, 1_000, 10_000)
CEDAR_LOADED: Final = (10, 500)
_TEMPLATES: Final = (
    "looked-after-placements.yaml",  # the one that is decided by: every town has it
    "hospital-discharge.yaml",
    "homelessness-duty.yaml",
    "missing-children.yaml",
    "found-children.yaml",
    "unscheduled-care.yaml",
)
_TURNS: Final = 9
_TOWNS_ASKED: Final = 100
_IN_A_ROW: Final = 100
"""Events of one town that are decided one after the other: a batch is one publisher's."""


class NotPermitted(ConcordatError):
    """What is measured must be permitted: a refusal is cheaper."""

    code = "not-permitted"


@cache
def _templates() -> tuple[Agreement, ...]:
    found = texts()
    return tuple(read_agreement(found[name], name=name) for name in _TEMPLATES)


def _purposes() -> tuple[str, ...]:
    return tuple(template.flows[0].purpose for template in _templates())


def agreements(number: int, *, first: int = 0) -> Iterator[Agreement]:
    """Yield agreements of one flow each, those of one town after those of the other."""
    templates = _templates()
    for place in range(first, number):
        town, kind = divmod(place, len(templates))
        yield _moved(templates[kind], town)


def _moved(template: Agreement, town: int) -> Agreement:
    """Return a template's first flow as the agreement of another town."""
    flow = template.flows[0]
    named = {*flow.from_, *flow.to}
    return template.model_copy(
        update={
            "id": f"{template.id}-{town}",
            "owner": _in_town(flow.from_[0], town),
            "parties": tuple(
                party.model_copy(update={"id": _in_town(party.id, town)})
                for party in template.parties
                if party.id in named
            ),
            "purposes": tuple(p for p in template.purposes if p.code == flow.purpose),
            "flows": (
                flow.model_copy(
                    update={
                        "from_": tuple(_in_town(party, town) for party in flow.from_),
                        "to": tuple(_in_town(party, town) for party in flow.to),
                    }
                ),
            ),
            "retention": (),
        }
    )


def _in_town(party: str, town: int) -> str:
    return f"{party}-{town}"


def decide_us(
    loaded: Sequence[int] = LOADED, *, told: Callable[[str], None] = lambda _: None
) -> dict[int, float]:
    """Return the CPU microseconds of a decision with each number of agreements loaded.

    They are compiled one upon the other, then decided by in turns, so that what else
    the machine does touches all of them; the least of the turns counts.
    """
    world = World()
    compiler = world.compiler()
    events = scanned(1_000)
    compiled: dict[int, Rules] = {}
    before = 0
    for number in loaded:
        told(f"signing and compiling {number:,} agreements")
        new = list(agreements(number, first=before))
        for party in {party.id for agreement in new for party in agreement.parties}:
            if party not in world.keys:
                world.join(party, roles=("publisher", "recipient"), purposes=_purposes())
        compiler.apply(world.documents)
        for agreement in new:
            compiler.apply(world.agree(agreement))
        compiled[number] = compiler.rules()
        before = number
    told("decisions")
    return {
        number: min(turns)
        for number, turns in zip(
            loaded,
            zip(
                *(
                    [_decide_us(rules, events, towns=_towns(n)) for n, rules in compiled.items()]
                    for _ in range(_TURNS)
                ),
                strict=True,
            ),
            strict=True,
        )
    }


def _towns(number: int) -> list[str]:
    """Return the publishers asked, spread over all towns that have the agreement."""
    towns = -(-number // len(_TEMPLATES))
    step = max(1, towns // _TOWNS_ASKED)
    return [_in_town(PUBLISHER, town) for town in range(0, towns, step)][:_TOWNS_ASKED]


def _decide_us(rules: Rules, events: Sequence[OpenedEvent], *, towns: Sequence[str]) -> float:
    at = events[0].received_at_us
    spent = decided = 0
    for turn, town in enumerate(list(towns) * max(1, _TOWNS_ASKED // len(towns))):
        start = turn * _IN_A_ROW % len(events)
        row = events[start : start + _IN_A_ROW]
        for event in row:
            event.publisher = town
        begun = time.process_time_ns()
        for event in row:
            for candidate in rules.candidates(event.publisher, PLACEMENT):
                decision = decide(event, candidate, at=at)
        spent += time.process_time_ns() - begun
        decided += len(row)
        if not isinstance(decision, Permit):
            raise NotPermitted(f"expected permits, got {decision.reason}")
    return spent / 1000 / decided


def cedar_is_there() -> bool:
    """Whether cedarpy is installed; it is a dependency of development only."""
    return importlib.util.find_spec("cedarpy") is not None


def cedarpy_us(loaded: Sequence[int] = CEDAR_LOADED) -> Iterator[tuple[int, float]]:
    """Yield each number of agreements and cedarpy's CPU microseconds for a decision with them.

    One policy for each agreement, parsed beforehand, with the flow's parties, type, time
    in force and conditions; the fastest of single and batched questions.
    """
    import cedarpy

    for number in loaded:
        text = "\n".join(_policy(agreement) for agreement in agreements(number))
        policies = cedarpy.PolicySet.from_str(text)
        entities = cedarpy.Entities.from_json_str("[]")
        request = _request()
        times = max(20, 20_000 // number)
        best = float("inf")
        for _ in range(3):
            begun = time.process_time_ns()
            for _ in range(times):
                answer = cedarpy.is_authorized(request, policies, entities)
            singly = time.process_time_ns() - begun
            if not answer.allowed:
                raise NotPermitted("expected cedarpy to allow what is permitted here")
            begun = time.process_time_ns()
            cedarpy.is_authorized_batch([request] * times, policies, entities)
            batched = time.process_time_ns() - begun
            best = min(best, singly / times / 1000, batched / times / 1000)
        yield number, best


def _policy(agreement: Agreement) -> str:
    flow = agreement.flows[0]
    tests = [
        f'context.publisher == "{flow.from_[0]}"',
        f'context.type == "{flow.events[0]}"',
        f"context.at >= {int(agreement.effective.starts_at.timestamp())}",
        f"context.at < {int(agreement.effective.ends_at.timestamp())}",
        *_conditions(flow),
    ]
    return (
        f'permit(principal == Party::"{flow.to[0]}", action == Action::"receive", resource)'
        f" when {{ {' && '.join(tests)} }};"
    )


def _conditions(flow: Flow) -> Iterator[str]:
    for condition in flow.when:
        item = f"context.{condition.item.replace('.', '_')}"
        if condition.operator == "equals":
            yield f"{item} == {_literal(condition.operand)}"
        elif condition.operator in {"in", "not_in"}:
            listed = ", ".join(map(_literal, condition.operand))
            yield f"{'!' if condition.operator == 'not_in' else ''}[{listed}].contains({item})"


def _literal(value: object) -> str:
    return str(value).lower() if isinstance(value, bool | int) else f'"{value}"'


def _request() -> dict[str, Any]:
    return {
        "principal": f'Party::"{_templates()[0].flows[0].to[0]}-0"',
        "action": 'Action::"receive"',
        "resource": 'Event::"one"',
        "context": {
            "publisher": _in_town(PUBLISHER, 0),
            "type": PLACEMENT,
            "at": int(time.time()),
            "addressConfidential": False,
            "placementType": "U1",
            "rec": "",
        },
    }

"""Law as checks: may this agreement run as it is written?

Each rule is a small named piece with its source beside it and a stable code.
`validate` is for authors and says everything; `flow_faults` is for the engine
and says why a flow must not run whatever its signatures.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import chain
from typing import Final

from agreements.law import bases, confidence, duties, gateways, items, structure
from agreements.law.rule import Finding, FlowView, Rule
from agreements.model import Agreement, Flow
from agreements.problems import Problem
from agreements.source import Source, parse_path
from schemas.catalogue import Catalogue

__all__ = ["GROUPS", "RULES", "Rule", "flow_faults", "validate", "why"]

GROUPS: Final[Mapping[str, tuple[Rule, ...]]] = {
    "The agreement hangs together": tuple(structure.RULES.rules),
    "The duties around the flows": tuple(duties.RULES.rules),
    "Items and conditions": tuple(items.RULES.rules),
    "Legal bases": tuple(bases.RULES.rules),
    "The law that a flow rests on": tuple(gateways.RULES.rules),
    "Confidence, consent and opt-outs": tuple(confidence.RULES.rules),
}
RULES: Final[tuple[Rule, ...]] = tuple(chain.from_iterable(GROUPS.values()))
_BY_CODE: Final = {rule.code: rule for rule in RULES}


def why(code: str) -> str | None:
    """Return the rule behind a problem's code and its source; None for a problem of form."""
    rule = _BY_CODE.get(code)
    return None if rule is None else f"{rule.title} ({rule.source})"


def validate(
    agreement: Agreement, catalogue: Catalogue, source: Source | None = None
) -> list[Problem]:
    """Return everything that is wrong with the agreement, errors before warnings.

    An agreement without an error among them may be signed. Problems have lines when
    the ``source`` is given from which the agreement was read.
    """
    found = _problems(agreement, catalogue)
    if source is not None:
        found = (_located(problem, source) for problem in found)
    return sorted(found, key=lambda problem: problem.severity != "error")


def flow_faults(agreement: Agreement, flow: Flow, catalogue: Catalogue) -> list[Problem]:
    """Return the errors that leave the flow without a complete legal basis on both sides.

    ``flow`` is one of ``agreement.flows``.
    """
    index = next(i for i, known in enumerate(agreement.flows) if known is flow)
    view = FlowView(agreement, index, flow, catalogue)
    return [
        _problem(rule, finding)
        for rule in RULES
        if rule.legal and rule.severity == "error" and rule.of_flow is not None
        for finding in rule.of_flow(view)
    ]


def _problems(agreement: Agreement, catalogue: Catalogue) -> Iterator[Problem]:
    views = [FlowView(agreement, i, flow, catalogue) for i, flow in enumerate(agreement.flows)]
    for rule in RULES:
        if rule.of_agreement is not None:
            for finding in rule.of_agreement(agreement):
                yield _problem(rule, finding)
        if rule.of_flow is not None:
            for view in views:
                for finding in rule.of_flow(view):
                    yield _problem(rule, finding)


def _problem(rule: Rule, finding: Finding) -> Problem:
    return Problem(
        rule.code, rule.severity, None, None, finding.path, finding.message, finding.remedy
    )


def _located(problem: Problem, source: Source) -> Problem:
    line, column = source.place(parse_path(problem.path))
    return replace(problem, line=line, column=column)

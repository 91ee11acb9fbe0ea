"""From an agreement to Cedar policies: one permit for each flow (www.cedarpolicy.com).

Cedar permits or denies a request. What it is asked, and what the asker has to know, is
told at the head of the text. What our engine sends to a person Cedar denies; what it
shares Cedar permits, item for item, as far as the facts beside the agreement allow.
"""

import json
from collections.abc import Iterable, Iterator
from datetime import date
from typing import Any, Final

from agreements.canonical import digest, to_document
from agreements.exchange.results import Exported, Lost, left_behind
from agreements.law import flow_faults
from agreements.model import Agreement, Condition, Flow, Item, PartyRole
from agreements.source import Path, path_text
from agreements.transforms import name_of
from agreements.values import is_day, moment_text
from schemas.catalogue import Catalogue

_HEAD: Final = """\
// Cedar policies of {id} version {version}
// {title}
//
// A request asks whether a party may receive an event:
//   principal  Concordat::Party with `purposes` and `assurances` (sets of text: those that it
//              is registered for, and those that it holds that day)
//   action     Concordat::Action::"receive"
//   resource   Concordat::Event with `publisher` (a Concordat::Party), `event_type`, `revision`,
//              `occurred` (datetime) and `items` (a record by path; what is absent is left out,
//              a date is a datetime)
//   context    `now` (datetime), `accepted` (set of parties that have accepted this text, and
//              stand by it), `asked` (set of items to share, in the forms of the policy)
"""
_NOT_SAID: Final = "Cedar decides on the sharing; this is for people"
_REVIEW: Final = "Cedar permits or denies: what would go to a person is denied"
_INCOMPLETE: Final = "its legal bases are incomplete, so it shares nothing and has no policy"
_FACTS: Final = (
    Lost("(signatures)", "who has accepted, and in which capacity, is told by the asker"),
    Lost("(objections)", "objections, opt-outs and withdrawn consents are facts of the scheme"),
    Lost("(identifiers)", "an identifier that cannot be one is withheld by the engine only"),
    Lost("(suspensions)", "a suspended agreement or party is a state of the scheme"),
)


def export_cedar(agreement: Agreement, catalogue: Catalogue) -> Exported:
    """Return the policies, and what of the agreement they do not say.

    A flow that the engine refuses because its legal bases are incomplete has no policy.
    """
    faulty = [
        index
        for index, flow in enumerate(agreement.flows)
        if flow_faults(agreement, flow, catalogue)
    ]
    head = _HEAD.format(id=agreement.id, version=agreement.version, title=_line(agreement.title))
    policies = [
        _policy(agreement, flow) for n, flow in enumerate(agreement.flows) if n not in faulty
    ]
    document = to_document(agreement)
    return Exported(
        "\n".join((head, *policies)),
        (
            *(Lost(f"flows[{index}]", _INCOMPLETE) for index in faulty),
            *_reviews(agreement),
            *left_behind(
                document, [*_carried(agreement), *_review_paths(agreement)], why=_NOT_SAID
            ),
            *_FACTS,
        ),
    )


def _policy(agreement: Agreement, flow: Flow) -> str:
    tests = " &&\n  ".join(_tests(agreement, flow))
    return (
        f"@id({_text(flow.id)})\n"
        f"@agreement({_text(agreement.id)})\n"
        f'@version("{agreement.version}")\n'
        f'@sha256("{digest(agreement)}")\n'
        "permit (\n"
        "  principal is Concordat::Party,\n"
        '  action == Concordat::Action::"receive",\n'
        "  resource is Concordat::Event\n"
        f") when {{\n  {tests}\n}};\n"
    )


def _tests(agreement: Agreement, flow: Flow) -> Iterator[str]:
    yield f"{_set(map(_party, flow.from_))}.contains(resource.publisher)"
    yield f"{_set(map(_party, flow.to))}.contains(principal)"
    yield "principal != resource.publisher"
    yield "context.accepted.containsAll([principal, resource.publisher])"
    yield f"context.now >= {_moment(moment_text(agreement.effective.starts_at))}"
    yield f"context.now < {_moment(moment_text(agreement.effective.ends_at))}"
    for party in agreement.parties:
        yield from _membership(party)
    yield f"{_set(map(_text, flow.events))}.contains(resource.event_type)"
    yield f"resource.revision >= {flow.schemas.min}"
    if flow.schemas.max is not None:
        yield f"resource.revision <= {flow.schemas.max}"
    yield f"principal.purposes.contains({_text(flow.purpose)})"
    if flow.requires:
        yield f"principal.assurances.containsAll({_set(map(_text, flow.requires))})"
    if (oldest := flow.oldest) is not None:
        seconds = round(oldest.total_seconds())
        yield f'context.now.durationSince(resource.occurred) <= duration("{seconds}s")'
    yield from map(_condition, flow.when)
    shared = [item for item in flow.items if item.transform != "drop"]
    yield f"{_set(_text(item_form(item)) for item in shared)}.containsAll(context.asked)"


def item_form(item: Item) -> str:
    """Return how a shared item is called in a request: its path, and its form if it has one."""
    form = name_of(item)
    return f"{item.path} as {form}" if form else item.path


def _membership(party: PartyRole) -> Iterator[str]:
    """A party that is not in yet, or no more, takes part on neither side."""
    is_it = f"(principal == {_party(party.id)} || resource.publisher == {_party(party.id)})"
    if party.joined_on is not None:
        yield f"(!{is_it} || context.now >= {_day(party.joined_on)})"
    if party.left_on is not None:
        yield f"(!{is_it} || context.now < {_day(party.left_on)})"


def _condition(condition: Condition) -> str:
    """An absent item fails every test but ``not_in`` and ``present: false``."""
    name = _text(condition.item)
    has, item = f"resource.items has {name}", f"resource.items[{name}]"
    operator, operand = condition.operator, condition.operand
    if operator == "present":
        there = f'{has} && {item} != "" && {item} != []'
        return f"({there})" if operand else f"!({there})"
    if operator in ("before", "after"):
        return f"({has} && {item} {'<' if operator == 'before' else '>='} {_day(operand)})"
    among = _set(_values(operand if isinstance(operand, tuple) else (operand,)))
    if operator == "not_in":
        return f"!({has} && {among}.contains({item}))"
    return f"({has} && {among}.contains({item}))"


def _values(operands: Iterable[Any]) -> Iterator[str]:
    for operand in operands:
        if isinstance(operand, str):
            yield _text(operand)
            if is_day(operand):  # of an item that is a date
                yield _day(date.fromisoformat(operand))
        else:
            yield json.dumps(operand)


def _carried(agreement: Agreement) -> list[Path]:
    """Return the places of everything that the policies say."""
    places: list[Path] = [("format",), ("id",), ("version",), ("title",)]
    places += [("effective", "starts_at"), ("effective", "ends_at")]
    for index, _ in enumerate(agreement.parties):
        places += [("parties", index, field) for field in ("id", "joined_on", "left_on")]
    for index, flow in enumerate(agreement.flows):
        fields = ("id", "events", "schemas", "from", "to", "purpose", "max_age", "requires")
        places += [("flows", index, field) for field in fields]
        for at, condition in enumerate(flow.when):
            places += [
                ("flows", index, "when", at, field) for field in ("item", condition.operator)
            ]
            if condition.otherwise == "deny":
                places.append(("flows", index, "when", at, "otherwise"))
        for at, _item in enumerate(flow.items):
            places += [("flows", index, "items", at, field) for field in ("path", "transform")]
    return places


def _review_paths(agreement: Agreement) -> Iterator[Path]:
    """Yield what sends an event to a person, where Cedar denies it or does not look."""
    for index, flow in enumerate(agreement.flows):
        for at, condition in enumerate(flow.when):
            if condition.otherwise == "review":
                yield ("flows", index, "when", at, "otherwise")
        for at, item in enumerate(flow.items):
            if item.required:
                yield ("flows", index, "items", at, "required")


def _reviews(agreement: Agreement) -> Iterator[Lost]:
    for path in _review_paths(agreement):
        yield Lost(path_text(path), _REVIEW)


def _set(values: Iterable[str]) -> str:
    return f"[{', '.join(values)}]"


def _party(party: str) -> str:
    return f"Concordat::Party::{_text(party)}"


def _moment(text: str) -> str:
    return f'datetime("{text}")'


def _day(day: date) -> str:
    return _moment(day.isoformat())


def _line(text: str) -> str:
    return " ".join(text.split())


def _text(text: str) -> str:
    """Return a string of Cedar; agreements hold no control characters but line breaks."""
    return json.dumps(text, ensure_ascii=False)

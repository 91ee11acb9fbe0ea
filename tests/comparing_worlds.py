"""Pairs of agreements at random, and whether what a comparison says of them is true.

The old version is drawn, the new one is the old one with a few changes. The engine then
decides the same events under each, signed by everybody, and `lies` says where a
comparison called something a narrowing that is none. It never looks at how the
comparison was made.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache
from typing import Any

from deciding_world import (
    A_BASIS,
    COUNCIL,
    HEALTH,
    NOON,
    PURPOSE,
    SCHOOL,
    World,
    a_flow,
    an_agreement,
    an_event,
    decode,
)

from agreements.candidates import to_us
from agreements.comparing import compare
from agreements.deciding import Decision, Hold, Permit, Review, decide
from agreements.opened import OpenedEvent
from agreements.reading import from_document
from agreements.rules import Rules
from schemas.catalogue import Catalogue, EventType, shipped

Choose = Callable[[Sequence[Any]], Any]
Document = dict[str, Any]

PARTIES = (COUNCIL, HEALTH, SCHOOL)
OBJECTOR = b"\x02"
EVENT = "uk.gov.test.note.v1"
OTHER = "uk.gov.csc.cla-placement.v1"


def _field(name: str, kind: Any, sensitivity: str = "personal", **more: Any) -> Document:
    return {"name": name, "type": kind, "sensitivity": [sensitivity], **more}


_DATE = {"type": "int", "logicalType": "date"}
_FIELDS = [
    _field("childId", "string", identifier="la-child-id", subject="primary"),
    _field("nhsNumber", ["null", "string"], identifier="nhs-number"),
    _field("postcode", ["null", "string"], identifier="postcode"),
    _field("place", ["null", "string"]),
    _field("consent", ["null", "string"]),
    _field("born", ["null", _DATE]),
    _field("seen", _DATE),
    _field("urgent", "boolean"),
    _field("times", "long"),
    _field("health", "string", "special"),
]


def _revision(number: int, *fields: Document) -> EventType:
    schema = {
        "type": "record",
        "name": "Note",
        "namespace": "uk.gov.test.note.v1",
        "eventType": EVENT,
        "revision": number,
        "fields": [*_FIELDS, *fields],
    }
    return EventType.of(json.dumps(schema))


REVISIONS = (_revision(1), _revision(2, _field("later", ["null", "string"], default=None)))
CATALOGUE = Catalogue((*REVISIONS, *shipped().revisions(OTHER)))

TESTS: tuple[Mapping[str, Any], ...] = (
    {"item": "place", "equals": "A"},
    {"item": "place", "in": ["A", "B"]},
    {"item": "place", "in": ["A", 5]},
    {"item": "place", "in": ["A", ""]},
    {"item": "place", "not_in": ["B"]},
    {"item": "place", "not_in": ["B", "C"]},
    {"item": "place", "present": True},
    {"item": "place", "present": False},
    {"item": "urgent", "equals": False},
    {"item": "urgent", "in": [True, False]},
    {"item": "urgent", "equals": 0},
    {"item": "times", "in": [0, 1]},
    {"item": "times", "equals": 1},
    {"item": "times", "not_in": [1]},
    {"item": "times", "not_in": [True]},
    {"item": "seen", "before": "2026-05-28"},
    {"item": "seen", "before": "2026-06-01"},
    {"item": "seen", "after": "2026-05-28"},
    {"item": "seen", "after": "2026-05-01"},
    {"item": "born", "present": True},
    {"item": "born", "before": "2026-06-01"},
    {"item": "born", "in": ["2014-09-30", "never"]},
    {"item": "born", "in": ["2014-09-30", "2015-09-30"]},
    {"item": "born", "equals": "2014-09-30"},
    {"item": "consent", "equals": "Y"},
    {"item": "consent", "in": ["Y", "L"]},
    {"item": "later", "present": True},
)
TRANSFORMS = (
    None,
    "drop",
    "mask",
    "pseudonym",
    *(
        {"generalise": form}
        for form in ("year", "month", "age-band", "postcode-sector", "postcode-district")
    ),
)
PATHS = (
    "childId",
    "nhsNumber",
    "postcode",
    "place",
    "born",
    "seen",
    "times",
    "health",
    "later",
)
BASES: tuple[Mapping[str, Any], ...] = (
    A_BASIS,
    {key: value for key, value in A_BASIS.items() if key != "art9"},
    {**A_BASIS, "confidentiality": "explicit-consent"},
    {**A_BASIS, "art9": ["h"], "sch1": [2]},
)


# -- drawing and changing ---------------------------------------------------------------


def a_document(choose: Choose) -> Document:
    """Draw an agreement of one or two flows; most permit something."""
    flows = [_flow(choose, f"flow-{number}") for number in range(choose((1, 1, 2)))]
    document = an_agreement(
        *flows,
        parties=[{"id": party, "role": "controller", "direction": "both"} for party in PARTIES],
    )
    for change in (
        _change_limits,
        _change_purpose,
        _change_consent,
        _change_dates,
        _change_suspension,
    ):
        if choose((True, False, False)):
            change(document, flows[0], choose)
    return document


def a_document_of(flow: Document) -> Document:
    """Build an agreement of one flow that permits, with fields of the flow changed."""
    given = a_flow(events=[EVENT], items=[{"path": "childId"}], **{"from": [COUNCIL]}) | flow
    return an_agreement(
        given,
        parties=[{"id": party, "role": "controller", "direction": "both"} for party in PARTIES],
    )


def _flow(choose: Choose, name: str) -> Document:
    paths = list(dict.fromkeys(choose(PATHS) for _ in range(choose((2, 4)))))
    basis = choose((A_BASIS, A_BASIS, *BASES))
    return a_flow(
        id=name,
        events=[EVENT],
        **{"from": [COUNCIL]},
        to=list(choose(((HEALTH,), (HEALTH, SCHOOL)))),
        when=[_condition(choose) for _ in range(choose((0, 0, 1, 1, 2)))],
        items=[_item(choose, path) for path in paths],
        legal={"provider": deepcopy(dict(basis)), "recipient": deepcopy(dict(A_BASIS))},
    )


def _condition(choose: Choose) -> Document:
    return {**deepcopy(dict(choose(TESTS))), "otherwise": choose(("deny", "review"))}


def _item(choose: Choose, path: str) -> Document:
    item: Document = {"path": path, "justification": "Needed."}
    transform = choose((None, None, *_fitting(path)))
    if transform is not None:
        item["transform"] = deepcopy(transform)
    if choose((False, False, True)):
        item["required"] = True
    return item


def _fitting(path: str) -> Sequence[Any]:
    """The transforms that have a meaning for an item, and once in a while any."""
    if path in ("born", "seen"):
        return (None, "drop", "mask", "pseudonym", *TRANSFORMS[4:7])
    if path == "postcode":
        return (None, "drop", "mask", "pseudonym", *TRANSFORMS[7:])
    return (*TRANSFORMS[:4], *TRANSFORMS[:4], *TRANSFORMS)


def a_change(document: Document, choose: Choose) -> None:
    """Change one thing of a document, in place."""
    flow = choose(document["flows"])
    choose((*_OF_FLOWS, *_OF_FLOWS, *_OF_AGREEMENTS))(document, flow, choose)


def _change_items(_document: Document, flow: Document, choose: Choose) -> None:
    items, what = (
        flow["items"],
        choose(("add", "remove", "transform", "transform", "required", "shuffle")),
    )
    item = choose(items)
    if what == "add":
        path = choose(PATHS)
        if path not in {one["path"] for one in items}:
            items.append(_item(choose, path))
    elif what == "remove" and len(items) > 1:
        items.remove(item)
    elif what == "transform":
        transform = choose(_fitting(item["path"]))
        item.pop("transform", None)
        if transform is not None:
            item["transform"] = deepcopy(transform)
    elif what == "required":
        item["required"] = not item.get("required", False)
    else:
        items.reverse()


def _change_conditions(_document: Document, flow: Document, choose: Choose) -> None:
    when = flow["when"]
    what = choose(("add", "remove", "replace", "otherwise", "shuffle"))
    if what == "add" or not when:
        when.insert(choose(range(len(when) + 1)), _condition(choose))
        return
    place = choose(range(len(when)))
    if what == "remove":
        del when[place]
    elif what == "replace":
        same = [test for test in TESTS if test["item"] == when[place]["item"]]
        when[place] = {**deepcopy(dict(choose(same))), "otherwise": when[place]["otherwise"]}
    elif what == "otherwise":
        when[place]["otherwise"] = "deny" if when[place]["otherwise"] == "review" else "review"
    else:
        when.reverse()


def _change_limits(_document: Document, flow: Document, choose: Choose) -> None:
    flow.pop("max_age", None)
    if (age := choose((None, "PT2H", "PT4H", "P1D"))) is not None:
        flow["max_age"] = age
    flow["schemas"] = choose(({"min": 1}, {"min": 2}, {"min": 1, "max": 1}, {"min": 1, "max": 3}))


def _change_form(_document: Document, flow: Document, choose: Choose) -> None:
    flow["delivery"] = choose(("payload", "reference", "notify"))


def _change_consent(_document: Document, flow: Document, choose: Choose) -> None:
    flow["needs_consent"] = choose((True, False))


def _change_requires(_document: Document, flow: Document, choose: Choose) -> None:
    flow["requires"] = list(choose(((), ("dspt",), ("dspt", "iso-27001"), ("iso-27001",))))


def _change_legal(_document: Document, flow: Document, choose: Choose) -> None:
    flow["legal"]["provider"] = deepcopy(dict(choose(BASES)))


def _change_justification(_document: Document, flow: Document, choose: Choose) -> None:
    item = choose(flow["items"])
    if item.pop("justification", None) is None:
        item["justification"] = "Needed more."


def _change_people(_document: Document, flow: Document, choose: Choose) -> None:
    flow["from"] = list(choose(((COUNCIL,), (COUNCIL, SCHOOL), (SCHOOL,))))
    flow["to"] = list(choose(((HEALTH,), (HEALTH, SCHOOL), (SCHOOL, COUNCIL))))


def _change_events(_document: Document, flow: Document, choose: Choose) -> None:
    flow["events"] = list(choose(((EVENT,), (EVENT, OTHER), (OTHER,))))


def _change_words(document: Document, flow: Document, choose: Choose) -> None:
    where, field = choose(((document, "title"), (document, "summary"), (flow, "text")))
    where[field] = f"Words {choose(range(100))}"


def _change_dates(document: Document, _flow: Document, choose: Choose) -> None:
    field = choose(("starts_at", "ends_at"))
    days = ("2026-04-01", "2026-06-01") if field == "starts_at" else ("2026-06-02", "2028-04-01")
    document["effective"][field] = choose(days)


def _change_purpose(document: Document, _flow: Document, choose: Choose) -> None:
    purpose = document["purposes"][0]
    if choose((True, False)):
        purpose["beyond_individual_care"] = not purpose.get("beyond_individual_care", False)
    else:
        purpose["code"] = choose((PURPOSE, "another"))


def _change_party(document: Document, _flow: Document, choose: Choose) -> None:
    party = choose(document["parties"])
    what = choose(("direction", "left_on", "joined_on", "leave"))
    if what == "direction":
        party["direction"] = choose(("provides", "receives", "both"))
    elif what == "leave":
        if len(document["parties"]) > 2:
            document["parties"].remove(party)
    else:
        party.pop(what, None)
        if (day := choose((None, "2026-05-20", "2026-06-01", "2026-07-01"))) is not None:
            party[what] = day


def _change_flows(document: Document, flow: Document, choose: Choose) -> None:
    if choose((True, False)):
        document["flows"].append(_flow(choose, f"flow-{choose(range(3))}"))
    elif len(document["flows"]) > 1:
        document["flows"].remove(flow)


def _change_suspension(document: Document, _flow: Document, choose: Choose) -> None:
    document["suspension"] = {
        "then": choose(("deny", "review")),
        "hold_for": choose(("P14D", "P14D", "P2D", "P90D")),
    }


_Change = Callable[[Document, Document, Choose], None]
_OF_FLOWS: tuple[_Change, ...] = (
    _change_items,
    _change_items,
    _change_conditions,
    _change_conditions,
    _change_limits,
    _change_form,
    _change_consent,
    _change_requires,
    _change_legal,
    _change_justification,
    _change_people,
    _change_events,
    _change_words,
)
_OF_AGREEMENTS: tuple[_Change, ...] = (
    _change_dates,
    _change_purpose,
    _change_party,
    _change_flows,
    _change_suspension,
    _change_words,
)


def a_pair(choose: Choose) -> tuple[Document, Document]:
    """Draw an agreement, and the same with one to three changes as the next version."""
    old = a_document(choose)
    new = deepcopy(old)
    for _ in range(choose((1, 1, 1, 2, 3))):
        a_change(new, choose)
    new["version"] = 2
    return old, new


# -- deciding ---------------------------------------------------------------------------


_NOTE: Mapping[str, Any] = {
    "childId": "LAC0042",
    "nhsNumber": "9434765919",
    "postcode": "S65 2AA",
    "place": "A",
    "consent": "Y",
    "born": date(2014, 9, 30),
    "seen": date(2026, 5, 20),
    "urgent": False,
    "times": 1,
    "health": "well",
}


@cache
def _events() -> tuple[OpenedEvent, ...]:
    given: tuple[dict[str, Any], ...] = (
        {},
        {"later": "then"},
        {"place": "B", "consent": "L", "times": 0},
        {"place": "", "nhsNumber": "1234567890", "postcode": "nowhere", "times": 2},
        {"place": "C", "nhsNumber": "S65 2AA", "born": None, "consent": None},
        {"nhsNumber": None, "postcode": None, "place": None, "urgent": True},
        {"seen": date(2026, 5, 27), "born": date(2026, 5, 30)},
        {"seen": date(2026, 6, 1), "born": date(2027, 1, 1), "later": ""},
        {"childId": "LAC 1 !", "born": date(2015, 9, 30), "later": "x"},
    )
    ages = (timedelta(hours=1), timedelta(hours=3), timedelta(days=3))
    return tuple(
        an_event(
            event_type=REVISIONS["later" in fields],
            record=_NOTE,
            publisher=publisher,
            occurred_at=NOON - ages[number % 3],
            subjects=(OBJECTOR if (number + shift) % 3 == 0 else b"\x01",),
            **fields,
        )
        for shift, publisher in enumerate((COUNCIL, SCHOOL))
        for number, fields in enumerate(given)
    )


# While it runs, after an assurance lapsed, while it is suspended, and long after that.
_SUSPENDED = NOON + timedelta(days=45)
_TIMES: tuple[datetime, ...] = (
    NOON,
    NOON + timedelta(days=40),
    _SUSPENDED + timedelta(days=1),
    _SUSPENDED + timedelta(days=30),
)


@dataclass(frozen=True)
class Asked:
    """One decision: of an event, for a recipient, by a flow, at a time."""

    event: int
    publisher: str
    recipient: str
    flow: str
    at: int


def decisions(document: Document) -> dict[Asked, Decision]:
    """Return every decision under a document that all have signed; without a candidate none."""
    rules = _rules(document)
    found = {}
    for number, event in enumerate(_events()):
        for at, moment in enumerate(_TIMES):
            for candidate in rules.candidates(event.publisher, event.type.name, at=to_us(moment)):
                asked = Asked(number, event.publisher, candidate.recipient, candidate.flow.id, at)
                found[asked] = decide(event, candidate, at=to_us(moment))
    return found


@cache
def _parties() -> dict[bytes, bytes | None]:
    world = World()
    for party in PARTIES:
        held = ("dspt", "2026-07-01"), ("iso-27001", "2027-07-01")
        world.party(
            party,
            purposes=[PURPOSE, "another"],
            assurances=[
                {"kind": kind, "valid_from": "2026-01-01", "valid_until": until}
                for kind, until in held
                if party != SCHOOL or kind == "dspt"
            ],
        )
    for name, kind in (("1", "opt-out"), ("2", "consent-withdrawn")):
        world.objection(
            name, kind=kind, subject=OBJECTOR.hex(), recipients=None, purposes=None, until=None
        )
    return dict(world.documents)


def _rules(document: Document) -> Rules:
    world = World(documents=dict(_parties()), catalogue=CATALOGUE)
    world.agree(document)
    world.sign(document, document["parties"][0]["id"], type="suspend", effective_at=_SUSPENDED)
    return world.rules()


# -- holding a comparison to what it says -----------------------------------------------


def lies(old: Document, new: Document) -> Iterator[str]:
    """Say where the engine shows that what a comparison said is not so."""
    comparison = compare(from_document(old), from_document(new), catalogue=CATALOGUE)
    before, after = decisions(old), decisions(new)
    for asked in before.keys() | after.keys():
        pair = asked.publisher, asked.recipient
        widens = any(change.concerns(*pair) for change in comparison.widens)
        narrows = any(change.concerns(*pair) for change in comparison.narrows)
        if widens:
            continue
        one, other = before.get(asked), after.get(asked)
        if grown := _grown(one, other):
            yield f"{asked}: {grown}, and nothing was said to widen"
        if not narrows and outcome(one) != outcome(other):
            yield f"{asked}: {outcome(one)} became {outcome(other)}, and only words changed"


def _grown(old: Decision | None, new: Decision | None) -> str | None:
    """Return in which way the new decision lets more through; None when it does not."""
    if _openness(new) > _openness(old):
        return f"{type(old).__name__} became {type(new).__name__}"
    if not isinstance(new, Permit) or not isinstance(old, Permit):
        return None
    more = set(new.items) - set(old.items)
    if more:
        return f"{sorted(more)} more"
    had, given = decode(old.view.schema, old.framed), decode(new.view.schema, new.framed)
    for path in new.items:
        if not _could_be_made(given[path], had[path]):
            return f"{path} tells more"
    return None


def _openness(decision: Decision | None) -> int:
    """What is held can be released, what is reviewed can be let through by a person."""
    for openness, kind in ((3, Permit), (2, Review), (1, Hold)):
        if isinstance(decision, kind):
            return openness
    return 0


def _could_be_made(given: Any, had: Any) -> bool:
    """Whether a reader who has one value could have made the other from it."""
    if given in (had, "***") or isinstance(had, date):
        return True
    text = str(had)
    if isinstance(given, int):
        return text.startswith(f"{given:04}-")
    if len(str(given)) == 32:
        return text != "***"
    return text.replace(" ", "").startswith(str(given).replace(" ", ""))


def outcome(decision: Decision | None) -> Any:
    """Return what a decision comes to, without naming the text that it rests on."""
    if isinstance(decision, Permit):
        return decision.framed, sorted(decision.items), sorted(decision.withheld)
    return None if decision is None else (type(decision).__name__, decision.reason)

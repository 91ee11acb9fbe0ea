"""Exported Cedar policies decide as our engine does, within what Cedar can say."""

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import cedarpy
import pytest
from agreement_texts import a_document
from deciding_world import (
    A_PLACEMENT,
    COUNCIL,
    HEALTH,
    NOON,
    PLACEMENT,
    PURPOSE,
    SCHOOL,
    World,
    a_flow,
    an_agreement,
    an_event,
)

from agreements.candidates import to_us
from agreements.deciding import Permit, decide
from agreements.exchange.cedar import export_cedar, item_form
from agreements.model import Agreement
from agreements.reading import from_document
from agreements.rules import Rules
from schemas.catalogue import shipped

PARTIES: Final = (COUNCIL, HEALTH, SCHOOL)
CONDITIONS: Final[list[dict[str, Any]]] = [
    {"item": "localAuthority", "equals": "E08000018"},
    {"item": "localAuthority", "not_in": ["E08000019", "E08000016"]},
    {"item": "addressConfidential", "equals": False, "otherwise": "review"},
    {"item": "addressConfidential", "in": [True, False]},
    {"item": "rec", "not_in": ["E11", "E12"], "otherwise": "review"},
    {"item": "rec", "in": ["E11", "E45"]},
    {"item": "rec", "present": True},
    {"item": "rec", "present": False},
    {"item": "urn", "present": True},
    {"item": "urn", "present": False},
    {"item": "birthDate", "before": "2014-10-01"},
    {"item": "birthDate", "before": "2014-09-30"},
    {"item": "birthDate", "after": "2014-09-30"},
    {"item": "birthDate", "equals": "2014-09-30"},
    {"item": "dec", "before": "2026-06-01"},
    {"item": "dec", "not_in": ["2026-05-30"]},
    {"item": "homePostcode", "not_in": ["S60 1AF", 'quote " and \\ and é']},
]
ITEMS: Final[list[dict[str, Any]]] = [
    {"path": "childId"},
    {"path": "birthDate", "transform": {"generalise": "year"}},
    {"path": "localAuthority", "transform": "mask"},
    {"path": "sex", "transform": "drop"},
    {"path": "decom"},
]
FIELDS: Final[Mapping[str, list[Any]]] = {
    "localAuthority": ["E08000016", "E08000019"],
    "addressConfidential": [True],
    "rec": ["E11", "E45"],
    "urn": ["", "123456"],
    "birthDate": [date(2014, 9, 29), date(2014, 10, 1)],
    "dec": [date(2026, 5, 30), date(2026, 6, 1)],
    "homePostcode": ['quote " and \\ and é'],
}
EDGES: Final = [
    datetime.fromisoformat(text)
    for text in (
        "2026-04-01T00:00:00Z",
        "2026-03-31T23:59:59Z",
        "2028-04-01T00:00:00Z",
        "2028-03-31T23:59:59Z",
        "2026-06-02T00:00:00Z",
        "2026-06-01T23:59:59Z",
    )
]


@dataclass(frozen=True)
class Case:
    """An agreement in a scheme, and events to ask about; mostly what would be shared."""

    document: dict[str, Any]
    accepted: list[str]
    purposes: list[str]
    is_assured: bool
    at: datetime
    events: list[dict[str, Any]]

    def rules(self) -> Rules:
        """Compile the scheme for our engine."""
        world = World()
        assurance = [{"kind": "dspt", "valid_from": "2020-01-01", "valid_until": "2030-01-01"}]
        for name in PARTIES:
            given = {"assurances": assurance} if self.is_assured else {}
            world.party(name, purposes=self.purposes, **given)
        world.agreement(self.document)
        for name in self.accepted:
            world.sign(self.document, name, at=datetime.fromisoformat("2026-01-01T00:00:00Z"))
        return world.rules()


def a_case(chance: random.Random) -> Case:
    """Draw a case: each thing is usual nine times out of ten."""

    def unusual(*values: Any, usual: Any) -> Any:
        return chance.choice(values) if chance.random() < 0.1 else usual

    flow = a_flow(
        when=chance.sample(CONDITIONS, unusual(2, 3, usual=1)),
        items=chance.sample(ITEMS, chance.randint(1, len(ITEMS))),
        to=unusual([HEALTH, SCHOOL], [HEALTH, COUNCIL], usual=[HEALTH]),
        schemas=unusual({"min": 2}, {"min": 1, "max": 1}, usual={"min": 1}),
        **unusual({"requires": ["dspt"]}, usual={}),
        **unusual({"max_age": "PT3H"}, {"max_age": "P1DT12H"}, usual={}),
    )
    document = an_agreement(flow)
    members = [one["id"] for one in document["parties"]]
    for one in document["parties"]:
        one.update(unusual({"joined_on": "2026-06-02"}, {"left_on": "2026-06-02"}, usual={}))
    is_member_dated = any("joined_on" in one or "left_on" in one for one in document["parties"])
    return Case(
        document=document,
        accepted=[name for name in members if name != unusual(COUNCIL, HEALTH, usual=None)],
        purposes=unusual(["other"], usual=[PURPOSE]),
        is_assured=unusual(False, usual=True),
        at=chance.choice(EDGES[-2:]) if is_member_dated else unusual(*EDGES, usual=NOON),
        events=[
            {
                "publisher": unusual(SCHOOL, usual=COUNCIL),
                "hours": chance.choice([0, 3, 4, 36, 37]),
                "fields": {
                    name: chance.choice(values)
                    for name, values in FIELDS.items()
                    if chance.random() < 0.1
                },
            }
            for _ in range(8)
        ],
    )


def moment(at: datetime) -> dict[str, Any]:
    """Return a time as Cedar's JSON has it."""
    return {"__extn": {"fn": "datetime", "arg": at.strftime("%Y-%m-%dT%H:%M:%SZ")}}


def entity(value: Any) -> Any:
    """Return a value as Cedar's JSON has it: a day is a datetime."""
    if not isinstance(value, date):
        return value
    return moment(datetime(value.year, value.month, value.day, tzinfo=UTC))


def party(name: str) -> dict[str, Any]:
    """Return the reference to a party."""
    return {"type": "Concordat::Party", "id": name}


def entities(case: Case) -> list[dict[str, Any]]:
    """Return the parties and the events."""
    attributes = {
        "purposes": case.purposes,
        "assurances": ["dspt"] if case.is_assured else [],
    }
    found = [{"uid": party(name), "attrs": attributes, "parents": []} for name in PARTIES]
    for number, event in enumerate(case.events):
        items = {**A_PLACEMENT, **event["fields"]}
        attributes = {
            "publisher": {"__entity": party(event["publisher"])},
            "event_type": PLACEMENT,
            "revision": shipped().latest(PLACEMENT).revision,
            "occurred": moment(case.at - timedelta(hours=event["hours"])),
            "items": {name: entity(value) for name, value in items.items() if value is not None},
        }
        uid = {"type": "Concordat::Event", "id": str(number)}
        found.append({"uid": uid, "attrs": attributes, "parents": []})
    return found


def cedars_answers(case: Case, asked: list[str]) -> list[bool]:
    """Ask Cedar about each event and party, in this order."""
    text = export_cedar(from_document(case.document), shipped()).text
    context = {
        "now": moment(case.at),
        "accepted": [{"__entity": party(name)} for name in case.accepted],
        "asked": asked,
    }
    requests = [
        {
            "principal": f'Concordat::Party::"{recipient}"',
            "action": 'Concordat::Action::"receive"',
            "resource": f'Concordat::Event::"{number}"',
            "context": context,
        }
        for number in range(len(case.events))
        for recipient in PARTIES
    ]
    answers = cedarpy.is_authorized_batch(requests, text, entities(case))
    assert not any(answer.diagnostics.errors for answer in answers)
    return [bool(answer.allowed) for answer in answers]


def our_answers(case: Case) -> list[bool]:
    """Ask our engine whether it shares each event with each party, in this order."""
    rules = case.rules()
    found = []
    for event in case.events:
        occurred_at = case.at - timedelta(hours=event["hours"])
        opened = an_event(publisher=event["publisher"], occurred_at=occurred_at, **event["fields"])
        shared_with = {
            candidate.recipient
            for candidate in rules.candidates(event["publisher"], PLACEMENT, at=to_us(case.at))
            if isinstance(decide(opened, candidate, at=to_us(case.at)), Permit)
        }
        found += [recipient in shared_with for recipient in PARTIES]
    return found


@pytest.mark.parametrize("seed", range(2))
def test_cedar_permits_what_the_engine_shares(seed: int) -> None:
    """For each event and party: shared by the engine exactly when Cedar permits its items."""
    chance = random.Random(seed)  # noqa: S311  examples, not secrets
    outcomes: Counter[bool] = Counter()
    for _ in range(100):
        case = a_case(chance)
        flow = from_document(case.document).flows[0]
        asked = [item_form(item) for item in flow.items if item.transform != "drop"]
        ours = our_answers(case)
        assert cedars_answers(case, asked) == ours, case
        dropped = [item.path for item in flow.items if item.transform == "drop"]
        for more in ("upn", *dropped):
            assert not any(cedars_answers(case, [*asked, more]))
        outcomes.update(ours)
    assert outcomes[True] > outcomes.total() // 20, "both answers are common"


def test_a_flow_without_a_legal_basis_has_no_policy() -> None:
    """What the engine refuses whoever signed it is not permitted by the export either."""
    document = a_document()
    document["flows"][0]["items"] = [{"path": "ethnicity"}]
    exported = export_cedar(from_document(document), shipped())
    assert "permit" not in exported.text.partition("\n\n")[2]
    assert "flows[0]" in {lost.path for lost in exported.lost}


def test_what_cedar_cannot_say_is_listed() -> None:
    """A review, a required item, and all that is for people."""
    document = a_document()
    document["flows"][0]["when"] = [{"item": "rec", "present": True, "otherwise": "review"}]
    document["flows"][0]["items"][0]["required"] = True
    agreement: Agreement = from_document(document)
    lost = {lost.path for lost in export_cedar(agreement, shipped()).lost}
    assert {
        "flows[0].when[0].otherwise",
        "flows[0].items[0].required",
        "flows[0].legal",
        "dpia",
        "(signatures)",
    } <= lost
    assert not lost & {"flows[0].items[0].path", "flows[0].when[0].item", "effective.starts_at"}

"""The decisions that are kept as data in `tests/cases` (its README tells how to read them)."""

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from deciding_world import (
    AGREEMENT,
    COUNCIL,
    HEALTH,
    NOON,
    PLACEMENT,
    PURPOSE,
    SCHEME,
    SCHOOL,
    World,
    a_flow,
    an_agreement,
    an_event,
    decode,
    key_of,
    pseudonym_key,
)
from ruamel.yaml import YAML

from agreements.candidates import to_us
from agreements.deciding import Decision, Hold, Permit, Review, checks, decide
from agreements.opened import OpenedEvent
from agreements.rules import Compiler, Rules
from schemas.catalogue import shipped

CASES = Path(__file__).parents[2] / "cases"


def _cases() -> Iterator[Any]:
    for path in sorted(CASES.glob("*.yaml")):
        for case in YAML(typ="safe").load(path):
            yield pytest.param(case, id=f"{path.stem}: {case['case']}")


def _merged(given: Mapping[str, Any], changes: Mapping[str, Any] | None) -> dict[str, Any]:
    merged = dict(given) | dict(changes or {})
    return {name: value for name, value in merged.items() if value is not None}


def _plain(value: Any) -> Any:
    """Dates and times as an agreement's JSON has them."""
    if isinstance(value, Mapping):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return value.isoformat() if isinstance(value, date) else value


def _time(value: Any, otherwise: datetime) -> datetime:
    if value is None:
        return otherwise
    return value if value.tzinfo is not None else value.replace(tzinfo=UTC)


def _document(case: Mapping[str, Any], version: int) -> dict[str, Any]:
    flow = _plain(_merged(a_flow(), case.get("flow")))
    flow["items"] = [_merged({"justification": "Needed."}, item) for item in flow["items"]]
    flow["legal"] = {
        side: _merged(flow["legal"][side], case.get("legal", {}).get(side))
        for side in ("provider", "recipient")
    }
    return an_agreement(flow, **_plain(case.get("agreement", {}))) | {"version": version}


def _rules(case: Mapping[str, Any]) -> tuple[Rules, dict[str, str]]:
    """Return the rules of a case, and the ids of the statements that it names."""
    world = World()
    changed = case.get("parties", {})
    for party in (COUNCIL, HEALTH, SCHOOL):
        if changed.get(party, {}) is not None:
            world.party(party)
            if changed.get(party):
                world.party(party, **_plain(changed[party]))
    documents = {}
    for given in [{"version": 1} | dict(case), *case.get("versions", ())]:
        document = _document(given, given["version"])
        documents[given["version"]] = document
        world.agree(document, without=given.get("unsigned", ()))
    _objections(world, case)
    compiler = Compiler(shipped(), scheme_key=SCHEME.public, pseudonym_key=pseudonym_key)
    compiler.apply(world.documents)
    ids: dict[str, str] = {}
    for said in case.get("statements", ()):
        compiler.apply(_said(said, documents[said.get("version", 1)], ids))
    return compiler.rules(), ids


def _said(
    said: Mapping[str, Any], document: Mapping[str, Any], ids: dict[str, str]
) -> dict[bytes, bytes | None]:
    """One statement, or the news that a key was retired or stolen."""
    world, party = World(), said["party"]
    if said["type"] in ("key-retired", "key-stolen"):
        stolen = [{"kid": key_of(party).public.kid, "stolen_from": _plain(said.get("from"))}]
        is_stolen = said["type"] == "key-stolen"
        keys = [key_of(party, 2).public.to_jwk()]
        world.party(party, revision=9, signing_keys=keys, stolen_keys=stolen if is_stolen else [])
        return world.documents
    more = {name: said[name] for name in ("held", "capacity") if name in said}
    if "effective_at" in said:
        more["effective_at"] = _time(said["effective_at"], NOON)
    if "lifts" in said:
        more["lifts"] = ids[said["lifts"]]
    at = _time(said.get("at"), NOON - timedelta(days=20))
    key = key_of(party, said.get("key", 1))
    name = world.sign(document, party, type=said["type"], at=at, by=key, **more)
    if "name" in said:
        ids[said["name"]] = name
    return world.documents


def _objections(world: World, case: Mapping[str, Any]) -> None:
    for number, given in enumerate(case.get("objections", ())):
        objection = _plain(given)
        objection["subject"] = str(objection["subject"])
        signer = objection.pop("by", None)
        if signer is None:
            world.objection(str(number), **objection)
        else:
            world.objection(str(number), by=key_of(signer), **objection)


def _event(case: Mapping[str, Any]) -> OpenedEvent:
    record = case.get("record")
    return an_event(
        event_type=shipped().latest(case.get("type", PLACEMENT)),
        occurred_at=_time(case.get("occurred_at"), NOON - timedelta(hours=3)),
        subjects=tuple(bytes.fromhex(str(one)) for one in case.get("subjects", ["6368696c64"])),
        record=None if record is None else dict(record),
        **case.get("event", {}),
    )


def _expected(case: Mapping[str, Any]) -> tuple[str, str, Mapping[str, Any]]:
    expect = case["expect"]
    if expect == "permit":
        return "permit", "", {}
    outcome = next(name for name in ("permit", "deny", "review", "hold") if name in expect)
    if outcome == "permit":
        return outcome, "", expect["permit"]
    return outcome, expect[outcome], expect


@pytest.mark.parametrize("case", list(_cases()))
def test_the_decision_is_the_one_that_the_case_expects(case: Mapping[str, Any]) -> None:
    """Each case of `tests/cases` decides as it says, and `checks` tells the same."""
    (rules, ids), event = _rules(case), _event(case)
    at = _time(case.get("at"), NOON)
    (candidate,) = rules.candidates(event.publisher, event.type.name, at=to_us(at))
    decision = decide(event, candidate, at=to_us(at))
    outcome, reason, more = _expected(case)
    assert type(decision).__name__.lower() == outcome, decision[1:]
    if isinstance(decision, Permit):
        _same_disclosure(decision, more)
    else:
        assert decision.reason == reason
        detail = more.get("detail", decision.detail)
        assert decision.detail == ids.get(detail, detail)
        if isinstance(decision, Hold):
            assert decision.until_us == to_us(_time(more["until"], NOON))
        if isinstance(decision, Review):
            assert dict(decision.withheld) == more.get("withheld", dict(decision.withheld))
    _told_alike(decision, event, at)


def _same_disclosure(permit: Permit, expected: Mapping[str, Any]) -> None:
    if "items" in expected:
        assert list(permit.items) == expected["items"]
    if "transforms" in expected:
        assert dict(permit.transforms) == expected["transforms"]
    if "withheld" in expected:
        assert dict(permit.withheld) == expected["withheld"]
    if "view" in expected:
        assert decode(permit.view.schema, permit.framed) == expected["view"]


def _told_alike(decision: Decision, event: OpenedEvent, at: datetime) -> None:
    assert decision.candidate is not None
    results = checks(event, decision.candidate, to_us(at))
    failed = [result for result in results if result.state == "failed"]
    if isinstance(decision, Permit):
        assert {result.state for result in results} == {"passed"}
        return
    (result,) = failed
    assert result.failure is not None
    assert result.failure.reason == decision.reason
    assert result.failure.detail == decision.detail
    number = results.index(result)
    assert {one.state for one in results[:number]} <= {"passed"}
    assert {one.state for one in results[number + 1 :]} <= {"not-reached"}


def test_the_usual_world_has_the_names_that_the_cases_mention() -> None:
    """The cases name parties and the purpose as text."""
    assert (COUNCIL, HEALTH, SCHOOL) == (
        "anytown-childrens-services",
        "anytown-nhs-trust",
        "anytown-virtual-school",
    )
    assert (PURPOSE, AGREEMENT) == (
        "coordinate-care",
        "https://sharing.example.gov.uk/agreements/placements",
    )

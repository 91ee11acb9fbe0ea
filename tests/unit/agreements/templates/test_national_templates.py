"""The templates that come with the product: lawful as they stand, and deciding as they say."""

import io
from collections.abc import Iterator, Mapping
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import fastavro
import pytest
from deciding_world import NOON, World, an_event, decode
from ruamel.yaml import YAML

from agreements.candidates import Candidate, to_us
from agreements.canonical import to_document
from agreements.checking import Refusal
from agreements.deciding import Deny, Permit, Review, decide
from agreements.law import flow_faults, validate
from agreements.model import Agreement
from agreements.opened import OpenedEvent
from agreements.reading import from_document
from agreements.templates.filling import adopt, bind
from agreements.templates.library import shipped_templates
from agreements.templates.reading import read_template
from schemas.catalogue import shipped
from schemas.control import Kind, document_key
from schemas.identifiers import check

CASES = Path(__file__).parents[3] / "cases" / "templates"
NAMES = sorted(shipped_templates())
SUBJECT = b"person"


@cache
def agreement_of(name: str) -> Agreement:
    """Return the agreement that a template's own examples make."""
    template = shipped_templates()[name]
    return from_document(adopt(template, bind(template, template.examples)))


@cache
def cases_of(name: str) -> dict[str, Any]:
    """Return what a template's file says: its records and its cases."""
    found = YAML(typ="safe").load(CASES / f"{name}.yaml")
    assert isinstance(found, dict)
    return found


def _all_cases() -> Iterator[Any]:
    for name in NAMES:
        for case in cases_of(name)["cases"]:
            yield pytest.param(name, case, id=f"{name}: {case['case']}")


def _permitting() -> Iterator[Any]:
    """One permitting case of every flow."""
    for name in NAMES:
        first = {c["flow"]: c for c in reversed(cases_of(name)["cases"]) if c["expect"] == "permit"}
        for flow, case in sorted(first.items()):
            yield pytest.param(name, case, id=f"{name}/{flow}")


def event_of(name: str, case: Mapping[str, Any], **how: Any) -> OpenedEvent:
    """Build the event that a case is about."""
    flow = agreement_of(name).flow(case["flow"])
    event_type = shipped().latest(flow.events[0])
    record = deepcopy(cases_of(name)["records"][event_type.name])
    for path, value in case.get("change", {}).items():
        inner = record
        *way, last = path.split(".")
        for step in way:
            inner = inner[step]
        inner[last] = value
    publisher = case.get("from") or flow.from_[0]
    given = {"subjects": (SUBJECT,), "occurred_at": NOON - timedelta(hours=3)} | how
    return an_event(publisher=publisher, event_type=event_type, record=record, **given)


@cache
def _signed(name: str, flow_id: str) -> World:
    document = _of_one_flow(to_document(agreement_of(name)), flow_id)
    world = World()
    for party in document["parties"]:
        world.party(party["id"], purposes=[p["code"] for p in document["purposes"]])
    world.agree(document)
    return world


def world_of(name: str, flow_id: str) -> World:
    """Build a scheme in which a flow of the template's agreement is in force, to be changed."""
    return World(documents=dict(_signed(name, flow_id).documents))


def world_with(document: Mapping[str, Any], flow_id: str) -> World:
    """Build a scheme in which a changed agreement is in force."""
    alone = _of_one_flow(document, flow_id)
    world = World()
    for party in alone["parties"]:
        world.party(party["id"], purposes=[p["code"] for p in alone["purposes"]])
    world.agree(alone)
    return world


def candidate_of(world: World, name: str, case: Mapping[str, Any], at: datetime) -> Candidate:
    """Return the candidate of the case's flow and recipient."""
    flow = agreement_of(name).flow(case["flow"])
    publisher = case.get("from") or flow.from_[0]
    recipient = case.get("to") or flow.to[0]
    (found,) = (
        candidate
        for candidate in world.rules().candidates(publisher, flow.events[0], at=to_us(at))
        if candidate.flow.id == flow.id and candidate.recipient == recipient
    )
    return found


def decision_of(
    name: str,
    case: Mapping[str, Any],
    world: World | None = None,
    *,
    at: datetime = NOON,
    event: OpenedEvent | None = None,
) -> Permit | Deny | Review:
    """Decide a case under the template's agreement, or in a scheme that was changed."""
    scheme = world or world_of(name, case["flow"])
    candidate = candidate_of(scheme, name, case, at)
    return decide(event or event_of(name, case), candidate, at=to_us(at))


def seen(view: Mapping[str, Any], path: str) -> Any:
    """Return what a view has at a path; KeyError where it has nothing."""
    found: Any = view
    for step in path.split("."):
        found = [one[step] for one in found] if isinstance(found, list) else found[step]
    return found


def test_there_is_a_template_for_each_of_the_twelve_scenarios() -> None:
    """Each with cases of its own."""
    assert len(NAMES) == 12
    assert {path.stem for path in CASES.glob("*.yaml")} == set(NAMES)
    assert {template.uri for template in shipped_templates().values()} == {
        f"urn:concordat:templates:{name}" for name in NAMES
    }


@pytest.mark.parametrize("name", NAMES)
def test_a_template_with_its_examples_has_no_error_and_no_open_warning(name: str) -> None:
    """What is left is a gateway that our list lacks; every place is declared, used and fits."""
    template = shipped_templates()[name]
    assert read_template(template.text, name=name, catalogue=shipped()) == template
    problems = validate(agreement_of(name), shipped())
    assert {problem.code for problem in problems} <= {"gateway-unknown"}


@pytest.mark.parametrize("name", NAMES)
def test_every_flow_says_what_an_ig_lead_must_confirm(name: str) -> None:
    """No legal basis of a template is passed off as settled."""
    template = shipped_templates()[name]
    told = {entry.flow for entry in template.document.to_confirm}
    assert told == {flow.id for flow in agreement_of(name).flows}


@pytest.mark.parametrize("name", NAMES)
def test_every_flow_has_a_case_that_permits(name: str) -> None:
    """A flow that never permits would be decoration."""
    permitting = {case["flow"] for case in cases_of(name)["cases"] if case["expect"] == "permit"}
    assert permitting == {flow.id for flow in agreement_of(name).flows}


@pytest.mark.parametrize("name", NAMES)
def test_the_sample_records_fit_their_types_and_hold_valid_identifiers(name: str) -> None:
    """An example of every event type, as a publisher would send it."""
    records = cases_of(name)["records"]
    flows = agreement_of(name).flows
    assert set(records) == {event for flow in flows for event in flow.events}
    for type_name, record in records.items():
        event_type = shipped().latest(type_name)
        fastavro.schemaless_writer(io.BytesIO(), event_type.schema, record)
        for field in event_type.fields:
            if field.identifier is not None and field.within is None:
                try:
                    value = seen(record, field.path)
                except TypeError:  # a record around it is null
                    continue
                assert value is None or check(field.identifier, value) is None, field.path


@pytest.mark.parametrize(("name", "case"), list(_all_cases()))
def test_a_template_decides_as_its_case_says(name: str, case: Mapping[str, Any]) -> None:
    """The conditions and the minimisation of each scenario, as data."""
    decision = decision_of(name, case)
    if case["expect"] != "permit":
        ((outcome, reason), *more) = case["expect"].items()
        assert type(decision).__name__.lower() == outcome, decision[1:]
        assert decision[1] == reason
        assert dict(more).get("detail", decision[2]) == decision[2]
        return
    assert isinstance(decision, Permit), decision[1:]
    view = decode(decision.view.schema, decision.framed)
    for path, value in case.get("shares", {}).items():
        assert seen(view, path) == value, path
    for path in case.get("hides", ()):
        with pytest.raises((KeyError, TypeError)):
            seen(view, path)
        assert path not in decision.items


@pytest.mark.parametrize(("name", "case"), list(_permitting()))
def test_what_a_flow_discloses_is_what_it_lists(name: str, case: Mapping[str, Any]) -> None:
    """Nothing that is not listed; free text only where it is said and justified."""
    decision = decision_of(name, case)
    assert isinstance(decision, Permit)
    flow = agreement_of(name).flow(case["flow"])
    listed = {item.path: item for item in flow.items}
    assert set(decision.items) <= set(listed)
    event_type = shipped().latest(flow.events[0])
    for path in decision.items:
        field = event_type.field(path)
        assert not field.free_text or listed[path].free_text, path
        assert not field.sensitivity & {"third-party"} or listed[path].justification, path


@pytest.mark.parametrize(("name", "case"), list(_permitting()))
def test_an_identifier_that_cannot_be_one_is_disclosed_to_nobody(
    name: str, case: Mapping[str, Any]
) -> None:
    """It is withheld, or a person looks where the flow cannot do without it."""
    flow = agreement_of(name).flow(case["flow"])
    event_type = shipped().latest(flow.events[0])
    for item in flow.items:
        field = event_type.field(item.path)
        if field.identifier is None or field.within is not None:
            continue
        changes = {**case.get("change", {}), item.path: "?"}
        decision = decision_of(name, {**case, "change": changes})
        assert not isinstance(decision, Permit) or item.path not in decision.items, item.path


@pytest.mark.parametrize(("name", "case"), list(_permitting()))
def test_a_flow_stops_for_every_reason_of_the_matrix(name: str, case: Mapping[str, Any]) -> None:
    """Time, signatures, parties, purpose, age and schema, each by itself."""
    agreement = agreement_of(name)
    flow = agreement.flow(case["flow"])
    recipient = case.get("to") or flow.to[0]

    def reason(world: World | None = None, **how: Any) -> str:
        decision = decision_of(name, case, world, **how)
        assert isinstance(decision, Deny), decision
        return decision.reason

    assert reason(at=datetime(2028, 4, 1, tzinfo=UTC)) == Refusal.EXPIRED
    if flow.oldest is not None:
        old = event_of(name, case, occurred_at=NOON - flow.oldest - timedelta(seconds=1))
        assert reason(event=old) == Refusal.TOO_OLD
    unsigned = world_of(name, flow.id)
    said = document_key(
        Kind.SIGNATURE, agreement.id, agreement.version, party=recipient, type="accept"
    )
    del unsigned.documents[said]
    assert reason(unsigned) == Refusal.NOT_SIGNED
    suspended = world_of(name, flow.id)
    suspended.party(recipient, purposes=[flow.purpose], state="suspended")
    assert reason(suspended) == Refusal.PARTY_SUSPENDED
    without = world_of(name, flow.id)
    without.party(recipient, purposes=["something-else"])
    assert reason(without) == Refusal.PURPOSE_NOT_HELD
    newer = _with_flow(to_document(agreement), flow.id, {"schemas": {"min": 2}})
    assert reason(world_with(newer, flow.id)) == Refusal.SCHEMA_NOT_COVERED


@pytest.mark.parametrize(("name", "case"), list(_permitting()))
def test_a_flow_without_its_legal_conditions_does_not_run(
    name: str, case: Mapping[str, Any]
) -> None:
    """Article 9, Schedule 1 and policy documents are not decoration: without one, deny."""
    document = to_document(agreement_of(name))
    flow = next(one for one in document["flows"] if one["id"] == case["flow"])
    needed = []
    for side in ("provider", "recipient"):
        for field in ("art6", "art9", "sch1", "part3", "appropriate_policy_document"):
            if field in flow["legal"][side]:
                legal = deepcopy(flow["legal"])
                del legal[side][field]
                without = _with_flow(document, case["flow"], {"legal": legal})
                changed = from_document(without)
                # A side may give more than its items need: then taking it away changes nothing.
                if flow_faults(changed, changed.flow(case["flow"]), shipped()):
                    needed.append((side, without))
    assert {side for side, _ in needed} == {"provider", "recipient"}
    decision = decision_of(name, case, world_with(needed[-1][1], case["flow"]))
    assert isinstance(decision, Deny)
    assert decision.reason == Refusal.LEGAL_BASIS_INCOMPLETE


@pytest.mark.parametrize(("name", "case"), list(_permitting()))
def test_a_withdrawn_consent_or_an_opt_out_stops_what_rests_on_it(
    name: str, case: Mapping[str, Any]
) -> None:
    """Consent where the flow needs it; the national opt-out beyond individual care only."""
    agreement = agreement_of(name)
    flow = agreement.flow(case["flow"])
    purpose = next(one for one in agreement.purposes if one.code == flow.purpose)

    def told(kind: str) -> Permit | Deny | Review:
        world = world_of(name, flow.id)
        world.objection("1", kind=kind, subject=SUBJECT.hex())
        return decision_of(name, case, world)

    withdrawn, opted_out = told("consent-withdrawn"), told("opt-out")
    assert isinstance(withdrawn, Deny if flow.relies_on_consent else Permit)
    assert isinstance(opted_out, Deny if purpose.beyond_individual_care else Permit)
    assert isinstance(told("objection"), Deny)


def _of_one_flow(document: Mapping[str, Any], flow_id: str) -> dict[str, Any]:
    """Leave the other flows out: they are decided apart, and signed for nothing here."""
    flows = [flow for flow in document["flows"] if flow["id"] == flow_id]
    taking_part = {party for flow in flows for party in (*flow["from"], *flow["to"])}
    parties = [party for party in document["parties"] if party["id"] in taking_part]
    purposes = [one for one in document["purposes"] if one["code"] == flows[0]["purpose"]]
    return {**document, "flows": flows, "parties": parties, "purposes": purposes}


def _with_flow(
    document: Mapping[str, Any], flow_id: str, changes: Mapping[str, Any]
) -> dict[str, Any]:
    flows = [{**flow, **changes} if flow["id"] == flow_id else flow for flow in document["flows"]]
    return {**document, "flows": flows}


def test_the_person_who_harms_is_nobodys_subject_and_no_party() -> None:
    """Nothing is ever found by, or told to, the perpetrator of a case of domestic abuse."""
    case = shipped().latest("uk.gov.marac.case.v1")
    assert [field.path for field in case.subjects] == ["caseRef", "victim.nhsNumber"]
    assert not [f for f in case.fields if f.path.startswith("perpetrator.") and f.subject]
    assert not [party for party in agreement_of("marac").parties if "perpetrator" in party.id]


def test_the_accused_is_named_to_the_police_alone() -> None:
    """No other flow on safeguarding concerns lists the person said to have done harm."""
    naming = [
        flow
        for flow in agreement_of("adult-safeguarding").flows
        if any(item.path.startswith("allegedPerpetrator") for item in flow.items)
    ]
    assert [flow.to for flow in naming] == [("anyshire-police",)]


def test_no_flow_on_homelessness_has_an_address() -> None:
    """A refuge's address never leaves, whatever an event says and whoever reviews it."""
    for flow in agreement_of("homelessness-duty").flows:
        assert not [item.path for item in flow.items if "address" in item.path.lower()]


def test_marac_cases_expire_after_a_year() -> None:
    """Every flow of them has a limit of age, and recipients delete them."""
    agreement = agreement_of("marac")
    assert {flow.max_age for flow in agreement.flows} == {"P365D"}
    kept = {entry.party: entry.period for entry in agreement.retention}
    assert {kept[party] for party in kept if party != "anyshire-police"} == {"P1Y"}

"""An agreement goes out as ODRL with DPV purposes, and what can be said comes back."""

import json
from typing import Any, Final

import pytest
from agreement_texts import a_document, a_whole_document, changed
from hypothesis import given, settings
from hypothesis import strategies as st
from rdflib import RDF, Graph, Literal, URIRef
from rdflib.namespace import DCTERMS, ODRL2, SKOS

from agreements.exchange.odrl_in import import_odrl
from agreements.exchange.odrl_out import export_odrl
from agreements.exchange.odrl_terms import ACTIONS, CONTEXT, ODRL
from agreements.exchange.results import Lost, draft_text
from agreements.problems import AgreementInvalid
from agreements.reading import from_document, read_draft
from agreements.source import parse_path, read_source
from broker.demo.agreements import texts

# The terms of www.w3.org/ns/odrl.jsonld that policies use, as that context has them.
W3C_CONTEXT: Final = {
    "@vocab": ODRL,
    "odrl": ODRL,
    "uid": "@id",
    "type": "@type",
    **{
        term: {"@id": f"odrl:{term}", "@type": "@id"}
        for term in ("permission", "prohibition", "obligation", "duty", "constraint", "refinement")
    },
    **{term: {"@id": f"odrl:{term}", "@type": "@id"} for term in ("target", "profile")},
    **{term: {"@id": f"odrl:{term}", "@type": "@id"} for term in ("assigner", "assignee")},
    **{
        term: {"@id": f"odrl:{term}", "@type": "@vocab"}
        for term in ("action", "leftOperand", "operator")
    },
}
# rdflib's own JSON-LD reader still uses what rdflib calls old.
RDFLIB: Final = pytest.mark.filterwarnings("ignore:ConjunctiveGraph is deprecated")
DPV: Final = "https://w3id.org/dpv#"

OPERANDS: Final = st.sampled_from(
    [
        {"item": "rec", "equals": "E11"},
        {"item": "rec", "in": ["E11", "E45"], "otherwise": "review"},
        {"item": "person.birthDate", "not_in": [1, 2]},
        {"item": "addressConfidential", "equals": False, "otherwise": "deny"},
        {"item": "dec", "present": True},
        {"item": "dec", "present": False},
        {"item": "birthDate", "before": "2014-01-01"},
        {"item": "birthDate", "after": "2014-01-01"},
    ]
)
ITEMS: Final = st.sampled_from(
    [
        {"path": "childId", "required": True},
        {"path": "upn", "transform": "pseudonym"},
        {"path": "birthDate", "transform": {"generalise": "year"}},
        {"path": "sex", "transform": "mask", "justification": "Known."},
        {"path": "rne", "transform": "drop"},
    ]
)
TITLES: Final = st.text(st.characters(categories=["L", "N", "P", "Zs"]), min_size=1, max_size=20)
CHANGES: Final = st.fixed_dictionaries(
    {},
    optional={
        "title": TITLES.filter(str.strip),
        "version": st.integers(1, 9),
        "effective.ends_at": st.sampled_from(["2027-01-01", "2027-01-01T09:30:00Z"]),
        "purposes[0].concepts": st.lists(
            st.sampled_from([f"{DPV}PublicBenefit", f"{DPV}ServiceProvision"]), unique=True
        ),
        "flows[0].when": st.lists(OPERANDS, max_size=3),
        "flows[0].items": st.lists(ITEMS, min_size=1, max_size=3, unique_by=lambda i: i["path"]),
        "flows[0].max_age": st.sampled_from(["P2D", "P2W", "PT4H"]),
        "flows[0].delivery": st.just("reference"),
        "flows[0].needs_consent": st.booleans(),
        "parties[1].direction": st.just("both"),
        "parties[2]": st.just({"id": "school", "role": "processor", "direction": "receives"}),
        "flows[1]": st.just(
            {**a_document()["flows"][0], "id": "again", "from": ["trust"], "to": ["childrens"]}
        ),
        "retention[0].items": st.just(["childId"]),
        "use": st.just({"permitted": ["odrl:read", "Look at it."], "prohibited": ["odrl:sell"]}),
    },
)


def graph_of(text: str) -> Graph:
    """Read JSON-LD, with ODRL's own context from here in place of the one on the web."""
    document = json.loads(text)
    context, own = document["@context"]
    assert context == CONTEXT
    document["@context"] = [W3C_CONTEXT, own]
    return Graph().parse(data=json.dumps(document), format="json-ld")


def leaves(value: Any, path: str = "") -> dict[str, Any]:
    """Return each value by its path, but what is only there for form."""
    found = {}
    inside = value.items() if isinstance(value, dict) else enumerate(value)
    for step, inner in inside:
        here = f"{path}[{step}]" if isinstance(step, int) else f"{path}.{step}".removeprefix(".")
        if isinstance(inner, dict | list) and inner:
            found |= leaves(inner, here)
        else:
            found[here] = inner
    return found


def is_lost(path: str, lost: tuple[Lost, ...]) -> bool:
    """Whether a path, or what holds it, is listed."""
    steps = parse_path(path)
    return any(steps[: len(given)] == given for given in (parse_path(one.path) for one in lost))


@given(CHANGES)
@settings(max_examples=60, deadline=None)
def test_each_value_comes_back_or_is_listed(changes: dict[str, Any]) -> None:
    """Nothing is dropped silently, nothing is made up, and a second time nothing more is lost."""
    document = changed(a_whole_document(), changes)
    from_document(document)
    exported = export_odrl(document)
    imported = import_odrl(exported.text, name="policy")
    assert imported.lost == ()
    back = leaves(imported.document)
    lost = exported.lost
    for path, value in leaves(document).items():
        is_default = path.endswith("otherwise") and value == "deny"
        assert back.get(path) == value or is_lost(path, lost) or is_default
    made_up = {
        path
        for path, value in back.items()
        if leaves(document).get(path) != value and not is_lost(path, lost)
    }
    assert not {path for path in made_up if not path.endswith("direction")}
    assert export_odrl(imported.document).text == exported.text


@RDFLIB
@pytest.mark.parametrize("name", texts())
def test_an_exported_agreement_is_json_ld_in_the_words_of_odrl(name: str) -> None:
    """A JSON-LD reader finds the policy, its permissions and only words that ODRL has."""
    draft = read_draft(texts()[name], name=name)
    graph = graph_of(export_odrl(draft).text)
    policy = URIRef(draft["id"])
    assert (policy, RDF.type, ODRL2.Agreement) in graph
    assert (policy, DCTERMS.title, Literal(draft["title"])) in graph
    permissions = list(graph.objects(policy, ODRL2.permission))
    assert len(permissions) == len(draft["flows"])
    for permission in permissions:
        for term in (ODRL2.assigner, ODRL2.assignee, ODRL2.target, ODRL2.action):
            assert (permission, term, None) in graph
        for constraint in graph.objects(permission, ODRL2.constraint):
            for term in (ODRL2.leftOperand, ODRL2.operator, ODRL2.rightOperand):
                assert (constraint, term, None) in graph
    used = {term for triple in graph for term in triple if str(term).startswith(ODRL)}
    assert used <= set(dir(ODRL2))


@RDFLIB
def test_a_purpose_is_tied_to_its_concept_in_dpv() -> None:
    """Whoever knows DPV and not us sees what it is for."""
    graph = graph_of(export_odrl(a_whole_document()).text)
    concept = URIRef(f"{DPV}PublicBenefit")
    (purpose,) = graph.subjects(SKOS.broader, concept)
    assert (purpose, RDF.type, URIRef(f"{DPV}Purpose")) in graph
    (constraint,) = graph.subjects(ODRL2.rightOperand, concept)
    assert (constraint, ODRL2.leftOperand, ODRL2.purpose) in graph


def test_an_item_that_is_dropped_is_no_part_of_the_asset() -> None:
    """A permission names what is shared and nothing else."""
    items = [{"path": "childId"}, {"path": "sex", "transform": "drop"}]
    exported = export_odrl(changed(a_document(), {"flows[0].items": items}))
    (target,) = json.loads(exported.text)["permission"][0]["target"]
    assert target["refinement"][0]["rightOperand"] == ["childId"]
    assert "flows[0].items[1]" in {lost.path for lost in exported.lost}


@pytest.mark.parametrize(("text", "kind"), [("P2D", "xsd:duration"), ("P2W", "concordat:duration")])
def test_a_duration_has_the_type_that_knows_it(text: str, kind: str) -> None:
    """XML Schema has no weeks."""
    exported = export_odrl(changed(a_document(), {"flows[0].max_age": text}))
    constraints = json.loads(exported.text)["permission"][0]["constraint"]
    assert {"@value": text, "@type": kind} in [one["rightOperand"] for one in constraints]


def test_the_actions_are_those_of_odrl() -> None:
    """The vocabulary, as another library has it."""
    assert {str(term) for term in dir(ODRL2)} >= {f"{ODRL}{action}" for action in ACTIONS}


def test_a_policy_of_somebody_else_makes_a_draft() -> None:
    """Prefixes, single values, full addresses; what is not understood is listed."""
    policy = {
        "@context": ["http://www.w3.org/ns/odrl.jsonld", {"p": DPV}],
        "type": "Agreement",
        "uid": "http://example.com/policy:1010",
        "permission": {
            "target": "http://example.com/asset:9898",
            "assigner": "http://example.com/org/Anytown%20Council",
            "assignee": {"@type": "Party", "uid": "http://example.com/org/trust"},
            "action": f"{ODRL}read",
            "constraint": [
                {"leftOperand": "purpose", "operator": "isA", "rightOperand": "p:PublicBenefit"},
                {
                    "leftOperand": "dateTime",
                    "operator": "lteq",
                    "rightOperand": {"@value": "2027-12-31", "@type": "xsd:date"},
                },
                {"leftOperand": "spatial", "operator": "eq", "rightOperand": "GB"},
            ],
            "duty": [{"action": "obtainConsent"}],
        },
        "prohibition": [{"action": "odrl:sell", "target": "http://example.com/asset:9898"}],
        "obligation": {"action": "delete", "remedy": {"action": "inform"}},
    }
    imported = import_odrl(json.dumps(policy), name="policy")
    assert imported.document == {
        "format": 1,
        "id": "http://example.com/policy:1010",
        "use": {
            "data": ["http://example.com/asset:9898"],
            "permitted": ["odrl:read"],
            "prohibited": ["odrl:sell"],
            "duties": ["odrl:delete"],
        },
        "effective": {"ends_at": "2028-01-01"},
        "purposes": [{"code": "public-benefit", "concepts": [f"{DPV}PublicBenefit"]}],
        "parties": [
            {"id": "example-com-org-anytown-20council", "direction": "provides"},
            {"id": "example-com-org-trust", "direction": "receives"},
        ],
        "flows": [
            {
                "id": "flow-1",
                "from": ["example-com-org-anytown-20council"],
                "to": ["example-com-org-trust"],
                "purpose": "public-benefit",
                "needs_consent": True,
            }
        ],
    }
    assert {lost.path for lost in imported.lost} == {
        "permission.constraint[2]",
        "obligation.remedy",
    }
    written = draft_text(imported.document, head=["A draft."])
    assert read_source(written, name="draft").data == imported.document


PLACES: Final = [
    "uid", "@type", "@context", "permission", "permission[0]", "permission[0].assigner",
    "permission[0].target", "permission[0].target[0]", "permission[0].target[0].refinement",
    "permission[0].target[0].refinement[0]", "permission[0].constraint",
    "permission[0].constraint[0]", "permission[0].constraint[0].leftOperand",
    "permission[0].constraint[0].rightOperand", "permission[0].constraint[1].rightOperand",
    "permission[0].action", "permission[0].duty", "obligation", "obligation[0]",
    "obligation[0].action", "dpv:hasPurpose", "dpv:hasPurpose[0]", "dct:contributor",
    "dct:contributor[0]", "dct:creator", "dct:title", "prohibition", "unheard_of",
]  # fmt: skip
JUNK: Final = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["uid", "@id", "@type", "action", "leftOperand", "rightOperand", "x"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(PLACES), JUNK, min_size=1, max_size=3))
@settings(max_examples=100, deadline=None)
def test_junk_in_a_policy_makes_a_draft_or_a_refusal(changes: dict[str, Any]) -> None:
    """Whatever a stranger's file holds, it is never another error."""
    policy = json.loads(export_odrl(a_document()).text)
    for path, value in changes.items():
        try:
            policy = changed(policy, {path: value})
        except (TypeError, KeyError, IndexError):
            continue  # an earlier change took the place away
    try:
        imported = import_odrl(json.dumps(policy), name="policy")
    except AgreementInvalid:
        return
    written = draft_text(imported.document, head=["A draft."])
    assert read_source(written, name="draft").data == imported.document


@pytest.mark.parametrize("text", ["{}", '{"a": 1}', "[]", '{"@graph": []}'])
def test_what_is_no_policy_is_refused(text: str) -> None:
    """A sentence with a line and a remedy."""
    with pytest.raises(AgreementInvalid) as caught:
        import_odrl(text, name="policy")
    (problem,) = caught.value.problems
    assert problem.line == 1
    assert problem.remedy

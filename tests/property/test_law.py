"""However an agreement is put together, the law has an answer to it, and the engine the same."""

from typing import Any

from agreement_texts import a_document, changed
from hypothesis import given, settings
from hypothesis import strategies as st

from agreements.canonical import canonical_form, to_document
from agreements.law import flow_faults, validate
from agreements.reading import from_document
from schemas.catalogue import EventType, shipped

LEGAL_BASES = st.fixed_dictionaries(
    {"regime": st.sampled_from(["uk-gdpr", "dpa-part-3"])},
    optional={
        "art6": st.sampled_from(["a", "c", "d", "e", "ea", "f"]),
        "art9": st.lists(st.sampled_from("abcdefghij"), max_size=3),
        "sch1": st.lists(st.integers(1, 40), max_size=3),
        "art10": st.sampled_from(["official-authority", "authorised-by-law"]),
        "part3": st.fixed_dictionaries(
            {"s35": st.sampled_from(["consent", "task"])},
            optional={"sch8": st.lists(st.sampled_from("123456789"), max_size=2)},
        ),
        "gateways": st.lists(
            st.sampled_from(
                [
                    "https://www.legislation.gov.uk/ukpga/1989/41/section/47",
                    "https://www.legislation.gov.uk/ukpga/2012/5/section/131",
                    "https://example.gov.uk/no-law",
                ]
            ),
            max_size=2,
        ),
        "confidentiality": st.sampled_from(["not-confidential", "explicit-consent"]),
        "appropriate_policy_document": st.just("APD 1"),
    },
)
TRANSFORMS = st.sampled_from(
    ["drop", "mask", "pseudonym", *({"generalise": g} for g in ("year", "age-band"))]
)


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """Draw an agreement of one flow on any event type, with any bases, items and conditions."""
    event_type: EventType = draw(st.sampled_from(sorted(shipped(), key=lambda found: found.name)))
    paths = st.sampled_from([*event_type.by_path, "person", "nothing.here"])
    item = st.fixed_dictionaries(
        {"path": paths},
        optional={
            "transform": TRANSFORMS,
            "required": st.booleans(),
            "free_text": st.booleans(),
            "justification": st.just("It is needed."),
        },
    )
    operator = st.sampled_from(
        [{"equals": True}, {"equals": "Y"}, {"in": [1]}, {"not_in": ["N"]}, {"present": True}]
    )
    condition = st.tuples(paths, operator).map(lambda drawn: {"item": drawn[0], **drawn[1]})
    return changed(
        a_document(),
        {
            "flows[0].events": [event_type.name],
            "flows[0].legal.provider": draw(LEGAL_BASES),
            "flows[0].legal.recipient": draw(LEGAL_BASES),
            "flows[0].items": draw(st.lists(item, min_size=1, max_size=6)),
            "flows[0].when": draw(st.lists(condition, max_size=3)),
            "flows[0].needs_consent": draw(st.booleans()),
            "purposes[0].beyond_individual_care": draw(st.booleans()),
        },
    )


@given(documents())
@settings(max_examples=300, deadline=None)
def test_whatever_stops_a_flow_was_told_to_its_author(document: dict[str, Any]) -> None:
    """The engine never refuses for a legal reason that `validate` does not show as an error."""
    agreement = from_document(document)
    told = {p for p in validate(agreement, shipped()) if p.severity == "error"}
    faults = flow_faults(agreement, agreement.flows[0], shipped())
    assert set(faults) <= told


@given(documents())
@settings(max_examples=100, deadline=None)
def test_the_hash_of_any_agreement_comes_from_its_document(document: dict[str, Any]) -> None:
    """Reading and writing add nothing and lose nothing."""
    agreement = from_document(document)
    assert to_document(agreement) == document
    assert canonical_form(agreement) == canonical_form(document)


@given(documents())
@settings(max_examples=200, deadline=None)
def test_taking_items_out_never_makes_a_flow_unlawful(document: dict[str, Any]) -> None:
    """Sharing less needs no more law than sharing more."""
    agreement = from_document(document)
    fewer = {**document["flows"][0], "items": document["flows"][0]["items"][:1]}
    narrowed = from_document({**document, "flows": [fewer]})
    before = {p.code for p in flow_faults(agreement, agreement.flows[0], shipped())}
    after = {p.code for p in flow_faults(narrowed, narrowed.flows[0], shipped())}
    assert after <= before

"""Flows at random, for texts that are put to the engine, and events that tell them apart."""

from typing import Any

from deciding_world import HEALTH, PLACEMENT, PURPOSE, SCHOOL, a_flow
from hypothesis import strategies as st

ACCESS = "uk.nhs.cpis.access.v1"
VARIED: dict[str, tuple[Any, ...]] = {
    "legalStatus": ("C2", "V2"),
    "rec": (None, "E11"),
    "upn": ("G330200112001", "no number", None),
    "homePostcode": ("S60 1AE", "nowhere", None),
    "addressConfidential": (False, True),
}
_PATHS = ("childId", "nhsNumber", "upn", "sex", "legalStatus", "decom", "urn", "homePostcode")
CONDITIONS = st.sampled_from(
    [
        {"item": "legalStatus", "equals": "C2"},
        {"item": "legalStatus", "in": ["C2", "V2"]},
        {"item": "rec", "not_in": ["E11"], "otherwise": "review"},
        {"item": "upn", "present": True, "otherwise": "review"},
        {"item": "addressConfidential", "equals": False},
        {"item": "decom", "after": "2027-01-01"},
        {"item": "noSuchItem", "present": True},
    ]
)
_ITEMS = st.lists(
    st.fixed_dictionaries(
        {"path": st.sampled_from(_PATHS), "justification": st.just("It is needed.")},
        optional={
            "required": st.just(True),
            "transform": st.sampled_from(["drop", "mask", "pseudonym"]),
        },
    ),
    min_size=1,
    max_size=5,
    unique_by=lambda item: item["path"],
)
_FLOWS = st.builds(
    lambda **how: a_flow(**{name: value for name, value in how.items() if value is not None}),
    id=st.sampled_from(["placement", "to-school", "another"]),
    to=st.sampled_from([[HEALTH], [SCHOOL], [HEALTH, SCHOOL]]),
    events=st.sampled_from([[PLACEMENT], [PLACEMENT, ACCESS], [ACCESS]]),
    purpose=st.sampled_from([PURPOSE, PURPOSE, "not-held"]),
    when=st.lists(CONDITIONS, max_size=2),
    max_age=st.sampled_from([None, "PT1H", "P36500D"]),
    items=_ITEMS,
    delivery=st.sampled_from(["payload", "payload", "notify"]),
    schemas=st.sampled_from([None, {"min": 2}]),
)
FLOWS = st.lists(_FLOWS, min_size=1, max_size=3, unique_by=lambda flow: flow["id"])
"""The flows of one text."""


def varied(number: int) -> dict[str, Any]:
    """Return how the ``number``-th of many events differs from the others."""
    return {
        name: values[number // 2**place % len(values)]
        for place, (name, values) in enumerate(VARIED.items())
    }

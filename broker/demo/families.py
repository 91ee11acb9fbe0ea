"""Several hundred invented families, and a month of what their services have to tell.

Deterministic: the same seed, number and time give the same events. Most events
are ordinary. Some are as bad as in life, so that a demonstration shows every
outcome: an NHS number that is none (quarantine), a patient who refuses consent
(review), a household in a refuge or a child whose address is confidential
(deny or review), a hospital system that tells of last week (too old), UPNs and
postcodes that do not validate (withheld), and a death that was a mistake
(retracted).

Adult social care and the virtual school receive, and have nothing to tell here.
"""

from datetime import datetime, timedelta
from random import Random

from broker.demo.childhoods import hospital_accesses, looked_after
from broker.demo.chronicle import ADULTS, CHILDREN, HOUSING, POLICE, SCHOOL, TRUST, Chronicle
from broker.demo.households import death, discharge, homeless
from broker.demo.people import ANYTOWN_GSS, OTHERTON_GSS, Household, Town
from connectors.prepared import PreparedEvent

__all__ = [
    "ADULTS",
    "ANYTOWN_GSS",
    "CHILDREN",
    "HOUSING",
    "OTHERTON_GSS",
    "PARTIES",
    "POLICE",
    "SCHOOL",
    "TRUST",
    "generate",
]

PARTIES = {
    CHILDREN: "Anytown Council, children's social care",
    ADULTS: "Anytown Council, adult social care",
    HOUSING: "Anytown Council, housing",
    TRUST: "Anytown NHS Foundation Trust",
    POLICE: "Anyshire Police",
    SCHOOL: "Anytown Virtual School",
}
"""The organisations of the story by party id, with their names."""

_INVALID_NHS_NUMBERS = ("9990000000", "6101231234", "9999999999")
"""A wrong check digit twice, and the placeholder that systems write for "not known"."""

_KEPT = timedelta(days=5)
"""How late the notices are that come too late."""


def generate(seed: int, families: int, now: datetime) -> list[tuple[str, PreparedEvent]]:
    """Return the events of ``families`` households up to ``now`` (aware), the earliest first.

    Each with the id of the party that publishes it; some six events a family.
    """
    random = Random(seed)  # noqa: S311  a story, not a secret
    chronicle = Chronicle(random, Town(random, today=now.date()), now)
    for _ in range(families):
        _live(chronicle, chronicle.town.household())
    _go_wrong(chronicle)
    return sorted(chronicle.events, key=lambda told: told[1].occurred_at)


def _live(chronicle: Chronicle, household: Household) -> None:
    """Let a household meet the services, as these know families: most have one trouble."""
    if chronicle.chance(0.3):
        for child in household.children:
            looked_after(chronicle, household, child)
    elif chronicle.chance(0.25):
        for child in household.children:
            hospital_accesses(chronicle, child, plan="CPP")
    if chronicle.chance(0.4):
        homeless(chronicle, household)
    if household.elder is not None and chronicle.chance(0.85):
        discharge(chronicle, household, household.elder)
        if chronicle.chance(0.2):
            death(chronicle, household, household.elder)
    for adult in household.adults:
        if chronicle.chance(0.06):
            discharge(chronicle, household, adult)


def _go_wrong(chronicle: Chronicle) -> None:
    """Add what goes wrong everywhere, so that even a small town has each of it."""
    for nhs_number in _INVALID_NHS_NUMBERS:
        household = chronicle.town.household()
        discharge(chronicle, household, household.adults[0], nhs_number=nhs_number)
    for _ in range(3):
        household = chronicle.town.household()
        discharge(chronicle, household, household.adults[0], consent="N")
        household = chronicle.town.household()
        discharge(chronicle, household, household.adults[0], consent="Y", late=_KEPT)
    for _ in range(2):
        household = chronicle.town.household()
        homeless(chronicle, household, refuge=True)
        looked_after(chronicle, household, household.children[0], confidential=True)
        household = chronicle.town.household()
        death(chronicle, household, household.adults[0], mistaken=True)

"""Children's events: placements of looked-after children, missing episodes, CP-IS accesses."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from broker.demo.chronicle import CHILDREN, POLICE, TRUST, Chronicle
from broker.demo.people import ANYTOWN_GSS, Household, Person

PLACEMENT = "uk.gov.csc.cla-placement.v1"
MISSING = "uk.gov.csc.missing-episode.v1"
CPIS = "uk.nhs.cpis.access.v1"

RECENT_DAYS = 28
"""Placements and homelessness duties lie at most this far back."""

MISSING_DAYS = 7
"""Missing episodes lie less far back: after a week the police have them from elsewhere."""

RECENT_HOURS = 40
"""Hospital events lie at most this far back: the agreements about them want two days."""

_ADOPTION = "A5"
# A half of the looked-after children are in foster care with somebody not related to them.
_PLACEMENTS = ("U6", "U6", "U6", "U3", "U1", "K2", "K2", "P2", "H5", "K1", _ADOPTION)
_LEGAL = ("C2", "C2", "C2", "C1", "C1", "V2", "V2", "E1", "L2", "J1")
_NEEDS = ("N1", "N1", "N1", "N1", "N1", "N1", "N2", "N3", "N4", "N5", "N6", "N8")
_PROVIDERS = ("PR1", "PR1", "PR2", "PR4", "PR4", "PR5")
_MOVES = ("CARPL", "CARPL", "CREQB", "CHILD", "LAREQ", "STAND", "ALLEG", "PLACE")
_LEAVING = ("E4A", "E4A", "E4B", "E13", "E17", "E41")
_SETTINGS = (
    "emergency department",
    "emergency department",
    "walk-in centre",
    "minor injuries unit",
)


@dataclass(frozen=True, slots=True)
class _Episode:
    """One placement as the council's system has it; ``dec`` and after it while it has ended."""

    started: datetime
    rne: str
    legal_status: str
    need: str
    placement: str
    provider: str
    postcode: str | None
    urn: str
    confidential: bool
    ceased: datetime | None = None
    rec: str | None = None
    change: str | None = None


def looked_after(
    chronicle: Chronicle, household: Household, child: Person, *, confidential: bool = False
) -> None:
    """Tell of a child's placements in the last weeks, of going missing, and of CP-IS accesses."""
    child = _with_a_real_upn(chronicle, child)
    confidential = confidential or chronicle.chance(0.07)
    episode = _placements(chronicle, household, child, confidential=confidential)
    age = (chronicle.now.date() - child.birth_date).days // 365
    if age >= 10 and chronicle.chance(0.5):  # noqa: PLR2004  younger children seldom go missing
        _missing(chronicle, child, episode)
    hospital_accesses(chronicle, child, plan="LAC")


def hospital_accesses(chronicle: Chronicle, child: Person, *, plan: str) -> None:
    """Tell of a child with a plan who came to a hospital: none to three times."""
    for _ in range(chronicle.random.choices((0, 1, 2, 3), (4, 5, 2, 1))[0]):
        at = chronicle.ago(timedelta(hours=RECENT_HOURS))
        sensitive = chronicle.chance(0.04)
        record = {
            "nhsNumber": child.nhs_number,
            "siteOds": "XAT01",
            "careSettingType": "sexual health clinic"
            if sensitive
            else chronicle.random.choice(_SETTINGS),
            "planType": plan,
            "localAuthority": ANYTOWN_GSS,
            "contactForFollowUp": chronicle.telephone(),
            "sensitiveSetting": sensitive,
            "attendedAt": at,
            "dataRef": f"https://records.anytown-nhs.example/{chronicle.reference('att')}",
        }
        key = f"{child.nhs_number}/{at.isoformat()}"
        chronicle.tell(TRUST, CPIS, record, key=key, at=at)


def _placements(
    chronicle: Chronicle, household: Household, child: Person, *, confidential: bool
) -> _Episode:
    """Tell of a placement that began, and of moves: each ends an episode and begins the next."""
    random = chronicle.random
    case = chronicle.case()
    moves = random.choices((0, 1, 2, 3), (5, 4, 2, 1))[0]
    first, *later = chronicle.days(moves + 1, within=RECENT_DAYS)
    episode = _Episode(
        started=first,
        rne="S",
        legal_status=random.choice(_LEGAL),
        need=random.choice(_NEEDS),
        placement="",
        provider="",
        postcode=None,
        urn="",
        confidential=confidential,
    )
    episode = _moved(chronicle, episode, first)
    _tell_placement(chronicle, household, child, episode, case)
    for at in later:
        ended = replace(episode, ceased=at, rec="X1", change=random.choice(_MOVES))
        _tell_placement(chronicle, household, child, ended, case)
        episode = _moved(chronicle, replace(episode, rne="P"), at)
        _tell_placement(chronicle, household, child, episode, case)
    if chronicle.chance(0.1):
        rec = "E11" if episode.placement == _ADOPTION else random.choice(_LEAVING)
        left = replace(episode, ceased=chronicle.ago(timedelta(hours=20)), rec=rec)
        _tell_placement(chronicle, household, child, left, case)
    return episode


def _moved(chronicle: Chronicle, episode: _Episode, at: datetime) -> _Episode:
    random = chronicle.random
    area = "OT" if chronicle.chance(0.2) else "AY"
    # What case systems hold where nobody knew the postcode.
    unknown = random.choice(("N/A", "QQ1 1QQ", None)) if chronicle.chance(0.02) else ""
    return replace(
        episode,
        started=at,
        placement=random.choice(_PLACEMENTS),
        provider=random.choice(_PROVIDERS),
        postcode=chronicle.town.postcode(area) if unknown == "" else unknown,
        urn=f"22{random.randrange(100_000):05d}",
    )


def _tell_placement(
    chronicle: Chronicle, household: Household, child: Person, episode: _Episode, case: str
) -> None:
    record = {
        "childId": child.child_id,
        "nhsNumber": child.nhs_number,
        "upn": child.upn,
        "birthDate": child.birth_date,
        "sex": child.sex,
        "ethnicity": child.ethnicity,
        "decom": episode.started.date(),
        "rne": episode.rne,
        "legalStatus": episode.legal_status,
        "cin": episode.need,
        "placementType": episode.placement,
        "placementProvider": episode.provider,
        "dec": episode.ceased and episode.ceased.date(),
        "rec": episode.rec,
        "reasonPlaceChange": episode.change,
        "homePostcode": household.address.postcode,
        "placementPostcode": episode.postcode,
        "urn": episode.urn,
        "localAuthority": ANYTOWN_GSS,
        "addressConfidential": episode.confidential,
    }
    chronicle.tell(
        CHILDREN,
        PLACEMENT,
        record,
        key=f"{ANYTOWN_GSS}/{child.child_id}/{episode.started.date()}",
        at=episode.ceased or episode.started,
        case=case,
        step=2 if episode.ceased else 1,
    )


def _missing(chronicle: Chronicle, child: Person, episode: _Episode) -> None:
    """Tell of one to four episodes: the start, the police's grading, and the return."""
    random = chronicle.random
    times = random.choices((1, 2, 3, 4), (5, 3, 2, 1))[0]
    for start in chronicle.days(times, within=MISSING_DAYS):
        case = chronicle.case()
        reference = chronicle.reference("mis")
        record = _missing_record(chronicle, child, episode, start, reference)
        key = f"{ANYTOWN_GSS}/{child.child_id}/{start.isoformat()}"
        chronicle.tell(CHILDREN, MISSING, record, key=key, at=start, case=case, step=1)
        graded = record | {"riskLevel": random.choice(("HIGH", "MEDIUM", "MEDIUM", "LOW"))}
        if chronicle.chance(0.6):
            at = start + timedelta(minutes=random.randrange(10, 90))
            chronicle.tell(POLICE, MISSING, graded, key=key, at=at, case=case, step=1)
        end = start + timedelta(hours=random.randrange(2, 60))
        if end < chronicle.now:
            returned = graded | {
                "misEnd": end.date(),
                "returnInterviewOffered": True,
                "returnInterviewAccepted": chronicle.chance(0.7),
                "returnInterviewDate": min(end + timedelta(days=3), chronicle.now).date(),
            }
            chronicle.tell(CHILDREN, MISSING, returned, key=key, at=end, case=case, step=2)


def _missing_record(
    chronicle: Chronicle, child: Person, episode: _Episode, start: datetime, reference: str
) -> dict[str, Any]:
    random = chronicle.random
    return {
        "childId": child.child_id,
        "nhsNumber": child.nhs_number,
        "name": {"family": child.family_name, "given": child.given_name},
        "birthDate": child.birth_date,
        "sex": child.sex,
        "ethnicity": child.ethnicity,
        "missingType": random.choice("MMA"),
        "misStart": start.date(),
        "lastSeenAt": start - timedelta(minutes=random.randrange(20, 300)),
        "exploitationRisk": random.choices(("NONE", "CCE", "CSE", "BOTH"), (8, 2, 2, 1))[0],
        "placementType": episode.placement,
        "placementPostcode": episode.postcode,
        "legalStatus": episode.legal_status,
        "childProtectionPlan": chronicle.chance(0.1),
        "descriptionRef": f"https://records.anytown.example/{reference}",
        "reporter": {
            "role": random.choice(("foster carer", "residential worker", "social worker")),
            "contact": chronicle.telephone(),
        },
        "localAuthority": ANYTOWN_GSS,
    }


def _with_a_real_upn(chronicle: Chronicle, child: Person) -> Person:
    """Spoil a UPN now and then, the way that real returns have them: mistyped, or not known."""
    if child.upn is None or not chronicle.chance(0.06):
        return child
    mistyped = child.upn[:-1] + str((int(child.upn[-1]) + 1) % 10)
    return replace(child, upn=chronicle.random.choice((mistyped, mistyped, "UN4")))

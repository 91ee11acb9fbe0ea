"""Grown-ups' events: hospital discharges, homelessness duties, deaths."""

from datetime import timedelta
from typing import Any

from broker.demo.childhoods import RECENT_DAYS, RECENT_HOURS
from broker.demo.chronicle import HOUSING, TRUST, Chronicle, address_record, days_before
from broker.demo.people import ANYTOWN_GSS, Household, Person

DISCHARGE = "uk.nhs.adw.discharge-notice.v1"
HOMELESSNESS = "uk.gov.housing.homelessness-duty.v1"
DEATH = "uk.nhs.pds.death.v2"

_WARDS = ("Ward 4 (frailty)", "Ward 7 (orthopaedics)", "Ward 11 (stroke)", "Acute medical unit")
_REASONS = (
    "Needs help with washing and dressing since the fall.",
    "Lives alone and cannot manage the stairs at present.",
    "Carer at home is exhausted; a review of the package is asked for.",
    "Short-term reablement wanted after a hip operation.",
)
_LOSS = (
    "END-PRIVATE-TENANCY",
    "FAMILY-NOT-WILLING",
    "DOMESTIC-ABUSE",
    "ARREARS",
    "EVICTION-SOCIAL",
)
_SUPPORT = ("MENTAL-HEALTH", "PHYSICAL-HEALTH", "DOMESTIC-ABUSE", "CARE-LEAVER", "DRUGS", "ALCOHOL")


def discharge(  # noqa: PLR0913  each is a thing that may be wrong with a notice
    chronicle: Chronicle,
    household: Household,
    person: Person,
    *,
    nhs_number: str | None = None,
    consent: str | None = None,
    late: timedelta = timedelta(),
) -> None:
    """Tell of a patient who is about to leave hospital, and now and then of a changed plan.

    ``late`` is how long the hospital's system kept the notice to itself.
    """
    random = chronicle.random
    patient = chronicle.reference("P")
    case = chronicle.case()
    consent = consent or random.choices(("Y", "L", "N"), (80, 14, 6))[0]
    notices = 2 if chronicle.chance(0.25) else 1
    issued = sorted(chronicle.ago(timedelta(hours=RECENT_HOURS)) - late for _ in range(notices))
    for step, at in enumerate(issued, 1):
        record = {
            "nhsNumber": nhs_number or person.nhs_number,
            "nhsNumberStatus": "01",
            "hospitalPatientId": patient,
            "person": _patient(chronicle, household, person),
            "siteOds": "XAT01",
            "hospitalName": "Anytown General Hospital",
            "wardName": random.choice(_WARDS),
            "consentIndicator": consent,
            "thirdPartyConsentSource": random.choice("COB") if consent == "L" else "NA",
            "patientConsulted": consent != "L",
            "carerConsulted": chronicle.chance(0.5),
            "safeguardingIndicator": chronicle.chance(0.06),
            "chcConsidered": chronicle.chance(0.3),
            "admissionType": "emergency" if chronicle.chance(0.8) else "elective",
            "leadClinician": "Consultant on call",
            "hospitalLiaison": {
                "name": "Discharge hub",
                "telephone": chronicle.telephone(),
                "email": "discharge.hub@anytown-nhs.example",
            },
            "localAuthority": ANYTOWN_GSS,
            "localAuthorityOds": "X99",
            "noticeIssuedAt": at,
            "admissionDate": days_before(at.date(), random.randrange(2, 25)),
            "proposedDischargeDate": at.date() + timedelta(days=random.randrange(1, 4)),
            "reasonForReferral": random.choice(_REASONS),
        }
        key = f"XAT01/{patient}/{step}"
        chronicle.tell(TRUST, DISCHARGE, record, key=key, at=at, case=case, step=step)


def _patient(chronicle: Chronicle, household: Household, person: Person) -> dict[str, Any]:
    return {
        "familyName": person.family_name,
        "givenName": person.given_name,
        "gender": person.sex,
        "language": "en",
        "interpreterRequired": chronicle.chance(0.05),
        "telephone": chronicle.telephone(),
        "address": address_record(household.address),
        "birthDate": person.birth_date,
    }


def homeless(chronicle: Chronicle, household: Household, *, refuge: bool = False) -> None:
    """Tell of a household that is threatened with homelessness: prevention, relief, main duty."""
    random = chronicle.random
    case = chronicle.case()
    loss = "DOMESTIC-ABUSE" if refuge else random.choice(_LOSS)
    needs = random.sample(_SUPPORT, k=random.choices((0, 1, 2), (5, 4, 2))[0])
    duties = ("PREVENTION", "RELIEF", "MAIN")[: random.choices((1, 2, 3), (4, 4, 3))[0]]
    reference = chronicle.reference("HA")
    days = chronicle.days(2 * len(duties), within=RECENT_DAYS)
    applied = days_before(days[0].date(), random.randrange(5))
    record = _application(chronicle, household, reference) | {
        "supportNeeds": needs,
        "supportNeeded": bool(needs),
        "reasonForLossOfHome": loss,
        "refuge": refuge,
        "dateOfApplication": applied,
    }
    for step, duty in enumerate(duties):
        begun, ended = days[2 * step : 2 * step + 2]
        owed = record | {
            "dutyType": duty,
            "dutyStart": begun.date(),
            "accommodationType": "TEMPORARY" if duty != "PREVENTION" else None,
        }
        key = f"{reference}/{duty}"
        chronicle.tell(HOUSING, HOMELESSNESS, owed, key=key, at=begun, case=case, step=2 * step)
        if chronicle.chance(0.4):
            over = owed | {"dutyEnd": ended.date()}
            chronicle.tell(
                HOUSING, HOMELESSNESS, over, key=key, at=ended, case=case, step=2 * step + 1
            )


def _application(chronicle: Chronicle, household: Household, reference: str) -> dict[str, Any]:
    applicant, *others = household.adults
    members = [("partner", person) for person in others]
    members += [("child", person) for person in household.children]
    return {
        "applicationRef": reference,
        "mainApplicant": {
            "personRef": chronicle.reference("HP"),
            "nhsNumber": applicant.nhs_number,
            "familyName": applicant.family_name,
            "givenName": applicant.given_name,
            "sex": applicant.sex,
            "ethnicity": applicant.ethnicity,
            "telephone": chronicle.telephone(),
            "address": address_record(household.address),
            "birthDate": applicant.birth_date,
        },
        "householdType": "COUPLE-WITH-CHILDREN" if others else "SINGLE-PARENT",
        "members": [
            {
                "relationship": relationship,
                "personRef": chronicle.reference("HP"),
                "givenName": person.given_name,
                "sex": person.sex,
                "birthDate": person.birth_date,
            }
            for relationship, person in members
        ],
        "hasChildren": bool(household.children),
        "roughSleeping": chronicle.chance(0.04),
        "vulnerability": "DEPENDENT-CHILDREN",
        "localAuthority": ANYTOWN_GSS,
        "caseNotes": "The household has been told how to ask for a review of the decision.",
    }


def death(
    chronicle: Chronicle, household: Household, person: Person, *, mistaken: bool = False
) -> None:
    """Tell of a death: informally, then formally; or, mistaken, taken back a day later."""
    case = chronicle.case()
    first, second = chronicle.days(2, within=10)
    record = {
        "nhsNumber": person.nhs_number,
        "familyName": person.family_name,
        "givenName": person.given_name,
        "address": address_record(household.address),
        "gpPracticeOds": "X99001",
        "localAuthority": ANYTOWN_GSS,
        "birthDate": person.birth_date,
        "status": "INFORMAL",
        "dateOfDeath": first.date(),
    }
    key = f"{person.nhs_number}/death"
    told = chronicle.tell(TRUST, DEATH, record, key=key, at=first, case=case, step=1)
    if mistaken:
        removed = record | {"status": "REMOVED", "dateOfDeath": None}
        chronicle.tell(TRUST, DEATH, removed, key=key, at=second, case=case, step=2, retracts=told)
    elif chronicle.chance(0.8):
        formal = record | {"status": "FORMAL"}
        chronicle.tell(TRUST, DEATH, formal, key=key, at=second, case=case, step=2)

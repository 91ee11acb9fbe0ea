"""Invent the households of Anytown: nobody in them has ever lived.

Every identifier passes its check and belongs to no one. NHS numbers come from
the 999 range, which is never issued; UPNs from a council that was abolished
and a school number that was never given; the postcode areas AY and OT do not
exist. What a number is drawn from is the caller's seeded generator, so a seed
always gives the same town.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from random import Random

from stdnum.gb import upn

ANYTOWN_GSS = "E08000999"
"""The council of the story: a metropolitan district code that is not in use."""

OTHERTON_GSS = "E08000998"
"""The council next to it, where some of its children are placed."""

# Northamptonshire was abolished in 2021, and no school has a number below 1000.
_UPN_AUTHORITY = "928"


def _words(text: str, separator: str = " ") -> tuple[str, ...]:
    return tuple(text.split(separator))


_FAMILY_NAMES = _words(
    "Ashdown Barrowby Calloway Dunmore Eastlake Fernsby Gallimore Hartnoll Inchbald Jessamy "
    "Kettlewell Lovibond Merryfield Nettleship Okonjo-Reeve Pettifer Quarmby Rahmani-Lowe "
    "Silverlock Tremblett Underhay Vellacott Wetherspool Yaxleigh"
)
_GIVEN_NAMES = _words(
    "Aaliyah Ben Cerys Dev Ella Farah Gethin Hana Idris Jodie Kofi Lena Marek Nia Omar Poppy "
    "Rhys Sana Theo Una Viktor Wren Yusuf Zara"
)
_STREETS = _words(
    "Alder Walk|Bobbin Lane|Canal Row|Dyer Street|Engine Road|Foundry Close|Gasworks Hill|"
    "Hopper Terrace|Ironmonger Way|Jubilee Rise|Kiln View|Loom Court",
    "|",
)
_POSTCODE_END_LETTERS = "ABDEFGHJLNPQRSTUWXYZ"
_ETHNICITIES = _words("WBRI WBRI WBRI WBRI WIRI WOTH MWBC MWAS AIND APKN ABAN BCRB BAFR CHNE OOTH")


@dataclass(frozen=True, slots=True)
class Address:
    """Where a household lives."""

    lines: tuple[str, ...]
    town: str
    postcode: str
    uprn: str


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody invented. ``sex`` is 1 or 2 and ``ethnicity`` a code, both as in the 903."""

    family_name: str
    given_name: str
    birth_date: date
    sex: str
    ethnicity: str
    nhs_number: str
    child_id: str | None = None
    upn: str | None = None


@dataclass(frozen=True, slots=True)
class Household:
    """People at one address; ``elder`` is a grandparent who lives with them or alone."""

    address: Address
    adults: tuple[Person, ...]
    children: tuple[Person, ...]
    elder: Person | None


class Town:
    """Hands out people, one after the other, no identifier twice."""

    def __init__(self, random: Random, *, today: date) -> None:
        self._random = random
        self._today = today
        self._people = 0
        self._households = 0
        # A first number for each town, so that two seeds do not share their people.
        self._offset = random.randrange(1_000_000)

    def household(self) -> Household:
        """Invent the next household."""
        random = self._random
        family_name = random.choice(_FAMILY_NAMES)
        ethnicity = random.choice(_ETHNICITIES)
        self._households += 1
        adults = random.choices((1, 2), (2, 3))[0]
        children = random.choices((1, 2, 3, 4), (4, 4, 2, 1))[0]
        has_elder = random.random() < 0.45  # noqa: PLR2004  a share of the households
        return Household(
            address=self.address(),
            adults=tuple(self._adult(family_name, ethnicity, 22, 50) for _ in range(adults)),
            children=tuple(self._child(family_name, ethnicity) for _ in range(children)),
            elder=self._adult(family_name, ethnicity, 66, 96) if has_elder else None,
        )

    def address(self, area: str = "AY") -> Address:
        """Invent an address in Anytown (AY) or Otherton (OT)."""
        random = self._random
        town = "Anytown" if area == "AY" else "Otherton"
        street = f"{random.randrange(1, 120)} {random.choice(_STREETS)}"
        # UPRNs have up to 12 digits; those of the story all begin 9999.
        uprn = f"9999{random.randrange(10**8):08d}"
        return Address((street,), town, self.postcode(area), uprn)

    def postcode(self, area: str = "AY") -> str:
        """Invent a postcode: of the right form, in an area that does not exist."""
        random = self._random
        end = "".join(random.choices(_POSTCODE_END_LETTERS, k=2))
        return f"{area}{random.randrange(1, 20)} {random.randrange(10)}{end}"

    def _child(self, family_name: str, ethnicity: str) -> Person:
        person = self._person(family_name, ethnicity, self._born(0, 17))
        return Person(
            family_name=person.family_name,
            given_name=person.given_name,
            birth_date=person.birth_date,
            sex=person.sex,
            ethnicity=person.ethnicity,
            nhs_number=person.nhs_number,
            child_id=f"AT{self._people:06d}",
            upn=self._upn(person.birth_date),
        )

    def _adult(self, family_name: str, ethnicity: str, youngest: int, oldest: int) -> Person:
        return self._person(family_name, ethnicity, self._born(youngest, oldest))

    def _person(self, family_name: str, ethnicity: str, born: date) -> Person:
        random = self._random
        return Person(
            family_name=family_name,
            given_name=random.choice(_GIVEN_NAMES),
            birth_date=born,
            sex=random.choice("12"),
            ethnicity=ethnicity,
            nhs_number=self._nhs_number(),
        )

    def _born(self, youngest: int, oldest: int) -> date:
        days = self._random.randrange(youngest * 365 + 30, (oldest + 1) * 365)
        return self._today - timedelta(days=days)

    def _nhs_number(self) -> str:
        """Take the next number of the 999 range that has a check digit (one in eleven has none)."""
        while True:
            self._people += 1
            first_nine = f"999{(self._offset + self._people) % 1_000_000:06d}"
            check = 11 - sum((10 - i) * int(digit) for i, digit in enumerate(first_nine)) % 11
            # All nines is the placeholder that systems write for "not known".
            if check != 10 and first_nine != "9" * 9:  # noqa: PLR2004  the digit there is none for
                return f"{first_nine}{check % 11}"

    def _upn(self, born: date) -> str | None:
        """Give a child of school age a UPN; the year in it is that of starting school."""
        started = born.year + 5
        if started > self._today.year:
            return None
        school, serial = divmod(self._people, 1000)
        digits = f"{_UPN_AUTHORITY}{school + 1:04d}{started % 100:02d}{serial:03d}"
        return f"{upn.calc_check_digit(digits)}{digits}"

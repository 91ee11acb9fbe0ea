"""What is local in a text: which place stands for which value, and how prose is cleared of it.

Party ids and names, words of them that name an area, addresses of every kind, codes of
areas and postcodes are found in prose. The name of a person is not: a template's author
reads the text before anybody else does.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Final

from agreements.gateways import is_legislation
from agreements.templates.filling import PLACE
from agreements.templates.model import Place

# What parties of many areas are called by; any other word of an id or a name is local.
_GENERIC_WORDS: Final = """
    academy accident acute adult adults advice agency ambulance analytics and area armed
    authority authorities badge badges benefits blue board borough brigade brigades business
    care carers centre charity child children childrens city clinic college combined
    commissioning community constabulary coordinator council councils county court crown customs
    data demographics department dental district domestic drug abuse early economy education
    emergency employment england exchequer express families family fire first force forces
    foundation for general government group gp haven health hmpps home homes hospital hospitals
    host housing icb independent information inspectorate integrated international jobcentre
    jobs justice landlord learning leisure library licensing live local looked after marac
    medical mental ministry missing national network new nhs north northern nursery of office
    officer organisation parish partner partners partnership pension pensions plus police
    practice primary prison prisons private probation provider public records recovery refuge
    region regional register registrar registrars rescue residential response revenue royal safe
    safeguarding school schools secondary sector secure security service services shelter social
    south southern east eastern west western state statistics support surgery team technology
    the town training transport treasury trust uk unit unitary united university upon urgent
    victim village virtual visiting voluntary wales wellbeing witness work young youth
"""
GENERIC: Final = frozenset(_GENERIC_WORDS.split())
_SHORTEST: Final = 3  # Ely, Rye; words of two letters would be found inside too much
_EMAIL: Final = re.compile(r"[\w.+'-]+@[\w-]+(?:\.[\w-]+)+")
_ADDRESS: Final = re.compile(r"https?://[^\s<>\"')]+|www\.[^\s<>\"')]+")
_TELEPHONE: Final = re.compile(r"(?<![\w/])\+?\d(?:[ ()-]?\d){8,14}(?!\w)")
_POSTCODE: Final = re.compile(r"\b[A-Z]{1,2}\d[A-Z\d]? ?\d[A-Z]{2}\b")
_GSS: Final = re.compile(r"\b[EWSNK]\d{8}\b")
_EXAMPLES: Final[Mapping[str, tuple[str, ...]]] = {
    "title": ("Example", "Another example"),
    "text": ("An example", "Another example"),
    "code": ("EXAMPLE-1", "EXAMPLE-2"),
    "email": ("ig@example.gov.uk", "info@example.gov.uk"),
    "telephone": ("01632 960001", "01632 960002"),
    "gss": ("E06000900", "E08000901"),
    "ods": ("ZZ901", "ZZ902"),
    "urn": ("100901", "100902"),
}
_DATES: Final = {"starts": "2030-01-01", "review": "2031-01-01", "ends": "2032-01-01"}


@dataclass(slots=True)
class Localities:
    """The places found so far, each with the literal that it stands for."""

    places: dict[str, Place] = field(default_factory=dict)
    literals: dict[tuple[str, str], str] = field(default_factory=dict)
    words: list[str] = field(default_factory=list)

    def place(self, kind: str, literal: str, wanted: str, text: str) -> str:
        """Return ``<name>`` of the place that stands for ``literal``, made if it is new."""
        key = (kind, literal.casefold())
        if key not in self.literals:
            name = self._free(wanted)
            example = example_of(kind, name, literal)
            self.places[name] = Place.model_validate(
                {"kind": kind, "text": text, "example": example}
            )
            self.literals[key] = name
        return f"<{self.literals[key]}>"

    def known(self, kind: str, literal: str) -> str | None:
        """Return ``<name>`` of the place that stands for ``literal`` already."""
        name = self.literals.get((kind, literal.casefold()))
        return None if name is None else f"<{name}>"

    def learn(self, *texts: str) -> None:
        """Take note of the words of a party's id or name that name an area or a house."""
        for word in local_words(texts):
            if word not in self.words:
                self.words.append(word)

    def cleared(self, text: str) -> str:
        """Return prose in which a place stands wherever something local was found."""
        text = PLACE.sub(r"(\1)", text)  # what looked like a place was none
        for literal, name in sorted(self._in_prose(), key=lambda known: -len(known[0])):
            text = re.sub(
                rf"(?<!\w){re.escape(literal)}(?!\w)", f"<{name}>", text, flags=re.IGNORECASE
            )
        for pattern, kind, wanted in _FOUND_IN_PROSE:
            for literal in dict.fromkeys(pattern.findall(text)):
                text = text.replace(literal, self._for_match(literal, kind, wanted))
        for word in self.words:
            found = re.compile(rf"{_OUTSIDE}\b{re.escape(word)}(?:'?s)?\b", re.IGNORECASE)
            if found.search(text):
                place = self.place("title", word, "area", "Name of the area")
                text = found.sub(place, text)
        return text

    def name(self, name: str) -> str:
        """Return a flow's id or a purpose's code without local words."""
        kept = [part for part in name.split("-") if part not in self.words]
        return "-".join(kept) or "local"

    def _in_prose(self) -> Iterator[tuple[str, str]]:
        for (kind, literal), name in self.literals.items():
            if kind in ("party", "title") and len(literal) >= _SHORTEST:
                yield literal, name

    def _for_match(self, literal: str, kind: str, wanted: str) -> str:
        if kind == "uri" and is_legislation(literal.rstrip(".,;")):
            return literal
        return self.place(kind, literal, wanted, f"A local {wanted.replace('-', ' ')}")

    def _free(self, wanted: str) -> str:
        wanted = wanted[:56].strip("-") or "place"
        if wanted not in self.places:
            return wanted
        return next(n for i in count(2) if (n := f"{wanted}-{i}") not in self.places)


_OUTSIDE: Final = r"(?<!<)"  # not the beginning of a place
_FOUND_IN_PROSE: Final = (
    (_EMAIL, "email", "email"),
    (_ADDRESS, "text", "web-address"),
    (_POSTCODE, "title", "postcode"),
    (_GSS, "gss", "area-code"),
    (_TELEPHONE, "telephone", "telephone"),
)


def local_words(texts: Iterable[str]) -> Iterator[str]:
    """Yield the words that are not in `GENERIC`, in lower case."""
    for text in texts:
        for word in re.findall(r"[^\W\d_]+", text.lower().replace("'", "").replace("\u2019", "")):
            if len(word) >= _SHORTEST and word not in GENERIC:
                yield word


def part_played(party: str) -> str:
    """Return what is left of a party's id without what is local: ``adult-social-care``."""
    return "-".join(word for word in party.split("-") if word in GENERIC) or "party"


def example_of(kind: str, name: str, literal: str) -> str:
    """Return an invented value for a place that is not the literal it stands for."""
    if kind == "party":
        return f"example-{name}"[:63].strip("-")
    if kind == "uri":
        return f"https://www.example.gov.uk/{name}"
    if kind == "date":
        return _DATES.get(name, "2029-12-01")
    return next(one for one in _EXAMPLES[kind] if one.casefold() != literal.casefold())

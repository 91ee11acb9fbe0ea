"""Identifiers of people, places and organisations: which texts can be one.

A value is checked for its form and check digits, against the placeholders that
systems write when they know nothing, and against code lists where the list is
short. Nothing here asks a register whether the identifier was issued.

Sources: NHS Data Dictionary (NHS number); DfE, *Unique pupil numbers*; Learning
Records Service (ULN); HMRC NIM39110 (NINO); GeoPlace (UPRN, USRN); ONS
Register of Geographic Codes; ODS; Royal Mail PAF; data.police.uk. python-stdnum
checks UPNs here, and NHS numbers in the tests.
"""

import json
import re
from collections.abc import Callable, Container
from functools import lru_cache
from importlib import resources
from typing import Annotated, Final

from pydantic import AfterValidator
from stdnum.gb import upn

INVALID: Final = "invalid-identifier"
PLACEHOLDER: Final = "placeholder-identifier"
TEST: Final = "test-identifier"

_CACHED: Final = 65_536
"""Results kept; about 12 MB when full."""

_codes = resources.files("schemas") / "codes"


def _list(name: str) -> dict[str, str]:
    text = (_codes / f"{name}.json").read_text(encoding="utf-8")
    codes: dict[str, str] = json.loads(text)["codes"]
    return codes


POLICE_FORCES: Final = _list("police-forces")
"""data.police.uk's name of each force, by its slug."""
GSS_ENTITIES: Final = _list("gss-entities")
"""What the first three characters of an ONS code stand for."""
LA_NUMBERS: Final = frozenset(
    json.loads((_codes / "dfe-local-authorities.json").read_text(encoding="utf-8"))["codes"]
)
"""DfE's three-digit numbers of local authorities."""
_PLACEHOLDERS: Final = {
    kind: frozenset(values)
    for kind, values in json.loads((_codes / "placeholders.json").read_text(encoding="utf-8"))[
        "kinds"
    ].items()
}

_TEN_DIGITS: Final = 10
_NHS_TEST: Final = "999"  # the range kept for tests, never issued
_UPN: Final = re.compile(r"[A-HJ-NP-RT-Z]([0-9]{3})[0-9]{8}[A-HJ-NP-RT-Z0-9]")
_UPN_LETTERS: Final = "ABCDEFGHJKLMNPQRTUVWXYZ"
_UPN_ZEROS: Final = 48 * sum(range(2, 14))
_NINO: Final = re.compile(
    r"(?!BG|GB|KN|NK|NT|TN|ZZ)[A-CEGHJ-PRSTW-Z][A-CEGHJ-NPRSTW-Z][0-9]{6}[A-D]"
)
_POSTCODE: Final = re.compile(
    # Royal Mail: no Q, V, X first; no I, J, Z second; closed lists third and fourth;
    # no C, I, K, M, O, V in the inward part.
    r"(?:GIR ?0AA|"
    r"(?:[A-PR-UWYZ][0-9][0-9]?|[A-PR-UWYZ][A-HK-Y][0-9][0-9]?"
    r"|[A-PR-UWYZ][0-9][A-HJKPSTUW]|[A-PR-UWYZ][A-HK-Y][0-9][ABEHMNPRVWXY])"
    r" ?[0-9][ABD-HJLNP-UW-Z]{2})"
)
_FORMS: Final = {
    "uprn": re.compile(r"[0-9]{1,12}"),
    "usrn": re.compile(r"[0-9]{1,8}"),
    "ods": re.compile(r"[A-Z0-9]{1,9}"),
    "la-child-id": re.compile(r"[A-Z0-9](?:[A-Z0-9/_.-]{0,35})"),
    "person-ref": re.compile(r"[A-Z0-9](?:[A-Z0-9/_.-]{0,35})"),
    "urn": re.compile(r"[0-9]{6,7}"),
    "ukprn": re.compile(r"1[0-9]{7}"),
    "crn": re.compile(r"[A-Z][0-9]{6}"),
    "noms": re.compile(r"[A-Z][0-9]{4}[A-Z]{2}"),
}


def check(kind: str, text: str, *, allow_test: bool = True) -> str | None:
    """Return ``None`` for a valid identifier, else a stable reason.

    ``text`` is taken as :func:`canonical` writes it. ``allow_test=False``
    refuses the NHS numbers that are kept for tests (999…). Reasons:
    ``invalid-identifier``, ``placeholder-identifier``, ``test-identifier``.

    Raises:
        KeyError: a kind that is not in :data:`KINDS`.
    """
    reason = RULES[kind].fault(text) if kind in PERSONAL else _checked(kind, text)
    return None if reason == TEST and allow_test else reason


def valid(kind: str, text: str) -> str | None:
    """Return the canonical form of a valid identifier (as `check` has it), else ``None``."""
    return RULES[kind].valid(text)


def canonical(kind: str, text: str) -> str:
    """Return the one way to write an identifier, for comparing and indexing.

    Spaces are taken out and letters are upper case; a postcode keeps the space
    before its last three characters; a UPRN keeps no leading zeros (publishers
    differ on them); a police force stays in lower case.
    """
    if kind in _PLAIN_KINDS and _is_plain(text):
        return text  # nearly always: it was written that way
    text = "".join(text.split()).upper()
    if kind == "police-force":
        return text.lower()
    if kind == "postcode" and len(text) > _INWARD:
        return f"{text[:-_INWARD]} {text[-_INWARD:]}"
    if kind in _NUMBERED and text.isascii() and text.isdigit():
        return text.lstrip("0") or "0"
    return text


def _is_plain(text: str) -> bool:
    """Whether a text is capitals A to Z and digits 0 to 9 and nothing else."""
    return text.isascii() and text.isalnum() and text.upper() == text


_INWARD: Final = 3
_NUMBERED: Final = frozenset({"uprn", "usrn"})


class Rule:
    """What makes a text an identifier of one kind."""

    __slots__ = ("_is_plain", "_kind", "_placeholders", "_validate")

    def __init__(
        self, kind: str, validate: Callable[[str], str | None], placeholders: frozenset[str]
    ) -> None:
        self._kind = kind
        self._validate = validate
        self._placeholders = placeholders
        self._is_plain = kind in _PLAIN_KINDS

    def fault(self, text: str) -> str | None:
        """Return what is wrong with a text, as `check` has it; ``TEST`` is a reason here."""
        return self._fault_of(self._written(text))

    def valid(self, text: str) -> str | None:
        """Return the canonical form of a valid identifier, else ``None``."""
        written = self._written(text)
        reason = self._fault_of(written)
        return written if reason is None or reason == TEST else None

    def _written(self, text: str) -> str:
        return text if self._is_plain and _is_plain(text) else canonical(self._kind, text)

    def _fault_of(self, written: str) -> str | None:
        if written in self._placeholders:
            return PLACEHOLDER
        return self._validate(written) if written.isascii() else INVALID


@lru_cache(maxsize=_CACHED)
def _checked(kind: str, text: str) -> str | None:
    return RULES[kind].fault(text)


def _nhs(text: str) -> str | None:
    if not _is_ten_digits(text) or _weighed(text.encode()) % 11:
        return INVALID
    return TEST if text.startswith(_NHS_TEST) else None


def _is_ten_digits(text: str) -> bool:
    return len(text) == _TEN_DIGITS and text.isascii() and text.isdigit()


def _weighed(ten: bytes) -> int:
    """Return the ten characters' codes times 10 to 1.

    stdnum's checksum at a tenth of the cost, and every event has a new number: what the
    codes exceed their digits by (48 x 55) is a multiple of 11.
    """
    return (
        10 * ten[0] + 9 * ten[1] + 8 * ten[2] + 7 * ten[3] + 6 * ten[4]
        + 5 * ten[5] + 4 * ten[6] + 3 * ten[7] + 2 * ten[8] + ten[9]
    )  # fmt: skip


def _upn(text: str) -> str | None:
    form = _UPN.fullmatch(text)
    if not form or form[1] not in LA_NUMBERS:
        return INVALID
    if text[1:].isdigit():
        # stdnum's check letter at a fifth of the cost. Its alphabet has the digits after
        # 23 letters, so modulo 23 a digit counts as itself; 48 is the code of zero.
        t = text.encode()
        total = (
            2 * t[1] + 3 * t[2] + 4 * t[3] + 5 * t[4] + 6 * t[5] + 7 * t[6]
            + 8 * t[7] + 9 * t[8] + 10 * t[9] + 11 * t[10] + 12 * t[11] + 13 * t[12]
        )  # fmt: skip
        letter = _UPN_LETTERS[(total - _UPN_ZEROS) % 23]
    else:
        letter = upn.calc_check_digit(text)
    return None if letter == text[0] else INVALID


def _uln(text: str) -> str | None:
    if not _is_ten_digits(text) or text[0] == "0":
        return INVALID
    return None if _weighed(text.encode()) % 11 == 10 else INVALID  # noqa: PLR2004  never that of an NHS number


def _gss(text: str) -> str | None:
    valid = re.fullmatch(r"[EJKLMNSW][0-9]{8}", text) and text[:3] in GSS_ENTITIES
    return None if valid else INVALID


def _form(form: re.Pattern[str]) -> Callable[[str], str | None]:
    return lambda text: None if form.fullmatch(text) else INVALID


def _listed(codes: Container[str]) -> Callable[[str], str | None]:
    return lambda text: None if text in codes else INVALID


_CHECKS: Final[dict[str, Callable[[str], str | None]]] = {
    "nhs-number": _nhs,
    "upn": _upn,
    "uln": _uln,
    "nino": _form(_NINO),
    "postcode": _form(_POSTCODE),
    "gss": _gss,
    "dfe-la": _listed(LA_NUMBERS),
    "police-force": _listed(POLICE_FORCES),
    **{kind: _form(form) for kind, form in _FORMS.items()},
}
PERSONAL: Final = frozenset(
    {"nhs-number", "upn", "uln", "nino", "la-child-id", "person-ref", "crn", "noms"}
)
"""Kinds that stand for one person: seldom met twice in a row, so results are not kept."""
_PLAIN_KINDS: Final = frozenset(_CHECKS) - {"police-force", "postcode", *_NUMBERED}
"""Kinds of which capitals and digits are the canonical form."""
RULES: Final = {
    kind: Rule(kind, validate, _PLACEHOLDERS.get(kind, frozenset()) | _PLACEHOLDERS["*"])
    for kind, validate in _CHECKS.items()
}
"""The rule of each kind."""
KINDS: Final = frozenset(_CHECKS)
"""Every kind of identifier that a schema may name."""


def _validated(kind: str) -> AfterValidator:
    def validate(text: str) -> str:
        reason = check(kind, text)
        if reason is not None:
            raise ValueError(f"not a valid {kind}")
        return canonical(kind, text)

    return AfterValidator(validate)


NhsNumber = Annotated[str, _validated("nhs-number")]
Upn = Annotated[str, _validated("upn")]
Uln = Annotated[str, _validated("uln")]
Nino = Annotated[str, _validated("nino")]
Uprn = Annotated[str, _validated("uprn")]
Usrn = Annotated[str, _validated("usrn")]
GssCode = Annotated[str, _validated("gss")]
DfeLa = Annotated[str, _validated("dfe-la")]
OdsCode = Annotated[str, _validated("ods")]
Postcode = Annotated[str, _validated("postcode")]
PoliceForce = Annotated[str, _validated("police-force")]
LaChildId = Annotated[str, _validated("la-child-id")]
Urn = Annotated[str, _validated("urn")]
Ukprn = Annotated[str, _validated("ukprn")]

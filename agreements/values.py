"""The small values of an agreement: codes, identifiers, times, durations.

INVARIANT: what is written is what is kept. A value that could be written in two
ways is accepted in one only, so that the JSON of a model that was read equals the
JSON that came in, and anyone can compute the hash that is signed without knowing
these types (see `canonical`).
"""

import re
from calendar import monthrange
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    Strict,
    StringConstraints,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from agreements.codes import code_list

# RFC 3339 §5.6, UTC only; a date alone means the midnight (UTC) that it begins with.
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{3})?Z)?")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
# ISO 8601-1:2019 §5.5.2. Years and months have no fixed length: only retention may use them.
_EXACT = re.compile(
    r"P(?!$)(?:(?P<weeks>[0-9]+)W)?(?:(?P<days>[0-9]+)D)?"
    r"(?:T(?=[0-9])(?:(?P<hours>[0-9]+)H)?(?:(?P<minutes>[0-9]+)M)?(?:(?P<seconds>[0-9]+)S)?)?",
)
_CALENDAR = re.compile(
    r"P(?=[0-9])(?:([0-9]{1,4})Y)?(?:([0-9]{1,4})M)?(?:([0-9]{1,4})W)?(?:([0-9]{1,5})D)?"
)
# The exact form without names of groups and with something in it, for other languages.
_PLAIN_EXACT = re.sub(r"\?P<[a-z]+>", "", _EXACT.pattern).replace("P(?!$)", "P(?=.*[1-9])")
LONGEST = timedelta(days=366 * 150)

# What a reader cannot see could make a text look like another one: control characters
# (but line breaks) and the marks that turn the direction of writing (UAX #9 §2).
_INVISIBLE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def _visible(text: str) -> str:
    if _INVISIBLE.search(text):
        raise PydanticCustomError("invisible-character", "expected text that a reader can see")
    return text


def _text(longest: int, *, shortest: int) -> Any:
    """Return the schema of text that a reader can see."""
    schema: dict[str, Any] = {"type": "string", "maxLength": longest}
    if shortest:
        schema |= {"minLength": shortest, "pattern": r"\S"}
    return WithJsonSchema({**schema, "not": {"pattern": _INVISIBLE.pattern}})


Whole = Annotated[int, Strict(), Field(ge=1, le=2**31 - 1)]
Flag = Annotated[bool, Strict()]
Text = Annotated[
    str,
    StringConstraints(min_length=1, max_length=4000, pattern=r"\S"),
    AfterValidator(_visible),
    _text(4000, shortest=1),
]
Title = Annotated[
    str,
    StringConstraints(min_length=1, max_length=200, pattern=r"\S"),
    AfterValidator(_visible),
    _text(200, shortest=1),
]
Value = Annotated[
    str,
    Strict(),
    StringConstraints(max_length=200),
    AfterValidator(_visible),
    _text(200, shortest=0),
]
PartyId = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]*[a-z0-9]$", min_length=2, max_length=63)
]
Name = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$", max_length=63)
]
EventTypeName = Annotated[
    str,
    StringConstraints(
        pattern=r"^[a-z][a-z0-9-]*(?:\.[a-z0-9][a-z0-9-]*)+\.v[1-9][0-9]*$", max_length=120
    ),
]
ItemPath = Annotated[
    str,
    StringConstraints(
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*$", max_length=200
    ),
]
# Visible ASCII without `|`, which separates the parts of a control record's key.
Uri = Annotated[str, StringConstraints(pattern=r"^(?:https?://|urn:)[!-{}~]+$", max_length=500)]


def code_of(name: str) -> Any:
    """Return the type of a code of the list ``name``: text that the list knows."""
    codes = code_list(name)

    def known(text: str) -> str:
        if text not in codes:
            raise PydanticCustomError(
                "unknown-code",
                "expected a code of the list {list}",
                {"list": name, "known": list(codes)},
            )
        return text

    schema = {"type": "string", "enum": list(codes), "title": codes.title}
    return Annotated[str, AfterValidator(known), WithJsonSchema(schema)]


def to_duration(text: str) -> timedelta:
    """Return the length of an exact ISO 8601 duration (weeks to seconds); raises ValueError."""
    match = _EXACT.fullmatch(text)
    if match is None or len(text) > len("P99999DT99999H99999M99999S"):
        raise ValueError("not an exact duration")
    length = timedelta(**{unit: int(n) for unit, n in match.groupdict().items() if n})
    if not timedelta(0) < length <= LONGEST:
        raise ValueError("not a duration in use")
    return length


def end_of(text: str, start: datetime) -> datetime | None:
    """Return when a calendar duration that begins at ``start`` is over; None beyond year 9999.

    A day that its month does not have is that month's last (31 January and a month: 28 February).
    """
    match = _CALENDAR.fullmatch(text)
    if match is None:
        raise ValueError("not a calendar duration")
    years, months, weeks, days = (int(n or 0) for n in match.groups())
    year, month = divmod(start.year * 12 + start.month - 1 + years * 12 + months, 12)
    if year > date.max.year:
        return None
    day = min(start.day, monthrange(year, month + 1)[1])
    try:
        return start.replace(year=year, month=month + 1, day=day) + timedelta(weeks * 7 + days)
    except OverflowError:
        return None


def _exact(text: str) -> str:
    try:
        to_duration(text)
    except (ValueError, OverflowError):
        raise PydanticCustomError(
            "not-a-duration", "expected a duration in weeks, days or hours such as P2D or PT4H"
        ) from None
    return text


def _calendar(text: str) -> str:
    if _CALENDAR.fullmatch(text) is None:
        raise PydanticCustomError(
            "not-a-duration", "expected a duration in years, months, weeks or days such as P7Y"
        )
    return text


def _moment(value: object) -> datetime:
    if isinstance(value, datetime) and value.tzinfo is not None:
        utc = value.astimezone(UTC)
        return utc.replace(microsecond=utc.microsecond // 1000 * 1000)
    if isinstance(value, str) and _MOMENT.fullmatch(value):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            pass
        else:
            moment = moment.replace(tzinfo=UTC)
            if moment_text(moment) == value:
                return moment
    raise PydanticCustomError(
        "not-a-time",
        "expected a date such as 2026-04-01 or a UTC time such as 2026-04-01T09:30:00Z",
    )


def moment_text(moment: datetime) -> str:
    """Return a UTC time in the one spelling that is accepted."""
    if moment.time() == datetime.min.time():
        return moment.date().isoformat()
    precision = "milliseconds" if moment.microsecond else "seconds"
    return moment.replace(tzinfo=None).isoformat(timespec=precision) + "Z"


def is_day(value: object) -> bool:
    """Whether the value is the text of a date, in the one spelling that is accepted."""
    if not isinstance(value, str) or not _DAY.fullmatch(value):
        return False
    try:
        date.fromisoformat(value)
    except ValueError:
        return False
    return True


def _day(value: object) -> date:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    if isinstance(value, str) and is_day(value):
        return date.fromisoformat(value)
    raise PydanticCustomError("not-a-date", "expected a date such as 2026-04-01")


ExactDuration = Annotated[
    str,
    AfterValidator(_exact),
    WithJsonSchema({"type": "string", "pattern": f"^{_PLAIN_EXACT}$", "examples": ["P2D", "PT4H"]}),
]
CalendarDuration = Annotated[
    str,
    AfterValidator(_calendar),
    WithJsonSchema({"type": "string", "pattern": f"^{_CALENDAR.pattern}$", "examples": ["P7Y"]}),
]
Moment = Annotated[
    datetime,
    BeforeValidator(_moment),
    PlainSerializer(moment_text, when_used="json"),
    WithJsonSchema(
        {"type": "string", "pattern": f"^{_MOMENT.pattern}$", "examples": ["2026-04-01"]}
    ),
]
Day = Annotated[
    date,
    BeforeValidator(_day),
    WithJsonSchema({"type": "string", "format": "date", "pattern": f"^{_DAY.pattern}$"}),
]

# A type checker sees text; pydantic sees text that the list knows.
if TYPE_CHECKING:
    Art6 = str
    Art9 = str
    Art10 = str
    Sch8 = str
    Confidentiality = str
    Role = str
    Kind = str
    Capacity = str
    Assurance = str
    Annex1 = str
    Register = str
else:
    Art6 = code_of("article-6")
    Art9 = code_of("article-9")
    Art10 = code_of("article-10")
    Sch8 = code_of("schedule-8")
    Confidentiality = code_of("duty-of-confidence")
    Role = code_of("party-roles")
    Kind = code_of("agreement-kinds")
    Capacity = code_of("capacities")
    Assurance = code_of("assurances")
    Annex1 = code_of("annex-1")
    Register = code_of("registers")

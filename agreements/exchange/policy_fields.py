"""The fields of a MAIS ``SharingPolicy`` 0.1, and where in an agreement each has its place.

The draft sector standard of Data Standards for Social Care
(github.com/SocialCareData/information-governance, ``dsa.json``).

An ``EndDate`` that is a day is the last one; ``effective.ends_at`` is exclusive, so it is
the day after.
"""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from agreements.problems import Problem
from agreements.values import is_day, moment_text

Place = tuple[str, ...]

ENTITY: Final = "SharingPolicy"
TEXTS: Final[Mapping[str, Place]] = {"URI": ("id",), "Name": ("title",), "Contact": ("contact",)}
LISTS: Final[Mapping[str, Place]] = {
    "Data": ("use", "data"),
    "PermittedUse": ("use", "permitted"),
    "Restrictions": ("use", "prohibited"),
    "DataRecipientResponsibilities": ("use", "duties"),
    "SecurityMeasure": ("security", "measures"),
    "LegalCompliance": ("use", "compliance"),
}
TIMES: Final[Mapping[str, Place]] = {
    "StartDate": ("effective", "starts_at"),
    "EndDate": ("effective", "ends_at"),
}
FIELDS: Final = (
    *("URI", "Identifier", "Name", "Contact", "Party", "Data", "Purpose", "StartDate", "EndDate"),
    *("PermittedUse", "Restrictions", "DataRecipientResponsibilities", "SecurityMeasure"),
    "LegalCompliance",
)
REQUIRED: Final = FIELDS[: FIELDS.index("Restrictions")]
URI_NAMES: Final = "urn:ietf:rfc:3986"  # the system of an identifier that is itself a URI


def slug(text: str) -> str:
    """Return a party's or a purpose's id made of a name: lower case, digits, hyphens."""
    word = re.sub(r"[^a-z0-9]+", "-", text.lower().replace("'", "").replace("\u2019", ""))
    return word.strip("-")[:63].rstrip("-")


def end_out(ends_at: Any) -> Any:
    """Return the ``EndDate`` of an exclusive end; what is no day stays as it is."""
    if not is_day(ends_at) or date.fromisoformat(ends_at) == date.min:
        return ends_at
    return (date.fromisoformat(ends_at) - timedelta(days=1)).isoformat()


def to_moment(text: str, *, is_end: bool) -> str:
    """Return the time as an agreement writes it; text that is no time stays as it is."""
    if is_day(text) and not is_end:
        return text
    try:
        if is_day(text):
            return (date.fromisoformat(text) + timedelta(days=1)).isoformat()
        moment = datetime.fromisoformat(text)
        moment = moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        return text
    return moment_text(moment)


def missing(field: str) -> Problem:
    """Say that the standard asks for a field that is not there."""
    message = f"the standard asks for {field}"
    return Problem("mais-missing", "warning", None, None, field, message, "fill it in")

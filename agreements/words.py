"""The values of an agreement in plain English, for those who sign it and those who compare.

Two values that decide differently never read the same: what is written stands in the
words, and text that an author chose is quoted wherever it stands among other words.
"""

import json
import re
import unicodedata
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime
from typing import Any, Final

from agreements import gateways
from agreements.codes import code_list
from agreements.model import Condition, Flow, Generalise, Item, Part

_UNITS: Final = {
    "Y": "year",
    "M": "month",
    "W": "week",
    "D": "day",
    "H": "hour",
    "TM": "minute",
    "S": "second",
}
_LETTERS: Final = frozenset("ßæÆøØðþÞłŁœŒ")  # without an accent, and like no other
_SPACE: Final = "\\u0020"
_FORMS: Final = {
    None: "in full",
    "drop": "not at all",
    "mask": "only as a mark that there is a value",
    "pseudonym": "as a pseudonym that is the same each time for this recipient only",
    "year": "as the year only",
    "month": "as the year and month only",
    "age-band": "as an age band of five years",
    "postcode-sector": "as the postcode sector only",
    "postcode-district": "as the postcode district only",
}


def plain(value: Any) -> str:
    """Return any value as a sentence has it: dates in words, text in quotes."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return moment(value)
    if isinstance(value, date):
        return day(value)
    if isinstance(value, tuple):
        return listed(map(plain, value)) if value else "nothing"
    if isinstance(value, Part):
        fields = type(value).model_fields
        given = [(name, one) for name, one in value if one != fields[name].default]
        return listed(
            [f"{name.strip('_').replace('_', ' ')} {plain(one)}" for name, one in given]
            or ["nothing"]
        )
    return quoted(value)


def coded(code_list_name: str) -> Callable[[str], str]:
    """Return the function that gives a code of a list with its title."""
    return lambda code: f"{code} ({title_of(code_list_name, code)})"


def listed(words: Iterable[str], *, last: str = "and") -> str:
    """Join words as a sentence does: ``a, b and c``."""
    *most, final = words
    return f"{', '.join(most)} {last} {final}" if most else final


def quoted(value: Any) -> str:
    """Return a value among words: text in quotes, numbers and truth values without.

    Text is written as JSON has it. What could be taken for something else (a space beside
    a space, a letter of another script, an accent by itself) is written by its number.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    text = json.dumps(value, ensure_ascii=False)
    if isinstance(value, str) and value != value.strip(" "):
        inner = text[1:-1]
        bare = inner.strip(" ")
        before = len(inner) - len(inner.lstrip(" "))
        after = len(inner) - before - len(bare)
        text = f'"{_SPACE * before}{bare}{_SPACE * after}"'
    text = re.sub(" {2,}", lambda spaces: _SPACE * len(spaces[0]), text)
    return text if text.isascii() else "".join(map(_unmistakable, text))


def _unmistakable(character: str) -> str:
    parts = unicodedata.normalize("NFD", character)
    is_accented = len(parts) > 1 and parts[0].isascii()
    if character.isascii() or character in _LETTERS or is_accented:
        return character
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))


def day(value: date) -> str:
    """Return a date: ``1 April 2026``."""
    return f"{value.day} {value:%B} {value.year:04}"


def days(first: date, last: date) -> str:
    """Return from which day to which: ``1 April 2026 to 3 May 2026``, or the one day."""
    return day(first) if day(first) == day(last) else f"{day(first)} to {day(last)}"


def moment(value: datetime) -> str:
    """Return a time in UTC; midnight is the date alone, as it is written."""
    utc = value.astimezone(UTC)
    if utc.time() == datetime.min.time():
        return day(utc)
    precision = "milliseconds" if utc.microsecond else "seconds"
    return f"{day(utc)}, {utc.time().isoformat(timespec=precision)} UTC"


def duration(text: str) -> str:
    """Return an ISO 8601 duration in words, with its numbers as they are written."""
    before, _, after = text.partition("T")
    parts = [(n, _UNITS[unit]) for n, unit in re.findall(r"([0-9]+)([YMWD])", before)]
    parts += [
        (n, _UNITS["TM" if unit == "M" else unit])
        for n, unit in re.findall(r"([0-9]+)([HMS])", after)
    ]
    return listed(f"{n} {unit}{'' if int(n) == 1 else 's'}" for n, unit in parts)


def title_of(code_list_name: str, code: str) -> str:
    """Return a code's title in its list; a code that the list does not know, as it is."""
    known = code_list(code_list_name).get(code)
    return code if known is None else known.title


def law(address: str) -> str:
    """Return a piece of legislation by name, with its address."""
    title = gateways.title_of(address)
    return address if title == address else f"{title} ({address})"


def form_of(item: Item) -> str:
    """Return in which form an item is shared."""
    transform = item.transform
    return _FORMS[transform.generalise if isinstance(transform, Generalise) else transform]


def condition(tested: Condition) -> str:
    """Return what must hold, without what happens otherwise."""
    name, operator, operand = tested.item, tested.operator, tested.operand
    if operator == "present":
        return f"{name} is there and not empty" if operand else f"{name} is absent or empty"
    if operator in ("before", "after"):
        words = "before" if operator == "before" else "on or after"
        return f"{name} is a date {words} {day(operand)}"
    values = [quoted(value) for value in (operand if isinstance(operand, tuple) else (operand,))]
    if operator == "not_in":
        return f"{name} is absent, or is none of {listed(values, last='or')}"
    if operator == "in":
        return f"{name} is one of {listed(values, last='or')}"
    return f"{name} is {values[0]}"


def conditions(flow: Flow) -> dict[str, str]:
    """Return what must hold, by the place that evidence names it by, such as ``when[0]``."""
    return {f"when[{number}]": condition(tested) for number, tested in enumerate(flow.when)}


def otherwise(tested: Condition) -> str:
    """Return what happens where a condition does not hold."""
    return "it is refused" if tested.otherwise == "deny" else "a person decides"

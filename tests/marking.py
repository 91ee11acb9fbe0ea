"""Records with marks in every personal field, and a search that finds the marks again.

Every text is made of :data:`PREFIX` and a number of its own; every identifier, which
has a form to keep, is one that occurs nowhere else; every date of birth is in the
1930s. So whatever leaves a place where it may be is found by what it says.
"""

import base64
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import count
from typing import Any

from connectors.encoding import RecordEncoder
from connectors.prepared import PreparedEvent
from schemas.catalogue import EventType, Field, shipped

PREFIX = "ZQ7XW9"
_WINDOW_BYTES = 12
_LEAST_DISTINCT = 6

KEPT = frozenset(
    {
        # What conditions ask for, and what names an organisation and no person.
        "localAuthority", "localAuthorityOds", "siteOds", "gpPracticeOds", "urn", "rec",
        "placementType", "nhsNumberStatus", "hospitalName",
    }
)  # fmt: skip


@dataclass
class Marks:
    """Makes marks, and remembers every one."""

    identifiers: list[str] = field(default_factory=list)
    births: list[date] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def text(self) -> str:
        """Return a text that occurs nowhere else."""
        return f"{PREFIX}{next(self._numbers):05d}E"

    def identifier(self, kind: str) -> str:
        """Return a valid identifier of a kind that occurs nowhere else."""
        number = next(self._numbers)
        match kind:
            case "la-child-id" | "person-ref":
                return f"{PREFIX}{number:05d}"
            case "nhs-number":
                made = _nhs_number(number)
            case "upn":
                made = _upn(number)
            case "nino":
                made = f"JG{71_0000 + number:06d}B"
            case "uprn":
                made = f"98{76_0000_0000 + number:010d}"
            case "postcode":
                made = f"LS{number % 28 + 1} {number % 9 + 1}{_pair(number)}"
            case _:
                raise AssertionError(kind)
        self.identifiers.append(made)
        return made

    def bad_identifier(self, kind: str) -> str:
        """Return one that does not validate and is as telling."""
        return {"nhs-number": self.text(), "upn": self.text()}.get(kind, f"?{self.text()}?")

    def birth(self) -> date:
        """Return a date of birth of nobody else."""
        born = date(1931, 1, 1) + timedelta(days=29 * len(self.births))
        self.births.append(born)
        return born

    def mark(self, event: PreparedEvent, **changes: Any) -> PreparedEvent:
        """Return the event with marks in every field that may hold something personal."""
        kind = shipped().latest(event.event_type)
        record = self._record(kind, "", dict(event.record)) | changes
        self.bodies.append(RecordEncoder(kind.schema).encode(record))
        return PreparedEvent(event.event_type, f"natural/{self.text()}", record, event.occurred_at)

    def _record(self, kind: EventType, prefix: str, record: Mapping[str, Any]) -> dict[str, Any]:
        fields = {f.path: f for f in kind.fields}
        return {
            name: self._value(kind, fields.get(prefix + name), prefix + name, value)
            for name, value in record.items()
        }

    def _value(self, kind: EventType, known: Field | None, path: str, value: Any) -> Any:
        if path in KEPT or isinstance(value, bool) or _is_enum(known):
            return value
        if isinstance(value, Mapping):
            return self._record(kind, f"{path}.", value)
        if isinstance(value, (list, tuple)):
            return [self._value(kind, None, path, one) for one in value]
        if path.endswith("birthDate"):
            return self.birth()
        if isinstance(value, str) or (value is None and _is_text(known)):
            identifier = known.identifier if known else None
            return self.identifier(identifier) if identifier else self.text()
        return value

    # -- the search -------------------------------------------------------------------

    def found_in(self, data: bytes) -> list[str]:
        """Return what of the marks can be read in some bytes, in whichever usual form."""
        low = data.lower()
        found = [name for name, needle in self._texts() if needle in low]
        found += [name for name, needle in self._exact() if needle in data]
        return found + self._windows_in(data)

    def _texts(self) -> Iterable[tuple[str, bytes]]:
        """The forms whose case does not matter."""
        for text in (PREFIX, *self.identifiers, *map(_spaced, self.identifiers)):
            raw = text.lower().encode()
            yield f"{text} as text", raw
            yield f"{text} as UTF-16", text.lower().encode("utf-16-le")
            yield f"{text} as hexadecimal", text.encode().hex().encode()
            for name in ("sha256", "sha1", "md5"):
                # A plain hash of an identifier is the identifier: there are too few of them.
                yield f"{name} of {text}", hashlib.new(name, text.encode()).hexdigest().encode()
        for born in self.births:
            for text in (born.isoformat(), f"{born:%d/%m/%Y}", f"{born:%Y%m%d}"):
                yield f"{text} as text", text.encode()

    def _exact(self) -> Iterable[tuple[str, bytes]]:
        """The forms whose case does."""
        for text in (PREFIX, *self.identifiers):
            for shift in range(3):
                for letters in (base64.b64encode, base64.urlsafe_b64encode):
                    yield f"{text} in base64", _core(letters(b"\0" * shift + text.encode()), shift)
            yield f"SHA-256 of {text}", hashlib.sha256(text.encode()).digest()

    def _windows_in(self, data: bytes) -> list[str]:
        """Whether any stretch of an Avro body is there: dates and numbers in their binary form."""
        if data.isascii():
            return []  # as output is: what a window of text would say is found as text
        windows = {
            body[at : at + _WINDOW_BYTES]
            for body in self.bodies
            for at in range(len(body) - _WINDOW_BYTES + 1)
        }
        windows = {window for window in windows if len(set(window)) >= _LEAST_DISTINCT}
        return [
            f"Avro at byte {at}"
            for at in range(len(data) - _WINDOW_BYTES + 1)
            if data[at : at + _WINDOW_BYTES] in windows
        ][:3]


def _core(encoded: bytes, shift: int) -> bytes:
    """Leave out the characters of base64 that depend on what stands before and after."""
    start = (0, 2, 3)[shift]
    text = encoded.rstrip(b"=")
    return text[start : len(text) - (1 if encoded.endswith(b"=") else 0)]


def _is_text(known: Field | None) -> bool:
    return known is not None and known.schema in ("string", ["null", "string"])


def _is_enum(known: Field | None) -> bool:
    return known is not None and "'enum'" in repr(known.schema) and known.within is None


def _spaced(identifier: str) -> str:
    """Write an NHS number as people do."""
    if len(identifier) == 10 and identifier.isdigit():
        return f"{identifier[:3]} {identifier[3:6]} {identifier[6:]}"
    return identifier.replace(" ", "") if " " in identifier else identifier


def _nhs_number(number: int) -> str:
    """Return a valid number of the test range: the first from here on with a check digit."""
    for candidate in count(number * 7):
        digits = f"999{candidate:06d}"
        check = 11 - sum(int(d) * w for d, w in zip(digits, range(10, 1, -1), strict=True)) % 11
        if check != 10:
            return digits + str(check % 11)
    raise AssertionError


_UPN_LETTERS = "ABCDEFGHJKLMNPQRTUVWXYZ"


def _upn(number: int) -> str:
    digits = f"330{21_000_000 + number * 31:08d}1"
    total = sum(int(d) * w for d, w in zip(digits, range(2, 14), strict=True))
    return _UPN_LETTERS[total % 23] + digits


def _pair(number: int) -> str:
    letters = "ABDEFGHJLNPQRSTUWXYZ"
    return letters[number // 20 % 20] + letters[number % 20]

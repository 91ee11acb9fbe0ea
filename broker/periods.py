"""From when to when: what ``--since`` and ``--until`` say."""

import contextlib
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import ClassVar, Final

from agreements.candidates import to_us
from schemas.errors import RejectedInput

_LAST_MS: Final = 2**62


class BadPeriod(RejectedInput):
    """The period that was asked about is none."""

    code: ClassVar[str] = "bad-period"


@dataclass(frozen=True, slots=True)
class Period:
    """When events were decided: ``since`` inclusive, ``until`` exclusive, None for open."""

    since: datetime | None = None
    until: datetime | None = None

    @classmethod
    def of(cls, since: str, until: str) -> "Period":
        """Read both ends, each a date (its midnight, UTC), a time of RFC 3339, or empty.

        Raises:
            BadPeriod: one is neither, or nothing lies between them.

        """
        found = cls(moment_of("--since", since), moment_of("--until", until))
        if found.since is not None and found.until is not None and found.since >= found.until:
            raise BadPeriod(
                f"--since {since} is not before --until {until}: nothing was decided in between"
            )
        return found

    def to_ms(self) -> tuple[int, int]:
        """Return both ends in milliseconds since the epoch."""
        first = 0 if self.since is None else _to_ms(self.since)
        return first, (_LAST_MS if self.until is None else _to_ms(self.until))


def _to_ms(moment: datetime) -> int:
    return -(-to_us(moment) // 1000)  # a decision's time has no smaller part


def moment_of(option: str, given: str) -> datetime | None:
    """Read one end as `Period.of` does; None where it is empty. Raises `BadPeriod`."""
    if not given:
        return None
    moment = None
    with contextlib.suppress(ValueError, OverflowError):
        if len(given) == len("2026-11-01"):
            moment = datetime.combine(date.fromisoformat(given), time(), UTC)
        else:
            read = datetime.fromisoformat(given)
            moment = read.astimezone(UTC) if read.tzinfo is not None else None
    if moment is None:
        raise BadPeriod(
            f"{option} {given[:40]!r} is neither a date nor a time with its zone:"
            " write 2026-11-01 or 2026-11-01T09:30:00Z"
        )
    return moment

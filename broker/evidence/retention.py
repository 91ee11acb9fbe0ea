"""How long decision records are kept: what the agreements say, and else the scheme.

A record tells of every recipient that an event might have gone to, so several agreements
may speak of it: it is kept as long as the longest of them asks. What nobody has set a
time for is kept. Pure: the caller brings the agreements and the time.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from agreements.signed import Version
from agreements.values import end_of

_DAYS: Final = {"Y": 365, "M": 28, "W": 7, "D": 1}
"""At least, of each unit of a calendar duration."""
_MARGIN: Final = timedelta(days=1)
"""A record is appended after it was decided, by another clock perhaps."""


@dataclass(frozen=True, slots=True)
class Period:
    """For how long, and who says so; the rule is what stands in place of a shredded record."""

    length: str
    rule: str


@dataclass(frozen=True, slots=True)
class Due:
    """When a record may go, and under which rule."""

    at: datetime
    rule: str


class Keeping:
    """The periods of all agreements by the hash that the parties signed."""

    def __init__(self, agreements: Mapping[bytes, Period | None], scheme: str | None) -> None:
        self._agreements = agreements
        self._scheme = (
            None if scheme is None else Period(scheme, f"retention {scheme} of the scheme")
        )

    @classmethod
    def of(cls, versions: Iterable[Version], scheme: str | None) -> "Keeping":
        """Return what the versions on ``control`` say; ``scheme`` is for all that say nothing."""
        return cls({bytes.fromhex(one.sha256): _said_by(one) for one in versions}, scheme)

    def due(self, decision: Mapping[str, Any]) -> Due | None:
        """Return when a decision record may go; None when it is kept without an end.

        That is also where its agreement is none that is known here.
        """
        latest: Due | None = None
        for hash_ in {candidate["hash"] for candidate in decision["candidates"]} or {b""}:
            period = self._period(hash_)
            end = None if period is None else end_of(period.length, decision["decidedAt"])
            if period is None or end is None:
                return None
            # Of two that end together the one whose rule comes first, so that it is one.
            if latest is None or (end, latest.rule) > (latest.at, period.rule):
                latest = Due(end, period.rule)
        return latest

    def newest_due(self, at: datetime) -> datetime | None:
        """Return a time after which no record can be due; None when none ever is."""
        periods = [one for one in (*self._agreements.values(), self._scheme) if one is not None]
        if not periods:
            return None
        shortest = min(_least(one.length) for one in periods)
        return at - shortest + _MARGIN

    def _period(self, hash_: bytes) -> Period | None:
        if not hash_:  # no agreement names a recipient
            return self._scheme
        if hash_ not in self._agreements:
            return None
        return self._agreements[hash_] or self._scheme


def _said_by(version: Version) -> Period | None:
    agreement = version.agreement
    if agreement is None or agreement.evidence.records is None:
        return None
    length = agreement.evidence.records
    return Period(length, f"retention {length} of {agreement.id} version {agreement.version}")


def _least(length: str) -> timedelta:
    return timedelta(
        sum(int(number) * _DAYS[unit] for number, unit in re.findall(r"([0-9]+)([YMWD])", length))
    )

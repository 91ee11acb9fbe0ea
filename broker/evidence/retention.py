"""How long decision records are kept: what the agreements say, and else the scheme.

A record tells of every recipient that an event might have gone to, so several agreements
may speak of it: it is kept as long as the longest of them asks. What nobody has set a
time for is kept. Pure: the caller brings the agreements and the time.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from agreements.signed import Version
from agreements.values import end_of

_DAY: Final = timedelta(days=1)


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
        self._known_lengths: dict[frozenset[bytes], tuple[str, ...]] = {}
        self._scheme = (
            None if scheme is None else Period(scheme, f"retention {scheme} of the scheme")
        )

    @classmethod
    def of(cls, versions: Iterable[Version], scheme: str | None) -> "Keeping":
        """Return what the versions on ``control`` say; ``scheme`` is for all that say nothing."""
        return cls({bytes.fromhex(one.sha256): _said_by(one) for one in versions}, scheme)

    @property
    def has_end(self) -> bool:
        """Whether anything is ever due."""
        return any((*self._agreements.values(), self._scheme))

    def due(self, agreements: frozenset[bytes], decided_at: datetime) -> Due | None:
        """Return when a record may go that was decided under the texts with these hashes.

        None when it is kept without an end, as where its agreement is none that is known
        here. The hash of no agreement is empty; without any it is the same.
        """
        latest: Due | None = None
        for hash_ in agreements or {b""}:
            period = self._period(hash_)
            end = None if period is None else end_of(period.length, decided_at)
            if period is None or end is None:
                return None
            # Of two that end together the one whose rule comes first, so that it is one.
            if latest is None or (end, latest.rule) > (latest.at, period.rule):
                latest = Due(end, period.rule)
        return latest

    def can_be_due(
        self, agreements: Iterable[frozenset[bytes]], decided_from: datetime, at: datetime
    ) -> bool:
        """Whether something can be due that was decided then or later, under one of these sets.

        True may be said of what is due within a day.
        """
        for lengths in {self._lengths(one) for one in agreements} - {()}:
            ends = [end_of(length, decided_from) for length in lengths]
            # Of two decisions the later one may be due earlier, on the same day: a month
            # after 30 January 10:00 and after 31 January 9:00 is 28 February, at those times.
            if all(end is not None and end - _DAY <= at for end in ends):
                return True
        return False

    def _lengths(self, agreements: frozenset[bytes]) -> tuple[str, ...]:
        """Return the different periods of agreements; none when one of them has no end."""
        known = self._known_lengths.get(agreements)
        if known is None:
            periods = [self._period(hash_) for hash_ in agreements or {b""}]
            lengths = {one.length for one in periods if one is not None}
            known = () if None in periods else tuple(sorted(lengths))
            self._known_lengths[agreements] = known
        return known

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

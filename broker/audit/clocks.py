"""By when the law wants an answer: to a subject access request, and after a breach.

The caller passes the time in. Days are calendar days; bank holidays are not known here, and
one on the last day gives a day more (Regulation 1182/71 Art 3(4)), so the days below are
never too late.

Sources:
- UK GDPR Art 12(3) and Art 12A (inserted by the Data (Use and Access) Act 2025 s. 76):
  one month beginning with the relevant time, two months more where requests are complex or
  many, and no time while the person is asked what the request is about. DPA 2018 s. 54 says
  the same of law enforcement.
- ICO, *Right of access*: the month ends on the corresponding day of the next month, on its
  last day where there is none, and on the next working day after a weekend.
- UK GDPR Art 33(1), DPA 2018 s. 67: 72 hours from becoming aware.
"""

from calendar import monthrange
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

NOTICE: Final = timedelta(hours=72)
"""To the Commissioner, from becoming aware (UK GDPR Art 33(1); DPA 2018 s. 67(1))."""
_DAY: Final = timedelta(days=1)
_SATURDAY: Final = 5

Days = tuple[date, date]
"""First and last day, both included."""


@dataclass(frozen=True, slots=True)
class AnswerBy:
    """The days of one request. ``ends_on`` and ``extended_to`` may be a weekend.

    ``starts_on`` is the relevant time. The notice that more time is taken must be given by
    ``ends_on``, whatever day that is.
    """

    starts_on: date
    ends_on: date
    extended_to: date
    is_extended: bool

    @property
    def due(self) -> date:
        """The day that the answer is due, never a Saturday or Sunday."""
        return working_day(self.extended_to if self.is_extended else self.ends_on)

    def days_left(self, today: date) -> int:
        """Return how many days there are; negative when it is overdue."""
        return (self.due - today).days


def answer_by(
    received: date,
    *,
    identity_shown: date | None = None,
    asked: Iterable[Days] = (),
    is_extended: bool = False,
) -> AnswerBy:
    """Return by when a request is to be answered.

    ``identity_shown`` is the day on which what was asked about the person's identity came
    (Art 12(6)); ``asked`` are the days from asking what is meant to the answer to that,
    which do not count (Art 12A(5)).
    """
    starts_on = received if identity_shown is None else max(received, identity_shown)
    pauses = _merged(asked)
    return AnswerBy(
        starts_on,
        _without(months_later(starts_on, 1), starts_on, pauses),
        _without(months_later(starts_on, 3), starts_on, pauses),
        is_extended,
    )


def months_later(day: date, months: int) -> date:
    """Return the corresponding day of a later month, or that month's last day."""
    month = day.month - 1 + months
    year, month = day.year + month // 12, month % 12 + 1
    return date(year, month, min(day.day, monthrange(year, month)[1]))


def working_day(day: date) -> date:
    """Return the day itself, or the Monday after a weekend."""
    while day.weekday() >= _SATURDAY:
        day += _DAY
    return day


def notice_due(aware_at: datetime, hours: int | None = None) -> datetime:
    """Return when a notice is due: the Commissioner's, or that of an agreement in ``hours``."""
    return aware_at + (NOTICE if hours is None else timedelta(hours=hours))


def _merged(pauses: Iterable[Days]) -> list[Days]:
    """Return stretches of days in order, none of which overlap."""
    found: list[Days] = []
    for first, last in sorted(pauses):
        if last < first:
            raise ValueError("expected the last day not to be before the first")
        if found and first <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], last))
        else:
            found.append((first, last))
    return found


def _without(end: date, start: date, pauses: list[Days]) -> date:
    """Return the end of a period that starts on ``start``, with the days that do not count."""
    for first, last in pauses:
        counted = max(first, start)
        if counted <= end and counted <= last:
            end += last - counted + _DAY
    return end

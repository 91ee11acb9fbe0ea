"""When a version is to be looked at again, and whether it is being looked at."""

import calendar
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from agreements.candidates import to_us
from agreements.model import Agreement
from agreements.signatures import SignatureType, Statement
from agreements.signed import Version

_PERIOD: Final = re.compile(
    r"P(?:(?P<years>\d+)Y)?(?:(?P<months>\d+)M)?(?:(?P<weeks>\d+)W)?(?:(?P<days>\d+)D)?"
)


@dataclass(frozen=True, slots=True)
class Reviewing:
    """``is_open`` while the version is under review; ``due_at`` is when the next is due."""

    is_open: bool
    due_at: datetime | None


def reviewing_of(text: Agreement, version: Version, *, at: int) -> Reviewing:
    """Return where the reviews of a version stand at ``at``.

    A review that is done ends every one that was opened before it, and sets the next date:
    the one it gives, else so long after it as the agreement says.
    """
    said = [
        one.statement
        for by in version.said.values()
        for one in by
        if one.is_believed and to_us(one.statement.takes_effect_at) <= at
    ]
    opened = [one for one in said if one.type is SignatureType.REVIEW]
    done = [one for one in said if one.type is SignatureType.REVIEWED]
    last_done = max(done, key=lambda one: one.takes_effect_at, default=None)
    is_open = any(
        last_done is None or one.takes_effect_at > last_done.takes_effect_at for one in opened
    )
    return Reviewing(is_open, _due(text, last_done))


def _due(text: Agreement, last_done: Statement | None) -> datetime | None:
    if last_done is not None and last_done.review_by is not None:
        return last_done.review_by
    if last_done is not None and text.review.every is not None:
        return _later(last_done.takes_effect_at, text.review.every)
    if last_done is not None and text.effective.review_by is not None:
        # Done, and nobody said when next: the date in the text counts while it is to come.
        is_over = text.effective.review_by <= last_done.takes_effect_at
        return None if is_over else text.effective.review_by
    return text.effective.review_by


def _later(moment: datetime, period: str) -> datetime | None:
    """Add a calendar duration (ISO 8601): months first, to the last day of a shorter month."""
    match = _PERIOD.fullmatch(period)
    parts = {unit: int(n or 0) for unit, n in match.groupdict().items()} if match else {}
    months = moment.month - 1 + parts.get("months", 0)
    year, month = moment.year + parts.get("years", 0) + months // 12, months % 12 + 1
    try:
        day = min(moment.day, calendar.monthrange(year, month)[1])
        return moment.replace(year=year, month=month, day=day) + timedelta(
            weeks=parts.get("weeks", 0), days=parts.get("days", 0)
        )
    except (ValueError, OverflowError, calendar.IllegalMonthError):
        return None  # beyond the calendar: never

"""Weigh a changed value: does it widen, narrow or only reword?

- **widens**: more could be shared, or a duty could be lighter or fall on somebody else;
- **narrows**: less is shared, or a duty is stricter;
- **rewords**: every event is decided the same, and the duties are the same.

What could be either way widens. Which judge weighs which field is in `agreements.comparing.terms`.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from agreements.values import to_duration
from agreements.words import plain


class Effect(StrEnum):
    """Which way a change goes."""

    WIDENS = "widens"
    NARROWS = "narrows"
    REWORDS = "rewords"


WIDENS, NARROWS, REWORDS = Effect.WIDENS, Effect.NARROWS, Effect.REWORDS
Words = Callable[[Any], str]
Judge = Callable[[Any, Any], Effect]


@dataclass(frozen=True, slots=True)
class Term:
    """A field with one value. ``label`` says what it is; ``judge`` weighs old and new.

    ``words`` puts a value into words. ``runs``: the engine decides by it. ``is_formal``:
    every new version changes it.
    """

    label: str
    judge: Judge
    words: Words = plain
    runs: bool = False
    is_formal: bool = False


@dataclass(frozen=True, slots=True)
class Members:
    """A field with several values in no order of rank, each added or removed by itself."""

    label: str
    added: Effect = WIDENS
    removed: Effect = WIDENS
    words: Words = plain
    runs: bool = False


@dataclass(frozen=True, slots=True)
class Parts:
    """A part, or a list of parts that are known by the fields of ``key``."""

    label: str
    key: tuple[str, ...] = ()
    added: Effect = WIDENS
    removed: Effect = WIDENS
    runs: bool = False


@dataclass(frozen=True, slots=True)
class Apart:
    """A field that is compared elsewhere, or that tells parts from each other."""


Known = Term | Members | Parts | Apart


def either(_old: Any, _new: Any) -> Effect:
    """It cannot be told, so it widens."""
    return WIDENS


def reworded(_old: Any, _new: Any) -> Effect:
    """No decision and no duty depends on it."""
    return REWORDS


def ranked(*from_least: Any) -> Judge:
    """Judge by rank, the narrowest first; a value without a rank could be either way."""

    def judge(old: Any, new: Any) -> Effect:
        if old not in from_least or new not in from_least:
            return WIDENS
        return NARROWS if from_least.index(new) < from_least.index(old) else WIDENS

    return judge


def less_from(widest: Any) -> Judge:
    """Judge what is widest at one value: leaving it narrows, all else could be either way."""
    return lambda old, _new: NARROWS if old == widest else WIDENS


def less_at(narrowest: Any) -> Judge:
    """Judge what is narrowest at one value: coming to it narrows, all else could be either way."""
    return lambda _old, new: NARROWS if new == narrowest else WIDENS


def later_narrows(old: Any, new: Any) -> Effect:
    """Judge a start, or a least number; none is no bound."""
    return NARROWS if new is not None and (old is None or new > old) else WIDENS


def sooner_narrows(old: Any, new: Any) -> Effect:
    """Judge an end, or a greatest number; none is no bound."""
    return NARROWS if new is not None and (old is None or new < old) else WIDENS


def shorter_narrows(old: str | None, new: str | None) -> Effect:
    """Judge exact durations; none is no bound."""
    if old is None or new is None:
        return NARROWS if old is None else WIDENS
    before, after = to_duration(old), to_duration(new)
    if before == after:
        return REWORDS
    return NARROWS if after < before else WIDENS


def sooner_due(old: str | None, new: str | None) -> Effect:
    """Judge calendar durations; none is never. A month has 28 to 31 days: some cannot be told."""
    if old is None or new is None:
        return NARROWS if old is None else WIDENS
    before, after = _months_and_days(old), _months_and_days(new)
    if before == after:
        return REWORDS
    is_shorter = all(a <= b for a, b in zip(after, before, strict=True))
    return NARROWS if is_shorter or _days(after, 31) <= _days(before, 28) else WIDENS


def _days(amounts: tuple[int, int], days_of_month: int) -> int:
    months, days = amounts
    return months * days_of_month + days


def _months_and_days(text: str) -> tuple[int, int]:
    amounts = {unit: int(number) for number, unit in re.findall(r"([0-9]+)([YMWD])", text)}
    return (
        12 * amounts.get("Y", 0) + amounts.get("M", 0),
        7 * amounts.get("W", 0) + amounts.get("D", 0),
    )


def fewer_narrows(old: tuple[str, ...], new: tuple[str, ...]) -> Effect:
    """Judge a list of those who may; none at all is anybody."""
    before, after = set(old), set(new)
    if before == after:
        return REWORDS
    return NARROWS if after and (not before or after < before) else WIDENS

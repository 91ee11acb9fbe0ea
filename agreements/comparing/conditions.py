"""What changes of a flow's conditions, in sentences."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from agreements.comparing.changes import Change, sentence
from agreements.comparing.narrowing import (
    implies,
    is_same_test,
    is_written_alike,
    lets_no_more_through,
    reviews_no_more,
)
from agreements.comparing.weighing import NARROWS, REWORDS, WIDENS, Effect
from agreements.model import Condition
from agreements.words import condition, otherwise


def condition_changes(
    old: Sequence[Condition], new: Sequence[Condition], *, path: str, former: str, place: str
) -> Iterator[Change]:
    """Return what changed; ``path`` and ``former`` are where the lists stand, new and old."""
    if len(old) == len(new) and all(map(is_written_alike, old, new)):
        return
    both = _Both(tuple(old), tuple(new), path, former, place)
    found = [*both.matched(), *both.added()]
    yield from found
    yield from both.together(found)


@dataclass(frozen=True, slots=True)
class _Both:
    old: tuple[Condition, ...]
    new: tuple[Condition, ...]
    path: str
    former: str
    place: str

    def matched(self) -> Iterator[Change]:
        """Return what became of each old condition."""
        for number, before in enumerate(self.old):
            at = self._successor(before)
            if at is None:
                text = f"it is no longer a condition that {condition(before)}"
                yield self._said(WIDENS, "condition-dropped", text, f"{self.former}[{number}]")
            else:
                yield from self._succeeded(before, self.new[at], f"{self.path}[{at}]")

    def _succeeded(self, before: Condition, after: Condition, path: str) -> Iterator[Change]:
        if is_same_test(before, after):
            if before.otherwise != after.otherwise:
                effect = WIDENS if after.otherwise == "review" else NARROWS
                text = f"unless {condition(after)}, {otherwise(after)}; before, {otherwise(before)}"
                yield self._said(effect, "condition-otherwise", text, path)
            return
        is_stricter = implies(after, before)
        yield self._said(
            NARROWS if is_stricter else WIDENS,
            "condition-stricter" if is_stricter else "condition-changed",
            f"it is a condition that {condition(after)}; before, that {condition(before)}",
            path,
        )

    def _successor(self, before: Condition) -> int | None:
        """Return which condition stands for an old one: the same, a stricter one, or another."""
        tests: tuple[Callable[[Condition], bool], ...] = (
            lambda after: is_written_alike(after, before),
            lambda after: is_same_test(before, after),
            lambda after: implies(after, before),
            lambda after: after.item == before.item and not self._is_old(after),
        )
        for test in tests:
            for number, after in enumerate(self.new):
                if test(after):
                    return number
        return None

    def _is_old(self, after: Condition) -> bool:
        return any(is_same_test(after, one) for one in self.old)

    def added(self) -> Iterator[Change]:
        """Return the conditions that stand for no old one."""
        successors = {self._successor(before) for before in self.old}
        for number, after in enumerate(self.new):
            if number not in successors and not self._is_old(after):
                text = f"it becomes a condition that {condition(after)}; otherwise "
                path = f"{self.path}[{number}]"
                yield self._said(NARROWS, "condition-added", text + otherwise(after), path)

    def together(self, found: Sequence[Change]) -> Iterator[Change]:
        """Return what follows from their order, and whatever no sentence so far covers."""
        widening = {change.kind for change in found if change.effect is WIDENS}
        if not lets_no_more_through(self.old, self.new):
            if not widening:
                text = "the conditions change so that they could let more through"
                yield self._said(WIDENS, "condition-changed", text)
        elif not reviews_no_more(self.old, self.new):
            if "condition-otherwise" not in widening:
                text = "some events that were refused could be put before a person, because "
                text += "the conditions are looked at in another order"
                yield self._said(WIDENS, "condition-order", text)
        elif not found:
            is_same = lets_no_more_through(self.new, self.old) and reviews_no_more(
                self.new, self.old
            )
            text = "the conditions are written differently and let "
            text += "the same through" if is_same else "no more through"
            yield self._said(REWORDS if is_same else NARROWS, "condition-order", text)

    def _said(self, effect: Effect, kind: str, text: str, path: str | None = None) -> Change:
        return Change(effect, kind, path or self.path, sentence(self.place, text), runs=True)

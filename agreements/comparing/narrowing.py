"""Which of two rules lets less through: conditions, and the form that an item is shared in.

Every answer is on the safe side. "Yes" means that for every event the new rule lets
through no more than the old one; where that cannot be shown from the texts and the
schemas, the answer is "no".
"""

from collections.abc import Sequence
from datetime import date
from typing import Any, Final

from agreements.model import Condition, Generalise, Item
from schemas.catalogue import Field

_EXACT: Final = "exact"
# What each form tells: itself and every form that could be made from it.
_TELLS: Final[dict[str, frozenset[str]]] = {
    "drop": frozenset(),
    "mask": frozenset({"mask"}),
    "pseudonym": frozenset({"pseudonym", "mask"}),
    "year": frozenset({"year", "mask"}),
    "month": frozenset({"month", "year", "mask"}),
    "age-band": frozenset({"age-band", "mask"}),
    "postcode-district": frozenset({"postcode-district", "mask"}),
    "postcode-sector": frozenset({"postcode-sector", "postcode-district", "mask"}),
    _EXACT: frozenset(
        {
            _EXACT,
            "pseudonym",
            "year",
            "month",
            "age-band",
            "postcode-sector",
            "postcode-district",
            "mask",
        }
    ),
}
_Values = frozenset[tuple[type, Any]]
_POSTCODES: Final = frozenset({"postcode-sector", "postcode-district"})
_DATES: Final = frozenset({"year", "month", "age-band"})


def form(item: Item) -> str:
    """Return the name of the form that an item is shared in."""
    if isinstance(item.transform, Generalise):
        return item.transform.generalise
    return item.transform or _EXACT


def tells_no_more(old: Item, new: Item, fields: Sequence[Field]) -> bool:
    """Whether the new form tells no more of any value, and is withheld whenever the old one was.

    ``fields`` are those at the item's path in the schemas concerned; none means unknown.
    """
    before, after = form(old), form(new)
    if after in (before, "drop"):
        return True
    return after in _TELLS[before] and _is_withheld_as_often(before, after, fields)


def _is_withheld_as_often(before: str, after: str, fields: Sequence[Field]) -> bool:
    # A form that cannot be made of a value is withheld; one that always can be must not
    # take its place. A postcode form is made of valid postcodes, whatever the field is.
    if before in _POSTCODES and after not in _POSTCODES:
        return bool(fields) and all(field.identifier == "postcode" for field in fields)
    if after in _POSTCODES and before not in _POSTCODES:
        return bool(fields) and all(field.identifier in (None, "postcode") for field in fields)
    if before in _DATES:
        return after in _DATES
    return True


def is_written_alike(one: Condition, other: Condition) -> bool:
    """Whether two conditions are the same to the letter; `true` is not 1, as it is in Python."""
    return _written(one) == _written(other)


def _written(condition: Condition) -> tuple[str, str, _Values, str]:
    return condition.item, condition.operator, _values(condition), condition.otherwise


def is_same_test(one: Condition, other: Condition) -> bool:
    """Whether two conditions hold for the same events, whatever happens otherwise."""
    return implies(one, other) and implies(other, one)


def implies(new: Condition, old: Condition) -> bool:
    """Whether ``old`` surely holds for every event for which ``new`` holds."""
    if new.item != old.item:
        return False
    if new.operator == old.operator and _values(new) == _values(old):
        return True
    if new.operator in ("before", "after"):
        return _implied_by_date(new, old)
    if new.operator == "not_in":
        return old.operator == "not_in" and _values(new) >= _values(old)
    if new.operator in ("equals", "in"):
        return _implied_by_values(new, old)
    return False


def _implied_by_date(new: Condition, old: Condition) -> bool:
    if old.operator == "present":
        return old.present is True
    if new.operator == old.operator == "before":
        return bool(new.operand <= old.operand)
    return new.operator == old.operator == "after" and bool(new.operand >= old.operand)


def _implied_by_values(new: Condition, old: Condition) -> bool:
    wanted = _values(new)
    if old.operator == "present":
        # An empty text equals "" and still counts as absent.
        return old.present is True and (str, "") not in wanted
    if not _is_meaningful_with(wanted, _values(old)):
        return False
    if old.operator in ("equals", "in"):
        return wanted <= _values(old)
    return old.operator == "not_in" and not wanted & _values(old)


def _values(condition: Condition) -> _Values:
    # With their types: True equals 1 in Python, and no item is either.
    operand = condition.operand
    given = operand if isinstance(operand, tuple) else (operand,)
    return frozenset((type(value), value) for value in given)


def _is_meaningful_with(wanted: _Values, others: _Values) -> bool:
    """Whether ``others`` can be put to every item that one of ``wanted`` can be put to.

    One value without a meaning for the item makes a whole condition hold never.
    """
    kinds = {kind for kind, _ in wanted}
    if len(kinds) != 1 or {kind for kind, _ in others} - kinds:
        return False
    may_be_date = any(_is_date(value) for _, value in wanted)
    return not may_be_date or all(_is_date(value) for _, value in others)


def _is_date(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    try:
        date.fromisoformat(value)
    except ValueError:
        return False
    return True


def lets_no_more_through(old: Sequence[Condition], new: Sequence[Condition]) -> bool:
    """Whether all old conditions hold wherever all new ones do."""
    return all(any(implies(after, before) for after in new) for before in old)


def reviews_no_more(old: Sequence[Condition], new: Sequence[Condition]) -> bool:
    """Whether no event that was refused by a condition is now put before a person.

    The first condition that does not hold decides. A new review clause is harmless when
    each old clause that refuses either surely holds by then, or came after an old review
    clause that fails whenever the new one does.
    """
    return all(
        _is_harmless_review(clause, new[:place], old)
        for place, clause in enumerate(new)
        if clause.otherwise == "review"
    )


def _is_harmless_review(
    clause: Condition, passed: Sequence[Condition], old: Sequence[Condition]
) -> bool:
    for before in old:
        if before.otherwise == "review":
            if implies(before, clause):
                return True  # it decided already, before the clauses that follow
        elif not any(implies(one, before) for one in passed):
            return False
    return True

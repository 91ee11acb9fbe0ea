"""Do items, conditions and transforms fit the events that they are about?"""

from collections.abc import Iterator
from typing import Any, Final

from agreements.law.rule import CODE_OF_PRACTICE, PRODUCT, UKGDPR, Finding, FlowView, Rules
from agreements.model import Condition
from agreements.problems import nearest
from agreements.transforms import NotTransformable, compile_transform
from agreements.values import is_day
from schemas.avro import kind_of, logical_of
from schemas.catalogue import EventType, Sensitivity

RULES: Final = Rules()

_OTHER_PEOPLE: Final = frozenset(
    {Sensitivity.THIRD_PARTY, Sensitivity.REFERRER, Sensitivity.ADOPTION}
)
_ANY_KEY: Final = bytes(32)  # only the fit is asked for, nothing is transformed
_DATED: Final = frozenset({"date", "timestamp-millis", "timestamp-micros"})
_TEXT: Final = frozenset({"string", "enum"})
_NUMBERS: Final = frozenset({"int", "long"})


@RULES.flow("unknown-event", "A flow shares events that are in the catalogue", source=PRODUCT)
def _events(view: FlowView) -> Iterator[Finding]:
    for index, name in enumerate(view.flow.events):
        if name not in view.event_types:
            yield Finding(
                f"{view.path}.events[{index}]",
                f"the catalogue has no event type `{name}`",
                "check the name and version, or add its schema",
            )
    feedback = view.flow.feedback
    if feedback is not None and feedback not in view.catalogue:
        yield Finding(
            f"{view.path}.feedback",
            f"the catalogue has no event type `{feedback}`",
            "check the name and version, or add its schema",
        )


@RULES.flow("schema-range", "The range of schema revisions is not empty", source=PRODUCT)
def _range(view: FlowView) -> Iterator[Finding]:
    schemas = view.flow.schemas
    if schemas.max is not None and schemas.max < schemas.min:
        yield Finding(
            f"{view.path}.schemas.max", "expected a max not below min", "correct the range"
        )


@RULES.flow(
    "schema-not-covered",
    "An event whose schema is newer than the range is not shared",
    source=PRODUCT,
    severity="warning",
)
def _covered(view: FlowView) -> Iterator[Finding]:
    schemas = view.flow.schemas
    for name in view.event_types:
        latest = view.catalogue.latest(name).revision
        if schemas.min > latest or (schemas.max is not None and schemas.max < latest):
            yield Finding(
                f"{view.path}.schemas",
                f"the latest revision of {name} is {latest}, outside the range",
                "agree on the new revision in a new version of the agreement",
            )


@RULES.flow("unknown-item", "An item is in every event of its flow", source=PRODUCT)
def _items(view: FlowView) -> Iterator[Finding]:
    paths = [(f"{path}.path", item.path) for path, item in view.items]
    for index, condition in enumerate(view.flow.when):
        paths.append((f"{view.path}.when[{index}].item", condition.item))
    for name, event_type in view.event_types.items():
        for place, path in paths:
            if path not in event_type.by_path and not _inside(event_type, path):
                meant = nearest(path, event_type.by_path)
                remedy = f"did you mean `{meant}`?" if meant else "see the event's documentation"
                yield Finding(place, f"{name} has no item `{path}`", remedy)


@RULES.flow(
    "item-too-wide",
    "An item is one piece of information, not a record of several",
    source=f"{UKGDPR}/article/5",
)
def _leaves(view: FlowView) -> Iterator[Finding]:
    for place, item in view.items:
        for event_type in view.event_types.values():
            if inside := _inside(event_type, item.path):
                yield Finding(
                    f"{place}.path",
                    f"`{item.path}` holds several items",
                    f"list those that are needed: {', '.join(inside)}",
                )
                break


def _inside(event_type: EventType, path: str) -> list[str]:
    return [known for known in event_type.by_path if known.startswith(f"{path}.")]


@RULES.flow("transform-misfit", "A transform fits the type of its item", source=PRODUCT)
def _transforms(view: FlowView) -> Iterator[Finding]:
    for place, item in view.items:
        if item.transform is None or item.transform == "drop":
            continue
        for found in view.fields(item.path):
            try:
                compile_transform(
                    item, _type(found.schema), identifier=found.identifier, key=_ANY_KEY
                )
            except NotTransformable as misfit:
                yield Finding(f"{place}.transform", str(misfit), "use another transform")
                break


@RULES.flow("required-dropped", "An item that is required is shared in some form", source=PRODUCT)
def _required(view: FlowView) -> Iterator[Finding]:
    for place, item in view.items:
        if item.required and item.transform == "drop":
            yield Finding(place, "the item is required and dropped", "remove one of the two")


@RULES.flow("condition-misfit", "A condition compares like with like", source=PRODUCT)
def _conditions(view: FlowView) -> Iterator[Finding]:
    for index, condition in enumerate(view.flow.when):
        for found in view.fields(condition.item):
            within = "lies in a list" if found.within is not None else None
            expected = within or _misfit(condition, _type(found.schema))
            if expected is not None:
                yield Finding(
                    f"{view.path}.when[{index}]",
                    f"`{condition.item}` {expected}",
                    "correct the value or the operator",
                )
                break


def _misfit(condition: Condition, found: Any) -> str | None:
    """Return what the condition's item is, when that cannot be compared so."""
    if condition.operator == "present":
        return None
    if condition.operator in ("before", "after"):
        return None if logical_of(found) in _DATED else "is not a date or a time"
    operand = condition.operand
    return _misfit_value(found, operand if isinstance(operand, tuple) else (operand,))


def _misfit_value(found: Any, values: tuple[object, ...]) -> str | None:
    kind = kind_of(found)
    if kind in _TEXT:
        return _misfit_text(found, values)
    if kind == "boolean":
        return None if all(isinstance(v, bool) for v in values) else "is true or false"
    if logical_of(found) == "date":
        return None if all(map(is_day, values)) else "is a date: write it as 2026-04-01"
    if kind in _NUMBERS and logical_of(found) is None:
        whole = all(isinstance(v, int) and not isinstance(v, bool) for v in values)
        return None if whole else "is a whole number"
    return "cannot be compared with a value: use present, before or after"


def _misfit_text(found: Any, values: tuple[object, ...]) -> str | None:
    if not all(isinstance(value, str) for value in values):
        return "is text: put the value in quotes"
    symbols = found.get("symbols") if isinstance(found, dict) else None
    if symbols is not None and (unknown := sorted(map(str, set(values) - set(symbols)))):
        return f"never is {', '.join(unknown)}: it is one of {', '.join(symbols)}"
    return None


@RULES.flow(
    "free-text",
    "Free text is shared only when it is said and justified",
    source=CODE_OF_PRACTICE,
    legal=True,
)
def _free_text(view: FlowView) -> Iterator[Finding]:
    for place, item in view.shared:
        if view.is_free_text(item) and not item.free_text:
            yield Finding(
                place,
                f"`{item.path}` is free text, which may say anything about anyone",
                "take it out, or add free_text: true and a justification",
            )
        if item.free_text and item.justification is None:
            yield Finding(
                place, f"expected why `{item.path}` is needed as free text", "add justification"
            )


@RULES.flow(
    "free-text-review",
    "Where free text is shared, what is in doubt goes before a person",
    source=CODE_OF_PRACTICE,
)
def _free_text_review(view: FlowView) -> Iterator[Finding]:
    texts = [(place, item) for place, item in view.shared if item.free_text]
    if texts and not any(condition.otherwise == "review" for condition in view.flow.when):
        place, item = texts[0]
        yield Finding(
            place,
            f"`{item.path}` is free text and no condition of the flow sends a doubt to a person",
            "add to when a condition with otherwise: review; "
            f"{{item: {item.path}, present: false, otherwise: review}} has every text read first",
        )


@RULES.flow(
    "free-text-unneeded",
    "Only free text is marked as free text",
    source=PRODUCT,
    severity="warning",
)
def _not_free_text(view: FlowView) -> Iterator[Finding]:
    for place, item in view.items:
        known = any(view.fields(item.path))
        if item.free_text and known and not view.is_free_text(item):
            yield Finding(place, f"`{item.path}` is not free text", "remove free_text")


@RULES.flow(
    "justification-missing",
    "An item about someone else, or about adoption, says why it is needed",
    source=f"{UKGDPR}/article/5",
    legal=True,
)
def _justification(view: FlowView) -> Iterator[Finding]:
    for place, item in view.shared:
        labels = view.sensitivity(item) & _OTHER_PEOPLE
        if labels and item.justification is None:
            yield Finding(
                place,
                f"`{item.path}` is {', '.join(sorted(labels))} information",
                "add justification: why this recipient cannot do without it",
            )


def _type(schema: Any) -> Any:
    """Return the type of a field without null."""
    if isinstance(schema, list):
        branches = [branch for branch in schema if branch != "null"]
        return branches[0] if len(branches) == 1 else schema
    return schema

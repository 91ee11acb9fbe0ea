"""What a rule is, and what it may look at.

A rule is a small function with a stable code, a title and its source. It yields a
finding for each place that breaks it. ``legal`` marks the rules that say whether
both sides of a flow have a complete legal basis: the engine refuses a flow that
breaks one of these, whoever signed it.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, NamedTuple

from agreements.model import Agreement, Flow, Item, LegalBasis, Purpose
from agreements.problems import Severity
from schemas.catalogue import Catalogue, EventType, Field, Sensitivity
from schemas.framing import UnknownSchema

UKGDPR: Final = "https://www.legislation.gov.uk/eur/2016/679"
DPA: Final = "https://www.legislation.gov.uk/ukpga/2018/12"
CODE_OF_PRACTICE: Final = (
    "https://ico.org.uk/for-organisations/uk-gdpr-guidance-and-resources/"
    "data-sharing/data-sharing-a-code-of-practice/"
)
PRODUCT: Final = "Concordat: what the engine can carry out"

# UK GDPR Art 9(1): health data is special category, whatever else a schema calls it.
SPECIAL: Final = frozenset({Sensitivity.SPECIAL, Sensitivity.CONFIDENTIAL_HEALTH})


class Finding(NamedTuple):
    """A place that breaks a rule, why, and what would mend it."""

    path: str
    message: str
    remedy: str


@dataclass(frozen=True)
class FlowView:
    """One flow with what its rules look things up in; ``path`` is its place."""

    agreement: Agreement
    index: int
    flow: Flow
    catalogue: Catalogue

    @property
    def path(self) -> str:
        """The flow's place in the document."""
        return f"flows[{self.index}]"

    @cached_property
    def covered(self) -> Mapping[str, tuple[EventType, ...]]:
        """The revisions that the flow covers of each of its event types in the catalogue.

        Where it covers none, the latest stands in, so that the other rules have their say.
        """
        found = {}
        schemas = self.flow.schemas
        for name in self.flow.events:
            try:
                revisions = self.catalogue.revisions(name)
            except UnknownSchema:
                continue  # reported by the rule `unknown-event`
            newest = revisions[-1].revision if schemas.max is None else schemas.max
            inside = tuple(r for r in revisions if schemas.min <= r.revision <= newest)
            found[name] = inside or revisions[-1:]
        return found

    @property
    def event_types(self) -> Mapping[str, EventType]:
        """The latest covered revision of each event type."""
        return {name: revisions[-1] for name, revisions in self.covered.items()}

    def fields(self, path: str) -> Iterator[Field]:
        """Yield the field of that path in each revision that has it."""
        for revisions in self.covered.values():
            for event_type in revisions:
                if path in event_type.by_path:
                    yield event_type.by_path[path]

    @property
    def items(self) -> Iterator[tuple[str, Item]]:
        """Each item with its place."""
        for index, item in enumerate(self.flow.items):
            yield f"{self.path}.items[{index}]", item

    @property
    def shared(self) -> Iterator[tuple[str, Item]]:
        """Each item that reaches the recipient, in whatever form, with its place."""
        return ((path, item) for path, item in self.items if item.transform != "drop")

    @cached_property
    def _labels(self) -> Mapping[str, frozenset[Sensitivity]]:
        return {
            item.path: frozenset().union(*(f.sensitivity for f in self.fields(item.path)))
            for item in self.flow.items
        }

    def sensitivity(self, item: Item) -> frozenset[Sensitivity]:
        """Return the labels that the event schemas give to the item."""
        return self._labels[item.path]

    def is_free_text(self, item: Item) -> bool:
        """Whether an event schema says that the item is free text."""
        return any(found.free_text for found in self.fields(item.path))

    def first_shared(self, labels: frozenset[Sensitivity]) -> Item | None:
        """Return the first item that reaches the recipient and has one of the labels."""
        return next((item for _, item in self.shared if self.sensitivity(item) & labels), None)

    @property
    def sides(self) -> tuple[tuple[str, str, LegalBasis], ...]:
        """Both sides: its name, its place and its legal basis."""
        legal = self.flow.legal
        return (
            ("provider", f"{self.path}.legal.provider", legal.provider),
            ("recipient", f"{self.path}.legal.recipient", legal.recipient),
        )

    @property
    def purpose(self) -> Purpose | None:
        """The flow's purpose, if the agreement has it."""
        return next((p for p in self.agreement.purposes if p.code == self.flow.purpose), None)


AgreementCheck = Callable[[Agreement], Iterator[Finding]]
FlowCheck = Callable[[FlowView], Iterator[Finding]]


@dataclass(frozen=True, slots=True)
class Rule:
    """A named rule; exactly one of its checks is set."""

    code: str
    title: str
    source: str
    severity: Severity = "error"
    legal: bool = False
    of_agreement: AgreementCheck | None = None
    of_flow: FlowCheck | None = None


@dataclass(slots=True)
class Rules:
    """The rules of one module, in the order in which they are written."""

    rules: list[Rule] = field(default_factory=list)

    def agreement(
        self, code: str, title: str, *, source: str, severity: Severity = "error"
    ) -> Callable[[AgreementCheck], AgreementCheck]:
        """Register a rule that looks at a whole agreement."""

        def register(check: AgreementCheck) -> AgreementCheck:
            self.rules.append(Rule(code, title, source, severity, of_agreement=check))
            return check

        return register

    def flow(
        self,
        code: str,
        title: str,
        *,
        source: str,
        severity: Severity = "error",
        legal: bool = False,
    ) -> Callable[[FlowCheck], FlowCheck]:
        """Register a rule that looks at one flow."""

        def register(check: FlowCheck) -> FlowCheck:
            self.rules.append(Rule(code, title, source, severity, legal, of_flow=check))
            return check

        return register

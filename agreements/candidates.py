"""A candidate: one flow to one recipient, with all that could be known before the event.

`agreements.rules` makes candidates from control documents, `agreements.deciding`
holds events against them. Times are microseconds since the epoch, UTC: comparing
integers is all that deciding does with them.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Final, Literal

from agreements.conditions import Clause, compile_conditions
from agreements.model import Agreement, Flow, Item
from agreements.views import View

if TYPE_CHECKING:
    from agreements.checking import Test
    from schemas.catalogue import Catalogue, EventType

NEVER_US: Final = 2**63 - 1
"""Later than any time: what has not happened."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
LATEST_US: Final = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND
"""The latest time that can be written as one."""


def to_us(moment: datetime) -> int:
    """Return an aware time as microseconds since the epoch."""
    return (moment - _EPOCH) // _MICROSECOND


def midnight_us(day: date) -> int:
    """Return the moment that a day begins with, UTC, in microseconds since the epoch."""
    return to_us(datetime(day.year, day.month, day.day, tzinfo=UTC))


def from_us(moment_us: int) -> datetime:
    """Return microseconds since the epoch as an aware time, UTC."""
    return _EPOCH + moment_us * _MICROSECOND


Periods = tuple[tuple[int, int], ...]
"""Stretches of time, each with its start (inclusive) and its end (exclusive)."""


@dataclass(frozen=True, slots=True)
class Suspended:
    """A suspension by a party. It stands from ``from_us`` until ``until_us``, when it is lifted.

    ``id`` is that of the statement. Up to ``hold_until_us`` what would flow is held, and
    ``then`` it goes to review or is denied; once lifted, ``held`` says what becomes of it.
    """

    id: str
    party: str
    from_us: int
    until_us: int
    hold_until_us: int
    then: Literal["review", "deny"]
    held: Literal["release", "purge"] | None

    def stands(self, at: int) -> bool:
        """Whether it stands at ``at``."""
        return self.from_us <= at < self.until_us


@dataclass(frozen=True, slots=True)
class Objecting:
    """A fact about a subject that forbids; None for recipients or purposes means all."""

    kind: str
    starts_at_us: int
    until_us: int
    recipients: frozenset[str] | None
    purposes: frozenset[str] | None

    def concerns(self, recipient: str, purpose: str, at: int) -> bool:
        """Whether it stands in the way of this recipient and purpose at ``at``."""
        return (
            self.starts_at_us <= at < self.until_us
            and (self.recipients is None or recipient in self.recipients)
            and (self.purposes is None or purpose in self.purposes)
        )


class Objections:
    """What stands against sharing, by blinded subject.

    Facts, not rules: one object is shared by all candidates and kept up to date in
    place, so that a newer fact counts at once and costs nothing per agreement.
    """

    __slots__ = ("_by_subject", "_newest")

    def __init__(self) -> None:
        self._newest: dict[str, tuple[int, set[bytes]]] = {}
        self._by_subject: dict[bytes, dict[tuple[str, Objecting], Objecting]] = {}

    def __bool__(self) -> bool:
        return bool(self._by_subject)

    def put(self, document: str, revision: int, subject: bytes, objecting: Objecting) -> None:
        """Take in one revision of a document, whatever the order: the highest counts.

        Should two texts go by one revision, both stand until a higher one comes.
        """
        newest, subjects = self._newest.get(document, (0, set()))
        if revision < newest:
            return
        if revision > newest:
            for former in subjects:
                self._leave(document, former)
            subjects = set()
        self._newest[document] = revision, subjects | {subject}
        self._by_subject.setdefault(subject, {})[document, objecting] = objecting

    def _leave(self, document: str, subject: bytes) -> None:
        found = self._by_subject[subject]
        for place in [place for place in found if place[0] == document]:
            del found[place]

    def about(self, subject: bytes) -> Iterable[Objecting]:
        """Return what the highest revisions say about a subject; the times say what stands."""
        found = self._by_subject.get(subject)
        return found.values() if found else ()


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What a flow does with one schema of an event type."""

    clauses: tuple[Clause, ...]
    view: View


class Views:
    """The views that were compiled, shared by all flows that give the same items.

    ``compiled`` grows with the first event that needs a view, so ten thousand
    agreements made from one template cost one compilation.
    """

    __slots__ = ("_views",)

    def __init__(self) -> None:
        self._views: dict[tuple[bytes, tuple[Item, ...], bool, bytes], View] = {}

    def view(self, event_type: "EventType", flow: Flow, pseudonym_key: bytes) -> View:
        """Return the view of ``flow`` on a schema for the recipient with this key."""
        is_carried = flow.delivery == "payload"
        has_pseudonym = any(item.transform == "pseudonym" for item in flow.items)
        key = (
            event_type.fingerprint,
            flow.items,
            is_carried,
            pseudonym_key if has_pseudonym else b"",
        )
        if key not in self._views:
            self._views[key] = View.of(
                event_type, flow.items, pseudonym_key=pseudonym_key, is_carried=is_carried
            )
        return self._views[key]

    @property
    def compiled(self) -> tuple[View, ...]:
        """Every view compiled so far."""
        return tuple(self._views.values())


def views_of(agreement: Agreement, catalogue: "Catalogue") -> tuple[View, ...]:
    """Return every view that an agreement gives, on each revision that its flows cover.

    From the text alone, signed or not: for publishing their schemas before the first
    delivery. No schema depends on a pseudonym's key.
    """
    views = Views()
    for flow in agreement.flows:
        for name in flow.events:
            for event_type in catalogue.revisions(name) if name in catalogue else ():
                last = flow.schemas.max or event_type.revision
                if flow.schemas.min <= event_type.revision <= last:
                    views.view(event_type, flow, bytes(32))
    return views.compiled


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """One flow of one version of an agreement, from one publisher to one recipient.

    ``unsigned`` names the parties of the two that have not accepted, ``inherited`` that
    which accepted what this version narrows and has said nothing of it, ``revocations``
    those that revoked and from when, ``inactive`` those that the scheme does not let take
    part; ``incomplete`` holds the codes of what the legal bases lack. ``superseded_from_us``
    is when a later version that both signed took over. ``starts_at_us`` and ``ends_at_us``
    are when both are in it: a party may join late and leave early. ``suspensions`` stand
    with the one first that reaches its limit first; ``assurances`` tell when the recipient
    holds each that the flow requires. ``tests`` are the checks that an event or a time can
    still fail, in order.
    """

    publisher: str
    recipient: str
    event_type: str
    agreement: Agreement
    sha256: str
    flow: Flow
    signed_from_us: int
    superseded_from_us: int
    starts_at_us: int
    ends_at_us: int
    max_age_us: int
    unsigned: tuple[str, ...]
    inherited: tuple[str, ...]
    revocations: tuple[tuple[str, int], ...]
    revoked_from_us: int
    suspensions: tuple[Suspended, ...]
    inactive: tuple[str, ...]
    incomplete: tuple[str, ...]
    assurances: tuple[tuple[str, Periods], ...]
    is_purpose_held: bool
    is_beyond_individual_care: bool
    relies_on_consent: bool
    first_revision: int
    last_revision: int
    objections: Objections = field(repr=False)
    tests: tuple["Test", ...] = field(repr=False)
    pseudonym_key: bytes = field(repr=False)
    views: Views = field(repr=False)
    _plans: dict[bytes, Plan] = field(default_factory=dict, repr=False)

    @property
    def agreement_id(self) -> str:
        """The agreement's address."""
        return self.agreement.id

    @property
    def version(self) -> int:
        """The agreement's version."""
        return self.agreement.version

    @property
    def purpose(self) -> str:
        """The code of the purpose that the flow serves."""
        return self.flow.purpose

    def is_objected_to(self, subjects: tuple[bytes, ...], kind: str, at: int) -> bool:
        """Whether a fact of that kind stands at ``at`` for any of the blinded subjects."""
        objections = self.objections
        if not objections:
            return False
        for subject in subjects:
            for objecting in objections.about(subject):
                if objecting.kind == kind and objecting.concerns(self.recipient, self.purpose, at):
                    return True
        return False

    def plan(self, event_type: "EventType") -> Plan:
        """Return conditions and view for the schema of an event; compiled at its first event."""
        plan = self._plans.get(event_type.fingerprint)
        if plan is None:
            plan = Plan(
                compile_conditions(self.flow, event_type.scanner),
                self.views.view(event_type, self.flow, self.pseudonym_key),
            )
            self._plans[event_type.fingerprint] = plan
        return plan

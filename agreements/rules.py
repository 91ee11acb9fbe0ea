"""Compile control documents into the rules that a router decides by.

The input is what lies on the topic `control`, as bytes, and nothing is believed
because it lies there:

1. parties and objections count with the signature of the scheme's key only;
2. an agreement counts as the text with the SHA-256 that a party signed;
3. a party's statement counts with the signature of that party's key;
4. what was once read is never forgotten: a deleted or overwritten revocation,
   suspension or objection still stands (a higher revision of a party or an objection
   replaces it). That outlives a process because the topic keeps every record: it is
   not compacted, and whoever compiles gives every version of a key, in order;
5. what fails a check is not used, and is listed in `Rules.rejected`.

Everything that does not depend on the event or the time is settled here. Changes
are applied in proportion to what they touch, so that a revocation takes effect in
well under a second with ten thousand agreements.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from agreements.candidates import Candidate, Suspended, Views
from agreements.documents import Documents, Rejected
from agreements.flows import FlowCompiler, Placed
from agreements.signed import Version
from agreements.views import View
from schemas.catalogue import Catalogue
from schemas.control import Party
from schemas.keys import VerifyingKey

ControlDocuments = Mapping[bytes, bytes | None]
"""Record key to value; None is a tombstone, which changes nothing."""

_Place = tuple[str, str]
"""Publisher and event type: what the index is by."""


@dataclass(frozen=True, slots=True)
class _Changing:
    """The candidates of a place where versions take over from one another in time."""

    all: tuple[Candidate, ...]
    boundaries_us: tuple[int, ...]
    between: tuple[tuple[Candidate, ...], ...]

    def at(self, at: int) -> tuple[Candidate, ...]:
        return self.between[bisect_right(self.boundaries_us, at)]


@dataclass(frozen=True, slots=True, eq=False)
class Rules:
    """A snapshot of what is permitted; compiling again makes another.

    ``parties`` holds the newest document of each party; ``rejected`` what lies on the
    topic and is not used.
    """

    parties: Mapping[str, Party]
    rejected: tuple[Rejected, ...]
    _index: Mapping[_Place, tuple[Candidate, ...] | _Changing] = field(repr=False)
    _suspensions: Mapping[str, tuple[Suspended, ...]] = field(repr=False)
    _views: Views = field(repr=False)
    _catalogue: Catalogue = field(repr=False)

    def candidates(
        self, publisher: str, event_type: str, *, at: int | None = None
    ) -> tuple[Candidate, ...]:
        """Return the flows that may take an event somewhere: one look-up.

        ``at`` (microseconds since the epoch) leaves out versions that have not taken
        over yet or were superseded; without it they are in, and are refused when
        decided on. In the order of recipient, agreement, version, flow.
        """
        found = self._index.get((publisher, event_type))
        if found is None:
            return ()
        if isinstance(found, tuple):
            return found
        return found.all if at is None else found.at(at)

    def suspensions(self) -> dict[str, Suspended]:
        """Return every suspension by its id, lifted or not: what was held is settled by it.

        Where versions of one agreement give it different limits, the earliest.
        """
        found: dict[str, Suspended] = {}
        for suspended in self._suspensions.values():
            for one in suspended:
                known = found.get(one.id)
                if known is None or one.hold_until_us < known.hold_until_us:
                    found[one.id] = one
        return found

    def __iter__(self) -> Iterator[Candidate]:
        """Every candidate there is."""
        for found in self._index.values():
            yield from found if isinstance(found, tuple) else found.all

    def compile_views(self) -> tuple[View, ...]:
        """Compile the view of every candidate on every revision it covers, and return all.

        For publishing their schemas before the first delivery; otherwise a view is
        compiled at the first event that needs it.
        """
        for candidate in self:
            if candidate.event_type in self._catalogue:
                for event_type in self._catalogue.revisions(candidate.event_type):
                    if candidate.first_revision <= event_type.revision <= candidate.last_revision:
                        candidate.plan(event_type)
        return self._views.compiled


def compile_rules(
    documents: ControlDocuments,
    catalogue: Catalogue,
    *,
    scheme_key: VerifyingKey,
    pseudonym_key: Callable[[str], bytes],
) -> Rules:
    """Compile all control documents; a `Compiler` keeps up with changes at less cost.

    ``pseudonym_key`` gives a recipient's key (32 bytes or more) by party id. Never
    raises for what a document holds.
    """
    compiler = Compiler(catalogue, scheme_key=scheme_key, pseudonym_key=pseudonym_key)
    compiler.apply(documents)
    return compiler.rules()


class Compiler:
    """Keeps rules up to date: `apply` what is new on the topic, then take `rules`."""

    def __init__(
        self,
        catalogue: Catalogue,
        *,
        scheme_key: VerifyingKey,
        pseudonym_key: Callable[[str], bytes],
    ) -> None:
        self._catalogue = catalogue
        self._documents = Documents(scheme_key)
        self._views = Views()
        self._flows = FlowCompiler(catalogue, self._views, pseudonym_key)
        self._has_objections = False
        # By place and agreement, so that a changed agreement touches its own places only.
        self._placed: dict[_Place, dict[str, list[Placed]]] = {}
        self._places: dict[str, set[_Place]] = {}
        self._index: dict[_Place, tuple[Candidate, ...] | _Changing] = {}
        self._suspensions: dict[str, tuple[Suspended, ...]] = {}

    def apply(self, documents: ControlDocuments) -> None:
        """Take in new or changed documents, in the order of the topic.

        The order matters for keys alone: what comes with a key that is retired or stolen
        does not count, what was there before does (`agreements.party_keys`). The same
        documents in the same order give the same rules, at once or one by one.
        """
        for key, value in documents.items():
            self._documents.put(key, value)

    def versions(self) -> tuple[Version, ...]:
        """Return every text of every version of every agreement, with who said what of it."""
        return tuple(
            version
            for agreement in self._documents.agreements()
            for version in self._documents.versions(agreement)
            if version.agreement is not None
        )

    def rules(self) -> Rules:
        """Return the rules of all that was applied.

        Rules given before stay as they are, but for objections, which count at once.
        """
        documents = self._documents
        changed = documents.take_changed()
        if self._has_objections != bool(documents.objections):
            # With the first objection, checks that could not fail before can.
            self._has_objections = True
            changed |= set(self._places)
        touched: set[_Place] = set()
        for agreement in changed:
            touched |= self._place(agreement)
        index = dict(self._index)
        for place in touched:
            by_agreement = self._placed.get(place)
            if by_agreement:
                index[place] = _entry([one for placed in by_agreement.values() for one in placed])
            else:
                index.pop(place, None)
        self._index = index
        return Rules(
            parties=documents.parties(),
            rejected=documents.rejected(),
            _index=index,
            _suspensions=self._suspensions.copy(),
            _views=self._views,
            _catalogue=self._catalogue,
        )

    def _place(self, agreement: str) -> set[_Place]:
        """Put the candidates of one agreement where they belong; return the places touched."""
        suspended = [
            one for version in self._documents.versions(agreement) for one in version.suspensions()
        ]
        if suspended:
            self._suspensions[agreement] = tuple(suspended)
        before = self._places.pop(agreement, set())
        for place in before:
            self._placed[place].pop(agreement, None)
        compiled = self._flows.candidates(agreement, self._documents)
        for placed in compiled:
            place = (placed.candidate.publisher, placed.candidate.event_type)
            self._placed.setdefault(place, {}).setdefault(agreement, []).append(placed)
        after = {(one.candidate.publisher, one.candidate.event_type) for one in compiled}
        if after:
            self._places[agreement] = after
        return before | after


_ALWAYS: Final = -(2**63)


def _entry(placed: list[Placed]) -> tuple[Candidate, ...] | _Changing:
    placed.sort(key=_order)
    everything = tuple(one.candidate for one in placed)
    boundaries = sorted(
        {
            moment
            for one in placed
            for moment in (one.from_us, one.candidate.superseded_from_us)
            if _ALWAYS < moment < 2**63 - 1
        }
    )
    if not boundaries:
        return everything
    between = tuple(
        tuple(
            one.candidate
            for one in placed
            if one.from_us <= moment < one.candidate.superseded_from_us
        )
        for moment in (_ALWAYS, *boundaries)
    )
    return _Changing(everything, tuple(boundaries), between)


def _order(one: Placed) -> tuple[str, str, int, str]:
    candidate = one.candidate
    return candidate.recipient, candidate.agreement_id, candidate.version, candidate.flow.id

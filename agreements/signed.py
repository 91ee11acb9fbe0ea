"""What the parties have said of each version of one agreement, and what follows for a pair.

A pair of parties runs under one version at a time: the highest that both have
accepted and that has started. From that moment on lower versions are superseded
for the pair, whatever becomes of the higher one: if taking back one's own signature
brought an older text back, one party alone could change what is shared.

One party alone may have less shared: a version that it accepted, and that for the pair
only narrows what the pair runs under, takes over from the moment that it starts. What
the other party accepted stands for it until that party says something of it.

Accepting and resuming count only as far as the key is good (`agreements.party_keys`).
Revoking, rejecting, suspending and superseding also count under a key that the party had
before: a stop stays a stop.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta

from agreements.candidates import NEVER_US, Suspended, midnight_us, to_us
from agreements.comparing import Narrowing
from agreements.model import Agreement
from agreements.signatures import SignatureType, Standing, Statement, standing
from agreements.values import to_duration
from schemas.catalogue import Catalogue

BEFORE_ALL_US = -(2**63)
"""Earlier than any time."""


@dataclass(frozen=True, slots=True)
class Said:
    """A statement whose signature verified, and what its key is worth.

    ``is_timely``: the key was the party's when the statement came to the topic, or became
    so later. ``is_stolen``: the statement may be that of a thief.
    """

    statement: Statement
    id: str
    is_timely: bool = True
    is_stolen: bool = False

    @property
    def is_believed(self) -> bool:
        """Whether it counts for more than a stop."""
        return self.is_timely and not self.is_stolen


@dataclass(frozen=True, slots=True)
class Version:
    """One text of one version (if the topic has it), and who said what of it.

    ``said`` holds statements on this text and, for a revocation, on any text that
    went by the same id and version; suspensions and what lifts them are those of every
    version of the agreement.
    """

    number: int
    agreement: Agreement | None
    sha256: str
    said: Mapping[str, tuple[Said, ...]]
    _words: dict[str, "_Word"] = field(default_factory=dict, repr=False, compare=False)

    def accepted_from_us(self, party: str) -> int:
        """Return when the acceptance that stands was given; `NEVER_US` when none stands."""
        return self._word(party).accepted_from_us

    def ever_accepted_us(self, party: str) -> int:
        """Return when the party first accepted, whatever became of that; or `NEVER_US`."""
        return self._word(party).ever_accepted_us

    def has_rejected(self, party: str) -> bool:
        """Whether the party's last word on this text, but for revoking, is no."""
        return self._word(party).has_rejected

    def revoked_from_us(self, party: str) -> int:
        """Return from when the party's revocation counts, which is final; or `NEVER_US`."""
        return self._word(party).revoked_from_us

    def is_in_us(self, party: str) -> tuple[int, int]:
        """Return from when until when the text has the party in it, whenever it runs."""
        word = self._word(party)
        return word.joined_us, word.left_us

    def _word(self, party: str) -> "_Word":
        # Asked of each party for every pair that it is in: worked out once.
        if party not in self._words:
            self._words[party] = self._worked_out(party)
        return self._words[party]

    def _worked_out(self, party: str) -> "_Word":
        roles = () if self.agreement is None else self.agreement.parties
        role = next((role for role in roles if role.id == party), None)
        asked = () if role is None else role.capacities
        in_capacity = [
            one
            for one in self._of(party, SignatureType.ACCEPT)
            if not asked or one.statement.signatory.capacity in asked
        ]
        believed = [one.statement for one in in_capacity if one.is_believed]
        rejected = [one.statement for one in self._of(party, SignatureType.REJECT)]
        revoked = [one.statement for one in self._of(party, SignatureType.REVOKE)]
        answer = standing([*believed, *rejected])
        last_no = max((no.signed_at for no in rejected), default=None)
        return _Word(
            accepted_from_us=min(
                (
                    to_us(yes.takes_effect_at)
                    for yes in believed
                    if answer is Standing.ACCEPTED and (last_no is None or yes.signed_at > last_no)
                ),
                default=NEVER_US,
            ),
            ever_accepted_us=min(
                (to_us(one.statement.takes_effect_at) for one in in_capacity if one.is_timely),
                default=NEVER_US,
            ),
            has_rejected=answer is Standing.REJECTED,
            revoked_from_us=min(map(revoked_from_us, revoked), default=NEVER_US),
            joined_us=BEFORE_ALL_US
            if role is None or role.joined_on is None
            else midnight_us(role.joined_on),
            left_us=NEVER_US if role is None or role.left_on is None else midnight_us(role.left_on),
        )

    def is_revoked_by(self, party: str) -> bool:
        """Whether the party took its signature back, now or from a time to come."""
        return self.revoked_from_us(party) != NEVER_US

    def standing_of(self, party: str) -> Standing:
        """Return where a party stands towards this text, as the rules see it."""
        if self.is_revoked_by(party):
            return Standing.REVOKED
        if self.accepted_from_us(party) != NEVER_US:
            return Standing.ACCEPTED
        return Standing.REJECTED if self.has_rejected(party) else Standing.UNSIGNED

    def takes_over_us(self, one: str, other: str) -> int:
        """Return when this version begins for the pair; `NEVER_US` unless both accepted it."""
        return max(self.starts_us, self.ever_accepted_us(one), self.ever_accepted_us(other))

    @property
    def starts_us(self) -> int:
        """When the text says that it starts."""
        return (
            BEFORE_ALL_US if self.agreement is None else to_us(self.agreement.effective.starts_at)
        )

    def suspensions(self) -> tuple[Suspended, ...]:
        """Return the parties' suspensions, lifted or not; those that reach their limit first.

        Each stands from when it takes effect, or as soon as it is known, until its own
        party takes it back by its id.
        """
        found = (one for party in self.said for one in self._suspensions_by(party))
        return tuple(sorted(found, key=lambda one: (one.hold_until_us, one.id)))

    def _suspensions_by(self, party: str) -> Iterator[Suspended]:
        terms = None if self.agreement is None else self.agreement.suspension
        lifted: dict[str | None, list[Statement]] = {}
        for one in self._of(party, SignatureType.RESUME):
            if one.is_believed:
                lifted.setdefault(one.statement.lifts, []).append(one.statement)
        for one in self._of(party, SignatureType.SUSPEND):
            begun = to_us(one.statement.takes_effect_at)
            # Should two lift it: the first, and of two at once the one that gives less.
            lifts = min(
                lifted.get(one.id, ()),
                key=lambda said: (said.takes_effect_at, said.held != "purge"),
                default=None,
            )
            yield Suspended(
                id=one.id,
                party=party,
                from_us=BEFORE_ALL_US if one.statement.effective_at is None else begun,
                until_us=NEVER_US if lifts is None else to_us(lifts.takes_effect_at),
                hold_until_us=begun
                + (
                    0 if terms is None else to_duration(terms.hold_for) // timedelta(microseconds=1)
                ),
                then="deny" if terms is None else terms.then,
                held=None if lifts is None else lifts.held,
            )

    def _of(self, party: str, kind: SignatureType) -> list[Said]:
        return [one for one in self.said.get(party, ()) if one.statement.type is kind]


@dataclass(frozen=True, slots=True)
class _Word:
    """What a party has said of a text, taken together, and when it is in it."""

    accepted_from_us: int
    ever_accepted_us: int
    has_rejected: bool
    revoked_from_us: int
    joined_us: int
    left_us: int


def revoked_from_us(revocation: Statement) -> int:
    """Return from when a revocation counts: as soon as it is known, unless it gives a time."""
    # Not from when it was signed: a clock that is ahead must not put a stop off.
    return BEFORE_ALL_US if revocation.effective_at is None else to_us(revocation.effective_at)


@dataclass(frozen=True, slots=True)
class Window:
    """The version that a pair runs under, and for how long it is the one to look at.

    ``from_us`` inclusive, ``until_us`` exclusive; until then its successor is not yet. The
    first is the one to look at before it ``begins_us``, too. ``bases`` are what it narrows,
    where one party alone put it in their place: the other's acceptance of them stands for
    that of this version.
    """

    version: Version
    pair: tuple[str, str]
    begins_us: int
    from_us: int
    until_us: int = NEVER_US
    bases: tuple["Window", ...] = ()

    def accepted_from_us(self, party: str) -> int:
        """Return when the party agreed to what runs here; `NEVER_US` when it does not."""
        own = self.version.accepted_from_us(party)
        if not self._may_inherit(party) or (own < NEVER_US and self._is_base_revoked(party)):
            return own
        # What is inherited was accepted before this takes over.
        inherited = max(base.accepted_from_us(party) for base in self.bases)
        return min(own, max(inherited, self.begins_us))

    def is_inherited(self, party: str) -> bool:
        """Whether the party agreed to the bases alone, which stands for this."""
        return self._may_inherit(party) and self.version.accepted_from_us(party) == NEVER_US

    def revoked_from_us(self, party: str) -> int:
        """Return from when the party's revocation counts, or `NEVER_US`."""
        own = self.version.revoked_from_us(party)
        if not self.is_inherited(party):
            return own
        return min(own, *(base.revoked_from_us(party) for base in self.bases))

    @property
    def runs_us(self) -> tuple[int, int]:
        """From when until when the text runs for the pair: who joins late or leaves early."""
        text = self.version.agreement
        if text is None:
            return NEVER_US, NEVER_US
        joined, left = zip(*(self.version.is_in_us(party) for party in self.pair), strict=True)
        return (
            max(to_us(text.effective.starts_at), *joined),
            min(to_us(text.effective.ends_at), *left),
        )

    def _may_inherit(self, party: str) -> bool:
        """Whether what the party said of the bases stands for what it has not said of this."""
        other = self.pair[self.pair[0] == party]
        return (
            bool(self.bases)
            and not self.version.has_rejected(party)
            and self.version.accepted_from_us(other) < NEVER_US
        )

    def _is_base_revoked(self, party: str) -> bool:
        return any(base.revoked_from_us(party) < NEVER_US for base in self.bases)


class Narrowings:
    """Whether one party alone may put a text in the place of another; any two compared once."""

    def __init__(self, catalogue: Catalogue | None = None) -> None:
        self._catalogue = catalogue
        self._found: dict[tuple[str, str], Narrowing] = {}

    def __call__(self, old: Version, new: Version, publisher: str, recipient: str) -> bool:
        """Whether what the two share only becomes less."""
        if old.agreement is None or new.agreement is None:
            return False
        texts = (old.sha256, new.sha256)
        if texts not in self._found:
            self._found[texts] = Narrowing(old.agreement, new.agreement, catalogue=self._catalogue)
        return self._found[texts].holds_for(publisher, recipient)


def windows(
    versions: Iterable[Version],
    publisher: str,
    recipient: str,
    *,
    narrows: Narrowings | None = None,
) -> list[Window]:
    """Return the versions that a pair runs under, one after the other in time.

    When the pair has accepted none in common it is the highest there is, which the
    decision then refuses as not signed. Pass ``narrows`` where more than one pair is asked for.
    """
    narrows = Narrowings() if narrows is None else narrows
    pair = (publisher, recipient)
    begun: list[Window] = []
    newest: Version | None = None
    for texts in _by_number(versions):
        newest = next((text for text in reversed(texts) if text.agreement), newest)
        found = _begins(texts, begun, pair, narrows)
        if found is not None:
            begun.append(found)
    if not begun:
        return [] if newest is None else [Window(newest, pair, BEFORE_ALL_US, BEFORE_ALL_US)]
    first = min(window.begins_us for window in begun)
    return [
        replace(window, from_us=BEFORE_ALL_US) if window.begins_us == first else window
        for window in _ended(begun)
        if window.begins_us < window.until_us and window.version.agreement is not None
    ]


def _begins(
    texts: list[Version], begun: list[Window], pair: tuple[str, str], narrows: Narrowings
) -> Window | None:
    """Return the text under one number that takes over for the pair, and when; the newest such."""
    common = [text for text in texts if text.takes_over_us(*pair) < NEVER_US]
    both = _window(common[-1], pair, common[-1].takes_over_us(*pair)) if common else None
    for text in reversed(common[-1:] or texts):
        alone = _by_one(text, begun, pair, narrows)
        if alone is not None and (both is None or alone.begins_us < both.begins_us):
            return alone
    return both


def _by_one(
    text: Version, begun: list[Window], pair: tuple[str, str], narrows: Narrowings
) -> Window | None:
    """Return when a text takes over that one of the two accepted, because it only narrows.

    It has to narrow what the pair runs under then, and whatever of a lower number would
    have taken over from that.
    """
    accepted = min(text.ever_accepted_us(party) for party in pair)
    if accepted == NEVER_US or text.agreement is None:
        return None
    from_us = max(accepted, text.starts_us)
    bases = tuple(
        window for window in _ended(begun) if max(from_us, window.begins_us) < window.until_us
    )
    if not bases or not all(narrows(base.version, text, *pair) for base in bases):
        return None
    begins_us = max(from_us, min(base.begins_us for base in bases))
    return replace(_window(text, pair, begins_us), bases=bases)


def _window(version: Version, pair: tuple[str, str], begins_us: int) -> Window:
    return Window(version, pair, begins_us, begins_us)


def _ended(begun: list[Window]) -> list[Window]:
    """Return each with its end: when the first of a higher number takes over."""
    return [
        replace(
            window,
            until_us=min((later.begins_us for later in begun[place + 1 :]), default=NEVER_US),
        )
        for place, window in enumerate(begun)
    ]


def _by_number(versions: Iterable[Version]) -> Iterator[list[Version]]:
    numbered: dict[int, list[Version]] = {}
    for version in versions:
        numbered.setdefault(version.number, []).append(version)
    for number in sorted(numbered):
        yield numbered[number]

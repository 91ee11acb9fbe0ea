"""What the parties have said of each version of one agreement, and what follows for a pair.

A pair of parties runs under one version at a time: the highest that both have
accepted and that has started. From that moment on lower versions are superseded
for the pair, whatever becomes of the higher one: if taking back one's own signature
brought an older text back, one party alone could change what is shared.

Accepting counts only under a key that the party has now. Revoking, rejecting and
superseding also count under a key that it had before: a stop stays a stop.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from agreements.candidates import NEVER_US, to_us
from agreements.model import Agreement
from agreements.signatures import SignatureType, Standing, Statement, standing

BEFORE_ALL_US = -(2**63)
"""Earlier than any time."""


@dataclass(frozen=True, slots=True)
class Said:
    """A statement whose signature verified, and whether its key is still the party's."""

    statement: Statement
    is_key_current: bool


@dataclass(frozen=True, slots=True)
class Version:
    """One text of one version (if the topic has it), and who said what of it.

    ``said`` holds statements on this text and, for a revocation, on any text that
    went by the same id and version.
    """

    number: int
    agreement: Agreement | None
    sha256: str
    said: Mapping[str, tuple[Said, ...]]

    def accepted_from_us(self, party: str) -> int:
        """Return when the acceptance that stands was given; `NEVER_US` when none stands."""
        said = self.said.get(party, ())
        believed = [
            one.statement
            for one in said
            if one.is_key_current or one.statement.type is not SignatureType.ACCEPT
        ]
        if standing(_without_revocations(believed)) is not Standing.ACCEPTED:
            return NEVER_US
        return max(_times(believed))

    def ever_accepted_us(self, party: str) -> int:
        """Return when the party first accepted, by any key it ever had; or `NEVER_US`."""
        return min(_times(one.statement for one in self.said.get(party, ())), default=NEVER_US)

    def is_revoked_by(self, party: str) -> bool:
        """Whether the party took its signature back, which is final."""
        return any(one.statement.type is SignatureType.REVOKE for one in self.said.get(party, ()))

    def standing_of(self, party: str) -> Standing:
        """Return where a party stands towards this text, as the rules see it."""
        if self.is_revoked_by(party):
            return Standing.REVOKED
        if self.accepted_from_us(party) != NEVER_US:
            return Standing.ACCEPTED
        said = standing(one.statement for one in self.said.get(party, ()))
        return Standing.REJECTED if said is Standing.REJECTED else Standing.UNSIGNED

    def takes_over_us(self, one: str, other: str) -> int:
        """Return when this version begins for the pair; `NEVER_US` unless both accepted it."""
        begins = (
            BEFORE_ALL_US if self.agreement is None else to_us(self.agreement.effective.starts_at)
        )
        return max(begins, self.ever_accepted_us(one), self.ever_accepted_us(other))


@dataclass(frozen=True, slots=True)
class Window:
    """The version that a pair runs under, and for how long it is the one to look at.

    ``from_us`` inclusive, ``until_us`` exclusive; until then its successor is not yet.
    """

    version: Version
    from_us: int
    until_us: int


def windows(versions: Iterable[Version], one: str, other: str) -> list[Window]:
    """Return the versions that a pair runs under, one after the other in time.

    When the pair has accepted none in common it is the highest there is, which the
    decision then refuses as not signed.
    """
    begun = [
        (text.takes_over_us(one, other), text) for text in _one_text_each(versions, one, other)
    ]
    common = [(begins, text) for begins, text in begun if begins < NEVER_US]
    if not common:
        texts = [text for _, text in begun if text.agreement is not None]
        return [Window(texts[-1], BEFORE_ALL_US, NEVER_US)] if texts else []
    first = min(begins for begins, _ in common)
    found = []
    for begins, text in common:
        until = min((b for b, later in common if later.number > text.number), default=NEVER_US)
        since = BEFORE_ALL_US if begins == first else begins
        if begins < until and text.agreement is not None:
            found.append(Window(text, since, until))
    return found


def _one_text_each(versions: Iterable[Version], one: str, other: str) -> list[Version]:
    """Of several texts under one number: the newest that both accepted, else the newest."""
    chosen: dict[int, Version] = {}
    for version in sorted(versions, key=lambda version: version.number):
        before = chosen.get(version.number)
        is_common = version.takes_over_us(one, other) < NEVER_US
        if before is None or is_common or before.takes_over_us(one, other) == NEVER_US:
            chosen[version.number] = version
    return list(chosen.values())


def _times(statements: Iterable[Statement]) -> list[int]:
    return [
        to_us(statement.signed_at)
        for statement in statements
        if statement.type is SignatureType.ACCEPT
    ]


def _without_revocations(statements: Iterable[Statement]) -> list[Statement]:
    # A revocation is a reason of its own; whether it was signed before is the question here.
    return [s for s in statements if s.type is not SignatureType.REVOKE]

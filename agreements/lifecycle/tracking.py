"""Who has signed a version, as what, and who is late."""

from dataclasses import dataclass
from datetime import datetime

from agreements.candidates import LATEST_US, NEVER_US, from_us, midnight_us
from agreements.model import Agreement
from agreements.signatures import Signatory, SignatureType, Standing
from agreements.signed import Version

_DAY_US = 24 * 3600 * 1_000_000
_ANSWERS = (SignatureType.ACCEPT, SignatureType.REJECT, SignatureType.REVOKE)


@dataclass(frozen=True, slots=True)
class SignOff:
    """Where one party stands towards the text: what it said last, who said it and when."""

    party: str
    standing: Standing
    said_at: datetime | None
    signatory: Signatory | None
    due_at: datetime | None
    is_late: bool


def sign_offs(text: Agreement, version: Version, *, at: int) -> tuple[SignOff, ...]:
    """Return the sign-off of each party in the order of the text; ``due`` is the end of its day."""
    due = text.signing.due
    due_us = NEVER_US if due is None else midnight_us(due) + _DAY_US
    return tuple(_sign_off(version, party.id, due_us, at) for party in text.parties)


def _sign_off(version: Version, party: str, due_us: int, at: int) -> SignOff:
    answers = [
        one.statement for one in version.said.get(party, ()) if one.statement.type in _ANSWERS
    ]
    standing = version.standing_of(party)
    kind = {
        Standing.ACCEPTED: SignatureType.ACCEPT,
        Standing.REJECTED: SignatureType.REJECT,
        Standing.REVOKED: SignatureType.REVOKE,
    }.get(standing)
    last = max(
        (said for said in answers if said.type is kind),
        key=lambda said: said.signed_at,
        default=None,
    )
    return SignOff(
        party=party,
        standing=standing,
        said_at=None if last is None else last.signed_at,
        signatory=None if last is None else last.signatory,
        due_at=None if due_us > LATEST_US else from_us(due_us),
        is_late=standing is Standing.UNSIGNED and at >= due_us,
    )

"""The sign-off tracker: who has said what of an agreement, who is late, and who knows it.

What a party has said stops or starts a flow once it lies on ``control``; that nobody
withholds it is sure once the scheme has signed a ``control`` that it is part of
(`freshness`). The tracker tells both of each statement.
"""

from datetime import datetime
from typing import Any

from agreements.model import Agreement
from agreements.signatures import STOPS, SignatureType, Standing
from agreements.signed import Said, Version
from broker.register import Register, open_register
from broker.scheme import SchemeFolder
from connectors.streams import Streams

_ANSWERS = frozenset({SignatureType.ACCEPT, SignatureType.REJECT, SignatureType.REVOKE})


async def track(
    scheme: SchemeFolder, streams: Streams | None, agreement_id: str | None = None, *, at: datetime
) -> dict[str, Any]:
    """Return where each version stands, newest last; of one agreement or of all.

    Raises:
        NotThere: there is no such agreement.

    """
    register = await open_register(scheme, streams)
    if agreement_id is not None:
        register.version(agreement_id)
    covered = await register.covered_to()
    return {
        "agreements": [
            _version(register, version, version.agreement, covered, at=at)
            for version in register.control.versions()
            if version.agreement is not None and agreement_id in (None, version.agreement.id)
        ],
        "control": {
            "reached": register.is_reached,
            "covered_to": covered,
            "waiting": scheme.store.outbox.count_unpublished(),
        },
    }


def _version(
    register: Register, version: Version, agreement: Agreement, covered: int, *, at: datetime
) -> dict[str, Any]:
    due = agreement.signing.due
    return {
        "agreement": agreement.id,
        "version": version.number,
        "title": agreement.title,
        "sha256": version.sha256,
        "due": due and due.isoformat(),
        "parties": [_party(version, party.id, agreement, at) for party in agreement.parties],
        "statements": [
            _statement(register, version, one, covered)
            for one in sorted(
                (one for said in version.said.values() for one in said),
                key=lambda one: one.statement.signed_at,
            )
        ],
    }


def _party(version: Version, party: str, agreement: Agreement, at: datetime) -> dict[str, Any]:
    standing = version.standing_of(party)
    due = agreement.signing.due
    answers = [
        one.statement for one in version.said.get(party, ()) if one.statement.type in _ANSWERS
    ]
    last = max(answers, key=lambda statement: statement.signed_at, default=None)
    if standing is Standing.UNSIGNED:
        last = None  # what a stolen key signed, say
    return {
        "party": party,
        "standing": standing.value,
        "late": standing is Standing.UNSIGNED and due is not None and at.date() > due,
        "signed_at": last and last.signed_at.isoformat(),
        "name": last and last.signatory.name,
        "post": last and last.signatory.post,
        "capacity": last and last.signatory.capacity,
    }


def _statement(register: Register, version: Version, said: Said, covered: int) -> dict[str, Any]:
    statement = said.statement
    offset = register.statement_offset(version, statement.party, said.id)
    return {
        "id": said.id,
        "party": statement.party,
        "type": statement.type.value,
        "version": statement.version,
        "signed_at": statement.signed_at.isoformat(),
        "effective_at": statement.effective_at and statement.effective_at.isoformat(),
        "reason": statement.reason,
        "counts": said.is_believed or statement.type in STOPS,
        "offset": offset,
        "covered": offset is not None and offset < covered,
    }

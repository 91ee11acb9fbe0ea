"""The sign-off tracker: who has said what of an agreement, who is late, and who knows it.

What a party has said stops or starts a flow once it lies on ``control``; that nobody
withholds it is sure once the scheme has signed a ``control`` that it is part of
(`freshness`). The tracker tells both of each statement.
"""

from datetime import datetime
from typing import Any

from agreements.candidates import to_us
from agreements.lifecycle import state_of
from agreements.signatures import STOPS
from agreements.signed import Narrowings, Said, Version
from broker.register import Register, open_register
from broker.scheme import SchemeFolder
from connectors.streams import Streams


async def track(
    scheme: SchemeFolder, streams: Streams | None, agreement_id: str | None = None, *, at: datetime
) -> dict[str, Any]:
    """Return where each version stands at ``at``, newest last; of one agreement or of all.

    Raises:
        NotThere: there is no such agreement.

    """
    register = await open_register(scheme, streams, about=agreement_id)
    if agreement_id is not None:
        register.version(agreement_id)
    covered = await register.covered_to()
    narrows = Narrowings(scheme.catalogue)
    return {
        "agreements": [
            _version(register, version, covered, narrows, at=at)
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
    register: Register, version: Version, covered: int, narrows: Narrowings, *, at: datetime
) -> dict[str, Any]:
    assert version.agreement is not None  # noqa: S101  of those that have a text
    status = state_of(
        register.versions(version.agreement.id),
        version.number,
        at=to_us(at),
        sha256=version.sha256,
        parties=register.control.snapshot().rules.parties,
        narrows=narrows,
    )
    said = [one for by_party in version.said.values() for one in by_party]
    return {
        **status.to_json(),
        "statements": [
            _statement(register, version, one, covered)
            for one in sorted(said, key=lambda one: one.statement.signed_at)
        ],
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

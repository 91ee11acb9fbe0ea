"""Ask the query store on record: the answer is given when it is in the log that it was asked.

Before it answers, the store is brought up to date, so that nothing decided is missing.
"""

from collections.abc import Iterable, Sequence
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from broker.acts import check_words, record_reading
from broker.audit.disclosures import Basis, Disclosure, gap_to_json
from broker.audit.following import AuditWorker, Progress
from broker.audit.keys import Identifier
from broker.audit.proving import Prover
from broker.audit.store import AuditStore
from broker.storage import store_exists

if TYPE_CHECKING:
    from broker.scheme import SchemeFolder
    from connectors.streams import Streams


class Asking:
    """One auditor's questions of one scheme, for one reason."""

    def __init__(self, scheme: "SchemeFolder", streams: "Streams", *, by: str, reason: str) -> None:
        """See that who and why can be recorded, before anything is looked up. Raises `BadAct`."""
        check_words("who asks", by)
        check_words("the reason", reason)
        self.store: AuditStore = scheme.open_audit_store()
        self._scheme, self._streams = scheme, streams
        self._by, self._reason = by, reason

    async def catch_up(self, progress: Progress | None = None) -> dict[str, Any]:
        """Bring the store up to date; return how much of the log it answers from.

        That is ``entries``, how many the log has by then, ``answers_from``, from when on the
        store has the decisions (None when it has all), and a sentence about that, or None.
        """
        worker = AuditWorker(self._streams, self.store, self._scheme.signed_log, progress=progress)
        entries = await worker.catch_up()
        answers_from = self.store.promise()
        return {"entries": entries, **gap_to_json(answers_from)}

    async def record(self, about: str, results: int) -> None:
        """Record what was asked; to be called before the answer is given."""
        await record_reading(
            self._streams,
            by=self._by,
            reason=self._reason,
            about=about,
            results=results,
            at=datetime.now(UTC),
        )

    async def subject(
        self, identifiers: Sequence[Identifier], *, follows_links: bool = True
    ) -> dict[str, Any]:
        """Return who received data about a person, and who did not, with proofs.

        Raises:
            TooManyLinked: the identifiers lead to those of several people.

        """
        asked_of = await self.catch_up()
        blinds = self._scheme.audit_keys.blinds(identifiers)
        given = {self.store.token(blind) for blind in blinds}
        found = self.store.by_subject(blinds, follows_links=follows_links)
        kinds = ", ".join(sorted({one.kind for one in identifiers}))
        await self.record(f"audit subject: {kinds}", len(found))
        return {
            "identifiers": sorted({one.kind for one in identifiers}),
            "linked": len({token for one in found for token in one.subjects} - given),
            **asked_of,
            **self._told(found, given),
        }

    async def event(self, event_id: str) -> dict[str, Any]:
        """Return what was decided about an event, and whom it was taken back from, with proofs."""
        asked_of = await self.catch_up()
        found = self.store.by_event(event_id)
        # What was asked for and is not there may be anything that somebody has typed.
        about = f"audit event: {event_id}" if found else "audit event: one that is not there"
        await self.record(about, len(found))
        return {"event_id": event_id, **asked_of, **self._told(found, None)}

    def _told(self, found: Sequence[Disclosure], given: set[bytes] | None) -> dict[str, Any]:
        prover = self._prover()
        proofs = {
            index: None if prover is None else prover.proof(index)
            for index in sorted({one.index for one in found})
        }
        shared: list[dict[str, Any]] = []
        refused: list[dict[str, Any]] = []
        notices: list[dict[str, Any]] = []
        for one in found:
            told = to_json(one) | {"proof": proofs[one.index]}
            if given is not None:
                told["linked"] = given.isdisjoint(one.subjects)
            (notices if one.is_notice else shared if one.is_shared else refused).append(told)
        return {
            "checkpoint": None if prover is None else prover.checkpoint.size,
            "disclosures": shared,
            "refused": refused,
            "notices": notices,
        }

    def _prover(self) -> Prover | None:
        signed = self._scheme.signed_log
        latest = None if signed is None else signed.files.latest(signed.key)
        return None if signed is None or latest is None else Prover(signed.files, latest)


def how_far(scheme: "SchemeFolder", end: int) -> dict[str, Any] | None:
    """Return how far the query store is, of a stream of that end; None where there is none.

    ``behind`` is in offsets of the stream, of which each decision and act has one.

    Raises:
        OtherKey: it has to be made again.

    """
    if not store_exists(scheme.settings.audit_store_address):
        return None
    with closing(scheme.open_audit_store()) as store:
        at = store.position
        return {
            "entries": at.next_entry,
            "behind": end - at.next_offset,
            **gap_to_json(store.promise()),
        }


def to_json(one: Disclosure) -> dict[str, Any]:
    """Return a disclosure for a reader: names and codes, no value and no blinded identifier."""
    return {
        "entry": one.index,
        "event_id": one.event_id,
        "event_type": one.event_type,
        "publisher": one.publisher,
        "occurred": one.occurred_at.isoformat(),
        "time": one.decided_at.isoformat(),
        "recipient": one.recipient,
        "outcome": one.outcome,
        "reason": one.reason,
        "detail": one.detail,
        "agreement": one.agreement,
        "version": one.version,
        "sha256": one.hash,
        "flow": one.flow,
        "purpose": one.purpose,
        "legal": {"provider": _basis(one.provider), "recipient": _basis(one.receiver)},
        "items": list(one.items),
        "transforms": dict(one.transforms),
        "withheld": dict(one.withheld),
        "settles": one.settles,
    }


def _basis(basis: Basis) -> dict[str, Any]:
    return {
        "regime": basis.regime,
        "conditions": list(basis.conditions),
        "gateways": list(basis.gateways),
    }


def identifiers_from(told: Iterable[str], lines: Iterable[str]) -> list[Identifier]:
    """Read identifiers; ``-`` stands for the lines. Raises `UnknownIdentifier`."""
    found = []
    for one in told:
        texts = (line for line in lines if line.strip()) if one == "-" else [one]
        found += [Identifier.read(text.strip()) for text in texts]
    return found

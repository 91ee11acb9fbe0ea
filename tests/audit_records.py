"""Decision records made by hand, for tests of what answers an auditor."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from broker.audit.disclosures import Disclosure, disclosures_of
from broker.audit.keys import AuditKeys
from broker.audit.store import AuditStore
from broker.record_parts import NOTICES, PartsReader
from broker.recording import (
    Clause,
    LegalBasis,
    batch_part,
    candidates_part,
    event_part,
    notice_part,
    permitted,
    permitted_part,
    read_decision,
    refused,
    sender_part,
    settles_part,
)

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
KEYS = AuditKeys((b"\x07" * 32,))
_PROVIDER = LegalBasis("uk-gdpr", ("art6:e", "art9:g"), ("https://www.legislation.gov.uk/x",))
_RECEIVER = LegalBasis("dpa-part-3", ("s35:2b",), ())


def blind(name: str) -> bytes:
    """Return the blinded identifier of a made-up person."""
    return sha256(name.encode()).digest()


@dataclass(frozen=True)
class Told:
    """A record: who shares what about whom with whom; the i-th is decided i seconds after noon.

    With ``retracts`` it tells of notices that this event took another back.
    """

    event: str
    subjects: Sequence[bytes]
    recipients: Sequence[str] = ("school",)
    outcome: str = "permit"
    after: timedelta = timedelta()
    suspension: str | None = None
    retracts: str = ""
    publisher: str = "council"
    withheld: tuple[tuple[str, str], ...] = field(default=(("address", "no-consent"),))

    def to_bytes(self) -> bytes:
        """Return the decision record."""
        at_ms = round((NOON + self.after).timestamp() * 1000)
        parts = [self._candidate(one) for one in self.recipients]
        settles = b"\0"
        suspension = NOTICES if self.retracts else self.suspension
        if suspension is not None:
            settles = settles_part(suspension, decided_at_ms=at_ms, partition=0, offset=3)
        return b"".join(
            (
                sender_part("uk.gov.a.v1", b"\x01" * 8, self.publisher, "kid"),
                batch_part("events.council", 0, decided_at_ms=at_ms, rules=9),
                event_part(
                    1,
                    self.event.encode(),
                    at_ms - 5,
                    at_ms - 3,
                    at_ms - 1,
                    bytes(32),
                    self.subjects,
                ),
                candidates_part(parts, settles),
            )
        )

    def _candidate(self, recipient: str) -> bytes:
        clause = Clause(
            recipient,
            "https://a/1",
            2,
            b"\xab" * 32,
            f"to-{recipient}",
            "help",
            _PROVIDER,
            _RECEIVER,
        ).to_avro()
        if self.outcome != "permit":
            return refused(self.outcome, "suspended", "", clause, self.withheld)
        seal = sha256(f"{self.event} {recipient} {self.retracts}".encode()).digest()
        if self.retracts:
            part = permitted_part(clause, items=[], transforms={}, view=b"v", key="k")
            return permitted(notice_part(part, self.retracts), withheld=(), sealed=seal)
        part = permitted_part(
            clause, items=["upn", "name"], transforms={"name": "mask"}, view=b"v", key="k"
        )
        return permitted(part, withheld=self.withheld, sealed=seal)


def expected(records: Iterable[Told], *, first: int = 0) -> list[Disclosure]:
    """Return what the records say, with the store's tokens in place of blinded identifiers."""
    of = KEYS.tokens().of
    return [
        replace(one, subjects=tuple(of(subject)[:16] for subject in one.subjects))
        for index, record in enumerate(records, first)
        for one in disclosures_of(read_decision(record.to_bytes()), index)
    ]


def put(store: AuditStore, records: Iterable[Told]) -> None:
    """Add records behind what is there."""
    reader, at = PartsReader(), store.position
    rows = [
        store.row(index, reader.read(record.to_bytes()))
        for index, record in enumerate(records, at.next_entry)
    ]
    end = at.next_entry + len(rows)
    store.add(rows, after=at, next_entry=end, next_offset=end)

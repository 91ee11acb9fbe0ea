"""The query store: who was told what, found by blinded identifiers in milliseconds.

It is made of the log alone and can be made again at any time. It knows no identifier, and
not even the blinded ones of the records, but tokens under a key that lies elsewhere
(`broker.audit.keys`).
"""

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import sha256
from typing import Any, ClassVar, Final, NamedTuple

from broker.audit.disclosures import Basis, Disclosure
from broker.audit.keys import AuditKeys
from broker.record_parts import Parts, read_candidate
from broker.storage import TOKEN_BYTES, AuditTables, Position, Row, Stored
from schemas.errors import ConfigurationError, RejectedInput

MOST_LINKED: Final = 100
"""Identifiers that are followed from those that were asked for: no person has as many."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_START: Final = _EPOCH
_END: Final = datetime(9999, 12, 31, tzinfo=UTC)
_MOST_READ: Final = 20_000


class OtherKey(ConfigurationError):
    """The store was made under another audit key."""

    code: ClassVar[str] = "other-audit-key"


class TooManyLinked(RejectedInput):
    """What was asked for leads to more identifiers than any person has."""

    code: ClassVar[str] = "too-many-linked"


class _Says(NamedTuple):
    """A candidate as it is read once for many records."""

    told: dict[str, Any]
    provider: Basis
    receiver: Basis


class AuditStore:
    """Answers of the query store, and what adds to it."""

    def __init__(self, tables: AuditTables, keys: AuditKeys) -> None:
        self._tables = tables
        self._tokens = keys.tokens()
        self._mark = keys.mark
        self._says = lru_cache(_MOST_READ)(self._read_phrase)
        self._sender = lru_cache(_MOST_READ)(self._read_sender)

    # -- what adds ----------------------------------------------------------------------

    @property
    def position(self) -> Position:
        """How far the store is.

        Raises:
            OtherKey: its tokens are of another key, with which nothing would be found.

        """
        found = self._tables.position()
        if found is None:
            found = self._tables.found(Position(0, 0, self._mark))
        if found.key_mark != self._mark:
            raise OtherKey(
                "the query store was made under another audit key: stop what runs with a former"
                " one, and make the store again with `concordat audit reindex`"
            )
        return found

    def begin(self) -> None:
        """Take everything away: the store begins anew, under this key."""
        self._tables.begin(Position(0, 0, self._mark))
        self._says.cache_clear()
        self._sender.cache_clear()

    def row(self, entry: int, parts: Parts) -> Row:
        """Return what is kept of a record at an entry of the log."""
        of = self._tokens.of
        return Row(
            entry,
            parts.event_id,
            _sender_body(parts.publisher, parts.event_type),
            parts.decided_ms,
            parts.occurred_ms,
            [(part.body, seal) for part, seal in parts.candidates],
            {_recipient_body(part.says["recipient"]) for part, _ in parts.candidates},
            [of(subject)[:TOKEN_BYTES] for subject in parts.subjects],
            event_token(parts.event_id),
            parts.settles,
        )

    def add(self, rows: list[Row], *, after: Position, next_entry: int, next_offset: int) -> None:
        """Add what lies between one position and another. Raises ``Overtaken``."""
        position = Position(next_entry, next_offset, self._mark)
        self._tables.add(rows, after=after, position=position)

    def forget(self, indexes: Iterable[int]) -> int:
        """Take entries away that were shredded; return how many were there."""
        found = self._tables.entries(indexes)
        return self._tables.forget(
            (one.entry, (*one.tokens, event_token(one.event_id))) for one in found
        )

    # -- what answers -------------------------------------------------------------------

    def by_subject(
        self, blinds: Iterable[bytes], *, follows_links: bool = True
    ) -> list[Disclosure]:
        """Return everything decided about a person, in the log's order.

        Identifiers that stand in one record are of one person, so records that have one of
        the others are found as well, unless links are not to be followed. ``subjects`` of
        what is returned are the store's tokens.

        Raises:
            TooManyLinked: the links lead to more identifiers than `MOST_LINKED`.

        """
        asked = {self.token(blind) for blind in blinds}
        with self._tables.reading():
            return self._linked(asked, follows_links=follows_links)

    def _linked(self, asked: set[bytes], *, follows_links: bool) -> list[Disclosure]:
        known, found = set(asked), dict[int, Stored]()
        new = asked
        while new:
            met = {one.entry: one for one in self._tables.with_tokens(new)}
            found |= met
            linked = {token for one in met.values() for token in one.tokens} - known
            new = linked if follows_links else set()
            known |= new
            if len(known) > MOST_LINKED + len(asked):
                raise TooManyLinked(
                    f"more than {MOST_LINKED} identifiers hang together with these, so one of them"
                    " was given to several people: ask with --only-given"
                )
        phrases = {number for one in found.values() for number, _ in one.said}
        self._tables.learn(phrases | {one.sender for one in found.values()})
        return [one for entry in sorted(found) for one in self._disclosures(found[entry])]

    def token(self, blind: bytes) -> bytes:
        """Return what the store has in place of a blinded identifier."""
        return self._tokens.of(blind)[:TOKEN_BYTES]

    def by_event(self, event_id: str) -> list[Disclosure]:
        """Return everything decided about an event."""
        named = event_id.encode()
        with self._tables.reading():
            found = self._tables.of_event(named, event_token(named))
            return [one for stored in found for one in self._disclosures(stored)]

    def by_recipient(
        self,
        recipient: str,
        *,
        since: datetime = _START,
        until: datetime = _END,
        flow: str | None = None,
    ) -> Iterator[Disclosure]:
        """Give what was decided for a recipient from one time to before another."""
        body = _recipient_body(recipient)
        for stored in self._tables.received(body, _to_ms(since), _to_ms(until)):
            for one in self._disclosures(stored):
                if one.recipient == recipient and flow in {None, one.flow}:
                    yield one

    def between(self, since: datetime = _START, until: datetime = _END) -> Iterator[Disclosure]:
        """Give everything decided from one time to before another, in order of time."""
        for stored in self._tables.between(_to_ms(since), _to_ms(until)):
            yield from self._disclosures(stored)

    def _disclosures(self, stored: Stored) -> Iterator[Disclosure]:
        event_type, publisher = self._sender(stored.sender)
        for number, seal in stored.said:
            told, provider, receiver = self._says(number)
            yield Disclosure(
                index=stored.entry,
                event_id=stored.event_id.decode(),
                event_type=event_type,
                publisher=publisher,
                recipient=told["recipient"],
                decided_at=_from_ms(stored.decided_ms),
                occurred_at=_from_ms(stored.occurred_ms),
                outcome=told["outcome"],
                reason=told["reason"],
                detail=told["detail"],
                agreement=told["agreement"],
                version=told["version"],
                hash=told["hash"].hex(),
                flow=told["flow"],
                purpose=told["purpose"],
                provider=provider,
                receiver=receiver,
                items=tuple(told["items"]),
                transforms=told["transforms"],
                withheld=told["withheld"],
                sealed=seal,
                subjects=stored.tokens,
                settles=stored.settles,
            )

    def _read_phrase(self, number: int) -> _Says:
        told = read_candidate(self._tables.phrase(number))
        return _Says(told, _basis(told["provider"]), _basis(told["receiver"]))

    def _read_sender(self, number: int) -> tuple[str, str]:
        publisher, event_type = json.loads(self._tables.phrase(number))
        return event_type, publisher


@lru_cache(_MOST_READ)
def _sender_body(publisher: str, event_type: str) -> bytes:
    return json.dumps([publisher, event_type]).encode()


@lru_cache(_MOST_READ)
def _recipient_body(recipient: str) -> bytes:
    return f"recipient {recipient}".encode()


def event_token(event_id: bytes) -> bytes:
    """Return what an event is found by; its id is no secret."""
    return sha256(b"event\0" + event_id).digest()[:TOKEN_BYTES]


def _basis(told: dict[str, Any]) -> Basis:
    return Basis(told["regime"], tuple(told["conditions"]), tuple(told["gateways"]))


def _to_ms(moment: datetime) -> int:
    return (moment - _EPOCH) // _MILLISECOND


def _from_ms(milliseconds: int) -> datetime:
    return _EPOCH + milliseconds * _MILLISECOND

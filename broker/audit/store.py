"""The query store: who was told what, found by blinded identifiers in milliseconds.

It is made of the log alone and can be made again at any time. It knows no identifier, and
not even the blinded ones of the records, but tokens under a key that lies elsewhere
(`broker.audit.keys`).
"""

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Final, NamedTuple

from broker.audit.disclosures import Basis, Disclosure, basis_of
from broker.audit.indexing import Indexer, event_token, event_tokens, recipient_body
from broker.audit.keys import AuditKeys
from broker.record_parts import NOTICES, Parts, read_candidate
from broker.storage import (
    AuditTables,
    Droppable,
    Extent,
    Position,
    Reading,
    Row,
    Stored,
    portions,
)
from schemas.errors import ConfigurationError, DeliveryError, RejectedInput

MOST_LINKED: Final = 100
"""Identifiers that are followed from those that were asked for: no person has as many."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_START: Final = _EPOCH
_END: Final = datetime(9999, 12, 31, tzinfo=UTC)
_MOST_KEPT: Final = 20_000
_FORGOTTEN_TOGETHER: Final = 500


class OtherKey(ConfigurationError):
    """The store was made under another audit key."""

    code: ClassVar[str] = "other-audit-key"


class HasLess(DeliveryError):
    """The store has less than it had when the question was begun: nothing is answered."""

    code: ClassVar[str] = "query-store-has-less"


class TooManyLinked(RejectedInput):
    """What was asked for leads to more identifiers than any person has."""

    code: ClassVar[str] = "too-many-linked"


class _Says(NamedTuple):
    """A candidate as it is read once for many records."""

    told: dict[str, Any]
    provider: Basis
    receiver: Basis


class _Sender(NamedTuple):
    event_type: str
    publisher: str


class _Known:
    """What phrases say, read once for many records; of one making of the store."""

    def __init__(self, made: int) -> None:
        self.made = made
        self._says: dict[int, _Says] = {}
        self._senders: dict[int, _Sender] = {}

    def of(
        self, reading: Reading, found: Iterable[Stored]
    ) -> tuple[dict[int, _Says], dict[int, _Sender]]:
        """Return what the phrases of these records say, by number."""
        said, sent = set[int](), set[int]()
        for stored in found:
            sent.add(stored.sender)
            said.update([number for number, _ in stored.said])
        # Others may empty what is kept at any time: what this needs is put aside.
        says = {number: one for number in said if (one := self._says.get(number))}
        senders = {number: who for number in sent if (who := self._senders.get(number))}
        new = [*(said - says.keys()), *(sent - senders.keys())]
        bodies = reading.phrases(new) if new else {}
        says |= {number: _read_candidate(bodies[number]) for number in said - says.keys()}
        senders |= {number: _read_sender(bodies[number]) for number in sent - senders.keys()}
        if new:
            self._keep(says, senders)
        return says, senders

    def _keep(self, says: dict[int, _Says], senders: dict[int, _Sender]) -> None:
        if len(self._says) + len(self._senders) > _MOST_KEPT:
            self._says, self._senders = {}, {}
        self._says.update(says)
        self._senders.update(senders)


def _read_candidate(body: bytes) -> _Says:
    told = read_candidate(body)
    return _Says(told, basis_of(told["provider"]), basis_of(told["receiver"]))


def _read_sender(body: bytes) -> _Sender:
    publisher, event_type = json.loads(body)
    return _Sender(event_type, publisher)


class AuditStore:
    """Answers of the query store, and what adds to it. Threads may ask it at once."""

    def __init__(self, tables: AuditTables, keys: AuditKeys) -> None:
        self._tables = tables
        self._indexer = Indexer(keys.tokens())
        self._mark = keys.mark
        self._known = _Known(0)
        self._promised: Extent | None = None

    def close(self) -> None:
        """Close the connections that are kept."""
        self._tables.close()

    # -- what adds ----------------------------------------------------------------------

    @property
    def position(self) -> Position:
        """How far the store is.

        Raises:
            OtherKey: its tokens are of another key, with which nothing would be found.

        """
        found = self._tables.extent()
        position = self._tables.found(Position(0, 0, self._mark)) if found is None else found[0]
        if position.key_mark != self._mark:
            raise OtherKey(
                "the query store was made under another audit key: stop what runs with a former"
                " one, and make the store again with `concordat audit reindex`"
            )
        return position

    def begin(self) -> None:
        """Take everything away: the store begins anew, under this key."""
        self._tables.begin(Position(0, 0, self._mark))

    def row(self, entry: int, parts: Parts) -> Row:
        """Return what is kept of a record at an entry of the log."""
        return self._indexer.row(entry, parts)

    def add(self, rows: list[Row], *, after: Position, next_entry: int, next_offset: int) -> None:
        """Add what lies between one position and another. Raises ``Overtaken``."""
        position = Position(next_entry, next_offset, self._mark)
        self._tables.add(rows, after=after, position=position)

    def forget(self, indexes: Iterable[int]) -> int:
        """Take entries away that were shredded; return how many were there."""
        forgotten = 0
        for some in portions(indexes, _FORGOTTEN_TOGETHER):
            with self._tables.reading() as reading:
                found = reading.entries(some)
                told_of = _told_of(reading, _Known(0), found)
            forgotten += self._tables.forget(
                (one.entry, (*one.tokens, *event_tokens(one.event_id, told_of[one.entry])))
                for one in found
            )
        return forgotten

    def droppable(self, before: datetime) -> Droppable | None:
        """Return the whole segments that were decided before a time; None when none was."""
        return self._tables.droppable(_to_ms(before))

    def drop(self, dropped: Droppable) -> None:
        """Take segments out. Raises ``Overtaken`` when they are not as `droppable` found them."""
        self._tables.drop(dropped)

    # -- what answers -------------------------------------------------------------------

    def promise(self) -> datetime | None:
        """Return from when on the store has every decision; None when it has all.

        From now on every answer is of a store that has as much, or it is refused.

        Raises:
            OtherKey: it has to be made again.

        """
        _ = self.position  # which there is from now on
        self._promised = extent = self._tables.extent()
        gone = None if extent is None else extent.gone_before_ms
        return None if gone is None else _from_ms(gone)

    @contextlib.contextmanager
    def _reading(self) -> Iterator[tuple[Reading, _Known]]:
        with self._tables.reading() as reading:
            has, promised = reading.extent, self._promised
            if promised is not None and (
                has is None
                or has.first_entry > promised.first_entry
                or has.position.next_entry < promised.position.next_entry
                or has.position.key_mark != promised.position.key_mark
            ):
                raise HasLess(
                    "the query store was made again, or entries were taken out, while this was"
                    " asked: ask again"
                )
            known, made = self._known, 0 if has is None else has.made
            if known.made != made:
                # Numbers of phrases mean something else when the store was made again.
                known = self._known = _Known(made)
            yield reading, known

    def by_subject(
        self, blinds: Iterable[bytes], *, follows_links: bool = True
    ) -> list[Disclosure]:
        """Return everything decided about a person, in the log's order.

        Identifiers that stand in one record are of one person, so records that have one of
        the others are found as well, unless links are not to be followed. ``subjects`` of
        what is returned are the store's tokens.

        Raises:
            TooManyLinked: the links lead to more identifiers than `MOST_LINKED`.
            HasLess: the store has less than was promised.

        """
        asked = {self.token(blind) for blind in blinds}
        with self._reading() as (reading, known):
            found = _linked(reading, asked, follows_links=follows_links)
            return list(_disclosures(reading, known, found))

    def token(self, blind: bytes) -> bytes:
        """Return what the store has in place of a blinded identifier."""
        return self._indexer.token(blind)

    def by_event(self, event_id: str) -> list[Disclosure]:
        """Return everything decided about an event, and who was told that it was taken back.

        Raises `HasLess`.
        """
        named = event_id.encode()
        with self._reading() as (reading, known):
            found = reading.of_event(event_token(named))
            told_of = _told_of(reading, known, found)
            about = [o for o in found if o.event_id == named or event_id in told_of[o.entry]]
            return list(_disclosures(reading, known, about))

    def by_recipient(
        self,
        recipient: str,
        *,
        since: datetime = _START,
        until: datetime = _END,
        flow: str | None = None,
    ) -> Iterator[Disclosure]:
        """Give what was decided for a recipient from one time to before another.

        Raises `HasLess`.
        """
        body = recipient_body(recipient)
        with self._reading() as (reading, known):
            for page in reading.received(body, _to_ms(since), _to_ms(until)):
                for one in _disclosures(reading, known, page):
                    if one.recipient == recipient and flow in {None, one.flow}:
                        yield one

    def between(self, since: datetime = _START, until: datetime = _END) -> Iterator[Disclosure]:
        """Give everything decided from one time to before another, in order of time.

        Raises `HasLess`.
        """
        with self._reading() as (reading, known):
            for page in reading.between(_to_ms(since), _to_ms(until)):
                yield from _disclosures(reading, known, page)


def _linked(reading: Reading, asked: set[bytes], *, follows_links: bool) -> list[Stored]:
    known, found = set(asked), dict[int, Stored]()
    new = asked
    while new:
        met = {one.entry: one for one in reading.with_tokens(new)}
        found |= met
        linked = {token for one in met.values() for token in one.tokens} - known
        new = linked if follows_links else set()
        known |= new
        if len(known) > MOST_LINKED + len(asked):
            raise TooManyLinked(
                f"more than {MOST_LINKED} identifiers hang together with these, so one of them"
                " was given to several people: ask with --only-given"
            )
    return [found[entry] for entry in sorted(found)]


def _told_of(reading: Reading, known: _Known, found: Iterable[Stored]) -> dict[int, set[str]]:
    """Return by entry which events its notices say were taken back."""
    notices = [one for one in found if one.settles == NOTICES]
    told_of = {one.entry: set[str]() for one in found}
    for one in _disclosures(reading, known, notices):
        told_of[one.index].add(one.detail)
    return told_of


def _disclosures(reading: Reading, known: _Known, found: Sequence[Stored]) -> Iterator[Disclosure]:
    says, senders = known.of(reading, found)
    for stored in found:
        yield from _of_stored(stored, says, senders)


def _of_stored(
    stored: Stored, says: Mapping[int, _Says], senders: Mapping[int, _Sender]
) -> Iterator[Disclosure]:
    event_type, publisher = senders[stored.sender]
    for number, seal in stored.said:
        told, provider, receiver = says[number]
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


def _to_ms(moment: datetime) -> int:
    return (moment - _EPOCH) // _MILLISECOND


def _from_ms(milliseconds: int) -> datetime:
    return _EPOCH + milliseconds * _MILLISECOND

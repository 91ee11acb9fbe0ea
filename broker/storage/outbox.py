"""What is to be published on ``control``, in the order in which it was committed.

The relay takes it from here, appends it and marks it. It may be stopped between the
two, so a record may be published twice: on ``control`` that changes nothing.
"""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Protocol

import sqlalchemy as sa

from broker.storage.tables import OUTBOX
from schemas.errors import RejectedInput

MAX_VALUE_BYTES: Final = 900_000
"""Below what the streams take: a record that they refuse would hold up all that follow."""

_ONE_AFTER_ANOTHER: Final = 0x434F_4E43  # the lock's name among PostgreSQL's advisory locks
_AT_ONCE: Final = 500


class TooLarge(RejectedInput):
    """A document is larger than a record on the streams may be."""

    code = "too-large"


@dataclass(frozen=True, slots=True)
class Waiting:
    """A record for ``control``; ``number`` grows with the order of the commits."""

    number: int
    key: bytes
    value: bytes
    made_by: str
    made_at: datetime


class _Connecting(Protocol):
    """How the outbox opens a transaction of its own: for reading, or for writing."""

    def __call__(self, *, writing: bool = False) -> AbstractContextManager[sa.Connection]: ...


class Outbox:
    """The records that the store holds for ``control``."""

    def __init__(self, connect: _Connecting) -> None:
        self._connect = connect

    def unpublished(self, limit: int | None = _AT_ONCE) -> list[Waiting]:
        """Return the oldest records that are not marked as published, oldest first."""
        with self._connect() as connection:
            rows = connection.execute(
                _SELECT.where(OUTBOX.c.published_at.is_(None)).limit(limit)
            ).all()
        return [Waiting(*row) for row in rows]

    def count_unpublished(self) -> int:
        """Return how many records wait."""
        with self._connect() as connection:
            found = connection.scalar(
                sa.select(sa.func.count())
                .select_from(OUTBOX)
                .where(OUTBOX.c.published_at.is_(None))
            )
        return found or 0

    def mark_published(self, numbers: Iterable[int]) -> None:
        """Note that these are on ``control``."""
        wanted = list(numbers)
        if not wanted:
            return
        now = datetime.now(UTC)
        with self._connect(writing=True) as connection:
            for start in range(0, len(wanted), _AT_ONCE):
                some = OUTBOX.c.number.in_(wanted[start : start + _AT_ONCE])
                connection.execute(
                    sa.update(OUTBOX)
                    .where(some, OUTBOX.c.published_at.is_(None))
                    .values(published_at=now)
                )

    def everything(self, *, after: int = 0) -> Iterator[Waiting]:
        """Return every record there ever was after a number, published or not, oldest first."""
        last = after
        while True:
            with self._connect() as connection:
                rows = connection.execute(
                    _SELECT.where(OUTBOX.c.number > last).limit(_AT_ONCE)
                ).all()
            if not rows:
                return
            yield from (Waiting(*row) for row in rows)
            last = rows[-1].number


_SELECT: Final = sa.select(
    OUTBOX.c.number, OUTBOX.c.key, OUTBOX.c.value, OUTBOX.c.made_by, OUTBOX.c.made_at
).order_by(OUTBOX.c.number)


def add(  # noqa: PLR0913  a row's columns
    connection: sa.Connection,
    key: bytes,
    value: bytes,
    *,
    by: str,
    at: datetime,
    is_published: bool,
) -> None:
    """Add a record in the transaction that is open."""
    if len(key) + len(value) > MAX_VALUE_BYTES:
        raise TooLarge(
            f"a document has {len(key) + len(value)} bytes, {MAX_VALUE_BYTES} bytes at most fit"
            " on the streams: make it smaller"
        )
    if connection.dialect.name == "postgresql":
        # Numbers are given when a row is written, not when it is committed. Until the
        # transaction ends nobody else gets one, so the two orders are the same.
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_ONE_AFTER_ANOTHER)))
    connection.execute(
        sa.insert(OUTBOX).values(
            key=key, value=value, made_by=by, made_at=at, published_at=at if is_published else None
        )
    )

"""The store: documents, each with all its revisions, and transactions over them."""

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL

from broker.storage import outbox
from broker.storage.engine import WRITING
from broker.storage.errors import Conflict, told_in_our_words
from broker.storage.outbox import Outbox
from broker.storage.tables import DOCUMENT, REVISION
from schemas.errors import EvidenceError, RejectedInput

_LONGEST_NAME: Final = 1000
MAX_VERSION: Final = 2**31 - 1  # PostgreSQL's integer
_INSERT: Final[Mapping[str, Callable[[sa.Table], Any]]] = {
    "sqlite": sqlite.insert,
    "postgresql": postgresql.insert,
}
"""What both say in the same words, each in a class of its own."""


class NotStorable(RejectedInput):
    """A name or a body has something in it that cannot be kept."""

    code = "not-storable"


class Damaged(EvidenceError):
    """A row of the store is not what the store wrote."""

    code = "store-damaged"


@dataclass(frozen=True, slots=True)
class Document:
    """One revision of a document: what it says, who made it and when."""

    kind: str
    id: str
    version: int
    revision: int
    body: Mapping[str, Any]
    changed_by: str
    changed_at: datetime


class Store:
    """A store that is up to date with this release. Threads may share it."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self.outbox = Outbox(self._connect)

    @property
    def url(self) -> URL:
        """Its address, with a password that its ``repr`` does not show."""
        return self._engine.url

    @contextlib.contextmanager
    def transaction(self, *, by: str, at: datetime | None = None) -> Iterator["Transaction"]:
        """Open a transaction in the name of ``by``: all of it is written, or none.

        ``at`` is when the changes are made (aware; default now).
        """
        with self._connect(writing=True) as connection:
            yield Transaction(connection, by=_name(by), at=at or datetime.now(UTC))

    def get(self, kind: str, id: str, version: int = 1) -> Document | None:  # noqa: A002  the word of the document
        """Return the latest revision of a document, or None."""
        with self._connect() as connection:
            return _get(connection, kind, id, version)

    def list(self, kind: str, id: str | None = None) -> tuple[Document, ...]:  # noqa: A002  as above
        """Return the latest revision of each document of a kind, by id and version."""
        with self._connect() as connection:
            return _list(connection, kind, id)

    def history(self, kind: str, id: str, version: int = 1) -> tuple[Document, ...]:  # noqa: A002  as above
        """Return every revision of a document, the first one first."""
        wanted = sa.select(REVISION).where(
            REVISION.c.kind == kind, REVISION.c.id == id, REVISION.c.version == version
        )
        with self._connect() as connection:
            rows = connection.execute(wanted.order_by(REVISION.c.revision)).all()
        return tuple(_document(row) for row in rows)

    @contextlib.contextmanager
    def _connect(self, *, writing: bool = False) -> Iterator[sa.Connection]:
        with told_in_our_words(self.url), self._engine.connect() as connection:
            connection.execution_options(**{WRITING: writing})
            with connection.begin():
                yield connection


class Transaction:
    """Changes that are written together, in the name of one officer or process."""

    def __init__(self, connection: sa.Connection, *, by: str, at: datetime) -> None:
        self._connection = connection
        self._by = by
        self._at = at

    def put(
        self,
        kind: str,
        id: str,  # noqa: A002  the word of the document
        version: int,
        body: Mapping[str, Any],
        *,
        expected_revision: int | None,
    ) -> int:
        """Write a document's next revision and return its number, from 1.

        ``expected_revision`` is the revision that the change was made to, 0 for a document
        that is new; None takes whatever is there, for what nobody else can have changed.

        Raises:
            Conflict: it is at another revision; the transaction must not go on.
            NotStorable: the body is not JSON, or a name cannot be kept.

        """
        kind, id = _name(kind), _name(id)  # noqa: A001  as above
        if not 0 <= version <= MAX_VERSION:
            raise NotStorable(f"expected a version of 0 to {MAX_VERSION}")
        text = _to_text(body)
        revision = self._next_revision(kind, id, version, expected_revision)
        if revision is None:
            found = self.get(kind, id, version)
            what = f"{kind} {id} version {version}"
            if found is None:
                raise Conflict(what, expected_revision)
            raise Conflict(
                what,
                expected_revision,
                revision=found.revision,
                by=found.changed_by,
                at=found.changed_at,
            )
        self._connection.execute(
            sa.insert(REVISION).values(
                kind=kind,
                id=id,
                version=version,
                revision=revision,
                body=text,
                changed_by=self._by,
                changed_at=self._at,
            )
        )
        return revision

    def get(self, kind: str, id: str, version: int = 1) -> Document | None:  # noqa: A002  as above
        """Return the latest revision of a document as this transaction sees it, or None."""
        return _get(self._connection, kind, id, version)

    def list(self, kind: str, id: str | None = None) -> tuple[Document, ...]:  # noqa: A002  as above
        """Return the latest revision of each document of a kind, by id and version."""
        return _list(self._connection, kind, id)

    def publish(self, key: bytes, value: bytes, *, is_published: bool = False) -> None:
        """Have a record appended to ``control`` once this transaction is committed.

        ``is_published`` notes one that is there already, for the store to know it.

        Raises:
            TooLarge: the streams would not take it.

        """
        outbox.add(
            self._connection, key, value, by=self._by, at=self._at, is_published=is_published
        )

    def _next_revision(
        self,
        kind: str,
        id: str,  # noqa: A002  as above
        version: int,
        expected: int | None,
    ) -> int | None:
        """Take the next revision; None when the document is not at the one expected.

        One statement each, so that of two at once exactly one has its way.
        """
        insert = _INSERT[self._connection.dialect.name](DOCUMENT).values(
            kind=kind, id=id, version=version, revision=1
        )
        if expected == 0:
            change = insert.on_conflict_do_nothing()
        elif expected is None:
            change = insert.on_conflict_do_update(
                index_elements=["kind", "id", "version"],
                set_={"revision": DOCUMENT.c.revision + 1},
            )
        else:
            change = (
                sa.update(DOCUMENT)
                .where(_is(kind, id, version), DOCUMENT.c.revision == expected)
                .values(revision=DOCUMENT.c.revision + 1)
            )
        taken = self._connection.scalar(change.returning(DOCUMENT.c.revision))
        return None if taken is None else int(taken)


_LATEST: Final = sa.select(REVISION).join(
    DOCUMENT,
    sa.and_(
        DOCUMENT.c.kind == REVISION.c.kind,
        DOCUMENT.c.id == REVISION.c.id,
        DOCUMENT.c.version == REVISION.c.version,
        DOCUMENT.c.revision == REVISION.c.revision,
    ),
)


def _is(kind: str, id: str, version: int) -> sa.ColumnElement[bool]:  # noqa: A002  as above
    return sa.and_(DOCUMENT.c.kind == kind, DOCUMENT.c.id == id, DOCUMENT.c.version == version)


def _get(connection: sa.Connection, kind: str, id: str, version: int) -> Document | None:  # noqa: A002  as above
    row = connection.execute(_LATEST.where(_is(kind, id, version))).one_or_none()
    return None if row is None else _document(row)


def _list(connection: sa.Connection, kind: str, id: str | None) -> tuple[Document, ...]:  # noqa: A002  as above
    wanted = _LATEST.where(DOCUMENT.c.kind == kind).order_by(DOCUMENT.c.id, DOCUMENT.c.version)
    if id is not None:
        wanted = wanted.where(DOCUMENT.c.id == id)
    return tuple(_document(row) for row in connection.execute(wanted))


def _document(row: sa.Row[Any]) -> Document:
    try:
        body = json.loads(row.body)
    except ValueError:
        raise Damaged(
            f"{row.kind} {row.id} version {row.version} in the store is not what was put there:"
            " put the store back from a copy"
        ) from None
    return Document(
        row.kind, row.id, row.version, row.revision, body, row.changed_by, row.changed_at
    )


def _to_text(body: Mapping[str, Any]) -> str:
    try:
        return json.dumps(dict(body), allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        raise NotStorable("a document's body is not JSON") from None


def _name(text: str) -> str:
    """Refuse what one of the databases could not keep as it is."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise NotStorable("a name has something in it that is no character") from None
    if not text or len(text) > _LONGEST_NAME or "\0" in text:
        raise NotStorable(f"expected a name of 1 to {_LONGEST_NAME} characters without NUL")
    return text

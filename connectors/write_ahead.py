"""Have a SQLite file write ahead (WAL), whoever else opens the new file at this moment."""

import sqlite3
import time
from collections.abc import Callable
from typing import Final

_WAIT_SECONDS: Final = 30.0
_RETRY_SECONDS: Final = 0.005


def write_ahead(
    connection: sqlite3.Connection, *, sleep: Callable[[float], object] = time.sleep
) -> None:
    """Turn the write-ahead log on; a file that has it already is left as it is.

    Of two that turn it on at once SQLite refuses one without waiting, whatever its busy
    timeout is, as each has a lock that the other waits for ("Write-Ahead Logging" and
    "Result codes: SQLITE_BUSY" of its documentation). So it is waited for here.

    Raises:
        sqlite3.OperationalError: it is locked for half a minute, or cannot be written.

    """
    deadline = time.monotonic() + _WAIT_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            # The low byte is the primary code; the rest says which lock it was.
            is_busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
            if not is_busy or time.monotonic() > deadline:
                raise
            sleep(_RETRY_SECONDS)
        else:
            return

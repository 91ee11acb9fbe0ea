"""A SQLite file that several open for the first time at once."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from connectors.write_ahead import write_ahead


def test_who_is_refused_because_another_has_the_new_file_waits_for_it(tmp_path: Path) -> None:
    """SQLite itself refuses one of two without waiting, as it does one that has no patience."""
    with (
        closing(sqlite3.connect(tmp_path / "new.db", isolation_level=None)) as other,
        closing(sqlite3.connect(tmp_path / "new.db", isolation_level=None, timeout=0)) as ours,
    ):
        other.execute("BEGIN EXCLUSIVE")
        waited = []

        def sleep(seconds: float) -> None:
            waited.append(seconds)
            if len(waited) == 2:
                other.execute("COMMIT")

        write_ahead(ours, sleep=sleep)
        assert len(waited) == 2
        assert ours.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        write_ahead(ours, sleep=sleep)
        assert len(waited) == 2


def test_what_is_not_a_matter_of_waiting_is_said_at_once(tmp_path: Path) -> None:
    """A file that may not be written."""
    file = tmp_path / "new.db"
    with closing(sqlite3.connect(file)) as made:
        made.execute("CREATE TABLE t (x)")
    with (
        closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection,
        pytest.raises(sqlite3.OperationalError, match="readonly"),
    ):
        write_ahead(connection, sleep=lambda _: pytest.fail("it waited"))

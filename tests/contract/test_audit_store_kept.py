"""The query store keeps its connections and answers at one moment, on SQLite and PostgreSQL."""

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.operations import Operations
from audit_records import KEYS, NOON, Told, blind, put

from broker.audit.store import AuditStore, HasLess
from broker.storage import AuditTables, Overtaken, migrating, open_audit_store
from broker.storage.audit_reading import looking_up
from broker.storage.audit_tables import AUDIT_METADATA, POSITION
from broker.storage.engine import make_engine, store_url
from broker.storage.migrations.audit_versions import v0001_entries

AMY, BEN = blind("amy"), blind("ben")
DAY = timedelta(days=1)


@pytest.fixture(name="store")
def an_empty_store(store_setting: str) -> Iterator[AuditStore]:
    """Return an empty query store of each kind in turn."""
    store = AuditStore(open_audit_store(store_setting), KEYS)
    yield store
    store.close()


@pytest.fixture
def another(store_setting: str) -> Iterator[AuditStore]:
    """Return the same store as another process has it."""
    store = AuditStore(open_audit_store(store_setting), KEYS)
    yield store
    store.close()


@pytest.fixture
def _small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a segment have four entries, so that few records lie in many."""
    monkeypatch.setattr(AuditTables, "segment_bits", 2)


def test_who_asks_again_opens_no_other_connection(store: AuditStore) -> None:
    """A process that asks many questions would open one for each."""
    opened: list[object] = []
    put(store, [Told("e0", [AMY])])
    sa.event.listen(store._tables._engine, "connect", lambda *it: opened.append(it))
    for _ in range(5):
        assert [one.index for one in store.by_subject([AMY])] == [0]
        put(store, [Told("e", [BEN])])
    assert opened == []
    store.close()


def test_threads_ask_at_once(store: AuditStore) -> None:
    """Each gets its own answer."""
    put(store, [Told(f"e{n}", [blind(str(n))], (f"school-{n}",)) for n in range(12)])
    together = threading.Barrier(6)

    def ask(number: int) -> list[str]:
        together.wait()
        return [one.recipient for one in store.by_subject([blind(str(number))])]

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(ask, range(12))) == [[f"school-{n}"] for n in range(12)]


def test_a_copy_of_the_process_leaves_the_connection_to_the_first(store: AuditStore) -> None:
    """On one connection both would read the other's answers."""
    put(store, [Told("e0", [AMY])])
    reading, writing = os.pipe()
    child = os.fork()
    if not child:  # pragma: no cover  in the other process
        found = [one.event_id for one in store.by_subject([AMY])]
        pool: Any = store._tables._engine.pool
        os.write(writing, repr((found, pool.checkedin())).encode())
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert os.read(reading, 1000) == b"(['e0'], 1)"
    assert [one.event_id for one in store.by_subject([AMY])] == ["e0"]
    os.close(reading)
    os.close(writing)


def test_a_store_that_went_away_and_came_back_is_asked_again(
    store: AuditStore, store_setting: str
) -> None:
    """PostgreSQL ended the connection, or the file was put in place of another."""
    put(store, [Told("e0", [AMY])])
    assert [one.event_id for one in store.by_subject([AMY])] == ["e0"]
    url = store_url(store_setting)
    if url.get_backend_name() == "sqlite":
        for file in Path(str(url.database)).parent.glob(f"{Path(str(url.database)).name}*"):
            file.unlink()
        fresh = AuditStore(open_audit_store(store_setting), KEYS)
        put(fresh, [Told("e1", [AMY])])
        fresh.close()
    else:
        with make_engine(url).connect() as connection, connection.begin():
            connection.execute(
                sa.text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            )
        put(store, [Told("e1", [AMY])])
    assert "e1" in [one.event_id for one in store.by_subject([AMY])]


def test_each_segment_is_searched_and_never_read_through(store: AuditStore) -> None:
    """However large the store becomes: the database says so of what it is asked."""
    put(store, [Told(f"e{n}", [AMY]) for n in range(9)])
    asked = looking_up(store._tables._engine.dialect.name, range(40), [1, -2, 3])
    with store._tables.writing() as connection:
        text = asked.compile(dialect=connection.dialect, compile_kwargs={"literal_binds": True})
        if connection.dialect.name == "sqlite":
            plan = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}")]
            assert "SEARCH audit_lookup USING PRIMARY KEY (segment=? AND token=?)" in plan
            assert "SEARCH audit_entry USING INTEGER PRIMARY KEY (rowid=?)" in plan
            assert not [line for line in plan if line.startswith("SCAN")]
            return
        connection.exec_driver_sql("SET LOCAL enable_seqscan = off")  # as for few rows it would
        plan = [str(row[0]) for row in connection.exec_driver_sql(f"EXPLAIN {text}")]
    found = "\n".join(plan)
    assert "Seq Scan" not in found
    assert "Index Cond: ((segment = ANY (" in found
    assert "AND (token = ANY (" in found
    assert "Index Cond: (entry = ANY (" in found


def test_an_answer_is_of_one_moment_whatever_happens_meanwhile(
    store: AuditStore, another: AuditStore
) -> None:
    """Also when the store is made again while a paper is read from it."""
    put(store, [Told(f"e{n}", [AMY]) for n in range(1200)])
    answer = store.between()
    first = next(answer)
    another.begin()
    put(another, [Told("new", [BEN])])
    assert [first.event_id, *(one.event_id for one in answer)] == [f"e{n}" for n in range(1200)]
    assert [one.event_id for one in store.between()] == ["new"]


def test_what_is_kept_in_mind_is_of_this_making_of_the_store(
    store: AuditStore, another: AuditStore
) -> None:
    """A number may stand for another recipient when the store was made again."""
    put(store, [Told("e0", [AMY], ("school",))])
    assert [one.recipient for one in store.by_subject([AMY])] == ["school"]
    another.begin()
    put(another, [Told("e0", [AMY], ("police",), publisher="trust")])
    (one,) = store.by_subject([AMY])
    assert (one.recipient, one.publisher, one.flow) == ("police", "trust", "to-police")


def test_an_answer_with_less_than_was_promised_is_refused(
    store: AuditStore, another: AuditStore
) -> None:
    """Nothing found must mean that nothing was shared."""
    put(store, [Told("e0", [AMY])])
    assert store.promise() is None
    put(another, [Told("e1", [AMY])])
    assert len(store.by_subject([AMY])) == 2
    another.begin()
    for ask in (
        lambda: store.by_subject([AMY]),
        lambda: store.by_event("e0"),
        lambda: list(store.between()),
        lambda: list(store.by_recipient("school")),
    ):
        with pytest.raises(HasLess, match="ask again"):
            ask()


@pytest.mark.usefixtures("_small_segments")
def test_old_segments_are_taken_out_and_the_store_says_from_when_it_answers(
    store: AuditStore, another: AuditStore
) -> None:
    """Whole ones alone, and of those only what lies before the first that is not old."""
    days = [0, 1, 2, 0, 3, 3, 3, 9, 3, 3, 3, 3, 10, 10]
    put(store, [Told(f"e{n}", [AMY], after=day * DAY) for n, day in enumerate(days)])
    assert store.promise() is None
    assert store.droppable(NOON) is None
    assert store.droppable(NOON + 2 * DAY) is None, "one of the first four is of that time"
    dropped = store.droppable(NOON + 4 * DAY)
    assert dropped is not None
    assert (dropped.first_entry, dropped.end_entry, dropped.entries) == (0, 4, 4)
    store.drop(dropped)
    with pytest.raises(HasLess):
        store.by_subject([AMY])
    assert store.promise() == NOON + 2 * DAY + timedelta(milliseconds=1)
    left = list(range(4, 14))
    assert [one.index for one in store.by_subject([AMY])] == left
    assert [one.index for one in store.by_recipient("school")] == left
    assert sorted(one.index for one in store.between()) == left
    assert store.by_event("e2") == []
    with pytest.raises(Overtaken):
        another.drop(dropped)
    again = another.droppable(NOON + 30 * DAY)
    assert again is not None
    assert (again.first_entry, again.end_entry, again.entries) == (4, 12, 8)
    another.drop(again)
    assert another.promise() == NOON + 9 * DAY + timedelta(milliseconds=1)
    assert [one.index for one in another.by_subject([AMY])] == [12, 13]
    put(another, [Told("new", [AMY])])
    assert [one.index for one in another.by_subject([AMY])] == [12, 13, 14]
    with another._tables.writing() as connection:
        for table, rows in (("audit_entry", 3), ("audit_received", 3), ("audit_lookup", 6)):
            counted = connection.scalar(sa.text(f"SELECT count(*) FROM {table}"))  # noqa: S608  ours
            assert counted == rows, table
    another.begin()
    assert another.promise() is None


def test_a_store_of_the_first_form_answers_as_before(store: AuditStore, store_setting: str) -> None:
    """What a former release wrote is kept when it is brought to this one's form."""
    put(store, [Told(f"e{n}", [AMY], ("school", "police")) for n in range(5)])
    before = store.by_subject([AMY])
    tables = [table for table in AUDIT_METADATA.sorted_tables if table is not POSITION]
    former = ("one", "next_entry", "next_offset", "key_mark")
    with store._tables.writing() as connection:
        rows = {
            table: [dict(row._mapping) for row in connection.execute(sa.select(table))]
            for table in tables
        }
        position = connection.execute(sa.select(*(POSITION.c[name] for name in former))).one()
        AUDIT_METADATA.drop_all(connection)
        context = MigrationContext.configure(connection)
        operations: Any = Operations
        with operations.context(context):
            v0001_entries.upgrade()
        noted = sa.table(migrating.AUDIT.noted_in, sa.column("version_num"))
        connection.execute(sa.update(noted).values(version_num="0001"))
        for table, kept in rows.items():
            connection.execute(sa.insert(table), kept)
        connection.execute(
            sa.text(
                "INSERT INTO audit_position VALUES (:one, :next_entry, :next_offset, :key_mark)"
            ),
            dict(position._mapping),
        )
    store.close()
    opened = AuditStore(open_audit_store(store_setting), KEYS)
    assert opened.by_subject([AMY]) == before
    assert opened.position.next_entry == 5
    assert opened.promise() is None
    opened.close()

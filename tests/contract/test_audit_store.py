"""The query store's contract, on SQLite and on a real PostgreSQL."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from audit_records import KEYS, NOON, Told, blind, expected, put

from broker.audit.keys import AuditKeys
from broker.audit.store import MOST_LINKED, AuditStore, OtherKey, TooManyLinked
from broker.bench.auditing import measure_asking
from broker.storage import (
    AuditTables,
    Overtaken,
    Row,
    StoreUnavailable,
    UnusableStore,
    migrating,
    open_audit_store,
    open_store,
)
from broker.storage.audit_tables import AUDIT_METADATA
from broker.storage.engine import make_engine, store_url

AMY, AMY_TOO, BEN = blind("amy"), blind("amy by another number"), blind("ben")
HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)


@pytest.fixture(name="store")
def an_empty_store(store_setting: str) -> AuditStore:
    """Return an empty query store of each kind in turn."""
    return AuditStore(open_audit_store(store_setting), KEYS)


@pytest.fixture
def _small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a segment have four entries, so that few records lie in many."""
    monkeypatch.setattr(AuditTables, "segment_bits", 2)


def test_everything_about_a_person_comes_back_as_the_records_say_it(store: AuditStore) -> None:
    """Recipients, items, bases of both sides, what was withheld and refused: nothing is lost."""
    records = [
        Told("e0", [AMY], ("school", "police")),
        Told("e1", [BEN]),
        Told("e2", [AMY], outcome="hold"),
        Told("e3", [AMY], after=HOUR, suspension="5f"),
        Told("e4", []),
        Told("e5", [AMY], ()),
    ]
    put(store, records)
    of_amy = [one for one in expected(records) if one.event_id in {"e0", "e2", "e3"}]
    assert store.by_subject([AMY]) == of_amy
    assert [one.outcome for one in of_amy] == ["permit", "permit", "hold", "permit"]
    assert store.by_subject([blind("nobody")]) == []
    assert store.by_subject([]) == []


@pytest.mark.usefixtures("_small_segments")
def test_a_person_is_found_in_every_segment(store: AuditStore) -> None:
    """However long the log has become."""
    records = [Told(f"e{n}", [AMY if n % 3 == 0 else blind(str(n))]) for n in range(40)]
    put(store, records)
    put(store, records[:6])
    assert [one.index for one in store.by_subject([AMY])] == [*range(0, 40, 3), 40, 43]


def test_all_identifiers_of_one_person_are_found_together(store: AuditStore) -> None:
    """Those that stand in one record are of one person, over as many steps as it takes."""
    third = blind("amy by a third number")
    records = [
        Told("e0", [AMY]),
        Told("e1", [AMY_TOO, third]),
        Told("e2", [AMY_TOO]),
        Told("e3", [AMY, third]),
        Told("e4", [BEN]),
    ]
    put(store, records)
    assert [one.index for one in store.by_subject([AMY])] == [0, 1, 2, 3]
    assert [one.index for one in store.by_subject([AMY], follows_links=False)] == [0, 3]
    assert [one.index for one in store.by_subject([AMY, BEN], follows_links=False)] == [0, 3, 4]


def test_identifiers_that_hang_together_without_end_are_refused(store: AuditStore) -> None:
    """A number that was given to many people must not tell one of them about the others."""
    put(store, [Told(f"e{n}", [AMY, blind(str(n))]) for n in range(MOST_LINKED + 1)])
    with pytest.raises(TooManyLinked, match="--only-given"):
        store.by_subject([AMY])
    assert len(store.by_subject([AMY], follows_links=False)) == MOST_LINKED + 1


def test_what_a_recipient_was_told_is_found_by_time_and_flow(store: AuditStore) -> None:
    """From a time, which counts, to before another; in the log's order, page after page."""
    records = [
        Told(
            f"e{n}",
            [blind(str(n))],
            ("school", "police") if n % 2 else ("police",),
            after=n * SECOND,
        )
        for n in range(1100)
    ]
    put(store, records)
    since, until = NOON + SECOND, NOON + 1099 * SECOND
    wanted = [
        one
        for one in expected(records)
        if one.recipient == "school" and since <= one.decided_at < until
    ]
    assert list(store.by_recipient("school", since=since, until=until)) == wanted
    assert list(store.by_recipient("school", flow="to-police")) == []
    assert list(store.by_recipient("nobody")) == []
    assert sum(1 for _ in store.by_recipient("police", flow="to-police")) == 1100


def test_what_was_decided_in_a_time_comes_in_the_order_of_time(store: AuditStore) -> None:
    """Also where a clock jumped backward, and where many were decided at once."""
    times = [0, 3, 3, 3, 1, 2] * 300
    records = [Told(f"e{n}", [AMY], after=at * SECOND) for n, at in enumerate(times)]
    put(store, records)
    wanted = sorted(expected(records), key=lambda one: (one.decided_at, one.index))
    assert list(store.between()) == wanted
    some = list(store.between(NOON + SECOND, NOON + 3 * SECOND))
    assert some == [one for one in wanted if one.decided_at.second in {1, 2}]


def test_an_event_is_found_by_its_id(store: AuditStore) -> None:
    """With all that was decided about it, first and later."""
    records = [Told("e0", [AMY], outcome="hold"), Told("e1", [AMY]), Told("e0", [AMY])]
    put(store, records)
    assert [one.index for one in store.by_event("e0")] == [0, 2]
    assert store.by_event("e") == []


def test_an_event_that_was_taken_back_is_found_with_who_was_told(store: AuditStore) -> None:
    """Also by the id of the event that took it back; each record once, and nothing else."""
    records = [
        Told("e0", [AMY], ("school", "police")),
        Told("e1", [AMY], ("school",)),
        Told("e1", [AMY], ("police",), retracts="e0"),
        Told("e2", [BEN], ("school",), retracts="e3"),
    ]
    put(store, records)
    said = expected(records)
    assert store.by_event("e0") == [one for one in said if one.index in {0, 2}]
    assert store.by_event("e1") == [one for one in said if one.index in {1, 2}]
    assert [one.index for one in store.by_event("e3")] == [3]
    assert [one.index for one in store.by_subject([AMY])] == [0, 0, 1, 2]
    (notice,) = (one for one in said if one.index == 2)
    assert (notice.is_notice, notice.is_shared, notice.detail) == (True, False, "e0")


def test_notices_are_forgotten_whole(store: AuditStore) -> None:
    """By the event that was taken back there is nothing to be found any more, and nothing left."""
    put(store, [Told("e0", [AMY]), Told("e1", [AMY], retracts="e0"), Told("e2", [AMY])])
    assert store.forget([1]) == 1
    assert [one.index for one in store.by_event("e0")] == [0]
    assert store.by_event("e1") == []
    with make_engine(store_url(_setting(store))).connect() as connection:
        left = connection.scalars(sa.text("SELECT entry FROM audit_lookup ORDER BY entry")).all()
    assert left == [0, 0, 2, 2]


def test_what_was_added_before_is_not_added_again(store: AuditStore) -> None:
    """Of two workers one has its way; the other is told and has written nothing."""
    other = AuditStore(open_audit_store(_setting(store)), KEYS)
    before = store.position
    put(other, [Told("e0", [AMY])])
    with pytest.raises(Overtaken):
        store.add([], after=before, next_entry=1, next_offset=1)
    put(store, [Told("e1", [AMY])])
    put(other, [Told("e2", [AMY], ("police",))])
    assert [one.event_id for one in store.by_subject([AMY])] == ["e0", "e1", "e2"]
    assert [one.recipient for one in store.by_subject([AMY])] == ["school", "school", "police"]


def test_rows_that_cannot_be_written_leave_the_position_where_it_was(store: AuditStore) -> None:
    """Rows and position are one transaction; phrases that were not kept are given again."""
    put(store, [Told("e0", [AMY])])
    at, row = store.position, _row(store, Told("e1", [AMY], ("police",)), 1)
    with pytest.raises(StoreUnavailable):
        store.add([row, row], after=at, next_entry=3, next_offset=3)
    assert store.position == at
    assert [one.event_id for one in store.by_subject([AMY])] == ["e0"]
    store.add([row], after=at, next_entry=2, next_offset=2)
    assert [one.recipient for one in store.by_subject([AMY])] == ["school", "police"]


@pytest.mark.usefixtures("_small_segments")
def test_what_is_forgotten_is_found_by_nothing(store: AuditStore) -> None:
    """Shredded records leave the store, and forgetting again is no error."""
    put(store, [Told(f"e{n}", [AMY, BEN]) for n in range(10)])
    assert store.forget([2, 7, 99]) == 2
    assert store.forget([2, 7]) == 0
    left = [0, 1, 3, 4, 5, 6, 8, 9]
    assert [one.index for one in store.by_subject([AMY])] == left
    assert [one.index for one in store.by_recipient("school")] == left
    assert [one.index for one in store.between()] == left
    assert store.by_event("e2") == []
    with make_engine(store_url(_setting(store))).connect() as connection:
        for table in ("audit_entry", "audit_received"):
            assert connection.scalar(sa.text(f"SELECT count(*) FROM {table}")) == 8  # noqa: S608  ours
        assert connection.scalar(sa.text("SELECT count(*) FROM audit_lookup")) == 3 * 8


def test_the_store_holds_no_blinded_identifier(store: AuditStore) -> None:
    """What the records have is not there: the store alone gives nothing to guess against."""
    put(store, [Told("e0", [AMY, AMY_TOO])])
    kept = b"".join(_values(_setting(store)))
    assert b"school" in kept
    for one in (AMY, AMY_TOO):
        assert one[:8] not in kept
        assert str(int.from_bytes(one[:8], "big", signed=True)).encode() not in kept


def test_a_store_of_another_key_is_refused_and_made_again(store: AuditStore) -> None:
    """It would find nothing, which would be a wrong answer."""
    put(store, [Told("e0", [AMY])])
    rotated = AuditStore(open_audit_store(_setting(store)), AuditKeys((bytes(32), *KEYS.keys)))
    with pytest.raises(OtherKey, match="reindex"):
        _ = rotated.position
    before = store.position
    rotated.begin()
    with pytest.raises(Overtaken):
        store.add([], after=before, next_entry=2, next_offset=2)
    put(rotated, [Told("e0", [AMY], ("police",))])
    assert [one.recipient for one in rotated.by_subject([AMY])] == ["police"]


def test_the_migrations_make_what_the_release_expects(store: AuditStore) -> None:
    """From empty to the newest, and beside a register in the same database."""
    open_store(_setting(store))
    with make_engine(store_url(_setting(store))).connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "version_table": migrating.AUDIT.noted_in,
                "include_name": lambda name, kind, _: kind != "table" or name.startswith("audit_"),
            },
        )
        assert compare_metadata(context, AUDIT_METADATA) == []
        assert context.get_current_revision() == migrating.AUDIT.newest
    scripts = ScriptDirectory(
        str(migrating.FOLDER), version_locations=[str(migrating.AUDIT.versions)]
    )
    assert scripts.get_heads() == [migrating.AUDIT.newest]


def test_a_store_to_measure_with_is_filled_only_when_it_is_empty(store_setting: str) -> None:
    """What a benchmark makes up answers like the real thing, and takes the place of nothing."""
    found = measure_asking(store_setting, 2000, lambda _: None, questions=3)
    assert found.found == 4, "one of 500 entries is about somebody who is asked for"
    assert found.p95_ms > 0
    with pytest.raises(UnusableStore, match="not empty"):
        measure_asking(store_setting, 2000, lambda _: None, questions=3)


def _row(store: AuditStore, told: Told, entry: int) -> Row:
    from broker.record_parts import PartsReader

    return store.row(entry, PartsReader().read(told.to_bytes()))


def _setting(store: AuditStore) -> str:
    url = store._tables.url
    if url.get_backend_name() == "sqlite":
        return f"sqlite:{url.database}"
    return replace_driver(url)


def replace_driver(url: sa.URL) -> str:
    """Return an address as the settings write it."""
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


def _values(setting: str) -> Iterator[bytes]:
    with make_engine(store_url(setting)).connect() as connection:
        for table in AUDIT_METADATA.sorted_tables:
            for row in connection.execute(sa.select(table)):
                yield from (bytes(v) if isinstance(v, bytes) else str(v).encode() for v in row)

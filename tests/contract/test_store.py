"""The store's contract, on SQLite and on a real PostgreSQL."""

import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from broker.storage import (
    Conflict,
    Store,
    StoreUnavailable,
    Transaction,
    UnusableStore,
    migrating,
    open_store,
)
from broker.storage.engine import make_engine, store_url
from broker.storage.outbox import MAX_VALUE_BYTES, TooLarge
from broker.storage.store import NotStorable
from broker.storage.tables import METADATA

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture(name="store")
def an_empty_store(store_setting: str) -> Store:
    """Return an empty store of each kind in turn."""
    return open_store(store_setting)


def put(store: Store, body: Any, *, expected: int | None, by: str = "ann") -> int:
    """Put the one document that most tests are about."""
    with store.transaction(by=by, at=NOON) as transaction:
        return transaction.put("draft", "a", 1, {"text": body}, expected_revision=expected)


# -- documents -------------------------------------------------------------------------------


def test_a_document_comes_back_as_it_was_put_with_who_and_when(store: Store) -> None:
    """Nothing of a body is changed by either database: not a float, not a stray surrogate."""
    body = {"text": "£ \u2028 \ud800 \0", "number": 1.0, "big": 2**70, "list": [None, True, {}]}
    with store.transaction(by="ann", at=NOON + timedelta(microseconds=1)) as transaction:
        assert transaction.put("draft", "https://x/é", 3, body, expected_revision=0) == 1
    found = store.get("draft", "https://x/é", 3)
    assert found is not None
    assert found.body == body
    assert isinstance(found.body["number"], float)
    assert (found.revision, found.changed_by) == (1, "ann")
    assert found.changed_at == NOON + timedelta(microseconds=1)
    assert found.changed_at.tzinfo is not None
    assert store.get("draft", "https://x/é", 2) is None


def test_every_revision_is_kept_with_who_made_it(store: Store) -> None:
    """The register tells how a document came to be what it is."""
    for revision, by in enumerate(("ann", "bob", "ann")):
        assert put(store, revision, expected=revision, by=by) == revision + 1
    told = [(one.revision, one.changed_by, one.body["text"]) for one in store.history("draft", "a")]
    assert told == [(1, "ann", 0), (2, "bob", 1), (3, "ann", 2)]


def test_documents_of_a_kind_are_listed_by_id_and_version(store: Store) -> None:
    """Each once, in its latest revision; other kinds are not among them."""
    with store.transaction(by="ann") as transaction:
        for name, version in (("b", 1), ("a", 10), ("a", 2)):
            transaction.put("draft", name, version, {"first": 1}, expected_revision=0)
        transaction.put("draft", "a", 2, {"second": 2}, expected_revision=1)
        transaction.put("template", "a", 1, {}, expected_revision=0)
        assert len(transaction.list("draft")) == 3
    told = [(one.id, one.version, one.revision) for one in store.list("draft")]
    assert told == [("a", 2, 2), ("a", 10, 1), ("b", 1, 1)]
    assert [one.version for one in store.list("draft", "a")] == [2, 10]


# -- two officers at once --------------------------------------------------------------------


def test_the_second_of_two_officers_gets_a_conflict_that_names_the_first(store: Store) -> None:
    """Both opened revision 1; whoever saves second loses nothing and overwrites nothing."""
    put(store, "old", expected=0)
    put(store, "bob's", expected=1, by="bob")
    with pytest.raises(Conflict) as refused:
        put(store, "ann's", expected=1, by="ann")
    assert (refused.value.code, refused.value.revision) == ("conflict", 2)
    assert (refused.value.by, refused.value.at) == ("bob", NOON)
    assert "bob made revision 2 at 2026-11-23 12:00:00+00:00" in str(refused.value)
    assert [one.body["text"] for one in store.history("draft", "a")] == ["old", "bob's"]


def test_a_revision_that_is_not_the_latest_is_a_conflict(store: Store) -> None:
    """That it is new, that it is further on, and nonsense."""
    put(store, "old", expected=0)
    for expected in (0, 2, 7, -1):
        with pytest.raises(Conflict):
            put(store, "new", expected=expected)
    assert len(store.history("draft", "a")) == 1


def test_a_change_to_what_is_not_there_is_a_conflict(store: Store) -> None:
    """Somebody works on a text that the register does not have."""
    with pytest.raises(Conflict, match="there is none"):
        put(store, "new", expected=1)
    assert store.list("draft") == ()


def test_a_conflict_takes_the_whole_transaction_back(store: Store) -> None:
    """What was put before it, and what was to be published."""
    put(store, "old", expected=0)

    def several(transaction: Transaction) -> None:
        transaction.put("party", "b", 1, {}, expected_revision=0)
        transaction.publish(b"key", b"value")
        transaction.put("draft", "a", 1, {}, expected_revision=0)

    with pytest.raises(Conflict), store.transaction(by="ann") as transaction:
        several(transaction)
    assert store.get("party", "b") is None
    assert store.outbox.unpublished() == []


def test_of_many_who_change_one_revision_at_once_one_has_its_way(store: Store) -> None:
    """Twenty revisions, each won by one of four: none is lost and none is written twice."""
    put(store, 0, expected=0)
    start = threading.Barrier(4)
    beaten_by: set[tuple[str, str | None]] = set()

    def work(who: str) -> int:
        won = 0
        for revision in range(1, 21):
            start.wait()
            try:
                assert put(store, who, expected=revision, by=who) == revision + 1
                won += 1
            except Conflict as conflict:
                beaten_by.add((who, conflict.by))
        return won

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(work, ["ann", "bob", "cat", "dan"])) == 20
    assert all(who != by for who, by in beaten_by)
    assert [one.revision for one in store.history("draft", "a")] == list(range(1, 22))


def test_whoever_does_not_say_a_revision_comes_after_the_others(store: Store) -> None:
    """For what one process alone keeps; a new document begins at 1."""
    assert put(store, 1, expected=None) == 1
    with ThreadPoolExecutor(4) as pool:
        found = pool.map(lambda number: put(store, number, expected=None), range(20))
    assert sorted(found) == list(range(2, 22))


# -- the outbox ------------------------------------------------------------------------------


def test_what_is_to_be_published_comes_in_the_order_of_the_commits(store: Store) -> None:
    """Nobody gets the next number, and commits it, while the one before is not committed."""
    began, go_on = threading.Event(), threading.Event()

    def slow() -> None:
        with store.transaction(by="slow") as transaction:
            transaction.publish(b"slow", b"1")
            began.set()
            go_on.wait()
            transaction.publish(b"slow", b"2")

    def quick() -> None:
        began.wait()
        with store.transaction(by="quick") as transaction:
            transaction.publish(b"quick", b"3")

    with ThreadPoolExecutor(2) as pool:
        writing = [pool.submit(slow), pool.submit(quick)]
        try:
            # It must wait, so there is nothing to wait for: half a second is ample to be early.
            assert wait(writing, timeout=0.5, return_when=FIRST_COMPLETED).done == set()
            assert store.outbox.unpublished() == []
        finally:
            go_on.set()
    assert [one.key for one in store.outbox.unpublished()] == [b"slow", b"slow", b"quick"]


def test_nobody_sees_a_later_record_before_an_earlier_one(store: Store) -> None:
    """Writers at once: whenever the relay looks, what it sees continues what it saw."""
    stop = threading.Event()

    def write(who: int) -> None:
        for number in range(15):
            with store.transaction(by=str(who)) as transaction:
                transaction.publish(b"%d" % who, b"%d" % number)

    def watch() -> list[int]:
        seen: list[int] = []
        while not stop.is_set() or len(seen) < 60:
            waiting = [one.number for one in store.outbox.unpublished()]
            seen.extend(waiting)
            store.outbox.mark_published(waiting)
        return seen

    with ThreadPoolExecutor(5) as pool:
        watching = pool.submit(watch)
        list(pool.map(write, range(4)))
        stop.set()
        seen = watching.result()
    assert seen == sorted(seen)
    assert len(set(seen)) == 60


def test_what_is_marked_as_published_does_not_come_again(store: Store) -> None:
    """Marking twice changes nothing; what was published can still be looked up."""
    with store.transaction(by="ann", at=NOON) as transaction:
        for number in range(3):
            transaction.publish(b"key", b"%d" % number)
        transaction.publish(b"key", b"there already", is_published=True)
    first, second, _ = store.outbox.unpublished()
    store.outbox.mark_published([first.number])
    store.outbox.mark_published([first.number, second.number])
    store.outbox.mark_published([])
    assert [one.value for one in store.outbox.unpublished()] == [b"2"]
    assert store.outbox.count_unpublished() == 1
    assert [one.value for one in store.outbox.everything()] == [b"0", b"1", b"2", b"there already"]
    assert (first.made_by, first.made_at) == ("ann", NOON)


def test_a_record_that_the_streams_would_refuse_is_refused_before_it_is_kept(store: Store) -> None:
    """It would hold up all that come after it."""

    def both(transaction: Transaction) -> None:
        transaction.put("draft", "a", 1, {}, expected_revision=0)
        transaction.publish(b"key", b"x" * MAX_VALUE_BYTES)

    with pytest.raises(TooLarge), store.transaction(by="ann") as transaction:
        both(transaction)
    assert store.get("draft", "a") is None


_WRITER = """
import sys
from broker.storage import open_store
store = open_store(sys.argv[1])
with store.transaction(by="ann") as transaction:
    transaction.put("party", "a", 1, {}, expected_revision=0)
    transaction.publish(b"party|a|1", b"value")
    if sys.argv[2] == "before":
        print("ready", flush=True)
        sys.stdin.read()
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.mark.fault
@pytest.mark.parametrize(("when", "is_there"), [("before", False), ("after", True)])
def test_a_crash_leaves_the_document_and_its_record_or_neither(
    store_setting: str, when: str, *, is_there: bool
) -> None:
    """Killed before the commit, or between the commit and the relay."""
    store = open_store(store_setting)
    command = [sys.executable, "-c", _WRITER, store_setting, when]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=dict(os.environ)
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert (store.get("party", "a") is not None) is is_there
    assert [one.key for one in store.outbox.unpublished()] == [b"party|a|1"] * is_there
    put(store, "others go on", expected=0)


# -- opening and migrating -------------------------------------------------------------------


def test_the_migrations_make_what_the_release_expects(store: Store) -> None:
    """From empty to the newest: the tables are those that the code is written for."""
    engine = make_engine(store.url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, METADATA) == []
        assert context.get_current_revision() == migrating.REGISTER.newest
    scripts = ScriptDirectory(str(migrating.FOLDER))
    assert scripts.get_heads() == [migrating.REGISTER.newest]


def test_a_store_that_was_opened_before_is_opened_as_it_is(store_setting: str) -> None:
    """Opening is not founding: what is there stays."""
    put(open_store(store_setting), "kept", expected=0)
    found = open_store(store_setting).get("draft", "a")
    assert found is not None
    assert found.body == {"text": "kept"}


def test_several_processes_may_open_an_empty_store_at_once(store_setting: str) -> None:
    """One runs the migrations, the others wait and find them run."""
    with ThreadPoolExecutor(4) as pool:
        stores = list(pool.map(open_store, [store_setting] * 4))
    assert [put(store, "new", expected=None) for store in stores] == [1, 2, 3, 4]


def test_a_store_of_a_later_release_is_left_alone(store_setting: str) -> None:
    """What this release does not know it does not write into."""
    store = open_store(store_setting)
    with make_engine(store.url).begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(UnusableStore, match="9999"):
        open_store(store_setting)


# -- what cannot be kept, and what does not answer ------------------------------------------


def test_what_a_database_could_not_keep_as_it_is_is_refused(store: Store) -> None:
    """By both in the same words, and nothing of the transaction is written."""
    bad = [("draft", "a", {"text": float("nan")}), ("draft", "a", {"text": {1, 2}})]
    bad += [("draft", name, {}) for name in ("a\0", "", "\ud800", "a" * 1001)]

    def both(transaction: Transaction, name: tuple[str, str], body: Any) -> None:
        transaction.put("draft", "before", 1, {}, expected_revision=0)
        transaction.put(*name, 1, body, expected_revision=0)

    for kind, id_, body in bad:
        with pytest.raises(NotStorable), store.transaction(by="ann") as transaction:
            both(transaction, (kind, id_), body)
    assert store.list("draft") == ()


@pytest.mark.parametrize(
    "setting",
    [
        "",
        "store.db",
        "sqlite:",
        "sqlite:///x",
        "mysql://h/d",
        "postgresql://h",
        "postgresql+x://h/d",
    ],
)
def test_a_setting_that_is_no_store_is_refused_without_repeating_it(setting: str) -> None:
    """It may have a password in it."""
    with pytest.raises(UnusableStore) as refused:
        store_url(setting)
    assert not setting or f" {setting} " not in str(refused.value)


def test_a_store_that_does_not_answer_says_so_without_its_password(tmp_path: Any) -> None:
    """The address is told, so that the operator knows which; the password is not."""
    for setting in (
        f"postgresql://ann:secret-word@/d?host={tmp_path}",
        f"sqlite:{tmp_path}/no/such/folder/store.db",
    ):
        with pytest.raises(StoreUnavailable) as refused:
            open_store(setting)
        assert "secret-word" not in str(refused.value)
        assert refused.value.__cause__ is None
    (tmp_path / "rubbish.db").write_bytes(b"not a database" * 100)
    with pytest.raises(StoreUnavailable):
        open_store(f"sqlite:{tmp_path}/rubbish.db")

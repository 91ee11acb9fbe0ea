"""Open a store, and bring it to the form that this release knows.

Alembic does the work, and only where there is some: a store that is up to date is
opened without it. What a later release wrote is left alone.
"""

from pathlib import Path
from typing import Final

import sqlalchemy as sa

from broker.storage.engine import WRITING, make_engine, store_url
from broker.storage.errors import UnusableStore, shown, told_in_our_words
from broker.storage.store import Store

NEWEST: Final = "0001"
"""The last migration that this release has (a test compares it with the folder)."""

FOLDER: Final = Path(__file__).with_name("migrations")

_ONE_AFTER_ANOTHER: Final = 0x434F_4E44  # the lock's name among PostgreSQL's advisory locks
_NOTED: Final = sa.Table(
    "alembic_version", sa.MetaData(), sa.Column("version_num", sa.String(32), primary_key=True)
)


def open_store(store: str) -> Store:
    """Open the store that the setting names; it is made, or brought up to date, first.

    Raises:
        UnusableStore: the setting names none of ours, or a later release wrote there.
        StoreUnavailable: it does not answer.

    """
    url = store_url(store)
    engine = make_engine(url)
    with told_in_our_words(url):
        with engine.connect() as connection, connection.begin():
            found = _revision(connection)
        if found != NEWEST:
            with engine.connect() as connection:
                connection.execution_options(**{WRITING: True})
                with connection.begin():
                    _upgrade(connection)
    return Store(engine)


def _revision(connection: sa.Connection) -> str | None:
    """Return the last migration that was run, as Alembic notes it."""
    if not sa.inspect(connection).has_table(_NOTED.name):
        return None
    found: str | None = connection.scalar(sa.select(_NOTED.c.version_num))
    return found


def _upgrade(connection: sa.Connection) -> None:
    # Only here: most commands meet a store that is up to date, and start faster without it.
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_ONE_AFTER_ANOTHER)))
    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    found = _revision(connection)  # another process may have done it while we waited
    if found is not None and found not in known:
        raise UnusableStore(
            f"the store {shown(connection.engine.url)} was written by a later release"
            f" (migration {found}): upgrade this one"
        )
    command.upgrade(config, "head")

"""Open a store, and bring it to the form that this release knows.

Alembic does the work, and only where there is some: a store that is up to date is
opened without it. What a later release wrote is left alone. The register and the query
store have tables and migrations of their own, and may lie in one database.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from broker.storage.audit import AuditTables
from broker.storage.audit_tables import AUDIT_METADATA
from broker.storage.engine import WRITING, make_engine, make_keeping_engine, store_url
from broker.storage.errors import UnusableStore, shown, told_in_our_words
from broker.storage.store import Store
from broker.storage.tables import METADATA


@dataclass(frozen=True, slots=True)
class Form:
    """What is kept in a store: its tables and migrations, and where it is noted which were run.

    ``newest`` is the last migration of this release (a test compares it with the folder).
    """

    newest: str
    versions: Path
    noted_in: str
    metadata: sa.MetaData


FOLDER: Final = Path(__file__).with_name("migrations")
REGISTER: Final = Form("0001", FOLDER / "versions", "alembic_version", METADATA)
AUDIT: Final = Form("0002", FOLDER / "audit_versions", "audit_alembic_version", AUDIT_METADATA)

_ONE_AFTER_ANOTHER: Final = 0x434F_4E44  # the lock's name among PostgreSQL's advisory locks


def open_store(store: str) -> Store:
    """Open the store that the setting names; it is made, or brought up to date, first.

    Raises:
        UnusableStore: the setting names none of ours, or a later release wrote there.
        StoreUnavailable: it does not answer.

    """
    return Store(_opened(make_engine(store_url(store)), REGISTER))


def open_audit_store(store: str) -> AuditTables:
    """Open the query store that the setting names, likewise; it keeps its connections."""
    return AuditTables(_opened(make_keeping_engine(store_url(store)), AUDIT))


def _opened(engine: sa.Engine, form: Form) -> sa.Engine:
    try:
        with told_in_our_words(engine.url):
            with engine.connect() as connection, connection.begin():
                found = _revision(connection, form)
            if found != form.newest:
                with engine.connect() as connection:
                    connection.execution_options(**{WRITING: True})
                    with connection.begin():
                        _upgrade(connection, form)
    except BaseException:
        engine.dispose()
        raise
    return engine


def _revision(connection: sa.Connection, form: Form) -> str | None:
    """Return the last migration that was run, as Alembic notes it."""
    if not sa.inspect(connection).has_table(form.noted_in):
        return None
    noted = sa.table(form.noted_in, sa.column("version_num"))
    found: str | None = connection.scalar(sa.select(noted.c.version_num))
    return found


def _upgrade(connection: sa.Connection, form: Form) -> None:
    # Only here: most commands meet a store that is up to date, and start faster without it.
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_ONE_AFTER_ANOTHER)))
    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    # One folder, in whose name anything may be but a line break.
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", str(form.versions).replace("%", "%%"))
    config.attributes.update(connection=connection, form=form)
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    found = _revision(connection, form)  # another process may have done it while we waited
    if found is not None and found not in known:
        raise UnusableStore(
            f"the store {shown(connection.engine.url)} was written by a later release"
            f" (migration {found}): upgrade this one"
        )
    command.upgrade(config, "head")

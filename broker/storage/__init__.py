"""The register's store: documents with their revisions, and what is to be published of them.

The only part that knows SQLAlchemy, Alembic and psycopg. Behind it stands SQLite by
default and PostgreSQL in service, and one contract suite holds both to the same
behaviour (``tests/contract/test_store.py``):

* a change is one transaction, of documents and of what is to go to ``control``;
* whoever puts a document says which revision the change was made to; had somebody
  else changed it since, it is refused as a :class:`Conflict`, and nothing is written;
* every revision is kept, with who made it and when;
* what is to be published is given in the order in which it was committed, until it is
  marked as published.

Beside it, with tables and migrations of its own, the query store of what was decided
(``audit.py``, ``tests/contract/test_audit_store.py``), which may lie in the same database.

The store is a register, not an authority: routers never look at it, and what a party
has said counts by its signature wherever it lies.
"""

from broker.storage.audit import AuditTables, Droppable, Overtaken
from broker.storage.audit_packing import TOKEN_BYTES, Row
from broker.storage.audit_reading import Extent, Position, Reading, Stored
from broker.storage.audit_rows import portions
from broker.storage.engine import store_exists
from broker.storage.errors import Conflict, StoreUnavailable, UnusableStore
from broker.storage.migrating import open_audit_store, open_store
from broker.storage.outbox import MAX_VALUE_BYTES, Outbox, Waiting
from broker.storage.store import MAX_VERSION, Document, Store, Transaction

__all__ = [
    "MAX_VALUE_BYTES",
    "MAX_VERSION",
    "TOKEN_BYTES",
    "AuditTables",
    "Conflict",
    "Document",
    "Droppable",
    "Extent",
    "Outbox",
    "Overtaken",
    "Position",
    "Reading",
    "Row",
    "Store",
    "StoreUnavailable",
    "Stored",
    "Transaction",
    "UnusableStore",
    "Waiting",
    "open_audit_store",
    "open_store",
    "portions",
    "store_exists",
]

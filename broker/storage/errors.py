"""What can go wrong with the store, in our own words.

A driver's text is not repeated: it may quote the address, and with it the password.
"""

import contextlib
from collections.abc import Iterator
from datetime import datetime
from typing import ClassVar

from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from schemas.errors import ConfigurationError, DeliveryError, RejectedInput


class UnusableStore(ConfigurationError):
    """The setting names no store that we know, or the store is of a later release."""

    code: ClassVar[str] = "unusable-store"


class StoreUnavailable(DeliveryError):
    """The store did not answer, or refused."""

    code: ClassVar[str] = "store-unavailable"


class Conflict(RejectedInput):
    """The document is not at the revision that the change was made to; nothing was written.

    ``revision``, ``by`` and ``at`` tell of its latest revision; None where there is none.
    """

    code: ClassVar[str] = "conflict"

    def __init__(
        self,
        what: str,
        expected: int | None,
        *,
        revision: int | None = None,
        by: str | None = None,
        at: datetime | None = None,
    ) -> None:
        self.expected = expected
        self.revision = revision
        self.by = by
        self.at = at
        if revision is None or at is None:
            found = "there is none"
        else:
            when = at.isoformat(sep=" ", timespec="seconds")
            found = f"{by} made revision {revision} at {when}"
        wanted = "did not exist yet" if expected == 0 else f"was at revision {expected}"
        super().__init__(
            f"{what} was changed meanwhile: you expected that it {wanted}, but {found}."
            " Look at that, make your change to it and save again"
        )


@contextlib.contextmanager
def told_in_our_words(url: URL) -> Iterator[None]:
    """Turn a driver's error into ours, without the driver's text."""
    try:
        yield
    except SQLAlchemyError as error:
        inner = error.orig if isinstance(error, DBAPIError) else error
        raise StoreUnavailable(
            f"the store {shown(url)} did not do it ({type(inner).__name__}):"
            " see whether it is up and lets us in, and whether the setting `store` is right"
        ) from None


def shown(url: URL) -> str:
    """Return a store's address as it may be told: no password."""
    if url.get_backend_name() == "sqlite":
        return f"sqlite:{url.database}"
    return url.set(drivername=url.get_backend_name(), query={}).render_as_string(hide_password=True)

"""Who had an event, by the query store: whom a retraction has to reach."""

import asyncio
from collections.abc import Callable

from broker.audit.disclosures import Disclosure
from broker.audit.following import AuditWorker, SignedLog
from broker.audit.store import AuditStore
from broker.retracting import Had
from connectors.streams import Streams


class FormerRecipients:
    """Asks the query store, brought up to date before each question.

    It is opened when it is first asked: few schemes have a retraction every day.
    """

    def __init__(
        self,
        streams: Streams,
        open_store: Callable[[], AuditStore],
        signed: Callable[[], SignedLog | None],
    ) -> None:
        self._streams = streams
        self._open_store = open_store
        self._signed = signed
        self._store: AuditStore | None = None

    async def had(
        self, publisher: str, original: str, retraction: str
    ) -> tuple[list[Had], list[Had]]:
        """Return who had one of a publisher's events, and who is on record for its retraction.

        On record is to whom the retraction went, and whom its notices were for, whether or
        not they could be told: nobody is answered twice. An id is its publisher's: of
        another's event it says nothing. All that is decided by now counts.

        Raises:
            DeliveryError: the store or the streams are away.
            EvidenceError: the store cannot be brought up to date here.

        """
        store = self._store
        if store is None:
            store = self._store = await asyncio.to_thread(self._open_store)
        await AuditWorker(self._streams, store, self._signed()).catch_up()
        of_original, of_itself = await asyncio.to_thread(
            lambda: (store.by_event(original), store.by_event(retraction))
        )
        return (
            [_had(one) for one in of_original if one.is_shared and _is(one, publisher, original)],
            [
                _had(one)
                for one in of_itself
                if (one.is_shared or one.is_notice) and _is(one, publisher, retraction)
            ],
        )

    def close(self) -> None:
        """Close what was opened."""
        if self._store is not None:
            self._store.close()
            self._store = None


def _is(one: Disclosure, publisher: str, event_id: str) -> bool:
    return (one.publisher, one.event_id) == (publisher, event_id)


def _had(one: Disclosure) -> Had:
    return Had(one.event_type, one.recipient, one.agreement, one.version, one.flow)

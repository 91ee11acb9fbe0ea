"""Who had an event, by the query store: whom a retraction has to reach."""

import asyncio
from collections.abc import Callable, Sequence

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

    async def had(self, publisher: str, event_ids: Sequence[str]) -> list[list[Had]]:
        """Return to whom each of a publisher's events went, of all that is decided by now.

        An id is its publisher's: of another's event it says nothing. Who was told by a
        notice counts as one that the event of the notice went to.

        Raises:
            DeliveryError: the store or the streams are away.
            EvidenceError: the store cannot be brought up to date here.

        """
        store = self._store
        if store is None:
            store = self._store = await asyncio.to_thread(self._open_store)
        await AuditWorker(self._streams, store, self._signed()).catch_up()
        found = await asyncio.to_thread(lambda: [store.by_event(one) for one in event_ids])
        return [
            [
                Had(one.event_type, one.recipient, one.agreement, one.version, one.flow)
                for one in disclosures
                if (one.publisher, one.event_id) == (publisher, event_id)
                and one.outcome == "permit"
            ]
            for event_id, disclosures in zip(event_ids, found, strict=True)
        ]

    def close(self) -> None:
        """Close what was opened."""
        if self._store is not None:
            self._store.close()
            self._store = None

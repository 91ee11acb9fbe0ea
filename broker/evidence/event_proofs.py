"""Take the publishers' signatures out of sealed events: what proves, and tells nothing."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from broker.control import TOPIC as CONTROL
from broker.evidence.export_lines import proof_line
from broker.past import EventReader
from connectors.streams import Record, Streams
from schemas.batch_proofs import BatchProof
from schemas.control import BROKER, Kind, Party, open_document, parse_document_key
from schemas.envelopes import read_envelope
from schemas.errors import RejectedInput
from schemas.events import dataschema_of
from schemas.keys import SealingKey, VerifyingKey
from schemas.sealing import Binding, Opener


class EventProofs:
    """Finds the events of decisions and gives what their publishers signed.

    ``gone`` and ``unopened`` count events that the streams hold no longer, and those that
    are sealed to a key which the broker has no longer.
    """

    def __init__(
        self, streams: Streams, sealing: Sequence[SealingKey], scheme_key: VerifyingKey
    ) -> None:
        self.gone = 0
        self.unopened = 0
        self._streams = streams
        self._scheme_key = scheme_key
        self._events = EventReader(streams)
        self._senders: dict[str, VerifyingKey] = {}
        self._opener = Opener(sealing, self._senders.get)

    async def learn_senders(self) -> None:
        """Learn the keys that publishers have or had: an old event opens with its own."""
        async for record in self._streams.read(CONTROL):
            for key in _signing_keys(record, self._scheme_key):
                self._senders[key.kid] = key

    async def line(self, index: int, decision: Mapping[str, Any]) -> dict[str, Any]:
        """Return the line of a decision's event."""
        topic, partition, offset = decision["topic"], decision["partition"], decision["offset"]
        event = await self._events.at(topic, partition, offset)
        line: dict[str, Any] = {"entry": index}
        if event is None:
            self.gone += 1
            return line | {"held": False}
        try:
            proof = proof_line(BatchProof.of(self._open(event)))
        except RejectedInput:
            self.unopened += 1
            return line | {"opens": False}
        return line | {"topic": topic, "partition": partition, "offset": offset} | proof

    async def close(self) -> None:
        """Let go of what is open."""
        await self._events.close()

    def _open(self, event: Record) -> bytes:
        envelope = read_envelope(event.headers)
        binding = Binding(
            BROKER, event.topic, envelope.id, envelope.type, dataschema_of(envelope.fingerprint)
        )
        return self._opener.open(event.value or b"", binding.to_aad())


def _signing_keys(record: Record, scheme_key: VerifyingKey) -> list[VerifyingKey]:
    """Return the keys that the scheme says a party has or had; of other documents, none."""
    with suppress(RejectedInput, ValueError, KeyError, TypeError):
        if parse_document_key(record.key or b"").kind is Kind.PARTY:
            jws = json.loads(record.value or b"")["jws"]
            party = Party.model_validate(open_document(jws, scheme_key))
            return [VerifyingKey.from_jwk(jwk) for jwk in party.signing_keys]
    return []

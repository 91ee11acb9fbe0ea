"""An event that takes an earlier one back, as a router leaves it on ``retractions``.

It goes where its own flows send it, as any event; who else had the earlier one, only the
evidence knows (`broker.retracting`). So the transaction that accepts it has a copy for
whoever can ask: its decision record, sealed by the broker to itself with the two ids
bound, so that nobody else can take anything back.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Final

from broker.keyring import Keyring
from broker.recording import read_decision
from connectors.streams import Outgoing, Record
from schemas.control import BROKER
from schemas.errors import RejectedInput
from schemas.sealing import Binding, Opener, Sealer, bound_headers

RETRACTIONS: Final = "retractions"
GROUP: Final = "retractions"
"""Whose members tell of what lies there (`broker.notices`)."""

_NAMES: Final = ("event", "retracts")


class BadRetraction(RejectedInput):
    """What lies on ``retractions`` is not what a router put there."""

    code: ClassVar[str] = "bad-retraction"


@dataclass(frozen=True, slots=True)
class Retraction:
    """An accepted event that takes another of its publisher back."""

    copy: Record
    """As it lies on ``retractions``."""
    event_id: str
    retracts: str
    decision: dict[str, Any]
    """Its own decision record."""

    @property
    def publisher(self) -> str:
        """Whose events both are."""
        return str(self.decision["publisher"])


class RetractionCopies:
    """Makes the copies on ``retractions``, and opens them again."""

    def __init__(self, keys: Keyring, own: Sealer) -> None:
        senders = {key.kid: key.public for key in keys.signing}
        self._own = own
        self._opener = Opener(keys.sealing, senders.get)

    def of(self, decided: Outgoing, event_id: str, retracts: str) -> Outgoing:
        """Return the copy of an accepted event's decision record; both ids are events'."""
        headers = [("event", event_id.encode()), ("retracts", retracts.encode())]
        sealed = self._own.seal(decided.value or b"", _binding(headers))
        return Outgoing(RETRACTIONS, decided.key, sealed, headers)

    def open(self, copy: Record) -> Retraction:
        """Return what a copy tells.

        Raises:
            RejectedInput: it is not as a router made it.

        """
        if tuple(name for name, _ in copy.headers) != _NAMES:
            raise BadRetraction("expected the headers of a retraction")
        decision = read_decision(self._opener.open(copy.value or b"", _binding(copy.headers)))
        (_, event_id), (_, retracts) = copy.headers
        return Retraction(copy, event_id.decode(), retracts.decode(), decision)


def _binding(headers: Any) -> bytes:
    return Binding(BROKER, RETRACTIONS, "", "", "", headers=bound_headers(headers)).to_aad()

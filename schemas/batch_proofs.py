"""That a publisher signed an event, for whoever may not see the event.

The leaf of an event is a salted commitment (`schemas.leaves`). With its place in the
batch, the path to the batch's root and the signature over that, anybody can check that
the publisher signed it: neither payload nor salt is needed. RFC 6962 §2.1.1, checked as
in RFC 9162 §2.1.3.2.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from schemas.keys import BadSignature
from schemas.merkle import HASH_BYTES, root_from_path
from schemas.signing import MAX_BATCH, batch_parts, root_message


@dataclass(frozen=True, slots=True)
class BatchProof:
    """Where a leaf stands in a batch, and the signature over the batch's root.

    ``signed_at_ms`` is milliseconds since the epoch; ``path`` leads from the leaf upwards.
    """

    kid: str
    signed_at_ms: int
    signature: bytes
    index: int
    size: int
    path: tuple[bytes, ...]

    @classmethod
    def of(cls, plaintext: bytes) -> Self:
        """Take the proof from what was sealed to the broker; nothing is verified.

        Raises:
            BadSignature: it is not laid out as a signed record.

        """
        kid, signed_at_ms, signature, index, size, path = batch_parts(plaintext)
        siblings = [path[at : at + HASH_BYTES] for at in range(0, len(path), HASH_BYTES)]
        return cls(kid, signed_at_ms, signature, index, size, tuple(siblings))

    def message(self, publisher: str, leaf: bytes) -> bytes:
        """Return what the signature must be over, if the publisher signed this leaf.

        Raises:
            BadSignature: the place is not possible, or the path does not fit it.

        """
        if not 0 <= self.signed_at_ms < 1 << 63 or self.size > MAX_BATCH or not _fits(self.path):
            raise BadSignature("the record's place in its batch is not possible")
        root = root_from_path(leaf, self.index, self.size, self.path)
        if root is None:
            raise BadSignature("the path does not fit the place in the batch")
        return root_message(publisher, self.signed_at_ms, self.size, root)


def _fits(path: Sequence[bytes]) -> bool:
    return all(len(sibling) == HASH_BYTES for sibling in path)

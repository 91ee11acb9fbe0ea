"""A publisher's signature can be checked by whoever has the leaf alone."""

from dataclasses import replace

import pytest

from schemas.batch_proofs import BatchProof
from schemas.keys import BadSignature, SigningKey
from schemas.leaves import Entry, event_leaf
from schemas.signing import new_salt, sign_batch

KEY = SigningKey(b"\x07" * 32)
AT_MS = 1_780_000_000_000


def a_batch(size: int) -> list[tuple[bytes, BatchProof]]:
    """Sign a batch; return the leaf of each record, and the proof that is taken from it."""
    entries = [
        Entry("events.a", b"k" * 16, [("ce_id", b"%d" % number)], b"payload", new_salt())
        for number in range(size)
    ]
    signed = sign_batch(KEY, "a", entries, signed_at_ms=AT_MS)
    return [
        (event_leaf(entry), BatchProof.of(plaintext))
        for entry, plaintext in zip(entries, signed, strict=True)
    ]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 9])
def test_every_leaf_of_a_batch_is_proved(size: int) -> None:
    """Whatever the size of the batch, and without payload and salt."""
    for leaf, proof in a_batch(size):
        assert (proof.kid, proof.size) == (KEY.kid, size)
        KEY.public.verify(proof.signature, proof.message("a", leaf))


def test_another_leaf_place_path_time_or_publisher_is_not_proved() -> None:
    """Either nothing can have been signed, or it was not."""
    (leaf, proof), (other, _) = a_batch(5)[1:3]
    changed = [
        replace(proof, index=2),
        replace(proof, size=6),
        replace(proof, size=70_000),
        replace(proof, index=-1),
        replace(proof, signed_at_ms=AT_MS + 1),
        replace(proof, signed_at_ms=-1),
        replace(proof, path=proof.path[:-1]),
        replace(proof, path=(*proof.path, bytes(32))),
        replace(proof, path=(proof.path[0][:31], *proof.path[1:])),
    ]
    cases = [("a", leaf, one) for one in changed] + [("a", other, proof), ("b", leaf, proof)]
    for publisher, one, told in cases:
        with pytest.raises(BadSignature):
            KEY.public.verify(told.signature, told.message(publisher, one))


def test_what_is_no_signed_record_gives_no_proof() -> None:
    """Cut off, or any bytes."""
    for plaintext in (b"", b"x" * 300):
        with pytest.raises(BadSignature):
            BatchProof.of(plaintext)

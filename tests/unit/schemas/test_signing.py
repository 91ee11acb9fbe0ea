"""Batch signatures: every record verifies by itself, and nothing else does."""

from collections.abc import Iterator, Mapping

import cbor2
import pytest

from schemas import merkle
from schemas.cbor import BYTES, head
from schemas.keys import SigningKey, VerifyingKey
from schemas.signing import (
    MAX_BATCH,
    MAX_HEADERS,
    SALT_BYTES,
    BadSignature,
    Entry,
    Headers,
    UnknownKey,
    Verified,
    Verifier,
    event_leaf,
    root_message,
    sign_batch,
)

KEY = SigningKey(b"\x01" * 32)
PUBLISHER = "anytown-nhs-trust"
TOPIC = f"events.{PUBLISHER}"
RECORD_KEY = b"the same subject"
NOON_MS = 1_775_035_800_000
KEYS = {(PUBLISHER, KEY.kid): KEY.public}


def an_entry(number: int = 0, payload: bytes = b"payload") -> Entry:
    """Return a record; the number makes it different from the others."""
    headers = [("ce_id", b"%d" % number), ("ce_specversion", b"1.0"), ("content-type", b"x")]
    return Entry(TOPIC, RECORD_KEY, headers, payload, number.to_bytes(SALT_BYTES))


def signed(size: int, *, key: SigningKey = KEY, publisher: str = PUBLISHER) -> list[bytes]:
    """Sign a batch of ``size`` numbered records."""
    entries = [an_entry(number) for number in range(size)]
    return sign_batch(key, publisher, entries, signed_at_ms=NOON_MS)


def a_verifier(
    keys: Mapping[tuple[str, str], VerifyingKey] = KEYS, *, cached_batches: int = 256
) -> Verifier:
    """Return a verifier that knows these keys."""
    return Verifier(
        lambda publisher, kid: keys.get((publisher, kid)), cached_batches=cached_batches
    )


def read(verifier: Verifier, plaintext: bytes, headers: Headers) -> Verified:
    """Verify a record with these headers."""
    return verifier.verify(PUBLISHER, TOPIC, key=RECORD_KEY, headers=headers, plaintext=plaintext)


def verify(verifier: Verifier, plaintext: bytes, number: int = 0) -> bytes:
    """Verify a numbered record and return its leaf."""
    return read(verifier, plaintext, an_entry(number).headers).leaf


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 8, 9, 31, 33, 130, 300])
@pytest.mark.parametrize("step", [1, -1, 7])
def test_every_record_of_a_batch_verifies(size: int, step: int) -> None:
    """In order, backwards and out of order, once and again."""
    verifier = a_verifier()
    plaintexts = signed(size)
    order = [number * step % size for number in range(size)] if size % 7 else range(size)
    for number in [*order, *order]:
        assert verify(verifier, plaintexts[number], number) == event_leaf(an_entry(number))


def test_a_verified_record_tells_who_when_and_what() -> None:
    """The payload comes back, with the key, the time and the salt of the commitment."""
    [plaintext] = sign_batch(KEY, PUBLISHER, [an_entry(5, b"x" * 70_000)], signed_at_ms=NOON_MS)
    verified = read(a_verifier(), plaintext, an_entry(5).headers)
    assert verified.payload == b"x" * 70_000
    assert (verified.kid, verified.signed_at_ms) == (KEY.kid, NOON_MS)
    assert verified.salt == an_entry(5).salt


def test_the_order_of_headers_does_not_matter() -> None:
    """Some clients keep headers in a map."""
    [plaintext] = signed(1)
    headers = [*reversed(an_entry().headers)]
    assert read(a_verifier(), plaintext, headers).payload == b"payload"


def test_the_plaintext_is_one_cbor_array() -> None:
    """What is laid out by hand is what a library reads, deterministically encoded."""
    for plaintext in signed(3):
        assert cbor2.dumps(cbor2.loads(plaintext), canonical=True) == plaintext
    version, kid, at, signature, place, path, payload, salt = cbor2.loads(signed(3)[2])
    assert (version, kid, at, payload) == (1, KEY.kid, NOON_MS, b"payload")
    assert place == bytes.fromhex("0000000200000003")
    assert salt == an_entry(2).salt
    leaves = [event_leaf(an_entry(number)) for number in range(3)]
    assert path == merkle.node_hash(leaves[0], leaves[1])
    KEY.public.verify(signature, root_message(PUBLISHER, NOON_MS, 3, merkle.root(leaves)))


def test_the_root_message_is_cbor_behind_its_context() -> None:
    """Publisher, time, size and root, so that no root serves as another's."""
    context, _, rest = root_message(PUBLISHER, NOON_MS, 3, bytes(32)).partition(b"\x00")
    assert context == b"concordat-batch-v1"
    assert cbor2.loads(rest) == [PUBLISHER, NOON_MS, 3, bytes(32)]


def _places(verifier: Verifier) -> Iterator[tuple[str, Verifier]]:
    """Yield the verifier fresh and one that remembers the batch: answers must not differ."""
    yield "fresh", a_verifier()
    yield "remembering", verifier


@pytest.mark.parametrize("size", [1, 2, 5, 8])
def test_no_byte_of_a_signed_record_can_change(size: int) -> None:
    """Every byte flipped, whether or not the batch is remembered."""
    remembering = a_verifier()
    plaintexts = signed(size)
    for number, plaintext in enumerate(plaintexts):
        verify(remembering, plaintext, number)
    for at in range(len(plaintexts[0])):
        changed = bytearray(plaintexts[0])
        changed[at] ^= 1 << (at % 8)
        for _, verifier in _places(remembering):
            with pytest.raises((BadSignature, UnknownKey)):
                verify(verifier, bytes(changed))


def test_a_signed_record_can_be_neither_cut_nor_extended() -> None:
    """Any shorter record, and any with bytes behind it."""
    remembering = a_verifier()
    plaintext = signed(5)[0]
    verify(remembering, plaintext)
    for changed in [plaintext[:at] for at in range(len(plaintext))] + [plaintext + b"\x00"]:
        for _, verifier in _places(remembering):
            with pytest.raises(BadSignature):
                verify(verifier, changed)


def test_a_signature_does_not_move_to_another_record() -> None:
    """Topic, key, a header's name or value, one more and one fewer, and the publisher count."""
    other = SigningKey.generate()
    keys = {**KEYS, ("another", KEY.kid): KEY.public, (PUBLISHER, other.kid): other.public}
    remembering = a_verifier(keys)
    plaintext = signed(2)[0]
    headers = list(an_entry().headers)
    verify(remembering, plaintext)
    for verifier in (a_verifier(keys), remembering):
        for publisher, topic, key, found in (
            ("another", TOPIC, RECORD_KEY, headers),
            (PUBLISHER, "events.another", RECORD_KEY, headers),
            (PUBLISHER, TOPIC, b"another subject.", headers),
            (PUBLISHER, TOPIC, RECORD_KEY + b"\x00", headers),
            (PUBLISHER, TOPIC, b"x" * 3000, headers),
            (PUBLISHER, TOPIC, b"", headers),
            (PUBLISHER, TOPIC, RECORD_KEY, [("ce_id", b"9"), *headers[1:]]),
            (PUBLISHER, TOPIC, RECORD_KEY, [("ce_time", b"0"), *headers[1:]]),
            (PUBLISHER, TOPIC, RECORD_KEY, headers[1:]),
            (PUBLISHER, TOPIC, RECORD_KEY, []),
            (PUBLISHER, TOPIC, RECORD_KEY, [*headers, ("ce_z", b"")]),
            (PUBLISHER, TOPIC, RECORD_KEY, [*headers, headers[0]]),
            (
                PUBLISHER,
                TOPIC,
                RECORD_KEY,
                [("ce_id", b"0\x001.0"), ("ce_specversion", b"x"), headers[2]],
            ),
        ):
            with pytest.raises(BadSignature):
                verifier.verify(publisher, topic, key=key, headers=found, plaintext=plaintext)


def test_a_path_does_not_serve_another_place() -> None:
    """The index, the size and the path of a neighbour, one at a time."""
    remembering = a_verifier()
    plaintexts = signed(8)
    for number, plaintext in enumerate(plaintexts):
        verify(remembering, plaintext, number)
    parts = cbor2.loads(plaintexts[3])
    path = cbor2.loads(plaintexts[2])[5]
    for place, found in (
        (b"\x00\x00\x00\x02\x00\x00\x00\x08", parts[5]),
        (b"\x00\x00\x00\x0b\x00\x00\x00\x08", parts[5]),
        (b"\x00\x00\x00\x03\x00\x00\x00\x07", parts[5]),
        (b"\x00\x00\x00\x03\x00\x00\x00\x10", parts[5]),
        (b"\x00\x00\x00\x03\x00\x01\x00\x01", parts[5]),
        (parts[4], path),
        (parts[4], parts[5][:-32]),
        (parts[4], parts[5] + bytes(32)),
        (parts[4], parts[5][:-1]),
        (parts[4], b""),
    ):
        changed = cbor2.dumps([*parts[:4], place, found, *parts[6:]], canonical=True)
        for _, verifier in _places(remembering):
            with pytest.raises(BadSignature):
                verify(verifier, changed, 3)


def test_only_the_shortest_encoding_is_read() -> None:
    """Two ways to write one record would be two records to those who compare bytes."""
    plaintext = signed(1)[0]
    tail = b"\x47payload\x50" + an_entry().salt
    assert plaintext.endswith(tail)
    for longer in (b"\x58\x07", b"\x59\x00\x07", b"\x5a\x00\x00\x00\x07"):
        with pytest.raises(BadSignature):
            verify(a_verifier(), plaintext[: -len(tail)] + longer + tail[1:])


def _by_hand(*, at_ms: int, size: int, siblings: int) -> bytes:
    """Return record 0 of a batch that was never made, with a true signature over its root."""
    path = [bytes([number]) * 32 for number in range(siblings)]
    root = merkle.root_from_path(event_leaf(an_entry()), 0, size, path)
    assert root is not None
    signature = KEY.sign(root_message(PUBLISHER, at_ms, size, root))
    [plaintext] = signed(1)
    shared = plaintext[:48] + at_ms.to_bytes(8) + b"\x58\x40" + signature
    place = b"\x48" + bytes(4) + size.to_bytes(4)
    length = 32 * siblings
    return (
        shared + place + head(BYTES, length) + b"".join(path)
        + b"\x47payload\x50" + an_entry().salt
    )  # fmt: skip


def test_a_batch_made_by_hand_is_held_to_the_same_limits() -> None:
    """A publisher's own client cannot make larger batches or write times in another way."""
    fits = _by_hand(at_ms=NOON_MS, size=MAX_BATCH, siblings=16)
    assert verify(a_verifier(), fits) == event_leaf(an_entry())
    for wrong in (
        _by_hand(at_ms=NOON_MS, size=MAX_BATCH + 1, siblings=17),
        _by_hand(at_ms=NOON_MS // 1000, size=2, siblings=1),
    ):
        with pytest.raises(BadSignature):
            verify(a_verifier(), wrong)


def test_the_length_of_a_path_is_read_in_its_shortest_form_only() -> None:
    """It is not part of what is signed, so it is held to one form here."""
    plaintext = _by_hand(at_ms=NOON_MS, size=2, siblings=1)
    assert verify(a_verifier(), plaintext) == event_leaf(an_entry())
    at = plaintext.index(b"\x58\x20" + bytes(32))
    for longer in (b"\x59\x00\x20", b"\x5a\x00\x00\x00\x20"):
        with pytest.raises(BadSignature):
            verify(a_verifier(), plaintext[:at] + longer + plaintext[at + 2 :])


def test_an_unknown_key_is_told_from_a_bad_signature() -> None:
    """The publisher may only have to register its key."""
    with pytest.raises(UnknownKey) as caught:
        verify(a_verifier({}), signed(1)[0])
    assert caught.value.code == "unknown-key"


def test_a_key_taken_out_of_use_stops_verifying_at_once() -> None:
    """What is remembered of a batch does not outlive its key."""
    keys = dict(KEYS)
    verifier = a_verifier(keys)
    plaintexts = signed(2)
    verify(verifier, plaintexts[0])
    keys.clear()
    with pytest.raises(UnknownKey):
        verify(verifier, plaintexts[1], 1)


def test_another_partys_key_does_not_sign_for_a_publisher() -> None:
    """A batch by a known key, but not this publisher's."""
    other = SigningKey.generate()
    keys = {**KEYS, ("another", other.kid): other.public}
    with pytest.raises(UnknownKey):
        verify(a_verifier(keys), signed(1, key=other)[0])


def test_a_bad_signature_is_not_remembered() -> None:
    """After a forged record the true ones of the batch still verify, and the forged do not."""
    verifier = a_verifier()
    plaintexts = signed(4)
    forged = signed(4, key=KEY, publisher="another")
    for _ in range(2):
        with pytest.raises(BadSignature):
            verify(verifier, forged[0])
    assert not verifier._batches
    for number, plaintext in enumerate(plaintexts):
        verify(verifier, plaintext, number)


def test_what_is_remembered_is_bounded() -> None:
    """The oldest batch goes first, whatever comes."""
    verifier = a_verifier(cached_batches=3)
    for number in range(10):
        entries = [an_entry(at) for at in range(4)]
        for at, plaintext in enumerate(
            sign_batch(KEY, PUBLISHER, entries, signed_at_ms=NOON_MS + number)
        ):
            verify(verifier, plaintext, at)
    assert len(verifier._batches) == 3
    assert all(len(batch.nodes) <= 17 for batch in verifier._batches.values())


def test_what_cannot_be_signed_is_refused() -> None:
    """Too many at once, a time in seconds, a wrong salt, headers that are not to be signed."""
    assert sign_batch(KEY, PUBLISHER, [], signed_at_ms=NOON_MS) == []
    wrong = (
        ([an_entry()] * (MAX_BATCH + 1), NOON_MS),
        ([an_entry()], NOON_MS // 1000),
        ([an_entry()._replace(salt=b"")], NOON_MS),
        ([an_entry()._replace(headers=[("a", b""), ("a", b"")])], NOON_MS),
        ([an_entry()._replace(headers=[("a", b"\x00")])], NOON_MS),
        ([an_entry()._replace(headers=[("a" * 200, b"")])], NOON_MS),
        ([an_entry()._replace(headers=[(str(n), b"") for n in range(MAX_HEADERS + 1)])], NOON_MS),
    )
    for entries, at in wrong:
        with pytest.raises(ValueError, match=r".+"):
            sign_batch(KEY, PUBLISHER, entries, signed_at_ms=at)


def test_records_with_few_or_long_headers_verify() -> None:
    """None, one, and values longer than a byte can count."""
    for headers in ([], [("a", b"1")], [("b", b"x" * 3000), ("a", "é".encode() * 150)]):
        entry = Entry(TOPIC, RECORD_KEY, headers, b"", b"s" * SALT_BYTES)
        [plaintext] = sign_batch(KEY, PUBLISHER, [entry], signed_at_ms=NOON_MS)
        assert read(a_verifier(), plaintext, headers).leaf == event_leaf(entry)

"""Sealing and signing on generated records: what goes in comes out, and nothing else does."""

import cbor2
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from schemas import merkle
from schemas.cbor import BYTES, UNSIGNED, head, read_head
from schemas.keys import BadSignature, SealingKey, SigningKey, Suite, UnknownKey
from schemas.sealing import Binding, DoesNotOpen, Opener, Sealer
from schemas.signing import Entry, Verified, Verifier, event_leaf, sign_batch

KEY = SigningKey(b"\x01" * 32)
RECIPIENT = SealingKey(Suite.X25519, b"\x02" * 32)
PUBLISHER = "anytown"
NOON_MS = 1_775_035_800_000

texts = st.text(max_size=40)
bindings = st.builds(
    Binding, texts, texts, texts, texts, texts, texts, st.integers(0, 1 << 40), texts
)
payloads = st.binary(max_size=400)
headers = st.lists(
    st.tuples(
        st.sampled_from(["ce_id", "ce_type", "ce_time", "content-type", "ce_other", "é"]),
        st.binary(max_size=300).filter(lambda value: 0 not in value),
    ),
    unique_by=lambda pair: pair[0],
    max_size=6,
)
entries = st.builds(
    Entry, st.sampled_from(["events.a", "events.b"]), st.binary(max_size=40), headers, payloads,
    st.binary(min_size=16, max_size=16),
)  # fmt: skip
sealer = Sealer(KEY, "recipient", RECIPIENT.public)
opener = Opener([RECIPIENT], {KEY.kid: KEY.public}.get, cached_keys=4)


def a_verifier() -> Verifier:
    """Return a verifier that knows the publisher's key."""
    known = {(PUBLISHER, KEY.kid): KEY.public}
    return Verifier(lambda publisher, kid: known.get((publisher, kid)))


def verify(verifier: Verifier, entry: Entry, plaintext: bytes) -> Verified:
    """Verify a record where its entry says that it lies."""
    return verifier.verify(
        PUBLISHER, entry.topic, key=entry.key, headers=entry.headers, plaintext=plaintext
    )


@given(payloads, bindings, bindings)
def test_a_record_opens_for_what_it_is_bound_to_only(
    payload: bytes, binding: Binding, other: Binding
) -> None:
    """Any payload, any binding; any other binding does not open it."""
    sealed = sealer.seal(payload, binding.to_aad())
    assert opener.open(sealed, binding.to_aad()) == payload
    if other != binding:
        with pytest.raises(DoesNotOpen):
            opener.open(sealed, other.to_aad())


@given(payloads, bindings, st.data())
def test_a_changed_record_does_not_open(
    payload: bytes, binding: Binding, data: st.DataObject
) -> None:
    """One stretch of bytes replaced by others, of the same length or not."""
    sealed = sealer.seal(payload, binding.to_aad())
    start = data.draw(st.integers(0, len(sealed)))
    end = data.draw(st.integers(start, min(len(sealed), start + 40)))
    changed = sealed[:start] + data.draw(st.binary(max_size=40)) + sealed[end:]
    assume(changed != sealed)
    for one in (opener, Opener([RECIPIENT], {KEY.kid: KEY.public}.get)):
        with pytest.raises(DoesNotOpen):
            one.open(changed, binding.to_aad())


@given(st.binary(max_size=600))
def test_bytes_that_were_never_sealed_do_not_open(data: bytes) -> None:
    """Nothing but our error, whatever comes."""
    with pytest.raises(DoesNotOpen):
        opener.open(data, b"")
    with pytest.raises(DoesNotOpen):
        opener.open(b"\xd8\x60\x84\x43\xa1\x01\x03\xa1\x05\x4c" + data, b"")


@given(st.lists(st.sampled_from(["seal", "restart", "hour"]), max_size=60))
def test_a_nonce_never_repeats_under_a_key(steps: list[str]) -> None:
    """Through restarts and renewals in any order."""
    now = [0.0]

    def started() -> Sealer:
        return Sealer(KEY, "r", RECIPIENT.public, lambda: now[0], max_records=5)

    current, used = started(), set()
    for step in steps:
        if step == "restart":
            current = started()
        elif step == "hour":
            now[0] += 3600.0
        else:
            _, header, _, recipients = cbor2.loads(current.seal(b"", b"")).value
            pair = cbor2.dumps(recipients), header[5]
            assert pair not in used
            used.add(pair)


def said(verified: Verified) -> tuple[bytes, bytes, str, int, bytes]:
    """Return all that verifying has told."""
    one = verified
    return one.payload, one.leaf, one.kid, one.signed_at_ms, one.salt


@given(st.lists(entries, min_size=1, max_size=20), st.randoms(use_true_random=False))
def test_every_record_of_a_batch_verifies_in_any_order(batch: list[Entry], random: object) -> None:
    """Each by itself, with what it committed to."""
    records = list(zip(batch, sign_batch(KEY, PUBLISHER, batch, signed_at_ms=NOON_MS), strict=True))
    random.shuffle(records)  # type: ignore[attr-defined]
    verifier = a_verifier()
    for entry, plaintext in records:
        verified = verify(verifier, entry, plaintext)
        assert verified.payload == entry.payload
        assert verified.leaf == event_leaf(entry)
        fresh = verify(a_verifier(), entry, plaintext)
        assert said(fresh) == said(verified)


@given(st.lists(entries, min_size=2, max_size=9), st.data())
def test_a_remembering_verifier_and_a_fresh_one_give_the_same_answer(
    batch: list[Entry], data: st.DataObject
) -> None:
    """On true records, on mixed-up ones and on damaged ones."""
    plaintexts = sign_batch(KEY, PUBLISHER, batch, signed_at_ms=NOON_MS)
    remembering = a_verifier()
    for _ in range(8):
        entry = data.draw(st.sampled_from(batch))
        plaintext = bytearray(data.draw(st.sampled_from(plaintexts)))
        if data.draw(st.booleans()):
            plaintext[data.draw(st.integers(0, len(plaintext) - 1))] ^= data.draw(
                st.integers(0, 255)
            )
        answers = []
        for verifier in (remembering, a_verifier()):
            try:
                verified = verify(verifier, entry, bytes(plaintext))
            except (BadSignature, UnknownKey) as error:
                answers.append(type(error))
            else:
                answers.append(said(verified))
        assert answers[0] == answers[1]


@given(entries, entries)
def test_different_records_have_different_leaves(one: Entry, other: Entry) -> None:
    """A leaf commits to all of its record; only the order of headers is free."""
    same = one._replace(headers=sorted(one.headers)) == other._replace(
        headers=sorted(other.headers)
    )
    assert (event_leaf(one) == event_leaf(other)) == same


@given(st.binary(max_size=700))
def test_bytes_that_were_never_signed_are_refused(data: bytes) -> None:
    """Nothing but our errors, whatever a publisher seals."""
    start = sign_batch(KEY, PUBLISHER, [Entry("t", b"", [], b"", bytes(16))], signed_at_ms=NOON_MS)[
        0
    ]
    for plaintext in (data, start[:122] + data):
        with pytest.raises((BadSignature, UnknownKey)):
            a_verifier().verify(PUBLISHER, "t", key=b"", headers=[], plaintext=plaintext)


@settings(max_examples=50)
@given(st.lists(st.binary(max_size=8), min_size=1, max_size=70), st.data())
def test_a_path_leads_to_the_root_from_its_own_place_only(
    inputs: list[bytes], data: st.DataObject
) -> None:
    """RFC 6962's recursive definition is the oracle for the root."""
    leaves = [merkle.leaf_hash(one) for one in inputs]
    tree = merkle.levels(leaves)
    assert tree[-1][0] == _root_by_definition(leaves)
    index = data.draw(st.integers(0, len(leaves) - 1))
    siblings = merkle.path(tree, index)
    assert merkle.root_from_path(leaves[index], index, len(leaves), siblings) == tree[-1][0]
    other = data.draw(st.integers(0, 2 * len(leaves)))
    if leaves[index] != (leaves[other] if other < len(leaves) else None):
        found = merkle.root_from_path(leaves[index], other, len(leaves), siblings)
        assert found != tree[-1][0]


def _root_by_definition(leaves: list[bytes]) -> bytes:
    """RFC 6962 section 2.1, word for word: split at the largest power of two below n."""
    if len(leaves) == 1:
        return leaves[0]
    k = 1 << (len(leaves) - 1).bit_length() - 1
    return merkle.node_hash(_root_by_definition(leaves[:k]), _root_by_definition(leaves[k:]))


@given(st.integers(0, (1 << 64) - 1))
def test_heads_are_those_of_a_library(number: int) -> None:
    """Deterministic CBOR, and read back below four bytes."""
    assert head(UNSIGNED, number) == cbor2.dumps(number, canonical=True)
    written = head(BYTES, number)
    assert read_head(written, 0, BYTES) == ((number, len(written)) if number < 1 << 32 else None)
    assert read_head(written[:-1], 0, BYTES) is None


@given(st.binary(max_size=6), st.integers(0, 6))
def test_a_head_is_read_in_its_shortest_form_only(data: bytes, at: int) -> None:
    """What is read is what would be written."""
    found = read_head(data, at, BYTES)
    if found is not None:
        assert data[at : found[1]] == head(BYTES, found[0])

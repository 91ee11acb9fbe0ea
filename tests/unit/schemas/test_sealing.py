"""Sealing: who can open, what is bound, and when a new content key is made."""

import copy
import os
import pickle
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from typing import Any

import cbor2
import pytest

from schemas.cbor import head
from schemas.keys import SealingKey, SigningKey, Suite, VerifyingKey
from schemas.sealing import (
    Binding,
    BindingTemplate,
    DoesNotOpen,
    Opener,
    Sealer,
    bound_headers,
)
from schemas.wrapping import wrap_content_key

SENDER = SigningKey(b"\x01" * 32)
RECIPIENTS = {suite: SealingKey(suite, b"\x02" * 32) for suite in Suite}
SUITES = pytest.mark.parametrize("suite", list(Suite), ids=lambda suite: suite.label)
BINDING = Binding(
    recipient="anytown-housing",
    topic="deliveries.anytown-housing",
    event_id="5f0c7a52-6a0e-5d3c-9a64-0d1f2b3c4d5e",
    event_type="uk.gov.housing.homelessness-duty.v1",
    dataschema="urn:concordat:schema:0123456789abcdef",
    agreement="https://sharing.example.gov.uk/agreements/homelessness",
    version=3,
    flow="duty-to-refer",
    headers=b"ce_id=5f0c7a52-6a0e-5d3c-9a64-0d1f2b3c4d5e",
)
AAD = BINDING.to_aad()
PREFIX_BYTES, NONCE_BYTES = 10, 12


def a_sealer(suite: Suite = Suite.X25519, **options: Any) -> Sealer:
    """Return a sealer from the sender to the recipient of a suite."""
    return Sealer(SENDER, "anytown-housing", RECIPIENTS[suite].public, **options)


def an_opener(suite: Suite = Suite.X25519, **options: Any) -> Opener:
    """Return the recipient's opener, which knows the sender."""
    return Opener([RECIPIENTS[suite]], {SENDER.kid: SENDER.public}.get, **options)


def nonce_of(sealed: bytes) -> int:
    """Return the number of a record under its content key."""
    return int.from_bytes(sealed[PREFIX_BYTES : PREFIX_BYTES + NONCE_BYTES])


def wrapped_key_of(sealed: bytes) -> bytes:
    """Return the recipient structure, which stands for the content key."""
    return cbor2.dumps(cbor2.loads(sealed).value[3])


@SUITES
@pytest.mark.parametrize("size", [0, 1, 7, 8, 239, 240, 1024, 65_519, 65_520, 100_000])
def test_the_recipient_opens_what_was_sealed(suite: Suite, size: int) -> None:
    """Payloads on both sides of every length that is encoded in another way."""
    plaintext = os.urandom(size)
    sealed = a_sealer(suite).seal(plaintext, AAD)
    assert an_opener(suite).open(sealed, AAD) == plaintext
    assert cbor2.dumps(cbor2.loads(sealed), canonical=True) == sealed


@SUITES
def test_no_byte_of_a_sealed_record_can_change(suite: Suite) -> None:
    """Every byte flipped in each of its bits, with the content key remembered and without."""
    sealed = a_sealer(suite).seal(b"plaintext", AAD)
    remembering = an_opener(suite)
    remembering.open(sealed, AAD)
    bits = range(8) if suite is Suite.X25519 else (0,)
    for at in range(len(sealed)):
        for bit in bits:
            changed = bytearray(sealed)
            changed[at] ^= 1 << bit
            with pytest.raises(DoesNotOpen) as caught:
                remembering.open(bytes(changed), AAD)
            assert caught.value.code == "does-not-open"
        with pytest.raises(DoesNotOpen):
            an_opener(suite).open(bytes(changed), AAD)
    assert remembering.open(sealed, AAD) == b"plaintext"


def test_a_sealed_record_can_be_neither_cut_nor_extended() -> None:
    """Any shorter record, and any with bytes before or behind it."""
    sealed = a_sealer().seal(b"plaintext", AAD)
    remembering = an_opener()
    remembering.open(sealed, AAD)
    for changed in [sealed[:at] for at in range(len(sealed))] + [
        sealed + b"\x00",
        b"\x00" + sealed,
    ]:
        for opener in (remembering, an_opener()):
            with pytest.raises(DoesNotOpen):
                opener.open(changed, AAD)


@pytest.mark.parametrize("bound", [*Binding.__slots__])
def test_nothing_that_is_bound_can_change(bound: str) -> None:
    """Recipient, topic, event id, type, schema, agreement, version, flow and headers."""
    sealed = a_sealer().seal(b"plaintext", AAD)
    opener = an_opener()
    assert opener.open(sealed, BINDING.to_aad()) == b"plaintext"
    for other in {"version": (4, 0), "headers": (b"x=1", b"")}.get(bound, ("another", "")):
        with pytest.raises(DoesNotOpen):
            opener.open(sealed, replace(BINDING, **{bound: other}).to_aad())


def test_bound_things_do_not_run_into_each_other() -> None:
    """What moves from the end of one to the start of the next changes the binding."""
    one = replace(BINDING, agreement="ab", flow="c", version=1).to_aad()
    two = replace(BINDING, agreement="a", flow="bc", version=1).to_aad()
    assert one != two


def test_the_binding_is_the_cbor_that_the_page_gives() -> None:
    """The array of docs/using/wire-format.md, deterministically encoded, also for long ids."""
    for event_id in (BINDING.event_id, "é", "x" * 23, "x" * 24, "x" * 300, "x" * 70_000):
        binding = replace(BINDING, event_id=event_id)
        assert binding.to_aad() == cbor2.dumps(
            [
                "concordat-binding-v1", binding.recipient, binding.topic, binding.event_type,
                binding.dataschema, binding.agreement, binding.version, binding.flow, event_id,
                binding.headers,
            ],
            canonical=True,
        )  # fmt: skip


def test_a_template_gives_what_the_binding_gives() -> None:
    """The fast way and the plain way are one."""
    template = BindingTemplate("broker", "events.a", "a.b.v1", "urn:x")
    assert template.aad("1") == Binding("broker", "events.a", "1", "a.b.v1", "urn:x").to_aad()


@SUITES
def test_nobody_else_opens(suite: Suite) -> None:
    """Neither another key of the suite nor a key of the other suite."""
    sealed = a_sealer(suite).seal(b"plaintext", AAD)
    senders = {SENDER.kid: SENDER.public}.get
    others = [SealingKey.generate(of) for of in Suite]
    for opener in (Opener(others, senders), Opener([], senders)):
        with pytest.raises(DoesNotOpen):
            opener.open(sealed, AAD)
    assert Opener([*others, RECIPIENTS[suite]], senders).open(sealed, AAD) == b"plaintext"


def test_a_sender_that_is_not_known_is_refused() -> None:
    """Anyone can wrap a key to the recipient; only who is known may."""
    stranger = SigningKey.generate()
    sealed = Sealer(stranger, "r", RECIPIENTS[Suite.X25519].public).seal(b"plaintext", AAD)
    with pytest.raises(DoesNotOpen):
        an_opener().open(sealed, AAD)
    both = {SENDER.kid: SENDER.public, stranger.kid: stranger.public}
    assert Opener([RECIPIENTS[Suite.X25519]], both.get).open(sealed, AAD) == b"plaintext"


def test_a_wrapped_key_cannot_be_claimed_by_another_sender() -> None:
    """Taking the sender's name and countersignature off and putting one's own on fails."""
    thief = SigningKey.generate()
    sealed = a_sealer().seal(b"plaintext", AAD)
    message = cbor2.loads(sealed)
    protected, headers, wrapped = message.value[3][0]
    claimed = protected.replace(SENDER.kid.encode(), thief.kid.encode())
    structure = ["CounterSignature0", claimed, headers[-4], wrapped]
    headers = {12: thief.sign(cbor2.dumps(structure, canonical=True)), -4: headers[-4]}
    stolen = cbor2.CBORTag(96, [*message.value[:3], [[claimed, headers, wrapped]]])
    opener = Opener(
        [RECIPIENTS[Suite.X25519]], {SENDER.kid: SENDER.public, thief.kid: thief.public}.get
    )
    with pytest.raises(DoesNotOpen, match="unwrap"):
        opener.open(cbor2.dumps(stolen, canonical=True), AAD)


def test_a_senders_key_taken_out_of_use_stops_opening_at_once() -> None:
    """An unwrapped content key that is remembered does not outlive its sender's key."""
    senders = {SENDER.kid: SENDER.public}
    opener = Opener([RECIPIENTS[Suite.X25519]], senders.get)
    sealed = a_sealer().seal(b"plaintext", AAD)
    opener.open(sealed, AAD)
    senders.clear()
    with pytest.raises(DoesNotOpen):
        opener.open(sealed, AAD)


def test_only_the_shortest_length_is_read() -> None:
    """A longer way to write the ciphertext's length is another record for those who hash it."""
    sealed = a_sealer().seal(b"plaintext", AAD)
    at = PREFIX_BYTES + NONCE_BYTES
    n = len(b"plaintext") + 16
    assert sealed[at : at + 2] == head(0x40, n)
    for longer in (b"\x59" + n.to_bytes(2), b"\x5a" + n.to_bytes(4), b"\x5b" + n.to_bytes(8)):
        with pytest.raises(DoesNotOpen):
            an_opener().open(sealed[:at] + longer + sealed[at + 2 :], AAD)


def test_a_length_past_the_end_is_refused_without_reading() -> None:
    """Hostile lengths cost nothing."""
    sealed = a_sealer().seal(b"plaintext", AAD)
    at = PREFIX_BYTES + NONCE_BYTES
    with pytest.raises(DoesNotOpen):
        an_opener().open(sealed[:at] + b"\x5a\xff\xff\xff\xff" + sealed[at + 2 :], AAD)


def test_names_that_are_not_ascii_are_refused() -> None:
    """Where a key's name should stand, anything may have been put."""
    sealed = a_sealer().seal(b"plaintext", AAD)
    with pytest.raises(DoesNotOpen):
        an_opener().open(sealed.replace(SENDER.kid.encode(), b"\xff" * 43), AAD)


def test_numbers_go_up_from_zero_under_one_content_key() -> None:
    """A counter cannot repeat."""
    sealer = a_sealer()
    records = [sealer.seal(b"", AAD) for _ in range(100)]
    assert [nonce_of(record) for record in records] == list(range(100))
    assert len({wrapped_key_of(record) for record in records}) == 1


def test_a_new_sealer_has_a_new_content_key() -> None:
    """A restart begins again at zero, under another key."""
    records = [a_sealer().seal(b"", AAD) for _ in range(20)]
    assert {nonce_of(record) for record in records} == {0}
    assert len({wrapped_key_of(record) for record in records}) == 20


def _ticking(*times: float) -> Callable[[], float]:
    ticks: Iterator[float] = iter(times)
    return lambda: next(ticks)


def _keys_and_numbers(records: list[bytes]) -> list[tuple[int, int]]:
    """Return for each record the number of its content key, in order of appearance, and its own."""
    order: dict[bytes, int] = {}
    return [
        (order.setdefault(wrapped_key_of(record), len(order)), nonce_of(record))
        for record in records
    ]


def test_a_content_key_lasts_an_hour() -> None:
    """At one hour exactly, a new one; a clock that goes back makes a new one too."""
    sealer = a_sealer(clock=_ticking(0.0, 3599.9, 3600.0, 7199.9, 100.0, 101.0))
    records = [sealer.seal(b"", AAD) for _ in range(6)]
    assert _keys_and_numbers(records) == [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)]


def test_a_content_key_seals_five_million_records() -> None:
    """The counter is moved forward: the record after the last one is under a new key."""
    sealer = a_sealer(clock=lambda: 0.0)
    records = [sealer.seal(b"", AAD)]
    assert sealer._content is not None
    sealer._content.numbers = count(4_999_999)
    records += [sealer.seal(b"", AAD) for _ in range(2)]
    assert _keys_and_numbers(records) == [(0, 0), (0, 4_999_999), (1, 0)]


def test_a_content_key_seals_64_gibibytes() -> None:
    """The count of bytes is moved forward: what would go over it is under a new key."""
    sealer = a_sealer(clock=lambda: 0.0)
    records = [sealer.seal(b"", AAD)]
    assert sealer._content is not None
    assert sealer._content.bytes_left == 64 * 1024**3
    sealer._content.bytes_left = 100
    records += [sealer.seal(bytes(size), AAD) for size in (100, 0, 1)]
    assert _keys_and_numbers(records) == [(0, 0), (0, 1), (0, 2), (1, 0)]


def test_limits_can_be_tightened() -> None:
    """Each of the three, as a setting."""
    for options in ({"max_records": 2}, {"max_bytes": 10}, {"max_age_seconds": 2.0}):
        ticks = count()
        sealer = a_sealer(clock=lambda ticks=ticks: float(next(ticks)), **options)
        records = [sealer.seal(b"12345", AAD) for _ in range(5)]
        assert [key for key, _ in _keys_and_numbers(records)] == [0, 0, 1, 1, 2]


def test_a_record_larger_than_the_limit_has_a_content_key_to_itself() -> None:
    """It is sealed, not refused."""
    sealer = a_sealer(max_bytes=3)
    records = [sealer.seal(b"12345", AAD) for _ in range(3)]
    assert [key for key, _ in _keys_and_numbers(records)] == [0, 1, 2]


def test_a_sealer_cannot_be_copied() -> None:
    """A copy would count on from the same number under the same key."""
    sealer = a_sealer()
    sealer.seal(b"", AAD)
    for duplicate in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError):
            duplicate(sealer)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_makes_its_own_content_key() -> None:
    """Parent and child would otherwise both use the next number."""
    sealer = a_sealer()
    sealer.seal(b"", AAD)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writing, sealer.seal(b"", AAD))
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        from_child = pipe.read()
    from_parent = sealer.seal(b"", AAD)
    assert nonce_of(from_parent) == 1
    assert nonce_of(from_child) == 0
    assert wrapped_key_of(from_child) != wrapped_key_of(from_parent)


def test_the_unwrapped_keys_are_bounded() -> None:
    """Those used longest ago go first; all of them still open."""
    opener = an_opener(cached_keys=3)
    records = [a_sealer().seal(b"%d" % number, AAD) for number in range(10)]
    for _ in range(2):
        for number, record in enumerate(records):
            assert opener.open(record, AAD) == b"%d" % number
    assert len(opener._unwrapped) == 3


def test_what_does_not_open_is_not_remembered() -> None:
    """A stream of records with false keys takes no memory."""
    opener = an_opener()
    for _ in range(5):
        sealed = Sealer(SigningKey.generate(), "r", RECIPIENTS[Suite.X25519].public).seal(b"", AAD)
        with pytest.raises(DoesNotOpen):
            opener.open(sealed, AAD)
    assert not opener._unwrapped


def test_the_senders_signature_is_checked_before_the_private_key_is_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A stranger does not get to choose inputs for our key."""
    used: list[bytes] = []
    monkeypatch.setattr(SealingKey, "unwrap", lambda *_: used.append(b""))
    recipients = wrap_content_key(bytes(32), SENDER, RECIPIENTS[Suite.X25519].public)
    other = VerifyingKey(SigningKey.generate().public.raw)
    sealed = a_sealer().seal(b"", AAD)
    assert len(sealed) > len(recipients)
    with pytest.raises(DoesNotOpen):
        Opener([RECIPIENTS[Suite.X25519]], lambda _: other).open(sealed, AAD)
    assert not used


def test_a_sealed_record_says_nothing_in_clear() -> None:
    """Nothing of the plaintext or the binding stands in the record."""
    sealed = a_sealer().seal(b"Jane Doe", AAD)
    for secret in (b"Jane", BINDING.event_id.encode(), b"anytown", b"homelessness"):
        assert secret not in sealed


def test_the_overhead_is_what_the_page_says() -> None:
    """Bytes added to a record of a kilobyte, for those who plan storage."""
    sizes = {suite: len(a_sealer(suite).seal(bytes(1024), AAD)) - 1024 for suite in Suite}
    assert sizes == {Suite.X_WING: 1387, Suite.X25519: 298}


def test_any_change_to_a_delivery_s_headers_keeps_it_from_opening() -> None:
    """A delivery has no signature of its own: what its headers say is bound to the seal."""
    headers = [("ce_id", b"1"), ("ce_retractsid", b"2"), ("ce_purpose", b"care")]
    for changed in (
        [*headers[:2], ("ce_purpose", b"fraud")],
        headers[:2],
        [*headers, ("ce_sequence", b"1")],
        [headers[0], ("ce_correlationid", b"2"), headers[2]],
        [headers[1], headers[0], headers[2]],
    ):
        one, other = (replace(BINDING, headers=bound_headers(h)) for h in (headers, changed))
        assert one.to_aad() != other.to_aad()

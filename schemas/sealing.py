"""Seal a record for one recipient, and open it.

A sealed record is COSE_Encrypt (RFC 9052 §5.1, tag 96): A256GCM under a content
key that is wrapped once with HPKE in the one COSE_recipient, laid out as
draft-ietf-cose-hpke does in Key Encryption mode. ``external_aad`` binds what the
record is for (`Binding`). HPKE's base mode says nothing about the sender, so the
COSE_recipient carries the sender's countersignature (RFC 9338, label 12) and the
name of its key; both cost nothing per record, and a wrapped key cannot be passed
off as another sender's because that name also goes into the HPKE ``info``.

Every length of a COSE_recipient is fixed by the suite, so it is compared with a
template rather than parsed, and there is exactly one way to write a record.
"""

import os
import secrets
import time
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import count
from typing import ClassVar, Final, NamedTuple, NoReturn

import cbor2
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from schemas.cbor import BYTES, BYTES_HEADS, TABLED, TEXT, TEXT_HEADS, head, read_head
from schemas.errors import RejectedInput
from schemas.keys import (
    KID_CHARACTERS,
    SIGNATURE_BYTES,
    BadSignature,
    SealingKey,
    SealingPublicKey,
    SigningKey,
    Suite,
    VerifyingKey,
)

CONTENT_KEY_BYTES: Final = 32
MAX_AGE_SECONDS: Final = 3600.0
MAX_RECORDS: Final = 5_000_000
MAX_BYTES: Final = 64 << 30
CACHED_KEYS: Final = 1024

ALG_A256GCM: Final = 3  # RFC 9053 §4.1
HEADER_SENDER: Final = -65_537  # ours, from the private range (RFC 9052 §16.2)
_HEADER_EK: Final = -4  # draft-ietf-cose-hpke
_HEADER_COUNTERSIGNATURE0: Final = 12  # RFC 9338 §2
_BINDING_CONTEXT: Final = "concordat-binding-v1"

# 96([h'a10103', {5: nonce}, ciphertext, [recipient]]) up to the nonce.
_START: Final = b"\xd8\x60\x84\x43\xa1\x01\x03\xa1\x05\x4c"
_NONCE_BYTES: Final = 12
_NONCE_END: Final = len(_START) + _NONCE_BYTES
_TAG_BYTES: Final = 16
_ENC_STRUCTURE: Final = b"\x83\x67Encrypt\x43\xa1\x01\x03"  # RFC 9052 §5.3
_WRAPPED_BYTES: Final = CONTENT_KEY_BYTES + 16


class DoesNotOpen(RejectedInput):
    """The record is not for us, not from a known sender, or not as it was sealed."""

    code: ClassVar[str] = "does-not-open"


@dataclass(frozen=True, slots=True)
class Binding:
    """What a sealed record is for; none of it can change without the record not opening.

    From publisher to broker there is no agreement: "", version 0 and flow "".
    """

    recipient: str
    topic: str
    event_id: str
    event_type: str
    dataschema: str
    agreement: str = ""
    version: int = 0
    flow: str = ""

    def to_aad(self) -> bytes:
        """Return the ``external_aad``: a deterministic CBOR array, the event's id last."""
        return BindingTemplate(
            self.recipient,
            self.topic,
            self.event_type,
            self.dataschema,
            agreement=self.agreement,
            version=self.version,
            flow=self.flow,
        ).aad(self.event_id)


class BindingTemplate:
    """The binding of everything that goes the same way, to be filled in with the event's id."""

    __slots__ = ("_start",)

    def __init__(  # noqa: PLR0913  the bound things, one each
        self,
        recipient: str,
        topic: str,
        event_type: str,
        dataschema: str,
        *,
        agreement: str = "",
        version: int = 0,
        flow: str = "",
    ) -> None:
        bound = [
            _BINDING_CONTEXT,
            recipient,
            topic,
            event_type,
            dataschema,
            agreement,
            version,
            flow,
        ]
        # An array of nine whose last element, the event's id, is appended by aad().
        self._start = b"\x89" + cbor2.dumps(bound, canonical=True)[1:]

    def aad(self, event_id: str) -> bytes:
        """Return the ``external_aad`` for one event."""
        raw = event_id.encode()
        n = len(raw)
        return self._start + (TEXT_HEADS[n] if n < TABLED else head(TEXT, n)) + raw


class Sealer:
    """Seals records from one sender to one recipient key.

    A content key is made, wrapped and countersigned when the first record needs it,
    and again when it is an hour old, has sealed 5 million records or 64 GiB.

    INVARIANT: a nonce never repeats under a content key. The nonce is a counter from
    zero; a content key is made here, never leaves this object and is never read
    back, so neither a restart nor a second sealer can meet a used pair. A forked
    child starts with a new content key; a sealer cannot be copied or pickled.
    """

    def __init__(  # noqa: PLR0913  the bound things, one each
        self,
        sender: SigningKey,
        recipient: str,
        recipient_key: SealingPublicKey,
        clock: Callable[[], float] = time.monotonic,
        *,
        max_age_seconds: float = MAX_AGE_SECONDS,
        max_records: int = MAX_RECORDS,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self.recipient = recipient
        self.recipient_key = recipient_key
        self._sender = sender
        self._clock = clock
        self._max_age_seconds = max_age_seconds
        self._max_records = max_records
        self._max_bytes = max_bytes
        self._content: _Content | None = None
        _SEALERS.add(self)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a sealer cannot be copied: its nonces would repeat")

    def seal(self, plaintext: bytes, aad: bytes) -> bytes:
        """Return the sealed record; ``aad`` comes from `Binding` or `BindingTemplate`."""
        n = len(plaintext)
        content = self._content
        now = self._clock()
        if content is None or not content.made_at <= now < content.ends_at:
            content = self._renewed(now)
        # One step of the interpreter: two threads never get one number of one content key.
        number = next(content.numbers)
        content.bytes_left -= n
        if number >= self._max_records or content.bytes_left < 0:
            content = self._renewed(now)
            number = next(content.numbers)
            content.bytes_left -= n
        nonce = number.to_bytes(_NONCE_BYTES)
        ciphertext = content.encrypt(nonce, plaintext, _enc_structure(aad))
        n += _TAG_BYTES
        return b"".join((_START, nonce, head(BYTES, n), ciphertext, content.recipients))

    def forget(self) -> None:
        """Drop the content key; the next record makes a new one."""
        self._content = None

    def _renewed(self, now: float) -> "_Content":
        key = secrets.token_bytes(CONTENT_KEY_BYTES)
        recipients = wrap_content_key(key, self._sender, self.recipient_key)
        content = _Content(
            key, recipients, now, ends_at=now + self._max_age_seconds, bytes_left=self._max_bytes
        )
        self._content = content
        return content


class _Content:
    """A content key in use, with its own counter: whoever holds it gets its next nonce."""

    __slots__ = ("bytes_left", "encrypt", "ends_at", "made_at", "numbers", "recipients")

    def __init__(
        self, key: bytes, recipients: bytes, made_at: float, *, ends_at: float, bytes_left: int
    ) -> None:
        self.encrypt = AESGCM(key).encrypt
        self.recipients = recipients
        self.made_at = made_at
        self.ends_at = ends_at
        self.bytes_left = bytes_left
        self.numbers = count()


class _Unwrapped(NamedTuple):
    decrypt: Callable[[bytes, bytes, bytes], bytes]
    sender_kid: str


SenderLookup = Callable[[str], VerifyingKey | None]
"""kid → the key of a sender from whom records are expected here, or None."""


class Opener:
    """Opens records sealed to any of our keys by a known sender.

    The lookup is asked for every record, so a sender's key taken out of use stops
    opening at once. Unwrapped content keys are kept by the exact bytes of the
    recipient structure that carried them, at most ``cached_keys`` of them.
    """

    def __init__(
        self,
        keys: Iterable[SealingKey],
        senders: SenderLookup,
        *,
        cached_keys: int = CACHED_KEYS,
    ) -> None:
        self._private = {key.kid: key for key in keys}
        self._senders = senders
        self._cached_keys = cached_keys
        self._unwrapped: OrderedDict[bytes, _Unwrapped] = OrderedDict()
        self._last: tuple[bytes, _Unwrapped] | None = None

    def open(self, sealed: bytes, aad: bytes) -> bytes:
        """Return the plaintext. Raises ``DoesNotOpen`` for anything not as it was sealed."""
        if not sealed.startswith(_START):
            raise DoesNotOpen("the record does not start like COSE_Encrypt with A256GCM")
        start, end = _ciphertext_span(sealed)
        # Records in a row are mostly under one content key: comparing is cheaper than hashing.
        last = self._last
        if last is not None and len(sealed) - end == len(last[0]) and sealed.endswith(last[0]):
            key = last[1]
        else:
            key = self._unwrap(sealed[end:])
        if self._senders(key.sender_kid) is None:
            raise DoesNotOpen("the sender's key is not in use")
        try:
            return key.decrypt(
                sealed[len(_START) : _NONCE_END], sealed[start:end], _enc_structure(aad)
            )
        except InvalidTag:
            raise DoesNotOpen("the record or what it is bound to was changed") from None

    def _unwrap(self, recipients: bytes) -> _Unwrapped:
        """Return the content key of this recipient structure, and remember it."""
        key = self._unwrapped.get(recipients)
        if key is None:
            content_key, sender_kid = self._check_and_unwrap(recipients)
            key = _Unwrapped(AESGCM(content_key).decrypt, sender_kid)
            self._unwrapped[recipients] = key
            if len(self._unwrapped) > self._cached_keys:
                self._unwrapped.popitem(last=False)
        else:
            self._unwrapped.move_to_end(recipients)
        self._last = recipients, key
        return key

    def _check_and_unwrap(self, recipients: bytes) -> tuple[bytes, str]:
        # 1. It is, byte for byte, what a sealer writes around the varying parts.
        parts = _read_recipients(recipients)
        # 2. A known sender vouches for it: before our private key is used at all.
        sender = self._senders(parts.sender_kid)
        if sender is None:
            raise DoesNotOpen("the record is not from a sender that is known here")
        try:
            sender.verify(parts.countersignature, _countersigned(parts))
        except BadSignature:
            raise DoesNotOpen("the wrapped key is not from the sender that it names") from None
        # 3. It is for one of our keys.
        private = self._private.get(parts.recipient_kid)
        if private is None or private.suite is not parts.suite:
            raise DoesNotOpen("the record is sealed to a key that is not ours")
        # 4. It unwraps.
        key = private.unwrap(parts.encapsulated, parts.wrapped, hpke_info(parts.protected))
        if key is None or len(key) != CONTENT_KEY_BYTES:
            raise DoesNotOpen("the wrapped key does not unwrap")
        return key, parts.sender_kid


def wrap_content_key(key: bytes, sender: SigningKey, recipient_key: SealingPublicKey) -> bytes:
    """Return the ``recipients`` array of COSE_Encrypt: the wrapped key, countersigned."""
    protected = recipient_protected(recipient_key.suite, recipient_key.kid, sender.kid)
    encapsulated, wrapped = recipient_key.wrap(key, hpke_info(protected))
    return assemble_recipients(sender, protected, encapsulated, wrapped)


def assemble_recipients(
    sender: SigningKey, protected: bytes, encapsulated: bytes, wrapped: bytes
) -> bytes:
    """Countersign a wrapped key and lay the ``recipients`` array out."""
    signature = sender.sign(countersign_structure(protected, encapsulated, wrapped))
    headers = {_HEADER_COUNTERSIGNATURE0: signature, _HEADER_EK: encapsulated}
    return cbor2.dumps([[protected, headers, wrapped]], canonical=True)


class _Recipient(NamedTuple):
    suite: Suite
    protected: bytes
    recipient_kid: str
    sender_kid: str
    countersignature: bytes
    encapsulated: bytes
    wrapped: bytes


def recipient_protected(suite: Suite, recipient_kid: str, sender_kid: str) -> bytes:
    """Return the protected header of a COSE_recipient: alg, kid, and the sender's kid."""
    headers = {1: suite.cose_alg, 4: recipient_kid.encode(), HEADER_SENDER: sender_kid.encode()}
    return cbor2.dumps(headers, canonical=True)


def hpke_info(protected: bytes) -> bytes:
    """Return HPKE's ``info``: the Recipient_structure of draft-ietf-cose-hpke."""
    return cbor2.dumps(["HPKE Recipient", ALG_A256GCM, protected, b""], canonical=True)


def countersign_structure(protected: bytes, encapsulated: bytes, wrapped: bytes) -> bytes:
    """Return what the sender signs: the Countersign_structure of a COSE_recipient."""
    # RFC 9338 §3.3. A COSE_recipient has no byte strings beyond these two, hence no
    # other_fields and not the V2 context. ``ek`` is unprotected: external_aad covers it.
    return cbor2.dumps(["CounterSignature0", protected, encapsulated, wrapped], canonical=True)


def _countersigned(parts: _Recipient) -> bytes:
    return countersign_structure(parts.protected, parts.encapsulated, parts.wrapped)


class _Layout(NamedTuple):
    """A suite's ``recipients`` array: its fixed bytes, and where the varying ones lie."""

    suite: Suite
    fixed: tuple[tuple[int, bytes], ...]
    protected: slice
    recipient_kid: slice
    sender_kid: slice
    countersignature: slice
    encapsulated: slice
    wrapped: slice


def _layout(suite: Suite) -> tuple[int, _Layout]:
    """Derive the layout from a written example with a distinct filler in each varying part."""
    kid, sender = "r" * KID_CHARACTERS, "s" * KID_CHARACTERS
    signature = b"\x01" * SIGNATURE_BYTES
    encapsulated = b"\x02" * suite.encapsulated_bytes
    wrapped = b"\x03" * _WRAPPED_BYTES
    protected = recipient_protected(suite, kid, sender)
    headers = {_HEADER_COUNTERSIGNATURE0: signature, _HEADER_EK: encapsulated}
    example = cbor2.dumps([[protected, headers, wrapped]], canonical=True)
    spans = []
    for filler in (kid.encode(), sender.encode(), signature, encapsulated, wrapped):
        at = example.index(filler)
        spans.append(slice(at, at + len(filler)))
    at = example.index(protected)
    fixed = []
    end = 0
    for span in sorted(spans, key=lambda span: span.start):
        fixed.append((end, example[end : span.start]))
        end = span.stop
    return len(example), _Layout(suite, tuple(fixed), slice(at, at + len(protected)), *spans)


_LAYOUTS: Final = dict(_layout(suite) for suite in Suite)


def _read_recipients(recipients: bytes) -> _Recipient:
    layout = _LAYOUTS.get(len(recipients))
    if layout is None or not all(recipients.startswith(part, at) for at, part in layout.fixed):
        raise DoesNotOpen("the recipient is not laid out as a suite of ours")
    try:
        recipient_kid = recipients[layout.recipient_kid].decode("ascii")
        sender_kid = recipients[layout.sender_kid].decode("ascii")
    except UnicodeDecodeError:
        raise DoesNotOpen("the recipient names keys that are no thumbprints") from None
    return _Recipient(
        layout.suite,
        recipients[layout.protected],
        recipient_kid,
        sender_kid,
        recipients[layout.countersignature],
        recipients[layout.encapsulated],
        recipients[layout.wrapped],
    )


def _ciphertext_span(sealed: bytes) -> tuple[int, int]:
    """Return where the ciphertext lies; its length must be written in the shortest way."""
    found = read_head(sealed, _NONCE_END, BYTES)
    if found is None or found[0] < _TAG_BYTES or sum(found) > len(sealed):
        raise DoesNotOpen("the record is cut off or not in its shortest form")
    return found[1], found[0] + found[1]


def _enc_structure(aad: bytes) -> bytes:
    n = len(aad)
    return _ENC_STRUCTURE + (BYTES_HEADS[n] if n < TABLED else head(BYTES, n)) + aad


_SEALERS: Final[weakref.WeakSet[Sealer]] = weakref.WeakSet()


def _forget_content_keys() -> None:
    for sealer in _SEALERS:
        sealer.forget()


if hasattr(os, "register_at_fork"):
    # Both sides of a fork would count on under one content key: the child makes its own.
    os.register_at_fork(after_in_child=_forget_content_keys)

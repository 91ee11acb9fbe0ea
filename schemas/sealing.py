"""Seal a record for one recipient, and open it.

A sealed record is COSE_Encrypt (RFC 9052 §5.1, tag 96): A256GCM under a content
key that is wrapped once and kept for many records; `schemas.wrapping` has that
part, and who may be believed to have sealed. ``external_aad`` binds what the
record is for (`Binding`). There is exactly one way to write a record: only the
deterministic encoding is read.
"""

import os
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import count
from typing import Final, NamedTuple, NoReturn

import cbor2
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from schemas.cbor import BYTES, BYTES_HEADS, TABLED, TEXT, TEXT_HEADS, head, read_head
from schemas.keys import SealingKey, SealingPublicKey, SigningKey
from schemas.wrapping import (
    CONTENT_KEY_BYTES,
    DoesNotOpen,
    SenderLookup,
    unwrap_content_key,
    wrap_content_key,
)

__all__ = [
    "Binding",
    "BindingTemplate",
    "DoesNotOpen",
    "Opener",
    "Sealer",
    "SenderLookup",
    "bound_headers",
]

MAX_AGE_SECONDS: Final = 3600.0
MAX_RECORDS: Final = 5_000_000
MAX_BYTES: Final = 64 << 30
CACHED_KEYS: Final = 1024

_BINDING_CONTEXT: Final = "concordat-binding-v1"

# 96([h'a10103', {5: nonce}, ciphertext, [recipient]]) up to the nonce.
_START: Final = b"\xd8\x60\x84\x43\xa1\x01\x03\xa1\x05\x4c"
_NONCE_BYTES: Final = 12
_NONCE_END: Final = len(_START) + _NONCE_BYTES
_TAG_BYTES: Final = 16
_ENC_STRUCTURE: Final = b"\x83\x67Encrypt\x43\xa1\x01\x03"  # RFC 9052 §5.3


@dataclass(frozen=True, slots=True)
class Binding:
    """What a sealed record is for; none of it can change without the record not opening.

    From publisher to broker there is no agreement: "", version 0 and flow "". Nor are
    its headers bound here: the publisher's signature covers them. A delivery has no
    other signature, so all of its headers are (`bound_headers`).
    """

    recipient: str
    topic: str
    event_id: str
    event_type: str
    dataschema: str
    agreement: str = ""
    version: int = 0
    flow: str = ""
    headers: bytes = b""

    def to_aad(self) -> bytes:
        """Return the ``external_aad``: a deterministic CBOR array, event id and headers last."""
        return BindingTemplate(
            self.recipient,
            self.topic,
            self.event_type,
            self.dataschema,
            agreement=self.agreement,
            version=self.version,
            flow=self.flow,
        ).aad(self.event_id, self.headers)


def bound_headers(headers: Iterable[tuple[str, bytes]]) -> bytes:
    """Return a delivery's headers as they are bound: ``name=value`` in order, 00 between two.

    A value with a zero byte in it is none that a delivery may have (`read_delivery`).
    """
    return b"\x00".join([name.encode() + b"=" + value for name, value in headers])


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
        # An array of ten whose last two, event id and headers, are appended by aad().
        self._start = b"\x8a" + cbor2.dumps(bound, canonical=True)[1:]

    def aad(self, event_id: str, headers: bytes = b"") -> bytes:
        """Return the ``external_aad`` for one event; ``headers`` as `bound_headers` gives them."""
        raw = event_id.encode()
        n, m = len(raw), len(headers)
        id_head = TEXT_HEADS[n] if n < TABLED else head(TEXT, n)
        return b"".join((self._start, id_head, raw, head(BYTES, m), headers))


class Sealer:
    """Seals records from one sender to one recipient key.

    A content key is made, wrapped and countersigned when the first record needs it,
    and again when it is an hour old, has sealed 5 million records or 64 GiB.

    INVARIANT: a nonce never repeats under a content key. The nonce is a counter from
    zero; a content key is made here, never leaves this object and is never read
    back, so neither a restart nor a second sealer can meet a used pair. A forked
    child starts with a new content key; a sealer cannot be copied or pickled.
    """

    def __init__(  # noqa: PLR0913  who, to whom, and the limits
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

    def __reduce__(self) -> NoReturn:
        raise TypeError("a sealer cannot be copied: its nonces would repeat")

    def seal(self, plaintext: bytes, aad: bytes) -> bytes:
        """Return the sealed record; ``aad`` comes from `Binding` or `BindingTemplate`."""
        n = len(plaintext)
        content = self._content
        now = self._clock()
        if (
            content is None
            or not content.made_at <= now < content.ends_at
            or content.forks != _forks.seen
        ):
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

    __slots__ = ("bytes_left", "encrypt", "ends_at", "forks", "made_at", "numbers", "recipients")

    def __init__(
        self, key: bytes, recipients: bytes, made_at: float, *, ends_at: float, bytes_left: int
    ) -> None:
        self.encrypt = AESGCM(key).encrypt
        self.recipients = recipients
        self.made_at = made_at
        self.forks = _forks.seen
        self.ends_at = ends_at
        self.bytes_left = bytes_left
        self.numbers = count()


class _Unwrapped(NamedTuple):
    decrypt: Callable[[bytes, bytes, bytes], bytes]
    sender_kid: str


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
            content_key, sender_kid = unwrap_content_key(recipients, self._private, self._senders)
            key = _Unwrapped(AESGCM(content_key).decrypt, sender_kid)
            self._unwrapped[recipients] = key
            if len(self._unwrapped) > self._cached_keys:
                self._unwrapped.popitem(last=False)
        else:
            self._unwrapped.move_to_end(recipients)
        self._last = recipients, key
        return key


def _ciphertext_span(sealed: bytes) -> tuple[int, int]:
    """Return where the ciphertext lies; its length must be written in the shortest way."""
    found = read_head(sealed, _NONCE_END, BYTES)
    if found is None or found[0] < _TAG_BYTES or sum(found) > len(sealed):
        raise DoesNotOpen("the record is cut off or not in its shortest form")
    return found[1], found[0] + found[1]


def _enc_structure(aad: bytes) -> bytes:
    n = len(aad)
    return _ENC_STRUCTURE + (BYTES_HEADS[n] if n < TABLED else head(BYTES, n)) + aad


class _Forks:
    """How many forks this process comes from, as far as Python has seen them."""

    __slots__ = ("seen",)

    def __init__(self) -> None:
        self.seen = 0

    def see(self) -> None:
        self.seen += 1


_forks: Final = _Forks()
if hasattr(os, "register_at_fork"):
    # Both sides of a fork would count on under one content key: the child makes its own.
    os.register_at_fork(after_in_child=_forks.see)

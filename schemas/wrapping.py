"""Wrap a content key for a recipient, with the sender's countersignature.

HPKE (RFC 9180) in base mode, in the one COSE_recipient of a sealed record, laid
out as draft-ietf-cose-hpke does in Key Encryption mode. HPKE says nothing about
the sender, so the COSE_recipient carries the sender's countersignature (RFC 9338,
label 12) and the name of its key. That name goes into the HPKE ``info`` too: a
wrapped key cannot be passed off as another sender's.

Every length is fixed by the suite, so a COSE_recipient is compared with a
template rather than parsed: no decoder meets hostile bytes here.
"""

from collections.abc import Callable, Mapping
from typing import ClassVar, Final, NamedTuple

import cbor2

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
ALG_A256GCM: Final = 3  # RFC 9053 §4.1
HEADER_SENDER: Final = -65_537  # ours, from the private range (RFC 9052 §16.2)
_HEADER_EK: Final = -4  # draft-ietf-cose-hpke
_HEADER_COUNTERSIGNATURE0: Final = 12  # RFC 9338 §2
_WRAPPED_BYTES: Final = CONTENT_KEY_BYTES + 16

SenderLookup = Callable[[str], VerifyingKey | None]
"""kid → the key of a sender from whom records are expected here, or None."""


class DoesNotOpen(RejectedInput):
    """The record is not for us, not from a known sender, or not as it was sealed."""

    code: ClassVar[str] = "does-not-open"


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


def unwrap_content_key(
    recipients: bytes, keys: Mapping[str, SealingKey], senders: SenderLookup
) -> tuple[bytes, str]:
    """Return the content key, and the kid of the sender who vouches for it.

    ``keys`` are ours by kid. Raises ``DoesNotOpen`` for any change of any byte.
    """
    # 1. It is, byte for byte, what a sealer writes around the varying parts.
    parts = _read_recipients(recipients)
    # 2. A known sender vouches for it: before our private key is used at all.
    sender = senders(parts.sender_kid)
    if sender is None:
        raise DoesNotOpen("the record is not from a sender that is known here")
    signed = countersign_structure(parts.protected, parts.encapsulated, parts.wrapped)
    try:
        sender.verify(parts.countersignature, signed)
    except BadSignature:
        raise DoesNotOpen("the wrapped key is not from the sender that it names") from None
    # 3. It is for one of our keys.
    private = keys.get(parts.recipient_kid)
    if private is None or private.suite is not parts.suite:
        raise DoesNotOpen("the record is sealed to a key that is not ours")
    # 4. It unwraps.
    key = private.unwrap(parts.encapsulated, parts.wrapped, hpke_info(parts.protected))
    if key is None or len(key) != CONTENT_KEY_BYTES:
        raise DoesNotOpen("the wrapped key does not unwrap")
    return key, parts.sender_kid


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

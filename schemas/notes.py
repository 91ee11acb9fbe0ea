"""Signed notes: a text, and a line for each key that signed it.

C2SP signed-note (the format, and Ed25519 signatures of type 1) and C2SP
tlog-cosignature (a witness's Ed25519 signature of type 4, with the time of signing).
A signature of an unknown key says nothing and is passed over; one of a known key that
does not verify makes the whole note worthless.
"""

import base64
import binascii
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Self

from schemas.errors import RejectedInput
from schemas.keys import BadSignature, SigningKey, VerifyingKey

ED25519: Final = 0x01
COSIGNATURE: Final = 0x04

MOST_SIGNATURES: Final = 64  # of a note; verifiers must take 16 at least
_DASH: Final = "— "
_ID_BYTES: Final = 4
_TIME_BYTES: Final = 8
_TEXT_END: Final = "\n\n"


class BadNote(RejectedInput):
    """A note that is not one, or that no key we know has signed."""

    code = "bad-note"


@dataclass(frozen=True, slots=True)
class NoteKey:
    """A public key under a name; ``kind`` is the type of its signatures."""

    name: str
    key: VerifyingKey
    kind: int = ED25519

    def __post_init__(self) -> None:
        if not self.name or "+" in self.name or any(c.isspace() for c in self.name):
            raise BadNote("expected the name of a note's key without spaces and plus signs")
        if self.kind not in {ED25519, COSIGNATURE}:
            raise BadNote(f"expected a key for signatures of type 1 or 4, not {self.kind}")

    @property
    def id(self) -> bytes:
        """Four bytes that tell keys of one name apart."""
        material = bytes([self.kind]) + self.key.raw
        return sha256(self.name.encode() + b"\n" + material).digest()[:_ID_BYTES]

    def to_vkey(self) -> str:
        """Return the key as one line of text: ``name+id+base64(type ‖ key)``."""
        material = base64.b64encode(bytes([self.kind]) + self.key.raw).decode()
        return f"{self.name}+{self.id.hex()}+{material}"

    @classmethod
    def from_vkey(cls, text: str) -> Self:
        """Read such a line. Raises ``BadNote``."""
        try:
            name, marked, encoded = text.strip().split("+", 2)
            material = base64.b64decode(encoded, validate=True)
            key = cls(name, VerifyingKey(material[1:]), material[0])
        except (ValueError, IndexError, binascii.Error, RejectedInput):
            raise BadNote("expected a verifier key: name+id+base64") from None
        if key.id.hex() != marked:
            raise BadNote(f"the id of the verifier key {name} is not that of its key")
        return key


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One line below a note: whose key, and what it made of the text."""

    name: str
    key_id: bytes
    signature: bytes

    @property
    def line(self) -> str:
        """The line as it stands in a note, with its line break."""
        blob = base64.b64encode(self.key_id + self.signature).decode()
        return f"{_DASH}{self.name} {blob}\n"

    @property
    def cosigned_at(self) -> int:
        """The time in a cosignature, seconds since the epoch; of no use before it verified."""
        return int.from_bytes(self.signature[:_TIME_BYTES], "big")


@dataclass(frozen=True, slots=True)
class Note:
    """A text, which ends in a line break, and its signatures."""

    text: str
    signatures: tuple[NoteSignature, ...] = ()

    def to_text(self) -> str:
        """Return the note as it is kept and sent."""
        return self.text + "\n" + "".join(signature.line for signature in self.signatures)

    def signed_by(self, *more: NoteSignature) -> Self:
        """Return the note with more signatures; a key's newer one takes the older's place."""
        kept = {(one.name, one.key_id): one for one in (*self.signatures, *more)}
        return type(self)(self.text, tuple(kept.values()))

    @classmethod
    def read(cls, data: bytes) -> Self:
        """Take a note apart; nothing is verified. Raises ``BadNote``."""
        try:
            whole = data.decode("utf-8")
        except UnicodeDecodeError:
            raise BadNote("expected a note in UTF-8") from None
        if any(ord(character) < ord(" ") and character != "\n" for character in whole):
            raise BadNote("expected a note without control characters")
        text, blank, lines = whole.rpartition(_TEXT_END)
        if not blank or not lines.endswith("\n"):
            raise BadNote("expected a text, an empty line and signatures, each line ended")
        signed = lines.removesuffix("\n").split("\n")
        if len(signed) > MOST_SIGNATURES:
            raise BadNote(f"expected at most {MOST_SIGNATURES} signatures")
        return cls(text + "\n", tuple(_read_line(line) for line in signed))

    def verified(self, keys: Iterable[NoteKey]) -> tuple[tuple[NoteKey, NoteSignature], ...]:
        """Return the signatures of ``keys``, each with its key.

        Raises:
            BadNote: none of them signed, or a signature of one does not verify.

        """
        known = {(key.name, key.id): key for key in keys}
        found = []
        for signature in self.signatures:
            key = known.get((signature.name, signature.key_id))
            if key is not None:
                _verify(key, self.text, signature)
                found.append((key, signature))
        if not found:
            raise BadNote("none of the keys that are trusted has signed this note")
        return tuple(found)


def sign_note(text: str, name: str, key: SigningKey) -> NoteSignature:
    """Sign a text under a key's name."""
    note_key = NoteKey(name, key.public)
    return NoteSignature(name, note_key.id, key.sign(text.encode()))


def cosign(text: str, name: str, key: SigningKey, *, at_s: int) -> NoteSignature:
    """Sign a checkpoint as a witness, at a time in seconds since the epoch.

    The caller has made sure that it goes on from the last one (tlog-cosignature).
    """
    note_key = NoteKey(name, key.public, COSIGNATURE)
    signature = key.sign(_cosigned(text, at_s))
    return NoteSignature(name, note_key.id, at_s.to_bytes(_TIME_BYTES, "big") + signature)


def _cosigned(text: str, at_s: int) -> bytes:
    return f"cosignature/v1\ntime {at_s}\n{text}".encode()


def _verify(key: NoteKey, text: str, signature: NoteSignature) -> None:
    blob, message = signature.signature, text.encode()
    if key.kind == COSIGNATURE:
        blob, message = blob[_TIME_BYTES:], _cosigned(text, signature.cosigned_at)
    try:
        key.key.verify(blob, message)
    except BadSignature:
        raise BadNote(f"the signature of {key.name} does not verify") from None


def _read_line(line: str) -> NoteSignature:
    if line.startswith(_DASH):
        name, _, encoded = line.removeprefix(_DASH).partition(" ")
        try:
            blob = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            blob = b""
        if name and len(blob) > _ID_BYTES and base64.b64encode(blob).decode() == encoded:
            return NoteSignature(name, blob[:_ID_BYTES], blob[_ID_BYTES:])
    raise BadNote("expected a signature line: a dash, a name, and base64")

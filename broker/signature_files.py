"""Sign where the party is: with a file, a key and nothing else, and a file to send back.

No scheme's folder, no store, no streams: the key never leaves the machine that it is
on. What comes back is JSON; only the statement in it (``jws``) counts, the rest tells a
reader what it is and must agree with it.
"""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from agreements.model import Agreement
from agreements.signatures import Statement
from broker.keystore import FileKeyStore, KeysUnavailable
from broker.saying import NotASignature, Saying, read_statement
from schemas.errors import ConfigurationError, RejectedInput
from schemas.keys import BadKey, SigningKey, VerifyingKey

LARGEST_BYTES: Final = 64 * 1024
"""Of a signature file or a key file; both are a page at most."""

_AGAIN: Final = "ask the party to send what `concordat agreement sign` wrote, whole and unchanged"


class BadSignatureFile(RejectedInput):
    """The file is not what ``agreement sign`` writes, or not any more."""

    code: ClassVar[str] = "bad-signature-file"


class SignatureFile(BaseModel):
    """A statement on its way from where it was signed to where it is put on record."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    format: Annotated[int, Field(ge=1, le=1)]  # a Literal takes `true` for 1
    agreement: str
    version: int
    sha256: str
    party: str
    type: str
    jws: str


def sign_file(agreement: Agreement, key: SigningKey, saying: Saying) -> SignatureFile:
    """Sign a statement on an agreement.

    Raises:
        NoSay: the party has no say in it.

    """
    return _wrap(saying.sign(agreement, key))


def read_signature_file(raw: bytes, *, name: str) -> SignatureFile:
    """Read a file, and hold what it says around the statement against the statement.

    Raises:
        BadSignatureFile: it is cut off, altered or something else.

    """
    if len(raw) > LARGEST_BYTES:
        raise BadSignatureFile(
            f"{name} is larger than a signature file can be ({LARGEST_BYTES} bytes): {_AGAIN}"
        )
    try:
        document = json.loads(raw.decode("utf-8"), object_pairs_hook=_once_each)
    except UnicodeDecodeError:
        raise BadSignatureFile(f"{name} is not text in UTF-8: {_AGAIN}") from None
    except json.JSONDecodeError as error:
        raise BadSignatureFile(
            f"{name}: line {error.lineno}, column {error.colno}: this is not whole JSON,"
            f" as if the file were cut off: {_AGAIN}"
        ) from None
    except (ValueError, RecursionError):
        raise BadSignatureFile(f"{name} says something twice or too deeply: {_AGAIN}") from None
    try:
        file = SignatureFile.model_validate(document)
        inside = _wrap(file.jws)
    except ValidationError as error:
        places = sorted({".".join(map(str, one["loc"])) or "the file" for one in error.errors()})
        raise BadSignatureFile(
            f"{name} is not a signature file of format 1 (see {', '.join(places)}): {_AGAIN}"
        ) from None
    except NotASignature as error:
        raise BadSignatureFile(f"{name}: jws: {error}") from None
    for field in SignatureFile.model_fields:
        if getattr(file, field) != getattr(inside, field):
            raise BadSignatureFile(
                f"{name}: {field} is not what was signed, so the file was altered: {_AGAIN}"
            )
    return file


def read_signing_key(file: Path, passphrase: str | None) -> SigningKey:
    """Read a party's private signing key: a JWK, a JWK Set, or our encrypted key file (.jwe).

    ``passphrase`` opens an encrypted file; without it the file ``passphrase`` beside it does.

    Raises:
        KeysUnavailable: it does not open.
        BadKey: there is no private Ed25519 key in it.

    """
    if file.suffix == ".jwe":
        secret = None if passphrase is None else SecretStr(passphrase)
        return _signing_key(FileKeyStore(file.parent, secret).load(file.stem), file)
    with file.open("rb") as opened:
        raw = opened.read(LARGEST_BYTES + 1)
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict) or len(raw) > LARGEST_BYTES:
        raise BadKey(
            f"{file} is not a key: expected a private JWK, such as `concordat key export` or"
            " `concordat key new` writes; an encrypted one has a name that ends in .jwe"
        )
    keys = document.get("keys", [document])
    return _signing_key(keys if isinstance(keys, list) else [], file)


def read_public_key(raw: bytes, *, name: str) -> VerifyingKey:
    """Read the public half of a signing key, as ``key new`` writes it.

    Raises:
        BadKey: it is none, or the private half is in it, too.

    """
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise BadKey(f"{name} is not a key: expected a public JWK, as `concordat key new` writes")
    return VerifyingKey.from_jwk(document)


def write_signing_key(file: Path, key: SigningKey, passphrase: str | None) -> None:
    """Write a private signing key for its owner alone; encrypted where the name ends in .jwe.

    Raises:
        FileThere: there is a file of that name, which may be a key: it is left alone.
        KeysUnavailable: no passphrase is given to encrypt it with.

    """
    if file.suffix != ".jwe":
        write_new(file, json.dumps(key.to_private_jwk(), indent=2) + "\n", mode=0o600)
        return
    if passphrase is None:
        raise KeysUnavailable(
            f"{file} is to be encrypted: set CONCORDAT_KEY_PASSPHRASE or give"
            " --passphrase-file, and use the same passphrase where the key is used; or choose"
            " a name that does not end in .jwe"
        )
    write_new(file, "", mode=0o600)
    FileKeyStore(file.parent, SecretStr(passphrase)).save(file.stem, [key.to_private_jwk()])


class FileThere(ConfigurationError):
    """A file that would be written over exists; nothing was changed."""

    code: ClassVar[str] = "file-there"


def write_new(file: Path, text: str, *, mode: int = 0o666) -> None:
    """Write a file that is not there yet.

    Raises:
        FileThere: it is there.

    """
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        raise FileThere(f"{file} exists: name another file, or move that one away") from None
    with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
        opened.write(text)


def _wrap(token: str) -> SignatureFile:
    statement: Statement = read_statement(token)
    return SignatureFile(
        format=1,
        agreement=statement.agreement,
        version=statement.version,
        sha256=statement.sha256,
        party=statement.party,
        type=statement.type.value,
        jws=token,
    )


def _once_each(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(name)
        found[name] = value
    return found


def _signing_key(jwks: Iterable[Any], file: Path) -> SigningKey:
    for jwk in jwks:
        if isinstance(jwk, dict) and jwk.get("crv") == "Ed25519" and "d" in jwk:
            return SigningKey.from_jwk(jwk)
    raise BadKey(f"{file} has no private signing key in it: expected an Ed25519 JWK with `d`")

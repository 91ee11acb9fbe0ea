"""Where private keys lie: behind a small port, an encrypted file by default.

A file holds a JWK Set (RFC 7517 §5) encrypted as a JWE (RFC 7517 §7) under a
passphrase. The passphrase comes from ``CONCORDAT_KEY_PASSPHRASE``; on one
machine, and for trying things out, from a file beside the keys that only its
owner can read.
"""

import json
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol

from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import OctKey
from pydantic import SecretStr

from broker.disk import replacing
from schemas.errors import ConfigurationError

_ALGORITHM = "PBES2-HS512+A256KW"  # RFC 7518 §4.8
_ENCRYPTION = "A256GCM"
_ITERATIONS = 210_000  # OWASP Password Storage Cheat Sheet, PBKDF2-HMAC-SHA512
_REGISTRY = jwe.JWERegistry(algorithms=[_ALGORITHM, _ENCRYPTION])
_PASSPHRASE_FILE = "passphrase"  # noqa: S105  a file's name, not a passphrase


class KeyStore(Protocol):
    """Keeps sets of private keys by the name of who owns them."""

    def load(self, owner: str) -> list[dict[str, Any]]:
        """Return the owner's private JWKs, newest first.

        Raises:
            KeysUnavailable: there are none, or they do not open.

        """

    def save(self, owner: str, keys: Sequence[dict[str, Any]]) -> None:
        """Replace the owner's keys in one step."""


class KeysUnavailable(ConfigurationError):
    """The private keys that this command needs are not here or do not open."""

    code: ClassVar[str] = "keys-unavailable"


class FileKeyStore:
    """One encrypted file an owner, in a folder that only its owner can enter."""

    def __init__(self, folder: Path, passphrase: SecretStr | None = None) -> None:
        self._folder = folder
        self._passphrase = passphrase

    def load(self, owner: str) -> list[dict[str, Any]]:
        """Read and decrypt ``<owner>.jwe``."""
        path = self._path(owner)
        try:
            token = path.read_text(encoding="ascii", errors="replace")  # refused below
        except FileNotFoundError:
            raise KeysUnavailable(
                f"no private keys of {owner} at {path}: run this where they are kept"
            ) from None
        try:
            clear = jwe.decrypt_compact(token, self._key(), registry=_REGISTRY).plaintext
        except (JoseError, ValueError):
            raise KeysUnavailable(
                f"{path} does not open: expected the passphrase it was made with"
                " in CONCORDAT_KEY_PASSPHRASE or in the file `passphrase` beside it"
            ) from None
        keys: list[dict[str, Any]] = json.loads(clear or b"{}")["keys"]
        return keys

    def save(self, owner: str, keys: Sequence[dict[str, Any]]) -> None:
        """Encrypt and write ``<owner>.jwe``, whole or not at all."""
        header = {
            "alg": _ALGORITHM,
            "enc": _ENCRYPTION,
            "p2c": _ITERATIONS,
            "cty": "jwk-set+json",
        }
        clear = json.dumps({"keys": list(keys)}).encode()
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        token = jwe.encrypt_compact(header, clear, self._key(make=True), registry=_REGISTRY)
        _write_private(self._path(owner), token)

    def _path(self, owner: str) -> Path:
        return self._folder / f"{owner}.jwe"

    def _key(self, *, make: bool = False) -> OctKey:
        if self._passphrase is not None:
            return OctKey.import_key(self._passphrase.get_secret_value())
        path = self._folder / _PASSPHRASE_FILE
        if make and not path.exists():
            _write_private(path, secrets.token_urlsafe(32))
        try:
            return OctKey.import_key(path.read_text(encoding="utf-8").strip())
        except FileNotFoundError:
            raise KeysUnavailable(
                f"no passphrase: set CONCORDAT_KEY_PASSPHRASE, or put it into {path}"
            ) from None


def _write_private(path: Path, text: str) -> None:
    with replacing(path, is_private=True) as file:
        file.write(text.encode("ascii"))

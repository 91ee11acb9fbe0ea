"""A witness's folder: what it is, what it has seen, and what it has refused.

witness.json     its name, its verifier key, the verifier keys of the logs that it knows
keys/            its private key, encrypted
seen/            the last checkpoint that it cosigned, of each log
refused/         what it did not cosign because the log contradicted itself: keep it
"""

import contextlib
import fcntl
import json
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any, ClassVar, Final

from broker.disk import replacing
from broker.split_views import Contradiction
from schemas.errors import ConfigurationError
from schemas.notes import BadNote, NoteKey

SETTINGS: Final = "witness.json"
_NAME_CHARACTERS: Final = 16


class NoWitness(ConfigurationError):
    """The folder is not a witness's, or not whole."""

    code: ClassVar[str] = "no-witness"


@dataclass(frozen=True, slots=True)
class WitnessSettings:
    """A witness's name and verifier key, and the verifier keys of the logs that it knows."""

    name: str
    vkey: str
    logs: tuple[NoteKey, ...]


@dataclass(frozen=True, slots=True)
class WitnessFolder:
    """The folder at ``path``. What is written is on disk before a method returns."""

    path: Path

    @property
    def keys(self) -> Path:
        """Where its private key lies."""
        return self.path / "keys"

    def settings(self) -> WitnessSettings:
        """Return what the witness is.

        Raises:
            NoWitness: there is none.

        """
        try:
            document: Any = json.loads((self.path / SETTINGS).read_bytes())
            logs = tuple(NoteKey.from_vkey(vkey) for vkey in document["logs"])
            return WitnessSettings(str(document["name"]), str(document["key"]), logs)
        except (OSError, ValueError, KeyError, TypeError, BadNote):
            raise NoWitness(
                f"{self.path / SETTINGS} does not name a witness and its logs: see"
                " `concordat witness init`"
            ) from None

    def found(self, settings: WitnessSettings) -> None:
        """Begin the folder of a witness that has seen nothing; its key is there."""
        for log in settings.logs:
            self.keep_seen(log, "")
        logs = [log.to_vkey() for log in settings.logs]
        document = {"name": settings.name, "key": settings.vkey, "logs": logs}
        _keep(self.path / SETTINGS, json.dumps(document, indent=2) + "\n")

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Be the only one who cosigns; wait for another."""
        with (self.path / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def seen_path(self, log: NoteKey) -> Path:
        """Return where the last checkpoint of a log lies; the file is empty before the first."""
        name = sha256(log.name.encode()).hexdigest()[:_NAME_CHARACTERS]
        return self.path / "seen" / f"{name}.note"

    def keep_seen(self, log: NoteKey, text: str) -> None:
        """Write down what was cosigned last."""
        _keep(self.seen_path(log), text)

    def keep_refused(self, found: Contradiction) -> Path:
        """Write down what contradicts, once; return where."""
        folder, text = self.path / "refused", found.to_text()
        for number in count(1):
            path = folder / f"{number:03}.json"
            if not path.exists():
                _keep(path, text)
                return path
            if path.read_text(encoding="utf-8") == text:
                return path
        raise AssertionError("numbers do not end")


def _keep(path: Path, text: str) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with replacing(path) as file:
        file.write(text.encode())

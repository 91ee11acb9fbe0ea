"""Hand deliveries on as JSON Lines: one file a recipient, one line a delivery.

For pilots, batch systems and looking at what arrived. A line is written once:
when a crash comes between writing and committing, the streams give the same
deliveries again, and those that are already in the file are passed over, as is
one that somebody appended a second time. ``delivery`` in a line is the digest
that the broker's decision record has. Deliveries that did not open go, sealed
as they came, to a file beside it.

The files hold personal data: only their owner may read them.
"""

import base64
import fcntl
import json
import os
import re
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from connectors.received import Received, Unopened
from schemas.errors import ConfigurationError

# A crash brings again what was written and not committed: one batch of each process that
# writes here, of 2,000 deliveries and 4 MiB at most. Older lines need not be remembered.
REMEMBERED_LINES = 20_000
REMEMBERED_BYTES = 256 << 20
_BLOCK_BYTES = 1 << 20
_RECIPIENT = re.compile(r"[a-z0-9][a-z0-9.-]{0,99}")


class FolderSink:
    """Appends to ``<folder>/<recipient>.jsonl``; use it as a context manager.

    Several processes may write to one file: each holds a lock while it writes,
    and first reads what the others have added.
    """

    def __init__(self, folder: Path, recipient: str) -> None:
        if not _RECIPIENT.fullmatch(recipient):
            raise ConfigurationError("the recipient of a folder sink must be a party's id")
        self.path = folder / f"{recipient}.jsonl"
        self.unopened_path = folder / f"{recipient}.unopened.jsonl"
        self._file = _JsonLines(self.path)
        self._unopened: _JsonLines | None = None

    def write(self, deliveries: Iterable[Received]) -> int:
        """Append those that are not there yet, on disk when this returns; return how many."""
        return self._file.append([(_key(item), _line(item)) for item in deliveries])

    def write_unopened(self, deliveries: Iterable[Unopened]) -> int:
        """Append what did not open, sealed, in base64, to a file of its own."""
        lines = [(_key(item), _unopened_line(item)) for item in deliveries]
        if not lines:
            return 0
        if self._unopened is None:
            self._unopened = _JsonLines(self.unopened_path)
        return self._unopened.append(lines)

    def close(self) -> None:
        """Close the files; everything written is on disk already."""
        self._file.close()
        if self._unopened is not None:
            self._unopened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class _JsonLines:
    """A file that only grows, and the keys of its last lines.

    INVARIANT: under the lock, ``_keys`` knows the lines up to ``_known_bytes``,
    and that is where a complete line ends.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        self._descriptor = os.open(path, flags, 0o600)
        os.fchmod(self._descriptor, 0o600)  # the file may be there with other permissions
        _sync_folder(path.parent)
        self._known_bytes = self._start_of_the_last_lines()
        self._keys: OrderedDict[str, None] = OrderedDict()

    def append(self, lines: Sequence[tuple[str, bytes]]) -> int:
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        try:
            self._catch_up()
            new = {key: line for key, line in lines if key not in self._keys}
            if new:
                self._write(b"".join(new.values()))
                self._remember(new)
            return len(new)
        finally:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        os.close(self._descriptor)

    def _start_of_the_last_lines(self) -> int:
        """Return 0, or in a large file the beginning of a line not far from its end."""
        start = os.fstat(self._descriptor).st_size - REMEMBERED_BYTES
        while start > 0:
            block = os.pread(self._descriptor, _BLOCK_BYTES, start)
            if (newline := block.find(b"\n")) >= 0 or not block:
                return start + newline + 1
            start += len(block)
        return 0

    def _catch_up(self) -> None:
        """Learn the lines that are new since the last time, and cut off one left half-written."""
        if os.fstat(self._descriptor).st_size < self._known_bytes:
            # Somebody has emptied the file; what was in it is not there any more.
            self._known_bytes = 0
            self._keys.clear()
        rest = b""
        while block := os.pread(self._descriptor, _BLOCK_BYTES, self._known_bytes + len(rest)):
            *complete, rest = (rest + block).split(b"\n")
            self._known_bytes += sum(len(line) + 1 for line in complete)
            self._remember(key for line in complete if (key := _key_of_line(line)) is not None)
        if rest:
            os.ftruncate(self._descriptor, self._known_bytes)

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._descriptor, view) :]
        os.fsync(self._descriptor)
        self._known_bytes += len(data)

    def _remember(self, keys: Iterable[str]) -> None:
        self._keys.update(dict.fromkeys(keys))
        while len(self._keys) > REMEMBERED_LINES:
            self._keys.popitem(last=False)


def _sync_folder(folder: Path) -> None:
    """Make the file's name last: fsync of the file alone does not."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _key(item: Received | Unopened) -> str:
    """Return what tells a delivery from all others; of what did not open, its place."""
    if isinstance(item, Received):
        return item.delivery
    return f"{item.position.partition}/{item.position.offset}"


def _key_of_line(line: bytes) -> str | None:
    """Read back what :func:`_key` was; None for a line that is not ours."""
    try:
        found = json.loads(line)
        if "delivery" in found:
            return str(found["delivery"])
        partition, offset = found["position"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return f"{partition}/{offset}"


def _line(item: Received) -> bytes:
    return _json(
        {
            "event_id": item.event_id,
            "event_type": item.event_type,
            "publisher": item.publisher,
            "agreement": item.agreement,
            "version": item.version,
            "flow": item.flow,
            "purpose": item.purpose,
            "occurred_at": item.occurred_at,
            "correlation_id": item.correlation_id,
            "retracts_id": item.retracts_id,
            "record": item.record,
            "delivery": item.delivery,
            "position": item.position,
        }
    )


def _unopened_line(item: Unopened) -> bytes:
    return _json(
        {
            "event_id": item.event_id,
            "code": item.code,
            "headers": [[name, value] for name, value in item.headers],
            "sealed": item.sealed,
            "position": item.position,
        }
    )


def _json(document: Mapping[str, Any]) -> bytes:
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"), default=_plain)
    return text.encode() + b"\n"


def _plain(value: object) -> str:
    """Write what JSON has no form for: dates in RFC 3339, bytes in base64, decimals as text."""
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    return str(value)

"""Put a file on disk so that after a loss of power it is the old one or the new one."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO


def sync(path: Path) -> None:
    """See that a file, or a folder's list of files, is on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def replacing(path: Path, *, is_private: bool = False) -> Iterator[IO[bytes]]:
    """Give a new file that takes the place of ``path`` when this ends without an error.

    A private one is for its owner alone, from the first byte on.
    """
    partial = path.with_name(f"{path.name}.partial")
    mode = 0o600 if is_private else 0o666
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    partial.replace(path)
    sync(path.parent)

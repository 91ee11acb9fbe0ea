"""Reading a file that somebody sent: as much of it as may be looked at, and no more."""

from pathlib import Path

from agreements.source import LARGEST_BYTES


def read_limited(file: Path, *, largest_bytes: int = LARGEST_BYTES) -> bytes:
    """Return the file's bytes; of a longer file one byte more than the limit.

    Whoever takes the bytes refuses them by their length, so a file of any size (or a pipe
    that never ends) costs no more memory than one that is just too large.
    """
    with file.open("rb") as opened:
        return opened.read(largest_bytes + 1)

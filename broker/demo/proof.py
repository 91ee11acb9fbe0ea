"""The evidence chapter: the log is signed and verified, and a changed byte is found."""

import shutil
import tempfile
from pathlib import Path
from typing import Final

from broker.evidence.following import EvidenceWorker
from broker.evidence.reading import LogFiles
from broker.evidence.verified import Verified
from broker.evidence.verifying import verify_log
from broker.evidence.writing import writing
from broker.scheme import SchemeFolder
from connectors.streams import Streams

_CHANGED_BYTE: Final = 2_000
"""Of the first file of records: somewhere inside one of the first records."""


async def log_decisions(scheme: SchemeFolder, streams: Streams) -> Verified:
    """Take every decision into the log, sign it, and verify it with its public key."""
    with writing(scheme.log_path, scheme.log_keys, origin=scheme.log_origin) as writer:
        await EvidenceWorker(streams, writer).catch_up()
    return _verify(scheme, scheme.log_path)


def verify_altered_copy(scheme: SchemeFolder) -> Verified:
    """Change one bit of one record in a copy of the log, and verify that."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "evidence"
        shutil.copytree(scheme.log_path, copy)
        file = LogFiles(copy).records_path(0)
        data = bytearray(file.read_bytes())
        data[min(_CHANGED_BYTE, len(data) - 1)] ^= 1
        file.write_bytes(data)
        return _verify(scheme, copy)


def _verify(scheme: SchemeFolder, path: Path) -> Verified:
    return verify_log(LogFiles(path), scheme.log_keys.public(scheme.log_origin))

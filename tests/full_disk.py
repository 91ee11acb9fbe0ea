"""What `test_evidence_full_disk` does with a log on a small disk: ``full_disk.py DISK WHAT``."""

import asyncio
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import structlog
from shredding_world import (
    FIRST_DAY,
    KEYS,
    LONG,
    ORIGIN,
    SHORT,
    a_decision,
    days,
    files_of,
    shred,
    size_of,
    verified,
    what_is_due,
    write,
)
from structlog.testing import capture_logs

from broker.evidence.archiving import archive_months
from broker.evidence.following import CHECKPOINTS, log_kept
from broker.evidence.reading import LogFiles
from broker.evidence.writing import NoRoom
from broker.routing import DECISIONS
from connectors.streams import Outgoing, open_streams

COUNT = 700
RECORDS = days(COUNT, SHORT, LONG)
NOW = FIRST_DAY + timedelta(days=COUNT)


def fill(disk: Path, *, leave_bytes: int = 0) -> Path:
    """Fill a disk; the file that does it is to be removed for room."""
    ballast = disk / "ballast"
    room = shutil.disk_usage(disk).free - leave_bytes
    ballast.write_bytes(bytes(max(room, 0)))
    return ballast


def problems(log: Path) -> list[str]:
    """Return what kinds of problem an auditor finds."""
    return sorted({one.code for one in verified(log).problems})


def writing(disk: Path, room_bytes: str) -> dict[str, Any]:
    """Write a log on a disk with little room, and again with enough."""
    log, said = disk / "log", ""
    ballast = fill(disk, leave_bytes=int(room_bytes))
    try:
        write(log, RECORDS)
    except NoRoom as error:
        said = str(error)
    told = {"problems_when_full": problems(log), "signed_when_full": size_of(LogFiles(log))}
    ballast.unlink()
    write(log, RECORDS)
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder) / "log", RECORDS)
        is_the_same = files_of(Path(folder) / "log") == files_of(log)
    return told | {"said": said, "signed": size_of(LogFiles(log)), "is_the_same": is_the_same}


def shredding(disk: Path) -> dict[str, Any]:
    """Shred on a full disk, and again with room."""
    log, said = disk / "log", ""
    write(log, RECORDS)
    made = what_is_due(log, now=NOW)
    ballast = fill(disk)
    try:
        shred(log, RECORDS, made, at=NOW)
    except NoRoom as error:
        said = str(error)
    told = {
        "acts_signed_when_full": size_of(LogFiles(log)) - COUNT,
        "codes_when_full": problems(log),
    }
    ballast.unlink()
    shred(log, RECORDS, made, at=NOW)
    shredded = sum(verified(log).shredded.values())
    return told | {"said": said, "problems": problems(log), "shredded": shredded}


def archiving(disk: Path) -> dict[str, Any]:
    """Archive on a full disk, and again with room."""
    log, said = disk / "log", ""
    write(log, RECORDS)
    ballast = fill(disk, leave_bytes=40_000)
    try:
        archive_months(log, COUNT, before=NOW)
    except OSError as error:
        said = error.strerror
    told = {"problems_when_full": problems(log), "archives_when_full": list(archives(log))}
    ballast.unlink()
    archive_months(log, COUNT, before=NOW)
    return told | {"said": said, "problems": problems(log), "archives": list(archives(log))}


def archives(log: Path) -> Iterator[str]:
    """Give the names of what lies in the archive."""
    return (file.name for file in sorted((log / "archive").glob("*")))


def following(disk: Path) -> dict[str, Any]:
    """Keep a log on a full disk up to date, and make room meanwhile."""
    log, ballast = disk / "log", fill(disk, leave_bytes=30_000)

    async def follow(streams_file: Path) -> list[str]:
        async with open_streams(f"sqlite:{streams_file}") as streams:
            await streams.create_topics({DECISIONS: 1, CHECKPOINTS: 1})
            value = a_decision(FIRST_DAY, SHORT)
            await streams.append([Outgoing(DECISIONS, b"key", value) for _ in range(COUNT)])
            with capture_logs() as lines:
                async with log_kept(log, KEYS, streams, origin=ORIGIN), asyncio.timeout(60):
                    await until(lambda: bool(codes(lines)))
                    ballast.unlink()
                    await until(lambda: size_of(LogFiles(log)) == COUNT)
            return codes(lines)

    with tempfile.TemporaryDirectory() as folder:
        waited_for = asyncio.run(follow(Path(folder) / "streams.db"))
    return {
        "waited_for": waited_for,
        "decided": COUNT,
        "signed": size_of(LogFiles(log)),
        "problems": problems(log),
    }


async def until(is_so: Callable[[], bool]) -> None:
    """Wait until something is so, of which nobody tells."""
    while not is_so():  # noqa: ASYNC110
        await asyncio.sleep(0.05)


def codes(lines: list[Any]) -> list[str]:
    """Return what was told that the log waits for."""
    return [line["code"] for line in lines if line["event"] == "the log waits"]


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    does = {"write": writing, "shred": shredding, "archive": archiving, "follow": following}
    done = does[sys.argv[2]](Path(sys.argv[1]), *sys.argv[3:])  # type: ignore[operator]
    sys.stdout.write(json.dumps(done) + "\n")

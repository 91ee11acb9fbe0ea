"""What fails around the log: nothing untrue is signed, and it goes on when it is put right."""

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from shredding_world import (
    KEYS,
    LONG,
    ORIGIN,
    SHORT,
    days,
    files_of,
    size_of,
    verified,
    write,
)

from broker.evidence.reading import CHECKPOINT, HISTORY, LogFiles
from broker.evidence.writing import writing
from schemas.errors import ConcordatError

RECORDS = days(700, SHORT, LONG)

_LIMITED = """
import resource, signal, sys
from pathlib import Path
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
sys.path[:0] = sys.argv[3:]
from shredding_world import LONG, SHORT, days, write
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
try:
    write(Path(sys.argv[1]), days(700, SHORT, LONG))
except OSError as error:
    print(error.errno)
"""


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The log as it is when nothing fails."""
    path = tmp_path_factory.mktemp("straight") / "log"
    write(path, RECORDS)
    return path


@pytest.mark.parametrize("limit", [700, 9_000, 40_000])
def test_a_disk_that_is_full_signs_nothing_untrue(
    straight: Path, tmp_path: Path, limit: int
) -> None:
    """A file may be cut off at any byte; with room again the log comes out the same."""
    log = tmp_path / "log"
    done = subprocess.run(
        [sys.executable, "-c", _LIMITED, log, str(limit), *sys.path],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.stdout == "27\n", "EFBIG, which is how a limit says that there is no room"
    assert verified(log).problems == []
    assert size_of(LogFiles(log)) < len(RECORDS)
    write(log, RECORDS)
    assert files_of(log) == files_of(straight)


def test_whatever_is_damaged_stops_the_writer_or_is_not_needed(
    straight: Path, tmp_path: Path
) -> None:
    """A bit anywhere in the log: it goes on only to what a whole log would have signed."""
    chance = random.Random(8)  # noqa: S311  the same in every run
    log = tmp_path / "log"
    shutil.copytree(straight, log)
    names = [file for file in sorted(log.rglob("*")) if file.is_file() and file.name != "lock"]
    whole = {file: file.read_bytes() for file in names}
    root = LogFiles(straight).history()
    signed = [note.text for note in root]
    stopped = 0
    for _ in range(60):
        file = chance.choice(names)
        data = bytearray(whole[file])
        at = chance.randrange(len(data) * 8)
        data[at // 8] ^= 1 << at % 8
        file.write_bytes(data)
        try:
            with writing(log, KEYS, origin=ORIGIN) as writer:
                writer.sign()
                assert writer.signed.text in signed
        except (ConcordatError, ValueError):
            stopped += 1
        shutil.rmtree(log)
        for path, content in whole.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    assert stopped > 10
    assert files_of(log) == files_of(straight)


@pytest.mark.parametrize("back", [1, 5, 200])
def test_files_of_an_older_copy_sign_no_second_history(
    straight: Path, tmp_path: Path, back: int
) -> None:
    """Restored from a copy, the log goes on from there and comes to the same roots."""
    older = tmp_path / "older"
    write(older, RECORDS[: len(RECORDS) - back])
    write(older, RECORDS)
    assert files_of(older) == files_of(straight)
    last = [note.text for note in LogFiles(older).history()][-1]
    assert last == [note.text for note in LogFiles(straight).history()][-1]


def test_a_clock_that_jumps_is_nothing_to_the_log(tmp_path: Path) -> None:
    """Checkpoints have no time in them: the log is a function of the stream alone."""
    jumped = [
        one._replace(timestamp_ms=one.timestamp_ms - (10**10 if 300 < number < 400 else 0))
        for number, one in enumerate(RECORDS)
    ]
    write(tmp_path / "log", jumped)
    result = verified(tmp_path / "log")
    assert (result.problems, result.records) == ([], len(RECORDS))
    write(tmp_path / "again", jumped)
    assert files_of(tmp_path / "again") == files_of(tmp_path / "log")


def _remove(path: Path) -> None:
    path.unlink()


def _empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("name", [CHECKPOINT, HISTORY, "records/002", "tile/0/002.p/188"])
@pytest.mark.parametrize("how", [_remove, _empty])
def test_a_file_that_is_gone_never_makes_the_log_shorter_in_silence(
    straight: Path, tmp_path: Path, name: str, how: Callable[[Path], None]
) -> None:
    """It stops, or goes on to the same; a log without a history begins, and is the same again."""
    log = tmp_path / "log"
    shutil.copytree(straight, log)
    how(log / name)
    try:
        write(log, RECORDS)
    except ConcordatError:
        return
    assert size_of(LogFiles(log)) == len(RECORDS)
    assert files_of(log) == files_of(straight)

"""The evidence log of a scheme: what was decided is in it, once, and it verifies."""

import asyncio
import random
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from commands import answer, answer_here, concordat, concordat_here
from services.tlog_client import read_log

from broker.evidence.reading import LogFiles
from broker.evidence.writing import locked
from broker.routing import DECISIONS
from broker.scheme import SchemeFolder
from broker.settings import read_settings
from connectors.streams.embedded_log import OFFSET_BITS


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that a small demo leaves, its log up to date."""
    folder = tmp_path_factory.mktemp("evidence") / "town"
    answer_here("demo", "--dir", folder)
    answer_here("evidence", "update", "--dir", folder)
    return folder


def _decisions(folder: Path) -> list[tuple[int, bytes | None]]:
    async def read() -> list[tuple[int, bytes | None]]:
        async with SchemeFolder(read_settings(folder, {})).streams() as streams:
            return [(record.offset, record.value) async for record in streams.read(DECISIONS)]

    return asyncio.run(read())


def _key(folder: Path) -> str:
    return str(answer_here("evidence", "status", "--dir", folder)["key"])


def test_every_decision_is_in_the_log_once(town: Path) -> None:
    """The log is the stream of decisions, record for record, and a stranger's client agrees."""
    decisions = _decisions(town)
    files = LogFiles(town / "evidence")
    kept = [one for number in range(-(-len(decisions) // 256)) for one in files.records(number)]
    assert [one.offset for one in kept] == [offset for offset, _ in decisions]
    for one, (_, value) in zip(kept, decisions, strict=True):
        assert value is not None
        assert value in one.content
    answered = answer_here("verify", town / "evidence", "--key", _key(town))
    assert answered["records"] == len(decisions)
    assert read_log(town / "evidence", _key(town))["entries"] == len(decisions)


def test_an_altered_log_is_named_by_verify_and_made_again(town: Path, tmp_path: Path) -> None:
    """Exit status 1 and the entry; `evidence rebuild` gives back the very bytes."""
    folder = tmp_path / "town"
    shutil.copytree(town, folder)
    file = folder / "evidence" / "records" / "003"
    data = bytearray(file.read_bytes())
    data[100] ^= 1
    file.write_bytes(data)
    done = concordat("verify", folder / "evidence", "--key", _key(town))
    assert done.returncode == 1
    assert "altered-record: the record of entry 768 is not what was signed" in done.stdout
    rebuilt = answer("evidence", "rebuild", "--dir", folder)
    assert Path(rebuilt["former"]).is_dir()
    different = subprocess.run(
        ["diff", "-r", town / "evidence", folder / "evidence"], capture_output=True, check=False
    )
    assert different.stdout == b""


def test_the_service_keeps_the_log_up_to_date(town: Path, tmp_path: Path) -> None:
    """What a run has decided is signed when it ends; another process's log is waited for."""
    folder = tmp_path / "town"
    shutil.copytree(town, folder)
    shutil.rmtree(folder / "evidence")
    answer("run", "--until-idle", folder=folder)
    assert answer_here("evidence", "status", folder=folder)["entries"] == len(_decisions(town))
    with locked(folder / "evidence"):
        done = concordat("run", "--until-idle", folder=folder)
    assert done.returncode == 0, "sharing goes on"
    assert "the log waits" in done.stderr


def test_a_log_is_not_made_again_from_a_stream_that_lost_records(
    town: Path, tmp_path: Path
) -> None:
    """What was signed must come out, or nothing is replaced."""
    folder = tmp_path / "town"
    shutil.copytree(town, folder)
    _forget_a_decision(folder)
    done = concordat_here("evidence", "rebuild", "--dir", folder)
    assert done.returncode == 1
    assert "nothing was replaced" in done.stderr
    assert not list(folder.glob("evidence.former*"))


def _forget_a_decision(folder: Path) -> None:
    with sqlite3.connect(folder / "streams.db") as database:
        ((log,),) = database.execute("SELECT id FROM logs WHERE topic = ?", [DECISIONS])
        database.execute("DELETE FROM records WHERE id = ?", [log << OFFSET_BITS | 700])


def test_a_worker_that_is_killed_again_and_again_makes_the_same_log(
    town: Path, tmp_path: Path
) -> None:
    """SIGKILL at ten moments; nothing is in the log twice, nothing is missing."""
    folder = tmp_path / "town"
    shutil.copytree(town, folder)
    shutil.rmtree(folder / "evidence")
    chance = random.Random(10)  # noqa: S311  the same in every run
    for _ in range(10):
        worker = subprocess.Popen([sys.executable, "-c", _EAGER, folder], stdout=subprocess.PIPE)
        assert worker.stdout is not None
        for _ in range(chance.randint(1, 4)):
            worker.stdout.readline()
        worker.kill()
        worker.communicate()
    answer("evidence", "update", "--dir", folder)
    straight, killed = (where / "evidence" for where in (town, folder))
    for kind in ("records", "tile/0", "tile/entries"):
        assert _files(killed / kind) == _files(straight / kind)
    verified = answer_here("verify", killed, "--key", _key(town))
    assert verified["records"] == len(_decisions(town))
    assert verified["checkpoints"] > 5


_EAGER = """
import asyncio, pathlib, sys
from broker.evidence import following
from broker.evidence.writing import writing
from broker.scheme import SchemeFolder
from broker.settings import read_settings
from connectors.streams.embedded_log import OFFSET_BITS

following.MOST_UNSIGNED = 25
scheme = SchemeFolder(read_settings(pathlib.Path(sys.argv[1]), {}))
with writing(scheme.log_path, scheme.log_keys, origin=scheme.log_origin) as writer:
    async def work():
        async with scheme.streams() as streams:
            told = lambda size: print(size, flush=True)
            await following.EvidenceWorker(streams, writer, progress=told).catch_up()
    asyncio.run(work())
"""


def _files(folder: Path) -> dict[str, bytes]:
    """Return what is final: full tiles, and the records."""
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file() and file.parent.suffix != ".p"
    }

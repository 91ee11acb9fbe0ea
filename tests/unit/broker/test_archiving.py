"""Months in one file each: read, verified and shredded there as in the log's folder."""

import os
import shutil
import tarfile
from datetime import timedelta
from pathlib import Path

import pytest
from shredding_world import (
    FIRST_DAY,
    KEYS,
    LOG,
    ORIGIN,
    PERIODS,
    SHORT,
    SILENT,
    days,
    files_of,
    kept_of,
    shred,
    size_of,
    verified,
    what_is_due,
    write,
)

from broker import disk
from broker.evidence import archives
from broker.evidence.archives import (
    Archives,
    BadArchive,
    NoRecords,
    change_archive,
    write_archive,
)
from broker.evidence.archiving import archive_months
from broker.evidence.reading import LogFiles
from broker.evidence.writing import writing

COUNT = 1100
RECORDS = days(COUNT, SHORT, SILENT)
NOW = FIRST_DAY + timedelta(days=COUNT)
RULE = PERIODS[SHORT].rule  # type: ignore[union-attr]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of three years, to be copied."""
    path = tmp_path_factory.mktemp("base") / "log"
    write(path, RECORDS)
    return path


def archive(path: Path) -> list[str]:
    """Archive what there is; return the months."""
    done = archive_months(path, size_of(LogFiles(path)), before=NOW)
    return [one.path.name for one in done]


def test_archived_records_are_read_and_verified_as_before(base: Path, log: Path) -> None:
    """A bundle goes with the month in which it ended; the last one, not full, stays."""
    assert archive(log) == ["2020-09.tar", "2021-05.tar", "2022-02.tar", "2022-10.tar"]
    assert sorted(file.name for file in (log / "records").iterdir()) == ["004"]
    for number in range(5):
        assert LogFiles(log).records(number) == LogFiles(base).records(number)
    assert verified(log) == verified(base)
    assert archive(log) == []


def test_any_tar_unpacks_an_archive_into_the_log(base: Path, log: Path) -> None:
    """Then it is as it was, byte for byte."""
    archive(log)
    for file in (log / "archive").iterdir():
        with tarfile.open(file) as tar:
            tar.extractall(log, filter="data")
    shutil.rmtree(log / "archive")
    assert files_of(log) == files_of(base)


def test_a_month_that_is_not_over_is_not_archived(log: Path) -> None:
    """What is asked for ends where its month begins."""
    before = FIRST_DAY.replace(year=2021, month=5, day=31)
    done = archive_months(log, size_of(LogFiles(log)), before=before)
    assert [one.month for one in done] == ["2020-09"]


def test_records_are_shredded_in_their_archive(base: Path, log: Path, tmp_path: Path) -> None:
    """The same records, and nothing of them is left there."""
    plain = Path(shutil.copytree(base, tmp_path / "plain"))
    shred(plain, RECORDS, what_is_due(plain, now=NOW), at=NOW)
    gone = LogFiles(log).records(1)[4]
    archive(log)
    shred(log, RECORDS, what_is_due(log, now=NOW), at=NOW)
    assert kept_of(log) == kept_of(plain)
    assert verified(log).shredded == verified(plain).shredded
    assert verified(log).problems == []
    for file in (log / "archive").iterdir():
        assert gone.content not in file.read_bytes()


def test_the_log_goes_on_beside_its_archives(log: Path) -> None:
    """The writer needs the last bundle only, and archives what is full by then."""
    archive(log)
    more = days(COUNT + 400, SHORT, SILENT)
    write(log, more)
    assert archive_months(log, COUNT + 400, before=NOW + timedelta(days=600)) != []
    assert verified(log).problems == []
    assert verified(log).records == COUNT + 400


def test_an_archive_that_is_away_is_missed_and_planned_around(log: Path, tmp_path: Path) -> None:
    """Verifying names the records; shredding says that it cannot see them."""
    archive(log)
    shutil.move(log / "archive" / "2021-05.tar", tmp_path / "2021-05.tar")
    assert {one.code for one in verified(log).problems} == {"missing-record"}
    assert what_is_due(log, now=NOW).away == 256
    shutil.move(tmp_path / "2021-05.tar", log / "archive" / "2021-05.tar")
    assert verified(log).problems == []
    assert what_is_due(log, now=NOW).away == 0


def test_a_shredding_that_cannot_reach_its_records_stops_the_log(log: Path, tmp_path: Path) -> None:
    """Nothing is signed over an act that is not done; with the archive back it goes on."""
    made = what_is_due(log, now=NOW)
    archive(log)
    shutil.move(log / "archive" / "2021-05.tar", tmp_path / "2021-05.tar")
    with pytest.raises(NoRecords, match="put it back"):
        shred(log, RECORDS, made, at=NOW)
    assert size_of(LogFiles(log)) == COUNT
    shutil.move(tmp_path / "2021-05.tar", log / "archive" / "2021-05.tar")
    shred(log, RECORDS, made, at=NOW)
    assert verified(log).problems == []


@pytest.mark.parametrize("damage", ["cut", "zeros", "flip"])
def test_a_damaged_archive_is_found(log: Path, damage: str) -> None:
    """It is told with its name, or its records are; nothing passes."""
    archive(log)
    file = log / "archive" / "2021-05.tar"
    data = bytearray(file.read_bytes())
    if damage == "flip":
        data[2000] ^= 1
    file.write_bytes({"cut": data[:700], "zeros": b"\1" * len(data), "flip": data}[damage])
    codes = {one.code for one in verified(log).problems}
    assert codes <= {"altered-archive", "altered-record", "missing-record"}
    assert codes


def test_an_archive_that_cannot_be_read_shreds_nothing(log: Path) -> None:
    """Nobody knows what is in it."""
    archive(log)
    (log / "archive" / "2021-05.tar").write_bytes(b"\1" * 5000)
    with pytest.raises(BadArchive, match="put a good copy in its place"):
        what_is_due(log, now=NOW)


@pytest.mark.parametrize("member", [0, 1, 2])
@pytest.mark.parametrize("at", [0, 130, 150])
def test_an_archive_with_a_bad_header_is_not_cut_short(
    tmp_path: Path, member: int, at: int
) -> None:
    """What reads a tar takes one for its end: rewritten, the months behind it would be lost."""
    path = tmp_path / "archive" / "2020-09.tar"
    write_archive(path, ((number, bytes([number]) * 700) for number in range(3)))
    data = bytearray(path.read_bytes())
    data[member * 3 * 512 + at] ^= 1
    path.write_bytes(data)
    with pytest.raises(BadArchive, match="put a good copy in its place"):
        change_archive(path, [0], lambda _, __: b"")
    assert path.read_bytes() == data
    with pytest.raises(BadArchive):
        Archives(tmp_path).read(0)


def test_an_archive_that_is_replaced_is_read_as_it_is_now(tmp_path: Path) -> None:
    """Even where the folder's time does not tell, as when two are replaced at once."""
    path = tmp_path / "archive" / "2020-09.tar"
    write_archive(path, [(0, b"long" * 500), (1, b"first")])
    reading = Archives(tmp_path)
    assert reading.read(1) == b"first"
    before = path.parent.stat()
    write_archive(path, [(0, b""), (1, b"second")])
    os.utime(path.parent, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert reading.read(1) == b"second"


def test_what_was_put_back_goes_into_the_same_archive_as_it_is_now(base: Path, log: Path) -> None:
    """The log's folder counts: what was shredded there since must not live on in a tar."""
    names = archive(log)
    old = {file: file.read_bytes() for file in (log / "archive").iterdir()}
    gone = LogFiles(log).records(1)[4]
    for file in old:
        with tarfile.open(file) as tar:
            tar.extractall(log, filter="data")
    shutil.move(log / "archive", log / "away")
    shred(log, RECORDS, what_is_due(log, now=NOW), at=NOW)
    shutil.move(log / "away", log / "archive")
    assert archive(log) == names
    assert sorted(file.name for file in (log / "archive").iterdir()) == sorted(names)
    assert [file.name for file in (log / "records").iterdir()] == ["004"]
    assert all(gone.content not in file.read_bytes() for file in old)
    assert verified(log).problems == []
    assert LogFiles(log).records(0) != LogFiles(base).records(0)


def test_records_that_are_away_are_told_a_stretch_at_once(log: Path) -> None:
    """Years of them do not hide what else is wrong."""
    archive(log)
    shutil.rmtree(log / "archive")
    (problem,) = verified(log).problems
    assert (problem.code, problem.record) == ("missing-record", 0)
    assert "the records of the entries 0 to 1023" in problem.message


class _PowerLost(Exception):
    """The machine stopped here."""


@pytest.mark.parametrize("after", range(4))
def test_a_crash_while_archiving_loses_nothing(
    base: Path, log: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    """A file is in the folder until its archive is on disk; doing it again ends it."""
    left, real = [after], disk.sync

    def sync(path: Path) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise _PowerLost
        real(path)

    monkeypatch.setattr(disk, "sync", sync)
    with pytest.raises(_PowerLost):
        archive(log)
    monkeypatch.setattr(disk, "sync", real)
    assert verified(log) == verified(base)
    archive(log)
    assert verified(log) == verified(base)
    shred(log, RECORDS, what_is_due(log, now=NOW), at=NOW)
    assert verified(log).problems == []
    gone = LogFiles(base).records(1)[4].content
    if not LogFiles(log).records(1)[4].is_shredded:
        pytest.fail("nothing was shredded")
    assert all(gone not in file.read_bytes() for file in log.rglob("*") if file.is_file())


def test_what_a_crash_has_left_of_an_archive_goes(log: Path) -> None:
    """Else records would live on in it that were shredded since."""
    (log / "archive").mkdir()
    (log / "archive" / "2019-12.tar.partial").write_bytes(b"half of an archive")
    archive(log)
    assert not list((log / "archive").glob("*.partial"))


def test_an_archive_that_does_not_read_back_takes_nothing_away(
    base: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that lies is found out before the files go."""
    monkeypatch.setattr(archives.Archives, "read", lambda _self, _number: b"other")
    with pytest.raises(BadArchive, match="did not read back"):
        archive(log)
    monkeypatch.undo()
    assert not list((log / "archive").iterdir())
    assert files_of(log) == files_of(base)


def test_a_writer_and_an_archive_do_not_meet(log: Path) -> None:
    """Archiving needs no stop of the service: the writer's own bundle is not touched."""
    with writing(log, KEYS, origin=ORIGIN) as writer:
        archive(log)
        assert writer.size == COUNT
    assert LogFiles(log).latest(LOG) is not None

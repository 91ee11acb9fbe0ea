"""Whatever is altered, removed, inserted or reordered in a log is found, and named."""

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from broker.evidence.entries import Kept, salting
from broker.evidence.keys import LogKeys
from broker.evidence.reading import LogFiles, framed
from broker.evidence.verified import Verified
from broker.evidence.verifying import verify_log
from broker.evidence.writing import writing
from schemas.keys import SigningKey
from schemas.notes import NoteKey, cosign
from schemas.tiles import WIDTH

KEY = SigningKey.generate()
WITNESS = SigningKey.generate()
KEYS = LogKeys(KEY, b"s" * 32)
ORIGIN = "anytown.example/decisions"
LOG = NoteKey(ORIGIN, KEY.public)
WITNESS_KEY = NoteKey("trust.example/witness", WITNESS.public, 4)
SIZES = (1, 40, 256, 300, 600)


def content(index: int) -> bytes:
    """Return an invented record."""
    return f"record {index} of a stream".encode()


def write_log(path: Path, *, changed: int | None = None) -> None:
    """Write a log of 600 records; one of them may be another than it was."""
    with writing(path, KEYS, origin=ORIGIN) as writer:
        for size in SIZES:
            for index in range(writer.size, size):
                writer.append(index * 2, content(index if index != changed else -1))
            writer.sign()


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log that verifies."""
    path = tmp_path_factory.mktemp("good") / "log"
    write_log(path)
    (path / "lock").unlink()
    # Of a level that is not full, tiles of earlier sizes are left; the log is whole without.
    for file in path.rglob("*.p/*"):
        if int(file.name) not in {SIZES[-1] % WIDTH, SIZES[-1] // WIDTH}:
            file.unlink()
    return path


def verified(path: Path) -> Verified:
    """Verify it as an auditor does who knows one witness."""
    return verify_log(LogFiles(path), LOG)


def codes(result: Verified) -> set[str]:
    """Return what kinds of problem there are."""
    return {problem.code for problem in result.problems}


def test_a_log_that_nobody_touched_verifies(good: Path) -> None:
    """Every entry, every checkpoint, and no problem."""
    result = verified(good)
    assert result.to_json() == {
        "verified": True,
        "records": 600,
        "checkpoints": 5,
        "shredded": 0,
        "problems": [],
        "shredded_under": {},
        "left_out": 0,
        "witnesses": {},
    }


def test_an_empty_log_verifies(tmp_path: Path) -> None:
    """Nothing was decided yet."""
    assert verified(tmp_path).to_json()["records"] == 0


def _flip(path: Path, chance: random.Random) -> None:
    file = chance.choice([file for file in sorted(path.rglob("*")) if file.is_file()])
    data = bytearray(file.read_bytes())
    at = chance.randrange(len(data) * 8)
    data[at // 8] ^= 1 << at % 8
    file.write_bytes(data)


def _cut(path: Path, chance: random.Random) -> None:
    file = chance.choice([file for file in sorted(path.rglob("*")) if file.is_file()])
    file.write_bytes(file.read_bytes()[: -chance.randint(1, 40)])


def _remove(path: Path, chance: random.Random) -> None:
    chance.choice([file for file in sorted(path.rglob("*")) if file.is_file()]).unlink()


def _rewrite(path: Path, chance: random.Random, change: Callable[[list[Kept]], None]) -> None:
    files = LogFiles(path)
    number = chance.randrange(2)
    records = files.records(number)
    change(records)
    files.records_path(number).write_bytes(b"".join(map(framed, records)))


def _drop(path: Path, chance: random.Random) -> None:
    _rewrite(path, chance, lambda records: records.pop(chance.randrange(len(records))) and None)


def _swap(path: Path, chance: random.Random) -> None:
    def swap(records: list[Kept]) -> None:
        one, other = chance.sample(range(len(records)), 2)
        records[one], records[other] = records[other], records[one]

    _rewrite(path, chance, swap)


def _duplicate(path: Path, chance: random.Random) -> None:
    def duplicate(records: list[Kept]) -> None:
        at = chance.randrange(len(records) - 1)
        records.insert(at, records[at])

    _rewrite(path, chance, duplicate)


def _replace(path: Path, chance: random.Random) -> None:
    def replace(records: list[Kept]) -> None:
        at = chance.randrange(len(records))
        other = b"another record"
        records[at] = Kept(records[at].offset, salting(KEYS.salt_key)(other), other)

    _rewrite(path, chance, replace)


def _move(path: Path, chance: random.Random) -> None:
    def move(records: list[Kept]) -> None:
        at = chance.randrange(len(records))
        old = records[at]
        records[at] = Kept(old.offset + 1, old.salt, old.content)

    _rewrite(path, chance, move)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log that verifies and has a full tile and one that is not, as `verify` reads it."""
    path = tmp_path_factory.mktemp("small") / "log"
    with writing(path, KEYS, origin=ORIGIN) as writer:
        for index in range(270):
            writer.append(index * 2, content(index))
            if index in {50, 269}:
                writer.sign()
    (path / "lock").unlink()
    shutil.rmtree(path / "tile/0/000.p", ignore_errors=True)
    return path


@pytest.mark.parametrize(
    ("alter", "times"),
    [
        (_flip, 600), (_cut, 200), (_remove, 30), (_drop, 200), (_swap, 200), (_duplicate, 200),
        (_replace, 200), (_move, 200),
    ],
)  # fmt: skip
def test_every_alteration_is_found(
    small: Path, tmp_path: Path, alter: Callable[[Path, random.Random], None], times: int
) -> None:
    """Thousands of logs, each with one thing done to it by chance."""
    chance = random.Random(alter.__name__)  # noqa: S311  the same in every run
    path = tmp_path / "log"
    shutil.copytree(small, path)
    whole = {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}
    for number in range(times):
        alter(path, chance)
        assert not verified(path).is_verified, f"{alter.__name__} {number}"
        for file, data in whole.items():
            if not file.exists() or file.read_bytes() != data:
                file.write_bytes(data)
    assert verified(path).is_verified


@pytest.mark.parametrize("index", [0, 255, 256, 420, 599])
def test_an_altered_record_is_named(good: Path, tmp_path: Path, index: int) -> None:
    """The entry's number, so that somebody can look."""
    path = tmp_path / "log"
    shutil.copytree(good, path)
    files = LogFiles(path)
    records = files.records(index // WIDTH)
    old = records[index % WIDTH]
    records[index % WIDTH] = Kept(old.offset, old.salt, b"altered")
    files.records_path(index // WIDTH).write_bytes(b"".join(map(framed, records)))
    result = verified(path)
    assert [(one.code, one.record) for one in result.problems] == [("altered-record", index)]


def test_a_log_made_again_with_another_record_does_not_have_the_signed_root(
    good: Path, tmp_path: Path
) -> None:
    """Entries, tiles and records that fit each other are not enough."""
    path = tmp_path / "log"
    write_log(path, changed=290)
    shutil.copy(good / "history.jsonl", path / "history.jsonl")
    shutil.copy(good / "checkpoint", path / "checkpoint")
    result = verified(path)
    assert codes(result) == {"wrong-root"}
    assert [problem.record for problem in result.problems] == [299, 599]


def test_a_history_that_leaves_a_checkpoint_out_is_still_consistent(
    good: Path, tmp_path: Path
) -> None:
    """Any two checkpoints that were signed are of one tree; the last one cannot be hidden."""
    path = tmp_path / "log"
    shutil.copytree(good, path)
    lines = (path / "history.jsonl").read_text().splitlines(keepends=True)
    (path / "history.jsonl").write_text("".join(lines[:2] + lines[3:]))
    assert verified(path).is_verified
    (path / "history.jsonl").write_text("".join(lines[:-1]))
    assert "not-latest" in codes(verified(path))
    (path / "history.jsonl").write_text("".join([lines[1], lines[0], *lines[2:]]))
    assert codes(verified(path)) == {"not-growing"}


def test_a_witness_that_was_asked_for_must_have_cosigned(good: Path, tmp_path: Path) -> None:
    """And is told of when it has."""
    path = tmp_path / "log"
    shutil.copytree(good, path)
    files = LogFiles(path)
    assert codes(verify_log(files, LOG, witnesses=[WITNESS_KEY])) == {"not-cosigned"}
    _, note = files.latest(LOG) or pytest.fail("no checkpoint")
    signature = cosign(note.text, WITNESS_KEY.name, WITNESS, at_s=1_800_000_000)
    (path / "checkpoint").write_text(note.signed_by(signature).to_text())
    result = verify_log(files, LOG, witnesses=[WITNESS_KEY])
    assert (result.is_verified, result.witnesses) == (True, {WITNESS_KEY.name: 600})


def test_a_record_that_no_act_has_shredded_was_removed(good: Path, tmp_path: Path) -> None:
    """Whoever writes "shredded" in its place alone does not get away with it."""
    path = tmp_path / "log"
    shutil.copytree(good, path)
    files = LogFiles(path)
    records = files.records(1)
    records[7] = Kept(records[7].offset, shredded_under="retention P7Y")
    files.records_path(1).write_bytes(b"".join(map(framed, records)))
    result = verified(path)
    assert [(one.code, one.record) for one in result.problems] == [("shredded-without-act", 263)]
    assert result.shredded == {"retention P7Y": 1}
    assert json.dumps(result.to_json())


def test_a_log_of_another_key_does_not_verify(good: Path) -> None:
    """Trust is in the key that the auditor has, not in the folder."""
    other = NoteKey(ORIGIN, SigningKey.generate().public)
    assert "bad-checkpoint" in codes(verify_log(LogFiles(good), other))

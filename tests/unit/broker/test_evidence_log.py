"""The log as files: what it signs is what it holds, whatever happened in between."""

import contextlib
import hashlib
import hmac
import random
from collections.abc import Iterator
from pathlib import Path

import cbor2
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from services.tlog_client import read_log

from broker import disk
from broker.evidence import writing as evidence_writing
from broker.evidence.entries import Kept, content_of, kept_whole, salting
from broker.evidence.keys import LogKeys
from broker.evidence.reading import LogFiles, framed
from broker.evidence.showing import LogDamaged
from broker.evidence.writing import LogInUse, LogWriter, writing
from connectors.streams import Record
from schemas.keys import SigningKey
from schemas.merkle import leaf_hash
from schemas.notes import BadNote, NoteKey, cosign
from schemas.tiles import ENTRIES, WIDTH, TileName, Tree, unpack_entries

KEY = SigningKey.generate()
KEYS = LogKeys(KEY, b"s" * 32)
ORIGIN = "anytown.example/decisions"
LOG = NoteKey(ORIGIN, KEY.public)


def a_writer(path: Path) -> contextlib.AbstractContextManager[LogWriter]:
    """Open the log of these tests."""
    return writing(path, KEYS, origin=ORIGIN)


def content(offset: int) -> bytes:
    """Return what stands at an offset of an invented stream, whose offsets have gaps."""
    return f"record {offset}".encode()


def offsets(count: int, start: int = 0) -> Iterator[int]:
    """Give the offsets of the stream: two markers of transactions after every ten records."""
    return (number + number // 10 * 2 for number in range(start, start + count))


def write(path: Path, *sizes: int) -> None:
    """Write a log that is signed at these sizes."""
    with a_writer(path) as writer:
        for size in sizes:
            for offset in offsets(size - writer.size, writer.size):
                writer.append(offset, content(offset))
            writer.sign()


def files_of(path: Path) -> dict[str, bytes]:
    """Return every file that is not about when it was signed."""
    return {
        str(file.relative_to(path)): file.read_bytes()
        for file in sorted(path.rglob("*"))
        if file.is_file() and file.name not in {"history.jsonl", "lock"} and ".p/" not in str(file)
    }


def test_what_is_signed_is_what_was_appended(tmp_path: Path) -> None:
    """Checkpoint, tiles, entries and records belong together."""
    write(tmp_path, 3, 700)
    files = LogFiles(tmp_path)
    checkpoint, _ = files.latest(LOG) or pytest.fail("no checkpoint")
    tree = Tree(700, files.tile)
    assert (checkpoint.size, checkpoint.root) == (700, tree.root())
    kept = [one for number in range(3) for one in files.records(number)]
    assert [one.offset for one in kept] == list(offsets(700))
    assert [one.content for one in kept] == [content(offset) for offset in offsets(700)]
    assert [leaf_hash(one.commitment) for one in kept] == [tree.leaf(at) for at in range(700)]
    bundle = files.tile(TileName(ENTRIES, 2, 700 % WIDTH)) or b""
    assert unpack_entries(bundle) == [one.commitment for one in kept[512:]]


def test_a_client_that_is_not_ours_reads_the_log(tmp_path: Path) -> None:
    """C2SP tlog-tiles: every entry, every checkpoint a part of the latest, a witness's line."""
    write(tmp_path, 1, 255, 256, 300, 700)
    witness = SigningKey.generate()
    witness_key = NoteKey("trust.example/witness", witness.public, 4)
    files = LogFiles(tmp_path)
    _, note = files.latest(LOG) or pytest.fail("no checkpoint")
    cosigned = note.signed_by(cosign(note.text, witness_key.name, witness, at_s=1_800_000_000))
    (tmp_path / "checkpoint").write_text(cosigned.to_text())
    found = read_log(tmp_path, LOG.to_vkey(), witness_key.to_vkey())
    entries = b"".join(one.commitment for number in range(3) for one in files.records(number))
    assert found == {
        "size": 700,
        "entries": 700,
        "sha256": hashlib.sha256(entries).hexdigest(),
        "consistent": 5,
        "signatures": 2,
    }


@given(
    timestamp_ms=st.integers(0, 2**63 - 1) | st.integers(2**32 - 2, 2**32 + 2),
    key=st.none() | st.binary(max_size=300),
    value=st.none() | st.binary(max_size=300),
    headers=st.lists(st.tuples(st.text(max_size=5), st.binary(max_size=5)), max_size=2),
)
@example(timestamp_ms=2**40, key=b"k" * 16, value=b"v" * 70_000, headers=[])
@example(timestamp_ms=2**40, key=b"", value=b"v" * 65_536, headers=[])
@example(timestamp_ms=2**40, key=b"k" * 256, value=b"v" * 65_535, headers=[])
def test_what_is_committed_to_is_cbor_however_it_is_joined(
    timestamp_ms: int, key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes]]
) -> None:
    """Byte for byte what a library writes, so that a log comes out as it always has."""
    record = Record("decisions", 0, 7, timestamp_ms, key, value, tuple(headers))
    made = content_of(record)
    assert made == cbor2.dumps([timestamp_ms, key, [list(one) for one in headers], value])
    salt = salting(KEYS.salt_key)(made)
    assert salt == hmac.digest(KEYS.salt_key, made, "sha256")[:16]
    kept = Kept(7, salt, made)
    assert kept_whole(7, salt, made) == (kept.to_bytes(), kept.commitment)


def test_records_that_are_large_are_not_gathered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are written as they come, so that memory has a bound; the log is the same."""
    write(tmp_path / "small", 300)
    monkeypatch.setattr(evidence_writing, "_MOST_UNWRITTEN_BYTES", 40)
    with a_writer(tmp_path / "large") as writer:
        for offset in offsets(10):
            writer.append(offset, content(offset))
        assert len(writer.files.records(0)) >= 8
    write(tmp_path / "large", 300)
    assert files_of(tmp_path / "large") == files_of(tmp_path / "small")


def test_the_entries_say_nothing_of_the_records(tmp_path: Path) -> None:
    """What other people read holds neither a record nor its plain hash."""
    write(tmp_path, 300)
    public = b"".join(
        file.read_bytes() for file in (tmp_path / "tile").rglob("*") if file.is_file()
    )
    for offset in offsets(300):
        assert content(offset) not in public
        assert hashlib.sha256(content(offset)).digest() not in public


class _PowerLost(Exception):
    """The machine stopped here."""


@settings(max_examples=25, deadline=None)
@example(seed=0, parts=[(300, True), (5, True), (5, True)])
@example(seed=1, parts=[(300, True), (5, True), (5, True)])
@example(seed=2, parts=[(300, True), (5, True), (5, True)])
@example(seed=3, parts=[(300, True), (5, True), (5, True)])
@given(
    seed=st.integers(0, 2**32),
    parts=st.lists(st.tuples(st.integers(0, 600), st.booleans()), min_size=1, max_size=5),
)
def test_a_log_goes_on_after_power_was_lost_anywhere(
    tmp_path_factory: pytest.TempPathFactory, seed: int, parts: list[tuple[int, bool]]
) -> None:
    """What was not synchronised may be cut off at any byte; the log comes out the same."""
    chance = random.Random(seed)  # noqa: S311  hypothesis has chosen the seed
    path = tmp_path_factory.mktemp("log")
    signed, on_disk = 0, dict[Path, bytes]()
    for count, is_signing in parts:
        with (
            contextlib.suppress(_PowerLost),
            _losing_power(chance, is_signing=is_signing),
            a_writer(path) as writer,
        ):
            assert writer.size >= signed, "what was signed is never forgotten"
            signed = writer.size
            for offset in offsets(count, writer.size):
                writer.append(offset, content(offset))
            if is_signing:
                writer.sign()
        files = [file for file in sorted(path.rglob("*")) if file.is_file()]
        on_disk |= {file: file.read_bytes() for file in files if file not in writer._dirty}
        for file in (file for file in files if file in writer._dirty):
            whole, kept = file.read_bytes(), on_disk.get(file, b"")
            least = len(kept) if whole.startswith(kept) else 0
            file.write_bytes(whole[: chance.randint(least, len(whole))])
    with a_writer(path) as writer:
        end = writer.size + 10
        for offset in offsets(10, writer.size):
            writer.append(offset, content(offset))
        writer.sign()
    straight = tmp_path_factory.mktemp("straight")
    write(straight, end)
    assert files_of(path) == files_of(straight)


@contextlib.contextmanager
def _losing_power(chance: random.Random, *, is_signing: bool) -> Iterator[None]:
    """Let the machine stop at one of the next synchronisations, or at none."""
    left = [chance.randint(0, 12) if is_signing else 10**6]
    real = disk.sync

    def sync(path: Path) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise _PowerLost
        real(path)

    disk.sync = sync
    try:
        yield
    finally:
        disk.sync = real


def test_only_one_process_writes(tmp_path: Path) -> None:
    """The second is told, and nothing is written twice."""
    with a_writer(tmp_path), pytest.raises(LogInUse, match="another process"), a_writer(tmp_path):
        pytest.fail("opened twice")


def test_a_damaged_tile_stops_the_writer(tmp_path: Path) -> None:
    """It signs nothing that goes on from what it cannot vouch for, and says what to do."""
    write(tmp_path, 300)
    tile = tmp_path / TileName(0, 1, 44).path
    tile.write_bytes(bytes(44 * 32))
    with pytest.raises(LogDamaged, match="concordat evidence rebuild"), a_writer(tmp_path):
        pytest.fail("opened")


def test_a_history_of_another_key_stops_the_writer(tmp_path: Path) -> None:
    """A log is one key's."""
    write(tmp_path, 3)
    other = writing(tmp_path, LogKeys(SigningKey.generate(), b"s" * 32), origin=ORIGIN)
    with pytest.raises(BadNote), other:
        pytest.fail("opened")


def test_a_checkpoint_that_was_put_back_is_put_right(tmp_path: Path) -> None:
    """What was signed last is what others are shown, whatever lies in the folder."""
    write(tmp_path, 3)
    old = (tmp_path / "checkpoint").read_bytes()
    write(tmp_path, 3, 9)
    (tmp_path / "checkpoint").write_bytes(old)
    with a_writer(tmp_path):
        found = LogFiles(tmp_path).latest(LOG)
    assert found is not None
    assert found[0].size == 9


def test_a_shredded_record_leaves_its_commitment(tmp_path: Path) -> None:
    """The tree goes on over what was shredded, also at the edge."""
    write(tmp_path, 3)
    files = LogFiles(tmp_path)
    kept = files.records(0)
    kept[2] = Kept(kept[2].offset, shredded_under="retention")
    files.records_path(0).write_bytes(b"".join(map(framed, kept)))
    write(tmp_path, 5)
    straight = tmp_path / "straight"
    write(straight, 5)
    assert (tmp_path / "tile/0/000.p/5").read_bytes() == (straight / "tile/0/000.p/5").read_bytes()

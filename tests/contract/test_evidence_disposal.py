"""From the stream to the log and off the stream again, on every adapter."""

import shutil
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from shredding_world import (
    FIRST_DAY,
    KEYS,
    LOG,
    LONG,
    ORIGIN,
    SHORT,
    a_decision,
    files_of,
    kept_of,
    size_of,
    verified,
)

from broker.acts import BadAct, is_act, read_act
from broker.evidence.disposal import Disposal, Retention
from broker.evidence.following import CHECKPOINTS, EvidenceWorker, StreamRewritten
from broker.evidence.holds import HOLDS, BadHold, Scope, add_hold, lift_hold, read_holds
from broker.evidence.reading import LogFiles
from broker.evidence.rebuilding import NotTheSame, rebuild
from broker.evidence.retention import Keeping, Period
from broker.evidence.showing import LogDamaged
from broker.evidence.writing import writing
from broker.retraction import GROUP, RETRACTIONS
from broker.routing import DECISIONS
from connectors.streams import Outgoing, Streams, open_streams

RULE = "retention P0D of short version 1"
KEEPING = Keeping({SHORT: Period("P0D", RULE), LONG: Period("P99Y", "long")}, None)
COUNT = 300


@pytest.fixture
async def town(streams_url: str, unique: Callable[[str], str]) -> AsyncIterator[Streams]:
    """Streams with decisions under two agreements, of names that nobody else uses."""
    namespace = "" if streams_url.startswith("sqlite:") else unique("t").replace(".", "-")
    async with open_streams(streams_url, namespace=namespace) as streams:
        await streams.create_topics({DECISIONS: 1, CHECKPOINTS: 1}, kept=frozenset({DECISIONS}))
        for start in range(0, COUNT, 60):
            await streams.append(
                [
                    Outgoing(DECISIONS, b"key", a_decision(FIRST_DAY, SHORT if n % 2 else LONG))
                    for n in range(start, start + 60)
                ]
            )
        yield streams


async def follow(streams: Streams, path: Path) -> LogFiles:
    """Bring the log up to date."""
    with writing(path, KEYS, origin=ORIGIN) as writer:
        await EvidenceWorker(streams, writer).catch_up()
    return LogFiles(path)


def disposal(streams: Streams, path: Path, *, audit_keys: int = 1) -> Disposal:
    """Return a look at what is signed."""
    files = LogFiles(path)
    return Disposal(streams, files, size_of(files), Retention(KEEPING, audit_keys), "an officer")


async def dispose(streams: Streams, path: Path) -> int:
    """Shred what is due, and take it off the stream; return where that begins."""
    now = datetime.now(UTC) + timedelta(minutes=1)
    looked = disposal(streams, path)
    made = await looked.due(now)
    await looked.order(made, at=now)
    await follow(streams, path)
    assert looked.is_carried_out(made)
    return await looked.take_off_stream(made, at=now)


async def test_what_was_shredded_is_off_the_stream_too(town: Streams, tmp_path: Path) -> None:
    """And an act says so; what is still to be kept is in the log's files."""
    log = tmp_path / "log"
    await follow(town, log)
    begins = await dispose(town, log)
    await follow(town, log)
    left = [record async for record in town.read(DECISIONS)]
    assert left[0].offset >= begins > 0
    assert all(is_act(record.value) for record in left)
    told = [read_act(record.value or b"") for record in left]
    assert [act.kind.value for act in told] == ["shredding", "administration"]
    assert f"before offset {begins}" in told[1].about
    assert kept_of(log)[:COUNT] == [n % 2 == 0 for n in range(COUNT)]
    result = verified(log)
    assert (result.problems, result.shredded) == ([], {RULE: COUNT // 2})
    assert await dispose(town, log) == begins, "nothing more is due"


@pytest.mark.parametrize("waits", [False, True])
async def test_copies_that_retractions_left_go_with_what_was_shredded(
    town: Streams,
    tmp_path: Path,
    waits: bool,  # noqa: FBT001  a case
) -> None:
    """Copies of what stays on the stream stay; as long as one waits to be told of, all do."""
    log = tmp_path / "log"
    await town.create_topics({RETRACTIONS: 1}, kept=frozenset({RETRACTIONS}))
    await town.append([Outgoing(RETRACTIONS, b"key", b"of what is shredded")])
    now = datetime.now(UTC) + timedelta(minutes=1)
    await town.append([Outgoing(DECISIONS, b"key", a_decision(FIRST_DAY, SHORT))])
    await follow(town, log)
    looked = disposal(town, log)
    made = await looked.due(now)
    await looked.order(made, at=now)
    await follow(town, log)
    await town.append([Outgoing(RETRACTIONS, b"key", b"of what is kept")])
    if not waits:
        await answer_all(town)
    assert await looked.take_off_stream(made, at=now) > 0
    left = [record.value async for record in town.read(RETRACTIONS)]
    assert left == ([b"of what is shredded"] if waits else []) + [b"of what is kept"]


async def answer_all(streams: Streams) -> None:
    """Do as who tells of retractions does once there is nobody to tell."""
    while await streams.lag(GROUP, [RETRACTIONS]):
        async with streams.group(GROUP, [RETRACTIONS]) as group:
            while (batch := await group.next(1.0)) is not None:
                await group.commit(batch)


async def test_a_log_is_made_again_from_a_copy_and_the_rest_of_the_stream(
    town: Streams, tmp_path: Path
) -> None:
    """Byte for byte, tiles and records; from nothing but the stream it is refused."""
    log, copy = tmp_path / "log", tmp_path / "copy"
    await follow(town, log)
    await dispose(town, log)
    await town.append([Outgoing(DECISIONS, b"key", a_decision(FIRST_DAY, LONG))])
    await follow(town, log)
    before = files_of(log)
    rebuilt = await rebuild(log, KEYS, town, origin=ORIGIN)
    assert files_of(log) == before, "the old log is the copy"
    assert rebuilt.former.is_dir()
    shutil.move(log, copy)
    with pytest.raises(NotTheSame, match="name a newer copy with --from"):
        await rebuild(log, KEYS, town, origin=ORIGIN)
    await rebuild(log, KEYS, town, origin=ORIGIN, copy=copy)
    assert files_of(log) == before
    assert verified(log).problems == []


async def test_a_damaged_copy_takes_the_place_of_nothing(town: Streams, tmp_path: Path) -> None:
    """Every root that was signed must come out."""
    log, copy = tmp_path / "log", tmp_path / "copy"
    await follow(town, log)
    await dispose(town, log)
    await follow(town, log)
    for damaged, said in (("records/000", "is not what was signed"), ("tile/entries/000", "root")):
        shutil.copytree(log, copy)
        file = copy / damaged
        data = bytearray(file.read_bytes())
        data[40] ^= 1
        file.write_bytes(data)
        with pytest.raises(NotTheSame, match=said):
            await rebuild(log, KEYS, town, origin=ORIGIN, copy=copy)
        shutil.rmtree(copy)
    assert verified(log).problems == []
    assert sorted(_names(tmp_path)) == ["log", "log.rebuilding"], "the old one is where it was"


async def test_a_log_from_before_the_removal_does_not_go_on(town: Streams, tmp_path: Path) -> None:
    """It would sign a tree with a hole in it."""
    log, old = tmp_path / "log", tmp_path / "old"
    await follow(town, log)
    await dispose(town, log)
    await follow(town, log)
    with writing(old, KEYS, origin=ORIGIN) as writer:
        worker = EvidenceWorker(town, writer)
        with pytest.raises(StreamRewritten, match="rebuild --from"):
            await worker.catch_up()
    assert LogFiles(old).latest(LOG) is None


async def test_nothing_is_removed_from_the_stream_that_the_log_does_not_have(
    town: Streams, tmp_path: Path
) -> None:
    """A damaged record, or one that is away: the stream's copy is the last good one."""
    log = tmp_path / "log"
    await follow(town, log)
    now = datetime.now(UTC) + timedelta(minutes=1)
    looked = disposal(town, log)
    made = await looked.due(now)
    await looked.order(made, at=now)
    await follow(town, log)
    file = log / "records" / "000"
    good = file.read_bytes()
    data = bytearray(good)
    data[60] ^= 1
    file.write_bytes(data)
    with pytest.raises(LogDamaged, match="nothing is removed from the stream"):
        await looked.take_off_stream(made, at=now)
    file.unlink()
    away = await looked.due(now)
    assert away.away == 256
    assert await looked.take_off_stream(away, at=now) == 0
    file.write_bytes(good)
    assert (await town.begin(DECISIONS)) == {0: 0}


async def test_a_hold_that_is_put_is_found_and_lifted(town: Streams) -> None:
    """On its topic, and as acts in the log with who and why."""
    assert await read_holds(town) == {}
    at = datetime(2026, 11, 23, 12, 0, 0, 123456, tzinfo=UTC)
    scope = Scope("urn:a", "trust", frozenset({b"\1" * 32}), FIRST_DAY, at)
    hold = await add_hold(town, scope, by="A. Officer", reason="claim 7", at=at, audit_keys=2)
    assert await read_holds(town) == {hold.id: hold}
    assert hold.scope.covers is not None
    with pytest.raises(BadHold, match="is none"):
        await lift_hold(town, "nothing", by="B", reason="r", at=at)
    lifted = await lift_hold(town, hold.id, by="B. Officer", reason="settled", at=at)
    assert (await read_holds(town))[hold.id] == lifted
    with pytest.raises(BadHold, match="is none"):
        await lift_hold(town, hold.id, by="B", reason="r", at=at)
    acts = [read_act(r.value or b"") async for r in town.read(DECISIONS) if is_act(r.value)]
    assert [(act.kind.value, act.by, act.reason) for act in acts] == [
        ("legal-hold", "A. Officer", "claim 7"),
        ("legal-hold", "B. Officer", "settled"),
    ]


async def test_a_hold_is_refused_that_cannot_be_recorded(town: Streams) -> None:
    """No reason, a person's number in it, or a period that ends before it begins."""
    at = FIRST_DAY
    for reason in ("", "about 943 476 5919"):
        with pytest.raises(BadAct):
            await add_hold(town, Scope(), by="A. Officer", reason=reason, at=at)
    with pytest.raises(BadHold, match="ends after it begins"):
        await add_hold(town, Scope(since=at, until=at), by="A", reason="r", at=at)
    assert await read_holds(town) == {}


async def test_nothing_is_shredded_while_a_hold_cannot_be_read(
    town: Streams, tmp_path: Path
) -> None:
    """It may be the one that counts."""
    log = tmp_path / "log"
    await follow(town, log)
    await town.create_topics({HOLDS: 1})
    for junk in (b"", b"[]", b'{"does": "lift", "id": "x", "at": "2026-01-01T00:00:00+00:00"}'):
        await town.append([Outgoing(HOLDS, b"x", junk)])
        with pytest.raises(BadHold, match="nothing is shredded before"):
            await disposal(town, log).due(datetime.now(UTC))


async def test_nothing_is_shredded_while_a_hold_on_a_person_misses_newer_records(
    town: Streams, tmp_path: Path
) -> None:
    """After the audit key was changed it covers only what was decided before."""
    log = tmp_path / "log"
    await follow(town, log)
    now = datetime.now(UTC)
    scope = Scope(subjects=frozenset({b"\1" * 32}))
    hold = await add_hold(town, scope, by="A", reason="claim 7", at=now, audit_keys=1)
    assert (await disposal(town, log, audit_keys=1).due(now + timedelta(minutes=1))).count
    with pytest.raises(BadHold, match="the audit key was changed"):
        await disposal(town, log, audit_keys=2).due(now)
    await add_hold(town, scope, by="A", reason="claim 7", at=now, audit_keys=2)
    await lift_hold(town, hold.id, by="A", reason="put again", at=now)
    assert (await disposal(town, log, audit_keys=2).due(now + timedelta(minutes=1))).count


def _names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if not path.name.startswith("streams.db")]

"""The query store forgets what the log shreds, and nothing because somebody says so."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from audit_records import KEYS, NOON, Told, blind

from broker.acts import Act, ActKind
from broker.audit import following
from broker.audit.following import AuditWorker, NotJudged, NotSignedYet, SignedLog
from broker.audit.store import AuditStore
from broker.evidence.following import CHECKPOINTS, EvidenceWorker
from broker.evidence.keys import LogKeys
from broker.evidence.reading import LogFiles
from broker.evidence.shredding_acts import digest_of, entries_text
from broker.evidence.writing import writing
from broker.routing import DECISIONS
from broker.storage import open_audit_store
from connectors.streams import Outgoing, Streams, open_streams

AMY = blind("amy")
LOG_KEYS = LogKeys.generate()
ORIGIN = "concordat/test"


@pytest.fixture
async def streams(tmp_path: Path) -> AsyncIterator[Streams]:
    """Return embedded streams with what the log reads and writes."""
    async with open_streams(f"sqlite:{tmp_path / 'streams.db'}") as opened:
        await opened.create_topics({DECISIONS: 1, CHECKPOINTS: 1}, kept=frozenset({DECISIONS}))
        yield opened


@pytest.fixture
def opening(tmp_path: Path) -> Callable[[], AuditStore]:
    """Return what opens the same store again and again."""
    return lambda: AuditStore(open_audit_store(f"sqlite:{tmp_path / 'audit.db'}"), KEYS)


@pytest.fixture
def signed(tmp_path: Path) -> SignedLog:
    """Return the log, whether it was written already or not."""
    return SignedLog(LogFiles(tmp_path / "log"), LOG_KEYS.public(ORIGIN))


async def append(streams: Streams, *values: bytes) -> None:
    """Append to `decisions`."""
    await streams.append([Outgoing(DECISIONS, b"key", value) for value in values])


async def decided(streams: Streams, *events: str) -> None:
    """Append decisions about Amy."""
    await append(streams, *(Told(event, [AMY]).to_bytes() for event in events))


async def write_log(streams: Streams, signed: SignedLog) -> None:
    """Bring the log up to date."""
    with writing(signed.files.path, LOG_KEYS, origin=ORIGIN) as writer:
        await EvidenceWorker(streams, writer).catch_up()


def shredding(*runs: range, digest: bytes) -> bytes:
    """Return the act that shreds entries."""
    return Act(
        ActKind.SHREDDING,
        NOON,
        "ann",
        entries_text(runs),
        reason="one-year",
        digest=digest,
        results=sum(map(len, runs)),
    ).to_bytes()


def true_one(signed: SignedLog, *runs: range) -> bytes:
    """Return the act as the log's own command makes it."""
    return shredding(*runs, digest=digest_of(signed.files.entries, runs))


def events_of(store: AuditStore) -> list[str]:
    """Return which events are found about Amy."""
    found = [one.event_id for one in store.by_subject([AMY])]
    store.close()
    return found


async def test_what_the_log_shreds_leaves_the_store_and_does_not_come_back(
    streams: Streams,
    opening: Callable[[], AuditStore],
    signed: SignedLog,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whether the act comes with the records or long after; also when the store is made again."""
    await decided(streams, *(f"e{n}" for n in range(4)))
    await write_log(streams, signed)
    worker = AuditWorker(streams, opening(), signed)
    await worker.catch_up()
    await decided(streams, "e4")
    await write_log(streams, signed)
    await append(streams, true_one(signed, range(1, 3), range(4, 5)))
    await worker.catch_up()
    assert events_of(opening()) == ["e0", "e3"]
    for size in (20_000, 2):
        for is_log_ahead in (False, True):
            monkeypatch.setattr(following, "MOST_AT_ONCE", size)
            if is_log_ahead:
                await write_log(streams, signed)
            opening().begin()
            await AuditWorker(streams, opening(), signed).catch_up()
            assert events_of(opening()) == ["e0", "e3"]


async def test_an_act_that_the_log_passes_over_empties_nothing(
    streams: Streams,
    opening: Callable[[], AuditStore],
    signed: SignedLog,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Of other commitments, of none, or of what comes after it: somebody else wrote it."""
    await decided(streams, "e0", "e1", "e2")
    await write_log(streams, signed)
    await append(
        streams,
        shredding(range(3), digest=bytes(32)),
        shredding(range(3), digest=b""),
        shredding(range(2), digest=digest_of(signed.files.entries, [range(3)])),
        shredding(range(1, 900), digest=bytes(32)),
    )
    assert await AuditWorker(streams, opening(), signed).catch_up() == 7
    assert events_of(opening()) == ["e0", "e1", "e2"]
    assert capsys.readouterr().out.count("a shredding is not carried out") == 4


async def test_an_act_about_what_is_not_signed_yet_waits_for_the_log(
    streams: Streams, opening: Callable[[], AuditStore], signed: SignedLog
) -> None:
    """The log judges it as soon as it is there; nothing comes after it before."""
    await decided(streams, "e0", "e1")
    await write_log(streams, signed)
    await decided(streams, "e2")
    await append(streams, shredding(range(1, 3), digest=bytes(32)))
    with pytest.raises(NotSignedYet, match="evidence update"):
        await AuditWorker(streams, opening(), signed).catch_up()
    await write_log(streams, signed)
    assert await AuditWorker(streams, opening(), signed).catch_up() == 4
    assert events_of(opening()) == ["e0", "e1", "e2"]


async def test_without_the_log_a_shredding_is_neither_believed_nor_passed_over(
    streams: Streams, opening: Callable[[], AuditStore], signed: SignedLog
) -> None:
    """Where the log is, the store goes past it; then others can go on."""
    await decided(streams, "e0", "e1")
    await write_log(streams, signed)
    await append(streams, true_one(signed, range(1)))
    await decided(streams, "e2")
    with pytest.raises(NotJudged, match="where they are"):
        await AuditWorker(streams, opening(), None).catch_up()
    await AuditWorker(streams, opening(), signed).catch_up()
    await decided(streams, "e3")
    assert await AuditWorker(streams, opening(), None).catch_up() == 5
    assert events_of(opening()) == ["e1", "e2", "e3"]

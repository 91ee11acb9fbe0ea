"""The query store follows the stream: every record once, acts in their place, nothing foreign."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from audit_records import KEYS, NOON, Told, blind, expected

from broker.acts import Act, ActKind
from broker.audit import following
from broker.audit.following import AuditWorker, BeginningIsGone, store_kept
from broker.audit.keys import AuditKeys
from broker.audit.store import AuditStore
from broker.routing import DECISIONS
from broker.storage import open_audit_store
from connectors.streams import Outgoing, Streams, open_streams

AMY = blind("amy")


@pytest.fixture
async def streams(tmp_path: Path) -> AsyncIterator[Streams]:
    """Return embedded streams with an empty topic of decisions."""
    async with open_streams(f"sqlite:{tmp_path / 'streams.db'}") as opened:
        await opened.create_topics({DECISIONS: 1}, kept=frozenset({DECISIONS}))
        yield opened


@pytest.fixture
def opening(tmp_path: Path) -> Callable[[], AuditStore]:
    """Return what opens the same store again and again."""
    return lambda: AuditStore(open_audit_store(f"sqlite:{tmp_path / 'audit.db'}"), KEYS)


async def append(streams: Streams, *values: bytes) -> None:
    """Append to `decisions`."""
    await streams.append([Outgoing(DECISIONS, b"key", value) for value in values])


async def test_records_are_found_in_their_place_and_what_is_none_is_passed_over(
    streams: Streams, opening: Callable[[], AuditStore]
) -> None:
    """Acts and rubbish are entries of the log as well, of nobody."""
    act = Act(ActKind.ADMINISTRATION, NOON, "ann", "something").to_bytes()
    told = [Told(f"e{n}", [AMY]) for n in range(3)]
    values = [one.to_bytes() for one in told]
    await append(streams, act, values[0], b"rubbish", values[1][:-9], values[1], act, values[2])
    assert await AuditWorker(streams, opening(), None).catch_up() == 7
    found = opening().by_subject([AMY])
    assert [(one.index, one.event_id) for one in found] == [(1, "e0"), (4, "e1"), (6, "e2")]
    assert found[0].items == expected(told)[0].items


async def test_a_stream_without_its_beginning_is_not_taken_for_the_whole(
    streams: Streams, opening: Callable[[], AuditStore]
) -> None:
    """Entries would get wrong numbers, and with them wrong proofs."""
    await append(streams, *(Told(f"e{n}", [AMY]).to_bytes() for n in range(4)))
    worker = AuditWorker(streams, opening(), None)
    await worker.catch_up()
    await streams.remove_before(DECISIONS, 0, 3)
    assert await worker.catch_up() == 4
    opening().begin()
    with pytest.raises(BeginningIsGone, match="begins at 3"):
        await AuditWorker(streams, opening(), None).catch_up()


async def test_workers_that_follow_at_once_add_everything_once(
    streams: Streams, opening: Callable[[], AuditStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each may be overtaken at any time."""
    monkeypatch.setattr(following, "MOST_AT_ONCE", 3)
    await append(streams, *(Told(f"e{n}", [AMY]).to_bytes() for n in range(60)))
    workers = [AuditWorker(streams, opening(), None) for _ in range(3)]
    assert await asyncio.gather(*(one.catch_up() for one in workers)) == [60, 60, 60]
    assert [one.index for one in opening().by_subject([AMY])] == list(range(60))


async def test_what_is_decided_while_it_runs_is_there_when_it_ends(
    streams: Streams, opening: Callable[[], AuditStore]
) -> None:
    """Followed in the background, to the last record."""
    async with store_kept(streams, opening, None):
        await append(streams, Told("e0", [AMY]).to_bytes())
        while opening().position.next_entry < 1:  # noqa: ASYNC110  a thread writes it
            await asyncio.sleep(0)
        await append(streams, Told("e1", [AMY]).to_bytes())
    assert [one.event_id for one in opening().by_subject([AMY])] == ["e0", "e1"]


async def test_a_worker_with_another_key_stands_still_and_says_so(
    streams: Streams,
    opening: Callable[[], AuditStore],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What it wrote would not be found."""
    await append(streams, Told("e0", [AMY]).to_bytes())
    rotated = AuditStore(
        open_audit_store(f"sqlite:{tmp_path / 'audit.db'}"), AuditKeys((bytes(32), *KEYS.keys))
    )
    rotated.begin()
    async with store_kept(streams, opening, None):
        pass
    assert rotated.position.next_entry == 0
    assert "other-audit-key" in capsys.readouterr().out

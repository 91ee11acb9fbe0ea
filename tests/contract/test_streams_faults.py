"""What every adapter of the streams port keeps when processes stop, wake and die."""

import asyncio
import os
import random
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from connectors.streams import Fenced, Group, Outgoing, Streams

pytestmark = pytest.mark.fault

Named = Callable[[str], str]
PASSING = Path(__file__).parents[1] / "services" / "passing.py"
WAIT = 60.0


@contextmanager
def passing(*arguments: object) -> "Iterator[subprocess.Popen[str]]":
    """Run a process that passes records through; see ``services/passing.py``."""
    process = subprocess.Popen(
        [sys.executable, str(PASSING), *map(str, arguments)], stdout=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


async def stopped(process: "subprocess.Popen[str]") -> None:
    """Return once the process has stopped itself."""
    state = await asyncio.to_thread(os.waitid, os.P_PID, process.pid, os.WSTOPPED | os.WEXITED)
    assert state is not None
    assert state.si_code == os.CLD_STOPPED


async def said(process: "subprocess.Popen[str]", *expected: str) -> str:
    """Return the next line of the process that begins with one of these words."""
    assert process.stdout is not None
    while True:
        line = await asyncio.to_thread(process.stdout.readline)
        assert line, "the process has ended"
        if line.startswith(expected):
            return line.strip()


def session_of(url: str) -> float:
    """Return how many seconds of silence cost a member its partitions."""
    # Kafka's own lower limit is 6 seconds unless a broker is set up otherwise.
    return 1.0 if url.startswith("sqlite") else 6.0


async def counted(streams: Streams, topic: str) -> "Counter[int]":
    """Return how often each number is in a topic."""
    return Counter([int(record.value or b"") async for record in streams.read(topic)])


async def pass_all(group: Group, streams: Streams, source: str, target: str) -> None:
    """Pass records through until the group has no lag."""
    while await streams.lag(group.name, [source]):
        batch = await group.next(1.0)
        if batch is not None:
            outgoing = [Outgoing(target, record.key, record.value) for record in batch.records]
            with suppress(Fenced):
                await group.commit(batch, outgoing)


@pytest.mark.parametrize("moment", ["before", "middle"])
async def test_a_stale_member_that_wakes_is_fenced(
    streams: Streams, streams_url: str, unique: Named, moment: str
) -> None:
    """Stopped in its transaction, its partitions move, the new owner commits, it wakes.

    Nothing of its transaction is ever visible, and it is told that it was fenced.
    """
    if moment == "middle" and streams_url.startswith("sqlite"):
        pytest.skip("the embedded transaction is one call, in which nobody else can write")
    source, target, group = unique("in"), unique("out"), unique("group")
    await streams.create_topics({source: 2, target: 2})
    await streams.append([Outgoing(source, b"%d" % n, b"%d" % n) for n in range(200)])
    session = session_of(streams_url)
    with passing(streams_url, group, source, target, session, moment) as stale:
        await stopped(stale)
        async with (
            asyncio.timeout(WAIT),
            streams.group(group, [source], session_timeout=session) as owner,
        ):
            await pass_all(owner, streams, source, target)
            before = await counted(streams, target)
            assert before == Counter(range(200))
            stale.send_signal(signal.SIGCONT)
            assert await said(stale, "fenced", "committed", "not-committed") == "fenced"
            # Whatever it did on waking, more work is still done once.
            await streams.append([Outgoing(source, b"%d" % n, b"%d" % n) for n in range(200, 400)])
            while await streams.lag(group, [source]):
                await pass_all(owner, streams, source, target)
    assert await counted(streams, target) == Counter(range(400))


async def test_a_killed_member_leaves_nothing_half_done(
    streams: Streams, streams_url: str, unique: Named
) -> None:
    """Killed at random moments of its work, again and again: each record passes once."""
    total = 3_000
    source, target, group = unique("in"), unique("out"), unique("group")
    await streams.create_topics({source: 2, target: 2})
    for start in range(0, total, 500):
        await streams.append(
            [Outgoing(source, b"%d" % n, b"%d" % n) for n in range(start, start + 500)]
        )
    session = session_of(streams_url)
    moments = random.Random(3)  # noqa: S311  a seed, to be able to repeat it
    for _ in range(4):
        with passing(streams_url, group, source, target, session) as process:
            await said(process, "committed")
            await asyncio.sleep(moments.random() * 0.05)
            process.kill()
    async with (
        asyncio.timeout(WAIT),
        streams.group(group, [source], session_timeout=session) as owner,
    ):
        await pass_all(owner, streams, source, target)
    assert await counted(streams, target) == Counter(range(total))
    if streams_url.startswith("sqlite"):
        file = sqlite3.connect(streams_url.removeprefix("sqlite:"))
        assert file.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        file.close()


async def test_a_silent_member_loses_its_partitions(
    streams: Streams, streams_url: str, unique: Named
) -> None:
    """A process that stops for longer than its session does not hold the group up."""
    source, target, group = unique("in"), unique("out"), unique("group")
    await streams.create_topics({source: 2, target: 1})
    session = session_of(streams_url)
    with passing(streams_url, group, source, target, session) as silent:
        await said(silent, "joined")
        await streams.append([Outgoing(source, b"k", b"1")])
        await said(silent, "committed")
        silent.send_signal(signal.SIGSTOP)
        await streams.append([Outgoing(source, b"k", b"2")])
        async with (
            asyncio.timeout(WAIT),
            streams.group(group, [source], session_timeout=session) as owner,
        ):
            await pass_all(owner, streams, source, target)
            assert len(owner.assignment()) == 2
            silent.send_signal(signal.SIGCONT)
            # It comes back as a member, and takes its share again.
            while len(owner.assignment()) != 1:
                await owner.next(0.1)
    assert await counted(streams, target) == Counter([1, 2])

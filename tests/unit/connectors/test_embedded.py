"""How the embedded streams share logs out, pack headers and survive misuse."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.streams import Outgoing, UnusableStreams, open_streams
from connectors.streams.embedded_headers import pack_headers, unpack_headers
from connectors.streams.embedded_log import Log
from connectors.streams.embedded_members import share_out

TOPICS = ("events.a", "events.b", "events.c")
MEMBERS = st.lists(
    st.tuples(st.uuids().map(str), st.frozensets(st.sampled_from(TOPICS), min_size=1)),
    min_size=1,
    max_size=6,
    unique_by=lambda member: member[0],
)
LOGS = [Log(number, TOPICS[number % 3], number // 3) for number in range(12)]


@given(members=MEMBERS)
def test_every_log_that_somebody_reads_has_one_owner(
    members: list[tuple[str, frozenset[str]]],
) -> None:
    """Nothing lies idle, and nobody gets what it does not read."""
    owners = share_out(LOGS, members)
    topics = dict(members)
    read = frozenset[str]().union(*topics.values())
    assert owners.keys() == {log.id for log in LOGS if log.topic in read}
    assert all(log.topic in topics[owners[log.id]] for log in LOGS if log.id in owners)


@given(members=MEMBERS)
def test_members_that_read_the_same_have_as_much_to_do(
    members: list[tuple[str, frozenset[str]]],
) -> None:
    """No two of them differ by more than one log."""
    alike = [(name, frozenset(TOPICS)) for name, _ in members]
    owners = list(share_out(LOGS, alike).values())
    loads = [owners.count(name) for name, _ in alike]
    assert max(loads) - min(loads) <= 1


@given(st.lists(st.tuples(st.text(max_size=20), st.binary(max_size=50)), max_size=20))
def test_headers_come_back_as_they_were_packed(headers: list[tuple[str, bytes]]) -> None:
    """Names in any language, repeated or empty, and contents of any bytes."""
    assert list(unpack_headers(pack_headers(headers))) == headers


async def test_a_file_that_is_no_database_is_told_as_such(tmp_path: Path) -> None:
    """A mistake in the path must not end in a driver's error."""
    path = tmp_path / "streams.db"
    path.write_bytes(b"not a database, by any measure" * 100)
    with pytest.raises(UnusableStreams):
        async with open_streams(f"sqlite:{path}"):
            pass


async def test_a_path_that_cannot_be_made_is_told_as_such(tmp_path: Path) -> None:
    """The folder of the file may be in the way of itself."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UnusableStreams):
        async with open_streams(f"sqlite:{tmp_path / 'file' / 'streams.db'}"):
            pass


async def test_the_file_does_not_keep_what_a_compacted_topic_replaced(tmp_path: Path) -> None:
    """State that changes often does not make the file grow without end."""
    async with open_streams(f"sqlite:{tmp_path / 'streams.db'}") as streams:
        await streams.create_topics({"state": 1}, compacted=frozenset({"state"}))
        for number in range(50):
            await streams.append([Outgoing("state", b"k", b"%d" % number)])
        records = [record async for record in streams.read("state")]
        assert [(record.offset, record.value) for record in records] == [(49, b"49")]
        assert await streams.lag("group", ["state"]) == 1

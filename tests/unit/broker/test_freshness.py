"""What the scheme says of ``control``, and how a router holds it against what it has read."""

import sqlite3
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from deciding_world import SCHEME, key_of
from hypothesis import given
from hypothesis import strategies as st

from broker.control import TOPIC as CONTROL
from broker.freshness import (
    TOPIC,
    Chain,
    ControlRewritten,
    Freshness,
    Statement,
    next_statement,
)
from broker.issuing import BadMemory, Issuer, pause_seconds, prepare_topic
from connectors.streams import Outgoing, Streams, open_streams
from schemas.control import sign_document
from schemas.keys import BadSignature, SigningKey

MINUTE = 60_000
LIMIT = 10 * MINUTE
NOW = 1_780_000_000_000

parts = st.none() | st.binary(max_size=6)
records = st.lists(st.tuples(parts, parts), max_size=8)


def chain_of(found: list[tuple[bytes | None, bytes | None]], *, step: int = 1) -> Chain:
    """Read records into a chain; on Kafka offsets have gaps, of ``step``."""
    chain = Chain()
    for number, (key, value) in enumerate(found):
        chain.extend(key, value, number * step)
    return chain


def some(count: int) -> list[tuple[bytes | None, bytes | None]]:
    """Return so many records, each another."""
    return [(b"key-%d" % number, b"value-%d" % number) for number in range(count)]


def said(chain: Chain, *, at: int = NOW, by: SigningKey = SCHEME) -> bytes:
    """Return a statement about a chain as it lies on the topic."""
    return next_statement(chain, at_ms=at).sign(by).encode()


def hearing(chain: Chain) -> Freshness:
    """Return what a router that has read this goes by."""
    return Freshness(SCHEME.public, chain, max_age_ms=LIMIT)


# -- the chain ---------------------------------------------------------------------------


@given(records, records, st.integers(1, 3))
def test_two_controls_have_one_hash_only_if_they_are_one(
    one: list[tuple[bytes | None, bytes | None]],
    other: list[tuple[bytes | None, bytes | None]],
    step: int,
) -> None:
    """Whatever was altered, removed, added or moved, and a missing value is not an empty one."""
    first, second = chain_of(one, step=step), chain_of(other, step=step)
    assert (first.at(first.end) == second.at(second.end)) == (one == other)


@given(records, st.integers(1, 3))
def test_the_hash_at_a_position_is_that_of_what_lies_before(
    found: list[tuple[bytes | None, bytes | None]], step: int
) -> None:
    """As it was when no more had been read; beyond the end there is none yet."""
    chain = chain_of(found, step=step)
    for count in range(len(found) + 1):
        before = chain_of(found[:count], step=step)
        assert chain.at(before.end) == before.at(before.end)
    assert chain.at(chain.end + 1) is None


# -- a router's side ---------------------------------------------------------------------


def test_rules_count_for_as_long_as_the_limit_after_what_the_scheme_said() -> None:
    """Nothing said: unknown. Said: fresh until the limit, old from then on, fresh again."""
    chain = chain_of(some(3))
    fresh = hearing(chain)
    assert fresh.standing(NOW) == "unknown"
    fresh.take(said(chain))
    assert fresh.standing(NOW) == "fresh"
    assert fresh.standing(NOW + LIMIT) == "fresh"
    assert fresh.standing(NOW + LIMIT + 1) == "old"
    fresh.take(said(chain, at=NOW + LIMIT))
    assert fresh.standing(NOW + LIMIT + 1) == "fresh"
    assert fresh.age_ms(NOW + LIMIT + 1) == 1


def test_a_router_from_which_documents_are_withheld_stops_at_the_limit() -> None:
    """It hears of documents that do not come; what it knows is as old as the last that held."""
    chain = chain_of(some(3))
    fresh = hearing(chain)
    fresh.take(said(chain))
    for minute in range(1, 30):
        fresh.take(said(chain_of(some(4)), at=NOW + minute * MINUTE))
        expected = "fresh" if minute <= 10 else "behind"
        assert fresh.standing(NOW + minute * MINUTE) == expected
    chain.extend(*some(4)[3], 3)
    assert fresh.standing(NOW + 29 * MINUTE) == "fresh"


def test_a_router_that_read_something_else_stops_at_once() -> None:
    """One record is another than the scheme's: no limit is waited for."""
    chain = chain_of(some(3))
    fresh = hearing(chain)
    fresh.take(said(chain))
    assert fresh.standing(NOW) == "fresh"
    fresh.take(said(chain_of([*some(2), (b"key-2", b"another")]), at=NOW + 1))
    assert fresh.standing(NOW + 1) == "differs"


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"\xff\xfe",
        b"a.b.c",
        said(chain_of(some(3)), by=key_of("somebody")),
        sign_document(SCHEME, {"type": "party", "issued_at_ms": NOW}).encode(),
        sign_document(
            SCHEME, {"type": "freshness", "issued_at_ms": NOW, "position": 3, "chain": "xx"}
        ).encode(),
    ],
)
def test_what_the_scheme_did_not_say_counts_for_nothing(value: bytes | None) -> None:
    """Rubbish, another key, another kind of document."""
    fresh = hearing(chain_of(some(3)))
    fresh.take(value)
    assert fresh.standing(NOW) == "unknown"


def test_a_statement_from_the_future_waits_for_its_time() -> None:
    """One from a clock that is an hour ahead does not count for an hour more."""
    chain = chain_of(some(3))
    fresh = hearing(chain)
    fresh.take(said(chain, at=NOW + 60 * MINUTE))
    assert fresh.standing(NOW) == "old"
    assert fresh.standing(NOW + 60 * MINUTE) == "fresh"


def test_a_statement_is_opened_by_the_schemes_key_alone() -> None:
    """And comes out as it went in."""
    statement = Statement(NOW, 7, b"\x01" * 32)
    assert Statement.open(statement.sign(SCHEME), SCHEME.public) == statement
    with pytest.raises(BadSignature):
        Statement.open(statement.sign(key_of("somebody")), SCHEME.public)


# -- the issuer's side -------------------------------------------------------------------


@pytest.fixture
async def streams(tmp_path: Path) -> AsyncIterator[Streams]:
    """Return embedded streams with a control of three records."""
    async with open_streams(f"sqlite:{tmp_path / 'streams.db'}") as opened:
        await opened.create_topics({CONTROL: 1})
        await prepare_topic(opened)
        await opened.append([Outgoing(CONTROL, key, value) for key, value in some(3)])
        yield opened


@pytest.fixture(name="db")
def the_file(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """Return the streams' file as somebody sees it who may write to it."""
    connection = sqlite3.connect(tmp_path / "streams.db", isolation_level=None)
    yield connection
    connection.close()


def an_issuer(tmp_path: Path, *, at: int = NOW) -> Issuer:
    """Return an issuer that has just been started."""
    return Issuer(SCHEME, tmp_path / "freshness.jws", now_ms=lambda: at)


async def statements(streams: Streams) -> list[Any]:
    """Return what has been said and is still there."""
    return [
        Statement.open((record.value or b"").decode(), SCHEME.public)
        async for record in streams.read(TOPIC)
    ]


async def test_what_is_issued_tells_of_all_of_control(streams: Streams, tmp_path: Path) -> None:
    """A router that has read the same finds it true; only the last stays on the topic."""
    issuer = an_issuer(tmp_path)
    await issuer.issue(streams)
    await streams.append([Outgoing(CONTROL, b"key-3", b"value-3")])
    issued = await issuer.issue(streams)
    assert await statements(streams) == [issued]
    fresh = hearing(chain_of(some(4)))
    fresh.take(issued.sign(SCHEME).encode())
    assert (issued.position, fresh.standing(NOW)) == (4, "fresh")


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ("DELETE FROM records WHERE CAST(key AS TEXT) = 'key-2'", "ends before"),
        ("UPDATE records SET value = x'00' WHERE CAST(key AS TEXT) = 'key-1'", "is another before"),
        ("DELETE FROM records WHERE CAST(key AS TEXT) = 'key-0'", "is another before"),
        ("DELETE FROM records WHERE CAST(key AS TEXT) LIKE 'key%'", "ends before"),
    ],
)
async def test_nothing_is_signed_when_control_no_longer_goes_on_from_what_was(
    streams: Streams, db: sqlite3.Connection, tmp_path: Path, statement: str, why: str
) -> None:
    """Truncated, rewritten or emptied, with the topic of statements emptied too."""
    await an_issuer(tmp_path).issue(streams)
    db.execute(statement)
    db.execute("DELETE FROM records WHERE key = x'66726573686e657373'")
    with pytest.raises(ControlRewritten, match=why):
        await an_issuer(tmp_path, at=NOW + 1).issue(streams)
    assert await statements(streams) == []


async def test_what_another_issuer_said_is_gone_by_too(
    streams: Streams, db: sqlite3.Connection, tmp_path: Path
) -> None:
    """Without a memory of its own, an issuer goes by the scheme's last word on the topic."""
    await an_issuer(tmp_path).issue(streams)
    (tmp_path / "freshness.jws").unlink()
    await an_issuer(tmp_path, at=NOW + 1).issue(streams)
    (tmp_path / "freshness.jws").unlink()
    db.execute("DELETE FROM records WHERE CAST(key AS TEXT) = 'key-2'")
    with pytest.raises(ControlRewritten):
        await an_issuer(tmp_path, at=NOW + 2).issue(streams)


async def test_a_memory_that_somebody_altered_is_not_believed(
    streams: Streams, tmp_path: Path
) -> None:
    """The file is signed: one that says less is found."""
    await an_issuer(tmp_path).issue(streams)
    said_less = Statement(NOW, 0, chain_of([]).at(0) or b"").sign(key_of("somebody"))
    (tmp_path / "freshness.jws").write_text(said_less)
    with pytest.raises(BadMemory):
        await an_issuer(tmp_path).issue(streams)


@pytest.mark.parametrize(("limit", "pause"), [(LIMIT, 60.0), (10_000, 2.0), (10**12, 60.0)])
def test_statements_come_often_enough_for_some_to_be_missed(limit: int, pause: float) -> None:
    """Five within the time for which one counts, and at least one a minute."""
    assert pause_seconds(limit) == pause

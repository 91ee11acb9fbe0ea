"""Nothing was left out of the log, and nothing made up: the parties' own counts say so."""

import asyncio
import json
import shutil
import sqlite3
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from commands import concordat_here
from town import COUNCIL, SCHOOL, Town, a_placement, found_town, the_agreement

from broker.edge import publisher_of
from broker.evidence.following import EvidenceWorker
from broker.evidence.writing import writing
from broker.scheme import SchemeFolder
from broker.settings import read_settings
from connectors.streams import Outgoing
from schemas.counting import COUNTS, Side
from schemas.keys import SigningKey

Work = Callable[[Town], Awaitable[None]]


def work_on(folder: Path, *works: Work) -> None:
    """Do something in a town, and take what it decided into the log."""

    async def work() -> None:
        scheme = SchemeFolder(read_settings(folder, {}))
        async with scheme.streams() as streams:
            for one in works:
                await one(Town(scheme, streams))
            with writing(scheme.log_path, scheme.log_keys, origin=scheme.log_origin) as writer:
                await EvidenceWorker(streams, writer).catch_up()

    asyncio.run(work())


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scheme whose council shared five placements with the school, which received them."""
    folder = tmp_path_factory.mktemp("made") / "town"

    async def prepare() -> None:
        async with found_town(folder) as found:
            await found.agree(the_agreement())

    async def share(town: Town) -> None:
        await town.publish(5)
        await town.route()
        await town.receive()

    asyncio.run(prepare())
    work_on(folder, share)
    return folder


@pytest.fixture
def town(made: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return shutil.copytree(made, tmp_path / "town")


def state(folder: Path) -> Any:
    """Let the parties state what they counted."""
    done = concordat_here("counts", "sign", "--json", folder=folder)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["stated"]


def reconciled(folder: Path, *, agrees: bool) -> Any:
    """Reconcile, and see that the exit status tells what the answer does."""
    asked = ("audit", "reconcile", "--reason", "AUD-2026-07", "--json")
    done = concordat_here(*asked, folder=folder)
    found = json.loads(done.stdout)
    assert (done.returncode == 0) == found["agrees"] == agrees, done.stderr
    return found


def of(found: Any, party: str) -> Any:
    """Return what was said of one party."""
    (one,) = (one for one in found["counts"] if one["party"] == party)
    return one


def test_counts_and_log_agree_and_that_it_was_asked_is_on_record(town: Path) -> None:
    """Published and opened; a second statement only where more was counted."""
    assert state(town) == {COUNCIL: 1, SCHOOL: 1}
    assert state(town) == {COUNCIL: 0, SCHOOL: 0}
    found = reconciled(town, agrees=True)
    assert (of(found, COUNCIL)["counted"], of(found, SCHOOL)["counted"]) == (5, 5)
    assert (found["differences"], found["problems"], found["shredded"]) == (0, [], 0)
    decisions = town / "streams.db"
    assert b"audit reconcile" in b"".join(
        value for (value,) in sqlite3.connect(decisions).execute("SELECT value FROM records")
    )


def test_a_party_that_stated_nothing_is_told(town: Path) -> None:
    """Completeness is not shown then."""
    found = reconciled(town, agrees=False)
    assert of(found, COUNCIL)["counted"] is None
    shown = concordat_here("audit", "reconcile", "--reason", "AUD-2026-07", folder=town)
    assert f"{COUNCIL} published: nothing stated, 5 in the log" in shown.stdout


async def _publish_again(town: Town) -> None:
    """Publish what was published before: its ids are the same."""
    publisher = await publisher_of(town.scheme, town.streams, COUNCIL)
    await publisher.publish(a_placement(number) for number in range(5))
    await town.route()


def test_what_is_published_or_delivered_again_is_counted_once(town: Path) -> None:
    """A source that is read again, and a consumer group that begins anew."""
    work_on(town, _publish_again)
    with sqlite3.connect(town / "streams.db") as database:
        database.execute("UPDATE positions SET next_offset = 0 WHERE grp LIKE ?", [f"{SCHOOL}.%"])
    assert concordat_here("receive", "--as", SCHOOL, folder=town).returncode == 0
    state(town)
    found = reconciled(town, agrees=True)
    assert (of(found, COUNCIL)["counted"], of(found, SCHOOL)["counted"]) == (5, 5)


async def _publish_more(town: Town) -> None:
    publisher = await publisher_of(town.scheme, town.streams, COUNCIL)
    await publisher.publish(a_placement(number) for number in range(100, 103))


async def _route(town: Town) -> None:
    await town.route()


def test_what_was_signed_and_not_decided_is_named(town: Path) -> None:
    """It waits, or it is nowhere; when it is decided, nothing differs any more."""
    work_on(town, _publish_more)
    state(town)
    council = of(reconciled(town, agrees=False), COUNCIL)
    assert (council["counted"], council["logged"]) == (8, 5)
    assert [one["why"] for one in council["only_counted"]] == ["waits to be decided"] * 3
    lost = council["only_counted"][0]["event_id"]
    with sqlite3.connect(town / "streams.db") as database:
        (row,) = (
            row
            for row, headers in database.execute("SELECT id, headers FROM records").fetchall()
            if lost.encode() in (headers or b"")
        )
        database.execute("DELETE FROM records WHERE id = ?", [row])
    work_on(town, _route)
    (one,) = of(reconciled(town, agrees=False), COUNCIL)["only_counted"]
    assert one == {"event_id": lost, "why": "it is not on the stream"}


def test_what_was_delivered_and_not_opened_is_named(town: Path) -> None:
    """Until the school has received it, and stated so."""
    work_on(town, _publish_more, _route)
    state(town)
    found = reconciled(town, agrees=False)
    assert of(found, COUNCIL)["agrees"]
    assert len(of(found, SCHOOL)["only_logged"]) == 3
    assert {one["why"] for one in of(found, SCHOOL)["only_logged"]} == {"it was not opened"}
    assert concordat_here("receive", "--as", SCHOOL, folder=town).returncode == 0
    assert state(town) == {COUNCIL: 0, SCHOOL: 1}
    reconciled(town, agrees=True)


def test_a_decision_that_a_publisher_does_not_know_of_is_named(town: Path) -> None:
    """As when somebody else has its key, or the operator makes events up."""
    with sqlite3.connect(town / "parties" / COUNCIL / "counts.db") as database:
        ((element,),) = database.execute("SELECT element FROM counted LIMIT 1")
        database.execute("DELETE FROM counted WHERE element = ?", [element])
    state(town)
    (one,) = of(reconciled(town, agrees=False), COUNCIL)["only_logged"]
    assert one["event_id"].replace("-", "") == element.hex()
    assert one["why"] == "the publisher has not counted it"


def test_a_delivery_that_the_log_has_not_is_named(town: Path) -> None:
    """The recipient has opened something of which there is no decision."""
    event = "00000000-0000-5000-8000-000000000001"
    with sqlite3.connect(town / "parties" / SCHOOL / "counts.db") as database:
        database.execute(
            "INSERT INTO counted SELECT side, ?, type, published_ms, month FROM counted LIMIT 1",
            [bytes.fromhex(event.replace("-", "")) + bytes(16)],
        )
    state(town)
    found = of(reconciled(town, agrees=False), SCHOOL)
    assert found["only_counted"] == [{"event_id": event, "why": "the log has no such delivery"}]


async def _forge(town: Town) -> None:
    """Write statements that the council did not sign, or not under that name."""
    scheme, at = town.scheme.scheme_key.kid, datetime.now(UTC)
    ledger = town.scheme.ledger(COUNCIL)
    (own,) = ledger.statements(Side.PUBLISHED)
    month = f"{at:%Y-%m}"
    forged = ledger.state(
        Side.PUBLISHED, month, SigningKey.generate(), scheme=scheme, party=COUNCIL, at=at
    )
    records = [(COUNCIL, forged), (SCHOOL, own), (COUNCIL, "no statement"), (COUNCIL, own)]
    await town.streams.append(
        [Outgoing(COUNTS, party.encode(), token.encode()) for party, token in records]
    )


def test_what_a_party_did_not_sign_changes_nothing(town: Path) -> None:
    """Anybody may write to the topic."""
    state(town)
    work_on(town, _forge)
    found = reconciled(town, agrees=True)
    assert of(found, COUNCIL)["statement"] == 1


def test_a_statement_that_was_taken_away_is_missed(town: Path) -> None:
    """They are numbered, so the operator cannot leave one out that says too much."""
    state(town)
    work_on(town, _publish_more, _route)
    assert concordat_here("receive", "--as", SCHOOL, folder=town).returncode == 0
    state(town)
    reconciled(town, agrees=True)
    with sqlite3.connect(town / "streams.db") as database:
        database.execute(
            "DELETE FROM records WHERE id = (SELECT min(records.id) FROM records JOIN logs"
            " ON records.id >> 40 = logs.id WHERE topic = 'counts')"
        )
    found = reconciled(town, agrees=False)
    assert [one["code"] for one in found["problems"]] == ["statement-missing"]
    assert found["differences"] == 0

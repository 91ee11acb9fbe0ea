"""Whom somebody says was told of a retraction is held against who had the event.

A real scheme shares, revokes and takes back; then the record of the notices is written anew
before it comes to the log, as only the operator could.
"""

import asyncio
import contextlib
import dataclasses
import io
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import fastavro
import pytest
from commands import concordat_here
from decision_records import decision_records
from town import COUNCIL, SCHOOL, a_placement, found_town, the_agreement

from agreements.signatures import SignatureType
from broker.acts import record_act
from broker.edge import publisher_of
from broker.evidence import notices
from broker.evidence.exporting import Source, export
from broker.evidence.following import EvidenceWorker
from broker.evidence.offline import verify
from broker.evidence.reading import LogFiles
from broker.evidence.shredding import Plan, acts_of
from broker.evidence.verified import Verified
from broker.evidence.writing import writing
from broker.explaining import NoDecision, explain
from broker.periods import Period
from broker.recording import FINGERPRINT, SCHEMA, read_decision
from broker.routing import DECISIONS
from broker.scheme import SchemeFolder
from broker.settings import read_settings
from connectors.streams import Outgoing, Streams
from schemas.framing import frame

Decision = dict[str, Any]
Change = Callable[[Decision], Decision]


class Taken(NamedTuple):
    """A scheme in which an event was taken back, and the ids of all that was published."""

    folder: Path
    taken_back: str
    refused: str
    """An event that nobody received."""
    retraction: str

    @property
    def scheme(self) -> SchemeFolder:
        """The scheme of the folder."""
        return SchemeFolder(read_settings(self.folder, {}))


@pytest.fixture(scope="module", name="taken")
def a_town_that_took_back(tmp_path_factory: pytest.TempPathFactory) -> Taken:
    """A placement was shared, the agreement revoked, and the placement taken back."""
    folder = tmp_path_factory.mktemp("retractions") / "town"

    async def live() -> Taken:
        async with found_town(folder) as town:
            await town.agree(the_agreement())
            publisher = await publisher_of(town.scheme, town.streams, COUNCIL)
            event = a_placement(1)
            (taken_back,) = (await publisher.publish([event])).ids
            await publisher.publish([a_placement(2)])
            await town.route()
            await town.sign(the_agreement(), SCHOOL, SignatureType.REVOKE)
            (refused,) = (await publisher.publish([a_placement(3)])).ids
            back = dataclasses.replace(event, retracts=event)
            (retraction,) = (await publisher.publish([back])).ids
            with town.scheme.telling(town.streams) as telling:
                await town.scheme.service(town.streams, telling=telling).run(until_idle=True)
            return Taken(folder, taken_back, refused, retraction)

    return asyncio.run(live())


def on_streams(taken: Taken, work: Callable[[Streams], Any]) -> Any:
    """Do something with a scheme's streams."""

    async def run() -> Any:
        opened: AbstractAsyncContextManager[Streams] = taken.scheme.streams()
        async with opened as streams:
            return await work(streams)

    return asyncio.run(run())


def altered(taken: Taken, to: Path, change: Change) -> Taken:
    """Return a copy of a scheme in which the record of notices is another."""
    shutil.copytree(taken.folder, to)
    copy = taken._replace(folder=to)

    async def last(streams: Streams) -> Any:
        return (await decision_records(streams))[-1]

    record = on_streams(copy, last)
    other = io.BytesIO()
    fastavro.schemaless_writer(other, SCHEMA, change(read_decision(record.value)))
    with contextlib.closing(sqlite3.connect(to / "streams.db")) as database, database:
        done = database.execute(
            "UPDATE records SET value = ? WHERE value = ?",
            (frame(FINGERPRINT, other.getvalue()), record.value),
        )
        assert done.rowcount == 1
    return copy


def logged(taken: Taken) -> None:
    """Bring the log up to date."""
    scheme = taken.scheme

    async def work(streams: Streams) -> None:
        with writing(scheme.log_path, scheme.log_keys, origin=scheme.log_origin) as writer:
            await EvidenceWorker(streams, writer).catch_up()

    on_streams(taken, work)


def verified(taken: Taken, to: Path, *, period: Period | None = None) -> Verified:
    """Export a scheme's log and verify what came of it."""
    logged(taken)
    scheme = taken.scheme

    async def work(streams: Streams) -> None:
        source = Source(
            log=LogFiles(scheme.log_path),
            keys=scheme.log_keys,
            origin=scheme.log_origin,
            streams=streams,
            scheme_key=scheme.scheme_key,
            sealing=scheme.broker_keys.sealing,
        )
        await export(source, to, period=period or Period())

    on_streams(taken, work)
    return verify(to, scheme.log_keys.public(scheme.log_origin))


def found(result: Verified) -> list[str]:
    """Return what deciding again found."""
    return [one.message for one in result.problems if one.code == "decided-otherwise"]


def of_notice(**other: Any) -> Change:
    """Return a change of the one notice in a record."""
    return lambda record: {**record, "candidates": [record["candidates"][0] | other]}


def of_record(**other: Any) -> Change:
    """Return a change of what a record of notices says of its event."""
    return lambda record: record | other


def same(record: Decision) -> Decision:
    """Change nothing."""
    return record


# -- verify ------------------------------------------------------------------------------


def test_notices_verify_although_the_agreement_was_revoked_between(
    taken: Taken, tmp_path: Path
) -> None:
    """Written anew as it was, the record is as good: what the cases below change is what tells."""
    result = verified(altered(taken, tmp_path / "town", same), tmp_path / "out")
    assert result.problems == []
    assert (result.counts["decided_again"], result.counts["deliveries"]) == (5, 3)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (of_notice(recipient=COUNCIL), "no agreement has the flow"),
        (of_notice(items=["upn"]), "a notice that gives nothing"),
        (of_notice(withheld={"upn": "absent"}), "a notice that gives nothing"),
        (of_notice(reason=""), "a notice that gives nothing"),
        (of_notice(detail="5f0c7a52-6a0e-5d3c-9a64-0d1f2b3c4d5e"), "no earlier record permits"),
        (of_notice(version=2), "no agreement has the flow"),
        (of_notice(hash=bytes(32)), "is another text"),
        (of_notice(purpose="another"), "another purpose"),
        (of_notice(key="another"), "another key"),
        (of_notice(view=b"8 bytes."), "a notice that gives nothing"),
        (of_record(candidates=[]), "names nobody"),
        (of_record(eventType="uk.gov.another.v1"), "do not fit"),
        (of_record(offset=0), "another offset"),
        (of_record(digest=bytes(32)), "another digest"),
        (of_record(subjects=[]), "another subjects"),
        (of_record(eventId="5f0c7a52-6a0e-5d3c-9a64-0d1f2b3c4d5e"), "was not decided before"),
    ],
)
def test_a_record_of_notices_that_says_something_else_is_found(
    taken: Taken, tmp_path: Path, change: Change, says: str
) -> None:
    """In whom it tells, of what, and what it gives; and of which event it says to be."""
    messages = found(verified(altered(taken, tmp_path / "town", change), tmp_path / "out"))
    assert any(says in one for one in messages), messages
    ids = (taken.taken_back, taken.retraction)
    assert not any(one in message for one in ids for message in messages)


def test_a_notice_of_an_event_that_was_refused_is_found(taken: Taken, tmp_path: Path) -> None:
    """The event is there, and nobody had it."""
    change = of_notice(detail=taken.refused)
    messages = found(verified(altered(taken, tmp_path / "town", change), tmp_path / "out"))
    assert [one.partition(": ")[2][:26] for one in messages] == ["no earlier record permits "]


def test_a_recipient_that_is_told_twice_is_found(taken: Taken, tmp_path: Path) -> None:
    """Under one flow once."""

    def twice(record: Decision) -> Decision:
        return record | {"candidates": record["candidates"] * 2}

    messages = found(verified(altered(taken, tmp_path / "town", twice), tmp_path / "out"))
    assert any("twice under one flow" in one for one in messages)


def test_a_retraction_of_which_is_told_twice_is_found(taken: Taken, tmp_path: Path) -> None:
    """A second record of the same, in whatever place."""
    folder = tmp_path / "town"
    shutil.copytree(taken.folder, folder)
    copy = taken._replace(folder=folder)

    async def again(streams: Streams) -> None:
        last = (await decision_records(streams))[-1]
        await streams.append([Outgoing(DECISIONS, last.key, last.value)])

    on_streams(copy, again)
    result = verified(copy, tmp_path / "out")
    assert [one.code for one in result.problems if one.code == "settled-twice"]


def test_many_claims_are_looked_for_in_parts(
    taken: Taken, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory has an end; what is found has none."""
    monkeypatch.setattr(notices, "_TOGETHER", 1)
    change = of_notice(detail=taken.refused)
    assert found(verified(altered(taken, tmp_path / "town", change), tmp_path / "out"))


def test_of_what_is_left_out_or_shredded_nothing_is_said(taken: Taken, tmp_path: Path) -> None:
    """Records that may have permitted it are not here; but one that is here still tells."""
    changed = altered(taken, tmp_path / "town", same)
    logged(changed)

    async def decided(streams: Streams) -> list[Decision]:
        return [read_decision(one.value or b"") for one in await decision_records(streams)]

    last = on_streams(changed, decided)[-1]["decidedAt"]
    alone = verified(changed, tmp_path / "alone", period=Period(since=last))
    assert (alone.problems, alone.counts["decided_again"]) == ([], 1)
    shred(changed, taken.taken_back)
    assert verified(changed, tmp_path / "shredded").problems == []
    lying = altered(taken, tmp_path / "lying", of_notice(detail=taken.refused))
    logged(lying)
    shred(lying, taken.taken_back)
    assert len(found(verified(lying, tmp_path / "lie"))) == 1


def shred(taken: Taken, event_id: str) -> None:
    """Shred the first record of an event, on the record."""
    log = LogFiles(taken.scheme.log_path)
    index = next(at for at, kept in enumerate(log.records(0)) if event_id.encode() in kept.content)
    made = Plan(datetime.now(UTC), {"retention P1D": [index]})
    (act,) = acts_of(made, log, by="the test", at=datetime.now(UTC))

    async def work(streams: Streams) -> None:
        await record_act(streams, act)

    on_streams(taken, work)
    logged(taken)


# -- explain -----------------------------------------------------------------------------


def explained(taken: Taken, **asked: Any) -> dict[str, Any]:
    """Explain the retraction."""

    async def work(streams: Streams) -> Any:
        return await explain(taken.scheme, streams, taken.retraction, **asked)

    told: dict[str, Any] = on_streams(taken, work)
    return told


def test_who_was_told_is_explained_and_comes_out_again(taken: Taken) -> None:
    """Of which event, when, and under which agreement; and what its own flows made of it."""
    told = explained(taken)
    assert (told["agrees"], told["settled"]) == (True, [])
    assert [one["reason"] for one in told["decisions"]] == ["revoked"]
    (told_of,) = told["notices"]
    assert (told_of["agrees"], told_of["event_held"], told_of["control_is_whole"]) == (True,) * 3
    assert told_of["retracts"] == taken.taken_back
    (notice,) = told_of["decisions"]
    agreement = the_agreement()
    names = (notice["recipient"], notice["agreement"], notice["version"], notice["outcome"])
    assert names == (SCHOOL, agreement.id, 1, "permit")
    assert (notice["items"], notice["checks"]) == ([], [])
    assert explained(taken, recipient=SCHOOL)["notices"]
    with pytest.raises(NoDecision, match="names no recipient"):
        explained(taken, recipient="nobody")


@pytest.mark.parametrize(
    "change",
    [
        of_notice(recipient=COUNCIL),
        of_notice(items=["upn"]),
        of_notice(detail="5f0c7a52-6a0e-5d3c-9a64-0d1f2b3c4d5e"),
        of_record(candidates=[]),
        of_record(digest=bytes(32)),
    ],
)
def test_a_record_of_notices_that_was_altered_does_not_agree(
    taken: Taken, tmp_path: Path, change: Change
) -> None:
    """It is made again from the copy that the router left, and from who had the event."""
    told = explained(altered(taken, tmp_path / "town", change))
    assert told["agrees"] is False


def test_notices_of_an_event_whose_records_are_gone_are_told_and_not_made_again(
    taken: Taken, tmp_path: Path
) -> None:
    """Nobody can say any more who had it."""
    copy = altered(taken, tmp_path / "town", same)

    async def first(streams: Streams) -> Any:
        named = taken.taken_back.encode()
        every = [one.value or b"" for one in await decision_records(streams)]
        return next(value for value in every if named in value)

    gone = on_streams(copy, first)
    with contextlib.closing(sqlite3.connect(copy.folder / "streams.db")) as database, database:
        assert database.execute("DELETE FROM records WHERE value = ?", (gone,)).rowcount == 1
    told = explained(copy)
    assert (told["agrees"], told["notices"][0]["retracts"]) == (None, taken.taken_back)


def test_the_command_says_who_was_told(taken: Taken, tmp_path: Path) -> None:
    """In plain English, and by its exit status when the record is not what comes out."""
    copy = altered(taken, tmp_path / "town", same)
    done = concordat_here("explain", taken.retraction, folder=copy.folder)
    assert done.returncode == 0, done.stderr
    assert f"It takes back event {taken.taken_back}" in done.stdout
    assert f"{SCHOOL}: told\n" in done.stdout
    assert "it agrees" in done.stdout
    other = altered(taken, tmp_path / "other", of_notice(items=["upn"]))
    done = concordat_here("explain", taken.retraction, folder=other.folder)
    assert (done.returncode, "does NOT agree" in done.stdout) == (1, True)

"""What is done besides deciding is on record: changes of control, questions, administration."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from commands import answer_here, concordat_here
from decision_records import acts_in, decision_records
from town import COUNCIL, SCHOOL, WHO, Town, found_town, now, the_agreement, version_two

from agreements.canonical import canonical_form
from agreements.signatures import SignatureType
from broker.acts import Act, ActKind, act_record, officer, read_act
from broker.administration import put_agreement, sign_agreement, standings
from broker.control import TOPIC as CONTROL
from broker.recording import read_decision
from broker.relaying import Relay
from broker.saying import Saying
from broker.scheme import SchemeFolder
from broker.settings import read_settings
from broker.submitting import say
from connectors.streams import Outgoing, Streams, StreamsUnavailable
from schemas.control import Kind, document_key


@pytest_asyncio.fixture(name="town")
async def a_town(tmp_path: Path) -> AsyncIterator[Town]:
    """Found a scheme on the embedded streams."""
    async with found_town(tmp_path / "town") as town:
        yield town


async def on_control(streams: Streams) -> Counter[tuple[str, bytes]]:
    """Return key and digest of each document, as often as it is there."""
    return Counter(
        [
            ((record.key or b"").decode(), sha256(record.value or b"").digest())
            async for record in streams.read(CONTROL)
        ]
    )


async def told_of_control(streams: Streams) -> Counter[tuple[str, bytes]]:
    """Return what acts tell of in the same form."""
    acts = await of_kind(streams, ActKind.CONTROL)
    return Counter((act.about, act.digest) for act in acts)


async def of_kind(streams: Streams, kind: ActKind) -> list[Act]:
    """Return the acts of a kind."""
    return [act for act in await acts_in(streams) if act.kind is kind]


# -- control ---------------------------------------------------------------------------------


async def test_every_document_on_control_has_its_act(tmp_path: Path, streams_url: str) -> None:
    """Parties, agreements, schemas and what parties say: with who did it; on streams of each kind.

    And the decisions that are made meanwhile are what they would be without.
    """
    async with found_town(tmp_path / "town", streams=streams_url) as town:
        await town.agree(the_agreement())
        await town.publish(3)
        assert await town.route() == {"accepted": 3, "permit": 3}
        await town.sign(the_agreement(), SCHOOL, SignatureType.REVOKE)
        assert (await told_of_control(town.streams)) == await on_control(town.streams)
        acts = await of_kind(town.streams, ActKind.CONTROL)
        who = {act.about.partition("|")[0]: act.by for act in acts}
        assert who == {
            "party": officer(),
            "agreement": officer(),
            "schema": officer(),
            "signature": WHO.name,
        }
        assert [act.at for act in acts] == sorted(act.at for act in acts)
        assert len(await decision_records(town.streams)) == 3


async def test_a_decision_comes_after_the_act_of_every_rule_that_it_goes_by(town: Town) -> None:
    """So whoever reads the log knows the rules before what they led to."""
    await town.agree(the_agreement())
    await town.publish()
    await town.route()
    (decided,) = await decision_records(town.streams)
    acts = 0
    async for record in town.streams.read("decisions"):
        if record.offset == decided.offset:
            break
        acts += 1
    assert acts >= read_decision(decided.value or b"")["rules"]


async def test_what_waited_is_told_as_of_when_it_was_done(town: Town) -> None:
    """The officer and the officer's time, not the relay's."""
    await put_agreement(town.scheme, None, the_agreement(), name="agreement", by="A. Officer")
    waiting = town.scheme.store.outbox.unpublished()
    before = len(await acts_in(town.streams))
    assert await Relay(town.scheme, town.streams).turn() == 2
    told = (await acts_in(town.streams))[before:]
    assert {act.by for act in told} == {"A. Officer"}
    assert [act.at for act in told] == [to_the_millisecond(one.made_at) for one in waiting]
    assert (await told_of_control(town.streams)) == await on_control(town.streams)


def to_the_millisecond(moment: datetime) -> datetime:
    """Return a time as a record keeps it."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


async def test_a_document_that_is_appended_twice_has_two_acts(town: Town) -> None:
    """The answer to the append is lost: neither document nor act is there without the other."""
    append, lost = town.streams.append, 0

    async def taken_but_not_told(outgoing: Any) -> None:
        nonlocal lost
        await append(outgoing)
        if not lost and any(one.topic == CONTROL for one in outgoing):
            lost += 1
            raise StreamsUnavailable("the test's own")

    town.streams.append = taken_but_not_told  # type: ignore[method-assign]
    await town.agree(the_agreement())
    assert lost == 1
    assert (await told_of_control(town.streams)) == await on_control(town.streams)


async def test_what_others_put_on_control_has_an_act_once_the_register_knows_it(
    town: Town,
) -> None:
    """Once, whoever looks; rubbish, which routers pass over, has none."""
    agreement = the_agreement()
    key = document_key(Kind.AGREEMENT, agreement.id, agreement.version)
    text = canonical_form(agreement)
    rubbish = (b"agreement|https://evil.example|1", b"not json")
    await town.streams.append([Outgoing(CONTROL, *rubbish), Outgoing(CONTROL, key, text)])
    before = len(await acts_in(town.streams))
    for _ in range(2):
        await standings(again(town), town.streams)
    (told,) = (await acts_in(town.streams))[before:]
    assert (told.about, told.digest) == (key.decode(), sha256(text).digest())
    assert (told.by, told.reason) == ("register", "found on control, put there by somebody else")


async def test_what_others_put_there_is_not_taken_in_without_its_act(town: Town) -> None:
    """The streams take no act: the command goes on, and the next one makes good for it."""
    append = town.streams.append

    async def away(_: Any) -> None:
        raise StreamsUnavailable("the test's own")

    key = document_key(Kind.AGREEMENT, the_agreement().id, 1)
    await append([Outgoing(CONTROL, key, canonical_form(the_agreement()))])
    town.streams.append = away  # type: ignore[method-assign]
    assert len(await standings(again(town), town.streams)) == 1
    assert town.scheme.store.get("agreement", the_agreement().id) is None
    town.streams.append = append  # type: ignore[method-assign]
    await standings(again(town), town.streams)
    assert town.scheme.store.get("agreement", the_agreement().id) is not None
    assert (await told_of_control(town.streams)) == await on_control(town.streams)


async def test_the_schemas_that_a_router_puts_there_are_the_brokers_act(town: Town) -> None:
    """Such as after an upgrade: nobody else did it."""
    agreement = the_agreement()
    key = document_key(Kind.AGREEMENT, agreement.id, agreement.version)
    await town.streams.append([Outgoing(CONTROL, key, canonical_form(agreement))])
    for party in (COUNCIL, SCHOOL):
        await town.sign(agreement, party)
    await town.publish()
    assert await town.route() == {"accepted": 1, "permit": 1}
    told = [act for act in await acts_in(town.streams) if act.about.startswith("schema|")]
    assert [act.by for act in told] == ["broker"]
    assert (await told_of_control(town.streams)) == await on_control(town.streams)


async def test_a_stop_that_does_not_wait_for_the_store_has_its_act(town: Town) -> None:
    """In the name of who says stop."""
    await town.agree(the_agreement())
    for file in town.scheme.path.glob("store.db*"):
        file.unlink()
    (town.scheme.path / "store.db").write_bytes(b"not a database" * 100)
    suspending = Saying(SignatureType.SUSPEND, SCHOOL, WHO, now(), reason="A breach")
    await say(again(town), town.streams, suspending, agreement_id=the_agreement().id)
    told = (await acts_in(town.streams))[-1]
    assert told.about.endswith("|suspend")
    assert told.by == WHO.name
    assert (await told_of_control(town.streams)) == await on_control(town.streams)


def again(town: Town) -> SchemeFolder:
    """Return the scheme as another process would open it."""
    return SchemeFolder(read_settings(town.scheme.path, {}))


# -- questions -------------------------------------------------------------------------------


async def run(town: Town, *arguments: object) -> tuple[int, str]:
    """Run a command on the scheme; returns its status and what it said of errors."""
    done = await asyncio.to_thread(concordat_here, *arguments, folder=town.scheme.path)
    return done.returncode, done.stderr


async def test_who_has_a_decision_explained_is_on_record(town: Town) -> None:
    """Who, why and how many: what is found, and that nothing is."""
    await town.agree(the_agreement())
    await town.publish()
    await town.route()
    (record,) = await decision_records(town.streams)
    event = read_decision(record.value or b"")["eventId"]
    assert (await run(town, "explain", event))[0] == 0
    asked = ("--by", "A. Auditor", "--reason", "SAR-2026-014")
    assert (await run(town, "explain", event, *asked))[0] == 0
    assert (await run(town, "explain", "9434765919", *asked))[0] == 1
    first, second, third = await of_kind(town.streams, ActKind.READING)
    assert (first.by, first.reason, first.results) == (officer(), "to explain a decision", 1)
    assert (second.by, second.reason, second.results) == ("A. Auditor", "SAR-2026-014", 1)
    assert first.about == second.about == f"explain {event}"
    assert third.results == 0
    assert "9434765919" not in str(third.to_json())


async def test_a_question_that_cannot_be_recorded_is_not_answered(town: Town) -> None:
    """A reason that names a person, and streams that take no record."""
    await town.publish()
    await town.route()
    (record,) = await decision_records(town.streams)
    event = read_decision(record.value or b"")["eventId"]
    done = await asyncio.to_thread(
        concordat_here, "explain", event, "--reason", "about 943 476 5919", folder=town.scheme.path
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "what looks like a person's nhs-number" in done.stderr
    assert "943" not in done.stderr
    assert await of_kind(town.streams, ActKind.READING) == []


async def test_a_question_does_not_alter_what_is_explained(town: Town) -> None:
    """The record of the first has the event's id in it, and is no decision."""
    await town.agree(the_agreement())
    await town.publish()
    await town.route()
    (record,) = await decision_records(town.streams)
    event = read_decision(record.value or b"")["eventId"]
    answers = [
        await asyncio.to_thread(answer_here, "explain", event, folder=town.scheme.path)
        for _ in range(2)
    ]
    assert answers[0] == answers[1]


async def test_an_export_is_on_record_or_it_is_not_handed_out(
    town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who took the log away, why, and how many records of it."""
    await run(town, "evidence", "update")
    asked = ("--by", "A. Auditor", "--reason", "MoU audit 2026", "--since", "2026-01-01")
    out = tmp_path / "out"
    assert await run(town, "evidence", "export", "--to", out, *asked) == (0, "")
    (reading,) = await of_kind(town.streams, ActKind.READING)
    assert (reading.by, reading.reason) == ("A. Auditor", "MoU audit 2026")
    assert reading.about == "evidence export, decided from 2026-01-01 to the last"
    assert reading.results == 4, "the founding, two parties and the broker"
    refused = tmp_path / "refused"
    asked = ("--reason", "about 943 476 5919")
    assert (await run(town, "evidence", "export", "--to", refused, *asked))[0] == 1
    assert not refused.exists()

    async def away(*_: Any, **__: Any) -> None:
        raise StreamsUnavailable("the test's own")

    monkeypatch.setattr("broker.acts.record_act", away)
    assert await run(town, "evidence", "export", "--to", refused) == (
        1,
        "concordat: the test's own\n",
    )
    assert not refused.exists()


async def test_who_asked_can_be_asked(town: Town) -> None:
    """From the log's files and from what is not in them yet; and that is a question as well."""
    await town.agree(the_agreement())
    await town.publish()
    await town.route()
    (record,) = await decision_records(town.streams)
    event = read_decision(record.value or b"")["eventId"]
    await run(town, "explain", event, "--by", "A. Auditor", "--reason", "SAR-2026-014")
    await run(town, "evidence", "update")
    await run(town, "explain", event, "--by", "B. Auditor", "--reason", "SAR-2026-015")
    asking = ("audit", "acts", "--kind", "reading", "--by", "C. Officer", "--reason", "yearly look")
    first, second = [
        (await asyncio.to_thread(answer_here, *asking, folder=town.scheme.path))["acts"]
        for _ in range(2)
    ]
    assert [(one["by"], one["results"]) for one in first] == [("A. Auditor", 1), ("B. Auditor", 1)]
    assert second[:2] == first
    assert (second[2]["by"], second[2]["results"]) == ("C. Officer", 2)
    entries = [one["entry"] for one in second]
    values = [record.value async for record in town.streams.read("decisions")]
    assert [read_act(values[entry] or b"").by for entry in entries] == [one["by"] for one in second]
    everything = await asyncio.to_thread(
        concordat_here, "audit", "acts", "--reason", "yearly look", folder=town.scheme.path
    )
    assert everything.returncode == 0, everything.stderr
    assert f"explain {event}" in everything.stdout
    assert "control  by Somebody" in everything.stdout
    missing = await run(town, "audit", "acts")
    assert missing[0] == 2


async def test_what_others_have_written_does_nothing_to_a_terminal(town: Town) -> None:
    """The key of a document and the name of a signatory are for their makers to choose."""
    hostile = Act(ActKind.CONTROL, now(), "\x1b[2JA", "agreement|\x1b]0;gone\x07|1")
    await town.streams.append([act_record(hostile)])
    done = await asyncio.to_thread(
        concordat_here, "audit", "acts", "--reason", "yearly look", folder=town.scheme.path
    )
    assert done.returncode == 0, done.stderr
    assert all(letter.isprintable() or letter == "\n" for letter in done.stdout)


async def test_acts_are_no_unreadable_decisions(town: Town) -> None:
    """What counts decisions over a period counts decisions."""
    await town.agree(the_agreement())
    await town.publish(2)
    await town.route()
    found = await asyncio.to_thread(answer_here, "agreement", "drift", folder=town.scheme.path)
    assert (found["decisions"], found["unreadable"]) == (2, 0)


# -- administration --------------------------------------------------------------------------


async def test_what_administrators_do_is_on_record(town: Town, tmp_path: Path) -> None:
    """Founding a scheme, giving out a private key, making the log again."""
    key = tmp_path / "key.json"
    assert (await run(town, "key", "export", SCHOOL, "--out", key))[0] == 0
    await run(town, "evidence", "update")
    asked = ("--by", "A. Operator", "--reason", "disk replaced")
    assert (await run(town, "evidence", "rebuild", *asked))[0] == 0
    founded, exported, rebuilt = await of_kind(town.streams, ActKind.ADMINISTRATION)
    assert founded.about == f"scheme founded, its key is {town.scheme.scheme_key.kid}"
    kid = town.scheme.party_keys(SCHOOL).signing[0].public.kid
    assert exported.about == f"private key {kid} of {SCHOOL} exported"
    assert exported.by == officer()
    assert (rebuilt.by, rebuilt.reason) == ("A. Operator", "disk replaced")
    assert rebuilt.results == 5, "the founding, two parties and the broker, the export"


async def test_a_private_key_is_not_given_out_unrecorded(town: Town, tmp_path: Path) -> None:
    """The streams are away: no record, no file."""
    settings = town.scheme.path / "concordat.toml"
    text = settings.read_text("utf-8")
    settings.write_text(text.replace("sqlite:streams.db", "sqlite:nowhere/streams.db"), "utf-8")
    key = tmp_path / "key.json"
    status, told = await run(town, "key", "export", SCHOOL, "--out", key)
    assert (status, key.exists()) == (1, False), told


async def test_founding_again_what_is_there_is_no_act(town: Town) -> None:
    """Preparing the streams twice, as an interrupted `init` does, is told once."""
    from broker.administration import prepare_streams

    await prepare_streams(again(town), town.streams)
    assert len(await of_kind(town.streams, ActKind.ADMINISTRATION)) == 1


async def test_the_log_has_acts_and_decisions_in_one_order(town: Town) -> None:
    """Entry n is record n, whatever it is."""
    await town.agree(version_two())
    await sign_agreement(
        town.scheme, town.streams, version_two(), party=SCHOOL, signatory=WHO, at=now()
    )
    await town.publish()
    await town.route()
    told = await asyncio.to_thread(answer_here, "evidence", "update", folder=town.scheme.path)
    records = [record async for record in town.streams.read("decisions")]
    assert told["entries"] == len(records) > len(await decision_records(town.streams)) == 1

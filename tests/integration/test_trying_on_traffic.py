"""Drafts on the demonstration's whole traffic: simulated, and routed for real."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from commands import answer, answer_here, concordat, concordat_here
from decision_records import decision_records

from agreements.canonical import canonical_form
from agreements.model import Agreement
from agreements.reading import read_agreement
from agreements.signatures import SignatureType, Subject, sign_statement
from broker.control import Snapshot
from broker.demo.agreements import texts
from broker.demo.anytown import UNSIGNED, found_anytown, settle_anytown, signatory
from broker.demo.main_job import Outcome, publish_story, route
from broker.past import DecisionReader, decided
from broker.periods import Period
from broker.recording import read_decision
from broker.routing import DECISIONS
from broker.scheme import SchemeFolder
from broker.settings import read_settings
from broker.simulating import Simulation, simulate
from connectors.streams import Batch
from schemas.control import Kind, document_key

PLACEMENTS = "looked-after-placements.yaml"
ENDED = "placements-pilot.yaml"

Records = list[dict[str, Any]]


@dataclass
class Town:
    """Anytown after its month: what was decided, and what each topic ended with."""

    folder: Path
    decisions: Records = field(default_factory=list)

    @property
    def scheme(self) -> SchemeFolder:
        """The scheme, opened anew."""
        return SchemeFolder(read_settings(self.folder, {}))


async def live(folder: Path, url: str) -> Town:
    """Let Anytown's services publish what the demonstration tells, and the router decide it."""
    scheme = found_anytown(folder, streams=url)
    async with scheme.streams() as streams:
        await settle_anytown(scheme, streams)
        await publish_story(scheme, streams, Outcome())
        await route(scheme, streams)
        values = [record.value or b"" for record in await decision_records(streams)]
    return Town(folder, [read_decision(value) for value in values])


@pytest.fixture(scope="module")
def living(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Town]:
    """Return a function that lets the town live once on each kind of streams."""
    towns: dict[str, Town] = {}

    def town(url: str) -> Town:
        if url not in towns:
            folder = tmp_path_factory.mktemp("town") / "anytown"
            towns[url] = asyncio.run(live(folder, url))
        return towns[url]

    return town


@pytest.fixture(params=["embedded", pytest.param("kafka", marks=pytest.mark.kafka)])
def town(request: pytest.FixtureRequest, living: Callable[[str], Town]) -> Town:
    """Return Anytown on streams of each kind."""
    is_kafka = request.param == "kafka"
    return living(str(request.getfixturevalue("kafka_url")) if is_kafka else "sqlite:streams.db")


def text_of(name: str) -> Agreement:
    """Return one of the demonstration's agreements."""
    return read_agreement(texts()[name], name=name)


async def tried(town: Town, draft: Agreement) -> Simulation:
    """Simulate a draft in this process."""
    scheme = town.scheme
    async with scheme.streams() as streams:
        return await simulate(
            streams,
            lambda: scheme.trial(draft),
            scheme.opening(streams),
            period=Period(),
            group=scheme.settings.router.group,
        )


def refusals(records: Records, draft: Agreement, flow: str, recipient: str) -> Counter[Any]:
    """Count why nothing was shared, from decision records."""
    return Counter(
        (one["reason"], one["detail"])
        for record in records
        for one in record["candidates"]
        if (one["agreement"], one["flow"], one["recipient"]) == (draft.id, flow, recipient)
        and one["outcome"] != "permit"
    )


async def test_every_agreement_in_force_does_again_what_it_did(town: Town) -> None:
    """Nothing is gained, nothing lost, and what was refused is refused for the same reasons."""
    looked_at = 0
    for name in texts():
        if name in {ENDED, *UNSIGNED}:
            continue
        draft = text_of(name)
        simulation = await tried(town, draft)
        assert not simulation.unopenable
        assert (simulation.not_held, simulation.waiting) == (0, 0)
        for recipient in simulation.gains.recipients.values():
            assert (recipient.gained, recipient.lost) == (0, 0)
            assert not recipient.new_items
            assert not recipient.gone_items
        for (flow, recipient_id), figures in simulation.gains.flows.items():
            assert not figures.obstacles
            assert figures.permitted == figures.would_permit > 0
            assert {item.new + item.gone for item in figures.items.values()} == {0}
            kept = figures.refused | figures.review
            assert Counter({why: told.events for why, told in kept.items()}) == refusals(
                town.decisions, draft, flow, recipient_id
            )
            looked_at += figures.permitted
    assert looked_at == sum(
        one["outcome"] == "permit" for record in town.decisions for one in record["candidates"]
    )


async def test_agreements_that_did_not_run_tell_what_they_would_have_shared(town: Town) -> None:
    """One has ended, for one a signature is missing: all that they permit is gained."""
    for name, reason in ((ENDED, "expired"), (next(iter(UNSIGNED)), "not-signed")):
        gains = (await tried(town, text_of(name))).gains
        for figures in gains.flows.values():
            assert figures.permitted == 0
            assert dict(figures.gained_from) == {reason: figures.would_permit}
            assert figures.would_permit > 0


def widened() -> Agreement:
    """Return version 2 of the placements: an item more for the school, no limit to placements."""
    draft = text_of(PLACEMENTS)
    birth = next(item for item in draft.flow("to-health").items if item.path == "birthDate")
    flows = tuple(
        flow.model_copy(update={"items": (*flow.items, birth)}) if flow.id == "to-school" else
        flow.model_copy(update={"when": flow.when[1:]})
        for flow in draft.flows
    )  # fmt: skip
    return draft.model_copy(update={"version": 2, "flows": flows})


async def really(town: Town, draft: Agreement) -> Records:
    """Route every decided event again by the real router, as if all had signed long before."""
    scheme = town.scheme
    long_ago = datetime.now(UTC).replace(microsecond=0) - timedelta(days=60)
    async with scheme.streams() as streams:
        control = scheme.control()
        await control.load(streams)
        position = control.snapshot().position
        key = document_key(Kind.AGREEMENT, draft.id, draft.version)
        said = {key: canonical_form(draft)}
        for role in draft.parties:
            jws = sign_statement(
                Subject.of(draft),
                scheme.party_keys(role.id).signing[0].to_private_jwk(),
                type=SignatureType.ACCEPT,
                party=role.id,
                signatory=signatory(role.id),
                signed_at=long_ago,
            )
            key = document_key(
                Kind.SIGNATURE, draft.id, draft.version, party=role.id, type="accept"
            )
            said[key] = json.dumps({"jws": jws}).encode()
        for number, (key, value) in enumerate(said.items()):
            control.apply(key, value, position + number)
        snapshot = Snapshot(control.snapshot().rules, 0)
        router = scheme.router(streams)
        events = {
            (record.topic, record.partition, record.offset): record
            for topic in {one["topic"] for one in town.decisions}
            async for record in streams.read(topic)
        }
    made = []
    for decision in town.decisions:
        topic, partition, offset = (decision[name] for name in ("topic", "partition", "offset"))
        batch = Batch(topic, partition, [events[topic, partition, offset]], offset + 1, 1)
        at_ms = round(decision["decidedAt"].timestamp() * 1000)
        routed = router.route(batch, snapshot, at_ms=at_ms, partitions=None)
        made += [out.value or b"" for out in routed.outgoing if out.topic == DECISIONS]
    return [read_decision(value) for value in made]


async def test_a_wider_version_shows_the_difference_that_routing_it_makes(town: Town) -> None:
    """Permits and items, gained and lost, by recipient, and events to look at."""
    draft = widened()
    gains = (await tried(town, draft)).gains
    would = await really(town, draft)
    assert len(would) == len(town.decisions)
    gained: dict[str, set[str]] = {}
    new_items: dict[str, Counter[str]] = {}
    for before, after in zip(town.decisions, would, strict=True):
        assert before["eventId"] == after["eventId"]
        old, new = (
            {(one["agreement"], one["flow"], one["recipient"]): one for one in record["candidates"]
             if one["outcome"] == "permit"}
            for record in (before, after)
        )  # fmt: skip
        assert old.keys() <= new.keys()
        for way in new.keys() - old.keys():
            gained.setdefault(way[2], set()).add(before["eventId"])
        for recipient in {way[2] for way in new}:
            known, knows = (
                {
                    path
                    for way, one in record.items()
                    if way[2] == recipient
                    for path in one["items"]
                }
                for record in (old, new)
            )
            new_items.setdefault(recipient, Counter()).update(knows - known)
    assert sum(map(len, gained.values())) > 0
    for recipient, told in gains.recipients.items():
        assert told.gained == len(gained.get(recipient, set()))
        assert told.lost == 0
        assert told.new_items == new_items[recipient]
    assert gains.recipients["anytown-virtual-school"].new_items["birthDate"] > 0
    for (_, recipient), figures in gains.flows.items():
        assert set(figures.gained.ids) <= gained.get(recipient, set())


async def test_decision_records_are_read_as_fastavro_reads_them(town: Town) -> None:
    """All of the month, by a reader that has seen much and by one that has seen nothing."""
    scheme, reader = town.scheme, DecisionReader()
    number = 0
    async with scheme.streams() as streams:
        for record in await decision_records(streams):
            found, slow = reader.read(record.value or b""), read_decision(record.value or b"")
            assert found == DecisionReader().read(record.value or b"")
            assert found.event_id == slow["eventId"]
            assert found.decided_at_ms == round(slow["decidedAt"].timestamp() * 1000)
            assert (found.topic, found.partition, found.offset, found.rules) == tuple(
                slow[name] for name in ("topic", "partition", "offset", "rules")
            )
            assert [one.outcome for one in found.candidates] == [
                one["outcome"] for one in slow["candidates"]
            ]
            for quick, told in zip(found.candidates, slow["candidates"], strict=True):
                assert list(quick.items) == told["items"]
                assert dict(quick.withheld) == told["withheld"]
                assert dict(quick.transforms) == told["transforms"]
                assert (quick.reason, quick.detail) == (told["reason"], told["detail"])
            number += 1
    assert number == len(town.decisions) > 2000


def test_the_command_answers_and_is_silent_in_a_pipe(town: Town, tmp_path: Path) -> None:
    """One JSON document on standard output, no bar; in words as well."""
    file = tmp_path / "draft.yaml"
    file.write_text(texts()[PLACEMENTS], encoding="utf-8")
    done = concordat("agreement", "simulate", file, "--json", folder=town.folder)
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert found["permits"]["gained"] == found["permits"]["lost"] == 0
    assert found["permits"]["would"] == found["permits"]["happened"] > 0
    assert found["valid"] is True
    done = concordat("agreement", "simulate", file, folder=town.folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert "0 gained, 0 lost" in done.stdout
    assert "Nothing was written." in done.stdout


async def test_nothing_is_written_by_either_command(town: Town, tmp_path: Path) -> None:
    """No record on any topic, no group's offsets, no file."""
    scheme = town.scheme

    async def state() -> Any:
        async with scheme.streams() as streams:
            topics = sorted(await streams.topics())
            ends = {topic: dict(await streams.end(topic)) for topic in topics}
            group = scheme.settings.router.group
            events = [topic for topic in topics if topic.startswith("events.")]
            return ends, await streams.lag(group, events)

    def files() -> dict[str, int]:
        return {
            str(path): path.stat().st_size
            for path in town.folder.rglob("*")
            if path.is_file() and not path.name.startswith("streams.db-")
        }

    before = await state(), files()
    draft = tmp_path / "draft.yaml"
    draft.write_text(texts()[PLACEMENTS], encoding="utf-8")
    await asyncio.to_thread(answer, "agreement", "simulate", draft, folder=town.folder)
    await asyncio.to_thread(answer, "agreement", "drift", folder=town.folder)
    assert (await state(), files()) == before


def test_drift_tells_what_the_demonstration_has_of_it(town: Town) -> None:
    """Deaths that nobody receives, a text that waits, one that has ended, items never there."""
    found = answer_here("agreement", "drift", folder=town.folder)
    assert found["decisions"] == len(town.decisions)
    told = {(one["code"], one["place"], one["recipient"]) for one in found["findings"]}
    codes = {code for code, _, _ in told}
    assert {"no-agreement", "waits-for-signatures", "sent-after-the-end"} <= codes
    assert ("item-never-present", "carer.name", "anytown-adult-social-care") in told
    nobody = next(one for one in found["findings"] if one["code"] == "no-agreement")
    assert nobody["event_type"] == "uk.nhs.pds.death.v2"
    assert all(one["text"] and one["remedy"] for one in found["findings"])


@pytest.fixture(scope="module")
def one_town(living: Callable[[str], Town]) -> Town:
    """Return Anytown on the embedded streams: for what has nothing to do with streams."""
    return living("sqlite:streams.db")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--since", "yesterday"), "neither a date nor a time"),
        (("--since", "2026-11-01T10:00:00"), "neither a date nor a time"),
        (("--since", "2026-13-01"), "neither a date nor a time"),
        (("--until", "9999-12-31T23:59:59-23:00"), "neither a date nor a time"),
        (("--since", "2026-11-02", "--until", "2026-11-02"), "is not before"),
    ],
)
def test_a_wrong_time_is_told_in_a_sentence(
    one_town: Town, tmp_path: Path, options: tuple[str, ...], said: str
) -> None:
    """Wrong use: exit status 2, nothing on standard output."""
    file = tmp_path / "draft.yaml"
    file.write_text(texts()[PLACEMENTS], encoding="utf-8")
    done = concordat_here("agreement", "simulate", file, *options, folder=one_town.folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def test_a_draft_that_is_none_is_refused_and_one_with_faults_is_tried(
    one_town: Town, tmp_path: Path
) -> None:
    """What cannot be read: status 1 with its line. What the law lacks: told, and tried."""
    file = tmp_path / "draft.yaml"
    file.write_text(texts()[PLACEMENTS].replace("version: 1", "version: one"), encoding="utf-8")
    done = concordat_here("agreement", "simulate", file, folder=one_town.folder)
    assert (done.returncode, done.stdout) == (1, "")
    assert "line " in done.stderr
    assert "version" in done.stderr

    document = json.loads(canonical_form(text_of(PLACEMENTS)))
    document["flows"][0]["legal"]["recipient"] = {"regime": "uk-gdpr"}
    file.write_text(json.dumps(document), encoding="utf-8")
    found = answer_here("agreement", "simulate", file, folder=one_town.folder)
    assert found["valid"] is False
    assert {problem["severity"] for problem in found["problems"]} >= {"error"}
    flow = next(one for one in found["flows"] if one["flow"] == document["flows"][0]["id"])
    assert flow["obstacles"][0]["reason"] == "legal-basis-incomplete"
    assert (flow["would"], flow["would_if_mended"]) == (0, flow["happened"])


def test_a_time_without_traffic_says_so(one_town: Town, tmp_path: Path) -> None:
    """Nothing to compare is no error."""
    file = tmp_path / "draft.yaml"
    file.write_text(texts()[PLACEMENTS], encoding="utf-8")
    done = concordat_here(
        "agreement", "simulate", file, "--until", "2020-01-01", folder=one_town.folder
    )
    assert done.returncode == 0
    assert "nothing to compare" in done.stdout


async def test_a_period_leaves_out_what_was_decided_before_and_after(one_town: Town) -> None:
    """Read from decision records, whose times are those that the rules were held against."""
    times = sorted(decision["decidedAt"] for decision in one_town.decisions)
    first, last = times[len(times) // 3], times[-1]
    scheme = one_town.scheme
    async with scheme.streams() as streams:
        found = [one async for one in decided(streams, Period(first, last))]
    assert len(found) == sum(first <= time < last for time in times)

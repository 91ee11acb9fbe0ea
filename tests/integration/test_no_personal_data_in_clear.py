"""Nothing personal is in clear anywhere but in what recipients received.

The whole story is told with marks in every personal field (``marking.py``), events in
order as well as such as land in quarantine and review, bad rows, hostile records; then
everything that was written is searched for the marks: topics, files, output, errors.
"""

import asyncio
import base64
import hashlib
import io
import json
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from commands import concordat
from deciding_world import A_BASIS
from marking import PREFIX, Marks
from rich.console import Console

from agreements.canonical import to_document
from agreements.model import Item, Legal, LegalBasis
from agreements.reading import read_agreement
from broker.acts import is_act
from broker.cli.explain import show
from broker.cli.simulation import show as show_simulation
from broker.control import ControlState
from broker.demo.agreements import texts
from broker.demo.anytown import found_anytown, settle_anytown
from broker.demo.families import CHILDREN, PARTIES, TRUST, generate
from broker.demo.play import PLACEMENTS
from broker.edge import open_source, publish_source, publisher_of, receive_all
from broker.explaining import explain
from broker.recording import read_decision
from broker.retraction import RETRACTIONS
from broker.routing import DECISIONS, DELIVERIES, EVENTS, QUARANTINE, REVIEW
from broker.scheme import SchemeFolder
from broker.settings import read_settings
from connectors.prepared import PreparedEvent
from connectors.streams import Outgoing, Record, Streams
from schemas.catalogue import shipped
from schemas.errors import RejectedInput
from schemas.events import Event, read_envelope
from schemas.framing import frame
from schemas.sealing import Binding, Sealer
from schemas.signing import Entry, new_salt, sign_batch

PLACEMENT = "uk.gov.csc.cla-placement.v1"
DISCHARGE = "uk.nhs.adw.discharge-notice.v1"
OURS = ("--local-authority", "E08000999")
BAD_ROWS = 15


@dataclass
class Told:
    """A story as it was told, with all that was written while it was."""

    folder: Path
    marks: Marks
    environment: dict[str, str]
    outputs: dict[str, str] = field(default_factory=dict)
    """By command, what it wrote to both of its outputs."""
    records: list[Record] = field(default_factory=list)
    """Every record of every topic, raw."""
    errors: str = ""
    """What was raised for hostile records, with tracebacks."""

    def run(self, name: str, *arguments: object, status: int = 0) -> str:
        """Run a command in the scheme and keep what it said."""
        done = concordat(*arguments, folder=self.folder, environment=self.environment)
        said = done.stdout + done.stderr
        assert done.returncode == status, f"{name}: {said[-2000:]}"
        self.outputs[name] = said
        return done.stdout


# -- what is published -------------------------------------------------------------------


def good_events(marks: Marks) -> dict[str, list[PreparedEvent]]:
    """Return marked events of every type, with as many outcomes as life has."""
    kept: dict[tuple[str, str, bool], int] = {}
    chosen: dict[str, list[PreparedEvent]] = {}
    for party, event in generate(5, 60, datetime.now(UTC)):
        key = (party, event.event_type, event.record.get("upn") is None)
        kept[key] = kept.get(key, 0) + 1
        if kept[key] <= 4:
            chosen.setdefault(party, []).append(marks.mark(event))
    return chosen


def bad_events(marks: Marks, good: list[PreparedEvent]) -> list[PreparedEvent]:
    """Return events whose identifiers do not validate: for quarantine, and withheld."""
    events = []
    for event in good:
        for name, kind in (("childId", "la-child-id"), ("nhsNumber", "nhs-number")):
            if name in event.record:
                events.append(marks.mark(event, **{name: marks.bad_identifier(kind)}))
        if "upn" in event.record:
            events.append(marks.mark(event, upn=marks.text(), homePostcode=marks.text()))
    return events


def refused_by_condition(marks: Marks, good: list[PreparedEvent]) -> list[PreparedEvent]:
    """Return events that conditions send to review or refuse, on marked fields too."""
    return [
        marks.mark(event, **changes)
        for event in good
        for changes in ({"consentIndicator": "N"}, {"rec": "E11"}, {"addressConfidential": True})
        if changes.keys() <= event.record.keys()
    ]


def write_source(path: Path, events: Iterable[PreparedEvent], *bad: dict[str, Any]) -> Path:
    """Write events, and rows that are none, as a JSON Lines file."""
    rows = [_row(event) for event in events]
    lines = [json.dumps(row, default=_iso) for row in [*rows, *bad]]
    path.write_text("\n".join([*lines, f"{{{PREFIX} is no JSON", f'"{PREFIX}"', ""]))
    return path


def _row(event: PreparedEvent, **more: object) -> dict[str, Any]:
    return {
        "type": event.event_type,
        "key": event.natural_key,
        "occurred_at": event.occurred_at.isoformat(),
        "record": event.record,
        **more,
    }


def _iso(value: date) -> str:
    return value.isoformat()


def bad_rows(marks: Marks, event: PreparedEvent) -> list[dict[str, Any]]:
    """Return rows that are refused before they are published, each for another reason."""
    plain = json.loads(json.dumps(dict(event.record), default=_iso))
    row = {
        "type": event.event_type,
        "key": marks.text(),
        "occurred_at": event.occurred_at.isoformat(),
    }
    return [
        row | {"record": plain | {marks.text(): marks.text()}},
        row | {"record": plain | {"decom": marks.text()}},
        row | {"record": plain | {"addressConfidential": marks.text()}},
        row | {"record": plain | {"childId": {"value": marks.text()}}},
        row | {"record": {"childId": marks.text()}},
        row | {"record": marks.text()},
        row | {"record": plain, "occurred_at": marks.text()},
        row | {"record": plain, "occurred_at": "1066-10-14T00:00:00+00:00", "key": marks.text()},
        row | {"record": plain, "type": marks.text()},
        row | {"record": plain, marks.text(): marks.text()},
        row | {"record": plain, "correlation_id": marks.text()},
        row | {"record": plain, "retracts": marks.text()},
        row | {"record": plain, "classification": marks.text()},
        row | {"record": plain, "sequence": marks.text()},
    ]


def write_return(folder: Path, marks: Marks) -> Path:
    """Write a statutory return in which every row has something wrong with it."""
    folder.mkdir()
    child = marks.text()
    (folder / "header.csv").write_text(
        "CHILD,SEX,DOB,ETHNIC,UPN,MOTHER,MC_DOB\n"
        f"{child},1,01/02/2010,WBRI,{marks.text()},0,\n"
        f"{marks.text()},{marks.text()},01/02/2010,WBRI,,0,\n"
        f"{marks.text()},1,{marks.text()},WBRI,,0,\n"
    )
    rows = [
        f"{child},01/02/2020,S,C2,N1,U1,PR1,,,,{marks.text()},{marks.text()},",
        f"{child},{marks.text()},S,C2,N1,U1,PR1,,,,,,",
        f"{child},01/02/2020,{marks.text()},C2,N1,U1,PR1,,,,,,",
        f",01/02/2020,S,C2,N1,{marks.text()},PR1,,,,,,",
    ]
    (folder / "episodes.csv").write_text(
        "CHILD,DECOM,RNE,LS,CIN,PLACE,PLACE_PROVIDER,DEC,REC,REASON_PLACE_CHANGE,"
        "HOME_POST,PL_POST,URN\n" + "\n".join(rows) + f"\n{marks.text()},{marks.text()}\n"
    )
    return folder


async def append_hostile(scheme: SchemeFolder, streams: Streams, marks: Marks) -> None:
    """Put records on a topic that only somebody with a true key, or on the way, can make."""
    keys = scheme.party_keys(CHILDREN)
    kind = shipped().latest(PLACEMENT)
    sealer = Sealer(keys.signing[0], "broker", scheme.broker_keys.sealing[0].public)
    topic = EVENTS + CHILDREN
    outgoing = []
    for number in range(6):
        body = (marks.text() * 20).encode()
        envelope = Event.of(
            id=f"0f6f6a58-7f0a-4a3e-9a0c-{number:012d}",
            publisher=CHILDREN,
            type=PLACEMENT,
            time=datetime.now(UTC),
            fingerprint=kind.fingerprint,
        )
        payload = body if number == 1 else frame(kind.fingerprint, b"\x80\x01" + body)
        headers = envelope.to_headers()
        key = bytes(16)
        entry = Entry(topic, key, headers, payload, new_salt())
        now_ms = int(datetime.now(UTC).timestamp() * 1000)
        (plaintext,) = sign_batch(keys.signing[0], CHILDREN, [entry], signed_at_ms=now_ms)
        binding = Binding("broker", topic, envelope.id, PLACEMENT, envelope.dataschema)
        value = sealer.seal(plaintext, binding.to_aad())
        match number:
            case 2:
                headers = [*headers, ("ce_name", marks.text().encode())]
            case 3:
                headers = [*headers, (marks.text(), b"x")]
            case 4:
                key = marks.text().encode()
            case 5:
                headers = [(n, marks.text().encode()) for n, _ in headers]
        outgoing.append(Outgoing(topic, key, value, headers))
    await streams.append(outgoing)


# -- the story ---------------------------------------------------------------------------


async def tell(folder: Path, streams_url: str) -> Told:
    """Tell the whole story and collect everything that was written."""
    marks = Marks()
    # Kafka's own client talks too much to search through, and knows no event.
    level = "info" if streams_url.startswith("kafka") else "debug"
    told = Told(folder / "scheme", marks, {"CONCORDAT_LOGS__LEVEL": level})
    found_anytown(told.folder, streams=streams_url)
    scheme = SchemeFolder(read_settings(told.folder, {}, partitions=1))
    async with scheme.streams() as streams:
        await settle_anytown(scheme, streams)
        await append_hostile(scheme, streams, marks)
        publisher = await publisher_of(scheme, streams, CHILDREN)
    good = good_events(marks)
    bad_return = write_return(folder / "return", marks)
    sources = {}
    for party, events in good.items():
        more = bad_events(marks, events[:6]) + refused_by_condition(marks, events)
        rows = bad_rows(marks, events[0]) if party == CHILDREN else []
        sources[party] = write_source(folder / f"{party}.jsonl", [*events, *more], *rows)

    again = write_source(
        folder / "again.jsonl",
        [*map(marks.mark, good[CHILDREN]), good[CHILDREN][0]],
        # Of what was shared under the agreement that is revoked meanwhile.
        *[_row(event, retracts=publisher.event_id(event)) for event in good[CHILDREN]],
    )

    # One of each command as its users run it, the rest of the same work in this process.
    first = [
        (f"publish {CHILDREN}", "publish", sources.pop(CHILDREN), "--as", CHILDREN),
        ("publish a return", "publish", bad_return, "--as", CHILDREN, *OURS),
        ("run", "run", "--until-idle"),
        ("receive", "receive", "--as", TRUST),
        ("revoke", "agreement", "revoke", PLACEMENTS, "--as", TRUST, "--reason", "no nurses"),
        ("publish again", "publish", again, "--as", CHILDREN),
        ("run again", "run", "--until-idle"),
        ("simulate", "agreement", "simulate", a_wide_draft(folder / "draft.yaml"), "--json"),
        ("drift", "agreement", "drift"),
    ]
    async with scheme.streams() as streams:
        for party, source in sources.items():
            outcomes = open_source(source, local_authority="")
            said = await publish_source(scheme, streams, outcomes, party=party)
            told.outputs[f"publish {party}"] = repr(said)
    for name, *command in first:
        # Of each source something is rejected, which is an exit status of 1.
        await asyncio.to_thread(told.run, name, *command, status=int(command[0] == "publish"))
    async with scheme.streams() as streams:
        for party in PARTIES:
            await receive_all(scheme, streams, party=party, folder=told.folder / "received")
        await collect(scheme, streams, told)
        await explain_some(scheme, streams, told)
    show_in_words(told)
    return told


def a_wide_draft(path: Path) -> Path:
    """Write a new version of the placements that shares all there is, as it is."""
    draft = read_agreement(texts()["looked-after-placements.yaml"], name=path.name)
    items = tuple(
        Item(path=field.path, justification="It is tried.")
        for field in shipped().latest(PLACEMENT).fields
    )
    basis = LegalBasis.model_validate(A_BASIS)
    changes = {"items": items, "when": (), "legal": Legal(provider=basis, recipient=basis)}
    flows = tuple(flow.model_copy(update=changes) for flow in draft.flows)
    wider = draft.model_copy(update={"version": 2, "flows": flows})
    path.write_text(json.dumps(to_document(wider)), encoding="utf-8")
    return path


def show_in_words(told: Told) -> None:
    """Print what the simulation and the report on drift found as they print it."""
    words = io.StringIO()
    # What is logged stands behind the answer, on standard error.
    found, _ = json.JSONDecoder().raw_decode(told.outputs["simulate"])
    assert found["permits"]["gained"] > 0
    show_simulation(Console(file=words, width=200), found)
    told.outputs["simulate in words"] = words.getvalue()


async def collect(scheme: SchemeFolder, streams: Streams, told: Told) -> None:
    """Read every record of every topic, and raise again what hostile records raised."""
    for topic in await streams.topics():
        told.records += [record async for record in streams.read(topic)]
    control: ControlState = scheme.control()
    await control.load(streams)
    router = scheme.router(streams)
    router.take(control.snapshot().rules)
    now_us = int(datetime.now(UTC).timestamp() * 1_000_000)
    for record in told.records:
        if record.topic.startswith(EVENTS):
            try:
                router.open(record, at_us=now_us)
            except RejectedInput as error:
                told.errors += repr(error) + "".join(traceback.format_exception(error))


async def explain_some(scheme: SchemeFolder, streams: Streams, told: Told) -> None:
    """Explain an event of each type and outcome, in words and as JSON."""
    seen: set[tuple[str, str, str]] = set()
    event_id = ""
    for record in decided_in(told):
        decision = read_decision(record.value or b"")
        outcomes = {(one["outcome"], one["reason"]) for one in decision["candidates"]}
        new = {(decision["eventType"], *outcome) for outcome in outcomes} - seen
        if new:
            seen |= new
            event_id = decision["eventId"]
            explained = await explain(scheme, streams, event_id)
            words = io.StringIO()
            show(Console(file=words, width=200), explained)
            told.outputs[f"explain {event_id}"] = words.getvalue() + json.dumps(explained)
            assert explained["agrees"]
    await asyncio.to_thread(told.run, "explain", "explain", event_id, "--json")


@pytest.fixture(scope="module")
def telling(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Told]:
    """Return a function that tells the story once for each kind of streams."""
    stories: dict[str, Told] = {}

    def told(url: str) -> Told:
        if url not in stories:
            folder = tmp_path_factory.mktemp("marked")
            stories[url] = asyncio.run(tell(folder, url or "sqlite:streams.db"))
        return stories[url]

    return told


@pytest.fixture(params=["embedded", pytest.param("kafka", marks=pytest.mark.kafka)])
def told(request: pytest.FixtureRequest, telling: Callable[[str], Told]) -> Told:
    """Return the story as it was told on streams of each kind."""
    is_kafka = request.param == "kafka"
    return telling(str(request.getfixturevalue("kafka_url")) if is_kafka else "")


def readable(told: Told) -> list[Path]:
    """Return what recipients received: the only files in which marks may be."""
    return sorted((told.folder / "received").glob("*.jsonl"))


def on(topic: str, told: Told) -> list[Record]:
    """Return the records of a topic."""
    return [record for record in told.records if record.topic == topic]


def decided_in(told: Told) -> list[Record]:
    """Return the decision records; acts, in which nothing personal may be either, are left out."""
    return [record for record in on(DECISIONS, told) if not is_act(record.value)]


def test_the_story_has_every_outcome(told: Told) -> None:
    """Delivered, denied, for review, in quarantine: else the search would prove little."""
    outcomes = {
        (one["outcome"], one["reason"])
        for record in decided_in(told)
        for one in read_decision(record.value or b"")["candidates"]
    }
    assert {("permit", ""), ("deny", "revoked"), ("deny", "condition-not-met")} <= outcomes
    assert {outcome for outcome, _ in outcomes} == {"permit", "deny", "review"}
    reasons = {dict(record.headers)["reason"] for record in on(QUARANTINE, told)}
    assert {
        b"invalid-subject", b"malformed-avro", b"bad-framing", b"bad-envelope", b"bad-record",
        b"replayed",
    } <= reasons  # fmt: skip
    assert on(REVIEW, told)
    refused = told.outputs[f"publish {CHILDREN}"].count(f"{CHILDREN}.jsonl, line ")
    assert refused == BAD_ROWS


def test_recipients_can_read_the_marks(told: Told) -> None:
    """The search finds what is there to be found: in the files of those who may have it."""
    received = b"".join(path.read_bytes() for path in readable(told))
    found = told.marks.found_in(received)
    assert f"{PREFIX} as text" in found
    assert sum(identifier in received.decode() for identifier in told.marks.identifiers) > 20


def test_nothing_on_any_topic_can_be_read(told: Told) -> None:
    """Keys, header names, header values and values, raw as they lie in the streams."""
    ours = [
        record
        for record in told.records
        # What a hostile publisher writes into its own headers and keys lies where it wrote it.
        if not (record.topic == EVENTS + CHILDREN and not _is_in_order(record))
    ]
    assert len(told.records) - len(ours) == 4
    for part, data in {
        "keys": b"|".join(record.key or b"" for record in ours),
        "values": b"|".join(record.value or b"" for record in ours),
        "headers": b"|".join(
            name.encode() + b"=" + value for record in ours for name, value in record.headers
        ),
    }.items():
        assert (part, told.marks.found_in(data)) == (part, [])


def _is_in_order(record: Record) -> bool:
    """Whether the record's key and headers are ones that a publisher of ours makes."""
    try:
        read_envelope(record.headers)
    except RejectedInput:
        return False
    return record.key is not None and len(record.key) == 16


def test_no_file_of_the_scheme_can_be_read(told: Told) -> None:
    """The streams' file and its log, settings, keys: every byte of every file but received."""
    hostile = [record for record in on(EVENTS + CHILDREN, told) if not _is_in_order(record)]
    allowed = {value for record in hostile for _, value in record.headers} | {
        name.encode() for record in hostile for name, _ in record.headers
    }
    allowed |= {record.key or b"" for record in hostile}
    searched = []
    for path in sorted(told.folder.rglob("*")):
        if path.is_file() and path not in readable(told):
            data = path.read_bytes()
            for written in sorted(allowed, key=len, reverse=True):
                if PREFIX.encode() in written:
                    data = data.replace(written, b"")
            assert (path.name, told.marks.found_in(data)) == (path.name, [])
            searched.append(path.name)
    assert {"concordat.toml", "broker.jwe", "scheme.jwe"} <= set(searched)


def test_what_was_taken_back_was_told_to_who_had_it(told: Told) -> None:
    """Notices are among what is searched."""
    notices = [
        record for record in on(DELIVERIES + TRUST, told) if "ce_retractsid" in dict(record.headers)
    ]
    assert notices
    assert len(on(RETRACTIONS, told)) >= len(notices)


def test_no_command_said_anything_personal(told: Told) -> None:
    """Standard output and error of every command, the router's log at its most talkative."""
    assert len(told.outputs["run"].splitlines()) > 5
    for command, said in told.outputs.items():
        assert (command, told.marks.found_in(said.encode())) == (command, [])


def test_no_error_said_anything_personal(told: Told) -> None:
    """What is raised for hostile records, and the lines of its traceback."""
    assert told.errors.count("Traceback") > 12
    assert told.marks.found_in(told.errors.encode()) == []


@pytest.mark.parametrize(
    "plant",
    [
        lambda m: m.identifiers[0].encode(),
        lambda m: m.bodies[0][3:40],
        lambda m: m.births[0].isoformat().encode(),
        lambda _: PREFIX.encode().hex().upper().encode(),
        lambda _: (PREFIX + "1").encode("utf-16-le"),
        lambda _: base64.b64encode(b"x" + PREFIX.encode() + b"yz"),
        lambda m: base64.urlsafe_b64encode(b"xy" + m.identifiers[1].encode()),
        lambda m: hashlib.sha256(m.identifiers[1].encode()).digest(),
    ],
)
def test_the_search_finds_what_is_planted(plant: Callable[[Marks], bytes]) -> None:
    """Text, Avro, dates, hexadecimal, UTF-16, base64 and plain hashes."""
    marks = Marks()
    for _, event in generate(5, 5, datetime.now(UTC) - timedelta(days=1)):
        marks.mark(event)
    noise = bytes(range(256)) * 4
    assert marks.found_in(noise) == []
    assert marks.found_in(noise + plant(marks) + noise)

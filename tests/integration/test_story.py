"""The main job as its users see it: the demo's figures, the tour, explanations, refusals."""

import asyncio
import csv
import io
import json
import os
import re
import shlex
import shutil
import signal
import sqlite3
import subprocess
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import fastavro
import pytest
from commands import (
    CONCORDAT,
    answer,
    answer_here,
    clean_environment,
    concordat,
    concordat_here,
)
from decision_records import decision_records

from broker.demo.anytown import found_anytown, settle_anytown
from broker.demo.families import CHILDREN, HOUSING, PARTIES, SCHOOL, TRUST, generate
from broker.demo.main_job import receive, route
from broker.edge import publisher_of
from broker.explaining import explain
from broker.recording import SCHEMA, read_decision
from broker.routing import DELIVERIES, QUARANTINE
from broker.scheme import SchemeFolder
from broker.settings import read_settings
from connectors.prepared import PreparedEvent
from connectors.streams import Streams

PROJECT = Path(__file__).parents[2]
SAMPLE = PROJECT.parent / "shared" / "samples" / "ssda903"
FRAME_BYTES = 10


# -- the demo ----------------------------------------------------------------------------


def assert_adds_up(told: dict[str, Any]) -> None:
    """Hold the figures of a demo against each other, as the issue says that they must."""
    assert told["rows_read"] == told["published"] + sum(told["rejected"].values())
    assert told["published"] == told["decided"] + told["quarantined"]
    assert told["permits"] == told["deliveries"] == told["opened"] > 0
    assert told["decision_records"] == told["decided"]
    assert told["unopened"] == 0
    assert told["quarantined"] == sum(told["quarantine_reasons"].values())
    assert told["reviews"] == sum(told["review_reasons"].values())
    assert len(told["rejections"]) == sum(told["rejected"].values())
    for rejection in told["rejections"]:
        assert rejection["file"]
        assert rejection["line"] > 0
        assert rejection["reason"]
        assert rejection["message"]
    assert told["seconds"] > 0


async def counted(folder: Path) -> dict[str, Any]:
    """Count what lies in the streams that a demo left, without its own counting."""
    found: Counter[str] = Counter()
    async with SchemeFolder(read_settings(folder, {})).streams() as streams:
        for record in await decision_records(streams):
            found["decided"] += 1
            for candidate in read_decision(record.value or b"")["candidates"]:
                found[candidate["outcome"]] += 1
                if candidate["outcome"] == "deny":
                    found[f"deny:{candidate['reason']}"] += 1
        for party in PARTIES:
            async for _ in streams.read(DELIVERIES + party):
                found["deliveries"] += 1
        async for _ in streams.read(QUARANTINE):
            found["quarantined"] += 1
    return dict(found)


def assert_is_what_lies_there(told: dict[str, Any], folder: Path) -> None:
    """Hold the figures against the streams and the recipients' files."""
    found = asyncio.run(counted(folder))
    assert found["decided"] == told["decided"]
    assert found["permit"] == told["permits"]
    assert found["deliveries"] == told["deliveries"]
    assert found.get("review", 0) == told["reviews"]
    assert found.get("quarantined", 0) == told["quarantined"]
    denies = {name.removeprefix("deny:"): n for name, n in found.items() if "deny:" in name}
    assert denies == told["denies"]
    files = (folder / "received").glob("*.jsonl")
    assert sum(len(path.read_text().splitlines()) for path in files) == told["opened"]


@pytest.mark.parametrize("kind", ["embedded", pytest.param("kafka", marks=pytest.mark.kafka)])
def test_the_demos_figures_add_up(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str
) -> None:
    """Every event decided once, every permit opened; on Kafka by one setting, nothing else."""
    is_kafka = kind == "kafka"
    chosen = {"CONCORDAT_STREAMS": request.getfixturevalue("kafka_url")} if is_kafka else {}
    told = answer_here("demo", "--dir", tmp_path / "town", environment=chosen)
    assert_adds_up(told)
    assert_is_what_lies_there(told, tmp_path / "town")
    assert told["rejected"] == {}
    assert told["quarantine_reasons"].keys() == {"invalid-subject"}
    assert {"condition-not-met", "too-old", "expired", "not-signed"} <= told["denies"].keys()
    assert told["reviews"] > 0


@pytest.mark.samples
@pytest.mark.skipif(not SAMPLE.is_dir(), reason="the public samples are not beside the project")
def test_a_statutory_returns_figures_add_up(tmp_path: Path) -> None:
    """Every row of the two files, its bad UPNs and postcodes withheld, and said so."""
    told = answer_here("demo", "--input", SAMPLE, "--dir", tmp_path / "town")
    assert_adds_up(told)
    assert_is_what_lies_there(told, tmp_path / "town")
    rows = 0
    for name in ("episodes.csv", "missing.csv"):
        with (SAMPLE / name).open(newline="", encoding="utf-8-sig") as file:
            rows += sum(1 for _ in csv.DictReader(file))
    assert told["rows_read"] == rows == 5_093
    # No UPN of the sample is one: the school never gets it, and nothing went out with one.
    assert told["withheld"]["invalid-identifier"] + told["reviews"] > 5_000
    received = (tmp_path / "town" / "received" / f"{SCHOOL}.jsonl").read_text()
    assert '"upn":"' not in received


def test_the_story_is_plain_in_a_pipe(tmp_path: Path) -> None:
    """No colours and no progress bar; it ends by itself and says what can be done next."""
    done = concordat("demo", "--dir", tmp_path / "town")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "\x1b" not in done.stdout
    assert "\r" not in done.stdout
    for told in ("revoke", "does not open", "agrees", "concordat explain"):
        assert told in done.stdout
    assert len(done.stdout.splitlines()) < 250
    # What it says at the end can be done.
    next_command = re.search(r"concordat (explain [0-9a-f-]{36} --dir \S+)", done.stdout)
    assert next_command is not None
    assert concordat(*shlex.split(next_command[1])).returncode == 0


def test_a_demo_does_not_touch_a_folder_that_is_not_its_own(tmp_path: Path) -> None:
    """What somebody works in is left as it is; its own folder it makes anew."""
    (tmp_path / "work.txt").write_text("mine")
    done = concordat("demo", "--dir", tmp_path, "--json")
    assert (done.returncode, done.stdout) == (1, "")
    assert "name an empty folder with --dir" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["work.txt"]


# -- the tour ----------------------------------------------------------------------------


def test_the_readmes_tour_can_be_followed_by_hand(tmp_path: Path) -> None:
    """From an empty folder to a delivery that was opened, in ten commands of a shell."""
    text = (PROJECT / "README.md").read_text(encoding="utf-8")
    found = re.search(r"<!-- tour -->\s*```sh\n(.*?)```", text, re.DOTALL)
    assert found is not None
    commands = [line for line in found[1].splitlines() if "concordat " in line]
    assert len(commands) == 10
    shutil.copytree(PROJECT / "docs" / "using" / "tour", tmp_path / "docs" / "using" / "tour")
    path = f"{CONCORDAT.parent}{os.pathsep}{os.environ['PATH']}"
    here: dict[str, Any] = {"cwd": tmp_path, "environment": {"CONCORDAT_DIR": "town"}}
    followed = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", found[1]],
        cwd=tmp_path,
        env=clean_environment({"PATH": path}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert followed.returncode == 0, f"{followed.stdout}{followed.stderr}"
    assert "it agrees" in followed.stdout
    (received,) = (tmp_path / "town" / "received").glob("*.jsonl")
    (delivery,) = [json.loads(row) for row in received.read_text().splitlines()]
    assert delivery["record"] == {
        "upn": "G330200112001",
        "localAuthority": "E09000033",
        "birthDate": 2013,
    }
    # What its last command revoked is refused from then on.
    source = tmp_path / "next.jsonl"
    first = (tmp_path / "docs/using/tour/events.jsonl").read_text().splitlines()[0]
    source.write_text(first.replace('"key": "C-0001/', '"key": "C-0009/') + "\n")
    assert answer("publish", source, "--as", "anytown-council", **here)["published"] == 1
    assert answer("run", "--until-idle", **here)["tally"] == {"accepted": 1, "deny:revoked": 1}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["run", "--until-idle"], "make a scheme with `concordat init"),
        (["publish", "events.jsonl", "--as", "nobody"], "concordat init"),
        (["explain", "0f6f6a58-7f0a-4a3e-9a0c-000000000001"], "concordat init"),
    ],
)
def test_a_command_without_a_scheme_says_how_to_make_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], sentence: str
) -> None:
    """In a sentence, on standard error, with exit status 2."""
    (tmp_path / "events.jsonl").write_text("")
    monkeypatch.chdir(tmp_path)
    done = concordat_here(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("concordat: ")
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_a_scheme_whose_streams_are_down_can_be_made_later(tmp_path: Path) -> None:
    """Half a scheme is left behind by nobody."""
    folder = tmp_path / "town"
    done = concordat_here("init", folder, "--streams", "kafka://127.0.0.1:1")
    assert done.returncode == 1
    assert "Kafka did not answer" in done.stderr
    assert concordat_here("init", folder).returncode == 0
    refused = concordat_here(
        "party", "add", "scheme", "--name", "Its own key's name", folder=folder
    )
    assert refused.returncode == 1


@pytest.fixture(scope="module")
def small_scheme(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a scheme with one party and nothing published."""
    folder = tmp_path_factory.mktemp("small") / "scheme"
    assert concordat_here("init", folder).returncode == 0
    answer_here("party", "add", "a-council", "--name", "A", folder=folder)
    return folder


def test_a_source_with_a_line_that_is_no_event_is_published_without_it(
    small_scheme: Path, tmp_path: Path
) -> None:
    """The line is told, and the exit status is 1, so that a script notices."""
    source = tmp_path / "events.jsonl"
    source.write_text("no event\n")
    done = concordat_here("publish", source, "--as", "a-council", folder=small_scheme)
    assert done.returncode == 1
    assert done.stdout == "published 0, rejected 1\n"
    assert done.stderr == "events.jsonl, line 1: expected one JSON object in UTF-8\n"


def test_who_reads_only_the_first_id_does_not_make_publishing_fail(small_scheme: Path) -> None:
    """``publish … | head -n 1`` under ``pipefail``: all is said in one write."""
    events = PROJECT / "docs" / "using" / "tour" / "events.jsonl"
    with subprocess.Popen(
        [CONCORDAT, "publish", events, "--as", "a-council", "--dir", small_scheme],
        env=clean_environment(None),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as published:
        assert published.stdout is not None
        said = os.read(published.stdout.fileno(), 1 << 16)
        published.stdout.close()
        assert published.wait() == 0
    assert said.endswith(b"published 3, rejected 0\n")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["init", "{dir}"], "has a scheme already"),
        (["party", "add", "a-council", "--name", "A"], "is in the scheme already"),
        (["explain", "0f6f6a58-7f0a-4a3e-9a0c-000000000001"], "no decision on event"),
        (["explain", "nonsense"], "no decision on event"),
        (["receive", "--as", "nobody"], "no private keys of nobody"),
        (["publish", "{dir}/none.jsonl", "--as", "nobody"], "no private keys of nobody"),
        (
            ["agreement", "revoke", "https://example.org/a", "--as", "a-council", "--reason", "x"],
            "there is no agreement",
        ),
        (["agreement", "put", "{dir}/none.jsonl"], "none.jsonl"),
    ],
)
def test_a_command_that_cannot_be_done_says_why(
    small_scheme: Path, arguments: list[str], sentence: str
) -> None:
    """In a sentence, with exit status 1, never with a traceback."""
    (small_scheme / "none.jsonl").write_text("")
    given = [argument.format(dir=small_scheme) for argument in arguments]
    folder = None if given[0] == "init" else small_scheme
    done = concordat_here(*given, folder=folder)
    assert done.returncode == 1, done.stdout + done.stderr
    assert sentence in done.stderr + done.stdout
    assert "Traceback" not in done.stderr


def test_a_misspelt_variable_stops_every_command(small_scheme: Path) -> None:
    """Before anything is done."""
    changes = {"CONCORDAT_STREAM": "kafka://x:1"}
    done = concordat_here("run", folder=small_scheme, environment=changes)
    assert done.returncode == 1
    assert "unknown environment variable CONCORDAT_STREAM" in done.stderr


def test_wrong_use_is_told_from_a_no(small_scheme: Path) -> None:
    """Exit status 2, as everywhere."""
    assert concordat("publish", folder=small_scheme).returncode == 2
    assert concordat("no-such-command").returncode == 2


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_the_service_stays_up_until_it_is_stopped(small_scheme: Path, stop: int) -> None:
    """A signal ends it in good order: status 0, nothing on standard error."""
    command = [str(CONCORDAT), "run", "--dir", str(small_scheme)]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=clean_environment({}),
    ) as service:
        assert service.stdout is not None
        told = [json.loads(service.stdout.readline())["event"] for _ in range(2)]
        assert told == ["router at work", "routing"]
        assert service.poll() is None
        service.send_signal(stop)
        _, errors = service.communicate(timeout=60)
    assert (service.returncode, errors) == (0, "")


# -- explanations ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def anytown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of Anytown with a few families' events routed and received."""
    folder = tmp_path_factory.mktemp("anytown") / "scheme"

    async def play() -> None:
        scheme = found_anytown(folder, streams="sqlite:streams.db")
        async with scheme.streams() as streams:
            await settle_anytown(scheme, streams)
            by_party: dict[str, list[PreparedEvent]] = {}
            for party, event in generate(3, 8, datetime.now(UTC)):
                by_party.setdefault(party, []).append(event)
            for party, events in by_party.items():
                await (await publisher_of(scheme, streams, party)).publish(events)
            await route(scheme, streams)
            await receive(scheme, streams, _Nothing())  # type: ignore[arg-type]

    asyncio.run(play())
    return folder


class _Nothing:
    opened = 0
    unopened = 0


async def all_decisions(streams: Streams) -> list[dict[str, Any]]:
    """Return every decision record, decoded."""
    return [read_decision(record.value or b"") for record in await decision_records(streams)]


async def test_every_decision_is_made_again_and_agrees(anytown: Path) -> None:
    """For every event of a run; the same outcome, reason and items, check by check."""
    scheme = SchemeFolder(read_settings(anytown, {}))
    async with scheme.streams() as streams:
        decisions = await all_decisions(streams)
        assert len(decisions) > 30
        for decision in decisions:
            explained = await explain(scheme, streams, decision["eventId"])
            assert explained["agrees"] is True
            assert explained["event_held"] is True
            for told, recorded in zip(explained["decisions"], decision["candidates"], strict=True):
                assert told["outcome"] == recorded["outcome"]
                states = [check["state"] for check in told["checks"]]
                if recorded["outcome"] == "permit":
                    assert set(states) == {"passed"}
                elif recorded["agreement"]:
                    assert states.count("failed") == 1
                    after = states[states.index("failed") + 1 :]
                    assert set(after) <= {"not-reached"}
                for side in told["legal"].values():
                    for gateway in side["gateways"]:
                        assert gateway["address"].startswith("https://www.legislation.gov.uk/")


Change = Callable[[dict[str, Any]], object]

ALTERATIONS: dict[str, Change] = {
    "a permit made a refusal": lambda r: r["candidates"][0].update(outcome="deny"),
    "another reason": lambda r: r["candidates"][0].update(reason="too-old"),
    "an item more": lambda r: r["candidates"][0]["items"].append("ethnicity"),
    "an item less": lambda r: r["candidates"][0]["items"].pop(),
    "another transform": lambda r: r["candidates"][0]["transforms"].update(childId="mask"),
    "something withheld": lambda r: r["candidates"][0]["withheld"].update(upn="absent"),
    "another recipient": lambda r: r["candidates"][0].update(recipient="anyshire-police"),
    "another version": lambda r: r["candidates"][0].update(version=2),
    "another text": lambda r: r["candidates"][0].update(hash=b"\0" * 32),
    "another flow": lambda r: r["candidates"][0].update(flow="another"),
    "another purpose": lambda r: r["candidates"][0].update(purpose="another"),
    "another legal basis": lambda r: r["candidates"][0]["provider"]["conditions"].pop(),
    "a candidate less": lambda r: r["candidates"].pop(),
    "a candidate twice": lambda r: r["candidates"].append(r["candidates"][0]),
    "no candidate": lambda r: r["candidates"].clear(),
    "another event's digest": lambda r: r.update(digest=b"\1" * 32),
    "another subject": lambda r: r.update(subjects=[b"\2" * 32]),
    "another time of the event": lambda r: r.update(occurredAt=r["occurredAt"] - timedelta(1)),
    "another time of arrival": lambda r: r.update(receivedAt=r["receivedAt"] - timedelta(1)),
    "another time of the decision": lambda r: r.update(decidedAt=datetime(2020, 1, 1, tzinfo=UTC)),
    "rules of before there were any": lambda r: r.update(rules=2),
    "another key that signed": lambda r: r.update(signingKey="another"),
}


@pytest.fixture
def altered(anytown: Path, tmp_path: Path) -> Callable[[Change], str]:
    """Return a function that alters a decision record where it lies, and gives its event's id."""
    folder = tmp_path / "scheme"
    shutil.copytree(anytown, folder)

    def alter(change: Change) -> str:
        with sqlite3.connect(folder / "streams.db") as connection:
            rows = connection.execute("SELECT rowid, value FROM records").fetchall()
            place, value, record = next(filter(None, map(_worth_altering, rows)))
            assert record["candidates"][0]["outcome"] == "permit"
            change(record)
            buffer = io.BytesIO()
            fastavro.schemaless_writer(buffer, SCHEMA, record)
            connection.execute(
                "UPDATE records SET value = ? WHERE rowid = ?",
                (value[:FRAME_BYTES] + buffer.getvalue(), place),
            )
        connection.close()
        return str(record["eventId"])

    return alter


def _worth_altering(row: tuple[int, bytes]) -> tuple[int, bytes, dict[str, Any]] | None:
    """Return a decision record with several candidates, whose first has a bit of everything."""
    try:
        record = read_decision(row[1] or b"")
    except ValueError:
        return None
    several = len(record["candidates"]) > 1 and record["candidates"][0]["transforms"]
    return (*row, record) if several else None


@pytest.mark.parametrize("change", ALTERATIONS.values(), ids=ALTERATIONS)
async def test_an_altered_record_does_not_agree(
    altered: Callable[[Change], str], tmp_path: Path, change: Change
) -> None:
    """Whatever of it was altered: made again from the event, the decision is another one."""
    event_id = altered(change)
    scheme = SchemeFolder(read_settings(tmp_path / "scheme", {}))
    async with scheme.streams() as streams:
        assert (await explain(scheme, streams, event_id))["agrees"] is False


def test_explain_says_so_in_words_and_in_its_exit_status(
    altered: Callable[[Change], str], tmp_path: Path
) -> None:
    """For somebody who reads it and for a script."""
    event_id = altered(ALTERATIONS["an item more"])
    done = concordat_here("explain", event_id, folder=tmp_path / "scheme")
    assert done.returncode == 1
    assert "does NOT agree" in done.stdout


async def test_each_recipient_has_its_own_view_of_a_placement(anytown: Path) -> None:
    """Health the whole placement postcode, the school no postcode, housing the home's."""
    views: dict[str, dict[str, set[str]]] = {}
    for party in (TRUST, SCHOOL, HOUSING):
        for line in (anytown / "received" / f"{party}.jsonl").read_text().splitlines():
            delivery = json.loads(line)
            if delivery["publisher"] == CHILDREN and "placement" in delivery["event_type"]:
                views.setdefault(delivery["event_id"], {})[party] = set(delivery["record"])
    whole = [view for view in views.values() if len(view) == 3]
    assert whole
    for view in whole:
        assert "placementPostcode" in view[TRUST]
        assert not view[SCHOOL] & {"placementPostcode", "homePostcode"}
        assert {"upn", "localAuthority"} <= view[SCHOOL]
        assert "homePostcode" in view[HOUSING]

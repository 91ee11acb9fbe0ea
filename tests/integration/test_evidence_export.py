"""What is exported verifies by itself; what is done to it, and to the streams, is named."""

import asyncio
import json
import random
import re
import shutil
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from commands import concordat_here
from town import COUNCIL, SCHOOL, Town, found_town, the_agreement, version_two

from broker.acts import is_act, record_act
from broker.administration import put_agreement
from broker.evidence.entries import Kept, record_from
from broker.evidence.export_files import (
    CONTROL,
    DELIVERIES,
    EVENTS,
    EXPORT,
    FRESHNESS,
    LISTED,
    Manifest,
    digest_of,
)
from broker.evidence.export_streams import write_control
from broker.evidence.exporting import Source, export
from broker.evidence.following import EvidenceWorker
from broker.evidence.offline import own_key, verify
from broker.evidence.reading import LogFiles, framed
from broker.evidence.shredding import Plan, acts_of
from broker.evidence.verified import Verified
from broker.evidence.writing import writing
from broker.periods import Period
from broker.recording import read_decision
from broker.routing import DECISIONS
from broker.scheme import SchemeFolder
from broker.settings import read_settings
from connectors.streams import Outgoing, Streams
from schemas.notes import NoteKey

ALL = Period()
EVENTS_PUBLISHED = 14


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A town that has shared placements, its log up to date."""
    folder = tmp_path_factory.mktemp("export") / "town"

    async def live() -> None:
        async with found_town(folder) as town:
            await town.agree(the_agreement())
            for _ in range(2):
                await town.publish(EVENTS_PUBLISHED // 2)
                await town.route()
            await write_log(town.scheme, town.streams)

    asyncio.run(live())
    return folder


async def write_log(scheme: SchemeFolder, streams: Streams) -> None:
    """Bring the log up to date."""
    with writing(scheme.log_path, scheme.log_keys, origin=scheme.log_origin) as writer:
        await EvidenceWorker(streams, writer).catch_up()


def scheme_in(folder: Path) -> SchemeFolder:
    """Return the scheme of a folder."""
    return SchemeFolder(read_settings(folder, {}))


def exported(folder: Path, to: Path, *, period: Period = ALL) -> Path:
    """Export a town's log; returns where to."""
    scheme = scheme_in(folder)

    async def work() -> None:
        opened: AbstractAsyncContextManager[Streams] = scheme.streams()
        async with opened as streams:
            source = Source(
                log=LogFiles(scheme.log_path),
                keys=scheme.log_keys,
                origin=scheme.log_origin,
                streams=streams,
                scheme_key=scheme.scheme_key,
                sealing=scheme.broker_keys.sealing,
            )
            await export(source, to, period=period)

    asyncio.run(work())
    return to


@pytest.fixture(scope="module")
def whole(town: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export of everything."""
    return exported(town, tmp_path_factory.mktemp("whole") / "out")


def key_of(folder: Path) -> NoteKey:
    """Return the log's key as an auditor was given it."""
    scheme = scheme_in(folder)
    return scheme.log_keys.public(scheme.log_origin)


def codes(result: Verified) -> set[str]:
    """Return what kinds of problem there are."""
    return {problem.code for problem in result.problems}


def test_an_export_verifies_with_public_keys_alone(town: Path, whole: Path) -> None:
    """Every record, event, delivery and document is accounted for."""
    result = verify(whole, key_of(town)).to_json()
    assert (result["verified"], result["problems"]) == (True, [])
    assert result["decided_again"] == result["events"] == EVENTS_PUBLISHED
    assert result["deliveries"] == EVENTS_PUBLISHED
    assert result["records"] == result["decided_again"] + result["acts"]
    assert result["control"] > 0
    assert result["control_signed"] > 0


def test_an_export_holds_nothing_that_could_be_opened(town: Path, whole: Path) -> None:
    """No payload, sealed or not: of events and deliveries, places and digests are told."""
    scheme = scheme_in(town)

    async def sealed() -> list[bytes]:
        async with scheme.streams() as streams:
            topics = (f"events.{COUNCIL}", f"deliveries.{SCHOOL}")
            return [one.value or b"" for topic in topics async for one in streams.read(topic)]

    told = b"".join(file.read_bytes() for file in whole.rglob("*") if file.is_file())
    values = asyncio.run(sealed())
    assert len(values) == 2 * EVENTS_PUBLISHED
    assert not [value for value in values if value[40:72] in told]


def test_the_command_exports_and_verifies(town: Path, tmp_path: Path) -> None:
    """With the folder's own key it says that nothing vouches for it; a taken place is refused."""
    to = tmp_path / "out"
    assert concordat_here("evidence", "export", "--to", to, folder=town).returncode == 0
    done = concordat_here("verify", to)
    assert (done.returncode, "nothing vouches for it" in done.stdout) == (0, True)
    told = json.loads(
        concordat_here("verify", to, "--json", "--key", key_of(town).to_vkey()).stdout
    )
    assert list(told)[:5] == ["verified", "records", "checkpoints", "shredded", "problems"]
    assert (told["verified"], told["key_given"]) == (True, True)
    again = concordat_here("evidence", "export", "--to", to, folder=town)
    assert (again.returncode, "is there already" in again.stderr) == (1, True)
    assert concordat_here("verify", tmp_path).returncode == 2, "a folder without a key"


def decided_at(files: LogFiles) -> list[tuple[int, datetime]]:
    """Return when each decision record of a log of one bundle was decided, by its index."""
    found = []
    for index, kept in enumerate(files.records(0)):
        value = record_from(kept.content, topic=DECISIONS, partition=0, offset=0).value or b""
        if not is_act(value):
            found.append((index, read_decision(value)["decidedAt"]))
    return found


def test_a_period_is_exported_and_no_other_record(town: Path, tmp_path: Path) -> None:
    """What lies outside is left out by name, and the whole tree still verifies."""
    key, log = key_of(town), LogFiles(town / "evidence")
    decided = decided_at(log)
    since = sorted(at for _, at in decided)[-EVENTS_PUBLISHED // 2]
    out = exported(town, tmp_path / "out", period=Period(since=since))
    result = verify(out, key)
    assert result.problems == []
    assert result.counts["decided_again"] == result.counts["deliveries"] == EVENTS_PUBLISHED // 2
    assert result.left_out == result.records - EVENTS_PUBLISHED // 2 - result.counts["acts"]
    # A record of the period that is left out, and one of another time that is not.
    within, outside = decided[-1][0], decided[0][0]
    kept, whole = LogFiles(out).records(0), log.records(0)
    assert (kept[outside].content, kept[within]) == (b"", whole[within])
    kept[within] = Kept(kept[within].offset, is_left_out=True)
    kept[outside] = whole[outside]
    LogFiles(out).records_path(0).write_bytes(b"".join(map(framed, kept)))
    told = {(one.code, one.record) for one in verify(out, key).problems if one.record is not None}
    assert {("missing-record", within), ("inserted-record", outside)} <= told


def test_a_period_in_which_nothing_was_decided_is_exported_as_that(
    town: Path, tmp_path: Path
) -> None:
    """Not one record goes along, and what a whole log has is told as left out."""
    period = Period(until=datetime(2020, 1, 1, tzinfo=UTC))
    empty = exported(town, tmp_path / "empty", period=period)
    result = verify(empty, key_of(town))
    assert (result.problems, result.left_out) == ([], result.records)
    assert not list((empty / "records").glob("*"))


@pytest.mark.parametrize("name", [EXPORT, *LISTED])
def test_rubbish_in_a_file_is_a_problem_and_no_more(
    town: Path, whole: Path, tmp_path: Path, name: str
) -> None:
    """Whatever the bytes are, the answer is that the export does not verify."""
    path, key = tmp_path / "out", key_of(town)
    shutil.copytree(whole, path)
    chance = random.Random(name)  # noqa: S311  the same in every run
    rubbish = [
        b"",
        b"\n\n",
        b"null\n",
        b"[" * 100_000,
        b'{"entry":0,"offset":' + b"9" * 5000 + b"}\n",
        b'{"entry":0,"candidate":null,"copy_of":[[],{}],"offset":0,"key":1,"value":[]}\n',
        chance.randbytes(300),
    ]
    before = (path / name).read_bytes()
    for data in rubbish:
        (path / name).write_bytes(data)
        assert data == before or not verify(path, key).is_verified
    (path / name).unlink()
    assert not verify(path, key).is_verified


def test_every_problem_is_told_of_in_the_page() -> None:
    """An auditor finds the code that `verify` gives."""
    root = Path(__file__).parents[2]
    page = (root / "docs/using/verifying.md").read_text(encoding="utf-8")
    told = set(re.findall(r"`([a-z]+(?:-[a-z]+)+)`", page))
    names = ("verifying", "offline", "export_control", "deciding_again", "shredding_acts")
    given: set[str] = set()
    for name in names:
        source = (root / f"broker/evidence/{name}.py").read_text(encoding="utf-8")
        given |= set(re.findall(r'(?:find\(|yield )\s*"([a-z]+(?:-[a-z]+)+)",', source))
    assert len(given) > 30
    assert given <= told


# -- faults ------------------------------------------------------------------------------


def _flip(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    at = chance.randrange(len(data) * 8)
    changed[at // 8] ^= 1 << at % 8
    return bytes(changed)


def _cut(data: bytes, chance: random.Random) -> bytes:
    return data[: -chance.randint(1, min(40, len(data)))]


def _drop(data: bytes, chance: random.Random) -> bytes:
    lines = data.splitlines(keepends=True)
    del lines[chance.randrange(len(lines))]
    return b"".join(lines)


def _swap(data: bytes, chance: random.Random) -> bytes:
    lines = data.splitlines(keepends=True)
    one, other = chance.sample(range(len(lines)), 2)
    lines[one], lines[other] = lines[other], lines[one]
    return b"".join(lines)


def _duplicate(data: bytes, chance: random.Random) -> bytes:
    lines = data.splitlines(keepends=True)
    lines.insert(chance.randrange(len(lines)), chance.choice(lines))
    return b"".join(lines)


def _digit(data: bytes, chance: random.Random) -> bytes:
    """Change a digit for another: what is left is a line as good as any."""
    places = [at for at, byte in enumerate(data) if byte in b"0123456789"]
    at = chance.choice(places)
    other = chance.choice([digit for digit in b"0123456789" if digit != data[at]])
    return data[:at] + bytes([other]) + data[at + 1 :]


@pytest.mark.parametrize("alter", [_flip, _cut, _drop, _swap, _duplicate, _digit])
def test_every_alteration_beside_the_log_is_found(
    town: Path, whole: Path, tmp_path: Path, alter: Callable[[bytes, random.Random], bytes]
) -> None:
    """One thing by chance in one of the files, again and again."""
    chance = random.Random(alter.__name__)  # noqa: S311  the same in every run
    path, key = tmp_path / "out", key_of(town)
    shutil.copytree(whole, path)
    of_lines = alter in {_drop, _swap, _duplicate}
    names = (CONTROL, EVENTS, DELIVERIES) if of_lines else (EXPORT, *LISTED)
    existing = [path / name for name in names if (path / name).stat().st_size]
    for number in range(70):
        file = chance.choice(existing)
        data = file.read_bytes()
        changed = alter(data, chance)
        if changed == data:
            continue
        file.write_bytes(changed)
        assert not verify(path, key).is_verified, f"{alter.__name__} {number} in {file.name}"
        file.write_bytes(data)
    assert verify(path, key).is_verified


def resigned(path: Path, folder: Path) -> None:
    """Sign an export anew as it is now: what an operator could do who holds the log's key."""
    scheme, file = scheme_in(folder), path / EXPORT
    manifest = Manifest.trusted(file.read_bytes(), key_of(folder))
    files = {name: digest_of(path / name) for name in LISTED if (path / name).exists()}
    changed = Manifest(manifest.log, manifest.size, left_out=manifest.left_out, files=files)
    file.write_text(changed.sign(scheme.log_keys.signing), encoding="utf-8")


def change_line(file: Path, number: int, changes: dict[str, Any]) -> None:
    """Change what a line of a file says."""
    lines = file.read_text("ascii").splitlines()
    lines[number] = json.dumps(json.loads(lines[number]) | changes, separators=(",", ":"))
    file.write_text("\n".join(lines) + "\n", encoding="ascii")


@pytest.mark.parametrize(
    ("name", "change", "code"),
    [
        (EVENTS, {"signature": "A" * 86 + "=="}, "unsigned-event"),
        (EVENTS, {"index": 1, "size": 2}, "unsigned-event"),
        (EVENTS, {"kid": "another"}, "unsigned-event"),
        (EVENTS, {"offset": 900}, "altered-event"),
        (EVENTS, {"path": 5}, "altered-event"),
        (DELIVERIES, {"sealed": "00" * 32}, "altered-delivery"),
        (DELIVERIES, {"topic": "deliveries.another"}, "altered-delivery"),
        (DELIVERIES, {"headers": {}}, "altered-delivery"),
        (DELIVERIES, {"candidate": 7}, "missing-delivery"),
        (DELIVERIES, {"entry": None}, "delivery-without-decision"),
        (EVENTS, {"entry": 10**9}, "missing-event"),
    ],
)
def test_an_operator_who_signs_the_export_anew_is_found_out(  # noqa: PLR0913, PLR0917  the cases
    town: Path, whole: Path, tmp_path: Path, name: str, change: dict[str, Any], code: str
) -> None:
    """What publishers signed and what the log has committed to is not the operator's to change."""
    path = tmp_path / "out"
    shutil.copytree(whole, path)
    third = sorted(json.loads(line)["entry"] for line in (path / name).read_text().splitlines())[2]
    change_line(path / name, 2, change)
    resigned(path, town)
    result = verify(path, key_of(town))
    assert code in codes(result)
    assert {one.record for one in result.problems} <= {third, None}
    assert {one.record for one in result.problems} != {None} or change == {"entry": None}


@pytest.mark.parametrize("what", ["acceptance", "party", "value", "end"])
def test_control_that_an_operator_changed_is_found(
    town: Path, whole: Path, tmp_path: Path, what: str
) -> None:
    """The scheme has signed it as a whole; without that the decisions do not come out."""
    path = tmp_path / "out"
    shutil.copytree(whole, path)
    lines = (path / CONTROL).read_text("ascii").splitlines(keepends=True)
    kept = {
        "acceptance": [line for line in lines if f"|{SCHOOL}|accept" not in line],
        "party": [line for line in lines if f'"party|{COUNCIL}|' not in line],
        "value": [line.replace("Virtual", "Wirtual") for line in lines[:-1]],
        "end": lines[:3],
    }[what]
    (path / CONTROL).write_text("".join(kept), encoding="ascii")
    resigned(path, town)
    assert "altered-control" in codes(verify(path, key_of(town)))
    (path / FRESHNESS).unlink()
    resigned(path, town)
    found = codes(verify(path, key_of(town)))
    if what == "acceptance":
        assert "decided-otherwise" in found
    if what == "party":
        assert "unsigned-event" in found
    assert "missing-document" in found or what == "value"


# -- the streams -------------------------------------------------------------------------


def test_a_delivery_that_no_decision_permits_is_found(town: Path, tmp_path: Path) -> None:
    """Whoever puts bytes on a recipient's topic; a copy elsewhere opens for nobody."""
    folder = tmp_path / "town"
    shutil.copytree(town, folder)

    async def append(value: bytes | None, topic: str) -> None:
        async with scheme_in(folder).streams() as streams:
            if value is None:
                value = [one.value async for one in streams.read(f"deliveries.{SCHOOL}")][3]
            await streams.append([Outgoing(topic, b"k" * 16, value)])

    asyncio.run(append(None, f"deliveries.{COUNCIL}"))
    copied = verify(exported(folder, tmp_path / "copied"), key_of(folder))
    assert (copied.problems, copied.counts["deliveries_copied"]) == ([], 1)
    asyncio.run(append(b"sealed by whom?", f"deliveries.{SCHOOL}"))
    result = verify(exported(folder, tmp_path / "smuggled"), key_of(folder))
    assert codes(result) == {"delivery-without-decision"}
    assert f"deliveries.{SCHOOL}" in result.problems[0].message


def test_what_is_decided_after_the_last_checkpoint_is_no_stray(town: Path, tmp_path: Path) -> None:
    """Its delivery has its decision, which is on the stream and not in the log yet."""
    folder = tmp_path / "town"
    shutil.copytree(town, folder)

    async def route_more() -> None:
        scheme = scheme_in(folder)
        async with scheme.streams() as streams:
            town_again = Town(scheme, streams, numbers=100)
            await town_again.publish(3)
            await town_again.route()

    asyncio.run(route_more())
    result = verify(exported(folder, tmp_path / "out"), key_of(folder))
    assert (result.problems, result.counts["deliveries"]) == ([], EVENTS_PUBLISHED)


def test_control_that_grows_while_it_is_exported_is_no_problem(
    town: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The scheme's word that goes along speaks of no more than what goes along."""
    folder = tmp_path / "town"
    shutil.copytree(town, folder)

    async def and_then_it_grows(streams: Streams, to: Path) -> int:
        count = await write_control(streams, to)
        scheme = scheme_in(folder)
        await put_agreement(scheme, streams, version_two(), name="agreement")
        await Town(scheme, streams).route()
        return count

    monkeypatch.setattr("broker.evidence.exporting.write_control", and_then_it_grows)
    result = verify(exported(folder, tmp_path / "out"), key_of(folder))
    assert result.problems == []
    monkeypatch.undo()
    later = verify(exported(folder, tmp_path / "later"), key_of(folder))
    assert later.counts["control_signed"] > result.counts["control_signed"]


def test_what_was_shredded_is_exported_as_that(town: Path, tmp_path: Path) -> None:
    """Its act is there, whatever the period; nobody can say any more what its delivery was."""
    folder = tmp_path / "town"
    shutil.copytree(town, folder)
    scheme, log = scheme_in(folder), LogFiles(folder / "evidence")
    index = decided_at(log)[3][0]
    made = Plan(datetime.now(UTC), {"retention P1D": [index]})
    (act,) = acts_of(made, log, by="the test", at=datetime.now(UTC))

    async def shred() -> None:
        async with scheme.streams() as streams:
            await record_act(streams, act)
            await write_log(scheme, streams)

    asyncio.run(shred())
    result = verify(exported(folder, tmp_path / "out"), key_of(folder)).to_json()
    assert (result["problems"], result["shredded"]) == ([], 1)
    assert result["shredded_under"] == {"retention P1D": 1}
    assert (result["deliveries"], result["deliveries_of_shredded"]) == (EVENTS_PUBLISHED - 1, 1)
    before = Period(until=datetime(2020, 1, 1, tzinfo=UTC))
    result = verify(exported(folder, tmp_path / "before", period=before), key_of(folder)).to_json()
    assert (result["problems"], result["shredded"], result["acts"]) == ([], 1, 1)


def test_a_folder_brings_the_key_that_it_names(whole: Path, town: Path, tmp_path: Path) -> None:
    """It is the log's; without it or with rubbish there is none."""
    assert own_key(whole) == key_of(town)
    assert own_key(tmp_path) is None

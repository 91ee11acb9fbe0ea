"""The register at work: through the store onto ``control``, whatever goes away meanwhile."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from commands import answer, answer_here, clean_environment, concordat_here
from services.postgres import Postgres
from town import COUNCIL, PURPOSE, SCHOOL, TOUR, WHO, Town, found_town, now, the_agreement

from agreements.signatures import SignatureType
from broker.administration import PartyDraft, add_party, put_agreement, sign_agreement, standings
from broker.control import TOPIC as CONTROL
from broker.party_changes import add_assurance
from broker.register import open_register
from broker.relaying import Relay, relaying
from broker.saying import Saying
from broker.scheme import SchemeFolder
from broker.settings import read_settings
from broker.storage import Conflict, StoreUnavailable
from broker.submitting import say
from broker.tracking import track
from connectors.streams import Outgoing, StreamsUnavailable
from schemas.control import Assured

STANDING = {COUNCIL: "accepted", SCHOOL: "accepted"}
DSPT = Assured.model_validate(
    {"kind": "dspt", "valid_from": "2026-01-01", "valid_until": "2027-06-30"}
)


@pytest_asyncio.fixture(name="town")
async def a_town(tmp_path: Path) -> AsyncIterator[Town]:
    """Found a scheme on the embedded streams."""
    async with found_town(tmp_path / "town") as town:
        yield town


def again(town: Town) -> SchemeFolder:
    """Return the scheme as another process would open it."""
    return SchemeFolder(read_settings(town.scheme.path, {}))


async def keys_on_control(town: Town) -> list[bytes]:
    """Return the record keys on ``control``, as they came."""
    return [record.key or b"" async for record in town.streams.read(CONTROL)]


async def agree_without_streams(town: Town) -> None:
    """Put and accept the tour's agreement while the streams are away."""
    await put_agreement(town.scheme, None, the_agreement(), name="agreement")
    for party in (COUNCIL, SCHOOL):
        await sign_agreement(
            town.scheme, None, the_agreement(), party=party, signatory=WHO, at=now()
        )


# -- the streams are away ----------------------------------------------------------------------


async def test_changes_are_kept_while_the_streams_are_away_and_published_later(town: Town) -> None:
    """In the order in which they were made, by whichever command comes next."""
    before = await keys_on_control(town)
    await agree_without_streams(town)
    assert await keys_on_control(town) == before
    [told] = await standings(town.scheme, None)
    assert told["standing"] == STANDING  # what the store knows
    await add_party(again(town), town.streams, PartyDraft("anytown-late", "Late"))
    published = (await keys_on_control(town))[len(before) :]
    kinds = [key.partition(b"|")[0] for key in published]
    assert kinds == [b"schema", b"agreement", b"signature", b"signature", b"party"]
    assert town.scheme.store.outbox.count_unpublished() == 0
    await town.publish()
    assert await town.route() == {"accepted": 1, "permit": 1}


async def test_the_service_publishes_what_waits_while_it_routes(town: Town) -> None:
    """Without a command: concordat run relays in the background."""
    async with relaying(town.scheme, town.streams):
        await agree_without_streams(town)
        async with asyncio.timeout(30):
            async for record in town.streams.read(CONTROL, follow=True):
                if f"|{SCHOOL}|accept".encode() in (record.key or b""):
                    break
    await town.publish()
    assert await town.route() == {"accepted": 1, "permit": 1}


async def test_streams_that_go_away_halfway_lose_nothing(town: Town) -> None:
    """The append fails after the commit: the officer's command does not, and it is kept."""
    append = town.streams.append

    async def away(_: Any) -> None:
        raise StreamsUnavailable("the test's own")

    town.streams.append = away  # type: ignore[method-assign]
    await town.agree(the_agreement())
    told = await track(town.scheme, town.streams, at=now())
    assert {one["offset"] for one in told["agreements"][0]["statements"]} == {None}
    assert told["control"]["waiting"] == 4
    town.streams.append = append  # type: ignore[method-assign]
    assert await Relay(town.scheme, town.streams).turn() == 4
    told = await track(town.scheme, town.streams, at=now())
    assert {one["covered"] for one in told["agreements"][0]["statements"]} == {True}


_CRASHING = """
import asyncio, os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from town import the_agreement
from broker import register
from broker.administration import put_agreement
from broker.scheme import SchemeFolder
from broker.settings import read_settings

async def killed(*_):
    os.kill(os.getpid(), signal.SIGKILL)

async def work():
    scheme = SchemeFolder(read_settings(Path(sys.argv[1]), {}))
    async with scheme.streams() as streams:
        {where}
        await put_agreement(scheme, streams, the_agreement(), name="agreement")

asyncio.run(work())
"""


@pytest.mark.fault
@pytest.mark.parametrize(
    ("where", "appended"),
    [
        ("register.append_to_control = killed", 0),
        ("register.Register._look_again = killed", 2),
    ],
    ids=["before the append", "before it is marked"],
)
async def test_a_command_that_is_killed_between_commit_and_relay_is_finished_by_the_next(
    town: Town, where: str, appended: int
) -> None:
    """Every change reaches ``control``; one that is there twice changes nothing."""
    before = await keys_on_control(town)
    script = _CRASHING.replace("{where}", where)
    command = [sys.executable, "-c", script, str(town.scheme.path), str(Path(__file__).parents[1])]
    process = await asyncio.create_subprocess_exec(*command, env=clean_environment(None))
    assert await process.wait() == -signal.SIGKILL
    assert len(await keys_on_control(town)) == len(before) + appended
    assert town.scheme.store.outbox.count_unpublished() == 2
    await town.agree(the_agreement())
    keys = (await keys_on_control(town))[len(before) :]
    assert [key.partition(b"|")[0] for key in keys] == [
        b"schema",
        b"agreement",
        b"signature",
        b"signature",
    ]
    await town.publish()
    assert await town.route() == {"accepted": 1, "permit": 1}


async def test_publishing_everything_again_changes_nothing(town: Town) -> None:
    """At least once: whatever of it comes twice, and in whichever order."""
    await town.agree(the_agreement())
    await town.sign(the_agreement(), SCHOOL, SignatureType.REJECT)
    before = await standings(town.scheme, town.streams)
    records = [record async for record in town.streams.read(CONTROL)]
    for some in (records, records[::-1]):
        await town.streams.append([Outgoing(CONTROL, one.key, one.value) for one in some])
    assert await standings(again(town), town.streams) == before


async def test_what_is_said_is_covered_by_the_schemes_word(
    streams_url: str, tmp_path: Path
) -> None:
    """On either kind of streams: offsets have gaps on Kafka, and the tracker finds its way."""
    async with found_town(tmp_path / "town", streams=streams_url) as town:
        await put_agreement(town.scheme, None, the_agreement(), name="agreement")
        for party in (COUNCIL, SCHOOL):
            await town.sign(the_agreement(), party)
        suspending = Saying(SignatureType.SUSPEND, SCHOOL, WHO, now(), reason="A breach")
        done = await say(again(town), town.streams, suspending, agreement_id=the_agreement().id)
        assert done.is_covered
        told = await track(again(town), town.streams, at=now())
        statements = told["agreements"][0]["statements"]
        assert {one["covered"] for one in statements} == {True}
        assert len({one["offset"] for one in statements}) == 3
        assert told["control"]["waiting"] == 0


# -- the store is away -------------------------------------------------------------------------


async def test_a_folder_without_a_store_is_given_one(town: Town) -> None:
    """Made before there were stores, or lost: what is on ``control`` is taken in."""
    await town.agree(the_agreement())
    for file in town.scheme.path.glob("store.db*"):
        file.unlink()
    scheme = again(town)
    assert (await standings(scheme, town.streams))[0]["standing"] == STANDING
    assert {one.id for one in scheme.store.list("party")} == {"broker", COUNCIL, SCHOOL}
    assert len(scheme.store.list("agreement")) == 1
    assert scheme.store.outbox.count_unpublished() == 0
    assert (await standings(scheme, None))[0]["standing"] == STANDING
    before = await keys_on_control(town)
    await add_assurance(scheme, town.streams, SCHOOL, DSPT)
    assert (await keys_on_control(town))[len(before) :] == [f"party|{SCHOOL}|2".encode()]


@pytest.mark.parametrize("harm", ["deleted", "rubbish"])
async def test_routing_goes_on_without_the_store(town: Town, harm: str) -> None:
    """A router builds its rules from ``control`` alone; what relays says what is wrong."""
    await town.agree(the_agreement())
    for file in town.scheme.path.glob("store.db*"):
        file.unlink()
    if harm == "rubbish":
        (town.scheme.path / "store.db").write_bytes(b"not a database" * 100)
    await town.publish()
    command = ["run", "--until-idle", "--json"]
    told = await asyncio.to_thread(answer, *command, folder=town.scheme.path)
    assert told["tally"] == {"accepted": 1, "permit": 1}
    assert (town.scheme.path / "store.db").exists() is (harm == "rubbish")
    if harm == "rubbish":
        with pytest.raises(StoreUnavailable):
            await standings(again(town), town.streams)


async def test_a_stop_does_not_wait_for_the_store(town: Town) -> None:
    """It goes to ``control`` at once, and into the store when there is one again."""
    await town.agree(the_agreement())
    for file in town.scheme.path.glob("store.db*"):
        file.unlink()
    (town.scheme.path / "store.db").write_bytes(b"not a database" * 100)
    suspending = Saying(SignatureType.SUSPEND, SCHOOL, WHO, now(), reason="A breach")
    scheme = again(town)
    done = await say(scheme, town.streams, suspending, agreement_id=the_agreement().id)
    assert (done.is_kept, done.is_covered) == (False, True)
    accepting = replace(suspending, type=SignatureType.ACCEPT, reason=None)
    with pytest.raises(StoreUnavailable):
        await say(scheme, town.streams, accepting, agreement_id=the_agreement().id)
    (town.scheme.path / "store.db").unlink()
    await standings(again(town), town.streams)
    [told] = (await track(again(town), None, at=now()))["agreements"]
    assert told["state"] == "suspended"


async def test_a_router_does_not_load_the_database_library(town: Town) -> None:
    """What it does not load it cannot ask."""
    await town.agree(the_agreement())
    await town.publish()
    script = (
        "import sys; sys.argv[1:] = ['run', '--only', 'router,freshness', '--until-idle',"
        f" '--dir', {str(town.scheme.path)!r}]\n"
        "from broker.cli.program import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n"
        "    print(end.code, 'sqlalchemy' in sys.modules)\n"
    )
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env=clean_environment(None),
    )
    assert done.stdout.splitlines()[-1] == "0 False"
    assert "permit" in done.stdout


# -- two officers ------------------------------------------------------------------------------


async def test_of_two_who_change_a_party_at_once_none_is_lost(town: Town) -> None:
    """Each change is made to what the other left, or refused and nothing written."""
    first, second = again(town), again(town)
    open_first = await open_register(first, town.streams)
    await add_assurance(second, town.streams, SCHOOL, DSPT)
    stored = first.store.get("party", SCHOOL)
    assert stored is not None
    assert stored.revision == 2
    with pytest.raises(Conflict) as refused, open_first.transaction("ann") as transaction:
        transaction.put("party", SCHOOL, 1, {}, expected_revision=1)
    assert refused.value.revision == 2
    cyber = DSPT.model_copy(update={"kind": "cyber-essentials"})
    revised = await add_assurance(first, town.streams, SCHOOL, cyber)
    assert [one.kind for one in revised.assurances] == ["dspt", "cyber-essentials"]
    assert revised.revision == 3


def test_the_second_officer_to_save_a_draft_hears_who_was_first(tmp_path: Path) -> None:
    """By the first line of what was opened; what was written before stays in the history."""
    folder = tmp_path / "town"
    assert concordat_here("init", folder).returncode == 0
    answer_here("agreement", "save", TOUR, "--by", "ann", folder=folder)
    name = the_agreement().id
    for officer in ("bob", "cat"):
        answer_here("agreement", "open", name, "--out", tmp_path / officer, folder=folder)
        (tmp_path / officer).write_text((tmp_path / officer).read_text() + f"# by {officer}\n")
    saved = answer_here("agreement", "save", tmp_path / "cat", "--by", "cat", folder=folder)
    assert saved["revision"] == 2
    late = concordat_here("agreement", "save", tmp_path / "bob", "--by", "bob", folder=folder)
    assert late.returncode == 1
    assert "cat made revision 2 at" in late.stderr
    told = answer_here("agreement", "history", name, folder=folder)["revisions"]
    assert [one["changed_by"] for one in told] == ["ann", "cat"]


# -- PostgreSQL ---------------------------------------------------------------------------------


@pytest.mark.postgres
def test_a_scheme_lives_on_postgresql(postgres: Postgres, tmp_path: Path) -> None:
    """From init to revoke, by commands; the password is in no output and no file."""
    folder = tmp_path / "town"
    with postgres.database() as address:
        place = {"environment": {"CONCORDAT_STORE": address}}
        assert concordat_here("init", folder, **place).returncode == 0
        for party, more in ((COUNCIL, ()), (SCHOOL, ("--purpose", PURPOSE))):
            answer_here("party", "add", party, "--name", party, *more, folder=folder, **place)
        signed = ["--sign-as", COUNCIL, "--sign-as", SCHOOL]
        answer_here("agreement", "put", TOUR, *signed, folder=folder, **place)
        why = ["--reason", "The tour is over"]
        name = the_agreement().id
        done = answer_here(
            "agreement", "revoke", name, "--as", SCHOOL, *why, folder=folder, **place
        )
        assert (done["revoked_by"], done["covered"]) == (SCHOOL, True)
        told = answer_here("agreement", "status", name, folder=folder, **place)
        assert {one["standing"] for one in told["agreements"][0]["parties"]} == {
            "accepted",
            "revoked",
        }
        assert not list(folder.glob("store.db*"))
    gone = concordat_here("agreement", "list", folder=folder, **place)
    assert gone.returncode == 1
    assert "the store postgresql://" in gone.stderr
    secret = {"CONCORDAT_STORE": "postgresql://ann:secret-word@127.0.0.1:1/d"}
    refused = concordat_here("agreement", "list", folder=folder, environment=secret)
    assert "store-unavailable" not in refused.stdout
    assert "secret-word" not in refused.stderr + refused.stdout

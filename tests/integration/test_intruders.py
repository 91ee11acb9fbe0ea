"""Somebody may write whatever they like to the store and to ``control``, without any key.

They can make nothing flow, bring nothing back that was stopped, and hide no stop for
longer than the freshness limit. Each test does what such a person could do and looks at
what a router decides that reads ``control`` from the start.
"""

import json
import shutil
import sqlite3
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from town import COUNCIL, SCHOOL, WHO, Town, found_town, now, the_agreement, version_two

from agreements.canonical import canonical_form, to_document
from agreements.signatures import SignatureType
from broker.administration import PartyDraft, add_party, put_agreement, standings
from broker.control import TOPIC as CONTROL
from broker.freshness import KEY, ControlRewritten, StaleRules, Statement
from broker.freshness import TOPIC as FRESHNESS
from broker.issuing import Issuer
from broker.register import open_register
from broker.relaying import Relay
from broker.saying import NotASignature, Saying, read_statement, record_of
from broker.scheme import SchemeFolder
from broker.settings import read_settings
from broker.submitting import submit
from broker.tracking import track
from connectors.streams import Outgoing, Record
from schemas.control import Kind, document_key, sign_document
from schemas.keys import SigningKey

REVOKED = {"accepted": 1, "deny:revoked": 1}
PERMITTED = {"accepted": 1, "permit": 1}


@pytest_asyncio.fixture(name="town")
async def a_town(tmp_path: Path) -> AsyncIterator[Town]:
    """Found a scheme on the embedded streams."""
    async with found_town(tmp_path / "town") as town:
        yield town


def again(town: Town) -> Town:
    """Return the town as processes see it that start anew."""
    return Town(SchemeFolder(read_settings(town.scheme.path, {})), town.streams, town.numbers)


async def decided(town: Town) -> dict[str, int]:
    """Publish one event, and route it by rules that are read from the start."""
    await town.publish()
    return await again(town).route()


async def on_control(town: Town) -> list[Record]:
    """Return everything that lies on ``control``."""
    return [record async for record in town.streams.read(CONTROL)]


async def put(town: Town, *records: tuple[bytes, bytes | None]) -> None:
    """Write to ``control``, as somebody may who has no key."""
    await town.streams.append([Outgoing(CONTROL, key, value) for key, value in records])


def forged(key: SigningKey) -> bytes:
    """Return an acceptance of the tour's agreement for the school, by another key."""
    token = Saying(SignatureType.ACCEPT, SCHOOL, WHO, now()).sign(the_agreement(), key)
    return json.dumps({"jws": token}).encode()


def signature_key(kind: str = "accept") -> bytes:
    """Return where a statement of the school belongs on ``control``."""
    return document_key(Kind.SIGNATURE, the_agreement().id, 1, party=SCHOOL, type=kind)


def a_revocation(town: Town) -> str:
    """Return the school's own revocation, which is not on record yet."""
    saying = Saying(SignatureType.REVOKE, SCHOOL, WHO, now(), reason="over")
    return saying.sign(the_agreement(), town.scheme.party_keys(SCHOOL).signing[0])


async def told_of_revocation(town: Town) -> dict[str, Any]:
    """Return what the tracker tells of the revocation."""
    told = await track(again(town).scheme, town.streams, at=now())
    statements = told["agreements"][0]["statements"]
    [found] = [one for one in statements if one["type"] == "revoke"]
    return dict(found)


def rows(town: Town, statement: str, *values: object) -> None:
    """Change the store behind the program's back."""
    connection = sqlite3.connect(town.scheme.path / "store.db")
    with connection:
        connection.execute(statement, values)
    connection.close()


def into_outbox(town: Town, key: bytes, value: bytes) -> None:
    """Put a record into the outbox as if it had been committed."""
    rows(
        town,
        "INSERT INTO outbox (key, value, made_by, made_at) VALUES (?, ?, 'x', ?)",
        key,
        value,
        "2026-01-01 00:00:00.000000",
    )


# -- nothing can be made to flow ----------------------------------------------------------------


async def half_signed(town: Town) -> None:
    """Leave an agreement that the council has accepted, and the school not."""
    await put_agreement(town.scheme, town.streams, the_agreement(), name="agreement")
    await town.sign(the_agreement(), COUNCIL)


async def test_a_forged_acceptance_makes_nothing_flow(town: Town) -> None:
    """Signed by another key, copied from another party, or altered."""
    await half_signed(town)
    mine = SigningKey.generate()
    [genuine] = [
        json.loads(one.value or b"")["jws"]
        for one in await on_control(town)
        if (one.key or b"").startswith(b"signature|")
    ]
    header, payload, signature = genuine.split(".")
    other = forged(mine)
    await put(
        town,
        (signature_key(), other),
        (signature_key(), json.dumps({"jws": genuine}).encode()),
        (signature_key(), json.dumps({"jws": f"{header}.{payload}.{signature[:-4]}AAAA"}).encode()),
        (signature_key(), json.dumps({"jws": json.loads(other)["jws"][:-20]}).encode()),
    )
    assert await decided(town) == {"accepted": 1, "deny:not-signed": 1}


async def test_a_party_that_the_scheme_did_not_sign_is_none(town: Town) -> None:
    """Nobody puts a key of their own into a party's place, in ``control`` or in the store."""
    await half_signed(town)
    mine = SigningKey.generate()
    known = (await open_register(town.scheme, town.streams)).control.snapshot().rules.parties
    fake = known[SCHOOL].model_copy(update={"signing_keys": (mine.public.to_jwk(),), "revision": 2})
    body = fake.model_dump(mode="json")
    record = json.dumps({"jws": sign_document(mine, body)}).encode()
    await put(town, (f"party|{SCHOOL}|2".encode(), record), (signature_key(), forged(mine)))
    rows(
        town,
        "UPDATE revision SET body = ? WHERE kind = 'party' AND id = ?",
        json.dumps(body),
        SCHOOL,
    )
    into_outbox(town, f"party|{SCHOOL}|2".encode(), record)
    assert await decided(town) == {"accepted": 1, "deny:not-signed": 1}
    # Officers' commands believe the store no more than routers do.
    with pytest.raises(NotASignature, match="does not have"):
        await submit(town.scheme, town.streams, json.loads(forged(mine))["jws"])
    await town.sign(the_agreement(), SCHOOL)
    assert await decided(town) == PERMITTED


async def test_another_text_under_a_signed_number_shares_nothing_more(town: Town) -> None:
    """The text counts by the hash that both signed, wherever another lies."""
    await town.agree(the_agreement())
    wider = the_agreement(flows=to_document(version_two())["flows"])
    key = document_key(Kind.AGREEMENT, wider.id, 1)
    await put(town, (key, canonical_form(wider)), (key, b"{}"), (key, None))
    rows(town, "UPDATE outbox SET value = ? WHERE key = ?", canonical_form(wider), key)
    rows(town, "UPDATE revision SET body = ? WHERE kind = 'agreement'", "{}")
    assert await decided(town) == PERMITTED
    assert await town.receive() == (1, 0)
    received = (town.scheme.path / "received" / f"{SCHOOL}.jsonl").read_text()
    assert '"sex"' not in received


# -- nothing that was stopped comes back --------------------------------------------------------


async def revoked(town: Town) -> list[Record]:
    """Leave an agreement that the school has revoked; returns ``control`` as it was before."""
    await town.agree(the_agreement())
    before = await on_control(town)
    shutil.copytree(town.scheme.path, town.scheme.path.parent / "before")
    await town.sign(the_agreement(), SCHOOL, SignatureType.REVOKE)
    return before


async def test_a_replay_of_what_was_there_before_brings_nothing_back(town: Town) -> None:
    """Every older record again, over the revocation's own key, too, and tombstones."""
    before = await revoked(town)
    await put(town, *((one.key or b"", one.value) for one in before))
    for one in before:
        await put(town, (signature_key("revoke"), one.value))
    await put(town, *((one.key or b"", None) for one in await on_control(town)))
    assert await decided(town) == REVOKED


@pytest.mark.parametrize("kept", ["the old store", "no store", "rubbish in its rows"])
async def test_a_store_that_is_rolled_back_brings_nothing_back(town: Town, kept: str) -> None:
    """The commands of officers that come after it, and the relay, change nothing of it."""
    await revoked(town)
    for file in town.scheme.path.glob("store.db*"):
        file.unlink()
    if kept != "no store":
        for file in (town.scheme.path.parent / "before").glob("store.db*"):
            shutil.copy(file, town.scheme.path / file.name)
    if kept == "rubbish in its rows":
        rows(town, "UPDATE outbox SET published_at = NULL, value = x'7b7d' WHERE number % 2 = 0")
        rows(town, "DELETE FROM revision WHERE kind = 'party'")
    back = again(town)
    await Relay(back.scheme, town.streams).turn()
    await add_party(back.scheme, town.streams, PartyDraft("anytown-late", "Late"))
    [told] = await standings(back.scheme, town.streams)
    assert told["standing"][SCHOOL] == "revoked"
    assert await decided(town) == REVOKED


async def test_what_was_lifted_once_lifts_nothing_later(town: Town) -> None:
    """A resume names its suspension: replayed, it does not end the next one."""
    await town.agree(the_agreement())
    first = Saying(SignatureType.SUSPEND, SCHOOL, WHO, now(), reason="one")
    key = town.scheme.party_keys(SCHOOL).signing[0]
    done = await submit(town.scheme, town.streams, first.sign(the_agreement(), key))
    resume = Saying(
        SignatureType.RESUME, SCHOOL, WHO, now(), reason="over", lifts=done.id, held="release"
    ).sign(the_agreement(), key)
    await submit(town.scheme, town.streams, resume)
    assert await decided(town) == PERMITTED
    later = replace(first, signed_at=now() + timedelta(milliseconds=1), reason="two")
    await submit(town.scheme, town.streams, later.sign(the_agreement(), key))
    await put(town, record_of(read_statement(resume), resume))
    assert (await decided(town)).get("permit") is None


# -- no stop can be hidden for long -------------------------------------------------------------


async def test_a_revocation_that_is_kept_back_is_told_and_published(town: Town) -> None:
    """Marked in the store as published although it is not: the relay goes by ``control``."""
    await town.agree(the_agreement())
    done = await submit(again(town).scheme, None, a_revocation(town))
    assert (done.offset, done.is_covered) == (None, False)
    rows(town, "UPDATE outbox SET published_at = '2026-01-01 00:00:00'")
    told = await told_of_revocation(town)
    assert (told["offset"], told["covered"]) == (None, False)
    assert await Relay(again(town).scheme, town.streams).turn() == 1
    told = await told_of_revocation(town)
    assert (told["offset"] is not None, told["covered"]) == (True, True)
    assert await decided(town) == REVOKED


async def test_rubbish_in_the_store_keeps_nobody_from_revoking(town: Town) -> None:
    """Rows that no stream takes and no reader understands are passed over."""
    await town.agree(the_agreement())
    into_outbox(town, b"x" * 2_000_000, b"{}")
    into_outbox(town, b"", b"")
    into_outbox(town, b"\xff", b"\xff")
    rows(town, "UPDATE revision SET body = 'rubbish'")
    done = await submit(again(town).scheme, town.streams, a_revocation(town))
    assert done.is_covered
    assert await decided(town) == REVOKED


async def test_a_copy_with_another_signature_does_not_pass_for_the_revocation(town: Town) -> None:
    """On ``control`` lies what looks like it and does not verify: it is told as not there."""
    await town.agree(the_agreement())
    token = a_revocation(town)
    spoilt = f"{token.rpartition('.')[0]}.{'A' * 86}"
    await put(town, (signature_key("revoke"), json.dumps({"jws": spoilt}).encode()))
    await submit(again(town).scheme, None, token)
    assert (await told_of_revocation(town))["offset"] is None


async def test_the_schemes_word_on_another_control_covers_nothing(town: Town) -> None:
    """Whoever shows a party a ``control`` of their own cannot show that the scheme signed it."""
    await town.agree(the_agreement())
    key = town.scheme.scheme_signing_key()
    (town.scheme.path / "keys" / "scheme.jwe").rename(town.scheme.path / "taken-away.jwe")
    elsewhere = again(town)
    done = await submit(elsewhere.scheme, town.streams, a_revocation(town))
    assert done.offset is not None
    assert not done.is_covered
    other = Statement(time.time_ns() // 1_000_000, done.offset + 1, bytes(32)).sign(key)
    await town.streams.append([Outgoing(FRESHNESS, KEY, other.encode())])
    assert (await told_of_revocation(elsewhere))["covered"] is False


async def test_a_control_without_the_revocation_is_not_gone_by(town: Town) -> None:
    """Taken out of the streams' own file: the scheme has signed that it was there."""
    await town.agree(the_agreement())
    older = [record.value async for record in town.streams.read(FRESHNESS)]
    await town.sign(the_agreement(), SCHOOL, SignatureType.REVOKE)
    connection = sqlite3.connect(town.scheme.path / "streams.db")
    with connection:
        taken = connection.execute("DELETE FROM records WHERE key = ?", (signature_key("revoke"),))
    connection.close()
    assert taken.rowcount == 1
    # Whoever has the scheme's key signs nothing for it, and says so.
    with pytest.raises(ControlRewritten):
        await decided(town)
    # A router elsewhere goes by what was signed last, and does not find it.
    elsewhere = again(town)
    (town.scheme.path / "keys" / "scheme.jwe").rename(town.scheme.path / "taken-away.jwe")
    with pytest.raises(StaleRules):
        await elsewhere.route()
    # An older statement holds, if it is put in the place of that: no longer than the limit.
    await town.streams.append([Outgoing(FRESHNESS, KEY, value) for value in older])
    control = elsewhere.scheme.control()
    await control.load(town.streams)
    freshness = elsewhere.scheme.freshness(control)
    freshness.take(older[-1])
    issued = freshness.newest
    assert issued is not None
    assert freshness.standing(issued.issued_at_ms + freshness.max_age_ms) == "fresh"
    assert freshness.standing(issued.issued_at_ms + freshness.max_age_ms + 1) == "old"


async def test_old_freshness_statements_do_not_make_old_rules_fresh(town: Town) -> None:
    """Replayed, forged or from before: a router goes by the newest that the scheme signed."""
    await town.agree(the_agreement())
    said = [record.value async for record in town.streams.read(FRESHNESS)]
    await town.sign(the_agreement(), SCHOOL, SignatureType.REVOKE)
    forger = Issuer(SigningKey.generate(), town.scheme.path / "forged.jws")
    await forger.issue(town.streams)
    await town.streams.append([Outgoing(FRESHNESS, KEY, value) for value in said])
    assert await decided(town) == REVOKED

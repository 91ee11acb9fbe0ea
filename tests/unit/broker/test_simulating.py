"""A draft on past events: what it gains and loses, decided as it would have been then."""

import contextlib
import io
import sqlite3
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import fastavro
import pytest
from deciding_world import (
    AGREEMENT,
    COUNCIL,
    HEALTH,
    PLACEMENT,
    PURPOSE,
    SCHEME,
    SCHOOL,
    a_flow,
    key_of,
    pseudonym_key,
)
from routing_world import NOON_MS, a_scheme_of, broker_keys, sealing_key
from simulating_world import GROUP, Past, a_draft, a_text

from agreements.gain_figures import Happened
from agreements.gains import Gains
from agreements.rules import Compiler
from broker.control import ControlState
from broker.drift import report_drift
from broker.keyring import Keyring
from broker.past import decided
from broker.periods import Period
from broker.record_parts import NOTICES
from broker.recording import FINGERPRINT, RETRACTED, SCHEMA, text
from broker.routing import DECISIONS, EVENTS, QUARANTINE
from broker.subjects import Subjects
from connectors.streams import Outgoing, open_streams
from connectors.streams.partitioning import key_hash
from schemas.framing import frame
from schemas.keys import Suite

NOW = int(time.time() * 1000)
FLOW = ("placement", HEALTH)


@pytest.fixture
async def past(tmp_path: Path) -> AsyncIterator[Past]:
    """Return a scheme in which placements flow to health, and nothing has happened."""
    async with open_streams(f"sqlite:{tmp_path / 'streams.db'}") as streams:
        past = Past(streams)
        await past.begin()
        yield past


def items(*paths: str) -> list[dict[str, Any]]:
    """Build a list of items."""
    return [{"path": path, "justification": "It is needed."} for path in paths]


async def test_the_agreement_in_force_would_have_done_what_it_did(past: Past) -> None:
    """Tried on what it really did, nothing is gained and nothing lost."""
    made = await past.happen({}, {"key": b"another sixteen."}, {"rec": "E11"}, at_ms=NOW)
    found = await past.simulate(a_draft())
    assert found.gains.events == len(made) == 3
    flow = found.gains.flows[FLOW]
    assert (flow.permitted, flow.would_permit) == (3, 3)
    assert not flow.gained.events
    assert not flow.lost.events
    assert not found.gains.recipients[HEALTH].new_items
    assert dict(found.gains.versions) == {(AGREEMENT, 1): 3}


async def test_a_wider_version_gains_an_item_and_a_recipient(past: Past) -> None:
    """The new item in each delivery, the new recipient each event for the first time."""
    made = await past.happen({}, {}, at_ms=NOW)
    wider = a_flow(to=[HEALTH, SCHOOL], items=items("childId", "placementPostcode", "decom", "sex"))
    gains = (await past.simulate(a_draft(wider, version=2))).gains
    assert gains.flows[FLOW].items["sex"].new == 2
    assert gains.flows[FLOW].gained.events == 0
    assert gains.recipients[HEALTH].new_items == {"sex": 2}
    school = gains.flows["placement", SCHOOL]
    assert school.gained_from == {"no-agreement": 2}
    assert school.gained.ids == [decision["eventId"] for decision in made]
    assert gains.recipients[SCHOOL].first.events == 2


async def test_a_narrower_version_loses_by_its_condition(past: Past) -> None:
    """What the condition keeps back is lost to it, and an item that was left out is gone."""
    await past.happen({"legalStatus": "C2"}, {"legalStatus": "V2"}, at_ms=NOW)
    narrower = a_flow(
        when=[{"item": "legalStatus", "equals": "C2"}], items=items("childId", "decom")
    )
    gains = (await past.simulate(a_draft(narrower, version=2))).gains
    flow = gains.flows[FLOW]
    assert flow.lost_to == {"condition-not-met": 1}
    assert flow.items["placementPostcode"].gone == 2
    assert gains.recipients[HEALTH].last.events == 1


async def test_another_transform_is_told_as_a_change(past: Past) -> None:
    """Neither new nor gone: disclosed differently."""
    await past.happen({}, at_ms=NOW)
    sector = {
        "path": "placementPostcode",
        "justification": "The area is enough.",
        "transform": {"generalise": "postcode-sector"},
    }
    flow = a_flow(items=[{"path": "childId"}, sector, {"path": "decom"}])
    gains = (await past.simulate(a_draft(flow, version=2))).gains
    item = gains.flows[FLOW].items["placementPostcode"]
    assert (item.new, item.gone) == (0, 0)
    assert dict(item.changed) == {("", "generalise:postcode-sector"): 1}


async def test_items_that_no_event_has_and_those_withheld_are_told_apart(past: Past) -> None:
    """An item that is never there is of no use; one that does not validate is a fault."""
    await past.happen({"upn": "no number"}, {"upn": "no number", "sex": None}, at_ms=NOW)
    flow = a_flow(items=items("childId", "urn", "upn", "sex"))
    tried = (await past.simulate(a_draft(flow, version=2))).gains.flows[FLOW]
    assert tried.never_present == ["urn"]
    assert dict(tried.items["upn"].withheld) == {"invalid-identifier": 2}


async def test_an_objection_counts_from_when_it_was_known(past: Past) -> None:
    """The first event was shared before anyone objected, though the objection reaches back."""
    await past.happen({"nhsNumber": "9434765919"}, at_ms=NOW)
    blind = Subjects(broker_keys().derive("audit")).blind
    past.documents.objection(
        "objection-1", subject=blind("nhs-number", "9434765919", publisher=COUNCIL).hex()
    )
    await past.happen({"nhsNumber": "9434765919"}, at_ms=NOW + 1)
    flow = (await past.simulate(a_draft())).gains.flows[FLOW]
    assert (flow.permitted, flow.would_permit) == (1, 1)
    assert [reason for reason, _ in flow.refused] == ["objection"]


async def test_what_was_known_is_right_whichever_partition_is_read_first(past: Past) -> None:
    """Partitions are read one after another, so time goes back between them."""
    keys = sorted((b"%016d" % n for n in range(2, 9)), key=lambda key: key_hash(key) % 2)
    for at_ms, key in ((NOW, keys[-1]), (NOW + 1, keys[0])):
        await past.happen({"key": key, "nhsNumber": "9434765919"}, at_ms=at_ms)
        blind = Subjects(broker_keys().derive("audit")).blind
        past.documents.objection(
            "objection-1", subject=blind("nhs-number", "9434765919", publisher=COUNCIL).hex()
        )
    found = [(one.partition, one.rules) async for one in decided(past.streams, Period())]
    assert [partition for partition, _ in found] == [0, 1]
    assert found[0][1] > found[1][1]
    flow = (await past.simulate(a_draft())).gains.flows[FLOW]
    assert (flow.permitted, flow.would_permit, flow.lost.events) == (1, 1, 0)


async def test_an_event_is_as_old_as_it_was_when_it_was_decided(past: Past) -> None:
    """Nothing grows too old by waiting for a simulation."""
    age = (NOW - NOON_MS) // 1000
    await past.happen({}, at_ms=NOW)
    await past.happen({}, at_ms=NOW + 2000)
    draft = a_draft(a_flow(max_age=f"PT{age + 1}S"), version=2)
    flow = (await past.simulate(draft)).gains.flows[FLOW]
    assert (flow.would_permit, flow.lost_to) == (1, {"too-old": 1})


@pytest.mark.parametrize(
    "effective",
    [
        {"starts_at": "2020-01-01", "ends_at": "2021-01-01"},
        {"starts_at": "2090-01-01", "ends_at": "2100-01-01"},
    ],
)
async def test_a_drafts_own_dates_are_left_out_of_account(
    past: Past, effective: dict[str, str]
) -> None:
    """One that begins next year, or that has ended, is tried on what there is."""
    await past.happen({}, at_ms=NOW)
    flow = (await past.simulate(a_draft(version=2, effective=effective))).gains.flows[FLOW]
    assert (flow.permitted, flow.would_permit) == (1, 1)


async def test_an_event_that_is_no_longer_held_is_counted_and_not_mistaken(
    past: Past, tmp_path: Path
) -> None:
    """Retention has taken it; the next one in its place is another event."""
    for second in range(3):
        await past.happen({"sex": str(second % 2 + 1)}, at_ms=NOW + second)
    with contextlib.closing(sqlite3.connect(tmp_path / "streams.db")) as file:
        file.execute(
            "DELETE FROM records WHERE id = (SELECT min(r.id) FROM records r"
            " JOIN logs l ON l.id = r.id >> 40 WHERE l.topic = ?)",
            (past.topic,),
        )
        file.commit()
    found = await past.simulate(a_draft())
    assert (found.not_held, found.gains.events) == (1, 2)
    assert not found.unopenable


async def test_rubbish_among_the_decisions_is_counted_and_passed_over(past: Past) -> None:
    """Whoever may write to the topic can neither stop a simulation nor point it elsewhere."""
    (made,) = await past.happen({}, at_ms=NOW)
    values = [one.value or b"" async for one in past.streams.read(DECISIONS)]
    topic = text(past.topic)
    place = values[0].index(topic) + len(topic)
    rubbish = [
        values[0][:-40],
        values[0][:30] + bytes(200) + topic,
        values[0][:place] + b"\x40" + values[0][place + 1 :],  # partition 32
        topic,
        b"",
    ]
    await past.streams.append([Outgoing(DECISIONS, b"k", value) for value in rubbish])
    found = await past.simulate(a_draft())
    assert (found.unreadable, found.not_held) == (3, 1)
    assert found.gains.events == 1
    drift = await report_drift(
        past.streams,
        ControlState(Compiler(past.world.catalogue, scheme_key=SCHEME.public,
                              pseudonym_key=pseudonym_key)),
        period=Period(until=datetime.fromtimestamp(NOW / 1000 + 60, UTC)),
        unused=timedelta(days=30),
    )  # fmt: skip
    assert (drift.decisions, drift.unreadable) == (2, 4)
    assert made["eventId"]


async def test_notices_are_nothing_that_an_agreement_shared(past: Past) -> None:
    """Those who had an event were told that it was taken back: no draft would do otherwise."""
    (made,) = await past.happen({}, at_ms=NOW)
    settles = {"suspension": NOTICES, "decidedAt": made["decidedAt"], "partition": 0, "offset": 0}
    (had,) = made["candidates"]
    told = had | {"reason": RETRACTED, "detail": "earlier", "items": [], "transforms": {}}
    notices = io.BytesIO()
    fastavro.schemaless_writer(notices, SCHEMA, made | {"candidates": [told], "settles": settles})
    value = frame(FINGERPRINT, notices.getvalue())
    await past.streams.append([Outgoing(DECISIONS, b"k", value)])
    found = await past.simulate(a_draft())
    flow = found.gains.flows[FLOW]
    assert (found.gains.events, flow.permitted, flow.settled, found.unreadable) == (1, 1, 0, 0)
    assert [one.settles async for one in decided(past.streams, Period())] == [False]


async def test_a_topic_that_was_made_anew_has_other_events_in_its_places(
    past: Past, tmp_path: Path
) -> None:
    """An event is known by its id, not only by where it lay."""
    await past.happen({}, at_ms=NOW)
    await past.publish([{}])
    with contextlib.closing(sqlite3.connect(tmp_path / "streams.db")) as file:
        of = "SELECT {}(r.id) FROM records r JOIN logs l ON l.id = r.id >> 40 WHERE l.topic = ?"
        (first,) = file.execute(of.format("min"), (past.topic,)).fetchone()
        (last,) = file.execute(of.format("max"), (past.topic,)).fetchone()
        assert first < last
        file.execute("DELETE FROM records WHERE id = ?", (first,))
        file.execute("UPDATE records SET id = ? WHERE id = ?", (first, last))
        file.commit()
    found = await past.simulate(a_draft())
    assert (found.not_held, found.gains.events) == (1, 0)


async def test_what_a_publisher_loses_that_is_left_out_is_counted(tmp_path: Path) -> None:
    """Its events are not the draft's, yet what the draft takes the place of was made of them."""
    async with open_streams(f"sqlite:{tmp_path / 'streams.db'}") as streams:
        both = a_text(a_flow(**{"from": [COUNCIL, SCHOOL]}))
        past = Past(streams, topic=EVENTS + SCHOOL, documents=a_scheme_of(both))
        await past.begin()
        await streams.create_topics({EVENTS + COUNCIL: 1})
        await past.happen({"publisher": SCHOOL}, at_ms=NOW)
        draft = a_draft(a_flow(), version=2)
        flow = (await past.simulate(draft)).gains.flows[FLOW]
        assert (flow.permitted, flow.lost_to) == (1, {"no-agreement": 1})


async def test_keys_and_purposes_are_those_of_then(past: Past) -> None:
    """An event that was signed with a key since replaced still opens, and is judged as then."""
    await past.happen({}, at_ms=NOW)
    past.documents.party(
        COUNCIL, revision=2, signing_keys=[key_of(COUNCIL, 2).public.to_jwk()],
        sealing_keys=[sealing_key(COUNCIL).public.to_jwk()],
    )  # fmt: skip
    past.documents.party(
        HEALTH, revision=2, purposes=[], sealing_keys=[sealing_key(HEALTH).public.to_jwk()]
    )
    await past.happen({"signer": key_of(COUNCIL, 2)}, at_ms=NOW + 1)
    found = await past.simulate(a_draft())
    assert not found.unopenable
    flow = found.gains.flows[FLOW]
    assert (flow.would_permit, flow.gained.events, flow.lost.events) == (1, 0, 0)
    assert list(flow.refused) == [("purpose-not-held", PURPOSE)]


async def test_what_stands_in_the_way_is_told_with_what_would_be_without_it(past: Past) -> None:
    """A purpose that the recipient does not hold, and a legal basis that lacks something."""
    await past.happen({}, {}, at_ms=NOW)
    flow = a_flow(purpose="another-purpose", id="other")
    flow["legal"] = flow["legal"] | {"recipient": {"regime": "uk-gdpr"}}
    tried = (await past.simulate(a_draft(flow, version=2))).gains.flows["other", HEALTH]
    assert (tried.would_permit, tried.permits_if_mended) == (0, 2)
    assert [obstacle.reason for obstacle in tried.obstacles] == [
        "legal-basis-incomplete",
        "purpose-not-held",
    ]


async def test_an_assurance_that_the_recipient_never_held_stands_in_the_way(past: Past) -> None:
    """And one that it held when the event was decided does not."""
    await past.happen({}, at_ms=NOW)
    draft = a_draft(a_flow(requires=["dspt"]), version=2)
    tried = (await past.simulate(draft)).gains.flows[FLOW]
    assert [(one.reason, one.detail) for one in tried.obstacles] == [("assurance-lapsed", "dspt")]
    assert (tried.would_permit, tried.permits_if_mended) == (0, 1)
    past.documents.party(
        HEALTH,
        revision=2,
        sealing_keys=[sealing_key(HEALTH).public.to_jwk()],
        assurances=[{"kind": "dspt", "valid_from": "2020-01-01", "valid_until": "2100-01-01"}],
    )
    await past.happen({}, at_ms=NOW + 1)
    tried = (await past.simulate(draft)).gains.flows[FLOW]
    assert (tried.would_permit, tried.obstacles) == (1, ())


async def test_a_party_that_the_scheme_does_not_know_is_named(past: Past) -> None:
    """A draft may be written before everybody has joined."""
    await past.happen({}, at_ms=NOW)
    found = await past.simulate(a_draft(a_flow(to=[HEALTH, "a-stranger"]), version=2))
    assert found.not_in_scheme == ("a-stranger",)
    assert found.gains.flows["placement", "a-stranger"].permits_if_mended == 1


async def test_other_agreements_stay_and_tell_what_is_new(past: Past) -> None:
    """A draft for health's second purpose gains permits, of items that it mostly has."""
    await past.happen({}, at_ms=NOW)
    draft = a_draft(a_flow(items=items("childId", "sex")), id="https://example.org/other")
    gains = (await past.simulate(draft)).gains
    assert gains.compared_with == {"https://example.org/other"}
    assert gains.flows[FLOW].gained_from == {"no-agreement": 1}
    health = gains.recipients[HEALTH]
    assert (health.gained, health.first.events) == (1, 0)
    assert dict(health.new_items) == {"sex": 1}


async def test_a_draft_that_supersedes_another_is_compared_with_that(past: Past) -> None:
    """The old agreement's deliveries are what would no longer be made."""
    await past.happen({}, at_ms=NOW)
    draft = a_draft(id="https://example.org/new", supersedes={"uri": AGREEMENT, "version": 1})
    gains = (await past.simulate(draft)).gains
    assert not gains.flows[FLOW].gained.events
    assert gains.flows[FLOW].permitted == 1


def test_where_one_of_two_agreements_permitted_it_was_permitted() -> None:
    """A draft may take the place of two that go by the same flow; in whichever order."""
    draft = a_draft(id="https://example.org/new", supersedes={"uri": AGREEMENT, "version": 1})
    permit = Happened(AGREEMENT, 1, *FLOW, "permit", "", "", ("childId",), (), ())
    deny = Happened(draft.id, 1, *FLOW, "deny", "not-signed", "", (), (), ())
    for happened in ((permit, deny), (deny, permit)):
        gains = Gains(draft)
        gains.add("event-1", (COUNCIL, PLACEMENT), happened, ())
        gains.settle()
        assert gains.flows[FLOW].permitted == gains.flows[FLOW].lost.events == 1


async def test_only_decisions_of_the_period_are_looked_at(past: Past) -> None:
    """``since`` inclusive, ``until`` exclusive, by the time of the decision."""
    for second in range(4):
        await past.happen({}, at_ms=NOW + 1000 * second)

    def moment(second: int) -> datetime:
        return datetime.fromtimestamp((NOW + 1000 * second) / 1000, UTC)

    found = await past.simulate(a_draft(), Period(moment(1), moment(3)))
    assert found.gains.events == 2
    assert (found.first_ms, found.last_ms) == (NOW + 1000, NOW + 2000)


async def test_events_that_nobody_has_a_flow_for_are_counted_by_type(tmp_path: Path) -> None:
    """By agreements in force or by the draft; and those that the draft is the first to cover."""
    async with open_streams(f"sqlite:{tmp_path / 'streams.db'}") as streams:
        text = a_text(a_flow(events=["uk.gov.csc.missing-episode.v1"]))
        past = Past(streams, documents=a_scheme_of(text))
        await past.begin()
        made = await past.happen({}, at_ms=NOW)
        assert made[0]["candidates"][0]["reason"] == "no-agreement"
        still = (await past.simulate(a_draft(*text["flows"]))).gains.types[COUNCIL, PLACEMENT]
        assert (still.events, still.nobody.ids) == (1, [made[0]["eventId"]])
        covered = (await past.simulate(a_draft(version=2))).gains.types[COUNCIL, PLACEMENT]
        assert (covered.nobody.events, covered.newly_covered) == (0, 1)


async def test_events_that_no_longer_open_are_counted_by_reason(past: Past) -> None:
    """They are neither gained nor lost: nobody can say."""
    await past.happen({}, {}, at_ms=NOW)
    found = await past.simulate(a_draft(version=2), keys=Keyring.generate(Suite.X25519))
    assert dict(found.unopenable) == {"does-not-open": 2}
    assert found.gains.events == 0


async def test_what_went_to_quarantine_and_what_waits_is_told(past: Past) -> None:
    """By reason; of the draft's own publishers only."""
    await past.happen({"childId": "?"}, {}, at_ms=NOW)
    await past.publish([{}])
    await past.streams.append(
        [Outgoing(QUARANTINE, b"k", b"", [("reason", b"other"), ("place", b"events.else/0/1")])]
    )
    found = await past.simulate(a_draft())
    assert dict(found.quarantined) == {"invalid-subject": 1}
    assert found.waiting == 3  # this world's router has no group, so nothing is committed


async def test_nothing_is_written(past: Past) -> None:
    """Not a record on any topic, and no group's offsets."""
    await past.happen({}, {}, at_ms=NOW)
    topics = await past.streams.topics()
    before = {topic: await past.streams.end(topic) for topic in topics}
    lag = await past.streams.lag(GROUP, [past.topic])
    await past.simulate(a_draft(version=2))
    assert {topic: await past.streams.end(topic) for topic in topics} == before
    assert await past.streams.topics() == topics
    assert await past.streams.lag(GROUP, [past.topic]) == lag


async def test_decisions_lead_to_their_events_whatever_the_partitions(tmp_path: Path) -> None:
    """Topics may have been made with different numbers of partitions."""
    async with open_streams(f"sqlite:{tmp_path / 'streams.db'}") as streams:
        past = Past(streams, partitions=5)
        await streams.create_topics({DECISIONS: 3, EVENTS + COUNCIL: 2})
        await past.begin()
        for second in range(3):
            hows = [{"key": b"%016d" % number} for number in range(8)]
            await past.happen(*hows, at_ms=NOW + second)
        assert len([one async for one in decided(streams, Period())]) == 24
        flow = (await past.simulate(a_draft())).gains.flows[FLOW]
        assert (flow.permitted, flow.would_permit, flow.gained.events) == (24, 24, 0)


@pytest.mark.parametrize("held", ["release", "purge"])
async def test_a_held_event_is_compared_once_it_is_settled(past: Past, held: str) -> None:
    """Until then it is told as held; then the draft is held against what became of it."""
    text = a_text()
    at = datetime.fromtimestamp(NOW / 1000, UTC)
    suspension = past.documents.sign(text, HEALTH, type="suspend", at=at)
    (first,) = await past.happen({}, at_ms=NOW + 1)
    assert [one["outcome"] for one in first["candidates"]] == ["hold"]
    flow = (await past.simulate(a_draft())).gains.flows[FLOW]
    assert (flow.still_held, flow.permitted, flow.gained.events) == (1, 0, 0)

    later = at + timedelta(seconds=1)
    past.documents.sign(text, HEALTH, type="resume", at=later, lifts=suspension, held=held)
    (settled,) = await past.settle(suspension, at_ms=NOW + 2000)
    assert settled["settles"] is not None
    found = await past.simulate(a_draft())
    flow = found.gains.flows[FLOW]
    assert (found.gains.events, flow.still_held, flow.would_permit) == (1, 0, 1)
    assert flow.permitted == (held == "release")
    assert dict(flow.gained_from) == ({} if held == "release" else {"purged": 1})

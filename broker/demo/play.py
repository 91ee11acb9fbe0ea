"""Play the demo: the main job, then what happens when someone says no or cheats."""

import io
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import fastavro
from rich.console import Console

from agreements.signatures import SignatureType
from broker.administration import find_agreement, sign_agreement, standings
from broker.cli.explain import show
from broker.demo.anytown import found_anytown, now, settle_anytown, signatory
from broker.demo.families import CHILDREN, HOUSING, PARTIES, SCHOOL, TRUST
from broker.demo.main_job import (
    FAMILIES,
    Outcome,
    count,
    publish_return,
    publish_story,
    receive,
    route,
)
from broker.demo.proof import log_decisions, verify_altered_copy
from broker.demo.story import Teller, view_of
from broker.edge import publisher_of, receive_all
from broker.explaining import explain, find_decision
from broker.routing import DELIVERIES
from broker.scheme import SchemeFolder
from connectors.prepared import PreparedEvent
from connectors.streams import Outgoing, Streams

PLACEMENTS: Final = "https://sharing.example.gov.uk/agreements/looked-after-placements"
PLACEMENT_TYPE: Final = "uk.gov.csc.cla-placement.v1"


async def play(
    folder: Path, *, streams: str, source: Path | None, console: Console, story: bool
) -> dict[str, Any]:
    """Play the demo into ``folder``; returns what ``--json`` prints.

    Without ``story`` it is the main job alone, and nothing is printed.
    """
    started = time.perf_counter()
    teller = Teller(console if story else Console(quiet=True))
    scheme = found_anytown(folder, streams=streams)
    outcome = Outcome()
    async with scheme.streams() as opened:
        await _main_job(scheme, opened, source, teller, outcome)
        logged = await log_decisions(scheme, opened)
        result = {
            **outcome.to_json(seconds=time.perf_counter() - started),
            "evidence": {"entries": logged.records, "verified": logged.is_verified},
        }
        if story:
            await _what_if(scheme, opened, teller, outcome)
    return result


async def _main_job(
    scheme: SchemeFolder,
    streams: Streams,
    source: Path | None,
    teller: Teller,
    outcome: Outcome,
) -> None:
    teller.chapter("Anytown: six organisations and the agreements that they signed")
    await settle_anytown(scheme, streams)
    teller.agreements(await standings(scheme, streams), await _ended(scheme, streams))
    teller.chapter("Case systems publish; the router decides, cuts and seals")
    if source is None:
        teller.say(f"{FAMILIES} invented families, a month of what their services have to tell.")
        await publish_story(scheme, streams, outcome)
    else:
        teller.say(f"The SSDA903 return in {source}, as children's social care publishes it.")
        await publish_return(scheme, streams, source, outcome)
    with teller.routing(outcome.published) as on_routed:
        await route(scheme, streams, on_routed=on_routed)
    await receive(scheme, streams, outcome)
    await count(streams, outcome, recipients=PARTIES)
    teller.outcome(outcome)


async def _what_if(
    scheme: SchemeFolder, streams: Streams, teller: Teller, outcome: Outcome
) -> None:
    event_id = outcome.samples["views"]
    teller.chapter("One looked-after placement, and what each recipient sees of it")
    views = {party: view_of(scheme.path, party, event_id) for party in (TRUST, SCHOOL, HOUSING)}
    teller.say(f"Event {event_id}; housing receives it for the host authority.")
    published = await _published(scheme, streams, event_id)
    teller.views(published, views)

    teller.chapter("The NHS trust revokes the agreement: the next placement is refused")
    await _revoke(scheme, streams)
    refused = await _publish_next(scheme, streams, published)
    for decision in (await explain(scheme, streams, refused))["decisions"]:
        if decision["agreement"] != PLACEMENTS:
            continue
        why = f": {decision['reason']}" if decision["reason"] else ""
        teller.say(f"  {decision['recipient']:28} {decision['outcome']}{why}")

    teller.chapter("A delivery for the trust is put on another recipient's topic")
    teller.say(await _move(scheme, streams))

    teller.chapter("Why the school's view was decided as it was")
    show(teller.console, await explain(scheme, streams, event_id, recipient=SCHOOL))

    teller.chapter("Every decision is in a log that is verified without trusting its keeper")
    logged = await log_decisions(scheme, streams)
    verdict = "It verifies." if logged.is_verified else "It does not verify."
    teller.say(f"{logged.records} records of decisions and acts under one signature. {verdict}")
    found = verify_altered_copy(scheme).problems
    teller.say(f"One bit is changed in a copy: {found[0].message}.")

    teller.chapter("What the demo leaves")
    teller.ending(scheme.path, event_id, key=scheme.log_keys.public(scheme.log_origin).to_vkey())


async def _ended(scheme: SchemeFolder, streams: Streams) -> set[str]:
    control = scheme.control()
    await control.load(streams)
    at = datetime.now(UTC)
    return {
        candidate.agreement_id
        for candidate in control.snapshot().rules
        if candidate.agreement.effective.ends_at <= at
    }


async def _published(scheme: SchemeFolder, streams: Streams, event_id: str) -> dict[str, Any]:
    """Return the record as it was published: opened with the broker's keys, as a router does."""
    decision = await find_decision(streams, event_id)
    router = scheme.router(streams)
    control = scheme.control()
    await control.load(streams)
    router.take(control.snapshot().rules)
    async for record in streams.read(
        decision["topic"], partition=decision["partition"], start=decision["offset"]
    ):
        opened = router.open(record, at_us=time.time_ns() // 1000).opened
        body = io.BytesIO(opened.data[opened.offsets[0] :])
        found: Any = fastavro.schemaless_reader(body, opened.type.schema, None)
        return dict(found)
    raise RuntimeError("the event is gone")


async def _revoke(scheme: SchemeFolder, streams: Streams) -> None:
    await sign_agreement(
        scheme,
        streams,
        await find_agreement(scheme, streams, PLACEMENTS, None),
        party=TRUST,
        signatory=signatory(TRUST),
        at=now(),
        kind=SignatureType.REVOKE,
        reason="The looked-after children's nurse team moves to another provider",
    )


async def _publish_next(scheme: SchemeFolder, streams: Streams, record: dict[str, Any]) -> str:
    """Publish the same placement under another key, as a new episode; returns its event id."""
    publisher = await publisher_of(scheme, streams, CHILDREN)
    event = PreparedEvent(PLACEMENT_TYPE, "after the revocation", record, datetime.now(UTC))
    published = await publisher.publish([event])
    await route(scheme, streams)
    return published.ids[0]


async def _move(scheme: SchemeFolder, streams: Streams) -> str:
    """Copy the trust's first delivery to housing's topic, and let housing try to open it."""
    async for record in streams.read(DELIVERIES + TRUST):
        await streams.append(
            [Outgoing(DELIVERIES + HOUSING, record.key, record.value, record.headers)]
        )
        break
    _, unopened = await receive_all(scheme, streams, party=HOUSING, folder=scheme.path / "received")
    return (
        f"  housing tried its keys on {unopened} delivery: it does not open."
        " It is kept, sealed as it came, in received/anytown-housing.unopened.jsonl."
    )

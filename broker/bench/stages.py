"""Where an event's time goes inside the router: each stage of a batch, timed by itself.

The stages call what the router calls, over the same records, so their sum is less
than a routed event only by the router's own loop. CPU time, not the clock: what
others do on the machine counts less.
"""

import gc
import secrets
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final
from uuid import uuid4

from agreements.deciding import Permit, decide
from agreements.opened import OpenedEvent
from broker.accepted import short_id
from broker.bench.world import PLACEMENT, PUBLISHER, TOPIC, World, placements, stories
from broker.control import Snapshot
from broker.delivering import Deliveries
from broker.opening import InHand
from broker.recording import batch_part, candidates_part, event_part, sender_part
from broker.subjects import Subjects
from connectors.encoding import RecordEncoder
from connectors.streams import Batch, Outgoing, Record
from schemas.control import BROKER
from schemas.events import check_times, dataschema_of, read_envelope
from schemas.framing import frame, unframe
from schemas.keys import SealingKey, SigningKey
from schemas.sealing import BindingTemplate, Opener, Sealer
from schemas.signing import Verifier

_REPEATS: Final = 5


def records_of(outgoing: Sequence[Outgoing], *, first: int = 0) -> list[Record]:
    """Return what was to be appended as a reader of one partition would get it."""
    now_ms = int(time.time() * 1000)
    return [
        Record(o.topic, 0, first + number, now_ms, o.key, o.value, list(o.headers))
        for number, o in enumerate(outgoing)
    ]


def scanned(number: int) -> list[OpenedEvent]:
    """Return opened placements."""
    world = World.of(placements(1))
    at_us = int(time.time() * 1_000_000)
    event_type = world.catalogue.latest(PLACEMENT)
    encoder = RecordEncoder(event_type.schema)
    told = stories(1)
    found = []
    for _ in range(number):
        event = next(told)
        data = frame(event_type.fingerprint, encoder.encode(event.record))
        offsets = event_type.scanner.scan(data, 10)
        found.append(OpenedEvent(PUBLISHER, event_type, data, offsets, at_us, at_us, (b"child",)))
    return found


def route_us(world: World, snapshot: Snapshot, records: Sequence[Record]) -> float:
    """Return the CPU microseconds of the whole routing of one event, without any streams."""
    batch = Batch(TOPIC, 0, records, len(records), 1)
    at_ms = int(time.time() * 1000)
    best = float("inf")
    for _ in range(_REPEATS):
        route = partial(world.router().route, batch, snapshot, at_ms=at_ms, partitions=1)
        best = min(best, _us(route, len(records)))
    return best


def stage_us(world: World, snapshot: Snapshot, records: Sequence[Record]) -> dict[str, float]:
    """Return CPU microseconds per event of each stage, for the snapshot's recipients."""
    n = len(records)
    now_ms = int(time.time() * 1000)
    now_us = now_ms * 1000
    found: dict[str, float] = {}

    def stage(name: str, work: Callable[[], Any]) -> Any:
        result = work()
        found[name] = min(_us(work, n) for _ in range(_REPEATS))
        return result

    event_type = world.catalogue.latest(PLACEMENT)
    verifying = {key.public.kid: key.public for key in world.keys[PUBLISHER].signing}
    opener = Opener(world.broker.sealing, verifying.get)
    binding = BindingTemplate(BROKER, TOPIC, PLACEMENT, dataschema_of(event_type.fingerprint))
    verifier = Verifier(lambda _publisher, kid: verifying.get(kid))
    subjects = Subjects(world.broker.derive("audit"))

    def envelopes() -> list[Any]:
        read = [read_envelope(record.headers) for record in records]
        for envelope in read:
            check_times(envelope, now=now_us)
        return read

    envelopes_ = stage("envelope", envelopes)
    ids = [envelope.id for envelope in envelopes_]
    plain = stage(
        "open",
        lambda: [
            opener.open(r.value or b"", binding.aad(i)) for r, i in zip(records, ids, strict=True)
        ],
    )
    verified = stage(
        "verify",
        lambda: [
            verifier.verify(PUBLISHER, TOPIC, key=r.key or b"", headers=r.headers, plaintext=p)
            for r, p in zip(records, plain, strict=True)
        ],
    )

    def scan() -> list[list[int]]:
        read = []
        for one in verified:
            fingerprint, start = unframe(one.payload)
            read.append(
                world.catalogue.by_fingerprint(fingerprint).scanner.scan(one.payload, start)
            )
        return read

    offsets = stage("scan", scan)
    blinded = stage(
        "subject",
        lambda: [
            subjects.of(PUBLISHER, event_type, v.payload, offsets=o)
            for v, o in zip(verified, offsets, strict=True)
        ],
    )
    stage("accept", lambda: [short_id(PUBLISHER, i.encode()) for i in ids])
    events = [
        OpenedEvent(PUBLISHER, event_type, v.payload, o, e.occurred_at_us, now_us, s)
        for v, o, e, s in zip(verified, offsets, envelopes_, blinded, strict=True)
    ]
    candidates = snapshot.rules.candidates(PUBLISHER, PLACEMENT)
    permits: list[list[Permit]] = stage(
        "decide and cut",
        lambda: [[decide(event, c, at=now_us) for c in candidates] for event in events],
    )
    views = [candidate.plan(event_type).view for candidate in candidates]
    stage("cut", lambda: [[view.cut(event) for view in views] for event in events])
    found["decide"] = found.pop("decide and cut") - found["cut"]
    deliveries = Deliveries(world.broker)
    deliveries.take(snapshot.rules)
    in_hand = [InHand(record) for record in records]
    for event, envelope, opened in zip(in_hand, envelopes_, events, strict=True):
        event.envelope, event.opened = envelope, opened
    made = stage(
        "deliver",
        lambda: [
            [deliveries.deliver(event, permit) for permit in permitted]
            for event, permitted in zip(in_hand, permits, strict=True)
        ],
    )
    ways = list(deliveries._ways.values())  # noqa: SLF001  to time one step of its work
    stage(
        "seal",
        lambda: [
            [
                w.sealer.seal(p.cut.framed, w.binding.aad(i))
                for w, p in zip(ways, permitted, strict=True)
            ]
            for permitted, i in zip(permits, ids, strict=True)
        ],
    )
    part = batch_part(TOPIC, 0, decided_at_ms=now_ms, rules=snapshot.position)
    stage(
        "record",
        lambda: [
            b"".join(
                (
                    sender_part(e.type, e.fingerprint, PUBLISHER, v.kid),
                    part,
                    event_part(
                        r.offset,
                        e.id.encode(),
                        e.occurred_at_us // 1000,
                        e.time_us // 1000,
                        r.timestamp_ms,
                        v.leaf,
                        s,
                    ),
                    candidates_part([told for _, told in m]),
                )
            )
            for r, e, v, s, m in zip(records, envelopes_, verified, blinded, made, strict=True)
        ],
    )
    return found


def seal_and_open_us() -> dict[str, float]:
    """Return the CPU microseconds of sealing and of opening 1 KB, the key wrapped already."""
    sender, recipient = SigningKey.generate(), SealingKey.generate()
    sealer = Sealer(sender, BROKER, recipient.public)
    opener = Opener([recipient], {sender.kid: sender.public}.get)
    binding = BindingTemplate(BROKER, TOPIC, PLACEMENT, dataschema_of(bytes(8)))
    plain, event_id = secrets.token_bytes(1000), str(uuid4())
    sealed: list[bytes] = []

    def seal() -> None:
        sealed[:] = [sealer.seal(plain, binding.aad(event_id)) for _ in range(500)]

    def unseal() -> None:
        for one in sealed:
            opener.open(one, binding.aad(event_id))

    return {
        "seal_us": min(_us(seal, 500) for _ in range(20)),
        "open_us": min(_us(unseal, 500) for _ in range(20)),
    }


def _us(work: Callable[[], Any], events: int) -> float:
    gc.collect()
    start = time.process_time_ns()
    work()
    return (time.process_time_ns() - start) / 1000 / events

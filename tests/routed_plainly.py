"""Route what a file holds and print what comes of it, without what chance decides.

Run by ``test_compiled.py`` in a process of its own, once with the compiled modules and once
without them: sealed values differ each time, so they are printed opened.
"""

import json
import sys
from pathlib import Path
from typing import Any

import broker.routing
from broker.bench.world import TOPIC, World, placements
from broker.recording import read_decision
from broker.routing import DECISIONS, QUARANTINE
from connectors.streams import Batch, Outgoing, Record
from schemas.control import BROKER
from schemas.sealing import Binding, Opener, bound_headers


def plainly(world: World, out: Outgoing) -> list[Any]:
    """Return an outgoing record as JSON has it, opened."""
    said = {name: (value or b"").decode("latin-1") for name, value in out.headers}
    value: Any = out.value
    sender = world.broker.signing[0].public
    if out.topic == DECISIONS:
        value = read_decision(out.value or b"")
        for candidate in value["candidates"]:
            candidate["sealed"] = len(candidate["sealed"])
        value = repr(value)
    elif out.topic == QUARANTINE and out.value is not None:
        opener = Opener(world.broker.sealing, {sender.kid: sender}.get)
        value = opener.open(out.value, Binding(BROKER, out.topic, said["place"], "", "").to_aad())
    elif out.topic.startswith("deliveries."):
        party = out.topic.removeprefix("deliveries.")
        opener = Opener(world.keys[party].sealing, {sender.kid: sender}.get)
        binding = Binding(
            party, out.topic, said["ce_id"], said["ce_type"], said["ce_dataschema"],
            said["ce_agreementid"], int(said["ce_agreementversion"]), said["ce_flowid"],
            bound_headers(out.headers),
        )  # fmt: skip
        value = opener.open(out.value or b"", binding.to_aad())
    return [out.topic, repr(out.key), said, value if value is None else repr(value)]


def main() -> None:
    """Read the file, route, print."""
    given = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    world = World.from_json(given["world"])
    records = [
        Record(
            TOPIC, 0, number, at_ms,
            None if key is None else bytes.fromhex(key),
            None if value is None else bytes.fromhex(value),
            [(name, None if text is None else bytes.fromhex(text)) for name, text in headers],
        )
        for number, (at_ms, key, value, headers) in enumerate(given["records"])
    ]  # fmt: skip
    routed = world.router().route(
        Batch(TOPIC, 0, records, len(records), 1),
        world.control(placements(3)).snapshot(),
        at_ms=given["at_ms"],
        partitions=None,
    )
    told = {
        "is_compiled": not str(broker.routing.__file__).endswith(".py"),
        "outgoing": [plainly(world, out) for out in routed.outgoing],
        "tally": dict(sorted(routed.tally.items())),
    }
    sys.stdout.write(json.dumps(told, sort_keys=True))


if __name__ == "__main__":
    main()

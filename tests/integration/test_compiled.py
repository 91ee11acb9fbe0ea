"""What is compiled does what the source says, byte for byte; and stale results are not used."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from audit_records import Told, blind

from broker.bench.stages import records_of
from broker.bench.world import World, placements
from connectors.streams import Record
from schemas.compiled import FOLDER, LIST, PROJECT, source_digest, use_compiled

_PLAIN = Path(__file__).parents[1] / "routed_plainly.py"
_ROWS = Path(__file__).parents[1] / "rows_plainly.py"


def spoilt(record: Record, random: Random) -> Iterator[Record]:
    """Yield the record with one thing after the other changed."""
    value, headers = record.value or b"", list(record.headers)
    for size in (0, 1, 12, 24, 100, len(value) // 2, len(value) - 1):
        yield record._replace(value=value[:size])
    for _ in range(40):
        place = random.randrange(len(value))
        yield record._replace(value=value[:place] + bytes([value[place] ^ 1]) + value[place + 1 :])
    yield record._replace(value=None)
    yield record._replace(key=None)
    yield record._replace(key=b"short")
    yield record._replace(key=bytes(16))
    yield record._replace(timestamp_ms=-1)
    yield record._replace(timestamp_ms=1 << 60)
    yield record._replace(headers=[])
    yield record._replace(headers=[*headers, headers[0]])
    yield record._replace(headers=[*headers, ("ce_more", b"1")])
    yield record._replace(headers=headers[::-1])
    for place, (name, text) in enumerate(headers):
        others = headers[:place] + headers[place + 1 :]
        yield record._replace(headers=others)
        for changed in (None, b"", b"\0", b"\xff" + text, text + b"0", text[::-1], b"9" * 200):
            yield record._replace(headers=[*others, (name, changed)])


def written(records: list[Record]) -> list[list[Any]]:
    """Return records as the other process reads them."""
    return [
        [
            record.timestamp_ms,
            None if record.key is None else record.key.hex(),
            None if record.value is None else record.value.hex(),
            [[name, None if text is None else text.hex()] for name, text in record.headers],
        ]
        for record in records
    ]


def told_by(program: Path, file: Path, *, pure: bool) -> dict[str, Any]:
    """Return what a program tells of what the file holds, in a process of its own."""
    done = subprocess.run(
        [sys.executable, str(program), str(file)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "CONCORDAT_TEST_PURE": str(int(pure)), "PYTHONPATH": str(PROJECT)},
    )
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def is_compiled() -> bool:
    """Return whether there is a compiled form of the source as it is."""
    try:
        made = json.loads((FOLDER / LIST).read_text())
    except OSError:
        return False
    return bool(made["source"] == source_digest())


def test_what_is_compiled_routes_as_the_source_does(tmp_path: Path) -> None:
    """Events and spoilt records, in one batch, come to the same decisions, views and reasons."""
    if not is_compiled():
        pytest.skip("nothing is compiled from this source: make compiled")
    world = World.of(placements(3))
    whole = records_of([out for batch in world.sealed(300) for out in batch])
    random = Random(1)  # noqa: S311  the same every time
    spoilt_ones = [copy for record in whole[:3] for copy in spoilt(record, random)]
    records = [*whole[3:], *spoilt_ones, *whole[:10]]
    file = tmp_path / "given.json"
    given = {
        "world": world.to_json(),
        "at_ms": int(time.time() * 1000),
        "records": written(records),
    }
    file.write_text(json.dumps(given), encoding="utf-8")

    as_source, as_compiled = (told_by(_PLAIN, file, pure=pure) for pure in (True, False))

    assert not as_source.pop("is_compiled")
    assert as_compiled.pop("is_compiled")
    assert as_compiled == as_source
    assert as_source["tally"]["permit"] > len(whole)
    assert len([what for what in as_source["tally"] if what.startswith("quarantine")]) > 5


def test_what_is_compiled_makes_the_query_stores_rows_as_the_source_does(tmp_path: Path) -> None:
    """Of decision records of all kinds, and of whatever else may lie beside them."""
    if not is_compiled():
        pytest.skip("nothing is compiled from this source: make compiled")
    random = Random(2)  # noqa: S311  the same every time
    records = [
        Told(
            f"event-{number}",
            [blind(f"{number} {one}") for one in range(random.choice([0, 1, 3, 70]))],
            [f"party-{random.randrange(9)}" for _ in range(random.choice([0, 1, 2, 70]))],
            random.choice(["permit", "deny", "review", "hold"]),
            timedelta(milliseconds=random.randrange(10**9)),
            random.choice([None, None, "5f"]),
            retracts=random.choice(["", "", "event-1"]),
            withheld=tuple((f"path-{one}", "why") for one in range(random.choice([0, 1, 70]))),
        ).to_bytes()
        for number in range(200)
    ]
    spoilt_ones = []
    for value in records[:40]:
        spoilt_ones += [value[:size] for size in range(0, min(len(value), 700), 7)]
        spoilt_ones += [value + b"\0", bytes(len(value)), b""]
        for _ in range(60):
            at = random.randrange(len(value))
            other = bytes([random.choice([0, 1, 0x7F, 0x80, 0xFE, 0xFF])]) * random.randrange(1, 12)
            spoilt_ones.append(value[:at] + other + value[at + len(other) :])
    values = [*records, *spoilt_ones, *records[:10]]
    file = tmp_path / "given.json"
    file.write_text(json.dumps([value.hex() for value in values]), encoding="utf-8")

    as_source, as_compiled = (told_by(_ROWS, file, pure=pure) for pure in (True, False))

    assert not as_source.pop("is_compiled")
    assert as_compiled.pop("is_compiled")
    assert as_compiled == as_source
    assert len(as_source["unreadable"]) > 1000


def test_what_was_compiled_from_other_source_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list that names another digest, or another Python, or is no list, changes nothing."""
    monkeypatch.delenv("CONCORDAT_TEST_PURE", raising=False)
    found = list(sys.meta_path)
    made = {"python": sys.implementation.cache_tag, "source": source_digest(), "files": {}}

    for other in (
        json.dumps(made | {"source": "0" * 64}),
        json.dumps(made | {"python": "cpython-27"}),
        "{}",
        "",
    ):
        (tmp_path / LIST).write_text(other)
        assert not use_compiled(tmp_path)
    assert not use_compiled(tmp_path / "nowhere")

    assert sys.meta_path == found

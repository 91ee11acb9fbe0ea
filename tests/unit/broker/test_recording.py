"""Decision records that we join by hand against those that fastavro writes and reads."""

import io
import json
import string
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import Any

import fastavro
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from broker.recording import (
    FINGERPRINT,
    NO_CLAUSE,
    SCHEMA,
    Clause,
    LegalBasis,
    batch_part,
    candidates_part,
    event_part,
    long,
    permitted,
    permitted_part,
    read_decision,
    refused,
    sender_part,
    settles_part,
)
from schemas.avro import fingerprint
from schemas.framing import frame

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=40)
names = st.text(string.ascii_letters + "./-", min_size=1, max_size=80)
digests = st.binary(min_size=32, max_size=32)
longs = st.integers(-(2**63), 2**63 - 1)
times_ms = st.integers(-2_208_988_800_000, 4_102_444_800_000)  # 1900 to 2100
maps = st.dictionaries(names, texts, max_size=4)
bases = st.builds(
    LegalBasis,
    regime=texts,
    conditions=st.lists(texts, max_size=70).map(tuple),
    gateways=st.lists(texts, max_size=3).map(tuple),
)
clauses = st.builds(
    Clause,
    recipient=texts,
    agreement=texts,
    version=st.integers(1, 2**31 - 1),
    hash=digests,
    flow=texts,
    purpose=texts,
    provider=bases,
    receiver=bases,
)
permits = st.fixed_dictionaries(
    {
        "outcome": st.just("permit"),
        "items": st.lists(names, max_size=5),
        "transforms": maps,
        "view": st.binary(min_size=8, max_size=8),
        "key": texts,
        "withheld": maps,
        "sealed": digests,
    }
)
refusals = st.fixed_dictionaries(
    {
        "outcome": st.sampled_from(["deny", "review", "hold"]),
        "reason": texts,
        "detail": texts,
        "withheld": maps,
    }
)
candidates = st.tuples(clauses, st.one_of(permits, refusals))
events = st.fixed_dictionaries(
    {
        "eventType": texts,
        "schema": st.binary(min_size=8, max_size=8),
        "publisher": texts,
        "signingKey": texts,
        "topic": texts,
        "partition": st.integers(0, 2**31 - 1),
        "decidedAt": times_ms,
        "rules": longs,
        "offset": longs,
        "eventId": st.text(string.printable, max_size=200),
        "occurredAt": times_ms,
        "publishedAt": times_ms,
        "receivedAt": times_ms,
        "digest": digests,
        "subjects": st.lists(digests, max_size=3),
        "settles": st.none()
        | st.fixed_dictionaries(
            {
                "suspension": texts,
                "decidedAt": times_ms,
                "partition": st.integers(0, 2**31 - 1),
                "offset": longs,
            }
        ),
    }
)


def joined(event: dict[str, Any], told: list[tuple[Clause, dict[str, Any]]]) -> bytes:
    """Join a record as the router does."""
    parts = []
    for clause, what in told:
        if what["outcome"] == "permit":
            shared = permitted_part(
                clause.to_avro(),
                items=what["items"],
                transforms=what["transforms"],
                view=what["view"],
                key=what["key"],
            )
            withheld = tuple(what["withheld"].items())
            parts.append(permitted(shared, withheld=withheld, sealed=what["sealed"]))
        else:
            withheld = tuple(what["withheld"].items())
            parts.append(
                refused(what["outcome"], what["reason"], what["detail"], clause.to_avro(), withheld)
            )
    sender = (event["eventType"], event["schema"], event["publisher"], event["signingKey"])
    settles = event["settles"] and settles_part(
        event["settles"]["suspension"],
        decided_at_ms=event["settles"]["decidedAt"],
        partition=event["settles"]["partition"],
        offset=event["settles"]["offset"],
    )
    return b"".join(
        (
            sender_part(*sender),
            batch_part(
                event["topic"],
                event["partition"],
                decided_at_ms=event["decidedAt"],
                rules=event["rules"],
            ),
            event_part(
                event["offset"],
                event["eventId"].encode(),
                event["occurredAt"],
                event["publishedAt"],
                event["receivedAt"],
                event["digest"],
                event["subjects"],
            ),
            candidates_part(parts) if settles is None else candidates_part(parts, settles),
        )
    )


def as_record(event: dict[str, Any], told: list[tuple[Clause, dict[str, Any]]]) -> dict[str, Any]:
    """Return the record that fastavro is to write."""
    return event | {
        "candidates": [
            {
                "outcome": what["outcome"],
                "reason": what.get("reason", ""),
                "detail": what.get("detail", ""),
                "recipient": clause.recipient,
                "agreement": clause.agreement,
                "version": clause.version,
                "hash": clause.hash,
                "flow": clause.flow,
                "purpose": clause.purpose,
                "provider": _basis(clause.provider),
                "receiver": _basis(clause.receiver),
                "items": what.get("items", []),
                "transforms": what.get("transforms", {}),
                "view": what.get("view", b""),
                "key": what.get("key", ""),
                "withheld": what["withheld"],
                "sealed": what.get("sealed", b""),
            }
            for clause, what in told
        ]
    }


def _basis(basis: LegalBasis) -> dict[str, Any]:
    return {
        "regime": basis.regime,
        "conditions": list(basis.conditions),
        "gateways": list(basis.gateways),
    }


@given(events, st.lists(candidates, max_size=3))
def test_what_is_joined_by_hand_is_what_fastavro_writes(
    event: dict[str, Any], told: list[tuple[Clause, dict[str, Any]]]
) -> None:
    """Byte for byte, behind the frame of the schema's fingerprint."""
    buffer = io.BytesIO()
    fastavro.schemaless_writer(buffer, SCHEMA, as_record(event, told))
    assert joined(event, told) == b"\xc3\x01" + FINGERPRINT + buffer.getvalue()


@given(events, st.lists(candidates, max_size=3))
def test_what_is_joined_by_hand_is_read_back(
    event: dict[str, Any], told: list[tuple[Clause, dict[str, Any]]]
) -> None:
    """Every field comes back as it went in, times as aware datetimes."""
    expected = as_record(event, told)
    for name in ("decidedAt", "occurredAt", "publishedAt", "receivedAt"):
        expected[name] = EPOCH + timedelta(milliseconds=expected[name])
    if event["settles"]:
        decided_at = EPOCH + timedelta(milliseconds=event["settles"]["decidedAt"])
        expected["settles"] = event["settles"] | {"decidedAt": decided_at}
    assert read_decision(joined(event, told)) == expected


@given(longs)
def test_longs_are_written_as_fastavro_writes_them(number: int) -> None:
    """Over the whole range of 64 bits, both signs."""
    buffer = io.BytesIO()
    fastavro.schemaless_writer(buffer, {"type": "long"}, number)
    assert long(number) == buffer.getvalue()


def test_where_no_agreement_names_a_recipient_the_clause_is_empty() -> None:
    """The record of an event without candidates names nobody."""
    event = {
        "eventType": "t", "schema": b"\0" * 8, "publisher": "p", "signingKey": "k", "topic": "e",
        "partition": 0, "decidedAt": 0, "rules": 0, "offset": 0, "eventId": "i", "occurredAt": 0,
        "publishedAt": 0, "receivedAt": 0, "digest": b"\0" * 32, "subjects": [],
        "settles": None,
    }  # fmt: skip
    value = joined(event, [])[:-2] + candidates_part(
        [refused("deny", "no-agreement", "", NO_CLAUSE)]
    )
    (candidate,) = read_decision(value)["candidates"]
    assert (candidate["outcome"], candidate["reason"]) == ("deny", "no-agreement")
    empty = ("recipient", "agreement", "hash", "flow", "purpose", "items", "key", "sealed")
    assert not any(candidate[name] for name in empty)


@given(events, st.lists(candidates, max_size=3))
def test_a_record_from_before_there_were_holds_is_still_read(
    event: dict[str, Any], told: list[tuple[Clause, dict[str, Any]]]
) -> None:
    """Records are kept for ever, so those of the former schema are: nothing was settled."""
    assume(all(what["outcome"] != "hold" for _, what in told))
    text = files("schemas").joinpath("decision-1.avsc").read_text("utf-8")
    former = fastavro.parse_schema(json.loads(text))
    buffer = io.BytesIO()
    written = as_record(event, told)
    del written["settles"]
    fastavro.schemaless_writer(buffer, former, written)
    value = frame(fingerprint(json.loads(text)), buffer.getvalue())
    assert read_decision(value) == read_decision(joined(event | {"settles": None}, told))


@pytest.mark.parametrize("value", [b"", b"\xc3\x01", b"\xc3\x01" + b"\0" * 8, b"{}"])
def test_what_is_no_decision_record_is_refused(value: bytes) -> None:
    """Another schema's bytes are not decoded as if they were ours."""
    with pytest.raises(ValueError, match="expected a decision record"):
        read_decision(value)

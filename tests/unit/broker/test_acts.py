"""Acts: written and read back, told from decisions, and free of people's identifiers."""

import dataclasses
import json
from datetime import UTC, datetime
from hashlib import sha256
from importlib.resources import files
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.acts import (
    KEY,
    Act,
    ActKind,
    BadAct,
    act_record,
    check_words,
    is_act,
    read_act,
    read_entry,
    record_act,
    record_reading,
    with_acts,
)
from broker.recording import FINGERPRINT as OF_DECISIONS
from broker.routing import DECISIONS
from connectors.streams import Outgoing, open_streams
from schemas.framing import frame

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
_TEXT = st.text(max_size=60)


def an_act(**changes: object) -> Act:
    """Return a reading, with changes."""
    act = Act(ActKind.READING, NOON, "A. Auditor", "subject by nhs-number", reason="SAR-2026-014")
    return dataclasses.replace(act, **changes)  # type: ignore[arg-type]


@given(
    kind=st.sampled_from(ActKind),
    ms=st.integers(0, 4_000_000_000_000),
    words=st.tuples(_TEXT, _TEXT, _TEXT, _TEXT),
    digest=st.binary(max_size=32),
    results=st.none() | st.integers(0, 2**62),
)
def test_an_act_reads_back_as_it_was_written(
    kind: ActKind, ms: int, words: tuple[str, str, str, str], digest: bytes, results: int | None
) -> None:
    """Every field, of every kind, to the millisecond."""
    by, about, reason, reference = words
    at = datetime.fromtimestamp(ms // 1000, UTC).replace(microsecond=ms % 1000 * 1000)
    act = Act(kind, at, by, about, reason, reference, digest, results)
    assert read_act(act.to_bytes()) == act
    assert read_entry(act.to_bytes()) == act
    assert json.loads(json.dumps(act.to_json()))["kind"] == kind


def test_every_kind_is_a_symbol_of_the_schema() -> None:
    """The schema that others read by has the kinds that we write, and no more."""
    schema = json.loads(files("schemas").joinpath("act.avsc").read_text("utf-8"))
    symbols = schema["fields"][0]["type"]["symbols"]
    assert [one.replace("_", "-") for one in symbols] == [kind.value for kind in ActKind]


@given(st.binary(max_size=80))
def test_what_is_no_act_is_refused_as_such(rubbish: bytes) -> None:
    """Bytes behind an act's fingerprint that are none, and a decision's fingerprint."""
    whole = an_act().to_bytes()
    framed = whole[:10] + rubbish
    if framed != whole:
        try:
            read_act(framed)
        except BadAct as error:
            assert error.code == "bad-act"  # noqa: PT017  most is refused, some is an act
    with pytest.raises(BadAct):
        read_act(whole + rubbish + b"\x00")
    decision = frame(OF_DECISIONS, rubbish)
    assert not is_act(decision)
    with pytest.raises(BadAct):
        read_act(decision)
    assert not is_act(None)


def test_the_act_of_a_document_tells_its_key_and_digest() -> None:
    """What an auditor holds a document on `control` against."""
    document = Outgoing("control", b"party|anytown|1", b'{"jws": "..."}')
    first, act = with_acts([document], by="officer", at=NOON)
    assert first == document
    assert (act.topic, act.key) == (DECISIONS, KEY)
    read = read_act(act.value or b"")
    assert (read.kind, read.about, read.by) == (ActKind.CONTROL, "party|anytown|1", "officer")
    assert read.digest == sha256(document.value or b"").digest()


@pytest.mark.parametrize(
    "words",
    [
        "the child 943 476 5919 asked",
        "9434765919",
        "mother of H801200001001",
        "about JG103759A",
        "jg 10 37 59 a",
        "943-476-5919",
    ],
)
def test_words_that_identify_a_person_are_refused_and_not_repeated(words: str) -> None:
    """They would stand in the log for ever; the error does not echo them either."""
    with pytest.raises(BadAct) as refused:
        check_words("the reason", words)
    assert not any(part in str(refused.value) for part in words.split() if part[-1:].isdigit())


@pytest.mark.parametrize("words", ["", "  ", "two\nlines", "x" * 501, "bell \x07"])
def test_words_that_are_no_line_are_refused(words: str) -> None:
    """A reason is one printable line."""
    with pytest.raises(BadAct):
        check_words("the reason", words)


@pytest.mark.parametrize(
    "words",
    [
        "SAR-2026-014",
        "Subject access request, reference 2026/0451, received 2026-11-23",
        "CASE-9434765919",
        "Order of 3 November 2026 in FD26P00412",
        "telephone 01977 960125",
    ],
)
def test_references_of_cases_are_taken(words: str) -> None:
    """What people really write there; a number with letters before it is a case's."""
    check_words("the reason", words)


async def test_a_reading_is_a_record_among_the_decisions(tmp_path: Path) -> None:
    """Who, why and how many; and nothing is recorded of one who does not say why."""
    async with open_streams(f"sqlite:{tmp_path / 'streams.db'}") as streams:
        await streams.create_topics({DECISIONS: 1})
        await record_reading(
            streams, by="A", reason="SAR-1", about="subject by upn", results=3, at=NOON
        )
        for by, reason in (("", "SAR-1"), ("A", ""), ("A", "9434765919"), ("9434765919", "SAR-1")):
            with pytest.raises(BadAct):
                await record_reading(
                    streams, by=by, reason=reason, about="subject", results=0, at=NOON
                )
        await record_act(streams, Act(ActKind.ADMINISTRATION, NOON, "A", "log rebuilt"))
        acts = [read_act(record.value or b"") async for record in streams.read(DECISIONS)]
    assert acts[0] == Act(ActKind.READING, NOON, "A", "subject by upn", reason="SAR-1", results=3)
    assert acts[1].about == "log rebuilt"
    assert len(acts) == 2


def test_acts_of_one_second_are_different_records() -> None:
    """The bytes are a function of the act."""
    assert act_record(an_act()) == act_record(an_act())
    assert act_record(an_act()) != act_record(an_act(results=1))

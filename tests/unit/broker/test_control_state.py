"""The router's view of ``control``: the documents in order, compiled when asked for."""

import asyncio
import json
from pathlib import Path

from deciding_world import (
    COUNCIL,
    HEALTH,
    NOON,
    PLACEMENT,
    SCHEME,
    a_world,
    an_event,
    pseudonym_key,
)
from deciding_world import World as Documents

from agreements.candidates import to_us
from agreements.deciding import Permit, decide
from agreements.rules import Compiler
from broker.control import TOPIC, ControlState
from connectors.streams import Outgoing, Streams, open_streams
from schemas.catalogue import shipped


def a_state() -> ControlState:
    """Return a state with no documents yet."""
    return ControlState(Compiler(shipped(), scheme_key=SCHEME.public, pseudonym_key=pseudonym_key))


def filled(documents: Documents, state: ControlState | None = None) -> ControlState:
    """Put all documents into a state, in their order."""
    state = state or a_state()
    for offset, (key, value) in enumerate(documents.documents.items()):
        state.apply(key, value, offset)
    return state


def is_shared(state: ControlState) -> bool:
    """Whether the usual placement would reach the health provider."""
    found = state.snapshot().rules.candidates(COUNCIL, PLACEMENT)
    return any(
        isinstance(decide(an_event(), candidate, at=to_us(NOON)), Permit) for candidate in found
    )


def test_what_is_on_control_makes_the_rules() -> None:
    """Parties, agreement and both signatures: the flow is a candidate and permits."""
    assert is_shared(filled(a_world()))


def test_an_empty_topic_permits_nothing() -> None:
    """A router that knows no document has no parties and no candidates."""
    snapshot = a_state().snapshot()
    assert snapshot.position == 0
    assert not snapshot.rules.parties
    assert list(snapshot.rules) == []


def test_the_order_of_documents_does_not_matter() -> None:
    """Signatures may come before the agreement and the parties after both."""
    documents = a_world()
    documents.documents = dict(reversed(documents.documents.items()))
    assert is_shared(filled(documents))


def test_the_position_is_behind_the_last_document_read() -> None:
    """It is what a decision names as the rules that it was made under."""
    documents = a_world()
    state = filled(documents)
    assert state.snapshot().position == len(documents.documents)
    state.apply(b"party|x|1", None, 41)
    assert state.snapshot().position == 42


def test_a_snapshot_stays_as_it_was_when_a_document_comes() -> None:
    """A batch is decided under one set of rules from its first event to its last."""
    documents = a_world()
    state = filled(documents)
    before = state.snapshot()
    assert state.snapshot() is before
    documents.party(HEALTH, state="suspended", revision=2)
    filled(documents, state)
    assert state.snapshot() is not before
    assert not is_shared(state)
    assert before.rules.parties[HEALTH].state == "active"


def test_the_same_key_twice_keeps_the_newer_document() -> None:
    """To be looked up by its key; the older one has been seen all the same."""
    state = filled(a_world())
    key = next(key for key in state.documents if key.startswith(b"agreement|"))
    before = state.documents[key]
    state.apply(key, b'{"not": "an agreement"}', 90)
    assert state.documents[key] == b'{"not": "an agreement"}'
    assert state.snapshot().position == 91
    # What both parties signed still stands: nobody can unsay it by writing over it.
    assert is_shared(state)
    state.apply(key, before, 91)
    assert is_shared(state)


def test_a_revocation_that_is_written_over_still_stands() -> None:
    """Both texts under one key arrive before the rules are asked for: each is seen."""
    documents = a_world()
    (agreement,) = [key for key in documents.documents if key.startswith(b"agreement|")]
    document = json.loads(documents.documents[agreement] or b"")
    documents.sign(document, HEALTH, type="revoke", at=NOON)
    state = filled(documents)
    (revocation,) = [key for key in documents.documents if key.endswith(b"|revoke")]
    state.apply(revocation, b'{"jws": "rubbish"}', 90)
    assert not is_shared(state)


def test_a_tombstone_forgets_nothing() -> None:
    """Deleting a suspension from the topic does not lift it."""
    documents = a_world()
    documents.party(HEALTH, state="suspended", revision=2)
    state = filled(documents)
    for offset, key in enumerate(list(documents.documents), start=90):
        state.apply(key, None, offset)
    assert state.documents == documents.documents
    assert not is_shared(state)
    assert state.snapshot().rules.parties[HEALTH].state == "suspended"


def test_what_is_no_document_is_passed_over() -> None:
    """A record without a key, or of bytes that mean nothing, costs nothing but its offset."""
    state = filled(a_world())
    for offset, (key, value) in enumerate(
        [(None, b"{}"), (b"", b""), (b"party|x|1", b"\xff"), (b"\xff\xfe", b"{}"), (b"x|y", b"[]")],
        start=50,
    ):
        state.apply(key, value, offset)
    assert state.snapshot().position == 55
    assert is_shared(state)


async def put(streams: Streams, documents: Documents) -> None:
    """Append documents to ``control``."""
    await streams.append(
        [Outgoing(TOPIC, key, value) for key, value in documents.documents.items()]
    )


async def test_loading_reads_up_to_where_it_is_told(tmp_path: Path) -> None:
    """A past decision is made again under the rules that were known then."""
    documents = a_world()
    before = len(documents.documents)
    later = Documents()
    later.party(HEALTH, state="suspended", revision=2)
    async with open_streams(f"sqlite:{tmp_path / 'streams.db'}") as streams:
        await streams.create_topics({TOPIC: 1}, kept=frozenset({TOPIC}))
        await put(streams, documents)
        await put(streams, later)
        then, now = a_state(), a_state()
        await then.load(streams, before=before)
        await now.load(streams)
    assert (then.snapshot().position, now.snapshot().position) == (before, before + 1)
    assert (is_shared(then), is_shared(now)) == (True, False)


async def test_following_takes_in_what_comes(tmp_path: Path) -> None:
    """A suspension reaches a running router by itself, and the end of it leaves no task."""
    later = Documents()
    later.party(HEALTH, state="suspended", revision=2)
    async with open_streams(f"sqlite:{tmp_path / 'streams.db'}") as streams:
        await streams.create_topics({TOPIC: 1}, kept=frozenset({TOPIC}))
        await put(streams, a_world())
        state = a_state()
        async with state.following(streams) as task:
            assert is_shared(state)
            await put(streams, later)
            async with asyncio.timeout(10):
                while is_shared(state):  # noqa: ASYNC110  it tells nobody that it changed
                    await asyncio.sleep(0)
            assert not task.done()
        assert task.cancelled()

"""The ids of what has been accepted: claimed once, given back, read back, bounded."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from broker.accepted import ID_BYTES, TOPIC, AcceptedIds, record_of, short_id
from connectors.streams import Outgoing, open_streams


def ids(count: int, *, publisher: str = "council") -> list[bytes]:
    """Build the short ids of so many events."""
    return [short_id(publisher, str(number).encode()) for number in range(count)]


def test_an_id_is_claimed_once() -> None:
    """The second claim is told that the event was accepted before."""
    accepted = AcceptedIds()
    (one,) = ids(1)
    assert accepted.claim(one)
    assert not accepted.claim(one)


def test_an_id_that_was_given_back_can_be_claimed_again() -> None:
    """A batch that was not committed is routed again."""
    accepted = AcceptedIds()
    one, other = ids(2)
    assert accepted.claim(one)
    assert accepted.claim(other)
    accepted.release([one])
    assert accepted.claim(one)
    assert not accepted.claim(other)


def test_giving_back_what_was_never_claimed_does_nothing() -> None:
    """Releasing is safe to repeat."""
    accepted = AcceptedIds()
    accepted.release(ids(3))
    assert len(accepted) == 0


def test_two_publishers_may_use_the_same_event_id() -> None:
    """One publisher cannot keep another's events out by using their ids first."""
    accepted = AcceptedIds()
    assert accepted.claim(short_id("council", b"1"))
    assert accepted.claim(short_id("trust", b"1"))


@given(st.text(), st.binary(), st.text(), st.binary())
def test_short_ids_are_equal_only_for_the_same_event(
    publisher: str, event: bytes, other: str, another: bytes
) -> None:
    """Of one length, whatever the id looks like."""
    first, second = short_id(publisher, event), short_id(other, another)
    assert len(first) == len(second) == ID_BYTES
    assert (first == second) == ((publisher, event) == (other, another))


@given(st.integers(0, 40), st.integers(1, 20))
def test_the_oldest_are_forgotten_and_no_more_than_that(count: int, most: int) -> None:
    """Memory is bounded whatever has been accepted; the latest stay known."""
    accepted = AcceptedIds(most)
    claimed = ids(count)
    for short in claimed:
        accepted.claim(short)
    accepted.forget_oldest()
    assert len(accepted) == min(count, most)
    assert not any(accepted.claim(short) for short in claimed[-most:])


async def test_what_was_accepted_from_a_partition_is_read_back(tmp_path: Path) -> None:
    """All ids of that partition, over several batches, and of no other partition or topic."""
    one, two, three, other, another = ids(5)
    async with open_streams(f"sqlite:{tmp_path / 'streams.db'}") as streams:
        await streams.create_topics({TOPIC: 3})
        await streams.append(
            [
                record_of("events.council", 0, [one, two]),
                record_of("events.council", 1, [other]),
                record_of("events.trust", 0, [another]),
                record_of("events.council", 0, [three]),
                Outgoing(TOPIC, b"events.council/0", None),
            ]
        )
        accepted = AcceptedIds()
        await accepted.load(streams, "events.council", 0, partitions=3)
    assert len(accepted) == 3
    assert not any(accepted.claim(short) for short in (one, two, three))


async def test_reading_back_is_bounded_too(tmp_path: Path) -> None:
    """A long history costs no more memory than a short one; the latest ids are kept."""
    claimed = ids(100)
    async with open_streams(f"sqlite:{tmp_path / 'streams.db'}") as streams:
        await streams.create_topics({TOPIC: 1})
        for start in range(0, 100, 10):
            await streams.append([record_of("events.council", 0, claimed[start : start + 10])])
        accepted = AcceptedIds(most=25)
        await accepted.load(streams, "events.council", 0, partitions=1)
    assert len(accepted) == 25
    assert not any(accepted.claim(short) for short in claimed[-25:])

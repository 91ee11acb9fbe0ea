"""Publish and receive for a party whose keys lie in the scheme's folder.

In service a connector does this where the party is; the command line does it
here so that a scheme can be tried on one machine.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar

from broker.scheme import SchemeFolder
from connectors.folder import FolderSink
from connectors.json_lines import read_json_lines
from connectors.prepared import PreparedEvent, Rejection, Row
from connectors.publisher import Publisher
from connectors.ssda903 import read_return
from connectors.streams import Streams
from connectors.subscriber import Subscriber
from connectors.trust import read_broker
from schemas.errors import ConfigurationError, RejectedInput

IDLE_SECONDS = 1.0
"""After how long without a delivery `concordat receive` is done."""


class NoLocalAuthority(ConfigurationError):
    """A return was given without saying whose it is."""

    code: ClassVar[str] = "no-local-authority"


def open_source(source: Path, *, local_authority: str) -> Iterator[Row | Rejection]:
    """Return the rows of a source: a folder is an SSDA903 return, a file is JSON Lines.

    Raises:
        NoLocalAuthority: a return needs the GSS code of its council.

    """
    if not source.is_dir():
        return read_json_lines(source)
    if not local_authority:
        raise NoLocalAuthority(
            "a return does not say whose it is: give the council's GSS code,"
            " such as --local-authority E08000018"
        )
    return read_return(source, local_authority=local_authority)


async def publisher_of(scheme: SchemeFolder, streams: Streams, party: str) -> Publisher:
    """Return the publisher of a party with the keys in this folder.

    Raises:
        KeysUnavailable: the party's keys are not here.

    """
    keys = scheme.party_keys(party)
    broker = await read_broker(streams, scheme.scheme_key)
    return Publisher(
        party,
        signing_key=keys.signing[0],
        broker_key=broker.sealing_public_keys()[0],
        catalogue=scheme.catalogue,
        streams=streams,
        identity_secret=keys.secret,
        ledger=scheme.ledger(party),
    )


def subscriber_of(scheme: SchemeFolder, streams: Streams, party: str) -> Subscriber:
    """Return the subscriber of a party with the keys in this folder."""
    return Subscriber(
        party,
        sealing_keys=scheme.party_keys(party).sealing,
        scheme_key=scheme.scheme_key,
        streams=streams,
        ledger=scheme.ledger(party),
    )


async def publish_source(
    scheme: SchemeFolder, streams: Streams, outcomes: Iterable[Row | Rejection], *, party: str
) -> tuple[tuple[str, ...], list[dict[str, Any]]]:
    """Publish the rows that are events; return their ids, and every row that was rejected."""
    publisher = await publisher_of(scheme, streams, party)
    rejected: list[dict[str, Any]] = []
    row: Row

    def events() -> Iterator[PreparedEvent]:
        nonlocal row
        for outcome in outcomes:
            if isinstance(outcome, Rejection):
                rejected.append(_told(outcome))
            else:
                row = outcome  # the publisher asks for the next when it is done with this
                yield outcome.event

    def refuse(_: PreparedEvent, problem: RejectedInput) -> None:
        message = f"{row.file}, line {row.line}: {problem}"
        column = str(getattr(problem, "path", ""))
        rejected.append(_told(Rejection(row.file, row.line, column, problem.code, message)))

    published = await publisher.publish(events(), on_rejected=refuse)
    return published.ids, rejected


async def receive_all(
    scheme: SchemeFolder, streams: Streams, *, party: str, folder: Path
) -> tuple[int, int]:
    """Write what has been delivered to a party to its file; return (opened, not opened)."""
    subscriber = subscriber_of(scheme, streams, party)
    with FolderSink(folder, party) as sink:
        counts = await subscriber.deliver_to(sink, idle_seconds=IDLE_SECONDS)
    return counts.received, counts.unopened


def _told(rejection: Rejection) -> dict[str, Any]:
    return {
        "file": rejection.file,
        "line": rejection.line,
        "column": rejection.column,
        "reason": str(rejection.reason),
        "message": rejection.message,
    }

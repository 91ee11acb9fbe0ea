"""The register: what officers change, in the store first and on ``control`` from there.

A change and the records that tell of it are one transaction in the store; the relay
appends them to ``control`` in the order of the commits and marks them as published. It
may be stopped between the two: then they are appended again, which changes nothing,
because nothing on ``control`` counts for being the last (`agreements.rules`).

What is in force is read from ``control``, with what still waits on top of it; the
store's own word for it is not taken. Where the two differ they are levelled: the store
is given what others have put on ``control``, and ``control`` what the store says is
there and is not. Where the streams are away, the store tells what was known last, and
keeps what is changed.
"""

import contextlib
import getpass
import hashlib
import json
import os
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Final

import structlog

from agreements.canonical import to_document
from agreements.model import Agreement
from agreements.signatures import Standing, statement_id
from agreements.signed import Version
from broker.control import TOPIC as CONTROL
from broker.control import ControlState
from broker.freshness import TOPIC as FRESHNESS
from broker.freshness import Chain, Statement
from broker.scheme import SchemeFolder
from broker.storage import MAX_VALUE_BYTES, MAX_VERSION, Transaction, Waiting
from connectors.streams import Outgoing, Record, Streams, StreamsUnavailable, UnknownTopic
from schemas.control import BadDocument, Kind, Party, open_document, parse_document_key
from schemas.errors import ConfigurationError, RejectedInput
from schemas.keys import BadSignature

_LEVELLED: Final = frozenset({Kind.PARTY, Kind.AGREEMENT, Kind.SIGNATURE, Kind.OBJECTION})
"""What the register keeps; schemas of views a router publishes by itself."""

_SIGNATURE: Final = b"signature|"
_AT_ONCE: Final = 500  # records in one append

log = structlog.get_logger()


class AlreadyThere(ConfigurationError):
    """What should be made exists; nothing was changed."""

    code: ClassVar[str] = "already-there"


class NotThere(RejectedInput):
    """What is named does not exist."""

    code: ClassVar[str] = "not-there"


@contextlib.asynccontextmanager
async def reaching(scheme: SchemeFolder) -> AsyncIterator[Streams | None]:
    """Open the streams; None where they are away and the register can go on without."""
    async with contextlib.AsyncExitStack() as stack:
        try:
            streams: Streams | None = await stack.enter_async_context(scheme.streams())
        except StreamsUnavailable:
            if not scheme.has_store:
                raise
            streams = None
        yield streams


@dataclass(slots=True)
class Register:
    """The register as it was when it was opened.

    ``control`` is what the records say, those that wait included, and ``published`` what
    those say that routers read; ``is_reached`` is whether the streams answered.
    """

    scheme: SchemeFolder
    control: ControlState
    published: ControlState
    streams: Streams | None
    _kept: frozenset[bytes]
    _there: dict[bytes, int] = field(default_factory=dict)
    _statements: dict[str, int] = field(default_factory=dict)
    _chain: Chain = field(default_factory=Chain)

    def see(self, record: Record) -> None:
        """Note that a record is on ``control``."""
        self._there.setdefault(mark(record), record.offset)
        self._chain.extend(record.key, record.value, record.offset)
        if (record.key or b"").startswith(_SIGNATURE):
            with contextlib.suppress(ValueError, KeyError, TypeError, RecursionError):
                jws = str(json.loads(record.value or b"")["jws"])
                self._statements[statement_id(jws)] = record.offset

    def is_there(self, waiting: Waiting) -> bool:
        """Whether a record of the outbox was seen on ``control``."""
        return mark(waiting) in self._there

    def offset_of(self, key: bytes, value: bytes) -> int | None:
        """Return where a record lies on ``control``; None where it does not, or not yet."""
        return self._there.get(_mark_of(key, value))

    def holds(self, key: bytes, value: bytes) -> bool:
        """Whether a record is on ``control``, or waits to be."""
        wanted = _mark_of(key, value)
        return wanted in self._there or wanted in self._kept

    def statement_offset(self, version: Version, party: str, statement: str) -> int | None:
        """Return where a party's statement last came to ``control``; None: not yet.

        Somebody else's copy with another signature has the same id: it is there only if it
        counts by what is there alone.
        """
        said = (
            one.id
            for known in self.published.versions()
            if known.agreement is not None
            and version.agreement is not None
            and known.agreement.id == version.agreement.id
            for one in known.said.get(party, ())
        )
        return self._statements.get(statement) if statement in said else None

    async def covered_to(self) -> int:
        """Return how far the scheme has signed ``control`` as it was read here.

        From then on no router goes by rules without the records before that position for
        longer than the limit. The hash counts, not the length alone.
        """
        covered = 0
        if self.streams is None:
            return covered
        with contextlib.suppress(StreamsUnavailable, UnknownTopic):
            async for record in self.streams.read(FRESHNESS):
                with contextlib.suppress(BadSignature, UnicodeDecodeError):
                    jws = (record.value or b"").decode("ascii")
                    said = Statement.open(jws, self.scheme.scheme_key)
                    if self._chain.at(said.position) == said.chain:
                        covered = max(covered, said.position)
        return covered

    @property
    def is_reached(self) -> bool:
        """Whether ``control`` itself was read."""
        return self.streams is not None

    def versions(self, agreement_id: str) -> list[Version]:
        """Return every text of every version of an agreement."""
        return [
            one
            for one in self.control.versions()
            if one.agreement is not None and one.agreement.id == agreement_id
        ]

    def version(self, agreement_id: str, number: int | None = None) -> Version:
        """Return a version of an agreement; without a number the latest.

        Of several texts under one number it is the one that most parties accepted.

        Raises:
            NotThere: there is none.

        """
        found = [one for one in self.versions(agreement_id) if number in (None, one.number)]
        if not found:
            which = "" if number is None else f" version {number}"
            raise NotThere(
                f"there is no agreement {agreement_id}{which}: see `concordat agreement list`"
            )
        return max(found, key=lambda one: (one.number, _accepted_by(one)))

    def transaction(self, by: str | None = None) -> contextlib.AbstractContextManager[Transaction]:
        """Open a transaction in the store, in the name of an officer."""
        return self.scheme.store.transaction(by=by or officer())

    async def relay(self) -> bool:
        """Publish what waits, and have the scheme say that it is there.

        False where the streams are away: it is kept, and published by the next command
        or by ``concordat run``.

        Raises:
            EvidenceError: ``control`` is not what the scheme signed before.

        """
        if self.streams is None:
            return False
        outbox = self.scheme.store.outbox
        missing = [one for one in outbox.everything() if not self.is_there(one)]
        try:
            await append_to_control(self.streams, missing)
            await self._look_again()
            waiting = outbox.unpublished(limit=None)
            outbox.mark_published(one.number for one in waiting if self.is_there(one))
            if self.scheme.issuer is not None:
                await self.scheme.issuer.issue(self.streams)
        except StreamsUnavailable as error:
            log.warning("changes are kept", code=error.code, waiting=len(missing))
            return False
        return True

    async def _look_again(self) -> None:
        """Read what has come since; what was appended counts as published once it is seen."""
        assert self.streams is not None  # noqa: S101  only the relay asks
        async for record in self.streams.read(CONTROL, start=self._chain.end):
            self.see(record)


async def open_register(scheme: SchemeFolder, streams: Streams | None) -> Register:
    """Read ``control`` and level the store with it; without streams read the store alone."""
    try:
        records = [] if streams is None else [one async for one in streams.read(CONTROL)]
    except StreamsUnavailable:
        records, streams = [], None
    kept = {mark(one): one for one in scheme.store.outbox.everything()}
    published = _state(scheme, records)
    register = Register(scheme, published, published, streams, frozenset(kept))
    for record in records:
        register.see(record)
    _take_in(scheme, {mark(one): one for one in records if mark(one) not in kept}.values())
    waiting = [one for one in kept.values() if not register.is_there(one)]
    if waiting:
        # What waits has its place after all that is there.
        end = records[-1].offset + 1 if records else 0
        register.control = _state(scheme, records)
        for place, one in enumerate(waiting):
            register.control.apply(one.key, one.value, end + place)
    return register


def _state(scheme: SchemeFolder, records: Iterable[Record]) -> ControlState:
    state = scheme.control(is_routing=False)
    for record in records:
        state.apply(record.key, record.value, record.offset)
    return state


async def append_to_control(streams: Streams, records: Sequence[Waiting]) -> None:
    """Append records of the outbox to ``control``, in their order.

    Raises:
        StreamsUnavailable: the streams are away; what is not there yet comes next time.

    """
    # What is too large nobody put there by the store's own ways; it must not hold up the rest.
    fitting = [one for one in records if len(one.key) + len(one.value) <= MAX_VALUE_BYTES]
    for start in range(0, len(fitting), _AT_ONCE):
        some = fitting[start : start + _AT_ONCE]
        await streams.append([Outgoing(CONTROL, one.key, one.value) for one in some])


def _take_in(scheme: SchemeFolder, records: Iterable[Record]) -> None:
    """Give the store what others have put on ``control``, as far as it is what it says."""
    with contextlib.ExitStack() as stack:
        transaction: Transaction | None = None
        for record in records:
            key, value = record.key or b"", record.value or b""
            try:
                documents = _documents(scheme, key, value)
            except (RejectedInput, ValueError, KeyError, TypeError, RecursionError):
                continue  # somebody's rubbish; routers pass it over, too
            if transaction is None:
                transaction = stack.enter_context(scheme.store.transaction(by="control"))
            transaction.publish(key, value, is_published=True)
            for kind, name, version, body in documents:
                transaction.put(kind, name, version, body, expected_revision=None)


def _documents(
    scheme: SchemeFolder, key: bytes, value: bytes
) -> list[tuple[str, str, int, dict[str, object]]]:
    """Return the documents that a record tells of; raises for what the register does not keep."""
    place = parse_document_key(key)
    if place.kind not in _LEVELLED or len(key) + len(value) > MAX_VALUE_BYTES:
        raise BadDocument("not a document that the register keeps")
    if place.kind is Kind.AGREEMENT:
        agreement = Agreement.model_validate_json(value)
        if agreement.version > MAX_VERSION:
            raise BadDocument("no version that anybody wrote")
        return [("agreement", agreement.id, agreement.version, to_document(agreement))]
    jws = str(json.loads(value)["jws"])
    if place.kind is not Kind.PARTY:
        return []
    party = Party.model_validate(open_document(jws, scheme.scheme_key))
    return [("party", party.id, 1, party.model_dump(mode="json"))]


def _accepted_by(version: Version) -> int:
    parties = () if version.agreement is None else version.agreement.parties
    return sum(version.standing_of(party.id) is Standing.ACCEPTED for party in parties)


def mark(record: Record | Waiting) -> bytes:
    """Return what stands for a record's key and value when records are compared."""
    return _mark_of(record.key or b"", record.value or b"")


def _mark_of(key: bytes, value: bytes) -> bytes:
    """Return what stands for a key and value when they are compared."""
    return hashlib.sha256(len(key).to_bytes(8, "big") + key + value).digest()


def officer() -> str:
    """Return who changes something, where nobody is named: the user of the machine."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"  # a container's user may have no name

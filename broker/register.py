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
import json
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import ClassVar, Final

import structlog

from agreements.signatures import Standing, statement_id
from agreements.signed import Version
from broker.acts import officer, with_acts
from broker.control import TOPIC as CONTROL
from broker.control import ControlState
from broker.freshness import TOPIC as FRESHNESS
from broker.freshness import Chain, Statement
from broker.levelling import append_to_control, mark, mark_of, take_in
from broker.scheme import SchemeFolder
from broker.storage import StoreUnavailable, Transaction, Waiting
from connectors.streams import Outgoing, Record, Streams, StreamsUnavailable, UnknownTopic
from schemas.control import Kind
from schemas.errors import ConfigurationError, RejectedInput
from schemas.keys import BadSignature

PARTIES: Final = ""
"""Stands for no agreement: what `open_register` is asked for is the parties alone."""

_SIGNATURE: Final = b"signature|"

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
    those say that routers read; ``is_reached`` and ``has_store`` are whether the streams
    and the store answered.
    """

    scheme: SchemeFolder
    control: ControlState
    published: ControlState
    streams: Streams | None
    _kept: frozenset[bytes]
    has_store: bool = True
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
        return self._there.get(mark_of(key, value))

    def holds(self, key: bytes, value: bytes) -> bool:
        """Whether a record is on ``control``, or waits to be."""
        wanted = mark_of(key, value)
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

    async def append(self, key: bytes, value: bytes, *, by: str) -> None:
        """Put a stop on ``control`` at once, where the store is away; later it is taken in.

        Raises:
            StreamsUnavailable: the streams are away, too.

        """
        if self.streams is None:
            raise StreamsUnavailable("neither the store nor the streams answer: try again")
        document = Outgoing(CONTROL, key, value)
        await self.streams.append(with_acts([document], by=by, at=datetime.now(UTC)))

    async def relay(self) -> bool:
        """Publish what waits, and have the scheme say that it is there.

        False where the streams are away: it is kept, and published by the next command
        or by ``concordat run``.

        Raises:
            EvidenceError: ``control`` is not what the scheme signed before.

        """
        if self.streams is None:
            return False
        outbox = self.scheme.store.outbox if self.has_store else None
        known = () if outbox is None else outbox.everything()
        missing = [one for one in known if not self.is_there(one)]
        try:
            await append_to_control(self.streams, missing)
            await self._look_again()
            if outbox is not None:
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


async def open_register(
    scheme: SchemeFolder,
    streams: Streams | None,
    *,
    about: str | None = None,
    is_to_stop: bool = False,
) -> Register:
    """Read ``control`` and level the store with it; without streams read the store alone.

    ``about`` an agreement only that and the parties are looked into (`PARTIES`: they
    alone), which is what makes a stop quick where there are thousands. Who ``is_to_stop``
    something goes on without a store: a stop does not wait for it.

    Raises:
        StoreUnavailable: the store is away.

    """
    try:
        records = [] if streams is None else [one async for one in streams.read(CONTROL)]
    except StreamsUnavailable:
        records, streams = [], None
    has_store = True
    try:
        kept = {mark(one): one for one in scheme.store.outbox.everything()}
    except StoreUnavailable:
        if not is_to_stop or streams is None:
            raise
        has_store, kept = False, {}
    wanted = _about(about)
    published = _state(scheme, records, wanted)
    register = Register(scheme, published, published, streams, frozenset(kept), has_store)
    for record in records:
        register.see(record)
    if streams is not None and has_store:
        others = {mark(one): one for one in records if mark(one) not in kept}
        await take_in(scheme, streams, others.values())
    waiting = [one for one in kept.values() if not register.is_there(one)]
    if waiting:
        # What waits has its place after all that is there.
        end = records[-1].offset + 1 if records else 0
        register.control = _state(scheme, records, wanted)
        for place, one in enumerate(waiting):
            if one.key.startswith(wanted):
                register.control.apply(one.key, one.value, end + place)
    return register


def _state(
    scheme: SchemeFolder, records: Iterable[Record], wanted: tuple[bytes, ...]
) -> ControlState:
    state = scheme.control(is_routing=False)
    for record in records:
        if (record.key or b"").startswith(wanted):
            state.apply(record.key, record.value, record.offset)
    return state


def _about(agreement: str | None) -> tuple[bytes, ...]:
    """Return what the keys of the records begin with that are looked into."""
    if agreement is None:
        return (b"",)
    own = tuple(f"{kind}|{agreement}|".encode() for kind in (Kind.AGREEMENT, Kind.SIGNATURE))
    return (b"party|", b"schema|", *(own if agreement != PARTIES else ()))


def _accepted_by(version: Version) -> int:
    parties = () if version.agreement is None else version.agreement.parties
    return sum(version.standing_of(party.id) is Standing.ACCEPTED for party in parties)

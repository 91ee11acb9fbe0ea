"""Where an officer's papers are made: the query store up to date, the scheme's terms, the log.

Who asks and why is checked first, and the reading is recorded before anything is handed out
(`broker.acts`): no record, no paper.
"""

import contextlib
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import ClassVar, Final

from agreements.candidates import to_us
from agreements.lifecycle import Status, state_of
from agreements.signed import Narrowings, Version
from broker.acts import Act, check_words, is_act, read_act, record_reading
from broker.audit.disclosures import Disclosure
from broker.audit.following import AuditWorker, entries_from
from broker.audit.forms import Asked
from broker.audit.keys import Identifier
from broker.audit.ropa import States
from broker.audit.store import AuditStore
from broker.audit.terms import Terms
from broker.periods import Period
from broker.routing import DECISIONS
from broker.scheme import SchemeFolder
from connectors.streams import Streams
from schemas.control import BROKER
from schemas.errors import RejectedInput

_FIRST: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST: Final = datetime(9999, 12, 31, tzinfo=UTC)


class UnknownName(RejectedInput):
    """What is asked about is not in the scheme."""

    code: ClassVar[str] = "unknown-name"


@dataclass(frozen=True, slots=True)
class Desk:
    """What papers are made from, as it is at one moment."""

    scheme: SchemeFolder
    streams: Streams
    store: AuditStore
    terms: Terms
    versions: tuple[Version, ...]
    asked: Asked

    def about(
        self, identifiers: Iterable[Identifier], *, follows_links: bool = True
    ) -> tuple[list[Disclosure], frozenset[bytes]]:
        """Return all that was decided about one person, and what stands there for what was given.

        Raises:
            TooManyLinked: the identifiers lead to those of several people.

        """
        blinds = self.scheme.audit_keys.blinds(identifiers)
        found = self.store.by_subject(blinds, follows_links=follows_links)
        return found, frozenset(map(self.store.token, blinds))

    def between(self, period: Period) -> Iterable[Disclosure]:
        """Give all that was decided in a period, in order of time."""
        return self.store.between(*_ends(period))

    def received(self, recipient: str, period: Period) -> Iterable[Disclosure]:
        """Give what was decided for a recipient in a period."""
        since, until = _ends(period)
        return self.store.by_recipient(recipient, since=since, until=until)

    def party(self, name: str) -> str:
        """Return the name of a party of the scheme. Raises `UnknownName`."""
        if name not in self.terms.parties or name == BROKER:
            known = ", ".join(sorted(set(self.terms.parties) - {BROKER}))
            raise UnknownName(f"{name} is not a party of this scheme: it has {known or 'none'}")
        return name

    def check_flow(self, recipient: str, flow: str | None, agreement: str | None) -> None:
        """See that what is named is there, since nothing found must mean that nothing went.

        Raises:
            UnknownName: no such agreement has such a flow to the recipient.

        """
        known = {
            (text.id, one.id)
            for text in self.terms.agreements.values()
            for one in text.flows
            if recipient in one.to
        }
        agreements = {text for text, _ in known}
        if agreement is not None and agreement not in agreements:
            raise UnknownName(f"no agreement {agreement} goes to {recipient}: {_these(agreements)}")
        flows = {one for text, one in known if agreement in (None, text)}
        if flow is not None and flow not in flows:
            raise UnknownName(f"no flow {flow} goes to {recipient}: {_these(flows)}")

    def states(self, parties: Iterable[str] | None = None) -> tuple[Status, ...]:
        """Return where each version stands now; only of agreements of ``parties`` if given."""
        narrows, at = Narrowings(self.terms.catalogue), to_us(self.asked.at)
        wanted = None if parties is None else set(parties)
        by_id: dict[str, list[Version]] = {}
        for version in self.versions:
            if version.agreement is not None:
                by_id.setdefault(version.agreement.id, []).append(version)
        return tuple(
            state_of(
                siblings,
                version.number,
                at=at,
                sha256=version.sha256,
                parties=self.terms.parties,
                narrows=narrows,
            )
            for siblings in by_id.values()
            for version in siblings
            if version.agreement is not None
            and (wanted is None or wanted & {role.id for role in version.agreement.parties})
        )

    def pair_states(self) -> States:
        """Return in which state each text is for each two parties."""
        return {
            (one.text.id, one.sha256, pair.publisher, pair.recipient): pair.state.value
            for one in self.states()
            for pair in one.pairs
        }

    async def acts(self, period: Period) -> list[tuple[int, Act]]:
        """Return what was done in a period besides deciding, with its entry in the log."""
        first_ms, end_ms = period.to_ms()
        found, entry, start = [], 0, 0
        signed = self.scheme.signed_log
        for told in () if signed is None else entries_from(signed.files, 0, signed.size()):
            if is_act(told.value):
                found.append((entry, read_act(told.value or b"")))
            entry, start = entry + 1, told.offset + 1
        async for record in self.streams.read(DECISIONS, start=start):
            if is_act(record.value):
                found.append((entry, read_act(record.value or b"")))
            entry += 1
        return [
            (number, act)
            for number, act in found
            if first_ms * 1000 <= to_us(act.at) < end_ms * 1000
        ]

    async def record(self, about: str, results: int) -> None:
        """Put on record that it was asked; to be called before a paper is handed out."""
        asked = self.asked
        await record_reading(
            self.streams,
            by=asked.by,
            reason=asked.reason,
            about=about,
            results=results,
            at=asked.at,
        )


@contextlib.asynccontextmanager
async def desk(scheme: SchemeFolder, *, by: str, reason: str, at: datetime) -> AsyncIterator[Desk]:
    """Open a desk: the store is brought up to date, ``control`` is read.

    Raises:
        BadAct: who asks or why cannot be put on record.

    """
    check_words("who asks", by)
    check_words("the reason", reason)
    async with scheme.streams() as streams:
        store = scheme.open_audit_store()
        await AuditWorker(streams, store, scheme.signed_log).catch_up()
        answers_from = store.promise()
        control = scheme.control(is_routing=False)
        await control.load(streams)
        versions = control.versions()
        terms = Terms.of(versions, control.snapshot().rules.parties, scheme.catalogue)
        asked = Asked(by, reason, at, answers_from=answers_from)
        yield Desk(scheme, streams, store, terms, versions, _asked(scheme, asked))


def _asked(scheme: SchemeFolder, asked: Asked) -> Asked:
    signed = scheme.signed_log
    latest = None if signed is None else signed.files.latest(signed.key)
    if latest is None:
        return asked
    return replace(asked, size=latest[0].size, root=latest[0].root.hex())


def _these(names: Iterable[str]) -> str:
    return f"there is {', '.join(sorted(names)) or 'none'}"


def _ends(period: Period) -> tuple[datetime, datetime]:
    return period.since or _FIRST, period.until or _LAST

"""Hold what the log has decided against what the parties themselves have counted.

Publishers state which events they signed, recipients which deliveries they opened
(`schemas.counting`). If the sets are equal nothing was left out and nothing made up; if
not, the events are named. The log is read to the checkpoint that is given, and not checked
here: that is for `concordat verify`.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from broker.acts import is_act
from broker.evidence.entries import record_from
from broker.evidence.reading import LogFiles
from broker.record_parts import PartsReader
from broker.routing import DECISIONS
from schemas.control import Kind, Party, open_document, parse_document_key
from schemas.counting import (
    BadStatement,
    Side,
    Statement,
    digest_of_statement,
    event_id_of,
    month_of,
    opened_element,
    published_element,
)
from schemas.errors import RejectedInput
from schemas.keys import VerifyingKey
from schemas.tiles import WIDTH

_TIME_BYTES: Final = 8


class Place(NamedTuple):
    """What a statement is of: a party, what it counts, and a month such as 2026-11."""

    party: str
    side: Side
    month: str


class LogCounts:
    """What the log has of each party and month, in 24 or 40 bytes each."""

    def __init__(self, months: Collection[str] = ()) -> None:
        self.shredded = 0
        self._months = months
        self._packed: dict[Place, bytearray] = defaultdict(bytearray)

    def read(self, files: LogFiles, size: int) -> None:
        """Take in the log's first ``size`` entries. Raises `UnreadableDecision`, `BadEntry`."""
        reader = PartsReader()
        for number in range(-(-size // WIDTH)):
            for kept in files.records(number)[: size - number * WIDTH]:
                if kept.is_shredded:
                    self.shredded += 1
                    continue
                value = record_from(kept.content, topic=DECISIONS, partition=0, offset=0).value
                if value is not None and not is_act(value):
                    self.add(value, reader)

    def add(self, value: bytes, reader: PartsReader) -> None:
        """Take in one decision record."""
        parts = reader.read(value)
        event_id, month = parts.event_id.decode(), month_of(parts.published_ms)
        if self._months and month not in self._months:
            return
        time = parts.published_ms.to_bytes(_TIME_BYTES, signed=True)
        if parts.settles is None:  # a later word on an event is no other event
            place = Place(parts.publisher, Side.PUBLISHED, month)
            self._packed[place] += time + published_element(event_id)
        for part, seal in parts.candidates:
            if seal:
                place = Place(str(part.says["recipient"]), Side.OPENED, month)
                self._packed[place] += time + opened_element(event_id, seal)

    def places(self) -> Iterable[Place]:
        """Return of what there is something."""
        return self._packed.keys()

    def elements(self, place: Place, *, before_ms: int) -> list[bytes]:
        """Return what there is, published before a time."""
        packed, width = self._packed.get(place, b""), _TIME_BYTES + place.side.width
        return [
            bytes(packed[at + _TIME_BYTES : at + width])
            for at in range(0, len(packed), width)
            if int.from_bytes(packed[at : at + _TIME_BYTES], signed=True) < before_ms
        ]


@dataclass(slots=True)
class Difference:
    """How a place of the log and the statement on it agree.

    The sets are of event ids; ``twice`` are those that the log has more than once.
    ``is_named`` is false where they differ in more than a statement can name;
    ``statement`` is None where the party has stated nothing.
    """

    place: Place
    statement: Statement | None
    logged: int
    only_counted: set[str] = field(default_factory=set)
    only_logged: set[str] = field(default_factory=set)
    twice: set[str] = field(default_factory=set)
    is_named: bool = True

    @property
    def agrees(self) -> bool:
        """Whether the party has counted exactly what the log has."""
        return (
            self.statement is not None
            and self.is_named
            and not self.only_counted
            and not self.only_logged
            and not self.twice
        )


class Problem(NamedTuple):
    """What is wrong with the statements of a party themselves."""

    party: str
    side: Side
    code: str
    message: str


def reconcile(counts: LogCounts, statements: Mapping[Place, Statement]) -> list[Difference]:
    """Hold the newest statements against the log, in the order of their places."""
    found = [
        _difference(place, statements.get(place), counts)
        for place in sorted({*counts.places(), *statements})
    ]
    _pair_over_months(found)
    return found


def read_statements(
    tokens: Iterable[tuple[str, str]],
    keys: Mapping[str, Collection[VerifyingKey]],
    *,
    scheme: str,
    months: Collection[str] = (),
) -> tuple[dict[Place, Statement], list[Problem]]:
    """Return the newest statement of each place, and what is wrong with a party's statements.

    ``tokens`` are party and JWS as they lie on the topic. Anybody may write there: what the
    party has not signed, or for another scheme, is passed over.
    """
    told: dict[tuple[str, Side], dict[int, dict[str, Statement]]] = {}
    for party, token in tokens:
        try:
            statement = Statement.from_jws(token, keys.get(party, ()))
        except BadStatement:
            continue
        if (statement.party, statement.scheme) == (party, scheme):
            by_sequence = told.setdefault((party, statement.side), {})
            by_sequence.setdefault(statement.sequence, {})[token] = statement
    newest: dict[Place, Statement] = {}
    problems: list[Problem] = []
    for (party, side), by_sequence in sorted(told.items()):
        problems += _problems(party, side, by_sequence)
        for _, same in sorted(by_sequence.items()):
            for statement in same.values():
                if not months or statement.month in months:
                    newest[Place(party, side, statement.month)] = statement
    return newest, problems


def keys_of_parties(
    documents: Mapping[bytes, bytes], scheme_key: VerifyingKey
) -> dict[str, list[VerifyingKey]]:
    """Return the signing keys that each party has or had, without those reported stolen."""
    parties: dict[str, list[Party]] = {}
    for key, value in documents.items():
        try:
            if parse_document_key(key).kind is Kind.PARTY:
                party = Party.model_validate(open_document(json.loads(value)["jws"], scheme_key))
                parties.setdefault(party.id, []).append(party)
        except (RejectedInput, ValueError, KeyError, TypeError, RecursionError):
            continue
    found: dict[str, list[VerifyingKey]] = {}
    for name, revisions in parties.items():
        stolen = {key.kid for party in revisions for key in party.stolen_keys}
        keys = {key.kid: key for party in revisions for key in party.verifying_keys()}
        found[name] = [key for kid, key in keys.items() if kid not in stolen]
    return found


def _difference(place: Place, statement: Statement | None, counts: LogCounts) -> Difference:
    before_ms = _FOREVER_MS if statement is None else int(statement.until.timestamp() * 1000)
    logged = counts.elements(place, before_ms=before_ms)
    elements = frozenset(logged)
    found = Difference(place, statement, len(logged))
    if len(elements) != len(logged):
        found.twice = {event_id_of(one) for one, times in Counter(logged).items() if times > 1}
    if statement is None:
        return found
    named = statement.differs(elements)
    if named is None:
        found.is_named = False
    else:
        found.only_counted = set(map(event_id_of, named[0]))
        found.only_logged = set(map(event_id_of, named[1]))
    return found


def _pair_over_months(found: list[Difference]) -> None:
    """Take away what one month has too few and another too many.

    An event that was signed twice is decided once, by either of its times.
    """
    by_count: dict[tuple[str, Side], list[Difference]] = defaultdict(list)
    for one in found:
        by_count[one.place[:2]].append(one)
    for months in by_count.values():
        counted = set().union(*(one.only_counted for one in months))
        logged = set().union(*(one.only_logged for one in months))
        for one in months:
            one.only_counted -= logged
            one.only_logged -= counted


def _problems(
    party: str, side: Side, by_sequence: Mapping[int, Mapping[str, Statement]]
) -> Iterator[Problem]:
    previous: str | None = None
    for number in range(1, max(by_sequence) + 1):
        same = by_sequence.get(number)
        if same is None:
            message = f"statement {number} of {party} is not on the topic: ask {party} for it"
            yield Problem(party, side, "statement-missing", message)
            previous = None
            continue
        if len(same) > 1:
            message = f"{party} has signed two statements under the number {number}"
            yield Problem(party, side, "statement-forked", message)
        token, statement = next(iter(same.items()))
        if number > 1 and previous is not None and statement.previous != previous:
            message = f"statement {number} of {party} does not follow the one before"
            yield Problem(party, side, "statement-unchained", message)
        previous = digest_of_statement(token)


_FOREVER_MS: Final = 1 << 62

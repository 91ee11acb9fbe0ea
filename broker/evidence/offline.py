"""Verify an export: the log, and what lies beside it, with nothing but public keys.

To the six steps of `broker.evidence.verifying` come these:

7. The log's key has signed what the export is, and the SHA-256 of each file beside the log.
8. The scheme's key is the one that the log is named after; it has signed `control` as a
   whole, as far as its last statement goes. Every act on `control` in the log has its
   document there.
9. Every record is a decision record or an act.
10. For every decision the publisher's signature of the event is there, as long as the
    streams held the event when it was exported; `broker.evidence.deciding_again` checks it.
11. Every permit has its delivery, sealed to the same bytes under the same names, as long
    as the streams held it; every delivery has its permit, or is a copy of one that has.
12. Every decision is made again (`broker.evidence.deciding_again`).

Where an export is of a period, this is about the records of that period.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any, Final

from agreements.candidates import to_us
from broker.acts import Act, ActKind, read_entry
from broker.delivering import DELIVERIES
from broker.evidence import export_files as files
from broker.evidence.deciding_again import DecidingAgain, Document, Unchecked
from broker.evidence.entries import Kept, record_from
from broker.evidence.reading import LogFiles
from broker.evidence.verifying import (
    MOST_PROBLEMS,
    Enough,
    LogCheck,
    Progress,
    Verified,
    verify_log,
)
from broker.freshness import Chain, Statement
from broker.recording import read_decision
from broker.routing import DECISIONS
from schemas.batch_proofs import BatchProof
from schemas.catalogue import shipped
from schemas.errors import RejectedInput
from schemas.events import PARTY_URN, dataschema_of
from schemas.keys import BadSignature, VerifyingKey
from schemas.notes import BadNote, NoteKey
from schemas.tiles import WIDTH

_TOGETHER: Final = 4096
"""Records that are decided again together."""

ORIGIN: Final = "concordat/"
ORIGIN_CHARACTERS: Final = 16
"""Of the thumbprint of the scheme's key, which a log's name ends in."""


def is_export(path: Path) -> bool:
    """Whether a folder is an export, or what is left of one, and not a log alone."""
    return any((path / name).exists() for name in (files.EXPORT, *files.LISTED))


def own_key(path: Path) -> NoteKey | None:
    """Return the key that an export names as its log's, which nobody vouches for."""
    try:
        return NoteKey.from_vkey((path / files.LOG_KEY).read_text("ascii"))
    except (FileNotFoundError, UnicodeDecodeError, BadNote):
        return None


def verify(
    path: Path,
    log: NoteKey,
    *,
    witnesses: Iterable[NoteKey] = (),
    progress: Progress | None = None,
) -> Verified:
    """Verify an export, or a log that lies alone; the problems are in the records' order."""
    if not is_export(path):
        return verify_log(LogFiles(path), log, witnesses=witnesses, progress=progress)
    check = _ExportCheck(path, log)
    with suppress(Enough):
        check.run(tuple(witnesses), progress)
    check.result.problems.sort(key=lambda one: -1 if one.record is None else one.record)
    return check.result


class _ExportCheck:
    """One run over an export."""

    def __init__(self, path: Path, log: NoteKey) -> None:
        self._path = path
        self._log = log
        self._manifest = self._read_manifest()
        self._check = LogCheck(
            LogFiles(path),
            log,
            left_out=() if self._manifest is None else self._manifest.left_out,
            is_export=True,
            take=self._take,
        )
        self.result = self._check.result
        self.result.counts = {
            "decided_again": 0, "acts": 0,
            "events": 0, "events_not_held": 0, "events_not_opened": 0,
            "deliveries": 0, "deliveries_not_held": 0, "deliveries_copied": 0,
            "deliveries_of_shredded": 0,
            "control": 0, "control_signed": 0,
        }  # fmt: skip
        self._digests: set[bytes] = set()
        self._again: DecidingAgain | None = None
        self._whole: set[str] = set()
        self._waiting: list[Unchecked] = []
        self._newest_us = 0
        self._shredded_until_us = 0

    def run(self, witnesses: tuple[NoteKey, ...], progress: Progress | None) -> None:
        """Take every step. Raises `Enough`."""
        self._look_at_files()
        self._events, self._deliveries = map(self._lines, (files.EVENTS, files.DELIVERIES))
        self._look_at_control()
        self._check.run(witnesses, progress)
        if self._manifest is not None and self._manifest.size != self.result.records:
            self._find("not-latest", "the export is of another size than its last checkpoint")
        self._decide()
        self._rest_of_events()
        self._rest_of_deliveries()

    # -- step 7 and 8 -------------------------------------------------------------------

    def _read_manifest(self) -> files.Manifest | None:
        with suppress(FileNotFoundError, BadNote):
            return files.Manifest.trusted((self._path / files.EXPORT).read_bytes(), self._log)
        return None

    def _look_at_files(self) -> None:
        if self._manifest is None:
            self._find("bad-export", f"the log's key has not signed what stands in {files.EXPORT}")
            return
        for name in files.LISTED:
            path, digest = self._path / name, self._manifest.files.get(name)
            found = files.digest_of(path) if path.exists() else None
            if found is None and digest is not None:
                self._find("missing-file", f"{name} is not there")
            elif found != digest:
                self._find("altered-file", f"{name} is not what was exported")
            else:
                self._whole.add(name)

    def _lines(self, name: str) -> "_Lines":
        return _Lines(self._path / name, is_whole=name in self._whole)

    def _look_at_control(self) -> None:
        key = self._scheme_key()
        documents, chain = self._documents()
        self.result.counts["control"] = len(documents)
        if key is None:
            return
        self._again = DecidingAgain(documents, shipped(), key)
        statement = self._statement(key)
        if statement is None:
            return
        if chain.at(statement.position) == statement.chain:
            self.result.counts["control_signed"] = statement.position
        else:
            self._find(
                "altered-control",
                f"{files.CONTROL} is not what the scheme has signed up to offset"
                f" {statement.position}",
            )

    def _scheme_key(self) -> VerifyingKey | None:
        with suppress(FileNotFoundError, ValueError, RejectedInput, KeyError, TypeError):
            jwk = json.loads((self._path / files.SCHEME_KEY).read_bytes())
            key = VerifyingKey.from_jwk(jwk)
            if self._log.name == ORIGIN + key.kid[:ORIGIN_CHARACTERS]:
                return key
        self._find("bad-scheme-key", f"{files.SCHEME_KEY} has not the key of the log's scheme")
        return None

    def _statement(self, key: VerifyingKey) -> Statement | None:
        path = self._path / files.FRESHNESS
        if not path.exists():
            return None
        with suppress(BadSignature, UnicodeDecodeError):
            return Statement.open(path.read_text("ascii").removesuffix("\n"), key)
        self._find("bad-freshness", f"{files.FRESHNESS} is not signed by the scheme's key")
        return None

    def _documents(self) -> tuple[list[Document], Chain]:
        documents: list[Document] = []
        chain, last = Chain(), -1
        for number, line in enumerate(self._lines(files.CONTROL), 1):
            place = f"line {number} of {files.CONTROL}"
            try:
                if line is None:
                    raise files.BadLine("it is not as it was written")  # noqa: TRY301  like the rest
                offset, key, value = _document(line)
            except files.BadLine as error:
                self._find("altered-control", f"{place}: {error}")
                continue
            if offset <= last:
                self._find("altered-control", f"{place} does not come after the one before")
            last = max(last, offset)
            chain.extend(key, value, offset)
            if key is not None and value is not None:
                documents.append((offset, key, value))
                self._digests.add(sha256(key + b"\0" + sha256(value).digest()).digest())
        return documents, chain

    # -- step 9 to 12 -------------------------------------------------------------------

    def _take(self, index: int, kept: Kept) -> None:
        try:
            record = record_from(kept.content, topic=DECISIONS, partition=0, offset=kept.offset)
            entry = read_entry(record.value or b"")
        except Exception:  # noqa: BLE001  whatever is made of bytes that are no record
            self._find("not-a-record", "it is neither a decision record nor an act", index)
            return
        if isinstance(entry, Act):
            self._act(entry, index)
            return
        self._newest_us = max(self._newest_us, to_us(entry["decidedAt"]))
        proof = self._event_of(entry, index)
        for place, candidate in enumerate(entry["candidates"]):
            if candidate["outcome"] == "permit":
                self._delivery_of(entry, candidate, index, place)
        self._waiting.append(Unchecked(index, entry, proof))
        if len(self._waiting) >= _TOGETHER:
            self._decide()

    def _act(self, act: Act, index: int) -> None:
        self.result.counts["acts"] += 1
        if act.kind is not ActKind.CONTROL:
            return
        key = act.about.encode("utf-8", "surrogateescape")
        if sha256(key + b"\0" + act.digest).digest() not in self._digests:
            message = f"the document {act.about} that it put on control is not there as it was"
            self._find("missing-document", message, index)

    def _event_of(self, decision: Mapping[str, Any], index: int) -> BatchProof | None:
        """Step 10, but for the signature."""
        line = self._events.at((index, 0))
        if line is None:
            self._find("missing-event", f"{files.EVENTS} has nothing of its event in place", index)
            return None
        if line == {"entry": index, "held": False}:
            self.result.counts["events_not_held"] += 1
            if not self._is_gone(decision["topic"]):
                message = f"its event is not on {decision['topic']}, which nothing has left yet"
                self._find("missing-event", message, index)
            return None
        if line == {"entry": index, "opens": False}:
            self.result.counts["events_not_opened"] += 1
            return None
        self.result.counts["events"] += 1
        if [line.get(name) for name in _PLACE] != [decision[name] for name in _PLACE]:
            self._find("altered-event", "its event lies in another place than it says", index)
        try:
            return files.read_proof(line)
        except files.BadLine as error:
            self._find("altered-event", f"{files.EVENTS}: {error}", index)
            return None

    def _delivery_of(
        self, decision: Mapping[str, Any], candidate: Mapping[str, Any], index: int, place: int
    ) -> None:
        """Step 11, for one permit."""
        line, who = self._deliveries.at((index, place)), candidate["recipient"]
        if line is None:
            self._find(
                "missing-delivery", f"{files.DELIVERIES} has no delivery to {who} in place", index
            )
        elif line == {"entry": index, "candidate": place, "held": False}:
            self.result.counts["deliveries_not_held"] += 1
            if not self._is_gone(DELIVERIES + who):
                message = f"its delivery is not on {DELIVERIES}{who}, which nothing has left yet"
                self._find("missing-delivery", message, index)
        else:
            self.result.counts["deliveries"] += 1
            differs = _delivery_differs(line, decision, candidate)
            if differs:
                message = f"the delivery to {who} is not what the record says: {differs}"
                self._find("altered-delivery", message, index)

    def _decide(self) -> None:
        if self._again is not None:
            for index, (code, message) in self._again.check(self._waiting):
                self._find(code, message, index)
            self.result.counts["decided_again"] += len(self._waiting)
        self._waiting.clear()

    def _rest_of_events(self) -> None:
        for line in self._events.rest():
            entry = None if line is None else _index_in(line, self.result.records)
            message = f"{files.EVENTS} has a line that belongs to no record in its place"
            self._find("inserted-event", message, entry)

    def _rest_of_deliveries(self) -> None:
        for line in self._deliveries.rest():
            entry = None if line is None else _index_in(line, self.result.records)
            if entry is None and line is not None:
                # The same sealed bytes open for nobody but whom they were permitted for.
                if self._is_copy(line):
                    self.result.counts["deliveries_copied"] += 1
                    continue
                if self._is_of_shredded(line):
                    self.result.counts["deliveries_of_shredded"] += 1
                    continue
            place = "" if line is None else f" at {_place_of(line)}"
            message = f"a delivery{place} has no decision that permits it"
            self._find("delivery-without-decision", message, entry)

    def _is_gone(self, topic: str) -> bool:
        return self._manifest is None or topic in self._manifest.gone

    def _is_copy(self, line: Mapping[str, Any]) -> bool:
        """Whether the bytes are those that a record has permitted."""
        with suppress(Exception):  # whatever a line makes of it, then it is none
            entry, candidate = line["copy_of"]
            kept = LogFiles(self._path).records(entry // WIDTH)[entry % WIDTH]
            record = record_from(kept.content, topic=DECISIONS, partition=0, offset=kept.offset)
            told = read_decision(record.value or b"")["candidates"][candidate]
            return bool(told["outcome"] == "permit" and told["sealed"].hex() == line["sealed"])
        return False

    def _is_of_shredded(self, line: Mapping[str, Any]) -> bool:
        """Whether a record that was shredded may have permitted a delivery."""
        at_ms = line.get("at_ms")
        return (
            bool(self.result.shredded) and type(at_ms) is int and at_ms <= self._newest_us // 1000
        )

    def _find(self, code: str, message: str, record: int | None = None) -> None:
        if record is not None:
            message = f"record {record}: {message}"
        self.result.find(code, message, record)


class _Lines:
    """Lines in the order of the log, asked for in that order; those passed over are kept.

    One more is looked at than the next: a line that says that it belongs far away then
    costs its own record, and not all that follow.
    """

    def __init__(self, path: Path, *, is_whole: bool) -> None:
        self._lines = files.lines_of(path, is_whole=is_whole) if path.exists() else iter(())
        self._ahead: list[dict[str, Any] | None] = []
        self._passed: list[dict[str, Any] | None] = []

    def __iter__(self) -> Iterator[dict[str, Any] | None]:
        return self._lines

    def at(self, place: tuple[int, int]) -> dict[str, Any] | None:
        """Return the line of a record's index and a candidate's; None when it is not there."""
        ahead = self._ahead
        while True:
            ahead += islice(self._lines, 2 - len(ahead))
            found = [_place_in(line) for line in ahead]
            if place in found:
                number = found.index(place)
                line = ahead[number]
                self._pass(number)
                del ahead[0]
                return line
            if not found or not (found[0] is None or found[0] < place):
                return None
            self._pass(1)

    def rest(self) -> Iterator[dict[str, Any] | None]:
        """Give what was not asked for."""
        yield from self._passed
        yield from self._ahead
        yield from self._lines

    def _pass(self, number: int) -> None:
        if len(self._passed) < MOST_PROBLEMS:  # more would not be told
            self._passed += self._ahead[:number]
        del self._ahead[:number]


_PLACE: Final = ("topic", "partition", "offset")


def _place_in(line: Mapping[str, Any] | None) -> tuple[int, int] | None:
    if line is None:
        return None
    entry, candidate = line.get("entry"), line.get("candidate", 0)
    if type(entry) is int and type(candidate) is int:
        return entry, candidate
    return None


def _index_in(line: Mapping[str, Any], size: int) -> int | None:
    entry = line.get("entry")
    return entry if type(entry) is int and 0 <= entry < size else None


def _place_of(line: Mapping[str, Any]) -> str:
    return "/".join(str(line.get(name)) for name in _PLACE)


def _document(line: Mapping[str, Any]) -> tuple[int, bytes | None, bytes | None]:
    try:
        offset, key, value = line["offset"], line["key"], line["value"]
        if type(offset) is int and len(line) == 3:  # noqa: PLR2004  these three
            return offset, files.bytes_of(key), files.bytes_of(value)
    except (KeyError, ValueError, AttributeError):
        pass
    raise files.BadLine("expected offset, key and value")


def _delivery_differs(
    line: Mapping[str, Any], decision: Mapping[str, Any], candidate: Mapping[str, Any]
) -> str:
    """Return what a delivery has other than the permit; empty when it has nothing."""
    expected: Sequence[tuple[str, Any, Any]] = (
        ("topic", line.get("topic"), DELIVERIES + candidate["recipient"]),
        ("sealed bytes", line.get("sealed"), candidate["sealed"].hex()),
        (
            "headers",
            line.get("headers"),
            {
                "ce_id": decision["eventId"],
                "ce_source": PARTY_URN + decision["publisher"],
                "ce_type": decision["eventType"],
                "ce_dataschema": dataschema_of(candidate["view"]),
                "ce_agreementid": candidate["agreement"],
                "ce_agreementversion": str(candidate["version"]),
                "ce_flowid": candidate["flow"],
                "ce_purpose": candidate["purpose"],
            },
        ),
    )
    return ", ".join(name for name, found, wanted in expected if found != wanted)

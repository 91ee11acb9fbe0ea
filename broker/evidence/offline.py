"""Verify an export: the log, and what lies beside it, with nothing but public keys.

To the seven steps of `broker.evidence.verifying` come these:

8. The log's key has signed what the export is, and the SHA-256 of each file beside the log.
9. The scheme's key is the one that the log is named after; it has signed `control` as a
   whole, as far as its last statement goes (`broker.evidence.export_control`).
10. Every record is a decision record or an act. An act on `control` has its document there,
    and where nothing is left out, a document that counts has its act.
11. For every decision the publisher's signature of the event is there, as long as the
    streams held the event when it was exported; `broker.evidence.deciding_again` checks it.
12. Every permit has its delivery, sealed to the same bytes under the same names, as long
    as the streams held it; every delivery has its permit, or is a copy of one that has.
13. Every decision is made again (`broker.evidence.deciding_again`).
14. Who is told that an event was taken back had it, as an earlier record says
    (`broker.evidence.notices`).

Where an export is of a period, this is about the records of that period.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from broker.acts import Act, ActKind, read_entry
from broker.delivering import DELIVERIES
from broker.evidence import export_files as files
from broker.evidence.deciding_again import DecidingAgain, Unchecked
from broker.evidence.entries import Kept, record_from
from broker.evidence.export_control import Control
from broker.evidence.export_lines import (
    PLACE,
    BadLine,
    Lines,
    delivery_differs,
    index_in,
    place_of,
    read_proof,
)
from broker.evidence.notices import Claims, tells_of_notices
from broker.evidence.reading import LogFiles
from broker.evidence.verified import Enough, Verified
from broker.evidence.verifying import LogCheck, Progress, verify_log
from broker.recording import read_decision
from broker.routing import DECISIONS
from schemas.batch_proofs import BatchProof
from schemas.catalogue import shipped
from schemas.notes import BadNote, NoteKey
from schemas.tiles import WIDTH

_TOGETHER: Final = 4096
"""Records that are decided again together."""


def is_export(path: Path) -> bool:
    """Whether a folder is an export, or what is left of one, and not a log alone."""
    return any((path / name).exists() for name in (files.EXPORT, *files.OWN))


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
        self._control = Control()
        self._claims = Claims(LogFiles(path))
        self._again: DecidingAgain | None = None
        self._whole: set[str] = set()
        self._waiting: list[Unchecked] = []
        self._shredded = 0
        self._shredded_until_ms = 0  # deliveries of shredded records came before

    def run(self, witnesses: tuple[NoteKey, ...], progress: Progress | None) -> None:
        """Take every step. Raises `Enough`."""
        self._look_at_files()
        self._events, self._deliveries = map(self._lines, (files.EVENTS, files.DELIVERIES))
        self._control = Control.read(
            self._path, self._lines(files.CONTROL), self._log.name, self.result
        )
        self.result.counts["control"] = len(self._control.documents)
        self.result.counts["control_signed"] = self._control.signed
        if self._control.key is not None:
            self._again = DecidingAgain(self._control.documents, shipped(), self._control.key)
        self._check.run(witnesses, progress)
        if self._manifest is not None and self._manifest.size != self.result.records:
            self._find("not-latest", "the export is of another size than its last checkpoint")
        self._decide()
        self._unfounded(self._claims.check())
        self._rest_of_events()
        self._rest_of_deliveries()
        self._rest_of_control()

    # -- step 8 --------------------------------------------------------------------------

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

    def _lines(self, name: str) -> Lines:
        return Lines(self._path / name, is_whole=name in self._whole)

    # -- step 10 to 14 ------------------------------------------------------------------

    def _take(self, index: int, kept: Kept) -> None:
        try:
            record = record_from(kept.content, topic=DECISIONS, partition=0, offset=kept.offset)
            entry = read_entry(record.value or b"")
        except Exception:  # noqa: BLE001  whatever is made of bytes that are no record
            self._find("not-a-record", "it is neither a decision record nor an act", index)
            return
        if sum(self.result.shredded.values()) != self._shredded:
            # The first that is there after some that are not; an act always follows them.
            self._shredded = sum(self.result.shredded.values())
            self._shredded_until_ms = max(self._shredded_until_ms, record.timestamp_ms)
        if isinstance(entry, Act):
            self._act(entry, index)
            return
        proof = self._event_of(entry, index)
        for place, candidate in enumerate(entry["candidates"]):
            if candidate["outcome"] == "permit":
                self._delivery_of(entry, candidate, index, place)
        if tells_of_notices(entry):
            self._unfounded(self._claims.add(index, entry))
        self._waiting.append(Unchecked(index, entry, proof))
        if len(self._waiting) >= _TOGETHER:
            self._decide()

    def _act(self, act: Act, index: int) -> None:
        self.result.counts["acts"] += 1
        if act.kind is not ActKind.CONTROL:
            return
        if not self._control.record(act.about, act.digest):
            message = f"the document {act.about} that it put on control is not there as it was"
            self._find("missing-document", message, index)

    def _event_of(self, decision: Mapping[str, Any], index: int) -> BatchProof | None:
        """Step 11, but for the signature."""
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
        if [line.get(name) for name in PLACE] != [decision[name] for name in PLACE]:
            self._find("altered-event", "its event lies in another place than it says", index)
        try:
            return read_proof(line)
        except BadLine as error:
            self._find("altered-event", f"{files.EVENTS}: {error}", index)
            return None

    def _delivery_of(
        self, decision: Mapping[str, Any], candidate: Mapping[str, Any], index: int, place: int
    ) -> None:
        """Step 12, for one permit."""
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
            differs = delivery_differs(line, decision, candidate)
            if differs:
                message = f"the delivery to {who} is not what the record says: {differs}"
                self._find("altered-delivery", message, index)

    def _decide(self) -> None:
        if self._again is not None:
            for index, (code, message) in self._again.check(self._waiting):
                self._find(code, message, index)
            self.result.counts["decided_again"] += len(self._waiting)
        self._waiting.clear()

    def _unfounded(self, found: Iterable[tuple[int, str]]) -> None:
        for index, message in found:
            self._find("decided-otherwise", message, index)

    def _rest_of_events(self) -> None:
        named = {problem.record for problem in self.result.problems}
        for line in self._events.rest():
            entry = index_in(line, self.result.records)
            if entry is not None and entry in named:
                continue  # what is wrong with its record is told
            message = f"{files.EVENTS} has a line that belongs to no record in its place"
            self._find("inserted-event", message, entry)

    def _rest_of_deliveries(self) -> None:
        named = {problem.record for problem in self.result.problems}
        for line in self._deliveries.rest():
            entry = index_in(line, self.result.records)
            if entry is not None and entry in named:
                continue
            if entry is None and line is not None:
                # The same sealed bytes open for nobody but whom they were permitted for.
                if self._is_copy(line):
                    self.result.counts["deliveries_copied"] += 1
                    continue
                if self._is_of_shredded(line):
                    self.result.counts["deliveries_of_shredded"] += 1
                    continue
            place = "" if line is None else f" at {place_of(line)}"
            message = f"a delivery{place} has no decision that permits it"
            self._find("delivery-without-decision", message, entry)

    def _rest_of_control(self) -> None:
        """Step 10, the other way; what does not count on control needs no act."""
        if self._again is None or self.result.left_out:
            return
        unused = self._again.unused()
        keys = {offset: key for offset, key, _ in self._control.documents}
        for offset in self._control.unrecorded():
            if keys[offset] not in unused:
                message = f"{files.CONTROL} has a document at offset {offset} that no act put there"
                self._find("unrecorded-document", message)

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
        return self._shredded > 0 and type(at_ms) is int and at_ms <= self._shredded_until_ms

    def _find(self, code: str, message: str, record: int | None = None) -> None:
        if record is not None:
            message = f"record {record}: {message}"
        self.result.find(code, message, record)

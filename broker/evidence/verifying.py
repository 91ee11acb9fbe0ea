"""Check a log from its files and public keys alone.

1. Every checkpoint of the history is signed by the log, and they grow.
2. The latest is the last of the history, and bears the witnesses' cosignatures asked for.
3. Every record makes its entry: SHA-256 of prefix, salt and content. One that was
   shredded says under which rule.
4. Every entry makes its leaf hash in the tiles, and every tile is made of those below.
5. At every checkpoint's size the tree has the root that was signed. This is more than
   consistency between checkpoints: each is made again from the entries.
6. The offsets of the records grow, so none stands twice or in another's place.

Nothing here reads a key that is secret, a stream or a clock. A finding names the entry.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

from broker.evidence.entries import BadEntry, Kept
from broker.evidence.reading import LogFiles, record_places
from schemas.checkpoints import Checkpoint
from schemas.merkle import HASH_BYTES, leaf_hash
from schemas.notes import BadNote, NoteKey
from schemas.tiles import ENTRIES, WIDTH, BadTile, Edge, TileName, unpack_entries

MOST_FINDINGS: Final = 1000

Progress = Callable[[int, int], None]
"""Called with how many entries were checked, and how many there are."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it was signed. ``index`` is the entry's, where it is one's."""

    code: str
    text: str
    index: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it for a machine."""
        return {"code": self.code, "entry": self.index, "text": self.text}


@dataclass(slots=True)
class Verified:
    """What came of it: the log verifies when there is no finding."""

    size: int = 0
    checkpoints: int = 0
    witnesses: tuple[str, ...] = ()
    shredded: dict[str, int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    @property
    def is_verified(self) -> bool:
        """Whether everything is as it was signed."""
        return not self.findings

    def to_json(self) -> dict[str, Any]:
        """Return it for a machine."""
        return {
            "verified": self.is_verified,
            "entries": self.size,
            "checkpoints": self.checkpoints,
            "witnesses": list(self.witnesses),
            "shredded": self.shredded,
            "findings": [finding.to_json() for finding in self.findings],
        }


def verify_log(
    files: LogFiles,
    log: NoteKey,
    *,
    witnesses: Iterable[NoteKey] = (),
    progress: Progress | None = None,
) -> Verified:
    """Check a whole log; the findings are in order, `MOST_FINDINGS` of them at most."""
    check = _Check(files, log)
    try:
        check.history()
        check.latest(tuple(witnesses))
        check.entries(progress)
    except _Enough:
        pass
    return check.result


class _Enough(Exception):
    """There is nothing more to learn."""


class _Check:
    """One run over a log, from its checkpoints to its last entry."""

    def __init__(self, files: LogFiles, log: NoteKey) -> None:
        self.result = Verified()
        self._files = files
        self._log = log
        self._signed: dict[int, bytes] = {}  # the root at each size
        self._last_offset = -1

    def history(self) -> None:
        """Step 1."""
        notes, last = self._files.history(), 0
        while True:
            place = f"checkpoint {len(self._signed) + 1} of the history"
            try:
                note = next(notes, None)
                if note is None:
                    break
                found = Checkpoint.trusted(note, self._log)
            except (BadNote, BadTile) as error:
                self._find("bad-checkpoint", f"{place}: {error}")
                break
            if found.size <= last:
                self._find("not-growing", f"{place} is not larger than the one before")
            last = found.size
            self._signed[found.size] = found.root
        self.result.checkpoints, self.result.size = len(self._signed), last

    def latest(self, witnesses: tuple[NoteKey, ...]) -> None:
        """Step 2."""
        try:
            latest = self._files.latest(self._log)
        except BadNote as error:
            self._find("bad-checkpoint", f"the latest checkpoint: {error}")
            return
        if latest is None:
            if self._signed:
                self._find("no-checkpoint", "there is a history and no latest checkpoint")
            return
        found, note = latest
        if found.size != self.result.size or self._signed.get(found.size) != found.root:
            self._find("not-latest", "the latest checkpoint is not the last of the history")
        try:
            signed = {key for key, _ in note.verified((self._log, *witnesses))}
        except BadNote as error:
            self._find("bad-cosignature", f"the latest checkpoint: {error}")
            return
        self.result.witnesses = tuple(key.name for key in witnesses if key in signed)
        for key in witnesses:
            if key not in signed:
                self._find(
                    "not-cosigned", f"the latest checkpoint bears no cosignature of {key.name}"
                )

    def entries(self, progress: Progress | None) -> None:
        """Step 3 to 6, a bundle of entries at a time."""
        edge, size = Edge(), self.result.size
        for start in range(0, size, WIDTH):
            width = min(WIDTH, size - start)
            entries = self._bundle(start // WIDTH, width)
            kept = self._records(start // WIDTH, width)
            for index, (entry, record) in enumerate(zip(entries, kept, strict=True), start):
                self._check_record(record, entry, index)
                for name, data in edge.append(leaf_hash(entry)):
                    self._check_tile(name, data)
                root = self._signed.get(edge.size)
                if root is not None and root != edge.root():
                    self._find(
                        "wrong-root",
                        f"the first {edge.size} entries do not have the root that was signed",
                        index,
                    )
            if progress is not None:
                progress(edge.size, size)
        for name, data in edge.partial_tiles():
            self._check_tile(name, data)

    def _bundle(self, number: int, width: int) -> list[bytes]:
        name = TileName(ENTRIES, number, width)
        data = self._files.tile(name)
        if data is None and width < WIDTH:  # it may be full by now, and the partial one gone
            data = self._files.tile(TileName(ENTRIES, number))
        try:
            entries = unpack_entries(data or b"")[:width]
        except BadTile:
            entries = []
        if len(entries) != width:
            self._find(
                "missing-entries", f"expected {width} entries in {name.path}", number * WIDTH
            )
            raise _Enough
        return entries

    def _records(self, number: int, width: int) -> list[Kept | None]:
        """Return what is kept beside each entry; what cannot be read is a finding and None."""
        data, first = self._files.records_bytes(number), number * WIDTH
        kept: list[Kept | None] = []
        end = 0
        for index, (start, end) in enumerate(islice(record_places(data), width), first):
            try:
                kept.append(Kept.from_bytes(data[start:end]))
            except BadEntry:
                self._find("altered-record", f"the record of entry {index} cannot be read", index)
                kept.append(None)
        path = self._files.records_path(number).relative_to(self._files.path)
        if len(kept) < width:
            index = first + len(kept)
            self._find("missing-record", f"{path} has no record beside entry {index}", index)
        elif width == WIDTH and end != len(data):
            index = first + width
            self._find("inserted-record", f"{path} has more than the records of its entries", index)
        return kept + [None] * (width - len(kept))

    def _check_record(self, kept: Kept | None, entry: bytes, index: int) -> None:
        if kept is None:
            return
        if kept.offset <= self._last_offset:
            self._find("out-of-order", f"entry {index} does not come after the one before", index)
        self._last_offset = kept.offset
        if kept.is_shredded:
            rule = kept.shredded_under
            self.result.shredded[rule] = self.result.shredded.get(rule, 0) + 1
        elif kept.commitment != entry:
            self._find(
                "altered-record", f"the record of entry {index} is not what was signed", index
            )

    def _check_tile(self, name: TileName, data: bytes) -> None:
        found = self._files.tile(name)
        if found is None and name.width < WIDTH:
            found = (self._files.tile(TileName(name.level, name.number)) or b"")[: len(data)]
        if found == data:
            return
        index = None
        if name.level == 0:
            hashes = zip(_hashes(data), _hashes((found or b"").ljust(len(data))), strict=False)
            parted = next((at for at, (one, other) in enumerate(hashes) if one != other), 0)
            index = name.number * WIDTH + parted
        self._find("altered-tile", f"{name.path} is not made of the entries below it", index)

    def _find(self, code: str, text: str, index: int | None = None) -> None:
        self.result.findings.append(Finding(code, text, index))
        if len(self.result.findings) >= MOST_FINDINGS:
            raise _Enough


def _hashes(data: bytes) -> list[bytes]:
    return [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]

"""Check a log from its files and public keys alone.

1. Every checkpoint of the history is signed by the log, and they grow.
2. The latest is the last of the history. What witnesses have cosigned is of the history, and
   the witnesses that are asked for have cosigned some of it: how far is told.
3. Every record makes its entry: SHA-256 of prefix, salt and content. One that was
   shredded says under which rule.
4. Every entry makes its leaf hash in the tiles, and every tile is made of those below.
5. At every checkpoint's size the tree has the root that was signed. This is more than
   consistency between checkpoints: each is made again from the entries.
6. The offsets of the records grow, so none stands twice or in another's place.
7. Of a record that was shredded an act in the log says so, by that rule, and over that
   commitment. An export without some of the records may be without the act: not then.

Nothing here reads a key that is secret, a stream or a clock. A problem names the record.
What an export has beside the log is checked by `broker.evidence.offline`.
"""

import contextlib
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from itertools import islice

from broker.evidence.entries import BadEntry, Kept
from broker.evidence.reading import LogFiles, record_places
from broker.evidence.shredding_acts import Shreddings
from broker.evidence.verified import Enough, Verified
from schemas.checkpoints import Checkpoint
from schemas.errors import EvidenceError
from schemas.merkle import HASH_BYTES, leaf_hash
from schemas.notes import BadNote, Note, NoteKey
from schemas.tiles import ENTRIES, WIDTH, BadTile, Edge, TileName, unpack_entries

Progress = Callable[[int, int], None]
"""Called with how many entries were checked, and how many there are."""

TakeRecord = Callable[[int, Kept], None]
"""Called with the index of each record that is what was signed, and the record."""


def verify_log(
    files: LogFiles,
    log: NoteKey,
    *,
    witnesses: Iterable[NoteKey] = (),
    progress: Progress | None = None,
) -> Verified:
    """Check a whole log; the problems are in order, ``MOST_PROBLEMS`` of them at most."""
    check = LogCheck(files, log)
    with contextlib.suppress(Enough):
        check.run(tuple(witnesses), progress)
    return check.result


class LogCheck:
    """One run over a log, from its checkpoints to its last entry.

    An export may have ``left_out`` the records of stretches of entries (first and last),
    and must have nothing beyond the last checkpoint: ``is_export``.
    """

    def __init__(
        self,
        files: LogFiles,
        log: NoteKey,
        *,
        left_out: Sequence[tuple[int, int]] = (),
        is_export: bool = False,
        take: TakeRecord | None = None,
    ) -> None:
        self.result = Verified()
        self._files = files
        self._log = log
        self._left_out = sorted(left_out)
        self._is_export = is_export
        self._take = take
        self._signed: dict[int, bytes] = {}  # the root at each size
        self._last_offset = -1
        self._shreddings = Shreddings()
        self._told_missing = 0  # up to which entry
        self._told_archives: set[str] = set()

    def run(self, witnesses: tuple[NoteKey, ...], progress: Progress | None) -> None:
        """Take every step. Raises `Enough`."""
        self.history()
        self.latest(witnesses)
        self.entries(progress)
        self.shreddings()

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
                self.result.find("bad-checkpoint", f"{place}: {error}")
                break
            if found.size <= last:
                self.result.find("not-growing", f"{place} is not larger than the one before")
            last = found.size
            self._signed[found.size] = found.root
        self.result.checkpoints, self.result.records = len(self._signed), last

    def latest(self, witnesses: tuple[NoteKey, ...]) -> None:
        """Step 2."""
        try:
            latest = self._files.latest(self._log)
        except BadNote as error:
            self.result.find("bad-checkpoint", f"the latest checkpoint: {error}")
            return
        if latest is None:
            if self._signed:
                self.result.find("no-checkpoint", "there is a history and no latest checkpoint")
            return
        found, note = latest
        if found.size != self.result.records or self._signed.get(found.size) != found.root:
            self.result.find("not-latest", "the latest checkpoint is not the last of the history")
        try:
            for cosigned in (*self._files.cosigned(), note):
                self._cosigned(cosigned, witnesses)
        except (BadNote, BadTile) as error:
            self.result.find("bad-cosignature", f"a checkpoint that was cosigned: {error}")
        for key in witnesses:
            if key.name not in self.result.witnesses:
                self.result.find("not-cosigned", f"no checkpoint has a cosignature of {key.name}")

    def _cosigned(self, note: Note, witnesses: tuple[NoteKey, ...]) -> None:
        found, covered = Checkpoint.trusted(note, self._log), self.result.witnesses
        if self._signed.get(found.size) != found.root:
            self.result.find(
                "split-view",
                f"the log has signed, and showed to witnesses, a tree of {found.size} entries that"
                " is not of its history",
            )
            return
        for key, _ in note.verified((self._log, *witnesses)):
            if key in witnesses:
                covered[key.name] = max(found.size, covered.get(key.name, 0))

    def entries(self, progress: Progress | None) -> None:
        """Step 3 to 6, a bundle of entries at a time."""
        edge, size = Edge(), self.result.records
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
                    self.result.find(
                        "wrong-root",
                        f"the first {edge.size} entries do not have the root that was signed",
                        index,
                    )
            if progress is not None:
                progress(edge.size, size)
        for name, data in edge.partial_tiles():
            self._check_tile(name, data)

    def shreddings(self) -> None:
        """Step 7."""
        for code, message, index in self._shreddings.problems(self._files.entries):
            self.result.find(code, message, index)

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
            self.result.find(
                "missing-entries", f"expected {width} entries in {name.path}", number * WIDTH
            )
            raise Enough
        return entries

    def _records(self, number: int, width: int) -> list[Kept | None]:
        """Return what is kept beside each entry; what cannot be read is a problem and None."""
        first = number * WIDTH
        try:
            data = self._files.records_bytes(number)
        except EvidenceError as error:
            if str(error) not in self._told_archives:
                self.result.find("altered-archive", str(error), first)
            self._told_archives.add(str(error))
            return [None] * width
        if not data and all(map(self._is_left_out, range(first, first + width))):
            self.result.left_out += width
            return [None] * width
        if self._files.state(number) is None:
            self._missing(number, first)
            return [None] * width
        kept: list[Kept | None] = []
        end = 0
        for index, (start, end) in enumerate(islice(record_places(data), width), first):
            try:
                kept.append(Kept.from_bytes(data[start:end]))
            except BadEntry:
                self._altered("cannot be read", index)
                kept.append(None)
        path = self._files.records_path(number).relative_to(self._files.path)
        if len(kept) < width:
            index = first + len(kept)
            self.result.find("missing-record", f"{path} has no record beside entry {index}", index)
        elif (width == WIDTH or self._is_export) and end != len(data):
            index = first + width
            self.result.find(
                "inserted-record", f"{path} has more than the records of its entries", index
            )
        return kept + [None] * (width - len(kept))

    def _missing(self, number: int, first: int) -> None:
        """Tell of the records of whole bundles that are not here, a stretch of them at once."""
        if first < self._told_missing:
            return
        size = last = self.result.records
        for after in range(number + 1, -(-size // WIDTH)):
            is_left_out = all(map(self._is_left_out, range(after * WIDTH, (after + 1) * WIDTH)))
            if is_left_out or self._files.state(after) is not None:
                last = after * WIDTH
                break
        self._told_missing = last
        self.result.find(
            "missing-record",
            f"the records of the entries {first} to {last - 1}, of {self._files.place(number)} and"
            " what follows, are neither there nor in an archive",
            first,
        )

    def _altered(self, how: str, index: int) -> None:
        place = self._files.place(index // WIDTH)
        message = f"the record of entry {index} {how} (it lies in {place})"
        self.result.find("altered-record", message, index)

    def _check_record(self, kept: Kept | None, entry: bytes, index: int) -> None:
        if kept is None:
            return
        if kept.is_left_out != self._is_left_out(index):
            code = "missing-record" if kept.is_left_out else "inserted-record"
            word = "is left out, and" if kept.is_left_out else "is there, and should"
            self.result.find(code, f"the record of entry {index} {word} not be", index)
            return
        if kept.offset <= self._last_offset:
            self.result.find(
                "out-of-order", f"entry {index} does not come after the one before", index
            )
        self._last_offset = kept.offset
        if kept.is_left_out:
            self.result.left_out += 1
        elif kept.is_shredded:
            rule = kept.shredded_under
            self.result.shredded[rule] = self.result.shredded.get(rule, 0) + 1
            self._shreddings.see_shredded(index, rule)
        elif kept.commitment != entry:
            self._altered("is not what was signed", index)
        else:
            self._shreddings.see_record(index, kept)
            if self._take is not None:
                self._take(index, kept)

    def _is_left_out(self, index: int) -> bool:
        place = bisect_right(self._left_out, (index, self.result.records))
        return place > 0 and self._left_out[place - 1][1] >= index

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
        self.result.find("altered-tile", f"{name.path} is not made of the entries below it", index)


def _hashes(data: bytes) -> list[bytes]:
    return [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]

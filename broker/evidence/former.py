"""Former logs, which lie beside a log that was made again and have what they had then.

    evidence.former-1       what `broker.evidence.rebuilding` has put another in place of
    evidence.rebuilding     what is left of one that did not come to its end

Shredding does not reach them, so they keep records that had to go. Whoever made the log
again wanted to look at them first, so they go by a command, and that is recorded.
"""

import shutil
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, ClassVar

from broker.evidence.archives import FOLDER
from broker.evidence.reading import LogFiles
from broker.evidence.verifying import verify_log
from schemas.errors import EvidenceError
from schemas.notes import NoteKey


class FormerNeeded(EvidenceError):
    """The log is not whole, so a former one may have what it lacks."""

    code: ClassVar[str] = "former-needed"


@dataclass(frozen=True, slots=True)
class Former:
    """A former log, and how many records it has that were shredded in the log since.

    None when it cannot be read.
    """

    path: Path
    shredded_since: int | None

    @property
    def in_words(self) -> str:
        """How many records it keeps that should be gone."""
        number = self.shredded_since
        return "nobody knows how many" if number is None else str(number)

    def to_json(self) -> dict[str, Any]:
        """Return it for a machine."""
        return {"folder": str(self.path), "shredded_since": self.shredded_since}


def former_logs(log: Path) -> list[Former]:
    """Return the former logs beside a log.

    Only what is of another size in the two is read: shredding leaves no bundle as long as it was.
    """
    places = [*log.parent.glob(f"{log.name}.former-*"), log.with_name(f"{log.name}.rebuilding")]
    return [Former(path, _shredded_since(log, path)) for path in sorted(places) if path.is_dir()]


def see_log_whole(log: Path, key: NoteKey) -> None:
    """See that a log has everything itself, so that nobody needs a former one.

    Raises:
        FormerNeeded: it does not verify.

    """
    problems = verify_log(LogFiles(log), key).problems
    if problems:
        raise FormerNeeded(
            f"the log in {log} does not verify, so no former one is removed, which may have what"
            f" is missing: {problems[0].message}"
        )


def remove_former(log: Path, former: Former) -> None:
    """Remove a former log and its archives, where those are not the log's as well."""
    archives = LogFiles(former.path).archives
    if archives.path.is_symlink() and archives.path.resolve() != (log / FOLDER).resolve():
        for archive in archives.names():
            archive.unlink()
    shutil.rmtree(former.path)


def _shredded_since(log: Path, former: Path) -> int | None:
    now, then = LogFiles(log), LogFiles(former)
    found = 0
    try:
        for number in count():
            length = then.length(number)
            if length is None:
                break
            if length != now.length(number):
                pairs = zip(now.records(number), then.records(number), strict=False)
                found += sum(one.is_shredded and not other.is_shredded for one, other in pairs)
    except EvidenceError:
        return None
    return found

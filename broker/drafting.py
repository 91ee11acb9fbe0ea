"""Drafts of agreements: texts that officers work on together before they are put on record.

A draft lies in the store alone and is no rule for anybody. It is kept as it was
written, comments and all. Whoever saves says which revision was changed; when another
officer has saved since, that is a conflict, and nothing is lost. So that nobody has to
remember a number, a text that is opened begins with a line that holds it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from agreements.problems import AgreementInvalid, Problem
from agreements.source import read_source
from broker.register import NotThere
from broker.storage import MAX_VERSION, Document, Store

KIND: Final = "draft"

_LINE: Final = re.compile(r"\A# Draft, revision (\d{1,9})(?: [^\n]*)?\n")


@dataclass(frozen=True, slots=True)
class Draft:
    """One revision of a draft, as it was written."""

    agreement: str
    version: int
    revision: int
    text: str
    changed_by: str
    changed_at: str

    def to_text(self) -> str:
        """Return the text with the line that tells which revision it is."""
        who = f"by {self.changed_by} at {self.changed_at}"
        return f"# Draft, revision {self.revision} {who}; saving it looks at this line\n{self.text}"

    def to_json(self) -> dict[str, Any]:
        """Return it for a reader, without the text."""
        return {
            "agreement": self.agreement,
            "version": self.version,
            "revision": self.revision,
            "changed_by": self.changed_by,
            "changed_at": self.changed_at,
        }


def save_draft(
    store: Store, raw: bytes, *, name: str, by: str, revision: int | None = None
) -> Draft:
    """Save a draft as the next revision.

    ``revision`` is the one that was changed, 0 for a new draft; without it the first line
    of the text says so, and a text without that line is a new draft.

    Raises:
        AgreementInvalid: it is not YAML, or has no id or version.
        Conflict: another officer has saved it since; the error says who and when.

    """
    data = read_source(raw, name=name).data
    text = raw.decode("utf-8")
    line = _LINE.match(text)
    if line is not None:
        revision = int(line[1]) if revision is None else revision
        text = text[line.end() :]
    agreement, version = _named(data, name)
    with store.transaction(by=by) as transaction:
        transaction.put(KIND, agreement, version, {"text": text}, expected_revision=revision or 0)
    return open_draft(store, agreement, version)


def open_draft(store: Store, agreement: str, version: int | None = None) -> Draft:
    """Return the latest revision of a draft; without a version of the latest one.

    Raises:
        NotThere: there is none.

    """
    found = [one for one in store.list(KIND, agreement) if version in (None, one.version)]
    if not found:
        raise NotThere(f"there is no draft of {agreement}: see `concordat agreement drafts`")
    return _draft(found[-1])


def drafts(store: Store) -> Sequence[Draft]:
    """Return every draft in its latest revision, by id and version."""
    return [_draft(one) for one in store.list(KIND)]


def history(store: Store, agreement: str, version: int) -> Sequence[Draft]:
    """Return every revision of a draft, the first one first.

    Raises:
        NotThere: there is none.

    """
    found = [_draft(one) for one in store.history(KIND, agreement, version)]
    if not found:
        raise NotThere(f"there is no draft of {agreement} version {version}")
    return found


def _draft(document: Document) -> Draft:
    return Draft(
        document.id,
        document.version,
        document.revision,
        str(document.body["text"]),
        document.changed_by,
        document.changed_at.isoformat(timespec="seconds"),
    )


def _named(data: dict[str, Any], name: str) -> tuple[str, int]:
    """Return id and version; a draft may lack everything else still."""
    agreement, version = data.get("id"), data.get("version")
    problems = []
    if not isinstance(agreement, str) or not agreement.startswith("https://"):
        problems.append(_problem("id", "an https address", "write `id: https://…`"))
    if type(version) is not int or not 1 <= version <= MAX_VERSION:
        problems.append(_problem("version", "a whole number from 1", "write `version: 1`"))
    if problems:
        raise AgreementInvalid(name, problems)
    return str(agreement), int(str(version))


def _problem(path: str, expected: str, remedy: str) -> Problem:
    return Problem("not-a-draft", "error", 1, 1, path, f"expected {expected}", remedy)

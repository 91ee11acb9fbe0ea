"""The rules as they were whenever something was decided, from the documents of `control`."""

from collections.abc import Sequence

from agreements.rules import Compiler, Rules
from schemas.catalogue import Catalogue
from schemas.keys import VerifyingKey

Document = tuple[int, bytes | None, bytes | None]
"""Offset on `control`, key and value; what lacks one of them changes nothing."""


class RulesThen:
    """The rules as they were when `control` had come to a position."""

    def __init__(
        self, documents: Sequence[Document], catalogue: Catalogue, scheme_key: VerifyingKey
    ) -> None:
        self._documents = documents
        self._offsets = frozenset(offset for offset, _, _ in documents)
        self._catalogue = catalogue
        self._scheme_key = scheme_key
        self._next = self._from = 0
        self._rules: Rules | None = None
        self._compiler = self._empty()

    def at(self, position: int) -> Rules:
        """Return them; it costs little to go on, and much to go back."""
        if position < self._from:
            self._next, self._rules, self._compiler = 0, None, self._empty()
        documents, first = self._documents, self._next
        while self._next < len(documents) and documents[self._next][0] < position:
            _, key, value = documents[self._next]
            # One after another: several may go by one key, and each must be seen.
            if key is not None and value is not None:
                self._compiler.apply({key: value})
            self._next += 1
        if self._next > first or self._rules is None:
            self._rules = self._compiler.rules()
        self._from = documents[self._next - 1][0] + 1 if self._next else 0
        return self._rules

    def has_ended_at(self, position: int) -> bool:
        """Whether a router can have known `control` up to this position and no further."""
        return position == 0 or position - 1 in self._offsets

    def _empty(self) -> Compiler:
        return Compiler(
            self._catalogue,
            scheme_key=self._scheme_key,
            # No outcome and no schema of a view depends on it (`agreements.unseen`).
            pseudonym_key=lambda _recipient: bytes(32),
        )

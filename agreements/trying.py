"""Try a draft: its candidates as though every party had signed it and it were in force.

Signatures, dates and later versions are left out of account: a draft has none of them
yet. Everything else is as the rules have it at the moment that is asked about: which
parties take part, which purposes they hold, who has objected, and what the law asks of
the text. What stands in the way for good is told beside the candidate (`Tried.obstacles`),
and a second candidate shows what the flow would do once that is mended.

The candidates come from the compiler that a router's come from, so a draft is never
judged by other code than the agreement that is made of it.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from agreements.candidates import NEVER_US, Candidate
from agreements.canonical import canonical_form
from agreements.checking import ALL_TESTS, Refusal, with_open_tests
from agreements.model import Agreement
from agreements.rules import Compiler, ControlDocuments, Rules
from agreements.signed import BEFORE_ALL_US
from schemas.catalogue import Catalogue
from schemas.control import Kind, document_key, parse_document_key
from schemas.errors import RejectedInput
from schemas.keys import VerifyingKey

_WHAT_MATTERS: Final = frozenset({Kind.PARTY, Kind.OBJECTION})


class Obstacle(NamedTuple):
    """What keeps a flow from permitting anything, whatever the event.

    ``detail`` names the purpose, the parties, the assurances or the faults of the legal bases.
    """

    reason: Refusal
    detail: str


@dataclass(frozen=True, slots=True)
class Tried:
    """A flow of the draft to one recipient; ``mended`` only where there are obstacles."""

    candidate: Candidate
    obstacles: tuple[Obstacle, ...] = ()
    mended: Candidate | None = None


def bears_on_a_draft(key: bytes) -> bool:
    """Whether a control document has a part in what a draft would do.

    Other agreements and all signatures have none: who reads ``control`` can leave them out.
    """
    try:
        return parse_document_key(key).kind in _WHAT_MATTERS
    except RejectedInput:
        return False


class Trial:
    """A draft among the parties and objections of a moment."""

    def __init__(
        self,
        draft: Agreement,
        catalogue: Catalogue,
        *,
        scheme_key: VerifyingKey,
        pseudonym_key: Callable[[str], bytes],
    ) -> None:
        self.draft: Final = draft
        self._compiler = Compiler(catalogue, scheme_key=scheme_key, pseudonym_key=pseudonym_key)
        key = document_key(Kind.AGREEMENT, draft.id, draft.version)
        self._compiler.apply({key: canonical_form(draft)})
        self._rules: Rules | None = None
        self._found: dict[tuple[str, str], tuple[Tried, ...]] = {}

    def apply(self, documents: ControlDocuments) -> None:
        """Take in what has been said of parties and by subjects; the rest is passed over."""
        self._compiler.apply({k: v for k, v in documents.items() if bears_on_a_draft(k)})
        self._rules = None
        self._found = {}

    @property
    def rules(self) -> Rules:
        """The rules with the draft, unsigned: for the parties' keys, not to decide by."""
        if self._rules is None:
            self._rules = self._compiler.rules()
        return self._rules

    def candidates(self, publisher: str, event_type: str) -> tuple[Tried, ...]:
        """Return the draft's flows that an event of this publisher and type goes through."""
        place = (publisher, event_type)
        if place not in self._found:
            found = self.rules.candidates(publisher, event_type)
            self._found[place] = tuple(_tried(candidate) for candidate in found)
        return self._found[place]


def _tried(candidate: Candidate) -> Tried:
    signed = with_open_tests(
        replace(
            candidate,
            signed_from_us=BEFORE_ALL_US,
            superseded_from_us=NEVER_US,
            starts_at_us=BEFORE_ALL_US,
            ends_at_us=NEVER_US,
            unsigned=(),
            revocations=(),
            revoked_from_us=NEVER_US,
            suspensions=(),
            tests=ALL_TESTS,
        )
    )
    obstacles = tuple(_obstacles(signed))
    if not obstacles:
        return Tried(signed)
    mended = replace(
        signed,
        inactive=(),
        assurances=(),
        incomplete=(),
        is_purpose_held=True,
        tests=ALL_TESTS,
    )
    return Tried(signed, obstacles, with_open_tests(mended))


def _obstacles(candidate: Candidate) -> list[Obstacle]:
    found = []
    if candidate.inactive:
        found.append(Obstacle(Refusal.PARTY_SUSPENDED, ",".join(candidate.inactive)))
    lacking = [kind for kind, held in candidate.assurances if not held]
    if lacking:
        found.append(Obstacle(Refusal.ASSURANCE_LAPSED, ",".join(lacking)))
    if candidate.incomplete:
        found.append(Obstacle(Refusal.LEGAL_BASIS_INCOMPLETE, ",".join(candidate.incomplete)))
    if not candidate.is_purpose_held:
        found.append(Obstacle(Refusal.PURPOSE_NOT_HELD, candidate.purpose))
    return found

"""Read what lies on the topic `control`, believe what is signed, forget nothing.

Keeps the control documents in the form that rules are compiled from, and which
agreements have changed since they were last asked for.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError

from agreements.candidates import NEVER_US, Objecting, Objections, to_us
from agreements.canonical import digest
from agreements.model import Agreement
from agreements.party_keys import KeyHistory
from agreements.signatures import SignatureType, Statement
from agreements.signed import Said, Version
from agreements.statements import Statements, Token
from schemas.control import DocumentKey, Kind, Objection, Party, open_document, parse_document_key
from schemas.errors import RejectedInput
from schemas.keys import VerifyingKey

_KEPT_TEXTS: Final = 4  # of one version that nobody accepted: intruders may write to the topic
_OF_THE_AGREEMENT: Final = (SignatureType.SUSPEND, SignatureType.RESUME)
"""What is about every version, whichever it names."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A control document that is not used, and why (a stable code)."""

    key: bytes
    code: str


class _Refused(Exception):
    """The document is not used; the argument is the code."""


class Documents:
    """The control documents read so far, in the order of the topic."""

    def __init__(self, scheme_key: VerifyingKey) -> None:
        self._scheme_key = scheme_key
        self._position = 0
        self._revisions: dict[str, dict[int, Party]] = {}
        self._keys: dict[str, KeyHistory] = {}
        self._texts: dict[str, dict[int, dict[str, Agreement]]] = {}
        self._statements = Statements(self._keys)
        self._seen: dict[bytes, bytes] = {}
        self._rejected: dict[bytes, str] = {}
        self._involving: dict[str, set[str]] = {}
        self._changed: set[str] = set()
        self.objections = Objections()
        self._versions: dict[str, list[Version]] = {}

    def put(self, key: bytes, value: bytes | None) -> None:
        """Take in one record. A tombstone, or what was read before, changes nothing."""
        if value is None or self._seen.get(key) == value:
            return
        self._seen[key] = value
        self._position += 1
        try:
            place = parse_document_key(key)
            reader = _READERS.get(place.kind)
            if reader is not None:
                reader(self, place, _json(value))
        except _Refused as refused:
            self._rejected[key] = str(refused)
        except RejectedInput as error:
            self._rejected[key] = error.code
        except (ValidationError, ValueError, KeyError, TypeError, RecursionError):
            self._rejected[key] = "bad-document"
        else:
            self._rejected.pop(key, None)

    def rejected(self) -> tuple[Rejected, ...]:
        """Return what is not used, by record key. Signatures are judged with their agreement."""
        return tuple(Rejected(key, code) for key, code in sorted(self._rejected.items()))

    def take_changed(self) -> set[str]:
        """Return the agreements that something changed for since the last call."""
        changed, self._changed = self._changed, set()
        return changed

    # -- parties ------------------------------------------------------------------

    def parties(self) -> Mapping[str, Party]:
        """Return the newest document of each party."""
        return {party: revisions[max(revisions)] for party, revisions in self._revisions.items()}

    def party(self, party: str) -> Party | None:
        """Return the newest document of a party; None when the scheme does not know it."""
        revisions = self._revisions.get(party)
        return revisions[max(revisions)] if revisions else None

    def may_take_part(self, party: str, role: str) -> bool:
        """Whether the scheme lets a party take part in a role at present."""
        found = self.party(party)
        return found is not None and found.state == "active" and role in found.roles

    def _read_party(self, place: DocumentKey, document: Mapping[str, Any]) -> None:
        party = Party.model_validate(open_document(document["jws"], self._scheme_key))
        if (party.id, party.revision) != (place.id, place.version):
            raise _Refused("misplaced")
        revisions = self._revisions.get(party.id, {})
        known = revisions.get(party.revision)
        # Should two texts go by one revision: only a higher one ends a suspension.
        counted = party if known is None or known.state == "active" else known
        newest = max((counted, *revisions.values()), key=lambda one: one.revision)
        history = self._keys.setdefault(party.id, KeyHistory())
        involved = self._involving.get(party.id, set())
        if history.learn(party, newest=newest, position=self._position):
            self._forget_versions(involved)
        self._revisions.setdefault(party.id, {})[party.revision] = counted
        self._changed |= involved

    # -- objections ---------------------------------------------------------------

    def _read_objection(self, place: DocumentKey, document: Mapping[str, Any]) -> None:
        read = Objection.model_validate(open_document(document["jws"], self._scheme_key))
        # A signed document under another's key would pass for a later word on it.
        if (read.id, read.revision) != (place.id, place.version):
            raise _Refused("misplaced")
        objecting = Objecting(
            kind=read.kind,
            starts_at_us=to_us(read.starts_at),
            until_us=NEVER_US if read.until is None else to_us(read.until),
            recipients=None if read.recipients is None else frozenset(read.recipients),
            purposes=None if read.purposes is None else frozenset(read.purposes),
        )
        self.objections.put(read.id, read.revision, bytes.fromhex(read.subject), objecting)

    # -- agreements and what was said of them -------------------------------------

    def _read_agreement(self, place: DocumentKey, document: Mapping[str, Any]) -> None:
        agreement = Agreement.model_validate(document)
        if (agreement.id, agreement.version) != (place.id, place.version):
            raise _Refused("misplaced")
        texts = self._texts.setdefault(agreement.id, {}).setdefault(agreement.version, {})
        texts[digest(agreement)] = agreement
        if len(texts) > _KEPT_TEXTS:
            # What a party accepted stays, or what it took the place of would come back.
            accepted = self._accepted_texts(agreement.id, agreement.version)
            unwanted = [sha256 for sha256 in texts if sha256 not in accepted]
            if len(unwanted) > _KEPT_TEXTS:
                del texts[unwanted[0]]
        self._involve(agreement.id, (party.id for party in agreement.parties))

    def _accepted_texts(self, agreement: str, number: int) -> set[str]:
        """Return the hashes that any party accepted: as many as are kept of what it says."""
        return {
            one.statement.sha256
            for one in self._statements.of(agreement).get(number, ())
            if one.statement.type is SignatureType.ACCEPT
        }

    def _read_signature(self, place: DocumentKey, document: Mapping[str, Any]) -> None:
        jws = document["jws"]
        if not isinstance(jws, str) or place.version is None or place.party is None:
            raise _Refused("bad-document")
        token = Token(place.party, SignatureType(str(place.type)), jws)
        if self._statements.add(place.id, place.version, token, self._position):
            self._involve(place.id, (place.party,))

    def _involve(self, agreement: str, parties: Iterable[str]) -> None:
        for party in parties:
            self._involving.setdefault(party, set()).add(agreement)
        self._changed.add(agreement)
        self._forget_versions((agreement,))

    def _forget_versions(self, agreements: Iterable[str]) -> None:
        for agreement in agreements:
            self._versions.pop(agreement, None)

    def agreements(self) -> tuple[str, ...]:
        """Return the addresses of the agreements that there is a text of."""
        return tuple(sorted(self._texts))

    def versions(self, agreement: str) -> list[Version]:
        """Return every text of an agreement that is there or was accepted, by version."""
        if agreement not in self._versions:
            said = self._statements.of(agreement)
            overall = [
                one
                for number in sorted(said)
                for one in said[number]
                if one.statement.type in _OF_THE_AGREEMENT
            ]
            texts = self._texts.get(agreement, {})
            self._versions[agreement] = [
                version
                for number in sorted(texts.keys() | said.keys())
                for version in _texts_of(
                    number, texts.get(number, {}), said.get(number, []), overall
                )
            ]
        return self._versions[agreement]


def _texts_of(
    number: int, texts: Mapping[str, Agreement], said: list[Said], overall: list[Said]
) -> Iterator[Version]:
    """Return each text that went by one number: those not on the topic, then the newest last.

    INVARIANT: which of them counts is for each pair to say, by what both accepted;
    so no other party can put a text in the place of theirs.
    """
    statements = [one.statement for one in said]
    accepted = dict.fromkeys(s.sha256 for s in statements if s.type is SignatureType.ACCEPT)
    # A revocation of any text under the number counts for each.
    about_all = [one for one in said if one.statement.type is SignatureType.REVOKE] + overall
    for sha256 in [sha256 for sha256 in accepted if sha256 not in texts] + list(texts):
        text = texts.get(sha256)
        about_one = (
            one
            for one in said
            if one.statement.sha256 == sha256
            and one.statement.type not in (SignatureType.REVOKE, *_OF_THE_AGREEMENT)
        )
        by_party: dict[str, list[Said]] = {}
        for one in (*about_one, *about_all):
            if text is None or _may_say(text, one.statement):
                by_party.setdefault(one.statement.party, []).append(one)
        said_of_it = {party: tuple(ones) for party, ones in by_party.items()}
        yield Version(number, text, sha256, said_of_it)


def _may_say(text: Agreement, statement: Statement) -> bool:
    """Whether it is for that party to say: each what concerns it, the facilitator assures."""
    if statement.type is SignatureType.ASSURE:
        return statement.party == text.facilitator
    if statement.type is SignatureType.CONSULT:
        return statement.party == text.owner
    return any(role.id == statement.party for role in text.parties)


def _json(value: bytes) -> Mapping[str, Any]:
    document = json.loads(value)
    if not isinstance(document, dict):
        raise _Refused("bad-document")
    return document


_READERS: Final = {
    Kind.PARTY: Documents._read_party,  # noqa: SLF001  this module's own
    Kind.OBJECTION: Documents._read_objection,  # noqa: SLF001  as above
    Kind.AGREEMENT: Documents._read_agreement,  # noqa: SLF001  as above
    Kind.SIGNATURE: Documents._read_signature,  # noqa: SLF001  as above
}

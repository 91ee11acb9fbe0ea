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
from agreements.signatures import SignatureType, Valid
from agreements.signed import Said, Version
from agreements.statements import Jwk, StatementChecker, Token
from schemas.control import DocumentKey, Kind, Objection, Party, open_document, parse_document_key
from schemas.errors import RejectedInput
from schemas.keys import BadKey, VerifyingKey

_KEPT_TOKENS: Final = 8  # of one party and statement: a topic can be written to by an intruder
_KEPT_TEXTS: Final = 4  # of one version, for the same reason


@dataclass(frozen=True, slots=True)
class Rejected:
    """A control document that is not used, and why (a stable code)."""

    key: bytes
    code: str


class _Refused(Exception):
    """The document is not used; the argument is the code."""


class Documents:
    """The control documents read so far."""

    def __init__(self, scheme_key: VerifyingKey) -> None:
        self._scheme_key = scheme_key
        self._revisions: dict[str, dict[int, Party]] = {}
        self._keys: dict[str, tuple[Jwk, ...]] = {}
        self._current: dict[str, frozenset[str]] = {}
        self._texts: dict[str, dict[int, dict[str, Agreement]]] = {}
        self._tokens: dict[str, dict[int, list[Token]]] = {}
        self._seen: dict[bytes, bytes] = {}
        self._rejected: dict[bytes, str] = {}
        self._involving: dict[str, set[str]] = {}
        self._changed: set[str] = set()
        self._checker = StatementChecker()
        self.objections = Objections()
        self._versions: dict[str, list[Version]] = {}

    def put(self, key: bytes, value: bytes | None) -> None:
        """Take in one record. A tombstone, or what was read before, changes nothing."""
        if value is None or self._seen.get(key) == value:
            return
        self._seen[key] = value
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
        try:
            current = frozenset(key.kid for key in party.verifying_keys())
        except BadKey as error:
            raise _Refused(error.code) from None
        revisions = self._revisions.setdefault(party.id, {})
        # Should two texts go by one revision: only a higher one ends a suspension.
        known = revisions.get(party.revision)
        if known is None or known.state == "active":
            revisions[party.revision] = party
        involved = self._involving.get(party.id, set())
        self._changed |= involved
        if party.revision == max(revisions) and current != self._current.get(party.id):
            self._current[party.id] = current
            self._forget_versions(involved)
        keys = dict.fromkeys(_frozen(key) for key in self._keys.get(party.id, ()))
        keys |= dict.fromkeys(_frozen(key) for key in party.signing_keys)
        if len(keys) != len(self._keys.get(party.id, ())):
            self._keys[party.id] = tuple(dict(key) for key in keys)
            self._forget_versions(involved)

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
        if len(texts) >= _KEPT_TEXTS:
            accepted = self._accepted_texts(agreement.id, agreement.version)
            unwanted = (sha256 for sha256 in texts if sha256 not in accepted)
            del texts[next(unwanted, next(iter(texts)))]
        texts[digest(agreement)] = agreement
        self._involve(agreement.id, (party.id for party in agreement.parties))

    def _accepted_texts(self, agreement: str, number: int) -> set[str]:
        """Return the hashes that any party accepted; the oldest of the others goes first."""
        tokens = self._tokens.get(agreement, {}).get(number, [])
        valid = (self._valid(agreement, number, token) for token in tokens)
        return {
            one.statement.sha256
            for one in valid
            if one is not None and one.statement.type is SignatureType.ACCEPT
        }

    def _read_signature(self, place: DocumentKey, document: Mapping[str, Any]) -> None:
        jws = document["jws"]
        if not isinstance(jws, str) or place.version is None or place.party is None:
            raise _Refused("bad-document")
        token = Token(place.party, SignatureType(str(place.type)), jws)
        tokens = self._tokens.setdefault(place.id, {}).setdefault(place.version, [])
        if token in tokens:
            return
        same = [t for t in tokens if (t.party, t.type) == (token.party, token.type)]
        if len(same) >= _KEPT_TOKENS:
            self._drop_one(place.id, place.version, tokens, same)
        tokens.append(token)
        self._involve(place.id, (place.party,))

    def _drop_one(
        self, agreement: str, version: int, tokens: list[Token], same: list[Token]
    ) -> None:
        """Make room by forgetting the oldest that does not verify, or else the oldest."""
        bad = (t for t in same if self._valid(agreement, version, t) is None)
        tokens.remove(next(bad, same[0]))

    def _involve(self, agreement: str, parties: Iterable[str]) -> None:
        for party in parties:
            self._involving.setdefault(party, set()).add(agreement)
        self._changed.add(agreement)
        self._forget_versions((agreement,))

    def _forget_versions(self, agreements: Iterable[str]) -> None:
        for agreement in agreements:
            self._versions.pop(agreement, None)

    def _valid(self, agreement: str, version: int, token: Token) -> Valid | None:
        return self._checker.check(agreement, version, token, self._keys.get(token.party, ()))

    def agreements(self) -> tuple[str, ...]:
        """Return the addresses of the agreements that there is a text of."""
        return tuple(sorted(self._texts))

    def versions(self, agreement: str) -> list[Version]:
        """Return every text of an agreement that is there or was accepted, by version."""
        if agreement not in self._versions:
            texts = self._texts.get(agreement, {})
            tokens = self._tokens.get(agreement, {})
            self._versions[agreement] = [
                version
                for number in sorted(texts.keys() | tokens.keys())
                for version in self._texts_of(
                    agreement, number, texts.get(number, {}), tokens.get(number, [])
                )
            ]
        return self._versions[agreement]

    def _texts_of(
        self, agreement: str, number: int, texts: Mapping[str, Agreement], tokens: list[Token]
    ) -> Iterator[Version]:
        """Return each text that went by one number: those not on the topic, then the newest last.

        INVARIANT: which of them counts is for each pair to say, by what both accepted;
        so no other party can put a text in the place of theirs.
        """
        said = [
            (token.party, valid.statement, valid.kid)
            for token in tokens
            if (valid := self._valid(agreement, number, token)) is not None
        ]
        accepted = dict.fromkeys(s.sha256 for _, s, _ in said if s.type is SignatureType.ACCEPT)
        for sha256 in [sha256 for sha256 in accepted if sha256 not in texts] + list(texts):
            text = texts.get(sha256)
            parties = None if text is None else {party.id for party in text.parties}
            by_party: dict[str, tuple[Said, ...]] = {}
            for party, statement, kid in said:
                is_about = statement.sha256 == sha256 or statement.type is SignatureType.REVOKE
                if is_about and (parties is None or party in parties):
                    is_current = kid in self._current.get(party, frozenset())
                    by_party[party] = (*by_party.get(party, ()), Said(statement, is_current))
            yield Version(number, text, sha256, by_party)


def _frozen(jwk: Jwk) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted(jwk.items()))


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

"""What was said of agreements is kept within bounds, and nothing that stops is ever lost."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from deciding_world import (
    COUNCIL,
    HEALTH,
    NOON,
    SIGNATORY,
    an_agreement,
    key_of,
    subject_of,
)

from agreements.candidates import NEVER_US, to_us
from agreements.party_keys import KeyHistory
from agreements.signatures import NEEDS_REASON, SignatureType, sign_statement
from agreements.signed import Version
from agreements.statements import Statements, Token
from schemas.control import Party
from schemas.keys import SigningKey

ID = an_agreement()["id"]
THIEF = SigningKey(b"\x66" * 32)


class Topic:
    """Statements as they come, with the keys of the council and the trust."""

    def __init__(self) -> None:
        self.keys = {party: KeyHistory() for party in (COUNCIL, HEALTH)}
        self.position = 0
        self.told: dict[str, int] = {}
        self.statements = Statements(self.keys)
        for party in self.keys:
            self.tell(party, 1)

    def tell(self, party: str, *keys: int) -> None:
        """Put a document of a party that has these keys."""
        self.position += 1
        self.told[party] = revision = self.told.get(party, 0) + 1
        jwks = tuple(key_of(party, number).public.to_jwk() for number in keys)
        told = Party(
            id=party, name=party, roles=("publisher",), signing_keys=jwks, revision=revision
        )
        self.keys[party].learn(told, newest=told, position=self.position)

    def put(self, token: Token, *, version: int = 1) -> bool:
        """Put a statement; return whether it was new."""
        self.position += 1
        return self.statements.add(ID, version, token, self.position)

    def version(self) -> Version:
        """Return the first version with all that counts."""
        said = self.statements.of(ID).get(1, [])
        parties = {one.statement.party for one in said}
        by_party = {
            party: tuple(one for one in said if one.statement.party == party) for party in parties
        }
        return Version(1, None, subject_of(an_agreement()).sha256, by_party)

    def kept(self, version: int = 1) -> list[Token]:
        """Return the tokens that are held."""
        return list(self.statements._tokens[ID][version])


def a_token(  # noqa: PLR0913  each is part of what is signed
    kind: str,
    number: int = 0,
    *,
    by: SigningKey | None = None,
    capacity: str = "SIRO",
    effective_at: datetime | None = None,
    lifts: str | None = None,
) -> Token:
    """Build a statement of the trust, made so many minutes before noon."""
    jws = sign_statement(
        subject_of(an_agreement()),
        (by or key_of(HEALTH)).to_private_jwk(),
        type=SignatureType(kind),
        party=HEALTH,
        signatory=SIGNATORY.model_copy(update={"capacity": capacity}),
        signed_at=NOON - timedelta(minutes=number),
        reason="A reason." if SignatureType(kind) in NEEDS_REASON else None,
        effective_at=effective_at,
        lifts=lifts,
        held=None if lifts is None else "release",
    )
    return Token(HEALTH, SignatureType(kind), jws)


@pytest.mark.parametrize("kind", SignatureType)
def test_of_what_does_not_verify_only_so_much_is_kept(kind: SignatureType) -> None:
    """Whoever may write to the topic cannot fill the memory, nor keep the true one out."""
    topic = Topic()
    lifts = "0" * 64 if kind is SignatureType.RESUME else None
    first, last = (a_token(kind, number, lifts=lifts) for number in (100, 101))
    topic.put(first)
    for number in range(30):
        topic.put(a_token(kind, number, by=THIEF, lifts=lifts))
    topic.put(last)
    assert len(topic.kept()) == 2 + 8
    assert {first, last} <= set(topic.kept())
    checker = topic.statements._checker
    assert len(checker._valid) + len(checker._invalid) <= 2 + 8


def test_what_does_not_verify_pushes_nothing_out_that_does() -> None:
    """There is room for as many of each."""
    topic = Topic()
    true = [a_token("accept", number) for number in range(8)]
    for token in true:
        topic.put(token)
    for number in range(20):
        topic.put(a_token("accept", number, by=THIEF))
    assert topic.kept()[:8] == true


def test_no_suspension_is_ever_lost_however_many_there_are() -> None:
    """Each stands until it is lifted by its id."""
    topic = Topic()
    tokens = [a_token("suspend", number) for number in range(200)]
    for token in tokens:
        topic.put(token)
    for token in tokens[1:]:
        topic.put(a_token("resume", lifts=token.id))
    standing = [one for one in topic.version().suspensions() if one.until_us == NEVER_US]
    assert [one.id for one in standing] == [tokens[0].id]


def test_what_was_lifted_stays_lifted_when_it_is_put_again() -> None:
    """However many others came between."""
    topic = Topic()
    tokens = [a_token("suspend", number) for number in range(40)]
    for token in tokens:
        topic.put(token)
        topic.put(a_token("resume", lifts=token.id))
    assert not topic.put(tokens[0])
    assert all(one.until_us == to_us(NOON) for one in topic.version().suspensions())


@pytest.mark.parametrize("order", [list, lambda tokens: list(reversed(tokens))])
def test_the_revocation_that_counts_first_is_never_forgotten(
    order: Callable[[list[Token]], list[Token]],
) -> None:
    """Others that count later do not push it out, in whatever order they come."""
    first = a_token("revoke", 500, effective_at=NOON)
    others = [
        a_token("revoke", number, effective_at=NOON + timedelta(days=1 + number))
        for number in range(20)
    ]
    topic = Topic()
    for token in order([first, *others]):
        topic.put(token)
    assert topic.version().revoked_from_us(HEALTH) == to_us(NOON)
    assert len(topic.kept()) == 8


def test_the_first_acceptance_in_each_capacity_is_never_forgotten() -> None:
    """It says when a version took over: forgetting it would bring the one before back."""
    topic = Topic()
    first = [a_token("accept", 500), a_token("accept", 400, capacity="CHIEF_EXECUTIVE")]
    for token in (*first, *(a_token("accept", number) for number in range(20))):
        topic.put(token)
    assert set(first) <= set(topic.kept())
    assert len(topic.kept()) == 8
    assert topic.version().ever_accepted_us(HEALTH) == to_us(NOON - timedelta(minutes=500))


def test_acceptances_with_a_retired_key_do_not_push_out_the_first_that_counts() -> None:
    """Whoever finds the old key can sign with any date, and nothing comes of it."""
    topic = Topic()
    true = a_token("accept", 100)
    topic.put(true)
    topic.tell(HEALTH, 2)
    for number in range(20):
        topic.put(a_token("accept", 200 + number))
        topic.put(a_token("accept", number))
    version = topic.version()
    assert true in topic.kept()
    assert version.accepted_from_us(HEALTH) == to_us(NOON - timedelta(minutes=100))
    assert version.ever_accepted_us(HEALTH) == to_us(NOON - timedelta(minutes=100))


def test_of_many_rejections_the_latest_are_kept() -> None:
    """The last word counts."""
    topic = Topic()
    for number in range(20):
        topic.put(a_token("reject", number))
    dates = [one.statement.signed_at for one in topic.statements.of(ID)[1]]
    assert max(dates) == NOON
    assert len(dates) == 8


def _copies(token: Token) -> list[Token]:
    """The same statement with the spare bits of its signature's last character set."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = alphabet.index(token.jws[-1])
    return [
        Token(token.party, token.type, token.jws[:-1] + alphabet[last & ~0xF | bits])
        for bits in range(16)
    ]


def test_a_copy_of_a_statement_is_no_second_one() -> None:
    """The signature of a true statement can be written in sixteen ways: they are one."""
    topic = Topic()
    tokens = [a_token("accept", number) for number in range(3)]
    for token in tokens:
        topic.put(token)
    for token in tokens:
        assert not any(topic.put(copy) for copy in _copies(token))
    assert topic.kept() == tokens


def test_a_spoilt_copy_that_comes_first_does_not_keep_the_true_one_out() -> None:
    """What does not verify stands in nobody's way."""
    topic = Topic()
    true = a_token("suspend")
    header, payload, signature = true.jws.split(".")
    spoilt = f"{header}.{payload}.{'A' * len(signature)}"
    topic.put(Token(HEALTH, SignatureType.SUSPEND, spoilt))
    assert topic.version().suspensions() == ()
    topic.put(true)
    assert [one.id for one in topic.version().suspensions()] == [true.id]


def test_what_was_said_before_its_key_was_known_counts_once_it_is() -> None:
    """Documents may come in any order."""
    topic = Topic()
    token = a_token("accept", by=key_of(HEALTH, 2))
    topic.put(token)
    assert topic.version().said == {}
    topic.tell(HEALTH, 1, 2)
    assert topic.version().accepted_from_us(HEALTH) == to_us(NOON)


def test_what_nobody_in_the_scheme_said_is_nothing() -> None:
    """A party without a document has no keys."""
    topic = Topic()
    topic.put(Token("a-stranger", SignatureType.ACCEPT, a_token("accept").jws))
    assert topic.statements.of(ID) == {1: []}
    assert topic.statements.of("urn:nothing") == {}

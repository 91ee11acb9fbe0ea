"""The life of an agreement: the table of moves, the engine and the documentation agree."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from deciding_world import (
    COUNCIL,
    HEALTH,
    NOON,
    PLACEMENT,
    SCHEME,
    SCHOOL,
    SIGNATORY,
    World,
    a_flow,
    an_agreement,
    an_event,
    pseudonym_key,
    subject_of,
)

from agreements.candidates import to_us
from agreements.deciding import Permit, checks, decide
from agreements.lifecycle import (
    MOVES,
    ROUTING,
    MoveRefused,
    State,
    Status,
    check_move,
    running,
    state_of,
)
from agreements.lifecycle.asking import _LACKING
from agreements.lifecycle.moves import move_of
from agreements.lifecycle.page import lifecycle_page
from agreements.lifecycle.warning import WARNINGS
from agreements.rules import Compiler
from agreements.signatures import NEEDS_REASON, Signatory, SignatureType, Statement
from schemas.catalogue import shipped

ROOT: Final = Path(__file__).parents[3]
FACILITATOR: Final = "anytown-assurance"
AT: Final = to_us(NOON)
DAY: Final = timedelta(days=1)


def a_text(**changes: Any) -> dict[str, Any]:
    """Build the usual agreement, with a facilitator."""
    return an_agreement(**{"facilitator": FACILITATOR} | changes)


class Life:
    """A scheme in which an agreement is moved by one statement after the other."""

    def __init__(self, *documents: dict[str, Any], **parties: Any) -> None:
        self.compiler = Compiler(shipped(), scheme_key=SCHEME.public, pseudonym_key=pseudonym_key)
        self.documents = {document["version"]: document for document in documents}
        world = World()
        for party in (COUNCIL, HEALTH, SCHOOL, FACILITATOR):
            world.party(party, **parties.get(party, {}))
        for document in documents:
            world.agreement(document)
        self.compiler.apply(world.documents)

    def say(self, party: str, kind: str, *, version: int = 1, **more: Any) -> str:
        """Put a statement on the topic; return its id."""
        world = World()
        name = world.sign(self.documents[version], party, type=kind, **more)
        self.compiler.apply(world.documents)
        return name

    def accept(self, *parties: str, version: int = 1) -> "Life":
        """Let parties accept a version."""
        for party in parties or (COUNCIL, HEALTH):
            self.say(party, "accept", version=version)
        return self

    def status(self, *, version: int = 1, at: datetime = NOON) -> Status:
        """Return the status of a version."""
        parties = self.compiler.rules().parties
        return state_of(self.compiler.versions(), version, at=to_us(at), parties=parties)

    def outcome(self, *, version: int = 1) -> str:
        """Return what the engine answers to an event under a version."""
        found = [
            one
            for one in self.compiler.rules().candidates("anytown-childrens-services", PLACEMENT)
            if one.version == version
        ]
        decision = decide(an_event(), found[0], at=AT)
        return "permit" if isinstance(decision, Permit) else decision.reason

    def ask(self, party: str, kind: str, **more: Any) -> Status:
        """Ask whether a party may say something now."""
        return check_move(
            a_statement(self.documents[more.pop("version", 1)], party, kind, **more),
            self.compiler.versions(),
            at=AT,
            parties=self.compiler.rules().parties,
        )


def a_statement(document: dict[str, Any], party: str, kind: str, **more: Any) -> Statement:
    """Build a statement, with all that its type needs."""
    subject = subject_of(document)
    said: dict[str, Any] = {
        "type": kind,
        "agreement": subject.agreement,
        "version": subject.version,
        "sha256": subject.sha256,
        "party": party,
        "signatory": SIGNATORY,
        "signed_at": NOON,
    }
    if SignatureType(kind) in NEEDS_REASON:
        said["reason"] = "A reason."
    if kind == "resume":
        said |= {"lifts": "0" * 64, "held": "release"}
    return Statement.model_validate({k: v for k, v in (said | more).items() if v is not None})


def a_life_in(state: State) -> Life:
    """Build a scheme in which the agreement is in a state at noon."""
    ends = {State.EXPIRED: "2026-05-20"}.get(state, "2028-04-01")
    starts = {State.SIGNED: "2026-07-01"}.get(state, "2026-04-01")
    first = a_text(effective={"starts_at": starts, "ends_at": ends})
    later = a_text(version=2, effective={"starts_at": "2026-05-20", "ends_at": "2028-04-01"})
    life = Life(first, *([later] if state is State.SUPERSEDED else ()))
    if state is State.CONSULTING:
        life.say(COUNCIL, "consult")
    if state is State.ASSURED:
        life.say(FACILITATOR, "assure")
    if state in (State.DRAFT, State.CONSULTING, State.ASSURED):
        return life
    life.accept()
    if state is State.UNDER_REVIEW:
        life.say(HEALTH, "review")
    if state is State.SUSPENDED:
        life.say(HEALTH, "suspend", at=NOON - DAY)
    if state is State.TERMINATED:
        life.say(HEALTH, "revoke")
    if state is State.SUPERSEDED:
        life.accept(version=2)
    return life


def test_the_page_in_the_repository_is_the_generated_one() -> None:
    """To write it again: concordat agreement lifecycle > docs/using/lifecycle.md."""
    assert (ROOT / "docs/using/lifecycle.md").read_text("utf-8") == lifecycle_page()


def test_each_statement_has_one_row_and_each_state_a_way_in_and_an_answer() -> None:
    """Nothing that can be said, and no state, is missing from the table."""
    said = [move.says for move in MOVES if move.says is not None]
    assert sorted(said) == sorted(SignatureType)
    assert {move.to for move in MOVES} >= set(State) - {State.DRAFT}
    assert set(ROUTING) == set(State)
    needs = {need for move in MOVES if move.says is not None for need in move.needs}
    assert needs == set(_LACKING), "each need of a statement is checked"


@pytest.mark.parametrize("state", State)
def test_in_each_state_the_engine_answers_as_the_table_says(state: State) -> None:
    """What a register shows is what the router does."""
    life = a_life_in(state)
    status = life.status()
    assert status.state is state
    assert life.outcome() == ROUTING[state][0]
    assert status.to_json()["state"] == state.value
    (pair,) = status.pairs
    assert (pair.publisher, pair.recipient, pair.flows) == (COUNCIL, HEALTH, ("placement",))


_SPEAKERS: Final = {
    SignatureType.CONSULT: COUNCIL,
    SignatureType.ASSURE: FACILITATOR,
}


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("kind", SignatureType)
def test_a_move_is_open_from_the_states_of_its_row_and_from_no_other(
    kind: SignatureType, state: State
) -> None:
    """And it leads to the state of its row; a refusal says where it would have to be."""
    life = a_life_in(state)
    party = _SPEAKERS.get(kind, COUNCIL if state is State.TERMINATED else HEALTH)
    more: dict[str, Any] = {}
    if kind is SignatureType.RESUME:
        standing = life.status().suspensions
        more = {
            "lifts": standing[0].id if standing else life.say(HEALTH, "suspend", at=NOON - DAY),
            "held": "release",
        }
        party = HEALTH
    move = move_of(kind)
    if kind is SignatureType.REVOKE and state in (State.DRAFT, State.CONSULTING, State.ASSURED):
        with pytest.raises(MoveRefused, match="reject it, or name the version that is in force"):
            life.ask(party, kind.value)
        return
    if state not in move.from_:
        with pytest.raises(MoveRefused, match=f"is {state}: to {kind} it, it would have to be"):
            life.ask(party, kind.value, **more)
        return
    life.ask(party, kind.value, **more)
    life.say(party, kind.value, at=NOON, **more)
    expected = _led_to(state, kind, move.to)
    if kind is SignatureType.ACCEPT and state in (State.DRAFT, State.CONSULTING, State.ASSURED):
        life.say(COUNCIL, "accept")
    assert life.status().state is expected


def _led_to(state: State, kind: SignatureType, to: State | None) -> State:
    """Where a move leads, as seen at noon by somebody who looks at the clock too."""
    is_unsigned = state in (State.DRAFT, State.CONSULTING, State.ASSURED)
    stays = {
        SignatureType.ACCEPT: not is_unsigned,
        SignatureType.REJECT: is_unsigned,
        SignatureType.REVIEW: state is State.SUSPENDED,
        SignatureType.REVIEWED: state in (State.SUSPENDED, State.SIGNED),
        SignatureType.RESUME: state is not State.SUSPENDED,
        SignatureType.SUSPEND: state not in (State.IN_FORCE, State.UNDER_REVIEW),
    }
    if stays.get(kind):
        return state
    if kind is SignatureType.REJECT:
        return State.DRAFT  # no pair is left that agrees
    if kind is SignatureType.ACCEPT:
        return State.IN_FORCE  # as it has started
    assert to is not None
    return to


@pytest.mark.parametrize(
    ("kind", "party", "message"),
    [
        ("consult", HEALTH, "that is for its owner, anytown-childrens-services"),
        ("assure", COUNCIL, "that is for its facilitator, anytown-assurance"),
        ("accept", SCHOOL, "one of its parties: anytown-childrens-services, anytown-nhs-trust"),
        ("suspend", FACILITATOR, "one of its parties"),
    ],
)
def test_what_is_for_another_to_say_is_refused(kind: str, party: str, message: str) -> None:
    """The message says whose word it is."""
    with pytest.raises(MoveRefused, match=message):
        a_life_in(State.DRAFT).ask(party, kind)


def test_nobody_assures_where_the_text_names_no_facilitator_or_the_owner() -> None:
    """Assurance is somebody else's."""
    with pytest.raises(MoveRefused, match="a facilitator, and the text names none"):
        Life(an_agreement()).ask(HEALTH, "assure")
    with pytest.raises(MoveRefused, match="that is for its facilitator"):
        Life(an_agreement(facilitator=COUNCIL)).ask(COUNCIL, "assure")


@pytest.mark.parametrize(
    ("state", "party", "kind", "more", "message"),
    [
        (State.IN_FORCE, HEALTH, "revoke", {"reason": None}, "expected a reason"),
        (State.IN_FORCE, HEALTH, "resume", {}, "no suspension 000.*: none stands"),
        (State.SUSPENDED, HEALTH, "resume", {}, "those that stand are [0-9a-f]{64}"),
        (State.SUSPENDED, COUNCIL, "resume", {}, "none stands"),
        (
            State.IN_FORCE,
            HEALTH,
            "reviewed",
            {"review_by": NOON},
            "expected the next review after this one",
        ),
        (
            State.IN_FORCE,
            HEALTH,
            "suspend",
            {"signed_at": NOON + timedelta(minutes=5, milliseconds=1)},
            "dated 2026-06-01T12:05:00.001000Z, which is to come",
        ),
        (State.DRAFT, HEALTH, "accept", {"sha256": "0" * 64}, "fetch the text that is on record"),
    ],
)
def test_what_lacks_something_is_refused_with_what_to_do(
    state: State, party: str, kind: str, more: dict[str, Any], message: str
) -> None:
    """Each need of the table has a sentence of its own."""
    with pytest.raises(MoveRefused, match=message):
        a_life_in(state).ask(party, kind, **more)


def test_a_clock_that_is_a_little_ahead_is_let_pass() -> None:
    """Five minutes are, and not a millisecond more."""
    a_life_in(State.IN_FORCE).ask(HEALTH, "suspend", signed_at=NOON + timedelta(minutes=5))


def test_an_acceptance_in_another_capacity_is_refused() -> None:
    """It would not count, so it is not taken in."""
    roles = [
        {"id": COUNCIL, "role": "controller", "direction": "both"},
        {"id": HEALTH, "role": "controller", "direction": "both", "capacities": ["SIRO", "DCS"]},
    ]
    life = Life(a_text(parties=roles))
    life.ask(HEALTH, "accept")
    guardian = Signatory(name="A", post="Guardian", capacity="CALDICOTT_GUARDIAN")
    with pytest.raises(MoveRefused, match="as SIRO or DCS, not as CALDICOTT_GUARDIAN"):
        life.ask(HEALTH, "accept", signatory=guardian)


def test_a_party_that_the_scheme_suspended_does_not_accept_but_may_stop() -> None:
    """What takes away is never refused for that."""
    life = Life(a_text(), **{HEALTH: {"state": "suspended"}}).accept(COUNCIL)
    with pytest.raises(MoveRefused, match="the scheme does not let anytown-nhs-trust take part"):
        life.ask(HEALTH, "accept")
    for kind in ("reject", "suspend"):
        life.ask(HEALTH, kind)
    check_move(a_statement(a_text(), HEALTH, "accept"), life.compiler.versions(), at=AT)


def test_a_revocation_is_final_but_may_be_brought_forward() -> None:
    """Neither an acceptance nor a later revocation changes it."""
    life = Life(a_text()).accept()
    later = NOON + 30 * DAY
    life.say(HEALTH, "revoke", effective_at=later)
    for kind, more in (("accept", {}), ("revoke", {"effective_at": later})):
        with pytest.raises(MoveRefused, match="which is final: propose a new version"):
            life.ask(HEALTH, kind, **more)
    life.ask(HEALTH, "revoke", effective_at=later - DAY)
    life.ask(HEALTH, "revoke")


def test_what_a_party_alone_accepted_it_may_take_back() -> None:
    """Also before the other one has answered."""
    Life(a_text()).accept(HEALTH).ask(HEALTH, "revoke")


def test_a_stop_without_a_version_is_about_the_one_in_force() -> None:
    """A draft of the next version does not catch it."""
    later = {"starts_at": "2026-07-01", "ends_at": "2028-04-01"}
    wider = a_flow(items=[{"path": "childId"}, {"path": "rne"}])
    life = Life(
        a_text(), a_text(version=2, effective=later), an_agreement(wider, version=3)
    ).accept()
    versions = life.compiler.versions
    assert running(versions(), at=AT) == 1
    life.accept(version=2)
    assert running(versions(), at=AT) == 1
    assert running(versions(), at=to_us(NOON + 60 * DAY)) == 2
    assert running(Life(a_text()).compiler.versions(), at=AT) is None
    coming = Life(a_text(), a_text(version=2, effective=later)).accept(version=2)
    assert running(coming.compiler.versions(), at=AT) == 2
    life.say(HEALTH, "suspend", at=NOON - DAY)
    assert running(versions(), at=AT) == 1


def test_a_narrowing_that_the_other_party_made_can_be_revoked() -> None:
    """It runs under it though it has never signed it."""
    first = a_text()
    narrower = first | {"version": 2, "flows": [first["flows"][0] | {"max_age": "P1D"}]}
    life = Life(first, narrower).accept().accept(COUNCIL, version=2)
    assert life.status(version=2).state is State.IN_FORCE
    assert life.status().state is State.SUPERSEDED
    life.ask(HEALTH, "revoke", version=2)
    life.say(HEALTH, "revoke", version=2)
    assert life.status(version=2).state is State.TERMINATED


def test_partial_sign_off_is_told_pair_by_pair() -> None:
    """Two that have signed have a live flow; the third is waited for."""
    life = Life(an_agreement(a_flow(to=[HEALTH, SCHOOL]), signing={"due": "2026-05-31"}))
    life.accept()
    status = life.status()
    assert status.state is State.IN_FORCE
    assert [(pair.recipient, pair.state, pair.waits_for) for pair in status.pairs] == [
        (HEALTH, State.IN_FORCE, ()),
        (SCHOOL, State.DRAFT, (SCHOOL,)),
    ]
    told = {one.party: (one.standing.value, one.is_late) for one in status.sign_offs}
    assert told == {
        COUNCIL: ("accepted", False),
        HEALTH: ("accepted", False),
        SCHOOL: ("unsigned", True),
    }
    signed = status.sign_offs[0]
    assert (signed.signatory, signed.said_at) == (SIGNATORY, NOON - 30 * DAY)


def codes(status: Status) -> list[str]:
    """Return the codes of the warnings, which are all documented."""
    found = [warned.code for warned in status.warnings]
    assert set(found) <= set(WARNINGS)
    return found


def test_a_signature_is_late_when_the_day_that_it_was_due_on_is_over() -> None:
    """To the millisecond; who has said no is not late."""
    life = Life(a_text(signing={"due": "2026-05-31"})).accept(COUNCIL)
    midnight = datetime(2026, 6, 1, tzinfo=UTC)
    assert codes(life.status(at=midnight - timedelta(milliseconds=1))) == []
    assert codes(life.status(at=midnight)) == ["signature-late"]
    life.say(HEALTH, "reject")
    assert codes(life.status(at=midnight)) == []


def test_nobody_is_late_for_what_is_over() -> None:
    """Once a version has ended nobody has to sign it any more."""
    flow = a_flow(to=[HEALTH, SCHOOL])
    ended = {"starts_at": "2026-04-01", "ends_at": "2026-05-20"}
    life = Life(an_agreement(flow, signing={"due": "2026-05-10"}, effective=ended)).accept()
    during, after = (datetime(2026, 5, day, tzinfo=UTC) for day in (15, 20))
    assert "signature-late" in codes(life.status(at=during))
    assert codes(life.status(at=after)) == []


def test_an_overdue_review_warns_and_then_escalates_and_stops_nothing() -> None:
    """Safeguarding flows go on; the warning says whom to turn to."""
    text = a_text(
        effective={
            "starts_at": "2026-04-01",
            "ends_at": "2028-04-01",
            "review_by": "2026-05-10T08:00:00Z",
        },
        review={"escalate_after": "P10D", "to": {"post": "Head of Information Governance"}},
    )
    life = Life(text).accept()
    due = datetime(2026, 5, 10, 8, tzinfo=UTC)
    short = timedelta(milliseconds=1)
    assert codes(life.status(at=due - short)) == []
    assert codes(life.status(at=due)) == ["review-overdue"]
    assert codes(life.status(at=due + 10 * DAY - short)) == ["review-overdue"]
    assert codes(life.status(at=due + 10 * DAY)) == ["review-escalated"]
    (warned,) = life.status().warnings
    assert "2026-05-10" in warned.text
    assert "Head of Information Governance" in warned.text
    assert life.outcome() == "permit"


@pytest.mark.parametrize(
    ("every", "review_by", "due"),
    [
        (None, None, None),
        (None, "2027-03-01", "2027-03-01"),
        ("P1Y", None, "2027-05-31"),
        ("P1M", None, "2026-06-30"),
        ("P9M", None, "2027-02-28"),
        ("P1Y2M3W4D", None, "2027-08-25"),
        ("P9999Y", None, None),
        ("P1Y", "2026-12-01", "2026-12-01"),
    ],
)
def test_a_review_that_is_done_sets_the_next_date(
    every: str | None, review_by: str | None, due: str | None
) -> None:
    """The date that it gives, else so long after it as the agreement says; months end early."""
    effective = {"starts_at": "2026-04-01", "ends_at": "2028-04-01", "review_by": "2026-05-01"}
    text = a_text(effective=effective, **({} if every is None else {"review": {"every": every}}))
    life = Life(text).accept()
    life.say(HEALTH, "review", at=datetime(2026, 5, 2, tzinfo=UTC))
    assert life.status().state is State.UNDER_REVIEW
    assert codes(life.status()) == ["review-escalated"]
    more = {} if review_by is None else {"review_by": review_by}
    life.say(COUNCIL, "reviewed", at=datetime(2026, 5, 31, tzinfo=UTC), **more)
    status = life.status()
    assert status.state is State.IN_FORCE
    assert codes(status) == []
    found = status.reviewing.due_at
    assert (None if found is None else found.date().isoformat()) == due
    life.say(COUNCIL, "review", at=NOON)
    assert life.status().reviewing.is_open


def test_a_review_done_early_leaves_the_date_in_the_text() -> None:
    """Where nobody said when next, the date that is to come still counts."""
    effective = {"starts_at": "2026-04-01", "ends_at": "2028-04-01", "review_by": "2027-01-01"}
    life = Life(a_text(effective=effective)).accept()
    life.say(HEALTH, "reviewed", at=NOON - DAY)
    found = life.status().reviewing.due_at
    assert found is not None
    assert found.date().isoformat() == "2027-01-01"


def test_of_several_reviews_the_last_sets_the_date() -> None:
    """And ends what was opened before it, in whatever order they came."""
    life = Life(a_text()).accept()
    for days, due in ((2, "2027-02-01"), (5, "2026-12-01")):
        life.say(HEALTH, "reviewed", at=NOON - days * DAY, review_by=due)
    life.say(COUNCIL, "review", at=NOON - 3 * DAY)
    status = life.status()
    assert status.state is State.IN_FORCE
    assert status.to_json()["review"] == {"due_at": "2027-02-01T00:00:00Z", "is_open": False}
    life.say(COUNCIL, "review", at=NOON - 2 * DAY)
    assert not life.status().reviewing.is_open, "what was opened at that moment is done, too"
    before = life.status(at=NOON - 3 * DAY)
    assert before.to_json()["review"] == {"due_at": "2026-12-01T00:00:00Z", "is_open": True}


def test_an_assurance_that_lapses_is_told_thirty_days_before() -> None:
    """While it can still be renewed; a renewal that follows at once counts."""

    def life(*periods: tuple[str, str]) -> Life:
        held = [
            {"kind": "dspt", "valid_from": since, "valid_until": until} for since, until in periods
        ]
        text = an_agreement(a_flow(requires=["dspt"]))
        return Life(text, **{HEALTH: {"assurances": held}}).accept()

    one = life(("2026-05-01", "2026-06-30"))
    first = datetime(2026, 6, 1, tzinfo=UTC)
    assert codes(one.status(at=first - timedelta(milliseconds=1))) == []
    assert codes(one.status(at=first)) == ["assurance-lapses"]
    assert "until 2026-06-30 only" in one.status(at=first).warnings[0].text
    assert codes(one.status(at=datetime(2026, 7, 1, tzinfo=UTC))) == ["assurance-lapsed"]
    assert codes(life().status()) == ["assurance-lapsed"]
    renewed = life(("2026-05-01", "2026-06-30"), ("2026-07-01", "2027-06-30"))
    assert codes(renewed.status(at=first)) == []
    broken = life(("2026-05-01", "2026-06-30"), ("2026-07-02", "2027-06-30"))
    assert codes(broken.status(at=first)) == ["assurance-lapses"]


def test_an_end_that_is_near_is_told() -> None:
    """The end of the agreement, and a revocation from a time to come."""
    effective = {"starts_at": "2026-04-01", "ends_at": "2026-07-01T12:00:00Z"}
    life = Life(a_text(effective=effective)).accept()
    assert codes(life.status()) == ["ends-soon"]
    assert codes(life.status(at=NOON - timedelta(milliseconds=1))) == []
    assert codes(life.status(at=NOON + 30 * DAY)) == [], "it has ended"
    other = Life(a_text()).accept()
    other.say(HEALTH, "revoke", effective_at=NOON + DAY)
    assert codes(other.status()) == ["revoked-from"]
    assert other.status().state is State.IN_FORCE
    assert codes(other.status(at=NOON + DAY)) == []
    assert other.status(at=NOON + DAY).state is State.TERMINATED


def test_times_at_the_end_of_the_calendar_are_no_error() -> None:
    """Whatever a party signs, the register can be read and the decision explained."""
    last = "9999-12-31"
    held = [{"kind": "dspt", "valid_from": "2026-05-01", "valid_until": last}]
    text = an_agreement(a_flow(requires=["dspt"]), signing={"due": last})
    life = Life(text, **{HEALTH: {"assurances": held}}).accept(COUNCIL)
    assert life.status().to_json()["parties"][0]["due_at"] is None
    life.accept(HEALTH)
    for kind in ("suspend", "revoke"):
        life.say(HEALTH, kind, effective_at="9999-12-31T23:59:59.999Z")
    assert life.outcome() == "permit"
    (candidate,) = life.compiler.rules().candidates(COUNCIL, PLACEMENT)
    results = checks(an_event(), candidate, to_us(datetime(9999, 12, 30, tzinfo=UTC)))
    assert [one.code for one in results if one.state == "failed"] == ["in-force"]
    assert life.status().to_json()["warnings"][0]["code"] == "revoked-from"
    other = Life(text, **{HEALTH: {"assurances": held}}).accept()
    other.say(HEALTH, "suspend", at=datetime(9999, 12, 31, tzinfo=UTC))
    assert other.outcome() == "suspended"
    assert other.status().to_json()["suspensions"][0]["held_until"] is None


def test_a_version_that_is_not_there_has_no_status() -> None:
    """The caller is told so."""
    life = Life(a_text())
    with pytest.raises(KeyError):
        life.status(version=3)
    with pytest.raises(KeyError):
        state_of(life.compiler.versions(), 1, at=AT, sha256="0" * 64)


def test_of_two_texts_under_one_number_the_accepted_one_is_told() -> None:
    """A text that nobody signed, put over it, does not hide where the agreement is."""
    life = Life(a_text()).accept()
    over = World()
    over.agreement(a_text(title="Another text"))
    life.compiler.apply(over.documents)
    assert life.status().text.title == a_text()["title"]
    other = subject_of(a_text(title="Another text")).sha256
    found = state_of(life.compiler.versions(), 1, at=AT, sha256=other)
    assert (found.text.title, found.state) == ("Another text", State.DRAFT)


def test_the_status_as_json_has_everything_a_register_shows() -> None:
    """The names are what programs read."""
    life = a_life_in(State.SUSPENDED)
    found = life.status().to_json()
    assert list(found) == [
        "agreement",
        "version",
        "title",
        "sha256",
        "state",
        "pairs",
        "parties",
        "suspensions",
        "review",
        "warnings",
    ]
    (suspension,) = found["suspensions"]
    assert suspension["party"] == HEALTH
    assert suspension["held_until"] == "2026-06-14T12:00:00Z"
    assert found["parties"][0]["signatory"]["capacity"] == "SIRO"

"""Rules from control documents: what is believed, what is forgotten, what changes."""

import json
from dataclasses import replace
from datetime import datetime, timedelta

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
    a_party,
    a_world,
    an_agreement,
    an_event,
    key_of,
    pseudonym_key,
    subject_of,
)

from agreements.candidates import from_us, to_us
from agreements.deciding import NO_CANDIDATE, Deny, Permit, Refusal, decide
from agreements.rules import Compiler, Rules
from agreements.signatures import SignatureType, sign_statement
from agreements.signed import Said
from agreements.statements import Token
from schemas.catalogue import Catalogue, shipped
from schemas.control import Kind, document_key, sign_document
from schemas.keys import SigningKey

INTRUDER = SigningKey(b"\x66" * 32)
AT = to_us(NOON)


def _outcome(rules: Rules) -> str:
    event = an_event()
    found = rules.candidates(COUNCIL, PLACEMENT, at=AT)
    if not found:
        return NO_CANDIDATE.reason
    (candidate,) = found
    decision = decide(event, candidate, at=AT)
    return "permit" if isinstance(decision, Permit) else decision.reason


def _kept(compiler: Compiler, version: int = 1) -> list[Token]:
    return [*compiler._documents._statements._tokens[an_agreement()["id"]][version]]


def _said(compiler: Compiler, version: int = 1) -> list[Said]:
    return compiler._documents._statements.of(an_agreement()["id"])[version]


def _compiler(world: World) -> Compiler:
    compiler = Compiler(shipped(), scheme_key=SCHEME.public, pseudonym_key=pseudonym_key)
    compiler.apply(world.documents)
    return compiler


def test_a_publisher_or_type_that_no_agreement_names_has_no_candidates() -> None:
    """Nothing found is a refusal of its own."""
    rules = a_world().rules()
    assert rules.candidates("nobody", PLACEMENT) == ()
    assert rules.candidates(COUNCIL, "uk.gov.nothing.v1", at=AT) == ()
    assert Deny(None, Refusal.NO_AGREEMENT, "") == NO_CANDIDATE


def test_candidates_are_one_for_each_recipient_and_flow_in_a_fixed_order() -> None:
    """The order is recipient, agreement, version, flow; nobody is sent its own."""
    flows = [
        a_flow(id="z", to=[SCHOOL, HEALTH, COUNCIL, SCHOOL]),
        a_flow(id="a", to=[SCHOOL], **{"from": [COUNCIL, COUNCIL]}, events=[PLACEMENT, PLACEMENT]),
    ]
    rules = a_world(an_agreement(*flows)).rules()
    found = [(one.recipient, one.flow.id) for one in rules.candidates(COUNCIL, PLACEMENT)]
    assert found == [(HEALTH, "z"), (SCHOOL, "a"), (SCHOOL, "z")]
    assert {one.event_type for one in rules} == {PLACEMENT}


def test_two_purposes_are_two_decisions_each_with_its_own_items() -> None:
    """What is shared for one purpose is not shared for the other."""
    flows = [
        a_flow(id="one", items=[{"path": "childId"}]),
        a_flow(id="two", items=[{"path": "rne"}]),
    ]
    rules = a_world(an_agreement(*flows)).rules()
    decisions = [decide(an_event(), one, at=AT) for one in rules.candidates(COUNCIL, PLACEMENT)]
    assert [one.items for one in decisions if isinstance(one, Permit)] == [("childId",), ("rne",)]


def test_a_party_counts_with_the_signature_of_the_scheme_only() -> None:
    """A broken-into console cannot bring a party in."""
    world = a_world()
    world.party(HEALTH, by=INTRUDER)
    rules = world.rules()
    assert _outcome(rules) == Refusal.NOT_SIGNED
    assert [one.code for one in rules.rejected] == ["bad-signature"]
    assert HEALTH not in rules.parties


def test_a_party_cannot_be_put_under_another_key() -> None:
    """A signed document is used for the party and revision that it names."""
    world = a_world()
    document = a_party(HEALTH, revision=2, state="suspended")
    signed = {"jws": sign_document(SCHEME, document)}
    for key in (document_key(Kind.PARTY, COUNCIL, 2), document_key(Kind.PARTY, HEALTH, 3)):
        world.put(key, signed)
    rules = world.rules()
    assert _outcome(rules) == "permit"
    assert [one.code for one in rules.rejected] == ["misplaced", "misplaced"]


def test_the_highest_revision_of_a_party_counts_whatever_comes_later() -> None:
    """Replaying an old document does not undo a suspension."""
    world = a_world()
    world.party(HEALTH, revision=3, state="suspended")
    compiler = _compiler(world)
    again = World()
    again.party(HEALTH, revision=2)
    compiler.apply(again.documents)
    assert _outcome(compiler.rules()) == Refusal.PARTY_SUSPENDED
    lifted = World()
    lifted.party(HEALTH, revision=4)
    compiler.apply(lifted.documents)
    assert _outcome(compiler.rules()) == "permit"


def test_another_text_under_the_same_revision_does_not_end_a_suspension() -> None:
    """Which should not happen; only a higher revision lets the party take part again."""
    compiler = _compiler(a_world())
    outcomes = []
    for revision, state in ((2, "active"), (2, "suspended"), (2, "active"), (3, "active")):
        again = World()
        again.party(HEALTH, revision=revision, state=state)
        compiler.apply(again.documents)
        outcomes.append(_outcome(compiler.rules()))
    assert outcomes == ["permit", Refusal.PARTY_SUSPENDED, Refusal.PARTY_SUSPENDED, "permit"]


def test_a_party_with_a_key_that_is_none_is_not_used() -> None:
    """A document that cannot be checked against is refused whole."""
    world = a_world()
    world.party(HEALTH, revision=2, signing_keys=[{"kty": "OKP", "crv": "Ed25519", "x": "AA"}])
    rules = world.rules()
    assert _outcome(rules) == "permit"
    assert [one.code for one in rules.rejected] == ["bad-key"]


def test_what_was_signed_is_the_text_and_not_what_lies_under_its_name() -> None:
    """A text that nobody signed, put over the one that was, makes nothing flow."""
    world = a_world()
    wider = an_agreement(a_flow(items=[{"path": "childId"}, {"path": "nhsNumber"}]))
    world.agreement(wider)
    assert _outcome(world.rules()) in {Refusal.NO_AGREEMENT, Refusal.NOT_SIGNED}


def test_an_agreement_cannot_be_put_under_another_name() -> None:
    """The id and version inside are the ones of the record key."""
    world = World()
    document = an_agreement()
    world.put(document_key(Kind.AGREEMENT, document["id"], 2), document)
    world.put(document_key(Kind.AGREEMENT, "urn:other", 1), document)
    rules = world.rules()
    assert [one.code for one in rules.rejected] == ["misplaced", "misplaced"]


def test_overwriting_a_signed_text_does_not_make_a_running_router_forget_it() -> None:
    """The text that both signed stays the one that counts."""
    compiler = _compiler(a_world())
    overwritten = World()
    overwritten.agreement(an_agreement(a_flow(items=[{"path": "sex"}])))
    compiler.apply(overwritten.documents)
    assert _outcome(compiler.rules()) == "permit"


def test_others_cannot_put_a_text_of_theirs_in_the_place_of_what_two_signed() -> None:
    """However many sign it: which text counts is for each pair to say."""
    compiler = _compiler(a_world())
    others = [f"other-{number}" for number in range(4)]
    theirs = an_agreement(a_flow(to=others))
    later = World()
    later.agree(theirs, without=[COUNCIL])
    for party in others:
        later.party(party)
    compiler.apply(later.documents)
    rules = compiler.rules()
    found = {one.recipient: one for one in rules.candidates(COUNCIL, PLACEMENT, at=AT)}
    assert isinstance(decide(an_event(), found[HEALTH], at=AT), Permit)
    for party in others:
        refused = decide(an_event(), found[party], at=AT)
        assert refused == Deny(found[party], Refusal.NOT_SIGNED, COUNCIL)


def test_of_two_texts_that_both_signed_the_newer_counts() -> None:
    """Under one number, which should not happen."""
    compiler = _compiler(a_world())
    narrower = an_agreement(a_flow(items=[{"path": "sex"}]))
    later = World()
    later.agreement(narrower)
    for party in (COUNCIL, HEALTH):
        later.sign(narrower, party, at=NOON - timedelta(days=10))
    compiler.apply(later.documents)
    (candidate,) = compiler.rules().candidates(COUNCIL, PLACEMENT, at=AT)
    assert candidate.sha256 == subject_of(narrower).sha256


def test_only_so_many_texts_are_kept_under_one_name() -> None:
    """An intruder who writes to the topic cannot fill the memory, nor push out what counts."""
    compiler = _compiler(a_world())
    for number in range(20):
        flood = World()
        flood.agreement(an_agreement(title=f"Text {number}"))
        compiler.apply(flood.documents)
    assert len(compiler._documents._texts[an_agreement()["id"]][1]) == 1 + 4
    assert _outcome(compiler.rules()) == "permit", "those that nobody accepted go first"


def test_a_party_of_the_scheme_cannot_push_out_what_others_accepted() -> None:
    """However many texts of its own it puts and accepts under the same name."""
    compiler = _compiler(a_world())
    for number in range(20):
        flood = World()
        text = an_agreement(a_flow(to=[SCHOOL]), title=f"Text {number}")
        flood.agreement(text)
        flood.sign(text, SCHOOL, at=NOON - timedelta(days=1, minutes=number))
        compiler.apply(flood.documents)
    found = {one.recipient: one for one in compiler.rules().candidates(COUNCIL, PLACEMENT, at=AT)}
    assert isinstance(decide(an_event(), found[HEALTH], at=AT), Permit)
    assert len(compiler._documents._texts[an_agreement()["id"]][1]) <= 1 + 8 + 4


def test_a_signature_with_another_party_s_key_is_none() -> None:
    """Neither an intruder nor another party can sign for one."""
    for signer in (INTRUDER, key_of(COUNCIL)):
        world = a_world(without=[HEALTH])
        world.sign(an_agreement(), HEALTH, by=signer)
        assert _outcome(world.rules()) == Refusal.NOT_SIGNED


def test_a_party_s_signature_does_not_count_for_another() -> None:
    """A statement is used for the party that it names."""
    world = a_world(without=[HEALTH])
    accepted = document_key(Kind.SIGNATURE, an_agreement()["id"], 1, party=COUNCIL, type="accept")
    value = world.documents[accepted]
    assert value is not None
    stolen = document_key(Kind.SIGNATURE, an_agreement()["id"], 1, party=HEALTH, type="accept")
    world.documents[stolen] = value
    assert _outcome(world.rules()) == Refusal.NOT_SIGNED


def test_a_rejection_put_in_the_place_of_an_acceptance_is_none() -> None:
    """A statement is used as the statement that it is."""
    world = a_world(without=[HEALTH])
    jws = sign_statement(
        subject_of(an_agreement()),
        key_of(HEALTH).to_private_jwk(),
        type=SignatureType.REJECT,
        party=HEALTH,
        signatory=SIGNATORY,
        signed_at=NOON - timedelta(days=1),
        reason="No.",
    )
    key = document_key(Kind.SIGNATURE, an_agreement()["id"], 1, party=HEALTH, type="accept")
    world.put(key, {"jws": jws})
    assert _outcome(world.rules()) == Refusal.NOT_SIGNED


def test_signatures_on_two_texts_are_no_agreement() -> None:
    """A flow is live only between parties that accepted the same hash."""
    world = a_world(without=[HEALTH])
    world.sign(an_agreement(title="Another text"), HEALTH)
    assert _outcome(world.rules()) == Refusal.NOT_SIGNED


def test_an_acceptance_outlives_the_rotation_of_the_key_it_was_made_with() -> None:
    """What was on the topic when the key was retired goes on counting."""
    world = a_world()
    world.party(HEALTH, revision=2, signing_keys=[key_of(HEALTH, 2).public.to_jwk()])
    assert _outcome(world.rules()) == "permit"


def test_a_retired_key_accepts_nothing_more() -> None:
    """Whoever finds an old key can sign nothing with it, whatever date they give."""
    world = a_world(without=[HEALTH])
    world.party(HEALTH, revision=2, signing_keys=[key_of(HEALTH, 2).public.to_jwk()])
    world.sign(an_agreement(), HEALTH)
    assert _outcome(world.rules()) == Refusal.NOT_SIGNED
    both = [key_of(HEALTH, 2).public.to_jwk(), key_of(HEALTH).public.to_jwk()]
    world.party(HEALTH, revision=3, signing_keys=both)
    assert _outcome(world.rules()) == "permit", "it is the party's key again"


def test_a_revocation_counts_under_a_key_that_the_party_had_before() -> None:
    """A stop stays a stop when the key is retired."""
    world = a_world()
    world.sign(an_agreement(), HEALTH, type="revoke")
    world.party(HEALTH, revision=2, signing_keys=[key_of(HEALTH, 2).public.to_jwk()])
    world.sign(an_agreement(), HEALTH, by=key_of(HEALTH, 2))
    assert _outcome(world.rules()) == Refusal.REVOKED


def test_a_retired_key_does_not_bring_a_superseded_version_back() -> None:
    """Superseding is a stop too: it counts under a key that the party had before."""
    world = a_world()
    second = an_agreement(a_flow(items=[{"path": "sex"}]), version=2)
    world.agreement(second)
    world.sign(second, COUNCIL)
    world.sign(second, HEALTH, by=key_of(HEALTH, 2))
    both = [key_of(HEALTH, 2).public.to_jwk(), key_of(HEALTH).public.to_jwk()]
    world.party(HEALTH, revision=2, signing_keys=both)
    world.party(HEALTH, revision=3, signing_keys=[key_of(HEALTH).public.to_jwk()])
    assert world.candidate().version == 2


def test_a_later_version_that_both_signed_supersedes_though_its_text_is_gone() -> None:
    """Deleting a text from the topic does not bring the earlier version back."""
    world = a_world()
    second = an_agreement(version=2)
    world.sign(second, COUNCIL)
    world.sign(second, HEALTH)
    assert _outcome(world.rules()) == Refusal.NO_AGREEMENT


def test_a_key_that_becomes_known_makes_its_earlier_signatures_count() -> None:
    """The order of a key and a signature made with it does not matter."""
    world = a_world(without=[HEALTH])
    world.sign(an_agreement(), HEALTH, by=key_of(HEALTH, 2))
    compiler = _compiler(world)
    assert _outcome(compiler.rules()) == Refusal.NOT_SIGNED
    later = World()
    both = [key_of(HEALTH).public.to_jwk(), key_of(HEALTH, 2).public.to_jwk()]
    later.party(HEALTH, revision=2, signing_keys=both)
    compiler.apply(later.documents)
    assert _outcome(compiler.rules()) == "permit"


@pytest.mark.parametrize("value", [None, b"", b"{}", b"null", b'{"jws": 1}', b'{"jws": "a.b.c"}'])
def test_deleting_or_overwriting_a_revocation_does_not_undo_it(value: bytes | None) -> None:
    """What was once read is not forgotten."""
    world = a_world()
    world.sign(an_agreement(), HEALTH, type="revoke")
    compiler = _compiler(world)
    key = document_key(Kind.SIGNATURE, an_agreement()["id"], 1, party=HEALTH, type="revoke")
    compiler.apply({key: value})
    assert _outcome(compiler.rules()) == Refusal.REVOKED


def test_a_flood_of_false_revocations_does_not_push_the_true_one_out() -> None:
    """Only so many are kept, and those that do not verify go first."""
    world = a_world()
    world.sign(an_agreement(), HEALTH, type="revoke")
    compiler = _compiler(world)
    for number in range(30):
        flood = World()
        flood.sign(
            an_agreement(),
            HEALTH,
            type="revoke",
            by=INTRUDER,
            at=NOON - timedelta(minutes=number),
        )
        compiler.apply(flood.documents)
    assert _outcome(compiler.rules()) == Refusal.REVOKED
    assert len(_kept(compiler)) == 2 + 1 + 8


def test_a_flood_of_false_revocations_does_not_keep_the_true_one_out() -> None:
    """There is always room for one more."""
    compiler = _compiler(a_world())
    for number in range(20):
        flood = World()
        moment = NOON - timedelta(minutes=number)
        flood.sign(an_agreement(), HEALTH, type="revoke", by=INTRUDER, at=moment)
        compiler.apply(flood.documents)
    true = World()
    true.sign(an_agreement(), HEALTH, type="revoke")
    compiler.apply(true.documents)
    assert _outcome(compiler.rules()) == Refusal.REVOKED


def test_of_many_acceptances_the_latest_are_kept() -> None:
    """Of those that verify the oldest goes, but never the first: it says what took over."""
    compiler = _compiler(a_world())
    for number in range(1, 13):
        again = World()
        again.sign(an_agreement(), HEALTH, at=NOON - timedelta(days=30 - number))
        compiler.apply(again.documents)
    (candidate,) = compiler.rules().candidates(COUNCIL, PLACEMENT, at=AT)
    assert candidate.signed_from_us == to_us(NOON - timedelta(days=30))
    assert [*compiler.rules().rejected] == []
    dates = [one.statement.signed_at for one in _said(compiler) if one.statement.party == HEALTH]
    assert sorted(dates) == [NOON - timedelta(days=days) for days in (30, *range(24, 17, -1))]


def test_a_revocation_of_any_text_under_the_name_counts() -> None:
    """Who revokes id and version wants it stopped, whatever text they had in view."""
    world = a_world()
    world.sign(an_agreement(title="Another text"), HEALTH, type="revoke")
    assert _outcome(world.rules()) == Refusal.REVOKED


def test_an_objection_counts_at_once_and_its_newest_word_counts() -> None:
    """An objection is a fact: rules in hand heed it, and an end that is put later."""
    compiler = _compiler(a_world())
    rules = compiler.rules()
    assert _outcome(rules) == "permit"
    objecting = World()
    objecting.objection("1", subject=b"child".hex())
    compiler.apply(objecting.documents)
    rules = compiler.rules()
    assert _outcome(rules) == Refusal.OBJECTION
    other = World()
    other.objection("2", subject=b"other".hex())
    compiler.apply(other.documents)
    assert _outcome(rules) == Refusal.OBJECTION
    ended = World()
    ended.objection("1", subject=b"child".hex(), until="2026-05-01T00:00:00Z", revision=2)
    compiler.apply(ended.documents)
    assert _outcome(rules) == "permit"
    moved = World()
    moved.objection("2", subject=b"child".hex(), revision=2)
    compiler.apply(moved.documents)
    assert _outcome(rules) == Refusal.OBJECTION
    assert [*compiler._documents.objections.about(b"other")] == []


@pytest.mark.parametrize(("name", "revision"), [("1", 1), ("1", 2), ("3", 1)])
def test_an_objection_cannot_be_put_under_another_record_key(name: str, revision: int) -> None:
    """Whoever may write cannot remove one by a copy of another that the scheme signed."""
    world = a_world()
    world.objection("1", subject=b"child".hex())
    compiler = _compiler(world)
    signed = World()
    signed.objection("2", subject=b"other".hex())
    (copied,) = signed.documents.values()
    compiler.apply({document_key(Kind.OBJECTION, name, revision): copied})
    rules = compiler.rules()
    assert _outcome(rules) == Refusal.OBJECTION
    assert [one.code for one in rules.rejected] == ["misplaced"]


def test_the_highest_revision_of_an_objection_counts_whatever_comes_later() -> None:
    """Replaying a word that was taken back lifts nothing, and brings nothing back."""
    standing, lifted = World(), World()
    standing.objection("1", subject=b"child".hex(), revision=2)
    lifted.objection("1", subject=b"child".hex(), until="2026-05-01T00:00:00Z", revision=1)
    compiler = _compiler(a_world())
    for world in (standing, lifted, standing):
        compiler.apply(world.documents)
        assert _outcome(compiler.rules()) == Refusal.OBJECTION
    ended = World()
    ended.objection("1", subject=b"child".hex(), until="2026-05-01T00:00:00Z", revision=3)
    for world in (ended, standing):
        compiler.apply(world.documents)
        assert _outcome(compiler.rules()) == "permit"


def test_of_two_objections_under_one_revision_both_stand() -> None:
    """Which should not happen; nothing that was once said is forgotten without a higher one."""
    for subject, until in ((b"child", "2026-05-01T00:00:00Z"), (b"other", None)):
        compiler = _compiler(a_world())
        first, second, lifted = World(), World(), World()
        first.objection("1", subject=b"child".hex())
        second.objection("1", subject=subject.hex(), until=until)
        lifted.objection("1", subject=b"other".hex(), revision=2)
        for world in (first, second, first):
            compiler.apply(world.documents)
            assert _outcome(compiler.rules()) == Refusal.OBJECTION
        compiler.apply(lifted.documents)
        assert _outcome(compiler.rules()) == "permit"


@pytest.mark.parametrize("missing", ["id", "revision"])
def test_an_objection_that_does_not_say_which_it_is_is_not_used(missing: str) -> None:
    """What is signed must name the record key that it belongs under."""
    document = {
        "id": "1",
        "revision": 1,
        "subject": b"child".hex(),
        "from": "2026-01-01T00:00:00Z",
        "kind": "objection",
    }
    del document[missing]
    world = a_world()
    world.put(document_key(Kind.OBJECTION, "1", 1), {"jws": sign_document(SCHEME, document)})
    rules = world.rules()
    assert [one.code for one in rules.rejected] == ["bad-document"]


def test_whatever_changes_after_an_objection_it_is_still_asked_for() -> None:
    """A party's new document does not bring back what was compiled before the objection."""
    compiler = _compiler(a_world())
    assert _outcome(compiler.rules()) == "permit"
    objecting = World()
    objecting.objection("1", subject=b"child".hex())
    compiler.apply(objecting.documents)
    assert _outcome(compiler.rules()) == Refusal.OBJECTION
    for revision, change in ((2, {"name": "Renamed"}), (3, {"state": "suspended"}), (4, {})):
        renamed = World()
        renamed.party(HEALTH, revision=revision, **change)
        compiler.apply(renamed.documents)
        expected = Refusal.PARTY_SUSPENDED if revision == 3 else Refusal.OBJECTION
        assert _outcome(compiler.rules()) == expected


def test_a_change_leaves_rules_that_were_given_before_as_they_were() -> None:
    """A router finishes its batch under the rules that it began with."""
    compiler = _compiler(a_world())
    before = compiler.rules()
    revoked = World()
    revoked.sign(an_agreement(), HEALTH, type="revoke")
    compiler.apply(revoked.documents)
    assert _outcome(compiler.rules()) == Refusal.REVOKED
    assert _outcome(before) == "permit"


def test_candidates_without_a_moment_hold_every_version_that_can_matter() -> None:
    """The versions that are not the one to look at refuse when they are decided on."""
    world = a_world()
    started = {"starts_at": "2026-05-25", "ends_at": "2028-04-01"}
    world.agree(an_agreement(version=2, effective=started))
    rules = world.rules()
    (first, second) = rules.candidates(COUNCIL, PLACEMENT)
    assert (first.version, second.version) == (1, 2)
    decision = decide(an_event(), first, at=AT)
    assert isinstance(decision, Deny)
    assert decision.reason is Refusal.SUPERSEDED
    assert isinstance(decide(an_event(), second, at=AT), Permit)
    assert [one.version for one in rules.candidates(COUNCIL, PLACEMENT, at=AT)] == [2]
    before = to_us(NOON - timedelta(days=10))
    assert [one.version for one in rules.candidates(COUNCIL, PLACEMENT, at=before)] == [1]
    assert {one.version for one in rules} == {1, 2}


def test_a_draft_is_a_candidate_only_while_nothing_is_signed() -> None:
    """A draft of the next version is no second decision beside the one in force."""
    world = a_world()
    wider = a_flow(items=[*a_flow()["items"], {"path": "rne"}])
    world.agree(an_agreement(wider, version=2), without=[HEALTH])
    assert [one.version for one in world.rules().candidates(COUNCIL, PLACEMENT)] == [1]
    draft = a_world(without=[COUNCIL, HEALTH])
    draft.agree(an_agreement(version=2), without=[COUNCIL, HEALTH])
    assert [one.version for one in draft.rules().candidates(COUNCIL, PLACEMENT)] == [2]


def test_views_are_compiled_ahead_for_every_revision_that_a_flow_covers() -> None:
    """Their schemas can be published before the first delivery; alike flows share one."""
    texts = [json.dumps(_revision(number)) for number in (1, 2, 3)]
    world = World(catalogue=Catalogue.of(texts))
    for party in (COUNCIL, HEALTH, SCHOOL):
        world.party(party)
    flow = a_flow(to=[HEALTH, SCHOOL], schemas={"min": 2, "max": 3}, items=[{"path": "childId"}])
    world.agree(an_agreement(flow))
    rules = world.rules()
    views = rules.compile_views()
    assert len(views) == 2
    assert len({view.fingerprint for view in views}) == 1, "the change is not in the view"
    (candidate, _) = rules.candidates(COUNCIL, PLACEMENT)
    assert candidate.plan(world.catalogue.latest(PLACEMENT)).view in views


def _revision(number: int) -> dict[str, object]:
    fields = [
        {"name": "childId", "type": "string", "identifier": "la-child-id", "subject": "primary"}
    ]
    fields += [{"name": f"added{n}", "type": "string"} for n in range(number)]
    return {
        "type": "record",
        "name": "x.Placement",
        "eventType": PLACEMENT,
        "revision": number,
        "fields": fields,
    }


def test_views_of_recipients_with_pseudonyms_are_their_own() -> None:
    """The key of a recipient's pseudonyms is in its view; the schema is the same."""
    flow = a_flow(to=[HEALTH, SCHOOL], items=[{"path": "childId", "transform": "pseudonym"}])
    rules = a_world(an_agreement(flow)).rules()
    first, second = (decide(an_event(), c, at=AT) for c in rules.candidates(COUNCIL, PLACEMENT))
    assert isinstance(first, Permit)
    assert isinstance(second, Permit)
    assert first.view.fingerprint == second.view.fingerprint
    assert first.framed != second.framed


def test_a_short_pseudonym_key_refuses_and_does_not_weaken() -> None:
    """A key that is too short is an error, and an error refuses."""
    flow = a_flow(items=[{"path": "childId", "transform": "pseudonym"}])
    (candidate,) = a_world(an_agreement(flow)).rules()
    decision = decide(an_event(), replace(candidate, pseudonym_key=b"k" * 31), at=AT)
    assert isinstance(decision, Deny)
    assert (decision.reason, decision.detail) == (Refusal.DECIDING_FAILED, "ValueError")


def test_an_event_with_somebody_else_s_candidate_is_refused() -> None:
    """Publisher and type are checked again, whoever paired them."""
    (candidate,) = a_world().rules()
    other = decide(an_event(publisher=SCHOOL), candidate, at=AT)
    renamed = decide(an_event(), replace(candidate, event_type="uk.gov.other.v1"), at=AT)
    assert [one.reason for one in (other, renamed) if isinstance(one, Deny)] == [
        Refusal.NO_AGREEMENT
    ] * 2


def test_a_document_that_is_repaired_is_no_longer_listed_as_rejected() -> None:
    """What is listed is what lies on the topic now."""
    world = a_world()
    key = document_key(Kind.PARTY, SCHOOL, 2)
    compiler = _compiler(world)
    compiler.apply({key: b"not json", b"nonsense": b"{}", b"party|x": b"{}"})
    assert [(one.key, one.code) for one in compiler.rules().rejected] == [
        (b"nonsense", "bad-document"),
        (key, "bad-document"),
        (b"party|x", "bad-document"),
    ]
    repaired = World()
    repaired.party(SCHOOL, revision=2)
    compiler.apply(repaired.documents)
    assert [one.key for one in compiler.rules().rejected] == [b"nonsense", b"party|x"]


def test_view_schemas_on_the_topic_are_nothing_to_the_rules() -> None:
    """They are for recipients."""
    world = a_world()
    world.put(document_key(Kind.SCHEMA, "00ff"), {"fingerprint": "00ff"})
    assert world.rules().rejected == ()


def test_checks_that_have_passed_for_good_are_not_asked_again() -> None:
    """What only looks at the candidate is settled; with an objection three more are asked."""
    world = a_world()
    assert len(world.candidate().tests) == 4
    world.objection("1", subject="00")
    assert len(world.candidate().tests) == 5
    asked = a_flow(max_age="P1D", when=[{"item": "sex", "present": True}])
    assert len(a_world(an_agreement(asked)).candidate().tests) == 6
    assert len(a_world(without=[HEALTH]).candidate().tests) == 4
    suspended = a_world()
    suspended.party(HEALTH, revision=2, state="suspended", purposes=[])
    suspended.sign(an_agreement(), HEALTH, type="revoke")
    assert len(suspended.candidate().tests) == 7


def test_the_version_before_ends_exactly_when_the_next_begins() -> None:
    """Neither both nor none of them at any moment."""
    world = a_world()
    started = {"starts_at": "2026-05-25", "ends_at": "2028-04-01"}
    world.agree(an_agreement(version=2, effective=started))
    rules = world.rules()
    first, second = rules.candidates(COUNCIL, PLACEMENT)
    begins = to_us(datetime.fromisoformat("2026-05-25T00:00:00Z"))
    event = an_event(occurred_at=from_us(begins))
    for at, expected in ((begins - 1, (first,)), (begins, (second,))):
        assert rules.candidates(COUNCIL, PLACEMENT, at=at) == expected
        assert isinstance(decide(event, expected[0], at=at), Permit)
    late = decide(event, first, at=begins)
    early = decide(event, second, at=begins - 1)
    assert [one.reason for one in (late, early) if isinstance(one, Deny)] == [
        Refusal.SUPERSEDED,
        Refusal.NOT_YET_IN_FORCE,
    ]

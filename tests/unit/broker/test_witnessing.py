"""A witness cosigns what goes on from the last it saw, and keeps what does not."""

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.evidence.cosigning import (
    NotOurs,
    UnknownWitness,
    add_witness,
    covering,
    request_to,
    take_cosignatures,
)
from broker.evidence.keys import LogKeys
from broker.evidence.reading import LogFiles
from broker.evidence.verifying import verify_log
from broker.evidence.writing import writing
from broker.split_views import Contradiction, SplitView, contradiction
from broker.witness_folder import NoWitness
from broker.witnessing import (
    ClockBehind,
    Cosigned,
    NotShown,
    OldCheckpoint,
    UnknownLog,
    Witness,
    checkpoint_in,
)
from schemas.checkpoints import Checkpoint, WitnessRequest
from schemas.keys import SigningKey
from schemas.notes import BadNote, Note, NoteKey
from schemas.tiles import Tree

KEYS = LogKeys(SigningKey.generate(), b"s" * 32)
ORIGIN = "anytown.example/decisions"
LOG = KEYS.public(ORIGIN)
NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)


def write(path: Path, *sizes: int, lie_at: int = -1) -> LogFiles:
    """Write a log on to these sizes; one entry may be another than it is elsewhere."""
    with writing(path, KEYS, origin=ORIGIN) as writer:
        for size in sizes:
            for index in range(writer.size, size):
                writer.append(index, b"%d" % index if index != lie_at else b"a lie")
            writer.sign()
    return LogFiles(path)


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Witness:
    """A witness that has seen nothing: its key file is slow on purpose, so once."""
    path = tmp_path_factory.mktemp("witness") / "trust"
    made = Witness.found(path, name="trust.example/witness", logs=[LOG])
    loaded = Witness.load(path)
    assert (loaded.public, loaded.logs) == (made.public, {ORIGIN: LOG})
    return loaded


@pytest.fixture
def witness(founded: Witness, tmp_path: Path) -> Witness:
    """A witness that has seen nothing."""
    return a_witness(founded, tmp_path / "trust")


def a_witness(founded: Witness, path: Path) -> Witness:
    """Return another witness in a folder of its own; its key is the same, which is no matter."""
    shutil.copytree(founded.path, path)
    return Witness(path, founded._key, name=founded.public.name, logs=[LOG])


def refused(witness: Witness) -> list[Contradiction]:
    """Return what a witness has kept."""
    files = sorted((witness.path / "refused").glob("*.json"))
    return [Contradiction.read(file.read_bytes()) for file in files]


def test_a_witness_cosigns_what_goes_on(witness: Witness, tmp_path: Path) -> None:
    """Each time the latest checkpoint, with the log's signature and its own on it."""
    for minutes, size in enumerate((1, 7, 256, 300, 300, 900)):
        log = write(tmp_path / "log", size)
        done = witness.cosign_folder(log, at=NOON + timedelta(minutes=minutes))
        assert done.checkpoint.size == size
        signed = done.note.verified([LOG, witness.public])
        assert [key.name for key, _ in signed] == [ORIGIN, "trust.example/witness"]
        assert done.signature.cosigned_at == int((NOON + timedelta(minutes=minutes)).timestamp())
    assert not refused(witness)


@settings(max_examples=25, deadline=None)
@given(sizes=st.tuples(st.integers(1, 700), st.integers(1, 700)), lie_at=st.integers(0, 699))
def test_a_log_that_changed_what_was_cosigned_is_refused(
    founded: Witness,
    tmp_path_factory: pytest.TempPathFactory,
    sizes: tuple[int, int],
    lie_at: int,
) -> None:
    """Whatever entry was changed: if it was covered, two signed trees prove it to anybody."""
    before, after = sorted(sizes)
    path = tmp_path_factory.mktemp("logs")
    witness = a_witness(founded, path / "trust")
    cosigned = witness.cosign_folder(write(path / "true", before), at=NOON)
    other = write(path / "other", after, lie_at=lie_at)
    if lie_at >= before:
        assert witness.cosign_folder(other, at=NOON).checkpoint.size == after
        return
    with pytest.raises(SplitView, match="proves it"):
        witness.cosign_folder(other, at=NOON)
    (kept,) = refused(witness)
    assert kept.is_proved(LOG)
    assert not kept.is_proved(NoteKey(ORIGIN, SigningKey.generate().public))
    assert witness.last(ORIGIN) == cosigned.note, "what it stands by is what it was"
    with pytest.raises(SplitView):
        witness.cosign_folder(other, at=NOON)
    assert len(refused(witness)) == 1, "the same lie is kept once"


def test_a_split_view_shown_to_two_partners_is_detected(founded: Witness, tmp_path: Path) -> None:
    """Each sees a log that goes on; what they cosigned, held together, proves the lie."""
    trust, police = (a_witness(founded, tmp_path / name) for name in ("trust", "police"))
    for size in (40, 300, 700):
        to_trust = write(tmp_path / "to-trust", size)
        to_police = write(tmp_path / "to-police", size + 20, lie_at=123)
        shown_to_trust = trust.cosign_folder(to_trust, at=NOON).note
        shown_to_police = police.cosign_folder(to_police, at=NOON).note
        found = police.compare(shown_to_trust, to_police)
        assert (found is not None) == (size > 123)
        # The trust's folder has not the larger tree that the police were shown: it can but ask.
        unanswered = trust.compare(shown_to_police, to_trust) or pytest.fail("not told")
        assert not unanswered.is_proved(LOG)
    assert [one.is_proved(LOG) for one in refused(police)] == [True, True]


def test_views_of_one_log_do_not_contradict_each_other(founded: Witness, tmp_path: Path) -> None:
    """One partner comes earlier than the other, and both see the same log."""
    trust, police = (a_witness(founded, tmp_path / name) for name in ("trust", "police"))
    log = tmp_path / "log"
    early = trust.cosign_folder(write(log, 300), at=NOON).note
    late = police.cosign_folder(write(log, 700), at=NOON).note
    assert police.compare(early, LogFiles(log)) is None
    assert police.compare(late, LogFiles(log)) is None
    assert trust.compare(late, LogFiles(log)) is None
    assert trust.compare(early, LogFiles(log)) is None


def test_an_old_checkpoint_is_refused_and_no_proof_of_anything(
    witness: Witness, tmp_path: Path
) -> None:
    """A copy of yesterday is no lie."""
    old = shutil.copytree(write(tmp_path / "log", 300).path, tmp_path / "old")
    witness.cosign_folder(write(tmp_path / "log", 400), at=NOON)
    with pytest.raises(OldCheckpoint, match="300 entries and 400"):
        witness.cosign_folder(LogFiles(old), at=NOON)
    assert not refused(witness)


def test_a_witness_that_lost_what_it_saw_cosigns_nothing(witness: Witness, tmp_path: Path) -> None:
    """It could not tell a split view any more, so it begins anew under another key."""
    log = write(tmp_path / "log", 300)
    witness.cosign_folder(log, at=NOON)
    (seen,) = (witness.path / "seen").glob("*.note")
    good = seen.read_text()
    for damage in (good.replace("300", "200"), good[:-9], "\n"):
        seen.write_text(damage)
        with pytest.raises(NoWitness, match="nothing is cosigned"):
            witness.cosign_folder(log, at=NOON)
    seen.unlink()
    with pytest.raises(NoWitness, match="nothing is cosigned"):
        witness.cosign_folder(log, at=NOON)


def test_a_clock_that_jumps_backward_cosigns_nothing(witness: Witness, tmp_path: Path) -> None:
    """A cosignature says what the largest tree was at a time."""
    witness.cosign_folder(write(tmp_path / "log", 3), at=NOON)
    with pytest.raises(ClockBehind):
        witness.cosign_folder(write(tmp_path / "log", 4), at=NOON - timedelta(seconds=1))
    assert witness.cosign_folder(write(tmp_path / "log", 4), at=NOON).checkpoint.size == 4


def test_only_known_logs_that_signed_are_cosigned(witness: Witness, tmp_path: Path) -> None:
    """Another name, another key, and tiles that are not of the checkpoint."""
    log = write(tmp_path / "log", 300)
    note = checkpoint_in(log)
    checkpoint = Checkpoint.read(note.text)
    forged = checkpoint.sign(SigningKey.generate())
    (log.path / "checkpoint").write_text(forged.to_text())
    with pytest.raises(BadNote, match="none of the keys"):
        witness.cosign_folder(log, at=NOON)
    other = Checkpoint("elsewhere.example/log", 3, bytes(32)).sign(KEYS.signing)
    (log.path / "checkpoint").write_text(other.to_text())
    with pytest.raises(UnknownLog):
        witness.cosign_folder(log, at=NOON)
    beyond = Checkpoint(ORIGIN, 900, bytes(32)).sign(KEYS.signing)
    (log.path / "checkpoint").write_text(beyond.to_text())
    with pytest.raises(NotShown):
        witness.cosign_folder(log, at=NOON)
    assert witness.last(ORIGIN) is None
    (log.path / "checkpoint").unlink()
    with pytest.raises(BadNote, match="expected a log's folder"):
        witness.cosign_folder(log, at=NOON)


def test_a_log_without_its_tiles_is_not_shown_to_go_on(witness: Witness, tmp_path: Path) -> None:
    """Both checkpoints are kept; they prove nothing yet."""
    witness.cosign_folder(write(tmp_path / "log", 300), at=NOON)
    log = write(tmp_path / "log", 900)
    shutil.rmtree(log.path / "tile")
    with pytest.raises(NotShown, match="does not show that it goes on"):
        witness.cosign_folder(log, at=NOON)
    (kept,) = refused(witness)
    assert not kept.is_proved(LOG)


def test_tiles_that_do_not_lead_to_what_was_signed_show_nothing(
    witness: Witness, tmp_path: Path
) -> None:
    """The true beginning is laid under a tree that has another: its hashes do not fit."""
    true = write(tmp_path / "true", 200)
    witness.cosign_folder(true, at=NOON)
    write(true.path, 900)
    other = write(tmp_path / "other", 900, lie_at=5)
    shutil.copy2(true.path / "tile/0/000", other.path / "tile/0/000")
    with pytest.raises(NotShown):
        witness.cosign_folder(other, at=NOON)
    assert not refused(witness)[0].is_proved(LOG)


# -- requests, and the log's side -----------------------------------------------------


def test_a_request_carries_all_that_a_witness_needs(witness: Witness, tmp_path: Path) -> None:
    """C2SP tlog-witness: from nothing, on from the last, and what comes back is kept."""
    log = write(tmp_path / "log", 5)
    add_witness(log, witness.public)
    for size in (5, 5, 256, 300, 900):
        write(log.path, size)
        request = request_to(log, LOG, witness.public.name)
        done = witness.cosign_request(WitnessRequest.read(request.to_text().encode()), at=NOON)
        assert done.checkpoint.size == size
        taken = take_cosignatures(log, LOG, done.note)
        assert [key for key, _ in taken.signatures] == [witness.public]


def test_a_first_request_begins_at_nothing(witness: Witness, tmp_path: Path) -> None:
    """There is nothing yet that a proof could begin at."""
    note = checkpoint_in(write(tmp_path / "log", 5))
    for request in (WitnessRequest(3, (), note), WitnessRequest(0, (bytes(32),), note)):
        with pytest.raises(OldCheckpoint):
            witness.cosign_request(request, at=NOON)
    assert witness.last(ORIGIN) is None


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda one: WitnessRequest(4, one.proof, one.checkpoint), OldCheckpoint),
        (lambda one: WitnessRequest(0, (), one.checkpoint), OldCheckpoint),
        (lambda one: WitnessRequest(one.old_size, one.proof[:-1], one.checkpoint), NotShown),
        (lambda one: WitnessRequest(one.old_size, one.proof[::-1], one.checkpoint), NotShown),
        (lambda one: WitnessRequest(one.old_size, (), one.checkpoint), NotShown),
    ],
    ids=["elsewhere", "from nothing", "cut off", "reversed", "none"],
)
def test_a_request_whose_proof_does_not_fit_is_refused(
    witness: Witness,
    tmp_path: Path,
    change: Callable[[WitnessRequest], WitnessRequest],
    error: type[Exception],
) -> None:
    """As the protocol has it: 409 for another size, 422 for a proof that does not verify."""
    log = write(tmp_path / "log", 300)
    add_witness(log, witness.public)
    take_cosignatures(log, LOG, witness.cosign_folder(log, at=NOON).note)
    write(log.path, 900)
    good = request_to(log, LOG, witness.public.name)
    with pytest.raises(error):
        witness.cosign_request(change(good), at=NOON)
    assert witness.cosign_request(good, at=NOON).checkpoint.size == 900


def test_two_requests_of_one_size_and_two_roots_prove_a_split_view(
    witness: Witness, tmp_path: Path
) -> None:
    """Nothing else is needed: the log's signature is on both."""
    witness.cosign_request(
        WitnessRequest(0, (), checkpoint_in(write(tmp_path / "log", 300))), at=NOON
    )
    lie = checkpoint_in(write(tmp_path / "other", 300, lie_at=7))
    with pytest.raises(SplitView):
        witness.cosign_request(WitnessRequest(300, (), lie), at=NOON)
    assert refused(witness)[0].is_proved(LOG)


@given(data=st.binary(max_size=400) | st.text(max_size=200).map(str.encode))
def test_what_is_no_request_and_no_contradiction_is_refused(data: bytes) -> None:
    """Hostile bytes raise our error and no other."""
    for read in (WitnessRequest.read, Contradiction.read):
        with pytest.raises(BadNote):
            read(data)


@pytest.mark.parametrize(
    "text",
    ["[]", "{}", '{"smaller": 1}', '{"smaller": "a", "larger": "b", "prefix": 1, "proof": 2}'],
)
def test_json_of_another_shape_is_no_contradiction(text: str) -> None:
    """Whatever is missing or of another kind."""
    with pytest.raises(BadNote):
        Contradiction.read(text.encode())


def test_honest_checkpoints_cannot_be_made_into_a_proof(tmp_path: Path) -> None:
    """Who wants to convict a log that did nothing needs a hash collision."""
    log = write(tmp_path / "log", 300, 700)
    small, large = (note for note in log.history())
    assert contradiction(small, large, Tree(700, log.tile)) is None
    tree = Tree(700, log.tile)
    proof = tuple(tree.consistency(300))
    for prefix in (tree.root_at(300), tree.root_at(299), bytes(32), None):
        assert not Contradiction(small, large, prefix, proof).is_proved(LOG)
        assert not Contradiction(large, small, prefix, proof).is_proved(LOG)
        assert not Contradiction(small, small, prefix).is_proved(LOG)


def _cosigned(witness: Witness, log: LogFiles) -> Cosigned:
    add_witness(log, witness.public)
    done = witness.cosign_folder(log, at=NOON)
    take_cosignatures(log, LOG, done.note)
    return done


def test_the_latest_checkpoint_bears_what_witnesses_have_said(
    witness: Witness, tmp_path: Path
) -> None:
    """At once where the log stands still, and still after a restart; a new one has none yet."""
    log = write(tmp_path / "log", 300)
    with writing(log.path, KEYS, origin=ORIGIN) as writer:
        _cosigned(witness, log)
        assert len(checkpoint_in(log).signatures) == 1
        writer.sign()
        assert checkpoint_in(log).verified([witness.public])
    with writing(log.path, KEYS, origin=ORIGIN) as writer:
        assert checkpoint_in(log).verified([witness.public])
        writer.append(300, b"more")
        writer.sign()
        assert len(checkpoint_in(log).signatures) == 1


def test_an_entry_is_vouched_for_by_as_many_witnesses_as_cover_it(
    founded: Witness, tmp_path: Path
) -> None:
    """Of those the newest checkpoint; where no witness covers it, the latest."""
    log = write(tmp_path / "log", 300)
    trust = a_witness(founded, tmp_path / "trust")
    _cosigned(trust, log)
    write(log.path, 400)
    police = Witness.found(tmp_path / "police", name="police.example/w", logs=[LOG])
    for one in (trust, police):
        _cosigned(one, log)
    write(log.path, 500)
    _cosigned(trust, log)
    write(log.path, 600)

    def size(index: int) -> int | None:
        note = covering(log, LOG, index)
        return None if note is None else Checkpoint.read(note.text).size

    assert [size(index) for index in (0, 399, 400, 499, 500, 599, 600)] == [
        *(400, 400, 500, 500, 600, 600, None)
    ]
    best = covering(log, LOG, 0) or pytest.fail("none")
    assert len(best.verified([trust.public, police.public])) == 2


def test_cosignatures_of_strangers_and_of_other_trees_are_not_kept(
    witness: Witness, tmp_path: Path
) -> None:
    """Unknown keys say nothing; a tree that is not ours under our own key says much."""
    log = write(tmp_path / "log", 300)
    done = witness.cosign_folder(log, at=NOON)
    with pytest.raises(UnknownWitness):
        take_cosignatures(log, LOG, done.note)
    add_witness(log, witness.public)
    spoilt = Note(done.note.text.replace("300", "299"), done.note.signatures)
    with pytest.raises(BadNote):
        take_cosignatures(log, LOG, spoilt)
    elsewhere = write(tmp_path / "other", 300, lie_at=3)
    add_witness(elsewhere, witness.public)
    with pytest.raises(NotOurs, match="who uses the key"):
        take_cosignatures(elsewhere, LOG, done.note)
    assert list(log.cosigned()) == []
    with pytest.raises(BadNote, match="another key"):
        add_witness(log, NoteKey(witness.public.name, SigningKey.generate().public, 4))
    with pytest.raises(BadNote, match="type 4"):
        add_witness(log, LOG)


def test_a_line_that_a_crash_cut_off_is_taken_away(witness: Witness, tmp_path: Path) -> None:
    """What comes after it is read."""
    log = write(tmp_path / "log", 300)
    _cosigned(witness, log)
    with (log.path / "cosigned.jsonl").open("a") as file:
        file.write('{"note": "half a li')
    write(log.path, 400)
    _cosigned(witness, log)
    assert [Checkpoint.read(note.text).size for note in log.cosigned()] == [300, 400]


def test_verify_tells_how_far_witnesses_have_cosigned(witness: Witness, tmp_path: Path) -> None:
    """Not the latest checkpoint only: the log moves on while they sleep."""
    log = write(tmp_path / "log", 300)
    _cosigned(witness, log)
    write(log.path, 500)
    result = verify_log(log, LOG, witnesses=[witness.public])
    assert result.is_verified
    assert result.to_json()["witnesses"] == {"trust.example/witness": 300}
    stranger = NoteKey("police.example/w", SigningKey.generate().public, 4)
    (problem,) = verify_log(log, LOG, witnesses=[stranger]).problems
    assert problem.code == "not-cosigned"


def test_verify_finds_what_witnesses_were_shown_and_the_history_has_not(
    witness: Witness, tmp_path: Path
) -> None:
    """A second tree under the log's key, however it came into the file."""
    log = write(tmp_path / "log", 300)
    _cosigned(witness, log)
    lie = checkpoint_in(write(tmp_path / "other", 300, lie_at=3)).to_text()
    with (log.path / "cosigned.jsonl").open("a") as file:
        file.write(json.dumps({"note": lie}) + "\n")
    (problem,) = verify_log(log, LOG).problems
    assert problem.code == "split-view"
    (log.path / "cosigned.jsonl").write_text("[]\n")
    (problem,) = verify_log(log, LOG).problems
    assert problem.code == "bad-cosignature"
